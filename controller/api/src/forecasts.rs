//! Forecasts of starts, run beside the handlers: copies are taken under the state's lock, everything else happens on a
//! thread that may block, one at a time, and within a budget of time.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use busyhour_base::{Reason, Span, Timestamp};
use busyhour_controller_core::{
    forward::{About, Answer, Bounds, Estimate, Forecast},
    spec::Kind,
};
use tokio::sync::{Mutex, watch};

use crate::{metric_definitions as metric, platform::Views};

/// How long a forecast may take. Then what is known by then is the answer: fewer runs, or none.
const BUDGET: Duration = Duration::from_millis(400);

/// Starts in one run: enough for its second half to show the rate at which all that is longer goes on.
const STARTS_MAX: usize = 8_192;

/// A forecast of everything is used again for this long at least,
const FRESH: Duration = Duration::from_secs(1);

/// and for so many times as long as it took: whoever asks all the time costs a tenth of a core.
const REST: u32 = 10;

/// Everything that waits, as it was foretold at an instant.
#[derive(Clone)]
pub(crate) struct Outlooked {
    /// The instant of the state.
    at: Timestamp,
    taken: Instant,
    took: Duration,
    forecast: Option<Arc<Forecast>>,
}

/// Makes forecasts and keeps the last one.
pub(crate) struct Forecasts {
    views: Arc<dyn Views>,
    clock: fn() -> Timestamp,
    /// The last ones, by [`Kind`].
    latest: [watch::Sender<Option<Outlooked>>; 2],
    /// One at a time.
    turn: Mutex<()>,
}

impl Forecasts {
    pub(crate) fn new(views: Arc<dyn Views>, clock: fn() -> Timestamp) -> Self {
        let latest = [watch::Sender::new(None), watch::Sender::new(None)];
        Self { views, clock, latest, turn: Mutex::new(()) }
    }

    /// Makes sure that the last forecast of all calls, or of all messages, is not old.
    pub(crate) async fn refresh(&self, kind: Kind) {
        if self.is_fresh(kind) {
            return;
        }
        let _turn = self.turn.lock().await;
        if self.is_fresh(kind) {
            return; // Somebody else asked for it before.
        }
        let taken = Instant::now();
        let (views, now) = (Arc::clone(&self.views), (self.clock)());
        let made = tokio::task::spawn_blocking(move || {
            let outlook = copied(|| match kind {
                Kind::Call => views.outlook(now),
                Kind::Message => views.message_outlook(now),
            })?;
            let end = Instant::now() + BUDGET;
            let go_on = &mut || Instant::now() < end;
            let bounds = &mut Bounds { starts_max: STARTS_MAX, go_on };
            let forecast = outlook.forecast(outlook.at().as_micros(), bounds)?;
            Some((outlook.at(), Arc::new(forecast)))
        });
        let made = made.await.ok().flatten();
        metrics::histogram!(metric::FORECAST_SECONDS, "of" => "everything")
            .record(taken.elapsed().as_secs_f64());
        let (at, forecast) = made.map_or((Timestamp(0), None), |(at, made)| (at, Some(made)));
        let outlooked = Outlooked { at, taken, took: taken.elapsed(), forecast };
        self.latest[kind as usize].send_replace(Some(outlooked));
    }

    fn is_fresh(&self, kind: Kind) -> bool {
        let latest = self.latest[kind as usize].borrow();
        latest.as_ref().is_some_and(|last| last.taken.elapsed() < FRESH.max(last.took * REST))
    }

    /// What the last forecast of a kind says of something, and the instant that it counts from.
    pub(crate) fn latest(
        &self,
        kind: Kind,
        of: impl FnOnce(&Forecast) -> Option<Estimate>,
    ) -> Option<(Timestamp, Estimate)> {
        let latest = self.latest[kind as usize].borrow();
        let last = latest.as_ref()?;
        Some((last.at, of(last.forecast.as_ref()?)?))
    }

    /// The answer to one question in full, and the instant that it counts from.
    pub(crate) async fn answer(&self, about: About) -> Option<(Timestamp, Answer)> {
        let _turn = self.turn.lock().await;
        let began = Instant::now();
        let (views, now) = (Arc::clone(&self.views), (self.clock)());
        let answered = tokio::task::spawn_blocking(move || {
            let inquiry = copied(|| views.inquire(&about, now))?;
            let end = Instant::now() + BUDGET;
            let go_on = &mut || Instant::now() < end;
            let bounds = &mut Bounds { starts_max: STARTS_MAX, go_on };
            Some((inquiry.at(), inquiry.answer(inquiry.at().as_micros(), bounds)?))
        });
        let answered = answered.await.ok().flatten();
        metrics::histogram!(metric::FORECAST_SECONDS, "of" => "one")
            .record(began.elapsed().as_secs_f64());
        answered
    }
}

/// Takes a copy under the state's lock.
fn copied<T>(take: impl FnOnce() -> T) -> T {
    let began = Instant::now();
    let copy = take();
    metrics::histogram!(metric::FORECAST_COPY_SECONDS).record(began.elapsed().as_secs_f64());
    copy
}

/// When something is expected to start, by whichever way could tell.
#[derive(Clone, Debug)]
pub(crate) struct Expected {
    /// The instant from which it was foretold.
    pub(crate) from: Timestamp,
    pub(crate) p50: Timestamp,
    pub(crate) p90: Option<Timestamp>,
    pub(crate) binding: Reason,
    pub(crate) held_by: Vec<(Reason, u16)>,
    /// `forward` or `analytic`.
    pub(crate) method: &'static str,
}

impl Expected {
    /// By the engine run ahead, if it could tell, and else by the analytic estimate, made at `now`.
    pub(crate) fn of(
        forward: Option<(Timestamp, Estimate)>,
        analytic: Option<(Span, Reason)>,
        now: Timestamp,
    ) -> Option<Self> {
        if let Some((at, estimate)) = forward {
            return Some(Self {
                from: at,
                p50: at + estimate.p50,
                p90: estimate.p90.map(|p90| at + p90),
                binding: estimate.binding(),
                held_by: estimate.held_by,
                method: "forward",
            });
        }
        let (span, binding) = analytic?;
        let held_by = Vec::new();
        Some(Self { from: now, p50: now + span, p90: None, binding, held_by, method: "analytic" })
    }
}
