//! What a generation remembers beside its manifests: which bytes each component stood for, which were refused, and how far undo went.
//!
//! Kept as one more file of the generation, under a name no manifest can have. Must not fail a start: what can't be read is forgotten.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

use super::rollover::Refusal;
use crate::{facts::Digest, store::Generation};

/// The name of the extra file.
pub const FILE: &str = ".components";

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    /// The generation whose texts an undo brought back, when an undo made this one.
    pub undone_to: Option<u64>,
    /// Component file → the bytes it stood for.
    pub digests: BTreeMap<Arc<str>, Digest>,
    /// Component file → bytes that were taken back.
    refused: BTreeMap<Arc<str>, Refused>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Refused {
    digest: Digest,
    reason: String,
}

impl Memory {
    pub fn of(generation: &Generation) -> Self {
        let text = generation.files.iter().find(|(file, _)| &**file == FILE);
        text.and_then(|(_, text)| toml::from_str(text).ok()).unwrap_or_default()
    }

    /// As a file of a generation. Err: a sentence (no content of ours makes it fail).
    pub fn text(&self) -> Result<String, String> {
        toml::to_string(self).map_err(|error| error.to_string())
    }

    /// Do both say the same of every component?
    pub fn same_components(&self, other: &Self) -> bool {
        self.digests == other.digests && self.refused == other.refused
    }

    pub fn refuse(&mut self, component: Arc<str>, refusal: &Refusal) {
        self.refused.insert(component, Refused { digest: refusal.digest.clone(), reason: refusal.reason.clone() });
    }

    pub fn refused(&self, component: &str) -> Option<Refusal> {
        self.refused.get(component).map(|refused| Refusal { digest: refused.digest.clone(), reason: refused.reason.clone() })
    }
}

/// The manifests of a generation, without what is remembered beside them.
pub fn manifests(generation: &Generation) -> impl Iterator<Item = &(Arc<str>, Arc<str>)> {
    generation.files.iter().filter(|(file, _)| !file.starts_with('.'))
}
