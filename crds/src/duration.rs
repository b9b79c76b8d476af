//! Lengths of time as people write them.

use std::{borrow::Cow, fmt, str::FromStr};

use busyhour_base::Span;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

/// A length of time in a document: a whole number and a unit, such as `500ms`, `1m` or `24h`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Duration(pub Span);

/// Units from the largest, with their microseconds.
const UNITS: [(&str, u64); 5] = [
    ("d", 86_400_000_000),
    ("h", 3_600_000_000),
    ("m", 60_000_000),
    ("s", 1_000_000),
    ("ms", 1_000),
];

/// What a duration must look like; eight digits of days fit 64 bits of microseconds.
const PATTERN: &str = "^[0-9]{1,8}(ms|s|m|h|d)$";

impl FromStr for Duration {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refused = || format!("{text:?} is not a duration such as 500ms, 30s, 1m, 24h or 7d");
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let (_, scale) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(refused)?;
        let number: u64 = number.parse().map_err(|_| refused())?;
        number.checked_mul(*scale).map(|us| Self(Span(us))).ok_or_else(refused)
    }
}

impl fmt::Display for Duration {
    /// In the largest unit that shows it whole; what is less than a millisecond is not shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let us = self.0.as_micros();
        let whole = |(_, scale): &&(&str, u64)| us.is_multiple_of(*scale);
        let (unit, scale) = UNITS.iter().filter(|_| us > 0).find(whole).unwrap_or(&UNITS[4]);
        write!(f, "{}{unit}", us / scale)
    }
}

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(D::Error::custom)
    }
}

impl JsonSchema for Duration {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": PATTERN})
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read_again(ms in 0u64..10_000_000_000) {
            let duration = Duration(Span::from_millis(ms));
            prop_assert_eq!(duration.to_string().parse(), Ok(duration));
        }
    }

    #[test]
    fn people_write_units() {
        assert_eq!("1m".parse(), Ok(Duration(Span::from_secs(60))));
        assert_eq!("500ms".parse(), Ok(Duration(Span::from_millis(500))));
        assert_eq!(Duration(Span::from_secs(86_400)).to_string(), "1d");
        for wrong in ["", "5", "m", "-1s", "1.5s", "1 s", "1w", "99999999999999999999d"] {
            assert!(wrong.parse::<Duration>().is_err(), "{wrong}");
        }
    }
}
