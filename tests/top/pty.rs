//! The real `skep top` in a pseudo-terminal, on a real host: what is on screen, keys that act, and the terminal given back.

use std::{
    fs::{File, OpenOptions},
    io::{Read, Write},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::Instant,
};

use rustix::{
    ioctl::{Getter, Setter, ioctl, opcode},
    termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize},
};

use crate::support::{Host, PATIENCE, eventually, skep, text};

const WORKER: &str = "[[worker]]\nname = \"parrot\"\ncomponent = \"echo.wasm\"\ninstance = \"resident\"\n";

const UNLOCK: u32 = opcode::write::<i32>(b'T', 0x31);
const NUMBER: u32 = opcode::read::<u32>(b'T', 0x30);

/// A pseudo-terminal: the end a person sits at, and the one a program has.
fn pseudo_terminal(columns: u16, lines: u16) -> (File, File) {
    let open = |path: &str| OpenOptions::new().read(true).write(true).open(path).unwrap();
    let person = open("/dev/ptmx");
    #[allow(unsafe_code, reason = "two requests of Linux's own, with the types its header gives them")]
    let number = unsafe {
        ioctl(&person, Setter::<UNLOCK, i32>::new(0)).unwrap();
        ioctl(&person, Getter::<NUMBER, u32>::new()).unwrap()
    };
    let program = open(&format!("/dev/pts/{number}"));
    tcsetwinsize(&program, Winsize { ws_row: lines, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
    (person, program)
}

/// `skep top` as a person has it before them.
struct Top {
    child: Child,
    keys: File,
    terminal: File,
    sent: Arc<Mutex<Vec<u8>>>,
    columns: usize,
}

impl Top {
    fn start(data: &Path, args: &[&str]) -> Self {
        let (person, program) = pseudo_terminal(100, 30);
        let stdio = || Stdio::from(program.try_clone().unwrap());
        // In a session of its own: a terminal these tests are run from is not the one that is drawn on.
        let child = Command::new("setsid")
            .args([env!("CARGO_BIN_EXE_skep"), "top"])
            .args(args)
            .arg("--data")
            .arg(data)
            .envs([("TERM", "xterm-256color"), ("LC_ALL", "C.UTF-8")])
            .env_remove("NO_COLOR")
            .env_remove("SKEP_ADMIN")
            .stdin(stdio())
            .stdout(stdio())
            .stderr(stdio())
            .spawn()
            .unwrap();
        let sent: Arc<Mutex<Vec<u8>>> = Arc::default();
        let (seen, mut reads) = (sent.clone(), person.try_clone().unwrap());
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(read @ 1..) = reads.read(&mut bytes) {
                seen.lock().unwrap().extend_from_slice(&bytes[..read]);
            }
        });
        Self { child, keys: person, terminal: program, sent, columns: 100 }
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    fn raw(&self) -> String {
        text(&self.sent.lock().unwrap())
    }

    /// What is on the screen: every position, and the letters after it.
    fn screen(&self) -> String {
        let mut rows = vec![vec![' '; self.columns + 1]; 31];
        for part in self.raw().split('\x1b').skip(1) {
            let Some(end) = part.find(|char: char| char.is_ascii_alphabetic()) else { continue };
            let (parameters, rest) = (&part[1..end], &part[end + 1..]);
            match part.as_bytes()[end] {
                b'J' => rows.iter_mut().for_each(|row| row.fill(' ')),
                b'H' => {
                    let (y, x) = parameters.split_once(';').unwrap();
                    rows[0][0] = '\0';
                    let (y, x): (usize, usize) = (y.parse().unwrap(), x.parse().unwrap());
                    // Kept where no letter is: line 0.
                    rows[0] = format!("{y} {x}").chars().chain([' '; 100]).take(self.columns + 1).collect();
                }
                _ => {}
            }
            let place: String = rows[0].iter().collect();
            let mut place = place.split_whitespace().filter_map(|word| word.parse::<usize>().ok());
            let (y, mut x) = (place.next().unwrap_or(1), place.next().unwrap_or(1));
            for letter in rest.chars().filter(|letter| !letter.is_control()) {
                if let Some(cell) = rows.get_mut(y).and_then(|row| row.get_mut(x)) {
                    *cell = letter;
                }
                x += 1;
            }
            rows[0] = format!("{y} {x}").chars().chain([' '; 100]).take(self.columns + 1).collect();
        }
        rows[1..].iter().map(|row| row[1..].iter().collect::<String>().trim_end().to_owned() + "\n").collect()
    }

    fn shows(&self, what: &str) {
        let start = Instant::now();
        while !self.screen().contains(what) {
            assert!(start.elapsed() < PATIENCE, "\"{what}\" never came:\n{}", self.screen());
            std::thread::sleep(std::time::Duration::from_millis(15));
        }
    }

    fn signal(&self, name: &str) {
        assert!(Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status().unwrap().success());
    }

    fn resize(&self, columns: u16, lines: u16) {
        tcsetwinsize(&self.terminal, Winsize { ws_row: lines, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
        self.signal("WINCH");
    }

    fn raw_mode(&self) -> bool {
        !tcgetattr(&self.terminal).unwrap().local_modes.contains(LocalModes::ICANON)
    }

    /// Its exit code; the terminal is as it was.
    fn ended(&mut self) -> Option<i32> {
        let code = eventually("skep top ends", || self.child.try_wait().unwrap()).code();
        assert!(!self.raw_mode(), "the terminal is still raw");
        eventually("the usual screen comes back", || self.raw().ends_with("\x1b[?1049l\x1b[?25h").then_some(()));
        code
    }
}

impl Drop for Top {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_worker_is_seen_and_restarted_and_q_gives_the_terminal_back() {
    let host = Host::with(&["echo"]);
    let before = host.running("parrot", WORKER)["incarnation"].as_u64().unwrap();
    let mut top = Top::start(host.data(), &[]);
    top.shows("● running");
    assert!(top.raw_mode() && top.screen().contains("parrot") && top.screen().contains("● live"), "{}", top.screen());
    top.press("r");
    top.shows("restart parrot ?");
    top.press("y");
    top.shows("parrot restarts after its event in flight");
    host.worker_when("parrot", "restarted", |worker| worker["incarnation"].as_u64().unwrap() > before);
    // All about it: why, and its log as it comes.
    top.press("\r");
    top.shows("remedy");
    top.press("\x1b");
    top.shows("Enter detail");
    top.press("2");
    top.shows("no checks yet");
    top.press("4/restarting");
    top.shows("/ restarting");
    top.press("\r");
    top.shows("worker.restarting");
    top.press("q");
    assert_eq!(top.ended(), Some(0));
}

#[test]
fn a_host_that_goes_and_comes_back_is_told_of_and_followed_again() {
    let mut host = Host::with(&["echo"]);
    host.running("parrot", WORKER);
    let mut top = Top::start(host.data(), &["events"]);
    top.shows("fleet.applied");
    host.kill();
    top.shows("STALE: no connection");
    host.start();
    host.worker_when("parrot", "running", |worker| worker["state"] == "running");
    top.shows("● live");
    // Ctrl-C, as a byte: the terminal is raw.
    top.press("\x03");
    assert_eq!(top.ended(), Some(0));
}

#[test]
fn another_size_is_drawn_for_at_once() {
    let host = Host::with(&[]);
    let mut top = Top::start(host.data(), &[]);
    top.shows("no workers yet");
    assert!(top.screen().lines().nth(29).unwrap().contains("quit"), "{}", top.screen());
    top.resize(80, 20);
    eventually("the line of keys is the last of twenty", || {
        let screen = top.screen();
        let (above, below) = (screen.lines().nth(19).unwrap(), screen.lines().skip(20));
        (above.contains("quit") && below.into_iter().all(str::is_empty) && screen.contains("● live")).then_some(())
    });
    top.press("q");
    assert_eq!(top.ended(), Some(0));
}

#[test]
fn a_signal_gives_the_terminal_back_too() {
    let host = Host::with(&[]);
    for signal in ["TERM", "HUP"] {
        let mut top = Top::start(host.data(), &[]);
        top.shows("no workers yet");
        top.signal(signal);
        assert_eq!(top.ended(), Some(0), "{signal}");
    }
}

#[test]
fn without_a_terminal_it_says_which_verbs_give_text_and_once_prints_one_frame() {
    let host = Host::with(&["echo"]);
    host.running("parrot", WORKER);
    let told = host.fails(2, &["top"]);
    assert!(told.contains("skep top draws on a terminal") && told.contains("skep get workers") && told.contains("--once"), "{told}");
    let frame = host.ok(&["top", "--once"]);
    assert!(frame.contains("parrot") && frame.contains("running") && !frame.contains('\x1b'), "{frame}");
    assert!(host.ok(&["top", "queues", "--once"]).contains("QUEUE"));
    let nobody = tempfile::tempdir().unwrap();
    assert_eq!(skep(&["top", "--once", "--data", nobody.path().to_str().unwrap()]).status.code(), Some(5));
}
