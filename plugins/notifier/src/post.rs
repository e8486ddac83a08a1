//! One request with a body, and the head of its answer.
//!
//! Must not try again, judge or follow redirects. Until headers come the host alone measures time.

use std::time::Duration;

use crate::{
    bindings::wasi::http::{
        outgoing_handler,
        types::{ErrorCode, Fields, FutureIncomingResponse, Method, OutgoingBody, OutgoingRequest, RequestOptions, Scheme},
    },
    config::Target,
    verdict::Heard,
};

/// What a stream takes at once.
const PIECE: usize = 4_096;

/// An error is a sentence.
pub fn send(target: &Target, id: &str, body: &[u8], patience: Duration) -> Result<Heard, String> {
    let mut headers: Vec<(String, Vec<u8>)> =
        target.headers.iter().map(|(name, value)| (name.clone(), value.clone().into_bytes())).collect();
    headers.push(("user-agent".to_owned(), concat!("skep-notifier/", env!("CARGO_PKG_VERSION")).as_bytes().to_vec()));
    headers.push(("idempotency-key".to_owned(), id.as_bytes().to_vec()));
    headers.push(("content-length".to_owned(), body.len().to_string().into_bytes()));
    let fields = Fields::from_list(&headers).map_err(|error| format!("the host refused the headers: {error:?}"))?;
    let request = OutgoingRequest::new(fields);
    let method = match target.method.as_str() {
        "PUT" => Method::Put,
        "PATCH" => Method::Patch,
        _ => Method::Post,
    };
    let accepted = request.set_method(&method).is_ok()
        && request.set_scheme(Some(if target.url.https { &Scheme::Https } else { &Scheme::Http })).is_ok()
        && request.set_authority(Some(&target.url.authority)).is_ok()
        && request.set_path_with_query(Some(&target.url.path)).is_ok();
    if !accepted {
        return Err("the target's url makes no valid request".to_owned());
    }
    let sent = request.body().map_err(|()| "the request has no body".to_owned())?;
    let timeout = Some(u64::try_from(patience.as_nanos()).unwrap_or(u64::MAX));
    let options = RequestOptions::new();
    // A host that can't do one of these has its own bounds.
    let _ = options.set_connect_timeout(timeout);
    let _ = options.set_first_byte_timeout(timeout);
    let _ = options.set_between_bytes_timeout(timeout);
    let future = outgoing_handler::handle(request, Some(options)).map_err(reason)?;
    // A peer that hangs up early may have answered: its answer says more than the broken stream.
    let written = write(sent, body);
    let response = answer(&future)?;
    match response {
        Ok(heard) => Ok(heard),
        Err(code) => Err(written.err().unwrap_or_else(|| reason(code))),
    }
}

fn write(sent: OutgoingBody, body: &[u8]) -> Result<(), String> {
    let stream = sent.write().map_err(|()| "the request's body was taken".to_owned())?;
    for piece in body.chunks(PIECE) {
        stream.blocking_write_and_flush(piece).map_err(|_| "the connection ended before all was sent".to_owned())?;
    }
    drop(stream);
    OutgoingBody::finish(sent, None).map_err(reason)
}

fn answer(future: &FutureIncomingResponse) -> Result<Result<Heard, ErrorCode>, String> {
    let response = loop {
        match future.get() {
            Some(Ok(Ok(response))) => break response,
            Some(Ok(Err(code))) => return Ok(Err(code)),
            Some(Err(())) => return Err("the host lost the answer".to_owned()),
            None => future.subscribe().block(),
        }
    };
    let retry_after = response.headers().get("retry-after").into_iter().next();
    Ok(Ok(Heard::Answer { status: response.status(), retry_after: retry_after.and_then(|value| String::from_utf8(value).ok()) }))
}

/// Why there is no answer, as a person reads it.
fn reason(code: ErrorCode) -> String {
    match code {
        ErrorCode::HttpRequestDenied => "is not granted: see skep events, and grants.http.allow of the manifest".to_owned(),
        ErrorCode::ConnectionRefused => "refused the connection".to_owned(),
        ErrorCode::ConnectionTimeout => "could not be reached in time".to_owned(),
        ErrorCode::ConnectionReadTimeout | ErrorCode::HttpResponseTimeout => "gave no answer in time".to_owned(),
        ErrorCode::InternalError(Some(text)) => text,
        other => format!("gave no answer: {other:?}"),
    }
}
