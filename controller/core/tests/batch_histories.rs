//! Random histories of batches with calling hours, further attempts and live pacing, under every fault: no call starts out
//! of hours, faster than its batch's pace, or again while the attempt before may still be up (DC-3, `RELIABILITY.md`,
//! invariants 1, 2 and 5).

mod support;

use busyhour_base::{Span, Timestamp};
use busyhour_controller_core::{
    Options, State,
    command::{BatchCommand, Command, Entry, Submit},
    effect::Reply,
    spec::{BatchPlan, Opening, Openings, Retry, RetryOn, Throttle},
    view::BatchStatus,
};
use proptest::prelude::*;
use support::{account, call, carrier, declaration, tenant, world::World};

#[derive(Clone, Debug)]
enum Action {
    Batch { count: usize, spacing: u16, most: u32, ends: u16, retry: u8, spans: Vec<(u16, u16)> },
    Steer { which: usize, how: u8 },
    Pace { which: usize, spacing: u16, most: u32 },
    Open { which: usize, spans: Vec<(u16, u16)> },
    Run { ms: u64, late_ms: u64 },
    Stop { ms: u64 },
    Step { agent: usize, which: usize, fate: u8 },
    Up { agent: usize, restarted: bool, journal_lost: bool },
    Down { agent: usize },
    LoseOrders,
    Record,
}

fn action() -> impl Strategy<Value = Action> {
    use Action::*;
    let spans = || prop::collection::vec((1u16..400, 1u16..200), 0..5);
    prop_oneof![
        3 => (1usize..8, 0u16..2_000, 0u32..4, 0u16..80, 0u8..32, spans()).prop_map(
            |(count, spacing, most, ends, retry, spans)| {
                Batch { count, spacing, most, ends, retry, spans }
            }
        ),
        5 => (any::<usize>(), 0u8..8).prop_map(|(which, how)| Steer { which, how }),
        2 => (any::<usize>(), 0u16..2_000, 0u32..4).prop_map(|(which, spacing, most)| {
            Pace { which, spacing, most }
        }),
        2 => (any::<usize>(), spans()).prop_map(|(which, spans)| Open { which, spans }),
        8 => (0u64..9_000, 0u64..190).prop_map(|(ms, late_ms)| Run { ms, late_ms }),
        1 => (0u64..30_000).prop_map(|ms| Stop { ms }),
        24 => (0..2usize, any::<usize>(), 0u8..8).prop_map(|(agent, which, fate)| {
            Step { agent, which, fate }
        }),
        2 => (0..2usize, any::<bool>(), prop::bool::weighted(0.2)).prop_map(
            |(agent, restarted, journal_lost)| Up { agent, restarted, journal_lost }
        ),
        1 => (0..2usize).prop_map(|agent| Down { agent }),
        1 => Just(LoseOrders),
        1 => Just(Record),
    ]
}

/// Openings one behind the other from now on: each `gap` tenths of a second behind the last one, and so long.
fn openings(now: Timestamp, spans: &[(u16, u16)]) -> Option<Openings> {
    let mut at = now;
    let spans: Vec<_> = spans
        .iter()
        .map(|(gap, length)| {
            let from = at + Span::from_millis(u64::from(*gap) * 100);
            at = from + Span::from_millis(u64::from(*length) * 100);
            Opening { from, to: at }
        })
        .collect();
    (!spans.is_empty()).then_some(Openings { spans, through: at })
}

fn plan(now: Timestamp, action: &Action) -> BatchPlan {
    let Action::Batch { spacing, most, ends, retry, spans, .. } = action else { unreachable!() };
    let spacing = Span::from_millis(u64::from(spacing.saturating_sub(1_000)));
    let bit = |n: u8| retry & (1 << n) != 0;
    let retry = Retry {
        on: RetryOn { busy: bit(0), no_answer: bit(1), failed: true, ..RetryOn::default() },
        attempts_max: 2 + u16::from(bit(2)) * 2,
        delays: vec![Span::from_secs(1 + u64::from(*retry) % 7), Span::from_millis(700)],
    };
    BatchPlan {
        throttle: (spacing > Span::ZERO).then_some(Throttle { spacing }),
        max_concurrent: (*most > 0).then_some(*most),
        not_after: (*ends > 40).then(|| now + Span::from_secs(u64::from(*ends - 40))),
        retry: bit(4).then_some(retry),
        openings: openings(now, spans),
        ..BatchPlan::default()
    }
}

fn act(world: &mut World, action: &Action) {
    let now = world.machine.now;
    let batches: Vec<_> =
        world.machine.state.batches_of(account(1)).map(|batch| batch.batch).collect();
    let pick = |which: usize| (!batches.is_empty()).then(|| batches[which % batches.len()]);
    let owner = account(1);
    match action {
        Action::Batch { count, .. } => {
            let Some(batch) = world.create_batch(owner, &plan(now, action)) else { return };
            let calls = (0..*count).map(|n| call(&format!("+{n}"))).collect();
            let submit = Submit { account: owner, idempotency: None, batch: Some(batch), calls };
            world.apply(Command::Submit(submit));
            world.apply(Command::Batch(BatchCommand::Start { account: owner, batch }));
        }
        Action::Steer { which, how } => {
            let Some(batch) = pick(*which) else { return };
            world.apply(Command::Batch(match how {
                0..3 => BatchCommand::Pause { account: owner, batch },
                3..7 => BatchCommand::Resume { account: owner, batch },
                _ => BatchCommand::Cancel { account: owner, batch, hang_up: which % 2 == 0 },
            }));
        }
        Action::Pace { which, spacing, most } => {
            let Some(batch) = pick(*which) else { return };
            let spacing = Span::from_millis(u64::from(spacing.saturating_sub(1_000)));
            let throttle = (spacing > Span::ZERO).then_some(Throttle { spacing });
            let max_concurrent = (*most > 0).then_some(*most);
            let change = |plan: &mut BatchPlan| {
                (plan.throttle, plan.max_concurrent) = (throttle, max_concurrent);
            };
            let command = BatchCommand::Pace { account: owner, batch, throttle, max_concurrent };
            world.replan(batch, change, command);
        }
        Action::Open { which, spans } => {
            let Some(batch) = pick(*which) else { return };
            let openings = openings(now, spans).unwrap_or_default();
            let change = |plan: &mut BatchPlan| plan.openings = Some(openings.clone());
            let command = BatchCommand::Open { batch, openings: openings.clone() };
            world.replan(batch, change, command);
        }
        Action::Run { ms, late_ms } => {
            world.run(Span::from_millis(*ms), Span::from_millis(*late_ms));
        }
        Action::Stop { ms } => {
            world.machine.now = now + Span::from_millis(*ms);
            world.apply(Command::Tick);
        }
        Action::Step { agent, which, fate } => world.step(*agent, *which, *fate),
        Action::Up { agent, restarted, journal_lost } => {
            world.up(*agent, *restarted, *journal_lost);
        }
        Action::Down { agent } => world.down(*agent),
        Action::LoseOrders => world.lose_orders = true,
        Action::Record => world.record(),
    }
}

/// The faults end, and hours are open from now on: every line comes to its one outcome.
fn drains(world: &mut World) {
    let batches: Vec<_> = world.machine.state.batches_of(account(1)).collect();
    for view in batches {
        let (owner, batch) = (account(1), view.batch);
        if view.status == BatchStatus::Paused {
            world.apply(Command::Batch(BatchCommand::Resume { account: owner, batch }));
        }
        let from = world.machine.now;
        let to = Timestamp::NEVER;
        let openings = Openings { spans: vec![Opening { from, to }], through: to };
        let change = |plan: &mut BatchPlan| plan.openings = Some(openings.clone());
        if view.plan.openings.is_some() {
            let command = BatchCommand::Open { batch, openings: openings.clone() };
            world.replan(batch, change, command);
        }
    }
    world.settle();
    let ended: Vec<_> = world.outcomes.keys().collect();
    let accepted: Vec<_> = world.accepted.iter().collect();
    assert_eq!(ended, accepted, "accepted means exactly one outcome");
    let state = &world.machine.state;
    assert!(state.batches_of(account(1)).all(|batch| batch.ended_at.is_some()));
}

fn world() -> World {
    let mut world = World::new(2, Options::default());
    world.declare(declaration(
        vec![tenant(1, None)],
        vec![carrier("first", 3, Span::from_millis(102)), carrier("second", 2, Span::ZERO)],
    ));
    world.up(0, false, false);
    world.up(1, false, false);
    world
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, max_shrink_iters: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_line_keeps_its_hours_pace_and_attempts_and_has_one_outcome(
        actions in prop::collection::vec(action(), 1..200), at in any::<prop::sample::Index>(),
    ) {
        let mut world = world();
        for action in &actions {
            act(&mut world, action);
        }
        drains(&mut world);
        world.machine.replays_alike(at.index(world.machine.log.len()));
    }

    #[test]
    fn a_refusal_changes_nothing(actions in prop::collection::vec(action(), 1..60)) {
        let mut world = world();
        for action in &actions {
            act(&mut world, action);
        }
        let (mut state, mut effects) = (State::new(), Vec::new());
        for entry in &world.machine.log {
            let mut ticked = state.clone();
            let reply = state.apply(entry, &mut effects);
            if matches!(reply, Reply::Refused(_)) {
                let tick = Entry { command: Command::Tick, ..entry.clone() };
                ticked.apply(&tick, &mut effects);
                prop_assert_eq!(ticked.hash(), state.hash(), "{:?} {:?}", reply, entry);
            }
        }
    }
}
