//! `skep:worker/kv`: durable key-value state, the worker's own bucket and granted ones.
//!
//! Checks names and sizes; what a revision is and when a change is durable is the store's.

use std::time::Duration;

use bytes::Bytes;
use wasmtime::component::HasSelf;

use super::{
    bindings::skep::worker::{errors::Error, kv as wit},
    grant::Wish,
    scope::{Scope, bounded, unkept},
};
use crate::store::{Expect, KvEntry, MAX_KEY_BYTES, MAX_MANY, MAX_SPAN, MAX_VALUE_BYTES, Sums, Swapped};

impl Scope {
    /// The bucket that is meant: no name is the worker's own, which needs no grant, by its name neither.
    fn bucket<'b>(&'b self, name: &'b str) -> Result<&'b str, Error> {
        let own: &str = self.worker();
        if name.is_empty() || name == own {
            return Ok(own);
        }
        self.may(Wish::Keep(name)).map(|()| name)
    }

    async fn put(&self, bucket: &str, key: &str, value: Vec<u8>, ttl_ms: Option<u64>, expect: Expect) -> Result<u64, Error> {
        let bucket = self.bucket(bucket)?;
        key_fits(key)?;
        bounded("the value", value.len(), MAX_VALUE_BYTES)?;
        let ttl = ttl_ms.map(time_to_live).transpose()?;
        match self.services().kv.set(bucket, key, Bytes::from(value), ttl, expect).await.map_err(unkept)? {
            Swapped::Set(revision) => Ok(revision),
            Swapped::Conflict(Some(now)) => Err(Error::Conflict(format!("key \"{key}\" has revision {now}: read it again"))),
            Swapped::Conflict(None) => Err(Error::Conflict(format!("there is no key \"{key}\""))),
        }
    }

    async fn add(&self, bucket: &str, keys: Vec<String>, by: i64) -> Result<Vec<i64>, Error> {
        let bucket = self.bucket(bucket)?;
        if keys.len() > MAX_MANY {
            return Err(Error::TooLarge(format!("{} keys at once; at most {MAX_MANY} are taken", keys.len())));
        }
        keys.iter().try_for_each(|key| key_fits(key))?;
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        match self.services().kv.increment(bucket, keys, by).await.map_err(unkept)? {
            Sums::Sums(sums) => Ok(sums),
            Sums::NotANumber(key) => Err(Error::Invalid(format!("key \"{key}\" holds no number: set it to one, or delete it"))),
            Sums::Overflow(key) => Err(Error::Invalid(format!("the sum of key \"{key}\" does not fit 64 bits"))),
        }
    }
}

fn key_fits(key: &str) -> Result<(), Error> {
    if key.is_empty() {
        return Err(Error::Invalid("the key is empty: keys have 1 to 512 bytes".to_owned()));
    }
    bounded("the key", key.len(), MAX_KEY_BYTES)
}

fn time_to_live(ms: u64) -> Result<Duration, Error> {
    let ttl = Duration::from_millis(ms);
    if ttl.is_zero() || ttl > MAX_SPAN {
        return Err(Error::Invalid(format!("ttl-ms is {ms}; a time to live is from 1 ms to 366 days, or none")));
    }
    Ok(ttl)
}

impl wit::Host for Scope {
    async fn get(&mut self, bucket: String, key: String) -> Result<Option<wit::Entry>, Error> {
        let bucket = self.bucket(&bucket)?;
        key_fits(&key)?;
        let found = self.services().kv.get(bucket, &key).await.map_err(unkept)?;
        Ok(found.map(|KvEntry { value, revision, .. }| wit::Entry { value: value.into(), revision }))
    }

    async fn set(&mut self, bucket: String, key: String, value: Vec<u8>, ttl_ms: Option<u64>) -> Result<u64, Error> {
        self.put(&bucket, &key, value, ttl_ms, Expect::Anything).await
    }

    async fn delete(&mut self, bucket: String, key: String) -> Result<bool, Error> {
        let bucket = self.bucket(&bucket)?;
        key_fits(&key)?;
        self.services().kv.delete(bucket, &key).await.map_err(unkept)
    }

    async fn compare_and_set(
        &mut self,
        bucket: String,
        key: String,
        expected: u64,
        value: Vec<u8>,
        ttl_ms: Option<u64>,
    ) -> Result<u64, Error> {
        let expect = if expected == 0 { Expect::Absent } else { Expect::Revision(expected) };
        self.put(&bucket, &key, value, ttl_ms, expect).await
    }

    async fn increment(&mut self, bucket: String, key: String, by: i64) -> Result<i64, Error> {
        let sums = self.add(&bucket, vec![key], by).await?;
        sums.first().copied().ok_or_else(|| Error::Unavailable("the store answered no sum".to_owned()))
    }

    async fn increment_many(&mut self, bucket: String, keys: Vec<String>, by: i64) -> Result<Vec<i64>, Error> {
        self.add(&bucket, keys, by).await
    }

    async fn entries(&mut self, bucket: String, prefix: String, after: Option<String>, limit: u32) -> Result<Vec<wit::Listed>, Error> {
        let bucket = self.bucket(&bucket)?;
        bounded("the prefix", prefix.len(), MAX_KEY_BYTES)?;
        bounded("the key to start after", after.as_ref().map_or(0, String::len), MAX_KEY_BYTES)?;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        if limit > MAX_MANY {
            return Err(Error::TooLarge(format!("{limit} entries at once; at most {MAX_MANY} are listed: ask again after the last key")));
        }
        let found = self.services().kv.entries(bucket, &prefix, after, limit).await.map_err(unkept)?;
        Ok(found.into_iter().map(|KvEntry { key, value, revision, .. }| wit::Listed { key, value: value.into(), revision }).collect())
    }
}

/// Links the import.
pub fn link<T: Send + 'static>(linker: &mut wasmtime::component::Linker<T>, get: fn(&mut T) -> &mut Scope) -> wasmtime::Result<()> {
    wit::add_to_linker::<T, HasSelf<Scope>>(linker, get)
}
