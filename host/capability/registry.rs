//! `skep:worker/registry`: other workers, by name.
//!
//! Checks names, sizes and grants; who is where, and who waits for whom, is the directory's.

use wasmtime::component::HasSelf;

use super::{
    bindings::skep::worker::{errors::Error, registry as wit},
    grant::Wish,
    scope::{Scope, bounded, patience},
    services::{CallFault, Member},
};

/// The largest payload of a call, in bytes.
pub const MAX_PAYLOAD_BYTES: usize = 1 << 20;
/// The longest name of a method, in bytes.
pub const MAX_METHOD_BYTES: usize = 256;

impl Scope {
    fn may_call(&self, name: &str, method: &str, payload: &[u8]) -> Result<(), Error> {
        self.may(Wish::Call(name))?;
        bounded("the method's name", method.len(), MAX_METHOD_BYTES)?;
        bounded("the payload", payload.len(), MAX_PAYLOAD_BYTES)
    }
}

impl wit::Host for Scope {
    fn whereis(&mut self, name: String) -> Result<Vec<wit::Member>, Error> {
        self.may(Wish::See(&name))?;
        let found = self.directory()?.whereis(&name);
        let members = found.ok_or_else(|| Error::NotFound(format!("there is no worker \"{name}\"")))?;
        Ok(members.into_iter().map(seen).collect())
    }

    fn members(&mut self, prefix: String) -> Vec<wit::Member> {
        let Ok(directory) = self.directory() else { return Vec::new() };
        let visible = |worker: &str| worker.starts_with(&prefix) && self.may(Wish::See(worker)).is_ok();
        directory.members(&visible).into_iter().map(seen).collect()
    }

    async fn call(&mut self, name: String, method: String, payload: Vec<u8>, timeout_ms: u64) -> Result<Vec<u8>, wit::CallError> {
        self.may_call(&name, &method, &payload).map_err(wit::CallError::Refused)?;
        let directory = self.directory().map_err(wit::CallError::Refused)?;
        let answer = directory.call(self.caller(), &name, method, payload, patience(timeout_ms)).await;
        answer.map_err(|fault| match fault {
            CallFault::Failed(sentence) => wit::CallError::Failed(sentence),
            fault => wit::CallError::Refused(refused(fault)),
        })
    }

    fn cast(&mut self, name: String, method: String, payload: Vec<u8>) -> Result<(), Error> {
        self.may_call(&name, &method, &payload)?;
        self.directory()?.cast(self.caller(), &name, method, payload).map_err(refused)
    }
}

fn seen(member: Member) -> wit::Member {
    wit::Member {
        name: format!("{}/{}", member.worker, member.replica),
        worker: member.worker.to_string(),
        replica: member.replica,
        state: member.state.to_owned(),
        busy: member.busy,
        waiting: member.waiting,
    }
}

fn refused(fault: CallFault) -> Error {
    match fault {
        CallFault::NotFound(sentence) => Error::NotFound(sentence),
        CallFault::Cycle(sentence) => Error::Conflict(sentence),
        CallFault::Timeout(sentence) => Error::Timeout(sentence),
        CallFault::TooLarge(sentence) => Error::TooLarge(sentence),
        CallFault::Failed(sentence) | CallFault::Unavailable(sentence) => Error::Unavailable(sentence),
    }
}

/// Links the import.
pub fn link<T: Send + 'static>(linker: &mut wasmtime::component::Linker<T>, get: fn(&mut T) -> &mut Scope) -> wasmtime::Result<()> {
    wit::add_to_linker::<T, HasSelf<Scope>>(linker, get)
}
