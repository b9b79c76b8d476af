//! Whose turn it is (MT-4, MT-6, MT-16): the most urgent first unless a lower urgency is owed its floor, then who is below
//! its guarantee, then who is within what it is expected to use, then as the order policy says, then who has stood in line for
//! longest.
//!
//! Who has nothing left that waits stands nowhere, and what comes later joins the end. What the documents leave open is left
//! open here: whoever is stopped by a limit that another of its tenant's queues used up, or loses the request for which it
//! stood to its expiry, may keep its place or join anew. That holds for a queue among those of its tenant, so that the
//! tenant may stand in line for it, and for a tenant in line. So a rank and a standing are known as a range, and several may
//! be next.

use std::collections::{BTreeMap, BTreeSet};

use busyhour_base::{ApplicationSid, Reason};
use busyhour_controller_core::spec::{AskedAs, BatchId, CallId, Floors, OrderPolicy, Urgency};

use super::{Instant, capacity::Route};

const URGENCIES: [Urgency; 3] = [Urgency::Inbound, Urgency::Synchronous, Urgency::Ordinary];
/// What a unit costs a tenant of weight 1 in the weighted order, any number that every weight divides; and what a segment
/// counts as use, which half-lives divide until nothing is left.
pub const WHOLE: u64 = 1 << 22;

/// What the requests of a queue have in common beside their [`Root`].
pub type Queue = (Option<ApplicationSid>, Option<BatchId>, Option<String>);

/// Whose limits they are.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Scope {
    Tenant,
    Application,
    Batch,
    Number,
}

impl Scope {
    /// Whose limit this word is of.
    pub const fn of(reason: Reason) -> Self {
        match reason {
            Reason::Throttle | Reason::Cap | Reason::Suspended => Self::Tenant,
            Reason::ApplicationThrottle | Reason::ApplicationCap => Self::Application,
            Reason::NumberThrottle | Reason::NumberCap => Self::Number,
            _ => Self::Batch,
        }
    }
}

/// The first request of a queue.
#[derive(Clone, Debug)]
pub struct Candidate {
    pub urgency: Urgency,
    pub route: Route,
    /// 0 below its tenant's guarantee, 1 within what is expected, 2 beyond.
    pub class: u8,
    pub account: u128,
    pub apart: Apart,
    pub queue: Queue,
    pub call: CallId,
    /// Whose limits do not let it start.
    pub stopped_by: BTreeSet<Scope>,
}

impl Candidate {
    pub fn root(&self) -> Root {
        (self.urgency, self.route.clone(), self.account, self.apart)
    }

    /// Its own limits let it start.
    pub fn is_open(&self) -> bool {
        self.stopped_by.is_empty()
    }
}

/// A tenant stands in line once for each urgency and route, and apart for these.
pub type Root = (Urgency, Route, u128, Apart);

/// For what a tenant stands apart from its other requests.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug)]
pub struct Apart {
    /// Calls that some carrier failed, and that go to the next one.
    pub passed: bool,
    /// Lines of batches, in an order by kind.
    pub lines: bool,
}

/// No less than the one and no more than the other.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Range<T> {
    pub least: T,
    pub most: T,
}

impl<T: Copy + Ord> Range<T> {
    pub const fn at(one: T) -> Self {
        Self { least: one, most: one }
    }

    fn or(self, other: Self) -> Self {
        Self { least: self.least.min(other.least), most: self.most.max(other.most) }
    }

    fn at_least(self, other: Self) -> Self {
        Self { least: self.least.max(other.least), most: self.most.max(other.most) }
    }
}

/// Somebody in line.
#[derive(Clone, Copy, Debug)]
struct Stand {
    class: u8,
    rank: Range<u64>,
    /// Since which look.
    since: Range<u64>,
}

/// What the policies go by of a tenant.
#[derive(Clone, Copy, Default, Debug)]
pub struct Standing {
    pub weight: u32,
    pub plan: u32,
}

/// Who stands in line.
#[derive(Default, Debug)]
pub struct Turns {
    policy: OrderPolicy,
    floors: Floors,
    tenants: BTreeMap<u128, Standing>,
    line: BTreeMap<Root, Stand>,
    /// Whose limits have stopped a queue at every look since something of it started.
    stopped: BTreeMap<(Root, Queue), BTreeSet<Scope>>,
    /// Those of whom a queue that only its tenant's limits stop may be at the front. If its message is longer than others, these
    /// wait with it.
    held_up: BTreeSet<Root>,
    /// Those of whom a request has just expired that others may have waited behind.
    left_behind: BTreeSet<Root>,
    looks: u64,
    /// In the weighted order: what each has had, in parts of its weight.
    had: BTreeMap<Root, Range<u64>>,
    /// And the one that was served last.
    served: BTreeMap<(Urgency, Route), Range<u64>>,
    /// Channel time that each tenant used, or segments that were handed over for it, and the half-life in which it is as much.
    used: BTreeMap<u128, (u64, u64)>,
    /// Thousandths of a start that urgencies have not had of their floors.
    owed: BTreeMap<Urgency, Range<u64>>,
}

impl Turns {
    /// A change of policy ranks everybody anew and leaves since when each has stood.
    pub fn declare(&mut self, policy: OrderPolicy, floors: Floors, now: Instant) {
        if self.floors != floors {
            (self.floors, self.owed) = (floors, BTreeMap::new());
        }
        if self.policy != policy {
            (self.policy, self.had, self.served) = (policy, BTreeMap::new(), BTreeMap::new());
            let mut line = std::mem::take(&mut self.line);
            for (root, stand) in &mut line {
                stand.rank = self.rank(root, now);
            }
            self.line = line;
        }
    }

    /// Whether a tenant stands apart for its lines of batches.
    pub fn parts_kinds(&self) -> bool {
        matches!(self.policy, OrderPolicy::Kind { .. })
    }

    /// Lines of batches stand apart from now on, or with the other requests of their tenant again. A tenant that has some waiting
    /// keeps its place for either, or takes a new one.
    pub fn part(&mut self, led: &BTreeSet<(Root, Root)>, now: Instant) {
        let most = self.looks + 1;
        for (before, after) in led {
            let queues = self.stopped.keys().filter(|(root, _)| root == before);
            let lines = queues.filter(|(_, (_, batch, _))| batch.is_some());
            for (_, queue) in lines.cloned().collect::<Vec<_>>() {
                self.stopped.insert((after.clone(), queue), BTreeSet::new());
            }
            let rank = self.rank(after, now);
            let Some(stand) = self.line.get_mut(before) else { continue };
            stand.since.most = most;
            let moved = Stand { rank, ..*stand };
            let here = self.line.entry(after.clone()).or_insert(moved);
            here.since = here.since.or(moved.since);
        }
    }

    /// Other routes are declared. Whose queue goes over another one keeps its place or takes a new one.
    pub fn reroute(&mut self, led: &BTreeSet<(Root, Root)>) {
        let leads = |root: &Root| {
            let to = led.iter().filter(|(before, _)| before == root);
            to.map(|(_, after)| after.clone()).collect::<Vec<_>>()
        };
        let perhaps = |range: Range<u64>| Range { least: 0, ..range };
        for (root, stand) in std::mem::take(&mut self.line) {
            let since = Range { most: self.looks + 1, ..stand.since };
            for after in leads(&root) {
                let moved = Stand { rank: perhaps(stand.rank), since, ..stand };
                let here = self.line.entry(after).or_insert(moved);
                (here.rank, here.since) = (here.rank.or(moved.rank), here.since.or(since));
            }
        }
        for ((root, queue), by) in std::mem::take(&mut self.stopped) {
            for after in leads(&root) {
                self.stopped.insert((after, queue.clone()), by.clone());
            }
        }
        for (root, had) in std::mem::take(&mut self.had) {
            for after in leads(&root) {
                let here = self.had.entry(after).or_default();
                *here = here.or(perhaps(had));
            }
        }
        let served = std::mem::take(&mut self.served);
        for ((urgency, before, ..), (_, after, ..)) in led {
            let here = self.served.entry((*urgency, after.clone())).or_default();
            let before = served.get(&(*urgency, before.clone())).copied().unwrap_or_default();
            *here = here.or(perhaps(before));
        }
    }

    pub fn declare_tenant(&mut self, account: u128, standing: Standing) {
        self.tenants.insert(account, standing);
    }

    /// Channel time was used, or segments were handed over.
    pub fn used(&mut self, account: u128, held: Instant, now: Instant) {
        if let OrderPolicy::ResourceUse { half_life } = self.policy {
            let before = self.use_of(account, now);
            self.used.insert(account, (before + held, now / half_life.0));
        }
    }

    fn use_of(&self, account: u128, now: Instant) -> u64 {
        let OrderPolicy::ResourceUse { half_life } = self.policy else { return 0 };
        let Some((amount, era)) = self.used.get(&account) else { return 0 };
        (*era..now / half_life.0).fold(*amount, |amount, _| amount / 2)
    }

    /// The rank of somebody who joins the line. The smaller goes first.
    fn rank(&self, root: &Root, now: Instant) -> Range<u64> {
        let (urgency, route, account, apart) = root;
        match self.policy {
            OrderPolicy::Weighted => {
                let had = self.had.get(root).copied().unwrap_or_default();
                let served = self.served.get(&(*urgency, route.clone())).copied();
                had.at_least(served.unwrap_or_default())
            }
            OrderPolicy::ResourceUse { .. } => Range::at(self.use_of(*account, now)),
            OrderPolicy::Plan => Range::at(u64::from(self.tenants[account].plan)),
            OrderPolicy::Kind { first } => {
                Range::at(u64::from(apart.lines != (first == AskedAs::BatchLine)))
            }
            _ => Range::default(),
        }
    }

    /// A request of this root ended while it waited, or goes over another route.
    pub fn disturbed(&mut self, root: &Root) {
        let next = self.looks + 1;
        if let Some(stand) = self.line.get_mut(root) {
            stand.since.most = next;
        }
    }

    /// A queue goes over another route. In the weighted order its tenant stands beside those who were served last there as it
    /// stood here; unless it is `late`, because the route from which it comes is not in force any more.
    pub fn carry(&mut self, from: &Root, to: &Root, late: bool) {
        if from == to || self.policy != OrderPolicy::Weighted {
            return;
        }
        let served = |root: &Root| self.served.get(&(root.0, root.1.clone())).copied();
        let (here, there) = (served(from).unwrap_or_default(), served(to).unwrap_or_default());
        let had = self.had.get(from).copied().unwrap_or_default();
        let ahead = if late { 0 } else { had.least.saturating_sub(here.most) };
        let least = there.least + ahead;
        let most = there.most + had.most.saturating_sub(here.least);
        let own = self.had.entry(to.clone()).or_default();
        *own = own.at_least(Range { least, most });
    }

    /// Who has nothing that waits stands nowhere.
    pub fn keep(&mut self, waiting: &BTreeSet<Root>) {
        self.line.retain(|root, _| waiting.contains(root));
        for (root, had) in &mut self.had {
            // Who was idle begins at the rank that was served last.
            if !waiting.contains(root) {
                had.least = 0;
            }
        }
    }

    /// Whoever became ready joins the end of the line. Whoever is not ready any more though it had no turn (another of its
    /// tenant's requests used up the limit) leaves when its turn comes: until then it may be ready again in its place.
    pub fn look(
        &mut self,
        candidates: &[Candidate],
        class: impl Fn(u128, &Route) -> u8,
        now: Instant,
    ) {
        self.looks += 1;
        self.note_stopped(candidates);
        let open = candidates.iter().filter(|candidate| candidate.is_open());
        let open = open.map(|c| (c.root(), c.class));
        let ready: BTreeMap<Root, u8> = open.filter(|(root, _)| !self.is_held_up(root)).collect();
        let stood =
            candidates.iter().filter(|c| self.stopped[&(c.root(), c.queue.clone())].is_empty());
        let may_stand: BTreeMap<Root, u8> = stood.map(|c| (c.root(), c.class)).collect();
        // Another share class is another line: it may have joined that at once, or joins it when it is ready.
        let mut line = std::mem::take(&mut self.line);
        for (root, stand) in &mut line {
            let class = class(root.2, &root.1);
            if class != stand.class {
                let rank = self.rank(root, now).or(stand.rank);
                self.had.insert(root.clone(), rank);
                stand.class = class;
                stand.rank = rank;
                stand.since.most = self.looks + 1;
            }
            let waits = !ready.contains_key(root);
            // Whoever may join only now may have the rank of now.
            if waits || stand.since.most == self.looks {
                stand.rank = stand.rank.or(self.rank(root, now));
            }
            if waits {
                stand.since.most = self.looks + 1;
            }
        }
        for (root, class) in may_stand {
            // It stands by now if it is ready, and may stand if it is not.
            let most = self.looks + u64::from(!ready.contains_key(&root));
            line.entry(root.clone()).or_insert_with(|| {
                let rank = self.rank(&root, now);
                self.had.insert(root, rank);
                Stand { class, rank, since: Range { least: self.looks, most } }
            });
        }
        for (root, stand) in &mut line {
            match self.policy {
                OrderPolicy::FirstComeFirstServed => {
                    let mine = candidates.iter().filter(|candidate| candidate.root() == *root);
                    let arrived: Vec<_> = mine.map(|candidate| candidate.call.0).collect();
                    let least = arrived.iter().min().copied().unwrap_or(0);
                    let most = arrived.iter().max().copied().unwrap_or(u64::MAX);
                    stand.rank = Range { least, most };
                    // Another request at the front is another stand.
                    stand.since.most = self.looks + 1;
                }
                OrderPolicy::Plan => stand.rank = self.rank(root, now),
                _ => {}
            }
        }
        self.line = line;
    }

    /// Limits change, and who waits for one is looked at anew: it may take a place though another limit stops it still.
    pub fn relimited(&mut self) {
        self.stopped.values_mut().for_each(BTreeSet::clear);
    }

    /// A queue that no limit has stopped at every look has had a place among its tenant's, and may have it still.
    fn note_stopped(&mut self, candidates: &[Candidate]) {
        let before = std::mem::take(&mut self.stopped);
        for candidate in candidates {
            let queue = (candidate.root(), candidate.queue.clone());
            let mut stopped = candidate.stopped_by.clone();
            if let Some(before) = before.get(&queue) {
                stopped.retain(|scope| before.contains(scope));
            }
            self.stopped.insert(queue, stopped);
        }
        let stands = |candidate: &&Candidate| {
            let stopped = &self.stopped[&(candidate.root(), candidate.queue.clone())];
            candidate.stopped_by.contains(&Scope::Tenant)
                && stopped.iter().all(|scope| *scope == Scope::Tenant)
        };
        self.held_up = candidates.iter().filter(stands).map(Candidate::root).collect();
        self.held_up.extend(self.left_behind.iter().cloned());
    }

    /// Whether what could start may have waited behind something that has expired.
    pub fn is_left_behind(&self, root: &Root) -> bool {
        self.left_behind.contains(root)
    }

    /// Up to now they may have been held up by what has expired.
    pub fn left_behind(&mut self, roots: BTreeSet<Root>) {
        self.left_behind = roots;
    }

    /// Whether what could start may wait behind something longer of its tenant.
    pub fn is_held_up(&self, root: &Root) -> bool {
        self.held_up.contains(root)
    }

    /// A tenant that had its turn with so many units goes to the end. `feasible` are those who could have had it.
    pub fn served<'a>(
        &mut self,
        candidate: &Candidate,
        units: u32,
        feasible: impl Iterator<Item = &'a Candidate>,
    ) {
        let root = candidate.root();
        let stand = self.line[&root];
        if let OrderPolicy::Weighted = self.policy {
            let weight = u64::from(self.tenants[&candidate.account].weight.max(1));
            let cost = WHOLE / weight * u64::from(units);
            let Range { least, most } = stand.rank;
            self.had.insert(root.clone(), Range { least: least + cost, most: most + cost });
            let served = self.served.entry((root.0, root.1.clone())).or_default();
            *served = served.at_least(stand.rank);
        }
        if self.floors != Floors::default() {
            let surely: BTreeSet<_> = feasible.map(|candidate| candidate.urgency).collect();
            let perhaps: BTreeSet<_> = self.line.keys().map(|(urgency, ..)| *urgency).collect();
            for urgency in URGENCIES {
                let floor = self.floor(urgency);
                let paid = if urgency == candidate.urgency { 1_000 } else { 0 };
                let owed = self.owed.entry(urgency).or_default();
                owed.least += if surely.contains(&urgency) { floor } else { 0 };
                owed.most += if perhaps.contains(&urgency) { floor } else { 0 };
                owed.least = owed.least.saturating_sub(paid);
                owed.most = owed.most.saturating_sub(paid);
            }
        }
        self.line.remove(&root);
        self.stopped.remove(&(root, candidate.queue.clone()));
    }

    fn floor(&self, urgency: Urgency) -> u64 {
        u64::from(match urgency {
            Urgency::Inbound => 0,
            Urgency::Synchronous => self.floors.synchronous,
            Urgency::Ordinary => self.floors.ordinary,
        })
    }

    /// The urgencies whose turn it may be: one that is owed a start, the least urgent first, or the most urgent.
    fn due(&self, feasible: &[&Candidate]) -> BTreeSet<Urgency> {
        let waits: BTreeSet<_> = feasible.iter().map(|candidate| candidate.urgency).collect();
        let mut due = BTreeSet::new();
        for urgency in waits.iter().rev() {
            let owed = self.owed.get(urgency).copied().unwrap_or_default();
            if owed.most >= 1_000 {
                due.insert(*urgency);
            }
            if owed.least >= 1_000 {
                return due;
            }
        }
        due.extend(waits.first());
        due
    }

    /// The requests of whose turn it may be.
    pub fn first<'a>(&self, feasible: impl Iterator<Item = &'a Candidate>) -> BTreeSet<CallId> {
        let feasible: Vec<_> = feasible.collect();
        let mut first = BTreeSet::new();
        for urgency in self.due(&feasible) {
            let of_it = feasible.iter().filter(|candidate| candidate.urgency == urgency);
            let best = of_it.clone().map(|candidate| candidate.class).min();
            let here = of_it.filter(|candidate| Some(candidate.class) == best);
            let stands = here.map(|candidate| (candidate.call, self.line[&candidate.root()]));
            let stands: Vec<_> = stands.collect();
            let latest = stands.iter().map(|(_, stand)| (stand.rank.most, stand.since.most)).min();
            let by_lot = matches!(self.policy, OrderPolicy::Random { .. });
            let may = stands.iter().filter(|(_, stand)| {
                by_lot || Some((stand.rank.least, stand.since.least)) <= latest
            });
            first.extend(may.map(|(call, _)| *call));
        }
        first
    }
}
