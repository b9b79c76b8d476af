//! One run: the copy's engine in virtual time, with calls of drawn lengths.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap},
};

use busyhour_base::Reason;

use super::{
    Holding, Outlook,
    lengths::{Lengths, mix},
    outlook::{Closing, Expiring, Timed, Waits},
};
use crate::engine::{Channel, Engine, Event, Start};

/// Starts between two questions whether to go on.
const ASK_EVERY: usize = 1_024;

/// How far runs go.
pub struct Bounds<'a> {
    /// Starts in one run. What lies beyond is taken to go on as fast as in the second half of the run.
    pub starts_max: usize,
    /// Asked now and then: whether there is time left. Without it, what is known by then is the answer.
    pub go_on: &'a mut dyn FnMut() -> bool,
}

/// When a run is over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Until {
    /// Nothing is left that will start.
    Drained,
    /// This request has started.
    Started(u32),
}

/// A start in a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Begun {
    pub request: u32,
    pub lane: u32,
    /// Microseconds from the copy's instant.
    pub after: u64,
    pub held_by: Reason,
}

/// What happened.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Run {
    /// In order of time.
    pub begun: Vec<Begun>,
    /// It ended because nothing more would start, or because what was asked had.
    pub is_whole: bool,
}

/// A call that will end: when, in which order among those that end then, and what it holds.
type End = Reverse<(u64, u64, u32, u32, u16)>;

struct Runner<'a> {
    outlook: &'a Outlook,
    engine: Engine,
    now: u64,
    seed: u64,
    lengths: BTreeMap<u32, Lengths>,
    lengths_of_all: Lengths,
    ends: BinaryHeap<End>,
    /// Calls that have started, also before the run.
    started: u64,
    /// Starts of each lane: a call's length depends on its number in its lane, and so is the same after a change.
    of_lane: BTreeMap<u32, u64>,
    /// The calling hours that end next.
    closings: &'a [Closing],
    /// The requests that expire next, unless they have started.
    expiring: &'a [Expiring],
    /// Those of them that have not started, and where they wait.
    waiting: BTreeMap<u32, Waits>,
    /// Those that expired before their time had come.
    expired: BTreeSet<u32>,
    until: Until,
    run: Run,
}

impl Outlook {
    /// Runs a copy of `engine`, which is this outlook's own or has been changed; `None` if the time was up.
    pub(super) fn run(
        &self,
        engine: &Engine,
        seed: u64,
        until: Until,
        bounds: &mut Bounds<'_>,
    ) -> Option<Run> {
        let seed = mix(seed);
        let mut runner = Runner {
            outlook: self,
            engine: engine.clone(),
            now: self.now,
            seed,
            lengths: BTreeMap::new(),
            lengths_of_all: self.lengths_of_all(seed),
            ends: BinaryHeap::new(),
            started: 0,
            of_lane: BTreeMap::new(),
            closings: &self.closings,
            expiring: &self.expiring,
            waiting: self.expiring.iter().map(|one| (one.request, one.waits)).collect(),
            expired: BTreeSet::new(),
            until,
            run: Run::default(),
        };
        runner.take_over();
        runner.go(bounds).then_some(runner.run)
    }
}

impl Runner<'_> {
    /// Gives the calls in progress their ends.
    fn take_over(&mut self) {
        for (n, call) in self.outlook.in_progress.iter().enumerate() {
            if call.leased {
                self.engine.sent(call.carrier, call.lane);
            }
            let draw = mix(self.seed ^ mix(!(n as u64)));
            let length = self.lengths_of(call.lane).of_one_in_progress(call.elapsed, draw);
            let at = self.now.saturating_add(length - call.elapsed);
            self.ends.push(Reverse((at, self.started, call.lane, call.carrier, call.worker)));
            self.started += 1;
        }
    }

    /// Whether the run came to an end of its own.
    fn go(&mut self, bounds: &mut Bounds<'_>) -> bool {
        let mut asked = 0;
        loop {
            if self.events() {
                self.run.is_whole = true;
                return true;
            }
            while self.ends.peek().is_some_and(|Reverse((at, ..))| *at <= self.now) {
                if let Some(Reverse((_, _, lane, carrier, worker))) = self.ends.pop() {
                    self.engine.finished(lane, carrier, worker, Channel::Free, None, false);
                }
            }
            if self.events() {
                self.run.is_whole = true;
                return true;
            }
            if self.run.begun.len() >= bounds.starts_max {
                return true;
            }
            asked += 1;
            if (asked % ASK_EVERY == 0) && !(bounds.go_on)() {
                return false;
            }
            let wakes = [
                self.engine.next_wake(),
                self.ends.peek().map(|Reverse((at, ..))| *at),
                self.closings.first().map(|closing| closing.at),
                self.expiring.first().map(|expiring| expiring.at),
            ];
            let Some(wake) = wakes.into_iter().flatten().min() else {
                self.run.is_whole = true;
                return true;
            };
            self.now = self.now.max(wake);
            self.close();
            self.expire();
        }
    }

    /// Calling hours end before anything starts at their instants.
    fn close(&mut self) {
        while let Some((closing, rest)) = self.closings.split_first() {
            if closing.at > self.now {
                return;
            }
            self.engine.shut_gate(closing.gate, Some(Reason::Window));
            self.closings = rest;
        }
    }

    /// Requests expire before anything starts at their instants.
    fn expire(&mut self) {
        while let Some((Expiring { at, request, lane, .. }, rest)) = self.expiring.split_first() {
            if *at > self.now {
                return;
            }
            match self.waiting.remove(request) {
                Some(Waits::Queued) => self.engine.unqueue(*lane, *request),
                Some(Waits::PutOff) => {
                    self.engine.take_up(*lane, *request);
                    self.expired.insert(*request);
                }
                None => {}
            }
            self.expiring = rest;
        }
    }

    /// What is due. Whether what was asked for has happened.
    fn events(&mut self) -> bool {
        while let Some(event) = self.engine.next(self.now) {
            match event {
                Event::Start(start) => {
                    self.engine.sent(start.carrier, start.lane);
                    if self.begin(start) {
                        return true;
                    }
                }
                Event::Timer(key) => match self.outlook.timed.get(&key) {
                    Some(Timed::Begins { request, .. }) if self.expired.contains(request) => {}
                    Some(Timed::Begins { request, lane, asked }) => {
                        self.engine.take_up(*lane, *request);
                        if let Some(waits) = self.waiting.get_mut(request) {
                            *waits = Waits::Queued;
                        }
                        self.engine.push_back(*lane, *request, *asked, Reason::NotBefore);
                    }
                    Some(Timed::Opens { gate }) => self.engine.shut_gate(*gate, None),
                    None => {}
                },
            }
        }
        false
    }

    fn begin(&mut self, start: Start) -> bool {
        let Start { request, lane, carrier, worker, held_by, .. } = start;
        self.waiting.remove(&request);
        let number = self.of_lane.entry(lane).or_insert(0);
        *number += 1;
        let draw = mix(self.seed ^ mix(u64::from(lane) << 32 | *number));
        let length = self.lengths_of(lane).next(draw);
        self.ends.push(Reverse((
            self.now.saturating_add(length),
            self.started,
            lane,
            carrier,
            worker,
        )));
        self.started += 1;
        let after = self.now - self.outlook.now;
        self.run.begun.push(Begun { request, lane, after, held_by });
        self.until == Until::Started(request)
    }

    fn lengths_of(&mut self, lane: u32) -> &mut Lengths {
        let Self { outlook, lengths, lengths_of_all, seed, .. } = self;
        let tenant = outlook.tenant_of.binary_search_by_key(&lane, |(lane, _)| *lane);
        let tenant = tenant.map_or(u32::MAX, |at| outlook.tenant_of[at].1);
        lengths.entry(tenant).or_insert_with(|| {
            let own = outlook.holding.get(&tenant);
            let recent = own.into_iter().flat_map(Holding::recent).collect();
            let seen = own.map_or(0, Holding::seen);
            Lengths::of_tenant(recent, seen, lengths_of_all, *seed ^ mix(u64::from(tenant)))
        })
    }
}

impl Outlook {
    fn lengths_of_all(&self, seed: u64) -> Lengths {
        let recent = self.holding_all.recent().collect();
        let mut all =
            Lengths::of_all(recent, self.holding_all.seen(), self.holding_assumed_us, seed);
        for (n, call) in self.in_progress.iter().enumerate() {
            all.of_one_in_progress(call.elapsed, mix(seed ^ mix(!(n as u64))));
        }
        all
    }
}
