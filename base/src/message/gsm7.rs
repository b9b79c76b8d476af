//! The default alphabet of GSM 03.38 (3GPP TS 23.038, 6.2.1) and its extension table: which characters fit into
//! septets, and into how many.

/// The default alphabet in the order of its codes. Code 0x1b is the escape to the extension table and stands for no
/// character of its own.
const BASIC: [&str; 8] = [
    "@£$¥èéùìòÇ\nØø\rÅå",
    "Δ_ΦΓΛΩΠΨΣΘΞ\u{1b}ÆæßÉ",
    " !\"#¤%&'()*+,-./",
    "0123456789:;<=>?",
    "¡ABCDEFGHIJKLMNO",
    "PQRSTUVWXYZÄÖÑÜ§",
    "¿abcdefghijklmno",
    "pqrstuvwxyzäöñüà",
];

/// The escape, which is no character.
const ESCAPE: char = '\u{1b}';

/// Characters of the extension table with their codes. Each takes two septets: the escape and the code.
const EXTENSION: [(char, u8); 10] = [
    ('\u{c}', 0x0a),
    ('^', 0x14),
    ('{', 0x28),
    ('}', 0x29),
    ('\\', 0x2f),
    ('[', 0x3c),
    ('~', 0x3d),
    (']', 0x3e),
    ('|', 0x40),
    ('€', 0x65),
];

/// Septets that a character takes: one, two, or none if the alphabet lacks it.
pub fn septets(c: char) -> Option<u16> {
    match c {
        // By far the most common, without a search: these stand for themselves.
        ' '..='#' | '%'..='?' | 'A'..='Z' | 'a'..='z' | '\n' | '\r' => Some(1),
        ESCAPE => None,
        _ if BASIC.iter().any(|row| row.contains(c)) => Some(1),
        _ if EXTENSION.iter().any(|(other, _)| *other == c) => Some(2),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_alphabet_has_128_codes_and_the_extension_ten() {
        let all: Vec<char> = BASIC.iter().flat_map(|row| row.chars()).collect();
        assert_eq!(all.len(), 128);
        assert!(BASIC.iter().all(|row| row.chars().count() == 16));
        let distinct: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), 128, "no character has two codes");
        assert_eq!(all[0x1b], ESCAPE);
        assert!(EXTENSION.iter().all(|(c, code)| !all.contains(c) && *code < 128));
        // Spot checks against the table of TS 23.038.
        for (code, c) in [
            (0x00, '@'),
            (0x09, 'Ç'),
            (0x10, 'Δ'),
            (0x24, '¤'),
            (0x40, '¡'),
            (0x5f, '§'),
            (0x7f, 'à'),
        ] {
            assert_eq!(all[code], c, "{code:#x}");
        }
    }

    /// Every character there is: one septet if it is in the table, two if in the extension, none otherwise.
    #[test]
    fn every_character_of_unicode_has_the_septets_that_the_tables_say() {
        let mut counts = [0; 3];
        for c in '\0'..=char::MAX {
            let basic = c != ESCAPE && BASIC.iter().any(|row| row.contains(c));
            let extended = EXTENSION.iter().any(|(other, _)| *other == c);
            let wanted = if basic { Some(1) } else { extended.then_some(2) };
            assert_eq!(septets(c), wanted, "{c:?}");
            counts[usize::from(wanted.unwrap_or(0))] += 1;
        }
        assert_eq!((counts[1], counts[2]), (127, 10));
    }

    #[test]
    fn look_alikes_are_not_in_the_alphabet() {
        for c in ['`', 'ç', 'á', 'ê', '’', '“', '–', '…', '\t', '\u{a0}', 'а', 'α', '\u{1b}']
        {
            assert_eq!(septets(c), None, "{c:?}");
        }
    }
}
