//! An installation of 100,000 tenants with ten million queued calls, for benchmarks.

use std::sync::Arc;

use busyhour_base::{
    AccountSid, CallSpec, Direction, Instructions, Method, Span, StatusEvents, Timestamp, Webhook,
};
use busyhour_controller_core::{
    State,
    command::{BatchCommand, Command, Entry, Submit},
    effect::Reply,
    spec::{BatchPlan, Carrier, Declaration, Excess, Limits, NewCall, Tenant, Throttle},
};

/// Tenants, each with a throttle of one call a second; their accounts count from 0.
pub const TENANTS: u64 = 100_000;
/// Half of the calls are lines of batches, half are single calls.
const CALLS: u64 = 10_000_000;
/// Lines of a batch; a tenth of the tenants have one.
const LINES: u64 = 500;
/// Some instant, where none matters.
pub const START: Timestamp = Timestamp(1_700_000_000_000_000);

/// The `n`th call, of a tenant, with a number and a name of its own and the rest as all of its tenant's.
pub fn new_call(tenant: u64, n: u64) -> NewCall {
    let hook = |path: &str| Webhook {
        url: format!("https://app-{tenant}.example.com/calls/{path}"),
        method: Method::Post,
    };
    NewCall {
        custom_id: Some(format!("customer-{n}").into()),
        ..NewCall::of(Arc::new(CallSpec {
            to: format!("+1555{:08}", n % 100_000_000),
            from: format!("+1555{tenant:07}"),
            instructions: Instructions::Url(hook("answer.xml")),
            fallback: None,
            status_callback: Some(hook("status")),
            status_events: StatusEvents::default(),
            send_digits: None,
            ring_timeout: Span::from_secs(60),
            time_limit: Span::from_secs(14_400),
            direction: Direction::OutboundApi,
        }))
    }
}

/// A state that is fed.
pub struct House {
    /// What it has come to.
    pub state: State,
    index: u64,
    at: u64,
    calls: u64,
    strings: u64,
}

impl House {
    /// With all tenants and these carriers, from this instant on.
    pub fn new(start: Timestamp, carriers: Vec<Carrier>) -> Self {
        let mut house = Self { state: State::new(), index: 0, at: start.0, calls: 0, strings: 0 };
        let tenants = (0..TENANTS)
            .map(|n| Tenant {
                account: AccountSid(u128::from(n)),
                name: format!("tenant-{n}").into(),
                limits: Limits {
                    throttle: Some(Throttle { spacing: Span::from_secs(1) }),
                    caps: Vec::new(),
                    excess: Excess::Schedule,
                    queue_max: u32::MAX,
                    wait_max: Span::from_secs(4_000_000),
                    ..Limits::default()
                },
                shares: Vec::new(),
                applications: Vec::new(),
                suspended: false,
            })
            .collect();
        let declaration = Declaration { tenants, carriers, ..Declaration::default() };
        assert_eq!(house.apply(Command::Declare(Box::new(declaration))), Reply::Done);
        house
    }

    /// Applies a command 10 microseconds after the last one.
    pub fn apply(&mut self, command: Command) -> Reply {
        self.index += 1;
        self.at += 10;
        let entry = Entry { index: self.index, at: Timestamp(self.at), command };
        let mut effects = Vec::new();
        self.state.apply(&entry, &mut effects)
    }

    /// Half of the calls: 500 lines for each of 10,000 tenants, which have number and name of their own and share the rest.
    pub fn submit_batches(&mut self) {
        let batches = CALLS / 2 / LINES;
        for n in 0..batches {
            self.submit_batch(n * (TENANTS / batches), n * LINES, LINES, BatchPlan::default());
        }
    }

    /// A batch of a tenant, of so many lines, started.
    pub fn submit_batch(&mut self, tenant: u64, first: u64, lines: u64, plan: BatchPlan) {
        let account = AccountSid(u128::from(tenant));
        let plan = Box::new(plan);
        let create = BatchCommand::Create { account, idempotency: None, plan };
        let Reply::Batch(batch) = self.apply(Command::Batch(create)) else {
            panic!("a batch is created")
        };
        let calls: Vec<_> = (first..first + lines).map(|n| self.call(tenant, n)).collect();
        // The first line brings what all share.
        self.strings += shared(&calls[0].spec);
        self.accepted(Submit { account, idempotency: None, batch: Some(batch), calls });
        let start = BatchCommand::Start { account, batch };
        assert_eq!(self.apply(Command::Batch(start)), Reply::Done);
    }

    /// The other half: single calls of all tenants in turn, each as the last of its tenant but for number and name.
    pub fn submit_calls(&mut self) {
        for n in 0..CALLS / 2 {
            let tenant = n % TENANTS;
            let call = self.call(tenant, n);
            if n < TENANTS {
                // The first of a tenant, which is kept whole, and the second, of which a spec to share is made.
                self.strings += 2 * shared(&call.spec);
            }
            let account = AccountSid(u128::from(tenant));
            self.accepted(Submit { account, idempotency: None, batch: None, calls: vec![call] });
        }
    }

    fn accepted(&mut self, submit: Submit) {
        let count = submit.calls.len() as u64;
        let reply = self.apply(Command::Submit(submit));
        let Reply::Submitted(verdicts) = reply else { panic!("{reply:?}") };
        assert!(verdicts.iter().all(Result::is_ok));
        self.calls += count;
    }

    fn call(&mut self, tenant: u64, n: u64) -> NewCall {
        let call = new_call(tenant, n);
        let name = call.custom_id.as_ref().map_or(0, |name| name.len());
        self.strings += (call.spec.to.len() + name) as u64;
        call
    }

    /// Calls that are queued, and the bytes of their own strings.
    pub const fn taken(&self) -> (u64, u64) {
        (self.calls, self.strings)
    }
}

/// Bytes of the strings that calls share.
fn shared(spec: &CallSpec) -> u64 {
    let hook = |hook: &Webhook| hook.url.len();
    let Instructions::Url(first) = &spec.instructions else { return 0 };
    let callback = spec.status_callback.as_ref().map_or(0, hook);
    (spec.from.len() + hook(first) + callback) as u64
}
