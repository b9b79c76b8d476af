//! How a text travels: in which alphabet, and in how many segments, which is the unit of a carrier's rate and price.
//!
//! A text whose every character is in the GSM alphabet goes as septets, 160 in one segment; any other as UTF-16,
//! 70 units in one. A longer text is cut into parts that the handset joins, each with a header of six octets,
//! which leaves 153 septets or 67 units (3GPP TS 23.040, 9.2.3.24.1). A character is never cut: neither an escaped one
//! from its escape nor one half of a surrogate pair from the other.

use serde::{Deserialize, Serialize};

use super::gsm7;

/// An alphabet of message bodies.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Encoding {
    /// Seven-bit characters of GSM 03.38.
    Gsm7,
    /// UTF-16; the standard says UCS-2, and handsets take surrogate pairs.
    Ucs2,
}

impl Encoding {
    /// The word for metrics and views.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gsm7 => "GSM-7",
            Self::Ucs2 => "UCS-2",
        }
    }

    /// Units in a message of one segment.
    const fn single(self) -> u32 {
        match self {
            Self::Gsm7 => 160,
            Self::Ucs2 => 70,
        }
    }

    /// Units in each segment of a longer message.
    const fn part(self) -> u32 {
        match self {
            Self::Gsm7 => 153,
            Self::Ucs2 => 67,
        }
    }

    /// Units of one character.
    fn units(self, c: char) -> u32 {
        match self {
            // Asked only of texts that are in the alphabet as a whole.
            Self::Gsm7 => gsm7::septets(c).map_or(1, u32::from),
            Self::Ucs2 => c.len_utf16() as u32,
        }
    }
}

/// A text's alphabet and number of segments.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Segments {
    /// In which alphabet.
    pub encoding: Encoding,
    /// How many; an empty text is one.
    pub count: u16,
}

impl Segments {
    /// Measures a text. Beyond 65,535 segments it says 65,535.
    pub fn of(text: &str) -> Self {
        let gsm7 = text.chars().all(|c| gsm7::septets(c).is_some());
        let encoding = if gsm7 { Encoding::Gsm7 } else { Encoding::Ucs2 };
        let units: u64 = text.chars().map(|c| u64::from(encoding.units(c))).sum();
        if units <= u64::from(encoding.single()) {
            return Self { encoding, count: 1 };
        }
        let parts = parts(text, encoding).count();
        Self { encoding, count: u16::try_from(parts).unwrap_or(u16::MAX) }
    }
}

/// The text cut as it travels: whole if it fits into one segment, in parts otherwise.
pub fn split(text: &str) -> Vec<&str> {
    let Segments { encoding, count } = Segments::of(text);
    if count == 1 { vec![text] } else { parts(text, encoding).collect() }
}

/// The longest beginnings that fit into a part each.
fn parts(text: &str, encoding: Encoding) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let mut used = 0;
        let over = rest.char_indices().find(|(_, c)| {
            used += encoding.units(*c);
            used > encoding.part()
        });
        let (part, after) = rest.split_at(over.map_or(rest.len(), |(at, _)| at));
        rest = after;
        Some(part)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn measured(text: &str) -> (Encoding, u16) {
        let Segments { encoding, count } = Segments::of(text);
        (encoding, count)
    }

    #[test]
    fn mt_8_every_length_around_a_boundary_has_its_segments() {
        use Encoding::{Gsm7, Ucs2};
        for (unit, encoding, single, part) in
            [("a", Gsm7, 160, 153), ("€", Gsm7, 80, 76), ("я", Ucs2, 70, 67), ("😀", Ucs2, 35, 33)]
        {
            for length in 0..=single * 10 {
                let wanted = if length <= single { 1 } else { (length as u16).div_ceil(part) };
                let found = measured(&unit.repeat(length));
                let encoding = if length == 0 { Gsm7 } else { encoding };
                assert_eq!(found, (encoding, wanted), "{length} times {unit}");
            }
        }
    }

    #[test]
    fn an_escaped_character_is_not_cut_from_its_escape() {
        // 152 septets and one of two: the second part begins with it.
        let text = format!("{}€{}", "a".repeat(152), "b".repeat(7));
        assert_eq!(split(&text), ["a".repeat(152), format!("€{}", "b".repeat(7))]);
        // 153 + 153 septets would be two parts, were it not for the euro on the boundary.
        let text = format!("{}€{}", "a".repeat(152), "b".repeat(152));
        assert_eq!(measured(&text), (Encoding::Gsm7, 3));
    }

    #[test]
    fn a_surrogate_pair_is_not_cut() {
        let text = format!("{}😀{}", "я".repeat(66), "я".repeat(4));
        assert_eq!(split(&text), ["я".repeat(66), format!("😀{}", "я".repeat(4))]);
    }

    #[test]
    fn one_foreign_character_makes_the_whole_text_ucs_2() {
        assert_eq!(measured(&"a".repeat(160)), (Encoding::Gsm7, 1));
        assert_eq!(measured(&format!("{}’", "a".repeat(159))), (Encoding::Ucs2, 3));
        assert_eq!(measured(""), (Encoding::Gsm7, 1));
    }

    /// The slow and obvious way: units into bins, one character after the other.
    fn model(text: &str) -> (Encoding, usize) {
        let table = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";
        let extension = "\u{c}^{}\\[~]|€";
        let gsm = text.chars().all(|c| table.contains(c) || extension.contains(c));
        let sizes: Vec<usize> = text
            .chars()
            .map(|c| match gsm {
                true if extension.contains(c) => 2,
                true => 1,
                false => c.len_utf16(),
            })
            .collect();
        let (encoding, single, part) =
            if gsm { (Encoding::Gsm7, 160, 153) } else { (Encoding::Ucs2, 70, 67) };
        if sizes.iter().sum::<usize>() <= single {
            return (encoding, 1);
        }
        let (mut bins, mut used) = (1, 0);
        for size in sizes {
            if used + size > part {
                (bins, used) = (bins + 1, 0);
            }
            used += size;
        }
        (encoding, bins)
    }

    proptest! {
        #[test]
        fn agrees_with_the_slow_way(text in "[a-f€\\[~é]{0,700}|[a-dя😀]{0,300}|\\PC{0,200}") {
            let (encoding, count) = model(&text);
            prop_assert_eq!(measured(&text), (encoding, count as u16));
        }

        #[test]
        fn parts_put_together_are_the_text_and_none_is_too_long(text in "[a-f€~]{0,700}|[a-dя😀]{0,300}") {
            let parts = split(&text);
            prop_assert_eq!(parts.concat(), text.as_str());
            let Segments { encoding, count } = Segments::of(&text);
            prop_assert_eq!(parts.len(), usize::from(count));
            let most = if count == 1 { encoding.single() } else { encoding.part() };
            for part in parts {
                prop_assert!(part.chars().map(|c| encoding.units(c)).sum::<u32>() <= most);
            }
        }
    }
}
