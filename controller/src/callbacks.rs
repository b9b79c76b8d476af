//! Status callbacks of calls that ended without ever having reached an agent. An agent, any agent,
//! makes them, since agents are what may reach tenants' servers.
//!
//! They are kept in memory until an agent takes them: like the callbacks of calls on an agent that is killed,
//! those that wait are lost with the process. A call's outcome is never lost; it is in the records.

use std::{collections::VecDeque, time::Duration};

use busyhour_protocol::v1::to_agent::Message;
use parking_lot::Mutex;

use crate::{link::Links, metric_definitions as names};

/// Callbacks that may wait for an agent. Beyond it the oldest are given up.
const OWED_MAX: usize = 10_000;

/// How often those that wait are offered again.
pub(crate) const OFFER_EVERY: Duration = Duration::from_millis(250);

/// Callbacks that are owed.
pub(crate) struct Callbacks {
    links: Links,
    owed: Mutex<VecDeque<Message>>,
}

impl Callbacks {
    pub(crate) fn new(links: Links) -> Self {
        Self { links, owed: Mutex::default() }
    }

    /// Hands a callback to an agent, or keeps it until there is one.
    pub(crate) fn owe(&self, callback: Message) {
        let mut owed = self.owed.lock();
        if owed.is_empty() && self.links.send_to_any(&callback) {
            return;
        }
        if owed.len() >= OWED_MAX {
            owed.pop_front();
            metrics::counter!(names::CALLBACKS_DROPPED).increment(1);
        }
        owed.push_back(callback);
        metrics::gauge!(names::CALLBACKS_OWED).set(owed.len() as f64);
    }

    /// Offers what waits, in order, until no agent takes any more.
    pub(crate) fn offer(&self) {
        let mut owed = self.owed.lock();
        if owed.is_empty() {
            return;
        }
        while owed.front().is_some_and(|callback| self.links.send_to_any(callback)) {
            owed.pop_front();
        }
        metrics::gauge!(names::CALLBACKS_OWED).set(owed.len() as f64);
    }
}
