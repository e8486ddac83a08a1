//! The bounds of one instance: memory, tables and handles. Growth past a bound is refused (the guest's allocator sees it), and
//! remembered, because what follows a refusal is usually a trap that would otherwise look like a plain panic.
//!
//! Must not know why an instance runs.

use wasmtime::ResourceLimiter;

/// Open handles (streams, requests, fields …) an instance may hold.
pub const MAX_HANDLES: usize = 4_096;
/// Bytes a guest may pass to the host in one call.
pub const MAX_CALL_BYTES: usize = 20 << 20;
/// Table elements (function pointers) an instance may hold.
const MAX_TABLE_ELEMENTS: usize = 100_000;

/// A size as people say it: whole mebibytes where it is whole, else kibibytes.
pub(super) fn size(bytes: usize) -> String {
    if bytes.is_multiple_of(1 << 20) { format!("{} MiB", bytes >> 20) } else { format!("{} KiB", bytes.div_ceil(1 << 10)) }
}

/// Memory accounting of one Store, all its linear memories together.
#[derive(Debug)]
pub struct MemoryLimit {
    cap_bytes: usize,
    used_bytes: usize,
    peak_bytes: usize,
    refused_bytes: Option<usize>,
}

impl MemoryLimit {
    pub fn new(cap_bytes: u64) -> Self {
        let cap_bytes = usize::try_from(cap_bytes).unwrap_or(usize::MAX);
        Self { cap_bytes, used_bytes: 0, peak_bytes: 0, refused_bytes: None }
    }

    pub fn cap_bytes(&self) -> usize {
        self.cap_bytes
    }

    pub fn peak_bytes(&self) -> u64 {
        self.peak_bytes as u64
    }

    /// The size asked for when growth was last refused since [`Self::forget_refusal`].
    pub fn refused_bytes(&self) -> Option<usize> {
        self.refused_bytes
    }

    /// A refusal explains traps of its own event only.
    pub fn forget_refusal(&mut self) {
        self.refused_bytes = None;
    }
}

impl ResourceLimiter for MemoryLimit {
    fn memory_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let total = self.used_bytes.saturating_add(desired.saturating_sub(current));
        if total > self.cap_bytes {
            self.refused_bytes = Some(total);
            return Ok(false);
        }
        self.used_bytes = total;
        self.peak_bytes = self.peak_bytes.max(total);
        Ok(true)
    }

    fn memory_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        // The pool's slot is smaller than the cap: the same thing to the guest.
        self.refused_bytes.get_or_insert(self.used_bytes);
        Ok(())
    }

    fn table_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        Ok(desired <= MAX_TABLE_ELEMENTS)
    }
}
