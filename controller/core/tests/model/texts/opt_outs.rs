//! STOP, START and HELP: who has stopped a number's messages gets none from it until they say START.

use std::collections::{BTreeMap, BTreeSet};

use busyhour_base::{AccountSid, Direction, Keyword, MessageSpec, Reason, is_e164};
use busyhour_controller_core::{
    effect::Reply,
    message::{
        AnsweredBy, Arrival, ChangeOptOuts, MessageId, Person, RemoveOptOut, SubmitMessages,
    },
};

use super::{super::Instant, Text, Texts};

/// Account, its number, and somebody who takes no messages from it.
type Named = (u128, String, String);

/// Since which instant, to the second, people take no messages.
pub type OptOuts = BTreeMap<Named, Instant>;

/// One that a tenant has removed: since when it had held, and why it does not any more.
pub type Removed = (Named, Instant, String);

/// What a text says that histories write.
fn said(text: &str) -> Option<Keyword> {
    match text.trim().to_ascii_uppercase().as_str() {
        "STOP" | "QUIT" => Some(Keyword::Stop),
        "START" | "YES" => Some(Keyword::Start),
        "HELP" => Some(Keyword::Help),
        _ => None,
    }
}

/// An instant to the second.
const fn second(at: Instant) -> Instant {
    at / 1_000_000 * 1_000_000
}

fn named(arrival: &Arrival) -> Named {
    (arrival.account.0, arrival.spec.to.clone(), arrival.spec.from.clone())
}

impl Texts {
    pub(super) fn takes_none(&self, account: u128, from: &str, to: &str) -> bool {
        self.opt_outs.contains_key(&(account, from.to_owned(), to.to_owned()))
    }

    /// Whether nothing is sent when a message's turn comes. The answers to these words go out all the same.
    pub(super) fn is_stopped(&self, text: &Text) -> bool {
        !text.last_word && self.takes_none(text.account, &text.from, &text.to)
    }

    /// What somebody means by a message. Only a whole number can be kept, and a yes to something else is just a yes.
    pub(super) fn meant(&self, arrival: &Arrival) -> Option<Keyword> {
        let word = said(arrival.body.text()).filter(|_| is_e164(&arrival.spec.from));
        let stopped = self.opt_outs.contains_key(&named(arrival));
        word.filter(|word| stopped || *word != Keyword::Start)
    }

    /// Whether a word of STOP has to come later, since nobody more can be kept.
    pub(super) fn keeps_no_more(&self, arrival: &Arrival) -> bool {
        let known = self.opt_outs.contains_key(&named(arrival));
        let news = self.meant(arrival) == Some(Keyword::Stop) && !known;
        news && self.opt_outs.len() as u64 >= self.options.opt_outs_max
    }

    /// A word is answered, unless it was a STOP that changes nothing or the carrier answers for itself. Whether the application may
    /// do that, whoever has stopped its messages.
    pub(super) fn obey<'a>(
        &mut self,
        word: Keyword,
        arrival: &Arrival,
        queued: &mut impl Iterator<Item = (MessageId, &'a MessageSpec)>,
    ) -> Result<bool, String> {
        let (one, now) = (named(arrival), second(self.now));
        let answered = match word {
            Keyword::Stop if self.opt_outs.contains_key(&one) => false,
            Keyword::Stop => self.opt_outs.insert(one, now).is_none(),
            Keyword::Start => self.opt_outs.remove(&one).is_some(),
            Keyword::Help => true,
        };
        if !answered || !arrival.answers {
            return Ok(false);
        }
        let text = match &arrival.answered_by {
            AnsweredBy::Application => return Ok(true),
            AnsweredBy::Platform(Some(own)) => own.text(),
            AnsweredBy::Platform(None) => word.answer(),
        };
        let spec = MessageSpec {
            to: arrival.spec.from.clone(),
            from: arrival.spec.to.clone(),
            direction: Direction::OutboundReply,
            status_callback: None,
        };
        let reply = self.reply(arrival.account.0, &spec.into(), text, queued)?;
        if let Ok(message) = reply {
            self.texts.get_mut(&message).expect("it was just queued").last_word = true;
        }
        Ok(false)
    }

    /// A tenant's own changes: all of them, or none if not all could be kept. Who takes no messages already does so from when
    /// they did, and nobody from an instant to come.
    pub(super) fn change_opt_outs(
        &mut self,
        changes: &ChangeOptOuts,
        reply: &Reply,
    ) -> Result<(), String> {
        let (account, now) = (changes.account.0, second(self.now));
        let named = |from: &str, who: &Person| (account, from.to_owned(), who.to_string());
        let adds = changes.add.iter().flat_map(|(from, people)| {
            people.iter().map(|one| (named(from, &one.person), one.since_s))
        });
        let adds: Vec<_> = adds.collect();
        let after: BTreeSet<_> =
            adds.iter().map(|(one, _)| one).chain(self.opt_outs.keys()).collect();
        let expected = if after.len() as u64 > self.options.opt_outs_max && !adds.is_empty() {
            Reply::Refused(Reason::OptOutsFull)
        } else {
            let (mut added, mut removed) = (0, 0);
            for (one, since) in adds {
                let since = since.map_or(now, |since| u64::from(since) * 1_000_000).min(now);
                added += u64::from(!self.opt_outs.contains_key(&one));
                self.opt_outs.entry(one).or_insert(since);
            }
            for RemoveOptOut { from, person, reason } in &changes.remove {
                let one = named(from, person);
                let Some(since) = self.opt_outs.remove(&one) else { continue };
                removed += 1;
                self.removed.push((one, since, reason.to_string()));
            }
            Reply::OptOuts { added, removed }
        };
        match *reply == expected {
            true => Ok(()),
            false => Err(format!("said {reply:?} to {changes:?} instead of {expected:?}")),
        }
    }

    /// One message that was refused by itself.
    pub(super) fn check_refusal(
        &self,
        submit: &SubmitMessages,
        reason: Reason,
    ) -> Result<(), String> {
        let account = submit.account.0;
        let none = |to: &MessageSpec| self.takes_none(account, &to.from, &to.to);
        match reason == Reason::OptedOut && !submit.messages.iter().all(|new| none(&new.spec)) {
            true => Err("refused a message to somebody who has not stopped it".to_owned()),
            false => Ok(()),
        }
    }

    /// Who takes no messages from which numbers of an account, and since when.
    pub fn opted_out(&self, account: AccountSid) -> Vec<(String, String, Instant)> {
        let of_it = self.opt_outs.iter().filter(|((of, ..), _)| *of == account.0);
        of_it.map(|((_, from, to), since)| (from.clone(), to.clone(), *since)).collect()
    }

    /// What an account has removed, of the last that all of them have, the newest first.
    pub fn removed(&self, account: AccountSid) -> Vec<(String, String, Instant, String)> {
        let last = self.removed.iter().rev().take(self.options.removals_max);
        let of_it = last.filter(|((of, ..), ..)| *of == account.0);
        of_it
            .map(|((_, from, to), since, why)| (from.clone(), to.clone(), *since, why.clone()))
            .collect()
    }
}
