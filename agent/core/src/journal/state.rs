//! What the entries of a journal add up to.

use std::collections::BTreeMap;

use busyhour_base::{Ending, Reason};

use super::{Attempt, Dialog, Entry};

/// Attempts that a journal knows at most; beyond it no order is obeyed until the controller has settled some.
pub const KNOWN_MAX: usize = 65_536;
/// Files below this size are not worth rewriting.
const COMPACT_BYTES_MIN: u64 = 1 << 20;
/// A file is rewritten once it is this many times as large as what it would be then.
const COMPACT_RATIO: u64 = 4;
/// About the bytes of an attempt without its dialog or ending.
const ATTEMPT_BYTES: u64 = 12;
/// About the bytes of an ending without its digits.
const ENDING_BYTES: u64 = 20;

/// Everything that an agent remembers across restarts.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Journal {
    fence: u64,
    known: BTreeMap<Attempt, Standing>,
}

/// How far an attempt has come.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Standing {
    /// It may have been sent: after a restart it is in doubt.
    Sending,
    /// A dialog was up: after a restart it is ended by a BYE.
    Answered(Box<Dialog>),
    /// Over. Whoever runs next tells the controller how, unless it has settled the attempt.
    Ended(Box<Ending>),
}

/// An attempt that the journal knows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Known<'a> {
    /// Which.
    pub attempt: Attempt,
    /// How far it has come.
    pub standing: &'a Standing,
}

impl Journal {
    /// The highest fence stored; 0 if the journal is new.
    pub const fn fence(&self) -> u64 {
        self.fence
    }

    /// Every attempt that was not forgotten.
    pub fn known(&self) -> impl ExactSizeIterator<Item = Known<'_>> {
        self.known.iter().map(|(attempt, standing)| Known { attempt: *attempt, standing })
    }

    /// How far an attempt has come, if it is known.
    pub fn standing(&self, attempt: Attempt) -> Option<&Standing> {
        self.known.get(&attempt)
    }

    /// What must be written and synced before the INVITE of an order may leave; or why it must not leave at all.
    ///
    /// # Errors
    ///
    /// [`Reason::Fenced`] if a higher fence is known, [`Reason::Duplicate`] if the attempt is known already, whatever
    /// became of it, and [`Reason::AgentFull`] at [`KNOWN_MAX`].
    pub fn to_send(&self, attempt: Attempt, fence: u64) -> Result<Vec<Entry>, Reason> {
        if fence < self.fence {
            return Err(Reason::Fenced);
        }
        if self.known.contains_key(&attempt) {
            return Err(Reason::Duplicate);
        }
        if self.known.len() >= KNOWN_MAX {
            return Err(Reason::AgentFull);
        }
        let raised = (fence > self.fence).then_some(Entry::Fence(fence));
        Ok(raised.into_iter().chain([Entry::Sending(attempt)]).collect())
    }

    /// Takes in an entry that is on the disk. Entries that were written twice, or that come after the end of
    /// their attempt, change nothing.
    pub fn apply(&mut self, entry: &Entry) {
        match entry {
            Entry::Fence(fence) => self.fence = self.fence.max(*fence),
            Entry::Sending(attempt) => {
                self.known.entry(*attempt).or_insert(Standing::Sending);
            }
            Entry::Answered(attempt, dialog) => {
                let standing = self.known.entry(*attempt).or_insert(Standing::Sending);
                if *standing == Standing::Sending {
                    *standing = Standing::Answered(dialog.clone());
                }
            }
            Entry::Ended(attempt, ending) => {
                let standing = self.known.entry(*attempt).or_insert(Standing::Sending);
                if !matches!(standing, Standing::Ended(_)) {
                    *standing = Standing::Ended(ending.clone());
                }
            }
            Entry::Forget(attempt) => {
                self.known.remove(attempt);
            }
        }
    }

    /// Whether the file, now of so many bytes, should be replaced by a new one with [`Journal::compacted`].
    pub fn wants_compaction(&self, file_bytes: u64) -> bool {
        let dialogs = self.known.values().map(|standing| match standing {
            Standing::Answered(dialog) => bytes_of(dialog),
            Standing::Ended(ending) => ENDING_BYTES + ending.digits.len() as u64,
            Standing::Sending => 0,
        });
        let needed = self.known.len() as u64 * ATTEMPT_BYTES + dialogs.sum::<u64>();
        file_bytes > COMPACT_BYTES_MIN.max(needed.saturating_mul(COMPACT_RATIO))
    }

    /// The fewest entries that add up to the same.
    pub fn compacted(&self) -> impl Iterator<Item = Entry> + '_ {
        let known = self.known.iter().map(|(attempt, standing)| match standing {
            Standing::Sending => Entry::Sending(*attempt),
            Standing::Answered(dialog) => Entry::Answered(*attempt, dialog.clone()),
            Standing::Ended(ending) => Entry::Ended(*attempt, ending.clone()),
        });
        [Entry::Fence(self.fence)].into_iter().chain(known)
    }
}

impl<'a> Extend<&'a Entry> for Journal {
    fn extend<T: IntoIterator<Item = &'a Entry>>(&mut self, entries: T) {
        entries.into_iter().for_each(|entry| self.apply(entry));
    }
}

fn bytes_of(dialog: &Dialog) -> u64 {
    let texts = [
        &dialog.call_id,
        &dialog.from,
        &dialog.to,
        &dialog.target,
        &dialog.carrier,
        &dialog.address,
    ];
    texts.into_iter().chain(&dialog.routes).map(|text| text.len() as u64 + 2).sum()
}
