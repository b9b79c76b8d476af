//! People who have said STOP to a number take no messages from it until they say START, whoever asks for them and whatever waits
//! already. Each is kept with when it was, for as long as it holds: also while its account or number is not declared.

use std::{collections::BTreeMap, ops::Bound, sync::Arc};

use busyhour_base::{
    AccountSid, Body, Direction, Keyword, MessageSpec, MessageStatus, Reason, Timestamp, is_e164,
};
use serde::{Deserialize, Serialize};

use super::State;
use crate::{
    effect::Effect,
    message::{Arrival, NewMessage, OptOut},
    spec::Urgency,
};

/// A number in E.164, whose at most 15 digits do not begin with 0.
type Person = u64;

/// When, in seconds since the epoch.
type Since = u32;

/// By an account's number. The people of a number are shared with a frozen state until there is another one.
type Numbers = BTreeMap<Arc<str>, Arc<BTreeMap<Person, Since>>>;

/// Who takes no messages from which numbers. Somebody takes 12 bytes and some for the tree.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct OptOuts {
    accounts: BTreeMap<AccountSid, Numbers>,
    /// All of them.
    count: u64,
}

impl OptOuts {
    /// Whether `to` takes no messages from `from`.
    pub fn has(&self, account: AccountSid, from: &str, to: &str) -> bool {
        let Some(people) = self.accounts.get(&account).and_then(|numbers| numbers.get(from)) else {
            return false;
        };
        person(to).is_some_and(|person| people.contains_key(&person))
    }

    /// Answers whether that is news.
    fn add(&mut self, account: AccountSid, from: &Arc<str>, person: Person, since: Since) -> bool {
        let people = self.accounts.entry(account).or_default().entry(Arc::clone(from)).or_default();
        if people.contains_key(&person) {
            return false;
        }
        Arc::make_mut(people).insert(person, since);
        self.count += 1;
        true
    }

    /// Answers whether there was one.
    fn remove(&mut self, account: AccountSid, from: &str, person: Person) -> bool {
        let Some(numbers) = self.accounts.get_mut(&account) else { return false };
        let Some(people) = numbers.get_mut(from) else { return false };
        if !people.contains_key(&person) {
            return false;
        }
        Arc::make_mut(people).remove(&person);
        self.count -= 1;
        if people.is_empty() {
            numbers.remove(from);
        }
        if numbers.is_empty() {
            self.accounts.remove(&account);
        }
        true
    }

    /// # Errors
    /// One sentence about the first contradiction.
    pub fn check(&self) -> Result<(), String> {
        let numbers = || self.accounts.values().flat_map(BTreeMap::values);
        let count: u64 = numbers().map(|people| people.len() as u64).sum();
        if count != self.count || numbers().any(|people| people.is_empty()) {
            return Err(format!("{count} have opted out, {} are counted", self.count));
        }
        Ok(())
    }
}

fn person(number: &str) -> Option<Person> {
    number.strip_prefix('+').filter(|_| is_e164(number))?.parse().ok()
}

impl State {
    /// What somebody says to a number with a message, if it means something: a word of START only to whom it gives messages
    /// back, since people say yes to much else. Refused if no more people can be kept; the carrier brings the message later.
    pub(super) fn keyword_in(&self, arrival: &Arrival) -> Result<Option<Keyword>, Reason> {
        let (opt_outs, account) = (&self.messages.opt_outs, arrival.account);
        let MessageSpec { to, from, .. } = &*arrival.spec;
        let Some(keyword) = Keyword::of(arrival.body.text()).filter(|_| person(from).is_some())
        else {
            return Ok(None);
        };
        let is_out = opt_outs.has(account, to, from);
        match keyword {
            Keyword::Stop if !is_out && opt_outs.count >= self.message_options.opt_outs_max => {
                Err(Reason::OptOutsFull)
            }
            Keyword::Start if !is_out => Ok(None),
            _ => Ok(Some(keyword)),
        }
    }

    /// Does what was said, and answers. To who has stopped messages already, a second STOP is not answered.
    pub(super) fn obey(
        &mut self,
        tenant: u32,
        keyword: Keyword,
        arrival: &Arrival,
        fx: &mut Vec<Effect>,
    ) {
        let account = arrival.account;
        let MessageSpec { to: number, from, .. } = &*arrival.spec;
        let Some(person) = person(from) else { return };
        let opt_outs = &mut self.messages.opt_outs;
        let since = Since::try_from(self.now / 1_000_000).unwrap_or(Since::MAX);
        let answers = match keyword {
            Keyword::Stop => opt_outs.add(account, &Arc::from(number.as_str()), person, since),
            Keyword::Start => opt_outs.remove(account, number, person),
            Keyword::Help => true,
        };
        if answers && arrival.answers {
            self.answer_keyword(tenant, keyword, arrival, fx);
        }
    }

    /// The answer goes out though its recipient takes no other messages.
    fn answer_keyword(
        &mut self,
        tenant: u32,
        keyword: Keyword,
        arrival: &Arrival,
        fx: &mut Vec<Effect>,
    ) {
        let spec = MessageSpec {
            to: arrival.spec.from.clone(),
            from: arrival.spec.to.clone(),
            direction: Direction::OutboundReply,
            status_callback: None,
        };
        let new = NewMessage {
            spec: Arc::new(spec),
            body: 0,
            not_before: None,
            expires: None,
            urgency: Urgency::Synchronous,
        };
        let body = Body::from(keyword.answer());
        match self.accept_message(tenant, &new, &body, (None, true), fx) {
            Ok(_) => {}
            Err(_) => self.messages.answers_refused += 1,
        }
    }

    /// Whether a message must not be sent: its recipient takes none from its number.
    pub(super) fn is_opted_out(&self, id: u32) -> bool {
        let message = &self.messages.all[id];
        let account = self.tenants[message.tenant].account;
        let MessageSpec { from, to, .. } = &*message.spec;
        !message.answers_keyword && self.messages.opt_outs.has(account, from, to)
    }

    /// A message whose turn has come ends instead: nothing of it was sent.
    pub(super) fn end_opted_out(&mut self, id: u32, fx: &mut Vec<Effect>) {
        self.end_message(id, MessageStatus::Failed, Reason::OptedOut, fx);
    }

    /// How many people have opted out of messages, over all accounts.
    pub fn opted_out(&self) -> u64 {
        self.messages.opt_outs.count
    }

    /// Who has opted out of messages of an account, in order of its number and theirs, behind `after`; with `from` or `to` those of
    /// these numbers only.
    pub fn opt_outs_of<'a>(
        &'a self,
        account: AccountSid,
        from: Option<&'a str>,
        to: Option<&'a str>,
        after: Option<(&'a str, &'a str)>,
    ) -> impl Iterator<Item = OptOut> + 'a {
        let (number, last) = after.unwrap_or_default();
        let last = person(last).unwrap_or(0);
        let bounds = match to {
            Some(to) => person(to).map(|person| (person, person)),
            None => Some((0, Person::MAX)),
        };
        let numbers = self.messages.opt_outs.accounts.get(&account).into_iter();
        let behind = (Bound::Included(number), Bound::Unbounded);
        let numbers = numbers.flat_map(move |numbers| numbers.range::<str, _>(behind));
        let numbers = numbers.filter(move |(number, _)| from.is_none_or(|from| ***number == *from));
        numbers.flat_map(move |(from, people)| {
            let behind = if **from == *number { last + 1 } else { 0 };
            let bounds = bounds.map(|(least, most)| (least.max(behind), most));
            let range = bounds.filter(|(least, most)| least <= most);
            let people = range.map(|(least, most)| people.range(least..=most));
            people.into_iter().flatten().map(move |(person, since)| OptOut {
                from: Arc::clone(from),
                to: format!("+{person}").into(),
                since: Timestamp(u64::from(*since) * 1_000_000),
            })
        })
    }
}
