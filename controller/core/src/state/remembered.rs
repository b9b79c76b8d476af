//! Answers remembered by idempotency key: a repeat of a request gets the first answer and changes nothing.
//! At most [`KEYS_MAX`] keys of a tenant, for [`KEPT_US`]; beyond that the oldest is forgotten.

use std::collections::{BTreeMap, VecDeque};

use busyhour_base::{Reason, Span};
use serde::{Deserialize, Serialize};

use crate::{
    effect::{Accepted, Reply},
    message::AcceptedMessage,
    spec::{BatchId, CallId},
};

/// Keys remembered for a tenant.
const KEYS_MAX: usize = 10_000;

/// How long a key is remembered: 24 hours.
const KEPT_US: u64 = 24 * 3_600 * 1_000_000;

/// An answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum Answer {
    Submitted(Vec<Result<(CallId, Span), Reason>>),
    Batch(BatchId),
    Messages(Vec<Result<AcceptedMessage, Reason>>),
}

/// The answers of one tenant.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Remembered {
    answers: BTreeMap<u128, Answer>,
    order: VecDeque<(u64, u128)>,
}

impl Remembered {
    /// The first answer to the key, if it is remembered at `now`.
    pub fn get(&mut self, key: Option<u128>, now: u64) -> Option<Reply> {
        self.forget(now, KEYS_MAX);
        Some(match self.answers.get(&key?)? {
            Answer::Batch(batch) => Reply::Batch(*batch),
            Answer::Messages(verdicts) => Reply::Messages(verdicts.clone()),
            Answer::Submitted(verdicts) => Reply::Submitted(
                verdicts
                    .iter()
                    .map(|verdict| verdict.map(|(call, wait)| Accepted { call, wait }))
                    .collect(),
            ),
        })
    }

    /// Remembers an answer that changed something.
    pub fn put(&mut self, key: Option<u128>, now: u64, reply: &Reply) {
        let answer = match reply {
            Reply::Batch(batch) => Answer::Batch(*batch),
            Reply::Messages(verdicts) => Answer::Messages(verdicts.clone()),
            Reply::Submitted(verdicts) => Answer::Submitted(
                verdicts
                    .iter()
                    .map(|verdict| verdict.map(|accepted| (accepted.call, accepted.wait)))
                    .collect(),
            ),
            _ => return,
        };
        if let Some(key) = key {
            self.forget(now, KEYS_MAX - 1);
            self.answers.insert(key, answer);
            self.order.push_back((now, key));
        }
    }

    fn forget(&mut self, now: u64, most: usize) {
        while self.order.len() > most
            || self.order.front().is_some_and(|(at, _)| at.saturating_add(KEPT_US) <= now)
        {
            let Some((_, key)) = self.order.pop_front() else { return };
            self.answers.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_forgotten_after_a_day_and_after_ten_thousand_others() {
        let mut remembered = Remembered::default();
        remembered.put(Some(1), 0, &Reply::Batch(BatchId(7)));
        assert_eq!(remembered.get(Some(1), KEPT_US - 1), Some(Reply::Batch(BatchId(7))));
        assert_eq!(remembered.get(Some(1), KEPT_US), None);
        for key in 0..=KEYS_MAX as u128 {
            remembered.put(Some(key), KEPT_US, &Reply::Batch(BatchId(key as u64)));
        }
        assert_eq!(remembered.answers.len(), KEYS_MAX);
        assert_eq!(remembered.get(Some(0), KEPT_US), None);
        assert!(remembered.get(Some(1), KEPT_US).is_some());
    }
}
