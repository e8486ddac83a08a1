//! Keeping a data folder safe: backup while a host runs, damage, the refusal, the doctor, the way back.

use std::{
    fs,
    os::unix::fs::{FileExt, PermissionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use skep::store::{Expect, Health, Kv, Store, StoreSettings, examine};
use tempfile::TempDir;

use crate::support::{Host, eventually, skep, text};

fn settings(dir: &Path) -> StoreSettings {
    StoreSettings { dir: dir.to_owned(), history_bytes: 64 << 20, history_days: 14 }
}

/// Pages in the middle overwritten, as a dying disk does it.
fn damage(path: &Path) {
    let length = fs::metadata(path).unwrap().len();
    assert!(length > 4 * 4_096, "{} has {length} bytes", path.display());
    let file = fs::File::options().write(true).open(path).unwrap();
    for page in 1..length / 4_096 {
        file.write_all_at(&[0xa5; 4_096], page * 4_096).unwrap();
    }
}

/// Runs `skep up` where it must not start; answers its exit code and what it said.
fn refused(host: &Host) -> (Option<i32>, String) {
    let output = host.run(&["up", "--admin", "127.0.0.1:0", "--listen", "127.0.0.1:0"]);
    (output.status.code(), text(&output.stderr))
}

fn path(folder: &Path) -> String {
    folder.display().to_string()
}

fn aside(data: &Path, name: &str) -> Vec<PathBuf> {
    let begin = format!("{name}.replaced-");
    let entries = fs::read_dir(data).unwrap().map(|entry| entry.unwrap().path());
    // Beside a database there may be its log, under the new name too.
    let is_it = |name: &str| name.starts_with(&begin) && !name.ends_with("-wal") && !name.ends_with("-shm");
    entries.filter(|path| is_it(path.file_name().unwrap().to_str().unwrap())).collect()
}

#[test]
fn a_damaged_control_db_is_refused_and_a_backup_brings_the_host_back() {
    let mut host = Host::folders(&["poller"]);
    fs::write(host.data().join("skep.toml"), "drain = \"1s\"\n").unwrap();
    fs::create_dir(host.data().join("secrets")).unwrap();
    fs::write(host.data().join("secrets/token"), "hush").unwrap();
    host.start();
    let manifest = "[[worker]]\nname = \"pages\"\ncomponent = \"poller.wasm\"\nschedule = { every = \"1h\" }\nconfig = { urls = [] }\n";
    host.drop_manifest("pages.toml", manifest);
    host.worker_when("pages", "there", |_| true);
    let mine = |host: &Host| host.ok(&["events"]).lines().filter(|line| line.contains("pages")).count();
    let events = eventually("events are kept", || Some(mine(&host)).filter(|kept| *kept > 0));

    let elsewhere = TempDir::new().unwrap();
    let backup = elsewhere.path().join("monday");
    let said = host.ok(&["backup", &path(&backup)]);
    assert!(said.contains("control.db, 1 manifest, 1 component") && said.contains("left out: secrets/, admin.token"), "{said}");
    let mut names: Vec<_> = fs::read_dir(&backup).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["backup.json", "control.db", "manifests", "plugins", "skep.toml"]);
    assert_eq!(fs::metadata(backup.join("control.db")).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(host.fails(4, &["backup", &path(&backup)]).contains("is there already"));
    let busy = host.fails(4, &["restore", &path(&backup), "--force"]);
    assert!(busy.contains("another skep (pid ") && busy.contains("stop it"), "{busy}");

    assert_eq!(host.stop(), Some(0));
    let control = host.data().join("control.db");
    damage(&control);
    let damaged = fs::read(&control).unwrap();
    let (code, said) = refused(&host);
    assert_eq!(code, Some(1), "{said}");
    for part in [&*path(&control), "damaged", "skep doctor", "skep restore FOLDER --force"] {
        assert!(said.contains(part), "{said:?} should say {part:?}");
    }
    assert_eq!(fs::read(&control).unwrap(), damaged, "left as it was");
    let doctor = host.fails(1, &["doctor"]);
    assert!(doctor.contains("kept state") && doctor.contains("skep restore FOLDER --force"), "{doctor}");

    let asked = host.fails(4, &["restore", &path(&backup)]);
    assert!(asked.contains("would be replaced") && asked.contains("--force"), "{asked}");
    assert_eq!(fs::read(&control).unwrap(), damaged, "nothing moved without --force");
    let said = host.ok(&["restore", &path(&backup), "--force"]);
    assert!(said.contains("moved aside: ") && said.contains("put secrets back"), "{said}");
    let old = aside(host.data(), "control.db");
    assert_eq!(old.len(), 1, "{old:?}");
    assert_eq!(fs::read(&old[0]).unwrap(), damaged, "what was replaced is kept");
    assert_eq!(fs::read_to_string(host.data().join("secrets/token")).unwrap(), "hush");

    host.start();
    host.worker_when("pages", "there", |_| true);
    assert!(mine(&host) >= events);
    assert!(host.run(&["doctor"]).stdout.windows(5).any(|part| part == b"sound"));
}

#[test]
fn a_backup_restores_to_a_new_folder_too() {
    let mut host = Host::with(&["poller"]);
    let elsewhere = TempDir::new().unwrap();
    let (backup, data) = (elsewhere.path().join("b"), elsewhere.path().join("new"));
    assert_eq!(host.stop(), Some(0));
    host.ok(&["backup", &path(&backup)]);
    let output = skep(&["--data", &path(&data), "restore", &path(&backup)]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(data.join("control.db").is_file() && data.join("plugins/poller.wasm").is_file());
    assert!(aside(&data, "control.db").is_empty());
}

#[test]
fn what_is_no_backup_or_a_damaged_one_changes_nothing() {
    let mut host = Host::with(&[]);
    assert_eq!(host.stop(), Some(0));
    let elsewhere = TempDir::new().unwrap();
    let backup = elsewhere.path().join("b");
    let restore = |code| host.fails(code, &["restore", &path(&backup), "--force"]);
    assert!(restore(3).contains("no backup of skep's"));
    host.ok(&["backup", &path(&backup)]);
    let before = fs::read(host.data().join("control.db")).unwrap();
    damage(&backup.join("control.db"));
    let said = restore(4);
    assert!(said.contains("this backup can't be used") && said.contains("damaged"), "{said}");
    fs::write(backup.join("backup.json"), "{}").unwrap();
    restore(4);
    assert_eq!(fs::read(host.data().join("control.db")).unwrap(), before);
    assert!(aside(host.data(), "control.db").is_empty());

    let nothing = TempDir::new().unwrap();
    let output = skep(&["--data", &path(nothing.path()), "backup", &path(&elsewhere.path().join("c"))]);
    assert_eq!(output.status.code(), Some(3), "{}", text(&output.stderr));
    // A damaged folder gives no backup, and no half of one.
    damage(&host.data().join("control.db"));
    host.fails(1, &["backup", &path(&elsewhere.path().join("c"))]);
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 1);
}

#[test]
fn a_damaged_day_of_history_stops_nobody_and_is_named() {
    let mut host = Host::with(&[]);
    assert_eq!(host.stop(), Some(0));
    let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    let day = host.data().join(format!("history/{today}.db"));
    fs::write(&day, "not a database, ".repeat(2_000)).unwrap();
    host.start();
    let output = host.run(&["doctor"]);
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains(&path(&day)) && said.contains("move it aside"), "{said}");
}

#[tokio::test]
async fn a_backup_is_one_moment_while_writes_go_on() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(settings(dir.path())).unwrap();
    let writer = tokio::spawn({
        let store = store.clone();
        async move {
            for _ in 0..400 {
                store.increment("b", vec!["left".into(), "right".into()], 1).await.unwrap();
            }
        }
    });
    let elsewhere = TempDir::new().unwrap();
    let mut copies = Vec::new();
    while !writer.is_finished() || copies.is_empty() {
        let copy = elsewhere.path().join(copies.len().to_string());
        fs::create_dir(&copy).unwrap();
        let (data, to) = (dir.path().to_owned(), copy.join("control.db"));
        tokio::task::spawn_blocking(move || skep::store::copy_control(&data, &to)).await.unwrap().unwrap();
        copies.push(copy);
    }
    writer.await.unwrap();
    for copy in copies {
        let copied = Store::open(settings(&copy)).unwrap();
        let read = async |key| copied.get("b", key).await.unwrap().map(|entry| entry.value);
        assert_eq!(read("left").await, read("right").await);
        copied.set("b", "left", "0".into(), None, Expect::Anything).await.unwrap();
    }
}

#[test]
fn a_look_at_files_ends_in_time() {
    let dir = TempDir::new().unwrap();
    drop(Store::open(settings(dir.path())).unwrap());
    let soon = examine(dir.path(), Duration::from_secs(60));
    assert!(soon.len() == 2 && soon.iter().all(|(_, health)| *health == Health::Sound), "{soon:?}");
    // With no time at all every file is named all the same.
    let never = examine(dir.path(), Duration::ZERO);
    assert_eq!(never.len(), 2);
    assert!(never.iter().all(|(_, health)| matches!(health, Health::Sound | Health::Unfinished)), "{never:?}");
    assert_eq!(examine(&dir.path().join("none"), Duration::ZERO), []);
}
