//! Raft, alone in its group, over the files of the log.
//!
//! Raft decides; this makes durable what it decides and tells which entries are committed. It is
//! the only place that knows raft's `Ready`.

use std::time::Instant;

use busyhour_base::Span;
use raft::{
    RawNode,
    prelude::{Config, Entry, HardState},
};

use crate::{
    error::Fatal,
    raft_log::logger,
    storage::{LogFiles, Memory},
};

/// Ticks from the last word of a leader to an election; a tick is [`crate::driver::TICK`].
const ELECTION_TICKS: usize = 10;
/// Ticks between a leader's heartbeats.
const HEARTBEAT_TICKS: usize = 2;
/// The most that a leader has under way, in bytes, and that one `Ready` commits.
const UNCOMMITTED_BYTES: u64 = 16 << 20;
/// The most that one message to another replica carries.
const MESSAGE_BYTES: u64 = 1 << 20;
/// Messages under way to one other replica.
const MESSAGES: usize = 256;

/// Where raft stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Progress {
    pub(crate) term: u64,
    pub(crate) commit: u64,
}

/// Raft and its files.
pub(crate) struct Node {
    raw: RawNode<Memory>,
    files: LogFiles,
    groups: u64,
    last_sync: Span,
}

impl Node {
    /// Starts raft where the log ends, with everything up to `applied` in the machine, and makes it
    /// the leader of its group.
    pub(crate) fn start(
        id: u64,
        memory: Memory,
        files: LogFiles,
        applied: u64,
    ) -> Result<Self, Fatal> {
        let config = Config {
            id,
            applied,
            election_tick: ELECTION_TICKS,
            heartbeat_tick: HEARTBEAT_TICKS,
            pre_vote: true,
            check_quorum: true,
            max_uncommitted_size: UNCOMMITTED_BYTES,
            max_committed_size_per_ready: UNCOMMITTED_BYTES,
            max_size_per_msg: MESSAGE_BYTES,
            max_inflight_msgs: MESSAGES,
            ..Config::default()
        };
        let mut raw = RawNode::new(&config, memory, &logger())?;
        // Nobody else could win, so there is nothing to wait for.
        raw.campaign()?;
        Ok(Self { raw, files, groups: 0, last_sync: Span::ZERO })
    }

    /// Gives raft an entry and tells its index. It is neither durable nor committed yet.
    pub(crate) fn propose(&mut self, data: Vec<u8>) -> Result<u64, Fatal> {
        self.raw.propose(Vec::new(), data)?;
        Ok(self.raw.raft.raft_log.last_index())
    }

    /// Lets a tick of raft's clock pass.
    pub(crate) fn tick(&mut self) {
        self.raw.tick();
    }

    /// Makes durable what raft wants durable until it wants nothing more, and tells what is
    /// committed since.
    pub(crate) fn settle(&mut self) -> Result<Vec<Entry>, Fatal> {
        let mut committed = Vec::new();
        while self.raw.has_ready() {
            let mut ready = self.raw.ready();
            if let Some(hard) = ready.hs() {
                self.raw.mut_store().set_hard(hard.clone());
            }
            if ready.must_sync() {
                self.persist(ready.entries())?;
            }
            committed.append(&mut ready.take_committed_entries());
            let mut light = self.raw.advance_append(ready);
            if let Some(commit) = light.commit_index() {
                self.raw.mut_store().set_commit(commit);
            }
            committed.append(&mut light.take_committed_entries());
        }
        Ok(committed)
    }

    /// Tells raft that all entries up to and with this one are in the machine.
    pub(crate) fn applied(&mut self, index: u64) {
        self.raw.advance_apply_to(index);
        self.raw.mut_store().applied(index);
    }

    /// Writes down that the last group is durable, unless that is done.
    pub(crate) fn mark(&mut self) -> Result<(), Fatal> {
        if self.files.marked() {
            return Ok(());
        }
        self.files.mark()
    }

    /// Whether it is written down that the last group is durable.
    pub(crate) fn marked(&self) -> bool {
        self.files.marked()
    }

    /// Forgets the log: in memory up to `snapshot`, if that is not done, on the disk up to `covered`.
    pub(crate) fn compact(&mut self, snapshot: u64, covered: u64) -> Result<(), Fatal> {
        self.raw.mut_store().compact(snapshot);
        self.files.release(covered)
    }

    pub(crate) fn term_of(&self, index: u64) -> Result<u64, Fatal> {
        let term = self.raw.store().term_of(index);
        Ok(term.map_err(raft::Error::from)?)
    }

    pub(crate) fn progress(&self) -> Progress {
        let hard = self.raw.store().hard();
        Progress { term: hard.term, commit: hard.commit }
    }

    pub(crate) fn files(&mut self) -> &mut LogFiles {
        &mut self.files
    }

    /// Groups written since the log was opened.
    pub(crate) fn groups(&self) -> u64 {
        self.groups
    }

    /// How long the last group took to write and sync.
    pub(crate) fn last_sync(&self) -> Span {
        self.last_sync
    }

    fn persist(&mut self, entries: &[Entry]) -> Result<(), Fatal> {
        let began = Instant::now();
        self.raw.mut_store().append(entries).map_err(raft::Error::ConfigInvalid)?;
        let hard = self.durable_state();
        self.files.append(&hard, entries)?;
        self.groups += 1;
        self.last_sync = began.elapsed().into();
        Ok(())
    }

    /// The hard state to be written with a group. Of a replica that is alone, an entry is committed
    /// once it is durable, and a group is durable as a whole or not at all: so the commit index
    /// goes with its entries.
    fn durable_state(&self) -> HardState {
        let store = self.raw.store();
        let mut hard = store.hard().clone();
        if store.alone() {
            hard.commit = store.last();
        }
        hard
    }
}
