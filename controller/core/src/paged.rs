//! Large tables in pages. They grow without moving what is there, take no more memory than their pages, and can be
//! copied at an instant for a snapshot: [`Paged::share`] gives every page to whoever clones the table next, and each page
//! is copied only when it is written to after that.

use std::{
    fmt,
    marker::PhantomData,
    ops::{Index, IndexMut},
    sync::Arc,
};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, SeqAccess, Visitor},
    ser::SerializeSeq,
};

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

/// A page: this table's own, or shared with a copy of the table.
#[derive(Clone)]
enum Page<T, const N: usize> {
    Own(Box<[T; N]>),
    Shared(Arc<Frozen<T, N>>),
    /// Only while a page is changed from one to the other.
    Between,
}

#[derive(Clone)]
struct Frozen<T, const N: usize>(Box<[T; N]>);

impl<T: Clone, const N: usize> Page<T, N> {
    #[inline]
    fn items(&self) -> &[T; N] {
        match self {
            Self::Own(items) => items,
            Self::Shared(frozen) => &frozen.0,
            Self::Between => unreachable!("a page is changed in one step"),
        }
    }

    #[inline]
    fn items_mut(&mut self) -> &mut [T; N] {
        if matches!(self, Self::Shared(_)) {
            self.own();
        }
        match self {
            Self::Own(items) => items,
            _ => unreachable!("the page was just made this table's own"),
        }
    }

    #[cold]
    fn own(&mut self) {
        *self = match std::mem::replace(self, Self::Between) {
            Self::Shared(frozen) => Self::Own(Arc::unwrap_or_clone(frozen).0),
            other => other,
        };
    }

    fn share(&mut self) {
        *self = match std::mem::replace(self, Self::Between) {
            Self::Own(items) => Self::Shared(Arc::new(Frozen(items))),
            other => other,
        };
    }
}

/// A table of pages of `N` items.
#[derive(Clone)]
pub struct Paged<T, const N: usize> {
    pages: Vec<Page<T, N>>,
    len: usize,
}

impl<T, const N: usize> Default for Paged<T, N> {
    fn default() -> Self {
        Self { pages: Vec::new(), len: 0 }
    }
}

impl<T: fmt::Debug + Clone, const N: usize> fmt::Debug for Paged<T, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<T: Clone, const N: usize> Paged<T, N> {
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
        self.pages.len() * N * size_of::<T>()
    }

    /// The item, if there is one.
    #[inline]
    pub fn get(&self, at: usize) -> Option<&T> {
        (at < self.len).then(|| &self.pages[at / N].items()[at % N])
    }

    /// The item, if there is one.
    #[inline]
    pub fn get_mut(&mut self, at: usize) -> Option<&mut T> {
        (at < self.len).then(|| &mut self.pages[at / N].items_mut()[at % N])
    }

    /// Every item, in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &T> {
        (0..self.len).map(|at| &self.pages[at / N].items()[at % N])
    }

    /// Lets the next clone of this table be made without copying any item. Costs a few nanoseconds a page.
    pub fn share(&mut self) {
        self.pages.iter_mut().for_each(Page::share);
    }
}

impl<T: Clone + Default, const N: usize> Paged<T, N> {
    /// Appends an item.
    pub fn push(&mut self, item: T) {
        if self.len == self.pages.len() * N {
            let items: Box<[T]> = vec![T::default(); N].into_boxed_slice();
            let items = items.try_into().unwrap_or_else(|_| unreachable!("it has N items"));
            self.pages.push(Page::Own(items));
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

impl<T: Clone, const N: usize> Index<usize> for Paged<T, N> {
    type Output = T;

    #[inline]
    fn index(&self, at: usize) -> &T {
        debug_assert!(at < self.len, "{at} of {}", self.len);
        &self.pages[at / N].items()[at % N]
    }
}

impl<T: Clone, const N: usize> IndexMut<usize> for Paged<T, N> {
    #[inline]
    fn index_mut(&mut self, at: usize) -> &mut T {
        debug_assert!(at < self.len, "{at} of {}", self.len);
        &mut self.pages[at / N].items_mut()[at % N]
    }
}

/// Bytes that are written as they are.
struct Raw<'a>(&'a [u8]);

impl Serialize for Raw<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(self.0)
    }
}

impl<T: Flat, const N: usize> Serialize for Paged<T, N> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut pages = to.serialize_seq(Some(self.pages.len()))?;
        let mut bytes = vec![0; N * T::BYTES];
        for (number, page) in self.pages.iter().enumerate() {
            let used = (self.len - number * N).min(N);
            let bytes = &mut bytes[..used * T::BYTES];
            for (item, out) in page.items().iter().zip(bytes.chunks_exact_mut(T::BYTES)) {
                item.put(out);
            }
            pages.serialize_element(&Raw(bytes))?;
        }
        pages.end()
    }
}

impl<'de, T: Flat, const N: usize> Deserialize<'de> for Paged<T, N> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_seq(Pages(PhantomData))
    }
}

struct Pages<T, const N: usize>(PhantomData<T>);

impl<'de, T: Flat, const N: usize> Visitor<'de> for Pages<T, N> {
    type Value = Paged<T, N>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pages of {N} items of {} bytes", T::BYTES)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut pages: A) -> Result<Self::Value, A::Error> {
        let mut table = Paged::default();
        while let Some(bytes) = pages.next_element::<&'de [u8]>()? {
            let whole = bytes.len().is_multiple_of(T::BYTES) && bytes.len() <= N * T::BYTES;
            if !whole || !table.len.is_multiple_of(N) || bytes.is_empty() {
                return Err(de::Error::invalid_length(bytes.len(), &self));
            }
            let mut items: Vec<T> = bytes.chunks_exact(T::BYTES).map(T::take).collect();
            table.len += items.len();
            items.resize(N, T::default());
            let items = items.into_boxed_slice().try_into();
            let items = items.unwrap_or_else(|_| unreachable!("it has N items"));
            table.pages.push(Page::Own(items));
        }
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
            let bytes = postcard::to_stdvec(&table).unwrap();
            let back: Paged<u64, 8> = postcard::from_bytes(&bytes).unwrap();
            prop_assert!(back.iter().eq(model.iter()));
            prop_assert_eq!(postcard::to_stdvec(&back).unwrap(), bytes);
        }
    }
}
