//! One GET, whole or not at all: what came back, as `cloning` judges it.
//!
//! Must not try again and must not judge. Until headers come the host alone measures time, because it may let the request wait for a
//! limiter, which counts in no timeout.

use std::time::Duration;

use cloning::verdict::Heard;

use crate::{
    bindings::wasi::{
        clocks::monotonic_clock,
        http::{
            outgoing_handler,
            types::{Fields, FutureIncomingResponse, IncomingResponse, Method, OutgoingRequest, RequestOptions, Scheme},
        },
        io::{poll, streams::StreamError},
    },
    config::Api,
};

/// A thousand trades are a fifth of a MiB.
const MAX_BODY_BYTES: usize = 4 << 20;
const PIECE: u64 = 64 << 10;

/// `patience` holds for connecting, for the first byte and for the body, each.
pub fn get(api: &Api, path: &str, patience: Duration) -> Heard {
    answer(api, path, patience).unwrap_or_else(Heard::Nothing)
}

/// An error is a sentence.
fn answer(api: &Api, path: &str, patience: Duration) -> Result<Heard, String> {
    let future = send(api, path, patience)?;
    let response = loop {
        match future.get() {
            Some(Ok(Ok(response))) => break response,
            Some(Ok(Err(code))) => return Err(format!("the request failed: {code:?}")),
            Some(Err(())) => return Err("the host lost the answer".to_owned()),
            None => future.subscribe().block(),
        }
    };
    let retry_after = response.headers().get("retry-after").into_iter().next();
    Ok(Heard::Answer {
        status: response.status(),
        retry_after: retry_after.and_then(|value| String::from_utf8(value).ok()),
        body: body(&response, patience)?,
    })
}

fn send(api: &Api, path: &str, patience: Duration) -> Result<FutureIncomingResponse, String> {
    let headers = [
        ("user-agent".to_owned(), concat!("skep-chunk-cloner/", env!("CARGO_PKG_VERSION")).as_bytes().to_vec()),
        ("accept".to_owned(), b"application/json".to_vec()),
    ];
    let fields = Fields::from_list(&headers).map_err(|error| format!("the host refused the headers: {error:?}"))?;
    let request = OutgoingRequest::new(fields);
    let accepted = request.set_method(&Method::Get).is_ok()
        && request.set_scheme(Some(if api.https { &Scheme::Https } else { &Scheme::Http })).is_ok()
        && request.set_authority(Some(&api.authority)).is_ok()
        && request.set_path_with_query(Some(&format!("{}{path}", api.prefix))).is_ok();
    if !accepted {
        return Err("config.api makes no valid URL".to_owned());
    }
    let timeout = Some(nanoseconds(patience));
    let options = RequestOptions::new();
    // A host that can't do one of these has its own bounds.
    let _ = options.set_connect_timeout(timeout);
    let _ = options.set_first_byte_timeout(timeout);
    let _ = options.set_between_bytes_timeout(timeout);
    outgoing_handler::handle(request, Some(options)).map_err(|code| format!("the request was not sent: {code:?}"))
}

/// The whole body. wasi traps when a resource goes before what came from it: locals are dropped in reverse order.
fn body(response: &IncomingResponse, patience: Duration) -> Result<Vec<u8>, String> {
    let (Ok(incoming), late) = (response.consume(), monotonic_clock::subscribe_duration(nanoseconds(patience))) else {
        return Err("the answer's body was taken".to_owned());
    };
    let Ok(stream) = incoming.stream() else { return Err("the answer's body was taken".to_owned()) };
    let ready = stream.subscribe();
    let mut body = Vec::new();
    loop {
        match stream.read(PIECE) {
            Ok(piece) if piece.is_empty() && late.ready() => return Err("no whole answer in time".to_owned()),
            Ok(piece) if piece.is_empty() => _ = poll::poll(&[&ready, &late]),
            Ok(piece) => body.extend_from_slice(&piece),
            Err(StreamError::Closed) => return Ok(body),
            Err(StreamError::LastOperationFailed(_)) => return Err("the answer ended early".to_owned()),
        }
        if body.len() > MAX_BODY_BYTES {
            return Err(format!("the answer is larger than {} MiB", MAX_BODY_BYTES >> 20));
        }
    }
}

fn nanoseconds(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}
