//! What a history does with messages.

use std::sync::Arc;

use busyhour_base::{Body, Direction, MessageEvent, MessageSpec, Method, Reason, Span, Webhook};
use busyhour_controller_core::{
    command::{BatchCommand, Command},
    effect::Reply,
    message::{
        AddOptOut, After, Answer, AnsweredBy, Arrival, Asked, Cancel, ChangeOptOuts,
        MessageCommand, MessageReport, NewMessage, Person, RemoveOptOut, Reported, SubmitMessages,
    },
    spec::{BatchId, BatchPlan, Kind, Lines, NewText, Requests, Urgency},
};

use super::{Both, pick};
use crate::{
    model::declared::{number, other_number},
    support::account,
};

impl Both {
    pub(super) fn texts(&mut self, tenant: u128, count: usize, of: u8, begins: u16, lasts: u16) {
        let now = self.machine.now;
        let from = if of.is_multiple_of(2) { number(tenant) } else { other_number(tenant) };
        let new = NewMessage {
            spec: Arc::new(spec(person(of / 2), &from, Direction::OutboundApi)),
            body: 0,
            not_before: (begins > 20).then(|| now + Span(u64::from(begins - 20) * 1_000_003)),
            expires: (lasts > 40).then(|| now + Span(u64::from(lasts - 40) * 1_000_033)),
            urgency: if of > 200 { Urgency::Synchronous } else { Urgency::Ordinary },
        };
        self.apply(Command::Message(MessageCommand::Submit(SubmitMessages {
            account: account(tenant),
            idempotency: None,
            bodies: (1..=4).map(text_of).collect(),
            messages: (0..count)
                .map(|nth| NewMessage {
                    body: (usize::from(of) / 8 + nth) as u32 % 4,
                    ..new.clone()
                })
                .collect(),
        })));
    }

    pub(super) fn cancel_texts(&mut self, which: usize, how: u8) {
        let Some((one, tenant)) = pick(&self.model.texts.waiting(), which) else { return };
        let which = match how {
            0 => Cancel::Waiting { from: Some(number(tenant)), to: None },
            _ => Cancel::One(one),
        };
        let account = account(tenant);
        self.apply(Command::Message(MessageCommand::Cancel { account, which }));
    }

    pub(super) fn answer(&mut self, which: usize, how: u8) {
        let Some((message, attempt)) = pick(&self.model.texts.sending(), which) else { return };
        assert_eq!(self.sent[&message], attempt, "attempts of {message:?} are counted alike");
        let event = match how {
            0 => MessageEvent::NotSent(Reason::LinkLost),
            1 => MessageEvent::Refused(Reason::CarrierFailure),
            _ => MessageEvent::Accepted(format!("{}-{attempt}", message.0).into()),
        };
        let of = Reported::Attempt { message, attempt };
        self.apply(Command::Message(MessageCommand::Reports(vec![MessageReport { of, event }])));
    }

    pub(super) fn text_batch(
        &mut self,
        tenant: u128,
        count: usize,
        plan: BatchPlan,
        lasts: u16,
        start: bool,
    ) {
        let account = account(tenant);
        let plan = Box::new(BatchPlan { kind: Kind::Message, ..plan });
        let create = BatchCommand::Create { account, idempotency: None, plan };
        let Reply::Batch(batch) = self.apply(Command::Batch(create)) else { return };
        self.batches.push((batch, tenant));
        self.take(batch, tenant, count, lasts);
        if start {
            self.apply(Command::Batch(BatchCommand::Start { account, batch }));
        }
    }

    /// So many lines of a batch, by name; those that it has are told to be duplicates.
    fn take(&mut self, batch: BatchId, tenant: u128, count: usize, lasts: u16) {
        let now = self.machine.now;
        let mut requests = Requests::default();
        let from = [(number(tenant), tenant), (other_number(tenant), tenant + 1)];
        let shared = from.map(|(from, long)| {
            requests.share(NewText {
                spec: Arc::new(spec("", &from, Direction::OutboundApi)),
                body: text_of(1 + long as usize % 4),
                not_before: None,
                expires: (lasts > 60).then(|| now + Span(u64::from(lasts - 60) * 1_000_033)),
                urgency: Urgency::Ordinary,
            })
        });
        for line in 0..count {
            let (name, to) = (format!("row-{line}"), format!("+1777{line:04}"));
            requests.push(line as u64 + 1, shared[line % 2], &to, Some(&name));
        }
        let (account, part) = (account(tenant), None);
        let (keys, faults) = (Vec::new(), Vec::new());
        let lines = Lines { account, batch, part, requests, keys, faults };
        self.apply(Command::Batch(BatchCommand::Take(Arc::new(lines))));
    }

    pub(super) fn text_lines(&mut self, which: usize, count: usize) {
        let Some((batch, tenant)) = pick(&self.model.texts.open_batches(), which) else { return };
        self.take(batch, tenant, count, 0);
    }

    /// A carrier brings messages, some of them again, and some of one word. The platform answers those in its words or in the
    /// tenant's, or its application does, or the carrier itself has.
    pub(super) fn arrive(&mut self, tenant: u128, [carrier, reference, count, says]: [u8; 4]) {
        let numbers = [number(tenant), other_number(tenant)];
        let arrivals = (0..count).map(|nth| {
            let (from, word) = (person(says / 7 + nth), says + nth);
            let to = &numbers[usize::from(says.is_multiple_of(5))];
            Arrival {
                account: account(tenant),
                carrier: ["a-text", "b-text", "nobody"][usize::from(carrier)].into(),
                reference: format!("in-{}", reference + nth).into(),
                spec: Arc::new(spec(to, from, Direction::Inbound)),
                body: Body::from(WORDS[usize::from(word) % WORDS.len()]),
                answers: says % 4 < 3,
                answered_by: match says / 4 % 4 {
                    0 | 1 => AnsweredBy::Application,
                    2 => AnsweredBy::Platform(Some(text_of(2))),
                    _ => AnsweredBy::default(),
                },
            }
        });
        let arrivals = arrivals.collect();
        self.apply(Command::Message(MessageCommand::Arrived(arrivals)));
    }

    /// A tenant imports who takes no messages, some of them twice, and removes some.
    pub(super) fn change_opt_outs(&mut self, tenant: u128, [add, remove, since]: [u8; 3]) {
        let numbers = [number(tenant), other_number(tenant)];
        let who = |drawn: u32| Person::of(&format!("+1777000{}", drawn % 4)).expect("a number");
        let now_s = u32::try_from(self.machine.now.0 / 1_000_000).expect("before 2106");
        let since_s = (since % 3 > 0).then(|| now_s + u32::from(since / 3) - 40);
        let people = |count: u8, from: u8| {
            let person = move |nth| who(u32::from(from) + nth * u32::from(from) % 3);
            (0..u32::from(count)).map(move |nth| AddOptOut { person: person(nth), since_s })
        };
        let add = numbers.iter().zip([add % 4, add / 4 % 3]).filter(|(_, count)| *count > 0);
        let add = add.map(|(from, count)| (Arc::clone(from), people(count, since / 8).collect()));
        let removed = (0..remove % 4).map(|nth| RemoveOptOut {
            from: Arc::clone(&numbers[usize::from(remove / 4 + nth) % 2]),
            person: who(u32::from(remove / 16 + nth)),
            reason: format!("reason {since}").into(),
        });
        let (account, remove) = (account(tenant), removed.collect());
        let changes = ChangeOptOuts { account, add: add.collect(), remove };
        self.apply(Command::Message(MessageCommand::OptOuts(changes)));
    }

    /// What a tenant's application answered, or that it did not; also twice, of a question before, and from a number of nobody.
    pub(super) fn asked(&mut self, which: usize, how: u8) {
        let questions = self.model.texts.questions();
        let Some((message, step, tenant)) = pick(&questions, which) else { return };
        let from = [number(tenant), other_number(tenant), "+1000".into()];
        let answers = match how {
            0 | 1 => Vec::new(),
            2..5 => vec![0],
            5 => vec![0, 1, 0],
            6 => vec![1, 2],
            _ => vec![2],
        };
        let answer = |nth: usize| Answer {
            spec: Arc::new(spec(person(which as u8), &from[nth], Direction::OutboundReply)),
            body: text_of(1 + (which + nth) % 4),
        };
        let hook = Webhook { url: format!("https://shop.example/{step}"), method: Method::Post };
        let after = match how {
            1 => After::Failed(Reason::DocumentFailed),
            4 | 6 | 7 => After::Again(hook),
            _ => After::Done,
        };
        let answers = answers.into_iter().map(answer).collect();
        let step = if how == 8 { step - 1 } else { step };
        let asked = Asked { message, step, answers, after };
        let said = if how == 3 { vec![asked.clone(), asked] } else { vec![asked] };
        self.apply(Command::Message(MessageCommand::Asked(said)));
    }

    /// What a carrier reports of a message that it took.
    pub(super) fn deliver(&mut self, which: usize, how: u8) {
        let unreported = self.model.texts.unreported();
        if unreported.is_empty() {
            return;
        }
        let (carrier, reference) = unreported[which % unreported.len()].clone();
        let of = Reported::Reference { carrier: carrier.into(), reference: reference.into() };
        let event = match how {
            0 => MessageEvent::Undelivered(Reason::UnreachableHandset),
            _ => MessageEvent::Delivered,
        };
        self.apply(Command::Message(MessageCommand::Reports(vec![MessageReport { of, event }])));
    }
}

/// What people write.
const WORDS: [&str; 9] = ["STOP", "hi", "quit", "Start", "no stop", " stop\n", "HELP", "yes", "hi"];

/// Somebody. The first ones are among those of batches too, and the last has no number that could be kept.
fn person(which: u8) -> &'static str {
    ["+17770000", "+17770001", "+17770000", "+1777"][usize::from(which) % 4]
}

fn spec(to: &str, from: &str, direction: Direction) -> MessageSpec {
    let (to, from) = (to.to_owned(), from.to_owned());
    MessageSpec { to, from, direction, status_callback: None }
}

fn text_of(segments: usize) -> Body {
    Body::from("x".repeat(1 + (segments - 1) * 153 + usize::from(segments == 2) * 10))
}
