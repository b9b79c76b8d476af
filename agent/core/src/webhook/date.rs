//! Dates on the wire.

use busyhour_base::Timestamp;

const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// An instant as RFC 2822 writes it, always in UTC: `Tue, 10 Mar 2026 12:00:00 +0000`.
pub fn rfc2822(at: Timestamp) -> String {
    let seconds = at.as_secs();
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    format!(
        "{}, {day:02} {} {year} {:02}:{:02}:{:02} +0000",
        DAYS[(days % 7) as usize],
        MONTHS[month as usize],
        second / 3_600,
        second / 60 % 60,
        second % 60,
    )
}

/// Year, month (from 0) and day of the month (from 1) of a day counted from 1 January 1970, in the
/// Gregorian calendar. Years are counted from March, so that the leap day is a year's last.
fn civil(days: u64) -> (u64, u64, u64) {
    const DAYS_PER_400_YEARS: u64 = 146_097;
    const DAYS_FROM_MARCH_0000_TO_1970: u64 = 719_468;
    let days = days + DAYS_FROM_MARCH_0000_TO_1970;
    let (era, of_era) = (days / DAYS_PER_400_YEARS, days % DAYS_PER_400_YEARS);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = (from_march + 2) % 12;
    (era * 400 + year_of_era + u64::from(month < 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, text) in [
            (0, "Thu, 01 Jan 1970 00:00:00 +0000"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 +0000"),
            (951_868_799, "Tue, 29 Feb 2000 23:59:59 +0000"),
            (1_709_164_800, "Thu, 29 Feb 2024 00:00:00 +0000"),
            (1_773_144_000, "Tue, 10 Mar 2026 12:00:00 +0000"),
            (4_107_542_399, "Sun, 28 Feb 2100 23:59:59 +0000"),
            (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 +0000"),
        ] {
            assert_eq!(rfc2822(Timestamp(seconds * 1_000_000)), text);
        }
    }

    #[test]
    fn days_follow_each_other_for_four_hundred_years() {
        let mut last = civil(0);
        for day in 1..146_097 {
            let next = civil(day);
            let stepped = next.2 == last.2 + 1 && (next.0, next.1) == (last.0, last.1);
            let turned = next.2 == 1 && last.2 >= 28 && (next.1 == (last.1 + 1) % 12);
            assert!(stepped || turned, "{last:?} then {next:?}");
            last = next;
        }
        assert_eq!(last, (2369, 11, 31));
    }

    #[test]
    fn the_end_of_time_is_written_without_a_panic() {
        assert!(rfc2822(Timestamp::NEVER).ends_with("+0000"));
    }
}
