//! One exchange with the host: reads a request, writes its answer.

use crate::{
    Answer, Method, Request,
    bindings::wasi::{
        http::types::{self, Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam},
        io::streams::StreamError,
    },
};

const PIECE: u64 = 64 << 10;
/// What one write takes at most.
const WRITTEN: usize = 4 << 10;

/// Answers one request. The host has checked its path, method and size against the route.
pub fn serve(request: IncomingRequest, out: ResponseOutparam, answer: impl FnOnce(&Request) -> Answer) {
    let answer = match read(request) {
        Some(request) => answer(&request),
        None => Answer::error(400, "the request's body ended early"),
    };
    write(out, &answer);
}

/// None: the body broke off.
fn read(request: IncomingRequest) -> Option<Request> {
    let method = match request.method() {
        types::Method::Get => Method::Get,
        types::Method::Post => Method::Post,
        _ => Method::Other,
    };
    let target = request.path_with_query().unwrap_or_default();
    let body = request.consume().ok()?;
    let stream = body.stream().ok()?;
    let mut bytes = Vec::new();
    loop {
        match stream.blocking_read(PIECE) {
            Ok(mut piece) => bytes.append(&mut piece),
            Err(StreamError::Closed) => return Some(Request::new(method, &target, bytes)),
            Err(StreamError::LastOperationFailed(_)) => return None,
        }
    }
}

/// A client that is gone misses it; nothing is left to do then.
fn write(out: ResponseOutparam, answer: &Answer) {
    let length = answer.body.len().to_string();
    let headers = Fields::new();
    let named = [("content-type", "application/json"), ("content-length", &length)];
    for (name, value) in named.into_iter().chain(answer.allow.map(|methods| ("allow", methods))) {
        // The host refuses none of these.
        let _ = headers.append(name, value.as_bytes());
    }
    let response = OutgoingResponse::new(headers);
    let _ = response.set_status_code(answer.status);
    let Ok(body) = response.body() else { return };
    ResponseOutparam::set(out, Ok(response));
    // The stream has to go before its body is finished.
    let written =
        body.write().is_ok_and(|stream| answer.body.as_bytes().chunks(WRITTEN).all(|piece| stream.blocking_write_and_flush(piece).is_ok()));
    if written {
        let _ = OutgoingBody::finish(body, None);
    }
}
