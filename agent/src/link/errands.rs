//! Work that the controller asks for beside everything else. What it leads to goes back to the controller, which asks again for
//! what it hears nothing of; so nothing is kept here but what is to be passed on.

use std::collections::VecDeque;

use parking_lot::Mutex;
use tokio::sync::Notify;

/// Errands under way, `MOST` at once, and what became of those that are over.
pub struct Errands<T, const MOST: usize> {
    state: Mutex<State<T>>,
    news: Notify,
}

struct State<T> {
    running: usize,
    over: VecDeque<T>,
}

impl<T, const MOST: usize> Default for Errands<T, MOST> {
    fn default() -> Self {
        Self { state: Mutex::new(State { running: 0, over: VecDeque::new() }), news: Notify::new() }
    }
}

impl<T, const MOST: usize> Errands<T, MOST> {
    /// Completes when there is something to pass on.
    pub async fn changed(&self) {
        self.news.notified().await;
    }

    /// What became of errands since this was asked last.
    pub fn take(&self) -> Vec<T> {
        self.state.lock().over.drain(..).collect()
    }

    /// Begins one, if there is room.
    pub(super) fn begin(&self) -> bool {
        let mut state = self.state.lock();
        let room = state.running < MOST;
        state.running += usize::from(room);
        room
    }

    /// What became of one that began, or that did not (`ran`).
    pub(super) fn end(&self, over: T, ran: bool) {
        let mut state = self.state.lock();
        state.running -= usize::from(ran);
        if state.over.len() >= MOST {
            // The controller asks again for what it hears nothing of.
            state.over.pop_front();
        }
        state.over.push_back(over);
        drop(state);
        self.news.notify_one();
    }
}
