//! Badges: a label and a word as an image that says both to screen readers, too.

use super::percent;
use crate::api::page::small::text;

/// Letters of a label that are shown.
const MAX_LABEL: usize = 40;

/// `kind`: the status or state that gives the colour.
pub(super) fn svg(label: &str, word: &str, kind: &str) -> String {
    let cut: String = label.chars().take(MAX_LABEL).collect();
    let label = if cut.len() < label.len() { format!("{}…", cut.trim_end()) } else { cut };
    let (left, right) = (width(&label), width(word));
    let (all, middle) = (left + right, left + right / 2);
    let (label, word, colour) = (text(&label), text(word), colour(kind));
    let (left_middle, left_length, right_length) = (left / 2, left - 12, right - 12);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{all}\" height=\"20\" role=\"img\" aria-label=\"{label}: {word}\">\
         <title>{label}: {word}</title><clipPath id=\"r\"><rect width=\"{all}\" height=\"20\" rx=\"3\"/></clipPath>\
         <g clip-path=\"url(#r)\"><rect width=\"{left}\" height=\"20\" fill=\"#3b3f45\"/>\
         <rect x=\"{left}\" width=\"{right}\" height=\"20\" fill=\"{colour}\"/></g>\
         <g fill=\"#fff\" text-anchor=\"middle\" font-family=\"Verdana,DejaVu Sans,sans-serif\" font-size=\"11\">\
         <text x=\"{left_middle}\" y=\"14\" textLength=\"{left_length}\">{label}</text>\
         <text x=\"{middle}\" y=\"14\" textLength=\"{right_length}\">{word}</text></g></svg>\n"
    )
}

pub(super) fn uptime(label: &str, share: Option<f64>) -> String {
    let kind = match share {
        None => "unknown",
        Some(share) if share >= 0.999 => "up",
        Some(share) if share >= 0.95 => "degraded",
        Some(_) => "down",
    };
    svg(label, &share.map_or_else(|| "no data".to_owned(), percent), kind)
}

/// Of a text at 11 px, with room on both sides. `textLength` makes it come out so in every font.
fn width(text: &str) -> usize {
    let letters: usize = text.chars().map(|c| if c.is_ascii() { 7 } else { 11 }).sum();
    letters.max(7) + 12
}

/// Dark enough for white letters.
fn colour(kind: &str) -> &'static str {
    match kind {
        "up" | "running" => "#1f7a45",
        "degraded" | "quarantined" | "starting" | "draining" => "#8a5a00",
        "down" | "failed" => "#b3261e",
        "maintenance" => "#2a5db0",
        _ => "#5f6368",
    }
}
