//! Server-sent events: how one is written, and streams that are bounded in number and end with the host.
//!
//! Must not know what is streamed. A follower that falls behind is told how much it missed; nobody waits for it.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes},
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{ACCEPT, CONTENT_TYPE},
    },
    response::{IntoResponse, Response},
};
use futures_util::{Stream, StreamExt, stream};
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast, watch};

use super::{error::ApiError, serve::told};

/// Proxies drop streams that stay silent for long.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
pub const MEDIA_TYPE: &str = "text/event-stream";

/// One frame. JSON holds no raw line break, so one `data` line is always enough.
pub fn frame<T: Serialize>(id: Option<u64>, event: &str, data: &T) -> String {
    let data = serde_json::to_string(data).unwrap_or_else(|error| serde_json::json!({ "error": error.to_string() }).to_string());
    match id {
        Some(id) => format!("id: {id}\nevent: {event}\ndata: {data}\n\n"),
        None => format!("event: {event}\ndata: {data}\n\n"),
    }
}

/// The frame for what a follower can't be given any more.
pub fn missed(count: u64) -> String {
    frame(None, "missed", &serde_json::json!({ "missed": count }))
}

/// Whether a client asked for a stream rather than a list.
pub fn wanted(headers: &HeaderMap) -> bool {
    headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).any(|range| {
        let kind = range.split(';').next().unwrap_or_default().trim();
        kind.eq_ignore_ascii_case(MEDIA_TYPE)
    })
}

/// The id a client saw last, from the header browsers send when they reconnect.
pub fn last_event_id(headers: &HeaderMap) -> Option<u64> {
    headers.get("last-event-id")?.to_str().ok()?.trim().parse().ok()
}

/// What a stream begins with: how many items are lost to it, and the kept ones it has not seen (without an id: the newest `limit`).
///
/// `kept` is oldest first with ids that grow.
pub fn resume<T>(kept: &[T], id: impl Fn(&T) -> u64, last_seen: Option<u64>, limit: usize) -> (u64, &[T]) {
    let Some(last_seen) = last_seen else {
        return (0, kept.get(kept.len().saturating_sub(limit)..).unwrap_or_default());
    };
    let gap = kept.first().map_or(0, |oldest| id(oldest).saturating_sub(last_seen.saturating_add(1)));
    let from = kept.partition_point(|item| id(item) <= last_seen);
    (gap, kept.get(from..).unwrap_or_default())
}

/// A place among the followers, or the refusal.
pub fn place(places: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, ApiError> {
    places.clone().try_acquire_owned().map_err(|_| {
        ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "too many followers").hint("close some, or raise limits.followers in skep.toml")
    })
}

/// `first` at once, then a frame for each item `pick` writes one for.
///
/// Refused when `places` are used up; ends when `shutdown` turns true.
pub fn follow<T, F>(
    places: &Arc<Semaphore>,
    shutdown: &watch::Receiver<bool>,
    first: Vec<String>,
    items: broadcast::Receiver<T>,
    pick: F,
) -> Result<Response, ApiError>
where
    T: Clone + Send + 'static,
    F: FnMut(T) -> Option<String> + Send + 'static,
{
    let place = place(places)?;
    let mut shutdown = shutdown.clone();
    let frames = stream::iter(first).chain(live(items, pick)).take_until(async move { told(&mut shutdown).await });
    let body = frames.map(move |frame| {
        // The place is given back when the stream is dropped.
        let _held = &place;
        Ok::<_, Infallible>(Bytes::from(frame))
    });
    let mut response = Body::from_stream(body).into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    Ok(response)
}

fn live<T, F>(items: broadcast::Receiver<T>, pick: F) -> impl Stream<Item = String> + Send
where
    T: Clone + Send + 'static,
    F: FnMut(T) -> Option<String> + Send + 'static,
{
    // A comment first: the client sees that it is connected, and headers leave at once.
    let opened = stream::once(async { ":\n\n".to_owned() });
    opened.chain(stream::unfold((items, pick), |(mut items, mut pick)| async move {
        let silent_until = tokio::time::Instant::now() + KEEP_ALIVE;
        loop {
            let frame = match tokio::time::timeout_at(silent_until, items.recv()).await {
                Err(_) => Some(":\n\n".to_owned()),
                Ok(Ok(item)) => pick(item),
                Ok(Err(broadcast::error::RecvError::Lagged(count))) => Some(missed(count)),
                Ok(Err(broadcast::error::RecvError::Closed)) => return None,
            };
            if let Some(frame) = frame {
                return Some((frame, (items, pick)));
            }
        }
    }))
}
