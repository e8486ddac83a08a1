//! Asks somebody else, so that tests see requests between workers: `status body`, or `error: …`.

use crate::{
    answer::read,
    bindings::wasi::http::{
        outgoing_handler,
        types::{Fields, OutgoingRequest, Scheme},
    },
};

pub fn get(url: &str) -> String {
    asked(url).unwrap_or_else(|error| format!("error: {error}"))
}

fn asked(url: &str) -> Result<String, String> {
    let (scheme, rest) = url.split_once("://").ok_or("no URL")?;
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let scheme = if scheme == "https" { Scheme::Https } else { Scheme::Http };
    let request = OutgoingRequest::new(Fields::new());
    request
        .set_scheme(Some(&scheme))
        .and_then(|()| request.set_authority(Some(authority)))
        .and_then(|()| request.set_path_with_query(Some(&format!("/{path}"))))
        .map_err(|()| "no URL")?;
    let future = outgoing_handler::handle(request, None).map_err(|code| format!("{code:?}"))?;
    loop {
        match future.get() {
            None => future.subscribe().block(),
            Some(Err(())) => return Err("the answer was taken".into()),
            Some(Ok(Err(code))) => return Err(format!("{code:?}")),
            Some(Ok(Ok(response))) => {
                let body = response.consume().map_err(|()| "its body was taken")?;
                return Ok(format!("{} {}", response.status(), String::from_utf8_lossy(&read(&body)?)));
            }
        }
    }
}
