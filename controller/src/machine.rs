//! The state machine as the log runs it: every entry is applied, and what applying it asks for is handed on
//! once the whole group of entries is durable and applied.

use std::{
    io::{self, Read, Write},
    sync::Arc,
};

use busyhour_base::Timestamp;
use busyhour_controller_core::{
    State,
    command::{Command, Entry},
    effect::{Effect, Phase, Reply},
    spec::CallId,
};
use busyhour_log::{Frozen, Machine, Mode, RestoreError};
use tokio::sync::{Notify, mpsc};

use crate::ticker::Waker;

/// Groups of effects on their way out. Behind a full one the log waits: every effect goes through here, and
/// taking them out waits for nothing.
pub(crate) const EFFECTS_MAX: usize = 1_024;

/// The effects of one group of entries, in order.
pub(crate) type Effects = Vec<Effect>;

/// Where a group's consequences go.
pub(crate) struct Outlets {
    /// To agents and followers.
    pub effects: mpsc::Sender<Effects>,
    /// The metric of calls that were queued.
    pub queued: metrics::Counter,
    /// To the ticker.
    pub waker: Waker,
    /// To the records: finished calls wait in their outbox.
    pub outbox: Arc<Notify>,
    /// To the records: finished messages wait in theirs.
    pub message_outbox: Arc<Notify>,
}

/// The replicated state with its outlets.
pub(crate) struct Core {
    state: State,
    effects: Effects,
    outlets: Outlets,
}

impl Core {
    pub(crate) fn new(state: State, outlets: Outlets) -> Self {
        Self { state, effects: Vec::new(), outlets }
    }

    /// For everyone who reads.
    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    /// Says when time has work for the machine and whether rows wait. Done after each live group, and once after
    /// opening, since a replay is silent.
    pub(crate) fn announce(&self) {
        self.outlets.waker.set(self.state.next_wake());
        if self.state.outbox(1).next().is_some() {
            self.outlets.outbox.notify_one();
        }
        if self.state.message_outbox(1).next().is_some() {
            self.outlets.message_outbox.notify_one();
        }
    }

    /// Counts what was queued. Nobody else wants to know, and each group of what is accepted would wake whoever carries out
    /// effects for it.
    fn count_queued(&mut self) {
        let before = self.effects.len();
        let is_queued =
            |effect: &Effect| matches!(effect, Effect::Changed { phase: Phase::Queued, .. });
        self.effects.retain(|effect| !is_queued(effect));
        let queued = before - self.effects.len();
        if queued > 0 {
            self.outlets.queued.increment(queued as u64);
        }
    }

    /// Whether an attempt of a call has ended or is unknown, so that nothing more can come of it. A call that waits
    /// has no attempt that has not.
    pub(crate) fn is_settled(&self, call: CallId, attempt: u16) -> bool {
        match self.state.call(call) {
            Some(view) => {
                matches!(view.phase, Phase::Ended(_) | Phase::Queued) || view.attempt > attempt
            }
            None => true,
        }
    }
}

/// The state as it was at one instant.
pub(crate) struct FrozenState(State);

impl Frozen for FrozenState {
    fn write(&self, to: &mut dyn Write) -> io::Result<()> {
        self.0.write(to)
    }
}

impl Machine for Core {
    type Command = Command;
    type Reply = (Timestamp, Reply);
    type Frozen = FrozenState;

    fn apply(
        &mut self,
        index: u64,
        at: Timestamp,
        mode: Mode,
        command: Command,
    ) -> (Timestamp, Reply) {
        let entry = Entry { index, at, command };
        let reply = self.state.apply(&entry, &mut self.effects);
        if mode == Mode::Replay {
            // They were carried out before, or are derived from the state when agents come back.
            self.effects.clear();
        }
        (at, reply)
    }

    fn settled(&mut self, mode: Mode) {
        if mode == Mode::Replay {
            return;
        }
        self.count_queued();
        if !self.effects.is_empty() {
            let group = std::mem::take(&mut self.effects);
            // Closed only when the controller stops; agents then hear of these when they come back.
            let _ = self.outlets.effects.blocking_send(group);
        }
        self.announce();
    }

    fn freeze(&mut self) -> FrozenState {
        FrozenState(self.state.freeze())
    }

    fn restore(&mut self, from: &mut dyn Read) -> Result<(), RestoreError> {
        self.state = State::read(from)?;
        Ok(())
    }
}
