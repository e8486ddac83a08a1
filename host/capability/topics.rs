//! `skep:worker/topics`: messages to whoever listens.
//!
//! Who listens, and what becomes of a message nobody has room for, is the directory's.

use wasmtime::component::HasSelf;

use super::{
    bindings::skep::worker::{errors::Error, topics as wit},
    grant::Wish,
    scope::{Scope, bounded},
};

/// The largest message, in bytes.
pub const MAX_MESSAGE_BYTES: usize = 1 << 20;

impl wit::Host for Scope {
    fn publish(&mut self, topic: String, payload: Vec<u8>) -> Result<u32, Error> {
        self.may(Wish::Publish(&topic))?;
        bounded("the message", payload.len(), MAX_MESSAGE_BYTES)?;
        Ok(self.directory()?.publish(self.caller(), &topic, payload))
    }
}

/// Links the import.
pub fn link<T: Send + 'static>(linker: &mut wasmtime::component::Linker<T>, get: fn(&mut T) -> &mut Scope) -> wasmtime::Result<()> {
    wit::add_to_linker::<T, HasSelf<Scope>>(linker, get)
}
