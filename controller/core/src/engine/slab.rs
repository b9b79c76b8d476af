//! A vector with holes: dense ids that stay valid while their item lives, and are used again afterwards.

use std::ops::{Index, IndexMut};

use serde::{Deserialize, Serialize};

use super::soon::soon;
use crate::paged::{Paged, items};

/// Items of a page: not many, since a page that a snapshot shares is copied as a whole when one of them changes; not few, since
/// the list of the pages is looked at for every item and is to stay in a near cache.
const PAGE: usize = 256;

/// Items by dense id. Which id comes next depends on the history of insertions and removals alone, so
/// replicas give the same ids.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(bound = "T: Clone + Serialize + for<'a> Deserialize<'a>")]
pub struct Slab<T> {
    #[serde(with = "items")]
    items: Paged<Option<T>, PAGE>,
    free: Vec<u32>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { items: Paged::default(), free: Vec::new() }
    }
}

impl<T: Clone> Slab<T> {
    /// Lets the next clone be made without copying.
    pub fn share(&mut self) {
        self.items.share();
    }

    /// Puts an item in; its id is the one freed last, or a new one.
    pub fn insert(&mut self, item: T) -> u32 {
        match self.free.pop() {
            Some(id) => {
                self.items[id as usize] = Some(item);
                id
            }
            None => {
                let id = u32::try_from(self.items.len()).expect("fewer than 2^32 items");
                self.items.push(Some(item));
                id
            }
        }
    }

    /// Takes an item out.
    pub fn remove(&mut self, id: u32) -> Option<T> {
        let item = self.items.get_mut(id as usize)?.take()?;
        self.free.push(id);
        Some(item)
    }

    /// The item, if there is one.
    #[inline]
    pub fn get(&self, id: u32) -> Option<&T> {
        self.items.get_near(id as usize)?.as_ref()
    }

    /// The item, if there is one.
    pub fn get_mut(&mut self, id: u32) -> Option<&mut T> {
        self.items.get_mut(id as usize)?.as_mut()
    }

    /// Asks memory for an item, if there is one.
    #[inline]
    pub(super) fn soon(&self, id: u32) {
        if let Some(item) = self.items.get_near(id as usize) {
            soon(item);
        }
    }

    /// How much a copy of it takes, but for what its items own.
    pub const fn bytes(&self) -> usize {
        self.items.bytes() + self.free.len() * size_of::<u32>()
    }

    /// How many items there are.
    pub fn len(&self) -> usize {
        self.items.len() - self.free.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Every id is below this.
    pub fn bound(&self) -> usize {
        self.items.len()
    }

    /// Every item with its id, in order of id.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (u32, &mut T)> {
        let items = self.items.iter_mut().enumerate();
        items.filter_map(|(id, item)| Some((id as u32, item.as_mut()?)))
    }

    /// Every item with its id, in order of id.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (u32, &T)> {
        self.items.iter().enumerate().filter_map(|(id, item)| Some((id as u32, item.as_ref()?)))
    }
}

impl<T: Clone> Index<u32> for Slab<T> {
    type Output = T;

    #[inline]
    fn index(&self, id: u32) -> &T {
        self.items[id as usize].as_ref().expect("ids are held only while their item lives")
    }
}

impl<T: Clone> IndexMut<u32> for Slab<T> {
    #[inline]
    fn index_mut(&mut self, id: u32) -> &mut T {
        self.items[id as usize].as_mut().expect("ids are held only while their item lives")
    }
}
