//! The terminal: taken in raw mode with a screen of its own, given back as it was on every way out; what happens on it.
//!
//! ```text
//!  as it was ──Taken::new──▶ ours ──drop, panic, signal──▶ as it was
//! ```

use std::{io, mem::ManuallyDrop};

use ratatui::{
    DefaultTerminal,
    buffer::Buffer,
    crossterm::event::{Event, read},
};
use tokio::sync::mpsc;

/// Holds the terminal; dropping it gives it back.
pub struct Taken {
    /// Its own drop would panic over a terminal that is gone.
    terminal: ManuallyDrop<DefaultTerminal>,
}

impl Taken {
    /// From here on a panic gives the terminal back too: its message is for the screen that stays.
    pub fn new() -> io::Result<Self> {
        match ratatui::try_init() {
            Ok(terminal) => Ok(Self { terminal: ManuallyDrop::new(terminal) }),
            Err(error) => {
                let _ = ratatui::try_restore();
                Err(error)
            }
        }
    }

    /// Draws on an empty frame as large as the terminal is now, and shows what differs from the one before.
    pub fn show(&mut self, draw: impl FnOnce(&mut Buffer)) -> io::Result<()> {
        self.terminal.draw(|frame| draw(frame.buffer_mut())).map(drop)
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        // After a panic the screen is given back already; once more would put the cursor on its message.
        if !std::thread::panicking() {
            let _ = ratatui::try_restore();
        }
        let _ = self.terminal.show_cursor();
    }
}

/// Keys and new sizes as they come, from a thread of their own: reading blocks. The channel ends with the terminal.
pub fn events() -> mpsc::Receiver<Event> {
    let (send, events) = mpsc::channel(64);
    std::thread::spawn(move || {
        while let Ok(event) = read() {
            if send.blocking_send(event).is_err() {
                return;
            }
        }
    });
    events
}
