//! The log's own thread: gathers proposals into a group, makes it durable, and has it applied and answered.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::{Duration, Instant},
};

use busyhour_base::Timestamp;
use parking_lot::Mutex;

use crate::{
    applier::InFlight,
    applying::{Applying, Panicked, panicked},
    batch::{self, Batch},
    config::Config,
    error::{Fatal, ProposeError},
    gather::Crowd,
    growth::Growth,
    machine::Machine,
    node::Node,
    queue::{Exit, Next, Proposal},
    status::Status,
    storage::{SnapshotPosition, Snapshots, group_sectors},
};

/// Raft's clock.
pub(crate) const TICK: Duration = Duration::from_millis(100);

/// Everything the thread works with.
pub(crate) struct Driver<M: Machine> {
    pub(crate) config: Config,
    pub(crate) node: Node,
    pub(crate) applying: Applying<M>,
    pub(crate) snapshots: Snapshots,
    pub(crate) growth: Growth,
    pub(crate) exit: Exit<M>,
    pub(crate) status: Arc<Mutex<Status>>,
    /// The last raft entry, the last command and its instant that are in the machine or on their way there.
    pub(crate) handed: Handed,
    /// When the last group began.
    pub(crate) last_began: Instant,
    /// How many commands such groups carry.
    pub(crate) crowd: Crowd,
    /// Where the next entry is put together.
    pub(crate) batch: Batch,
    /// What is being written.
    pub(crate) in_flight: Option<InFlight<M>>,
    /// Keeps other processes out of the folder. The last field, so that it is dropped when
    /// everything that writes there has ended.
    pub(crate) _lock: Box<dyn Send>,
}

/// How far what is durable was handed on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Handed {
    pub(crate) index: u64,
    pub(crate) commands: u64,
    pub(crate) at: Timestamp,
}

/// Why the thread stops before it is told to.
enum Stop {
    /// The log cannot go on.
    Fatal(Fatal),
    /// Nor can the machine, and that has been told.
    Panicked,
}

impl From<Fatal> for Stop {
    fn from(fatal: Fatal) -> Self {
        Self::Fatal(fatal)
    }
}

impl From<Panicked> for Stop {
    fn from(Panicked: Panicked) -> Self {
        Self::Panicked
    }
}

impl<M: Machine> Driver<M> {
    /// Works until the queue is closed and empty, or until the log cannot go on.
    pub(crate) fn work(mut self) {
        let end = catch_unwind(AssertUnwindSafe(|| self.run()));
        let fatal = match end {
            Ok(Ok(()) | Err(Stop::Panicked)) => return,
            Ok(Err(Stop::Fatal(fatal))) => fatal,
            Err(payload) => panicked(&*payload),
        };
        // By default this does not return: nobody may be told anything that could be wrong. Who waits hears of it after this.
        (self.config.on_fatal)(&fatal);
    }

    fn run(&mut self) -> Result<(), Stop> {
        let mut tick = Instant::now() + TICK;
        loop {
            let mut wait = tick.saturating_duration_since(Instant::now());
            if !self.node.marked() {
                wait = wait.min(self.config.idle_mark);
            }
            if let Some((many, wait)) = self.crowd.company(self.last_began.elapsed()) {
                self.exit.gather(many, wait);
            }
            match self.exit.next(wait) {
                Next::Proposal(first) => self.group(first)?,
                Next::Idle => self.node.mark()?,
                Next::Closed => break,
            }
            let now = Instant::now();
            if now >= tick {
                tick = now + TICK;
                self.node.tick();
                self.settle()?;
            }
            self.tend_snapshots()?;
            self.tell_status();
        }
        self.node.mark()?;
        self.applying.finish()?;
        if self.snapshots.wait()?.is_some() {
            self.snapshot_done()?;
        }
        self.tell_status();
        Ok(())
    }

    /// Writes `first` and what else waits as one entry, and hands it on.
    fn group(&mut self, first: Proposal<M>) -> Result<(), Stop> {
        let at = (self.config.clock)().max(self.handed.at);
        let began = Instant::now();
        self.batch.begin(at);
        let mut group = InFlight { at, commands: Vec::new(), waiting: Vec::new() };
        let mut bytes = 0;
        let mut next = Some(first);
        while let Some(proposal) = next {
            debug_assert!(
                reads_back::<M>(&proposal.bytes),
                "a command that is not read back as it was written"
            );
            bytes += proposal.bytes.len();
            self.batch.push(&proposal.bytes);
            group.commands.push(proposal.command);
            group.waiting.push(proposal.reply);
            next = (bytes < self.config.group_bytes).then(|| self.exit.try_next()).flatten();
        }
        let data = self.batch.bytes();
        self.last_began = began;
        self.crowd.saw(group.commands.len());
        // From here on nobody is let go before it is known what happened.
        self.in_flight = Some(group);
        match self.room(data.len())? {
            Ok(()) => {
                self.node.propose(data)?;
                self.settle()
            }
            Err(no_room) => {
                if let Some(group) = self.in_flight.take() {
                    group.refuse(&ProposeError::NoRoom(no_room));
                }
                Ok(())
            }
        }
    }

    /// Whether a group may be written, for the disk and for the length of the log.
    fn room(&mut self, bytes: usize) -> Result<Result<(), String>, Fatal> {
        let written = self.node.files().written();
        if self.growth.over(written, self.snapshots.newest_bytes()) {
            let why = match self.snapshots.error() {
                Some(error) => error.as_str(),
                None => "the snapshot is still being written",
            };
            let bytes = self.growth.bytes(written);
            return Ok(Err(format!(
                "the log has grown to {bytes} bytes since the last snapshot: {why}"
            )));
        }
        self.node.files().room(group_sectors(bytes, 1))
    }

    /// Lets raft make durable what it has, and hands on what that commits.
    fn settle(&mut self) -> Result<(), Stop> {
        for entry in self.node.settle()? {
            self.handed.index = entry.index;
            // Raft's own entries carry nothing for the machine.
            if !entry.data.is_empty()
                && let Some(group) = self.in_flight.take()
            {
                self.handed.commands += group.commands.len() as u64;
                self.handed.at = group.at;
                // Whoever is answered finds the log as it is now.
                self.tell_status();
                self.applying.entry(entry.index, entry.data.len(), group)?;
            }
        }
        // Nothing but the end of the process keeps what was handed on from being applied.
        self.node.applied(self.handed.index);
        Ok(())
    }

    /// Takes a snapshot when one is due, and forgets the log that a finished one covers.
    fn tend_snapshots(&mut self) -> Result<(), Stop> {
        let written = self.node.files().written();
        if self.snapshots.writing() {
            let done = self.snapshots.poll()?;
            if done.is_some() {
                self.snapshot_done()?;
            } else if !self.snapshots.writing() {
                self.growth.failed(written);
            }
        } else if self.growth.due(written, self.snapshots.newest_bytes()) {
            let Handed { index, commands, at } = self.handed;
            let term = self.node.term_of(index)?;
            self.growth.take(written);
            let take = self.snapshots.start(SnapshotPosition { index, term, commands, at });
            self.applying.freeze(take)?;
        }
        Ok(())
    }

    fn snapshot_done(&mut self) -> Result<(), Fatal> {
        self.growth.done();
        self.node.compact(self.snapshots.newest(), self.snapshots.covered())
    }

    pub(crate) fn tell_status(&mut self) {
        let progress = self.node.progress();
        let written = self.node.files().written();
        let mut status = self.status.lock();
        status.term = progress.term;
        status.commit = progress.commit;
        status.groups = self.node.groups();
        status.last_sync = self.node.last_sync();
        status.log_bytes = self.growth.bytes(written);
        status.snapshot_index = self.snapshots.newest();
        status.snapshot_bytes = self.snapshots.newest_bytes();
        if status.snapshot_error.as_ref() != self.snapshots.error() {
            status.snapshot_error = self.snapshots.error().cloned();
        }
    }
}

/// Whether a replay will see the command that is applied now.
fn reads_back<M: Machine>(bytes: &[u8]) -> bool {
    batch::command::<M::Command>(bytes)
        .is_ok_and(|command| postcard::to_stdvec(&command).is_ok_and(|again| again == bytes))
}
