//! Plans and problems as a person reads them. Pure.

use super::paint::{Ink, Paint, count, safe};
use crate::facts::{Forgets, Plan, Problem, Step, Verb};

/// Changes shown of one step; the rest is counted.
const CHANGES_SHOWN: usize = 12;

fn sign(verb: Verb) -> (&'static str, &'static str, Ink) {
    match verb {
        Verb::Create => ("+", "create", Ink::Good),
        Verb::Update => ("~", "update", Ink::Notice),
        Verb::Amend => ("~", "amend", Ink::Notice),
        Verb::Roll => ("~", "roll", Ink::Notice),
        Verb::Remove => ("-", "remove", Ink::Bad),
    }
}

fn step_lines(step: &Step, width: usize, paint: &Paint) -> String {
    let (mark, word, ink) = sign(step.verb);
    let name = safe(&step.worker);
    let changes: Vec<String> = step.changes.iter().map(|change| safe(change)).collect();
    let head = paint.ink(ink, &format!("{mark} {word}"));
    let note = if step.verb == Verb::Amend { paint.ink(Ink::Faint, "  (no restart)") } else { String::new() };
    match changes.as_slice() {
        [] => format!("{head} {name}{note}\n"),
        [change] => format!("{head} {name:width$}  {change}{note}\n"),
        _ => {
            let mut text = format!("{head} {name}{note}\n");
            for change in changes.iter().take(CHANGES_SHOWN) {
                text.push_str(&format!("    {change}\n"));
            }
            if changes.len() > CHANGES_SHOWN {
                text.push_str(&format!("    … and {} more\n", changes.len() - CHANGES_SHOWN));
            }
            text
        }
    }
}

/// What goes with a worker that is removed.
fn forgotten(forgets: &Forgets, paint: &Paint) -> String {
    let (checks, their) = if forgets.checks == 1 { ("check".to_owned(), "its") } else { (format!("{} checks", forgets.checks), "their") };
    let line = format!("    its {checks} and {their} history since {} go too", forgets.since.strftime("%F"));
    format!("{}\n", paint.ink(Ink::Bad, &line))
}

/// The steps, what stays, and what became of it.
pub fn render(plan: &Plan, dry_run: bool, paint: &Paint) -> String {
    // Names of one-line updates line up.
    let in_line = plan.steps.iter().filter(|step| step.changes.len() == 1);
    let width = in_line.map(|step| step.worker.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for step in &plan.steps {
        text.push_str(&step_lines(step, width, paint));
        if step.verb == Verb::Remove
            && let Some(forgets) = plan.forgets.iter().find(|forgets| forgets.worker == step.worker)
        {
            text.push_str(&forgotten(forgets, paint));
        }
    }
    if plan.unchanged > 0 {
        text.push_str(&paint.ink(Ink::Faint, &format!("= {} unchanged", plan.unchanged)));
        text.push('\n');
    }
    text.push_str(&outcome(plan, dry_run));
    text.push('\n');
    text
}

fn outcome(plan: &Plan, dry_run: bool) -> String {
    let generation = plan.generation;
    if plan.steps.is_empty() && plan.files.is_empty() {
        return format!("nothing to do: generation {generation} is as declared");
    }
    let files = if plan.files.is_empty() { String::new() } else { format!(": {}", safe(&plan.files.join(", "))) };
    if dry_run {
        return format!("dry run: nothing was changed ({})", count(plan.steps.len(), "step"));
    }
    if plan.applied {
        return format!("applied as generation {generation}{files}");
    }
    format!("not applied; generation {generation} stays")
}

/// One line for pause, resume and scale: a field of the manifest that was set.
pub fn amended(name: &str, done: &str, plan: &Plan) -> String {
    if plan.applied { format!("{name} {done} (generation {})\n", plan.generation) } else { format!("{name} was {done} already\n") }
}

/// What `skep diff` ends with: 1 when anything would change.
pub fn differs(plan: &Plan) -> bool {
    !plan.steps.is_empty()
}

/// `file:line:col: worker "x": field: message`, and the hint on its own line.
pub fn problem_lines(problem: &Problem, paint: &Paint) -> String {
    let bare = Problem { hint: None, ..problem.clone() };
    let line = safe(&bare.to_string());
    // The place alone is strong: it is what an editor jumps to.
    let place = {
        let only_place = Problem { worker: None, field: None, message: String::new(), ..bare };
        safe(only_place.to_string().trim_end())
    };
    let rest = line.strip_prefix(&place).unwrap_or(&line);
    let mut text = format!("{}{rest}\n", paint.ink(Ink::Strong, &place));
    if let Some(hint) = &problem.hint {
        text.push_str(&format!("  {} {}\n", paint.ink(Ink::Notice, "hint:"), safe(hint)));
    }
    text
}
