//! `skep:worker/log`: levelled lines, and the one place every line of a guest passes (stdout and stderr come here as well).
//!
//! Bounds: 8 KiB a line, 1,000 lines in a second for each replica; what is over is counted and told, never kept.
//! Needs no grant. Must not block the guest.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;
use wasmtime::component::HasSelf;

use super::bindings::skep::worker::log as wit;
use crate::{
    clock::Clock,
    facts::{Level, LogLine, Name},
    journal::Journal,
};

/// The longest line kept, in bytes.
pub const MAX_LINE_BYTES: usize = 8 << 10;
/// Lines a replica may write in a second.
pub const MAX_LINES_PER_SECOND: u32 = 1_000;
/// What of a line is looked at, in bytes: a secret that crosses the end of what is kept has to be seen whole to be masked.
pub const LINE_ROOM_BYTES: usize = MAX_LINE_BYTES + (4 << 10);
/// Lines kept for a trap record, and their bytes together: every resident keeps its own.
const RECENT_LINES: usize = 20;
const RECENT_BYTES: usize = 32 << 10;
/// How much of stderr is kept for a panic message.
const STDERR_KEPT: usize = 4 << 10;

/// Counts a replica's lines over all its instances, so that fresh instances are no way round the bound.
#[derive(Debug, Default)]
pub struct Meter {
    second: Option<Instant>,
    lines: u32,
    dropped: u64,
    /// Drops were told in this second: once is enough, or telling would be a flood of its own.
    told: bool,
}

enum Verdict {
    Keep,
    Drop,
    /// Keep, and say how many were dropped before.
    KeepAfter(u64),
}

impl Meter {
    fn admit(&mut self, now: Instant) -> Verdict {
        let fresh = self.second.is_none_or(|start| now.duration_since(start) >= Duration::from_secs(1));
        if fresh {
            *self = Self { second: Some(now), lines: 1, dropped: self.dropped, told: self.dropped > 0 };
            return match std::mem::take(&mut self.dropped) {
                0 => Verdict::Keep,
                dropped => Verdict::KeepAfter(dropped),
            };
        }
        if self.lines >= MAX_LINES_PER_SECOND {
            self.dropped += 1;
            return Verdict::Drop;
        }
        self.lines += 1;
        Verdict::Keep
    }

    /// How many lines were dropped and not told of yet, when it is time to tell.
    fn settle(&mut self, now: Instant) -> u64 {
        let same = self.second.is_some_and(|start| now.duration_since(start) < Duration::from_secs(1));
        if self.dropped == 0 || (same && self.told) {
            return 0;
        }
        self.told = true;
        std::mem::take(&mut self.dropped)
    }
}

/// Where one replica's lines go.
#[derive(Debug)]
pub struct LogTarget {
    pub journal: Journal,
    pub clock: Clock,
    pub worker: Name,
    pub replica: u32,
    pub meter: Mutex<Meter>,
}

/// One instance's view: its target, and what a trap record will want to see.
#[derive(Debug, Clone)]
pub struct Log(Arc<LogInner>);

#[derive(Debug)]
struct LogInner {
    target: Arc<LogTarget>,
    recent: Mutex<Recent>,
}

#[derive(Debug, Default)]
struct Recent {
    lines: VecDeque<LogLine>,
    bytes: usize,
    stderr: String,
}

impl Log {
    pub fn new(target: Arc<LogTarget>) -> Self {
        Self(Arc::new(LogInner { target, recent: Mutex::default() }))
    }

    /// A line of the guest's, or of the host about the guest.
    pub fn line(&self, level: Level, source: &str, text: &str) {
        self.start_of_line(level, source, text, text.len());
    }

    /// A line of which `text` is the start, or all: `whole_bytes` is its length.
    pub fn start_of_line(&self, level: Level, source: &str, text: &str, whole_bytes: usize) {
        let target = &self.0.target;
        // Masked before it is cut: half a secret is none to the mask.
        let masked = (text.len() > STDERR_KEPT).then(|| target.journal.masked(cut(text, LINE_ROOM_BYTES).to_owned()));
        let text = masked.as_deref().unwrap_or(text);
        if source == "stderr" {
            let mut recent = self.0.recent.lock().unwrap_or_else(PoisonError::into_inner);
            if recent.stderr.len() < STDERR_KEPT {
                recent.stderr.push_str(cut(text, STDERR_KEPT));
                recent.stderr.push('\n');
            }
        }
        let verdict = target.meter.lock().unwrap_or_else(PoisonError::into_inner).admit(target.clock.now());
        match verdict {
            Verdict::Drop => return,
            Verdict::KeepAfter(dropped) => self.keep(Level::Warn, "host", &too_many(dropped)),
            Verdict::Keep => {}
        }
        if whole_bytes > MAX_LINE_BYTES {
            self.keep(level, source, &format!("{} [cut: {whole_bytes} bytes, at most 8 KiB a line]", cut(text, MAX_LINE_BYTES)));
        } else {
            self.keep(level, source, text);
        }
    }

    /// Tells of lines dropped so far, at most once a second: at the end of an event, since no line may follow.
    pub fn settle(&self) {
        let target = &self.0.target;
        let dropped = target.meter.lock().unwrap_or_else(PoisonError::into_inner).settle(target.clock.now());
        if dropped > 0 {
            self.keep(Level::Warn, "host", &too_many(dropped));
        }
    }

    /// A new event: what came before says nothing about it.
    pub fn begin(&self) {
        let mut recent = self.0.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.stderr.clear();
    }

    /// The newest lines, oldest first, and what stderr said in this event.
    pub fn recent(&self) -> (Vec<LogLine>, String) {
        let recent = self.0.recent.lock().unwrap_or_else(PoisonError::into_inner);
        (recent.lines.iter().cloned().collect(), recent.stderr.clone())
    }

    fn keep(&self, level: Level, source: &str, text: &str) {
        let target = &self.0.target;
        let line = LogLine {
            at: target.clock.wall(),
            worker: target.worker.clone(),
            replica: target.replica,
            level,
            source: source.to_owned(),
            text: text.to_owned(),
        };
        {
            let mut recent = self.0.recent.lock().unwrap_or_else(PoisonError::into_inner);
            recent.bytes += line.text.len();
            recent.lines.push_back(line.clone());
            while recent.lines.len() > RECENT_LINES || (recent.bytes > RECENT_BYTES && recent.lines.len() > 1) {
                recent.bytes -= recent.lines.pop_front().map_or(0, |line| line.text.len());
            }
        }
        target.journal.line(line);
    }
}

fn too_many(dropped: u64) -> String {
    format!("{dropped} log line{} dropped: more than {MAX_LINES_PER_SECOND} in a second", if dropped == 1 { "" } else { "s" })
}

/// The start of `text`, at most `max` bytes, ending between characters.
pub fn cut(text: &str, max: usize) -> &str {
    let mut end = text.len().min(max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

impl wit::Host for Log {
    fn write(&mut self, level: wit::Level, message: String) {
        let level = match level {
            wit::Level::Trace => Level::Trace,
            wit::Level::Debug => Level::Debug,
            wit::Level::Info => Level::Info,
            wit::Level::Warn => Level::Warn,
            wit::Level::Error => Level::Error,
        };
        self.line(level, "log", &message);
    }
}

/// Links the import.
pub fn link<T: Send + 'static>(linker: &mut wasmtime::component::Linker<T>, get: fn(&mut T) -> &mut Log) -> wasmtime::Result<()> {
    wit::add_to_linker::<T, HasSelf<Log>>(linker, get)
}
