//! Settings' values as people write them: addresses, spans of time, sizes, host names. Each refusal says what to write instead. Pure.

use std::{net::SocketAddr, str::FromStr, time::Duration};

use serde::{Deserialize, Deserializer, de::Error as _};

use crate::manifest::units::parse_duration;

/// How the host's own log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    #[default]
    Text,
    Json,
}

/// An address to listen on: `IP:PORT`; `localhost:PORT` is 127.0.0.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address(pub SocketAddr);

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let spelt = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
        spelt
            .as_deref()
            .unwrap_or(text)
            .parse()
            .map(Self)
            .map_err(|_| format!("\"{text}\" is not an address to listen on; write IP:PORT, e.g. 127.0.0.1:7700 (port 0 takes a free one)"))
    }
}

/// A span of time as people write it: `10s`, `1m 30s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span(pub Duration);

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        parse_duration(text).map(Self).map_err(|_| format!("\"{text}\" is not a duration; write e.g. 10s or 1m"))
    }
}

impl FromStr for LogFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(format!("\"{text}\" is not a log format; write text or json")),
        }
    }
}

/// A name a proxy may put into `Host`: lower case, any port unless one is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedHost {
    pub name: String,
    pub port: Option<u16>,
}

impl FromStr for AllowedHost {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refuse = || format!("\"{text}\" is not a host name; write e.g. skep.example.com, or skep.example.com:8443 for one port only");
        let authority: http::uri::Authority = text.parse().map_err(|_| refuse())?;
        let port = authority.port_u16();
        // What the parser lets pass but a Host header never is: user info, an empty or unreadable port, a wildcard.
        if text.contains(['@', '*']) || authority.host().is_empty() || (authority.host().len() != text.len() && port.is_none()) {
            return Err(refuse());
        }
        Ok(Self { name: authority.host().trim_end_matches('.').to_ascii_lowercase(), port })
    }
}

/// A size in bytes: a number, or text like `512MiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size(pub u64);

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refuse = || format!("\"{text}\" is not a size; write e.g. 512MiB or 1GiB");
        let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, unit) = text.split_at(digits);
        let shift = match unit.trim() {
            "" | "B" => 0,
            "KiB" => 10,
            "MiB" => 20,
            "GiB" => 30,
            "TiB" => 40,
            _ => return Err(refuse()),
        };
        let number: u64 = number.parse().map_err(|_| refuse())?;
        number.checked_mul(1 << shift).map(Self).ok_or_else(refuse)
    }
}

/// Deserializes a value that is written as text.
macro_rules! written_as_text {
    ($($name:ident),*) => {$(
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                String::deserialize(from)?.parse().map_err(D::Error::custom)
            }
        }
    )*};
}
written_as_text!(Address, Span, AllowedHost);

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "a size is a number of bytes or text like \"1GiB\"")]
        enum Written {
            Number(u64),
            Text(String),
        }
        match Written::deserialize(from)? {
            Written::Number(bytes) => Ok(Self(bytes)),
            Written::Text(text) => text.parse().map_err(D::Error::custom),
        }
    }
}
