//! What a carrier costs: a price per minute that falls with the volume of the period, and a volume that is paid for in any
//! case (MT-17). Whole numbers only: seconds, and millionths of the currency.

use serde::{Deserialize, Serialize};

use crate::spec::{Commitment, Period, Price};

const SECOND_US: u64 = 1_000_000;
const DAY_S: u64 = 86_400;

/// Terms and use of a carrier's contract in the present period.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Tariff {
    terms: Terms,
    /// Charged in this period.
    seconds: u64,
    /// Charged in this period, in millionths.
    micros: u64,
    /// When the period ends, in microseconds; 0 before the first charge.
    ends: u64,
}

/// What the contract says of money, as the ledger needs it.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Terms {
    /// Of each period.
    pub period: Period,
    /// A call is charged in multiples of so many seconds; 0 counts as 1.
    pub increment_s: u64,
    /// Filled before anything cheaper is looked for.
    pub commitment: Option<Commitment>,
    /// Prices by volume in ascending order; the first is the carrier's own, the others those of destinations.
    pub ladders: Vec<Vec<Price>>,
}

impl Terms {
    /// Whether its place among other carriers depends on what was used.
    fn changes(&self) -> bool {
        self.commitment.is_some() || self.ladders.iter().any(|prices| prices.len() > 1)
    }
}

impl Tariff {
    /// Other terms from now on; what was used counts on.
    pub(super) fn set(&mut self, terms: Terms) {
        if terms.period != self.terms.period {
            (self.seconds, self.micros, self.ends) = (0, 0, 0);
        }
        self.terms = terms;
    }

    /// The terms.
    pub const fn terms(&self) -> &Terms {
        &self.terms
    }

    /// Seconds charged in this period.
    pub const fn seconds(&self) -> u64 {
        self.seconds
    }

    /// Charged in this period, in millionths of the currency.
    pub const fn micros(&self) -> u64 {
        self.micros
    }

    /// The present price of a minute, in millionths.
    pub fn price(&self, ladder: u16) -> u64 {
        let prices = self.terms.ladders.get(usize::from(ladder)).map_or(&[][..], Vec::as_slice);
        let reached = |price: &&Price| price.from_minutes.saturating_mul(60) <= self.seconds;
        prices.iter().take_while(reached).last().map_or(0, |price| price.per_minute_micros)
    }

    /// Something that is paid for in any case is not used up.
    pub fn is_committed(&self) -> bool {
        self.terms.commitment.is_some_and(|commitment| match commitment {
            Commitment::Minutes(minutes) => self.seconds < minutes.saturating_mul(60),
            Commitment::Micros(micros) => self.micros < micros,
        })
    }

    /// A call that was answered for `talk_us` is charged. Whether the carrier's place among others may have changed.
    pub(super) fn charge(&mut self, ladder: u16, talk_us: u64, now: u64) -> bool {
        let rolled = self.roll(now);
        if talk_us == 0 {
            return rolled;
        }
        if self.ends == 0 {
            self.ends = end_of(self.terms.period, now);
        }
        let increment = self.terms.increment_s.max(1);
        let seconds = talk_us.div_ceil(SECOND_US).div_ceil(increment).saturating_mul(increment);
        let cost = (u128::from(self.price(ladder)) * u128::from(seconds)).div_ceil(60);
        let was = self.standing();
        self.seconds = self.seconds.saturating_add(seconds);
        self.micros = self.micros.saturating_add(u64::try_from(cost).unwrap_or(u64::MAX));
        rolled || (self.terms.changes() && was != self.standing())
    }

    /// A new period begins with nothing used, if the present one is over. Whether it did.
    pub(super) fn roll(&mut self, now: u64) -> bool {
        let over = self.ends != 0 && self.ends <= now;
        if over {
            (self.seconds, self.micros, self.ends) = (0, 0, 0);
        }
        over
    }

    /// When the present period ends, if that makes a difference.
    pub(super) fn period_ends(&self) -> Option<u64> {
        (self.ends != 0 && self.terms.changes()).then_some(self.ends)
    }

    /// What decides its place: whether it is committed, and how many thresholds were passed.
    fn standing(&self) -> (bool, usize) {
        let passed = |price: &&Price| price.from_minutes.saturating_mul(60) <= self.seconds;
        let steps = self.terms.ladders.iter().flatten().filter(passed).count();
        (self.is_committed(), steps)
    }
}

/// The end of the period that `now` lies in, in microseconds, in UTC.
fn end_of(period: Period, now: u64) -> u64 {
    let day = now / SECOND_US / DAY_S;
    let next = match period {
        Period::Day => day + 1,
        // Day 0 was a Thursday.
        Period::Week => day + 7 - (day + 3) % 7,
        Period::Month => first_of_next_month(day),
    };
    next.saturating_mul(DAY_S * SECOND_US)
}

/// The first day of the month after the one that `day` (counted from 1970-01-01) lies in: the proleptic Gregorian
/// calendar in years that begin in March, so that the leap day comes last.
fn first_of_next_month(day: u64) -> u64 {
    let shifted = day + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let (year, month) = if month == 11 { (year + 1, 0) } else { (year, month + 1) };
    let first = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5;
    (era * 146_097 + first).saturating_sub(719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Days since 1970 by counting months, the obvious way.
    fn first_days() -> Vec<u64> {
        let (mut days, mut day) = (Vec::new(), 0);
        for year in 1970_u64..2450 {
            let leap =
                year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
            for length in [31, 28 + u64::from(leap), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
                days.push(day);
                day += length;
            }
        }
        days
    }

    #[test]
    fn mt_17_a_month_ends_where_the_calendar_says() {
        for pair in first_days().windows(2) {
            for day in [pair[0], pair[0] + 14, pair[1] - 1] {
                assert_eq!(first_of_next_month(day), pair[1], "day {day}");
            }
        }
        // 2023-11-14 22:13:20 UTC, a Tuesday.
        let now = 1_700_000_000 * SECOND_US;
        assert_eq!(end_of(Period::Day, now) / SECOND_US, 1_700_006_400);
        assert_eq!(end_of(Period::Week, now) / SECOND_US, 1_700_438_400);
        assert_eq!(end_of(Period::Month, now) / SECOND_US, 1_701_388_800);
    }

    #[test]
    fn mt_17_the_price_falls_with_the_volume_and_begins_anew_with_the_period() {
        let price = |from_minutes, per_minute_micros| Price { from_minutes, per_minute_micros };
        let mut tariff = Tariff::default();
        tariff.set(Terms {
            period: Period::Day,
            increment_s: 60,
            commitment: Some(Commitment::Minutes(2)),
            ladders: vec![vec![price(0, 10_000), price(3, 6_000)]],
        });
        let now = 1_700_000_000 * SECOND_US;
        assert_eq!(
            (tariff.price(0), tariff.is_committed(), tariff.period_ends()),
            (10_000, true, None)
        );
        // 61 s are two minutes: the commitment is filled.
        assert!(tariff.charge(0, 61 * SECOND_US, now));
        assert_eq!((tariff.seconds(), tariff.micros()), (120, 20_000));
        assert!(!tariff.is_committed());
        assert!(tariff.charge(0, 1, now), "the threshold of three minutes is passed");
        assert_eq!((tariff.price(0), tariff.micros()), (6_000, 30_000));
        assert!(!tariff.charge(0, SECOND_US, now), "nothing more can change in this period");
        assert!(!tariff.charge(0, 0, now), "what was not answered costs nothing");
        assert_eq!(tariff.micros(), 36_000);
        let midnight = tariff.period_ends().unwrap();
        assert!(!tariff.roll(midnight - 1));
        assert!(tariff.roll(midnight));
        assert_eq!((tariff.seconds(), tariff.price(0), tariff.is_committed()), (0, 10_000, true));
    }
}
