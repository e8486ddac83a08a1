//! What went wrong with a request, in words for a person, and whether it says anything about the thing watched.
//!
//! Must not be confused with a wrong status: here no usable answer came. What the host knows beyond a code (which line of the manifest
//! would allow it, why a certificate is not trusted) it writes into the worker's log and adds to the check's detail itself.

use crate::bindings::wasi::http::types::ErrorCode;

/// Why there is no answer to judge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub text: String,
    /// It could not even be tried, so the check is unknown rather than down.
    pub untried: bool,
}

impl Failure {
    /// The other side failed.
    pub fn down(text: impl Into<String>) -> Self {
        Self { text: text.into(), untried: false }
    }

    /// This side refused or could not.
    pub fn untried(text: impl Into<String>) -> Self {
        Self { text: text.into(), untried: true }
    }

    /// Says more.
    pub fn and(self, more: &str) -> Self {
        Self { text: format!("{}, {more}", self.text), ..self }
    }
}

impl From<ErrorCode> for Failure {
    fn from(code: ErrorCode) -> Self {
        use ErrorCode as E;
        match code {
            E::DnsTimeout => Self::down("name lookup timed out"),
            E::DnsError(dns) => Self::down(with("name not resolved", dns.rcode)),
            E::DestinationNotFound => Self::down("destination not found"),
            E::DestinationUnavailable => Self::down("destination unavailable"),
            E::DestinationIpUnroutable => Self::down("no route to the address"),
            E::ConnectionRefused => Self::down("connection refused"),
            E::ConnectionTerminated => Self::down("connection closed before the answer"),
            E::ConnectionTimeout => Self::down("connecting timed out"),
            E::ConnectionReadTimeout => Self::down("reading timed out"),
            E::ConnectionWriteTimeout => Self::down("writing timed out"),
            E::TlsProtocolError => Self::down("TLS failed"),
            E::TlsCertificateError => Self::down("certificate not trusted"),
            E::TlsAlertReceived(alert) => Self::down(with("TLS alert", alert.alert_message)),
            E::HttpResponseIncomplete => Self::down("answer ended early"),
            E::HttpResponseTimeout => Self::down("no answer in time"),
            E::HttpProtocolError => Self::down("not a valid HTTP answer"),
            E::HttpUpgradeFailed => Self::down("upgrade failed"),
            E::HttpResponseHeaderSectionSize(_)
            | E::HttpResponseHeaderSize(_)
            | E::HttpResponseTrailerSectionSize(_)
            | E::HttpResponseTrailerSize(_) => Self::down("answer's headers too large"),
            E::HttpResponseBodySize(_) => Self::down("answer's body too large"),
            E::HttpResponseTransferCoding(coding) => Self::down(with("transfer coding not understood", coding)),
            E::HttpResponseContentCoding(coding) => Self::down(with("content coding not understood", coding)),
            E::LoopDetected => Self::down("the request would call itself"),

            // What the host itself could not do: too many requests in flight, no socket left.
            E::InternalError(text) => Self::untried(with("not tried", text)),
            E::HttpRequestDenied => Self::untried("denied by grants.http"),
            E::DestinationIpProhibited => Self::untried("denied: the name leads to an address that needs lan = true in grants.http"),
            E::ConnectionLimitReached => Self::untried("not tried: too many requests at once, or no permit from the limiter in time"),
            E::ConfigurationError => Self::untried("not tried: the host's configuration doesn't allow it"),
            E::HttpRequestMethodInvalid => Self::untried("not tried: the method is not valid"),
            E::HttpRequestUriInvalid => Self::untried("not tried: the URL is not valid"),
            E::HttpRequestUriTooLong => Self::untried("not tried: the URL is too long"),
            E::HttpRequestLengthRequired
            | E::HttpRequestBodySize(_)
            | E::HttpRequestHeaderSectionSize(_)
            | E::HttpRequestHeaderSize(_)
            | E::HttpRequestTrailerSectionSize(_)
            | E::HttpRequestTrailerSize(_) => Self::untried("not tried: the request is too large"),
        }
    }
}

fn with(text: &str, more: Option<String>) -> String {
    match more {
        Some(more) if !more.is_empty() => format!("{text}: {more}"),
        _ => text.to_owned(),
    }
}
