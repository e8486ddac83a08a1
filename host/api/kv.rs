//! Key-value state, as an operator reads and mends it. Buckets belong to workers; nobody's grants count here, the admin token does.

use std::time::Duration;

use axum::{
    Json,
    body::Bytes,
    extract::State,
    http::{
        HeaderMap, StatusCode,
        header::{ACCEPT, CONTENT_TYPE},
    },
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    ApiState,
    error::{ApiError, Missing, NotNow, Refused, TooLarge, Unreadable},
    extract::{Params, Segment},
    given::{Asked, Given, Segments, Sent, read, span},
    suggest::suggest,
    workers::Binary,
};
use crate::{
    facts::{BucketView, KvView, Payload},
    store::{Expect, KvEntry, MAX_KEY_BYTES, MAX_MANY, MAX_SPAN, MAX_VALUE_BYTES, Sums, Swapped},
};

const MILLISECOND: Duration = Duration::from_millis(1);
/// `parent/item`, each 63.
const MAX_BUCKET_BYTES: usize = 127;
const USUAL_ENTRIES: usize = 100;
const RAW: &str = "application/octet-stream";

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct EntryParams {
    /// Only keys that begin with this.
    prefix: Option<String>,
    /// Only keys behind this one, in byte order: the page after.
    after: Option<String>,
    /// At most this many (default 100, at most 10,000; an answer ends at 4 MiB of values, too).
    limit: Option<usize>,
}

/// How a raw value is set.
#[derive(Debug, Default, PartialEq, Eq, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct SetParams {
    /// How long the key lives, e.g. `1h` (default: for ever). Only with a raw body, as all of these.
    ttl: Option<String>,
    /// Only if the key has this revision, or `absent`: only if there is no such key.
    expect: Option<String>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetRequest {
    /// At most 1 MiB.
    value: Given,
    /// How long the key lives, e.g. `1h` (default: for ever).
    ttl: Option<String>,
    /// Only if the key has this revision, or `"absent"`: only if there is no such key.
    expect: Option<Expected>,
}

/// A revision, or `absent`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(untagged, expecting = "expect is a revision or \"absent\"")]
pub enum Expected {
    Revision(u64),
    Word(String),
}

impl Expected {
    fn checked(self) -> Result<Expect, ApiError> {
        match self {
            Self::Revision(revision) => Ok(Expect::Revision(revision)),
            Self::Word(word) if word == "absent" => Ok(Expect::Absent),
            Self::Word(word) => word
                .parse()
                .map(Expect::Revision)
                .map_err(|_| ApiError::bad_request(format!("expect: \"{word}\" is neither a revision nor \"absent\""))),
        }
    }
}

/// What a set came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Revised {
    /// The key's revision now.
    pub revision: u64,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct IncrementRequest {
    /// What to add (default 1).
    #[serde(default = "one")]
    by: i64,
}

fn one() -> i64 {
    1
}

/// What an increment came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Sum {
    /// The key's number now.
    pub value: i64,
}

fn shown(bucket: &str, entry: KvEntry) -> KvView {
    KvView {
        bucket: bucket.to_owned(),
        key: entry.key,
        value: Payload::of(&entry.value),
        revision: entry.revision,
        expires_at: entry.expires_at,
    }
}

fn bucket_name(bucket: &str) -> Result<(), ApiError> {
    if bucket.is_empty() || bucket.len() > MAX_BUCKET_BYTES || bucket.chars().any(char::is_control) {
        return Err(ApiError::bad_request(format!("bucket: a name of 1 to {MAX_BUCKET_BYTES} bytes"))
            .hint("a worker's own bucket has the worker's name"));
    }
    Ok(())
}

fn place(bucket: &str, key: &str) -> Result<(), ApiError> {
    bucket_name(bucket)?;
    if key.is_empty() || key.len() > MAX_KEY_BYTES {
        return Err(ApiError::bad_request(format!("key: {} bytes; from 1 to {MAX_KEY_BYTES}", key.len())));
    }
    Ok(())
}

fn no_key(bucket: &str, key: &str) -> ApiError {
    ApiError::not_found(format!("no key \"{key}\" in bucket \"{bucket}\"")).hint("GET /api/v1/kv/BUCKET lists a bucket's keys")
}

/// All buckets, by name.
#[utoipa::path(get, path = "/api/v1/kv", operation_id = "list_buckets", tag = "kv",
    responses((status = 200, description = "All buckets that hold keys", body = Vec<BucketView>), Refused))]
pub async fn buckets(State(state): State<ApiState>) -> Result<Json<Vec<BucketView>>, ApiError> {
    Ok(Json(state.kv.buckets().await?))
}

/// A bucket's entries by key, in byte order.
#[utoipa::path(get, path = "/api/v1/kv/{bucket}", operation_id = "list_entries", tag = "kv",
    params(("bucket" = String, Path, description = "The bucket; a `/` in it is written `%2F`"), EntryParams),
    responses((status = 200, description = "Entries with their values", body = Vec<KvView>), Missing, Refused))]
pub async fn entries(
    State(state): State<ApiState>,
    Segment(bucket): Segment,
    Params(params): Params<EntryParams>,
) -> Result<Json<Vec<KvView>>, ApiError> {
    bucket_name(&bucket)?;
    let limit = params.limit.unwrap_or(USUAL_ENTRIES).min(MAX_MANY);
    let entries = state.kv.entries(&bucket, params.prefix.as_deref().unwrap_or_default(), params.after, limit).await?;
    if entries.is_empty() {
        let buckets = state.kv.buckets().await?;
        if !buckets.iter().any(|one| one.name == bucket) {
            let error = ApiError::not_found(format!("no bucket \"{bucket}\""));
            let hint = suggest(&bucket, buckets.iter().map(|one| one.name.as_str()));
            return Err(error.hint(hint.unwrap_or_else(|| "GET /api/v1/kv lists them; the first key makes one".to_owned())));
        }
    }
    Ok(Json(entries.into_iter().map(|entry| shown(&bucket, entry)).collect()))
}

/// One entry; with `Accept: application/octet-stream` the value's bytes alone.
#[utoipa::path(get, path = "/api/v1/kv/{bucket}/{key}", operation_id = "get_key", tag = "kv",
    params(("bucket" = String, Path, description = "The bucket; a `/` in it is written `%2F`"), ("key" = String, Path, description = "The key; a `/` in it is written `%2F`")),
    responses((status = 200, description = "The entry", content((KvView = "application/json"), (Binary = "application/octet-stream"))), Missing, Refused))]
pub async fn get(State(state): State<ApiState>, Segments(bucket, key): Segments, headers: HeaderMap) -> Result<Response, ApiError> {
    place(&bucket, &key)?;
    let entry = state.kv.get(&bucket, &key).await?.ok_or_else(|| no_key(&bucket, &key))?;
    if headers.get(ACCEPT).is_some_and(|kind| kind == RAW) {
        return Ok(([(CONTENT_TYPE, RAW)], entry.value).into_response());
    }
    Ok(Json(shown(&bucket, entry)).into_response())
}

/// Sets a key; answers once it is durable.
///
/// A body of `application/octet-stream` or `text/plain` is the value as it is, with `ttl` and `expect` in the query.
#[utoipa::path(put, path = "/api/v1/kv/{bucket}/{key}", operation_id = "set_key", tag = "kv", security(("admin" = [])),
    params(("bucket" = String, Path, description = "The bucket; a `/` in it is written `%2F`"), ("key" = String, Path, description = "The key; a `/` in it is written `%2F`"), SetParams),
    request_body(content((SetRequest = "application/json"), (Binary = "application/octet-stream"))),
    responses((status = 200, description = "The key's new revision", body = Revised), NotNow, TooLarge, Unreadable, Refused))]
pub async fn set(
    State(state): State<ApiState>,
    Segments(bucket, key): Segments,
    Params(params): Params<SetParams>,
    sent: Sent,
) -> Result<Json<Revised>, ApiError> {
    place(&bucket, &key)?;
    let (value, ttl, expect): (Bytes, _, _) = match sent {
        Sent::Raw(value) => (value, params.ttl, params.expect.map(Expected::Word)),
        Sent::Json(_) if params != SetParams::default() => {
            return Err(ApiError::bad_request("options in the query go with a raw body only").hint("write them beside \"value\""));
        }
        Sent::Json(body) => {
            let request: SetRequest = read(&body)?;
            (request.value.bytes("value")?, request.ttl, request.expect)
        }
    };
    if value.len() > MAX_VALUE_BYTES {
        let sentence = format!("value: {} bytes; at most {MAX_VALUE_BYTES} (1 MiB) fit a key", value.len());
        return Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, sentence).hint("spread it over several keys"));
    }
    let ttl = ttl.map(|text| span("ttl", &text, MILLISECOND, MAX_SPAN)).transpose()?;
    let expect = expect.map_or(Ok(Expect::Anything), Expected::checked)?;
    match state.kv.set(&bucket, &key, value, ttl, expect).await? {
        Swapped::Set(revision) => Ok(Json(Revised { revision })),
        Swapped::Conflict(found) => {
            let sentence = match found {
                Some(revision) => format!("key \"{key}\" has revision {revision}; nothing was changed"),
                None => format!("there is no key \"{key}\"; nothing was changed"),
            };
            Err(ApiError::new(StatusCode::CONFLICT, sentence).hint("read it again, then decide"))
        }
    }
}

/// Deletes a key.
#[utoipa::path(delete, path = "/api/v1/kv/{bucket}/{key}", operation_id = "delete_key", tag = "kv", security(("admin" = [])),
    params(("bucket" = String, Path, description = "The bucket; a `/` in it is written `%2F`"), ("key" = String, Path, description = "The key; a `/` in it is written `%2F`")),
    responses((status = 204, description = "It is gone"), Missing, Refused))]
pub async fn delete(State(state): State<ApiState>, Segments(bucket, key): Segments) -> Result<StatusCode, ApiError> {
    place(&bucket, &key)?;
    match state.kv.delete(&bucket, &key).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(no_key(&bucket, &key)),
    }
}

/// Adds to a number kept as decimal text; an absent key counts as 0. Answers once it is durable.
#[utoipa::path(post, path = "/api/v1/kv/{bucket}/{key}/increment", operation_id = "increment_key", tag = "kv", security(("admin" = [])),
    params(("bucket" = String, Path, description = "The bucket; a `/` in it is written `%2F`"), ("key" = String, Path, description = "The key; a `/` in it is written `%2F`")),
    request_body(content = IncrementRequest),
    responses((status = 200, description = "The number now", body = Sum), NotNow, TooLarge, Refused))]
pub async fn increment(
    State(state): State<ApiState>,
    Segments(bucket, key): Segments,
    Asked(request): Asked<IncrementRequest>,
) -> Result<Json<Sum>, ApiError> {
    place(&bucket, &key)?;
    let refused = |sentence: String| ApiError::new(StatusCode::CONFLICT, sentence);
    match state.kv.increment(&bucket, vec![key], request.by).await? {
        Sums::Sums(sums) => match sums.first() {
            Some(value) => Ok(Json(Sum { value: *value })),
            None => Err(ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "the store answered without a number")),
        },
        Sums::NotANumber(key) => {
            Err(refused(format!("key \"{key}\" holds no whole number; nothing was changed")).hint("set it to one first"))
        }
        Sums::Overflow(key) => Err(refused(format!("the sum of key \"{key}\" does not fit 64 bits; nothing was changed"))
            .hint("set it back, or count under another key")),
    }
}
