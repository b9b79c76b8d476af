//! Instants as text: RFC 2822 for the field's resources, RFC 3339 for our own, and what filters may hold.

use std::{fmt, ops::Range};

use busyhour_base::{Span, Timestamp};
use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, Timelike, Utc};
use serde::{Serialize, Serializer};

const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// `Tue, 10 Mar 2026 12:00:00 +0000`, always `+0000` (`WIRE.md`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Rfc2822(pub(crate) Timestamp);

/// `2026-03-10T12:00:00.250Z`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Rfc3339(pub(crate) Timestamp);

/// An instant past chrono's last year (262,142) shows as that year's end: nothing can be scheduled so late.
fn calendar(at: Timestamp) -> DateTime<Utc> {
    i64::try_from(at.0)
        .ok()
        .and_then(DateTime::from_timestamp_micros)
        .unwrap_or(DateTime::<Utc>::MAX_UTC)
}

impl fmt::Display for Rfc2822 {
    /// Written digit by digit: each answer holds several, and the formatter's own way was among the
    /// dearest parts of writing one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let t = calendar(self.0);
        if t.year() > 9_999 {
            // Nothing reads such a year back; it is still told.
            return write!(f, "{}", t.format("%a, %d %b %Y %H:%M:%S +0000"));
        }
        let mut text = *b"Thu, 01 Jan 1970 00:00:00 +0000";
        let mut put = |at: usize, value: u32| {
            text[at] = b'0' + (value / 10 % 10) as u8;
            text[at + 1] = b'0' + (value % 10) as u8;
        };
        let year = t.year().unsigned_abs();
        put(5, t.day());
        put(12, year / 100);
        put(14, year % 100);
        put(17, t.hour());
        put(20, t.minute());
        put(23, t.second());
        text[..3].copy_from_slice(DAYS[t.weekday().num_days_from_sunday() as usize].as_bytes());
        text[8..11].copy_from_slice(MONTHS[t.month0() as usize].as_bytes());
        f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Display for Rfc3339 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let t = calendar(self.0);
        write!(
            f,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
            t.year(),
            t.month(),
            t.day(),
            t.hour(),
            t.minute(),
            t.second(),
            t.timestamp_subsec_millis()
        )
    }
}

impl Serialize for Rfc2822 {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl Serialize for Rfc3339 {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

/// Reads an instant of RFC 3339, with any offset. Before 1970 is refused.
pub(crate) fn instant(text: &str) -> Option<Timestamp> {
    let t = DateTime::parse_from_rfc3339(text).ok()?;
    u64::try_from(t.timestamp_micros()).ok().map(Timestamp)
}

/// What a filter by date means: a day (`2026-03-10`, in UTC) or a second.
pub(crate) fn day_or_second(text: &str) -> Option<Range<Timestamp>> {
    let (start, length) = if let Ok(day) = NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        (midnight(day)?, Span::from_secs(86_400))
    } else if let Some(at) = instant(text) {
        (Timestamp(at.as_secs() * 1_000_000), Span::from_secs(1))
    } else {
        let t = NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S").ok()?;
        (micros(t)?, Span::from_secs(1))
    };
    Some(start..start + length)
}

fn midnight(day: NaiveDate) -> Option<Timestamp> {
    micros(day.and_hms_opt(0, 0, 0)?)
}

fn micros(t: NaiveDateTime) -> Option<Timestamp> {
    u64::try_from(t.and_utc().timestamp_micros()).ok().map(Timestamp)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TUESDAY: Timestamp = Timestamp(1_773_144_000_250_000);

    #[test]
    fn dates_are_written_as_the_sdks_read_them() {
        assert_eq!(Rfc2822(TUESDAY).to_string(), "Tue, 10 Mar 2026 12:00:00 +0000");
        assert_eq!(Rfc3339(TUESDAY).to_string(), "2026-03-10T12:00:00.250Z");
    }

    #[test]
    fn filters_take_a_day_or_a_second() {
        let second = Timestamp(1_773_144_000_000_000);
        let day = Timestamp(1_773_100_800_000_000);
        assert_eq!(day_or_second("2026-03-10"), Some(day..day + Span::from_secs(86_400)));
        for text in ["2026-03-10T12:00:00Z", "2026-03-10T13:00:00+01:00", "2026-03-10T12:00:00"] {
            assert_eq!(day_or_second(text), Some(second..second + Span::from_secs(1)));
        }
        for text in ["", "yesterday", "2026-02-30", "1969-12-31", "2026-03-10T25:00:00Z"] {
            assert_eq!(day_or_second(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_instant_is_written_and_most_lead_back(at: u64) {
            let at = Timestamp(at);
            prop_assert!(Rfc2822(at).to_string().ends_with(" +0000"));
            let near = Timestamp(at.0 % 253_370_764_800_000_000 / 1_000 * 1_000);
            prop_assert_eq!(instant(&Rfc3339(near).to_string()), Some(near));
            let again = DateTime::parse_from_rfc2822(&Rfc2822(near).to_string()).unwrap();
            prop_assert_eq!(again.timestamp(), i64::try_from(near.as_secs()).unwrap());
        }
    }
}
