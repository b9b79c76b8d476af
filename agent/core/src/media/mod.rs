//! Sound on the wire: G.711, RTP, keys as telephone events, arrival order, and what counts as speech.

pub mod dtmf;
