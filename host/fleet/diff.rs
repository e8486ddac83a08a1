//! What leads from one desired state to another, as values: removals first, then the rest in file and list order.
//!
//! Pure. A worker that stays as it is appears nowhere, wherever its text moved to; flipped changes lead back.

use std::sync::Arc;

use super::desired::{Desired, Unit};
use crate::{
    facts::{Name, Step, Verb},
    manifest,
};

/// What happens to one worker.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    Remove(Unit),
    Create(Unit),
    /// Something that needs a fresh incarnation differs.
    Update {
        from: Unit,
        to: Unit,
    },
    /// Only the component's bytes differ (and maybe live fields).
    Roll {
        from: Unit,
        to: Unit,
    },
    /// Only live fields differ: no restart.
    Amend {
        from: Unit,
        to: Unit,
    },
    /// Only the note on why it is held back differs: nothing that a plan would list.
    Note {
        from: Unit,
        to: Unit,
    },
}

impl Change {
    /// The change that undoes this one.
    pub fn flip(self) -> Self {
        match self {
            Self::Remove(unit) => Self::Create(unit),
            Self::Create(unit) => Self::Remove(unit),
            Self::Update { from, to } => Self::Update { from: to, to: from },
            Self::Roll { from, to } => Self::Roll { from: to, to: from },
            Self::Amend { from, to } => Self::Amend { from: to, to: from },
            Self::Note { from, to } => Self::Note { from: to, to: from },
        }
    }

    pub fn worker(&self) -> &Name {
        match self {
            Self::Remove(unit) | Self::Create(unit) => &unit.spec.name,
            Self::Update { to, .. } | Self::Roll { to, .. } | Self::Amend { to, .. } | Self::Note { to, .. } => &to.spec.name,
        }
    }

    /// What a plan says of it; None for a note.
    pub fn verb(&self) -> Option<Verb> {
        match self {
            Self::Remove(_) => Some(Verb::Remove),
            Self::Create(_) => Some(Verb::Create),
            Self::Update { .. } => Some(Verb::Update),
            Self::Roll { .. } => Some(Verb::Roll),
            Self::Amend { .. } => Some(Verb::Amend),
            Self::Note { .. } => None,
        }
    }

    /// The line of a plan, with the fields that differ; None for a note.
    pub fn step(&self) -> Option<Step> {
        let changes = match self {
            Self::Remove(_) | Self::Create(_) | Self::Note { .. } => Vec::new(),
            Self::Update { from, to } | Self::Roll { from, to } | Self::Amend { from, to } => fields(from, to),
        };
        Some(Step { verb: self.verb()?, worker: self.worker().clone(), changes })
    }
}

/// All changes from `old` to `new`.
pub fn diff(old: &Desired, new: &Desired) -> Vec<Change> {
    let gone = old.units().iter().filter(|unit| new.unit(&unit.spec.name).is_none());
    let mut changes: Vec<Change> = gone.cloned().map(Change::Remove).collect();
    changes.extend(new.units().iter().filter_map(|to| match old.unit(&to.spec.name) {
        None => Some(Change::Create(to.clone())),
        Some(from) => between(from, to),
    }));
    changes
}

/// The changes that lead back, in an order that can be carried out.
pub fn flip(changes: Vec<Change>) -> Vec<Change> {
    let (mut back, rest): (Vec<_>, Vec<_>) = changes.into_iter().map(Change::flip).partition(|change| matches!(change, Change::Remove(_)));
    back.extend(rest);
    back
}

/// The fields that differ, and the bytes.
fn fields(from: &Unit, to: &Unit) -> Vec<String> {
    let mut fields = manifest::spec::differences(&from.spec, &to.spec);
    if from.digest != to.digest {
        fields.push(format!("component digest: {} -> {}", from.digest, to.digest));
    }
    fields
}

fn between(from: &Unit, to: &Unit) -> Option<Change> {
    // Unchanged text keeps its Arc, so that 9,999 of 10,000 workers cost a pointer comparison.
    let same = Arc::ptr_eq(&from.spec, &to.spec);
    let same_run = same || Arc::ptr_eq(&from.spec.run, &to.spec.run) || from.spec.run == to.spec.run;
    let same_live = same || from.spec.live == to.spec.live;
    let (same_bytes, same_note) = (from.digest == to.digest, from.held_back == to.held_back);
    if same_run && same_live && same_bytes && same_note {
        return None;
    }
    let (from, to) = (from.clone(), to.clone());
    Some(if !same_run {
        Change::Update { from, to }
    } else if !same_bytes {
        Change::Roll { from, to }
    } else if !same_live {
        Change::Amend { from, to }
    } else {
        Change::Note { from, to }
    })
}
