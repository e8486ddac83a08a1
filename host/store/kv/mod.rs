//! Durable key-value state: buckets of keys with revisions and times to live.
//!
//! Must not know workers: who may touch which bucket is decided before. Changes go through the writer of control.db in the order of the
//! calls; [`Kv::get`] reads in line, on a connection that never waits for the writer: what was answered is committed, so it is seen.
//! Times to live run on the queue's time line, which a jump of the wall clock does not move.

mod read;
mod sweep;
mod write;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::{MAX_SPAN, Store, StoreError, control};
use crate::facts::BucketView;

use self::write::{Act, Slot};
pub(super) use self::write::{Ledger, Op, STEP, Statements};

/// The longest key, in bytes.
pub const MAX_KEY_BYTES: usize = 512;
/// The largest value, in bytes.
pub const MAX_VALUE_BYTES: usize = 1 << 20;
/// Keys of one `increment`, entries of one listing, and the bytes of one.
pub const MAX_MANY: usize = 10_000;
pub const MAX_LISTED_BYTES: usize = 4 << 20;
/// The longest name of a bucket, in bytes.
pub const MAX_BUCKET_NAME_BYTES: usize = 255;
/// What one bucket may hold: keys, and bytes of keys and values together.
pub const MAX_BUCKET_KEYS: u64 = 1_000_000;
pub const MAX_BUCKET_BYTES: u64 = 1 << 30;
/// What changes may hold in memory while they wait for the disk.
const WAITING_BYTES: usize = 64 << 20;
/// What a change holds beside its key and value, roughly.
const OVERHEAD_BYTES: usize = 256;

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

/// What the store's handle keeps for its key-value side.
#[derive(Debug)]
pub(super) struct Room {
    /// A permit a byte that waits for the writer.
    waiting: Arc<Semaphore>,
    timer: sweep::Timer,
}

impl Room {
    pub fn new() -> Self {
        Self { waiting: Arc::new(Semaphore::new(WAITING_BYTES)), timer: sweep::Timer::default() }
    }
}

impl Kv for Store {
    fn get(&self, bucket: &str, key: &str) -> BoxFuture<'static, Result<Option<KvEntry>, StoreError>> {
        let found = self.0.control.open().and_then(|()| {
            let now = self.jobs_core().seen();
            self.0.readers.in_line(|db| read::get(db, bucket, key, now))
        });
        Box::pin(std::future::ready(found))
    }

    fn set(
        &self,
        bucket: &str,
        key: &str,
        value: Bytes,
        ttl: Option<Duration>,
        expect: Expect,
    ) -> BoxFuture<'static, Result<Swapped, StoreError>> {
        let act = check_key(key).and(check_value(&value)).and_then(|()| self.expiry(ttl));
        let bytes = key.len() + value.len();
        let slot = Slot::default();
        let told = slot.clone();
        let act = act.map(|expires_at| Act::Set { key: key.to_owned(), value, expires_at, expect, slot });
        self.change(bucket, act, bytes, told)
    }

    fn delete(&self, bucket: &str, key: &str) -> BoxFuture<'static, Result<bool, StoreError>> {
        let slot = Slot::default();
        let told = slot.clone();
        let act = check_key(key).map(|()| Act::Delete { key: key.to_owned(), slot });
        self.change(bucket, act, key.len(), told)
    }

    fn increment(&self, bucket: &str, keys: Vec<String>, by: i64) -> BoxFuture<'static, Result<Sums, StoreError>> {
        let slot = Slot::default();
        let told = slot.clone();
        let bytes = keys.iter().map(|key| key.len() + size_of::<String>()).sum();
        let many = if keys.len() > MAX_MANY {
            Err(StoreError::TooLarge(format!("{} keys in one increment are more than {MAX_MANY}: send them in parts", keys.len())))
        } else {
            keys.iter().try_for_each(|key| check_key(key))
        };
        self.change(bucket, many.map(|()| Act::Increment { keys, by, slot }), bytes, told)
    }

    fn entries(
        &self,
        bucket: &str,
        prefix: &str,
        after: Option<String>,
        limit: usize,
    ) -> BoxFuture<'static, Result<Vec<KvEntry>, StoreError>> {
        let (store, bucket, prefix) = (self.clone(), bucket.to_owned(), prefix.to_owned());
        Box::pin(async move {
            let now = store.jobs_core().seen();
            let list = move |db: &_| read::entries(db, &bucket, &prefix, after.as_deref(), limit.min(MAX_MANY), now);
            store.0.readers.control(store.0.control.clone(), list).await
        })
    }

    fn buckets(&self) -> BoxFuture<'static, Result<Vec<BucketView>, StoreError>> {
        let store = self.clone();
        Box::pin(async move {
            let now = store.jobs_core().seen().line;
            store.0.readers.control(store.0.control.clone(), move |db| read::buckets(db, now)).await
        })
    }
}

impl Store {
    /// Hands a change to the writer at once; the future only waits for its commit.
    fn change<T: Send + 'static>(
        &self,
        bucket: &str,
        act: Result<Act, StoreError>,
        bytes: usize,
        told: Slot<T>,
    ) -> BoxFuture<'static, Result<T, StoreError>> {
        let asked = act.and_then(|act| {
            check_bucket(bucket)?;
            let room = self.kv_room(bytes)?;
            let expires_at = act.expires_at();
            let answered = self.put_in_line(bucket, act, Some(room))?;
            if let Some(at) = expires_at {
                self.sweep_at(at);
            }
            Ok(answered)
        });
        Box::pin(async move {
            asked?.await.map_err(|_| StoreError::Closed)??;
            told.take()
        })
    }

    fn put_in_line(
        &self,
        bucket: &str,
        act: Act,
        room: Option<OwnedSemaphorePermit>,
    ) -> Result<oneshot::Receiver<Result<(), StoreError>>, StoreError> {
        let (reply, answered) = oneshot::channel();
        let op = Op { bucket: Arc::from(bucket), act, moment: self.jobs_core().moment(), _room: room };
        self.0.control.ask(control::Work::Kv(Box::new(op)), reply)?;
        Ok(answered)
    }

    fn kv_room(&self, bytes: usize) -> Result<OwnedSemaphorePermit, StoreError> {
        let permits = u32::try_from(bytes.saturating_add(OVERHEAD_BYTES)).unwrap_or(u32::MAX);
        self.0.kv.waiting.clone().try_acquire_many_owned(permits).map_err(|_| {
            StoreError::Busy(format!(
                "{} MiB of key-value changes wait for the disk already, and no more may: wait for their answers, then try again",
                WAITING_BYTES >> 20
            ))
        })
    }

    fn expiry(&self, ttl: Option<Duration>) -> Result<Option<i64>, StoreError> {
        let Some(ttl) = ttl else { return Ok(None) };
        if ttl.is_zero() || ttl > MAX_SPAN {
            return Err(StoreError::Invalid(format!(
                "a time to live of {} ms is not between 1 ms and {} days: leave it out to keep the key",
                ttl.as_millis(),
                MAX_SPAN.as_secs() / 86_400
            )));
        }
        // Rounded up: a key never goes before its time.
        let span = i64::try_from(ttl.as_nanos().div_ceil(1_000_000)).unwrap_or(i64::MAX);
        Ok(Some(self.jobs_core().moment().line.saturating_add(span)))
    }
}

fn check_bucket(name: &str) -> Result<(), StoreError> {
    match name.len() {
        0 => Err(StoreError::Invalid("a bucket needs a name".to_owned())),
        1..=MAX_BUCKET_NAME_BYTES => Ok(()),
        long => Err(StoreError::TooLarge(format!("a bucket's name of {long} bytes is longer than {MAX_BUCKET_NAME_BYTES}: shorten it"))),
    }
}

fn check_key(key: &str) -> Result<(), StoreError> {
    match key.len() {
        0 => Err(StoreError::Invalid("a key has at least one byte, this one is empty".to_owned())),
        1..=MAX_KEY_BYTES => Ok(()),
        long => Err(StoreError::TooLarge(format!("a key of {long} bytes is longer than {MAX_KEY_BYTES}: use its hash, or shorten it"))),
    }
}

fn check_value(value: &[u8]) -> Result<(), StoreError> {
    if value.len() <= MAX_VALUE_BYTES {
        return Ok(());
    }
    Err(StoreError::TooLarge(format!("a value of {} bytes is larger than {MAX_VALUE_BYTES} (1 MiB): keep it in parts", value.len())))
}
