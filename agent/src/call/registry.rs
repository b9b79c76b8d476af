//! The calls of this process: bounded by its slots, each with a short queue of orders.

use std::collections::{HashMap, HashSet};

use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};

use super::CallCommand;

/// Orders that may wait at one call; a further one of the same kind says nothing new.
const COMMANDS_MAX: usize = 4;

/// A call and its attempt.
pub type Name = (u64, u16);

/// Every call that runs, and every one of an earlier process that nobody can answer for.
pub struct Calls {
    slots: usize,
    inner: Mutex<Inner>,
    idle: Notify,
}

#[derive(Default)]
struct Inner {
    running: HashMap<Name, mpsc::Sender<CallCommand>>,
    /// Of an earlier process: how they went on is not known.
    in_doubt: HashSet<Name>,
}

/// Why a call was not admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotAdmitted {
    /// It runs already.
    Running,
    /// Every slot is taken.
    Full,
}

impl Calls {
    /// Room for `slots` calls.
    pub fn new(slots: u32) -> Self {
        Self { slots: slots as usize, inner: Mutex::default(), idle: Notify::new() }
    }

    /// Takes a slot.
    pub fn admit(&self, name: Name) -> Result<mpsc::Receiver<CallCommand>, NotAdmitted> {
        let mut inner = self.inner.lock();
        if inner.running.contains_key(&name) {
            return Err(NotAdmitted::Running);
        }
        if inner.running.len() >= self.slots {
            return Err(NotAdmitted::Full);
        }
        let (sender, receiver) = mpsc::channel(COMMANDS_MAX);
        inner.running.insert(name, sender);
        Ok(receiver)
    }

    /// Gives the slot back.
    pub fn release(&self, name: Name) {
        let mut inner = self.inner.lock();
        inner.running.remove(&name);
        if inner.running.is_empty() {
            self.idle.notify_waiters();
        }
    }

    /// Orders something of a call, if it runs.
    pub fn command(&self, call: u64, attempt: u16, command: CallCommand) {
        if let Some(queue) = self.inner.lock().running.get(&(call, attempt)) {
            let _ = queue.try_send(command);
        }
    }

    /// Orders the same of every call.
    pub fn command_all(&self, command: &CallCommand) {
        for queue in self.inner.lock().running.values() {
            let _ = queue.try_send(command.clone());
        }
    }

    /// Calls that an earlier process has left behind.
    pub fn doubt(&self, names: impl IntoIterator<Item = Name>) {
        self.inner.lock().in_doubt.extend(names);
    }

    /// The call needs no doubt any more: this process has ended it, or the controller has settled it.
    pub fn settled(&self, call: u64, attempt: u16) {
        self.inner.lock().in_doubt.remove(&(call, attempt));
    }

    /// This process runs the call.
    pub fn is_running(&self, call: u64, attempt: u16) -> bool {
        self.inner.lock().running.contains_key(&(call, attempt))
    }

    /// This process runs the call, or reports how it ended. That holds for every call of its own, also from its
    /// end to the acknowledgement of its report.
    pub fn answers_for(&self, call: u64, attempt: u16) -> bool {
        !self.inner.lock().in_doubt.contains(&(call, attempt))
    }

    /// Slots in use.
    pub fn in_use(&self) -> u32 {
        u32::try_from(self.inner.lock().running.len()).unwrap_or(u32::MAX)
    }

    /// Returns once no call runs.
    pub async fn idle(&self) {
        loop {
            let idle = self.idle.notified();
            if self.in_use() == 0 {
                return;
            }
            idle.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_bound_the_calls_and_come_back() {
        let calls = Calls::new(2);
        let _one = calls.admit((1, 1)).unwrap();
        assert_eq!(calls.admit((1, 1)).unwrap_err(), NotAdmitted::Running);
        let _two = calls.admit((1, 2)).unwrap();
        assert_eq!(calls.admit((2, 1)).unwrap_err(), NotAdmitted::Full);
        calls.release((1, 1));
        assert!(calls.admit((2, 1)).is_ok());
        assert_eq!(calls.in_use(), 2);
    }

    #[test]
    fn a_call_of_an_earlier_process_is_in_doubt_until_it_is_settled_and_ones_own_never_is() {
        let calls = Calls::new(1);
        calls.doubt([(9, 1)]);
        let _own = calls.admit((1, 1)).unwrap();
        calls.release((1, 1));
        assert!(!calls.answers_for(9, 1) && calls.answers_for(1, 1) && !calls.is_running(1, 1));
        calls.settled(9, 1);
        assert!(calls.answers_for(9, 1));
    }
}
