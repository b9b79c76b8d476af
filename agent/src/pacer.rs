//! Wakes tasks at exact instants. The async runtime's timer counts whole milliseconds; the spacing of INVITEs is
//! measured in less (MT-2), so one thread sleeps until the next of them.

use std::{cmp::Reverse, collections::BinaryHeap, io, sync::Arc, thread, time::Instant};

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

/// Instants that are waited for; one per call that is about to be placed.
pub struct Pacer {
    shared: Arc<Shared>,
    thread: Option<thread::JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    wake: Condvar,
}

#[derive(Default)]
struct Queue {
    due: BinaryHeap<Reverse<Entry>>,
    counter: u64,
    stop: bool,
}

struct Entry {
    at: Instant,
    number: u64,
    task: oneshot::Sender<()>,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

impl Pacer {
    /// Starts the thread.
    ///
    /// # Errors
    /// If the operating system has no thread left.
    pub fn start() -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let inner = shared.clone();
        let thread = thread::Builder::new().name("pacer".into()).spawn(move || run(&inner))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Returns at `at`, or at once if it has passed. Instants for one waiter each, in their order.
    pub async fn until(&self, at: Instant) {
        if at <= Instant::now() {
            return;
        }
        let (task, woken) = oneshot::channel();
        {
            let mut queue = self.shared.queue.lock();
            queue.counter += 1;
            let number = queue.counter;
            queue.due.push(Reverse(Entry { at, number, task }));
        }
        self.shared.wake.notify_one();
        // An error means that the pacer is gone, and with it the agent.
        let _ = woken.await;
    }
}

impl Drop for Pacer {
    fn drop(&mut self) {
        self.shared.queue.lock().stop = true;
        self.shared.wake.notify_one();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(shared: &Shared) {
    let mut queue = shared.queue.lock();
    while !queue.stop {
        let Some(Reverse(next)) = queue.due.peek() else {
            shared.wake.wait(&mut queue);
            continue;
        };
        let at = next.at;
        if at > Instant::now() {
            shared.wake.wait_until(&mut queue, at);
        } else if let Some(Reverse(entry)) = queue.due.pop() {
            // Whoever waited may be gone.
            let _ = entry.task.send(());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// MT-2: what is due at an instant is not early, and in order.
    #[tokio::test]
    async fn instants_come_in_order_and_never_early() {
        let pacer = Arc::new(Pacer::start().unwrap());
        for lead_ms in [100, 1_000, 10_000] {
            let start = Instant::now();
            let came = Arc::new(Mutex::new(Vec::new()));
            let waits = [30, 10, 20].map(|ms: u64| {
                let (pacer, came) = (pacer.clone(), came.clone());
                // One thread runs all of them, in the order in which they are woken, however late.
                tokio::spawn(async move {
                    let at = start + Duration::from_micros((lead_ms + ms) * 1_000 + 300);
                    let in_time = Instant::now() < start + Duration::from_millis(lead_ms);
                    pacer.until(at).await;
                    assert!(Instant::now() >= at);
                    came.lock().push(ms);
                    in_time
                })
            });
            let mut in_time = true;
            for wait in waits {
                in_time &= wait.await.unwrap();
            }
            pacer.until(start).await;
            // What is past when it is asked for comes at once.
            if in_time {
                return assert_eq!(*came.lock(), [10, 20, 30]);
            }
        }
        panic!("the machine stands still all the time");
    }
}
