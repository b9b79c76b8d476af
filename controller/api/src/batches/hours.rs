//! Calling hours: from weekly windows in local time to instants.
//!
//! The state machine knows no time zones. Hours are resolved here, some weeks ahead, and again before they run out, with the
//! rules that the zone then has. Where clocks change within a window's edge the narrower reading holds: a beginning that comes
//! twice is the second, an end that comes twice the first, so that nobody is called out of hours by either.

use busyhour_base::{Span, Timestamp};
use busyhour_controller_core::spec::{CallingHours, Opening, Openings, WeeklyWindow};
use jiff::{
    Timestamp as Instant, ToSpan as _,
    civil::{Date, DateTime},
    tz::{Disambiguation, TimeZone},
};

/// How far ahead hours are resolved.
pub const AHEAD: Span = Span::from_secs(35 * 86_400);

/// The zone of an IANA name.
pub(super) fn zone(name: &str) -> Option<TimeZone> {
    // "local" and the like would mean this machine's.
    let zone = TimeZone::get(name).ok()?;
    zone.iana_name().is_some().then_some(zone)
}

/// The instants from `from` up to `through` at which calls may start. Without the zone, nothing is open.
pub fn openings(hours: &CallingHours, from: Timestamp, through: Timestamp) -> Openings {
    let through = through.max(from);
    let mut spans = Vec::new();
    if let (Some(zone), Some(first), Some(last)) =
        (zone(&hours.zone), instant(from), instant(through))
    {
        // A window that began the day before may still be open, and no zone is a day off.
        let mut date = first.to_zoned(zone.clone()).date().saturating_sub(2.days());
        let end = last.to_zoned(zone.clone()).date().saturating_add(1.day());
        while date <= end {
            let windows = hours.weekly.iter().filter(|window| begins_on(window, date));
            spans.extend(windows.filter_map(|window| opening(window, date, &zone)));
            let Ok(next) = date.tomorrow() else { break };
            date = next;
        }
    }
    Openings { spans: joined(spans, from, through), through }
}

fn begins_on(window: &WeeklyWindow, date: Date) -> bool {
    window.days & (1 << date.weekday().to_monday_zero_offset()) != 0
}

fn opening(window: &WeeklyWindow, date: Date, zone: &TimeZone) -> Option<Opening> {
    let next_day = window.to_min <= window.from_min;
    let ends = if next_day { date.tomorrow().ok()? } else { date };
    let from = local(date, window.from_min, zone, Disambiguation::Later)?;
    let to = local(ends, window.to_min, zone, Disambiguation::Earlier)?;
    (from < to).then_some(Opening { from, to })
}

fn local(date: Date, minutes: u16, zone: &TimeZone, which: Disambiguation) -> Option<Timestamp> {
    let time: DateTime = date.to_datetime(jiff::civil::Time::midnight());
    let time = time.checked_add(i64::from(minutes).minutes()).ok()?;
    let at = zone.to_ambiguous_zoned(time).disambiguate(which).ok()?;
    u64::try_from(at.timestamp().as_microsecond()).ok().map(Timestamp)
}

fn instant(at: Timestamp) -> Option<Instant> {
    Instant::from_microsecond(i64::try_from(at.0).ok()?).ok()
}

/// In order, cut to the time that was asked for, and those that touch as one.
fn joined(mut spans: Vec<Opening>, from: Timestamp, through: Timestamp) -> Vec<Opening> {
    spans.sort_by_key(|span| span.from);
    let mut all: Vec<Opening> = Vec::with_capacity(spans.len());
    for span in spans {
        let span = Opening { from: span.from.max(from), to: span.to.min(through) };
        match all.last_mut() {
            _ if span.from >= span.to => {}
            Some(last) if span.from <= last.to => last.to = last.to.max(span.to),
            _ => all.push(span),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use busyhour_controller_core::spec::DAYS_ALL;
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp(text.parse::<Instant>().unwrap().as_microsecond() as u64)
    }

    fn hours(zone: &str, days: u8, from_min: u16, to_min: u16) -> CallingHours {
        let weekly = vec![WeeklyWindow { days, from_min, to_min }];
        CallingHours { zone: zone.to_owned(), weekly }
    }

    fn resolved(hours: &CallingHours, from: &str, through: &str) -> Vec<(String, String)> {
        let text = |at: Timestamp| instant(at).unwrap().to_string();
        let openings = openings(hours, at(from), at(through));
        assert!(openings.are_well_formed());
        openings.spans.iter().map(|span| (text(span.from), text(span.to))).collect()
    }

    fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        expected.iter().map(|(from, to)| ((*from).to_owned(), (*to).to_owned())).collect()
    }

    #[test]
    fn hours_follow_the_zone_through_both_changes_of_its_clocks() {
        let hours = hours("Europe/Berlin", DAYS_ALL, 9 * 60, 18 * 60);
        let spring = resolved(&hours, "2026-03-28T00:00:00Z", "2026-03-30T00:00:00Z");
        assert_eq!(
            spring,
            pairs(&[
                ("2026-03-28T08:00:00Z", "2026-03-28T17:00:00Z"),
                ("2026-03-29T07:00:00Z", "2026-03-29T16:00:00Z"),
            ])
        );
        let autumn = resolved(&hours, "2026-10-24T00:00:00Z", "2026-10-26T00:00:00Z");
        assert_eq!(
            autumn,
            pairs(&[
                ("2026-10-24T07:00:00Z", "2026-10-24T16:00:00Z"),
                ("2026-10-25T08:00:00Z", "2026-10-25T17:00:00Z"),
            ])
        );
    }

    #[test]
    fn an_edge_within_a_change_of_clocks_is_read_narrowly() {
        // 02:00 to 03:00 does not exist on the 29th of March and comes twice on the 25th of October.
        let begins = hours("Europe/Berlin", DAYS_ALL, 150, 240);
        let spring = resolved(&begins, "2026-03-29T00:00:00Z", "2026-03-29T12:00:00Z");
        assert_eq!(spring, pairs(&[("2026-03-29T01:30:00Z", "2026-03-29T02:00:00Z")]));
        let autumn = resolved(&begins, "2026-10-25T00:00:00Z", "2026-10-25T12:00:00Z");
        assert_eq!(autumn, pairs(&[("2026-10-25T01:30:00Z", "2026-10-25T03:00:00Z")]));
        let ends = hours("Europe/Berlin", DAYS_ALL, 60, 150);
        let autumn = resolved(&ends, "2026-10-24T20:00:00Z", "2026-10-25T12:00:00Z");
        assert_eq!(autumn, pairs(&[("2026-10-24T23:00:00Z", "2026-10-25T00:30:00Z")]));
    }

    #[test]
    fn a_window_over_midnight_belongs_to_the_day_on_which_it_begins() {
        let friday = hours("America/New_York", 0b001_0000, 22 * 60, 2 * 60);
        let week = resolved(&friday, "2026-07-06T00:00:00Z", "2026-07-13T00:00:00Z");
        assert_eq!(week, pairs(&[("2026-07-11T02:00:00Z", "2026-07-11T06:00:00Z")]));
        let whole_days = hours("UTC", DAYS_ALL, 0, 24 * 60);
        let all = resolved(&whole_days, "2026-07-06T10:00:00Z", "2026-07-09T10:00:00Z");
        assert_eq!(all, pairs(&[("2026-07-06T10:00:00Z", "2026-07-09T10:00:00Z")]));
    }

    #[test]
    fn only_zones_of_the_database_are_known() {
        for known in ["Europe/Berlin", "UTC", "Asia/Kolkata", "America/Argentina/Buenos_Aires"] {
            assert!(zone(known).is_some(), "{known}");
        }
        for unknown in ["", "local", "Europe/Atlantis", "+01:00", "../etc/passwd"] {
            assert!(zone(unknown).is_none(), "{unknown}");
        }
    }

    proptest! {
        /// Every instant of an opening is within hours by the clock on the wall, and resolving in two parts is resolving at once.
        #[test]
        fn openings_are_within_hours_by_the_clock_on_the_wall(
            zone_of in prop::sample::select(vec!["Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "Pacific/Apia"]),
            days in 0u8..128, from_min in 0u16..1_440, to_min in 1u16..=1_440,
            begin in 1_400_000_000u64..2_000_000_000, cut in 0u64..30, share in 0u64..1_000,
        ) {
            let hours = hours(zone_of, days, from_min, to_min);
            let (from, through) = (Timestamp(begin * 1_000_000), Timestamp((begin + 30 * 86_400) * 1_000_000));
            let all = openings(&hours, from, through);
            prop_assert!(all.are_well_formed());
            let zone = zone(zone_of).unwrap();
            for span in &all.spans {
                let inside = span.from.0 + (span.to.0 - 1 - span.from.0) / 1_000 * share;
                let wall = instant(Timestamp(inside)).unwrap().to_zoned(zone.clone());
                let minute = wall.hour() as u16 * 60 + wall.minute() as u16;
                let today = days & (1 << wall.weekday().to_monday_zero_offset()) != 0;
                let yesterday = days & (1 << wall.weekday().previous().to_monday_zero_offset()) != 0;
                let open = if to_min > from_min {
                    today && (from_min..to_min).contains(&minute)
                } else {
                    today && minute >= from_min || yesterday && minute < to_min
                };
                prop_assert!(open, "{wall}");
            }
            let middle = Timestamp((begin + cut * 86_400) * 1_000_000);
            let parts = [openings(&hours, from, middle), openings(&hours, middle, through)];
            let parts = parts.into_iter().flat_map(|part| part.spans).collect();
            prop_assert_eq!(joined(parts, from, through), all.spans);
        }
    }
}
