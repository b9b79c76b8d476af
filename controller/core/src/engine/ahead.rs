//! What the next decisions will look at is asked for while the present ones are made.
//!
//! A decision needs some fifteen lines of memory, of which one names the next: the gate of a timer, the nodes that wait there,
//! the lane of the one that goes first, that one's gate, the end of the log of its caps. With many tenants none of them is in
//! a cache, and looked at one by one each would be waited for. The wheel knows whose timers come next. So for those of the
//! next slots that are not empty one step of the way is made for each slot, and all waits of a step are one. A step notes
//! what the next one starts from, so that no step makes the way again.

use super::{
    Key,
    gate::Gate,
    ledger::Ledger,
    node::{Node, Part},
    queue::Chunks,
    ring::NIL,
    slab::Slab,
    wheel::Flight,
};

/// Where a decision looks.
pub(super) struct Ahead<'a> {
    pub nodes: &'a Slab<Node>,
    pub gates: &'a Slab<Gate>,
    pub requests: &'a Chunks,
    pub ledger: &'a Ledger,
}

// The notes of a flight: the names by which its next steps find what was asked for.
/// The node that has waited longest.
const ROOT: usize = 0;
/// The lane that starts, or what is between it and the root.
const LANE: usize = 1;
/// The lane's gate.
const GATE: usize = 2;

impl Ahead<'_> {
    /// Makes a step of the way for timers that are due soon. Of what it reads itself, the step before has asked.
    #[inline]
    pub fn step(&self, stage: u32, flights: &mut [Flight]) {
        match stage {
            0 => flights.iter_mut().for_each(|flight| self.timer(flight)),
            1 => flights.iter_mut().for_each(|flight| self.gate(flight)),
            2 => flights.iter_mut().for_each(|flight| self.root(flight)),
            3 => flights.iter_mut().for_each(|flight| self.choose(flight)),
            4 => flights.iter_mut().for_each(|flight| self.lane(flight)),
            5 => flights.iter_mut().for_each(|flight| self.behind(flight)),
            _ => {}
        }
    }

    /// Of timers of other kinds nothing is noted, so that no further step is made for them.
    #[inline]
    fn timer(&self, flight: &mut Flight) {
        match Key::split(flight.key) {
            (Key::Gate, id) => self.gates.soon(id),
            (Key::Node, id) => {
                flight.notes[ROOT] = id;
                self.nodes.soon(id);
            }
            _ => {}
        }
    }

    /// A gate opens, and those who wait there stand.
    #[inline]
    fn gate(&self, flight: &mut Flight) {
        let (Key::Gate, id) = Key::split(flight.key) else { return };
        let Some(gate) = self.gates.get(id) else { return };
        flight.notes[ROOT] = gate.waiting.front();
        self.nodes.soon(flight.notes[ROOT]);
        gate.caps().soon();
    }

    #[inline]
    fn root(&self, flight: &mut Flight) {
        let Some(node) = self.nodes.get(flight.notes[ROOT]) else { return };
        self.nodes.soon(node.link.next());
        self.nodes.soon(node.ready().front());
        if node.parent != NIL {
            self.nodes.soon(node.parent);
        } else if let Part::Branch(branch) = &node.part {
            self.ledger.soon(branch.tenant);
        }
    }

    /// Of the first two who wait at the gate, the more urgent one goes first.
    #[inline]
    fn choose(&self, flight: &mut Flight) {
        let Some(mut first) = self.nodes.get(flight.notes[ROOT]) else { return };
        flight.notes[LANE] = flight.notes[ROOT];
        if let (Key::Gate, _) = Key::split(flight.key)
            && let Some(next) = self.nodes.get(first.link.next())
            && next.urgency < first.urgency
        {
            flight.notes[LANE] = first.link.next();
            first = next;
        }
        if let Part::Branch(branch) = &first.part {
            flight.notes[LANE] = branch.ready.front();
            self.nodes.soon(flight.notes[LANE]);
        }
    }

    /// What is beneath the one that goes first starts.
    #[inline]
    fn lane(&self, flight: &mut Flight) {
        let Some(node) = self.nodes.get(flight.notes[LANE]) else { return };
        flight.notes[GATE] = node.gate;
        self.gates.soon(node.gate);
        self.requests.soon(node.queue());
        self.nodes.soon(node.ready().front());
    }

    #[inline]
    fn behind(&self, flight: &mut Flight) {
        if let Some(gate) = self.gates.get(flight.notes[GATE]) {
            gate.caps().soon();
        }
        if let Some(node) = self.nodes.get(flight.notes[LANE]) {
            self.requests.soon_behind(node.queue());
        }
    }
}
