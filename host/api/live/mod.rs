//! The live view: a whole snapshot, then what changed, as server-sent events for pages and terminals.
//!
//! `feed` is the one task that gathers; it exists while somebody follows. `rows` knows what was sent last and writes frames, each once
//! for all followers. Must not decide anything: a row is a fact of another room, as it stands.
//!
//! ```text
//!  checks ─ touched ─┐ 100 ms                              ┌▶ follower
//!  journal ─ events ─┼───────▶ feed ─▶ rows ─▶ one frame ──┼▶ follower     (fell behind: a snapshot again)
//!  supervisor, ──────┘ 1 s                                 └▶ follower
//!  queues, limiters
//! ```

mod feed;
mod rows;

use std::{convert::Infallible, sync::Arc};

use axum::{
    body::{Body, Bytes},
    extract::State,
    http::{HeaderValue, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use futures_util::{StreamExt, stream};
use tokio::sync::{Mutex, broadcast, mpsc, oneshot};

use self::feed::Join;
use super::{
    ApiState,
    error::{ApiError, Refused},
    serve::told,
    sse,
};
use crate::facts::LiveSnapshot;

/// Frames a follower may fall behind before it gets a snapshot instead; six seconds of changes.
const SLACK: usize = 64;

/// The way to the feed, which is started by its first follower.
#[derive(Debug, Clone, Default)]
pub struct Live(Arc<Mutex<Option<mpsc::Sender<Join>>>>);

/// What a follower gets: where it starts, and every frame after that.
#[derive(Debug)]
pub struct Following {
    pub snapshot: Bytes,
    pub frames: broadcast::Receiver<Bytes>,
}

impl Live {
    /// None: the host is on its way down.
    pub async fn follow(&self, state: &ApiState) -> Option<Following> {
        let mut feed = self.0.lock().await;
        for _ in 0..2 {
            let joins = feed.get_or_insert_with(|| feed::start(state.clone()));
            let (reply, joined) = oneshot::channel();
            if joins.send(reply).await.is_ok()
                && let Ok(following) = joined.await
            {
                return Some(following);
            }
            // It went to rest since the last follower left.
            *feed = None;
        }
        None
    }
}

/// Everything at a glance, and every change as it happens, as server-sent events.
///
/// A `snapshot` comes first and says all there is; a `delta` after it names rows that changed, whole, and those that are gone. Changes
/// are gathered for 100 ms; what only counts is looked at once a second. Whoever falls behind gets a `snapshot` again. A `beat` comes
/// every 5 s: without one for 12 s the connection is stale.
#[utoipa::path(get, path = "/api/v1/live", operation_id = "live", tag = "records",
    responses((status = 200, description = "`snapshot` (as below), `delta` and `beat` events; ends with the host",
        content((LiveSnapshot = "text/event-stream"))), Refused))]
pub async fn live(State(state): State<ApiState>) -> Result<Response, ApiError> {
    let place = sse::place(&state.followers)?;
    let mut shutdown = state.shutdown.clone();
    let following = state.live.follow(&state).await.ok_or_else(stopping)?;
    let first = following.snapshot;
    let frames = stream::unfold((state, following.frames), |(state, mut frames)| async move {
        match frames.recv().await {
            Ok(frame) => Some((frame, (state, frames))),
            Err(broadcast::error::RecvError::Lagged(_)) => {
                let Following { snapshot, frames } = state.live.follow(&state).await?;
                Some((snapshot, (state, frames)))
            }
            Err(broadcast::error::RecvError::Closed) => None,
        }
    });
    let frames = stream::once(async { first }).chain(frames).take_until(async move { told(&mut shutdown).await });
    let body = frames.map(move |frame| {
        // The place is given back when the stream is dropped.
        let _held = &place;
        Ok::<_, Infallible>(frame)
    });
    let mut response = Body::from_stream(body).into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(sse::MEDIA_TYPE));
    Ok(response)
}

fn stopping() -> ApiError {
    ApiError::new(axum::http::StatusCode::SERVICE_UNAVAILABLE, "stopping")
}
