//! One block of text → what it declares, with its problems placed by line.
//!
//! Lines count from the block's own start, so that a block which only moved in its file need not be looked at again. Must not
//! look at other blocks: names taken twice and references are asked over whole files.

use std::sync::Arc;

use super::{
    blocks::{Kind, MAX_NESTING, Split},
    check, defaults,
    hints::{name_fault, nearest},
    reader::{Found, Reader, Report},
    spec::{LimiterSpec, MaintenanceSpec, Origin, QueueSpec, WorkerSpec},
    tables,
    tree::{self, At, Entry, SyntaxError, Value},
};
use crate::facts::{Name, Problem};

/// What a block declares. One worker is by far the most frequent case and needs no list of its own.
#[derive(Debug, Clone)]
pub(super) enum Made {
    Nothing,
    Worker(Arc<WorkerSpec>),
    Workers(Vec<Arc<WorkerSpec>>),
    Limiter(Arc<LimiterSpec>),
    Queue(Arc<QueueSpec>),
    Maintenance(Arc<MaintenanceSpec>),
}

/// A block that was looked at.
#[derive(Debug, Clone)]
pub(super) struct Checked {
    pub kind: Kind,
    pub made: Made,
    /// The name, when it is one.
    pub name: Option<Name>,
    /// Where the name stands: lines from the block's start, column.
    pub name_at: (u32, u32),
    /// Their lines count from 0 at the block's start.
    pub problems: Vec<Problem>,
}

/// Checks one block of `file`; `below` are the defaults of a worker.
pub(super) fn check(split: &Split<'_>, file: &Arc<str>, below: &[Entry<'static>]) -> Checked {
    let report = Report::default();
    let mut made = Made::Nothing;
    if split.nesting > MAX_NESTING {
        let message = format!("has more than {MAX_NESTING} brackets within brackets");
        report.say(At::Header, None, message, Some("flatten it".to_owned()));
    } else {
        match tree::parse(split.text) {
            Err(error) => syntax(split, &error, &report),
            Ok(document) if split.kind == Kind::Other => stray(split, &document, &report),
            Ok(document) => {
                let origin = Origin { file: Arc::clone(file), line: split.line + split.header_line };
                made = declared(split.kind, document, below, origin, &report);
            }
        }
    }
    let name = split.read_name().filter(|_| split.kind != Kind::Other);
    let worker = name.as_deref().filter(|name| split.kind == Kind::Worker && !name.is_empty());
    let place = |found| problem(split, file, worker, found);
    let problems = report.into_found().into_iter().map(place).collect();
    let name_at = place_of(split, split.name.map_or(At::Header, |(_, at)| At::Offset(at)));
    Checked { kind: split.kind, made, name: name.filter(|name| name_fault(name).is_none()).map(Name::from), name_at, problems }
}

fn declared(kind: Kind, document: Vec<Entry<'_>>, below: &[Entry<'static>], origin: Origin, report: &Report) -> Made {
    let list = document.into_iter().next().map(|entry| entry.node.value);
    let Some(Value::List(mut tables)) = list else {
        return Made::Nothing;
    };
    let Some(Value::Table(mut entries)) = tables.pop().map(|node| node.value) else {
        return Made::Nothing;
    };
    if kind == Kind::Worker {
        defaults::lay_below(&mut entries, below);
        let workers = check::worker(Reader::new(&entries, "", At::Header, report), &origin);
        // A problem never comes with a spec, whatever a check answered.
        let workers = workers.filter(|_| report.count() == 0).unwrap_or_default();
        let mut workers: Vec<_> = workers.into_iter().map(Arc::new).collect();
        return match (workers.len(), workers.pop()) {
            (1, Some(worker)) => Made::Worker(worker),
            (_, Some(last)) => Made::Workers(workers.into_iter().chain([last]).collect()),
            (_, None) => Made::Nothing,
        };
    }
    let table = Reader::new(&entries, kind.as_str(), At::Header, report);
    let made = match kind {
        Kind::Limiter => tables::limiter(table, origin).map(|spec| Made::Limiter(Arc::new(spec))),
        Kind::Queue => tables::queue(table, origin).map(|spec| Made::Queue(Arc::new(spec))),
        Kind::Maintenance => tables::maintenance(table, origin).map(|spec| Made::Maintenance(Arc::new(spec))),
        Kind::Worker | Kind::Other => None,
    };
    made.filter(|_| report.count() == 0).unwrap_or(Made::Nothing)
}

/// Text in no table, or in a table that a manifest doesn't have.
fn stray(split: &Split<'_>, document: &[Entry<'_>], report: &Report) {
    let Some(root) = split.root else {
        for entry in document {
            report.say(entry.at, Some(&entry.key), "stands in no table", Some("write [[worker]] on a line above it".to_owned()));
        }
        return;
    };
    let known = Kind::TABLES.iter().map(|kind| kind.as_str());
    let (message, hint) = match (known.clone().find(|kind| *kind == root), nearest(root, known)) {
        (Some(kind), _) if split.orphan => {
            (format!("a table of [[{kind}]] that follows none"), format!("move it right below its [[{kind}]]"))
        }
        (Some(kind), _) => (format!("[{kind}] must be [[{kind}]]"), format!("write [[{kind}]]")),
        _ if root == "defaults" => ("defaults don't belong in a manifest".to_owned(), "write [defaults] in skep.toml".to_owned()),
        (None, Some(kind)) => (format!("unknown table \"{root}\""), format!("did you mean [[{kind}]]?")),
        (None, None) => {
            (format!("unknown table \"{root}\""), "tables are [[worker]], [[limiter]], [[queue]] and [[maintenance]]".to_owned())
        }
    };
    report.say(At::Header, None, message, Some(hint));
}

fn syntax(split: &Split<'_>, error: &SyntaxError, report: &Report) {
    let at = error.at.map_or(At::Header, At::Offset);
    let line = error.at.map_or("", |at| line_at(split.text, at));
    report.say(at, None, format!("not valid TOML: {}", error.message), syntax_hint(line, &error.message));
}

/// The mistakes everybody makes: text without quotes, a key twice, a colon for an equals sign.
fn syntax_hint(line: &str, message: &str) -> Option<String> {
    if message.contains("multi-line") {
        return Some("a text that opens with three quotes needs three at its end".to_owned());
    }
    if message.contains("duplicate key") {
        return Some("keep one of them".to_owned());
    }
    if let Some((key, value)) = line.split_once('=') {
        let bare = value.split('#').next().unwrap_or_default().trim();
        let plain = !bare.is_empty() && bare.len() <= 60 && !bare.contains(['"', '\'', '[', ']', '{', '}', ',', '=']);
        return plain.then(|| format!("text stands in quotes: {} = \"{bare}\"", key.trim()));
    }
    let (key, value) = line.split_once(':')?;
    let bare_key = !key.trim().is_empty() && key.trim().bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    bare_key.then(|| format!("write {} = {}", key.trim(), value.trim()))
}

fn line_at(text: &str, at: usize) -> &str {
    let (before, after) = text.split_at_checked(at).unwrap_or((text, ""));
    let start = before.rfind('\n').map_or(0, |feed| feed + 1);
    let end = at + after.find('\n').unwrap_or(after.len());
    text.get(start..end).unwrap_or_default()
}

/// Line (from 0 at the block's start) and column (from 1, in characters).
fn place_of(split: &Split<'_>, at: At) -> (u32, u32) {
    let offset = match at {
        At::Offset(offset) => offset.min(split.text.len()),
        At::Header | At::Defaults => split.header,
    };
    // An error at the very end of a block stands on its last line, not on the next block's first.
    let offset = if offset == split.text.len() { split.text.trim_end().len() } else { offset };
    let before = split.text.get(..offset).unwrap_or_default();
    let line = before.bytes().filter(|b| *b == b'\n').count();
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (u32::try_from(line).unwrap_or(u32::MAX), u32::try_from(column).unwrap_or(u32::MAX))
}

fn problem(split: &Split<'_>, file: &str, worker: Option<&str>, found: Found) -> Problem {
    let (line, column) = place_of(split, found.at);
    let message = match found.at {
        At::Defaults => format!("{} (from [defaults] in skep.toml)", found.message),
        At::Offset(_) | At::Header => found.message,
    };
    let field = found.field.map(|field| bounded(field, 200));
    let worker = worker.map(|worker| bounded(worker.to_owned(), 80));
    Problem {
        file: file.to_owned(),
        line,
        column,
        worker,
        field,
        message: bounded(message, 400),
        hint: found.hint.map(|hint| bounded(hint, 400)),
    }
}

/// Text of a manifest is quoted in problems; a manifest may hold one value of megabytes.
fn bounded(text: String, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text,
        Some((end, _)) => [text.get(..end).unwrap_or_default(), "…"].concat(),
    }
}
