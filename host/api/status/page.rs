//! The public status page as markup: read top to bottom, with a word and a shape for every status, and no script.

use std::fmt::Write as _;

use super::{PublicBeat, PublicCheck, StatusView, percent};
use crate::{api::page::small::text, facts::CheckStatus};

/// Results that a bar has room for.
const BEATS: usize = 30;

pub(super) fn title(view: &StatusView) -> String {
    let word = view.status.map_or_else(String::new, |status| format!("{}: ", status.as_str()));
    text(&format!("{word}{}", view.title))
}

pub(super) fn body(view: &StatusView) -> String {
    let mut out = format!("<h1>{}</h1>\n<p class=\"sum\">{}</p>\n", text(&view.title), summary(view));
    let mut group = None;
    for check in &view.checks {
        if group != Some(&check.group) {
            if group.is_some() {
                out.push_str("</ul>\n");
            }
            if let Some(name) = &check.group {
                let _ = writeln!(out, "<h2>{}</h2>", text(name));
            }
            out.push_str("<ul>\n");
            group = Some(&check.group);
        }
        row(&mut out, check);
    }
    if group.is_some() {
        out.push_str("</ul>\n");
    }
    if view.more > 0 {
        let _ = writeln!(out, "<p>{} more are not shown.</p>", view.more);
    }
    let at = view.at.strftime("%Y-%m-%d %H:%M:%S");
    let _ = writeln!(out, "<footer>As of <time datetime=\"{}\">{at} UTC</time></footer>", view.at);
    out
}

fn summary(view: &StatusView) -> String {
    let bad = |status| view.checks.iter().filter(|check| check.status == status).count();
    let counts =
        [CheckStatus::Down, CheckStatus::Degraded, CheckStatus::Unknown, CheckStatus::Maintenance].map(|status| (status, bad(status)));
    let told: Vec<String> =
        counts.iter().filter(|(_, count)| *count > 0).map(|(status, count)| format!("{count} {}", status.as_str())).collect();
    let Some(worst) = view.status else { return "Nothing is checked yet.".to_owned() };
    let words = if told.is_empty() { "All is up".to_owned() } else { format!("{} of {}", told.join(", "), view.checks.len() + view.more) };
    format!("<span class=\"{}\" aria-hidden=\"true\">{}</span> {words}", worst.as_str(), shape(worst))
}

fn row(out: &mut String, check: &PublicCheck) {
    let status = check.status.as_str();
    let uptime = check.uptime.map_or_else(|| "no data".to_owned(), percent);
    let _ = writeln!(
        out,
        "<li><div class=\"name\">{}</div><div class=\"word {status}\"><span aria-hidden=\"true\">{}</span>{status}</div>\
         <div class=\"past\">{}<span title=\"uptime over 24 hours\">{uptime}</span></div></li>",
        text(&check.name),
        shape(check.status),
        bar(&check.beats),
    );
}

/// The newest results, newest right; what is not there yet is grey.
fn bar(beats: &[PublicBeat]) -> String {
    let shown = beats.get(beats.len().saturating_sub(BEATS)..).unwrap_or_default();
    let count = |status| shown.iter().filter(|beat| beat.status == status).count();
    let told = CheckStatus::ALL.map(|status| (count(status), status.as_str()));
    let told: Vec<String> = told.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")).collect();
    let label = if told.is_empty() { "no results yet".to_owned() } else { format!("last {} results: {}", shown.len(), told.join(", ")) };
    let mut out = format!("<svg viewBox=\"0 0 {} 20\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{label}\">", BEATS * 6);
    let empty = BEATS - shown.len();
    let words = std::iter::repeat_n(("none", 14), empty).chain(shown.iter().map(|beat| (beat.status.as_str(), height(beat.status))));
    for (at, (class, height)) in words.enumerate() {
        let _ =
            write!(out, "<rect class=\"{class}\" x=\"{}\" y=\"{}\" width=\"4\" height=\"{height}\" rx=\"1\"/>", at * 6 + 1, 20 - height);
    }
    out.push_str("</svg>");
    out
}

/// Seen without colour, too: what is down is lower.
fn height(status: CheckStatus) -> usize {
    match status {
        CheckStatus::Up => 20,
        CheckStatus::Degraded => 14,
        CheckStatus::Maintenance | CheckStatus::Paused | CheckStatus::Unknown => 10,
        CheckStatus::Down => 6,
    }
}

fn shape(status: CheckStatus) -> &'static str {
    match status {
        CheckStatus::Up => "●",
        CheckStatus::Degraded => "▲",
        CheckStatus::Down => "✕",
        CheckStatus::Unknown => "○",
        CheckStatus::Maintenance => "◆",
        CheckStatus::Paused => "‖",
    }
}
