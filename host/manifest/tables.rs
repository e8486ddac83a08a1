//! `[[limiter]]`, `[[queue]]` and `[[maintenance]]`: as written → checked.
//!
//! Must not know workers; whether a limiter that a queue names exists is asked over all files, in `references`.

use std::time::Duration;

use super::{
    hints::name_fault,
    reader::{Field, Reader},
    spec::{LimiterSpec, MaintenanceSpec, MaintenanceWindow, Origin, QueueSpec},
    tree::Value,
    triggers::{cron, optional, or_default},
};

const MILLISECOND: Duration = Duration::from_millis(1);
const DAY: Duration = Duration::from_secs(86_400);

impl QueueSpec {
    /// What a queue that nobody declares has, too.
    pub const MAX_ATTEMPTS: u32 = 20;
    pub const BACKOFF: Duration = Duration::from_secs(1);
    pub const RESULT_TTL: Duration = Duration::from_secs(3_600);
}

/// The name of a table, which comes first so that every later problem can carry it.
pub(super) fn name(table: &mut Reader<'_>, example: &str) -> Option<String> {
    table.need("name", example).and_then(|f| f.name(example).map(str::to_owned))
}

pub(super) fn limiter(mut table: Reader<'_>, origin: Origin) -> Option<LimiterSpec> {
    let name = name(&mut table, "\"exchange\"");
    let rate = table.need("rate", "\"5/s\"").and_then(|f| f.rate());
    let burst = or_default(table.take("burst"), 1, |f| f.integer(1..=1_000_000));
    table.finish("field", |_| None);
    Some(LimiterSpec { name: name?, origin, rate: rate?, burst: burst? })
}

pub(super) fn queue(mut table: Reader<'_>, origin: Origin) -> Option<QueueSpec> {
    let name = name(&mut table, "\"todo\"");
    let limiter = optional(table.take("limiter"), |f| f.name("\"exchange\"").map(str::to_owned));
    let max_attempts = or_default(table.take("max_attempts"), QueueSpec::MAX_ATTEMPTS, |f| f.integer(1..=1_000));
    let backoff = or_default(table.take("backoff"), QueueSpec::BACKOFF, |f| f.duration(MILLISECOND..=DAY, "\"1s\""));
    let result_ttl = or_default(table.take("result_ttl"), QueueSpec::RESULT_TTL, |f| f.duration(MILLISECOND..=DAY * 366, "\"1h\""));
    table.finish("field", |word| match word {
        "rate" => Some("declare a [[limiter]] and write limiter = \"NAME\""),
        "retries" | "attempts" => Some("write max_attempts = 20"),
        "concurrency" => Some("it belongs to the worker: jobs = { queue = \"…\", concurrency = 4 }"),
        "ttl" => Some("write result_ttl = \"1h\""),
        _ => None,
    });
    Some(QueueSpec { name: name?, origin, limiter: limiter?, max_attempts: max_attempts?, backoff: backoff?, result_ttl: result_ttl? })
}

pub(super) fn maintenance(mut table: Reader<'_>, origin: Origin) -> Option<MaintenanceSpec> {
    let name = name(&mut table, "\"backup-night\"");
    let workers = or_default(table.take("workers"), Vec::new(), |f| f.list_of("[\"pages\"]", worker_or_group));
    let window = window(&mut table);
    table.finish("field", |word| match word {
        "start" | "begin" => Some("write from = 2030-01-31T22:00:00Z"),
        "end" | "to" => Some("write until = 2030-01-31T23:00:00Z"),
        "for" | "length" => Some("write duration = \"1h\""),
        "worker" | "group" => Some("write workers = [\"NAME\", \"group:NAME\"]"),
        _ => None,
    });
    Some(MaintenanceSpec { name: name?, origin, workers: workers?, window: window? })
}

fn window(table: &mut Reader<'_>) -> Option<MaintenanceWindow> {
    let from = table.take("from");
    let until = table.take("until");
    let expression = table.take("cron");
    let timezone = table.take("timezone");
    let duration = table.take("duration");
    if let Some(expression) = expression {
        for once in [from, until].into_iter().flatten() {
            once.complain("a window is either from … until or cron with duration", Some("keep one of them".to_owned()));
        }
        let read = cron(&expression, timezone.as_ref());
        if duration.is_none() {
            table.missing("duration", "write duration = \"1h\"".to_owned());
        }
        let duration = duration?.duration(MILLISECOND..=DAY * 31, "\"1h\"");
        let (expression, timezone) = read?;
        return Some(MaintenanceWindow::Cron { expression, timezone, duration: duration? });
    }
    for stray in [timezone, duration].into_iter().flatten() {
        stray.complain("belongs to a window with cron", Some("take it out, or write cron = \"0 3 * * 0\"".to_owned()));
    }
    let (Some(from), Some(until)) = (from, until) else {
        table.complain("has no window", "write from = … and until = …, or cron = \"0 3 * * 0\" and duration = \"1h\"");
        return None;
    };
    let (start, end) = (moment(&from), moment(&until));
    let (start, end) = (start?, end?);
    if end <= start {
        until.complain("must be after from", Some("swap the two".to_owned()));
        return None;
    }
    Some(MaintenanceWindow::Once { from: start, until: end })
}

/// An instant: an RFC 3339 date, bare or in quotes, with its offset.
fn moment(field: &Field<'_>) -> Option<jiff::Timestamp> {
    let written = match &field.node.value {
        Value::Datetime(when) => when.as_str(),
        Value::Text(text) => text,
        _ => return field.wrong_type("a date with time and offset", "2030-01-31T22:00:00Z"),
    };
    if let Ok(at) = written.parse::<jiff::Timestamp>() {
        return Some(at);
    }
    let message = format!("\"{}\" is no date with time and offset", written.chars().take(80).collect::<String>());
    field.complain(message, Some("write for example 2030-01-31T22:00:00Z or 2030-01-31T23:00:00+01:00".to_owned()));
    None
}

fn worker_or_group(field: &Field<'_>) -> Option<String> {
    let text = field.text("\"pages\"")?;
    if text.trim() == "group:" {
        field.complain("names no group", Some("write for example \"group:home\"".to_owned()));
        return None;
    }
    let group = text.strip_prefix("group:").is_some_and(|group| !group.trim().is_empty());
    if group || text.split_once('/').is_some_and(|(parent, item)| name_fault(parent).is_none() && name_fault(item).is_none()) {
        return Some(text.to_owned());
    }
    field.name("\"pages\"").map(str::to_owned)
}
