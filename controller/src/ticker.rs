//! Wakes the state machine when its time has come, to well below a millisecond, and never in between.
//!
//! The machine says after each group of entries when it must be woken next ([`Waker::set`]). A thread of its own
//! sleeps until then: the timers of the async runtime count in whole milliseconds and share their
//! thread with everything else.

use std::{
    num::NonZeroU64,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle, Thread},
    time::Duration,
};

use busyhour_base::{Span, Timestamp};
use parking_lot::Mutex;

/// The longest sleep without a look at the clock, which may have been set meanwhile.
const SLEEP_MAX: Duration = Duration::from_secs(1);

/// After a tick that moved nothing: a machine that asks for what is past is asked again only this often.
const STALLED: Duration = Duration::from_millis(1);

/// When the machine wants to be woken. Shared between the machine, which sets it, and the ticker.
#[derive(Clone)]
pub(crate) struct Waker(Arc<Shared>);

struct Shared {
    /// Microseconds since the epoch; `u64::MAX` for never.
    wake: AtomicU64,
    stopped: AtomicBool,
    sleeper: Mutex<Option<Thread>>,
}

impl Waker {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Shared {
            wake: AtomicU64::new(u64::MAX),
            stopped: AtomicBool::new(false),
            sleeper: Mutex::new(None),
        }))
    }

    /// From now on the machine is to be woken at this instant; `None` is never.
    pub(crate) fn set(&self, wake: Option<Timestamp>) {
        let wake = wake.unwrap_or(Timestamp::NEVER).as_micros();
        // The ticker looks at the value again after every sleep, so that only an earlier instant need wake it.
        if self.0.wake.swap(wake, Ordering::AcqRel) > wake {
            self.rouse();
        }
    }

    fn stop(&self) {
        self.0.stopped.store(true, Ordering::Release);
        self.rouse();
    }

    fn rouse(&self) {
        if let Some(sleeper) = &*self.0.sleeper.lock() {
            sleeper.unpark();
        }
    }
}

/// The thread that ticks. It ends when this is dropped.
pub(crate) struct Ticker {
    waker: Waker,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    /// Calls `tick` whenever `clock` has reached the waker's instant. `tick` returns when the machine has been
    /// woken and has said when it wants to be woken next; `false` ends the thread.
    pub(crate) fn start(
        waker: Waker,
        clock: impl Fn() -> Timestamp + Send + 'static,
        tick: impl FnMut() -> bool + Send + 'static,
    ) -> std::io::Result<Self> {
        let shared = waker.clone();
        let thread = thread::Builder::new()
            .name("ticker".to_owned())
            .spawn(move || run(&shared.0, clock, tick))?;
        Ok(Self { waker, thread: Some(thread) })
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.waker.stop();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the ticker panicked");
        }
    }
}

fn run(shared: &Shared, clock: impl Fn() -> Timestamp, mut tick: impl FnMut() -> bool) {
    *shared.sleeper.lock() = Some(thread::current());
    // The kernel may delay a sleep by this much to save wake-ups; its default is 50 microseconds.
    if let Err(error) = rustix::thread::set_current_timer_slack(NonZeroU64::new(1)) {
        tracing::warn!(%error, "the ticker keeps the default timer slack");
    }
    while !shared.stopped.load(Ordering::Acquire) {
        let wake = Timestamp(shared.wake.load(Ordering::Acquire));
        let wait = wake.since(clock());
        if wait > Span::ZERO {
            thread::park_timeout(Duration::from(wait).min(SLEEP_MAX));
            continue;
        }
        if !tick() {
            return;
        }
        if shared.wake.load(Ordering::Acquire) == wake.as_micros() {
            thread::park_timeout(STALLED);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, time::Instant};

    use super::*;
    use crate::clock;

    /// Only a failure lasts so long, however slow the machine.
    const BOUND: Duration = Duration::from_secs(60);

    #[test]
    fn it_ticks_when_asked_soon_after_and_not_before() {
        let waker = Waker::new();
        let (ticked, ticks) = mpsc::channel();
        let inside = waker.clone();
        let ticker = Ticker::start(waker.clone(), clock::now, move || {
            let wake = inside.0.wake.load(Ordering::Acquire);
            inside.set(None);
            ticked.send((wake, clock::now())).is_ok()
        })
        .unwrap();
        let late = || -> u64 {
            let mut late: Vec<u64> = (0..200)
                .map(|_| {
                    waker.set(Some(clock::now() + Span::from_micros(700)));
                    let (wake, at) = ticks.recv_timeout(BOUND).unwrap();
                    at.as_micros().checked_sub(wake).expect("never too early")
                })
                .collect();
            late.sort_unstable();
            late[100]
        };
        // A busy machine is late itself, but not all the time; a ticker that is late by itself always is.
        let bound = Instant::now() + BOUND;
        let mut half = late();
        while half >= 1_000 && Instant::now() < bound {
            half = late();
        }
        assert!(half < 1_000, "half of the ticks come {half} us late");
        assert!(ticks.try_recv().is_err(), "nothing was asked for");
        drop(ticker);
    }

    #[test]
    fn an_earlier_wish_cuts_a_long_sleep_short() {
        let waker = Waker::new();
        let (ticked, ticks) = mpsc::channel();
        let inside = waker.clone();
        let _ticker = Ticker::start(waker.clone(), clock::now, move || {
            inside.set(None);
            ticked.send(()).is_ok()
        })
        .unwrap();
        waker.set(Some(clock::now() + Span::from_secs(3_600)));
        waker.set(Some(clock::now()));
        ticks.recv_timeout(BOUND).unwrap();
    }
}
