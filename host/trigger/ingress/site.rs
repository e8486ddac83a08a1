//! One worker as its requests see it: what its manifest says of them, and its counts.
//!
//! Made anew with each change of the manifest; the counts go on.

use std::sync::Arc;

use http::Method;

use super::{access::Counts, gate::WAITING, refusal::Refusal};
use crate::{
    facts::{InstanceMode, Name},
    manifest::spec::WorkerSpec,
};

/// What a worker takes that lists no methods, as far as a list can say.
const USUAL: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

#[derive(Debug)]
pub struct Site {
    pub name: Name,
    pub routes: Vec<String>,
    methods: Vec<String>,
    /// Bytes of a body, either way where it is kept in memory.
    pub body_bytes: u64,
    /// Requests at once, waiting ones included.
    pub most: u32,
    /// Its bodies are kept whole: no client keeps it waiting.
    pub resident: bool,
    paused: bool,
    pub counts: Arc<Counts>,
}

impl Site {
    /// None: the worker takes no requests.
    pub fn new(spec: &WorkerSpec, counts: Arc<Counts>) -> Option<Self> {
        let http = spec.run.http.as_ref()?;
        Some(Self {
            name: spec.name.clone(),
            routes: http.routes.clone(),
            methods: http.methods.clone(),
            body_bytes: http.body_bytes,
            most: http.concurrency.saturating_mul(spec.live.replicas.max(1)).saturating_add(WAITING),
            resident: spec.run.instance == InstanceMode::Resident,
            paused: spec.live.paused,
            counts,
        })
    }

    /// Whether it takes such a request at all. HEAD goes where GET goes.
    pub fn admit(&self, method: &Method) -> Result<(), Refusal> {
        let takes = |method: &str| self.methods.iter().any(|one| one == method);
        let taken = self.methods.is_empty() || takes(method.as_str()) || *method == Method::HEAD && takes("GET");
        // A tunnel is no request to a worker.
        if !taken || *method == Method::CONNECT {
            let allow = if self.methods.is_empty() { USUAL.to_owned() } else { self.methods.join(", ") };
            return Err(Refusal::Method { allow });
        }
        if self.paused { Err(Refusal::Paused) } else { Ok(()) }
    }
}
