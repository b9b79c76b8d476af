//! What must hold in every state, checked from scratch. For tests and the simulator.

use super::{
    Engine,
    gate::Verdict,
    lanes::URGENCIES,
    node::{Lane, Node, Part, Place, timer_of},
    ring::NIL,
    wheel::NO_TIMER,
};
use crate::spec::Kind;

impl Engine {
    /// Checks the engine's sums and standings against each other. Costs as much as there is.
    ///
    /// # Errors
    /// One sentence about the first contradiction.
    pub fn check(&self) -> Result<(), String> {
        self.order.check(&self.nodes)?;
        for (id, node) in self.nodes.iter() {
            self.check_node(id, node).map_err(|what| format!("node {id}, {node:?}: {what}"))?;
        }
        self.check_put_back()?;
        self.check_gates()?;
        self.check_aside()?;
        self.check_offers()?;
        self.check_ledger()
    }

    fn check_node(&self, id: u32, node: &Node) -> Result<(), String> {
        if self.requests.iter(node.queue()).count() != node.queue().len() as usize {
            return Err("counts other requests than it holds".into());
        }
        self.check_root(id, node)?;
        let has_work = !node.queue().is_empty() || !node.ready().is_empty();
        if has_work == (node.place == Place::Idle) {
            return Err("waits for nothing, or has nothing that waits".into());
        }
        let listed = node.parent != NIL
            && self.nodes[node.parent].ready().iter(&self.nodes).any(|other| other == id);
        if listed != (node.place == Place::Ready && node.parent != NIL) {
            return Err(format!("listed with its parent: {listed}"));
        }
        if node.parent != NIL && listed && self.nodes[node.parent].place == Place::Idle {
            return Err("is ready beneath a parent that is idle".into());
        }
        let waits = node.gate != NIL
            && self.gates[node.gate].waiting.iter(&self.nodes).any(|other| other == id);
        let timed = node.place == Place::Timed;
        if waits != (node.place == Place::Shut || timed && node.kind == Kind::Call) {
            return Err(format!("waiting at its gate: {waits}"));
        }
        if waits
            && timed
            && timer_of(self.gates[node.gate].waiting, &self.nodes) != Some(node.ticket)
        {
            return Err("waits for another timer than the others".into());
        }
        if node.place == Place::Timed && node.ticket == NO_TIMER {
            return Err("waits for a timer that is not set".into());
        }
        // What waits for a gate that lets it pass would wait for ever. Timers are exact, but for their own instant.
        let open = || self.verdict(id) == Verdict::Open;
        if node.place == Place::Shut && open() {
            return Err("waits at a gate that is open".into());
        }
        if node.place == Place::Timed && open() && self.wheel.next_at() > Some(self.clock) {
            return Err("waits for an instant that has passed".into());
        }
        Ok(())
    }

    /// Who was put back stands at the head of its lane.
    fn check_put_back(&self) -> Result<(), String> {
        let mut found = 0;
        for (id, node) in self.nodes.iter() {
            let put_back: Vec<_> = self.put_back.of_lane(id).collect();
            let head: Vec<_> = self.requests.iter(node.queue()).take(put_back.len()).collect();
            let retired = matches!(&node.part, Part::Lane(lane) if lane.retired);
            if !retired && head != put_back {
                return Err(format!(
                    "{put_back:?} were put back into lane {id}, {head:?} are first"
                ));
            }
            found += put_back.len();
        }
        match self.put_back.len() {
            put_back if put_back == found => Ok(()),
            put_back => Err(format!("{put_back} requests were put back, {found} into lanes")),
        }
    }

    /// A root's tenant, and the way from each root of a tenant to the next.
    fn check_root(&self, id: u32, node: &Node) -> Result<(), String> {
        if node.parent != NIL {
            return Ok(());
        }
        let root = node.branch();
        let roots = &self.tenants[root.tenant].roots;
        let at = roots.iter().position(|other| *other == id).ok_or("is not its tenant's")?;
        if root.tenant != self.cold[id].tenant || root.sibling != roots[(at + 1) % roots.len()] {
            return Err(format!("its tenant's roots are {roots:?}"));
        }
        Ok(())
    }

    fn check_gates(&self) -> Result<(), String> {
        let mut queued = vec![[0_u32; URGENCIES]; self.behind.bound()];
        let mut lanes = vec![0_u32; self.behind.bound()];
        let mut in_progress = vec![0_u32; self.behind.bound()];
        for (_, node) in self.nodes.iter() {
            if let Part::Lane(Lane { counts: true, in_progress: more, .. }) = node.part {
                in_progress[self.nodes[node.parent].gate as usize] += more;
            }
        }
        let mut waiting = 0;
        for (id, node) in self.nodes.iter().filter(|(_, node)| !node.queue().is_empty()) {
            waiting += u64::from(node.queue().len());
            for gate in self.gates_of(id) {
                queued[gate as usize][usize::from(node.urgency)] += node.queue().len();
                lanes[gate as usize] += 1;
            }
        }
        for (route, crew) in self.poppers.iter() {
            let lanes = self.nodes.iter().filter(|(_, node)| node.route == route);
            let waiting: u64 = lanes.map(|(_, node)| u64::from(node.queue().len())).sum();
            if crew.waiting != waiting || crew.number > self.poppers.most() {
                return Err(format!(
                    "{waiting} requests wait for route {route}, poppers: {crew:?}"
                ));
            }
        }
        if waiting != self.waiting {
            return Err(format!("{waiting} requests wait, {} are counted", self.waiting));
        }
        for (id, gate) in self.gates.iter() {
            if gate.queued != queued[id as usize] || gate.lanes != lanes[id as usize] {
                return Err(format!("gate {id} counts {gate:?}, has {:?}", queued[id as usize]));
            }
            if gate.in_progress != in_progress[id as usize] {
                return Err(format!("gate {id} counts {gate:?}, has {in_progress:?}"));
            }
        }
        Ok(())
    }

    fn check_ledger(&self) -> Result<(), String> {
        let channels: u32 =
            self.ledger.order().iter().map(|id| self.ledger.get(*id).in_use()).sum();
        let slots: u32 = self.workers.iter().map(|worker| worker.in_use).sum();
        if channels < slots {
            return Err(format!("{channels} channels and {slots} slots in use"));
        }
        self.ledger.check()
    }
}
