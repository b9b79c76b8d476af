//! Ordered maps of which there are many and most hold one or two entries: a tree's first node alone takes hundreds of bytes.

use std::{collections::BTreeMap, mem};

use serde::{Deserialize, Serialize};

/// Beyond so many entries it is a tree.
const LISTED_MAX: usize = 8;

/// A map in the order of its keys.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Few<K: Ord, V> {
    /// In order.
    Listed(Vec<(K, V)>),
    /// More than [`LISTED_MAX`] at some time since it was last empty.
    Tree(BTreeMap<K, V>),
}

impl<K: Ord, V> Default for Few<K, V> {
    fn default() -> Self {
        Self::Listed(Vec::new())
    }
}

impl<K: Ord, V> Few<K, V> {
    /// The value of a key.
    pub fn get(&self, key: &K) -> Option<&V> {
        match self {
            Self::Listed(list) => place(list, key).ok().map(|at| &list[at].1),
            Self::Tree(tree) => tree.get(key),
        }
    }

    /// Sets the value of a key, and gives the one that it had.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        match self {
            Self::Listed(list) => match place(list, &key) {
                Ok(at) => Some(mem::replace(&mut list[at].1, value)),
                Err(at) if list.len() < LISTED_MAX => {
                    list.reserve_exact(1);
                    list.insert(at, (key, value));
                    None
                }
                Err(_) => {
                    let mut tree: BTreeMap<_, _> = mem::take(list).into_iter().collect();
                    tree.insert(key, value);
                    *self = Self::Tree(tree);
                    None
                }
            },
            Self::Tree(tree) => tree.insert(key, value),
        }
    }

    /// Takes a key away, with its value.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let removed = match self {
            Self::Listed(list) => place(list, key).ok().map(|at| list.remove(at).1),
            Self::Tree(tree) => tree.remove(key),
        };
        if self.iter().next().is_none() {
            *self = Self::default();
        }
        removed
    }

    /// Every entry, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        let (list, tree) = match self {
            Self::Listed(list) => (Some(list), None),
            Self::Tree(tree) => (None, Some(tree)),
        };
        let list = list.into_iter().flatten().map(|(key, value)| (key, value));
        list.chain(tree.into_iter().flatten())
    }

    /// Every value, in the order of the keys.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }
}

fn place<K: Ord, V>(list: &[(K, V)], key: &K) -> Result<usize, usize> {
    list.binary_search_by(|(found, _)| found.cmp(key))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_as_a_tree_however_many_there_are(
            steps in prop::collection::vec((any::<bool>(), 0u8..24, any::<u16>()), 0..200),
        ) {
            let (mut few, mut model) = (Few::default(), BTreeMap::new());
            for (add, key, value) in steps {
                if add {
                    prop_assert_eq!(few.insert(key, value), model.insert(key, value));
                } else {
                    prop_assert_eq!(few.remove(&key), model.remove(&key));
                }
                prop_assert!(few.iter().eq(model.iter()));
                prop_assert!(few.values().eq(model.values()));
                prop_assert_eq!(few.get(&key), model.get(&key));
                prop_assert!(!model.is_empty() || few == Few::default());
            }
        }
    }
}
