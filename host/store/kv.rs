//! Durable key-value state: buckets of keys with revisions and times to live.
//!
//! Must not know workers: who may touch which bucket is decided before.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;

use super::StoreError;
use crate::facts::BucketView;

/// The longest key, in bytes.
pub const MAX_KEY_BYTES: usize = 512;
/// The largest value, in bytes.
pub const MAX_VALUE_BYTES: usize = 1 << 20;
/// Keys of one `increment`, entries of one listing, and the bytes of one.
pub const MAX_MANY: usize = 10_000;
pub const MAX_LISTED_BYTES: usize = 4 << 20;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KvEntry {
    pub key: String,
    pub value: Bytes,
    /// Grows with every change of the key; from 1.
    pub revision: u64,
    pub expires_at: Option<jiff::Timestamp>,
}

/// When a `set` is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    Anything,
    /// Only if there is no such key.
    Absent,
    /// Only if its revision is this one.
    Revision(u64),
}

/// What came of a conditional `set`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Swapped {
    /// The new revision.
    Set(u64),
    /// The revision it has instead; none: there is no such key.
    Conflict(Option<u64>),
}

/// What came of an increment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sums {
    Sums(Vec<i64>),
    /// This key holds no number: nothing was changed.
    NotANumber(String),
    /// This key's sum does not fit: nothing was changed.
    Overflow(String),
}

/// Durable key-value state. Every change answers once it is on disk, and is done whether or not its future is polled to the end.
pub trait Kv: Send + Sync + 'static {
    fn get(&self, bucket: &str, key: &str) -> BoxFuture<'static, Result<Option<KvEntry>, StoreError>>;

    fn set(
        &self,
        bucket: &str,
        key: &str,
        value: Bytes,
        ttl: Option<Duration>,
        expect: Expect,
    ) -> BoxFuture<'static, Result<Swapped, StoreError>>;

    /// False: there was no such key.
    fn delete(&self, bucket: &str, key: &str) -> BoxFuture<'static, Result<bool, StoreError>>;

    /// Adds to numbers kept as decimal text, all or none; an absent key counts as 0.
    fn increment(&self, bucket: &str, keys: Vec<String>, by: i64) -> BoxFuture<'static, Result<Sums, StoreError>>;

    /// By key in byte order, from after `after`.
    fn entries(
        &self,
        bucket: &str,
        prefix: &str,
        after: Option<String>,
        limit: usize,
    ) -> BoxFuture<'static, Result<Vec<KvEntry>, StoreError>>;

    fn buckets(&self) -> BoxFuture<'static, Result<Vec<BucketView>, StoreError>>;
}
