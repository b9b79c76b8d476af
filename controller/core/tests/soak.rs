//! Nothing that the machine keeps grows with time at constant load: all that it allocates is counted, over everything that
//! an installation does in a day, many times over.
//!
//! `cargo test` runs two hours of it; `make soak` a fortnight (`-- --ignored`).

mod support;

use std::{alloc::System, cmp::Reverse, collections::BinaryHeap};

use busyhour_base::{CallEvent, Outcome, Reason, Span, Timestamp};
use busyhour_controller_core::{
    Options, State,
    command::{AgentCommand, BatchCommand, CallReport, Change, Command, Entry, Submit, Update},
    effect::{Dial, Effect, Phase, Reply},
    spec::{AgentIx, BatchId, BatchPlan, CallId, Cap, Declaration, Throttle, Urgency},
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
/// Until every memory of the past is full: idempotency keys (10,000 a tenant), ended batches, windows of caps.
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
    batches: Vec<(u128, BatchId)>,
    last: Option<(u128, CallId)>,
    keys: u128,
    dials: u64,
    endings: u64,
}

impl Soak {
    fn new() -> Self {
        let options = Options { ended_batches_max: 4, ..Options::default() };
        let mut soak = Self {
            state: State::with(options),
            effects: Vec::new(),
            index: 0,
            now: START.0,
            coming: BinaryHeap::new(),
            agents: Vec::new(),
            batches: Vec::new(),
            last: None,
            keys: 0,
            dials: 0,
            endings: 0,
        };
        soak.apply(Command::Declare(Box::new(declared(false))));
        for agent in 0..2 {
            soak.up(agent, 1);
        }
        soak
    }

    fn apply(&mut self, command: Command) -> Reply {
        self.index += 1;
        let entry = Entry { index: self.index, at: Timestamp(self.now), command };
        let reply = self.state.apply(&entry, &mut self.effects);
        for effect in std::mem::take(&mut self.effects) {
            match effect {
                Effect::Dial(dial) => self.dialled(&dial),
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
        then(3_000 + call % 7 * 400, if call.is_multiple_of(41) { 5 } else { 3 });
    }

    fn report(&mut self, call: u64, attempt: u16, what: u8) {
        let event = match what {
            0 => CallEvent::Sent,
            1 => CallEvent::Ringing,
            2 => CallEvent::Answered,
            4 => CallEvent::NotSent(Reason::AgentFull),
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
                self.report(call, attempt, what);
            } else {
                self.apply(Command::Tick);
            }
        }
        self.now = until;
    }

    /// One second of the load.
    fn second(&mut self, second: u64) {
        for number in 1..=TENANTS {
            let mut new = call("+15550001");
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
        self.run_to(self.now + SECOND);
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

/// Throttles, caps and channels, so that there are queues; the second carrier and the last tenant come and go.
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
    let mut carriers =
        vec![carrier("first", 30, Span::from_millis(40)), carrier("second", 8, Span::ZERO)];
    if less {
        tenants.pop();
        carriers.pop();
    }
    declaration(tenants, carriers)
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
        for second in 0..PERIOD_S {
            soak.second(WARM_UP_S + period * PERIOD_S + second);
        }
        assert!(soak.dials - dials > PERIOD_S, "the load goes on: {} dials", soak.dials - dials);
        assert!(soak.endings - endings > PERIOD_S, "and calls end");
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
