//! What a job's handler needs of its host, so that the handlers run on a worker's capabilities and on a test's memory alike.
//!
//! Must not decide anything. An error is the host's sentence; a handler that gets one gives its job back.

use serde::{Serialize, de::DeserializeOwned};

/// One leased job. `payload` is a message of [`crate::messages`].
#[derive(Debug, Clone, Copy)]
pub struct Job<'j> {
    /// The same for all attempts.
    pub id: &'j str,
    pub payload: &'j [u8],
}

/// Jobs to push in the transaction that acknowledges the job at hand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Push {
    pub queue: String,
    pub payloads: Vec<Vec<u8>>,
    pub delay_ms: Option<u64>,
    pub unique_key: Option<String>,
}

/// Payloads that one job may push in all.
pub const MAX_PUSH: usize = 1_000;

/// Why a job isn't done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Setback {
    Again(String),
    /// Trying again is no use.
    Dead(String),
}

pub trait Desk {
    /// Value and revision.
    fn get(&mut self, key: &str) -> Result<Option<(Vec<u8>, u64)>, String>;
    /// Sets the key if its revision still is `expected` (0: if there is no such key); false: somebody else was first.
    fn swap(&mut self, key: &str, expected: u64, value: Vec<u8>) -> Result<bool, String>;
    /// Adds 1 to a number and answers it.
    fn count(&mut self, key: &str) -> Result<i64, String>;
    /// Keys that begin with `prefix`.
    fn keys(&mut self, prefix: &str) -> Result<Vec<String>, String>;
    fn push(&mut self, push: Push) -> Result<(), String>;
    /// Milliseconds since 1970.
    fn now_ms(&mut self) -> u64;
    fn info(&mut self, line: &str);
    fn warn(&mut self, line: &str);
}

impl From<String> for Setback {
    fn from(reason: String) -> Self {
        Self::Again(reason)
    }
}

impl Push {
    pub fn one(queue: &str, payload: Vec<u8>) -> Self {
        Self { queue: queue.to_owned(), payloads: vec![payload], delay_ms: None, unique_key: None }
    }

    pub fn keyed(self, key: impl Into<String>) -> Self {
        Self { unique_key: Some(key.into()), ..self }
    }

    pub fn after(self, ms: u64) -> Self {
        Self { delay_ms: (ms > 0).then_some(ms), ..self }
    }
}

/// How often a change is tried when others change the same key.
const SWAPS: u32 = 100;

/// Changes what a key holds, whoever else does; writes nothing where `edit` changes nothing.
pub fn change<V: Default + Clone + PartialEq + Serialize + DeserializeOwned, T>(
    desk: &mut impl Desk,
    key: &str,
    mut edit: impl FnMut(&mut V) -> T,
) -> Result<T, Setback> {
    for _ in 0..SWAPS {
        let (before, revision): (V, u64) = match desk.get(key)? {
            None => (V::default(), 0),
            Some((bytes, revision)) => {
                let value = serde_json::from_slice(&bytes).map_err(|error| {
                    Setback::Dead(format!("what the bucket keeps under {key} can't be read: {error}; look with skep kv get"))
                })?;
                (value, revision)
            }
        };
        let mut after = before.clone();
        let answer = edit(&mut after);
        if after == before {
            return Ok(answer);
        }
        let bytes = serde_json::to_vec(&after).map_err(|error| error.to_string())?;
        if desk.swap(key, revision, bytes)? {
            return Ok(answer);
        }
    }
    Err(Setback::Again(format!("{key} changed under every one of {SWAPS} tries")))
}
