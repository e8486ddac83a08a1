//! What the host calls: `init` checks the config, a request is answered at the door.

use std::cell::RefCell;

use market::{api::Reply, front::Front};

use crate::{
    bindings::{
        exports::{skep::worker::lifecycle, wasi::http::incoming_handler},
        wasi::{
            clocks::{monotonic_clock, wall_clock},
            http::types::{ErrorCode, Fields, IncomingRequest, Method, OutgoingBody, OutgoingResponse, ResponseOutparam},
            io::streams::StreamError,
        },
    },
    config,
};

thread_local! {
    /// Opened by `init`.
    static FRONT: RefCell<Option<Front>> = const { RefCell::new(None) };
}

struct Exchange;

impl lifecycle::Guest for Exchange {
    fn init(config: String) -> Result<(), String> {
        let front = config::parse(&config)?;
        FRONT.with(|cell| *cell.borrow_mut() = Some(front));
        Ok(())
    }

    fn stop() {}
}

impl incoming_handler::Guest for Exchange {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let method = if matches!(request.method(), Method::Get) { "GET" } else { "other" };
        let path = request.path_with_query().unwrap_or_else(|| "/".to_owned());
        let now = i64::try_from(wall_clock::now().seconds).unwrap_or(i64::MAX);
        let reply = FRONT.with(|cell| {
            // A host that knows no `init`, such as any that serves wasi:http, gets the usual exchange.
            cell.borrow_mut().get_or_insert_with(config::usual).serve(method, &path, monotonic_clock::now(), now)
        });
        answer(&reply, out);
    }
}

fn answer(reply: &Reply, out: ResponseOutparam) {
    let kind = if reply.body.starts_with(b"<") { "text/html" } else { "application/json" };
    let mut headers = vec![
        ("content-type".to_owned(), kind.as_bytes().to_vec()),
        ("content-length".to_owned(), reply.body.len().to_string().into_bytes()),
    ];
    headers.extend(reply.retry_after.map(|seconds| ("retry-after".to_owned(), seconds.to_string().into_bytes())));
    let response = Fields::from_list(&headers).map(OutgoingResponse::new);
    let response = match response {
        Ok(response) if response.set_status_code(reply.status).is_ok() => response,
        _ => return ResponseOutparam::set(out, Err(ErrorCode::InternalError(Some("the host refused the headers".to_owned())))),
    };
    let body = response.body();
    ResponseOutparam::set(out, Ok(response));
    // A caller who went away is no fault of the exchange.
    if let Ok(body) = body
        && write(&body, &reply.body).is_ok()
    {
        let _ = OutgoingBody::finish(body, None);
    }
}

fn write(body: &OutgoingBody, mut bytes: &[u8]) -> Result<(), StreamError> {
    let stream = body.write().map_err(|()| StreamError::Closed)?;
    let ready = stream.subscribe();
    while !bytes.is_empty() {
        let room = usize::try_from(stream.check_write()?).unwrap_or(usize::MAX);
        if room == 0 {
            ready.block();
            continue;
        }
        let (piece, rest) = bytes.split_at(room.min(bytes.len()));
        stream.write(piece)?;
        bytes = rest;
    }
    stream.blocking_flush()
}

#[allow(unsafe_code, reason = "generated: the exported symbols")]
mod export {
    use super::Exchange;
    crate::bindings::export!(Exchange with_types_in crate::bindings);
}
