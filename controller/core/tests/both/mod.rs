//! The machine and the reference model on one history: every decision is compared, which request, when, over which carrier, at
//! which worker and what it waited for, and so is every ending.

mod action;
mod calls;
mod texts;

use std::collections::BTreeMap;

use busyhour_base::{CallEvent, Outcome, Reason, Span};
use busyhour_controller_core::{
    MessageOptions, Options, State,
    command::{AgentCommand, Capacity, Command},
    effect::{Effect, Reply},
    message::{MessageCommand, MessageEffect, MessageId, MessageRecord},
    spec::{BatchId, Channels, Urgency},
    view::Record,
};

pub use self::action::{Action, action};
use crate::{
    model::{
        Model,
        declared::{Plan, TENANTS, declared},
        requests::RUN_UP,
    },
    support::{Machine, account, ended},
};

/// Of each agent.
const SLOTS: [u32; 2] = [4, 3];
/// So few that histories come to each bound.
const MESSAGES: MessageOptions = MessageOptions {
    submit_max: 100,
    report_wait: Span(3_600_000_003),
    unreported_max: 1_000,
    inbound_max: 2,
    asked_max: 4,
    asked_of_tenant_max: 2,
    answers_max: 2,
    opt_outs_max: 5,
    removals_max: 3,
};

/// The two of them.
pub struct Both {
    machine: Machine,
    pub model: Model,
    /// What each carrier serves and for how much, until a declaration changes that too.
    routes: [u8; 3],
    /// A snapshot, and how many entries had been applied by then.
    snapshot: (usize, Vec<u8>),
    offers: u64,
    sent: BTreeMap<MessageId, u16>,
    /// What has ended, in order.
    records: Vec<Record>,
    message_records: Vec<MessageRecord>,
    /// Every batch, with its tenant.
    batches: Vec<(BatchId, u128)>,
}

impl Both {
    pub fn new(routes: [u8; 3]) -> Self {
        let mut machine = Machine::new();
        let options = Options { batch_run_up: RUN_UP, ..Options::default() };
        machine.state = State::with(options).with_messages(MESSAGES);
        let snapshot = (0, machine.state.snapshot());
        let (mut model, sent) = (Model::default(), BTreeMap::new());
        model.texts.options = MESSAGES;
        let (records, message_records, batches) = (Vec::new(), Vec::new(), Vec::new());
        let mut both = Self {
            machine,
            model,
            routes,
            snapshot,
            offers: 0,
            sent,
            records,
            message_records,
            batches,
        };
        let plan = Plan {
            carriers: [3, 6, 0, 0, 0, 1, 1, 0, 0, 0],
            texts: [5, 0, 0, 6, 1, 0, 0],
            ..Plan::default()
        };
        both.apply(Command::Declare(Box::new(declared(&both.routed(plan)))));
        for (at, slots) in SLOTS.into_iter().enumerate() {
            both.apply(Command::Agent(AgentCommand::Up {
                name: format!("agent-{at}").into(),
                incarnation: 1,
                slots,
                fence: 0,
                known: Vec::new(),
            }));
        }
        both
    }

    /// To the end: whatever may start starts, and ends.
    pub fn finish(&mut self) {
        for _ in 0..100 {
            self.act(&Action::End { which: 0, how: 9 });
            self.act(&Action::Answer { which: 0, how: 7 });
            self.act(&Action::Asked { which: 0, how: 0 });
            self.run(Span::from_secs(1), Span::ZERO);
        }
    }

    fn routed(&self, mut plan: Plan) -> Plan {
        let [serves, money, gone] = self.routes;
        plan.carriers[5] = plan.carriers[5] % 3 + serves % 3 * 3;
        (plan.carriers[7], plan.carriers[9]) = (money, gone);
        plan
    }

    fn apply(&mut self, command: Command) -> Reply {
        let told = self.machine.effects.len();
        let reply = self.machine.apply(command);
        let effects = &self.machine.effects[told..];
        for effect in effects {
            if let Effect::Message(MessageEffect::Send(send)) = effect {
                self.sent.insert(send.message, send.attempt);
            }
        }
        let entry = self.machine.log.last().expect("it was just applied");
        let told = self.records.last().map_or(0, |record| record.seq);
        let ended = self.machine.state.outbox(usize::MAX).filter(|record| record.seq > told);
        self.records.extend(ended.cloned());
        let told = self.message_records.last().map_or(0, |record| record.seq);
        let ended = self.machine.state.message_outbox(usize::MAX);
        let records: Vec<_> = ended.filter(|record| record.seq > told).cloned().collect();
        self.message_records.extend_from_slice(&records);
        if let Err(error) = self.model.follow(entry, &reply, effects, &records) {
            panic!("the machine {error}\nin {entry:?}\nwhich it answered with {reply:?}");
        }
        for tenant in (1..=TENANTS).map(account) {
            let out = self.machine.state.opt_outs_of(tenant, None, None, None);
            let out = out.map(|one| (one.from.to_string(), one.to.to_string(), one.since.0));
            let expected = self.model.texts.opted_out(tenant);
            assert_eq!(out.collect::<Vec<_>>(), expected, "after {entry:?}");
            let removed = self.machine.state.removed_opt_outs_of(tenant, u64::MAX);
            let removed = removed.map(|one| {
                (one.from.to_string(), one.to.to_string(), one.since.0, one.reason.to_string())
            });
            let expected = self.model.texts.removed(tenant);
            assert_eq!(removed.collect::<Vec<_>>(), expected, "after {entry:?}");
        }
        reply
    }

    /// Ticks so long after the instants that the machine asks for.
    fn run(&mut self, span: Span, late: Span) {
        let until = self.machine.now + span;
        while let Some(wake) = self.machine.state.next_wake().filter(|wake| *wake + late <= until) {
            self.machine.now = self.machine.now.max(wake + late);
            self.apply(Command::Tick);
        }
        self.machine.now = until;
        self.apply(Command::Tick);
    }

    /// The process ends and another begins: from the last snapshot and the log since.
    fn restart(&mut self) {
        let (applied, bytes) = &self.snapshot;
        let mut state = State::restore(bytes).expect("a snapshot can be restored");
        let mut effects = Vec::new();
        for (entry, digest) in self.machine.log.iter().zip(&self.machine.digests).skip(*applied) {
            state.apply(entry, &mut effects);
            assert_eq!(state.digest(), *digest, "after {entry:?}");
        }
        assert!(self.machine.effects.ends_with(&effects), "the same was decided");
        assert_eq!(state.hash(), self.machine.state.hash());
        self.machine.state = state;
    }

    pub fn act(&mut self, action: &Action) {
        match *action {
            Action::Declare { ref plan, routes } => {
                if routes {
                    self.routes = [plan.carriers[5] / 3, plan.carriers[7], plan.carriers[9]];
                }
                let plan = self.routed(plan.clone());
                self.apply(Command::Declare(Box::new(declared(&plan))));
            }
            Action::Say { carrier, active, reserve, margin } => {
                let name = ["first", "second", "third"][usize::from(carrier)];
                let active = (active > 0).then(|| Channels::both(u32::from(active) - 1));
                let some = |drawn: u8| (drawn > 0).then(|| u32::from(drawn) - 1);
                self.apply(Command::Capacity(Capacity {
                    carrier: name.into(),
                    active,
                    reserve: some(reserve),
                    margin: some(margin),
                }));
            }
            Action::Submit { tenant, count, urgency, begins, lasts, of } => {
                let mut calls = self.calls(tenant, count, of, begins, lasts);
                for call in &mut calls {
                    call.urgency =
                        if urgency == 3 { Urgency::Synchronous } else { Urgency::Ordinary };
                }
                self.submit(tenant, calls);
            }
            Action::Batch { tenant, count, pace, begins, lasts, start } => {
                let plan = self.plan(pace, begins, lasts);
                self.batch(tenant, count, plan, start);
            }
            Action::Steer { which, how } => self.steer(which, how),
            Action::Again { which, how } => self.again(which, how),
            Action::Record => {
                let through = self.records.last().map_or(0, |record| record.seq);
                self.apply(Command::Recorded { through });
                let through = self.message_records.last().map_or(0, |record| record.seq);
                self.apply(Command::Message(MessageCommand::Recorded { through }));
            }
            Action::Cancel { which, how } => self.cancel(which, how),
            Action::Offer { tenant, carrier, agent, rings } => {
                self.offer(tenant, carrier, agent, rings);
            }
            Action::GiveUp { which } => self.give_up(which),
            Action::Run { ms, late_us } => self.run(Span(ms * 1_000 + 1), Span(late_us)),
            Action::Stop { ms } => {
                self.machine.now = self.machine.now + Span::from_millis(ms);
                self.apply(Command::Tick);
            }
            Action::Tell { which, how, ago_us } => {
                let event = [CallEvent::Sent, CallEvent::Ringing, CallEvent::Answered];
                let event = event[usize::from(how) % 3].clone();
                self.says(which, event, Span(ago_us));
            }
            Action::End { which, how } => self.says(
                which,
                match how {
                    0 => CallEvent::NotSent(Reason::LeaseExpired),
                    1 | 2 => ended(Outcome::Busy, true),
                    3 => ended(Outcome::Completed, false),
                    4 | 5 => ended(Outcome::Failed, true),
                    _ => ended(Outcome::Completed, true),
                },
                Span::ZERO,
            ),
            Action::Texts { tenant, count, of, begins, lasts } => {
                self.texts(tenant, count, of, begins, lasts);
            }
            Action::TextBatch { tenant, count, pace, begins, lasts, start } => {
                let plan = self.plan(pace, begins, lasts);
                self.text_batch(tenant, count, plan, lasts, start);
            }
            Action::TextLines { which, count } => self.text_lines(which, count),
            Action::Arrive { tenant, brings } => self.arrive(tenant, brings),
            Action::OptOuts { tenant, changes } => self.change_opt_outs(tenant, changes),
            Action::Asked { which, how } => self.asked(which, how),
            Action::Deliver { which, how } => self.deliver(which, how),
            Action::CancelTexts { which, how } => self.cancel_texts(which, how),
            Action::Answer { which, how } => self.answer(which, how),
            Action::RestartTexts => {
                self.apply(Command::Message(MessageCommand::Restarted));
            }
            Action::Snapshot => {
                self.snapshot = (self.machine.log.len(), self.machine.state.snapshot());
            }
            Action::Restart => self.restart(),
        }
    }
}

/// One of these.
fn pick<T: Copy>(from: &[T], which: usize) -> Option<T> {
    (!from.is_empty()).then(|| from[which % from.len()])
}
