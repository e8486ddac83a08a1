//! Bodies: writing an answer's piece by piece, reading a request's or a response's whole.

use crate::bindings::wasi::{
    http::types::{Fields, IncomingBody, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam},
    io::streams::{OutputStream, StreamError},
};

/// An answer whose head is out. Dropped without [`finish`](Answer::finish), its body has no end.
pub struct Answer {
    /// None: the host took no body.
    stream: Option<OutputStream>,
    body: Option<OutgoingBody>,
}

impl Answer {
    pub fn head(out: ResponseOutparam, status: u16, headers: &[(&str, &str)]) -> Self {
        let fields = Fields::new();
        for (name, value) in headers {
            let _ = fields.append(name, value.as_bytes());
        }
        let response = OutgoingResponse::new(fields);
        let _ = response.set_status_code(status);
        let body = response.body().ok();
        ResponseOutparam::set(out, Ok(response));
        Self { stream: body.as_ref().and_then(|body| body.write().ok()), body }
    }

    /// At most 4,096 bytes; false when nobody takes them.
    pub fn write(&mut self, bytes: &[u8]) -> bool {
        self.stream.as_ref().is_some_and(|stream| stream.blocking_write_and_flush(bytes).is_ok())
    }

    pub fn finish(mut self) {
        self.stream = None;
        if let Some(body) = self.body.take() {
            let _ = OutgoingBody::finish(body, None);
        }
    }
}

pub fn body_of(request: &IncomingRequest) -> Result<Vec<u8>, String> {
    read(&request.consume().map_err(|()| "it was taken".to_owned())?)
}

pub fn read(body: &IncomingBody) -> Result<Vec<u8>, String> {
    let stream = body.stream().map_err(|()| "it was taken".to_owned())?;
    let mut all = Vec::new();
    loop {
        match stream.blocking_read(64 << 10) {
            Ok(bytes) => all.extend(bytes),
            Err(StreamError::Closed) => return Ok(all),
            Err(StreamError::LastOperationFailed(error)) => return Err(error.to_debug_string()),
        }
    }
}
