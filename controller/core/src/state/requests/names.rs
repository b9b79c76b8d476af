//! The tenants' names for the lines of a batch that is being filled, so that a line sent twice is taken once. Of each name
//! eight bytes are kept: two of a million names look alike once in thirty million batches, and then the second line is
//! refused as a duplicate, and its sender told so.

use std::hash::Hasher as _;

use serde::{Deserialize, Serialize};

use super::shared::Mixer;

/// Fingerprints in a table of open addressing, at most three quarters full; 0 is an empty place.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(in crate::state) struct Names {
    places: Vec<u64>,
    count: usize,
}

impl Names {
    /// Whether a name is among them.
    pub(in crate::state) fn contains(&self, name: &str) -> bool {
        let print = fingerprint(name);
        !self.places.is_empty() && self.places[self.place(print)] == print
    }

    /// Names that will be looked for and added: makes room for them, and brings their places nearer all at once, so
    /// that the memory is waited for once and not name by name.
    pub(in crate::state) fn expect<'a>(&mut self, names: impl Iterator<Item = &'a str> + Clone) {
        self.make_room(names.clone().count());
        if self.places.is_empty() {
            return;
        }
        let near =
            names.fold(0, |sum, name| sum ^ self.places[self.first_place(fingerprint(name))]);
        std::hint::black_box(near);
    }

    /// Adds a name.
    pub(in crate::state) fn insert(&mut self, name: &str) {
        self.make_room(1);
        let print = fingerprint(name);
        let place = self.place(print);
        self.count += usize::from(self.places[place] == 0);
        self.places[place] = print;
    }

    /// Forgets all.
    pub(in crate::state) fn clear(&mut self) {
        *self = Self::default();
    }

    fn make_room(&mut self, more: usize) {
        let least = (self.count + more) * 4 / 3 + 1;
        if more == 0 || least <= self.places.len() {
            return;
        }
        let larger = vec![0; least.next_power_of_two().max(16)];
        let old = std::mem::replace(&mut self.places, larger);
        // Places follow the order of the fingerprints, so that the new ones are filled from the first to the last.
        for print in old.into_iter().filter(|print| *print != 0) {
            let place = self.place(print);
            self.places[place] = print;
        }
    }

    /// Where a fingerprint is looked for first: by its highest bits.
    fn first_place(&self, print: u64) -> usize {
        let bits = self.places.len().trailing_zeros();
        (print >> (u64::BITS - bits)) as usize
    }

    /// Where a fingerprint is, or would be.
    fn place(&self, print: u64) -> usize {
        let mask = self.places.len() - 1;
        let mut place = self.first_place(print);
        while self.places[place] != 0 && self.places[place] != print {
            place = (place + 1) & mask;
        }
        place
    }
}

fn fingerprint(name: &str) -> u64 {
    let mut mixer = Mixer(0);
    mixer.write(name.as_bytes());
    // Two steps without input mix the last word into all bits.
    mixer.write_u64(0);
    mixer.write_u64(0);
    mixer.finish().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_names_are_all_found_and_no_other() {
        let mut names = Names::default();
        for line in 0..1_000_000 {
            let name = format!("line-{line}");
            assert!(!names.contains(&name), "{name}");
            names.insert(&name);
        }
        assert_eq!(names.count, 1_000_000);
        assert!((0..1_000_000).all(|line| names.contains(&format!("line-{line}"))));
        assert!(!(0..1_000_000).any(|line| names.contains(&format!("line-{line} "))));
        names.clear();
        assert!(!names.contains("line-1"));
    }
}
