//! Components by digest, in memory and in the data folder.
//!
//! `components/` keeps the bytes of what ran, so that a `.wasm` that vanished can still start; `compiled/` keeps machine code, keyed by
//! digest, engine and engine version. Files are written aside, synced and renamed, and never rewritten in place. Compilation runs on
//! one niced thread: a fleet that runs must not feel a new component. Knows files and engines, not workers.

use std::{
    collections::HashMap,
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    io::{Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

use sha2::{Digest as _, Sha256};
use wasmtime::component::Component as Code;

use super::{
    component::{Component, ComponentError, Surface, describe},
    engine::{EngineKind, Engines, LEAN_COMPONENT_BYTES},
};
use crate::facts::Digest;

/// The largest `.wasm` read, in bytes.
pub const MAX_COMPONENT_BYTES: u64 = 128 << 20;
/// What both folders may take together before unused entries go, in bytes.
const KEPT_BYTES: u64 = 1 << 30;
/// Files whose digest is remembered.
const KNOWN_FILES: usize = 4_096;

/// A cheap handle to the cache.
#[derive(Debug, Clone)]
pub struct Components(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    engines: Arc<Engines>,
    kept: PathBuf,
    compiled: PathBuf,
    compiler: rayon::ThreadPool,
    loaded: Mutex<HashMap<Digest, Weak<Component>>>,
    /// Digests of files already read: hashing 18 MB takes 60 ms.
    known: Mutex<HashMap<FileId, Digest>>,
}

/// A file as it is now; another content has another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct FileId {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Components {
    /// `data`: the data folder.
    pub fn new(engines: Arc<Engines>, data: &Path) -> std::io::Result<Self> {
        let (kept, compiled) = (data.join("components"), data.join("compiled"));
        for folder in [&kept, &compiled] {
            // 0700: whoever can write compiled code runs as this host.
            fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        let compiler = rayon::ThreadPoolBuilder::new()
            .num_threads(1)
            .thread_name(|_| "compiler".to_owned())
            .start_handler(|_| {
                // Best effort: without it compilation only competes harder.
                let _ = rustix::process::nice(10);
            })
            .build()
            .map_err(std::io::Error::other)?;
        Ok(Self(Arc::new(Inner { engines, kept, compiled, compiler, loaded: Mutex::default(), known: Mutex::default() })))
    }

    /// Reads, checks, compiles (or takes from the cache) and keeps the bytes by digest in the data folder.
    pub async fn load_file(&self, path: &Path) -> Result<Arc<Component>, ComponentError> {
        let (inner, path) = (self.0.clone(), path.to_owned());
        blocking(move || inner.load_file(&path)).await
    }

    /// From the kept bytes; none when this digest was never loaded here, or no longer runs.
    pub async fn load_digest(&self, digest: &Digest) -> Option<Arc<Component>> {
        let (inner, digest) = (self.0.clone(), digest.clone());
        blocking(move || {
            if let Some(component) = inner.find(&digest) {
                return Ok(component);
            }
            let path = inner.kept.join(file_name(&digest, "wasm"));
            inner.load_file(&path)
        })
        .await
        .ok()
    }

    /// Drops kept bytes and compiled code that no worker uses, oldest first, past a cap.
    pub async fn prune(&self, used: &[Digest]) {
        let (inner, used) = (self.0.clone(), used.to_vec());
        let _ = tokio::task::spawn_blocking(move || inner.prune(&used)).await;
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, ComponentError> + Send + 'static) -> Result<T, ComponentError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(ComponentError::Unreadable { path: "component".to_owned(), reason: error.to_string() }),
    }
}

/// Looks at components as a host would, without one: nothing runs, nothing is kept.
#[derive(Debug)]
pub struct Examiner(Engines);

impl Examiner {
    pub fn new() -> Result<Self, ComponentError> {
        let unusable = |error: wasmtime::Error| ComponentError::Invalid {
            path: "the wasm engine".to_owned(),
            reason: format!("can't start here: {error:#}"),
        };
        Engines::new(1).map(Self).map_err(unusable)
    }

    /// What a component offers and wants, also when this host could not run it.
    pub fn surface(&self, path: &Path) -> Result<Surface, ComponentError> {
        let bytes = read(path)?;
        let engine = &self.0.get(EngineKind::General).engine;
        let code = Code::new(engine, &bytes).map_err(|error| invalid(path, broken(&error)))?;
        Ok(Surface::of(&code, engine))
    }

    /// The component, if this host could run it.
    pub fn component(&self, path: &Path) -> Result<Component, ComponentError> {
        let bytes = read(path)?;
        build(&self.0, path, &bytes, &digest(&bytes), |kind| Code::new(&self.0.get(kind).engine, &bytes))
    }
}

impl Inner {
    fn load_file(&self, path: &Path) -> Result<Arc<Component>, ComponentError> {
        let id = file_id(path)?;
        let known = lock(&self.known).get(&id).cloned();
        if let Some(component) = known.and_then(|digest| self.find(&digest)) {
            return Ok(component);
        }
        let bytes = read(path)?;
        let digest = digest(&bytes);
        // Read while it was being written: what was read belongs to neither.
        if file_id(path).is_ok_and(|now| now == id) {
            remember(&mut lock(&self.known), id, digest.clone());
        }
        if let Some(component) = self.find(&digest) {
            return Ok(component);
        }
        let component = Arc::new(build(&self.engines, path, &bytes, &digest, |kind| self.code(kind, &bytes, &digest))?);
        if let Err(error) = self.keep(&digest, &bytes) {
            tracing::warn!("{}: runs, but can't be kept for the day it is gone from the plugins folder: {error}", path.display());
        }
        let mut loaded = lock(&self.loaded);
        loaded.retain(|_, component| component.strong_count() > 0);
        loaded.insert(digest, Arc::downgrade(&component));
        Ok(component)
    }

    fn find(&self, digest: &Digest) -> Option<Arc<Component>> {
        lock(&self.loaded).get(digest).and_then(Weak::upgrade)
    }

    /// Machine code from the cache, else compiled and put there.
    fn code(&self, kind: EngineKind, bytes: &[u8], digest: &Digest) -> wasmtime::Result<Code> {
        let engine = &self.engines.get(kind).engine;
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        let path = self.compiled.join(file_name(digest, &format!("{:016x}.cwasm", hasher.finish())));
        let cached = || {
            path.exists().then(|| deserialize(engine, &path)).and_then(|code| match code {
                Ok(code) => Some(code),
                Err(error) => {
                    tracing::warn!("{}: compiled code is unusable and is made anew: {error:#}", path.display());
                    None
                }
            })
        };
        if let Some(code) = cached() {
            return Ok(code);
        }
        self.compiler.install(|| {
            // Others who wanted the same code may have had their turn before.
            if let Some(code) = cached() {
                return Ok(code);
            }
            let compiled = engine.precompile_component(bytes)?;
            match write_aside(&path, &compiled) {
                Ok(()) => deserialize(engine, &path),
                Err(error) => {
                    tracing::warn!("{}: compiled code can't be kept, so every start compiles anew: {error}", path.display());
                    Code::new(engine, bytes)
                }
            }
        })
    }

    fn keep(&self, digest: &Digest, bytes: &[u8]) -> std::io::Result<()> {
        let path = self.kept.join(file_name(digest, "wasm"));
        if path.exists() { Ok(()) } else { write_aside(&path, bytes) }
    }

    fn prune(&self, used: &[Digest]) {
        let keep: Vec<&str> = used.iter().map(hex_part).collect();
        let mut entries: Vec<(std::time::SystemTime, u64, PathBuf)> = [&self.kept, &self.compiled]
            .into_iter()
            .filter_map(|folder| fs::read_dir(folder).ok())
            .flatten()
            .flatten()
            .filter_map(|entry| {
                let meta = entry.metadata().ok()?;
                Some((meta.modified().ok()?, meta.len(), entry.path()))
            })
            .collect();
        entries.sort();
        let mut total: u64 = entries.iter().map(|(_, size, _)| size).sum();
        for (_, size, path) in entries {
            if total <= KEPT_BYTES {
                return;
            }
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if keep.iter().any(|digest| name.starts_with(digest)) {
                continue;
            }
            // What can't be removed stays and is tried again the next time.
            if fs::remove_file(&path).is_ok() {
                total -= size;
            }
        }
    }
}

fn remember(known: &mut HashMap<FileId, Digest>, id: FileId, digest: Digest) {
    // Old ids are of files that were replaced: hashing one again is cheaper than keeping them all.
    if known.len() >= KNOWN_FILES {
        known.clear();
    }
    known.insert(id, digest);
}

/// A component on the engine that fits it. `code`: its machine code for an engine.
fn build(
    engines: &Engines,
    path: &Path,
    bytes: &[u8],
    digest: &Digest,
    code: impl Fn(EngineKind) -> wasmtime::Result<Code>,
) -> Result<Component, ComponentError> {
    let size = bytes.len() as u64;
    let mut kind = if size > LEAN_COMPONENT_BYTES { EngineKind::General } else { EngineKind::Lean };
    loop {
        let runtime = engines.get(kind);
        let code = match code(kind) {
            Ok(code) => code,
            // The lean engine refuses what only the general one knows.
            Err(_) if kind == EngineKind::Lean => {
                kind = EngineKind::General;
                continue;
            }
            Err(error) => return Err(invalid(path, broken(&error))),
        };
        let surface = Surface::of(&code, &runtime.engine);
        if surface.asynchronous && kind == EngineKind::Lean {
            kind = EngineKind::General;
            continue;
        }
        return Component::link(runtime, &code, surface, digest.clone(), size).map_err(|reason| invalid(path, reason));
    }
}

/// Maps machine code from a file of ours.
#[allow(
    unsafe_code,
    reason = "the one unsafe spot: maps code this host wrote itself into its own 0700 folder, renamed whole and never rewritten"
)]
fn deserialize(engine: &wasmtime::Engine, path: &Path) -> wasmtime::Result<Code> {
    // SAFETY: only `write_aside` creates files in compiled/, from this engine's own output; wasmtime checks version and settings.
    unsafe { Code::deserialize_file(engine, path) }
}

fn write_aside(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    // A name of its own: two who write the same file at once must not write into each other's.
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let aside = path.with_extension(format!("{}-{}.new", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)));
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&aside)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all()).and_then(|()| fs::rename(&aside, path));
    if written.is_err() {
        // A full disk gets back what was written of it.
        let _ = fs::remove_file(&aside);
    }
    written
}

fn read(path: &Path) -> Result<Vec<u8>, ComponentError> {
    let readable = |meta: std::io::Result<fs::Metadata>| match meta.map_err(|error| unreadable(path, &error))? {
        meta if meta.is_dir() => Err(invalid(path, "is a folder, not a component".to_owned())),
        meta if !meta.is_file() => Err(invalid(path, "is not a regular file".to_owned())),
        meta if meta.len() > MAX_COMPONENT_BYTES => {
            Err(invalid(path, format!("has {} MiB; a component has {} MiB at most", meta.len() >> 20, MAX_COMPONENT_BYTES >> 20)))
        }
        _ => Ok(()),
    };
    readable(fs::metadata(path))?;
    // What was a file a moment ago may be a pipe by now: opening one must not wait for its writer.
    let flags = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or_default();
    let file = fs::OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(|error| unreadable(path, &error))?;
    readable(file.metadata())?;
    let mut bytes = Vec::new();
    // The size is checked again while reading: the file may grow.
    file.take(MAX_COMPONENT_BYTES).read_to_end(&mut bytes).map_err(|error| unreadable(path, &error))?;
    match describe(&bytes) {
        Some(reason) => Err(invalid(path, reason)),
        None => Ok(bytes),
    }
}

fn file_id(path: &Path) -> Result<FileId, ComponentError> {
    let meta = fs::metadata(path).map_err(|error| unreadable(path, &error))?;
    Ok(FileId {
        device: meta.dev(),
        inode: meta.ino(),
        size: meta.size(),
        modified: (meta.mtime(), meta.mtime_nsec()),
        changed: (meta.ctime(), meta.ctime_nsec()),
    })
}

fn unreadable(path: &Path, error: &std::io::Error) -> ComponentError {
    let reason = match error.kind() {
        std::io::ErrorKind::NotFound if path.is_symlink() => "is a link to a file that is not there".to_owned(),
        std::io::ErrorKind::NotFound => "does not exist".to_owned(),
        _ => format!("can't be read: {error}"),
    };
    ComponentError::Unreadable { path: shown(path), reason }
}

fn invalid(path: &Path, reason: String) -> ComponentError {
    ComponentError::Invalid { path: shown(path), reason }
}

fn shown(path: &Path) -> String {
    path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned())
}

/// The compiler's word on a file, as a person reads it.
fn broken(error: &wasmtime::Error) -> String {
    let reason = error.root_cause().to_string();
    let reason = reason.lines().next().unwrap_or_default();
    // A section that reaches past the end, or an end in the middle of one.
    let cut = reason.contains("unexpected end") || reason.starts_with("section range");
    format!("{}: {reason}", if cut { "is truncated" } else { "is not a valid component" })
}

fn digest(bytes: &[u8]) -> Digest {
    Digest(format!("sha256:{}", hex(&Sha256::digest(bytes))).into())
}

fn hex_part(digest: &Digest) -> &str {
    digest.0.strip_prefix("sha256:").unwrap_or(&digest.0)
}

fn file_name(digest: &Digest, suffix: &str) -> String {
    format!("{}.{suffix}", hex_part(digest))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
