//! What ten million queued calls take: memory beside their own strings, the pause in which a snapshot is frozen, and the
//! time from a snapshot in memory to a state.
//!
//! One JSON object per line on stdout, the profile of what was measured on stderr.
#![expect(clippy::disallowed_macros, reason = "a benchmark prints")]
#![expect(clippy::disallowed_methods, reason = "a benchmark measures")]
#![expect(clippy::disallowed_types, reason = "a benchmark measures")]

use std::{sync::Arc, time::Instant};

use busyhour_base::{
    AccountSid, CallSpec, Direction, Instructions, Method, Span, StatusEvents, Timestamp, Webhook,
};
use busyhour_controller_core::{
    State,
    command::{BatchCommand, Command, Entry, Submit},
    effect::Reply,
    spec::{BatchPlan, Declaration, Excess, Limits, NewCall, Tenant, Throttle},
};

const TENANTS: u64 = 100_000;
/// Half of the calls are lines of batches, half are single calls.
const CALLS: u64 = 10_000_000;
/// Lines of a batch; a tenth of the tenants have one.
const LINES: u64 = 500;
const START: u64 = 1_700_000_000_000_000;

fn main() {
    let empty = resident();
    let mut house = House::new();
    let declared = resident();
    house.submit_batches();
    let batches = resident();
    let (lines, line_strings) = house.taken();
    house.submit_calls();
    let held = resident();
    let (all, strings) = house.taken();
    let per =
        |bytes: usize, strings: u64, calls: u64| (bytes as f64 - strings as f64) / calls as f64;
    let (calls, call_strings) = (all - lines, strings - line_strings);
    let line = per(batches - declared, line_strings, lines);
    let call = per(held - batches, call_strings, calls);
    let value = per(held - declared, strings, all);
    eprintln!(
        "{TENANTS} tenants: {} MB; {lines} lines of batches: {line:.1} B each beside {:.1} B of strings; {calls} single \
         calls: {call:.1} B each beside {:.1} B of strings; {} MB in all",
        (declared - empty) >> 20,
        line_strings as f64 / lines as f64,
        call_strings as f64 / calls as f64,
        held >> 20,
    );
    println!(
        concat!(
            r#"{{"id":"engine.bytes_per_request","value":{:.1},"unit":"B","better":"less","peer":null,"peer_value":null,"ratio":null,"#,
            r#""how":"resident memory of the whole state with {} queued calls of {} tenants, less that without calls, less the bytes of the callers' own strings, each string counted as often as a caller gave it only if no spec shares it; {:.1} B a line of a batch (number and custom id its own), {:.1} B a single call (number and custom id its own, the rest as the tenant's last)"}}"#
        ),
        value, all, TENANTS, line, call,
    );
    let began = Instant::now();
    let frozen = house.state.freeze();
    let pause = began.elapsed();
    let began = Instant::now();
    let mut bytes = Vec::with_capacity(1 << 30);
    frozen.write(&mut bytes).expect("memory takes every byte");
    let wrote = began.elapsed();
    let began = Instant::now();
    let restored = State::read(&mut bytes.as_slice()).expect("a state");
    let read = began.elapsed();
    assert_eq!(restored.digest(), house.state.digest());
    eprintln!(
        "frozen in {pause:?}, written to {} MB in {wrote:?}, read in {read:?}",
        bytes.len() >> 20
    );
    println!(
        concat!(
            r#"{{"id":"snapshot.pause_ms_10m","value":{:.1},"unit":"ms","better":"less","peer":null,"peer_value":null,"ratio":null,"#,
            r#""how":"how long entries wait while a state of {} queued calls of {} tenants is frozen for a snapshot; writing it ({} MB) goes on beside"}}"#
        ),
        pause.as_secs_f64() * 1e3,
        all,
        TENANTS,
        bytes.len() >> 20,
    );
}

/// A state that is fed.
struct House {
    state: State,
    index: u64,
    at: u64,
    calls: u64,
    strings: u64,
}

impl House {
    fn new() -> Self {
        let mut house = Self { state: State::new(), index: 0, at: START, calls: 0, strings: 0 };
        let tenants = (0..TENANTS)
            .map(|n| Tenant {
                account: AccountSid(u128::from(n)),
                name: format!("tenant-{n}").into(),
                limits: Limits {
                    throttle: Some(Throttle { spacing: Span::from_secs(1) }),
                    caps: Vec::new(),
                    excess: Excess::Schedule,
                    queue_max: u32::MAX,
                    wait_max: Span::from_secs(86_400),
                },
                shares: Vec::new(),
                suspended: false,
            })
            .collect();
        let declaration = Declaration { tenants, ..Declaration::default() };
        assert_eq!(house.apply(Command::Declare(Box::new(declaration))), Reply::Done);
        house
    }

    fn apply(&mut self, command: Command) -> Reply {
        self.index += 1;
        self.at += 10;
        let entry = Entry { index: self.index, at: Timestamp(self.at), command };
        let mut effects = Vec::new();
        self.state.apply(&entry, &mut effects)
    }

    /// Half of the calls: 500 lines for each of 10,000 tenants, which have number and name of their own and share the rest.
    fn submit_batches(&mut self) {
        let batches = CALLS / 2 / LINES;
        for n in 0..batches {
            let account = AccountSid(u128::from(n * (TENANTS / batches)));
            let plan = Box::new(BatchPlan::default());
            let create = BatchCommand::Create { account, idempotency: None, plan };
            let Reply::Batch(batch) = self.apply(Command::Batch(create)) else {
                panic!("a batch is created")
            };
            let calls: Vec<_> = (0..LINES).map(|line| self.call(n, n * LINES + line)).collect();
            // The first line brings what all share.
            self.strings += shared(&calls[0].spec);
            let submit = Submit { account, idempotency: None, batch: Some(batch), calls };
            self.accepted(submit);
            let start = BatchCommand::Start { account, batch };
            assert_eq!(self.apply(Command::Batch(start)), Reply::Done);
        }
    }

    /// The other half: single calls of all tenants in turn, each as the last of its tenant but for number and name.
    fn submit_calls(&mut self) {
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
        let to = format!("+1555{:08}", n % 100_000_000);
        let name = format!("customer-{n}");
        self.strings += (to.len() + name.len()) as u64;
        let hook = |path: &str| Webhook {
            url: format!("https://app-{tenant}.example.com/calls/{path}"),
            method: Method::Post,
        };
        NewCall {
            custom_id: Some(name.into()),
            ..NewCall::of(Arc::new(CallSpec {
                to,
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

    /// Calls that are queued, and the bytes of their own strings.
    const fn taken(&self) -> (u64, u64) {
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

/// Bytes of memory that this process has.
fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/status").expect("this is Linux");
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("resident memory");
    let kib: usize = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kib << 10
}
