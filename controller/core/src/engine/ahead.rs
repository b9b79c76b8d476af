//! What the next decisions will look at is asked for while the present ones are made.
//!
//! A decision needs some fifteen lines of memory, of which one names the next: the node of a timer, its gate, the gate's caps,
//! the end of their log. With many tenants none of them is in a cache, and looked at one by one each would be waited for. The wheel
//! knows whose timers come next. So for those of the next slots that are not empty one step of the way is made for each slot,
//! and all waits of a step are one.

use super::{
    Key,
    caps::Caps,
    gate::Gate,
    ledger::Ledger,
    node::{Branch, Node, Part, Place},
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
        let (Key::Node, id) = Key::split(key) else { return };
        if stage == 0 {
            return self.nodes.soon(id);
        }
        let Some(node) = self.nodes.get(id) else { return };
        match (stage, &node.part) {
            (1, Part::Lane(_)) => {
                self.gates.soon(node.gate);
                self.nodes.soon(node.parent);
            }
            (1, Part::Branch(branch)) => {
                self.gates.soon(node.gate);
                self.nodes.soon(branch.ready.front());
                if node.parent == NIL {
                    self.ledger.soon(branch.tenant);
                } else {
                    self.nodes.soon(node.parent);
                }
            }
            (2, Part::Lane(_)) => {
                if let Some(parent) = self.nodes.get(node.parent) {
                    self.gates.soon(parent.gate);
                }
            }
            (_, Part::Lane(_)) => {}
            (2, Part::Branch(branch)) => {
                self.caps_of(node, |id| self.caps.soon(id));
                if self.yields(id, node, branch) {
                    return;
                }
                if let Some(front) = self.nodes.get(branch.ready.front()) {
                    self.gates.soon(front.gate);
                    self.requests.soon(front.queue());
                    self.nodes.soon(front.ready().front());
                }
            }
            (3, Part::Branch(branch)) => {
                self.caps_of(node, |id| self.log(id));
                if self.yields(id, node, branch) {
                    return;
                }
                if let Some(front) = self.nodes.get(branch.ready.front()) {
                    self.caps_of(front, |id| self.caps.soon(id));
                    self.requests.soon_behind(front.queue());
                }
            }
            (_, Part::Branch(branch)) => {
                if self.yields(id, node, branch) {
                    return;
                }
                if let Some(front) = self.nodes.get(branch.ready.front()) {
                    self.caps_of(front, |id| self.log(id));
                }
            }
        }
    }

    /// Whether another root of its tenant, which waits for the same gate, goes before a root.
    #[inline]
    fn yields(&self, id: u32, node: &Node, branch: &Branch) -> bool {
        let mut sibling = branch.sibling;
        while sibling != id {
            let Some(Node { place, urgency, part: Part::Branch(other), .. }) =
                self.nodes.get(sibling)
            else {
                return false;
            };
            if *place == Place::Timed && *urgency < node.urgency {
                return true;
            }
            sibling = other.sibling;
        }
        false
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
