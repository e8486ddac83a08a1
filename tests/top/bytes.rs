//! What a terminal sends and is sent; results as the stream packs them.

use proptest::prelude::*;
use skep::{
    cli::top::{
        app::Key,
        beats::decode,
        grid::{BEHIND, Color, Frame, Style},
        keys::Keys,
    },
    facts::CheckStatus,
};

#[test]
fn keys_come_whole_or_in_parts() {
    let mut keys = Keys::default();
    assert_eq!(keys.push(b"jG\r\t\x7f\x03"), [Key::Char('j'), Key::Char('G'), Key::Enter, Key::Tab, Key::Backspace, Key::Interrupt]);
    assert_eq!(keys.push("é✖".as_bytes()), [Key::Char('é'), Key::Char('✖')]);
    assert_eq!(
        keys.push(b"\x1b[A\x1bOB\x1b[5~\x1b[6~\x1b[H\x1b[4~\x1b[Z"),
        [Key::Up, Key::Down, Key::PageUp, Key::PageDown, Key::Home, Key::End, Key::BackTab]
    );
    assert_eq!(keys.push(b"\x1b"), []);
    assert!(keys.waits());
    assert_eq!(keys.push(b"[1;5C"), [Key::Right]);
    assert!(!keys.waits());
    assert_eq!((keys.push(b"\x1b"), keys.pause(), keys.pause()), (vec![], Some(Key::Escape), None));
    assert_eq!(keys.push(b"\x1bx\x1b[200~y"), [Key::Char('y')], "what is no key here is left out");
}

#[test]
fn beats_are_read_and_what_is_no_beat_is_not() {
    let beats = decode("u18g.1,g18g.7ps,d.7ps");
    let told: Vec<_> = beats.iter().map(|beat| (beat.status, beat.latency_ms, beat.at)).collect();
    assert_eq!(told, [(CheckStatus::Up, Some(1.6), 1), (CheckStatus::Degraded, Some(1.6), 10_001), (CheckStatus::Down, None, 20_001)]);
    assert_eq!(decode(""), []);
    assert_eq!(decode("x.1,é.2,,u").len(), 1);
    assert_eq!(decode(&"u.1,".repeat(1_000)).len(), 30);
}

/// A terminal of the simplest kind.
struct Shown {
    cells: Vec<(char, String)>,
    width: usize,
}

impl Shown {
    fn take(&mut self, text: &str) {
        let (mut at, mut style, mut chars) = (0, String::new(), text.chars());
        while let Some(char) = chars.next() {
            if char != '\x1b' {
                self.cells[at] = (char, style.clone());
                at += 1;
                if char == '界' {
                    self.cells[at] = (BEHIND, style.clone());
                    at += 1;
                }
                continue;
            }
            assert_eq!(chars.next(), Some('['));
            let mut parameters = String::new();
            let last = loop {
                let char = chars.next().unwrap();
                if char.is_ascii_alphabetic() {
                    break char;
                }
                parameters.push(char);
            };
            match last {
                'm' => style = if parameters == "0" { String::new() } else { parameters },
                'J' => self.cells.fill((' ', String::new())),
                'H' => {
                    let (y, x) = parameters.split_once(';').unwrap();
                    at = (y.parse::<usize>().unwrap() - 1) * self.width + x.parse::<usize>().unwrap() - 1;
                }
                other => panic!("{other}"),
            }
        }
    }
}

proptest! {
    #[test]
    fn what_is_sent_makes_one_frame_of_another(
        writes in prop::collection::vec((0..7_u16, 0..4_u16, prop::sample::select(vec!['a', 'b', ' ', '界']), any::<bool>()), 0..60),
        shows in prop::collection::vec(any::<bool>(), 60),
    ) {
        let (mut frame, mut before) = (Frame::new(7, 4), None::<Frame>);
        let mut shown = Shown { cells: vec![('?', String::new()); 28], width: 7 };
        for ((x, y, letter, red), show) in writes.into_iter().zip(shows) {
            // A wide letter needs two columns, as `put` sees to.
            let letter = if x == 6 && letter == '界' { 'c' } else { letter };
            frame.set(x, y, letter, if red { Style::fg(Color::Red) } else { Style::NONE });
            if show {
                shown.take(&frame.since(before.as_ref()));
                before = Some(frame.clone());
                let told: Vec<char> = shown.cells.iter().map(|(letter, _)| *letter).collect();
                let meant: Vec<char> = frame.cells.iter().map(|cell| cell.letter).collect();
                prop_assert_eq!(told, meant);
                for ((_, style), cell) in shown.cells.iter().zip(&frame.cells).filter(|(_, cell)| cell.letter != BEHIND) {
                    prop_assert_eq!(style.contains("31"), cell.style.fg.is_some());
                }
            }
        }
    }
}
