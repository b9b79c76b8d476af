//! STOP, START and HELP: who has stopped a number's messages gets none from it until they say START.

use std::collections::BTreeSet;

use busyhour_base::{AccountSid, Direction, Keyword, MessageSpec, Reason, is_e164};
use busyhour_controller_core::message::{Arrival, MessageId, SubmitMessages};

use super::{Text, Texts};

/// Account, its number, and who takes no messages from it.
pub type OptOuts = BTreeSet<(u128, String, String)>;

/// What a text says that histories write.
fn said(text: &str) -> Option<Keyword> {
    match text.trim().to_ascii_uppercase().as_str() {
        "STOP" | "QUIT" => Some(Keyword::Stop),
        "START" | "YES" => Some(Keyword::Start),
        "HELP" => Some(Keyword::Help),
        _ => None,
    }
}

fn named(arrival: &Arrival) -> (u128, String, String) {
    (arrival.account.0, arrival.spec.to.clone(), arrival.spec.from.clone())
}

impl Texts {
    pub(super) fn takes_none(&self, account: u128, from: &str, to: &str) -> bool {
        self.opt_outs.contains(&(account, from.to_owned(), to.to_owned()))
    }

    /// Whether nothing is sent when a message's turn comes. The answers to these words go out all the same.
    pub(super) fn is_stopped(&self, text: &Text) -> bool {
        !text.last_word && self.takes_none(text.account, &text.from, &text.to)
    }

    /// What somebody means by a message. Only a whole number can be kept, and a yes to something else is just a yes.
    pub(super) fn meant(&self, arrival: &Arrival) -> Option<Keyword> {
        let word = said(arrival.body.text()).filter(|_| is_e164(&arrival.spec.from));
        let stopped = self.opt_outs.contains(&named(arrival));
        word.filter(|word| stopped || *word != Keyword::Start)
    }

    /// Whether a word of STOP has to come later, since nobody more can be kept.
    pub(super) fn keeps_no_more(&self, arrival: &Arrival) -> bool {
        let news =
            self.meant(arrival) == Some(Keyword::Stop) && !self.opt_outs.contains(&named(arrival));
        news && self.opt_outs.len() as u64 >= self.options.opt_outs_max
    }

    /// A word is answered, unless it was a STOP that changes nothing or the carrier answers for itself.
    pub(super) fn obey<'a>(
        &mut self,
        word: Keyword,
        arrival: &Arrival,
        queued: &mut impl Iterator<Item = (MessageId, &'a MessageSpec)>,
    ) -> Result<(), String> {
        let one = named(arrival);
        let answered = match word {
            Keyword::Stop => self.opt_outs.insert(one),
            Keyword::Start => self.opt_outs.remove(&one),
            Keyword::Help => true,
        };
        if !answered || !arrival.answers {
            return Ok(());
        }
        let spec = MessageSpec {
            to: arrival.spec.from.clone(),
            from: arrival.spec.to.clone(),
            direction: Direction::OutboundReply,
            status_callback: None,
        };
        let reply = self.reply(arrival.account.0, &spec.into(), word.answer(), queued)?;
        if let Ok(message) = reply {
            self.texts.get_mut(&message).expect("it was just queued").last_word = true;
        }
        Ok(())
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

    /// Who takes no messages from which numbers of an account.
    pub fn opted_out(&self, account: AccountSid) -> Vec<(String, String)> {
        let of_it = self.opt_outs.iter().filter(|(of, ..)| *of == account.0);
        of_it.map(|(_, from, to)| (from.clone(), to.clone())).collect()
    }
}
