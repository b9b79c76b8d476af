//! The machine and the reference model on the same random history: every decision is compared, which request, when, over
//! which carrier, at which worker and what it waited for, and so is every ending. The machine is restored from snapshots
//! and from its log on the way.

mod model;
mod support;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use busyhour_base::{
    Body, CallEvent, CallSpec, Direction, MessageEvent, MessageSpec, Outcome, Reason, Span,
};
use busyhour_controller_core::{
    State,
    command::{
        AgentCommand, BatchCommand, CallReport, Cancel, Capacity, Change, Command, Offer, Submit,
        Update, Waiting,
    },
    effect::{Effect, Reply},
    message::{
        self, MessageCommand, MessageEffect, MessageReport, NewMessage, Reported, SubmitMessages,
    },
    spec::{
        AgentIx, BatchPlan, CallId, Channels, NewCall, Opening, Openings, Retry, RetryOn, Urgency,
    },
};
use model::{
    Model,
    declared::{Plan, TENANTS, application, declared, number, other_number, throttle},
};
use proptest::prelude::*;
use support::{Machine, account, call, ended};

/// Of each agent.
const SLOTS: [u32; 2] = [4, 3];

#[derive(Clone, Debug)]
enum Action {
    Declare { plan: Plan, routes: bool },
    Say { carrier: u8, active: u8, reserve: u8, margin: u8 },
    Submit { tenant: u128, count: usize, urgency: u8, begins: u16, lasts: u16, of: u8 },
    Batch { tenant: u128, count: usize, pace: [u8; 4], begins: u16, lasts: u16, start: bool },
    Steer { which: usize, how: u8 },
    Cancel { which: usize, how: u8 },
    Offer { tenant: u128, carrier: u8, agent: u8, rings: u16 },
    GiveUp { which: usize },
    Run { ms: u64, late_us: u64 },
    Stop { ms: u64 },
    Tell { which: usize, how: u8, ago_us: u64 },
    End { which: usize, how: u8 },
    Texts { tenant: u128, count: usize, of: u8, begins: u16, lasts: u16 },
    CancelTexts { which: usize, how: u8 },
    Answer { which: usize, how: u8 },
    RestartTexts,
    Snapshot,
    Restart,
}

fn action() -> impl Strategy<Value = Action> {
    use Action::*;
    let tenant = || 1..=TENANTS;
    let late = prop_oneof![2 => Just(0u64), 1 => 0u64..150_000];
    let plan =
        (any::<[[u8; 6]; 4]>(), any::<[u8; 10]>(), any::<u8>(), any::<u8>(), any::<[u8; 6]>())
            .prop_map(|(tenants, carriers, order, floors, texts)| Plan {
                tenants,
                carriers,
                order,
                floors,
                texts,
            });
    let calls = prop_oneof![
        3 => (plan, prop::bool::weighted(0.2)).prop_map(|(plan, routes)| Declare { plan, routes }),
        1 => (0u8..3, 0u8..6, 0u8..4, 0u8..4).prop_map(
            |(carrier, active, reserve, margin)| Say { carrier, active, reserve, margin }
        ),
        12 => (tenant(), 1usize..5, 0u8..4, 0u16..30, 0u16..60, any::<u8>()).prop_map(
            |(tenant, count, urgency, begins, lasts, of)| {
                Submit { tenant, count, urgency, begins, lasts, of }
            }
        ),
        3 => (tenant(), 1usize..6, any::<[u8; 4]>(), 0u16..40, 0u16..80, any::<bool>()).prop_map(
            |(tenant, count, pace, begins, lasts, start)| {
                Batch { tenant, count, pace, begins, lasts, start }
            }
        ),
        3 => (any::<usize>(), 0u8..8).prop_map(|(which, how)| Steer { which, how }),
        2 => (any::<usize>(), 0u8..8).prop_map(|(which, how)| Cancel { which, how }),
        4 => (tenant(), 0u8..3, 0u8..2, 1u16..30).prop_map(
            |(tenant, carrier, agent, rings)| Offer { tenant, carrier, agent, rings }
        ),
        1 => any::<usize>().prop_map(|which| GiveUp { which }),
        14 => (0u64..3_000, late).prop_map(|(ms, late_us)| Run { ms, late_us }),
        1 => (0u64..5_000_000).prop_map(|ms| Stop { ms }),
        5 => (any::<usize>(), 0u8..4, 0u64..60_000).prop_map(
            |(which, how, ago_us)| Tell { which, how, ago_us }
        ),
        18 => (any::<usize>(), 0u8..12).prop_map(|(which, how)| End { which, how }),
    ];
    let texts = prop_oneof![
        6 => (tenant(), 1usize..5, any::<u8>(), 0u16..30, 0u16..60).prop_map(
            |(tenant, count, of, begins, lasts)| Texts { tenant, count, of, begins, lasts }
        ),
        1 => (any::<usize>(), 0u8..4).prop_map(|(which, how)| CancelTexts { which, how }),
        8 => (any::<usize>(), 0u8..8).prop_map(|(which, how)| Answer { which, how }),
        1 => Just(RestartTexts),
    ];
    prop_oneof![
        66 => calls,
        16 => texts,
        1 => Just(Snapshot),
        2 => Just(Restart),
    ]
}

/// The two of them.
struct Both {
    machine: Machine,
    model: Model,
    /// What each carrier serves and for how much, until a declaration changes that too.
    routes: [u8; 3],
    /// A snapshot, and how many entries had been applied by then.
    snapshot: (usize, Vec<u8>),
    offers: u64,
    sent: BTreeMap<message::MessageId, u16>,
}

impl Both {
    fn new(routes: [u8; 3]) -> Self {
        let machine = Machine::new();
        let snapshot = (0, machine.state.snapshot());
        let (model, offers, sent) = (Model::default(), 0, BTreeMap::new());
        let mut both = Self { machine, model, routes, snapshot, offers, sent };
        let plan = Plan {
            carriers: [3, 6, 0, 0, 0, 1, 1, 0, 0, 0],
            texts: [5, 0, 0, 6, 1, 0],
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
        if let Err(error) = self.model.follow(entry, &reply, effects) {
            panic!("the machine {error}\nin {entry:?}\nwhich it answered with {reply:?}");
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

    fn calls(&self, tenant: u128, count: usize, of: u8, begins: u16, lasts: u16) -> Vec<NewCall> {
        let now = self.machine.now;
        let mut new = call(["+1555", "+4420", "+8170"][usize::from(of) % 3]);
        if matches!(of / 3 % 3, 1 | 2) {
            let spec = CallSpec { from: number(tenant).to_string(), ..(*new.spec).clone() };
            new.spec = Arc::new(spec);
        }
        new.application = matches!(of / 9 % 3, 1 | 2).then(|| application(tenant));
        new.not_before = (begins > 20).then(|| now + Span(u64::from(begins - 20) * 1_000_003));
        new.expires = (lasts > 40).then(|| now + Span(u64::from(lasts - 40) * 1_000_033));
        vec![new; count]
    }

    fn submit(&mut self, tenant: u128, calls: Vec<NewCall>) {
        let account = account(tenant);
        self.apply(Command::Submit(Submit { account, idempotency: None, batch: None, calls }));
    }

    fn batch(&mut self, tenant: u128, count: usize, plan: BatchPlan, start: bool) {
        let account = account(tenant);
        let create = BatchCommand::Create { account, idempotency: None, plan: Box::new(plan) };
        let Reply::Batch(batch) = self.apply(Command::Batch(create)) else { return };
        let calls = self.calls(tenant, count, 0, 0, 0);
        let batch_of = Some(batch);
        self.apply(Command::Submit(Submit { account, idempotency: None, batch: batch_of, calls }));
        if start {
            self.apply(Command::Batch(BatchCommand::Start { account, batch }));
        }
    }

    fn plan(&self, pace: [u8; 4], begins: u16, lasts: u16) -> BatchPlan {
        let now = self.machine.now;
        let [spacing, most, hours, retry] = pace;
        let spans = (1u64..4).map(|nth| Opening {
            from: now + Span(nth * 7_000_061),
            to: now + Span(nth * 7_000_061 + 3_000_019),
        });
        let openings = Openings { spans: spans.collect(), through: now + Span::from_secs(3_600) };
        let retry_plan = Retry {
            on: RetryOn {
                busy: true,
                no_answer: false,
                failed: retry / 8 % 2 == 1,
                ..RetryOn::default()
            },
            attempts_max: u16::from(retry % 4) + 1,
            delays: vec![Span(u64::from(retry / 4 % 2) * 1_500_007), Span(2_500_013)],
        };
        BatchPlan {
            throttle: throttle(spacing, 11),
            max_concurrent: (most % 4 > 0).then_some(u32::from(most % 4)),
            not_before: (begins > 20).then(|| now + Span(u64::from(begins - 20) * 1_000_037)),
            not_after: (lasts > 40).then(|| now + Span(u64::from(lasts - 40) * 1_000_039)),
            openings: (hours % 4 == 3).then_some(openings),
            retry: (retry > 100).then_some(retry_plan),
            ..BatchPlan::default()
        }
    }

    fn steer(&mut self, which: usize, how: u8) {
        let Some(batch) = pick(&self.model.open_batches(), which) else { return };
        let Some(view) = self.machine.state.batch(batch) else { return };
        let account = view.account;
        self.apply(Command::Batch(match how {
            0..2 => BatchCommand::Start { account, batch },
            2 => BatchCommand::Pause { account, batch },
            3 | 4 => BatchCommand::Resume { account, batch },
            5 | 6 => BatchCommand::Pace {
                account,
                batch,
                throttle: throttle((which % 5) as u8, 13),
                max_concurrent: Some(which as u32 % 3 + 1),
            },
            _ => BatchCommand::Cancel { account, batch, hang_up: false },
        }));
    }

    fn cancel(&mut self, which: usize, how: u8) {
        let Some((call, tenant)) = pick(&self.model.waiting(), which) else { return };
        let account = account(tenant);
        let which = match how {
            0 => Waiting::default(),
            1 => Waiting { application: Some(application(tenant)), ..Waiting::default() },
            2 => Waiting { from: Some(number(tenant)), ..Waiting::default() },
            _ => {
                let change = Change::Cancel;
                self.apply(Command::Update(Update { account, call, change }));
                return;
            }
        };
        self.apply(Command::Cancel(Cancel { account, which }));
    }

    fn offer(&mut self, tenant: u128, carrier: u8, agent: u8, rings: u16) {
        self.offers += 1;
        let spec = CallSpec {
            direction: Direction::Inbound,
            ring_timeout: Span(u64::from(rings) * 1_000_019),
            ..(*call("+1555").spec).clone()
        };
        self.apply(Command::Offer(vec![Offer {
            agent: AgentIx(u16::from(agent)),
            incarnation: 1,
            offer: self.offers,
            carrier: ["first", "second", "third"][usize::from(carrier)].into(),
            account: account(tenant),
            spec: Arc::new(spec),
        }]));
    }

    fn give_up(&mut self, which: usize) {
        let Some((call, agent)) = pick(&self.model.ringing(), which) else { return };
        self.report(call, agent as u16, 1, ended(Outcome::Canceled, true), Span::ZERO);
    }

    fn report(&mut self, call: CallId, agent: u16, attempt: u16, event: CallEvent, ago: Span) {
        let heard_at = busyhour_base::Timestamp(self.machine.now.0 - ago.0);
        let agent = AgentIx(agent);
        let report = CallReport { agent, call, attempt, heard_at, event };
        self.apply(Command::Reports(vec![report]));
    }

    /// What an agent says of a call that is up.
    fn says(&mut self, which: usize, event: CallEvent, ago: Span) {
        let Some(call) = pick(&self.model.up(), which) else { return };
        let answer = self.machine.effects.iter().find_map(|effect| match effect {
            Effect::Answer(answer) if answer.call == call => Some((answer.agent, answer.attempt)),
            _ => None,
        });
        let (agent, attempt) = answer.unwrap_or_else(|| {
            let dial = self.machine.last_dial(call);
            (dial.agent, dial.attempt)
        });
        self.report(call, agent.0, attempt, event, ago);
    }

    fn texts(&mut self, tenant: u128, count: usize, of: u8, begins: u16, lasts: u16) {
        let now = self.machine.now;
        let from = if of.is_multiple_of(2) { number(tenant) } else { other_number(tenant) };
        let spec = MessageSpec {
            to: "+1777".into(),
            from: from.to_string(),
            direction: Direction::OutboundApi,
            status_callback: None,
        };
        let segments = tenant as usize;
        let text = "x".repeat(1 + (segments - 1) * 153 + usize::from(segments == 2) * 10);
        let new = NewMessage {
            spec: Arc::new(spec),
            body: 0,
            not_before: (begins > 20).then(|| now + Span(u64::from(begins - 20) * 1_000_003)),
            expires: (lasts > 40).then(|| now + Span(u64::from(lasts - 40) * 1_000_033)),
            urgency: if of > 200 { Urgency::Synchronous } else { Urgency::Ordinary },
        };
        self.apply(Command::Message(MessageCommand::Submit(SubmitMessages {
            account: account(tenant),
            idempotency: None,
            bodies: vec![Body::from(text)],
            messages: vec![new; count],
        })));
    }

    fn cancel_texts(&mut self, which: usize, how: u8) {
        let Some((one, tenant)) = pick(&self.model.texts.waiting(), which) else { return };
        let which = match how {
            0 => message::Cancel::Waiting { from: Some(number(tenant)), to: None },
            _ => message::Cancel::One(one),
        };
        let account = account(tenant);
        self.apply(Command::Message(MessageCommand::Cancel { account, which }));
    }

    fn answer(&mut self, which: usize, how: u8) {
        let Some((message, attempt)) = pick(&self.model.texts.sending(), which) else { return };
        assert_eq!(self.sent[&message], attempt, "attempts of {message:?} are counted alike");
        let event = match how {
            0 => MessageEvent::NotSent(Reason::LinkLost),
            1 => MessageEvent::Refused(Reason::CarrierFailure),
            _ => MessageEvent::Accepted(format!("{}-{attempt}", message.0).into()),
        };
        let of = Reported::Attempt { message, attempt };
        self.apply(Command::Message(MessageCommand::Reports(vec![MessageReport { of, event }])));
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

    fn act(&mut self, action: &Action) {
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

fn pick<T: Copy>(from: &[T], which: usize) -> Option<T> {
    (!from.is_empty()).then(|| from[which % from.len()])
}

/// Decisions that were compared over all histories: of calls, those of them that left a choice, and of messages.
static COMPARED: [AtomicU64; 3] = [const { AtomicU64::new(0) }; 3];

/// `PROPTEST_CASES` and `PROPTEST_RNG_SEED` give more histories, and the same ones again.
fn config() -> ProptestConfig {
    let given = ProptestConfig::default();
    let usual = given.cases == USUAL_CASES;
    ProptestConfig {
        cases: if usual { 100 } else { given.cases },
        failure_persistence: None,
        max_shrink_iters: given.max_shrink_iters.min(1_000),
        ..given
    }
}

/// What proptest takes where nothing is said.
const USUAL_CASES: u32 = 256;

proptest! {
    #![proptest_config(config())]

    #[test]
    fn every_decision_is_the_reference_models(
        routes in any::<[u8; 3]>(), actions in prop::collection::vec(action(), 1..120),
    ) {
        let mut both = Both::new(routes);
        for action in &actions {
            both.act(action);
        }
        // To the end: whatever may start starts, and ends.
        for _ in 0..100 {
            both.act(&Action::End { which: 0, how: 9 });
            both.act(&Action::Answer { which: 0, how: 7 });
            both.run(Span::from_secs(1), Span::ZERO);
        }
        let Model { decisions, choices, texts, .. } = &both.model;
        for (sum, more) in COMPARED.iter().zip([*decisions, *choices, texts.decisions]) {
            sum.fetch_add(more, Ordering::Relaxed);
        }
        let [decisions, choices, _] = COMPARED.each_ref().map(|sum| sum.load(Ordering::Relaxed));
        prop_assert!(decisions < 1_000 || choices * 2 < decisions, "{choices} of {decisions} are open");
    }
}
