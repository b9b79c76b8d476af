//! Sound on the wire: G.711, RTP, keys as telephone events, arrival order, and what counts as speech.

pub mod dtmf;
pub mod g711;
pub mod jitter;
pub mod loudness;
pub mod rtp;

/// Samples per second of everything here.
pub const SAMPLE_RATE: u32 = 8_000;
/// Samples of one packet: 20 ms.
pub const FRAME: usize = 160;
