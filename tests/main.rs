//! tests
mod manifest; // manifests: text in, checked specs and problems out; edits; differences
