//! The part of the log that raft may ask for, kept in memory: everything since the last snapshot. Of a replica that is alone
//! it is only what is not in the machine yet, since no other will ever need the rest.
//!
//! It is bounded by the size at which snapshots are taken, and by the refusal of proposals at four
//! times that size.

use std::collections::VecDeque;

use raft::{
    GetEntriesContext, RaftState, Storage, StorageError,
    prelude::{ConfState, Entry, HardState, Snapshot},
    util::limit_size,
};

/// Entries that raft may ask for, and its own state.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// Index and term of the last entry that is not kept here any more.
    before: (u64, u64),
    entries: VecDeque<Entry>,
    hard: HardState,
    voters: Vec<u64>,
}

impl Memory {
    pub(crate) fn new(before: (u64, u64), voters: Vec<u64>) -> Self {
        Self { before, voters, ..Self::default() }
    }

    pub(crate) fn last(&self) -> u64 {
        self.before.0 + self.entries.len() as u64
    }

    pub(crate) fn hard(&self) -> &HardState {
        &self.hard
    }

    pub(crate) fn set_hard(&mut self, hard: HardState) {
        self.hard = hard;
    }

    pub(crate) fn set_commit(&mut self, commit: u64) {
        self.hard.commit = commit;
    }

    /// Whether raft is alone, so that what is durable here is committed.
    pub(crate) fn alone(&self) -> bool {
        self.voters.len() == 1
    }

    /// Adds entries, replacing those of the same index and all after them. Those that were
    /// forgotten are left out. Refused if they leave a gap.
    pub(crate) fn append(&mut self, entries: &[Entry]) -> Result<(), String> {
        for entry in entries {
            if entry.index > self.last() + 1 {
                return Err(format!(
                    "entry {} follows entry {}: those between are missing",
                    entry.index,
                    self.last()
                ));
            }
            if entry.index <= self.before.0 {
                continue;
            }
            self.entries.truncate((entry.index - self.before.0 - 1) as usize);
            self.entries.push_back(entry.clone());
        }
        Ok(())
    }

    /// The machine has everything up to and with `index`, or soon will.
    pub(crate) fn applied(&mut self, index: u64) {
        if self.alone() {
            self.compact(index);
        }
    }

    /// Forgets the entries up to and with `index`, which a snapshot holds now.
    pub(crate) fn compact(&mut self, index: u64) {
        while let Some(first) = self.entries.front()
            && first.index <= index
        {
            self.before = (first.index, first.term);
            self.entries.pop_front();
        }
    }

    /// Term of the entry at `index`.
    pub(crate) fn term_of(&self, index: u64) -> Result<u64, StorageError> {
        match index.checked_sub(self.before.0) {
            None => Err(StorageError::Compacted),
            Some(0) => Ok(self.before.1),
            Some(n) => self
                .entries
                .get(n as usize - 1)
                .map(|entry| entry.term)
                .ok_or(StorageError::Unavailable),
        }
    }
}

impl Storage for Memory {
    fn initial_state(&self) -> raft::Result<RaftState> {
        let members = ConfState::from((self.voters.clone(), Vec::new()));
        Ok(RaftState::new(self.hard.clone(), members))
    }

    fn entries(
        &self,
        low: u64,
        high: u64,
        max_size: impl Into<Option<u64>>,
        _context: GetEntriesContext,
    ) -> raft::Result<Vec<Entry>> {
        if low <= self.before.0 {
            return Err(StorageError::Compacted.into());
        }
        if high > self.last() + 1 {
            return Err(StorageError::Unavailable.into());
        }
        let start = (low - self.before.0 - 1) as usize;
        let end = (high - self.before.0 - 1) as usize;
        let max_size = max_size.into();
        let mut size = 0;
        let mut entries: Vec<Entry> = self
            .entries
            .range(start..end)
            .take_while(|entry| {
                // Not more is copied than `limit_size` keeps.
                let keep = max_size.is_none_or(|max| size <= max);
                size += entry.data.len() as u64;
                keep
            })
            .cloned()
            .collect();
        limit_size(&mut entries, max_size);
        Ok(entries)
    }

    fn term(&self, index: u64) -> raft::Result<u64> {
        Ok(self.term_of(index)?)
    }

    fn first_index(&self) -> raft::Result<u64> {
        Ok(self.before.0 + 1)
    }

    fn last_index(&self) -> raft::Result<u64> {
        Ok(self.last())
    }

    /// Asked for only to bring another replica up to date, and a group of one has none.
    fn snapshot(&self, _request_index: u64, _to: u64) -> raft::Result<Snapshot> {
        Err(StorageError::SnapshotTemporarilyUnavailable.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(index: u64, term: u64) -> Entry {
        let mut entry = Entry::default();
        (entry.index, entry.term) = (index, term);
        entry
    }

    #[test]
    fn a_later_term_replaces_what_follows_it_and_a_gap_is_refused() {
        let mut memory = Memory::new((4, 1), vec![1]);
        memory.append(&[entry(3, 1), entry(4, 1), entry(5, 1), entry(6, 1), entry(7, 1)]).unwrap();
        assert_eq!(memory.last(), 7);
        memory.append(&[entry(6, 2)]).unwrap();
        assert_eq!((memory.last(), memory.term_of(6)), (6, Ok(2)));
        assert!(memory.append(&[entry(8, 2)]).is_err());
    }

    #[test]
    fn the_term_before_the_first_entry_stays_known() {
        let mut memory = Memory::new((0, 0), vec![1]);
        memory.append(&[entry(1, 1), entry(2, 3), entry(3, 3)]).unwrap();
        memory.compact(2);
        assert_eq!(memory.first_index().unwrap(), 3);
        assert_eq!(memory.term_of(2), Ok(3));
        assert_eq!(memory.term_of(1), Err(StorageError::Compacted));
        assert_eq!(memory.term_of(4), Err(StorageError::Unavailable));
    }

    #[test]
    fn only_for_others_is_anything_kept_that_was_applied() {
        let kept = |voters| {
            let mut memory = Memory::new((0, 0), voters);
            memory.append(&[entry(1, 1), entry(2, 1), entry(3, 2)]).unwrap();
            memory.applied(2);
            assert_eq!((memory.last(), memory.term_of(2)), (3, Ok(1)));
            memory.entries.len()
        };
        assert_eq!(kept(vec![1]), 1);
        assert_eq!(kept(vec![1, 2, 3]), 3);
    }
}
