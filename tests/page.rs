//! The page in a real browser: Chromium, driven by `tests/browser/scenarios/*.mjs` against a real host with real guests.
//!
//! A scenario is a script that ends with 0 when what it saw was right. It may ask for acts on the host in lines on its stdout
//! (`do restart`, `do kill`, `do start`); everything else it prints is shown when it fails. Nothing is loaded from elsewhere, and
//! every scenario also fails when the page threw or logged an error.

use std::{
    io::{BufRead, BufReader, Read, Write},
    path::Path,
    process::{Command, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use crate::support::Host;

/// A browser on a busy machine.
const PATIENCE: Duration = Duration::from_secs(180);

fn play(host: &mut Host, scenario: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser");
    assert!(folder.join("node_modules/playwright-core").is_dir(), "no browser driver: run `make browser` first");
    let token = |name: &str| std::fs::read_to_string(host.data().join(name)).unwrap().trim().to_owned();
    let login = host.announced.iter().find_map(|line| line.strip_prefix("page ")).expect("a login link is announced").to_owned();
    let mut child = Command::new("node")
        .arg(folder.join("scenarios").join(format!("{scenario}.mjs")))
        .env("SKEP_PAGE", &host.admin)
        .env("SKEP_LOGIN", login)
        .env("SKEP_LISTEN", &host.listen)
        .env("SKEP_TOKEN", token("admin.token"))
        .env("SKEP_READ_TOKEN", token("read.token"))
        .env("SKEP_DATA", host.data())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("node is there: `make browser` says what is missing");
    let mut to = child.stdin.take().unwrap();
    let mut errors = child.stderr.take().unwrap();
    let errors = std::thread::spawn(move || {
        let mut all = String::new();
        let _ = errors.read_to_string(&mut all);
        all
    });
    let (lines, said) = mpsc::channel();
    let out = BufReader::new(child.stdout.take().unwrap());
    std::thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| lines.send(line)));
    let (begun, mut told) = (Instant::now(), String::new());
    loop {
        let left = PATIENCE.saturating_sub(begun.elapsed());
        match said.recv_timeout(left) {
            Ok(line) => {
                let act = line.strip_prefix("do ");
                match act {
                    Some("kill") => host.kill(),
                    Some("start") => host.start(),
                    Some("restart") => {
                        host.stop();
                        host.start();
                    }
                    Some(other) => panic!("{scenario} asks for \"{other}\", which nobody knows"),
                    None => told.push_str(&format!("{line}\n")),
                }
                if act.is_some() {
                    writeln!(to, "done").unwrap();
                }
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
            Err(mpsc::RecvTimeoutError::Timeout) => {
                let _ = child.kill();
                let _ = child.wait();
                panic!("{scenario} took longer than {PATIENCE:?}; it said:\n{told}\n{}\nhost log:\n{}", errors.join().unwrap(), host.log());
            }
        }
    }
    let status = child.wait().unwrap();
    assert!(status.success(), "{scenario}: {status}\n{told}\n{}\nhost log:\n{}", errors.join().unwrap(), host.log());
}

/// The issue's own story: add, up, down, edit, delete, in one page.
#[test]
fn a_machine_is_added_watched_edited_and_deleted_in_the_page() {
    play(&mut Host::with(&["pinger"]), "machine");
}

#[test]
fn every_view_is_fit_for_screen_readers_phones_and_the_dark() {
    play(&mut Host::with(&["poller", "crash"]), "views");
}

#[test]
fn markup_shows_as_text() {
    play(&mut Host::with(&["poller", "echo"]), "markup");
}

#[test]
fn a_page_says_that_its_host_is_gone_and_finds_it_again() {
    play(&mut Host::folders(&["poller"]).at_one_address().started(), "lost");
}

#[test]
fn the_page_is_entered_by_link_or_token_and_shows_what_one_may() {
    play(&mut Host::with(&["echo"]), "doors");
}

#[test]
fn all_of_a_list_is_reached_by_keyboard() {
    play(&mut Host::with(&["poller"]), "keys");
}
