//! Random histories with every fault, each state checked: `RELIABILITY.md`, invariants 1 to 6, 9 and 10, and
//! MT-2, MT-3, MT-5, MT-11, MT-12 and DC-3 as the world outside counts them.

mod support;

use busyhour_base::Span;
use busyhour_controller_core::{
    Options, State,
    command::{BatchCommand, Change, Command, Submit, Update},
    effect::Reply,
    spec::{BatchPlan, Cap, Declaration, Excess, NewCall, Throttle, Urgency},
    view::BatchStatus,
};
use proptest::prelude::*;
use support::{account, call, carrier, declaration, tenant, world::World};

const AGENTS: usize = 3;
const TENANTS: u128 = 4;

#[derive(Clone, Debug)]
enum Action {
    Declare { throttles: [u8; 4], channels: u32, ports: u32, other: u32, suspended: u8, gone: u8 },
    Submit { tenant: u128, count: usize, urgency: u8, begins: u16, lasts: u16, key: u8 },
    Batch { tenant: u128, count: usize, spacing: u16, most: u32, begins: u16, lasts: u16 },
    Steer { which: usize, how: u8 },
    Update { which: usize, how: u8 },
    Run { ms: u64, late_ms: u64 },
    Stop { ms: u64 },
    Step { agent: usize, which: usize, fate: u8 },
    Up { agent: usize, restarted: bool, journal_lost: bool },
    Down { agent: usize },
    Load { agent: usize, cpu: u16, draining: bool },
    Offer { agent: usize, tenant: u128, second: bool, ring: u16, twice: bool },
    GiveUp { agent: usize, which: usize },
    LoseOrders,
    Record,
}

fn action() -> impl Strategy<Value = Action> {
    use Action::*;
    let tenant = 1..=TENANTS;
    prop_oneof![
        2 => (any::<[u8; 4]>(), 0u32..6, 0u32..6, 0u32..4, 0u8..24, 0u8..12).prop_map(
            |(throttles, channels, ports, other, suspended, gone)| {
                Declare { throttles, channels, ports, other, suspended, gone }
            }
        ),
        6 => (tenant.clone(), 1usize..6, 0u8..6, 0u16..40, 0u16..60, any::<u8>()).prop_map(
            |(tenant, count, urgency, begins, lasts, key)| {
                Submit { tenant, count, urgency, begins, lasts, key }
            }
        ),
        5 => (0..AGENTS, tenant.clone(), any::<bool>(), 1u16..40, any::<bool>()).prop_map(
            |(agent, tenant, second, ring, twice)| Offer { agent, tenant, second, ring, twice }
        ),
        1 => (0..AGENTS, any::<usize>()).prop_map(|(agent, which)| GiveUp { agent, which }),
        2 => (tenant, 1usize..8, 0u16..2_000, 0u32..4, 0u16..40, 0u16..80).prop_map(
            |(tenant, count, spacing, most, begins, lasts)| {
                Batch { tenant, count, spacing, most, begins, lasts }
            }
        ),
        4 => (any::<usize>(), 0u8..8).prop_map(|(which, how)| Steer { which, how }),
        3 => (any::<usize>(), 0u8..3).prop_map(|(which, how)| Update { which, how }),
        8 => (0u64..4_000, 0u64..190).prop_map(|(ms, late_ms)| Run { ms, late_ms }),
        1 => (0u64..60_000).prop_map(|ms| Stop { ms }),
        24 => (0..AGENTS, any::<usize>(), 0u8..8).prop_map(|(agent, which, fate)| {
            Step { agent, which, fate }
        }),
        3 => (0..AGENTS, any::<bool>(), prop::bool::weighted(0.2)).prop_map(
            |(agent, restarted, journal_lost)| Up { agent, restarted, journal_lost }
        ),
        1 => (0..AGENTS).prop_map(|agent| Down { agent }),
        1 => (0..AGENTS, 0u16..1_000, prop::bool::weighted(0.3)).prop_map(
            |(agent, cpu, draining)| Load { agent, cpu, draining }
        ),
        1 => Just(LoseOrders),
        2 => Just(Record),
    ]
}

/// Four tenants: one with a throttle, one with caps, one with both, one with neither; and two carriers.
fn declared(throttles: [u8; 4], channels: u32, ports: u32, other: u32) -> Declaration {
    let tenants = (1..=TENANTS)
        .map(|number| {
            let spacing = u64::from(throttles[number as usize - 1] % 8) * 150;
            let mut tenant = tenant(number, None);
            tenant.limits.queue_max = 40;
            tenant.limits.wait_max = Span::from_secs(3_600);
            if number != 2 && number != 4 && spacing > 0 {
                tenant.limits.throttle = Some(Throttle { spacing: Span::from_millis(spacing) });
            }
            if number == 2 || number == 3 {
                tenant.limits.caps = vec![
                    Cap { count: 2, window: Span::from_secs(3) },
                    Cap { count: 5, window: Span::from_secs(20) },
                ];
            }
            if number == 2 {
                tenant.limits.excess = Excess::Refuse;
            }
            tenant
        })
        .collect();
    let mut first = carrier("first", channels, Span::from_millis(340));
    first.service_ports = ports;
    let second = carrier("second", other, Span::from_millis(102));
    declaration(tenants, vec![first, second])
}

fn calls(world: &World, count: usize, begins: u16, lasts: u16) -> Vec<NewCall> {
    let now = world.machine.now;
    (0..count)
        .map(|n| {
            let mut call = call(&format!("+{n}"));
            if begins > 20 {
                call.not_before = Some(now + Span::from_secs(u64::from(begins - 20)));
            }
            if lasts > 40 {
                call.expires = Some(now + Span::from_secs(u64::from(lasts - 40)));
            }
            call
        })
        .collect()
}

fn act(world: &mut World, action: &Action) {
    match *action {
        Action::Declare { throttles, channels, ports, other, suspended, gone } => {
            let mut new = declared(throttles, channels, ports, other);
            if let Some(tenant) = new.tenants.get_mut(usize::from(suspended)) {
                tenant.suspended = true;
            }
            if usize::from(gone) < new.tenants.len() {
                new.tenants.remove(usize::from(gone));
            } else if usize::from(gone) < new.tenants.len() + new.carriers.len() {
                new.carriers.remove(usize::from(gone) - new.tenants.len());
            }
            world.declare(new);
        }
        Action::Submit { tenant, count, urgency, begins, lasts, key } => {
            let mut calls = calls(world, count, begins, lasts);
            calls.iter_mut().for_each(|call| {
                call.urgency = if urgency == 0 { Urgency::Synchronous } else { Urgency::Ordinary };
            });
            let idempotency = (key < 100).then_some(u128::from(key));
            let submit = Submit { account: account(tenant), idempotency, batch: None, calls };
            let first = world.apply(Command::Submit(submit.clone()));
            if idempotency.is_some() && matches!(first, Reply::Submitted(_)) {
                let waiting = |world: &World| world.machine.state.outbox(usize::MAX).count();
                let (accepted, before) = (world.accepted.len(), waiting(world));
                let again = world.apply(Command::Submit(submit));
                assert_eq!(again, first, "a repeat gets the first answer");
                assert_eq!((world.accepted.len(), waiting(world)), (accepted, before));
            }
        }
        Action::Batch { tenant, count, spacing, most, begins, lasts } => {
            let spacing = Span::from_millis(u64::from(spacing.saturating_sub(1_000)));
            let now = world.machine.now;
            let at =
                |s: u16, from: u16| (s > from).then(|| now + Span::from_secs(u64::from(s - from)));
            let plan = BatchPlan {
                throttle: (spacing > Span::ZERO).then_some(Throttle { spacing }),
                max_concurrent: (most > 0).then_some(most),
                not_before: at(begins, 20),
                not_after: at(lasts, 30),
                ..BatchPlan::default()
            };
            let create = BatchCommand::Create {
                account: account(tenant),
                idempotency: None,
                plan: Box::new(plan),
            };
            let Reply::Batch(batch) = world.apply(Command::Batch(create)) else { return };
            let mut calls = calls(world, count, 0, 0);
            for (line, call) in calls.iter_mut().enumerate() {
                call.custom_id = Some(format!("line-{}", line / 2 * 2).into());
            }
            let submit =
                Submit { account: account(tenant), idempotency: None, batch: Some(batch), calls };
            if let Reply::Submitted(verdicts) = world.apply(Command::Submit(submit)) {
                let doubled = verdicts.iter().skip(1).step_by(2);
                assert!(doubled.clone().all(Result::is_err), "a line is taken once: {verdicts:?}");
            }
        }
        Action::Steer { which, how } => {
            let batches: Vec<_> = (1..=TENANTS)
                .flat_map(|tenant| {
                    let state = &world.machine.state;
                    state.batches_of(account(tenant)).map(move |batch| (tenant, batch.batch))
                })
                .collect();
            if batches.is_empty() {
                return;
            }
            let (tenant, batch) = batches[which % batches.len()];
            let account = account(tenant);
            world.apply(Command::Batch(match how {
                0..4 => BatchCommand::Start { account, batch },
                4 => BatchCommand::Pause { account, batch },
                5 | 6 => BatchCommand::Resume { account, batch },
                _ => BatchCommand::Cancel { account, batch, hang_up: which % 2 == 0 },
            }));
        }
        Action::Update { which, how } => {
            let known: Vec<_> = world.accepted.iter().copied().collect();
            if known.is_empty() {
                return;
            }
            let call = known[which % known.len()];
            let owner = world.machine.state.call(call).map(|view| view.account);
            let account = owner.unwrap_or(account(1));
            let change = match how {
                0 => Change::Cancel,
                1 => Change::Complete,
                _ => Change::Redirect(support::call("+1").spec.instructions.clone()),
            };
            world.apply(Command::Update(Update { account, call, change }));
        }
        Action::Run { ms, late_ms } => {
            world.run(Span::from_millis(ms), Span::from_millis(late_ms));
        }
        Action::Stop { ms } => {
            world.machine.now = world.machine.now + Span::from_millis(ms);
            world.apply(Command::Tick);
        }
        Action::Step { agent, which, fate } => world.step(agent, which, fate),
        Action::Up { agent, restarted, journal_lost } => world.up(agent, restarted, journal_lost),
        Action::Down { agent } => world.down(agent),
        Action::Load { agent, cpu, draining } => world.load(agent, cpu, draining),
        Action::Offer { agent, tenant, second, ring, twice } => {
            let carrier = if second { "second" } else { "first" };
            world.offer(agent, tenant, carrier, Span::from_secs(ring.into()), twice);
        }
        Action::GiveUp { agent, which } => world.give_up(agent, which),
        Action::LoseOrders => world.lose_orders = true,
        Action::Record => world.record(),
    }
    for view in world.machine.state.tenants() {
        assert!(
            view.counts.queued - view.inbound.ringing <= 40,
            "no queue is longer than its bound"
        );
    }
}

/// The faults end: everything that was accepted comes to its one outcome, and nothing stays behind.
fn drains(world: &mut World) {
    world.declare(declared([1; 4], 3, 3, 2));
    let batches: Vec<_> =
        (1..=TENANTS).flat_map(|tenant| world.machine.state.batches_of(account(tenant))).collect();
    for batch in batches {
        let command = match batch.status {
            BatchStatus::Draft => {
                BatchCommand::Start { account: batch.account, batch: batch.batch }
            }
            BatchStatus::Paused => {
                BatchCommand::Resume { account: batch.account, batch: batch.batch }
            }
            _ => continue,
        };
        assert_eq!(world.apply(Command::Batch(command)), Reply::Done);
    }
    world.settle();
    let ended: Vec<_> = world.outcomes.keys().collect();
    let accepted: Vec<_> = world.accepted.iter().collect();
    assert_eq!(ended, accepted, "accepted means exactly one outcome");
    world.record();
    let state = &world.machine.state;
    for view in state.tenants() {
        assert_eq!((view.counts.queued, view.counts.in_progress), (0, 0));
        assert!(state.calls_of(view.account, None).next().is_none());
        assert!(state.batches_of(view.account).all(|batch| batch.ended_at.is_some()));
    }
    world.run(Span::from_secs(60), Span::ZERO);
    for view in world.machine.state.carriers() {
        let now = view.availability;
        assert_eq!((now.held(), now.free), (0, view.channels), "{now:?}");
    }
    assert_eq!(world.machine.state.next_wake(), None, "at rest nothing wakes");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, max_shrink_iters: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_history_keeps_every_limit_and_drains(
        actions in prop::collection::vec(action(), 1..250), at in any::<prop::sample::Index>(),
    ) {
        let mut world = World::new(AGENTS, Options::default());
        world.declare(declared([1, 2, 3, 4], 3, 2, 2));
        world.up(0, false, false);
        for action in &actions {
            act(&mut world, action);
        }
        drains(&mut world);
        world.machine.replays_alike(at.index(world.machine.log.len()));
    }

    /// `RELIABILITY.md`, invariant 5: what is refused changes nothing but the log's position and the clock.
    #[test]
    fn a_refusal_changes_nothing(actions in prop::collection::vec(action(), 1..80)) {
        let mut world = World::new(AGENTS, Options::default());
        world.declare(declared([1, 2, 3, 4], 3, 2, 2));
        world.up(0, false, false);
        for action in &actions {
            act(&mut world, action);
        }
        let log = std::mem::take(&mut world.machine.log);
        let (mut state, mut effects) = (State::new(), Vec::new());
        for entry in &log {
            let mut ticked = state.clone();
            let told = effects.len();
            let reply = state.apply(entry, &mut effects);
            let ticks = effects.split_off(told);
            if matches!(reply, Reply::Refused(_)) {
                let tick = busyhour_controller_core::command::Entry { command: Command::Tick, ..entry.clone() };
                let mut expected = Vec::new();
                ticked.apply(&tick, &mut expected);
                prop_assert_eq!(&ticks, &expected, "{:?} {:?}", reply, entry);
                prop_assert_eq!(ticked.hash(), state.hash(), "{:?} {:?}", reply, entry);
            }
        }
    }
}

/// No buffer grows with time at constant load.
#[test]
fn the_state_does_not_grow_with_time() {
    let mut world = World::new(1, Options::default());
    world.declare(declared([1; 4], 5, 5, 3));
    world.up(0, false, false);
    let mut sizes = Vec::new();
    for day in 0..6 {
        for _ in 0..400 {
            for number in 1..=TENANTS {
                let calls = calls(&world, 1, 0, 0);
                world.apply(Command::Submit(Submit {
                    account: account(number),
                    idempotency: None,
                    batch: None,
                    calls,
                }));
            }
            world.run(Span::from_secs(12), Span::ZERO);
            for which in 0..12 {
                world.step(0, which, 5);
            }
            world.record();
        }
        if day > 0 {
            world.settle();
            sizes.push(world.machine.state.snapshot().len());
        }
        world.machine.log.clear();
        assert!(world.accepted.len() > 500);
    }
    // Numbers grow, and take a few more bytes each.
    assert!(sizes.iter().all(|size| *size < sizes[0] + 400), "{sizes:?}");
}
