//! A state machine with hands: builds entries, keeps the log, and checks every state that it passes through.
#![allow(dead_code, reason = "each test program uses its part")]

pub mod batch_texts;
pub mod declared;
pub mod texts;
pub mod world;

use std::sync::Arc;

use busyhour_base::{
    AccountSid, CallEvent, CallSpec, Direction, Ending, Instructions, Outcome, Reason, Span,
    StatusEvents, Timestamp,
};
use busyhour_controller_core::{
    Options, State,
    command::{AgentCommand, BatchCommand, CallReport, Change, Command, Entry, Submit, Update},
    effect::{Dial, Effect, Reply},
    spec::{
        AgentIx, BatchId, BatchPlan, CallId, Carrier, Declaration, Limits, NewCall, Tenant,
        Throttle,
    },
};

/// When tests begin.
pub const START: Timestamp = Timestamp(1_700_000_000_000_000);

pub fn account(number: u128) -> AccountSid {
    AccountSid(number)
}

pub fn call(to: &str) -> NewCall {
    NewCall::of(Arc::new(CallSpec {
        to: to.into(),
        from: "+15550000".into(),
        instructions: Instructions::Document("<Response/>".into()),
        fallback: None,
        status_callback: None,
        status_events: StatusEvents::default(),
        send_digits: None,
        ring_timeout: Span::from_secs(60),
        time_limit: Span::from_secs(14_400),
        direction: Direction::OutboundApi,
    }))
}

pub fn tenant(number: u128, spacing: Option<Span>) -> Tenant {
    Tenant {
        account: account(number),
        name: format!("tenant-{number}").into(),
        limits: Limits {
            throttle: spacing.map(|spacing| Throttle { spacing }),
            caps: Vec::new(),
            excess: Default::default(),
            queue_max: 100_000,
            wait_max: Span::from_secs(86_400),
            ..Limits::default()
        },
        shares: Vec::new(),
        applications: Vec::new(),
        suspended: false,
    }
}

pub fn carrier(name: &str, channels: u32, setup_spacing: Span) -> Carrier {
    Carrier { quarantine: Span::from_secs(5), ..Carrier::new(name, channels, setup_spacing) }
}

pub fn declaration(tenants: Vec<Tenant>, carriers: Vec<Carrier>) -> Declaration {
    Declaration { tenants, carriers, ..Declaration::default() }
}

pub fn ended(outcome: Outcome, confirmed: bool) -> CallEvent {
    let reason = match outcome {
        Outcome::Completed => Reason::Completed,
        Outcome::Busy => Reason::Busy,
        Outcome::NoAnswer => Reason::NoAnswer,
        Outcome::Failed => Reason::CarrierFailure,
        Outcome::Canceled => Reason::CanceledByTenant,
    };
    CallEvent::Ended(Ending {
        outcome,
        reason,
        sip_code: 200,
        ring: Span::from_secs(1),
        talk: Span::from_secs(1),
        digits: String::new(),
        confirmed,
    })
}

/// A state, its log, and what it has asked for.
pub struct Machine {
    options: Options,
    pub state: State,
    pub now: Timestamp,
    pub log: Vec<Entry>,
    pub effects: Vec<Effect>,
    /// The state's digest after each entry.
    pub digests: Vec<u64>,
    /// Every dial, with the instant of the entry that brought it about.
    pub dials: Vec<(Timestamp, Dial)>,
}

impl Machine {
    pub fn with(options: Options) -> Self {
        Self {
            state: State::with(options),
            options,
            now: START,
            log: Vec::new(),
            effects: Vec::new(),
            digests: Vec::new(),
            dials: Vec::new(),
        }
    }

    pub fn new() -> Self {
        Self::with(Options::default())
    }

    /// A machine with these declared and one agent of 1,000 slots.
    pub fn declared(tenants: Vec<Tenant>, carriers: Vec<Carrier>) -> Self {
        let mut machine = Self::new();
        machine.apply(Command::Declare(Box::new(declaration(tenants, carriers))));
        machine.agent_up("agent", 1, 1_000, 0);
        machine
    }

    /// Applies a command now, checks the state and that nothing that was due was left undone.
    pub fn apply(&mut self, command: Command) -> Reply {
        let entry = Entry { index: self.log.len() as u64 + 1, at: self.now, command };
        let before = self.effects.len();
        let reply = self.state.apply(&entry, &mut self.effects);
        for effect in &self.effects[before..] {
            if let Effect::Dial(dial) = effect {
                self.dials.push((self.now, dial.clone()));
            }
        }
        self.log.push(entry);
        self.digests.push(self.state.digest());
        self.state.check().unwrap_or_else(|error| panic!("{error} after {:?}", self.log.last()));
        assert!(
            self.state.next_wake().is_none_or(|wake| wake > self.state.now()),
            "a wake in the past"
        );
        reply
    }

    /// Lets time pass: a tick whenever the state asks for one, `late` after it did.
    pub fn run_late(&mut self, until: Timestamp, late: Span) {
        while let Some(wake) = self.state.next_wake().filter(|wake| *wake + late <= until) {
            self.now = self.now.max(wake + late);
            self.apply(Command::Tick);
        }
        self.now = self.now.max(until);
    }

    pub fn run(&mut self, span: Span) {
        self.run_late(self.now + span, Span::ZERO);
    }

    pub fn submit(&mut self, number: u128, calls: Vec<NewCall>) -> Reply {
        let submit = Submit { account: account(number), idempotency: None, batch: None, calls };
        self.apply(Command::Submit(submit))
    }

    /// Submits one call that must be accepted.
    pub fn accepted(&mut self, number: u128, new: NewCall) -> CallId {
        match self.submit(number, vec![new]) {
            Reply::Submitted(verdicts) => verdicts[0].expect("accepted").call,
            other => panic!("{other:?}"),
        }
    }

    pub fn create_batch(&mut self, number: u128, plan: BatchPlan, calls: Vec<NewCall>) -> BatchId {
        let create = BatchCommand::Create {
            account: account(number),
            idempotency: None,
            plan: Box::new(plan),
        };
        let Reply::Batch(batch) = self.apply(Command::Batch(create)) else {
            panic!("a batch is created")
        };
        let submit =
            Submit { account: account(number), idempotency: None, batch: Some(batch), calls };
        self.apply(Command::Submit(submit));
        batch
    }

    /// A running batch of this plan, and its calls in order.
    pub fn running_batch(
        &mut self,
        number: u128,
        plan: BatchPlan,
        calls: Vec<NewCall>,
    ) -> (BatchId, Vec<CallId>) {
        let batch = self.create_batch(number, plan, calls);
        let calls = self.state.batch_calls(batch).map(|view| view.call).collect();
        assert_eq!(self.start_batch(number, batch), Reply::Done);
        (batch, calls)
    }

    pub fn start_batch(&mut self, number: u128, batch: BatchId) -> Reply {
        self.apply(Command::Batch(BatchCommand::Start { account: account(number), batch }))
    }

    pub fn update(&mut self, number: u128, call: CallId, change: Change) -> Reply {
        self.apply(Command::Update(Update { account: account(number), call, change }))
    }

    pub fn agent_up(&mut self, name: &str, incarnation: u64, slots: u32, fence: u64) -> AgentIx {
        let up =
            AgentCommand::Up { name: name.into(), incarnation, slots, fence, known: Vec::new() };
        match self.apply(Command::Agent(up)) {
            Reply::Agent { agent, .. } => agent,
            other => panic!("{other:?}"),
        }
    }

    pub fn report(&mut self, agent: AgentIx, call: CallId, attempt: u16, event: CallEvent) {
        let heard_at = self.now;
        self.apply(Command::Reports(vec![CallReport { agent, call, attempt, heard_at, event }]));
    }

    /// The agent of the call's last dial says this of it.
    pub fn says(&mut self, call: CallId, event: CallEvent) {
        let dial = self.last_dial(call);
        self.report(dial.agent, call, dial.attempt, event);
    }

    pub fn last_dial(&self, call: CallId) -> Dial {
        let dial = self.dials.iter().rev().find(|(_, dial)| dial.call == call);
        dial.expect("the call was dialled").1.clone()
    }

    pub fn dialled(&self) -> Vec<CallId> {
        self.dials.iter().map(|(_, dial)| dial.call).collect()
    }

    /// A state that applied the same log agrees at every entry, and as a whole at the end, also if it was restored from a
    /// snapshot taken after entry `at`.
    pub fn replays_alike(&self, at: usize) {
        let (mut other, mut effects) = (State::with(self.options), Vec::new());
        for (position, entry) in self.log.iter().enumerate() {
            other.apply(entry, &mut effects);
            assert_eq!(other.digest(), self.digests[position], "after {entry:?}");
            if position == at {
                // What was frozen stays as it was, however the state goes on.
                let frozen = other.freeze();
                self.log[at + 1..].iter().for_each(|entry| {
                    other.apply(entry, &mut Vec::new());
                });
                assert_eq!(other.hash(), self.state.hash());
                let bytes = frozen.snapshot();
                let restored = State::restore(&bytes).expect("a snapshot can be restored");
                assert_eq!(restored.hash(), frozen.hash());
                assert_eq!(restored.snapshot(), bytes);
                other = restored;
            }
        }
        assert_eq!(other.hash(), self.state.hash());
        assert_eq!(effects, self.effects);
    }
}
