//! What each key does.

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::app::{App, Mode, Pane};
use crate::commands::explain::About;

/// The keys, as they are listed on the screen.
pub(super) const KEYS: [(&str, &str); 9] = [
    ("q, Ctrl-C", "quit"),
    ("Tab", "next table"),
    ("↑ ↓ PgUp PgDn", "choose a row; Home and End for the first and the last"),
    ("← →", "sort by the next column"),
    ("r", "turn the order round"),
    ("/", "show names that contain a text; Esc shows all again"),
    ("Enter", "explain the chosen tenant, queue or carrier"),
    ("p", "hold the picture still"),
    ("?", "this list"),
];

/// Rows that PgUp and PgDn move by.
const PAGE: isize = 10;

/// What a key asks of whoever owns the screen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Asked {
    Nothing,
    Quit,
    Explain(About),
}

/// A key was pressed.
pub(super) fn press(app: &mut App, key: KeyEvent) -> Asked {
    if key.kind == KeyEventKind::Release {
        return Asked::Nothing;
    }
    if key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('c') {
        return Asked::Quit;
    }
    match app.mode {
        Mode::Tables => return in_tables(app, key.code),
        Mode::Filter => in_filter(app, key.code),
        Mode::Help => app.mode = Mode::Tables,
        Mode::Explained { .. } => return in_explanation(app, key.code),
    }
    Asked::Nothing
}

fn in_tables(app: &mut App, key: KeyCode) -> Asked {
    match key {
        KeyCode::Char('q') => return Asked::Quit,
        KeyCode::Tab => app.focus = Pane::ALL[(app.focus as usize + 1) % 4],
        KeyCode::BackTab => app.focus = Pane::ALL[(app.focus as usize + 3) % 4],
        KeyCode::Right => sort(app, 1),
        KeyCode::Left => sort(app, app.columns() - 1),
        KeyCode::Char('r') => app.focused().reversed ^= true,
        KeyCode::Char('p') => app.paused ^= true,
        KeyCode::Char('?' | 'h') => app.mode = Mode::Help,
        KeyCode::Char('/') => app.mode = Mode::Filter,
        KeyCode::Esc => app.filter.clear(),
        KeyCode::Enter => {
            if let Some(about) = app.chosen() {
                app.mode = Mode::Explained { about: about.clone(), text: None, scroll: 0 };
                return Asked::Explain(about);
            }
        }
        other => {
            if let Some(by) = movement(other) {
                app.step(by);
            }
        }
    }
    Asked::Nothing
}

fn sort(app: &mut App, by: usize) {
    let columns = app.columns();
    let table = app.focused();
    table.column = (table.column + by) % columns;
    table.reversed = false;
}

const fn movement(key: KeyCode) -> Option<isize> {
    Some(match key {
        KeyCode::Up | KeyCode::Char('k') => -1,
        KeyCode::Down | KeyCode::Char('j') => 1,
        KeyCode::PageUp => -PAGE,
        KeyCode::PageDown => PAGE,
        KeyCode::Home => isize::MIN,
        KeyCode::End => isize::MAX,
        _ => return None,
    })
}

fn in_filter(app: &mut App, key: KeyCode) {
    match key {
        KeyCode::Enter => app.mode = Mode::Tables,
        KeyCode::Esc => {
            app.filter.clear();
            app.mode = Mode::Tables;
        }
        KeyCode::Backspace => {
            app.filter.pop();
        }
        KeyCode::Char(letter) => app.type_filter(letter),
        _ => {}
    }
}

fn in_explanation(app: &mut App, key: KeyCode) -> Asked {
    let Mode::Explained { about, text, scroll } = &mut app.mode else { return Asked::Nothing };
    match (key, movement(key)) {
        (_, Some(by)) => {
            let lines = text.as_ref().map_or(0, |text| text.lines().count());
            let last = u16::try_from(lines.saturating_sub(1)).unwrap_or(u16::MAX);
            let by = by.clamp(i16::MIN.into(), i16::MAX.into()) as i16;
            *scroll = scroll.saturating_add_signed(by).min(last);
            Asked::Nothing
        }
        (KeyCode::Enter, None) => Asked::Explain(about.clone()),
        _ => {
            app.mode = Mode::Tables;
            Asked::Nothing
        }
    }
}
