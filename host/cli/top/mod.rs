//! `skep top`: workers, checks, queues and events as they are, in a terminal.
//!
//! ```text
//!  host ──live──▶ feed ─┐                                        ┌▶ screen ─▶ terminal
//!                       ├▶ app (board, listings, pane) ── 10/s ──┤
//!  keys ─▶ terminal ────┘                                        └▶ desk: acts, what a pane shows
//! ```
//! `app` and all below it is pure; `feed` and `terminal` are the two ends; this loop joins them. It draws when something changed, at
//! most ten times a second, and at once after a key. Must not ask the host for anything the stream has.

pub mod app;
pub mod beats;
pub mod board;
pub mod canvas;
pub mod detail;
mod feed;
pub mod keys;
pub mod link;
pub mod listing;
pub mod look;
pub mod rows;
pub mod screen;
mod terminal;

use std::{io::IsTerminal, sync::Arc, time::Duration};

use jiff::tz::TimeZone;
use ratatui::{buffer::Buffer, crossterm::event::Event, layout::Rect};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
    time::{Instant, sleep_until},
};

use self::{
    app::{App, Effect, Tab},
    feed::{Desk, Heard},
    look::Look,
    terminal::Taken,
};
use super::{
    Console,
    args::{self, TopTab},
    client::Client,
    env,
    failure::{Code, Failure},
};
use crate::clock::Clock;

/// Between two drawings of what the host sent.
const FRAME: Duration = Duration::from_millis(100);
/// Ages and countdowns move on.
const MOVE_ON: Duration = Duration::from_secs(1);
/// What waits to be taken in; then the host waits.
const HEARD_AHEAD: usize = 256;
/// The frame of `--once` where COLUMNS and LINES say nothing.
const ONCE: (u16, u16) = (120, 40);

pub(in crate::cli) async fn run(client: Client, args: &args::Top, console: &mut Console) -> Result<Code, Failure> {
    let mut look = Look::of(env);
    let tab = match args.tab {
        TopTab::Workers => Tab::Workers,
        TopTab::Checks => Tab::Checks,
        TopTab::Queues => Tab::Queues,
        TopTab::Events => Tab::Events,
    };
    if !args.once {
        on_a_terminal()?;
    }
    let client = Arc::new(client);
    // Before the screen is taken: who can't be reached is told of in the usual way.
    let first = feed::first(&client).await?;
    let clock = Clock::system();
    let wall = || clock.wall().as_millisecond();
    let mut app = App::new(client.place().to_string(), tab);
    let zone = TimeZone::system();
    app.snapshot(first, wall());
    if args.once {
        look.colour = false;
        let size = |name: &str, usual: u16| env(name).and_then(|text| text.parse().ok()).unwrap_or(usual).clamp(1, 1_000);
        let mut frame = Buffer::empty(Rect::new(0, 0, size("COLUMNS", ONCE.0), size("LINES", ONCE.1)));
        screen::draw(&mut app, &mut frame, wall(), look, &zone);
        console.print(&canvas::text(&frame))?;
        return Ok(Code::Done);
    }
    let (out, heard) = mpsc::channel(HEARD_AHEAD);
    tokio::spawn(feed::follow(client.clone(), out.clone()));
    let desk = Desk::new(client, out);
    Top { app, desk, look, zone, clock, dirty: true }.run(heard).await
}

fn on_a_terminal() -> Result<(), Failure> {
    let both = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    if both && env("TERM").is_some_and(|kind| !kind.is_empty() && kind != "dumb") {
        return Ok(());
    }
    let failure = Failure::new(Code::Usage, "skep top draws on a terminal, and there is none here");
    Err(failure.hint("for text: skep get workers, skep checks, skep queue ls, skep events; or one frame: skep top --once"))
}

struct Top {
    app: App,
    desk: Desk,
    look: Look,
    zone: TimeZone,
    clock: Clock,
    /// What is on screen is not what there is.
    dirty: bool,
}

impl Top {
    async fn run(mut self, mut heard: mpsc::Receiver<Heard>) -> Result<Code, Failure> {
        let signals = [SignalKind::terminate(), SignalKind::hangup(), SignalKind::interrupt(), SignalKind::quit()];
        let [mut term, mut hup, mut int, mut quit] = signals.map(signal);
        let mut taken = Taken::new()?;
        let mut events = terminal::events();
        let mut drawn: Option<Instant> = None;
        let mut moves_on = self.clock.now() + MOVE_ON;
        loop {
            let now = self.clock.now();
            if self.dirty && drawn.is_none_or(|drawn| now >= drawn + FRAME) {
                self.draw(&mut taken)?;
                drawn = Some(now);
            }
            let due = drawn.map_or(now, |drawn| drawn + FRAME);
            tokio::select! {
                biased;
                () = ended(&mut term) => return Ok(Code::Done),
                () = ended(&mut hup) => return Ok(Code::Done),
                () = ended(&mut int) => return Ok(Code::Done),
                () = ended(&mut quit) => return Ok(Code::Done),
                event = events.recv() => match event {
                    Some(event) => {
                        if self.event(&event) {
                            return Ok(Code::Done);
                        }
                        // At once: a key that is answered late feels broken.
                        drawn = None;
                    }
                    None => return Err(Failure::new(Code::Failed, "the terminal went away")),
                },
                () = sleep_until(due), if self.dirty => {}
                () = sleep_until(moves_on) => {
                    moves_on = self.clock.now() + MOVE_ON;
                    self.move_on();
                }
                one = heard.recv() => match one {
                    Some(one) => self.heard(one),
                    None => return Err(Failure::new(Code::Failed, "nothing follows the host any more")),
                },
            }
        }
    }

    fn wall(&self) -> i64 {
        self.clock.wall().as_millisecond()
    }

    fn draw(&mut self, taken: &mut Taken) -> Result<(), Failure> {
        let wall = self.wall();
        let Self { app, look, zone, .. } = self;
        taken.show(|frame| screen::draw(app, frame, wall, *look, zone))?;
        self.dirty = false;
        Ok(())
    }

    /// Whether that was all.
    fn event(&mut self, event: &Event) -> bool {
        // A new size is taken in by drawing.
        self.dirty = true;
        let wall = self.wall();
        let Some(key) = event.as_key_event().and_then(keys::key) else { return false };
        match self.app.key(key, wall) {
            Some(Effect::Quit) => return true,
            Some(effect) => self.desk.take(effect),
            None => {}
        }
        false
    }

    fn heard(&mut self, one: Heard) {
        self.dirty = true;
        let wall = self.wall();
        let effect = match one {
            Heard::Snapshot(all) => self.app.snapshot(*all, wall),
            Heard::Delta(delta) => self.app.delta(*delta, wall),
            Heard::Beat(at) => {
                self.app.link.heard(at, wall);
                None
            }
            Heard::Lost(reason) => {
                self.app.link.lost(reason);
                None
            }
            Heard::Done(Ok(sentence)) => {
                self.app.notify(sentence, false, wall);
                None
            }
            Heard::Done(Err(sentence)) => {
                self.app.notify(sentence, true, wall);
                None
            }
            Heard::Part(subject, part) => {
                if let Some(pane) = &mut self.app.detail {
                    pane.take(&subject, part);
                }
                None
            }
        };
        effect.into_iter().for_each(|effect| self.desk.take(effect));
    }

    fn move_on(&mut self) {
        self.dirty = true;
        let wall = self.wall();
        self.app.expire(wall);
        if let Some(effect) = self.app.refreshed(wall) {
            self.desk.take(effect);
        }
    }
}

/// A signal that can't be had never comes.
async fn ended(signal: &mut std::io::Result<tokio::signal::unix::Signal>) {
    match signal {
        Ok(signal) => _ = signal.recv().await,
        Err(_) => std::future::pending().await,
    }
}
