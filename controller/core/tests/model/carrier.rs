//! One carrier: its channels, its calls per second and its prices (MT-11 to MT-15, MT-17).

use std::collections::BTreeSet;

use busyhour_base::{Reason, Span};
use busyhour_controller_core::spec::{Carrier, Channels, Commitment, Price};

use super::Instant;

/// A set-up that leaves at most so late keeps the carrier's grid (MT-12).
pub const SETUP_LATENESS_MAX: Instant = 10_000;
const SECOND: Instant = 1_000_000;
const DAY: Instant = 86_400 * SECOND;

/// Which way a call goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    Outbound,
    Inbound,
}

/// What was said of a carrier since it was declared: channels that are to be active, reserve and margin.
type Said = (Option<Channels>, Option<u32>, Option<u32>);

pub struct Line {
    pub declared: Carrier,
    pub active: Option<Channels>,
    pub reserve: Option<u32>,
    pub margin: Option<u32>,
    /// It is in the declaration.
    pub there: bool,
    /// It is not, and nothing is left of it: if it comes back it is a new one.
    pub forgotten: bool,
    /// The channels that can be used, and those that can be later.
    usable: Channels,
    coming: Vec<(Instant, Channels)>,
    /// Whose calls are on it.
    calls: Vec<(u128, Way)>,
    /// Whose channels are kept back until when, because the end of the call was not confirmed.
    quarantined: Vec<(u128, Way, Instant)>,
    /// When the last call was set up, and by how much that was moved because set-ups left late, in all.
    last: Option<Instant>,
    pub moved: Instant,
    /// Seconds and millionths charged since the period began, and when it ends.
    seconds: u64,
    micros: u64,
    period_ends: Option<Instant>,
}

impl Line {
    pub fn new(carrier: &Carrier) -> Self {
        Self {
            declared: carrier.clone(),
            active: None,
            reserve: None,
            margin: None,
            there: true,
            forgotten: false,
            usable: wanted(carrier, None),
            coming: Vec::new(),
            calls: Vec::new(),
            quarantined: Vec::new(),
            last: None,
            moved: 0,
            seconds: 0,
            micros: 0,
            period_ends: None,
        }
    }

    pub fn declare(&mut self, carrier: &Carrier, now: Instant) {
        let said = if self.there { still_said(self, carrier) } else { (None, None, None) };
        (self.active, self.reserve, self.margin) = said;
        if self.declared.tariff.period != carrier.tariff.period {
            (self.seconds, self.micros, self.period_ends) = (0, 0, None);
        }
        (self.declared, self.there) = (carrier.clone(), true);
        self.activate(now);
    }

    /// The channels that are to be active changed: more are so after the activation time, fewer at once.
    pub fn activate(&mut self, now: Instant) {
        let wanted =
            if self.there { wanted(&self.declared, self.active) } else { Channels::default() };
        self.usable = self.usable.min(wanted);
        let mut sum = self.usable;
        for (_, more) in &mut self.coming {
            *more = more.min(wanted.with(sum, u32::saturating_sub));
            sum = sum.with(*more, |a, b| a + b);
        }
        let missing = wanted.with(sum, u32::saturating_sub);
        self.coming.push((now + self.declared.allocation.activation.0, missing));
        self.pass(now);
    }

    pub fn pass(&mut self, now: Instant) {
        self.quarantined.retain(|(_, _, until)| *until > now);
        for (at, more) in &mut self.coming {
            if *at <= now {
                self.usable = self.usable.with(std::mem::take(more), |a, b| a + b);
            }
        }
        if self.period_ends.is_some_and(|ends| ends <= now) {
            (self.seconds, self.micros, self.period_ends) = (0, 0, None);
        }
    }

    /// Channels with a call this way. One whose call's end is not confirmed is held, and in service.
    fn held(&self, way: Way) -> u32 {
        let calls = self.calls.iter().filter(|(_, other)| *other == way).count();
        (calls + self.quarantined.iter().filter(|(_, other, _)| *other == way).count()) as u32
    }

    /// Those of them that are this tenant's.
    pub fn held_by(&self, account: u128, way: Way) -> u32 {
        let calls = self.calls.iter().filter(|call| **call == (account, way)).count();
        let kept = self.quarantined.iter().filter(|(owner, of, _)| (*owner, *of) == (account, way));
        (calls + kept.count()) as u32
    }

    pub fn holds_nothing(&self) -> bool {
        self.calls.is_empty() && self.quarantined.is_empty()
    }

    fn reserve(&self) -> u32 {
        if self.there { self.reserve.unwrap_or(self.declared.reserve) } else { 0 }
    }

    /// Channels that outbound calls could still have.
    pub fn room(&self) -> u32 {
        self.room_beside(self.held(Way::Inbound))
    }

    /// The same if there were one inbound call more.
    pub fn room_beside_another(&self) -> u32 {
        self.room_beside(self.held(Way::Inbound) + 1)
    }

    /// Inbound calls take inbound-only channels first, then those that are held for them, then others.
    fn room_beside(&self, inbound: u32) -> u32 {
        let channels = self.channels_beside(inbound);
        channels.min(self.ports()).saturating_sub(self.held(Way::Outbound))
    }

    fn channels_beside(&self, inbound: u32) -> u32 {
        let taken = inbound.saturating_sub(self.usable.inbound).max(self.reserve());
        self.usable.outbound + self.usable.both.saturating_sub(taken)
    }

    fn ports(&self) -> u32 {
        if self.there { self.declared.service_ports } else { 0 }
    }

    /// Channels that inbound calls could still have. Outbound calls take outbound-only channels first.
    pub fn room_inbound(&self) -> u32 {
        let taken = self.held(Way::Outbound).saturating_sub(self.usable.outbound);
        let both = self.usable.both.saturating_sub(taken);
        (self.usable.inbound + both).saturating_sub(self.held(Way::Inbound))
    }

    /// The next call would take a bidirectional channel where inbound calls are expected: other carriers go first.
    pub fn spills(&self) -> bool {
        self.reserve() > 0 && self.held(Way::Outbound) >= self.usable.outbound
    }

    pub fn next_setup(&self) -> Option<Instant> {
        self.last.map(|last| last.saturating_add(self.declared.setup_spacing.0))
    }

    /// What keeps it from an outbound call.
    pub fn says(&self, now: Instant) -> BTreeSet<Reason> {
        let mut reasons = BTreeSet::new();
        if self.next_setup().is_some_and(|at| at > now) {
            reasons.insert(Reason::CarrierRate);
        }
        if self.room() > 0 {
            return reasons;
        }
        if self.held(Way::Outbound) >= self.ports() {
            reasons.insert(Reason::ServicePorts);
        }
        if self.held(Way::Outbound) < self.channels_beside(self.held(Way::Inbound)) {
            return reasons;
        }
        reasons.insert(Reason::CarrierChannels);
        if self.reserve() > 0 {
            reasons.insert(Reason::ChannelsReserved);
        }
        if self.usable != self.declared.channels {
            reasons.insert(Reason::ChannelsInactive);
        }
        reasons
    }

    /// The prices to a number, if it is served: those of the longest prefix, or the carrier's own.
    pub fn prices(&self, to: &str) -> Option<&[Price]> {
        if !self.there {
            return None;
        }
        let of =
            self.declared.serves.iter().filter(|part| part.calls && to.starts_with(&*part.prefix));
        match of.max_by_key(|part| part.prefix.len()) {
            Some(part) if !part.prices.is_empty() => Some(&part.prices),
            None if !self.declared.serves.is_empty() => None,
            _ => Some(&self.declared.tariff.prices),
        }
    }

    /// The present price of a minute.
    pub fn price(&self, to: &str) -> u64 {
        let prices = self.prices(to).unwrap_or(&self.declared.tariff.prices);
        let reached = prices.iter().filter(|price| price.from_minutes * 60 <= self.seconds);
        reached.max_by_key(|price| price.from_minutes).map_or(0, |price| price.per_minute_micros)
    }

    pub fn committed(&self) -> bool {
        match self.declared.tariff.commitment {
            Some(Commitment::Minutes(minutes)) => self.seconds < minutes * 60,
            Some(Commitment::Micros(micros)) => self.micros < micros,
            None => false,
        }
    }

    /// A call that was due at `due` is set up. What leaves later than the carrier's grid allows for moves the grid.
    pub fn set_up(&mut self, account: u128, due: Instant, made: Instant) {
        self.calls.push((account, Way::Outbound));
        self.last = Some(due.max(made - SETUP_LATENESS_MAX));
    }

    /// A set-up that was to leave at `slot` is heard to have left at `sent`. What is over the guard moves the grid, as far
    /// as it has not been moved since (`moved` then); a second's stillness mends any lateness.
    pub fn left(&mut self, slot: Instant, moved: Instant, sent: Instant) {
        let (Some(last), Some(next)) = (self.last, self.next_setup()) else { return };
        if moved > self.moved {
            return;
        }
        let late = sent.saturating_sub(slot).saturating_sub(SETUP_LATENESS_MAX);
        let by = late.saturating_sub(self.moved - moved);
        let by = (next + by).min(sent + SECOND).saturating_sub(next);
        (self.last, self.moved) = (Some(last + by), self.moved + by);
    }

    /// An inbound call is answered: its set-up is the carrier's own.
    pub fn answer(&mut self, account: u128) {
        self.calls.push((account, Way::Inbound));
    }

    /// A channel comes back at once, or after the carrier's quarantine if the end was not confirmed.
    pub fn give_back(&mut self, account: u128, way: Way, confirmed: bool, now: Instant) {
        let call = self.calls.iter().position(|other| *other == (account, way));
        self.calls.remove(call.expect("it is on this carrier"));
        let Span(quarantine) = self.declared.quarantine;
        if !confirmed && quarantine > 0 {
            self.quarantined.push((account, way, now.saturating_add(quarantine)));
        }
    }

    /// By the second or by the contract's increment, at the present price.
    pub fn charge(&mut self, to: &str, talk: Span, now: Instant) {
        self.pass(now);
        if talk == Span::ZERO {
            return;
        }
        let increment = (self.declared.tariff.increment.0 / SECOND).max(1);
        let seconds = talk.0.div_ceil(SECOND).div_ceil(increment) * increment;
        self.micros += (self.price(to) * seconds).div_ceil(60);
        self.seconds += seconds;
        self.period_ends = self.period_ends.or(Some((now / DAY + 1) * DAY));
    }

    /// The instants at which it can take more by time alone.
    pub fn moments(&self) -> Vec<Instant> {
        let quarantined = self.quarantined.iter().map(|(_, _, until)| *until);
        let coming = self.coming.iter().map(|(at, _)| *at);
        quarantined.chain(coming).chain(self.next_setup()).chain(self.period_ends).collect()
    }
}

/// The channels of a carrier that are to be active.
pub fn wanted(carrier: &Carrier, said: Option<Channels>) -> Channels {
    said.or(carrier.allocation.active).unwrap_or(carrier.channels).min(carrier.channels)
}

/// What was said of a carrier holds until the declaration says another thing.
pub fn still_said(line: &Line, now: &Carrier) -> Said {
    let before = &line.declared;
    let same_channels =
        before.allocation.active == now.allocation.active && before.channels == now.channels;
    (
        line.active.filter(|_| same_channels),
        line.reserve.filter(|_| before.reserve == now.reserve),
        line.margin.filter(|_| before.margin == now.margin),
    )
}
