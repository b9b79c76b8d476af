//! What controller and tenant are told of a leg: each thing once, in order.

use std::collections::VecDeque;

use busyhour_base::{CallEvent, CallSpec, Ending, Outcome, Reason, Span, StatusEvents, Timestamp};

use super::{Action, Order, Request};
use crate::webhook::{Base, rfc2822, template};

/// One of the four call progress events (`WIRE.md`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Progress {
    Initiated,
    Ringing,
    Answered,
    Completed,
}

/// Counts what was told.
#[derive(Default)]
pub(super) struct Teller {
    sent: bool,
    sequence: u32,
}

impl Teller {
    pub const fn told_sent(&self) -> bool {
        self.sent
    }

    pub fn sent(
        &mut self,
        now: Timestamp,
        base: &Base,
        spec: &CallSpec,
        out: &mut VecDeque<Action>,
    ) {
        if !std::mem::replace(&mut self.sent, true) {
            out.push_back(Action::Report(CallEvent::Sent));
            self.call_back(now, Progress::Initiated, base, spec, None, out);
        }
    }

    pub fn ringing(
        &mut self,
        now: Timestamp,
        base: &Base,
        spec: &CallSpec,
        out: &mut VecDeque<Action>,
    ) {
        out.push_back(Action::Report(CallEvent::Ringing));
        self.call_back(now, Progress::Ringing, base, spec, None, out);
    }

    pub fn answered(
        &mut self,
        now: Timestamp,
        base: &Base,
        spec: &CallSpec,
        out: &mut VecDeque<Action>,
    ) {
        out.push_back(Action::Report(CallEvent::Answered));
        self.call_back(now, Progress::Answered, base, spec, None, out);
    }

    pub fn ended(
        &mut self,
        now: Timestamp,
        base: &Base,
        spec: &CallSpec,
        ending: Ending,
        out: &mut VecDeque<Action>,
    ) {
        self.call_back(now, Progress::Completed, base, spec, Some(&ending), out);
        out.push_back(Action::Report(CallEvent::Ended(ending)));
    }

    fn call_back(
        &mut self,
        now: Timestamp,
        progress: Progress,
        base: &Base,
        spec: &CallSpec,
        ending: Option<&Ending>,
        out: &mut VecDeque<Action>,
    ) {
        let Some(webhook) = &spec.status_callback else { return };
        if !wanted(spec.status_events, progress) {
            return;
        }
        let status = ending.map_or(status(progress), |ending| ending.outcome.as_str());
        let mut params = base.params(status);
        let mut push = |key: &str, value: String| params.push((key.to_owned(), value));
        push("Timestamp", rfc2822(now));
        push("CallbackSource", "call-progress-events".to_owned());
        push("SequenceNumber", self.sequence.to_string());
        if let Some(ending) = ending {
            // A started second counts, as it does in the API's `duration`.
            let seconds = ending.talk.as_micros().div_ceil(1_000_000);
            push("CallDuration", seconds.to_string());
            if ending.sip_code != 0 {
                push("SipResponseCode", ending.sip_code.to_string());
            }
        }
        self.sequence += 1;
        out.push_back(Action::Callback(Request {
            url: template::fill(&webhook.url, &params),
            method: webhook.method,
            params,
        }));
    }
}

/// What a tenant is told of a call that ended before any agent held it; `None` if it did not ask to be told.
pub fn undialled_callback(now: Timestamp, order: &Order, outcome: Outcome) -> Option<Request> {
    let ending = Ending {
        outcome,
        // The callback says nothing of it.
        reason: Reason::Completed,
        sip_code: 0,
        ring: Span::ZERO,
        talk: Span::ZERO,
        digits: String::new(),
        confirmed: true,
    };
    let mut out = VecDeque::new();
    Teller::default().ended(now, &Base::of(order), &order.spec, ending, &mut out);
    out.into_iter().find_map(|action| match action {
        Action::Callback(request) => Some(request),
        _ => None,
    })
}

fn wanted(events: StatusEvents, progress: Progress) -> bool {
    match progress {
        Progress::Initiated => events.initiated,
        Progress::Ringing => events.ringing,
        Progress::Answered => events.answered,
        Progress::Completed => events.completed,
    }
}

fn status(progress: Progress) -> &'static str {
    match progress {
        Progress::Initiated => "initiated",
        Progress::Ringing => "ringing",
        Progress::Answered | Progress::Completed => "in-progress",
    }
}
