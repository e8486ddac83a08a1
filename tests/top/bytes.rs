//! What the keys of a terminal mean; results as the stream packs them.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use skep::{
    cli::top::{app::Key, beats::decode, keys::key},
    facts::CheckStatus,
};

#[test]
fn keys_are_what_they_mean_and_others_are_left_out() {
    let (bare, control) = (KeyModifiers::NONE, KeyModifiers::CONTROL);
    let told = |code, with| key(KeyEvent::new(code, with));
    assert_eq!(told(KeyCode::Char('j'), bare), Some(Key::Char('j')));
    assert_eq!(told(KeyCode::Char('G'), KeyModifiers::SHIFT), Some(Key::Char('G')));
    assert_eq!(told(KeyCode::Char('✖'), bare), Some(Key::Char('✖')));
    let named = [
        (KeyCode::Enter, Key::Enter),
        (KeyCode::Esc, Key::Escape),
        (KeyCode::Tab, Key::Tab),
        (KeyCode::BackTab, Key::BackTab),
        (KeyCode::Backspace, Key::Backspace),
        (KeyCode::PageDown, Key::PageDown),
        (KeyCode::Home, Key::Home),
    ];
    for (code, meant) in named {
        assert_eq!(told(code, bare), Some(meant));
    }
    assert_eq!(told(KeyCode::Right, control), Some(Key::Right));
    for (letter, meant) in [('c', Key::Interrupt), ('u', Key::Clear), ('b', Key::PageUp), ('f', Key::PageDown), ('h', Key::Backspace)] {
        assert_eq!(told(KeyCode::Char(letter), control), Some(meant));
    }
    assert_eq!(
        (told(KeyCode::Char('x'), KeyModifiers::ALT), told(KeyCode::Char('r'), control), told(KeyCode::F(1), bare)),
        (None, None, None)
    );
    let released = KeyEvent { kind: KeyEventKind::Release, ..KeyEvent::new(KeyCode::Enter, bare) };
    assert_eq!(key(released), None);
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
