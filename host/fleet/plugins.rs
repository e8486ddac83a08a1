//! The plugins folder as files: is a component there, does it load, and what could have been meant when it isn't.
//!
//! Must not decide what runs.

use std::{path::Path, sync::Arc};

use super::{
    fault::Fault,
    folder::Stamp,
    lower::{Loader, Part},
};
use crate::{manifest::hints, worker::ComponentError};

/// Files looked through for a hint.
const FILES_LOOKED_AT: usize = 1_000;
/// Files named in a hint.
const FILES_NAMED: usize = 8;

/// What tells whether a component's file may have changed; None when it is missing.
pub async fn stamp(dir: &Path, name: &str) -> Option<Stamp> {
    tokio::fs::metadata(dir.join(name)).await.ok().map(|metadata| Stamp::of(&metadata))
}

/// Loads a component's file. Err: what a manifest problem says.
pub async fn load<C: Part>(dir: &Path, name: &str, loader: &dyn Loader<C>) -> Result<Arc<C>, Fault> {
    if Path::new(name).file_name().is_none_or(|plain| plain != name) {
        return Err(Fault::component("is not a file name", Some("name a file in the plugins folder, without folders".to_owned())));
    }
    let path = dir.join(name);
    if !tokio::fs::try_exists(&path).await.unwrap_or(true) {
        if tokio::fs::symlink_metadata(&path).await.is_ok() {
            return Err(Fault::component("is a link to a file that is not there", Some("mend the link".to_owned())));
        }
        return Err(Fault::component("is not in the plugins folder", Some(hint(dir, name).await)));
    }
    loader.load_file(&path).await.map_err(|error| match error {
        ComponentError::Unreadable { reason, .. } | ComponentError::Invalid { reason, .. } => Fault::component(reason, None),
    })
}

async fn hint(dir: &Path, name: &str) -> String {
    let there = available(dir).await;
    if let Some(nearest) = hints::nearest(name, there.iter().map(String::as_str)) {
        return format!("did you mean \"{nearest}\"?");
    }
    if there.is_empty() {
        return format!("put {name} into {}; it has no .wasm file yet", dir.display());
    }
    let more = if there.len() > FILES_NAMED { ", …" } else { "" };
    let named: Vec<&str> = there.iter().take(FILES_NAMED).map(String::as_str).collect();
    format!("put it into {}, or name one that is there: {}{more}", dir.display(), named.join(", "))
}

async fn available(dir: &Path) -> Vec<String> {
    let mut names = Vec::new();
    let Ok(mut entries) = tokio::fs::read_dir(dir).await else {
        return names;
    };
    while let Ok(Some(entry)) = entries.next_entry().await {
        match entry.file_name().into_string() {
            Ok(name) if name.ends_with(".wasm") && !name.starts_with('.') => names.push(name),
            _ => {}
        }
        if names.len() >= FILES_LOOKED_AT {
            break;
        }
    }
    names.sort_unstable();
    names
}
