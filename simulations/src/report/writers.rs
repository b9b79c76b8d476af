//! What became of the messages to the tenants' numbers, and of what was answered to them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Messages to one number.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct WritersReport {
    /// The tenant's number.
    pub number: String,
    /// Messages that the carrier brought.
    pub brought: u64,
    /// Of these, the ones about which the application was asked.
    pub received: u64,
    /// Messages with which it answered, by their last status.
    pub answers: BTreeMap<String, u64>,
    /// One row per writer, in the order in which they wrote.
    pub writers: Vec<WriterRow>,
}

/// One writer.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct WriterRow {
    /// Who wrote.
    pub from: String,
    /// How often the message is among the tenant's.
    pub taken: u32,
    /// Its last status; empty if there is none.
    pub status: String,
    /// The last statuses of the answers to it.
    pub answers: Vec<String>,
}

impl WritersReport {
    /// Sums a number's writers up.
    pub fn new(number: &str, writers: Vec<WriterRow>) -> Self {
        let mut answers = BTreeMap::new();
        for status in writers.iter().flat_map(|writer| &writer.answers) {
            *answers.entry(status.clone()).or_default() += 1;
        }
        let received = writers.iter().filter(|writer| writer.status == "received").count();
        Self {
            number: number.to_owned(),
            brought: writers.len() as u64,
            received: received as u64,
            answers,
            writers,
        }
    }

    /// Each message is taken once, and its application was asked. An answer is given once: the applications of scenarios
    /// answer with one message.
    pub(super) fn failures(&self) -> Vec<String> {
        let mut failures = Vec::new();
        for WriterRow { from, taken, status, answers } in &self.writers {
            if *taken != 1 {
                failures.push(format!("the message from {from} was taken {taken} times"));
            }
            if status != "received" {
                failures.push(format!("the message from {from} is {status:?}"));
            }
            if answers.len() != 1 {
                failures.push(format!("{from} got {} answers instead of one", answers.len()));
            }
        }
        failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_taken_twice_left_alone_or_answered_twice_is_a_failure() {
        let row = |taken, status: &str, answers: usize| WriterRow {
            from: "+1".to_owned(),
            taken,
            status: status.to_owned(),
            answers: vec!["delivered".to_owned(); answers],
        };
        let good = WritersReport::new("+2", vec![row(1, "received", 1), row(1, "received", 1)]);
        assert_eq!((good.failures(), good.received), (Vec::new(), 2));
        assert_eq!(good.answers, BTreeMap::from([("delivered".to_owned(), 2)]));
        for bad in
            [row(0, "", 1), row(2, "received", 1), row(1, "receiving", 1), row(1, "received", 2)]
        {
            assert!(!WritersReport::new("+2", vec![bad]).failures().is_empty());
        }
    }
}
