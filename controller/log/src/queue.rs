//! The bounded way from proposers to the log's thread.
//!
//! Proposers lay down what they have and go on: the log's thread says how many it waits for, and only who brings the last of
//! them wakes it; whoever has more to bring does so after all of them. A wake-up costs more than all the rest of a proposal's
//! way, and on a busy processor the log's thread would take the place of whoever wakes it.

use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex, MutexGuard};
use tokio::sync::oneshot;

use crate::{config::Config, error::ProposeError, machine::Machine};

/// What a proposer is answered.
pub(crate) type Answer<M> = Result<<M as Machine>::Reply, ProposeError>;

/// A command on its way, serialised by its proposer so that the log's thread need not.
pub(crate) struct Proposal<M: Machine> {
    pub(crate) bytes: Vec<u8>,
    pub(crate) command: M::Command,
    pub(crate) reply: oneshot::Sender<Answer<M>>,
}

/// How full the queue is.
#[derive(Default)]
pub(crate) struct Load {
    commands: AtomicUsize,
    bytes: AtomicUsize,
}

impl Load {
    pub(crate) fn commands(&self) -> usize {
        self.commands.load(Ordering::Relaxed)
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    fn busy(&self) -> ProposeError {
        ProposeError::Busy { commands: self.commands(), bytes: self.bytes() }
    }

    fn leave(&self, bytes: usize) {
        self.commands.fetch_sub(1, Ordering::Relaxed);
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// The reply to a proposal, once the command is durable and applied.
///
/// Dropping it does not take the proposal back.
#[derive(Debug)]
pub struct Pending<R>(oneshot::Receiver<Result<R, ProposeError>>);

impl<R> Pending<R> {
    /// Waits on a thread that runs no async tasks.
    ///
    /// # Panics
    ///
    /// If called from within an async task.
    pub fn wait(self) -> Result<R, ProposeError> {
        self.0.blocking_recv().unwrap_or(Err(ProposeError::Closed))
    }
}

impl<R> Future for Pending<R> {
    type Output = Result<R, ProposeError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // What is dropped unanswered never left the queue.
        Pin::new(&mut self.0).poll(cx).map(|answer| answer.unwrap_or(Err(ProposeError::Closed)))
    }
}

/// What both ends share.
struct Shared<M: Machine> {
    laid: Mutex<Laid<M>>,
    /// Tells the log's thread that as many lie there as it waits for, or that the queue is closed.
    enough: Condvar,
    load: Load,
}

/// What lies between the two ends.
struct Laid<M: Machine> {
    proposals: VecDeque<Proposal<M>>,
    /// How many the log's thread sleeps for; `usize::MAX` if it is awake.
    wanted: usize,
    /// Nothing is taken any more.
    is_closed: bool,
}

impl<M: Machine> Laid<M> {
    /// Whether the log's thread sleeps and enough lie there to wake it, which is then being done.
    fn call(&mut self) -> bool {
        let is_enough = self.proposals.len() >= self.wanted;
        if is_enough {
            self.wanted = usize::MAX;
        }
        is_enough
    }
}

/// The proposers' end. Dropping it closes the queue.
pub(crate) struct Entrance<M: Machine> {
    shared: Arc<Shared<M>>,
    commands_max: usize,
    bytes_max: usize,
    command_bytes_max: usize,
}

/// The log's end. Dropping it closes the queue, and lets go of what is in it.
pub(crate) struct Exit<M: Machine> {
    shared: Arc<Shared<M>>,
    /// Taken from the shared part, all at once.
    taken: VecDeque<Proposal<M>>,
}

/// What comes out of the queue.
pub(crate) enum Next<M: Machine> {
    Proposal(Proposal<M>),
    /// Nothing came in the time given.
    Idle,
    /// Nothing will come any more.
    Closed,
}

pub(crate) fn queue<M: Machine>(config: &Config) -> (Entrance<M>, Exit<M>) {
    let laid = Laid { proposals: VecDeque::new(), wanted: usize::MAX, is_closed: false };
    let shared = Shared { laid: Mutex::new(laid), enough: Condvar::new(), load: Load::default() };
    let shared = Arc::new(shared);
    let entrance = Entrance {
        shared: shared.clone(),
        commands_max: config.queue_commands,
        bytes_max: config.queue_bytes,
        command_bytes_max: config.command_bytes,
    };
    (entrance, Exit { shared, taken: VecDeque::new() })
}

impl<M: Machine> Shared<M> {
    fn close(&self) {
        self.laid.lock().is_closed = true;
        self.enough.notify_one();
    }

    /// Waits until so many lie there, until the queue is closed, or until it has taken too long.
    fn wait_for(&self, many: usize, until: Instant) -> MutexGuard<'_, Laid<M>> {
        let mut laid = self.laid.lock();
        while laid.proposals.len() < many && !laid.is_closed {
            laid.wanted = many;
            if self.enough.wait_until(&mut laid, until).timed_out() {
                break;
            }
        }
        laid.wanted = usize::MAX;
        laid
    }
}

impl<M: Machine> Entrance<M> {
    pub(crate) fn load(&self) -> &Load {
        &self.shared.load
    }

    /// Puts a command into the queue, behind all that were put there before, and wakes the log's thread if that waits for it.
    pub(crate) fn submit(&self, command: M::Command) -> Result<Pending<M::Reply>, ProposeError> {
        self.put(command, Laid::call)
    }

    /// The same without waking anyone: whoever puts more there calls [`Entrance::hand_in`] after the last.
    pub(crate) fn lay(&self, command: M::Command) -> Result<Pending<M::Reply>, ProposeError> {
        self.put(command, |_| false)
    }

    /// Wakes the log's thread if it waits for what was laid down.
    pub(crate) fn hand_in(&self) {
        let calls = self.shared.laid.lock().call();
        if calls {
            self.shared.enough.notify_one();
        }
    }

    /// Puts a command into the queue; `calls` says whether the log's thread is woken for it.
    fn put(
        &self,
        command: M::Command,
        calls: impl FnOnce(&mut Laid<M>) -> bool,
    ) -> Result<Pending<M::Reply>, ProposeError> {
        let bytes = postcard::to_extend(&command, Vec::with_capacity(256))
            .map_err(|error| ProposeError::Encode(error.to_string()))?;
        let length = bytes.len();
        if length > self.command_bytes_max {
            return Err(ProposeError::TooLarge { bytes: length, limit: self.command_bytes_max });
        }
        let load = &self.shared.load;
        let commands = load.commands.fetch_add(1, Ordering::Relaxed);
        let before = load.bytes.fetch_add(length, Ordering::Relaxed);
        if commands >= self.commands_max || before > 0 && before + length > self.bytes_max {
            load.leave(length);
            return Err(load.busy());
        }
        let (reply, answer) = oneshot::channel();
        let proposal = Proposal { bytes, command, reply };
        let mut laid = self.shared.laid.lock();
        if laid.is_closed {
            drop(laid);
            load.leave(length);
            return Err(ProposeError::Closed);
        }
        laid.proposals.push_back(proposal);
        let calls = calls(&mut laid);
        drop(laid);
        if calls {
            self.shared.enough.notify_one();
        }
        Ok(Pending(answer))
    }

    /// Takes no more proposals. Those in the queue are still written.
    pub(crate) fn close(&self) {
        self.shared.close();
    }
}

impl<M: Machine> Drop for Entrance<M> {
    fn drop(&mut self) {
        self.close();
    }
}

impl<M: Machine> Exit<M> {
    /// Waits until so many proposals wait, or for so long.
    pub(crate) fn gather(&self, many: usize, wait: Duration) {
        let here = self.taken.len();
        if here < many {
            drop(self.shared.wait_for(many - here, Instant::now() + wait));
        }
    }

    /// Waits for a proposal.
    pub(crate) fn next(&mut self, wait: Duration) -> Next<M> {
        if let Some(proposal) = self.try_next() {
            return Next::Proposal(proposal);
        }
        let mut laid = self.shared.wait_for(1, Instant::now() + wait);
        std::mem::swap(&mut laid.proposals, &mut self.taken);
        let is_closed = laid.is_closed;
        drop(laid);
        match self.taken.pop_front() {
            Some(proposal) => Next::Proposal(self.left(proposal)),
            None if is_closed => Next::Closed,
            None => Next::Idle,
        }
    }

    /// A proposal that is there already.
    pub(crate) fn try_next(&mut self) -> Option<Proposal<M>> {
        if self.taken.is_empty() {
            let mut laid = self.shared.laid.lock();
            std::mem::swap(&mut laid.proposals, &mut self.taken);
        }
        let proposal = self.taken.pop_front()?;
        Some(self.left(proposal))
    }

    fn left(&self, proposal: Proposal<M>) -> Proposal<M> {
        self.shared.load.leave(proposal.bytes.len());
        proposal
    }
}

impl<M: Machine> Drop for Exit<M> {
    fn drop(&mut self) {
        self.shared.close();
        // Who waits for them is told outside of the lock.
        let rest = std::mem::take(&mut self.shared.laid.lock().proposals);
        drop(rest);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;
    use crate::machine::{Mode, RestoreError};

    struct Counter;

    impl Machine for Counter {
        type Command = u32;
        type Reply = ();
        type Frozen = Vec<u8>;

        fn apply(&mut self, _: u64, _: busyhour_base::Timestamp, _: Mode, _: u32) {}

        fn freeze(&mut self) -> Vec<u8> {
            Vec::new()
        }

        fn restore(&mut self, _: &mut dyn Read) -> Result<(), RestoreError> {
            Ok(())
        }
    }

    #[test]
    fn only_who_hands_in_wakes_the_log_and_only_for_as_many_as_it_waits_for() {
        let config = Config::new("unused", Arc::new(|| busyhour_base::Timestamp(0)));
        let (entrance, mut exit) = queue::<Counter>(&config);
        let sleeps_for = |many| entrance.shared.laid.lock().wanted = many;
        let is_awake = || entrance.shared.laid.lock().wanted == usize::MAX;
        sleeps_for(2);
        entrance.hand_in();
        let _one = entrance.lay(1).unwrap();
        entrance.hand_in();
        assert!(!is_awake(), "one is not enough");
        let _two = entrance.lay(2).unwrap();
        let _three = entrance.lay(3).unwrap();
        assert!(!is_awake(), "nobody has handed in");
        entrance.hand_in();
        assert!(is_awake());
        sleeps_for(4);
        let _four = entrance.submit(4).unwrap();
        assert!(is_awake(), "whoever proposes alone hands in");
        let mut laid = Vec::new();
        while let Some(proposal) = exit.try_next() {
            laid.push(proposal.command);
        }
        assert_eq!(laid, [1, 2, 3, 4], "in the order in which they were laid down");
    }
}
