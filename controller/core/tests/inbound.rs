//! Inbound calls (MT-6, MT-9): before everything, over the channel of the carrier that offers them, for a bounded time.

mod support;

use std::sync::Arc;

use busyhour_base::{CallEvent, Direction, Ending, Outcome, Reason, Span};
use busyhour_controller_core::{
    command::{AgentCommand, Capacity, Change, Command, Offer},
    effect::{Answer, Effect, Phase, Reply},
    spec::{AgentIx, CallId, Carrier, Destination, Share, Urgency},
};
use support::{Machine, account, call, carrier, ended, tenant};

const RING: Span = Span::from_secs(20);

/// One tenant, one carrier of so many channels, and one agent of so many slots.
fn machine(channels: u32, slots: u32) -> (Machine, AgentIx) {
    let mut machine = Machine::new();
    let carriers = vec![carrier("north", channels, Span::ZERO)];
    let declaration = support::declaration(vec![tenant(1, None)], carriers);
    machine.apply(Command::Declare(Box::new(declaration)));
    let agent = machine.agent_up("agent", 1, slots, 0);
    (machine, agent)
}

fn offer(agent: AgentIx, number: u64) -> Offer {
    let mut spec = (*call("+15550100001").spec).clone();
    (spec.direction, spec.ring_timeout) = (Direction::Inbound, RING);
    Offer {
        agent,
        incarnation: 1,
        offer: number,
        carrier: "north".into(),
        account: account(1),
        spec: Arc::new(spec),
    }
}

fn verdict(machine: &mut Machine, offer: Offer) -> Result<CallId, Reason> {
    match machine.apply(Command::Offer(vec![offer])) {
        Reply::Offered(verdicts) => verdicts[0],
        other => panic!("{other:?}"),
    }
}

fn answers(machine: &Machine) -> Vec<Answer> {
    let answer = |effect: &Effect| match effect {
        Effect::Answer(answer) => Some(answer.clone()),
        _ => None,
    };
    machine.effects.iter().filter_map(answer).collect()
}

fn refusals(machine: &Machine) -> Vec<(u64, Reason)> {
    let refusal = |effect: &Effect| match effect {
        Effect::Refuse { offer, reason, .. } => Some((*offer, *reason)),
        _ => None,
    };
    machine.effects.iter().filter_map(refusal).collect()
}

fn ending_of(machine: &Machine, call: CallId) -> Ending {
    machine.state.call(call).and_then(|view| view.ending).expect("it has ended")
}

#[test]
fn mt_9_a_call_is_served_at_once_where_there_is_room_and_has_one_record() {
    let (mut machine, agent) = machine(1, 1);
    let call = verdict(&mut machine, offer(agent, 1)).unwrap();
    let answer = answers(&machine).pop().unwrap();
    assert_eq!((answer.call, answer.attempt, answer.offer), (call, 1, 1));
    assert_eq!((&*answer.carrier, answer.held_by), ("north", Reason::Ready));
    for event in [CallEvent::Ringing, CallEvent::Answered, ended(Outcome::Completed, true)] {
        machine.report(agent, call, 1, event.clone());
        machine.report(agent, call, 1, event);
    }
    let records: Vec<_> = machine.state.outbox(9).collect();
    assert_eq!(records.len(), 1);
    assert_eq!((records[0].call, records[0].spec.direction), (call, Direction::Inbound));
    assert_eq!(records[0].carrier.as_deref(), Some("north"));
    let view = machine.state.tenants().next().unwrap();
    assert_eq!((view.inbound.offered, view.inbound.answered, view.inbound.ringing), (1, 1, 0));
    machine.replays_alike(3);
}

#[test]
fn mt_6_the_next_channel_is_the_callers_however_many_requests_wait() {
    let (mut machine, agent) = machine(2, 10);
    machine.submit(1, vec![call("+1"); 50]);
    assert_eq!(machine.dials.len(), 2);
    let call = verdict(&mut machine, offer(agent, 1)).unwrap();
    assert!(answers(&machine).is_empty());
    assert_eq!(machine.state.call(call).unwrap().phase, Phase::Ringing);
    assert_eq!(machine.state.explain(call).unwrap().binding, Reason::CarrierChannels);
    machine.run(Span::from_secs(7));
    let first = machine.dials[0].1.call;
    machine.says(first, ended(Outcome::Completed, true));
    assert_eq!(answers(&machine)[0].call, call);
    assert_eq!(answers(&machine)[0].held_by, Reason::CarrierChannels);
    assert_eq!(machine.dials.len(), 2, "no request goes before it");
    assert_eq!(machine.state.call(call).unwrap().queue_time, Span::from_secs(7));
    machine.report(agent, call, 1, ended(Outcome::Completed, true));
    assert_eq!(machine.dials.len(), 3, "then requests go on");
    machine.replays_alike(4);
}

#[test]
fn mt_6_neither_throttle_nor_cap_nor_set_up_rate_nor_service_ports_hold_a_caller() {
    let mut machine = Machine::new();
    let mut narrow = carrier("north", 10, Span::from_secs(60));
    narrow.service_ports = 1;
    let declaration =
        support::declaration(vec![tenant(1, Some(Span::from_secs(3_600)))], vec![narrow]);
    machine.apply(Command::Declare(Box::new(declaration)));
    let agent = machine.agent_up("agent", 1, 100, 0);
    machine.submit(1, vec![call("+1"); 3]);
    for number in 1..=9 {
        verdict(&mut machine, offer(agent, number)).unwrap();
    }
    assert_eq!(answers(&machine).len(), 9);
}

#[test]
fn mt_9_it_rings_for_a_bounded_time_and_is_then_refused_with_what_it_waited_for() {
    let (mut machine, agent) = machine(1, 10);
    machine.submit(1, vec![call("+1")]);
    let call = verdict(&mut machine, offer(agent, 7)).unwrap();
    machine.run(RING - Span::from_millis(1));
    assert_eq!(refusals(&machine), []);
    machine.run(Span::from_millis(1));
    assert_eq!(refusals(&machine), [(7, Reason::CarrierChannels)]);
    let ending = ending_of(&machine, call);
    assert_eq!((ending.reason, ending.ring), (Reason::CarrierChannels, RING));
    let first = machine.dials[0].1.call;
    machine.says(first, ended(Outcome::Completed, true));
    assert!(answers(&machine).is_empty(), "nobody is there any more");
    assert_eq!(machine.state.outbox(9).count(), 2);
}

#[test]
fn mt_9_without_a_slot_it_rings_until_one_is_free_and_first_come_is_first_served() {
    let (mut machine, agent) = machine(10, 1);
    let calls = [1, 2, 3].map(|number| verdict(&mut machine, offer(agent, number)).unwrap());
    assert_eq!(machine.state.explain(calls[1]).unwrap().binding, Reason::Workers);
    for call in calls {
        assert_eq!(answers(&machine).last().unwrap().call, call);
        machine.report(agent, call, 1, ended(Outcome::Completed, true));
    }
    assert_eq!(answers(&machine).len(), 3);
}

#[test]
fn a_channel_in_quarantine_is_given_to_the_caller_when_it_is_sure() {
    let (mut machine, agent) = machine(1, 10);
    machine.submit(1, vec![call("+1"); 2]);
    let call = verdict(&mut machine, offer(agent, 1)).unwrap();
    let first = machine.dials[0].1.call;
    machine.says(first, ended(Outcome::Completed, false));
    assert!(answers(&machine).is_empty());
    machine.run(Span::from_secs(5));
    assert_eq!(answers(&machine)[0].call, call);
    assert_eq!(machine.dials.len(), 1);
}

#[test]
fn what_is_refused_at_once_leaves_no_trace() {
    let (mut machine, agent) = machine(1, 10);
    let good = offer(agent, 5);
    verdict(&mut machine, good.clone()).unwrap();
    let refused = [
        (good.clone(), Reason::Duplicate),
        (Offer { offer: 4, ..good.clone() }, Reason::Duplicate),
        (Offer { offer: 6, incarnation: 2, ..good.clone() }, Reason::LinkLost),
        (Offer { offer: 6, account: account(9), ..good.clone() }, Reason::UnknownTenant),
        (Offer { offer: 6, carrier: "south".into(), ..good.clone() }, Reason::UnknownCarrier),
        (Offer { offer: 6, agent: AgentIx(9), ..good.clone() }, Reason::WrongState),
    ];
    let before = machine.state.tenants().next().unwrap();
    for (offer, reason) in refused {
        assert_eq!(verdict(&mut machine, offer), Err(reason));
    }
    let fence = machine.state.agents().next().unwrap().fence;
    let load = AgentCommand::Load { agent, fence, cpu_permille: 0, draining: true };
    machine.apply(Command::Agent(load));
    let refused = verdict(&mut machine, Offer { offer: 6, ..good });
    assert_eq!(refused, Err(Reason::AgentDraining));
    assert_eq!(machine.state.tenants().next().unwrap(), before);
}

#[test]
fn mt_6_no_request_makes_itself_a_call_of_a_carrier() {
    let (mut machine, _) = machine(1, 10);
    let mut urgent = call("+1");
    urgent.urgency = Urgency::Inbound;
    assert_eq!(machine.submit(1, vec![urgent]), Reply::Refused(Reason::WrongState));
    assert!(machine.dials.is_empty());
}

#[test]
fn callers_who_ring_are_bounded() {
    let options = busyhour_controller_core::Options { ringing_max: 2, ..Default::default() };
    let mut machine = Machine::with(options);
    let carriers = vec![carrier("north", 1, Span::ZERO)];
    let declaration = support::declaration(vec![tenant(1, None)], carriers);
    machine.apply(Command::Declare(Box::new(declaration)));
    let agent = machine.agent_up("agent", 1, 10, 0);
    let verdicts = [1, 2, 3, 4].map(|number| verdict(&mut machine, offer(agent, number)).is_ok());
    assert_eq!(verdicts, [true, true, true, false], "one is up, two ring");
}

#[test]
fn a_caller_who_gives_up_frees_nothing_and_is_recorded_once() {
    let (mut machine, agent) = machine(1, 10);
    verdict(&mut machine, offer(agent, 1)).unwrap();
    let call = verdict(&mut machine, offer(agent, 2)).unwrap();
    let gone = CallEvent::Ended(Ending {
        outcome: Outcome::NoAnswer,
        reason: Reason::CallerGaveUp,
        sip_code: 487,
        ring: Span::from_secs(3),
        talk: Span::ZERO,
        digits: String::new(),
        confirmed: true,
    });
    machine.report(agent, call, 1, gone.clone());
    machine.report(agent, call, 1, gone);
    assert_eq!(ending_of(&machine, call).outcome, Outcome::NoAnswer);
    assert_eq!(refusals(&machine), [], "the caller is gone");
    assert_eq!(machine.state.outbox(9).count(), 1);
}

#[test]
fn calls_that_ring_end_with_their_agents_link_and_those_that_were_admitted_when_it_does_not_know_them()
 {
    let (mut machine, agent) = machine(1, 10);
    let up = verdict(&mut machine, offer(agent, 1)).unwrap();
    let rings = verdict(&mut machine, offer(agent, 2)).unwrap();
    let away = AgentCommand::Disconnected { agent, incarnation: 1 };
    machine.apply(Command::Agent(away));
    assert_eq!(ending_of(&machine, rings).reason, Reason::LinkLost);
    assert_eq!(machine.state.call(up).unwrap().phase, Phase::Dialling);
    let fence = answers(&machine)[0].fence;
    machine.agent_up("agent", 1, 10, fence);
    let ending = ending_of(&machine, up);
    assert!(ending.confirmed && ending.outcome == Outcome::Failed);
    let view = machine.state.carriers().next().unwrap();
    assert_eq!((view.availability.free, view.availability.held()), (1, 0));
}

#[test]
fn a_tenant_may_end_a_call_that_rings_and_a_carrier_that_goes_takes_its_callers_with_it() {
    let (mut machine, agent) = machine(1, 10);
    let calls = [1, 2, 3].map(|number| verdict(&mut machine, offer(agent, number)).unwrap());
    assert_eq!(machine.update(1, calls[1], Change::Cancel), Reply::Done);
    assert_eq!(refusals(&machine), [(2, Reason::CanceledByTenant)]);
    let none = support::declaration(vec![tenant(1, None)], vec![]);
    machine.apply(Command::Declare(Box::new(none)));
    assert_eq!(refusals(&machine)[1..], [(3, Reason::UnknownCarrier)]);
    machine.report(agent, calls[0], 1, ended(Outcome::Completed, true));
    assert_eq!(machine.state.carriers().count(), 0);
    assert_eq!(machine.state.outbox(9).count(), 3);
}

/// MT-9, MT-16: a caller whom a guarantee holds up holds up no caller of another carrier, who may take a channel that is held
/// for inbound calls.
#[test]
fn mt_9_callers_of_one_carrier_do_not_wait_for_those_of_another() {
    let mut guaranteed = tenant(2, None);
    guaranteed.shares = vec![Share {
        group: "default".into(),
        guaranteed: 2,
        expected: 2,
        maximum: 2,
        lend_permille: 0,
    }];
    let carriers = vec![carrier("north", 2, Span::ZERO), carrier("south", 1, Span::ZERO)];
    let mut machine = Machine::new();
    let declaration = support::declaration(vec![tenant(1, None), guaranteed], carriers);
    machine.apply(Command::Declare(Box::new(declaration)));
    let agent = machine.agent_up("agent", 1, 9, 0);
    machine.accepted(1, call("+1"));
    assert_eq!(machine.dials.len(), 1);
    let north = verdict(&mut machine, offer(agent, 1)).unwrap();
    let south = Offer { carrier: "south".into(), ..offer(agent, 2) };
    let south = verdict(&mut machine, south).unwrap();
    assert!(answers(&machine).is_empty());
    let carrier = "south".into();
    let held = Capacity { carrier, active: None, reserve: Some(1), margin: None };
    assert_eq!(machine.apply(Command::Capacity(held)), Reply::Done);
    let answered: Vec<_> = answers(&machine).iter().map(|answer| answer.call).collect();
    assert_eq!(answered, [south]);
    assert_eq!(machine.state.explain(north).unwrap().binding, Reason::ChannelsKept);
}

/// A share of so many channels of a group at most.
fn at_most(group: &str, maximum: u32) -> Share {
    Share { group: group.into(), guaranteed: 0, expected: 0, maximum, lend_permille: 1_000 }
}

/// MT-9: who waits for its tenant's maximum and for a channel goes before who came later and waits for the channel alone, when
/// one call's end gives both.
#[test]
fn mt_9_what_comes_free_is_for_the_caller_who_came_first() {
    let mut shared = tenant(1, None);
    shared.shares = vec![at_most("default", 2)];
    let carriers = vec![carrier("north", 2, Span::ZERO), carrier("south", 1, Span::ZERO)];
    let mut machine = Machine::new();
    let declaration = support::declaration(vec![shared, tenant(2, None)], carriers);
    machine.apply(Command::Declare(Box::new(declaration)));
    let agent = machine.agent_up("agent", 1, 9, 0);
    let of = [(1, "north"), (1, "south"), (1, "north"), (2, "north"), (2, "north")];
    let calls: Vec<_> = (1..)
        .zip(of)
        .map(|(number, (owner, carrier))| {
            let (account, carrier) = (account(owner), carrier.into());
            verdict(&mut machine, Offer { account, carrier, ..offer(agent, number) }).unwrap()
        })
        .collect();
    let up = |machine: &Machine| answers(machine).iter().map(|up| up.call).collect::<Vec<_>>();
    assert_eq!(up(&machine), [calls[0], calls[1], calls[3]]);
    machine.report(agent, calls[0], 1, ended(Outcome::Completed, true));
    let answer = answers(&machine).pop().unwrap();
    assert_eq!((answer.call, answer.held_by), (calls[2], Reason::TenantChannels));
    machine.report(agent, calls[3], 1, ended(Outcome::Completed, true));
    let answer = answers(&machine).pop().unwrap();
    assert_eq!((answer.call, answer.held_by), (calls[4], Reason::CarrierChannels));
    machine.replays_alike(3);
}

/// MT-9, MT-16: a tenant has a maximum in each group, and its callers of one do not wait for those of another.
#[test]
fn mt_9_callers_of_one_group_do_not_wait_for_those_of_another() {
    let mut shared = tenant(1, None);
    shared.shares = vec![at_most("a", 1), at_most("b", 1)];
    let of = |name, group: &str, prefix: &str| Carrier {
        group: group.into(),
        serves: vec![Destination { prefix: prefix.into(), calls: true, ..Destination::default() }],
        ..carrier(name, 2, Span::ZERO)
    };
    let carriers = vec![of("north", "a", "+1"), of("south", "b", "+4")];
    let mut machine = Machine::declared(vec![shared], carriers);
    let agent = machine.agent_up("second", 1, 9, 0);
    let calls: Vec<_> = (1..)
        .zip(["north", "south", "north", "south"])
        .map(|(number, carrier)| {
            let offer = Offer { carrier: carrier.into(), ..offer(agent, number) };
            verdict(&mut machine, offer).unwrap()
        })
        .collect();
    assert_eq!(answers(&machine).len(), 2);
    machine.report(agent, calls[1], 1, ended(Outcome::Completed, true));
    let answer = answers(&machine).pop().unwrap();
    assert_eq!((answer.call, answer.held_by), (calls[3], Reason::TenantChannels));
}

/// MT-9, MT-16: the channel that was kept from a caller is taken by whom it was kept for, and the caller waits for another one.
#[test]
fn mt_9_a_caller_is_told_what_holds_it_now() {
    let mut guaranteed = tenant(2, None);
    guaranteed.shares = vec![Share { guaranteed: 1, expected: 1, ..at_most("default", 1) }];
    let carriers = vec![carrier("north", 1, Span::ZERO)];
    let mut machine = Machine::declared(vec![tenant(1, None), guaranteed], carriers);
    let agent = machine.agent_up("second", 1, 9, 0);
    let caller = verdict(&mut machine, offer(agent, 1)).unwrap();
    let held_by = |machine: &Machine| machine.state.explain(caller).unwrap().binding;
    assert_eq!(held_by(&machine), Reason::ChannelsKept);
    machine.accepted(2, call("+1"));
    assert_eq!(held_by(&machine), Reason::CarrierChannels);
    machine.run(RING);
    assert_eq!(refusals(&machine), [(1, Reason::CarrierChannels)]);
}
