//! What became of the calls to the tenants' numbers, as their callers saw it.

use std::collections::BTreeMap;

use busyhour_base::Reason;
use serde::{Deserialize, Serialize};

/// Calls to one number.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct InboundReport {
    /// Called number.
    pub number: String,
    /// INVITEs sent.
    pub placed: u64,
    /// Answered with 200.
    pub answered: u64,
    /// Of those, the ones in which the caller heard speech.
    pub speech_heard: u64,
    /// Not answered, by what the caller was told.
    pub refused: Vec<Refused>,
    /// Whose end was not confirmed.
    pub unconfirmed: u64,
    /// Answered calls by the controller's own count.
    pub counted: u64,
    /// One row per caller, in the order in which they called.
    pub callers: Vec<CallerRow>,
}

/// Calls that were not answered.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Refused {
    /// Final status of SIP; 0 stands for none.
    pub status: u16,
    /// The reason's code, as the refusal named it; empty if it named none.
    pub reason: String,
    /// How many.
    pub calls: u64,
}

/// One caller.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CallerRow {
    /// Counts the callers of the number.
    pub nth: u32,
    /// Its INVITE, in microseconds from the first caller's.
    pub start_us: u64,
    /// Final status of SIP; 0 stands for none.
    pub status: u16,
    /// Of a refusal: the reason's code.
    pub reason: String,
    /// From the answer to the end, in microseconds.
    pub talk_us: u64,
    /// The caller heard speech.
    pub speech_heard: bool,
    /// The end was confirmed.
    pub confirmed: bool,
}

impl CallerRow {
    /// 2xx.
    pub const fn answered(&self) -> bool {
        self.status >= 200 && self.status < 300
    }
}

impl InboundReport {
    /// Sums the callers of a number up, beside the controller's count of those that it answered.
    pub fn new(number: &str, mut callers: Vec<CallerRow>, counted: u64) -> Self {
        callers.sort_by_key(|caller| caller.nth);
        let count = |of: &dyn Fn(&CallerRow) -> bool| {
            callers.iter().filter(|caller| of(caller)).count() as u64
        };
        let mut refused = BTreeMap::<_, u64>::new();
        for caller in callers.iter().filter(|caller| !caller.answered()) {
            *refused.entry((caller.status, caller.reason.clone())).or_default() += 1;
        }
        let refused = refused.into_iter();
        Self {
            number: number.to_owned(),
            placed: callers.len() as u64,
            answered: count(&CallerRow::answered),
            speech_heard: count(&|caller| caller.answered() && caller.speech_heard),
            refused: refused
                .map(|((status, reason), calls)| Refused { status, reason, calls })
                .collect(),
            unconfirmed: count(&|caller| !caller.confirmed),
            counted,
            callers,
        }
    }

    /// Every caller hears an answer with speech, or is refused because the number's application wants it so.
    pub(super) fn failures(&self) -> Vec<String> {
        let Self { number, answered, speech_heard, unconfirmed, counted, .. } = self;
        let mut failures = Vec::new();
        let mut wrong = |broken: bool, text: String| failures.extend(broken.then_some(text));
        wrong(
            speech_heard != answered,
            format!("{} callers of {number} heard no speech", answered - speech_heard),
        );
        for Refused { status, reason, calls } in &self.refused {
            wrong(
                reason != Reason::RejectedByApplication.code(),
                format!("{calls} callers of {number} were refused with {status} {reason}"),
            );
        }
        wrong(*unconfirmed > 0, format!("{unconfirmed} calls to {number} have no confirmed end"));
        wrong(
            counted != answered,
            format!(
                "{answered} calls to {number} were answered, {counted} by the controller's count"
            ),
        );
        failures
    }
}
