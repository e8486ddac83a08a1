//! Heads on their way through: what belongs to one connection only is taken off, what can't be passed on is refused.
//!
//! `X-Forwarded-For` and its like pass as they came and nothing is added: the host does not know whom to believe.

use http::{
    HeaderMap, HeaderName, HeaderValue, Uri,
    header::{self, CONNECTION, CONTENT_LENGTH, HOST},
};

/// Fields that end at this connection, besides those that `Connection` names.
static HOP_BY_HOP: [HeaderName; 8] = [
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// How a body's length is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Length {
    Unknown,
    Bytes(u64),
}

/// A request must say, once and readably, whom it is for: guests are handed that as its authority.
pub fn check_host(uri: &Uri, headers: &HeaderMap) -> Result<(), &'static str> {
    let mut hosts = headers.get_all(HOST).iter();
    let (host, more) = (hosts.next(), hosts.next());
    if more.is_some() {
        return Err("the request has more than one Host header");
    }
    let plain = |host: &[u8]| !host.is_empty() && host.iter().all(|byte| byte.is_ascii_graphic() && !b"/\\?#@".contains(byte));
    match (uri.authority(), host) {
        (None, None) => Err("the request has no Host header"),
        (_, Some(host)) if !plain(host.as_bytes()) => Err("the request's Host header is no host"),
        (Some(authority), _) if !plain(authority.as_str().as_bytes()) => Err("the request's target names a user or no host"),
        _ => Ok(()),
    }
}

/// Takes off what ends here.
pub fn strip(headers: &mut HeaderMap) {
    if headers.is_empty() {
        return;
    }
    if headers.contains_key(CONNECTION) {
        let named = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
        let named: Vec<HeaderName> = named.filter_map(|name| name.trim().parse().ok()).collect();
        headers.remove(CONNECTION);
        // A client must not take away what the worker is told about it, nor the frame of its own request.
        for name in named.iter().filter(|name| **name != HOST && **name != CONTENT_LENGTH) {
            headers.remove(name);
        }
    }
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
}

/// The length that a guest declares; one that is no number, or more than one, is taken off.
pub fn declared(headers: &mut HeaderMap) -> Length {
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    let (first, more) = (lengths.next(), lengths.next());
    let bytes = first.filter(|_| more.is_none()).and_then(read);
    match bytes {
        Some(bytes) => Length::Bytes(bytes),
        None => {
            headers.remove(CONTENT_LENGTH);
            Length::Unknown
        }
    }
}

fn read(value: &HeaderValue) -> Option<u64> {
    let text = value.to_str().ok()?;
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}
