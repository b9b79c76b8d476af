//! Messages that come in (MT-9): taken once for each of the carrier's names, asked about in turns, answered once.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use busyhour_base::{Direction, Keyword, MessageSpec, MessageStatus, Reason, Segments};
use busyhour_controller_core::{
    effect::Effect,
    message::{After, Again, Answer, Arrival, Asked, MessageEffect, MessageId, NewMessage},
    spec::Urgency,
};

use super::{super::Instant, Texts};

/// For so long a carrier's name for a message is remembered.
const REMEMBERED: Instant = 86_400_000_000;
/// How often an application is asked about one message.
const ASKS_MAX: u16 = 10;

/// A message that has come in and about which its application has not said the last word.
#[derive(Clone, Debug)]
struct Received {
    account: u128,
    carrier: String,
    /// The question that is under way; 0 if none was asked.
    step: u16,
    again: Option<Again>,
    said: Option<Keyword>,
    written: Arc<MessageSpec>,
    /// Its first answer goes out, though its sender takes no other messages.
    speaks: bool,
}

/// A question: about which message, which one, where if not at the number's application, and what its sender meant.
type Question = (MessageId, u16, Option<Again>, Option<Keyword>);

/// See the module.
#[derive(Default)]
pub struct Arrivals {
    received: BTreeMap<MessageId, Received>,
    brought: BTreeMap<(u128, String, String), (Instant, MessageId)>,
    /// Since when each tenant stands that has something to be asked about and may be asked.
    stands: BTreeMap<u128, u64>,
    stood: u64,
    /// What is asked with the entry in hand.
    asks: Vec<Question>,
}

impl Arrivals {
    fn of(&self, account: u128) -> impl Iterator<Item = (&MessageId, &Received)> {
        self.received.iter().filter(move |(_, one)| one.account == account)
    }

    fn under_way(&self, account: u128) -> u32 {
        self.of(account).filter(|(_, one)| one.step > 0).count() as u32
    }

    /// Whoever has something to be asked about and may be asked joins the end; who has not, leaves.
    fn stand(&mut self, most: u32) {
        let tenants: BTreeSet<u128> = self.received.values().map(|one| one.account).collect();
        let may = |account: &u128| {
            let waits = self.of(*account).any(|(_, one)| one.step == 0);
            waits && self.under_way(*account) < most
        };
        let may: BTreeSet<u128> = tenants.into_iter().filter(may).collect();
        self.stands.retain(|account, _| may.contains(account));
        for account in may {
            let next = self.stood + 1;
            if *self.stands.entry(account).or_insert(next) == next {
                self.stood = next;
            }
        }
    }

    /// After a restart nobody knows what was answered: every question is asked again.
    pub(super) fn ask_all_again(&mut self) {
        for (message, one) in self.received.iter().filter(|(_, one)| one.step > 0) {
            self.asks.push((*message, one.step, one.again.clone(), one.said));
        }
    }

    /// Questions that are under way.
    fn asked(&self) -> impl Iterator<Item = (&MessageId, &Received)> {
        self.received.iter().filter(|(_, one)| one.step > 0)
    }
}

impl Texts {
    pub(super) fn arrive(
        &mut self,
        arrivals: &[Arrival],
        verdicts: impl Iterator<Item = Result<MessageId, Reason>>,
        effects: &[Effect],
    ) -> Result<(), String> {
        let mut queued = self.queued(effects).into_iter();
        for (arrival, verdict) in arrivals.iter().zip(verdicts) {
            let account = arrival.account.0;
            let key = (account, arrival.carrier.to_string(), arrival.reference.to_string());
            let known = self.arrivals.brought.get(&key).copied();
            let known = known.filter(|(at, _)| self.now - at < REMEMBERED);
            if let Some((_, before)) = known {
                if verdict != Ok(before) {
                    return Err(format!("said {verdict:?} to {arrival:?}, taken as {before:?}"));
                }
                continue;
            }
            let kept_out = self.keeps_out(arrival);
            match verdict {
                Err(reason) if kept_out.contains(&reason) => {}
                Ok(message) if kept_out.is_empty() => {
                    let carrier = arrival.carrier.to_string();
                    let said = self.meant(arrival);
                    let (step, again, written) = (0, None, Arc::clone(&arrival.spec));
                    let speaks = false;
                    let one = Received { account, carrier, step, again, said, written, speaks };
                    self.arrivals.received.insert(message, one);
                    self.arrivals.brought.insert(key, (self.now, message));
                    self.arrivals.stand(self.options.asked_of_tenant_max);
                    if let Some(word) = said {
                        let speaks = self.obey(word, arrival, &mut queued)?;
                        let one = self.arrivals.received.get_mut(&message);
                        one.expect("it was just taken in").speaks = speaks;
                    }
                }
                _ => return Err(format!("said {verdict:?} to {arrival:?}: {kept_out:?}")),
            }
        }
        if let Some((message, _)) = queued.next() {
            return Err(format!("queued {message:?}, which answers no word"));
        }
        self.ask();
        Ok(())
    }

    /// Why a carrier is told to bring it later.
    fn keeps_out(&self, arrival: &Arrival) -> BTreeSet<Reason> {
        let account = arrival.account.0;
        let waiting = self.arrivals.of(account).filter(|(_, one)| one.step == 0).count();
        let line = self.lines.iter().find(|line| line.declared.name == arrival.carrier);
        let of_it = |one: &&Received| *one.carrier == *arrival.carrier;
        let held = self.arrivals.received.values().filter(of_it).count();
        let full = line.is_some_and(|line| held >= line.declared.inbound as usize);
        let rules = [
            (self.tenants[&account].1, Reason::Suspended),
            (waiting >= self.options.inbound_max, Reason::QueueFull),
            (line.is_none_or(|line| !line.there), Reason::NoCarrier),
            (full, Reason::CarrierChannels),
            (self.keeps_no_more(arrival), Reason::OptOutsFull),
        ];
        rules.into_iter().filter(|(binds, _)| *binds).map(|(_, reason)| reason).collect()
    }

    /// Tenants take turns; of each the message goes first that came first.
    fn ask(&mut self) {
        let most = self.options.asked_of_tenant_max;
        self.arrivals.stand(most);
        while (self.arrivals.asked().count() as u32) < self.options.asked_max {
            let first = self.arrivals.stands.iter().min_by_key(|(_, since)| **since);
            let Some(account) = first.map(|(account, _)| *account) else { return };
            self.arrivals.stands.remove(&account);
            let waiting = self.arrivals.of(account).find(|(_, one)| one.step == 0);
            let message = *waiting.expect("it stands for one").0;
            let one = self.arrivals.received.get_mut(&message).expect("it waits");
            one.step = 1;
            self.arrivals.asks.push((message, 1, None, one.said));
            self.arrivals.stand(most);
        }
    }

    /// The first word on a question counts: its answers are queued, and the message is over or asked about again.
    pub(super) fn asked(&mut self, all: &[Asked], effects: &[Effect]) -> Result<(), String> {
        let mut queued = self.queued(effects).into_iter();
        for asked in all {
            let one = self.arrivals.received.get(&asked.message).cloned();
            let Some(one) = one.filter(|one| one.step == asked.step && one.step > 0) else {
                continue;
            };
            let last = self.answers(asked, &one, &mut queued)?;
            match &asked.after {
                After::Again(hook) if asked.step < ASKS_MAX => {
                    let again = Some(Again { hook: hook.clone(), answer: last });
                    let step = asked.step + 1;
                    self.arrivals.asks.push((asked.message, step, again.clone(), one.said));
                    let one = self.arrivals.received.get_mut(&asked.message).expect("it is asked");
                    (one.step, one.again) = (step, again);
                }
                _ => {
                    self.arrivals.received.remove(&asked.message);
                    self.ended.insert(asked.message, MessageStatus::Received);
                    self.arrivals.stand(self.options.asked_of_tenant_max);
                }
            }
        }
        if let Some((message, _)) = queued.next() {
            return Err(format!("queued {message:?}, which no application answered"));
        }
        self.ask();
        Ok(())
    }

    /// Somebody waits for an answer: it goes before ordinary messages of its number. That of a suspended tenant waits with what
    /// it has. The first one to the sender may be a last word. Tells what became of the last answer.
    fn answers<'a>(
        &mut self,
        asked: &Asked,
        Received { account, written, speaks, .. }: &Received,
        queued: &mut impl Iterator<Item = (MessageId, &'a MessageSpec)>,
    ) -> Result<Result<MessageId, Reason>, String> {
        let (account, mut speaks) = (*account, *speaks);
        let mut last = Err(Reason::UnknownMessage);
        for answer in asked.answers.iter().take(self.options.answers_max) {
            let Answer { spec, body } = answer;
            let back = (&spec.to, &spec.from) == (&written.from, &written.to);
            let last_word = back && std::mem::take(&mut speaks);
            last = match !last_word && self.takes_none(account, &spec.from, &spec.to) {
                true => Err(Reason::OptedOut),
                false => self.reply(account, spec, body.text(), queued)?,
            };
            if let Some(text) = last.ok().and_then(|message| self.texts.get_mut(&message)) {
                text.last_word = last_word;
            }
        }
        if let Some(one) = self.arrivals.received.get_mut(&asked.message) {
            one.speaks = speaks;
        }
        Ok(last)
    }

    /// One answer: what became of it.
    pub(super) fn reply<'a>(
        &mut self,
        account: u128,
        spec: &Arc<MessageSpec>,
        text: &str,
        queued: &mut impl Iterator<Item = (MessageId, &'a MessageSpec)>,
    ) -> Result<Result<MessageId, Reason>, String> {
        let segments = Segments::of(text).count.into();
        let own = self.numbers.contains_key(&(account, spec.from.clone()));
        let rules = [
            (!own, Reason::UnknownNumber),
            (!self.fits(account, &spec.from, segments), Reason::SegmentsOverCap),
        ];
        if let Some((_, reason)) = rules.into_iter().find(|(binds, _)| *binds) {
            return Ok(Err(reason));
        }
        let Some((message, made)) = queued.next() else {
            return Err(format!("did not queue {spec:?}"));
        };
        if (&made.from, &made.to) != (&spec.from, &spec.to) {
            return Err(format!("queued {made:?} for {spec:?}"));
        }
        let new = NewMessage {
            spec: Arc::clone(spec),
            body: 0,
            not_before: None,
            expires: None,
            urgency: Urgency::Synchronous,
        };
        self.accept(account, &new, segments, message, None);
        Ok(Ok(message))
    }

    /// Answers that were queued with this entry.
    fn queued<'a>(&self, effects: &'a [Effect]) -> Vec<(MessageId, &'a MessageSpec)> {
        let queued = effects.iter().filter_map(|effect| match effect {
            Effect::Message(MessageEffect::Changed { message, spec, status, .. })
                if spec.direction == Direction::OutboundReply
                    && *status == MessageStatus::Queued
                    && !self.texts.contains_key(message) =>
            {
                Some((*message, &**spec))
            }
            _ => None,
        });
        queued.collect()
    }

    pub(super) fn compare_asks(&mut self, effects: &[Effect]) -> Result<(), String> {
        let mut asks = std::mem::take(&mut self.arrivals.asks);
        let asked = effects.iter().filter_map(|effect| match effect {
            Effect::Message(MessageEffect::Ask(ask)) => {
                Some((ask.message, ask.step, ask.again.clone(), ask.keyword))
            }
            _ => None,
        });
        let mut asked: Vec<Question> = asked.collect();
        let by_number = |(message, step, ..): &Question| (*message, *step);
        asks.sort_by_key(by_number);
        asked.sort_by_key(by_number);
        if asks == asked { Ok(()) } else { Err(format!("asked {asked:?} instead of {asks:?}")) }
    }

    /// Questions that are under way, with what they are about: message, step, tenant.
    pub fn questions(&self) -> Vec<(MessageId, u16, u128)> {
        self.arrivals.asked().map(|(message, one)| (*message, one.step, one.account)).collect()
    }
}
