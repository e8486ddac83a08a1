//! What makes the host call a worker: schedule, jobs, HTTP routes, topics, commands. As written → checked.
//!
//! Must not know the other fields of a worker.

use std::{collections::BTreeMap, time::Duration};

use super::{
    hints::{cron_of_shorthand, nearest},
    reader::{Field, Reader},
    spec::{CommandSpec, HttpTrigger, JobsTrigger, Schedule},
    topics,
    tree::Value,
};

/// Bounds of an interval.
const SHORTEST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_secs(366 * 86_400);

/// The largest request body a route may take.
const MAX_BODY: u64 = 16 << 20;

/// From here a cron expression must come due within four years: the first day of a leap year, so that 29 February counts.
const CRON_FROM: &str = "2028-01-01T00:00:00Z";

pub(super) fn every(field: &Field<'_>) -> Option<Duration> {
    field.duration(SHORTEST..=LONGEST, "\"30s\"")
}

pub(super) fn schedule(field: &Field<'_>) -> Option<Schedule> {
    if let Value::Text(text) = &field.node.value {
        let inner = if text.contains(' ') { format!("cron = \"{text}\"") } else { format!("every = \"{text}\"") };
        return field.wrong_type("a table", &format!("{{ {inner} }}"));
    }
    let mut table = field.table("{ every = \"30s\" }")?;
    let interval = table.take("every");
    let expression = table.take("cron");
    let timezone = table.take("timezone");
    let read = match (&interval, &expression) {
        (Some(_), Some(both)) => {
            both.complain("every and cron can't stand together", Some("keep one of them".to_owned()));
            None
        }
        (Some(interval), None) => {
            if let Some(timezone) = &timezone {
                timezone.complain("an interval has no time zone", Some("take it out, or write cron instead of every".to_owned()));
            }
            every(interval).map(Schedule::Every)
        }
        (None, Some(expression)) => {
            cron(expression, timezone.as_ref()).map(|(expression, timezone)| Schedule::Cron { expression, timezone })
        }
        (None, None) => {
            table.complain("has neither every nor cron", "write schedule = { every = \"30s\" }");
            None
        }
    };
    table.finish("field", |word| match word {
        "interval" | "period" => Some("write every = \"30s\""),
        "tz" | "zone" | "time_zone" => Some("write timezone = \"UTC\""),
        "expression" | "at" => Some("write cron = \"*/5 * * * *\""),
        _ => None,
    });
    read
}

/// A cron expression and its zone.
pub(super) fn cron(expression: &Field<'_>, timezone: Option<&Field<'_>>) -> Option<(String, String)> {
    let zone = match timezone {
        None => Some("UTC".to_owned()),
        Some(field) => zone(field),
    };
    let text = expression.text("\"*/5 * * * *\"")?;
    let fields: Vec<&str> = text.split_ascii_whitespace().collect();
    if let Some(five) = cron_of_shorthand(text.trim()) {
        expression.complain(format!("\"{text}\" is a shorthand"), Some(format!("write \"{five}\"")));
        return None;
    }
    if fields.len() != 5 {
        let hint = match fields.len() {
            6 if fields.last().is_some_and(|last| last.starts_with(|c: char| c.is_ascii_alphabetic())) => {
                "write the time zone as timezone = \"…\""
            }
            6 => "seconds have no field: write minute, hour, day of month, month, day of week",
            _ => "write minute, hour, day of month, month, day of week: \"*/5 * * * *\"",
        };
        expression.complain(format!("has {} fields instead of five", fields.len()), Some(hint.to_owned()));
        return None;
    }
    let tab = match cronexpr::parse_crontab(&format!("{} UTC", fields.join(" "))) {
        Ok(tab) => tab,
        Err(error) => {
            // The parser draws the place on a line of its own; the reason follows the caret.
            let drawn = error.to_string();
            let reason = drawn.rsplit_once("^ ").map_or(drawn.as_str(), |(_, reason)| reason);
            expression.complain(
                format!("\"{text}\" is no cron expression: {reason}"),
                Some("write for example \"*/5 * * * *\" for every five minutes".to_owned()),
            );
            return None;
        }
    };
    if tab.find_next(CRON_FROM).is_err() {
        expression.complain(format!("\"{text}\" never comes due"), Some("check day of month against month".to_owned()));
        return None;
    }
    Some((text.trim().to_owned(), zone?))
}

fn zone(field: &Field<'_>) -> Option<String> {
    let text = field.text("\"UTC\"")?;
    if text == "UTC" || jiff::tz::TimeZone::get(text).is_ok() {
        return Some(text.to_owned());
    }
    let names: Vec<String> = jiff::tz::db().available().map(|name| name.as_str().to_owned()).collect();
    let city = |name: &&String| name.rsplit('/').next().is_some_and(|city| city.eq_ignore_ascii_case(text));
    let found = nearest(text, names.iter().map(String::as_str)).or_else(|| names.iter().find(city).map(String::as_str));
    let hint = match found {
        Some(name) => format!("did you mean \"{name}\"?"),
        None => "write an IANA name such as \"UTC\" or \"Europe/Berlin\"".to_owned(),
    };
    field.complain(format!("there is no time zone \"{}\"", text.chars().take(80).collect::<String>()), Some(hint));
    None
}

pub(super) fn jobs(field: &Field<'_>) -> Option<JobsTrigger> {
    let mut table = field.table("{ queue = \"todo\" }")?;
    let queue = table.need("queue", "\"todo\"").and_then(|f| f.name("\"todo\"").map(str::to_owned));
    let concurrency = or_default(table.take("concurrency"), 1, |f| f.integer(1..=1_024));
    table.finish("field", |_| None);
    Some(JobsTrigger { queue: queue?, concurrency: concurrency? })
}

pub(super) fn http(field: &Field<'_>) -> Option<HttpTrigger> {
    let mut table = field.table("{ routes = [\"/\"] }")?;
    let routes = table.need("routes", "[\"/\"]").and_then(|f| {
        let routes = f.list_of("[\"/\"]", path)?;
        if routes.is_empty() {
            f.complain("needs at least one route", Some("write routes = [\"/\"]".to_owned()));
        }
        (!routes.is_empty()).then_some(routes)
    });
    let methods = or_default(table.take("methods"), Vec::new(), |f| f.list_of("[\"GET\"]", method));
    let body_bytes = or_default(table.take("body"), 1 << 20, |f| f.size(0..=MAX_BODY, "\"1MiB\""));
    let concurrency = or_default(table.take("concurrency"), 64, |f| f.integer(1..=1_024));
    table.finish("field", |word| {
        matches!(word, "allow" | "rate" | "lan" | "limiter").then_some("requests a worker makes are granted in grants = { http = { … } }")
    });
    Some(HttpTrigger { routes: routes?, methods: methods?, body_bytes: body_bytes?, concurrency: concurrency? })
}

/// A path that starts with a slash, as routes and `paths` have it.
pub(super) fn path(field: &Field<'_>) -> Option<String> {
    let text = field.short_text(1_024, "\"/\"")?;
    let plain = text.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'?' | b'#' | b'\\'));
    let hint = if !text.starts_with('/') {
        format!("write \"/{text}\"")
    } else if !plain {
        "write a path without query, fragment or spaces".to_owned()
    } else if text.split('/').any(|segment| matches!(segment, "." | "..")) {
        "take out \".\" and \"..\"".to_owned()
    } else {
        return Some(text.to_owned());
    };
    field.complain(format!("\"{}\" is no path", text.chars().take(80).collect::<String>()), Some(hint));
    None
}

/// An HTTP method, upper case.
pub(super) fn method(field: &Field<'_>) -> Option<String> {
    let text = field.short_text(32, "\"GET\"")?;
    let hint = if text == "CONNECT" {
        "take it out: tunnels are never served".to_owned()
    } else if text.bytes().all(|b| b.is_ascii_uppercase() || b == b'-') {
        return Some(text.to_owned());
    } else {
        format!("write \"{}\"", text.to_ascii_uppercase())
    };
    field.complain(format!("\"{text}\" is no method a worker may use"), Some(hint));
    None
}

/// A topic, or a pattern whose `*` stands for one or more words.
pub(super) fn topic(field: &Field<'_>) -> Option<String> {
    let text = field.short_text(255, "\"checks.*\"")?;
    if text.split('.').all(|word| word == "*" || topics::is_word(word)) {
        return Some(text.to_owned());
    }
    field.complain(
        format!("\"{}\" is no topic", text.chars().take(80).collect::<String>()),
        Some("write words with dots between them, \"*\" for any: \"checks.*\"".to_owned()),
    );
    None
}

pub(super) fn command(field: &Field<'_>) -> Option<CommandSpec> {
    let mut table = field.table("{ args = [] }")?;
    let args = or_default(table.take("args"), Vec::new(), |f| f.list_of("[\"--once\"]", |arg| without_nul(arg, "\"--once\"")));
    let env = or_default(table.take("env"), BTreeMap::new(), environment);
    let stdin = or_default(table.take("stdin"), None, |f| f.text("\"…\"").map(|text| Some(text.to_owned())));
    table.finish("field", |_| None);
    Some(CommandSpec { args: args?, env: env?, stdin: stdin? })
}

fn environment(field: &Field<'_>) -> Option<BTreeMap<String, String>> {
    let Value::Table(entries) = &field.node.value else {
        return field.wrong_type("a table", "{ NAME = \"value\" }");
    };
    let mut env = BTreeMap::new();
    let mut fine = true;
    for entry in entries {
        let path = format!("{}.{}", field.path, entry.key);
        if entry.key.is_empty() || entry.key.contains(['=', '\0']) {
            field.report.say(entry.at, Some(&path), "is no name of a variable", Some("write it without \"=\"".to_owned()));
            fine = false;
        }
        match without_nul(&Field { node: &entry.node, path, report: field.report }, "\"value\"") {
            Some(value) => _ = env.insert(entry.key.clone().into_owned(), value),
            None => fine = false,
        }
    }
    fine.then_some(env)
}

fn without_nul(field: &Field<'_>, example: &str) -> Option<String> {
    let text = field.text(example)?;
    if text.contains('\0') {
        field.complain("can't hold a NUL character", Some("take out \\u0000".to_owned()));
        return None;
    }
    Some(text.to_owned())
}

/// The checked field, or the default when it isn't written.
pub(super) fn or_default<'n, T>(field: Option<Field<'n>>, default: T, check: impl FnOnce(&Field<'n>) -> Option<T>) -> Option<T> {
    match field {
        None => Some(default),
        Some(field) => check(&field),
    }
}

/// The checked field wrapped, or None when it isn't written.
pub(super) fn optional<'n, T>(field: Option<Field<'n>>, check: impl FnOnce(&Field<'n>) -> Option<T>) -> Option<Option<T>> {
    match field {
        None => Some(None),
        Some(field) => check(&field).map(Some),
    }
}

/// A small table whose fields are all optional: a `None` from `read` means that a problem is reported.
pub(super) fn small_table<'n, T>(field: &Field<'n>, example: &str, read: impl FnOnce(&mut Reader<'n>) -> Option<T>) -> Option<T> {
    let mut table = field.table(example)?;
    let value = read(&mut table);
    table.finish("field", |_| None);
    value
}
