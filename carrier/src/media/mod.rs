//! Audio of the carrier's calls: RTP with G.711 and RFC 4733 keys.
//!
//! [`Session`] is one call's audio without I/O: packets and the 20 ms clock in, packets out. [`Desk`] drives all
//! sessions on threads of their own, since timers of an async runtime are late by tens of milliseconds under load.

mod ear;
mod keys;
mod law;
mod rtp;
mod session;
mod thread;

use std::net::SocketAddr;

use crate::{account::Heard, plan::Talk};

pub(crate) use self::{
    ear::Ear,
    thread::{Desk, open_sockets},
};
pub use self::{law::Law, session::Session};

/// A packet's audio; `None` if it is no RTP.
pub(crate) fn read_packet(bytes: &[u8]) -> Option<&[u8]> {
    rtp::read(bytes).map(|packet| packet.payload)
}

/// What caller and carrier agreed on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stream {
    /// Where the caller wants its RTP.
    pub remote: SocketAddr,
    /// Codec, both ways.
    pub law: Law,
    /// Payload type of keys (RFC 4733), both ways, when agreed.
    pub keys: Option<u8>,
}

/// What the calls ask of the media side.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Order {
    /// A call was answered.
    Open {
        /// Which socket.
        slot: usize,
        /// Whose it is.
        call: u64,
        /// What was agreed.
        stream: Stream,
        /// What the called party does.
        talk: Talk,
    },
    /// The caller wants its RTP elsewhere.
    Retarget {
        /// Which socket.
        slot: usize,
        /// What is agreed now.
        stream: Stream,
    },
    /// The call is over; answered by [`Event::Closed`].
    Close {
        /// Which socket.
        slot: usize,
    },
}

/// What the media side tells.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// No RTP came for too long. Told once per call.
    Inactive {
        /// Whose.
        call: u64,
    },
    /// The session is over and its slot free.
    Closed {
        /// Which socket.
        slot: usize,
        /// What was heard.
        heard: Heard,
    },
}
