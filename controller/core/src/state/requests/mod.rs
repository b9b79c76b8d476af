//! Where requests are kept from their acceptance until they are in the records. What every one has is six bytes and
//! its own strings; what only a few have (times, attempts, a stage beside waiting) lies apart.
//!
//! Numbers are given one after the other, so a request's id is found by its number in tables, without hashing: each
//! page of ids stands for [`PAGE`] consecutive numbers, and goes when the last of them does. Everything is reached
//! through methods; nobody else knows the layout.

use std::{
    collections::BTreeMap,
    io::{self, Read, Write},
    sync::Arc,
};

use busyhour_base::{CallSpec, Span, Timestamp};
use serde::{Deserialize, Serialize};

use super::calls::Stage;
use crate::{
    engine::{
        ring::NIL,
        slab::Slab,
        wheel::{Handle, NO_TIMER},
    },
    paged::Paged,
    spec::{CallId, NewRequest},
};

mod arena;
mod list;
mod names;
mod packed;
mod shared;
mod text;
mod word;

pub(super) use list::List;
pub(super) use names::Names;

use arena::{Arena, Place};
use list::Lists;
use packed::Facts;
use shared::Specs;
use word::{Whereabouts, Word};

/// Numbers, and ids, of a page.
const PAGE: u64 = 64;
/// Pages of a node of the directory.
const NODE: u64 = 1_024;

const GONE: &str = "ids are held only while their request lives";

/// What a request has that does not simply wait for its first attempt.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Aside {
    request: u32,
    place: Place,
    stage: Stage,
    attempt: u16,
    times: Times,
}

/// A request's own times and their timers.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Times {
    pub not_before: Option<Timestamp>,
    pub expires: Option<Timestamp>,
    /// Its beginning is that of another attempt.
    pub again: bool,
    /// In the engine's wheel.
    pub begin: Handle,
    /// In the wheel of expiries.
    pub end: Handle,
}

const NO_TIMES: Times =
    Times { not_before: None, expires: None, again: false, begin: NO_TIMER, end: NO_TIMER };

/// Pages of ids by the numbers that they stand for.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Node {
    pages: Vec<u32>,
    used: u32,
}

/// The requests.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Requests {
    words: Paged<Word, 4_096>,
    /// Of each page the first number, and in its lowest bits, which that does not need, how many are there, less one.
    firsts: Paged<u64, 512>,
    /// When the first of each page was accepted.
    begun: Paged<u64, 512>,
    free: Vec<u32>,
    directory: BTreeMap<u64, Node>,
    asides: Slab<Aside>,
    arena: Arena,
    specs: Specs,
    lists: Lists,
    len: usize,
    /// Of the requests in the arena.
    packed_bytes: u64,
    #[serde(skip)]
    scratch: Vec<u8>,
}

impl Requests {
    /// Takes a new request in. Numbers and instants never go back.
    pub fn insert(
        &mut self,
        call: CallId,
        (lane, in_batch): (u32, bool),
        new: NewRequest<'_>,
        at: u64,
        wait: Span,
    ) -> u32 {
        let page = self.page(call.0, at);
        let id = page * PAGE as u32 + (call.0 % PAGE) as u32;
        let facts = Facts {
            lane,
            wait_ms: u32::try_from(wait.as_millis()).unwrap_or(u32::MAX),
            accepted: at - self.begun[page as usize],
        };
        let spec = &new.rest.spec;
        let kind = self.specs.choose(lane, in_batch, spec);
        let base = (kind, self.specs.get(lane, kind));
        self.scratch.clear();
        packed::write(&mut self.scratch, facts, (new.to, spec), new.custom_id, base);
        self.packed_bytes += self.scratch.len() as u64;
        self.words[id as usize] = Word::plain(self.arena.push(call.0, &self.scratch));
        self.len += 1;
        self.tidy();
        id
    }

    /// A request belongs to another lane from now on.
    pub fn move_to(&mut self, id: u32, lane: u32, in_batch: bool) {
        let place = self.place(id);
        let (packed, length) = packed::read(self.arena.from(place));
        let (base, facts) = (packed.base, Facts { lane, ..packed.facts });
        let spec = packed.spec(self.specs.get(packed.facts.lane, base));
        let custom_id = packed.custom_id.map(|custom_id| custom_id.to_text());
        let kind = self.specs.choose(lane, in_batch, &spec);
        let to = (kind, self.specs.get(lane, kind));
        self.scratch.clear();
        packed::write(&mut self.scratch, facts, (&spec.to, &spec), custom_id.as_deref(), to);
        self.packed_bytes = self.packed_bytes + self.scratch.len() as u64 - length as u64;
        let moved = self.arena.put(self.call(id).0, &self.scratch);
        self.lies_at(id, moved);
        self.specs.release(base);
        self.arena.remove(place, length);
        self.tidy();
    }

    /// Forgets a request.
    pub fn remove(&mut self, id: u32) {
        let place = self.place(id);
        let word = std::mem::take(&mut self.words[id as usize]);
        if let Whereabouts::Aside(number) = word.whereabouts() {
            self.asides.remove(number);
        }
        let (packed, length) = packed::read(self.arena.from(place));
        self.specs.release(packed.base);
        self.packed_bytes -= length as u64;
        self.len -= 1;
        let page = id / PAGE as u32;
        let first = &mut self.firsts[page as usize];
        if first.is_multiple_of(PAGE) {
            let first = *first;
            self.forget_page(first, page);
        } else {
            *first -= 1;
        }
        self.arena.remove(place, length);
        self.tidy();
    }

    /// The request of a number.
    #[inline]
    pub fn find(&self, call: CallId) -> Option<u32> {
        let page = call.0 / PAGE;
        let page = self.directory.get(&(page / NODE))?.pages[(page % NODE) as usize];
        if page == NIL {
            return None;
        }
        let id = page * PAGE as u32 + (call.0 % PAGE) as u32;
        (self.words[id as usize] != Word::default()).then_some(id)
    }

    /// How many there are.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// How many bytes they have of their own and share: what was asked, and a few for each. What lies in the arena may take up
    /// to twice as many.
    pub const fn bytes(&self) -> u64 {
        self.packed_bytes + self.specs.bytes()
    }

    /// A request's number.
    pub fn call(&self, id: u32) -> CallId {
        let first = self.firsts[(id / PAGE as u32) as usize];
        CallId(first - first % PAGE + u64::from(id) % PAGE)
    }

    /// Where a request is.
    pub fn stage(&self, id: u32) -> Stage {
        self.aside(id).map_or(Stage::Queued, |aside| aside.stage)
    }

    /// Puts a request elsewhere.
    pub fn set_stage(&mut self, id: u32, stage: Stage) {
        self.aside_mut(id).stage = stage;
    }

    /// Its lane.
    pub fn lane(&self, id: u32) -> u32 {
        self.facts(id).lane
    }

    /// Expected wait at acceptance; at most 49 days.
    pub fn wait(&self, id: u32) -> Span {
        Span::from_millis(self.facts(id).wait_ms.into())
    }

    /// When it was accepted.
    pub fn accepted_at(&self, id: u32) -> Timestamp {
        Timestamp(self.begun[(id / PAGE as u32) as usize] + self.facts(id).accepted)
    }

    /// How many attempts were begun.
    pub fn attempt(&self, id: u32) -> u16 {
        self.aside(id).map_or(0, |aside| aside.attempt)
    }

    /// Begins another attempt; tells which it is.
    pub fn begin_attempt(&mut self, id: u32) -> u16 {
        let aside = self.aside_mut(id);
        aside.attempt += 1;
        aside.attempt
    }

    /// So many attempts were begun of the line that it stands for.
    pub fn go_on_from(&mut self, id: u32, attempts: u16) {
        self.aside_mut(id).attempt = attempts;
    }

    /// What was asked.
    pub fn spec(&self, id: u32) -> Arc<CallSpec> {
        let (packed, _) = packed::read(self.arena.from(self.place(id)));
        Arc::new(packed.spec(self.specs.get(packed.facts.lane, packed.base)))
    }

    /// The tenant's name for it.
    pub fn custom_id(&self, id: u32) -> Option<Arc<str>> {
        let (packed, _) = packed::read(self.arena.from(self.place(id)));
        packed.custom_id.map(|custom_id| custom_id.to_text().into())
    }

    /// Its own times.
    pub fn times(&self, id: u32) -> Times {
        self.aside(id).map_or(NO_TIMES, |aside| aside.times)
    }

    /// Its own times, to be changed; and the number by which [`Requests::timed`] knows it again.
    pub fn times_mut(&mut self, id: u32) -> (u32, &mut Times) {
        let number = self.aside_number(id);
        (number, &mut self.asides[number].times)
    }

    /// The request with times of a number.
    pub fn timed(&self, number: u32) -> u32 {
        self.asides[number].request
    }

    /// The requests whose time has not come, each with the number of its times.
    pub fn scheduled(&self) -> impl Iterator<Item = (u32, u32)> {
        let scheduled = self.asides.iter().filter(|(_, aside)| aside.times.begin != NO_TIMER);
        scheduled.map(|(number, aside)| (number, aside.request))
    }

    /// The requests that have an expiry, each with that.
    pub fn expiring(&self) -> impl Iterator<Item = (Timestamp, u32)> {
        self.asides.iter().filter_map(|(_, aside)| Some((aside.times.expires?, aside.request)))
    }

    /// Bytes of what does not simply wait.
    pub const fn aside_bytes(&self) -> usize {
        self.asides.bytes()
    }

    /// Lists a new request among its tenant's.
    pub fn list(&mut self, list: &mut List, call: CallId) {
        self.lists.push(list, call.0);
    }

    /// Takes a request that was forgotten from its tenant's list.
    pub fn unlist(&mut self, list: &mut List, call: CallId) {
        let mut lists = std::mem::take(&mut self.lists);
        lists.remove(list, call.0, |number| self.find(CallId(number)).is_some());
        self.lists = lists;
    }

    /// A tenant's requests, oldest first.
    pub fn listed(&self, list: List) -> impl Iterator<Item = u32> {
        self.lists.iter(list).filter_map(|number| self.find(CallId(number)))
    }

    /// A tenant's requests with numbers below `before`, newest first.
    pub fn listed_back(&self, list: List, before: CallId) -> impl Iterator<Item = u32> {
        self.lists.iter_back(list, before.0).filter_map(|number| self.find(CallId(number)))
    }

    /// A lane goes, after all its requests.
    pub fn forget_lane(&mut self, lane: u32) {
        self.specs.forget_lane(lane);
    }

    /// Lets the next clone be made without copying what grows with the requests.
    pub fn share(&mut self) {
        self.words.share();
        self.firsts.share();
        self.begun.share();
        self.lists.share();
        self.asides.share();
        self.arena.share();
        self.specs.share();
    }

    /// Writes what grows with the requests; the rest is written with the state.
    pub fn write_tables(&self, to: &mut dyn Write) -> io::Result<()> {
        self.words.write_pages(to)?;
        self.firsts.write_pages(to)?;
        self.begun.write_pages(to)?;
        self.lists.write_tables(to)?;
        self.specs.write_tables(to)?;
        self.arena.write_tables(to)
    }

    /// Reads what grows with the requests, after the rest.
    pub fn read_tables(&mut self, from: &mut dyn Read) -> io::Result<()> {
        self.words.read_pages(from)?;
        self.firsts.read_pages(from)?;
        self.begun.read_pages(from)?;
        self.lists.read_tables(from)?;
        self.specs.read_tables(from)?;
        self.arena.read_tables(from)
    }

    fn aside(&self, id: u32) -> Option<&Aside> {
        match self.words[id as usize].whereabouts() {
            Whereabouts::Aside(number) => Some(&self.asides[number]),
            _ => None,
        }
    }

    /// What a request has apart; it gets it if it has none.
    fn aside_mut(&mut self, id: u32) -> &mut Aside {
        let number = self.aside_number(id);
        &mut self.asides[number]
    }

    /// The number of what a request has apart; it gets it if it has none.
    fn aside_number(&mut self, id: u32) -> u32 {
        let place = match self.words[id as usize].whereabouts() {
            Whereabouts::Aside(number) => return number,
            Whereabouts::Plain(place) => place,
            Whereabouts::Nowhere => panic!("{GONE}"),
        };
        let stage = Stage::Queued;
        let aside = Aside { request: id, place, stage, attempt: 0, times: NO_TIMES };
        let number = self.asides.insert(aside);
        self.words[id as usize] = Word::aside(number);
        number
    }

    fn place(&self, id: u32) -> Place {
        match self.words[id as usize].whereabouts() {
            Whereabouts::Aside(number) => self.asides[number].place,
            Whereabouts::Plain(place) => place,
            Whereabouts::Nowhere => panic!("{GONE}"),
        }
    }

    /// A request's bytes were moved.
    fn lies_at(&mut self, id: u32, place: Place) {
        match self.words[id as usize].whereabouts() {
            Whereabouts::Aside(number) => self.asides[number].place = place,
            _ => self.words[id as usize] = Word::plain(place),
        }
    }

    fn facts(&self, id: u32) -> Facts {
        packed::facts(self.arena.from(self.place(id)))
    }

    /// The page of a new number, with the number counted in it.
    fn page(&mut self, number: u64, at: u64) -> u32 {
        let wanted = number / PAGE;
        let node = self
            .directory
            .entry(wanted / NODE)
            .or_insert_with(|| Node { pages: vec![NIL; NODE as usize], used: 0 });
        let page = &mut node.pages[(wanted % NODE) as usize];
        if *page != NIL {
            self.firsts[*page as usize] += 1;
            return *page;
        }
        node.used += 1;
        *page = self.free.pop().unwrap_or_else(|| {
            self.firsts.push(0);
            self.begun.push(0);
            let pages = self.firsts.len();
            self.words.grow_to(pages * PAGE as usize);
            u32::try_from(pages - 1).expect("fewer than 2^32 requests")
        });
        self.firsts[*page as usize] = wanted * PAGE;
        self.begun[*page as usize] = at;
        *page
    }

    fn forget_page(&mut self, first: u64, page: u32) {
        self.free.push(page);
        let wanted = first / PAGE;
        let Some(node) = self.directory.get_mut(&(wanted / NODE)) else { return };
        node.pages[(wanted % NODE) as usize] = NIL;
        node.used -= 1;
        if node.used == 0 {
            self.directory.remove(&(wanted / NODE));
        }
    }

    /// Moves what is left in sparse chunks of the arena, and lets them go.
    #[inline]
    fn tidy(&mut self) {
        while let Some((chunk, owners)) = self.arena.sparse() {
            self.give_up(chunk, &owners);
        }
    }

    fn give_up(&mut self, chunk: u32, owners: &[u64]) {
        for number in owners {
            let Some(id) = self.find(CallId(*number)) else { continue };
            let place = self.place(id);
            if !Arena::is_in(place, chunk) {
                continue;
            }
            let (_, length) = packed::read(self.arena.from(place));
            let moved = self.arena.relocate(*number, place, length);
            self.lies_at(id, moved);
        }
        self.arena.give_up(chunk);
    }
}

#[cfg(test)]
mod tests;
