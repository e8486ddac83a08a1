//! Components: compiled code, and what it offers and wants, read from its own type.
//!
//! Decides whether a file is something this host can run; never runs it.

use wasmtime::{
    Engine,
    component::{Component as Code, InstancePre, types::ComponentItem},
};

use wasmtime_wasi::p2::bindings::exports::wasi::cli::run;
use wasmtime_wasi_http::p2::bindings::exports::wasi::http::incoming_handler;

use super::{
    engine::{EngineKind, Runtime},
    state::State,
};
use crate::{
    capability::bindings::exports::skep::worker::{call_handler, job_handler, lifecycle, message_handler, schedule_handler},
    facts::Digest,
    manifest::spec::RunSpec,
};

/// Why a file is not a component this host can run: one sentence, made for a manifest problem on field `component`.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ComponentError {
    #[error("{path} {reason}")]
    Unreadable { path: String, reason: String },
    /// Text, a core module, truncated, too large, imports something the host lacks, exports no usable trigger.
    #[error("{path} {reason}")]
    Invalid { path: String, reason: String },
}

/// What a component offers and wants.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Surface {
    pub exports: Vec<String>,
    pub imports: Vec<String>,
    pub lifecycle: bool,
    pub schedule: bool,
    pub call: bool,
    pub jobs: bool,
    pub messages: bool,
    /// `wasi:http/incoming-handler`
    pub http: bool,
    /// `wasi:cli/run`
    pub command: bool,
    /// Uses the asynchronous component ABI (WASI 0.3).
    pub asynchronous: bool,
}

impl Surface {
    pub(super) fn of(code: &Code, engine: &Engine) -> Self {
        let ty = code.component_type();
        let mut surface = Self::default();
        for (name, item) in ty.imports(engine) {
            surface.asynchronous |= is_async(name, &item.ty, engine);
            surface.imports.push(name.to_owned());
        }
        for (name, item) in ty.exports(engine) {
            surface.asynchronous |= is_async(name, &item.ty, engine);
            surface.exports.push(name.to_owned());
            let plain = name.split('@').next().unwrap_or(name);
            match plain {
                "skep:worker/lifecycle" => surface.lifecycle = true,
                "skep:worker/schedule-handler" => surface.schedule = true,
                "skep:worker/call-handler" => surface.call = true,
                "skep:worker/job-handler" => surface.jobs = true,
                "skep:worker/message-handler" => surface.messages = true,
                "wasi:http/incoming-handler" => surface.http = true,
                "wasi:cli/run" => surface.command = true,
                _ => {}
            }
        }
        surface
    }

    /// The triggers it can serve, by their manifest keys.
    pub fn triggers(&self) -> Vec<&'static str> {
        let all = [
            (self.schedule, "schedule"),
            (self.jobs, "jobs"),
            (self.http, "http"),
            (self.messages, "topics"),
            (self.call, "call"),
            (self.command, "command"),
        ];
        all.into_iter().filter_map(|(has, key)| has.then_some(key)).collect()
    }
}

fn is_async(name: &str, item: &ComponentItem, engine: &Engine) -> bool {
    if name.starts_with("wasi:") && name.contains("@0.3") {
        return true;
    }
    match item {
        ComponentItem::ComponentFunc(func) => func.async_(),
        ComponentItem::ComponentInstance(instance) => {
            instance.exports(engine).any(|(_, item)| matches!(item.ty, ComponentItem::ComponentFunc(func) if func.async_()))
        }
        _ => false,
    }
}

/// A compiled component, ready to instantiate.
pub struct Component {
    pub digest: Digest,
    pub surface: Surface,
    /// Size of the `.wasm`.
    pub bytes: u64,
    pub kind: EngineKind,
    pub(super) pre: InstancePre<State>,
    pub(super) lifecycle: Option<lifecycle::GuestIndices>,
    pub(super) schedule: Option<schedule_handler::GuestIndices>,
    pub(super) call: Option<call_handler::GuestIndices>,
    pub(super) jobs: Option<job_handler::GuestIndices>,
    pub(super) messages: Option<message_handler::GuestIndices>,
    pub(super) http: Option<incoming_handler::GuestIndices>,
    pub(super) command: Option<run::GuestIndices>,
}

impl std::fmt::Debug for Component {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Component").field("digest", &self.digest).field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl Component {
    /// Links compiled code. Err: a sentence without the path.
    pub(super) fn link(runtime: &Runtime, code: &Code, surface: Surface, digest: Digest, bytes: u64) -> Result<Self, String> {
        if surface.triggers().is_empty() {
            return Err(format!(
                "exports no trigger this host can serve (found: {}); export a handler of skep:worker, wasi:http/incoming-handler or \
                 wasi:cli/run",
                if surface.exports.is_empty() { "nothing".to_owned() } else { surface.exports.join(", ") }
            ));
        }
        let pre =
            runtime.linker.instantiate_pre(code).map_err(|error| format!("imports something this host lacks: {}", lacking(&error)))?;
        let wrong = |error: wasmtime::Error| format!("exports an interface in another shape than this host's: {error:#}");
        Ok(Self {
            lifecycle: surface.lifecycle.then(|| lifecycle::GuestIndices::new(&pre)).transpose().map_err(wrong)?,
            schedule: surface.schedule.then(|| schedule_handler::GuestIndices::new(&pre)).transpose().map_err(wrong)?,
            call: surface.call.then(|| call_handler::GuestIndices::new(&pre)).transpose().map_err(wrong)?,
            jobs: surface.jobs.then(|| job_handler::GuestIndices::new(&pre)).transpose().map_err(wrong)?,
            messages: surface.messages.then(|| message_handler::GuestIndices::new(&pre)).transpose().map_err(wrong)?,
            http: surface.http.then(|| incoming_handler::GuestIndices::new(&pre)).transpose().map_err(wrong)?,
            command: surface.command.then(|| run::GuestIndices::new(&pre)).transpose().map_err(wrong)?,
            digest,
            surface,
            bytes,
            kind: runtime.kind,
            pre,
        })
    }

    /// Whether every trigger of `run` has its export; the sentence names both.
    pub fn can_serve(&self, run: &RunSpec) -> Result<(), String> {
        let triggers = self.surface.triggers().join(", ");
        let missing = |key: &str, export: &str| Err(format!("{key} needs a component that exports {export}; this one serves: {triggers}"));
        if run.command.is_some() {
            if !self.surface.command {
                return missing("command", "wasi:cli/run");
            }
        } else if run.schedule.is_some() && !self.surface.schedule {
            return missing("schedule", "skep:worker/schedule-handler");
        }
        if run.jobs.is_some() && !self.surface.jobs {
            return missing("jobs", "skep:worker/job-handler");
        }
        if !run.topics.is_empty() && !self.surface.messages {
            return missing("topics", "skep:worker/message-handler");
        }
        if run.http.is_some() && !self.surface.http {
            return missing("http", "wasi:http/incoming-handler");
        }
        let service = run.command.is_some() && run.schedule.is_none();
        if service && (run.jobs.is_some() || run.http.is_some() || !run.topics.is_empty()) {
            return Err(
                "command without a schedule runs for as long as the worker lives and takes no jobs, requests or messages; give it a \
                        schedule, or declare them on a worker of their own"
                    .to_owned(),
            );
        }
        let only_called =
            run.schedule.is_none() && run.jobs.is_none() && run.http.is_none() && run.topics.is_empty() && run.command.is_none();
        if only_called && !self.surface.call {
            return Err(format!(
                "it declares no trigger, and the component exports no skep:worker/call-handler; declare what it serves: {triggers}"
            ));
        }
        Ok(())
    }
}

/// The interface and function that the linker did not find, which the engine names one below the other; else its own words.
fn lacking(error: &wasmtime::Error) -> String {
    let named = |sentence: String| Some(sentence.split_once('`')?.1.split_once('`')?.0.to_owned());
    let names: Vec<String> = error.chain().filter_map(|cause| named(cause.to_string())).collect();
    match names.as_slice() {
        [] => format!("{error:#}"),
        names => names.join(" "),
    }
}

/// How every wasm file begins.
const MAGIC: &[u8] = b"\0asm";

/// What a file really is, when it is not a component: the first bytes tell.
pub(super) fn describe(bytes: &[u8]) -> Option<String> {
    match bytes {
        [] => Some("is empty".to_owned()),
        [0, b'a', b's', b'm', 0x0d, 0, 1, 0, ..] => None,
        [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => Some(
            "is a core wasm module, not a component; build it for wasm32-wasip2, or wrap it with `wasm-tools component new`".to_owned(),
        ),
        _ if MAGIC.starts_with(bytes) || bytes.starts_with(MAGIC) && bytes.len() < 8 => {
            Some(format!("is truncated: it ends after {} bytes", bytes.len()))
        }
        [0, b'a', b's', b'm', ..] => Some("is wasm of a version this host doesn't know".to_owned()),
        _ if bytes.iter().take(512).all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace()) => {
            Some("is text, not wasm".to_owned())
        }
        _ => Some("is not wasm".to_owned()),
    }
}
