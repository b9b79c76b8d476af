//! What a column of a table is, and how its cells are drawn and sorted.

use ratatui::{
    style::{Color, Stylize as _},
    text::Line,
};

use crate::words::count;

/// What a column is sorted by.
#[derive(Clone, PartialEq, PartialOrd, Debug)]
pub(super) enum Key {
    Text(String),
    Number(f64),
}

/// A column.
pub(super) struct Column<T> {
    pub(super) name: &'static str,
    pub(super) width: u16,
    /// The least width of the screen at which it is shown.
    pub(super) from: u16,
    cells: Cells<T>,
}

/// What its cells hold.
enum Cells<T> {
    /// The row's name.
    Name(fn(&T) -> &str),
    /// A number, with its thousands apart.
    Count(fn(&T) -> u64),
    /// A number of which nothing is shown as a dot, so that what is something stands out.
    Some(fn(&T) -> u64),
    /// A number in words of its own.
    Amount(fn(&T) -> f64, fn(&T) -> String),
    /// The code of a reason.
    Reason(fn(&T) -> String),
    /// Words.
    Text(fn(&T) -> String),
    /// A picture of a number.
    Drawn(fn(&T) -> f64, fn(&T) -> Line<'static>),
}

impl<T> Column<T> {
    const fn new(name: &'static str, width: u16, from: u16, cells: Cells<T>) -> Self {
        Self { name, width, from, cells }
    }

    pub(super) const fn name(name: &'static str, width: u16, of: fn(&T) -> &str) -> Self {
        Self::new(name, width, 0, Cells::Name(of))
    }

    pub(super) const fn count(
        name: &'static str,
        width: u16,
        from: u16,
        of: fn(&T) -> u64,
    ) -> Self {
        Self::new(name, width, from, Cells::Count(of))
    }

    pub(super) const fn some(name: &'static str, width: u16, from: u16, of: fn(&T) -> u64) -> Self {
        Self::new(name, width, from, Cells::Some(of))
    }

    pub(super) const fn amount(
        name: &'static str,
        width: u16,
        from: u16,
        of: fn(&T) -> f64,
        told: fn(&T) -> String,
    ) -> Self {
        Self::new(name, width, from, Cells::Amount(of, told))
    }

    pub(super) const fn reason(name: &'static str, of: fn(&T) -> String) -> Self {
        Self::new(name, 17, 0, Cells::Reason(of))
    }

    pub(super) const fn text(
        name: &'static str,
        width: u16,
        from: u16,
        of: fn(&T) -> String,
    ) -> Self {
        Self::new(name, width, from, Cells::Text(of))
    }

    pub(super) const fn drawn(
        name: &'static str,
        width: u16,
        from: u16,
        of: fn(&T) -> f64,
        drawn: fn(&T) -> Line<'static>,
    ) -> Self {
        Self::new(name, width, from, Cells::Drawn(of, drawn))
    }

    /// Numbers stand at the right.
    pub(super) const fn is_number(&self) -> bool {
        matches!(self.cells, Cells::Count(_) | Cells::Some(_) | Cells::Amount(..))
    }

    /// What a row is sorted by.
    pub(super) fn key(&self, row: &T) -> Key {
        match self.cells {
            Cells::Name(of) => Key::Text(of(row).to_lowercase()),
            Cells::Reason(of) | Cells::Text(of) => Key::Text(of(row).to_lowercase()),
            Cells::Count(of) | Cells::Some(of) => Key::Number(of(row) as f64),
            Cells::Amount(of, _) | Cells::Drawn(of, _) => Key::Number(of(row)),
        }
    }

    /// A row's cell.
    pub(super) fn cell(&self, row: &T) -> Line<'static> {
        match self.cells {
            Cells::Name(of) => Line::from(of(row).to_owned().bold()),
            Cells::Count(of) => right(count(of(row))),
            Cells::Some(of) => match of(row) {
                0 => Line::from("·".dark_gray()).right_aligned(),
                some => right(count(some)),
            },
            Cells::Amount(_, told) => right(told(row)),
            Cells::Reason(of) => reason(&of(row)),
            Cells::Text(of) => Line::from(of(row)),
            Cells::Drawn(_, drawn) => drawn(row),
        }
    }
}

fn right(text: String) -> Line<'static> {
    Line::from(text).right_aligned()
}

/// A reason, in the colour of who can do something about it.
fn reason(code: &str) -> Line<'static> {
    let colour = match code {
        "throttle" | "cap" | "tenant_channels" => Color::Cyan,
        "workers" | "no_carrier" | "records_behind" | "suspended" => Color::Red,
        "ready" | "" => Color::Reset,
        own if ["application_", "number_", "batch_"].iter().any(|of| own.starts_with(of)) => {
            Color::Cyan
        }
        _ => Color::Yellow,
    };
    Line::from(code.to_owned().fg(colour))
}

/// Something that a table lists.
pub(super) trait Listed: Sized + 'static {
    const COLUMNS: &'static [Column<Self>];
    /// Which column it is sorted by at first.
    const FIRST: usize;

    fn name(&self) -> &str;
}
