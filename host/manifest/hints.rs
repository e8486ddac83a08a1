//! What to write instead: the nearest known word, a corrected name, and words people bring from other tools.
//!
//! Must not decide whether something is wrong; it only helps once it is.

/// The longest name a worker, limiter, queue, bucket or window may have.
pub(super) const MAX_NAME: usize = 63;

/// Why `name` is none, in a few words; None when it is fine.
pub fn name_fault(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        return Some("a name can't be empty");
    }
    if name.len() > MAX_NAME {
        return Some("a name has at most 63 characters");
    }
    if !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
        return Some("a name is made of a-z, 0-9 and \"-\"");
    }
    name.bytes().all(|b| b.is_ascii_digit()).then_some("a name can't be all digits")
}

/// The name that comes nearest to what was written.
pub(super) fn corrected_name(name: &str) -> Option<String> {
    let mut out = String::new();
    for c in name.chars().flat_map(char::to_lowercase) {
        if c.is_ascii_lowercase() || c.is_ascii_digit() {
            out.push(c);
        } else if !out.is_empty() && !out.ends_with('-') {
            out.push('-');
        }
        if out.len() >= MAX_NAME {
            break;
        }
    }
    let out = out.trim_end_matches('-');
    if out.is_empty() {
        return None;
    }
    let out = if out.bytes().all(|b| b.is_ascii_digit()) { format!("w{out}").chars().take(MAX_NAME).collect() } else { out.to_owned() };
    Some(out)
}

/// The name that a title or an address becomes; None when there is not a letter or digit in it that a name may have.
pub fn slug(title: &str) -> Option<String> {
    corrected_name(title)
}

/// The known word that `written` was most likely meant to be.
pub(crate) fn nearest<'w>(written: &str, known: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
    let length = written.chars().count();
    if length > MAX_NAME {
        return None;
    }
    // One slip in three letters: more makes another word of it.
    let allowed = (length / 3).clamp(1, 3);
    let lower = written.to_lowercase();
    known
        .into_iter()
        .map(|word| (distance(&lower, &word.to_lowercase()), word))
        .filter(|(slips, _)| *slips <= allowed)
        .min()
        .map(|(_, word)| word)
}

/// Slips between two words: a letter put in, left out, changed, or two neighbours swapped.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    let mut previous = None;
    for (i, x) in a.chars().enumerate() {
        let mut row = vec![i + 1];
        let mut left = i + 1;
        for (j, y) in b.iter().enumerate() {
            let at = |row: &[usize], j: usize| row.get(j).copied().unwrap_or(usize::MAX / 2);
            let mut best = (left + 1).min(at(&last, j + 1) + 1).min(at(&last, j) + usize::from(x != *y));
            let swapped = j > 0 && previous == Some(*y) && b.get(j - 1) == Some(&x);
            if swapped && i > 0 {
                best = best.min(at(&before, j - 1) + 1);
            }
            row.push(best);
            left = best;
        }
        before = std::mem::replace(&mut last, row);
        previous = Some(x);
    }
    last.last().copied().unwrap_or(0)
}

/// Fields people look for at a worker's top level, and where skep has them.
pub(super) fn moved_field(written: &str) -> Option<&'static str> {
    let hint = match written {
        "every" | "interval" | "period" => "write schedule = { every = \"30s\" }",
        "cron" | "timezone" => "write schedule = { cron = \"*/5 * * * *\", timezone = \"UTC\" }",
        "wasm" | "module" | "image" | "path" | "file" | "plugin" => "write component = \"NAME.wasm\"",
        "sha256" | "hash" | "checksum" => "write digest = \"sha256:…\"",
        "memory" | "timeout" => "it belongs in limits = { memory = \"64MiB\", timeout = \"10s\" }",
        "policy" | "intensity" => "it belongs in restart = { policy = \"permanent\", intensity = 3, period = \"5s\" }",
        "confirm" | "recover" => "it belongs in checks = { confirm = 3, recover = 2 }",
        "queue" => "write jobs = { queue = \"NAME\" } to take jobs, or grants = { queue = { push = [\"NAME\"] } } to give some",
        "routes" | "methods" => "it belongs in http = { routes = [\"/\"] }",
        "args" | "env" | "stdin" => "it belongs in command = { args = […], env = {…} }",
        "allow" | "rate" | "lan" | "limiter" => "it belongs in grants = { http = { allow = […] } }",
        "ping" | "kv" | "call" | "publish" | "permissions" | "capabilities" | "allowed_hosts" => "permissions stand in grants = { … }",
        "url" | "urls" | "settings" | "options" => "what the worker itself reads belongs in config = { … }",
        "id" => "write name = \"…\"",
        "description" | "comment" => "write title = \"…\" or notes = \"…\"",
        "enabled" | "disabled" => "write paused = true to stop its ticks",
        "count" | "scale" | "instances" => "write replicas = 2",
        _ => return None,
    };
    Some(hint)
}

/// Words people look for among the grants, and what skep has instead.
pub(super) fn moved_grant(written: &str) -> Option<&'static str> {
    let hint = match written {
        "checks" | "log" | "logs" | "schedule" | "jobs" | "lifecycle" => "it needs no grant",
        "registry" => "write call = [\"WORKER\"]",
        "topics" | "topic" => "write publish = [\"topic.*\"]",
        "https" | "fetch" | "outbound" | "network" | "net" | "url" => "write http = { allow = [\"https://example.com\"] }",
        "icmp" | "tcp" => "write ping = { allow = [\"nas.lan\"] }",
        "limiters" | "rate" => "write limiter = { acquire = [\"NAME\"] }",
        "files" | "fs" | "filesystem" | "dir" | "env" => "workers have no files and no environment of the host's; pass settings in config",
        "sql" | "redis" | "store" | "database" => "write kv = [\"BUCKET\"]; a worker's own bucket needs no grant",
        _ => return None,
    };
    Some(hint)
}

/// The five fields that a shorthand of other crons stands for.
pub(super) fn cron_of_shorthand(written: &str) -> Option<&'static str> {
    Some(match written {
        "@yearly" | "@annually" => "0 0 1 1 *",
        "@monthly" => "0 0 1 * *",
        "@weekly" => "0 0 * * 0",
        "@daily" | "@midnight" => "0 0 * * *",
        "@hourly" => "0 * * * *",
        _ => return None,
    })
}
