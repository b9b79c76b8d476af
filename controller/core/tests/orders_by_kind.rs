//! The order across tenants by the kind of their calls (MT-4).

mod support;

use busyhour_base::{ApplicationSid, Span};
use busyhour_controller_core::spec::{
    Application, AskedAs, BatchPlan, CallId, Declaration, NewCall, OrderPolicy, Pace, Throttle,
};
use proptest::prelude::*;
use support::{
    Machine, account, call, carrier,
    declared::{FAST, SECOND, declared, end_first, redeclare, serving, spaced},
    tenant,
};

/// Tenant 1 has single calls and a batch, 2 a batch, 3 single calls, six of each, and one channel.
fn kinds(order: OrderPolicy) -> (Machine, Vec<CallId>) {
    let sid = ApplicationSid(7);
    let mut one = tenant(1, None);
    one.applications = vec![Application { sid, pace: Pace::default() }];
    let declaration = Declaration {
        tenants: vec![one, tenant(2, None), tenant(3, None)],
        carriers: vec![carrier("a", 1, FAST)],
        order,
        ..Declaration::default()
    };
    let mut machine = declared(declaration);
    // It takes the channel, so that all that follows waits.
    machine.accepted(3, call("+1"));
    let mut lines = Vec::new();
    for owner in [1, 2] {
        let of_application = |n: usize| Some(sid).filter(|_| owner == 1 && n % 2 == 1);
        let calls = (0..6).map(|n| NewCall { application: of_application(n), ..call("+1") });
        lines.extend(machine.running_batch(owner, BatchPlan::default(), calls.collect()).1);
    }
    for owner in [1, 3] {
        machine.submit(owner, vec![call("+1"); 6]);
    }
    (machine, lines)
}

/// Serves so many turns more: whose they were, and whether it was a line of a batch.
fn turns(machine: &mut Machine, lines: &[CallId], turns: usize) -> Vec<(u128, bool)> {
    let from = machine.dials.len();
    for mut done in from - 1..from - 1 + turns {
        machine.run(SECOND);
        end_first(machine, &mut done);
    }
    let served = machine.dials[from..].iter();
    served.map(|(_, dial)| (dial.account.0, lines.contains(&dial.call))).collect()
}

#[test]
fn mt_4_by_kind_single_calls_go_before_lines_of_batches_or_the_other_way_round() {
    for first in [AskedAs::Single, AskedAs::BatchLine] {
        let (mut machine, lines) = kinds(OrderPolicy::Kind { first });
        let served = turns(&mut machine, &lines, 24);
        let line_first = first == AskedAs::BatchLine;
        assert!(served[..12].iter().all(|(_, line)| *line == line_first), "{served:?}");
        assert!(served[12..].iter().all(|(_, line)| *line != line_first), "{served:?}");
        for half in served.chunks(12) {
            let turns = half.windows(2).all(|pair| pair[0].0 != pair[1].0);
            assert!(turns, "within a kind tenants take turns: {half:?}");
        }
        machine.replays_alike(machine.log.len() / 2);
    }
}

#[test]
fn mt_4_by_kind_comes_and_goes_live_and_nobody_loses_a_place() {
    let (mut machine, lines) = kinds(OrderPolicy::Alternating);
    let order = |machine: &mut Machine, order| redeclare(machine, |d| d.order = order);
    let served = turns(&mut machine, &lines, 3);
    let mut whose: Vec<_> = served.iter().map(|(owner, _)| *owner).collect();
    whose.sort_unstable();
    assert_eq!(whose, [1, 2, 3], "one turn of each tenant, whatever it has");
    order(&mut machine, OrderPolicy::Kind { first: AskedAs::BatchLine });
    let served = turns(&mut machine, &lines, 4);
    assert!(served.iter().all(|(_, line)| *line), "{served:?}");
    order(&mut machine, OrderPolicy::Kind { first: AskedAs::Single });
    let served = turns(&mut machine, &lines, 4);
    assert!(served.iter().all(|(_, line)| !*line), "{served:?}");
    order(&mut machine, OrderPolicy::Alternating);
    let served = turns(&mut machine, &lines, 6);
    for turn in served.chunks(3) {
        let mut whose: Vec<_> = turn.iter().map(|(owner, _)| *owner).collect();
        whose.sort_unstable();
        assert_eq!(whose, [1, 2, 3], "and again: {served:?}");
    }
    turns(&mut machine, &lines, 7);
    assert_eq!(machine.dials.len(), 25, "everything was served once");
    for owner in 1..=3 {
        for batch in [false, true] {
            let own = machine.dials.iter().filter(|(_, dial)| dial.account == account(owner));
            let mut own: Vec<_> = own.map(|(_, dial)| dial.call).collect();
            own.retain(|call| lines.contains(call) == batch);
            // The odd lines of the first tenant's batch are of an application, which has a queue of its own.
            let queues = if owner == 1 && batch { 2 } else { 1 };
            let first = own.first().map_or(0, |call| call.0);
            for queue in 0..queues {
                let of_it = own.iter().filter(|call| (call.0 - first) % queues == queue);
                let of_it: Vec<_> = of_it.collect();
                assert!(of_it.is_sorted(), "{owner}'s calls start in their order: {own:?}");
            }
        }
    }
    machine.replays_alike(machine.log.len() / 2);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// The order by kind comes and goes at any time, whatever waits where; every state is checked, all is served, and each
    /// queue in its order.
    #[test]
    fn mt_4_by_kind_holds_the_tree_together_whatever_waits(
        steps in prop::collection::vec((0u8..5, 1u128..4, 0usize..3, 1usize..4), 1..40),
    ) {
        let sid = ApplicationSid(7);
        let mut tenants = [1, 2, 3].map(|owner| tenant(owner, None));
        tenants[0].limits.throttle = Some(Throttle { spacing: Span::from_secs(2) });
        for tenant in &mut tenants {
            tenant.applications = vec![Application { sid, pace: spaced(SECOND) }];
        }
        let carriers = vec![serving("a", 2, &["+1"]), serving("b", 1, &["+2"])];
        let declaration = Declaration { tenants: tenants.to_vec(), carriers, ..Declaration::default() };
        let mut machine = declared(declaration);
        let (mut done, mut sent) = (0, 0);
        for (step, owner, variant, count) in steps {
            let new = NewCall {
                application: (variant == 1).then_some(sid),
                ..call(["+1", "+2"][count % 2])
            };
            match step {
                0 => { machine.submit(owner, vec![new; count]); sent += count; }
                1 => { machine.running_batch(owner, BatchPlan::default(), vec![new; count]); sent += count; }
                2 => {
                    let order = match variant {
                        0 => OrderPolicy::Kind { first: AskedAs::Single },
                        1 => OrderPolicy::Kind { first: AskedAs::BatchLine },
                        _ => OrderPolicy::Weighted,
                    };
                    redeclare(&mut machine, |d| d.order = order);
                }
                _ => machine.run(SECOND),
            }
            if done < machine.dials.len() {
                end_first(&mut machine, &mut done);
            }
        }
        while done < sent {
            machine.run(Span::from_secs(4));
            prop_assert!(done < machine.dials.len(), "{} of {} were served", machine.dials.len(), sent);
            end_first(&mut machine, &mut done);
        }
        prop_assert_eq!(machine.dials.len(), sent);
        machine.replays_alike(machine.log.len() / 2);
    }
}
