//! The durable, replicated log beneath the controller.
//!
//! A [`Machine`] is fed commands; [`Log::propose`] answers only after the command is on the disk
//! and applied. Whatever was answered is there after any crash, in the same order, exactly once.
//! Consensus is the `raft` crate's, at present in a group of one; what it wants kept lies in files
//! of our own.
//!
//! # From a proposal to its reply
//!
//! 1. The proposer's thread serialises the command and puts it into a bounded queue. A full queue
//!    refuses ([`ProposeError::Busy`]); nothing has happened then.
//! 2. The log's own thread takes everything that waits, up to [`Config::group_bytes`], as one raft
//!    entry with one instant. If there is no room for it on the disk, all are refused
//!    ([`ProposeError::NoRoom`]); nothing has happened then either.
//! 3. The entry, raft's term and vote, and the commit index are written as one *group*, with one
//!    `fdatasync`.
//! 4. The commands are applied in order, under one write lock, and then the proposers are answered. A thread of its own does
//!    that with a large entry, or when it is not done with the one before. A small one takes less time than to hand it over.
//!
//! While step 3 waits for the disk, the next group gathers: the slower the disk, the larger the
//! groups. While that other thread works, step 3 goes on with the next group; it waits when one entry is being applied and
//! another is to be.
//!
//! # What is written when
//!
//! | what | when | how |
//! |---|---|---|
//! | entries, term, vote, commit index | before anything is applied or answered | appended as a group, one `fdatasync` |
//! | the mark: "the last group was durable" | when the log has been idle for [`Config::idle_mark`], and at shutdown | one sector in place, `fdatasync` |
//! | a new file of the log | ahead of its use, by a thread of its own | zeros, `fsync`; when needed: header, `fsync`, rename, folder `fsync`, and then a closing group in the old file |
//! | a snapshot | when the log since the last has grown to [`Config::snapshot_after_bytes`] or the size of the last snapshot | frozen by the log's thread, written by a thread of its own while entries go on: other name, `fsync`, rename, folder `fsync` |
//! | deletion of old files | after a new snapshot is durable | oldest first, folder `fsync` after each |
//!
//! The last two snapshots are kept, and the log from the older one on.
//!
//! The commit index goes with its entries: alone in its group, a replica has committed what it has
//! made durable, and a group is durable as a whole or not at all. So the index is persisted with
//! apply and costs no second write.
//!
//! # What each crash gives
//!
//! | the process or the power dies | after the next start |
//! |---|---|
//! | before the group is written | the commands never were; nobody was answered |
//! | while the group is written | the same, or all of the group is there, though nobody was answered |
//! | after the sync, before the answer | all of the group is there, though nobody was answered |
//! | after the answer | all of the group is there |
//! | while a file is prepared, a snapshot written, an old file deleted, or the log first set up | as if that had not begun, or as if it were done |
//!
//! So a command without an answer is in doubt, and a proposer that tries again must name it so that
//! the machine can tell (`Idempotency-Key`). Entries that were in the log when it was opened are
//! applied as [`Mode::Replay`]: whether their effects were executed is not known to the log, so the
//! machine derives from its state what is still owed.
//!
//! # A torn write and rot
//!
//! A file of the log is written full of zeros before it is used, and then in sectors of 512 bytes,
//! each with its own checksum, the number of its group and its place in it. Nothing of a group is
//! written before the group before it is durable, and no sound sector but the mark is ever written
//! over. It follows, if a disk writes a sector whole or not at all:
//!
//! * A sector that is neither blank nor sound is **rot**, wherever it is. The log is not opened:
//!   [`Damage`] names file, byte and remedy, and nothing is changed.
//! * A sound sector of a later group, or the mark, proves that a group was durable. If that group
//!   is not whole, it was **lost**: the same.
//! * A last group of which some sectors are sound and the others blank, with no later trace and no
//!   mark, is **torn**: it was not acknowledged. Its sectors are blanked, the log goes on, and
//!   [`Recovery::torn`] tells.
//!
//! What remains ambiguous: between the answer to the last group and the mark a few milliseconds
//! later, the loss of whole sectors of that one group looks like a torn write; under steady load,
//! when the mark is not renewed, so does the blanking of everything from some place to the end of
//! the newest file. A disk that acknowledges a sync and then forgets it can do both; no file on
//! that disk can prove otherwise. And a folder that was restored from an old backup is whole in
//! itself.
//!
//! Before a file is read, the system's memory of it is synced and dropped, so that what is read is
//! what the disk has: after a failed `fsync`, memory may hold what the disk never got.
//!
//! # What ends the process
//!
//! A write or sync of the log that fails, a panic of the machine. Nothing is known then about what
//! is on the disk or in the machine, so nobody is told anything: [`Config::on_fatal`] aborts, and
//! the next start finds out. A full disk does not end it: files are prepared ahead, so the lack of
//! room shows before anything is promised. (On a file system that moves data when it is
//! overwritten, a full disk can still fail a write, which then ends the process.)
//!
//! # Why files of our own
//!
//! The stores at hand end a log in silence where a record is bad, or cannot live with a torn end.
//! `raft-engine` 0.4.2 cuts from a bad batch on in its default mode and forgets the vote, and in
//! its strict mode refuses a real torn end; the write-ahead logs of SQLite and (by default) RocksDB
//! end at the first bad frame; none tells a torn write from rot. One writer, one appended file and
//! no look-ups but a replay are little to write and can be tested at every byte, which
//! `tests/rot.rs` and `tests/crash.rs` do.

pub mod disk;

mod applier;
mod applying;
mod batch;
mod config;
mod driver;
mod error;
mod gather;
mod growth;
mod log;
mod machine;
mod node;
mod queue;
mod raft_log;
mod status;
mod storage;

pub use config::{Clock, Config, OnFatal};
pub use error::{Damage, Fatal, OpenError, ProposeError};
pub use log::Log;
pub use machine::{Frozen, Machine, Mode, RestoreError};
pub use queue::Pending;
pub use status::{Recovery, Status, Torn};
