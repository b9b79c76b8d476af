//! Carries out what the state machine asks for, in its order: orders to agents, callbacks owed, and news
//! for metrics and traces. It waits for nothing, since the log waits behind it.

use std::sync::Arc;

use busyhour_base::{CallEvent, Reason, SidKey, Span};
use busyhour_controller_core::{
    command::{CallReport, Command},
    effect::{Answer, Dial, Effect, Phase},
    message::MessageEffect,
    spec::{AgentIx, CallId},
};
use tokio::sync::{Notify, mpsc, watch};

use crate::{
    callbacks::{self, Callbacks},
    clock,
    declared::DialBook,
    link::{self, Handed, Links},
    machine::Effects,
    messages::{self, Asks, Couriers},
    metric_definitions as names,
    proposer::Proposer,
    reasons,
    trace::CallSpans,
};

/// Orders that could not be made, on their way back to the state machine. They are rare; beyond this many the
/// agent is cut off, which brings its orders back as well.
pub(crate) const GIVEN_BACK_MAX: usize = 65_536;

/// Everything that effects reach.
pub(crate) struct Pump {
    pub links: Links,
    pub callbacks: Arc<Callbacks>,
    /// Told when a batch's callback is owed a notice.
    pub owed: Arc<Notify>,
    pub spans: Arc<CallSpans>,
    pub dial_book: watch::Receiver<Arc<DialBook>>,
    pub sid_key: SidKey,
    /// How long after it is due an order to dial may be carried out.
    pub valid_after_due: Span,
    pub given_back: mpsc::Sender<CallReport>,
    pub couriers: Couriers,
    pub asks: Asks,
}

/// The metric of calls that were queued.
pub(crate) fn queued() -> metrics::Counter {
    metrics::counter!(names::CALLS, "phase" => phase_word(Phase::Queued))
}

impl Pump {
    /// Runs until the log is closed.
    pub(crate) async fn run(self, mut groups: mpsc::Receiver<Effects>) {
        let mut offers = tokio::time::interval(callbacks::OFFER_EVERY);
        offers.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                group = groups.recv() => match group {
                    Some(group) => group.into_iter().for_each(|effect| self.carry_out(effect)),
                    None => return,
                },
                _ = offers.tick() => self.callbacks.offer(),
            }
        }
    }

    fn carry_out(&self, effect: Effect) {
        match effect {
            Effect::Dial(dial) => self.dial(&dial),
            Effect::Ring(ringing) => {
                self.links.send_dial(ringing.agent, ringing.fence, link::ring(&ringing));
            }
            Effect::Answer(answer) => self.answer(&answer),
            Effect::Refuse { agent, offer, reason } => {
                self.links.send(agent, link::refuse(offer, reason));
            }
            Effect::HangUp { agent, call, attempt, reason } => {
                self.links.send(agent, link::hang_up(call, attempt, reason));
            }
            Effect::Redirect { agent, call, attempt, instructions } => {
                self.links.send(agent, link::redirect(call, attempt, &instructions));
            }
            Effect::Notify { call, account, spec, outcome } => {
                if spec.status_callback.is_some() && spec.status_events.completed {
                    let book = self.dial_book.borrow().clone();
                    let owed = link::callback(call, account, &spec, outcome, self.sid_key, &book);
                    owed.into_iter().for_each(|owed| self.callbacks.owe(None, owed));
                }
            }
            Effect::Message(effect) => self.message(effect),
            Effect::BatchNews { .. } => self.owed.notify_one(),
            Effect::Changed { call, account, phase } => {
                metrics::counter!(names::CALLS, "phase" => phase_word(phase)).increment(1);
                self.spans.changed(call, account, phase);
            }
        }
    }

    fn message(&self, effect: MessageEffect) {
        match effect {
            MessageEffect::Send(send) => {
                let late = clock::now().since(send.at);
                metrics::histogram!(names::MESSAGE_LATENESS).record(late.as_secs_f64());
                self.couriers.hand(*send);
            }
            MessageEffect::Ask(ask) => self.asks.put(*ask),
            MessageEffect::Changed { message, account, spec, status, reason } => {
                metrics::counter!(names::MESSAGES, "status" => status.as_str()).increment(1);
                let book = self.dial_book.borrow().clone();
                let changed = (status, reason);
                let notice =
                    messages::notice(message, account, &spec, changed, self.sid_key, &book);
                // Those of one message go through one agent, which keeps their order.
                notice.into_iter().for_each(|notice| self.callbacks.owe(Some(message.0), notice));
            }
        }
    }

    fn dial(&self, dial: &Dial) {
        let now = clock::now();
        let book = self.dial_book.borrow().clone();
        let sent = (now, clock::steady());
        let handed = match link::dial(dial, sent, self.valid_after_due, self.sid_key, &book) {
            Ok(order) => match self.links.send_dial(dial.agent, dial.fence, order) {
                Handed::Sent => "sent",
                Handed::Kept => "kept",
                // The agent's next hello does not know this attempt, and that brings it back.
                Handed::Void => {
                    metrics::counter!(names::ORDERS_UNDELIVERED, "reason" => "no_link")
                        .increment(1);
                    "void"
                }
            },
            Err(reason) => {
                self.give_back(dial.agent, dial.call, dial.attempt, reason);
                "undeclared"
            }
        };
        let late = now.since(dial.at);
        metrics::histogram!(names::DIAL_LATENESS).record(late.as_secs_f64());
        reasons::started(dial.held_by);
        if dial.attempt == 1 {
            metrics::histogram!(names::QUEUE_WAIT).record(dial.waited.as_secs_f64());
        }
        self.spans.dialled(dial, late.as_micros(), handed);
    }

    /// A void order needs nothing more: with its connection the agent has refused the call.
    fn answer(&self, answer: &Answer) {
        let book = self.dial_book.borrow().clone();
        match link::answer(answer, self.sid_key, &book) {
            Ok(order) => {
                self.links.send_dial(answer.agent, answer.fence, order);
            }
            Err(reason) => {
                self.links.send(answer.agent, link::refuse(answer.offer, reason));
                self.give_back(answer.agent, answer.call, answer.attempt, reason);
            }
        }
    }

    /// What an order needs is not declared: nothing was sent, and the state machine may think again.
    fn give_back(&self, agent: AgentIx, call: CallId, attempt: u16, reason: Reason) {
        metrics::counter!(names::ORDERS_UNDELIVERED, "reason" => "undeclared").increment(1);
        tracing::warn!(?call, %reason, "an order is given back");
        let event = CallEvent::NotSent(reason);
        let report = CallReport { agent, call, attempt, heard_at: clock::now(), event };
        if self.given_back.try_send(report).is_err() {
            tracing::error!(
                "too many orders are given back at once; agents are asked to come back"
            );
            self.links.cut_all("orders are in disorder");
        }
    }
}

/// Brings orders that could not be made back to the state machine.
pub(crate) async fn give_back(mut orders: mpsc::Receiver<CallReport>, proposer: Proposer) {
    let mut batch = Vec::new();
    while orders.recv_many(&mut batch, 1_024).await > 0 {
        let reports = std::mem::take(&mut batch);
        if proposer.insist(|| Command::Reports(reports.clone())).await.is_err() {
            return; // The log is closed.
        }
    }
}

fn phase_word(phase: Phase) -> &'static str {
    match phase {
        Phase::Queued => "queued",
        Phase::Dialling => "dialling",
        Phase::Sent => "sent",
        Phase::Ringing => "ringing",
        Phase::InProgress => "in-progress",
        Phase::Ended(outcome) => outcome.as_str(),
    }
}
