//! Status callbacks of messages, and of calls that ended without ever having reached an agent. An agent, any agent,
//! makes them, since agents are what may reach tenants' servers.
//!
//! They are kept in memory until an agent takes them: like the callbacks of calls on an agent that is killed,
//! those that wait are lost with the process. An outcome is never lost; it is in the records.

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
    owed: Mutex<VecDeque<Owed>>,
}

/// A callback, and what it is about if others about the same must come after it.
struct Owed {
    about: Option<u64>,
    callback: Message,
}

impl Owed {
    fn offer(&self, links: &Links) -> bool {
        match self.about {
            Some(about) => links.send_to_one(about, &self.callback),
            None => links.send_to_any(&self.callback),
        }
    }
}

impl Callbacks {
    pub(crate) fn new(links: Links) -> Self {
        Self { links, owed: Mutex::default() }
    }

    /// Hands a callback to an agent, or keeps it until there is one. Those about one thing go to the same agent, as long as the
    /// same agents are connected.
    pub(crate) fn owe(&self, about: Option<u64>, callback: Message) {
        let mut owed = self.owed.lock();
        let callback = Owed { about, callback };
        if owed.is_empty() && callback.offer(&self.links) {
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
        while owed.front().is_some_and(|callback| callback.offer(&self.links)) {
            owed.pop_front();
        }
        metrics::gauge!(names::CALLBACKS_OWED).set(owed.len() as f64);
    }
}
