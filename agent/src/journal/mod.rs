//! The agent's journal: which calls it has sent, on disk before they are sent (RELIABILITY.md, protocol 4 to 6).
//! The rules and the format are the core's; here are the file and its fsync.
//!
//! One thread writes. Whatever gathered while the last frame became durable is the next frame, so calls that begin
//! together share one fsync. A write that fails ends the agent: what it cannot write down it must not do.

mod file;
mod words;

use std::{
    path::Path,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use busyhour_agent_core::journal::{Entry, Journal as Rules};
use busyhour_base::{Ending, Reason};
use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use self::{
    file::File,
    words::{answered, dialog_of, ended, name_of, named},
};
use crate::{metric_definitions as metric, sip::StoredDialog};

pub use file::FileError;

/// A call's number and its attempt.
pub type Name = (u64, u16);

/// How long entries that nobody waits for may wait for others to share their fsync.
const IDLE: Duration = Duration::from_millis(20);
/// Entries in one frame, far below its bound in bytes with every dialog at its longest.
const FRAME_MAX: usize = 64;

/// Why something is not in the journal.
#[derive(Debug, Clone, thiserror::Error)]
pub enum JournalError {
    /// The file cannot be read.
    #[error(transparent)]
    File(Arc<FileError>),
    /// The rules forbid it: the call is known, the fence too low, or the journal full.
    #[error("{}", .0.message())]
    Refused(Reason),
    /// An earlier write failed, so nothing is written any more.
    #[error("a write has failed: {0}")]
    Failed(String),
}

/// The open journal. Dropping it writes what waits.
pub struct Journal {
    shared: Arc<Shared>,
    answered_before: Vec<(Name, StoredDialog)>,
    ended_before: Vec<(Name, Ending)>,
    thread: Option<thread::JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    wake: Condvar,
    failed: CancellationToken,
}

/// Entries that wait are bounded by the calls: each has five in its life, and waits for the first of them.
struct State {
    /// Holds what waits, too: a call is known from the moment that it is to be written down.
    rules: Rules,
    waiting: Vec<(Entry, Option<Done>)>,
    failure: Option<String>,
    stop: bool,
}

type Done = oneshot::Sender<Result<(), JournalError>>;

impl Journal {
    /// Opens the file, or makes a new one, repairs a torn tail, and starts the thread.
    ///
    /// # Errors
    /// [`JournalError::File`].
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        let wrap = |error| JournalError::File(Arc::new(error));
        let (file, rules) = File::open(path).map_err(wrap)?;
        let (answered_before, ended_before) = (answered(&rules), ended(&rules));
        let shared = Arc::new(Shared {
            state: Mutex::new(State { rules, waiting: Vec::new(), failure: None, stop: false }),
            wake: Condvar::new(),
            failed: CancellationToken::new(),
        });
        let inner = shared.clone();
        let thread = thread::Builder::new()
            .name("journal".into())
            .spawn(move || write(&inner, file))
            .map_err(|e| wrap(FileError::Io(e)))?;
        Ok(Self { shared, answered_before, ended_before, thread: Some(thread) })
    }

    /// The highest fence that is known; 0 if the journal is new.
    pub fn fence(&self) -> u64 {
        self.shared.state.lock().rules.fence()
    }

    /// Stores a fence. Returns when it is durable.
    ///
    /// # Errors
    /// [`Reason::Fenced`] if a higher one is known.
    pub async fn store_fence(&self, fence: u64) -> Result<(), JournalError> {
        let waiting = {
            let mut state = self.shared.state.lock();
            if fence < state.rules.fence() {
                return Err(JournalError::Refused(Reason::Fenced));
            }
            if fence == state.rules.fence() && state.waiting.is_empty() {
                return Ok(());
            }
            state.put_all(vec![Entry::Fence(fence)])?
        };
        self.durable(waiting).await
    }

    /// Writes down that a call is about to be sent under `fence`. Returns when that is durable.
    ///
    /// # Errors
    /// [`JournalError::Refused`] if the call is known, whatever became of it, or the fence is too low.
    pub async fn sending(&self, call: u64, attempt: u16, fence: u64) -> Result<(), JournalError> {
        let waiting = {
            let mut state = self.shared.state.lock();
            let entries = state.rules.to_send(named(call, attempt), fence);
            state.put_all(entries.map_err(JournalError::Refused)?)?
        };
        self.durable(waiting).await
    }

    /// Writes down how an answered call can be ended by another process. Not waited for: losing it costs a
    /// quarantine, not a promise.
    pub fn answered(&self, call: u64, attempt: u16, carrier: &str, dialog: &StoredDialog) {
        let dialog = Box::new(dialog_of(carrier, dialog));
        self.put(Entry::Answered(named(call, attempt), dialog));
    }

    /// Writes down how a call ended, of which nothing is left here. Not waited for: losing it costs a doubt.
    pub fn ended(&self, call: u64, attempt: u16, ending: &Ending) {
        self.put(Entry::Ended(named(call, attempt), Box::new(ending.clone())));
    }

    /// Takes a settled call out, or one that was never sent.
    pub fn forget(&self, call: u64, attempt: u16) {
        if self.knows(call, attempt) {
            self.put(Entry::Forget(named(call, attempt)));
        }
    }

    /// Whether the call is in the journal.
    pub fn knows(&self, call: u64, attempt: u16) -> bool {
        self.shared.state.lock().rules.standing(named(call, attempt)).is_some()
    }

    /// Every call in the journal.
    pub fn known(&self) -> Vec<Name> {
        let state = self.shared.state.lock();
        state.rules.known().filter_map(|known| name_of(known.attempt)).collect()
    }

    /// Calls that an earlier process had answered and not ended.
    pub fn answered_before(&self) -> Vec<(Name, StoredDialog)> {
        self.answered_before.clone()
    }

    /// Calls that an earlier process had ended, and of which the controller may not have heard.
    pub fn ended_before(&self) -> &[(Name, Ending)] {
        &self.ended_before
    }

    /// Returns when a write has failed, after which no call may be placed.
    pub async fn failed(&self) -> JournalError {
        self.shared.failed.cancelled().await;
        JournalError::Failed(self.shared.state.lock().failure.clone().unwrap_or_default())
    }

    async fn durable(
        &self,
        waiting: oneshot::Receiver<Result<(), JournalError>>,
    ) -> Result<(), JournalError> {
        self.shared.wake.notify_one();
        let closed = |_| Err(JournalError::Failed("the journal was closed".into()));
        waiting.await.unwrap_or_else(closed)
    }

    fn put(&self, entry: Entry) {
        let mut state = self.shared.state.lock();
        state.rules.apply(&entry);
        if state.failure.is_none() {
            state.waiting.push((entry, None));
            drop(state);
            self.shared.wake.notify_one();
        }
    }
}

impl State {
    /// Puts entries in one frame or several; the receiver hears when the last of them is durable.
    fn put_all(
        &mut self,
        entries: Vec<Entry>,
    ) -> Result<oneshot::Receiver<Result<(), JournalError>>, JournalError> {
        if let Some(failure) = &self.failure {
            return Err(JournalError::Failed(failure.clone()));
        }
        self.rules.extend(&entries);
        self.waiting.extend(entries.into_iter().map(|entry| (entry, None)));
        let (done, receiver) = oneshot::channel();
        if let Some((_, last)) = self.waiting.last_mut() {
            *last = Some(done);
        }
        Ok(receiver)
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.shared.state.lock().stop = true;
        self.shared.wake.notify_one();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn write(shared: &Shared, mut file: File) {
    while let Some((mut batch, rewritten)) = next_batch(shared, &file) {
        let begun = Instant::now();
        let written = match rewritten {
            Some(rules) => file.rewrite(&rules),
            None => batch.chunks(FRAME_MAX).try_for_each(|chunk| {
                let entries: Vec<Entry> = chunk.iter().map(|(entry, _)| entry.clone()).collect();
                file.append(&entries)
            }),
        };
        metric::journal_synced(batch.len(), begun.elapsed());
        let result = written.map_err(|error| JournalError::Failed(error.to_string()));
        for done in batch.iter_mut().filter_map(|(_, done)| done.take()) {
            // Whoever waited may be gone.
            let _ = done.send(result.clone());
        }
        if let Err(JournalError::Failed(failure)) = result {
            tracing::error!(error = %failure, "the journal cannot be written");
            fail(shared, failure);
            return;
        }
    }
}

type Batch = Vec<(Entry, Option<Done>)>;

/// Waits for entries, a little longer if nobody waits for them; with them what the file shall be rewritten to, if
/// it has grown. `None` at the end.
fn next_batch(shared: &Shared, file: &File) -> Option<(Batch, Option<Rules>)> {
    let mut state = shared.state.lock();
    while state.waiting.is_empty() {
        if state.stop {
            return None;
        }
        shared.wake.wait(&mut state);
    }
    let until = Instant::now() + IDLE;
    while !state.stop && state.waiting.iter().all(|(_, done)| done.is_none()) {
        if shared.wake.wait_until(&mut state, until).timed_out() {
            break;
        }
    }
    let batch = std::mem::take(&mut state.waiting);
    // The rules hold the batch, so a new file takes the place of the append.
    let grown = state.rules.wants_compaction(file.bytes());
    Some((batch, grown.then(|| state.rules.clone())))
}

fn fail(shared: &Shared, failure: String) {
    let mut state = shared.state.lock();
    let waiting = std::mem::take(&mut state.waiting);
    for done in waiting.into_iter().filter_map(|(_, done)| done) {
        let _ = done.send(Err(JournalError::Failed(failure.clone())));
    }
    state.failure = Some(failure);
    drop(state);
    shared.failed.cancel();
}

#[cfg(test)]
mod tests;
