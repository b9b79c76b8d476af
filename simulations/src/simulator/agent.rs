//! Simulated agents: the production legs, with the deeds of their shell done in virtual time.

use std::collections::BTreeMap;

use busyhour_agent_core::leg::{Leg, Order, Token};
use busyhour_base::{SidKey, Span, Timestamp};
use busyhour_controller_core::effect::Dial;

use super::Key;

/// One agent.
#[derive(Default)]
pub struct Agent {
    /// The highest fence that it was given.
    pub fence: u64,
    /// Its calls.
    pub legs: BTreeMap<Key, Running>,
}

/// A call at an agent.
pub struct Running {
    /// The production machine.
    pub leg: Leg,
    /// Name of the carrier that it goes over.
    pub carrier: String,
    /// The called number.
    pub to: String,
    /// Audio that is ready, with its length.
    pub ready: BTreeMap<Token, Span>,
    /// What is being played, since when, and for the how manieth time anything is.
    pub playing: Option<(Token, Timestamp)>,
    /// Counts what was played, so that the end of something stopped is known as such.
    pub played: u64,
    /// The instant that the leg was last promised to be woken at.
    pub wake: Option<Timestamp>,
}

impl Running {
    /// A call as it was ordered.
    pub fn new(dial: &Dial, sids: SidKey) -> Self {
        let order = Order {
            call_sid: sids.call(dial.call.0),
            account_sid: dial.account,
            spec: (*dial.spec).clone(),
        };
        Self {
            leg: Leg::new(order),
            carrier: dial.carrier.to_string(),
            to: dial.spec.to.clone(),
            ready: BTreeMap::new(),
            playing: None,
            played: 0,
            wake: None,
        }
    }

    /// Ends what is being played; says for how long it was.
    pub fn stop(&mut self, now: Timestamp) -> Span {
        self.played += 1;
        self.playing.take().map_or(Span::ZERO, |(_, since)| now.since(since))
    }
}
