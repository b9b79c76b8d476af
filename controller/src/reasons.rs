//! Every decision counted by its reason: the same words as in `explain`, errors and records.

use std::sync::LazyLock;

use busyhour_base::Reason;
use busyhour_controller_core::{effect::Reply, view::Record};
use metrics::Counter;

use crate::metric_definitions as names;

/// One counter for each reason there is, in their order.
struct ByReason(Vec<Counter>);

impl ByReason {
    fn new(name: &'static str, label: &'static str) -> Self {
        let counter = |reason: &Reason| metrics::counter!(name, label => reason.code());
        Self(Reason::ALL.iter().map(counter).collect())
    }

    fn count(&self, reason: Reason) {
        self.0[reason as usize].increment(1);
    }
}

static STARTED: LazyLock<ByReason> = LazyLock::new(|| ByReason::new(names::STARTED, "held_by"));
static ENDED: LazyLock<ByReason> = LazyLock::new(|| ByReason::new(names::ENDED, "reason"));
static REFUSED: LazyLock<ByReason> = LazyLock::new(|| ByReason::new(names::REFUSED, "reason"));

/// Shows every reason from the start. The recorder must be there.
pub(crate) fn start_at_zero() {
    for counters in [&STARTED, &ENDED, &REFUSED] {
        LazyLock::force(counters);
    }
}

/// A call was ordered from an agent that this held last.
pub(crate) fn started(held_by: Reason) {
    STARTED.count(held_by);
}

/// A call has ended, and is in the records.
pub(crate) fn ended(record: &Record) {
    ENDED.count(record.ending.reason);
    let Some(answered_at) = record.answered_at else { return };
    let talk = record.ended_at.since(answered_at);
    metrics::histogram!(names::CALL_DURATION).record(talk.as_secs_f64());
    if let Some(dialled_at) = record.dialled_at {
        let delay = answered_at.since(dialled_at);
        metrics::histogram!(names::ANSWER_DELAY).record(delay.as_secs_f64());
    }
}

/// What an answer refuses, line by line.
pub(crate) fn replied(reply: &Reply) {
    match reply {
        Reply::Refused(reason) => REFUSED.count(*reason),
        Reply::Submitted(verdicts) => {
            verdicts.iter().filter_map(|verdict| verdict.err()).for_each(|why| REFUSED.count(why));
        }
        Reply::Offered(verdicts) => {
            verdicts.iter().filter_map(|verdict| verdict.err()).for_each(|why| REFUSED.count(why));
        }
        Reply::Messages(verdicts) => {
            let refused = verdicts.iter().filter_map(|verdict| verdict.as_ref().err());
            refused.for_each(|why| REFUSED.count(*why));
        }
        Reply::Done
        | Reply::Batch(_)
        | Reply::Canceled(_)
        | Reply::OptOuts { .. }
        | Reply::Canceling(_)
        | Reply::Agent { .. } => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The counters are found by a reason's number.
    #[test]
    fn reasons_are_numbered_in_their_order() {
        for (n, reason) in Reason::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, n, "{reason}");
        }
    }
}
