//! A map that holds a bounded weight and lets the least recently used entries go.

use std::{
    collections::{BTreeMap, HashMap},
    hash::Hash,
};

/// Entries with a weight each; their sum never exceeds the bound.
pub struct Lru<K, V> {
    entries: HashMap<K, Entry<V>>,
    order: BTreeMap<u64, K>,
    clock: u64,
    weight: usize,
    weight_max: usize,
}

struct Entry<V> {
    value: V,
    weight: usize,
    used: u64,
}

impl<K: Hash + Eq + Clone, V> Lru<K, V> {
    /// An empty map that holds up to `weight_max`.
    pub fn new(weight_max: usize) -> Self {
        Self { entries: HashMap::new(), order: BTreeMap::new(), clock: 0, weight: 0, weight_max }
    }

    /// Looks up and counts as a use.
    pub fn get(&mut self, key: &K) -> Option<&V> {
        let entry = self.entries.get_mut(key)?;
        self.order.remove(&entry.used);
        self.clock += 1;
        entry.used = self.clock;
        self.order.insert(self.clock, key.clone());
        Some(&entry.value)
    }

    /// Puts an entry in and returns what had to go for it: its predecessor, those least recently used, or
    /// itself if it alone is over the bound.
    pub fn insert(&mut self, key: K, value: V, weight: usize) -> Vec<(K, V)> {
        let mut gone: Vec<(K, V)> =
            self.remove(&key).map(|old| (key.clone(), old)).into_iter().collect();
        if weight > self.weight_max {
            gone.push((key, value));
            return gone;
        }
        while self.weight + weight > self.weight_max {
            let Some((_, oldest)) = self.order.pop_first() else {
                break;
            };
            if let Some(entry) = self.entries.remove(&oldest) {
                self.weight -= entry.weight;
                gone.push((oldest, entry.value));
            }
        }
        self.clock += 1;
        self.weight += weight;
        self.order.insert(self.clock, key.clone());
        let used = self.clock;
        self.entries.insert(key, Entry { value, weight, used });
        gone
    }

    /// Takes an entry out.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let entry = self.entries.remove(key)?;
        self.order.remove(&entry.used);
        self.weight -= entry.weight;
        Some(entry.value)
    }

    /// Sum of the weights.
    pub fn weight(&self) -> usize {
        self.weight
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_least_recently_used_goes_first() {
        let mut lru = Lru::new(10);
        assert!(lru.insert('a', 1, 4).is_empty());
        assert!(lru.insert('b', 2, 4).is_empty());
        assert_eq!(lru.get(&'a'), Some(&1));
        assert_eq!(lru.insert('c', 3, 4), [('b', 2)]);
        assert_eq!(lru.insert('d', 4, 11), [('d', 4)]);
        assert_eq!(lru.weight(), 8);
        assert_eq!(lru.get(&'a'), Some(&1));
    }

    proptest! {
        #[test]
        fn weight_is_the_sum_and_within_the_bound(steps in proptest::collection::vec((0..9u8, 0..40usize, any::<bool>()), 0..200)) {
            let mut lru = Lru::new(100);
            for (key, weight, insert) in steps {
                if insert { lru.insert(key, (), weight); } else { lru.get(&key); }
                prop_assert!(lru.weight() <= 100);
                prop_assert_eq!(lru.weight(), lru.entries.values().map(|e| e.weight).sum::<usize>());
                prop_assert_eq!(lru.order.len(), lru.entries.len());
            }
        }
    }
}
