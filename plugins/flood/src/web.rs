//! Floods over HTTP: more requests at once and larger bodies than the host lets through.

use std::collections::BTreeMap;

use serde_json::json;

use crate::bindings::wasi::{
    http::{
        outgoing_handler,
        types::{ErrorCode, Fields, FutureIncomingResponse, IncomingResponse, Method, OutgoingBody, OutgoingRequest, Scheme},
    },
    io::streams::StreamError,
};

const PIECE: usize = 64 << 10;

/// Sends all, then looks at what came of each: `{"status 200":64,"ErrorCode::ConnectionLimitReached":16}`.
pub fn requests(url: &str, n: usize) -> Result<String, String> {
    let mut tally: BTreeMap<String, usize> = BTreeMap::new();
    let mut flying = Vec::new();
    for _ in 0..n {
        match outgoing_handler::handle(request(url, &Method::Get)?, None) {
            Ok(future) => flying.push(future),
            Err(code) => *tally.entry(format!("{code:?}")).or_default() += 1,
        }
    }
    for future in flying {
        let came = match settle(&future) {
            Ok(response) => format!("status {}", response.status()),
            Err(code) => format!("{code:?}"),
        };
        *tally.entry(came).or_default() += 1;
    }
    serde_json::to_string(&tally).map_err(|e| e.to_string())
}

/// `{"status":200,"read":…,"error":…}`
pub fn body_in(url: &str) -> Result<String, String> {
    let future = outgoing_handler::handle(request(url, &Method::Get)?, None).map_err(|code| format!("{code:?}"))?;
    let response = settle(&future).map_err(|code| format!("{code:?}"))?;
    let status = response.status();
    let body = response.consume().map_err(|()| "the body was taken")?;
    let stream = body.stream().map_err(|()| "the stream was taken")?;
    let mut read = 0;
    let error = loop {
        match stream.blocking_read(PIECE as u64) {
            Ok(piece) => read += piece.len(),
            Err(StreamError::Closed) => break None,
            Err(StreamError::LastOperationFailed(error)) => break Some(error.to_debug_string()),
        }
    };
    Ok(json!({ "status": status, "read": read, "error": error }).to_string())
}

/// `{"written":…,"error":…,"answer":…}`
pub fn body_out(url: &str, n: usize) -> Result<String, String> {
    let request = request(url, &Method::Post)?;
    let body = request.body().map_err(|()| "the body was taken")?;
    let future = outgoing_handler::handle(request, None).map_err(|code| format!("{code:?}"))?;
    let (written, error) = write_all(&body, n);
    let finished = OutgoingBody::finish(body, None);
    let error = error.or_else(|| finished.err().map(|code| format!("{code:?}")));
    let answer = match settle(&future) {
        Ok(response) => format!("status {}", response.status()),
        Err(code) => format!("{code:?}"),
    };
    Ok(json!({ "written": written, "error": error, "answer": answer }).to_string())
}

/// The stream ends with this function: a body can't be finished before it.
fn write_all(body: &OutgoingBody, n: usize) -> (usize, Option<String>) {
    let Ok(stream) = body.write() else {
        return (0, Some("the stream was taken".into()));
    };
    // blocking-write-and-flush takes 4 KiB at most.
    let piece = [b'b'; 4096];
    let mut written = 0;
    while written < n {
        let piece = piece.get(..piece.len().min(n - written)).unwrap_or_default();
        match stream.blocking_write_and_flush(piece) {
            Ok(()) => written += piece.len(),
            Err(StreamError::Closed) => return (written, Some("closed".into())),
            Err(StreamError::LastOperationFailed(error)) => return (written, Some(error.to_debug_string())),
        }
    }
    (written, None)
}

fn settle(future: &FutureIncomingResponse) -> Result<IncomingResponse, ErrorCode> {
    loop {
        match future.get() {
            Some(Ok(result)) => return result,
            Some(Err(())) => return Err(ErrorCode::InternalError(Some("the answer was taken".into()))),
            None => future.subscribe().block(),
        }
    }
}

fn request(url: &str, method: &Method) -> Result<OutgoingRequest, String> {
    let wrong = || format!("\"{url}\" is not a URL this plugin can request");
    let (scheme, rest) = url.split_once("://").ok_or_else(wrong)?;
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let scheme = if scheme == "https" { Scheme::Https } else { Scheme::Http };
    let request = OutgoingRequest::new(Fields::new());
    request
        .set_method(method)
        .and_then(|()| request.set_scheme(Some(&scheme)))
        .and_then(|()| request.set_authority(Some(authority)))
        .and_then(|()| request.set_path_with_query(Some(&format!("/{path}"))))
        .map_err(|()| wrong())?;
    Ok(request)
}
