//! The allocator of programs with a controller in them.
//!
//! What a request brings is taken from memory on the thread that reads it and given back on the one that applies it; `mimalloc`
//! needs no lock for that, where the system's allocator makes threads wait for each other. It also asks Linux for huge
//! pages: ten million queued calls are most of a gigabyte of tables that are read at random and, after a start, written
//! for the first time all at once, which with pages of 4 KiB is 200,000 page faults.

/// To be the `#[global_allocator]`.
pub use mimalloc::MiMalloc as Allocator;
