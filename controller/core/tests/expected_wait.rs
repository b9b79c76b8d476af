//! When a call is expected to start: what goes before it, and what does not count.

mod support;

use std::sync::Arc;

use busyhour_base::{ApplicationSid, Reason, Span};
use busyhour_controller_core::{
    Options,
    command::{BatchCommand, Command, Submit},
    effect::Reply,
    spec::{
        Application, BatchPlan, Carrier, Channels, Declaration, NewCall, Pace, Share, Tenant,
        Urgency,
    },
};
use support::{
    Machine, account, call, carrier,
    declared::{FAST, SECOND, declared, from, number, spaced},
    tenant,
};

#[test]
fn mt_5_the_queue_is_bounded_by_the_expected_wait_and_not_by_its_length() {
    let mut slow = tenant(1, Some(Span::from_secs(600)));
    slow.limits.wait_max = Span::from_secs(1_800);
    let mut quick = tenant(2, Some(Span::from_millis(1)));
    quick.limits.wait_max = Span::from_secs(1_800);
    let mut machine = Machine::declared(vec![slow, quick], vec![carrier("a", 1_000, FAST)]);
    let accepted = |reply| match reply {
        Reply::Submitted(verdicts) => verdicts,
        other => panic!("{other:?}"),
    };
    let slow = accepted(machine.submit(1, vec![call("+1"); 7]));
    assert!(slow[..3].iter().all(Result::is_ok), "{slow:?}");
    assert!(slow[5..].iter().all(|one| *one == Err(Reason::WaitTooLong)), "{slow:?}");
    let quick = accepted(machine.submit(2, vec![call("+1"); 900]));
    assert!(quick.iter().all(Result::is_ok), "a long queue that moves fast is no reason");
}

/// What goes before a call that waits are others.
#[test]
fn mt_27_a_call_does_not_wait_for_itself() {
    let hour = Span::from_secs(3_600);
    let mut machine = Machine::declared(vec![tenant(1, Some(hour))], vec![carrier("a", 9, FAST)]);
    machine.accepted(1, call("+1"));
    for position in 0..3 {
        let call = machine.accepted(1, call("+1"));
        let why = machine.state.explain(call).expect("it waits");
        assert_eq!((why.position, why.starts_in), (position, Some(Span(hour.0 * (position + 1)))));
    }
}

/// Calls that may not start now are in nobody's way: of batches that are drafts or paused, however urgent their lines.
#[test]
fn mt_5_the_expected_wait_leaves_out_what_was_not_started() {
    let sid = ApplicationSid(7);
    for scope in ["tenant", "application", "number"] {
        let pace = |of| if of == scope { spaced(SECOND) } else { Pace::default() };
        let mut one = tenant(1, pace("tenant").throttle.map(|throttle| throttle.spacing));
        one.limits.wait_max = Span::from_secs(60);
        one.applications = vec![Application { sid, pace: pace("application") }];
        let numbers = vec![number(1, "+4911", pace("number"))];
        let carriers = vec![carrier("a", 1_000, FAST)];
        let tenants = vec![one];
        let mut machine =
            declared(Declaration { tenants, carriers, numbers, ..Declaration::default() });
        let new = NewCall { application: Some(sid), ..from("+4911", "+1") };
        let line = |urgency| NewCall { urgency, ..new.clone() };
        for urgency in [Urgency::Synchronous, Urgency::Ordinary, Urgency::Ordinary] {
            machine.create_batch(1, BatchPlan::default(), vec![line(urgency); 200]);
        }
        let Reply::Submitted(verdicts) = machine.submit(1, vec![new; 100]) else { panic!() };
        let accepted: Vec<_> = verdicts.into_iter().flatten().collect();
        assert_eq!(accepted.len(), 61, "one at once, and one for each second of a minute, {scope}");
        let last = machine.state.explain(accepted[60].call).expect("it waits");
        assert_eq!(last.position, 59, "{scope}");
    }
}

/// However many batches there are that may not start, and of whichever applications and numbers their lines are. A line of one
/// of them waits for the others of its own.
#[test]
fn mt_5_the_expected_wait_leaves_out_any_number_of_batches_that_were_not_started() {
    let sids = [ApplicationSid(7), ApplicationSid(8)];
    let mut one = tenant(1, None);
    let application = |sid| Application { sid, pace: spaced(SECOND) };
    one.applications = sids.map(application).to_vec();
    let numbers = ["+4911", "+4922"].map(|named| number(1, named, spaced(SECOND))).to_vec();
    let carriers = vec![carrier("a", 1_000, FAST)];
    let tenants = vec![one];
    let options = Options { batch_run_up: Span::from_millis(100), ..Options::default() };
    let mut machine = Machine::with(options);
    let declaration = Declaration { tenants, carriers, numbers, ..Declaration::default() };
    machine.apply(Command::Declare(Box::new(declaration)));
    machine.agent_up("agent", 1, 1_000, 0);
    let new = |sid, number| NewCall { application: Some(sid), ..from(number, "+1") };
    let lines: Vec<_> =
        sids.iter().flat_map(|sid| ["+4911", "+4922"].map(|number| new(*sid, number))).collect();
    let drafts: Vec<_> =
        (0..300).map(|_| machine.create_batch(1, BatchPlan::default(), lines.clone())).collect();
    let wait = |machine: &mut Machine, batch| {
        let calls = vec![new(sids[0], "+4911")];
        let submit = Submit { account: account(1), idempotency: None, batch, calls };
        let Reply::Submitted(verdicts) = machine.apply(Command::Submit(submit)) else { panic!() };
        verdicts[0].expect("accepted").wait.0 / SECOND.0
    };
    assert_eq!(wait(&mut machine, None), 0);
    let own = |machine: &mut Machine| wait(machine, Some(drafts[0]));
    assert_eq!(own(&mut machine), 3, "that one, and one of either queue of its draft");
    assert_eq!(machine.start_batch(1, drafts[1]), Reply::Done);
    assert_eq!(
        wait(&mut machine, None),
        3,
        "one of each queue of the batch that is about to begin"
    );
    machine.apply(Command::Batch(BatchCommand::Pause { account: account(1), batch: drafts[1] }));
    assert_eq!(wait(&mut machine, None), 2, "those that are of no batch");
    machine.replays_alike(300);
}

/// Of a carrier's channels outbound calls have those only that are active and not held or kept for inbound calls.
#[test]
fn mt_14_mt_15_the_expected_wait_counts_the_channels_that_outbound_calls_may_have() {
    let ten = Channels { inbound: 4, outbound: 0, both: 6 };
    let waits = |change: &dyn Fn(&mut Carrier)| {
        let mut one = carrier("a", 10, FAST);
        one.channels = ten;
        change(&mut one);
        let mut machine = Machine::declared(vec![tenant(1, None)], vec![one]);
        let Reply::Submitted(verdicts) = machine.submit(1, vec![call("+1"); 20]) else { panic!() };
        verdicts[19].expect("accepted").wait
    };
    // Nothing has ended, so that a minute is taken for each.
    let with = |channels: u64| Span::from_secs(60 * (20 - channels) / channels);
    assert_eq!(waits(&|_| {}), with(6), "some are for inbound calls only");
    assert_eq!(waits(&|one| one.reserve = 4), with(2));
    assert_eq!(waits(&|one| one.allocation.active = Some(Channels { both: 5, ..ten })), with(5));
    let none = |change: &dyn Fn(&mut Carrier)| {
        let mut one = carrier("a", 10, FAST);
        change(&mut one);
        let (group, lend_permille) = (Arc::clone(&one.group), 1_000);
        let share = Share { group, guaranteed: 0, expected: 0, maximum: 10, lend_permille };
        let owner = Tenant { shares: vec![share], ..tenant(1, None) };
        let mut machine = Machine::declared(vec![owner], vec![one]);
        let waiting = machine.accepted(1, call("+1"));
        let why = machine.state.explain(waiting).expect("it waits");
        assert_eq!(why.starts_in, None);
        // The tenant's share and the carrier say the same.
        let share = machine.state.shares_of(account(1)).next().expect("of the only group").room;
        let carrier = machine.state.carriers().next().expect("one").outbound;
        assert_eq!((share.calls, share.binding), (0, why.binding));
        assert_eq!((carrier.calls, carrier.binding), (0, why.binding));
        why.binding
    };
    assert_eq!(none(&|one| one.reserve = 10), Reason::ChannelsReserved);
    let inactive = Some(Channels::both(0));
    assert_eq!(none(&|one| one.allocation.active = inactive), Reason::ChannelsInactive);
}
