//! Telephone numbers.

/// Whether this is a number as E.164 has it: `+` and 7 to 15 digits, the first of which is not 0.
pub fn is_e164(text: &str) -> bool {
    text.strip_prefix('+').is_some_and(|digits| {
        (7..=15).contains(&digits.len())
            && !digits.starts_with('0')
            && digits.bytes().all(|byte| byte.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_a_plus_a_country_and_seven_to_fifteen_digits() {
        for number in ["+1234567", "+123456789012345", "+14155550123"] {
            assert!(is_e164(number), "{number}");
        }
        let others =
            ["", "+", "14155550123", "+123456", "+1234567890123456", "+0415555012", "+1415a550123"];
        for other in others {
            assert!(!is_e164(other), "{other}");
        }
    }
}
