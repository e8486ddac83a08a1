//! The page's files, as they are in the binary. What a browser needs to know of each follows from its name.
//!
//! Must not read anything at run time, and must not change a byte: what is in `assets/` is what browsers get.

use std::{collections::HashMap, sync::LazyLock};

use sha2::{Digest as _, Sha256};

/// Every file below `assets/`, by path, as host/build.rs lists them.
const FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/assets.rs"));

/// One file.
#[derive(Debug)]
pub(super) struct Asset {
    pub bytes: &'static [u8],
    pub kind: &'static str,
    /// Of its bytes: the same as long as they are.
    pub etag: String,
}

pub(super) fn find(path: &str) -> Option<&'static Asset> {
    static ALL: LazyLock<HashMap<&str, Asset>> = LazyLock::new(|| FILES.iter().map(|(path, bytes)| (*path, asset(path, bytes))).collect());
    ALL.get(path)
}

fn asset(path: &str, bytes: &'static [u8]) -> Asset {
    let digest = Sha256::digest(bytes).iter().take(16).fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
    Asset { bytes, kind: kind(path), etag: format!("\"{digest}\"") }
}

fn kind(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("ico") => "image/x-icon",
        Some("woff2") => "font/woff2",
        Some("json" | "map") => "application/json",
        Some("webmanifest") => "application/manifest+json",
        // Licences and notes.
        _ => "text/plain; charset=utf-8",
    }
}
