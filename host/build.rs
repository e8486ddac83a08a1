//! Lists the page's files for the binary: every file below host/api/page/assets, under its path there. Must not change a byte of them.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

const ASSETS: &str = "host/api/page/assets";

fn main() -> io::Result<()> {
    // A file that is added or taken away is a change of the folder.
    println!("cargo::rerun-if-changed={ASSETS}");
    println!("cargo::rerun-if-changed=host/build.rs");
    let variable = |name: &str| env::var_os(name).map(PathBuf::from).ok_or_else(|| io::Error::other(format!("{name} is not set")));
    let assets = variable("CARGO_MANIFEST_DIR")?.join(ASSETS);
    let mut files = Vec::new();
    list(&assets, "", &mut files)?;
    files.sort();
    let line = |(name, path): &(String, PathBuf)| format!("    ({name:?}, include_bytes!({path:?})),\n");
    let lines: String = files.iter().map(line).collect();
    fs::write(variable("OUT_DIR")?.join("assets.rs"), format!("&[\n{lines}]\n"))
}

fn list(folder: &Path, below: &str, files: &mut Vec<(String, PathBuf)>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().into_string().map_err(|name| io::Error::other(format!("{name:?} is not UTF-8")))?;
        // What editors and file managers leave is no part of the page.
        if name.starts_with('.') || name.ends_with('~') {
            continue;
        }
        match entry.file_type()?.is_dir() {
            true => list(&entry.path(), &format!("{below}{name}/"), files)?,
            false => files.push((format!("{below}{name}"), entry.path())),
        }
    }
    Ok(())
}
