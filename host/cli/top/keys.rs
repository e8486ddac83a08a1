//! What the keys of a terminal are here. Pure.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::app::Key;

/// The key, if it is one that means something.
pub fn key(event: KeyEvent) -> Option<Key> {
    if event.kind == KeyEventKind::Release {
        return None;
    }
    Some(match event.code {
        KeyCode::Char(letter) => return char(letter, event.modifiers),
        KeyCode::Enter => Key::Enter,
        KeyCode::Esc => Key::Escape,
        KeyCode::Backspace => Key::Backspace,
        KeyCode::Tab => Key::Tab,
        KeyCode::BackTab => Key::BackTab,
        KeyCode::Up => Key::Up,
        KeyCode::Down => Key::Down,
        KeyCode::Left => Key::Left,
        KeyCode::Right => Key::Right,
        KeyCode::PageUp => Key::PageUp,
        KeyCode::PageDown => Key::PageDown,
        KeyCode::Home => Key::Home,
        KeyCode::End => Key::End,
        _ => return None,
    })
}

fn char(letter: char, with: KeyModifiers) -> Option<Key> {
    if with.intersects(KeyModifiers::ALT) {
        return None;
    }
    if !with.contains(KeyModifiers::CONTROL) {
        return Some(Key::Char(letter));
    }
    match letter {
        'c' => Some(Key::Interrupt),
        'u' => Some(Key::Clear),
        'b' => Some(Key::PageUp),
        'f' => Some(Key::PageDown),
        // The bytes that are these keys on some terminals.
        'h' => Some(Key::Backspace),
        'j' => Some(Key::Enter),
        _ => None,
    }
}
