//! The fair order (MT-4, MT-6): who goes first among those who could start now.
//!
//! Those who compete under the same conditions stand in one line for each [`Turn`]. Of all lines that are not at rest the
//! most urgent goes first, then the lower share class, then the smaller rank, then who has stood longest. The policy
//! is nothing but the rank.
//!
//! A line takes an append of the greatest rank so far, a look at its front and taking that in constant time, and any
//! other in logarithmic time. Who leaves from the middle is passed over later; no more such entries are kept than there are others.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
};

use busyhour_base::Reason;
use serde::{Deserialize, Serialize};

use super::{
    lanes::URGENCIES,
    node::{Node, Place},
    slab::Slab,
    turn::{CLASSES, RouteId, Turn},
    wheel::Handle,
};

/// Numbers of lines of one route, and of one urgency of it; some are of none.
const LINES: usize = (URGENCIES * LINES_OF_URGENCY).next_power_of_two();
const LINES_OF_URGENCY: usize = CLASSES.next_power_of_two();
const _: () = assert!(64 % LINES == 0, "the lines of a route are in one word of bits");
/// Gaps that are kept in any case.
const GAPS_MIN: usize = 64;
/// A stand's number comes back after four times as many.
const SWEEP_EVERY: u64 = 1 << 30;

/// One who stands in a line.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub(super) struct Stand {
    pub rank: u64,
    /// Counted over all lines, so that no two are alike.
    pub number: u64,
    pub node: u32,
}

/// One line.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Line {
    /// In order.
    run: VecDeque<Stand>,
    /// Those that came with a smaller rank than the last of `run`.
    heap: BinaryHeap<Reverse<Stand>>,
    /// How many stand; the rest are gaps.
    len: usize,
    /// Why nobody of it can start, if so.
    rests: Option<Reason>,
    /// Why it rested last.
    rested: Option<Reason>,
    /// Ends the rest.
    timer: Option<Handle>,
}

impl Line {
    fn push(&mut self, stand: Stand) {
        self.len += 1;
        if self.run.back().is_none_or(|last| *last < stand) {
            self.run.push_back(stand);
        } else {
            self.heap.push(Reverse(stand));
        }
    }

    #[inline]
    fn peek(&self) -> Option<Stand> {
        let front = self.run.front().copied();
        let Some(Reverse(top)) = self.heap.peek().copied() else { return front };
        Some(front.map_or(top, |front| front.min(top)))
    }

    fn pop(&mut self, stand: Stand) {
        if self.run.front().is_some_and(|front| front.number == stand.number) {
            self.run.pop_front();
        } else {
            self.heap.pop();
        }
    }

    /// The first who still stands; gaps before it go.
    #[inline]
    fn front(&mut self, nodes: &Slab<Node>) -> Stand {
        loop {
            let stand = self.peek().expect("a line with somebody in it has a front");
            if stands(stand, nodes) {
                return stand;
            }
            self.pop(stand);
        }
    }

    fn take(&mut self, stand: Stand) {
        self.pop(stand);
        self.left();
    }

    fn left(&mut self) {
        self.len -= 1;
        if self.len == 0 {
            self.run.clear();
            self.heap.clear();
        }
    }

    fn sweep(&mut self, nodes: &Slab<Node>) {
        self.run.retain(|stand| stands(*stand, nodes));
        self.heap.retain(|stand| stands(stand.0, nodes));
    }
}

#[inline]
fn stands(stand: Stand, nodes: &Slab<Node>) -> bool {
    nodes
        .get(stand.node)
        .is_some_and(|node| node.place == Place::Ready && node.ticket == stand.number as u32)
}

/// At least so many thousandths of all starts go to requests of these urgencies while they wait (MT-6).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Floors(pub [u16; URGENCIES]);

/// Every line.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Order {
    lines: Vec<Line>,
    /// Lines that are neither empty nor at rest, one bit each.
    active: Vec<u64>,
    /// How many of them there are of each urgency.
    active_of: [u32; URGENCIES],
    /// Lines at rest, one bit each.
    resting: Vec<u64>,
    /// Stands taken, ever.
    stands: u64,
    /// How often stands were swept.
    sweeps: u64,
    /// When the last one was taken, and how many had been before that instant.
    last_at: u64,
    before_last: u64,
    /// By route and urgency: the rank of whoever was served last.
    served: Vec<[u64; URGENCIES]>,
    floors: Floors,
    /// Thousandths of a start that each urgency has not had of its floor.
    owed: [u32; URGENCIES],
}

impl Order {
    #[inline]
    fn line(&mut self, turn: Turn) -> usize {
        let index = index(turn);
        if index >= self.lines.len() {
            self.reach(turn.route);
        }
        index
    }

    /// Makes the lines of a route, and of those before it.
    #[cold]
    fn reach(&mut self, route: RouteId) {
        let routes = usize::from(route) + 1;
        self.lines.resize_with(routes * LINES, Line::default);
        self.served.resize(routes, [0; URGENCIES]);
        self.active.resize(self.lines.len().div_ceil(64), 0);
        self.resting.resize(self.active.len(), 0);
    }

    /// Takes a stand; its ticket.
    pub fn enter(&mut self, turn: Turn, rank: u64, node: u32, now: u64) -> u32 {
        let stand = Stand { rank, number: self.stand_at(now), node };
        let index = self.line(turn);
        self.lines[index].push(stand);
        self.mark(index);
        self.stands as u32
    }

    /// The number of a stand that is taken now, here or beneath somebody who stands here.
    #[inline]
    pub const fn stand_at(&mut self, now: u64) -> u64 {
        if self.last_at != now {
            (self.last_at, self.before_last) = (now, self.stands);
        }
        self.stands += 1;
        self.stands
    }

    /// Whether somebody who stands took that stand before `now`.
    #[inline]
    pub const fn stood_before(&self, ticket: u32, now: u64) -> bool {
        let after = (self.stands as u32).wrapping_sub(ticket) as u64;
        self.last_at != now || self.stands - after <= self.before_last
    }

    /// Whoever stood in the line of `turn` has left it; its node does not stand there any more.
    pub fn leave(&mut self, turn: Turn, nodes: &Slab<Node>) {
        let index = index(turn);
        let line = &mut self.lines[index];
        line.left();
        if line.run.len() + line.heap.len() > 2 * line.len + GAPS_MIN {
            line.sweep(nodes);
        }
        self.mark(index);
    }

    /// Takes the front of a line for good: it starts, or waits for something else.
    #[inline]
    pub fn take(&mut self, turn: Turn, stand: Stand, nodes: &Slab<Node>) {
        let index = index(turn);
        self.lines[index].take(stand);
        self.mark(index);
        if self.stands / SWEEP_EVERY != self.sweeps {
            self.sweeps = self.stands / SWEEP_EVERY;
            self.lines.iter_mut().for_each(|line| line.sweep(nodes));
        }
    }

    #[inline]
    fn mark(&mut self, index: usize) {
        let line = &self.lines[index];
        let (word, bit) = (&mut self.active[index / 64], 1 << (index % 64));
        let active = line.len > 0 && line.rests.is_none();
        if active != (*word & bit != 0) {
            *word ^= bit;
            let count = &mut self.active_of[usize::from(turn(index).urgency)];
            *count = count.wrapping_add_signed(if active { 1 } else { -1 });
        }
    }

    /// Whether anybody could be asked for.
    #[inline]
    pub fn is_active(&self) -> bool {
        self.active_of != [0; URGENCIES]
    }

    /// Whose turn it is.
    #[inline]
    pub fn first(&mut self, nodes: &Slab<Node>) -> Option<(Turn, Stand)> {
        let only = match self.active[..] {
            [word] if word.is_power_of_two() => Some(word.trailing_zeros() as usize),
            _ => None,
        };
        if let Some(index) = only {
            return Some((turn(index), self.lines[index].front(nodes)));
        }
        let urgency = self.urgency_due()?;
        let mut best: Option<(Turn, Stand)> = None;
        for word in 0..self.active.len() {
            let mut bits = self.active[word] & lines_of(urgency);
            while bits != 0 {
                let index = word * 64 + bits.trailing_zeros() as usize;
                bits &= bits - 1;
                let turn = turn(index);
                let stand = self.lines[index].front(nodes);
                if best.is_none_or(|(other, first)| (turn.class, stand) < (other.class, first)) {
                    best = Some((turn, stand));
                }
            }
        }
        best
    }

    /// The urgency that is served next: one that is owed a start, the least urgent first, or the most urgent.
    fn urgency_due(&self) -> Option<u8> {
        let waits = self.waits();
        let owed = (0..URGENCIES).rev().find(|u| waits[*u] && self.owed[*u] >= 1_000);
        owed.or_else(|| waits.iter().position(|waits| *waits)).map(|urgency| urgency as u8)
    }

    /// Which urgencies have somebody who could be asked for.
    #[inline]
    fn waits(&self) -> [bool; URGENCIES] {
        self.active_of.map(|lines| lines > 0)
    }

    /// A request of the turn starts, and is about to be taken: floors are paid, and its rank is the last served.
    #[inline]
    pub fn serve(&mut self, turn: Turn, stand: Stand) {
        let served = &mut self.served[usize::from(turn.route)][usize::from(turn.urgency)];
        *served = stand.rank.max(*served);
        if self.floors == Floors::default() {
            return;
        }
        let waits = self.waits();
        for (urgency, waits) in waits.into_iter().enumerate() {
            let owed = &mut self.owed[urgency];
            if waits {
                *owed += u32::from(self.floors.0[urgency]);
            }
            if urgency == usize::from(turn.urgency) {
                *owed = owed.saturating_sub(1_000);
            }
        }
    }

    /// The rank of whoever was served last over a route.
    #[inline]
    pub fn served(&self, route: RouteId, urgency: u8) -> u64 {
        self.served.get(usize::from(route)).map_or(0, |served| served[usize::from(urgency)])
    }

    /// Other floors from now on.
    pub fn set_floors(&mut self, floors: Floors) {
        if self.floors != floors {
            self.floors = floors;
            self.owed = [0; URGENCIES];
        }
    }

    /// Nobody of the turn can start.
    pub fn rest(&mut self, turn: Turn, reason: Reason) {
        let index = self.line(turn);
        let line = &mut self.lines[index];
        (line.rests, line.rested) = (Some(reason), Some(reason));
        self.resting[index / 64] |= 1 << (index % 64);
        self.mark(index);
    }

    /// Nobody of the other urgencies' turns can start either that are of the same route and class: they rest for as long.
    pub fn rest_beside(&mut self, turn: Turn, reason: Reason) {
        for urgency in 0..URGENCIES as u8 {
            let other = index(Turn { urgency, ..turn });
            if self.active[other / 64] & 1 << (other % 64) != 0 {
                self.rest(Turn { urgency, ..turn }, reason);
            }
        }
    }

    /// Notes the timer that ends a rest.
    pub fn set_timer(&mut self, turn: Turn, timer: Handle) {
        self.lines[index(turn)].timer = Some(timer);
    }

    /// The turns at rest that are chosen may be asked for again. `cancel` is told the timers that would have ended
    /// their rests.
    pub fn wake(&mut self, chosen: impl Fn(Turn, Reason) -> bool, mut cancel: impl FnMut(Handle)) {
        for word in 0..self.resting.len() {
            let mut bits = self.resting[word];
            while bits != 0 {
                let index = word * 64 + bits.trailing_zeros() as usize;
                bits &= bits - 1;
                let line = &mut self.lines[index];
                if line.rests.is_some_and(|reason| chosen(turn(index), reason)) {
                    if let Some(timer) = line.timer.take() {
                        cancel(timer);
                    }
                    self.end_rest(index);
                }
            }
        }
    }

    /// The timer that ends a turn's rest has fired, and the rest of those who rest with it; `key` is what
    /// [`Order::rest_key`] gave.
    pub fn rested(&mut self, key: u32) {
        let turn = turn(key as usize);
        self.lines[key as usize].timer = None;
        for urgency in 0..URGENCIES as u8 {
            let other = index(Turn { urgency, ..turn });
            let line = &self.lines[other];
            if line.rests.is_some() && line.timer.is_none() {
                self.end_rest(other);
            }
        }
    }

    fn end_rest(&mut self, index: usize) {
        self.lines[index].rests = None;
        self.resting[index / 64] &= !(1 << (index % 64));
        self.mark(index);
    }

    /// Names a turn in a timer.
    pub const fn rest_key(turn: Turn) -> u32 {
        index(turn) as u32
    }

    /// Why a turn rests, if it does.
    pub fn resting(&self, turn: Turn) -> Option<Reason> {
        self.lines.get(index(turn))?.rests
    }

    /// The number that the next stand gets.
    #[inline]
    pub const fn next_stand(&self) -> u64 {
        self.stands + 1
    }

    /// Whether any line rests.
    #[inline]
    pub fn any_rests(&self) -> bool {
        self.resting.iter().any(|word| *word != 0)
    }

    /// Lines at rest, with the reason.
    pub fn at_rest(&self) -> impl Iterator<Item = (Turn, Reason)> {
        self.lines.iter().enumerate().filter_map(|(at, line)| Some((turn(at), line.rests?)))
    }

    /// Lines in which somebody stands: how many, and why none of them can start, if so.
    pub fn standing_lines(&self) -> impl Iterator<Item = (Turn, usize, Option<Reason>)> {
        let lines = self.lines.iter().enumerate().filter(|(_, line)| line.len > 0);
        lines.map(|(at, line)| (turn(at), line.len, line.rests))
    }

    /// What held whoever stands with this ticket, if that is the line's rest: it has stood since before `now`.
    #[inline]
    pub fn held(&self, turn: Turn, ticket: u32, now: u64) -> Option<Reason> {
        self.lines[index(turn)].rested.filter(|_| self.stood_before(ticket, now))
    }

    /// How many stand in the lines of a route, up to an urgency.
    pub fn standing(&self, route: RouteId, urgency: u8) -> usize {
        let from = usize::from(route) * LINES;
        let to = from + (usize::from(urgency) + 1) * LINES_OF_URGENCY;
        let lines = self.lines.get(from..to.min(self.lines.len()));
        lines.unwrap_or(&[]).iter().map(|line| line.len).sum()
    }

    /// Those who stand, line by line and in order.
    pub fn stands(&self, nodes: &Slab<Node>) -> Vec<(Turn, Stand)> {
        let mut all = Vec::new();
        for (at, line) in self.lines.iter().enumerate() {
            let from = all.len();
            let stand = line.run.iter().chain(line.heap.iter().map(|stand| &stand.0));
            all.extend(stand.filter(|s| stands(**s, nodes)).map(|stand| (turn(at), *stand)));
            all[from..].sort_by_key(|(_, stand)| *stand);
        }
        all
    }

    /// Every stand with its rank changed; nobody's standing time is.
    pub fn rerank(&mut self, nodes: &Slab<Node>, rank: impl Fn(Turn, Stand) -> u64) {
        let all = self.stands(nodes);
        self.served.iter_mut().for_each(|served| *served = [0; URGENCIES]);
        for line in &mut self.lines {
            (line.run, line.heap, line.len) = (VecDeque::new(), BinaryHeap::new(), 0);
        }
        for (turn, stand) in all {
            self.lines[index(turn)].push(Stand { rank: rank(turn, stand), ..stand });
        }
    }

    /// Lines whose bit is wrong, or that count wrongly. For tests.
    pub fn check(&self, nodes: &Slab<Node>) -> Result<(), String> {
        let mut marked = [0; URGENCIES];
        for (at, line) in self.lines.iter().enumerate() {
            let all = line.run.iter().chain(line.heap.iter().map(|stand| &stand.0));
            let counted = all.filter(|stand| stands(**stand, nodes)).count();
            if counted != line.len {
                return Err(format!(
                    "{counted} stand in line {:?}, {} are counted",
                    turn(at),
                    line.len
                ));
            }
            let active = self.active[at / 64] & 1 << (at % 64) != 0;
            if active != (line.len > 0 && line.rests.is_none()) {
                return Err(format!("line {:?} is marked {active}", turn(at)));
            }
            if active {
                marked[usize::from(turn(at).urgency)] += 1;
            }
        }
        if marked != self.active_of {
            return Err(format!("{marked:?} lines are marked, {:?} counted", self.active_of));
        }
        Ok(())
    }
}

#[inline]
const fn index(turn: Turn) -> usize {
    turn.route as usize * LINES + turn.urgency as usize * LINES_OF_URGENCY + turn.class as usize
}

#[inline]
const fn turn(index: usize) -> Turn {
    Turn {
        route: (index / LINES) as RouteId,
        urgency: (index % LINES / LINES_OF_URGENCY) as u8,
        class: (index % LINES_OF_URGENCY) as u8,
    }
}

/// The bits of an urgency's lines in every word.
#[inline]
const fn lines_of(urgency: u8) -> u64 {
    const FIRST: u64 = u64::MAX / ((1 << LINES) - 1) * ((1 << LINES_OF_URGENCY) - 1);
    FIRST << (urgency as usize * LINES_OF_URGENCY)
}
