//! Keys out of the bytes a terminal sends. Pure.

use super::app::Key;

/// A key that was pressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Input(pub Key);

/// No sequence of a key is longer.
const LONGEST: usize = 32;

/// Takes bytes as they come; a sequence may come in parts.
#[derive(Debug, Default)]
pub struct Keys {
    rest: Vec<u8>,
}

impl Keys {
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Key> {
        self.rest.extend_from_slice(bytes);
        let mut keys = Vec::new();
        while let Some((used, key)) = next(&self.rest) {
            self.rest.drain(..used);
            keys.extend(key);
        }
        keys
    }

    /// Nothing more came for a moment: an escape that begins no sequence is the key of that name.
    pub fn pause(&mut self) -> Option<Key> {
        let escape = self.rest.first() == Some(&0x1b);
        self.rest.clear();
        escape.then_some(Key::Escape)
    }

    /// A sequence is under way.
    pub fn waits(&self) -> bool {
        !self.rest.is_empty()
    }
}

/// How many bytes the first key took, and the key, if it is one that means something. None: more must come.
fn next(bytes: &[u8]) -> Option<(usize, Option<Key>)> {
    let key = match *bytes.first()? {
        0x1b => return sequence(bytes),
        b'\r' | b'\n' => Key::Enter,
        b'\t' => Key::Tab,
        0x7f | 0x08 => Key::Backspace,
        0x03 => Key::Interrupt,
        0x15 => Key::Clear,
        0x02 => Key::PageUp,
        0x06 => Key::PageDown,
        0x00..=0x1f => return Some((1, None)),
        first => return letter(bytes, first),
    };
    Some((1, Some(key)))
}

fn letter(bytes: &[u8], first: u8) -> Option<(usize, Option<Key>)> {
    let length = match first {
        0x00..=0x7f => 1,
        0xc0..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf7 => 4,
        // The middle of a letter whose beginning is missing.
        _ => return Some((1, None)),
    };
    let letter = std::str::from_utf8(bytes.get(..length)?).ok().and_then(|text| text.chars().next());
    Some((if letter.is_some() { length } else { 1 }, letter.map(Key::Char)))
}

/// `ESC [ … letter`, `ESC O letter`; with another byte after ESC it is that key with Alt, which means nothing here.
fn sequence(bytes: &[u8]) -> Option<(usize, Option<Key>)> {
    let introducer = *bytes.get(1)?;
    match introducer {
        b'O' => Some((3, named(*bytes.get(2)?, &[]))),
        b'[' => {
            let body = bytes.get(2..).unwrap_or_default();
            match body.iter().position(|byte| (0x40..=0x7e).contains(byte)) {
                Some(end) => Some((end + 3, named(*body.get(end)?, body.get(..end).unwrap_or_default()))),
                None if bytes.len() > LONGEST => Some((bytes.len(), None)),
                None => None,
            }
        }
        0x1b => Some((1, Some(Key::Escape))),
        _ => Some((2, None)),
    }
}

fn named(last: u8, parameters: &[u8]) -> Option<Key> {
    let first = parameters.split(|byte| *byte == b';').next().unwrap_or_default();
    Some(match (last, first) {
        (b'A', _) => Key::Up,
        (b'B', _) => Key::Down,
        (b'C', _) => Key::Right,
        (b'D', _) => Key::Left,
        (b'H', _) | (b'~', b"1" | b"7") => Key::Home,
        (b'F', _) | (b'~', b"4" | b"8") => Key::End,
        (b'~', b"5") => Key::PageUp,
        (b'~', b"6") => Key::PageDown,
        (b'Z', _) => Key::BackTab,
        (b'M', _) => Key::Enter,
        _ => return None,
    })
}
