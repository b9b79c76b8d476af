//! Requests, their queues, and which of them could start (MT-5, MT-7, DC-3).

use std::collections::{BTreeMap, BTreeSet};

use busyhour_base::{ApplicationSid, Reason, Span};
use busyhour_controller_core::{
    Options,
    spec::{BatchId, BatchPlan, CallId, Pace, Tenant, Urgency, WindowEnd},
};

use super::{
    Instant, Model,
    capacity::Route,
    limits::Gate,
    turns::{Apart, Candidate, Queue, Range, Root, Scope},
    why::Held,
};

/// From when a batch is started or resumed until its first request may start.
pub const RUN_UP: Span = Options::BATCH_RUN_UP;

/// Where a request is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// Its time has not come.
    Scheduled,
    /// It waits; those with smaller numbers go before it in its queue.
    Waiting(Range<i64>),
    /// It was dialled over this carrier (by its place in [`super::capacity::Capacity`]).
    Up {
        carrier: usize,
        due: Instant,
        made: Instant,
        moved: Instant,
        sent: bool,
        answered: bool,
        /// Where it waits again if nothing was sent.
        back: Range<i64>,
    },
    Ended,
}

#[derive(Clone, Debug)]
pub struct Request {
    pub account: u128,
    pub to: String,
    pub urgency: Urgency,
    /// The scopes whose limits it is subject to.
    pub application: Option<ApplicationSid>,
    pub batch: Option<BatchId>,
    pub number: Option<String>,
    pub accepted: Instant,
    pub not_before: Option<Instant>,
    pub expires: Option<Instant>,
    pub place: Place,
    /// Counted over all requests each time that one is told when it may begin.
    pub planned: u64,
    /// Attempts that were not sent, and those that came to an end.
    pub unsent: u32,
    pub failed: u16,
    /// Of the failed ones, those of the calls that its line had before.
    pub failed_before: u16,
    /// The carriers that could not complete it since it was last placed.
    pub without: Vec<usize>,
    /// Tables of routes that had been in force when it was dialled.
    pub table: u64,
    /// Its queue was cancelled while it was up.
    pub canceled: bool,
    pub held: Held,
}

impl Request {
    pub fn waits(&self) -> bool {
        matches!(self.place, Place::Scheduled | Place::Waiting(_))
    }

    /// It goes to its next carrier (MT-17). It is the same call: it has had its place in every throttle and cap.
    pub fn passed(&self) -> bool {
        !self.without.is_empty()
    }
}

#[derive(Clone, Debug)]
pub struct Batch {
    pub plan: BatchPlan,
    pub started: Option<Instant>,
    pub paused: bool,
    /// Since it was started, or resumed.
    pub resumed: bool,
    /// The end of its run-up since then.
    pub opens: Instant,
    pub over: bool,
    /// Its tenant ended it.
    pub canceled: bool,
    /// By how they had ended, up to which record its lines were placed again.
    pub again_through: BTreeMap<String, u64>,
    pub gate: Gate,
}

impl Batch {
    pub fn new(plan: &BatchPlan) -> Self {
        let gate = Gate::of(&Pace { throttle: plan.throttle, caps: Vec::new() });
        let plan = plan.clone();
        Self {
            plan,
            started: None,
            paused: false,
            resumed: false,
            opens: 0,
            over: false,
            canceled: false,
            again_through: BTreeMap::new(),
            gate,
        }
    }

    /// Why none of its lines may be placed again on its tenant's word.
    pub fn keeps_ended(&self, suspended: bool, now: Instant) -> BTreeSet<Reason> {
        let past = self.plan.not_after.is_some_and(|at| at.0 <= now);
        let rules = [
            (suspended, Reason::Suspended),
            (past, Reason::Expired),
            (self.canceled || self.started.is_none() && !self.over, Reason::WrongState),
        ];
        rules.into_iter().filter(|(binds, _)| *binds).map(|(_, reason)| reason).collect()
    }

    /// One of its lines is placed again: if it was over, or nothing of it was `open`, it runs anew.
    pub fn run_on(&mut self, open: bool, now: Instant) {
        if self.over || !open {
            (self.over, self.paused, self.resumed) = (false, false, false);
            (self.started, self.opens) = (Some(now), now + RUN_UP.0);
        }
    }

    /// Whether a line with this record, which had ended so, was placed again or passed over before.
    pub fn was_placed_again(&self, end: &str, record: u64) -> bool {
        self.again_through.get(end).is_some_and(|through| record <= *through)
    }
}

/// Verdicts on lines that are placed again, in their order: behind one for which there is no room none is taken, and the
/// reason is the same.
pub fn check_order<T: Copy>(verdicts: &[Result<T, Reason>]) -> Result<(), String> {
    let full = verdicts
        .iter()
        .position(|verdict| verdict.as_ref().is_err_and(|reason| *reason != Reason::Duplicate));
    let rest = full.map_or(&[][..], |at| &verdicts[at..]);
    let first = rest.first().and_then(|verdict| verdict.as_ref().err());
    match rest.iter().all(|verdict| verdict.as_ref().err() == first) {
        true => Ok(()),
        false => Err("took lines behind one for which there was no room".to_owned()),
    }
}

impl Batch {
    /// What has not started by then expires: it is told so, or its first window since it was started is its only one.
    pub fn end(&self) -> Option<Instant> {
        let only = self.plan.on_window_end == WindowEnd::Expire;
        let window = self.plan.openings.as_ref().filter(|_| only);
        let window = window.zip(self.started).and_then(|(openings, started)| {
            openings.spans.iter().map(|span| span.to.0).find(|to| *to > started)
        });
        [window, self.plan.not_after.map(|at| at.0)].into_iter().flatten().min()
    }

    /// Its tenant says that it may run from now on.
    pub fn run(&mut self, now: Instant) {
        let (drafted, was_paused) = (self.started.is_none(), std::mem::take(&mut self.paused));
        self.started.get_or_insert(now);
        if drafted || was_paused {
            self.resumed = was_paused;
            self.opens = now + RUN_UP.0;
        }
    }

    /// Why nothing of it starts, whatever its pace, when so many of its requests are in progress.
    pub fn shut_by(&self, now: Instant, entry: Instant, in_progress: u32) -> BTreeSet<Reason> {
        let full = self.plan.max_concurrent.is_some_and(|most| in_progress >= most);
        let rules = [
            (self.started.is_none() || now < self.opens && !self.resumed, Reason::Draft),
            (self.paused || now < self.opens && self.resumed, Reason::Paused),
            (!self.has_begun(now), Reason::NotBefore),
            (!self.in_hours(now, entry), Reason::Window),
            (full, Reason::BatchConcurrency),
        ];
        rules.into_iter().filter(|(binds, _)| *binds).map(|(_, reason)| reason).collect()
    }

    /// When a request that so many attempts came to nothing before this one is tried again, if it can still begin.
    pub fn next_attempt(
        &self,
        failed: u16,
        expires: Option<Instant>,
        now: Instant,
    ) -> Option<Instant> {
        let retry = self.plan.retry.as_ref()?;
        if self.over || failed + 1 >= retry.attempts_max {
            return None;
        }
        let nth = usize::from(failed).min(retry.delays.len().checked_sub(1)?);
        let at = now + retry.delays[nth].0;
        let begins = self.first_opening(at);
        let ends = [expires, self.end()];
        ends.into_iter().flatten().all(|end| begins < end).then_some(at)
    }

    /// The first instant from `at` on that is within its calling hours; behind what is known of them there may be one.
    fn first_opening(&self, at: Instant) -> Instant {
        self.plan.openings.as_ref().map_or(at, |openings| {
            let open = openings.spans.iter().find(|span| span.to.0 > at);
            open.map_or(openings.through.0, |span| span.from.0).max(at)
        })
    }

    /// Nothing starts at or after the end of an opening, however late the tick (`entry` is its instant).
    fn in_hours(&self, now: Instant, entry: Instant) -> bool {
        self.plan.openings.as_ref().is_none_or(|openings| {
            openings.spans.iter().any(|span| span.from.0 <= now && entry < span.to.0)
        })
    }

    fn has_begun(&self, now: Instant) -> bool {
        self.plan.not_before.is_none_or(|at| at.0 <= now)
    }

    pub fn moments(&self) -> Vec<Instant> {
        let times = [self.plan.not_before, self.plan.not_after].map(|at| at.map(|at| at.0));
        let spans = self.plan.openings.iter().flat_map(|openings| &openings.spans);
        let times = times.into_iter().flatten().chain([self.opens]);
        times.chain(spans.flat_map(|span| [span.from.0, span.to.0])).collect()
    }
}

#[derive(Debug)]
pub struct Owner {
    pub declared: Tenant,
    pub gate: Gate,
}

/// A queue: what passes the same limits over the same carriers.
type Lane = (Root, Queue);

impl Model {
    pub(super) fn gates(&self) -> impl Iterator<Item = &Gate> {
        let tenants = self.tenants.values().map(|tenant| &tenant.gate);
        let batches = self.batches.values().map(|batch| &batch.gate);
        tenants.chain(self.applications.values()).chain(batches).chain(self.numbers.values())
    }

    pub(super) fn at(&mut self, call: CallId) -> &mut Request {
        self.requests.get_mut(&call).expect("it is known")
    }

    /// The gates that a request passes.
    pub(super) fn gates_of(&mut self, request: &Request) -> Vec<&mut Gate> {
        let account = request.account;
        let tenant = self.tenants.get_mut(&account).map(|owner| &mut owner.gate);
        let application = request.application;
        let application = application.and_then(|sid| self.applications.get_mut(&(account, sid)));
        let batch = request.batch.and_then(|batch| self.batches.get_mut(&batch));
        let number = request.number.clone();
        let number = number.and_then(|number| self.numbers.get_mut(&(account, number)));
        [tenant, application, batch.map(|batch| &mut batch.gate), number]
            .into_iter()
            .flatten()
            .collect()
    }

    /// MT-5: not tried at its expiry or after; what a batch has not started by its end expires.
    pub(super) fn expire(&mut self, now: Instant) {
        for batch in self.batches.values_mut() {
            batch.over |= batch.end().is_some_and(|at| at <= now);
        }
        // What of it is up goes on, and is not placed again, whether or not the batch runs anew.
        for request in self.requests.values_mut() {
            let batch_over = request.batch.is_some_and(|batch| self.batches[&batch].over);
            request.canceled |= batch_over && matches!(request.place, Place::Up { .. });
        }
        let over = self.requests.iter().filter(|(_, request)| {
            let batch_over = request.batch.is_some_and(|batch| self.batches[&batch].over);
            request.waits() && (request.expires.is_some_and(|at| at <= now) || batch_over)
        });
        for call in over.map(|(call, _)| *call).collect::<Vec<_>>() {
            self.end(call);
        }
        self.ring_out(now);
        self.keep_turns();
    }

    /// A request is over.
    pub(super) fn end(&mut self, call: CallId) {
        if matches!(self.requests[&call].place, Place::Waiting(_)) {
            let root = self.root_of(&self.requests[&call]);
            self.turns.disturbed(&root);
        }
        self.at(call).place = Place::Ended;
        self.ended.insert(call);
    }

    /// Who has nothing that waits any more has lost its place.
    pub(super) fn keep_turns(&mut self) {
        let waiting = self.requests.values().filter(|one| matches!(one.place, Place::Waiting(_)));
        let waiting = waiting.map(|request| self.root_of(request)).collect();
        self.turns.keep(&waiting);
    }

    /// MT-5: a scheduled request joins the end of its queue when its time has come. Of those whose time comes at the same
    /// instant the one goes first for which that was settled first.
    pub(super) fn begin(&mut self) {
        let now = self.now;
        let due = |(_, request): &(_, &Request)| {
            request.place == Place::Scheduled && request.not_before.is_none_or(|at| at <= now)
        };
        let begun = self.requests.iter().filter(due);
        let planned = |(call, one): (&CallId, &Request)| (one.not_before, one.planned, *call);
        let mut begun: Vec<_> = begun.map(planned).collect();
        begun.sort();
        for (.., call) in begun {
            self.readied += 1;
            let (place, why) = (Range::at(self.readied), self.requests[&call].why_scheduled(now));
            let request = self.at(call);
            request.place = Place::Waiting(place);
            request.held = Held::new(why, now);
        }
    }

    pub(super) fn route_of(&self, request: &Request) -> Route {
        self.capacity.route_without(&request.to, &request.without)
    }

    pub(super) fn root_of(&self, request: &Request) -> Root {
        let lines = request.batch.is_some() && self.turns.parts_kinds();
        let apart = Apart { passed: request.passed(), lines };
        (request.urgency, self.route_of(request), request.account, apart)
    }

    pub(super) fn lane_of(&self, request: &Request) -> Lane {
        let scopes = (request.application, request.batch, request.number.clone());
        (self.root_of(request), scopes)
    }

    /// Those of each queue that may be its first one, with whose turn it would be.
    pub(super) fn candidates(&self) -> Vec<Candidate> {
        let mut lanes: BTreeMap<Lane, Vec<(Range<i64>, CallId)>> = BTreeMap::new();
        for (call, request) in &self.requests {
            if let Place::Waiting(place) = request.place {
                lanes.entry(self.lane_of(request)).or_default().push((place, *call));
            }
        }
        let fronts = lanes.into_iter().flat_map(|((root, queue), waiting)| {
            let (urgency, route, account, apart) = root;
            let first = waiting.iter().map(|(place, _)| place.most).min();
            let limits = self.limits_on(&self.requests[&waiting[0].1]);
            let stopped_by: BTreeSet<_> = limits.into_iter().map(Scope::of).collect();
            let class = self.capacity.class(account, &route);
            let fronts = waiting.into_iter().filter(move |(place, _)| Some(place.least) <= first);
            fronts.map(move |(_, call)| {
                let (route, queue, stopped_by) = (route.clone(), queue.clone(), stopped_by.clone());
                Candidate { urgency, route, class, account, apart, queue, call, stopped_by }
            })
        });
        fronts.collect()
    }

    pub(super) fn is_front(&self, call: CallId) -> bool {
        self.candidates().iter().any(|candidate| candidate.call == call)
    }

    /// Its own limits that keep a request from starting now.
    fn limits_on(&self, request: &Request) -> BTreeSet<Reason> {
        let mut reasons = BTreeSet::new();
        if !request.passed() {
            reasons.extend(self.paces_on(request));
        }
        if self.tenants[&request.account].declared.suspended {
            reasons.insert(Reason::Suspended);
        }
        reasons.extend(request.batch.into_iter().flat_map(|batch| self.limits_of_batch(batch)));
        reasons
    }

    /// The throttles and caps that keep it.
    fn paces_on(&self, request: &Request) -> BTreeSet<Reason> {
        let (account, now) = (request.account, self.now);
        let tenant = &self.tenants[&account];
        let mut reasons = tenant.gate.says(1, now, (Reason::Throttle, Reason::Cap));
        if let Some(application) = request.application {
            let words = (Reason::ApplicationThrottle, Reason::ApplicationCap);
            reasons.extend(self.applications[&(account, application)].says(1, now, words));
        }
        if let Some(number) = &request.number {
            let words = (Reason::NumberThrottle, Reason::NumberCap);
            reasons.extend(self.numbers[&(account, number.clone())].says(1, now, words));
        }
        if let Some(batch) = request.batch {
            let words = (Reason::BatchThrottle, Reason::Cap);
            reasons.extend(self.batches[&batch].gate.says(1, now, words));
        }
        reasons
    }

    fn limits_of_batch(&self, id: BatchId) -> BTreeSet<Reason> {
        let batch = &self.batches[&id];
        let up = self.requests.values().filter(|request| {
            request.batch == Some(id) && matches!(request.place, Place::Up { .. })
        });
        batch.shut_by(self.now, self.entry, up.count() as u32)
    }

    /// Everything that keeps a request from starting now. That its batch was never started is nobody's limit.
    pub(super) fn kept_by(&self, request: &Request) -> BTreeSet<Reason> {
        let (_, route, account, _) = self.root_of(request);
        let mut reasons = self.limits_on(request);
        if reasons.remove(&Reason::Draft) {
            reasons.insert(Reason::Ready);
        }
        let class = self.capacity.class(account, &route);
        if self.capacity.able(class, &route, &request.to, self.now).is_empty() {
            reasons.extend(self.capacity.says(class, &route, self.now));
        }
        reasons
    }

    /// Those that a carrier and a worker could take now.
    pub(super) fn feasible<'a>(&self, candidates: &'a [Candidate]) -> Vec<&'a Candidate> {
        if self.agents.iter().all(|agent| agent.calls >= agent.slots) {
            return Vec::new();
        }
        let able = |candidate: &&Candidate| {
            let to = &self.requests[&candidate.call].to;
            let Candidate { class, route, .. } = candidate;
            candidate.is_open() && !self.capacity.able(*class, route, to, self.now).is_empty()
        };
        candidates.iter().filter(able).collect()
    }
}

impl Request {
    /// Why it did not wait in its queue before: it came now, was scheduled, or waited for its next attempt.
    fn why_scheduled(&self, _now: Instant) -> Reason {
        match self.not_before {
            _ if self.failed > self.failed_before => Reason::Retry,
            Some(at) if at > self.accepted => Reason::NotBefore,
            _ => Reason::Ready,
        }
    }
}
