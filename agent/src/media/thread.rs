//! One media thread: a clock with absolute deadlines that serves a quarter of its calls every 5 ms, so that a
//! thousand packets do not leave at one instant.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};

use super::stream::Stream;
use crate::metric_definitions as metric;

/// Time between packets of one call.
pub const PACKET: Duration = Duration::from_millis(20);
/// Parts that a thread's calls are served in.
const PARTS: usize = 4;
/// Lateness at which packets are left out rather than sent in a burst.
const LATE_MAX: Duration = Duration::from_millis(200);

/// Hold on a thread. Dropping it ends the thread.
pub struct Handle {
    shared: Arc<Shared>,
    thread: Option<thread::JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    inbox: Mutex<Vec<Stream>>,
    wake: Condvar,
    load: AtomicUsize,
    stop: AtomicBool,
}

/// Starts thread number `number`.
pub fn start(number: usize) -> io::Result<Handle> {
    let shared = Arc::new(Shared::default());
    let inner = shared.clone();
    let name = format!("media-{number}");
    let thread = thread::Builder::new().name(name).spawn(move || run(&inner))?;
    Ok(Handle { shared, thread: Some(thread) })
}

impl Handle {
    /// Calls that the thread serves.
    pub fn load(&self) -> usize {
        self.shared.load.load(Ordering::Relaxed)
    }

    /// Gives it another call.
    pub fn add(&self, stream: Stream) {
        self.shared.load.fetch_add(1, Ordering::Relaxed);
        self.shared.inbox.lock().push(stream);
        self.shared.wake.notify_one();
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        self.shared.wake.notify_one();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(shared: &Shared) {
    let mut parts: [Vec<Stream>; PARTS] = Default::default();
    let mut deadline = Instant::now();
    let mut turn = 0;
    while !shared.stop.load(Ordering::Acquire) {
        if parts.iter().all(Vec::is_empty) {
            wait_for_work(shared);
            deadline = Instant::now();
        }
        for stream in shared.inbox.lock().drain(..) {
            let least = parts.iter_mut().min_by_key(|part| part.len());
            least.expect("there are parts").push(stream);
        }
        let skipped = keep_time(&mut deadline);
        let part = &mut parts[turn];
        let before = part.len();
        let now = Instant::now();
        part.retain_mut(|stream| stream.tick(now, skipped));
        shared.load.fetch_sub(before - part.len(), Ordering::Relaxed);
        turn = (turn + 1) % PARTS;
    }
}

fn wait_for_work(shared: &Shared) {
    let mut inbox = shared.inbox.lock();
    while inbox.is_empty() && !shared.stop.load(Ordering::Acquire) {
        shared.wake.wait(&mut inbox);
    }
}

/// Sleeps until the next deadline and moves it on. Returns how many packets of each call fell out because the
/// process was held up.
fn keep_time(deadline: &mut Instant) -> u32 {
    *deadline += PACKET / PARTS as u32;
    let now = Instant::now();
    if let Some(ahead) = deadline.checked_duration_since(now) {
        thread::sleep(ahead);
        return 0;
    }
    let late = now - *deadline;
    if late < LATE_MAX {
        return 0;
    }
    metric::media_held_up(late);
    *deadline = now;
    (late.as_micros() / PACKET.as_micros()) as u32
}
