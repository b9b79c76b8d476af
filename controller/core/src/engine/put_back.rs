//! Requests that were started and not sent. They stand at the head of their lanes in the order in which they had been started
//! (MT-4), whenever each of them came back.
//!
//! Few wait here at a time. Each finds the one behind which it belongs without a look at the others, so that many that come
//! back one by one cost no more than as many that come at once.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Those that wait, and the numbers of all starts.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct PutBack {
    /// Numbers that were given.
    starts: u64,
    /// The number of each that waits.
    numbers: BTreeMap<u32, u64>,
    /// By lane and number.
    lanes: BTreeMap<(u32, u64), u32>,
}

impl PutBack {
    /// A request of a lane starts. Its number is a new one, unless it was put back: then it keeps that which it had.
    #[inline]
    pub fn start(&mut self, lane: u32, request: u32) -> u64 {
        self.leave(lane, request).unwrap_or_else(|| {
            self.starts += 1;
            self.starts
        })
    }

    /// A request is put back. Answers behind which one, if not before all.
    pub fn put(&mut self, lane: u32, request: u32, number: u64) -> Option<u32> {
        self.numbers.insert(request, number);
        self.lanes.insert((lane, number), request);
        let before = self.lanes.range((lane, 0)..(lane, number)).next_back();
        before.map(|(_, request)| *request)
    }

    /// A request waits no longer in its lane. Answers its number if it had been put back.
    #[inline]
    pub fn leave(&mut self, lane: u32, request: u32) -> Option<u64> {
        if self.numbers.is_empty() {
            return None;
        }
        let number = self.numbers.remove(&request)?;
        self.lanes.remove(&(lane, number));
        Some(number)
    }

    /// Those of a lane, in their order.
    pub fn of_lane(&self, lane: u32) -> impl Iterator<Item = u32> {
        self.lanes.range((lane, 0)..=(lane, u64::MAX)).map(|(_, request)| *request)
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.lanes.len()
    }
}
