//! People who have said STOP to a number take no messages from it until they say START, whoever asks for them and whatever waits
//! already. Each is kept with when it was, for as long as it holds: also while its account or number is not declared.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    ops::Bound,
    sync::Arc,
};

use busyhour_base::{
    AccountSid, Body, Direction, Keyword, MessageSpec, MessageStatus, Reason, Timestamp,
};
use serde::{Deserialize, Serialize};

use super::State;
use crate::{
    effect::{Effect, Reply},
    message::{AnsweredBy, Arrival, ChangeOptOuts, OptOut, Person, RemoveOptOut, RemovedOptOut},
};

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
    /// The last that tenants have removed, the oldest first. Shared with a frozen state until there is another one.
    removals: Arc<VecDeque<RemovedOptOut>>,
    /// Removed ever.
    removed: u64,
}

impl OptOuts {
    /// Whether `to` takes no messages from `from`.
    pub fn has(&self, account: AccountSid, from: &str, to: &str) -> bool {
        !self.accounts.is_empty()
            && Person::of(to).is_some_and(|person| self.has_person(account, from, person))
    }

    fn has_person(&self, account: AccountSid, from: &str, person: Person) -> bool {
        let people = self.accounts.get(&account).and_then(|numbers| numbers.get(from));
        people.is_some_and(|people| people.contains_key(&person))
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

    /// Answers since when there was one.
    fn remove(&mut self, account: AccountSid, from: &str, person: Person) -> Option<Since> {
        let numbers = self.accounts.get_mut(&account)?;
        let people = numbers.get_mut(from)?;
        let since = *people.get(&person)?;
        Arc::make_mut(people).remove(&person);
        self.count -= 1;
        if people.is_empty() {
            numbers.remove(from);
        }
        if numbers.is_empty() {
            self.accounts.remove(&account);
        }
        Some(since)
    }

    /// Keeps that a tenant has removed one, among so many at most. Answers whether there was one.
    fn remove_for(
        &mut self,
        account: AccountSid,
        RemoveOptOut { from, person, reason }: &RemoveOptOut,
        now: u64,
        most: usize,
    ) -> bool {
        let Some(since) = self.remove(account, from, *person) else { return false };
        self.removed += 1;
        let removals = Arc::make_mut(&mut self.removals);
        removals.push_back(RemovedOptOut {
            seq: self.removed,
            account,
            from: Arc::clone(from),
            to: *person,
            since: Timestamp(u64::from(since) * 1_000_000),
            removed_at: Timestamp(now),
            reason: Arc::clone(reason),
        });
        while removals.len() > most {
            removals.pop_front();
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

fn seconds(now: u64) -> Since {
    Since::try_from(now / 1_000_000).unwrap_or(Since::MAX)
}

impl State {
    /// What somebody says to a number with a message, if it means something: a word of START only to whom it gives messages
    /// back, since people say yes to much else. Refused if no more people can be kept; the carrier brings the message later.
    pub(super) fn keyword_in(&self, arrival: &Arrival) -> Result<Option<Keyword>, Reason> {
        let (opt_outs, account) = (&self.messages.opt_outs, arrival.account);
        let MessageSpec { to, from, .. } = &*arrival.spec;
        let Some(keyword) = Keyword::of(arrival.body.text()).filter(|_| Person::of(from).is_some())
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

    /// Does what was said, and answers. To who has stopped messages already, a second STOP is not answered. Answers whether the
    /// application is to answer though its recipient takes no other messages.
    pub(super) fn obey(
        &mut self,
        tenant: u32,
        keyword: Keyword,
        arrival: &Arrival,
        fx: &mut Vec<Effect>,
    ) -> bool {
        let account = arrival.account;
        let MessageSpec { to: number, from, .. } = &*arrival.spec;
        let Some(person) = Person::of(from) else { return false };
        let opt_outs = &mut self.messages.opt_outs;
        let since = seconds(self.now);
        let answers = match keyword {
            Keyword::Stop => opt_outs.add(account, &Arc::from(number.as_str()), person, since),
            Keyword::Start => opt_outs.remove(account, number, person).is_some(),
            Keyword::Help => true,
        };
        if !answers || !arrival.answers {
            return false;
        }
        match &arrival.answered_by {
            AnsweredBy::Application => return true,
            AnsweredBy::Platform(Some(text)) => self.answer_keyword(tenant, text, arrival, fx),
            AnsweredBy::Platform(None) => {
                self.answer_keyword(tenant, &Body::from(keyword.answer()), arrival, fx);
            }
        }
        false
    }

    /// The answer goes out though its recipient takes no other messages.
    fn answer_keyword(
        &mut self,
        tenant: u32,
        text: &Body,
        arrival: &Arrival,
        fx: &mut Vec<Effect>,
    ) {
        let spec = MessageSpec {
            to: arrival.spec.from.clone(),
            from: arrival.spec.to.clone(),
            direction: Direction::OutboundReply,
            status_callback: None,
        };
        let queued = self.submit_answer(tenant, &Arc::new(spec), text, true, fx);
        self.messages.answers_refused += u64::from(queued.is_err());
    }

    /// A tenant's own changes. Refused as a whole if too many are asked for at once, or if they could not all be kept.
    pub(super) fn change_opt_outs(&mut self, changes: &ChangeOptOuts) -> Reply {
        let (account, most) = (changes.account, self.message_options.submit_max);
        let adds = || {
            changes.add.iter().flat_map(|(from, people)| people.iter().map(move |one| (from, one)))
        };
        let too_long =
            |one: &RemoveOptOut| one.reason.chars().count() > RemoveOptOut::REASON_CHARS_MAX;
        if adds().count() + changes.remove.len() > most || changes.remove.iter().any(too_long) {
            return Reply::Refused(Reason::TooLarge);
        }
        if let Err(reason) = self.tenant(account) {
            return Reply::Refused(reason);
        }
        let (now, since) = (self.now, seconds(self.now));
        let removals_max = self.message_options.removals_max;
        let opt_outs = &mut self.messages.opt_outs;
        let most = self.message_options.opt_outs_max;
        let news = || adds().filter(|(from, one)| !opt_outs.has_person(account, from, one.person));
        // Who is named twice is kept once; that is looked at only where it matters.
        let named = || news().map(|(from, one)| (from, one.person)).collect::<BTreeSet<_>>();
        let fits = |news: usize| opt_outs.count + news as u64 <= most;
        if !fits(news().count()) && !fits(named().len()) {
            return Reply::Refused(Reason::OptOutsFull);
        }
        let mut added = 0;
        for (from, one) in adds() {
            let since = one.since_s.unwrap_or(since).min(since);
            added += u64::from(opt_outs.add(account, from, one.person, since));
        }
        let mut removed = 0;
        for one in &changes.remove {
            removed += u64::from(opt_outs.remove_for(account, one, now, removals_max));
        }
        Reply::OptOuts { added, removed }
    }

    /// What an account has removed before number `before`, the newest first.
    pub fn removed_opt_outs_of(
        &self,
        account: AccountSid,
        before: u64,
    ) -> impl Iterator<Item = &RemovedOptOut> {
        let all = self.messages.opt_outs.removals.iter().rev();
        all.filter(move |one| one.account == account && one.seq < before)
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
        let last = Person::of(last).unwrap_or(Person::FIRST);
        let bounds = match to {
            Some(to) => Person::of(to).map(|person| (person, person)),
            None => Some((Person::FIRST, Person::LAST)),
        };
        let numbers = self.messages.opt_outs.accounts.get(&account).into_iter();
        let behind = (Bound::Included(number), Bound::Unbounded);
        let numbers = numbers.flat_map(move |numbers| numbers.range::<str, _>(behind));
        let numbers = numbers.filter(move |(number, _)| from.is_none_or(|from| ***number == *from));
        numbers.flat_map(move |(from, people)| {
            let behind = if **from == *number { last.next() } else { Person::FIRST };
            let bounds = bounds.map(|(least, most)| (least.max(behind), most));
            let range = bounds.filter(|(least, most)| least <= most);
            let people = range.map(|(least, most)| people.range(least..=most));
            people.into_iter().flatten().map(move |(person, since)| OptOut {
                from: Arc::clone(from),
                to: person.to_string().into(),
                since: Timestamp(u64::from(*since) * 1_000_000),
            })
        })
    }
}
