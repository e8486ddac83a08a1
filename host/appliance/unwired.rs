//! Stands in for queue and kv until the store's own are wired: every answer says so. Must not keep anything.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::future::{BoxFuture, ready};
use tokio::sync::watch;
use uuid::Uuid;

use crate::{
    facts::{BucketView, JobState, JobView, QueueView},
    store::*,
};

/// Answers that this build has no queue and no kv.
#[derive(Debug)]
pub struct Unwired;

fn no<T: Send + 'static>() -> BoxFuture<'static, Result<T, StoreError>> {
    Box::pin(ready(Err(StoreError::Unsupported("this build has no queue and no kv".to_owned()))))
}

impl Jobs for Unwired {
    fn push(&self, _: Vec<NewJob>) -> BoxFuture<'static, Result<Vec<Pushed>, StoreError>> {
        no()
    }
    fn lease(&self, _: &str, _: usize, _: &Arc<str>, _: Term) -> Vec<LeasedJob> {
        Vec::new()
    }
    fn lease_for(&self, _: &str, _: usize, _: &Arc<str>, _: Duration) -> BoxFuture<'static, Result<Vec<LeasedJob>, StoreError>> {
        no()
    }
    fn ready(&self, _: &str) -> watch::Receiver<u64> {
        watch::channel(0).1
    }
    fn finish(&self, _: Uuid, _: u32, _: Outcome, _: Vec<NewJob>) -> BoxFuture<'static, Result<Finished, StoreError>> {
        no()
    }
    fn extend(&self, _: Uuid, _: u32, _: Duration) -> BoxFuture<'static, Result<bool, StoreError>> {
        no()
    }
    fn progress(&self, _: Uuid, _: u32, _: String) -> bool {
        false
    }
    fn holds(&self, _: Uuid, _: u32) -> bool {
        false
    }
    fn job(&self, _: Uuid) -> BoxFuture<'static, Result<Option<JobView>, StoreError>> {
        no()
    }
    fn wait(&self, _: Uuid) -> BoxFuture<'static, Result<Option<JobView>, StoreError>> {
        no()
    }
    fn jobs(&self, _: JobFilter, _: bool) -> BoxFuture<'static, Result<Vec<JobView>, StoreError>> {
        no()
    }
    fn cancel(&self, _: Uuid) -> BoxFuture<'static, Result<Option<bool>, StoreError>> {
        no()
    }
    fn retry(&self, _: Uuid) -> BoxFuture<'static, Result<Option<bool>, StoreError>> {
        no()
    }
    fn purge(&self, _: &str, _: &[JobState]) -> BoxFuture<'static, Result<u64, StoreError>> {
        no()
    }
    fn queues(&self) -> BoxFuture<'static, Result<Vec<QueueView>, StoreError>> {
        no()
    }
    fn configure(&self, _: Vec<(Arc<str>, QueueSettings)>, _: QueueSettings) {}
}

impl Kv for Unwired {
    fn get(&self, _: &str, _: &str) -> BoxFuture<'static, Result<Option<KvEntry>, StoreError>> {
        no()
    }
    fn set(&self, _: &str, _: &str, _: Bytes, _: Option<Duration>, _: Expect) -> BoxFuture<'static, Result<Swapped, StoreError>> {
        no()
    }
    fn delete(&self, _: &str, _: &str) -> BoxFuture<'static, Result<bool, StoreError>> {
        no()
    }
    fn increment(&self, _: &str, _: Vec<String>, _: i64) -> BoxFuture<'static, Result<Sums, StoreError>> {
        no()
    }
    fn entries(&self, _: &str, _: &str, _: Option<String>, _: usize) -> BoxFuture<'static, Result<Vec<KvEntry>, StoreError>> {
        no()
    }
    fn buckets(&self) -> BoxFuture<'static, Result<Vec<BucketView>, StoreError>> {
        no()
    }
}
