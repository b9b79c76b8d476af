//! The timers of the next slots, of whom it is told step by step before they fire, and what was noted about each by the way.
//!
//! Nothing is decided by it: it may miss a timer that was set late, and name one that was cancelled.

use std::collections::VecDeque;

/// How many slots ahead of the wheel its timers are told of.
pub(super) const STAGES: usize = 6;

/// How many are told of with each timer that fires: more than there are stages, so that all are told of in a slot's time.
const TOLD: usize = 8;

/// Most timers of one slot that are told of. What more of them would ask for, no near cache holds.
const SLOT_MAX: usize = 512;

/// A timer that fires soon.
#[derive(Clone, Copy, Debug)]
pub struct Flight {
    /// Its key.
    pub key: u32,
    /// What whoever is told of it has noted.
    pub notes: [u32; 3],
}

/// The timers of one slot.
#[derive(Clone, Debug)]
struct Batch {
    slot: usize,
    /// How many slots have passed since it was first told of.
    stage: u32,
    flights: Vec<Flight>,
}

/// Those of the next slots that are not empty, the nearest first.
#[derive(Clone, Debug, Default)]
pub(super) struct Coming {
    batches: VecDeque<Batch>,
    /// Lists of slots that have passed, for those to come.
    spare: Vec<Vec<Flight>>,
    /// Who is told of next.
    batch: usize,
    flight: usize,
}

impl Coming {
    /// Forgets all of them: the slots have others now.
    pub fn clear(&mut self) {
        while self.pass_first_if(|_| true) {}
        (self.batch, self.flight) = (0, 0);
    }

    /// Tells of some: those of one slot together.
    #[inline]
    pub fn tell_some(&mut self, soon: &impl Fn(u32, &mut [Flight])) {
        self.tell(TOLD, soon);
    }

    #[inline]
    fn tell(&mut self, mut most: usize, soon: &impl Fn(u32, &mut [Flight])) {
        while most > 0 {
            let Some(batch) = self.batches.get_mut(self.batch) else { return };
            let rest = batch.flights.len() - self.flight;
            let some = rest.min(most);
            soon(batch.stage, &mut batch.flights[self.flight..][..some]);
            most -= some;
            self.flight += some;
            if some == rest {
                batch.stage += 1;
                (self.batch, self.flight) = (self.batch + 1, 0);
            }
        }
    }

    /// The wheel has come to a slot. Of whom was not told since it came to the last one is told now.
    pub fn arrive(&mut self, slot: usize, soon: &impl Fn(u32, &mut [Flight])) {
        self.tell(usize::MAX, soon);
        while self.pass_first_if(|batch| batch.slot <= slot) {}
        (self.batch, self.flight) = (0, 0);
    }

    /// The first slot has passed, if it is such a one: its list is kept for another.
    fn pass_first_if(&mut self, passed: impl Fn(&Batch) -> bool) -> bool {
        let Some(mut batch) = self.batches.pop_front_if(|batch| passed(batch)) else {
            return false;
        };
        batch.flights.clear();
        self.spare.push(batch.flights);
        true
    }

    /// The last slot of those that are known.
    #[inline]
    pub fn last(&self) -> Option<usize> {
        self.batches.back().map(|batch| batch.slot)
    }

    /// Whether a further slot is to be known.
    #[inline]
    pub fn has_room(&self) -> bool {
        self.batches.len() < STAGES
    }

    /// A further slot, with the keys of its timers.
    pub fn append(&mut self, slot: usize, keys: impl FnOnce(&mut dyn FnMut(u32))) {
        let mut batch = Batch { slot, stage: 0, flights: self.spare.pop().unwrap_or_default() };
        keys(&mut |key| {
            if batch.flights.len() < SLOT_MAX {
                batch.flights.push(Flight { key, notes: [super::NIL; 3] });
            }
        });
        self.batches.push_back(batch);
    }
}
