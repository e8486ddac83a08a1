//! The terminal: taken in raw mode with a screen of its own, given back as it was on every way out; what is typed on it.
//!
//! ```text
//!  as it was ──Taken::new──▶ ours ──drop, panic, signal──▶ as it was
//! ```

use std::{
    io::{self, Read},
    os::fd::AsFd,
    sync::Mutex,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr},
};
use tokio::sync::mpsc;

use super::{
    grid::Frame,
    keys::{Input, Keys},
};

/// How the terminal was, while it is ours: it is given back once, by whoever is first.
static WAS: Mutex<Option<Termios>> = Mutex::new(None);
/// Another screen, no cursor, no wrapping at the right edge; and back.
const OPEN: &str = "\x1b[?1049h\x1b[?25l\x1b[?7l";
const SHUT: &str = "\x1b[0m\x1b[?7h\x1b[?1049l\x1b[?25h";
/// The rest of a sequence comes at once; an escape after which nothing comes is the key.
const PAUSE: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
/// Where a terminal does not say how large it is.
const USUAL: (u16, u16) = (80, 24);
/// A larger one is not drawn to its edges.
const MOST: (u16, u16) = (1_000, 400);

/// Holds the terminal; dropping it gives it back.
pub struct Taken {
    shown: Option<Frame>,
}

impl Taken {
    pub fn new() -> io::Result<Self> {
        give_back_on_panic();
        let stdin = io::stdin();
        let was = tcgetattr(&stdin)?;
        let mut raw = was.clone();
        raw.make_raw();
        if let Ok(mut kept) = WAS.lock() {
            *kept = Some(was);
        }
        let taken = Self { shown: None };
        // From here on dropping it gives the terminal back.
        tcsetattr(&stdin, OptionalActions::Flush, &raw)?;
        write(OPEN.as_bytes())?;
        Ok(taken)
    }

    /// An empty frame as large as the terminal is now.
    pub fn frame(&self) -> Frame {
        let size = tcgetwinsize(io::stdout()).map(|size| (size.ws_col, size.ws_row));
        let (width, height) = size.ok().filter(|(width, height)| *width > 0 && *height > 0).unwrap_or(USUAL);
        Frame::new(width.min(MOST.0), height.min(MOST.1))
    }

    /// Shows a frame: what differs from the one before is written, at once.
    pub fn show(&mut self, frame: Frame) -> io::Result<()> {
        let text = frame.since(self.shown.as_ref());
        self.shown = Some(frame);
        write(text.as_bytes())
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        give_back();
    }
}

fn give_back() {
    let was = WAS.lock().ok().and_then(|mut was| was.take());
    if let Some(was) = was {
        let _ = write(SHUT.as_bytes());
        // What was typed meanwhile is not for the shell.
        let _ = tcsetattr(io::stdin(), OptionalActions::Flush, &was);
    }
}

/// A panic's message is for the screen that stays.
fn give_back_on_panic() {
    let said = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        give_back();
        said(panic);
    }));
}

/// Past the lock on stdout: whoever holds it may be the one that panicked.
fn write(mut bytes: &[u8]) -> io::Result<()> {
    let stdout = io::stdout();
    while !bytes.is_empty() {
        match rustix::io::write(stdout.as_fd(), bytes) {
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Keys as they come, from a thread of their own: reading blocks. The channel ends with the terminal.
pub fn inputs() -> mpsc::Receiver<Input> {
    let (send, inputs) = mpsc::channel(64);
    std::thread::spawn(move || {
        let mut stdin = io::stdin();
        let mut keys = Keys::default();
        let mut bytes = [0; 1024];
        while let Ok(read @ 1..) = stdin.read(&mut bytes) {
            let mut typed = keys.push(bytes.get(..read).unwrap_or_default());
            if keys.waits() && !more(&stdin) {
                typed.extend(keys.pause());
            }
            for key in typed {
                if send.blocking_send(Input(key)).is_err() {
                    return;
                }
            }
        }
    });
    inputs
}

fn more(stdin: &io::Stdin) -> bool {
    let mut waiting = [PollFd::new(stdin, PollFlags::IN)];
    poll(&mut waiting, Some(&PAUSE)).is_ok_and(|ready| ready > 0)
}
