//! What no turn comes to, however long others wait: requests of batches that are drafts, paused or out of their hours.
//!
//! They wait behind the same gates as others, and are in nobody's way there. So each gate counts them, and knows of which
//! batch they are, since a request is told what goes before it within its own batch. They are counted as lanes fill and
//! empty and as batches open and shut: an estimate costs the same however many batches there are.

use busyhour_base::Reason;
use serde::{Deserialize, Serialize};

use super::{
    Engine,
    gate::{Gate, Scope, up_to},
    lanes::URGENCIES,
    node::{Node, Part},
    ring::NIL,
};
use crate::few::Few;

/// Requests that are set aside.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(super) struct Aside {
    /// By urgency.
    queued: [u32; URGENCIES],
    /// Lanes in which they wait.
    lanes: u32,
}

impl Aside {
    /// Of this urgency and of those that go before it.
    pub fn queued(&self, urgency: u8) -> u64 {
        up_to(&self.queued, urgency)
    }

    pub fn lanes(&self) -> u64 {
        self.lanes.into()
    }

    fn change(&mut self, urgency: u8, requests: i32, lanes: i32) {
        let queued = &mut self.queued[usize::from(urgency)];
        *queued = queued.wrapping_add_signed(requests);
        self.lanes = self.lanes.wrapping_add_signed(lanes);
    }

    fn without(mut self, other: &Self) -> Self {
        for (queued, other) in self.queued.iter_mut().zip(other.queued) {
            *queued -= other;
        }
        self.lanes -= other.lanes;
        self
    }
}

/// What is behind a gate.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Behind {
    /// The nodes that it is of.
    pub nodes: Vec<u32>,
    aside: Aside,
    /// Of a batch that has lanes.
    batch: Option<Box<OfBatch>>,
}

/// What is behind a batch's gate.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct OfBatch {
    lanes: Few<u32, ()>,
    /// While it is set aside: what of it waits behind each other gate.
    aside: Few<u32, Aside>,
}

impl OfBatch {
    /// Of what is set aside, more or less waits behind another gate.
    fn change(&mut self, gate: u32, urgency: u8, requests: i32, lanes: i32) {
        let mut aside = self.aside.get(&gate).copied().unwrap_or_default();
        aside.change(urgency, requests, lanes);
        if aside == Aside::default() {
            self.aside.remove(&gate);
        } else {
            self.aside.insert(gate, aside);
        }
    }
}

impl Gate {
    /// Whether it is that of a batch to whose requests no turn comes. To one that was started just now it does within moments.
    #[inline]
    fn is_aside(&self) -> bool {
        self.scope() == Scope::Batch && self.shut().is_some_and(|why| why != Reason::BatchStarting)
    }
}

impl Engine {
    /// What is set aside behind a gate and is not of this batch, which may be [`NIL`].
    pub(super) fn aside(&self, gate: u32, batch: u32) -> Aside {
        let all = self.behind[gate].aside;
        let own = self.behind.get(batch).and_then(|behind| behind.batch.as_ref()?.aside.get(&gate));
        own.map_or(all, |own| all.without(own))
    }

    /// Changes a gate; it may shut or open.
    pub(super) fn change_gate<T>(&mut self, id: u32, change: impl FnOnce(&mut Gate) -> T) -> T {
        let gate = &mut self.gates[id];
        let was_aside = gate.is_aside();
        let changed = change(gate);
        let is_aside = gate.is_aside();
        if is_aside != was_aside
            && let Some(of) = &self.behind[id].batch
        {
            let lanes: Vec<_> = of.lanes.iter().map(|(lane, ())| *lane).collect();
            for lane in lanes {
                let waiting = self.nodes[lane].queue().len() as i32;
                match waiting {
                    0 => {}
                    _ if is_aside => self.count_aside(lane, waiting, 1),
                    _ => self.count_aside(lane, waiting.wrapping_neg(), -1),
                }
            }
        }
        changed
    }

    /// Whether a lane is of a batch that is set aside.
    #[inline]
    pub(super) fn is_lane_aside(&self, node: &Node) -> bool {
        matches!(&node.part, Part::Lane(lane) if lane.counts)
            && self.gates[self.nodes[node.parent].gate].is_aside()
    }

    /// A lane of a batch that is set aside has more requests, or fewer.
    #[cold]
    pub(super) fn count_aside(&mut self, lane: u32, requests: i32, lanes: i32) {
        let Self { nodes, behind, .. } = self;
        let Node { parent, urgency, .. } = nodes[lane];
        let batch = nodes[parent].gate;
        let mut id = lane;
        while id != NIL {
            let Node { gate, parent, .. } = nodes[id];
            if gate != NIL && gate != batch {
                behind[gate].aside.change(urgency, requests, lanes);
                let of = behind[batch].batch.as_mut().expect("it has this lane");
                of.change(gate, urgency, requests, lanes);
            }
            id = parent;
        }
    }

    /// A batch has another lane, in which nothing waits.
    pub(super) fn add_to_batch(&mut self, batch: u32, lane: u32) {
        self.behind[batch].batch.get_or_insert_default().lanes.insert(lane, ());
    }

    /// A lane in which nothing waits goes; its batch may have others.
    pub(super) fn take_from_batch(&mut self, lane: u32) {
        let node = &self.nodes[lane];
        if node.lane().counts {
            let batch = &mut self.behind[self.nodes[node.parent].gate].batch;
            let of = batch.as_mut().expect("it has this lane");
            of.lanes.remove(&lane);
            if of.lanes.iter().next().is_none() {
                *batch = None;
            }
        }
    }

    /// What is set aside behind every gate is counted, and of which batches it is.
    pub(super) fn check_aside(&self) -> Result<(), String> {
        let mut counted = vec![Behind::default(); self.behind.bound()];
        for (id, node) in self.nodes.iter() {
            let Part::Lane(lane) = &node.part else { continue };
            if !lane.counts {
                continue;
            }
            let batch = self.nodes[node.parent].gate;
            let aside = self.is_lane_aside(node) && !lane.queue.is_empty();
            let waiting = lane.queue.len() as i32;
            for gate in self.gates_of(id).filter(|gate| aside && *gate != batch) {
                counted[gate as usize].aside.change(node.urgency, waiting, 1);
                let of = counted[batch as usize].batch.get_or_insert_default();
                of.change(gate, node.urgency, waiting, 1);
            }
            counted[batch as usize].batch.get_or_insert_default().lanes.insert(id, ());
        }
        for (gate, behind) in self.behind.iter() {
            let counted = &counted[gate as usize];
            let of = |of: &Option<Box<OfBatch>>| {
                let of = of.as_ref()?;
                let lanes: Vec<_> = of.lanes.iter().map(|(lane, ())| *lane).collect();
                Some((
                    lanes,
                    of.aside.iter().map(|(gate, aside)| (*gate, *aside)).collect::<Vec<_>>(),
                ))
            };
            if behind.aside != counted.aside || of(&behind.batch) != of(&counted.batch) {
                return Err(format!(
                    "behind gate {gate} is set aside {counted:?}, counted {behind:?}"
                ));
            }
        }
        Ok(())
    }
}
