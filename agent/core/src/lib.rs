//! The call router's pure core: sans-IO, `handle(now, input)`, then drain `poll()` until it says when to wake.
//!
//! Documents, call legs, webhook parameters and signatures, codecs, SDP, RTP and journal rules. No clock,
//! no socket, no thread: the simulator drives the same [`leg`] machines as the agent does.

pub mod digest;
pub mod errands;
pub mod interpreter;
pub mod journal;
pub mod leg;
pub mod media;
pub mod sdp;
pub mod speech;
pub mod texting;
pub mod twiml;
pub mod webhook;
