//! What a carrier is started with.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    ops::RangeInclusive,
    sync::Arc,
};

use busyhour_base::Span;
use busyhour_simulations::scenario::Caller;

use crate::plan::Script;

/// What the carrier rents out: over it, a call set-up is a breach and is answered 503.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct Contract {
    /// Calls at a time, from INVITE to the end of the call.
    pub channels: u32,
    /// Call set-ups in any rolling second.
    pub calls_per_second: u32,
}

/// A trunk's digest account.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// User name.
    pub user: String,
    /// Password; never shown.
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

/// A carrier's settings.
#[derive(Clone)]
pub struct Options {
    /// Where SIP over UDP is listened to; port 0 takes any.
    pub sip: SocketAddr,
    /// Address of the RTP sockets, one per channel.
    pub rtp: IpAddr,
    /// Ports for them (even ones are used, RFC 3550 11); any when absent.
    pub rtp_ports: Option<RangeInclusive<u16>>,
    /// Where the account is served over HTTP; port 0 takes any.
    pub account: SocketAddr,
    /// What callers are held to.
    pub contract: Contract,
    /// Callers must authenticate with these, when given.
    pub credentials: Option<Credentials>,
    /// How calls are treated, by called number.
    pub script: Arc<dyn Script>,
    /// Customers who call the tenants' numbers, once it is known where the trunks' other sides listen.
    pub callers: Vec<Caller>,
    /// Where they listen; they may be told later, over HTTP.
    pub calls_to: Vec<SocketAddr>,
    /// Seeds tags, nonces and RTP's random fields.
    pub seed: u64,
    /// A call without any RTP for this long is released; never when absent.
    pub rtp_timeout: Option<Span>,
    /// Longest ringing before the carrier gives up with 480.
    pub ring_limit: Span,
    /// Call records kept; further calls are only counted.
    pub max_records: usize,
    /// Threads that serve RTP.
    pub media_threads: usize,
}

impl Options {
    /// Loopback, free ports, 30 channels and 5 calls per second.
    pub fn new(script: Arc<dyn Script>) -> Self {
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        Self {
            sip: SocketAddr::new(loopback, 0),
            rtp: loopback,
            rtp_ports: None,
            account: SocketAddr::new(loopback, 0),
            contract: Contract { channels: 30, calls_per_second: 5 },
            credentials: None,
            script,
            callers: Vec::new(),
            calls_to: Vec::new(),
            seed: 0,
            rtp_timeout: Some(Span::from_secs(60)),
            ring_limit: Span::from_secs(180),
            max_records: 200_000,
            media_threads: 1,
        }
    }

    /// Refuses what cannot be served, before anything is opened.
    pub(crate) fn check(&self) -> Result<(), OptionsError> {
        if self.contract.channels == 0 || self.contract.channels > MAX_CHANNELS {
            return Err(OptionsError::Channels(self.contract.channels));
        }
        if self.contract.calls_per_second == 0 {
            return Err(OptionsError::CallsPerSecond);
        }
        if self.media_threads == 0 || self.media_threads > 64 {
            return Err(OptionsError::MediaThreads(self.media_threads));
        }
        if let Some(range) = &self.rtp_ports {
            let even = range.clone().filter(|port| is_usable(*port)).count();
            if even < self.contract.channels as usize {
                return Err(OptionsError::RtpPorts { even, channels: self.contract.channels });
            }
        }
        Ok(())
    }
}

/// One UDP port per channel: more do not fit one address.
const MAX_CHANNELS: u32 = 30_000;

pub(crate) fn is_usable(port: u16) -> bool {
    port != 0 && port.is_multiple_of(2)
}

/// Why a carrier cannot be started as asked.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum OptionsError {
    /// Channels out of bounds.
    #[error("contract.channels is {0}: allowed are 1 to {MAX_CHANNELS}")]
    Channels(u32),
    /// No call could ever be set up.
    #[error("contract.calls_per_second is 0: allowed is 1 or more")]
    CallsPerSecond,
    /// Threads out of bounds.
    #[error("media_threads is {0}: allowed are 1 to 64")]
    MediaThreads(usize),
    /// Every channel needs an RTP port of its own.
    #[error("rtp_ports holds {even} even ports for {channels} channels: each channel needs one")]
    RtpPorts {
        /// Ports that could be used.
        even: usize,
        /// Channels by contract.
        channels: u32,
    },
}
