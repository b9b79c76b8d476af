//! The order across tenants by each policy, and what lower urgencies get of it at least.

mod support;

use busyhour_base::{Outcome, Span};
use busyhour_controller_core::spec::{
    CallId, Declaration, Floors, NewCall, OrderPolicy, Tenant, Urgency,
};
use support::{
    Machine, account, call, carrier,
    declared::{FAST, SECOND, declared, end_first, redeclare},
    ended, tenant,
};

/// Three tenants with a long queue each and one channel; who was served in so many turns.
fn contest(order: OrderPolicy, turns: usize, tenants: [Tenant; 3]) -> (Machine, Vec<u128>) {
    let declaration = Declaration {
        tenants: tenants.to_vec(),
        carriers: vec![carrier("a", 1, FAST)],
        order,
        ..Declaration::default()
    };
    let mut machine = declared(declaration);
    for owner in [1, 2, 3] {
        machine.submit(owner, vec![call("+1"); turns]);
    }
    let mut done = 0;
    while machine.dials.len() < turns {
        machine.run(SECOND);
        end_first(&mut machine, &mut done);
    }
    let served = machine.dials.iter().map(|(_, dial)| dial.account.0).collect();
    (machine, served)
}

fn counts(served: &[u128]) -> [usize; 3] {
    [1, 2, 3].map(|owner| served.iter().filter(|one| **one == owner).count())
}

#[test]
fn mt_4_each_policy_orders_as_it_says() {
    let plain = || [1, 2, 3].map(|owner| tenant(owner, None));
    let weighted = [1, 2, 3].map(|owner| {
        let mut tenant = tenant(owner, None);
        tenant.limits.weight = [1, 2, 5][owner as usize - 1];
        tenant.limits.plan = [2, 1, 1][owner as usize - 1];
        tenant
    });
    let (_, served) = contest(OrderPolicy::Alternating, 30, plain());
    // The first stood for its second turn before the others came.
    assert_eq!(counts(&served), [11, 10, 9]);
    assert!(served[1..28].chunks(3).all(|turn| turn == [1, 2, 3]), "{served:?}");
    let (_, served) = contest(OrderPolicy::Weighted, 80, weighted.clone());
    let [one, two, five] = counts(&served);
    assert!((9..=11).contains(&one) && (19..=21).contains(&two) && (49..=51).contains(&five));
    let (_, served) = contest(OrderPolicy::FirstComeFirstServed, 30, plain());
    assert_eq!(counts(&served), [30, 0, 0], "its thirty came first");
    let (_, served) = contest(OrderPolicy::Plan, 31, weighted);
    assert_eq!(counts(&served), [1, 15, 15], "the first found the channel free");
    let (_, served) =
        contest(OrderPolicy::ResourceUse { half_life: Span::from_secs(3_600) }, 30, plain());
    assert!(counts(&served).iter().all(|count| (9..=11).contains(count)), "all calls last alike");
    let (machine, served) = contest(OrderPolicy::Random { seed: 5 }, 60, plain());
    assert!(counts(&served).iter().all(|count| (10..=30).contains(count)), "{served:?}");
    assert!(served.windows(3).any(|three| three[0] == three[1]), "it is no rotation: {served:?}");
    machine.replays_alike(30);
    let (_, other) = contest(OrderPolicy::Random { seed: 6 }, 60, plain());
    assert_ne!(served, other);
}

/// A minute of sixty half-lives ago is nothing beside a second of just now.
#[test]
fn mt_4_channel_time_that_was_used_long_ago_counts_no_more() {
    let mut machine = declared(Declaration {
        tenants: [1, 2, 3].map(|owner| tenant(owner, None)).to_vec(),
        carriers: vec![carrier("a", 1, FAST)],
        order: OrderPolicy::ResourceUse { half_life: SECOND },
        ..Declaration::default()
    });
    let speaks = |machine: &mut Machine, owner, seconds| {
        let call = machine.accepted(owner, call("+1"));
        machine.run(Span::from_secs(seconds));
        machine.says(call, ended(Outcome::Completed, true));
    };
    speaks(&mut machine, 1, 60);
    machine.run(Span::from_secs(60));
    speaks(&mut machine, 2, 1);
    // All but the first of these wait for the only channel, the one who used it lately for longer.
    let up = [3, 2, 1].map(|owner| machine.accepted(owner, call("+1")))[0];
    machine.says(up, ended(Outcome::Completed, true));
    assert_eq!(machine.dials.last().expect("one started").1.account, account(1));
    machine.replays_alike(4);
}

#[test]
fn mt_4_a_policy_is_changed_live_and_nobody_loses_a_place() {
    let tenants = [1, 2, 3].map(|owner| {
        let mut tenant = tenant(owner, None);
        tenant.limits.weight = owner as u32;
        tenant.limits.plan = 4 - owner as u32;
        tenant
    });
    let (mut machine, _) = contest(OrderPolicy::Alternating, 6, tenants);
    let mut done = machine.dials.len() - 1;
    let policies = [
        OrderPolicy::Plan,
        OrderPolicy::Random { seed: 1 },
        OrderPolicy::FirstComeFirstServed,
        OrderPolicy::Weighted,
        OrderPolicy::ResourceUse { half_life: SECOND },
        OrderPolicy::Alternating,
    ];
    for order in policies {
        redeclare(&mut machine, |declaration| declaration.order = order);
        machine.run(SECOND);
        end_first(&mut machine, &mut done);
        if order == OrderPolicy::Plan {
            assert_eq!(machine.dials.last().expect("one started").1.account.0, 3);
        }
    }
    while done < machine.dials.len() {
        machine.run(SECOND);
        end_first(&mut machine, &mut done);
    }
    assert_eq!(machine.dials.len(), 18);
    for owner in 1..=3 {
        let own = machine.dials.iter().filter(|(_, dial)| dial.account == account(owner));
        let own: Vec<CallId> = own.map(|(_, dial)| dial.call).collect();
        assert!(own.is_sorted(), "each tenant's calls start in their order: {own:?}");
    }
    machine.replays_alike(machine.log.len() / 2);
}

#[test]
fn mt_6_a_floor_lets_less_urgent_requests_through() {
    for (floor, least, most) in [(0, 0, 0), (200, 19, 21)] {
        let declaration = Declaration {
            tenants: vec![tenant(1, None), tenant(2, None)],
            carriers: vec![carrier("a", 1, FAST)],
            floors: Floors { synchronous: 0, ordinary: floor },
            ..Declaration::default()
        };
        let mut machine = declared(declaration);
        machine.submit(1, vec![NewCall { urgency: Urgency::Synchronous, ..call("+1") }; 120]);
        machine.submit(2, vec![call("+2"); 120]);
        for done in 0..100 {
            machine.run(SECOND);
            end_first(&mut machine, &mut { done });
        }
        let ordinary =
            machine.dials[..100].iter().filter(|(_, dial)| dial.account == account(2)).count();
        assert!((least..=most).contains(&ordinary), "{ordinary} of 100 at a floor of {floor}");
    }
}

/// MT-4: in the weighted order who had nothing to ask for has saved nothing up.
#[test]
fn mt_4_who_was_idle_begins_where_the_others_are() {
    let declaration = Declaration {
        tenants: vec![tenant(1, None), tenant(2, None)],
        carriers: vec![carrier("a", 1, FAST)],
        order: OrderPolicy::Weighted,
        ..Declaration::default()
    };
    let mut machine = declared(declaration);
    let end_last = |machine: &mut Machine| {
        let last = *machine.dialled().last().expect("one is up");
        machine.run(Span::from_secs(1));
        machine.says(last, ended(Outcome::Completed, true));
    };
    machine.submit(1, vec![call("+1"); 30]);
    (0..10).for_each(|_| end_last(&mut machine));
    machine.submit(2, vec![call("+1"); 10]);
    (0..10).for_each(|_| end_last(&mut machine));
    let late = machine.dials[11..].iter().filter(|(_, dial)| dial.account == account(2));
    assert_eq!(late.count(), 5, "they take turns from then on");
}
