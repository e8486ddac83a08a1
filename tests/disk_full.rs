//! A full disk: every caller is told, what was answered stays, nothing is corrupt, and it works again once there is room.
//!
//! The disk is a small tmpfs in a mount namespace of its own, made as root or as a user who may have namespaces. Where neither may, a
//! limit on the size of files makes writes fail instead. The scene runs in another process of this test binary.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use skep::store::{Expect, Health, Kv, Store, StoreError, StoreSettings, Swapped, examine};
use tempfile::TempDir;

use crate::support::{Host, text};

/// Tells the process inside how its disk is small: `tmpfs` or `limit`.
pub const SMALL: &str = "SKEP_TEST_SMALL_DISK";
const DISK_BYTES: u64 = 64 << 20;
/// What the store may take of it in the scene.
const ROOM_BYTES: u64 = 12 << 20;
const VALUE_BYTES: usize = 60_000;

/// Runs an ignored test, named with its module, on a small disk, if such a disk can be had by `how`.
fn inside(how: &str, prepare: &[&str], scene: &str) -> bool {
    let folder = TempDir::new().unwrap();
    let [command, arguments @ ..] = prepare else { panic!("no command") };
    let output = Command::new(command)
        .args(arguments)
        .arg(folder.path())
        .arg(std::env::current_exe().unwrap())
        .args([scene, "--exact", "--ignored", "--nocapture"])
        .env(SMALL, how)
        .env("TMPDIR", folder.path())
        .stdin(Stdio::null())
        .output();
    let Ok(output) = output else { return false };
    let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
    // What the scripts below say when there can be no such disk.
    if !said.contains("running 1 test") {
        println!("no {how} by {prepare:?}: {said}");
        return false;
    }
    assert!(output.status.success() && said.contains("1 passed"), "on a small disk ({how}):\n{said}");
    true
}

const MOUNT: &str = r#"mount -t tmpfs -o size=64m,mode=700 tmpfs "$0" || exit 77; exec "$@""#;
/// Past the limit a write is to fail, not to end the process.
const IGNORE: &str = r#"trap '' XFSZ; exec "$@""#;

pub fn on_tmpfs(scene: &str) -> bool {
    inside("tmpfs", &["unshare", "--mount", "sh", "-c", MOUNT], scene)
        || inside("tmpfs", &["unshare", "--mount", "--map-root-user", "sh", "-c", MOUNT], scene)
}

#[test]
fn a_full_disk_is_told_harms_nothing_and_is_over_once_there_is_room() {
    assert!(
        on_tmpfs("disk_full::the_store") || inside("limit", &["sh", "-c", IGNORE], "disk_full::the_store"),
        "no way to make writes fail here"
    );
}

#[test]
fn the_host_stays_up_on_a_full_disk() {
    if !on_tmpfs("disk_full::the_host") {
        println!("not shown here: it takes a tmpfs, which this user may not mount");
    }
}

/// A disk that can be full, and not.
pub struct Disk {
    limit: bool,
    ballast: PathBuf,
}

impl Disk {
    pub fn here(how: &str, folder: &Path) -> Self {
        Self { limit: how == "limit", ballast: folder.join("ballast") }
    }

    /// Leaves `bytes` of room.
    pub fn fill(&self, bytes: u64) {
        if self.limit {
            return limit_files(Some(bytes / 2));
        }
        let free = || {
            let disk = rustix::fs::statvfs(self.ballast.parent().unwrap()).unwrap();
            disk.f_bavail * disk.f_frsize
        };
        assert!(free() <= DISK_BYTES, "this is no small disk");
        fs::write(&self.ballast, vec![1; usize::try_from(free() - bytes).unwrap()]).unwrap();
    }

    pub fn empty(&self) {
        if self.limit {
            return limit_files(None);
        }
        fs::remove_file(&self.ballast).unwrap();
    }
}

fn limit_files(bytes: Option<u64>) {
    let maximum = getrlimit(Resource::Fsize).maximum;
    setrlimit(Resource::Fsize, Rlimit { current: bytes.or(maximum), maximum }).unwrap();
}

fn settings(dir: &Path) -> StoreSettings {
    StoreSettings { dir: dir.to_owned(), history_bytes: 64 << 20, history_days: 14 }
}

/// Writes until the disk says no; answers what it said.
async fn until_full(store: &Store, kept: &mut BTreeMap<String, Vec<u8>>) -> StoreError {
    for n in 0..10_000u32 {
        let (key, value) = (format!("large-{n}"), vec![n.to_le_bytes()[0]; VALUE_BYTES]);
        match store.set("b", &key, value.clone().into(), None, Expect::Anything).await {
            Ok(Swapped::Set(_)) => drop(kept.insert(key, value)),
            Ok(conflict) => panic!("{conflict:?}"),
            Err(error) => return error,
        }
    }
    panic!("the disk never was full");
}

async fn all_there(store: &Store, kept: &BTreeMap<String, Vec<u8>>) {
    let mut found = BTreeMap::new();
    let mut after = None;
    loop {
        let page = store.entries("b", "", after.take(), 1_000).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.key.clone());
        found.extend(page.into_iter().map(|entry| (entry.key, entry.value.to_vec())));
    }
    assert!(found == *kept, "kept {:?}, found {:?}", kept.keys(), found.keys());
    let bucket = store.buckets().await.unwrap().remove(0);
    let bytes: usize = kept.iter().map(|(key, value)| key.len() + value.len()).sum();
    assert_eq!((bucket.keys, bucket.bytes), (kept.len() as u64, bytes as u64));
}

#[tokio::test]
#[ignore = "run by the tests above, on a small disk"]
async fn the_store() {
    let Ok(how) = std::env::var(SMALL) else { return };
    let folder = TempDir::new().unwrap();
    let disk = Disk::here(&how, folder.path());
    let dir = folder.path().join("data");
    let mut kept = BTreeMap::from([("n".to_owned(), b"1".to_vec())]);
    let store = Store::open(settings(&dir)).unwrap();
    store.increment("b", vec!["n".into()], 1).await.unwrap();

    for round in 0..3 {
        disk.fill(ROOM_BYTES);
        let refusal = until_full(&store, &mut kept).await;
        let sentence = refusal.to_string();
        assert!(sentence.contains("control.db"), "{sentence}");
        if how == "tmpfs" {
            assert!(matches!(refusal, StoreError::Full(_)) && sentence.contains("no room is left on its disk"), "{sentence}");
        }
        // Many at once, some too large for what room is left: each its own answer, and reads go on.
        let (keys, value) = ((0..20).map(|n| format!("round-{round}-{n}")), vec![7; VALUE_BYTES]);
        let asked: Vec<_> = keys.map(|key| (store.set("b", &key, value.clone().into(), None, Expect::Absent), key)).collect();
        let mut told = 0;
        for (answer, key) in asked {
            match answer.await {
                Ok(done) => {
                    assert!(matches!(done, Swapped::Set(_)), "{key}: {done:?}");
                    kept.insert(key, value.clone());
                }
                Err(_) => told += 1,
            }
        }
        assert!(told > 0);
        all_there(&store, &kept).await;

        disk.empty();
        store.increment("b", vec!["n".into()], 1).await.unwrap();
        kept.insert("n".into(), (round + 2).to_string().into_bytes());
        all_there(&store, &kept).await;
        // Room again: the large ones go, so that the next round has something to fill.
        for key in kept.keys().filter(|key| *key != "n") {
            assert!(store.delete("b", key).await.unwrap(), "{key}");
        }
        kept.retain(|key, _| key == "n");
    }
    store.close().await.unwrap();
    drop(store);

    // A start on a full disk is refused in plain words, and nothing is lost by it.
    disk.fill(0);
    if how == "tmpfs" {
        let sentence = Store::open(settings(&dir)).unwrap_err().to_string();
        assert!(sentence.contains("no room is left on its disk"), "{sentence}");
    }
    disk.empty();
    let store = Store::open(settings(&dir)).unwrap();
    all_there(&store, &kept).await;
    store.close().await.unwrap();
    let looked = examine(&dir, std::time::Duration::from_secs(60));
    assert!(looked.iter().all(|(_, health)| *health == Health::Sound), "{looked:?}");
}

#[test]
#[ignore = "run by the tests above, on a small disk"]
fn the_host() {
    if std::env::var(SMALL).is_err() {
        return;
    }
    let host = Host::with(&["poller"]);
    let manifest = |name: &str| {
        format!("[[worker]]\nname = \"{name}\"\ncomponent = \"poller.wasm\"\nschedule = {{ every = \"1h\" }}\nconfig = {{ urls = [] }}\n")
    };
    host.drop_manifest("before.toml", &manifest("before"));
    host.worker_when("before", "running", |worker| worker["state"] == "running");
    let source = host.data().join("after.source");
    fs::write(&source, manifest("after")).unwrap();
    let disk = Disk::here("tmpfs", host.data());
    disk.fill(0);
    let output = host.run(&["apply", "-f", source.to_str().unwrap()]);
    let said = text(&output.stderr);
    assert!(!output.status.success(), "{said}");
    assert!(said.contains("No space left on device") || said.contains("no room is left"), "{said}");
    assert_eq!(host.worker("before").unwrap()["state"], "running");
    assert!(host.ok(&["tick", "before"]).contains("before"));
    disk.empty();
    host.ok(&["apply", "-f", source.to_str().unwrap()]);
    host.worker_when("after", "running", |worker| worker["state"] == "running");
}
