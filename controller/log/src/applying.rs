//! Applies what is durable, in order, and answers who proposed it. A thread of its own does that with large entries, so that
//! the log's own thread writes and syncs the next group meanwhile. A small one is applied sooner than handed over.

use std::{
    any::Any,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
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

/// An entry of so many bytes is small: some hundred accepted calls.
const SMALL: usize = 32 << 10;

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

/// The machine panicked, and that has been told.
#[derive(Debug)]
pub(crate) struct Panicked;

/// What applies, on whichever thread.
struct Work<M: Machine> {
    applier: Mutex<Applier<M>>,
    status: Arc<Mutex<Status>>,
    on_fatal: OnFatal,
    /// Jobs that were handed to the thread and are not done.
    under_way: AtomicUsize,
}

/// The thread. Dropping this waits until everything that was handed over is done.
pub(crate) struct Applying<M: Machine> {
    work: Arc<Work<M>>,
    /// Always there until this is dropped.
    jobs: Option<SyncSender<Job<M>>>,
    thread: Option<JoinHandle<Result<(), Panicked>>>,
}

impl<M: Machine> Applying<M> {
    /// Starts it. A panic of the machine is told to `on_fatal` before anyone who waits hears of it.
    pub(crate) fn start(
        applier: Applier<M>,
        status: Arc<Mutex<Status>>,
        on_fatal: OnFatal,
    ) -> io::Result<Self> {
        let (jobs, todo) = sync_channel(WAITING);
        let (applier, under_way) = (Mutex::new(applier), AtomicUsize::new(0));
        let work = Arc::new(Work { applier, status, on_fatal, under_way });
        let own = work.clone();
        let thread = thread::Builder::new()
            .name("busyhour-apply".to_owned())
            .spawn(move || own.all(&todo))?;
        Ok(Self { work, jobs: Some(jobs), thread: Some(thread) })
    }

    /// Takes on a durable entry of so many bytes: applies it now, or hands it over.
    pub(crate) fn entry(
        &self,
        index: u64,
        bytes: usize,
        group: InFlight<M>,
    ) -> Result<(), Panicked> {
        if bytes <= SMALL && self.work.is_idle() {
            return self.work.entry(index, group);
        }
        self.hand(Job::Entry(index, group))
    }

    /// Has the state frozen as it is after everything that was taken on before.
    pub(crate) fn freeze(&self, take: Take) -> Result<(), Panicked> {
        self.hand(Job::Freeze(take))
    }

    fn hand(&self, job: Job<M>) -> Result<(), Panicked> {
        self.work.under_way.fetch_add(1, Ordering::Relaxed);
        self.jobs.as_ref().ok_or(Panicked)?.send(job).map_err(|_| Panicked)
    }

    /// Waits until everything is done; takes nothing more.
    pub(crate) fn finish(&mut self) -> Result<(), Panicked> {
        self.jobs = None;
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(end)) => end,
            None => Ok(()),
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

impl<M: Machine> Work<M> {
    fn all(&self, jobs: &Receiver<Job<M>>) -> Result<(), Panicked> {
        for job in jobs {
            match job {
                Job::Entry(index, group) => self.entry(index, group)?,
                Job::Freeze(take) => self.or_tell(|| take(self.applier.lock().freeze()))?,
            }
            self.under_way.fetch_sub(1, Ordering::Release);
        }
        Ok(())
    }

    /// Whether an entry is applied at once: nothing overtakes what was handed over, and a reader holds up the thread alone.
    fn is_idle(&self) -> bool {
        self.under_way.load(Ordering::Acquire) == 0 && self.applier.lock().is_free()
    }

    fn entry(&self, index: u64, mut group: InFlight<M>) -> Result<(), Panicked> {
        // The group outlives a panic, so that nobody hears of it before `on_fatal` does.
        self.or_tell(|| {
            let mut applier = self.applier.lock();
            let replies = applier.live(&mut group);
            {
                let mut status = self.status.lock();
                status.applied = index;
                status.commands = applier.commands();
            }
            group.answer(replies);
        })
    }

    fn or_tell(&self, work: impl FnOnce()) -> Result<(), Panicked> {
        catch_unwind(AssertUnwindSafe(work)).map_err(|payload| {
            // By default this does not return: nobody may be told anything that could be wrong.
            (self.on_fatal)(&panicked(&*payload));
            Panicked
        })
    }
}

pub(crate) fn panicked(payload: &(dyn Any + Send)) -> Fatal {
    Fatal::Panic(panic_message(payload))
}
