//! Bars of parts.

use ratatui::{
    style::{Color, Style},
    text::{Line, Span},
};

/// A part of a bar: how much, drawn with what.
pub(super) type Part = (u64, &'static str, Color);

/// A bar of so many cells. A part that is not nothing has a cell at least, so that it is seen.
pub(super) fn bar(parts: &[Part], cells: usize) -> Line<'static> {
    let total: u64 = parts.iter().map(|(amount, ..)| amount).sum();
    if total == 0 {
        return Line::from(" ".repeat(cells));
    }
    let mut widths: Vec<usize> = parts
        .iter()
        .map(|(amount, ..)| {
            let exact = u128::from(*amount) * cells as u128 / u128::from(total);
            (exact as usize).max(usize::from(*amount > 0))
        })
        .collect();
    // What rounding left over goes to, or comes from, the widest part.
    loop {
        let sum: usize = widths.iter().sum();
        let Some(widest) = widths.iter_mut().max_by_key(|width| **width) else { break };
        match sum.cmp(&cells) {
            std::cmp::Ordering::Less => *widest += cells - sum,
            std::cmp::Ordering::Greater if *widest > 0 => *widest -= 1,
            _ => break,
        }
    }
    let span = |(part, width): (&Part, &usize)| {
        Span::styled(part.1.repeat(*width), Style::new().fg(part.2))
    };
    Line::from(parts.iter().zip(&widths).map(span).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(amounts: [u64; 3], cells: usize) -> String {
        let [a, b, c] = amounts;
        bar(&[(a, "a", Color::Red), (b, "b", Color::Red), (c, "c", Color::Red)], cells).to_string()
    }

    #[test]
    fn a_bar_is_as_wide_as_asked_and_shows_every_part() {
        assert_eq!(drawn([5, 3, 2], 10), "aaaaabbbcc");
        assert_eq!(drawn([1, 0, 999], 10), "accccccccc");
        assert_eq!(drawn([1, 1, 1], 10).chars().count(), 10);
        assert_eq!(drawn([0, 0, 0], 4), "    ");
        assert_eq!(drawn([1, 1, 1], 2).chars().count(), 2, "less cells than parts");
        assert_eq!(drawn([u64::MAX / 4, u64::MAX / 4, 1], 9).chars().count(), 9);
    }
}
