//! `skep:worker/limiter`: permits of the named limiters that all workers share, and their rates.
//!
//! Order and arithmetic are the limiter room's. Must not keep a rate of its own.

use wasmtime::component::HasSelf;

use super::{
    bindings::skep::worker::{errors::Error, limiter as wit},
    grant::Wish,
    scope::{Scope, patience},
};
use crate::{
    limiter::Limiter,
    manifest::{
        spec::Rate,
        units::{UnitError, print_duration},
    },
};

impl Scope {
    fn limiter(&self, name: &str) -> Result<Limiter, Error> {
        self.services().limiters.get(name).ok_or_else(|| self.no_limiter(name))
    }

    fn no_limiter(&self, name: &str) -> Error {
        let all: Vec<String> = self.services().limiters.all().iter().map(|named| format!("\"{}\"", named.spec.name)).collect();
        let there = if all.is_empty() { "none is declared".to_owned() } else { format!("there is {}", all.join(", ")) };
        Error::NotFound(format!("no [[limiter]] is called \"{name}\": {there}"))
    }
}

impl wit::Host for Scope {
    async fn acquire(&mut self, name: String, timeout_ms: u64) -> Result<(), Error> {
        self.may(Wish::Acquire(&name))?;
        let limiter = self.limiter(&name)?;
        let patience = patience(timeout_ms);
        let deadline = self.services().clock.now() + patience;
        let _waiting = self.waits.wait();
        limiter.acquire(deadline).await.map_err(|_| {
            Error::Timeout(format!("no permit of limiter \"{name}\" ({}) within {}", limiter.rate(), print_duration(patience)))
        })
    }

    fn try_acquire(&mut self, name: String) -> Result<bool, Error> {
        self.may(Wish::Acquire(&name))?;
        Ok(self.limiter(&name)?.try_acquire())
    }

    async fn set_rate(&mut self, name: String, rate: String) -> Result<(), Error> {
        self.may(Wish::SetRate(&name))?;
        let rate: Rate = rate.parse().map_err(|UnitError { message, hint }| {
            Error::Invalid(hint.map_or_else(|| message.clone(), |hint| format!("{message}: {hint}")))
        })?;
        let services = self.services();
        if !services.limiters.set_rate(&name, rate) {
            return Err(self.no_limiter(&name));
        }
        let Some(rates) = services.rates.get() else { return Ok(()) };
        rates.set_rate(&name, rate).await.map_err(|sentence| {
            Error::Unavailable(format!("limiter \"{name}\" runs at {rate} now, but only until its manifest is read again: {sentence}"))
        })
    }
}

/// Links the import.
pub fn link<T: Send + 'static>(linker: &mut wasmtime::component::Linker<T>, get: fn(&mut T) -> &mut Scope) -> wasmtime::Result<()> {
    wit::add_to_linker::<T, HasSelf<Scope>>(linker, get)
}
