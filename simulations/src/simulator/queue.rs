//! Virtual time: what happens next.

use std::collections::BTreeMap;

use busyhour_base::Timestamp;

/// Events in order of time; those of one instant in the order in which they were put in.
#[derive(Debug)]
pub struct Queue<E> {
    events: BTreeMap<(Timestamp, u64), E>,
    put: u64,
    now: Timestamp,
}

impl<E> Queue<E> {
    /// Nothing to come.
    pub fn new(now: Timestamp) -> Self {
        Self { events: BTreeMap::new(), put: 0, now }
    }

    /// The instant of the event that was taken last.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Adds an event; one in the past happens now.
    pub fn put(&mut self, at: Timestamp, event: E) {
        self.events.insert((at.max(self.now), self.put), event);
        self.put += 1;
    }

    /// The next event; time moves on to it.
    pub fn take(&mut self) -> Option<E> {
        let ((at, _), event) = self.events.pop_first()?;
        self.now = at;
        Some(event)
    }
}
