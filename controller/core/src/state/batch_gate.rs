//! Whether calls of a batch may start: by its state, and by its calling hours.
//!
//! Beginnings are in the engine's wheel, so that what waits for one starts on the grid of that instant. Ends are in the
//! wheel of expiries, which is looked at first: nothing starts at or after the end of a window, however late the
//! tick that could have started it.

use std::sync::Arc;

use busyhour_base::{Reason, Timestamp};

use super::{State, batch::Batch, messages, tick::Due};
use crate::{
    effect::Effect,
    engine::{
        Engine,
        ring::NIL,
        wheel::{Handle, NO_TIMER},
    },
    spec::{BatchId, BatchPlan, Kind, WindowEnd},
    view::BatchStatus,
};

/// Whether what a batch that runs is shut for ends at the instant at which it opens: its time, its hours, or its run-up.
pub(super) const fn opens_by_itself(shut_by: Reason) -> bool {
    matches!(shut_by, Reason::NotBefore | Reason::Window | Reason::BatchStarting)
}

/// Whether a limit that is passed at `at` holds a request longer than one that is passed at `other`. What its batch waits for goes
/// before the limits that hold it no longer than that.
pub(super) fn is_later(reason: Reason, at: Timestamp, other: Timestamp) -> bool {
    at > other || at == other && opens_by_itself(reason)
}

impl Batch {
    /// Why none of its requests starts as of `at` in an entry of `now`, which may be later, whatever the limits say.
    pub fn shut_by(&self, at: Timestamp, now: Timestamp) -> Option<Reason> {
        match self.status {
            BatchStatus::Draft => Some(Reason::Draft),
            BatchStatus::Paused => Some(Reason::Paused),
            BatchStatus::Scheduled => Some(Reason::NotBefore),
            BatchStatus::Cancelling | BatchStatus::Cancelled => Some(Reason::BatchCanceled),
            _ if !self.is_open(at, now) => Some(Reason::Window),
            _ => (self.opens_at > at).then_some(Reason::BatchStarting),
        }
    }

    /// Whether both are within the same of its calling hours.
    fn is_open(&self, at: Timestamp, now: Timestamp) -> bool {
        self.opening(now).is_none_or(|opening| opening.is_some_and(|opening| opening.from <= at))
    }

    /// The opening that `at` is in, or else the next one that is known; nothing for a batch without calling hours.
    fn opening(&self, at: Timestamp) -> Option<Option<crate::spec::Opening>> {
        Some(self.plan.openings.as_ref()?.at_or_after(at))
    }

    /// When the window closes with which it ends, if it ends with one and that is known: that in which it runs, or the first in
    /// which it will.
    pub fn last_window_ends(&self, now: Timestamp) -> Option<Timestamp> {
        if self.plan.on_window_end == WindowEnd::Pause || self.status == BatchStatus::Draft {
            return None;
        }
        let from = self.plan.not_before.unwrap_or(now).max(now);
        Some(self.opening(from)??.to)
    }

    /// When it opens by itself, if that is known.
    pub fn opens(&self, now: Timestamp) -> Option<Timestamp> {
        let from = match self.status {
            BatchStatus::Scheduled => self.plan.not_before?,
            BatchStatus::Running => self.opens_at,
            _ => return None,
        };
        self.first_open(from.max(now))
    }

    /// The first instant from `at` on that is within its calling hours, if one is known.
    pub fn first_open(&self, at: Timestamp) -> Option<Timestamp> {
        match self.opening(at) {
            None => Some(at),
            Some(opening) => opening.map(|opening| opening.from.max(at)),
        }
    }
}

impl State {
    /// The engine that has the gates of batches of this kind.
    pub(super) const fn engine_of(&mut self, kind: Kind) -> &mut Engine {
        match kind {
            Kind::Call => &mut self.engine,
            Kind::Message => self.messages.engine_mut(),
        }
    }

    /// Wakes a batch at an instant, among the timers of the engine of its kind: it opens in order with what starts there.
    fn set_beginning(&mut self, batch: u32, at: Timestamp) -> Handle {
        match self.batches[batch].kind() {
            Kind::Call => self.engine.set_timer(at.0, Due::Batch.of(batch)),
            Kind::Message => {
                let key = messages::Begins::Batch.of(batch);
                self.messages.engine_mut().set_timer(at.0, key)
            }
        }
    }

    /// Opens or shuts a batch as its state and its calling hours say, and sets the timers for the next change.
    pub(super) fn gate_batch(&mut self, batch: u32) {
        self.ungate_batch(batch);
        let kind = self.batches[batch].kind();
        // What a late tick finds undone is done as of its own instant: a batch that has opened since was shut then.
        let at = Timestamp(self.engine_of(kind).clock());
        let now = Timestamp(self.now);
        let state = &self.batches[batch];
        let (gate, opening) = (state.gate, state.opening(now).flatten());
        match state.shut_by(at, now) {
            Some(reason) => {
                // A scheduled batch whose time comes out of hours waits for its window from then on.
                let begins = match reason {
                    Reason::NotBefore => state.plan.not_before,
                    Reason::Window => opening.map(|opening| opening.from),
                    Reason::BatchStarting => Some(state.opens_at),
                    _ => None,
                };
                let closes = match reason {
                    Reason::BatchStarting => opening.map(|opening| opening.to),
                    _ => state.last_window_ends(now),
                };
                self.engine_of(kind).shut_gate(gate, Some(reason));
                if let Some(at) = begins {
                    self.batches[batch].begin = self.set_beginning(batch, at);
                }
                // A pause does not put off the end.
                self.close_batch_at(batch, closes);
            }
            None => {
                let held_by = state.held_before_run_up;
                let engine = self.engine_of(kind);
                let held_by = match engine.gate(gate).shut() {
                    Some(Reason::BatchStarting) => Some(held_by),
                    // What was never started was held by nothing that a tenant could name.
                    Some(Reason::Draft) => Some(Reason::Ready),
                    _ => None,
                };
                engine.open_gate(gate, held_by);
                self.close_batch_at(batch, opening.map(|opening| opening.to));
            }
        }
    }

    fn close_batch_at(&mut self, batch: u32, at: Option<Timestamp>) {
        if let Some(at) = at {
            self.batches[batch].close = self.expiries.set(at.0, Due::Window.of(batch));
        }
    }

    /// Its time has come, or that of its window.
    pub(super) fn batch_opens(&mut self, batch: u32) {
        let state = &mut self.batches[batch];
        state.begin = NO_TIMER;
        if state.status == BatchStatus::Scheduled {
            state.status = BatchStatus::Running;
        }
        self.gate_batch(batch);
    }

    /// Its window closes.
    pub(super) fn batch_closes(&mut self, batch: u32, fx: &mut Vec<Effect>) {
        self.batches[batch].close = NO_TIMER;
        if self.batches[batch].plan.on_window_end == WindowEnd::Expire {
            self.batch_expires(batch, fx);
        } else if self.batches[batch].gate != NIL {
            self.gate_batch(batch);
        }
    }

    /// Its timers for opening and closing go.
    pub(super) fn ungate_batch(&mut self, batch: u32) {
        let state = &mut self.batches[batch];
        let begin = std::mem::replace(&mut state.begin, NO_TIMER);
        let close = std::mem::replace(&mut state.close, NO_TIMER);
        let kind = state.kind();
        if begin != NO_TIMER {
            self.engine_of(kind).cancel_timer(begin);
        }
        if close != NO_TIMER {
            self.expiries.cancel(close);
        }
    }

    /// The batches whose calling hours are known for less than up to `before`, and not to their end.
    pub fn hours_running_out(&self, before: Timestamp) -> Vec<(BatchId, Arc<BatchPlan>)> {
        let open = self.batches.iter().filter(|(_, batch)| !batch.has_ended());
        let short = open.filter(|(_, batch)| {
            let needed = before.max(batch.plan.not_before.unwrap_or(Timestamp(0)));
            let needed = needed.min(batch.plan.not_after.unwrap_or(Timestamp::NEVER));
            let known = batch.plan.openings.as_ref().map(|openings| openings.through);
            batch.plan.hours.is_some() && known.is_some_and(|known| known < needed)
        });
        short.map(|(_, batch)| (batch.id, Arc::clone(&batch.plan))).collect()
    }
}
