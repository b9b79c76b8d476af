//! What an agent says of a call, there and back.

use busyhour_base::{CallEvent, Ending, Outcome, Reason, Span};

use crate::{FieldError, v1};

/// The most keys that a report may carry (`Ending::digits`).
pub const DIGITS_MAX: usize = 64;

/// The highest status that SIP has.
const SIP_CODE_MAX: u32 = 699;

/// The final status behind a word; `field` names it in the error.
pub fn outcome(field: &str, word: &str) -> Result<Outcome, FieldError> {
    Outcome::ALL.into_iter().find(|outcome| outcome.as_str() == word).ok_or_else(|| {
        let expected = "completed, busy, no-answer, failed or canceled";
        FieldError::new(field, word, expected)
    })
}

/// The reason behind a code; `field` names it in the error.
pub fn reason(field: &str, code: &str) -> Result<Reason, FieldError> {
    Reason::from_code(code).ok_or_else(|| FieldError::new(field, code, "the code of a reason"))
}

impl From<&CallEvent> for v1::report::Event {
    fn from(event: &CallEvent) -> Self {
        match event {
            CallEvent::NotSent(reason) => Self::NotSent(reason.code().to_owned()),
            CallEvent::Sent => Self::Sent(v1::Empty {}),
            CallEvent::Ringing => Self::Ringing(v1::Empty {}),
            CallEvent::Answered => Self::Answered(v1::Empty {}),
            CallEvent::Ended(ending) => Self::Ended(ending.into()),
        }
    }
}

impl TryFrom<v1::report::Event> for CallEvent {
    type Error = FieldError;

    fn try_from(event: v1::report::Event) -> Result<Self, FieldError> {
        use v1::report::Event;
        Ok(match event {
            Event::NotSent(code) => Self::NotSent(reason("not_sent", &code)?),
            Event::Sent(_) => Self::Sent,
            Event::Ringing(_) => Self::Ringing,
            Event::Answered(_) => Self::Answered,
            Event::Ended(ended) => {
                Self::Ended(ended.try_into().map_err(|e: FieldError| e.within("ended"))?)
            }
        })
    }
}

impl From<&Ending> for v1::Ended {
    fn from(ending: &Ending) -> Self {
        Self {
            outcome: ending.outcome.as_str().to_owned(),
            reason: ending.reason.code().to_owned(),
            sip_code: ending.sip_code.into(),
            ring_us: ending.ring.as_micros(),
            talk_us: ending.talk.as_micros(),
            digits: ending.digits.clone(),
            confirmed: ending.confirmed,
        }
    }
}

impl TryFrom<v1::Ended> for Ending {
    type Error = FieldError;

    fn try_from(ended: v1::Ended) -> Result<Self, FieldError> {
        let sip_code = match u16::try_from(ended.sip_code) {
            Ok(code) if ended.sip_code <= SIP_CODE_MAX => code,
            _ => {
                let expected = "a SIP status up to 699, or 0";
                return Err(FieldError::new("sip_code", ended.sip_code, expected));
            }
        };
        let key = |c: char| matches!(c, '0'..='9' | '*' | '#' | 'A'..='D');
        if ended.digits.len() > DIGITS_MAX || !ended.digits.chars().all(key) {
            let expected = "at most 64 of 0 to 9, *, #, A to D";
            return Err(FieldError::new("digits", ended.digits, expected));
        }
        Ok(Self {
            outcome: outcome("outcome", &ended.outcome)?,
            reason: reason("reason", &ended.reason)?,
            sip_code,
            ring: Span::from_micros(ended.ring_us),
            talk: Span::from_micros(ended.talk_us),
            digits: ended.digits,
            confirmed: ended.confirmed,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_event_there_and_back(
            kind in 0..5,
            reason in proptest::sample::select(Reason::ALL),
            outcome in proptest::sample::select(&Outcome::ALL[..]),
            sip_code in 0_u16..=699,
            (ring, talk) in any::<(u64, u64)>(),
            digits in "[0-9*#A-D]{0,64}",
            confirmed: bool,
        ) {
            let ending = Ending {
                outcome, reason, sip_code, ring: Span(ring), talk: Span(talk), digits, confirmed,
            };
            let event = match kind {
                0 => CallEvent::NotSent(reason),
                1 => CallEvent::Sent,
                2 => CallEvent::Ringing,
                3 => CallEvent::Answered,
                _ => CallEvent::Ended(ending),
            };
            prop_assert_eq!(CallEvent::try_from(v1::report::Event::from(&event)), Ok(event));
        }
    }

    #[test]
    fn what_is_out_of_bounds_is_refused() {
        let ended = v1::Ended {
            outcome: "completed".to_owned(),
            reason: "completed".to_owned(),
            ..Default::default()
        };
        assert!(Ending::try_from(ended.clone()).is_ok());
        let bad = [
            v1::Ended { outcome: "won".to_owned(), ..ended.clone() },
            v1::Ended { reason: "because".to_owned(), ..ended.clone() },
            v1::Ended { sip_code: 700, ..ended.clone() },
            v1::Ended { sip_code: 65_736, ..ended.clone() },
            v1::Ended { digits: "1".repeat(65), ..ended.clone() },
            v1::Ended { digits: "1\r\nX".to_owned(), ..ended },
        ];
        let fields = ["outcome", "reason", "sip_code", "sip_code", "digits", "digits"];
        for (ended, field) in bad.into_iter().zip(fields) {
            assert_eq!(Ending::try_from(ended).unwrap_err().field, field);
        }
    }
}
