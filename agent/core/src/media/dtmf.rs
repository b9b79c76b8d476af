//! Keys as telephone events (RFC 4733), and how long sending them takes.

use busyhour_base::Span;

/// How long a key that we send is held. Far above the 40 ms that receivers must accept (ITU-T Q.24).
pub const KEY: Span = Span::from_millis(100);
/// Silence after each key that we send.
pub const GAP: Span = Span::from_millis(100);
/// What one `w` stands for.
pub const WAIT: Span = Span::from_millis(500);

/// How long sending `keys` takes, `w` being half a second; the bound on the wait for
/// [`Action::SendDigits`](crate::leg::Action::SendDigits).
pub fn keys_last(keys: &str) -> Span {
    keys.chars().fold(Span::ZERO, |sum, key| match key {
        'w' | 'W' => sum + WAIT,
        _ => sum + KEY + GAP,
    })
}

/// Whether this is one of the sixteen keys of ITU-T Q.23.
pub const fn is_key(key: char) -> bool {
    matches!(key, '0'..='9' | '*' | '#' | 'A'..='D')
}

/// Whether it may stand in what is sent: a key, or `w` for a wait.
pub const fn is_sendable(key: char) -> bool {
    is_key(key) || matches!(key, 'w' | 'W')
}
