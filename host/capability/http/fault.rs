//! What went wrong, as `wasi:http` names it, with the sentence for people where the code says too little.
//!
//! Guests print the code, so each cause has its own. Must not log.

use std::{error::Error as StdError, io};

use wasmtime_wasi_http::Error;

/// The most bytes of response head that are taken in.
pub(super) const MAX_HEAD_BYTES: usize = 64 * 1024;

/// A bound as people say it.
pub(super) fn size(bytes: u64) -> String {
    if bytes.is_multiple_of(1 << 20) { format!("{} MiB", bytes >> 20) } else { format!("{bytes} bytes") }
}

/// A request that failed.
#[derive(Debug)]
pub(super) struct Fault {
    pub code: Error,
    /// What the host knows beyond the code.
    pub sentence: Option<String>,
    /// The host said no; nothing was sent.
    pub refused: bool,
}

impl Fault {
    pub fn of(code: Error) -> Self {
        Self { code, sentence: None, refused: false }
    }

    pub fn saying(code: Error, sentence: impl Into<String>) -> Self {
        Self { code, sentence: Some(sentence.into()), refused: false }
    }

    pub fn refused(sentence: String) -> Self {
        Self { code: Error::HttpRequestDenied, sentence: Some(sentence), refused: true }
    }

    /// A failed name lookup.
    pub fn of_lookup(error: &io::Error) -> Self {
        let text = error.to_string();
        let rcode = text.rsplit_once(": ").map_or(text.as_str(), |(_, reason)| reason).to_owned();
        Self::of(Error::DnsError { rcode: Some(rcode), info_code: None })
    }

    /// A failed TCP connect.
    pub fn of_connect(error: &io::Error) -> Self {
        Self::of(match error.kind() {
            io::ErrorKind::ConnectionRefused => Error::ConnectionRefused,
            io::ErrorKind::TimedOut => Error::ConnectionTimeout,
            io::ErrorKind::HostUnreachable => Error::DestinationUnavailable,
            io::ErrorKind::NetworkUnreachable => Error::DestinationIpUnroutable,
            io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => Error::ConnectionTerminated,
            _ => return Self::saying(Error::InternalError(Some(error.to_string())), error.to_string()),
        })
    }

    /// A failed TLS handshake.
    pub fn of_handshake(error: &io::Error) -> Self {
        match of_tls(error) {
            Some(fault) => fault,
            None => Self::saying(Error::ConnectionTerminated, format!("the peer closed the connection during the TLS handshake: {error}")),
        }
    }

    /// A failure while waiting for the response's head.
    pub fn of_head(error: &hyper::Error) -> Self {
        if error.is_incomplete_message() { Self::of(Error::ConnectionTerminated) } else { Self::of_exchange(error) }
    }

    /// A failure while the response's body came in.
    pub fn of_body(error: &hyper::Error) -> Self {
        let cut = sources(error).any(|source| io_kind(source) == Some(io::ErrorKind::UnexpectedEof));
        if error.is_incomplete_message() || cut { Self::of(Error::HttpResponseIncomplete) } else { Self::of_exchange(error) }
    }

    fn of_exchange(error: &hyper::Error) -> Self {
        if error.is_parse_too_large() {
            let bound = format!("the response's head is larger than {MAX_HEAD_BYTES} bytes");
            return Self::saying(Error::HttpResponseHeaderSectionSize(u32::try_from(MAX_HEAD_BYTES).ok()), bound);
        }
        if error.is_timeout() {
            return Self::of(Error::HttpResponseTimeout);
        }
        for source in sources(error) {
            if let Some(fault) = source.downcast_ref::<io::Error>().and_then(of_tls) {
                return fault;
            }
            if let Some(io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof) = io_kind(source) {
                return Self::of(Error::ConnectionTerminated);
            }
        }
        if error.is_canceled() || error.is_closed() {
            return Self::of(Error::ConnectionTerminated);
        }
        Self::saying(Error::HttpProtocolError, chain(error))
    }
}

fn of_tls(error: &io::Error) -> Option<Fault> {
    use rustls::Error as Tls;
    let tls = error.get_ref()?.downcast_ref::<Tls>()?;
    let code = match tls {
        Tls::InvalidCertificate(_) | Tls::NoCertificatesPresented => Error::TlsCertificateError,
        Tls::AlertReceived(alert) => {
            Error::TlsAlertReceived { alert_id: Some(u8::from(*alert)), alert_message: Some(format!("{alert:?}")) }
        }
        _ => Error::TlsProtocolError,
    };
    let remedy = match tls {
        Tls::InvalidCertificate(rustls::CertificateError::UnknownIssuer) => "; name its authority's PEM file in grants.http.ca",
        _ => "",
    };
    Some(Fault::saying(code, format!("{tls}{remedy}")))
}

fn io_kind(error: &(dyn StdError + 'static)) -> Option<io::ErrorKind> {
    error.downcast_ref::<io::Error>().map(io::Error::kind)
}

fn sources<'e>(error: &'e hyper::Error) -> impl Iterator<Item = &'e (dyn StdError + 'static)> {
    std::iter::successors(error.source(), |source: &&(dyn StdError + 'static)| (*source).source())
}

fn chain(error: &hyper::Error) -> String {
    sources(error).fold(error.to_string(), |text, source| format!("{text}: {source}"))
}
