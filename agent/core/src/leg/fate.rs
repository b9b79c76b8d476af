//! What a leg's end is called: the first cause decides, whatever crosses it later.

use busyhour_base::{Ending, Outcome, Reason, Span};

use crate::twiml::RejectReason;

/// Outcome and reason of a leg, fixed by the first thing that dooms it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Fate {
    pub outcome: Outcome,
    pub reason: Reason,
}

impl Fate {
    pub const fn new(outcome: Outcome, reason: Reason) -> Self {
        Self { outcome, reason }
    }

    /// The field's word for a final SIP failure (RFC 3261 section 21) that nobody at our side caused.
    pub const fn of_status(status: u16) -> Self {
        match status {
            486 | 600 => Self::new(Outcome::Busy, Reason::Busy),
            603 => Self::new(Outcome::Busy, Reason::Rejected),
            408 | 480 | 487 => Self::new(Outcome::NoAnswer, Reason::NoAnswer),
            500..=599 => Self::new(Outcome::Failed, Reason::CarrierFailure),
            _ => Self::new(Outcome::Failed, Reason::Rejected),
        }
    }

    /// The number's application wants the call not to be answered, in the field's words (`Reject`).
    pub const fn rejected(how: RejectReason) -> Self {
        let outcome = match how {
            RejectReason::Busy => Outcome::Busy,
            RejectReason::Rejected => Outcome::NoAnswer,
        };
        Self::new(outcome, Reason::RejectedByApplication)
    }

    /// The status of our refusal of the far end's INVITE (RFC 3261, 21.4.18, 21.4.24 and 21.6.2): busy, declined, or not
    /// to be had at present.
    pub const fn refusal(self) -> u16 {
        match (self.outcome, self.reason) {
            (Outcome::Busy, _) => 486,
            (_, Reason::RejectedByApplication) => 603,
            _ => 480,
        }
    }

    /// We hung up, or the far end did, for this reason.
    pub const fn hung_up(answered: bool, reason: Reason) -> Self {
        if answered {
            Self::new(Outcome::Completed, reason)
        } else {
            Self::new(Outcome::Canceled, reason)
        }
    }
}

/// How a call ends whose caller hung up before any leg had it (487, RFC 3261, 21.4.25).
pub fn given_up(ring: Span) -> Ending {
    Ending {
        outcome: Outcome::NoAnswer,
        reason: Reason::CallerGaveUp,
        sip_code: 487,
        ring,
        talk: Span::ZERO,
        digits: String::new(),
        confirmed: true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_named_as_the_field_names_them() {
        for (status, outcome) in [
            (486, Outcome::Busy),
            (600, Outcome::Busy),
            (603, Outcome::Busy),
            (408, Outcome::NoAnswer),
            (480, Outcome::NoAnswer),
            (487, Outcome::NoAnswer),
            (403, Outcome::Failed),
            (404, Outcome::Failed),
            (503, Outcome::Failed),
        ] {
            assert_eq!(Fate::of_status(status).outcome, outcome, "{status}");
        }
        assert_eq!(Fate::of_status(503).reason, Reason::CarrierFailure);
        assert_eq!(Fate::of_status(404).reason, Reason::Rejected);
    }
}
