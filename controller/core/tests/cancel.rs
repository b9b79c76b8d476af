//! The end of many requests at once (MT-5).

mod support;

use std::{collections::BTreeSet, sync::Arc};

use busyhour_base::{ApplicationSid, CallSpec, Outcome, Reason, Span, Timestamp};
use busyhour_controller_core::{
    command::{Cancel, Command, Waiting},
    effect::{Effect, Reply},
    spec::{
        Application, BatchPlan, CallId, Declaration, NewCall, Number, NumberKind, Pace, Urgency,
    },
    view::BatchStatus,
};
use proptest::prelude::*;
use support::{Machine, START, account, call, carrier, ended, tenant};

const APPLICATION: ApplicationSid = ApplicationSid(7);

fn from(number: &str, to: &str) -> NewCall {
    let NewCall { spec, .. } = call(to);
    NewCall::of(Arc::new(CallSpec { from: number.into(), ..(*spec).clone() }))
}

/// Two tenants that start a call in ten seconds and one in sixty; the first has two numbers and an application.
fn machine() -> Machine {
    let mut one = tenant(1, Some(Span::from_secs(10)));
    one.applications = vec![Application { sid: APPLICATION, pace: Pace::default() }];
    let number = |number: &str| Number {
        number: number.into(),
        account: account(1),
        kind: NumberKind::Local,
        pace: Pace::default(),
    };
    let declaration = Declaration {
        tenants: vec![one, tenant(2, Some(Span::from_secs(60)))],
        carriers: vec![carrier("a", 1_000, Span::ZERO)],
        numbers: vec![number("+4911"), number("+4922")],
        ..Declaration::default()
    };
    let mut machine = Machine::new();
    assert_eq!(machine.apply(Command::Declare(Box::new(declaration))), Reply::Done);
    machine.agent_up("agent", 1, 1_000, 0);
    machine
}

#[test]
fn mt_5_what_one_number_or_application_has_waiting_is_canceled_at_once() {
    let mut machine = machine();
    let begun = machine.accepted(1, from("+4911", "+1"));
    machine.submit(1, vec![from("+4911", "+1"); 5_000]);
    machine.submit(1, vec![from("+4922", "+1"); 3]);
    machine.submit(1, vec![NewCall { application: Some(APPLICATION), ..from("+4922", "+1") }; 2]);
    machine.submit(1, vec![from("+4933", "+1")]);
    machine.submit(2, vec![call("+1"); 3]);
    let mut cancel = |which| {
        machine.effects.clear();
        let reply = machine.apply(Command::Cancel(Cancel { account: account(1), which }));
        machine.run(Span::from_millis(50));
        let ended = machine
            .effects
            .iter()
            .filter(|fx| matches!(fx, Effect::Notify { outcome: Outcome::Canceled, .. }));
        (reply, ended.count())
    };
    let of_number = |number: &str| Waiting { from: Some(number.into()), ..Waiting::default() };
    let of_application = Waiting { application: Some(APPLICATION), ..Waiting::default() };
    assert_eq!(cancel(of_number("+4911")), (Reply::Canceling(5_000), 5_000));
    assert_eq!(cancel(of_application), (Reply::Canceling(2), 2));
    assert_eq!(cancel(of_number("+4933")), (Reply::Canceling(1), 1), "it is not declared");
    assert_eq!(cancel(of_number("+4944")), (Reply::Canceling(0), 0), "it has nothing waiting");
    let nowhere = Waiting { application: Some(ApplicationSid(99)), ..Waiting::default() };
    assert_eq!(cancel(nowhere).0, Reply::Refused(Reason::UnknownScope));
    assert_eq!(cancel(Waiting::default()), (Reply::Canceling(3), 3));
    assert_eq!(cancel(Waiting::default()), (Reply::Canceling(0), 0));
    assert_eq!(machine.dialled()[0], begun, "what was in progress goes on");
    assert_eq!(machine.state.calls_waiting(), 2, "the other tenant's");
}

/// Ends of calls that the effects tell the status callbacks of, and the records.
fn canceled(machine: &Machine) -> (Vec<CallId>, Vec<CallId>) {
    let told = machine.effects.iter().filter_map(|fx| match fx {
        Effect::Notify { call, outcome: Outcome::Canceled, .. } => Some(*call),
        _ => None,
    });
    let recorded = machine.state.outbox(usize::MAX);
    let recorded = recorded.filter(|record| record.ending.reason == Reason::CanceledByTenant);
    (told.collect(), recorded.map(|record| record.call).collect())
}

#[test]
fn mt_5_a_canceled_line_of_a_batch_lets_the_batch_complete() {
    let mut machine = machine();
    let calls = vec![from("+4911", "+1"), from("+4922", "+2"), from("+4911", "+3")];
    let (batch, calls) = machine.running_batch(1, BatchPlan::default(), calls);
    let which = Waiting { to: Some("+2".into()), ..Waiting::default() };
    let cancel = |which| Command::Cancel(Cancel { account: account(1), which });
    assert_eq!(machine.apply(cancel(which)), Reply::Canceling(1));
    machine.run(Span::from_secs(30));
    assert_eq!(machine.dialled(), [calls[0], calls[2]]);
    for call in machine.dialled() {
        machine.says(call, ended(Outcome::Completed, true));
    }
    let view = machine.state.batch(batch).expect("it is kept");
    assert_eq!(view.status, BatchStatus::Completed);
    assert_eq!(view.counts.ended[Outcome::Canceled as usize], 1);
    machine.replays_alike(2);
}

fn at(s: u64) -> Timestamp {
    START + Span::from_secs(s)
}

fn any_call() -> impl Strategy<Value = (NewCall, bool)> {
    let number = prop::sample::select(vec!["+4911", "+4922", "+4933"]);
    let to = prop::sample::select(vec!["+1", "+2"]);
    let later = prop::option::of(500u64..520);
    (number, to, any::<bool>(), any::<bool>(), later, any::<bool>()).prop_map(
        |(number, to, application, urgent, later, in_batch)| {
            let new = NewCall {
                application: application.then_some(APPLICATION),
                urgency: if urgent { Urgency::Synchronous } else { Urgency::Ordinary },
                not_before: later.map(at),
                ..from(number, to)
            };
            (new, in_batch)
        },
    )
}

fn any_filter() -> impl Strategy<Value = Waiting> {
    let number = prop::option::of(prop::sample::select(vec!["+4911", "+4922", "+4933"]));
    let to = prop::option::of(prop::sample::select(vec!["+1", "+2", "+3"]));
    let urgency =
        prop::option::of(prop::sample::select(vec![Urgency::Synchronous, Urgency::Ordinary]));
    let instant = || prop::option::weighted(0.3, 495u64..525);
    (number, to, any::<bool>(), urgency, instant(), instant()).prop_map(
        |(number, to, application, urgency, scheduled_from, scheduled_before)| Waiting {
            from: number.map(Into::into),
            to: to.map(Into::into),
            application: application.then_some(APPLICATION),
            urgency,
            scheduled_from: scheduled_from.map(at),
            scheduled_before: scheduled_before.map(at),
        },
    )
}

/// By the words of the documentation, call by call.
fn is_meant(which: &Waiting, new: &NewCall) -> bool {
    let same = |wish: &Option<Arc<str>>, is: &str| wish.as_deref().is_none_or(|wish| wish == is);
    same(&which.from, &new.spec.from)
        && same(&which.to, &new.spec.to)
        && which.application.is_none_or(|sid| new.application == Some(sid))
        && which.urgency.is_none_or(|urgency| new.urgency == urgency)
        && which.scheduled_from.is_none_or(|from| new.not_before.is_some_and(|at| at >= from))
        && which.scheduled_before.is_none_or(|until| new.not_before.is_some_and(|at| at < until))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever waits and whatever is chosen of it: exactly that ends, all of it is out of the queues with that one entry, each
    /// has one record and one callback, and all else starts in the end.
    #[test]
    fn mt_5_exactly_what_was_chosen_is_canceled_with_one_entry(
        news in prop::collection::vec(any_call(), 1..30),
        filters in prop::collection::vec(any_filter(), 1..4),
    ) {
        let mut machine = machine();
        let mut waiting = Vec::new();
        for (new, in_batch) in news {
            let call = if in_batch {
                machine.running_batch(1, BatchPlan::default(), vec![new.clone()]).1[0]
            } else {
                machine.accepted(1, new.clone())
            };
            if !machine.dialled().contains(&call) {
                waiting.push((call, new));
            }
        }
        let others = machine.accepted(2, call("+1"));
        let begun = machine.dials.len();
        let mut gone = BTreeSet::new();
        for which in filters {
            let chosen = waiting.iter().filter(|(call, new)| !gone.contains(call) && is_meant(&which, new));
            let chosen: Vec<_> = chosen.map(|(call, _)| *call).collect();
            let reply = machine.apply(Command::Cancel(Cancel { account: account(1), which }));
            prop_assert_eq!(reply, Reply::Canceling(chosen.len() as u64));
            gone.extend(chosen);
        }
        machine.run(Span::from_secs(1_000));
        let started: BTreeSet<_> = machine.dialled().into_iter().collect();
        prop_assert_eq!(machine.dials.len(), started.len());
        prop_assert!(started.contains(&others) && started.is_disjoint(&gone));
        prop_assert_eq!(machine.dials.len() - begun, waiting.len() - gone.len());
        let (mut told, mut recorded) = canceled(&machine);
        told.sort_unstable();
        recorded.sort_unstable();
        let gone: Vec<_> = gone.into_iter().collect();
        prop_assert_eq!(&told, &gone);
        prop_assert_eq!(&recorded, &gone);
        machine.replays_alike(machine.log.len() / 2);
    }
}
