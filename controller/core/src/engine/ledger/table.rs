//! From what each carrier serves to the carriers of each destination: which of them, by the longest prefix of the called
//! number, the kind of the calling number, and whether it is a call or a message (MT-17).
//!
//! The table is a tree of digits that holds, at each node, the routes of the longest prefix that ends there or above, so that
//! a look-up is a walk over the digits of the number and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use busyhour_base::Reason;
use serde::{Deserialize, Serialize};

use super::routes::Candidate;
use crate::{
    engine::{ring::NIL, turn::RouteId},
    spec::{Destination, Kind, NumberKind},
};

/// What a route depends on beside the destination: kinds of number times kinds of request.
pub const VARIANTS: usize = 2 * NumberKind::ALL.len();

/// The prefix of every address that is not a telephone number.
const ADDRESS: &str = "sip:";

/// Most different routes of one declaration: as many again may still be in use from the one before.
const ROUTES_MAX: usize = 30_000;

/// The route of each variant.
pub type Row = [RouteId; VARIANTS];

/// Which variant a request is.
#[inline]
pub const fn variant(kind: Kind, number: NumberKind) -> usize {
    number as usize * 2 + matches!(kind, Kind::Message) as usize
}

/// One line of what a carrier serves.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Line {
    /// `+` and digits, or `sip:`.
    pub prefix: String,
    /// One bit for each variant.
    pub variants: u8,
    /// Which of the carrier's prices.
    pub ladder: u16,
}

/// What one carrier serves.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Serves {
    /// Its group.
    pub group: u16,
    /// In the order of declaration.
    pub lines: Vec<Line>,
}

impl Serves {
    /// From the declaration; `ladder` numbers the prices of each destination.
    pub fn new(group: u16, declared: &[Destination], ladder: impl Fn(&Destination) -> u16) -> Self {
        let line =
            |prefix: &str, variants, ladder| Line { prefix: prefix.into(), variants, ladder };
        if declared.is_empty() {
            let calls = bits(&NumberKind::ALL, true, false);
            return Self { group, lines: vec![line("+", calls, 0), line(ADDRESS, calls, 0)] };
        }
        let lines = declared.iter().map(|to| {
            let kinds = if to.kinds.is_empty() { &NumberKind::ALL[..] } else { &to.kinds };
            line(&to.prefix, bits(kinds, to.calls, to.messages), ladder(to))
        });
        Self { group, lines: lines.collect() }
    }
}

fn bits(kinds: &[NumberKind], calls: bool, messages: bool) -> u8 {
    let of = |kind: Kind| kinds.iter().fold(0, |bits, number| bits | 1 << variant(kind, *number));
    let (calls_of, messages_of): (u8, u8) = (of(Kind::Call), of(Kind::Message));
    (if calls { calls_of } else { 0 }) | (if messages { messages_of } else { 0 })
}

/// Who can serve a class of requests, in order of declaration.
pub type Candidates = Vec<Candidate>;

/// A table in which routes are numbered from 0 by what they hold.
#[derive(Debug, Default)]
pub struct Draft {
    /// What there is.
    pub contents: Vec<Candidates>,
    /// By prefix, in order, so that each comes after those that it begins with.
    pub rows: BTreeMap<String, [u32; VARIANTS]>,
}

impl Draft {
    /// Works out the routes. Candidates are numbered as in `carriers`.
    ///
    /// # Errors
    /// [`Reason::CarrierGroups`] if carriers of different groups serve one destination, [`Reason::TooLarge`] if there are
    /// too many different routes.
    pub fn new(carriers: &[Serves]) -> Result<Self, Reason> {
        let mut by_prefix: BTreeMap<&str, Vec<(u32, &Line)>> = BTreeMap::new();
        by_prefix.insert("+", Vec::new());
        by_prefix.insert(ADDRESS, Vec::new());
        for (number, carrier) in carriers.iter().enumerate() {
            for line in &carrier.lines {
                by_prefix.entry(&line.prefix).or_default().push((number as u32, line));
            }
        }
        let mut draft = Self::default();
        let mut known = BTreeMap::new();
        let mut above: Vec<(&str, [Candidates; VARIANTS])> = Vec::new();
        for (prefix, lines) in by_prefix {
            while above.last().is_some_and(|(shorter, _)| !prefix.starts_with(shorter)) {
                above.pop();
            }
            let mut all = above.last().map(|(_, all)| all.clone()).unwrap_or_default();
            for (carrier, line) in lines {
                for (at, candidates) in all.iter_mut().enumerate() {
                    if line.variants >> at & 1 == 1 {
                        put(candidates, Candidate { carrier, ladder: line.ladder });
                    }
                }
            }
            let mut row = [0; VARIANTS];
            for (at, candidates) in all.iter().enumerate() {
                row[at] = draft.number(candidates, carriers, &mut known)?;
            }
            draft.rows.insert(prefix.to_owned(), row);
            above.push((prefix, all));
        }
        Ok(draft)
    }

    fn number(
        &mut self,
        candidates: &Candidates,
        carriers: &[Serves],
        known: &mut BTreeMap<Candidates, u32>,
    ) -> Result<u32, Reason> {
        if let Some(number) = known.get(candidates) {
            return Ok(*number);
        }
        let mut groups = candidates.iter().map(|one| carriers[one.carrier as usize].group);
        let first = groups.next();
        if groups.any(|group| Some(group) != first) {
            return Err(Reason::CarrierGroups);
        }
        if self.contents.len() >= ROUTES_MAX {
            return Err(Reason::TooLarge);
        }
        let number = self.contents.len() as u32;
        self.contents.push(candidates.clone());
        known.insert(candidates.clone(), number);
        Ok(number)
    }

    /// The row of a prefix: its own, or that of the longest one that it begins with.
    pub fn at(&self, prefix: &str) -> [u32; VARIANTS] {
        let mut ends = (0..=prefix.len()).rev().filter(|end| prefix.is_char_boundary(*end));
        let row = ends.find_map(|end| self.rows.get(&prefix[..end]));
        *row.unwrap_or_else(|| &self.rows[ADDRESS])
    }
}

fn put(candidates: &mut Candidates, new: Candidate) {
    match candidates.binary_search_by_key(&new.carrier, |one| one.carrier) {
        Ok(at) => candidates[at] = new,
        Err(at) => candidates.insert(at, new),
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Node {
    children: [u32; 10],
    row: u32,
}

/// The table in force.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Table {
    prefixes: BTreeSet<String>,
    rows: Vec<Row>,
    /// The root is that of `+`.
    nodes: Vec<Node>,
    address: Row,
}

impl Table {
    /// From a draft, each of whose contents has its route now.
    pub fn new(draft: &Draft, routes: &[RouteId]) -> Self {
        let mut table = Self::default();
        let mut known = BTreeMap::new();
        for (prefix, contents) in &draft.rows {
            let row: Row = contents.map(|content| routes[content as usize]);
            table.prefixes.insert(prefix.clone());
            if prefix == ADDRESS {
                table.address = row;
                continue;
            }
            let number = *known.entry(row).or_insert_with(|| {
                table.rows.push(row);
                table.rows.len() as u32 - 1
            });
            table.insert(prefix, number);
        }
        table
    }

    /// Prefixes come in order, so that those above a new node are there already.
    fn insert(&mut self, prefix: &str, row: u32) {
        if self.nodes.is_empty() {
            self.nodes.push(Node { children: [NIL; 10], row });
        }
        let mut at = 0;
        for digit in digits(prefix) {
            let above = self.nodes[at].row;
            if self.nodes[at].children[digit] == NIL {
                self.nodes[at].children[digit] = self.nodes.len() as u32;
                self.nodes.push(Node { children: [NIL; 10], row: above });
            }
            at = self.nodes[at].children[digit] as usize;
        }
        self.nodes[at].row = row;
    }

    /// The prefixes that it tells apart.
    pub fn prefixes(&self) -> impl Iterator<Item = &str> {
        self.prefixes.iter().map(String::as_str)
    }

    /// The routes to an address.
    #[inline]
    pub fn row(&self, to: &str) -> &Row {
        if !to.starts_with('+') || self.nodes.is_empty() {
            return &self.address;
        }
        let mut node = &self.nodes[0];
        for digit in digits(to) {
            match self.nodes.get(node.children[digit] as usize) {
                Some(next) => node = next,
                None => break,
            }
        }
        &self.rows[node.row as usize]
    }
}

/// The digits after the plus sign, up to the first that is none.
#[inline]
fn digits(number: &str) -> impl Iterator<Item = usize> {
    number.bytes().skip(1).map_while(|byte| byte.is_ascii_digit().then(|| usize::from(byte - b'0')))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn line(prefix: &str, variants: u8, ladder: u16) -> Line {
        Line { prefix: prefix.into(), variants, ladder }
    }

    proptest! {
        /// MT-17: the tree against looking at every line of every carrier.
        #[test]
        fn mt_17_a_route_holds_whoever_has_the_longest_prefix_of_its_own(
            lines in prop::collection::vec((0usize..4, "\\+[1-3]{0,4}", 1u8.., 0u16..3), 0..25),
            numbers in prop::collection::vec("(\\+[1-4]{1,6}|sip:[a-z]{3})", 1..20),
        ) {
            let mut carriers = vec![Serves::default(); 4];
            for (carrier, prefix, variants, ladder) in &lines {
                let of = &mut carriers[*carrier].lines;
                // One line for each variant of a prefix.
                let taken = of.iter().filter(|l| l.prefix == *prefix).fold(0, |bits, l| bits | l.variants);
                of.push(line(prefix, variants & !taken, *ladder));
            }
            let draft = Draft::new(&carriers).unwrap();
            let routes: Vec<RouteId> = (0..draft.contents.len() as RouteId).collect();
            let table = Table::new(&draft, &routes);
            for number in &numbers {
                for variant in 0..VARIANTS {
                    let expected: Candidates = carriers.iter().enumerate().filter_map(|(carrier, serves)| {
                        let fits = |l: &&Line| number.starts_with(&l.prefix) && l.variants >> variant & 1 == 1;
                        let best = serves.lines.iter().filter(fits).max_by_key(|l| l.prefix.len())?;
                        Some(Candidate { carrier: carrier as u32, ladder: best.ladder })
                    }).collect();
                    let route = table.row(number)[variant];
                    prop_assert_eq!(&draft.contents[usize::from(route)], &expected, "{} {}", number, variant);
                    prop_assert_eq!(draft.at(number)[variant] as RouteId, route);
                }
            }
        }
    }
}
