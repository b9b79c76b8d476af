//! The thread that applies what is durable, in order, and answers who proposed it. The log's own thread writes and syncs the
//! next group meanwhile.

use std::{
    any::Any,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
};

use parking_lot::Mutex;

use crate::{
    applier::{Applier, InFlight},
    config::OnFatal,
    error::{Fatal, panic_message},
    machine::{Frozen, Machine},
    status::Status,
};

/// Entries that may wait while one is applied. Behind them the log waits, and its next group gathers.
const WAITING: usize = 1;

/// What takes a frozen state.
pub(crate) type Take = Box<dyn FnOnce(Box<dyn Frozen>) + Send>;

enum Job<M: Machine> {
    /// A durable entry, by its raft index.
    Entry(u64, InFlight<M>),
    /// The state after all entries before this.
    Freeze(Take),
}

/// The thread has ended because the machine panicked, and that has been told.
#[derive(Debug)]
pub(crate) struct Panicked;

/// The thread. Dropping this waits until everything that was handed over is done.
pub(crate) struct Applying<M: Machine> {
    /// Always there until this is dropped.
    jobs: Option<SyncSender<Job<M>>>,
    thread: Option<JoinHandle<()>>,
}

impl<M: Machine> Applying<M> {
    /// Starts it. A panic of the machine is told to `on_fatal` before anyone who waits hears of it.
    pub(crate) fn start(
        applier: Applier<M>,
        status: Arc<Mutex<Status>>,
        on_fatal: OnFatal,
    ) -> io::Result<Self> {
        let (jobs, todo) = sync_channel(WAITING);
        let thread = thread::Builder::new()
            .name("busyhour-apply".to_owned())
            .spawn(move || work(applier, &todo, &status, &*on_fatal))?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }

    /// Hands a durable entry over.
    pub(crate) fn entry(&self, index: u64, group: InFlight<M>) -> Result<(), Panicked> {
        self.hand(Job::Entry(index, group))
    }

    /// Has the state frozen as it is after everything that was handed over before.
    pub(crate) fn freeze(&self, take: Take) -> Result<(), Panicked> {
        self.hand(Job::Freeze(take))
    }

    fn hand(&self, job: Job<M>) -> Result<(), Panicked> {
        self.jobs.as_ref().ok_or(Panicked)?.send(job).map_err(|_| Panicked)
    }

    /// Waits until everything is done; takes nothing more.
    pub(crate) fn finish(&mut self) -> Result<(), Panicked> {
        self.jobs = None;
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(())) | None => Ok(()),
            Some(Err(_)) => Err(Panicked),
        }
    }
}

impl<M: Machine> Drop for Applying<M> {
    fn drop(&mut self) {
        // If it panicked, that has been told.
        let _ = self.finish();
    }
}

fn work<M: Machine>(
    mut applier: Applier<M>,
    jobs: &Receiver<Job<M>>,
    status: &Mutex<Status>,
    on_fatal: &(dyn Fn(&Fatal) + Send + Sync),
) {
    // Outlives a panic, so that nobody hears of it before `on_fatal` does.
    let mut current = None;
    let end = catch_unwind(AssertUnwindSafe(|| {
        for job in jobs {
            match job {
                Job::Entry(index, group) => {
                    let group = current.insert(group);
                    let replies = applier.live(group);
                    {
                        let mut status = status.lock();
                        status.applied = index;
                        status.commands = applier.commands();
                    }
                    group.answer(replies);
                }
                Job::Freeze(take) => take(applier.freeze()),
            }
        }
    }));
    if let Err(payload) = end {
        // By default this does not return: nobody may be told anything that could be wrong.
        on_fatal(&panicked(&*payload));
        drop(current);
        std::panic::resume_unwind(Box::new("told"));
    }
}

pub(crate) fn panicked(payload: &(dyn Any + Send)) -> Fatal {
    Fatal::Panic(panic_message(payload))
}
