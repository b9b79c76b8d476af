//! One tree of spans per call: a root that names the call, and beneath it what became of it.
//!
//! The target is `busyhour::call` at level `DEBUG`; while nothing listens to it, nothing is kept.

use std::collections::HashMap;

use busyhour_base::{AccountSid, SidKey};
use busyhour_controller_core::{
    effect::{Dial, Phase},
    spec::CallId,
    view::Record,
};
use parking_lot::Mutex;
use tracing::Span;

/// Calls with an open root. Beyond it calls are not traced: calls in progress are bounded by channels, far below.
const ROOTS_MAX: usize = 1_000_000;

/// The roots of calls between their dial and their record.
pub(crate) struct CallSpans {
    key: SidKey,
    roots: Mutex<HashMap<CallId, Span>>,
}

impl CallSpans {
    pub(crate) fn new(key: SidKey) -> Self {
        Self { key, roots: Mutex::default() }
    }

    /// An order to dial left, or could not.
    pub(crate) fn dialled(&self, dial: &Dial, late_us: u64, handed: &'static str) {
        self.within(dial.call, dial.account, |root| {
            let attempt = dial.attempt;
            let agent = dial.agent.0;
            let carrier = &*dial.carrier;
            let span = tracing::debug_span!(target: "busyhour::call", parent: root, "dial", attempt, agent, carrier);
            tracing::debug!(target: "busyhour::call", parent: &span, late_us, handed, "ordered");
        });
    }

    /// A call is in another phase.
    pub(crate) fn changed(&self, call: CallId, account: AccountSid, phase: Phase) {
        if phase == Phase::Queued {
            return; // The root begins with the dial: millions may wait.
        }
        self.within(call, account, |root| {
            tracing::debug!(target: "busyhour::call", parent: root, ?phase, "report");
        });
    }

    /// A call is in the records; its tree is complete.
    pub(crate) fn recorded(&self, record: &Record) {
        self.within(record.call, record.account, |root| {
            let outcome = record.ending.outcome.as_str();
            let reason = record.ending.reason.code();
            tracing::debug!(target: "busyhour::call", parent: root, outcome, reason, "recorded");
        });
        self.roots.lock().remove(&record.call);
    }

    fn within(&self, call: CallId, account: AccountSid, tell: impl FnOnce(&Span)) {
        if !tracing::enabled!(target: "busyhour::call", tracing::Level::DEBUG) {
            return;
        }
        let mut roots = self.roots.lock();
        if roots.len() >= ROOTS_MAX && !roots.contains_key(&call) {
            return;
        }
        let root = roots.entry(call).or_insert_with(|| {
            let sid = self.key.call(call.0);
            tracing::debug_span!(target: "busyhour::call", parent: None, "call", %sid, %account)
        });
        tell(root);
    }
}
