//! What will be read soon is asked for beforehand, so that memory brings many lines at once instead of one after the other.

/// A line of memory, in bytes.
#[cfg(target_arch = "x86_64")]
const LINE: usize = 64;

/// Asks the processor to bring an item's lines near. It changes nothing but how long the first look at it takes.
///
/// Into the second cache: what is asked for ahead is more than the first one holds, and more lines can be under way to the second.
#[inline]
pub(super) fn soon<T>(item: &T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        // SAFETY: PREFETCHT1 is a hint. It neither faults nor changes what the program sees, whatever the address
        // (AMD64 Architecture Programmer's Manual, volume 3), and every x86-64 has it; here the address is even one within
        // a live item.
        #[expect(unsafe_code, reason = "the standard library has no safe prefetch yet")]
        for line in 0..size_of::<T>().div_ceil(LINE) {
            let start = std::ptr::from_ref(item).cast::<i8>();
            unsafe { _mm_prefetch::<_MM_HINT_T1>(start.wrapping_add(line * LINE)) };
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = item;
}
