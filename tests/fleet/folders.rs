//! The manifests folder as files: what is read, what is refused, and what a write leaves behind.

use std::{
    fs,
    os::unix::{ffi::OsStrExt, fs::PermissionsExt},
    path::Path,
    sync::Arc,
};

use skep::{
    fleet::folder::{Edit, Look, WriteError, is_manifest, list, look, write},
    manifest::MAX_FILE_BYTES,
};

fn refused(dir: &Path, name: &str) -> String {
    match look(dir, name, None) {
        Look::Unusable { problem, .. } => problem.to_string(),
        other => panic!("{name} was not refused: {other:?}"),
    }
}

fn edit(file: &str, text: Option<&str>) -> Edit {
    Edit { file: file.into(), text: text.map(Into::into), was: None }
}

#[test]
fn hidden_backup_and_swap_files_are_no_manifests() {
    for name in ["a.toml", "A b.toml", "a.b.toml"] {
        assert!(is_manifest(name), "{name}");
    }
    for name in [".a.toml", ".#a.toml", "#a.toml#", "a.toml~", ".a.toml.swp", "a.toml.bak", "a.toml.swp", "a.txt", ".toml", "toml"] {
        assert!(!is_manifest(name), "{name}");
    }
}

#[test]
fn what_is_no_manifest_names_the_file_and_the_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::create_dir(at("dir.toml")).unwrap();
    assert_eq!(
        refused(dir.path(), "dir.toml"),
        "dir.toml: is a directory, not a manifest (hint: rename it so that its name doesn't end in .toml, or remove it)"
    );
    fs::write(at("latin.toml"), b"# one\nname = \"caf\xe9\"\n").unwrap();
    assert_eq!(refused(dir.path(), "latin.toml"), "latin.toml: is not UTF-8 text (line 2, byte 17) (hint: save it as UTF-8)");
    fs::File::create(at("big.toml")).unwrap().set_len(10 << 20).unwrap();
    assert!(refused(dir.path(), "big.toml").contains("has 10485760 bytes; a manifest has at most 8388608 (8 MiB) (hint: split it"));
    fs::File::create(at("full.toml")).unwrap().set_len(MAX_FILE_BYTES).unwrap();
    assert!(matches!(look(dir.path(), "full.toml", None), Look::Text { .. }));
    std::os::unix::fs::symlink("nowhere", at("link.toml")).unwrap();
    assert!(refused(dir.path(), "link.toml").contains("is a link to a file that is not there"));
    std::os::unix::fs::symlink("/dev/zero", at("zero.toml")).unwrap();
    assert!(refused(dir.path(), "zero.toml").contains("is not a regular file"));
    rustix::fs::mknodat(rustix::fs::CWD, at("pipe.toml"), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    assert!(refused(dir.path(), "pipe.toml").contains("is not a regular file"), "and nobody waited for its writer");
    assert_eq!(look(dir.path(), "absent.toml", None), Look::Absent);
}

#[test]
fn a_listing_is_sorted_and_tells_names_it_cannot_read() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["b.toml", "a.toml", ".hidden.toml", "notes.txt"] {
        fs::write(dir.path().join(name), "").unwrap();
    }
    fs::write(dir.path().join(std::ffi::OsStr::from_bytes(b"\xff.toml")), "").unwrap();
    let listing = list(dir.path()).unwrap();
    assert_eq!(listing.names, ["a.toml", "b.toml"].map(Arc::from));
    assert!(listing.problems[0].to_string().ends_with("the file's name is not UTF-8 (hint: rename it)"));
    assert!(list(&dir.path().join("gone")).unwrap_err().to_string().contains("the manifests folder can't be read"));
}

#[test]
fn a_known_stamp_spares_the_reading() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a.toml"), "# one").unwrap();
    let Look::Text { stamp, .. } = look(dir.path(), "a.toml", None) else { panic!("it can be read") };
    assert_eq!(look(dir.path(), "a.toml", Some(stamp)), Look::Same);
    fs::write(dir.path().join("a.toml"), "# longer").unwrap();
    assert!(matches!(look(dir.path(), "a.toml", Some(stamp)), Look::Text { .. }));
}

#[test]
fn a_write_keeps_mode_and_link_and_leaves_no_draft() {
    let dir = tempfile::tempdir().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let target = elsewhere.path().join("real.toml");
    fs::write(&target, "# old").unwrap();
    fs::set_permissions(&target, fs::Permissions::from_mode(0o640)).unwrap();
    std::os::unix::fs::symlink(&target, dir.path().join("a.toml")).unwrap();
    let Look::Text { stamp, .. } = look(dir.path(), "a.toml", None) else { panic!("links are followed") };
    let stamps = write(dir.path(), &[Edit { was: Some(stamp), ..edit("a.toml", Some("# new")) }, edit("b.toml", Some("# b"))]).unwrap();
    assert_eq!(fs::read_to_string(&target).unwrap(), "# new");
    assert!(dir.path().join("a.toml").is_symlink());
    assert_eq!(fs::metadata(&target).unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(look(dir.path(), "a.toml", Some(stamps["a.toml"])), Look::Same, "its own write is no news");
    for folder in [dir.path(), elsewhere.path()] {
        let drafts = fs::read_dir(folder).unwrap().filter(|entry| entry.as_ref().unwrap().file_name().as_bytes().starts_with(b"."));
        assert_eq!(drafts.count(), 0);
    }
}

#[test]
fn somebody_elses_edit_is_not_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a.toml"), "# theirs").unwrap();
    let edits = [edit("b.toml", Some("# b")), edit("a.toml", Some("# ours"))];
    assert!(matches!(write(dir.path(), &edits), Err(WriteError::Changed(file)) if &*file == "a.toml"));
    assert_eq!(fs::read_to_string(dir.path().join("a.toml")).unwrap(), "# theirs");
    assert!(!dir.path().join("b.toml").exists(), "all or nothing");
}
