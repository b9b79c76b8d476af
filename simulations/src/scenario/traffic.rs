//! What the scenario has beside batches of calls: callers of the tenants' numbers, and messages.

use busyhour_base::{AccountSid, Body, CallSpec, Direction, MessageSpec, Span};
use busyhour_controller_core::message::AnsweredBy;
use busyhour_crds::{Answering, TextingApplication};
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

use super::Scenario;
use crate::behaviour::{Spread, fnv1a};

/// Calls to one number.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Callers {
    /// Name of the carrier whose customers they are.
    pub carrier: String,
    /// Called number.
    pub to: String,
    /// What answers it.
    pub answering: Answering,
    /// Calling number.
    pub from: String,
    /// How many.
    pub calls: u32,
    /// From one to the next.
    pub every: Spread,
    /// How long each listens.
    pub listens: Spread,
}

/// One caller, as drawn: the same for the live carrier and the simulated one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Caller {
    /// Counts the callers of the scenario up, in the order in which they call.
    pub number: u32,
    /// Counts the callers of this number.
    pub nth: u32,
    /// From the beginning to the INVITE.
    pub after: Span,
    /// Name of the carrier.
    pub carrier: String,
    /// Whose number is called.
    pub account: AccountSid,
    /// The call, as its number's application wants it treated.
    pub call: CallSpec,
    /// How long the caller listens before hanging up.
    pub listens: Span,
}

/// How long callers let it ring: longer than any number lets it.
pub const PATIENCE: Span = Span::from_secs(180);

impl Scenario {
    /// Every caller, in the order in which they call.
    pub fn callers(&self) -> Vec<Caller> {
        let mut callers: Vec<_> =
            self.callers.iter().flat_map(|of| of.drawn(self.behaviour.seed)).collect();
        callers.sort_by_key(|caller| caller.after);
        for (number, caller) in (0..).zip(&mut callers) {
            caller.number = number;
        }
        callers
    }
}

impl Callers {
    /// In their order. The first calls at once.
    fn drawn(&self, seed: u64) -> Vec<Caller> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(fnv1a(&format!("callers of {}", self.to)));
        let mut after = Span::ZERO;
        let caller = |nth| {
            let at = after;
            after = after + self.every.draw(&mut rng);
            Caller {
                number: 0,
                nth,
                after: at,
                carrier: self.carrier.clone(),
                account: self.answering.account,
                call: self.answering.call(self.to.clone(), self.from.clone()),
                listens: self.listens.draw(&mut rng),
            }
        };
        (0..self.calls).map(caller).collect()
    }
}

/// Messages of one tenant to consecutive numbers, all with the same text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Messages {
    /// Name of the tenant in the declaration.
    pub tenant: String,
    /// Its account.
    pub account: AccountSid,
    /// Sender, one of the tenant's numbers.
    pub from: String,
    /// First recipient, without its `+`.
    pub first_to: u64,
    /// How many.
    pub messages: u32,
    /// The text.
    pub body: Body,
}

impl Messages {
    /// Each message as it is asked for, in order.
    pub fn requests(&self) -> impl Iterator<Item = MessageSpec> {
        (0..u64::from(self.messages)).map(|n| MessageSpec {
            to: format!("+{}", self.first_to + n),
            from: self.from.clone(),
            direction: Direction::OutboundApi,
            status_callback: None,
        })
    }
}

/// Messages to one of a tenant's numbers, from consecutive ones.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Writers {
    /// Name of the carrier that brings them.
    pub carrier: String,
    /// Whose number is written to.
    pub account: AccountSid,
    /// The tenant's number.
    pub to: String,
    /// Who is asked about them.
    pub application: TextingApplication,
    /// First sender, without its `+`.
    pub first_from: u64,
    /// How many.
    pub messages: u32,
    /// From the beginning to the first one.
    pub after: Span,
    /// From one to the next.
    pub every: Span,
    /// The text.
    pub body: Body,
    /// Who answers it, if it says STOP, START or HELP.
    pub answered_by: AnsweredBy,
}

/// One message as it is brought.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Written {
    /// From the beginning to its arrival.
    pub after: Span,
    /// The carrier's name for it.
    pub reference: String,
    /// Who wrote it.
    pub from: String,
}

impl Writers {
    /// Each message, in order.
    pub fn written(&self) -> impl Iterator<Item = Written> {
        (0..u64::from(self.messages)).map(|n| {
            let from = format!("+{}", self.first_from + n);
            Written {
                after: self.after + self.every.times(n),
                reference: format!("{from}-{}", self.to),
                from,
            }
        })
    }
}
