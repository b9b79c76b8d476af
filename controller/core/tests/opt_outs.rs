//! STOP, START and HELP: who has stopped a number's messages gets none from it, whatever was asked for before or is asked for
//! then, until they say START.

mod support;

use std::sync::Arc;

use busyhour_base::{
    AccountSid, Body, Direction, Keyword, MessageSpec, MessageStatus, Reason, Span,
};
use busyhour_controller_core::{
    MessageOptions, Options, State,
    command::Command,
    effect::{Effect, Reply},
    message::{
        AcceptedMessage, AddOptOut, After, Answer, AnsweredBy, Arrival, Asked, ChangeOptOuts,
        MessageCarrier, MessageCommand, MessageEffect, MessageId, MessageLimits, NewMessage,
        Person, RemoveOptOut,
    },
    spec::{RetryOn, Throttle},
    view::BatchStatus,
};
use support::{
    Machine, account, batch_texts,
    texts::{self, FROM, Messages, TO, declared, message, spec, submit},
};

/// A carrier that may bring so much that nobody need answer.
fn carrier(outbound: u32) -> MessageCarrier {
    MessageCarrier { inbound: 100, ..texts::carrier(outbound, Span::ZERO) }
}

fn machine() -> Machine {
    texts::machine(declared(MessageLimits::default(), None, carrier(100)))
}

fn says_to(number: &str, reference: &str, text: &str) -> Arrival {
    Arrival {
        account: account(1),
        carrier: "text".into(),
        reference: reference.into(),
        spec: Arc::new(MessageSpec {
            to: number.to_owned(),
            from: TO.to_owned(),
            direction: Direction::Inbound,
            status_callback: None,
        }),
        body: Body::from(text),
        answers: true,
        answered_by: AnsweredBy::default(),
    }
}

/// Somebody writes to the number. The message, and what the application is told that it says.
fn says(
    machine: &mut Machine,
    reference: &str,
    text: &str,
) -> (Result<AcceptedMessage, Reason>, Option<Keyword>) {
    let arrived = MessageCommand::Arrived(vec![says_to(FROM, reference, text)]);
    let verdict = machine.verdicts(Command::Message(arrived))[0];
    let asked = machine.effects.iter().rev().find_map(|effect| match effect {
        Effect::Message(MessageEffect::Ask(ask)) => Some(ask.keyword),
        _ => None,
    });
    (verdict, asked.flatten())
}

/// What was sent since this was asked last.
fn sent(machine: &Machine, seen: &mut usize) -> Vec<String> {
    let sends = machine.sends();
    let news = sends.iter().skip(std::mem::replace(seen, sends.len()));
    news.map(|send| send.body.text().to_owned()).collect()
}

fn send(machine: &mut Machine) -> Result<AcceptedMessage, Reason> {
    machine.verdicts(submit(1, "offer", vec![message(FROM); 2]))[0]
}

fn opted_out(machine: &Machine, of: AccountSid) -> Vec<(String, String)> {
    let all = machine.state.opt_outs_of(of, None, None, None);
    all.map(|one| (one.from.to_string(), one.to.to_string())).collect()
}

#[test]
fn stop_ends_messages_from_that_number_and_start_begins_them_again() {
    let (mut machine, mut seen) = (machine(), 0);
    assert!(send(&mut machine).is_ok());
    sent(&machine, &mut seen);
    let (verdict, said) = says(&mut machine, "1", " Stop\n");
    assert_eq!((verdict.is_ok(), said), (true, Some(Keyword::Stop)), "it comes in all the same");
    assert_eq!(sent(&machine, &mut seen), [Keyword::Stop.answer()], "the last word goes out");
    assert_eq!(opted_out(&machine, account(1)), [(FROM.to_owned(), TO.to_owned())]);
    assert_eq!(send(&mut machine), Err(Reason::OptedOut));
    assert_eq!(says(&mut machine, "2", "quit").1, Some(Keyword::Stop));
    assert!(sent(&machine, &mut seen).is_empty(), "who has stopped is not told again");
    assert_eq!(says(&mut machine, "3", "help").1, Some(Keyword::Help));
    assert_eq!(sent(&machine, &mut seen), [Keyword::Help.answer()]);
    assert_eq!(says(&mut machine, "4", "what is this?").1, None);

    // Another tenant's messages, and those to others, go out.
    let to_other = MessageSpec { to: "+15550300009".to_owned(), ..(*spec(FROM)).clone() };
    let to_other = NewMessage { spec: Arc::new(to_other), ..message(FROM) };
    assert!(machine.verdicts(submit(1, "offer", vec![to_other]))[0].is_ok());
    sent(&machine, &mut seen);

    assert_eq!(says(&mut machine, "5", "START").1, Some(Keyword::Start));
    assert_eq!(sent(&machine, &mut seen), [Keyword::Start.answer()]);
    assert_eq!(says(&mut machine, "6", "yes").1, None, "yes to something else");
    assert!(send(&mut machine).is_ok());
    assert_eq!(sent(&machine, &mut seen), ["offer", "offer"]);
    assert!(opted_out(&machine, account(1)).is_empty());
    machine.replays_alike(4);
}

#[test]
fn what_waits_when_somebody_says_stop_is_not_sent_and_what_the_application_answers_neither() {
    let spacing = Some(Span::from_secs(1));
    let limits = MessageLimits {
        throttle: spacing.map(|spacing| Throttle { spacing }),
        ..MessageLimits::default()
    };
    let mut machine = texts::machine(declared(limits, None, carrier(10)));
    let mut seen = 0;
    let waiting: Vec<MessageId> = machine
        .verdicts(submit(1, "offer", vec![message(FROM); 3]))
        .into_iter()
        .map(|verdict| verdict.expect("accepted").message)
        .collect();
    assert_eq!(sent(&machine, &mut seen), ["offer"]);
    let (verdict, _) = says(&mut machine, "1", "STOP");
    let asked = verdict.expect("taken in").message;
    let answer = Answer { spec: spec(FROM), body: Body::from("why?") };
    let (step, after) = (1, After::Done);
    let told = Asked { message: asked, step, answers: vec![answer], after };
    machine.apply(Command::Message(MessageCommand::Asked(vec![told])));
    machine.run(Span::from_secs(10));
    assert_eq!(sent(&machine, &mut seen), [Keyword::Stop.answer()]);
    for message in &waiting[1..] {
        assert_eq!(machine.status(*message), MessageStatus::Failed);
    }
    let record = machine.state.message_outbox(9).find(|record| record.message == waiting[1]);
    let record = record.expect("it has ended");
    assert_eq!((record.reason, record.attempts), (Reason::OptedOut, 0));
    assert_eq!((record.sent_at, &record.carrier), (None, &None), "no carrier had it");
    machine.state.check().unwrap();
    machine.replays_alike(3);
}

#[test]
fn no_more_people_than_the_bound_are_kept_and_none_of_them_is_dropped() {
    let options = MessageOptions { opt_outs_max: 1, ..MessageOptions::default() };
    let mut machine = Machine::with(Options::default());
    machine.state = State::new().with_messages(options);
    let mut declaration = declared(MessageLimits::default(), None, carrier(10));
    machine.apply(Command::Declare(Box::new(declaration.clone())));
    assert!(says(&mut machine, "1", "stop").0.is_ok());
    let mut other = says_to(FROM, "2", "stop");
    other.spec = Arc::new(MessageSpec { from: "+15550300009".into(), ..(*other.spec).clone() });
    let again = |other: &Arrival| Command::Message(MessageCommand::Arrived(vec![other.clone()]));
    assert_eq!(machine.verdicts(again(&other)), [Err(Reason::OptOutsFull)], "brought again later");
    assert_eq!(machine.state.opted_out(), 1);
    assert!(says(&mut machine, "3", "start").0.is_ok());
    assert!(machine.verdicts(again(&other))[0].is_ok());
    // A sender that is no number cannot be written to anyhow.
    other.reference = "4".into();
    other.spec = Arc::new(MessageSpec { from: "BANK".into(), ..(*other.spec).clone() });
    assert!(machine.verdicts(again(&other))[0].is_ok());
    assert_eq!(machine.state.opted_out(), 1);
    // An account that goes and comes back still knows.
    let tenants = std::mem::take(&mut declaration.tenants);
    machine.apply(Command::Declare(Box::new(declaration.clone())));
    declaration.tenants = tenants;
    machine.apply(Command::Declare(Box::new(declaration)));
    assert_eq!(opted_out(&machine, account(1)), [(FROM.to_owned(), "+15550300009".to_owned())]);
    machine.state.check().unwrap();
}

#[test]
fn opt_outs_are_listed_page_by_page_by_number_and_by_person() {
    let mut machine = machine();
    let people: Vec<String> = (0..5).map(|n| format!("+1555030000{n}")).collect();
    for number in [FROM, "+15550100002"] {
        for person in &people {
            let mut arrival = says_to(number, &format!("{number} {person}"), "stop");
            arrival.spec =
                Arc::new(MessageSpec { from: person.clone(), ..(*arrival.spec).clone() });
            machine.apply(Command::Message(MessageCommand::Arrived(vec![arrival])));
        }
    }
    let list = |from: Option<&str>, to: Option<&str>, after: Option<(&str, &str)>| {
        let all = machine.state.opt_outs_of(account(1), from, to, after);
        all.map(|one| (one.from.to_string(), one.to.to_string())).collect::<Vec<_>>()
    };
    let all = list(None, None, None);
    assert_eq!(all.len(), 10);
    for (place, (from, to)) in all.iter().enumerate() {
        assert_eq!(list(None, None, Some((from, to))), all[place + 1..]);
    }
    assert_eq!(list(Some(FROM), None, None).len(), 5);
    assert_eq!(list(None, Some(&people[2]), None).len(), 2);
    assert_eq!(list(Some(FROM), Some(&people[2]), None), [(FROM.to_owned(), people[2].clone())]);
    assert!(list(Some(FROM), Some(&people[2]), Some((FROM, &people[2]))).is_empty());
    assert!(list(None, Some("+4930"), None).is_empty());
    assert!(list(None, Some("sip:a@b"), None).is_empty());
    let since = machine.state.opt_outs_of(account(1), None, None, None).next().unwrap().since;
    assert_eq!(since, machine.state.now());
}

/// What tenants change themselves, and what they and their applications say.
mod administration {
    use super::*;

    fn add(to: &[&str], since_s: Option<u32>) -> ChangeOptOuts {
        let people = to.iter().map(|to| {
            let person = Person::of(to).expect("a number");
            AddOptOut { person, since_s }
        });
        let add = vec![(Arc::from(FROM), people.collect())];
        ChangeOptOuts { account: account(1), add, remove: Vec::new() }
    }

    fn remove(to: &str, reason: &str) -> ChangeOptOuts {
        let person = Person::of(to).expect("a number");
        let one = RemoveOptOut { from: FROM.into(), person, reason: reason.into() };
        ChangeOptOuts { account: account(1), add: Vec::new(), remove: vec![one] }
    }

    fn changes(machine: &mut Machine, changes: ChangeOptOuts) -> Reply {
        machine.apply(Command::Message(MessageCommand::OptOuts(changes)))
    }

    fn done(added: u64, removed: u64) -> Reply {
        Reply::OptOuts { added, removed }
    }

    #[test]
    fn who_is_imported_gets_nothing_and_who_is_removed_gets_messages_again() {
        let mut machine = machine();
        let long_ago = 1_000_000_000;
        let import = add(&[TO, "+15550300009", TO], Some(long_ago));
        assert_eq!(changes(&mut machine, import.clone()), done(2, 0));
        assert_eq!(changes(&mut machine, import), done(0, 0), "again is no news");
        assert_eq!(send(&mut machine), Err(Reason::OptedOut));
        let since = machine.state.opt_outs_of(account(1), None, Some(TO), None).next();
        assert_eq!(since.unwrap().since.as_micros(), u64::from(long_ago) * 1_000_000);
        // Nobody opts out in the future.
        assert_eq!(changes(&mut machine, add(&["+15550300010"], Some(u32::MAX))), done(1, 0));
        let to = Some("+15550300010");
        let since = machine.state.opt_outs_of(account(1), None, to, None).next();
        assert_eq!(since.unwrap().since, machine.state.now());

        assert_eq!(changes(&mut machine, remove(TO, "asked us by letter")), done(0, 1));
        assert_eq!(changes(&mut machine, remove(TO, "again")), done(0, 0));
        assert!(send(&mut machine).is_ok());
        let removed: Vec<_> = machine.state.removed_opt_outs_of(account(1), u64::MAX).collect();
        let [one] = removed[..] else { panic!("{removed:?}") };
        assert_eq!(
            (&*one.from, &*one.to.to_string(), &*one.reason),
            (FROM, TO, "asked us by letter")
        );
        assert_eq!(
            (one.since.as_micros(), one.removed_at),
            (u64::from(long_ago) * 1_000_000, machine.state.now())
        );
        assert_eq!(machine.state.removed_opt_outs_of(account(1), one.seq).count(), 0);
        assert_eq!(machine.state.removed_opt_outs_of(account(2), u64::MAX).count(), 0);
        machine.state.check().unwrap();
        machine.replays_alike(4);
    }

    #[test]
    fn too_much_is_refused_and_nothing_of_it_is_done() {
        let bounds = MessageOptions {
            opt_outs_max: 3,
            submit_max: 4,
            removals_max: 2,
            ..Default::default()
        };
        let mut machine = Machine::with(Options::default());
        machine.state = State::new().with_messages(bounds);
        let declaration = declared(MessageLimits::default(), None, carrier(10));
        machine.apply(Command::Declare(Box::new(declaration)));
        let people: Vec<String> = (0..5).map(|n| format!("+1555030000{n}")).collect();
        let people: Vec<&str> = people.iter().map(String::as_str).collect();
        assert_eq!(changes(&mut machine, add(&people, None)), Reply::Refused(Reason::TooLarge));
        let four = add(&people[..4], None);
        assert_eq!(changes(&mut machine, four), Reply::Refused(Reason::OptOutsFull));
        assert_eq!(machine.state.opted_out(), 0);
        let twice = [people[0], people[1], people[2], people[0]];
        assert_eq!(
            changes(&mut machine, add(&twice, None)),
            done(3, 0),
            "who is named twice is one"
        );
        let long = "x".repeat(RemoveOptOut::REASON_CHARS_MAX + 1);
        let too_long = remove(people[0], &long);
        assert_eq!(changes(&mut machine, too_long), Reply::Refused(Reason::TooLarge));
        let stranger = ChangeOptOuts { account: account(9), ..remove(people[0], "why") };
        assert_eq!(changes(&mut machine, stranger), Reply::Refused(Reason::UnknownTenant));
        for one in &people[..3] {
            assert_eq!(changes(&mut machine, remove(one, one)), done(0, 1));
        }
        // The newest first; the oldest of three has gone.
        let kept = machine.state.removed_opt_outs_of(account(1), u64::MAX);
        let kept: Vec<_> = kept.map(|one| one.reason.to_string()).collect();
        assert_eq!(kept, [people[2], people[1]]);
        machine.state.check().unwrap();
    }

    #[test]
    fn a_tenants_own_words_are_answered() {
        let (mut machine, mut seen) = (machine(), 0);
        let mut says = says_to(FROM, "1", "STOP");
        says.answered_by = AnsweredBy::Platform(Some(Body::from("You hear no more from us.")));
        machine.apply(Command::Message(MessageCommand::Arrived(vec![says])));
        assert_eq!(sent(&machine, &mut seen), ["You hear no more from us."]);
        assert_eq!(send(&mut machine), Err(Reason::OptedOut));
    }

    /// The application's first answer to who it wrote goes out; nothing else does.
    #[test]
    fn an_application_that_answers_has_one_last_word() {
        let (mut machine, mut seen) = (machine(), 0);
        let mut says = |machine: &mut Machine, reference: &str, text: &str, answers: usize| {
            let mut says = says_to(FROM, reference, text);
            says.answered_by = AnsweredBy::Application;
            let arrived = MessageCommand::Arrived(vec![says]);
            let verdict = machine.verdicts(Command::Message(arrived))[0];
            assert!(sent(machine, &mut seen).is_empty(), "the platform says nothing");
            let other = MessageSpec { to: "+15550300009".into(), ..(*spec(FROM)).clone() };
            let mut all = vec![Answer { spec: Arc::new(other), body: Body::from("to another") }];
            let own =
                |n| Answer { spec: spec(FROM), body: Body::from(format!("word {n}").as_str()) };
            all.extend((1..=answers).map(own));
            let message = verdict.expect("taken in").message;
            let asked = Asked { message, step: 1, answers: all, after: After::Done };
            machine.apply(Command::Message(MessageCommand::Asked(vec![asked])));
            machine.run(Span::from_secs(1));
            let mut said = sent(machine, &mut seen);
            said.retain(|text| text != "to another");
            said
        };
        assert_eq!(says(&mut machine, "1", "stop", 2), ["word 1"]);
        assert_eq!(send(&mut machine), Err(Reason::OptedOut));
        assert!(says(&mut machine, "2", "stop", 2).is_empty(), "who has stopped is not told again");
        assert_eq!(says(&mut machine, "3", "help", 2), ["word 1"]);
        assert_eq!(says(&mut machine, "4", "hello?", 1), [""; 0]);
        assert_eq!(says(&mut machine, "5", "start", 2), ["word 1", "word 2"]);
        machine.state.check().unwrap();
        machine.replays_alike(3);
    }
}

/// Lines of batches.
mod lines {
    use super::{
        support::batch_texts::{Batches, at, ended, retries, text, to},
        *,
    };
    use busyhour_base::MessageEvent;

    #[test]
    fn lines_to_who_has_opted_out_are_refused_by_line_or_end_without_being_tried_again() {
        let mut machine = batch_texts::machine();
        let number = batch_texts::FROM;
        let says = |machine: &mut Machine, n: usize, text: &str| {
            let mut arrival = says_to(number, text, text);
            let spec = MessageSpec { from: to(n), ..(*arrival.spec).clone() };
            arrival.spec = Arc::new(spec);
            machine.apply(Command::Message(MessageCommand::Arrived(vec![arrival])));
        };
        says(&mut machine, 1, "stop");
        let on = RetryOn { failed: true, undelivered: true, ..RetryOn::default() };
        let mut plan = retries(on, Span::from_secs(1));
        plan.throttle = Some(Throttle { spacing: Span::from_secs(1) });
        let batch = machine.draft(plan);
        let lines = batch_texts::lines(4, text(number, "offer"));
        assert_eq!(machine.takes(batch, lines), [None, Some(Reason::OptedOut), None, None]);
        machine.start_batch(1, batch);
        says(&mut machine, 3, "end");
        machine.run(Span::from_secs(30));
        let offers = machine.sends().into_iter().filter(|send| send.body.text() == "offer");
        let offers: Vec<_> = offers.collect();
        assert_eq!(offers.len(), 2, "two of the four");
        machine.now = at(40);
        for offer in &offers {
            machine.taken(offer);
            machine.ends(offer, MessageEvent::Delivered);
        }
        let view = machine.view(batch);
        assert_eq!((view.status, view.started), (BatchStatus::Completed, 2));
        assert_eq!(ended(&view, MessageStatus::Failed), 1);
    }
}
