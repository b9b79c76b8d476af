//! Routes: the carriers of each class of requests, in the order in which they are tried.
//!
//! A route keeps its number while the requests that it stands for stay together, whatever becomes of its carriers and
//! their prices; so those who wait for it are left alone by most changes of the declaration.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::table::{Candidates, Draft, Table, VARIANTS, variant};
use crate::{
    engine::turn::{ANY_ROUTE, RouteId},
    spec::{Kind, NumberKind},
};

/// A carrier that can serve a class of requests, and at which of its prices.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Candidate {
    /// Which carrier.
    pub carrier: u32,
    /// Which of its price lists.
    pub ladder: u16,
}

/// Which carriers can serve a class of requests (MT-17).
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Route {
    /// In the order in which they are tried.
    pub candidates: Candidates,
    /// Their group; `None` while there is none of them.
    pub group: Option<u16>,
}

/// Every route, and the table that leads to them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Routes {
    table: Table,
    routes: Vec<Route>,
    /// By candidates in order of number.
    known: BTreeMap<Candidates, RouteId>,
    /// Numbers that can be given again.
    unused: BTreeSet<RouteId>,
    /// Numbers whose requests go elsewhere by now, or that stand for calls which a carrier refused.
    aside: BTreeSet<RouteId>,
}

impl Default for Routes {
    fn default() -> Self {
        Self {
            table: Table::default(),
            routes: vec![Route::default()],
            known: BTreeMap::new(),
            unused: BTreeSet::new(),
            aside: BTreeSet::new(),
        }
    }
}

impl Routes {
    /// One route; of a number that was never given, that of nobody.
    #[inline]
    pub fn get(&self, id: RouteId) -> &Route {
        static NOBODY: Route = Route { candidates: Vec::new(), group: None };
        self.routes.get(usize::from(id)).unwrap_or(&NOBODY)
    }

    /// Every route that is in use.
    pub fn iter(&self) -> impl Iterator<Item = (RouteId, &Route)> {
        let routes = self.routes.iter().enumerate().map(|(id, route)| (id as RouteId, route));
        routes.filter(|(id, _)| !self.unused.contains(id))
    }

    /// The route of a request.
    #[inline]
    pub fn resolve(&self, kind: Kind, number: NumberKind, to: &str) -> RouteId {
        self.table.row(to)[variant(kind, number)]
    }

    /// A carrier is added or gone while no table was made: everything goes over every carrier.
    pub(super) fn set_any(&mut self, candidates: Candidates, group: Option<u16>) {
        self.routes[usize::from(ANY_ROUTE)] = Route { candidates, group };
    }

    /// Puts another table in force. `carriers` are the numbers of the draft's carriers, with their groups. Says which
    /// routes' requests have to be looked up again, each by itself.
    pub(super) fn replace(&mut self, draft: &Draft, carriers: &[(u32, u16)]) -> Vec<RouteId> {
        let mut leads: BTreeMap<RouteId, BTreeSet<u32>> = BTreeMap::new();
        let mut prefixes: BTreeSet<&str> = self.table.prefixes().collect();
        prefixes.extend(draft.rows.keys().map(String::as_str));
        for prefix in prefixes {
            let (old, new) = (self.table.row(prefix), draft.at(prefix));
            for at in 0..VARIANTS {
                leads.entry(old[at]).or_default().insert(new[at]);
            }
        }
        let mut given: Vec<Option<RouteId>> = vec![None; draft.contents.len()];
        let mut stale = Vec::new();
        for (old, contents) in &leads {
            let only = contents.first().filter(|_| contents.len() == 1);
            match only.map(|content| &mut given[*content as usize]) {
                Some(place @ None) => *place = Some(*old),
                _ => stale.push(*old),
            }
        }
        // Routes of calls that a carrier refused belong to no destination.
        let others = self.iter().map(|(id, _)| id).filter(|id| !leads.contains_key(id));
        stale.extend(others.collect::<Vec<_>>());
        self.known.clear();
        self.aside = stale.iter().copied().collect();
        let routes: Vec<_> = given
            .into_iter()
            .zip(&draft.contents)
            .map(|(given, content)| {
                let id = given.unwrap_or_else(|| self.number());
                let real = |one: &Candidate| Candidate {
                    carrier: carriers[one.carrier as usize].0,
                    ..*one
                };
                let mut candidates: Candidates = content.iter().map(real).collect();
                let group = content.first().map(|one| carriers[one.carrier as usize].1);
                candidates.sort_unstable();
                self.known.insert(candidates.clone(), id);
                self.routes[usize::from(id)] = Route { candidates, group };
                id
            })
            .collect();
        self.table = Table::new(draft, &routes);
        for id in &stale {
            self.routes[usize::from(*id)] = Route::default();
        }
        stale
    }

    /// How many routes more there can be.
    pub(super) fn numbers_left(&self) -> usize {
        usize::from(RouteId::MAX) + 1 - self.routes.len() + self.unused.len()
    }

    fn number(&mut self) -> RouteId {
        self.unused.pop_first().unwrap_or_else(|| {
            self.routes.push(Route::default());
            RouteId::try_from(self.routes.len() - 1).expect("a declaration has fewer routes")
        })
    }

    /// The route of a request that has this one and that some of its carriers refused; `None` if there is no other carrier, or
    /// no number left for another route.
    pub(super) fn without(&mut self, id: RouteId, refused: &[u32]) -> Option<RouteId> {
        let Route { candidates, group } = self.get(id);
        let (ranked, group) = (candidates.clone(), *group);
        let left = ranked.into_iter().filter(|one| !refused.contains(&one.carrier));
        let left: Candidates = left.collect();
        let mut key = left.clone();
        key.sort_unstable();
        if let Some(known) = self.known.get(&key) {
            return Some(*known).filter(|_| !key.is_empty());
        }
        if key.is_empty() || self.numbers_left() == 0 {
            return None;
        }
        let new = self.number();
        self.known.insert(key, new);
        self.aside.insert(new);
        self.routes[usize::from(new)] = Route { candidates: left, group };
        Some(new)
    }

    /// Routes that no request has any more can be given again; `used` says which ones have some.
    pub(super) fn reclaim(&mut self, used: impl Fn(RouteId) -> bool) {
        let free: Vec<_> = self.aside.iter().copied().filter(|id| !used(*id)).collect();
        for id in free {
            self.aside.remove(&id);
            self.unused.insert(id);
            self.known.retain(|_, known| *known != id);
            self.routes[usize::from(id)] = Route::default();
        }
    }

    /// Sorts the candidates of every route that a carrier is in.
    pub(super) fn rank<K: Ord>(&mut self, of: Option<u32>, key: impl Fn(&Candidate) -> K) {
        for route in &mut self.routes {
            if of.is_none_or(|id| route.candidates.iter().any(|one| one.carrier == id)) {
                route.candidates.sort_by_key(&key);
            }
        }
    }
}
