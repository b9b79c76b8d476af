//! Multiplexing (MT-16): tenants' maxima add up to more than the channels, what is idle is lent, and nobody loses what it is
//! guaranteed.

mod support;

use std::collections::VecDeque;

use busyhour_base::{Outcome, Span};
use busyhour_controller_core::{
    command::Command,
    effect::Reply,
    spec::{CallId, Carrier, Share, Tenant},
};
use proptest::prelude::*;
use support::{Machine, account, call, carrier, declaration, ended, tenant};

fn sharing(number: u128, guaranteed: u32, expected: u32, maximum: u32, lend: u16) -> Tenant {
    let group = carrier("a", 1, Span::ZERO).group;
    let share = Share { group, guaranteed, expected, maximum, lend_permille: lend };
    Tenant { shares: vec![share], ..tenant(number, None) }
}

fn machine(tenants: Vec<Tenant>, channels: u32) -> Machine {
    over(tenants, carrier("a", channels, Span::ZERO))
}

fn over(tenants: Vec<Tenant>, carrier: Carrier) -> Machine {
    let mut machine = Machine::new();
    let declared = declaration(tenants, vec![carrier]);
    assert_eq!(machine.apply(Command::Declare(Box::new(declared))), Reply::Done);
    machine.agent_up("agent", 1, 1_000, 0);
    machine
}

/// Calls in progress of each of the first tenants.
fn uses(machine: &Machine, tenants: u128) -> Vec<u64> {
    let of = |number| machine.state.tenant_of(account(number)).expect("it is declared").counts;
    (1..=tenants).map(|number| of(number).in_progress).collect()
}

/// The call of a tenant that has been up longest ends, and its channel is free.
fn end_one(machine: &mut Machine, number: u128, over: &mut Vec<CallId>) {
    let mut up = machine.dials.iter().filter(|(_, dial)| dial.account == account(number));
    let call = up.find(|(_, dial)| !over.contains(&dial.call)).expect("one is up").1.call;
    over.push(call);
    machine.says(call, ended(Outcome::Completed, true));
}

/// The example of MT-16 with its numbers: 10 channels, 5 tenants, of whom 4 are expected to use 2 each.
#[test]
fn mt_16_the_fifth_of_five_tenants_gets_up_to_ten_channels_and_the_others_lose_nothing() {
    let mut tenants: Vec<_> = (1..=4).map(|number| sharing(number, 0, 2, 4, 1_000)).collect();
    tenants.push(sharing(5, 0, 2, 10, 1_000));
    let maxima: u32 = tenants.iter().flat_map(|t| &t.shares).map(|share| share.maximum).sum();
    assert!(maxima > 10, "the maxima add up to more than the channels");
    let mut machine = machine(tenants, 10);
    let mut over = Vec::new();

    // The others are quiet: all ten are the fifth's.
    machine.submit(5, vec![call("+1"); 30]);
    assert_eq!(uses(&machine, 5), [0, 0, 0, 0, 10]);

    // They come, and what they are expected to use comes back as calls end, before the fifth has another.
    for number in 1..=4 {
        machine.submit(number, vec![call("+2"); 3]);
    }
    for ended in 1..=8 {
        end_one(&mut machine, 5, &mut over);
        let uses = uses(&machine, 5);
        assert_eq!((uses[..4].iter().sum::<u64>(), uses[4]), (ended, 10 - ended), "{uses:?}");
    }
    assert_eq!(uses(&machine, 5), [2; 5], "each has what it was expected to use");

    // They fall quiet again, and it has all ten again.
    for number in (1..=4).flat_map(|number| [number; 3]) {
        end_one(&mut machine, number, &mut over);
    }
    assert_eq!(uses(&machine, 5), [0, 0, 0, 0, 10]);
}

/// What is guaranteed is not lent: with one of the two channels guaranteed, a call of a quiet tenant finds a channel at once.
#[test]
fn mt_16_a_guaranteed_channel_is_free_for_its_tenant_whatever_others_ask_for() {
    let mut tenants: Vec<_> = (1..=4).map(|number| sharing(number, 1, 2, 4, 1_000)).collect();
    tenants.push(sharing(5, 2, 2, 10, 1_000));
    let mut machine = machine(tenants, 10);
    machine.submit(5, vec![call("+1"); 30]);
    assert_eq!(uses(&machine, 5), [0, 0, 0, 0, 6], "four stay free for the others");
    for number in 1..=4 {
        machine.submit(number, vec![call("+2"); 2]);
    }
    assert_eq!(uses(&machine, 5), [1, 1, 1, 1, 6], "their first calls start at once");
}

/// How far a tenant's expected but idle channels are lent is its policy, and a margin of the carrier's is lent to nobody.
#[test]
fn mt_16_what_is_expected_but_idle_is_lent_as_far_as_its_tenant_and_the_margin_say() {
    for (lend, margin, lent_to) in
        [(1_000, 0, 10), (500, 0, 6), (0, 0, 2), (1_000, 3, 7), (500, 3, 3)]
    {
        let mut tenants: Vec<_> = (1..=4).map(|number| sharing(number, 0, 2, 4, lend)).collect();
        tenants.push(sharing(5, 0, 2, 10, 1_000));
        let carrier = Carrier { margin, ..carrier("a", 10, Span::ZERO) };
        let mut machine = over(tenants, carrier);
        machine.submit(5, vec![call("+1"); 30]);
        assert_eq!(uses(&machine, 5)[4], lent_to, "lend {lend}, margin {margin}");
        machine.submit(1, vec![call("+2"); 2]);
        let at_once = (10 - lent_to).min(2);
        assert_eq!(
            uses(&machine, 5)[0],
            at_once,
            "within its expectation all that is free is its own"
        );
    }
}

#[derive(Clone, Debug)]
enum Step {
    Submit {
        tenant: u128,
        count: usize,
    },
    /// The call that has been up longest but for so many ends.
    End {
        which: usize,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let submit =
        (1..=4_u128, 1..6_usize).prop_map(|(tenant, count)| Step::Submit { tenant, count });
    let end = any::<usize>().prop_map(|which| Step::End { which });
    prop::collection::vec(prop_oneof![submit, end], 1..120)
}

/// Guaranteed, expected and maximum use, and what is lent of the expected.
fn shares() -> impl Strategy<Value = Vec<(u32, u32, u32, u16)>> {
    let share = (0..4_u32, 0..4_u32, 0..6_u32, 0..=1_000_u16);
    let share = share.prop_map(|(guaranteed, more, most, lend)| {
        (guaranteed, guaranteed + more, (guaranteed + more + most).max(1), lend)
    });
    prop::collection::vec(share, 4)
}

proptest! {
    /// No tenant below its guarantee is ever refused or delayed for what another took, and none goes beyond its maximum.
    #[test]
    fn mt_16_nobody_waits_below_its_guarantee(shares in shares(), spare in 0..6_u32, steps in steps()) {
        let guaranteed: u32 = shares.iter().map(|share| share.0).sum();
        let tenants = shares.iter().zip(1..).map(|((g, e, m, lend), number)| sharing(number, *g, *e, *m, *lend));
        let mut machine = machine(tenants.collect(), (guaranteed + spare).max(1));
        let (mut up, mut seen) = (VecDeque::new(), 0);
        for step in steps {
            match step {
                Step::Submit { tenant, count } => {
                    machine.submit(tenant, vec![call("+1"); count]);
                }
                Step::End { which } if !up.is_empty() => {
                    let call = up.remove(which % up.len()).expect("it is up");
                    machine.says(call, ended(Outcome::Completed, true));
                }
                Step::End { .. } => {}
            }
            up.extend(machine.dials[seen..].iter().map(|(_, dial)| dial.call));
            seen = machine.dials.len();
            for (number, (guaranteed, _, maximum, _)) in (1..).zip(&shares) {
                let counts = machine.state.tenant_of(account(number)).expect("declared").counts;
                let (used, waits) = (counts.in_progress, counts.queued > 0);
                prop_assert!(!waits || used >= u64::from(*guaranteed), "{number}: {counts:?} of {shares:?}");
                prop_assert!(used <= u64::from(*maximum), "{number}: {counts:?} of {shares:?}");
            }
        }
    }
}
