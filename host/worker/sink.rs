//! stdout and stderr of a guest, as log lines. Bounded: a line over 8 KiB is cut and its rest skipped; writing never blocks and never
//! traps the guest.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::{
    cli::{IsTerminal, StdoutStream},
    p2::{OutputStream, Pollable, StreamResult},
};

use crate::{
    capability::log::{LINE_ROOM_BYTES, Log},
    facts::Level,
};

/// What one write may carry.
const WRITE_BYTES: usize = 64 << 10;

/// A stream of lines into a log.
#[derive(Debug, Clone)]
pub struct Sink(Arc<SinkInner>);

#[derive(Debug)]
struct SinkInner {
    log: Log,
    source: &'static str,
    level: Level,
    partial: Mutex<Partial>,
}

#[derive(Debug, Default)]
struct Partial {
    /// Its start: what is over a line's bound is only counted.
    line: Vec<u8>,
    whole_bytes: usize,
}

impl Sink {
    pub fn new(log: Log, source: &'static str, level: Level) -> Self {
        Self(Arc::new(SinkInner { log, source, level, partial: Mutex::default() }))
    }

    fn take(&self, bytes: &[u8]) {
        let mut partial = self.0.partial.lock().unwrap_or_else(PoisonError::into_inner);
        for (index, piece) in bytes.split(|byte| *byte == b'\n').enumerate() {
            if index > 0 {
                // A newline stood before this piece.
                self.end(&mut partial);
            }
            partial.whole_bytes += piece.len();
            let room = LINE_ROOM_BYTES.saturating_sub(partial.line.len());
            partial.line.extend_from_slice(piece.get(..room).unwrap_or(piece));
        }
    }

    fn end(&self, partial: &mut Partial) {
        if !partial.line.is_empty() {
            // A cut in the middle of a character leaves no half of it behind.
            let cut = std::str::from_utf8(&partial.line).err().filter(|error| error.error_len().is_none());
            let text = partial.line.get(..cut.map_or(partial.line.len(), |error| error.valid_up_to())).unwrap_or_default();
            self.0.log.start_of_line(self.0.level, self.0.source, &String::from_utf8_lossy(text), partial.whole_bytes);
        }
        *partial = Partial::default();
    }

    /// Ends a line without a newline: the event is over.
    pub fn finish(&self) {
        let mut partial = self.0.partial.lock().unwrap_or_else(PoisonError::into_inner);
        self.end(&mut partial);
    }
}

impl IsTerminal for Sink {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Sink {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl OutputStream for Sink {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.take(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_BYTES)
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Sink {
    async fn ready(&mut self) {}
}

impl AsyncWrite for Sink {
    fn poll_write(self: std::pin::Pin<&mut Self>, _: &mut std::task::Context<'_>, bytes: &[u8]) -> std::task::Poll<std::io::Result<usize>> {
        self.take(bytes);
        std::task::Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: std::pin::Pin<&mut Self>, _: &mut std::task::Context<'_>) -> std::task::Poll<std::io::Result<()>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: std::pin::Pin<&mut Self>, _: &mut std::task::Context<'_>) -> std::task::Poll<std::io::Result<()>> {
        std::task::Poll::Ready(Ok(()))
    }
}
