//! Secrets: `secret:NAME` in an outgoing header becomes its value at the last moment, for the origins the secret itself names.
//!
//! A guest never holds a value, unless an origin it was sent to echoes it. Values learnt here are masked wherever text leaves the
//! host. Must not send a secret anywhere but its own origins, nor over a connection others could read, whatever a grant allows
//! (only `lan = true` accepts plain HTTP or an unchecked certificate).

use std::{
    borrow::Cow,
    collections::HashMap,
    fmt,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    str::FromStr,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    time::Duration,
};

use http::{HeaderMap, HeaderValue, Uri};
use serde::Deserialize;
use tokio::time::Instant;

use super::grant::Origin;
use crate::clock::Clock;

/// What stands before a secret's name.
const MARK: &str = "secret:";
const MAX_NAME: usize = 64;
/// Shorter values would mask ordinary words.
const MIN_VALUE: usize = 4;
const MAX_VALUE: usize = 4096;
/// A secret's whole text: its value and its origins.
const MAX_TEXT: usize = 64 * 1024;
/// How long a secret is used before its place is looked at again, so that a rotated one is picked up.
const FRESH: Duration = Duration::from_secs(10);
/// Values remembered for masking; the oldest go first.
const MAX_KNOWN: usize = 1024;

/// The environment, by variable.
pub type Variables = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// Where secrets are looked for, in this order.
#[derive(Clone)]
pub struct Sources {
    /// One file each, readable by its owner only.
    pub folder: PathBuf,
    /// Environment variables: `SKEP_SECRET_API_KEY` for `api-key`.
    pub variable: Variables,
    /// systemd's credentials folder.
    pub credentials: Option<PathBuf>,
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sources").field("folder", &self.folder).field("credentials", &self.credentials).finish_non_exhaustive()
    }
}

impl Sources {
    /// The data folder's `secrets/` and this process's environment.
    pub fn of_host(folder: PathBuf) -> Self {
        Self {
            folder,
            variable: Arc::new(|name| std::env::var(name).ok()),
            credentials: std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from),
        }
    }

    fn read(&self, name: &str) -> Result<Secret, Unusable> {
        let place = format!("secrets/{name}");
        match read_bounded(&self.folder.join(name), true) {
            Ok(Some(text)) => return Secret::parse(name, place, &text),
            Ok(None) => {}
            Err(reason) => return Err(Unusable { place, reason }),
        }
        let place = format!("SKEP_SECRET_{}", name.to_ascii_uppercase().replace('-', "_"));
        if let Some(text) = (self.variable)(&place) {
            return Secret::parse(name, place, &text);
        }
        let place = format!("$CREDENTIALS_DIRECTORY/{name}");
        match self.credentials.as_ref().map(|folder| read_bounded(&folder.join(name), false)).transpose() {
            Ok(Some(Some(text))) => Secret::parse(name, place, &text),
            Ok(_) => Err(Unusable {
                place: format!("secrets/{name}"),
                reason: format!(
                    "it is not there; write the file into the data folder (mode 600) with lines like \
                     origins = [\"https://api.example.com\"] and value = \"…\", or set SKEP_SECRET_{} to the same text",
                    name.to_ascii_uppercase().replace('-', "_")
                ),
            }),
            Err(reason) => Err(Unusable { place, reason }),
        }
    }
}

/// The text of a small file; None when there is none.
fn read_bounded(path: &Path, private: bool) -> Result<Option<String>, String> {
    let meta = match std::fs::metadata(path) {
        Ok(meta) => meta,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    if !meta.is_file() {
        return Err("it is not a file".to_owned());
    }
    let mode = meta.permissions().mode() & 0o777;
    if private && mode & 0o077 != 0 {
        return Err(format!("others may read it (mode {mode:o}): chmod 600 it"));
    }
    if meta.len() > MAX_TEXT as u64 {
        return Err(format!("it is larger than {MAX_TEXT} bytes"));
    }
    std::fs::read_to_string(path).map(Some).map_err(|error| error.to_string())
}

/// Why a secret can't be used, and where it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unusable {
    place: String,
    reason: String,
}

/// A loaded secret.
struct Secret {
    /// What to change to let it go elsewhere.
    place: String,
    origins: Vec<Origin>,
    value: String,
}

/// A secret as its file says it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    origins: Vec<String>,
    value: String,
}

impl Secret {
    fn parse(name: &str, place: String, text: &str) -> Result<Self, Unusable> {
        // The parser's own message may quote the value.
        let Ok(written) = toml::from_str::<Written>(text) else {
            let reason = "it must be TOML with origins = [\"https://api.example.com\"] and value = \"…\", and nothing else".to_owned();
            return Err(Unusable { place, reason });
        };
        let fault = if !(MIN_VALUE..=MAX_VALUE).contains(&written.value.len()) {
            Some(format!("its value must have {MIN_VALUE} to {MAX_VALUE} bytes"))
        } else if HeaderValue::from_str(&written.value).is_err() {
            Some("its value has control characters, which no header can carry".to_owned())
        } else if written.value.contains(&format!("{MARK}{name}")) {
            Some("its value is its own name".to_owned())
        } else {
            None
        };
        if let Some(reason) = fault {
            return Err(Unusable { place, reason });
        }
        let mut origins = Vec::with_capacity(written.origins.len());
        for origin in &written.origins {
            match Uri::from_str(origin).ok().and_then(|uri| Origin::of(&uri)) {
                Some(parsed) => origins.push(parsed),
                None => return Err(Unusable { place, reason: format!("\"{origin}\" in origins is no http or https origin") }),
            }
        }
        Ok(Self { place, origins, value: written.value })
    }
}

/// Why a secret was not sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretRefusal {
    #[error("worker \"{worker}\" may not send secret \"{name}\": {}: {}", .unusable.place, .unusable.reason)]
    Unusable { worker: Arc<str>, name: String, unusable: Unusable },
    #[error("worker \"{worker}\" may not send secret \"{name}\" to {origin}: add \"{origin}\" to origins in {place}")]
    Origin { worker: Arc<str>, name: String, origin: Origin, place: String },
    #[error("worker \"{worker}\" may not send secret \"{name}\" to {origin} over plain HTTP: use https, or set grants.http.lan = true")]
    Plain { worker: Arc<str>, name: String, origin: Origin },
    #[error(
        "worker \"{worker}\" may not send secret \"{name}\" to {origin} without checking its certificate: \
         set grants.http.verify = true (with ca for an authority of your own), or grants.http.lan = true"
    )]
    Unverified { worker: Arc<str>, name: String, origin: Origin },
}

/// What the worker's grant says of its connections.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// The peer's certificate is checked.
    pub verify: bool,
    /// Plain HTTP and unchecked certificates are accepted.
    pub lan: bool,
}

/// All secrets used so far.
pub struct Secrets {
    sources: Sources,
    clock: Clock,
    loaded: Mutex<HashMap<String, (Instant, Arc<Secret>)>>,
    masker: Arc<Masker>,
}

impl Secrets {
    pub fn new(sources: Sources, clock: Clock) -> Self {
        Self { sources, clock, loaded: Mutex::default(), masker: Arc::default() }
    }

    pub fn masker(&self) -> &Arc<Masker> {
        &self.masker
    }

    /// Replaces each `secret:NAME` in the header values of a request to `origin`.
    pub async fn fill(&self, headers: &mut HeaderMap, origin: &Origin, terms: Terms, worker: &Arc<str>) -> Result<(), SecretRefusal> {
        let mut wanted = HashMap::new();
        for name in headers.values().flat_map(|value| references(value.as_bytes())) {
            if !wanted.contains_key(name) {
                wanted.insert(name.to_owned(), None);
            }
        }
        if wanted.is_empty() {
            return Ok(());
        }
        for (name, slot) in &mut wanted {
            let secret = self.load(name).await.map_err(|unusable| {
                let name = name.clone();
                SecretRefusal::Unusable { worker: Arc::clone(worker), name, unusable }
            })?;
            permit(&secret, name, origin, terms, worker)?;
            *slot = Some(secret);
        }
        for value in headers.values_mut() {
            if let Some(filled) = filled(value, |name| wanted.get(name)?.as_deref()) {
                *value = filled;
            }
        }
        Ok(())
    }

    async fn load(&self, name: &str) -> Result<Arc<Secret>, Unusable> {
        let now = self.clock.now();
        if let Some((at, secret)) = self.lock().get(name)
            && now.duration_since(*at) < FRESH
        {
            return Ok(Arc::clone(secret));
        }
        let (sources, owned) = (self.sources.clone(), name.to_owned());
        let read = tokio::task::spawn_blocking(move || sources.read(&owned)).await;
        let secret = read.unwrap_or_else(|error| Err(Unusable { place: format!("secrets/{name}"), reason: error.to_string() }));
        let secret = Arc::new(secret.inspect_err(|_| drop(self.lock().remove(name)))?);
        self.masker.learn(name, &secret.value);
        self.lock().insert(name.to_owned(), (now, Arc::clone(&secret)));
        Ok(secret)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, (Instant, Arc<Secret>)>> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn permit(secret: &Secret, name: &str, origin: &Origin, terms: Terms, worker: &Arc<str>) -> Result<(), SecretRefusal> {
    let (worker, name, origin) = (Arc::clone(worker), name.to_owned(), origin.clone());
    if !secret.origins.contains(&origin) {
        return Err(SecretRefusal::Origin { worker, name, origin, place: secret.place.clone() });
    }
    match (terms.lan, origin.tls, terms.verify) {
        (true, ..) | (false, true, true) => Ok(()),
        (false, false, _) => Err(SecretRefusal::Plain { worker, name, origin }),
        (false, true, false) => Err(SecretRefusal::Unverified { worker, name, origin }),
    }
}

/// The names that a header value refers to.
fn references(value: &[u8]) -> impl Iterator<Item = &str> {
    // The mark is looked for in bytes: most values are no reference, and a value need not be text.
    let marked = value.windows(MARK.len()).any(|window| window == MARK.as_bytes());
    let text = if marked { std::str::from_utf8(value).unwrap_or_default() } else { "" };
    text.split(MARK).skip(1).map(name_at_start).filter(|name| !name.is_empty())
}

fn name_at_start(text: &str) -> &str {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))).unwrap_or(text.len());
    text.get(..end.min(MAX_NAME)).unwrap_or_default()
}

fn filled<'s>(value: &HeaderValue, secret: impl Fn(&str) -> Option<&'s Secret>) -> Option<HeaderValue> {
    references(value.as_bytes()).next()?;
    let mut parts = value.to_str().ok()?.split(MARK);
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let name = name_at_start(part);
        match secret(name) {
            Some(secret) => {
                text.push_str(&secret.value);
                text.push_str(part.get(name.len()..).unwrap_or_default());
            }
            None => {
                text.push_str(MARK);
                text.push_str(part);
            }
        }
    }
    let mut value = HeaderValue::from_str(&text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Takes known secret values out of text. Knows those that were used since the host started.
#[derive(Default)]
pub struct Masker {
    known: RwLock<Vec<Known>>,
}

struct Known {
    value: String,
    /// `secret:NAME`: what is shown instead.
    shown: String,
}

impl Masker {
    fn learn(&self, name: &str, value: &str) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if !known.iter().any(|known| known.value == value) {
            if known.len() >= MAX_KNOWN {
                known.remove(0);
            }
            known.push(Known { value: value.to_owned(), shown: format!("{MARK}{name}") });
        }
    }

    /// The text with every known value replaced by its `secret:NAME`.
    pub fn mask<'t>(&self, text: &'t str) -> Cow<'t, str> {
        self.mask_start(text, text.len())
    }

    /// The first `limit` bytes of the text, masked; a value that crosses the limit is masked whole.
    pub fn mask_start<'t>(&self, text: &'t str, limit: usize) -> Cow<'t, str> {
        let limit = text.floor_char_boundary(limit);
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let mut masked = String::new();
        let mut at = 0;
        while let Some((start, found)) = first_of(&known, text.get(at..).unwrap_or_default()).filter(|(start, _)| at + start < limit) {
            masked.push_str(text.get(at..at + start).unwrap_or_default());
            masked.push_str(&found.shown);
            at += start + found.value.len();
        }
        let rest = text.get(at..limit).unwrap_or_default();
        if at == 0 { Cow::Borrowed(rest) } else { Cow::Owned(masked + rest) }
    }

    /// How many bytes past a cut must be seen so that no value is cut in two.
    pub fn longest(&self) -> usize {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.iter().map(|known| known.value.len()).max().unwrap_or(0)
    }
}

/// The first known value in the text; of several at one place the longest.
fn first_of<'k>(known: &'k [Known], text: &str) -> Option<(usize, &'k Known)> {
    let found = known.iter().filter_map(|known| Some((text.find(&known.value)?, known)));
    found.min_by_key(|(start, known)| (*start, std::cmp::Reverse(known.value.len())))
}
