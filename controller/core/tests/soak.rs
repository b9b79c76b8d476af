//! Nothing that the machine keeps grows with time at constant load: all that it allocates is counted, over everything that
//! an installation does in a day, many times over.
//!
//! `cargo test` runs two hours of it; `make soak` a fortnight (`-- --ignored`).

mod support;

use std::{alloc::System, cmp::Reverse, collections::BinaryHeap, sync::Arc};

use busyhour_base::{
    ApplicationSid, Body, CallEvent, CallSpec, Direction, MessageEvent, MessageSpec, Outcome,
    Reason, Span, Timestamp,
};
use busyhour_controller_core::{
    MessageOptions, Options, State,
    command::{
        AgentCommand, BatchCommand, CallReport, Capacity, Change, Command, Entry, Offer, Submit,
        Update,
    },
    effect::{Answer as AnswerCall, Dial, Effect, Phase, Reply},
    message::{
        After, Answer, AnsweredBy, Arrival, Ask, Asked, MessageCarrier, MessageCommand,
        MessageDeclaration, MessageEffect, MessageLimits, MessageNumber, MessageReport, NewMessage,
        Reported, Send, SubmitMessages,
    },
    spec::{
        AgentIx, Application, BatchId, BatchPlan, CallId, Cap, Declaration, Destination, Floors,
        Number, NumberKind, OrderPolicy, Pace, Price, Share, Throttle, Urgency,
    },
};
use cap::Cap as Counting;
use support::{START, account, call, carrier, declaration, ended, tenant};

/// Counts what is allocated, by this one test program.
#[global_allocator]
static HEAP: Counting<System> = Counting::new(System, usize::MAX);

const TENANTS: u128 = 6;
const SECOND: u64 = 1_000_000;
/// How often the load repeats itself: every figure is taken at the same point of it.
const PERIOD_S: u64 = 600;
/// Until every memory of the past is full: idempotency keys (10,000 a tenant), ended batches, windows of caps. That of what
/// carriers have brought is full from the start.
const WARM_UP_S: u64 = 5 * PERIOD_S;

/// Something that will happen to a call.
type Coming = Reverse<(u64, u64, u16, u8)>;

struct Soak {
    state: State,
    effects: Vec<Effect>,
    index: u64,
    now: u64,
    coming: BinaryHeap<Coming>,
    agents: Vec<(AgentIx, u64)>,
    /// Of the process of the first agent.
    incarnation: u64,
    batches: Vec<(u128, BatchId)>,
    last: Option<(u128, CallId)>,
    keys: u128,
    offers: u64,
    dials: u64,
    endings: u64,
    answers: u64,
    sends: u64,
}

impl Soak {
    fn new() -> Self {
        let options = Options { ended_batches_max: 4, ..Options::default() };
        let messages_kept = MessageOptions {
            report_wait: Span::from_secs(120),
            unreported_max: 100,
            ..MessageOptions::default()
        };
        let mut soak = Self {
            state: State::with(options).with_messages(messages_kept),
            effects: Vec::new(),
            index: 0,
            now: START.0,
            coming: BinaryHeap::new(),
            agents: Vec::new(),
            incarnation: 1,
            batches: Vec::new(),
            last: None,
            keys: 0,
            offers: 0,
            dials: 0,
            endings: 0,
            answers: 0,
            sends: 0,
        };
        soak.apply(Command::Declare(Box::new(declared(false))));
        for agent in 0..2 {
            soak.up(agent, 1);
        }
        soak.remember_arrivals();
        soak
    }

    fn apply(&mut self, command: Command) -> Reply {
        self.index += 1;
        let entry = Entry { index: self.index, at: Timestamp(self.now), command };
        let reply = self.state.apply(&entry, &mut self.effects);
        for effect in std::mem::take(&mut self.effects) {
            match effect {
                Effect::Dial(dial) => self.dialled(&dial),
                Effect::Answer(answer) => self.answers_caller(&answer),
                Effect::Message(MessageEffect::Send(send)) => self.hands_over(&send),
                Effect::Message(MessageEffect::Ask(ask)) => self.asks(&ask),
                Effect::Changed { phase: Phase::Ended(_), .. } => self.endings += 1,
                _ => {}
            }
        }
        reply
    }

    /// What becomes of a dial follows from its number: most are answered, some are turned down or end in doubt.
    fn dialled(&mut self, dial: &Dial) {
        self.dials += 1;
        let call = dial.call.0;
        let mut then = |after_ms: u64, what: u8| {
            self.coming.push(Reverse((self.now + after_ms * 1_000, call, dial.attempt, what)));
        };
        if call.is_multiple_of(37) && dial.attempt == 1 {
            return then(5, 4);
        }
        then(1, 0);
        then(400, 1);
        if !call.is_multiple_of(5) {
            then(2_000, 2);
        }
        let how = match call {
            call if call.is_multiple_of(41) => 5,
            call if call.is_multiple_of(5) && call.is_multiple_of(3) => 6,
            _ => 3,
        };
        then(3_000 + call % 7 * 400, how);
    }

    /// A caller talks for two seconds.
    fn answers_caller(&mut self, answer: &AnswerCall) {
        self.answers += 1;
        let call = answer.call.0;
        for (after_ms, what) in [(1, 0), (2, 2), (2_000, 3)] {
            self.coming.push(Reverse((self.now + after_ms * 1_000, call, 1, what)));
        }
    }

    /// A carrier answers a message after some time: it takes most, and gives some back.
    fn hands_over(&mut self, send: &Send) {
        self.sends += 1;
        let what = if send.message.0.is_multiple_of(31) && send.attempt == 1 { 8 } else { 7 };
        self.coming.push(Reverse((self.now + 40_000, send.message.0, send.attempt, what)));
    }

    /// An application answers with a message of its own.
    fn asks(&mut self, ask: &Ask) {
        self.coming.push(Reverse((self.now + 20_000, ask.message.0, ask.step, 10)));
    }

    fn of_messages(&mut self, id: u64, attempt: u16, what: u8) {
        let message = busyhour_controller_core::message::MessageId(id);
        if what == 10 {
            let spec = Arc::new(MessageSpec {
                to: "+15550003".into(),
                from: number(1).to_string(),
                direction: Direction::OutboundReply,
                status_callback: None,
            });
            let answers = vec![Answer { spec, body: Body::from("thanks") }];
            let asked = Asked { message, step: attempt, answers, after: After::Done };
            let asked = MessageCommand::Asked(vec![asked]);
            self.apply(Command::Message(asked));
            return;
        }
        let reference: Arc<str> = format!("{id}-{attempt}").into();
        let (of, event) = match what {
            7 => (
                Reported::Attempt { message, attempt },
                MessageEvent::Accepted(Arc::clone(&reference)),
            ),
            8 => (Reported::Attempt { message, attempt }, MessageEvent::NotSent(Reason::LinkLost)),
            _ => {
                (Reported::Reference { carrier: "text".into(), reference }, MessageEvent::Delivered)
            }
        };
        // A ninth is never reported on.
        if what == 7 && !id.is_multiple_of(9) {
            self.coming.push(Reverse((self.now + SECOND, id, attempt, 9)));
        }
        let report = MessageReport { of, event };
        self.apply(Command::Message(MessageCommand::Reports(vec![report])));
    }

    fn report(&mut self, call: u64, attempt: u16, what: u8) {
        let event = match what {
            0 => CallEvent::Sent,
            1 => CallEvent::Ringing,
            2 => CallEvent::Answered,
            4 => CallEvent::NotSent(Reason::AgentFull),
            6 => ended(Outcome::Failed, true),
            _ => ended(Outcome::Completed, what != 5),
        };
        let heard_at = Timestamp(self.now);
        let at = |agent| CallReport {
            agent,
            call: CallId(call),
            attempt,
            heard_at,
            event: event.clone(),
        };
        // Only one of them has the call: the other's report is a stray, and the repeat changes nothing.
        let all = self.agents.iter().map(|(agent, _)| at(*agent));
        let all: Vec<_> = all.clone().chain(all.take(1)).collect();
        self.apply(Command::Reports(all));
    }

    fn up(&mut self, agent: usize, incarnation: u64) {
        if agent == 0 {
            (self.incarnation, self.offers) = (incarnation, 0);
        }
        let up = AgentCommand::Up {
            name: format!("agent-{agent}").into(),
            incarnation,
            slots: 200,
            fence: self.agents.get(agent).map_or(0, |known| known.1),
            known: Vec::new(),
        };
        let Reply::Agent { agent: number, fence } = self.apply(Command::Agent(up)) else {
            panic!("an agent is taken");
        };
        self.agents.truncate(agent.max(self.agents.len()));
        match self.agents.get_mut(agent) {
            Some(known) => *known = (number, fence),
            None => self.agents.push((number, fence)),
        }
    }

    /// Lets time pass to `until`, with every report and tick at its instant.
    fn run_to(&mut self, until: u64) {
        loop {
            let wake = self.state.next_wake().map_or(u64::MAX, |wake| wake.0);
            let report = self.coming.peek().map_or(u64::MAX, |next| next.0.0);
            let next = wake.min(report);
            if next > until {
                break;
            }
            self.now = self.now.max(next);
            if report <= wake {
                let Reverse((_, call, attempt, what)) = self.coming.pop().expect("it was seen");
                if what > 6 {
                    self.of_messages(call, attempt, what);
                } else {
                    self.report(call, attempt, what);
                }
            } else {
                self.apply(Command::Tick);
            }
        }
        self.now = until;
    }

    /// One second of the load.
    fn second(&mut self, second: u64) {
        for number in 1..=TENANTS {
            let to = ["+15550001", "+44200001", "+49300001"][(second % 3) as usize];
            let mut new = call(to);
            if (u128::from(second) + number).is_multiple_of(2) {
                let spec =
                    CallSpec { from: self::number(number).to_string(), ..(*new.spec).clone() };
                new.spec = Arc::new(spec);
            }
            new.application = second.is_multiple_of(4).then_some(ApplicationSid(number));
            match (number + u128::from(second)) % 6 {
                0 => new.not_before = Some(Timestamp(self.now + 20 * SECOND)),
                1 => new.expires = Some(Timestamp(self.now + 2 * SECOND)),
                2 => new.urgency = Urgency::Synchronous,
                _ => {}
            }
            // The first tenant fills its memory of keys within the warm-up, four at a time.
            for _ in 0..if number == 1 { 4 } else { 1 } {
                self.keys += 1;
                let idempotency = (number == 1).then_some(self.keys);
                let calls = vec![new.clone()];
                let submit = Submit { account: account(number), idempotency, batch: None, calls };
                if let Reply::Submitted(verdicts) = self.apply(Command::Submit(submit))
                    && let Ok(accepted) = &verdicts[0]
                {
                    self.last = Some((number, accepted.call));
                }
            }
        }
        self.offer(second);
        self.messages(second);
        if let Some((number, call)) = self.last.take_if(|_| second.is_multiple_of(3)) {
            let change = Change::Cancel;
            self.apply(Command::Update(Update { account: account(number), call, change }));
        }
        match second % PERIOD_S {
            at if at.is_multiple_of(60) => self.batch(1 + u128::from(second / 60) % TENANTS),
            at if at % 60 == 50 => self.end_batches(),
            125 => drop(self.apply(Command::Declare(Box::new(declared(true))))),
            185 => drop(self.apply(Command::Declare(Box::new(declared(false))))),
            245 => self.up(0, 1 + second),
            255 => drop(self.apply(capacity(1))),
            265 => drop(self.apply(capacity(4))),
            275 => drop(self.apply(Command::Message(MessageCommand::Restarted))),
            305 => {
                let (agent, fence) = self.agents[1];
                let load = AgentCommand::Load { agent, fence, cpu_permille: 300, draining: true };
                self.apply(Command::Agent(load));
                let load = AgentCommand::Load { agent, fence, cpu_permille: 200, draining: false };
                self.apply(Command::Agent(load));
            }
            _ => {}
        }
        if second.is_multiple_of(5)
            && let Some(through) = self.state.outbox(usize::MAX).last().map(|record| record.seq)
        {
            self.apply(Command::Recorded { through });
        }
        if second.is_multiple_of(5)
            && let Some(through) = self.state.message_outbox(usize::MAX).last().map(|row| row.seq)
        {
            self.apply(Command::Message(MessageCommand::Recorded { through }));
        }
        self.run_to(self.now + SECOND);
    }

    /// A caller each second, some of whom ring in vain.
    fn offer(&mut self, second: u64) {
        self.offers += 1;
        let (agent, _) = self.agents[0];
        let owner = 1 + u128::from(second) % TENANTS;
        let spec = CallSpec {
            direction: Direction::Inbound,
            ring_timeout: Span::from_secs(2),
            ..(*call(&number(owner)).spec).clone()
        };
        self.apply(Command::Offer(vec![Offer {
            agent,
            incarnation: self.incarnation,
            offer: self.offers,
            carrier: "first".into(),
            account: account(owner),
            spec: Arc::new(spec),
        }]));
    }

    /// Two messages each second, and one that comes in each other second.
    fn messages(&mut self, second: u64) {
        for owner in [1, 2 + u128::from(second) % 2] {
            let spec = MessageSpec {
                to: "+15550003".into(),
                from: number(owner).to_string(),
                direction: Direction::OutboundApi,
                status_callback: None,
            };
            let begins = second.is_multiple_of(7).then(|| Timestamp(self.now + 5 * SECOND));
            let ends = second.is_multiple_of(11).then(|| Timestamp(self.now + 2 * SECOND));
            let message = NewMessage {
                spec: Arc::new(spec),
                body: 0,
                not_before: begins,
                expires: ends.filter(|_| begins.is_none()),
                urgency: Urgency::Ordinary,
            };
            let text = "x".repeat(100 + (second % 3) as usize * 150);
            self.apply(Command::Message(MessageCommand::Submit(SubmitMessages {
                account: account(owner),
                idempotency: None,
                bodies: vec![Body::from(text)],
                messages: vec![message],
            })));
        }
        if second.is_multiple_of(2) {
            self.bring(second);
        }
    }

    /// A carrier brings a message to the first tenant.
    fn bring(&mut self, name: u64) -> Reply {
        let arrival = Arrival {
            account: account(1),
            carrier: "text".into(),
            reference: format!("in-{name}").into(),
            spec: Arc::new(MessageSpec {
                to: number(1).to_string(),
                from: "+15550003".into(),
                direction: Direction::Inbound,
                status_callback: None,
            }),
            body: Body::from(format!("hello {name}")),
            answers: true,
            answered_by: AnsweredBy::default(),
        };
        self.apply(Command::Message(MessageCommand::Arrived(vec![arrival])))
    }

    /// Fills the memory of what carriers have brought (10,000 a tenant), with messages that nobody answers.
    fn remember_arrivals(&mut self) {
        const BEYOND_THE_LOAD: u64 = 1 << 40;
        for name in BEYOND_THE_LOAD..BEYOND_THE_LOAD + 10_000 {
            let Reply::Messages(verdicts) = self.bring(name) else { panic!("a verdict") };
            let message = verdicts[0].expect("there is room").message;
            let asked = Asked { message, step: 1, answers: Vec::new(), after: After::Done };
            self.apply(Command::Message(MessageCommand::Asked(vec![asked])));
            let row = self.state.message_outbox(1).next().expect("it has ended");
            let recorded = MessageCommand::Recorded { through: row.seq };
            self.apply(Command::Message(recorded));
        }
        // They are answered already.
        self.coming = BinaryHeap::new();
    }

    fn batch(&mut self, number: u128) {
        let account = account(number);
        let plan = BatchPlan {
            throttle: Some(Throttle { spacing: Span::from_millis(700) }),
            max_concurrent: Some(3),
            ..BatchPlan::default()
        };
        let create = BatchCommand::Create { account, idempotency: None, plan: Box::new(plan) };
        let Reply::Batch(batch) = self.apply(Command::Batch(create)) else { return };
        let mut calls = vec![call("+15550002"); 12];
        for (line, call) in calls.iter_mut().enumerate() {
            call.custom_id = Some(format!("line-{line}").into());
        }
        self.apply(Command::Submit(Submit {
            account,
            idempotency: None,
            batch: Some(batch),
            calls,
        }));
        self.apply(Command::Batch(BatchCommand::Start { account, batch }));
        self.batches.push((number, batch));
    }

    fn end_batches(&mut self) {
        for (number, batch) in std::mem::take(&mut self.batches) {
            let account = account(number);
            self.apply(Command::Batch(BatchCommand::Cancel { account, batch, hang_up: true }));
        }
    }
}

fn number(owner: u128) -> Arc<str> {
    format!("+1777{owner:04}").into()
}

/// The word of the planner: so many channels of the second carrier are to be active.
fn capacity(channels: u32) -> Command {
    Command::Capacity(Capacity {
        carrier: "second".into(),
        active: Some(busyhour_controller_core::spec::Channels::both(channels)),
        reserve: None,
        margin: Some(channels % 2),
    })
}

fn messages() -> MessageDeclaration {
    let throttle = |ms| Some(Throttle { spacing: Span::from_millis(ms) });
    let limits = MessageLimits {
        throttle: throttle(200),
        caps: vec![Cap { count: 300, window: Span::from_secs(70) }],
        queue_max: 100,
        ..MessageLimits::default()
    };
    let numbers = (1..=3).map(|owner| MessageNumber {
        account: account(owner),
        number: number(owner),
        throttle: throttle(350),
        caps: vec![Cap { count: 40, window: Span::from_secs(15) }],
    });
    MessageDeclaration {
        tenants: vec![(account(1), limits)],
        numbers: numbers.collect(),
        carriers: vec![MessageCarrier {
            name: "text".into(),
            outbound: 3,
            inbound: 8,
            segment_spacing: Span::from_millis(60),
            delivery_reports: true,
        }],
        ..MessageDeclaration::default()
    }
}

/// Throttles, caps and shares at every scope, channels and prices, so that there are queues; the second carrier with its
/// routes and the last tenant come and go, and the order changes.
fn declared(less: bool) -> Declaration {
    let mut tenants: Vec<_> = (1..=TENANTS).map(|number| tenant(number, None)).collect();
    for tenant in &mut tenants {
        tenant.limits.queue_max = 200;
    }
    tenants[1].limits.throttle = Some(Throttle { spacing: Span::from_millis(1_100) });
    tenants[2].limits.caps = vec![
        Cap { count: 5, window: Span::from_secs(7) },
        Cap { count: 300, window: Span::from_secs(500) },
    ];
    for (number, tenant) in (1..).zip(&mut tenants) {
        let throttle = Some(Throttle { spacing: Span::from_millis(300) });
        let caps = vec![Cap { count: 60, window: Span::from_secs(90) }];
        let sid = ApplicationSid(number);
        tenant.applications = vec![Application { sid, pace: Pace { throttle, caps } }];
        tenant.limits.weight = 1 + number as u32 % 3;
    }
    tenants[3].shares = vec![share(2, 4, 9)];
    tenants[4].shares = vec![share(1, 1, 2)];
    let pace = Pace { throttle: Some(Throttle { spacing: Span::from_millis(250) }), caps: vec![] };
    let numbers = (1..=4).map(|owner| Number {
        number: number(owner),
        account: account(owner),
        kind: NumberKind::Local,
        pace: pace.clone(),
    });
    let price = |from_minutes, per_minute_micros| Price { from_minutes, per_minute_micros };
    let mut first = carrier("first", 30, Span::from_millis(40));
    (first.reserve, first.service_ports) = (3, 25);
    first.tariff.prices = vec![price(0, 9_000), price(20, 4_000)];
    let mut second = carrier("second", 8, Span::from_millis(20));
    let to = |prefix: &str, micros| Destination {
        prefix: prefix.into(),
        calls: true,
        prices: vec![price(0, micros)],
        ..Destination::default()
    };
    second.serves = vec![to("+44", 5_000), to("+1", 3_000)];
    let mut carriers = vec![first, second];
    let order = if less { OrderPolicy::Weighted } else { OrderPolicy::Alternating };
    if less {
        tenants.pop();
        carriers.pop();
    }
    Declaration {
        numbers: numbers.collect(),
        order,
        messages: MessageDeclaration { order, ..messages() },
        floors: Floors { synchronous: 0, ordinary: 200 },
        ..declaration(tenants, carriers)
    }
}

fn share(guaranteed: u32, expected: u32, maximum: u32) -> Share {
    Share { group: "default".into(), guaranteed, expected, maximum, lend_permille: 500 }
}

/// What is allocated at the end of each period after the warm-up.
fn heap_over(periods: u64) -> Vec<usize> {
    let mut soak = Soak::new();
    for second in 0..WARM_UP_S {
        soak.second(second);
    }
    let mut heap = Vec::with_capacity(periods as usize);
    for period in 0..periods {
        let (dials, endings) = (soak.dials, soak.endings);
        let (answers, sends) = (soak.answers, soak.sends);
        for second in 0..PERIOD_S {
            soak.second(WARM_UP_S + period * PERIOD_S + second);
        }
        assert!(soak.dials - dials > PERIOD_S, "the load goes on: {} dials", soak.dials - dials);
        assert!(soak.endings - endings > PERIOD_S, "and calls end");
        assert!(soak.answers - answers > PERIOD_S / 3, "{} callers", soak.answers - answers);
        assert!(soak.sends - sends > PERIOD_S, "{} messages", soak.sends - sends);
        soak.state.check().expect("the state is whole");
        heap.push(HEAP.allocated());
    }
    heap
}

/// The load's own noise (where in their growth vectors and chunks are) is bounded; a leak is not.
fn does_not_grow(heap: &[usize]) {
    let (early, late) = heap.split_at(heap.len() / 2);
    let most = |part: &[usize]| part.iter().copied().max().expect("some periods");
    let bound = most(early) + most(early) / 50;
    assert!(most(late) <= bound, "more is allocated as time goes by: {heap:?}");
}

#[test]
fn two_hours_of_constant_load_allocate_no_more() {
    does_not_grow(&heap_over(8));
}

#[test]
#[ignore = "a fortnight takes minutes: make soak"]
fn a_fortnight_of_constant_load_allocates_no_more() {
    does_not_grow(&heap_over(14 * 24 * 3_600 / PERIOD_S));
}
