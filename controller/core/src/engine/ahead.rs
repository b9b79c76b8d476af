//! What the next decisions will look at is asked for while the present ones are made.
//!
//! A decision needs some fifteen lines of memory, of which one names the next: the gate of a timer, the nodes that wait there, the
//! lane of the one that goes first, that one's gate, its caps, the end of their log. With many tenants none of them is in a cache, and looked at one by one each would be waited for. The wheel
//! knows whose timers come next. So for those of the next slots that are not empty one step of the way is made for each slot,
//! and all waits of a step are one.

use super::{
    Key,
    caps::Caps,
    gate::Gate,
    ledger::Ledger,
    node::{Node, Part},
    queue::Chunks,
    ring::NIL,
    slab::Slab,
};

/// Where a decision looks.
pub(super) struct Ahead<'a> {
    pub nodes: &'a Slab<Node>,
    pub gates: &'a Slab<Gate>,
    pub caps: &'a Slab<Caps>,
    pub requests: &'a Chunks,
    pub ledger: &'a Ledger,
}

impl Ahead<'_> {
    /// Makes a step of the way for a timer that is due soon: 0 is the first. Of what it reads itself, the step before has
    /// asked.
    #[inline]
    pub fn step(&self, key: u32, stage: u32) {
        match Key::split(key) {
            (Key::Gate, id) => self.gate(id, stage),
            (Key::Node, id) if stage == 0 => self.nodes.soon(id),
            (Key::Node, id) => {
                if let Some(node) = self.nodes.get(id) {
                    self.node(node, stage);
                }
            }
            _ => {}
        }
    }

    /// A gate opens: those who wait there stand, and the most urgent of them goes first.
    #[inline]
    fn gate(&self, id: u32, stage: u32) {
        if stage == 0 {
            return self.gates.soon(id);
        }
        let Some(gate) = self.gates.get(id) else { return };
        match stage {
            1 => {
                self.nodes.soon(gate.waiting.front());
                self.caps.soon(gate.caps_id());
            }
            2 => {
                self.log(gate.caps_id());
                if let Some(front) = self.nodes.get(gate.waiting.front()) {
                    self.nodes.soon(front.link.next());
                    self.node(front, 2);
                }
            }
            // The first in the ring is most often the one that goes first.
            _ => {
                if let Some(front) = self.nodes.get(gate.waiting.front()) {
                    self.node(front, stage);
                }
            }
        }
    }

    /// A node takes a stand; what is beneath it starts.
    #[inline]
    fn node(&self, node: &Node, stage: u32) {
        let branch = match &node.part {
            Part::Lane(lane) => {
                match stage {
                    2 => {
                        self.nodes.soon(node.parent);
                        self.requests.soon(&lane.queue);
                    }
                    3 => self.requests.soon_behind(&lane.queue),
                    _ => {}
                }
                return;
            }
            Part::Branch(branch) => branch,
        };
        if stage == 2 {
            self.nodes.soon(branch.ready.front());
            if node.parent == NIL {
                self.ledger.soon(branch.tenant);
            } else {
                self.nodes.soon(node.parent);
            }
            return;
        }
        let Some(front) = self.nodes.get(branch.ready.front()) else { return };
        match stage {
            3 => {
                self.gates.soon(front.gate);
                self.requests.soon(front.queue());
                self.nodes.soon(front.ready().front());
            }
            4 => {
                self.caps_of(front, |id| self.caps.soon(id));
                self.requests.soon_behind(front.queue());
            }
            _ => self.caps_of(front, |id| self.log(id)),
        }
    }

    #[inline]
    fn caps_of(&self, node: &Node, then: impl Fn(u32)) {
        if let Some(gate) = self.gates.get(node.gate) {
            then(gate.caps_id());
        }
    }

    #[inline]
    fn log(&self, id: u32) {
        if let Some(caps) = self.caps.get(id) {
            caps.soon();
        }
    }
}
