//! How small values and strings lie in the arena: numbers in seven bits a byte, telephone numbers as numbers.

/// Writes a number: seven bits a byte, the lowest first, the high bit on all but the last.
pub(super) fn put_number(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Writes a string: the digits of an E.164 number as one number, others behind their length.
pub(super) fn put_text(out: &mut Vec<u8>, text: &str) {
    match digits(text) {
        Some(digits) => put_number(out, digits << 1 | 1),
        None => {
            put_number(out, (text.len() as u64) << 1);
            out.extend_from_slice(text.as_bytes());
        }
    }
}

/// `+` and up to 15 digits, the first of which is not 0 (E.164), as a number.
fn digits(text: &str) -> Option<u64> {
    let digits = text.strip_prefix('+')?.as_bytes();
    if !(1..=15).contains(&digits.len()) || digits[0] == b'0' {
        return None;
    }
    digits.iter().try_fold(0, |number, digit| {
        digit.is_ascii_digit().then(|| number * 10 + u64::from(digit - b'0'))
    })
}

/// A string as it lies in the arena.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Text<'a> {
    Digits(u64),
    Plain(&'a str),
}

impl Text<'_> {
    pub(super) fn to_text(self) -> String {
        match self {
            Self::Digits(digits) => format!("+{digits}"),
            Self::Plain(text) => text.to_owned(),
        }
    }
}

/// Reads what was written in the same order. What is read was written by this program and is guarded by the log's checksums
/// in between, so that anything else is a fault of the program.
pub(super) struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn byte(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().expect("a record is whole");
        self.0 = rest;
        *first
    }

    pub(super) fn number(&mut self) -> u64 {
        let (mut value, mut shift) = (0, 0);
        loop {
            let byte = self.byte();
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return value;
            }
            shift += 7;
        }
    }

    pub(super) fn text(&mut self) -> Text<'a> {
        let head = self.number();
        if head & 1 == 1 {
            return Text::Digits(head >> 1);
        }
        let (text, rest) = self.0.split_at((head >> 1) as usize);
        self.0 = rest;
        Text::Plain(std::str::from_utf8(text).expect("it was written from a string"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn texts_and_numbers_come_back(
            texts in prop::collection::vec(prop_oneof![".{0,40}", "\\+[0-9]{0,18}", "[+0-9]{0,5}"], 0..20),
            number in any::<u64>(),
        ) {
            let mut bytes = Vec::new();
            for text in &texts {
                put_text(&mut bytes, text);
                put_number(&mut bytes, number);
            }
            let mut reader = Reader(&bytes);
            for text in &texts {
                prop_assert_eq!(&reader.text().to_text(), text);
                prop_assert_eq!(reader.number(), number);
            }
            prop_assert!(reader.0.is_empty());
        }
    }

    #[test]
    fn an_e164_number_takes_less_than_half_of_its_length() {
        let mut bytes = Vec::new();
        put_text(&mut bytes, "+15551234567");
        assert_eq!(bytes.len(), 5);
    }
}
