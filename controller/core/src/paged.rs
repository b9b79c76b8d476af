//! Large tables in pages. They grow without moving what is there, take no more memory than their pages, and can be
//! copied at an instant for a snapshot: [`Paged::share`] gives every page to whoever clones the table next, and each page
//! is copied only when it is written to after that.

use std::{
    fmt,
    io::{self, Read, Write},
    ops::{Index, IndexMut},
    sync::Arc,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A plain item of a fixed length in bytes, written little-endian: tables of them are written and read page by page
/// instead of item by item.
pub trait Flat: Copy + Default {
    /// Its length.
    const BYTES: usize;

    /// Writes it into [`Flat::BYTES`] bytes.
    fn put(&self, out: &mut [u8]);

    /// Reads it from [`Flat::BYTES`] bytes.
    fn take(bytes: &[u8]) -> Self;
}

macro_rules! flat_integer {
    ($($integer:ty),*) => {$(
        impl Flat for $integer {
            const BYTES: usize = size_of::<Self>();

            #[inline]
            fn put(&self, out: &mut [u8]) {
                out.copy_from_slice(&self.to_le_bytes());
            }

            #[inline]
            fn take(bytes: &[u8]) -> Self {
                let mut own = [0; size_of::<Self>()];
                own.copy_from_slice(bytes);
                Self::from_le_bytes(own)
            }
        }
    )*};
}

flat_integer!(u8, u32, u64);

#[derive(Clone)]
struct Frozen<T, const N: usize>(Box<[T; N]>);

/// A table of pages of `N` items.
#[derive(Clone)]
pub struct Paged<T, const N: usize> {
    /// Pages that are this table's own. Of one that is shared there is none.
    own: Vec<Option<Box<[T; N]>>>,
    /// Pages that are shared with a copy of the table.
    shared: Vec<Option<Arc<Frozen<T, N>>>>,
    len: usize,
}

impl<T, const N: usize> Default for Paged<T, N> {
    fn default() -> Self {
        Self { own: Vec::new(), shared: Vec::new(), len: 0 }
    }
}

impl<T: fmt::Debug, const N: usize> fmt::Debug for Paged<T, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<T, const N: usize> Paged<T, N> {
    /// How many items there are.
    #[inline]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes that its pages take.
    pub const fn bytes(&self) -> usize {
        self.own.len() * N * size_of::<T>()
    }

    /// The item, if there is one.
    #[inline]
    pub fn get(&self, at: usize) -> Option<&T> {
        (at < self.len).then(|| &self.page(at / N)[at % N])
    }

    /// The item, or a default one where the last page goes on behind the last item: for whoever can tell that from an item, or
    /// only asks memory for it.
    #[inline]
    pub fn get_near(&self, at: usize) -> Option<&T> {
        (at / N < self.own.len()).then(|| &self.page(at / N)[at % N])
    }

    /// Every item, in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &T> + ExactSizeIterator {
        (0..self.len).map(|at| &self.page(at / N)[at % N])
    }

    /// Lets the next clone of this table be made without copying any item. Costs a few nanoseconds a page.
    pub fn share(&mut self) {
        for (own, shared) in self.own.iter_mut().zip(&mut self.shared) {
            if let Some(items) = own.take() {
                *shared = Some(Arc::new(Frozen(items)));
            }
        }
    }

    #[inline]
    fn page(&self, number: usize) -> &[T; N] {
        match &self.own[number] {
            Some(items) => items,
            None => self.shared_page(number),
        }
    }

    #[cold]
    fn shared_page(&self, number: usize) -> &[T; N] {
        &self.shared[number].as_ref().expect("a page that is not the table's own is shared").0
    }
}

impl<T: Clone, const N: usize> Paged<T, N> {
    /// The item, if there is one.
    #[inline]
    pub fn get_mut(&mut self, at: usize) -> Option<&mut T> {
        (at < self.len).then(|| &mut self.page_mut(at / N)[at % N])
    }

    /// Every item, in order, to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        (0..self.own.len()).for_each(|page| self.make_own(page));
        self.own.iter_mut().flatten().flat_map(|page| page.iter_mut()).take(self.len)
    }

    #[inline]
    fn page_mut(&mut self, number: usize) -> &mut [T; N] {
        if self.own[number].is_none() {
            self.make_own(number);
        }
        self.own[number].as_mut().expect("it was made so")
    }

    #[cold]
    fn make_own(&mut self, number: usize) {
        if let Some(frozen) = self.shared[number].take() {
            self.own[number] = Some(Arc::unwrap_or_clone(frozen).0);
        }
    }

    fn add_page(&mut self, items: Box<[T]>) {
        let items = items.try_into().unwrap_or_else(|_| unreachable!("it has N items"));
        self.own.push(Some(items));
        self.shared.push(None);
    }
}

impl<T: Clone + Default, const N: usize> Paged<T, N> {
    /// Appends an item.
    pub fn push(&mut self, item: T) {
        if self.len == self.own.len() * N {
            self.add_page((0..N).map(|_| T::default()).collect());
        }
        let at = self.len;
        self.len += 1;
        self[at] = item;
    }

    /// Makes it at least this long, with default items at the end.
    pub fn grow_to(&mut self, len: usize) {
        while self.len < len {
            self.push(T::default());
        }
    }
}

impl<T, const N: usize> Index<usize> for Paged<T, N> {
    type Output = T;

    #[inline]
    fn index(&self, at: usize) -> &T {
        debug_assert!(at < self.len, "{at} of {}", self.len);
        &self.page(at / N)[at % N]
    }
}

impl<T: Clone, const N: usize> IndexMut<usize> for Paged<T, N> {
    #[inline]
    fn index_mut(&mut self, at: usize) -> &mut T {
        debug_assert!(at < self.len, "{at} of {}", self.len);
        &mut self.page_mut(at / N)[at % N]
    }
}

/// Its length alone: its pages are written apart, by [`Paged::write_pages`].
impl<T, const N: usize> Serialize for Paged<T, N> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.len.serialize(to)
    }
}

/// Without its pages, which [`Paged::read_pages`] then reads.
impl<'de, T, const N: usize> Deserialize<'de> for Paged<T, N> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        usize::deserialize(from).map(|len| Self { len, ..Self::default() })
    }
}

impl<T: Flat, const N: usize> Paged<T, N> {
    /// Writes the items, page by page.
    ///
    /// # Errors
    /// As `to`.
    pub fn write_pages(&self, to: &mut dyn Write) -> io::Result<()> {
        let mut bytes = vec![0; N * T::BYTES];
        for number in 0..self.own.len() {
            let bytes = &mut bytes[..(self.len - number * N).min(N) * T::BYTES];
            for (item, out) in self.page(number).iter().zip(bytes.chunks_exact_mut(T::BYTES)) {
                item.put(out);
            }
            to.write_all(bytes)?;
        }
        Ok(())
    }

    /// Reads the items that belong to the length which was read before.
    ///
    /// # Errors
    /// As `from`.
    pub fn read_pages(&mut self, from: &mut dyn Read) -> io::Result<()> {
        let mut bytes = vec![0; N * T::BYTES];
        while self.own.len() * N < self.len {
            let bytes = &mut bytes[..(self.len - self.own.len() * N).min(N) * T::BYTES];
            from.read_exact(bytes)?;
            let mut items = Vec::with_capacity(N);
            items.extend(bytes.chunks_exact(T::BYTES).map(T::take));
            items.resize(N, T::default());
            self.add_page(items.into_boxed_slice());
        }
        Ok(())
    }
}

/// For fields that hold few enough items to be written one by one, with the rest of what they are in.
pub mod items {
    use super::{Deserialize, Deserializer, Paged, Serialize, Serializer};

    /// # Errors
    /// As `to`.
    pub fn serialize<T: Serialize, S: Serializer, const N: usize>(
        table: &Paged<T, N>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_seq(table.iter())
    }

    /// # Errors
    /// As `from`.
    pub fn deserialize<'de, T, D, const N: usize>(from: D) -> Result<Paged<T, N>, D::Error>
    where
        T: Clone + Default + Deserialize<'de>,
        D: Deserializer<'de>,
    {
        let mut table = Paged::default();
        Vec::<T>::deserialize(from)?.into_iter().for_each(|item| table.push(item));
        Ok(table)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// A copy stays what it was however the table goes on, and comes back from its bytes.
        #[test]
        fn a_shared_copy_is_as_at_that_instant(
            first in prop::collection::vec(any::<u64>(), 0..40),
            then in prop::collection::vec((any::<prop::sample::Index>(), any::<u64>()), 0..60),
        ) {
            let mut table = Paged::<u64, 8>::default();
            first.iter().for_each(|item| table.push(*item));
            table.share();
            let copy = table.clone();
            let mut model = first.clone();
            for (at, item) in then {
                if !model.is_empty() && item % 2 == 0 {
                    let at = at.index(model.len());
                    (table[at], model[at]) = (item, item);
                } else {
                    table.push(item);
                    model.push(item);
                }
            }
            prop_assert!(copy.iter().eq(first.iter()));
            prop_assert!(table.iter().eq(model.iter()));
            let length = postcard::to_stdvec(&table).unwrap();
            let mut bytes = Vec::new();
            table.write_pages(&mut bytes).unwrap();
            let mut back: Paged<u64, 8> = postcard::from_bytes(&length).unwrap();
            let mut rest = bytes.as_slice();
            back.read_pages(&mut rest).unwrap();
            prop_assert!(rest.is_empty() && back.iter().eq(model.iter()));
            let mut short: Paged<u64, 8> = postcard::from_bytes(&length).unwrap();
            let cut = bytes.len().saturating_sub(1);
            prop_assert_eq!(short.read_pages(&mut &bytes[..cut]).is_err(), !model.is_empty());
        }
    }
}
