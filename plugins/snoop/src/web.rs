//! Attempts over HTTP: places a worker without grants must not reach, in the spellings that have fooled others.

use crate::{
    Attempt,
    bindings::wasi::http::{
        outgoing_handler,
        types::{ErrorCode, Fields, IncomingResponse, Method, OutgoingRequest, Scheme},
    },
};

/// The cloud's metadata service and this machine, each in several spellings.
const USUAL: [&str; 11] = [
    "http://169.254.169.254/latest/meta-data/",
    "http://[::ffff:169.254.169.254]/latest/meta-data/",
    "http://[fd00:ec2::254]/latest/meta-data/",
    "http://[64:ff9b::a9fe:a9fe]/latest/meta-data/",
    "http://2852039166/latest/meta-data/",
    "http://0xa9fea9fe/latest/meta-data/",
    "http://metadata.google.internal/computeMetadata/v1/",
    "http://127.0.0.1:7700/api/v1/workers",
    "http://localhost:7700/api/v1/workers",
    "http://[::1]:7700/api/v1/workers",
    "http://0.0.0.0:7700/api/v1/workers",
];

/// How often a redirect is gone after: each hop is an attempt of its own.
const HOPS: usize = 3;

pub fn attempts<'t>(urls: impl Iterator<Item = &'t String>) -> Vec<Attempt> {
    let mut all: Vec<Attempt> = USUAL.into_iter().chain(urls.map(String::as_str)).flat_map(following).collect();
    all.push(Attempt::new("CONNECT", said(get("http://example.com:443/", &Method::Connect, &[]))));
    all.push(Attempt::new("userinfo", said(get("http://example.com@127.0.0.1:7700/", &Method::Get, &[]))));
    all.push(Attempt::new("host header", said(get("http://127.0.0.1:7700/", &Method::Get, &[("host", "example.com")]))));
    all
}

/// Requests `url`, and where it redirects to.
fn following(url: &str) -> Vec<Attempt> {
    let mut all = Vec::new();
    let mut next = Some(url.to_owned());
    while let Some(url) = next.take().filter(|_| all.len() <= HOPS) {
        let result = get(&url, &Method::Get, &[]);
        next = result.as_ref().ok().and_then(location).filter(|to| to.starts_with("http"));
        all.push(Attempt::new(format!("GET {url}"), said(result)));
    }
    all
}

fn said(result: Result<IncomingResponse, String>) -> Result<String, String> {
    result.map(|response| format!("status {}", response.status()))
}

fn location(response: &IncomingResponse) -> Option<String> {
    let value = response.headers().get("location").into_iter().next()?;
    String::from_utf8(value).ok()
}

fn get(url: &str, method: &Method, headers: &[(&str, &str)]) -> Result<IncomingResponse, String> {
    let (scheme, rest) = url.split_once("://").ok_or("not a URL")?;
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let scheme = if scheme == "https" { Scheme::Https } else { Scheme::Http };
    let headers: Vec<_> = headers.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())).collect();
    let fields = Fields::from_list(&headers).map_err(|e| format!("{e:?}"))?;
    let request = OutgoingRequest::new(fields);
    request.set_method(method).map_err(|()| "method refused")?;
    request.set_scheme(Some(&scheme)).map_err(|()| "scheme refused")?;
    request.set_authority(Some(authority)).map_err(|()| "authority refused")?;
    request.set_path_with_query(Some(&format!("/{path}"))).map_err(|()| "path refused")?;
    let future = outgoing_handler::handle(request, None).map_err(|code| format!("{code:?}"))?;
    loop {
        match future.get() {
            Some(Ok(result)) => return result.map_err(|code: ErrorCode| format!("{code:?}")),
            Some(Err(())) => return Err("the answer was taken".into()),
            None => future.subscribe().block(),
        }
    }
}
