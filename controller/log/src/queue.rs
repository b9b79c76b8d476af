//! The bounded way from proposers to the log's thread.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc::{self, Receiver, RecvTimeoutError, SyncSender, TrySendError},
    },
    task::{Context, Poll},
    time::Duration,
};

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

enum Item<M: Machine> {
    Proposal(Proposal<M>),
    /// Look whether the queue was closed.
    Wake,
}

/// How full the queue is, and whether it is closed.
#[derive(Default)]
pub(crate) struct Load {
    commands: AtomicUsize,
    bytes: AtomicUsize,
    closed: AtomicBool,
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

/// The proposers' end.
pub(crate) struct Entrance<M: Machine> {
    sender: SyncSender<Item<M>>,
    load: Arc<Load>,
    bytes_max: usize,
    command_bytes_max: usize,
}

/// The log's end.
pub(crate) struct Exit<M: Machine> {
    receiver: Receiver<Item<M>>,
    load: Arc<Load>,
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
    let (sender, receiver) = mpsc::sync_channel(config.queue_commands);
    let load = Arc::new(Load::default());
    let entrance = Entrance {
        sender,
        load: load.clone(),
        bytes_max: config.queue_bytes,
        command_bytes_max: config.command_bytes,
    };
    (entrance, Exit { receiver, load })
}

impl<M: Machine> Entrance<M> {
    pub(crate) fn load(&self) -> &Load {
        &self.load
    }

    /// Puts a command into the queue, behind all that were put there before.
    pub(crate) fn submit(&self, command: M::Command) -> Result<Pending<M::Reply>, ProposeError> {
        if self.load.closed.load(Ordering::Acquire) {
            return Err(ProposeError::Closed);
        }
        let bytes = postcard::to_extend(&command, Vec::with_capacity(256))
            .map_err(|error| ProposeError::Encode(error.to_string()))?;
        let length = bytes.len();
        if length > self.command_bytes_max {
            return Err(ProposeError::TooLarge { bytes: length, limit: self.command_bytes_max });
        }
        self.load.commands.fetch_add(1, Ordering::Relaxed);
        let before = self.load.bytes.fetch_add(length, Ordering::Relaxed);
        if before > 0 && before + length > self.bytes_max {
            self.load.leave(length);
            return Err(self.load.busy());
        }
        let (reply, answer) = oneshot::channel();
        let proposal = Proposal { bytes, command, reply };
        match self.sender.try_send(Item::Proposal(proposal)) {
            Ok(()) => Ok(Pending(answer)),
            Err(error) => {
                self.load.leave(length);
                Err(match error {
                    TrySendError::Full(_) => self.load.busy(),
                    TrySendError::Disconnected(_) => ProposeError::Closed,
                })
            }
        }
    }

    /// Takes no more proposals. Those in the queue are still written.
    pub(crate) fn close(&self) {
        self.load.closed.store(true, Ordering::Release);
        // A full queue needs no waking: its reader looks at the flag when it has emptied it.
        let _ = self.sender.try_send(Item::Wake);
    }
}

impl<M: Machine> Exit<M> {
    /// Waits for a proposal.
    pub(crate) fn next(&self, wait: Duration) -> Next<M> {
        match self.receiver.recv_timeout(wait) {
            Ok(Item::Proposal(proposal)) => Next::Proposal(self.left(proposal)),
            Ok(Item::Wake) | Err(RecvTimeoutError::Timeout) => match self.try_next() {
                Some(proposal) => Next::Proposal(proposal),
                None if self.load.closed.load(Ordering::Acquire) => Next::Closed,
                None => Next::Idle,
            },
            Err(RecvTimeoutError::Disconnected) => Next::Closed,
        }
    }

    /// How many proposals wait.
    pub(crate) fn waiting(&self) -> usize {
        self.load.commands()
    }

    /// A proposal that is there already.
    pub(crate) fn try_next(&self) -> Option<Proposal<M>> {
        loop {
            match self.receiver.try_recv() {
                Ok(Item::Proposal(proposal)) => return Some(self.left(proposal)),
                Ok(Item::Wake) => {}
                Err(_) => return None,
            }
        }
    }

    fn left(&self, proposal: Proposal<M>) -> Proposal<M> {
        self.load.leave(proposal.bytes.len());
        proposal
    }
}
