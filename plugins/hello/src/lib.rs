//! The smallest HTTP worker: GET answers "hello", POST and PUT answer what they were sent, as it comes.
//!
//! Nothing in it is skep's own: it exports `wasi:http/incoming-handler`, so it runs under `wasmtime serve` as well. Benches measure
//! the host with it, so it must stay free of other work.

use bindings::{
    exports::wasi::http::incoming_handler::Guest,
    wasi::{
        http::types::{Fields, IncomingRequest, Method, OutgoingBody, OutgoingResponse, ResponseOutparam},
        io::streams::StreamError,
    },
};

/// What wit-bindgen makes of the world.
#[allow(unsafe_code, reason = "generated: the component ABI passes raw memory")]
mod bindings {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package skep:hello;

            world hello {
                export wasi:http/incoming-handler@0.2.12;
            }
        ",
        generate_all,
    });
}

/// Moved from request to response at a time, without passing through the guest's memory.
const PIECE_BYTES: u64 = 64 << 10;

const HELLO: &[u8] = b"hello";

struct Hello;

impl Guest for Hello {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        match request.method() {
            Method::Post | Method::Put => echo(&request, out),
            _ => hello(out),
        }
    }
}

fn hello(out: ResponseOutparam) {
    let fields = Fields::new();
    let _ = fields.append("content-type", b"text/plain");
    let _ = fields.append("content-length", HELLO.len().to_string().as_bytes());
    let response = OutgoingResponse::new(fields);
    let Ok(body) = response.body() else { return };
    ResponseOutparam::set(out, Ok(response));
    if let Ok(stream) = body.write() {
        // A client that is gone already takes nothing; there is nobody to tell.
        let _ = stream.check_write().and_then(|_| stream.write(HELLO));
    }
    let _ = OutgoingBody::finish(body, None);
}

fn echo(request: &IncomingRequest, out: ResponseOutparam) {
    let fields = Fields::new();
    for kind in request.headers().get("content-type") {
        let _ = fields.append("content-type", &kind);
    }
    let response = OutgoingResponse::new(fields);
    let Ok(body) = response.body() else { return };
    ResponseOutparam::set(out, Ok(response));
    let whole = {
        let (Ok(from), Ok(to)) = (request.consume(), body.write()) else { return };
        let Ok(source) = from.stream() else { return };
        loop {
            match to.blocking_splice(&source, PIECE_BYTES) {
                Ok(_) => {}
                Err(StreamError::Closed) => break true,
                Err(StreamError::LastOperationFailed(_)) => break false,
            }
        }
    };
    // A body that broke off must not look whole: dropped without its end, it breaks off, too.
    if whole {
        let _ = OutgoingBody::finish(body, None);
    }
}

#[allow(unsafe_code, reason = "generated: the exported symbols")]
mod export {
    use crate::Hello;
    crate::bindings::export!(Hello with_types_in crate::bindings);
}
