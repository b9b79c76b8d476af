//! Counts channels and call set-ups against the contract, as a carrier does.

use std::collections::VecDeque;

use busyhour_base::{Span, Timestamp};

use crate::{Contract, account::Usage};

/// The contract's two counters.
#[derive(Debug)]
pub(crate) struct Meter {
    contract: Contract,
    channels: Usage,
    rate: Usage,
    /// Customers who call a tenant's number and are not answered yet.
    calling: u64,
    /// Set-ups of the last second.
    set_ups: VecDeque<Timestamp>,
}

/// The window in which call set-ups are counted.
const SECOND: Span = Span::from_secs(1);

/// More set-ups than this in one second are counted as this many.
const MAX_SET_UPS: usize = 1 << 20;

impl Meter {
    pub(crate) fn new(contract: Contract) -> Self {
        Self {
            contract,
            channels: Usage::default(),
            rate: Usage::default(),
            calling: 0,
            set_ups: VecDeque::new(),
        }
    }

    /// Counts a call set-up; true when it may go on and now holds a channel. One set-up can breach both parts.
    pub(crate) fn set_up(&mut self, now: Timestamp) -> bool {
        self.forget_before(now);
        if self.set_ups.len() == MAX_SET_UPS {
            self.set_ups.pop_front();
        }
        self.set_ups.push_back(now);
        self.rate.peak = self.rate.peak.max(self.set_ups.len() as u64);
        self.channels.peak = self.channels.peak.max(self.channels.current + 1);
        let over_rate = self.set_ups.len() as u64 > u64::from(self.contract.calls_per_second);
        let over_channels = self.channels.current >= u64::from(self.contract.channels);
        self.rate.breaches += u64::from(over_rate);
        self.channels.breaches += u64::from(over_channels);
        let is_within = !over_rate && !over_channels;
        self.channels.current += u64::from(is_within);
        is_within
    }

    /// A customer of the carrier calls; false if no channel is left for that.
    pub(crate) fn calls_in(&mut self) -> bool {
        let room = self.channels.current + self.calling < u64::from(self.contract.channels);
        self.calling += u64::from(room);
        room
    }

    /// A customer who called was answered, and has a channel. Whoever answers more of them than there are channels breaks the
    /// contract.
    pub(crate) fn answered(&mut self) {
        self.calling = self.calling.saturating_sub(1);
        self.channels.current += 1;
        self.channels.peak = self.channels.peak.max(self.channels.current);
        let over = self.channels.current > u64::from(self.contract.channels);
        self.channels.breaches += u64::from(over);
    }

    /// A customer who called was not answered.
    pub(crate) fn gave_up(&mut self) {
        self.calling = self.calling.saturating_sub(1);
    }

    /// A call that held a channel is over.
    pub(crate) fn release(&mut self) {
        debug_assert!(self.channels.current > 0, "a channel was released twice");
        self.channels.current = self.channels.current.saturating_sub(1);
    }

    /// Channels and rate at `now`.
    pub(crate) fn usage(&self, now: Timestamp) -> (Usage, Usage) {
        let recent = self.set_ups.iter().rev().take_while(|at| now.since(**at) < SECOND).count();
        let rate = Usage { current: recent as u64, ..self.rate };
        (self.channels, rate)
    }

    fn forget_before(&mut self, now: Timestamp) {
        while self.set_ups.front().is_some_and(|at| now.since(*at) >= SECOND) {
            self.set_ups.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meter(channels: u32, calls_per_second: u32) -> Meter {
        Meter::new(Contract { channels, calls_per_second })
    }

    /// MT-12: the window is any second, not the clock's, and is open at its far end.
    #[test]
    fn set_ups_are_counted_in_every_rolling_second() {
        let mut meter = meter(100, 2);
        assert!(meter.set_up(Timestamp(900_000)));
        assert!(meter.set_up(Timestamp(1_000_000)));
        assert!(!meter.set_up(Timestamp(1_899_999)));
        let (_, rate) = meter.usage(Timestamp(1_899_999));
        assert_eq!((rate.peak, rate.breaches, rate.current), (3, 1, 3));
        // The first is exactly a second old; the refused one still counts.
        assert!(!meter.set_up(Timestamp(1_900_000)));
        assert!(meter.set_up(Timestamp(2_899_999)));
    }

    #[test]
    fn customers_who_call_have_a_channel_once_they_are_answered() {
        let mut meter = meter(2, 1_000);
        assert!(meter.calls_in() && meter.calls_in());
        assert!(!meter.calls_in(), "two ring already");
        meter.gave_up();
        meter.answered();
        assert!(meter.set_up(Timestamp(0)), "one channel is left");
        assert!(!meter.calls_in());
        let (channels, _) = meter.usage(Timestamp(0));
        assert_eq!((channels.current, channels.peak, channels.breaches), (2, 2, 0));
        meter.answered();
        assert_eq!(meter.usage(Timestamp(0)).0.breaches, 1, "it was answered without room");
        meter.release();
    }

    #[test]
    fn channels_are_held_until_released_and_refused_calls_hold_none() {
        let mut meter = meter(1, 1_000);
        assert!(meter.set_up(Timestamp(0)));
        assert!(!meter.set_up(Timestamp(1)));
        meter.release();
        assert!(meter.set_up(Timestamp(2)));
        let (channels, _) = meter.usage(Timestamp(2));
        assert_eq!((channels.current, channels.peak, channels.breaches), (1, 2, 1));
    }
}
