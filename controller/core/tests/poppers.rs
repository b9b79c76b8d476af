//! Queue poppers: how many requests are taken out of the queues at one instant (MT-10).

mod support;

use std::collections::BTreeMap;

use busyhour_base::{Outcome, Reason, Span};
use busyhour_controller_core::{
    Options,
    command::Command,
    effect::Reply,
    spec::{Carrier, Declaration, Destination, NewCall},
};
use proptest::prelude::*;
use support::{Machine, account, call, carrier, ended, tenant};

fn serving(name: &str, channels: u32, spacing: Span, prefix: &str) -> Carrier {
    let destination = Destination {
        prefix: prefix.into(),
        kinds: Vec::new(),
        calls: true,
        messages: false,
        prices: Vec::new(),
    };
    Carrier { serves: vec![destination], ..carrier(name, channels, spacing) }
}

fn machine(poppers_max: u32, carriers: Vec<Carrier>) -> Machine {
    let mut machine = Machine::with(Options { poppers_max, ..Options::default() });
    let tenants = vec![tenant(1, None), tenant(2, None)];
    let declaration = Declaration { tenants, carriers, ..Declaration::default() };
    assert_eq!(machine.apply(Command::Declare(Box::new(declaration))), Reply::Done);
    machine.agent_up("agent", 1, 1_000, 0);
    machine
}

/// MT-27: what waits for poppers is explained by them, and not by a rate that its carrier does not have.
#[test]
fn mt_10_whoever_waits_for_poppers_is_told_so() {
    let mut machine = machine(2, vec![serving("a", 100, Span::ZERO, "+49")]);
    machine.submit(1, vec![call("+491"); 3]);
    let next = machine.accepted(1, call("+491"));
    let further = machine.accepted(1, call("+491"));
    for call in [next, further] {
        let why = machine.state.explain(call).expect("it waits");
        assert_eq!(why.binding, Reason::Poppers, "{why:?}");
        assert!(why.starts_in <= Some(Span(2)), "{why:?}");
    }
    // Where there is a rate, it is what binds.
    let mut spaced = self::machine(2, vec![serving("a", 100, Span::from_millis(100), "+49")]);
    spaced.submit(1, vec![call("+491"); 9]);
    let last = spaced.accepted(1, call("+491"));
    let why = spaced.state.explain(last).expect("it waits");
    assert_eq!(why.binding, Reason::CarrierRate, "{why:?}");
}

#[test]
fn mt_10_what_exceeds_the_poppers_goes_on_at_the_next_instant_and_keeps_its_place() {
    let carriers = vec![serving("a", 100, Span::ZERO, "+49"), serving("b", 100, Span::ZERO, "+44")];
    let mut machine = machine(3, carriers);
    machine.submit(1, vec![call("+491"); 8]);
    assert_eq!(machine.dials.len(), 3, "one for each popper");
    let poppers = machine.state.poppers(10);
    assert_eq!(poppers.len(), 1, "nothing waits for the other carrier: {poppers:?}");
    let (one, carriers) = (&poppers[0], &poppers[0].carriers);
    assert_eq!(carriers.iter().map(|name| &**name).collect::<Vec<_>>(), ["a"]);
    assert_eq!((one.number, one.most, one.at_work), (3, 3, 3), "{one:?}");
    assert_eq!((one.waiting, one.capacity), (5, 97), "{one:?}");
    let last = machine.accepted(1, call("+491"));
    // The long queue for one carrier takes none of the other's poppers.
    machine.submit(2, vec![call("+441"); 2]);
    assert_eq!(machine.dials.len(), 5, "at the same instant");
    machine.run(Span::from_millis(1));
    assert_eq!(machine.dials.len(), 11);
    assert!(machine.dials[5..8].iter().all(|(_, dial)| dial.held_by == Reason::Poppers));
    let mut calls: Vec<_> =
        machine.dials.iter().filter(|(_, dial)| dial.account == account(1)).collect();
    assert_eq!(calls.pop().expect("eight").1.call, last);
    assert!(calls.is_sorted_by_key(|(_, dial)| dial.call));
}

#[test]
fn mt_10_their_number_follows_queue_channels_and_rate() {
    // A call in 204 ms: five a second.
    let slow = Carrier { service_ports: 4, ..serving("a", 30, Span::from_millis(204), "+49") };
    let mut machine = machine(1_000, vec![slow]);
    let number = |machine: &Machine| machine.state.poppers(1).first().map_or(0, |one| one.number);
    machine.submit(1, vec![call("+491"); 2]);
    assert_eq!(number(&machine), 2, "by the queue: one started and one waits");
    machine.submit(1, vec![call("+491"); 8]);
    assert_eq!(number(&machine), 4, "by the service ports");
    machine.run(Span::from_millis(700));
    assert_eq!(machine.dials.len(), 4);
    machine.run(Span::from_secs(5));
    machine.apply(Command::Tick);
    assert_eq!(number(&machine), 0, "nothing could be taken: {:?}", machine.state.poppers(1));
    for call in machine.dialled() {
        machine.says(call, ended(Outcome::Completed, true));
    }
    assert_eq!(number(&machine), 4, "by the service ports, at once");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// However few poppers there are: never more starts of a route at an instant, and the same starts in the same order.
    #[test]
    fn mt_10_poppers_bound_each_instant_and_change_no_order(
        most in 1u32..5,
        bursts in prop::collection::vec((0u64..3, 1u128..3, 1usize..12, any::<bool>()), 1..12),
    ) {
        let run = |most: u32| {
            let carriers = vec![
                serving("a", 1_000, Span::ZERO, "+49"),
                serving("b", 1_000, Span::ZERO, "+44"),
            ];
            let mut machine = machine(most, carriers);
            for (gap, owner, count, first) in &bursts {
                machine.run(Span::from_millis(*gap));
                let to: Vec<NewCall> = vec![call(if *first { "+491" } else { "+441" }); *count];
                machine.submit(*owner, to);
            }
            machine.run(Span::from_secs(1));
            let mut at = BTreeMap::<_, u32>::new();
            let mut order = BTreeMap::<_, Vec<_>>::new();
            for (now, dial) in &machine.dials {
                *at.entry((*now, dial.carrier.to_string())).or_default() += 1;
                order.entry((dial.account, dial.carrier.to_string())).or_default().push(dial.call);
            }
            (at.into_values().max(), order)
        };
        let ((bounded, few), (_, many)) = (run(most), run(10_000));
        prop_assert!(bounded <= Some(most));
        prop_assert_eq!(few, many);
    }
}
