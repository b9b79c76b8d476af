//! The carrier's customers, who call the tenants' numbers when the scenario says so, from the moment at which the carrier is
//! told where its trunks' other sides listen.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use busyhour_simulations::scenario::{Caller, PATIENCE};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use crate::{
    account::CallerRecord,
    caller::{CallIn, Step, call_in},
    clock::Clock,
};

/// Addresses of agents that a carrier is told of at once.
pub(crate) const TRUNKS_MAX: usize = 1_000;

/// Steps of one call: it gives up, is answered all the same, and leaves.
const STEPS_MAX: usize = 3;

/// What callers tell the carrier, whose channels they share.
#[derive(Debug)]
pub(crate) enum Told {
    /// One wants to call: is there room?
    Calls(oneshot::Sender<bool>),
    /// One was answered.
    Answered,
    /// One leaves, and with it a channel if it was answered.
    Leaves {
        /// It was.
        answered: bool,
    },
    /// One is done.
    Over(Box<CallerRecord>),
}

/// Why callers do not begin.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum NotBegun {
    /// There are none.
    #[error("the scenario has no callers")]
    NoCallers,
    /// Once is enough.
    #[error("the callers have begun")]
    Begun,
    /// Nowhere to call.
    #[error("trunks is empty or has more than 1000 addresses")]
    Trunks,
}

/// Every caller.
pub(crate) struct Calling {
    callers: Option<Vec<Caller>>,
    ip: IpAddr,
    clock: Clock,
    told: mpsc::Sender<Told>,
    stop: CancellationToken,
}

impl Calling {
    /// Callers at rest, whose sockets will be at `ip`.
    pub(crate) fn new(
        callers: Vec<Caller>,
        ip: IpAddr,
        clock: Clock,
        told: mpsc::Sender<Told>,
    ) -> Self {
        Self { callers: Some(callers), ip, clock, told, stop: CancellationToken::new() }
    }

    /// The callers begin to call, at these addresses in turn.
    pub(crate) fn begin(&mut self, trunks: Vec<SocketAddr>) -> Result<usize, NotBegun> {
        if trunks.is_empty() || trunks.len() > TRUNKS_MAX {
            return Err(NotBegun::Trunks);
        }
        if self.callers.as_ref().is_some_and(Vec::is_empty) {
            return Err(NotBegun::NoCallers);
        }
        let callers = self.callers.take().ok_or(NotBegun::Begun)?;
        let count = callers.len();
        let shared = Arc::new(Shared {
            trunks,
            ip: self.ip,
            clock: self.clock,
            told: self.told.clone(),
            stop: self.stop.clone(),
        });
        tokio::spawn(all(shared, callers));
        Ok(count)
    }

    /// Whoever calls hangs up, and nobody calls any more.
    pub(crate) fn stop(&mut self) {
        self.callers = None;
        self.stop.cancel();
    }
}

struct Shared {
    trunks: Vec<SocketAddr>,
    ip: IpAddr,
    clock: Clock,
    told: mpsc::Sender<Told>,
    stop: CancellationToken,
}

/// Begins each call in its time. Those that are under way bound what is held.
async fn all(shared: Arc<Shared>, callers: Vec<Caller>) {
    let began = Instant::now();
    let mut calls = JoinSet::new();
    for caller in callers {
        let at = began + caller.after.into();
        tokio::select! {
            () = sleep_until(at) => {}
            () = shared.stop.cancelled() => break,
        }
        calls.spawn(one(Arc::clone(&shared), caller));
        while calls.try_join_next().is_some() {}
    }
    while calls.join_next().await.is_some() {}
}

/// One caller from its wish to call to its end.
async fn one(shared: Arc<Shared>, caller: Caller) {
    let Shared { trunks, ip, clock, told, stop } = &*shared;
    let mut record = CallerRecord {
        number: caller.number,
        nth: caller.nth,
        from: caller.call.from.clone(),
        to: caller.call.to.clone(),
        called_at_us: clock.now().as_micros(),
        ..CallerRecord::default()
    };
    let (answer, room) = oneshot::channel();
    // The carrier stops when nobody hears this.
    if told.send(Told::Calls(answer)).await.is_err() {
        return;
    }
    if room.await == Ok(true) {
        let call = CallIn {
            number: caller.number.into(),
            ip: *ip,
            trunk: trunks[caller.number as usize % trunks.len()],
            from: caller.call.from,
            to: caller.call.to,
            listens: caller.listens,
            patience: PATIENCE,
            stop: stop.clone(),
        };
        let (steps, mut happened) = mpsc::channel(STEPS_MAX);
        let called = call_in(&call, |step| {
            // The other end is below, and there are no more steps than it holds.
            let _ = steps.try_send((step, clock.now()));
        });
        tokio::pin!(called);
        let called = loop {
            tokio::select! {
                biased;
                Some((step, at)) = happened.recv() => tell(told, &mut record, step, at).await,
                called = &mut called => break called,
            }
        };
        while let Ok((step, at)) = happened.try_recv() {
            tell(told, &mut record, step, at).await;
        }
        if record.left_at_us.is_none() {
            tell(told, &mut record, Step::Leaves, clock.now()).await;
        }
        match called {
            Ok(called) => {
                record.status = called.status;
                record.reason = called.reason;
                record.rang = called.rang;
                record.speech_us = called.speech.as_micros();
                record.confirmed = called.ended;
            }
            Err(error) => {
                tracing::error!(%error, caller = caller.number, "a caller's socket failed")
            }
        }
    } else {
        // Its own network is busy, and nobody else hears of it.
        record.reason = busyhour_base::Reason::CarrierChannels.to_string();
        record.confirmed = true;
    }
    record.ended_at_us = clock.now().as_micros();
    let _ = told.send(Told::Over(Box::new(record))).await;
}

async fn tell(
    told: &mpsc::Sender<Told>,
    record: &mut CallerRecord,
    step: Step,
    at: busyhour_base::Timestamp,
) {
    let word = match step {
        Step::Answered if record.left_at_us.is_some() => {
            // The answer has crossed the end of its patience: it held no channel, and hangs up.
            record.answered_at_us = Some(at.as_micros());
            return;
        }
        Step::Answered => {
            record.answered_at_us = Some(at.as_micros());
            Told::Answered
        }
        Step::Leaves if record.left_at_us.is_some() => return,
        Step::Leaves => {
            record.left_at_us = Some(at.as_micros());
            Told::Leaves { answered: record.answered_at_us.is_some() }
        }
    };
    let _ = told.send(word).await;
}
