//! The order by kind (MT-4): calls that were asked for one by one, and lines of batches.
//!
//! While it is in force a tenant's lines of batches have a root of their own beside that of its other calls, so that either can
//! be ranked. Under any other order a tenant has one root for both, and so one turn. A change of the order brings the
//! batches from one to the other. A root that has nothing else beneath it only changes its name, so that it stands where it
//! stood.

use super::{Engine, lanes::Scopes, ring::NIL};
use crate::spec::AskedAs;

impl Engine {
    /// How what is beneath a root was asked for, as far as the order tells it apart.
    pub(super) fn asked_as(&self, root: u32) -> AskedAs {
        match self.cold[root].branch {
            Some(Scopes { lines_only: true, .. }) => AskedAs::BatchLine,
            _ => AskedAs::Single,
        }
    }

    /// Brings every batch to where the order in force wants it. Whoever waits keeps its place in its lane.
    pub(super) fn part_kinds(&mut self) {
        let lines_only = self.policy.parts_kinds();
        let roots: Vec<_> =
            self.tenants.iter().flat_map(|(_, tenant)| tenant.roots.clone()).collect();
        for root in roots {
            let of = self.cold[root].branch.expect("a root is of something");
            if of.lines_only != lines_only {
                self.part(root, Scopes { lines_only, ..of });
            }
        }
    }

    /// Brings the batches beneath a root to the root of `to`, which differs from it in kind only.
    fn part(&mut self, root: u32, to: Scopes) {
        let tenant = self.cold[root].tenant;
        let beneath = self.branches_beneath(root);
        let is_batch = |of: &Scopes| of.batch != NIL;
        if !beneath.iter().any(|(of, _)| is_batch(of)) {
            return;
        }
        // Every child is one of these unless it is a lane; above lanes of batches there is a batch.
        let above = beneath.iter().filter(|(of, _)| !is_batch(of));
        let children = |id: u32| self.cold[id].children as usize;
        let held: usize = above.map(|(_, id)| children(*id)).sum::<usize>() + children(root);
        let alone = held == beneath.len();
        if alone && self.tenants[tenant].branches.get(&to).is_none() {
            for (_, id) in beneath.into_iter().chain([(to, root)]) {
                self.rename(id, to.lines_only);
            }
            return;
        }
        for (of, id) in beneath.into_iter().filter(|(of, _)| is_batch(of)) {
            self.transplant(id, Scopes { lines_only: to.lines_only, ..of });
        }
    }

    /// The applications and batches of a root: first those that are ready, in their turn.
    fn branches_beneath(&self, root: u32) -> Vec<(Scopes, u32)> {
        let tenant = &self.tenants[self.cold[root].tenant];
        let top = self.cold[root].branch.expect("a root is of something");
        let is_beneath =
            |of: &Scopes| Scopes { application: NIL, batch: NIL, ..*of } == top && *of != top;
        let branches = tenant.branches.iter().filter(|(of, _)| is_beneath(of));
        let mut beneath: Vec<_> = branches.map(|(of, id)| (*of, *id)).collect();
        let in_turn = |id: u32| self.nodes[id].ready().iter(&self.nodes);
        let turns: Vec<u32> =
            in_turn(root).flat_map(|id| std::iter::once(id).chain(in_turn(id))).collect();
        beneath.sort_by_key(|(_, id)| {
            turns.iter().position(|other| other == id).unwrap_or(usize::MAX)
        });
        beneath
    }

    /// A branch is of another kind and stays where it is.
    fn rename(&mut self, id: u32, lines_only: bool) {
        let cold = &mut self.cold[id];
        let of = cold.branch.as_mut().expect("lanes have no name");
        let branches = &mut self.tenants[cold.tenant].branches;
        branches.remove(of);
        of.lines_only = lines_only;
        branches.insert(*of, id);
    }

    /// A batch goes beneath the application or the root of another kind, with its lanes and all that waits in them.
    fn transplant(&mut self, id: u32, to: Scopes) {
        let why = self.waited_for(id);
        self.leave(id);
        let tenant = self.cold[id].tenant;
        let root = Scopes { application: NIL, batch: NIL, ..to };
        let mut parent =
            self.branch(tenant, root, NIL, self.tenants[tenant].gates[to.kind as usize]);
        if to.application != NIL {
            parent = self.branch(tenant, Scopes { batch: NIL, ..to }, parent, to.application);
        }
        let before = std::mem::replace(&mut self.nodes[id].parent, parent);
        self.cold[parent].children += 1;
        self.cold[before].children -= 1;
        self.rename(id, to.lines_only);
        self.prune(before);
        self.stand(id, why);
    }
}
