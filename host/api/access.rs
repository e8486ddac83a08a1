//! Who may ask the admin API for what: the only yes or no of this room.
//!
//! The local socket's file mode is its guard. Over TCP a request must name this host (a page that rebinds its DNS name can't), must
//! not come from another site's page, and must carry a token, or the page's cookie made from one, unless what it asks for is anybody's.
//! Must not look at what is asked for beyond method and path.
//!
//! ```text
//!   Host is ours? ── Origin, when there is one, is ours? ── open path? ──▶ anyone
//!                                                             │ no
//!                     bearer token ── admin: all · read: GET, HEAD
//!                     cookie ─────── the same, and from a page of ours: no other site's, and a change must say so
//! ```

use std::{
    fs,
    io::{self, Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    sync::Arc,
};

use axum::{
    extract::{Request, State},
    http::{
        HeaderMap, HeaderValue, Method, StatusCode,
        header::{
            AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, COOKIE, HOST, ORIGIN, REFERRER_POLICY, WWW_AUTHENTICATE,
            X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
        },
    },
    middleware::Next,
    response::{IntoResponse, Response},
};
use sha2::{Digest as _, Sha256};

use super::error::ApiError;
use crate::config::AllowedHost;

pub const ADMIN_TOKEN: &str = "admin.token";
pub const READ_TOKEN: &str = "read.token";
/// Answered to anyone who reaches the port: load balancers and service managers have no token, the page's files hold no secret, and
/// whether there is a public status page is its own settings' to say.
pub const OPEN: [&str; 7] = ["/healthz", "/readyz", "/", "/login", "/logout", "/status", "/status.json"];
/// The same for all below these.
pub const OPEN_BELOW: [&str; 2] = ["/page/", "/badge/"];
/// Answers that say nothing else are no pages: nothing in them may load or run.
const NO_PAGE: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
/// A shorter token was cut off or made up.
const MIN_TOKEN_CHARS: usize = 16;
/// How long a browser stays signed in.
const YEAR_SECONDS: u32 = 365 * 86_400;

/// How a request came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    /// The data folder's socket: who may open the file may do all.
    Socket,
    Tcp,
}

/// Whom a request is answered as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// Nobody said who they are; what they ask for is anybody's.
    Anyone,
    /// May read.
    Reader,
    /// May do all.
    Admin,
}

impl Caller {
    /// The word for it, in API and page.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Anyone => "none",
            Self::Reader => "read",
            Self::Admin => "admin",
        }
    }
}

/// Why a request is turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("this host does not answer to that Host name")]
    ForeignHost,
    #[error("requests from another site's page are refused")]
    ForeignOrigin,
    #[error("a token is needed")]
    NoToken,
    #[error("this token is not known")]
    WrongToken,
    #[error("the read token reads only")]
    ReadOnly,
    #[error("a change with the page's cookie must come from the page")]
    NotFromPage,
}

impl Refusal {
    pub fn status(self) -> StatusCode {
        match self {
            Self::ForeignHost => StatusCode::MISDIRECTED_REQUEST,
            Self::ForeignOrigin | Self::ReadOnly | Self::NotFromPage => StatusCode::FORBIDDEN,
            Self::NoToken | Self::WrongToken => StatusCode::UNAUTHORIZED,
        }
    }

    pub fn hint(self) -> &'static str {
        match self {
            Self::ForeignHost => {
                "use the address it announced, or name the proxy's host in skep.toml: admin.hosts = [\"skep.example.com\"]"
            }
            Self::ForeignOrigin => "call the API from a program, or from a page this host serves",
            Self::NoToken | Self::WrongToken => {
                "send `Authorization: Bearer TOKEN` with admin.token or read.token of the data folder (the CLI reads SKEP_TOKEN)"
            }
            Self::ReadOnly => "use the token in admin.token of the data folder",
            Self::NotFromPage => "send the Origin header of the page, or a token instead of the cookie",
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = ApiError::new(self.status(), self.to_string()).hint(self.hint()).into_response();
        if self.status() == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// What is kept of one token. Hashes, so that comparing takes the same time wherever a guess goes wrong.
struct Key {
    token: [u8; 32],
    /// The cookie's value: follows from the token and does not hold it, so it outlives restarts and ends with the token.
    cookie: String,
    cookie_hash: [u8; 32],
}

impl Key {
    fn of(token: &str) -> Self {
        let cookie = hex(&hash(&format!("skep page cookie\n{token}")));
        Self { token: hash(token), cookie_hash: hash(&cookie), cookie }
    }
}

/// The two tokens, the address and the names of this host.
pub struct Access {
    admin: Key,
    read: Key,
    /// The cookie's name: another data folder's on the same machine has another, since browsers tell ports apart in no other way.
    cookie: String,
    bound: SocketAddr,
    hosts: Vec<AllowedHost>,
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Access").field("bound", &self.bound).field("hosts", &self.hosts).finish_non_exhaustive()
    }
}

impl Access {
    /// Reads the tokens of the data folder, making each that is not there yet (0600). `bound` is the address after binding.
    pub fn open(data: &Path, bound: SocketAddr, hosts: Vec<AllowedHost>) -> io::Result<Self> {
        let admin = token(&data.join(ADMIN_TOKEN))?;
        let read = token(&data.join(READ_TOKEN))?;
        Ok(Self::new(&admin, &read, bound, hosts))
    }

    pub fn new(admin: &str, read: &str, bound: SocketAddr, hosts: Vec<AllowedHost>) -> Self {
        let id: String = hex(&hash(&format!("skep cookie name\n{admin}"))).chars().take(8).collect();
        Self { admin: Key::of(admin), read: Key::of(read), cookie: format!("skep-{id}"), bound, hosts }
    }

    /// `authority`: what the request line names as host, when it does; it must pass as the header must.
    pub fn decide(&self, via: Via, method: &Method, path: &str, authority: Option<&str>, headers: &HeaderMap) -> Result<Caller, Refusal> {
        if via == Via::Socket {
            return Ok(Caller::Admin);
        }
        // Two Host headers could mean one thing to a proxy and another here.
        let host = only(headers, &HOST).ok_or(Refusal::ForeignHost)?;
        if !self.is_us(host) || authority.is_some_and(|authority| !self.is_us(authority)) {
            return Err(Refusal::ForeignHost);
        }
        if headers.contains_key(ORIGIN) && !only(headers, &ORIGIN).is_some_and(|origin| same_host(origin, host)) {
            return Err(Refusal::ForeignOrigin);
        }
        if OPEN.contains(&path) || OPEN_BELOW.iter().any(|below| path.starts_with(below)) {
            return Ok(Caller::Anyone);
        }
        let reads = matches!(*method, Method::GET | Method::HEAD);
        let caller = match only(headers, &AUTHORIZATION).and_then(bearer) {
            Some(token) => self.holder(token).ok_or(Refusal::WrongToken)?,
            None => {
                let caller = self.signed_in(headers).ok_or(Refusal::NoToken)?;
                // Browsers send it to whatever page asks: another port of this machine is the same site to them.
                match headers.get("sec-fetch-site").map(HeaderValue::as_bytes) {
                    Some(b"same-origin") => {}
                    Some(b"none") | None if reads || headers.contains_key(ORIGIN) => {}
                    Some(b"none") | None => return Err(Refusal::NotFromPage),
                    Some(_) => return Err(Refusal::ForeignOrigin),
                }
                caller
            }
        };
        if caller == Caller::Reader && !reads { Err(Refusal::ReadOnly) } else { Ok(caller) }
    }

    /// Whose token this is.
    fn holder(&self, token: &str) -> Option<Caller> {
        let given = hash(token);
        let (is_admin, is_read) = (same(&given, &self.admin.token), same(&given, &self.read.token));
        if is_admin { Some(Caller::Admin) } else { is_read.then_some(Caller::Reader) }
    }

    /// Whose cookie came along.
    fn signed_in(&self, headers: &HeaderMap) -> Option<Caller> {
        let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
        let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
        let mut ours = pairs.filter(|(name, _)| *name == self.cookie).map(|(_, value)| hash(value));
        let given = ours.next()?;
        let (is_admin, is_read) = (same(&given, &self.admin.cookie_hash), same(&given, &self.read.cookie_hash));
        if is_admin { Some(Caller::Admin) } else { is_read.then_some(Caller::Reader) }
    }

    /// Who signs in with this token, and the cookie that says so from then on; None: nobody's token.
    ///
    /// `Secure` where a proxy that is named in `admin.hosts` says that the browser came by https: over plain http it would be lost.
    pub fn sign_in(&self, token: &str, headers: &HeaderMap) -> Option<(Caller, String)> {
        let caller = self.holder(token.trim())?;
        let key = if caller == Caller::Admin { &self.admin } else { &self.read };
        Some((caller, self.set_cookie(&key.cookie, YEAR_SECONDS, headers)))
    }

    /// The cookie that takes the other one away.
    pub fn sign_out(&self, headers: &HeaderMap) -> String {
        self.set_cookie("", 0, headers)
    }

    fn set_cookie(&self, value: &str, seconds: u32, headers: &HeaderMap) -> String {
        let proxied = only(headers, &HOST).and_then(split).is_some_and(|(name, port)| self.is_proxy(&name, port));
        let https = headers.get("x-forwarded-proto").is_some_and(|proto| proto.as_bytes().eq_ignore_ascii_case(b"https"));
        let secure = if proxied && https { "; Secure" } else { "" };
        format!("{}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}", self.cookie)
    }

    /// Whether this is a name that a proxy in front may use.
    fn is_proxy(&self, name: &str, port: Option<u16>) -> bool {
        self.hosts.iter().any(|allowed| allowed.name == name && allowed.port.is_none_or(|wanted| Some(wanted) == port))
    }

    /// Whether a Host header means this host.
    fn is_us(&self, host: &str) -> bool {
        let Some((name, port)) = split(host) else { return false };
        if self.is_proxy(&name, port) {
            return true;
        }
        if port.unwrap_or(80) != self.bound.port() {
            return false;
        }
        if name == "localhost" {
            return true;
        }
        // No DNS name can be made to look like an address: on a wildcard bind any address of the machine will do.
        let unbracketed = name.trim_start_matches('[').trim_end_matches(']');
        unbracketed.parse::<IpAddr>().is_ok_and(|ip| {
            let ip = ip.to_canonical();
            ip.is_loopback() || self.bound.ip().is_unspecified() || ip == self.bound.ip().to_canonical()
        })
    }
}

/// The guard as a layer: decides, tells handlers whom they answer, and marks every answer as nobody's to keep, to frame or to guess about.
/// What an answer says of itself stands.
pub async fn guard(State((access, via)): State<(Arc<Access>, Via)>, mut request: Request, next: Next) -> Response {
    let uri = request.uri();
    let authority = uri.authority().map(axum::http::uri::Authority::as_str);
    let decision = access.decide(via, request.method(), uri.path(), authority, request.headers());
    let mut response = match decision {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(refusal) => refusal.into_response(),
    };
    let headers = response.headers_mut();
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.entry(CONTENT_SECURITY_POLICY).or_insert(NO_PAGE);
    headers.entry("cross-origin-resource-policy").or_insert(HeaderValue::from_static("same-origin"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

/// The link that signs in with all rights, on an address that leads here. For the terminal in which the host was started.
pub fn login_link(data: &Path, bound: SocketAddr) -> io::Result<String> {
    let token = token(&data.join(ADMIN_TOKEN))?;
    let here = match bound.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => SocketAddr::new(Ipv4Addr::LOCALHOST.into(), bound.port()),
        IpAddr::V6(ip) if ip.is_unspecified() => SocketAddr::new(Ipv6Addr::LOCALHOST.into(), bound.port()),
        _ => bound,
    };
    let query: String = form_urlencoded::byte_serialize(token.as_bytes()).collect();
    Ok(format!("http://{here}/login?token={query}"))
}

/// A header's value when it stands there once and is text.
fn only<'h>(headers: &'h HeaderMap, name: &axum::http::HeaderName) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    if values.next().is_some() {
        return None;
    }
    value.to_str().ok()
}

/// Host name in lower case without a trailing dot, and the port when one is written.
fn split(host: &str) -> Option<(String, Option<u16>)> {
    if host.contains('@') {
        return None;
    }
    let authority: axum::http::uri::Authority = host.parse().ok()?;
    let port = match host.strip_prefix(authority.host())? {
        "" => None,
        _ => Some(authority.port_u16()?),
    };
    Some((authority.host().trim_end_matches('.').to_ascii_lowercase(), port))
}

fn same_host(origin: &str, host: &str) -> bool {
    let (origin, usual) = match origin.split_once("://") {
        Some(("http", rest)) => (rest, 80),
        Some(("https", rest)) => (rest, 443),
        // `null`, extensions, files.
        _ => return false,
    };
    match (split(origin), split(host)) {
        (Some((from, from_port)), Some((to, to_port))) => from == to && from_port.unwrap_or(usual) == to_port.unwrap_or(usual),
        _ => false,
    }
}

fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

fn same(a: &[u8; 32], b: &[u8; 32]) -> bool {
    // Every byte is looked at, whatever came before it.
    std::hint::black_box(a.iter().zip(b).fold(0, |seen, (a, b)| seen | (a ^ b))) == 0
}

fn token(path: &Path) -> io::Result<String> {
    let said = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return make(path).map_err(said),
        Err(error) => return Err(said(error)),
    };
    let mut text = String::new();
    file.take(4_096).read_to_string(&mut text).map_err(said)?;
    let token = text.trim();
    if token.len() < MIN_TOKEN_CHARS {
        let sentence = format!("holds no token (at least {MIN_TOKEN_CHARS} characters); delete the file and the next start makes one");
        return Err(said(io::Error::new(io::ErrorKind::InvalidData, sentence)));
    }
    Ok(token.to_owned())
}

/// 32 random bytes as hex. Written under another name first: a crash can't leave half a token behind.
fn make(path: &Path) -> io::Result<String> {
    let mut bytes = [0u8; 32];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    let token = hex(&bytes);
    let draft = path.with_extension("token.new");
    let _ = fs::remove_file(&draft);
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    writeln!(file, "{token}")?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    Ok(token)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        use std::fmt::Write as _;
        let _ = write!(text, "{byte:02x}");
        text
    })
}
