//! Session descriptions (RFC 8866) and offer/answer (RFC 3264) for one stream of G.711 with telephone events.

mod answer;
mod read;

use std::net::{IpAddr, SocketAddr};

use sdp_types::{Attribute, Connection, Media, Origin, Session, Time};

use crate::media::g711::Law;

/// The payload type that we offer for telephone events.
pub const KEYS: u8 = 101;
/// Bytes of a description that are looked at.
pub const BYTES_MAX: usize = 16 * 1024;
/// Milliseconds of audio in each packet that we send, and that are assumed where nothing is said.
pub const PACKET_MS: u32 = 20;

/// Our side of a session.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Local {
    /// Where we receive.
    pub address: IpAddr,
    /// The port for RTP.
    pub port: u16,
    /// What we speak, the preferred law first; not empty.
    pub laws: Vec<Law>,
    /// Names the session; drawn by the caller.
    pub session: u64,
}

/// What both sides agreed upon.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Agreed {
    /// How audio is encoded, both ways.
    pub law: Law,
    /// Payload type of the audio that we send.
    pub payload_type: u8,
    /// Payload type of keys that we send, if the far end takes them.
    pub keys_out: Option<u8>,
    /// Payload type of keys that we receive.
    pub keys_in: Option<u8>,
    /// Where the far end receives.
    pub remote: SocketAddr,
    /// Milliseconds of audio that the far end would like in each packet.
    pub packet_ms: u32,
    /// What we may do.
    pub direction: Direction,
}

/// Which way audio flows, as seen from this side (RFC 3264 section 6.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Direction {
    /// Both ways.
    #[default]
    SendReceive,
    /// We speak only.
    SendOnly,
    /// We listen only: the far end holds the call.
    ReceiveOnly,
    /// Neither.
    Inactive,
}

impl Direction {
    /// Whether we may send.
    pub const fn sends(self) -> bool {
        matches!(self, Self::SendReceive | Self::SendOnly)
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::SendReceive => "sendrecv",
            Self::SendOnly => "sendonly",
            Self::ReceiveOnly => "recvonly",
            Self::Inactive => "inactive",
        }
    }
}

/// Why a description gives no session.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SdpError {
    /// Over the bound.
    #[error("the description has {0} bytes, at most {BYTES_MAX} are allowed")]
    TooLarge(usize),
    /// Not a description.
    #[error("not a session description: {0}")]
    Malformed(String),
    /// No audio stream, or one that is switched off.
    #[error("there is no audio stream (m=audio with a port above 0)")]
    NoAudio,
    /// An answer with more or fewer streams than the offer.
    #[error("the answer has {0} streams, the offer had 1")]
    Streams(usize),
    /// Another transport than plain RTP.
    #[error("the transport is {0:?}, allowed is RTP/AVP")]
    Transport(String),
    /// No address that audio could be sent to.
    #[error("the address is {0:?}, allowed is one unicast IP address")]
    Address(String),
    /// No law in common.
    #[error("the formats are {0:?}, none of them G.711 as we speak it")]
    NoCodec(String),
}

const fn payload_type_of(law: Law) -> u8 {
    match law {
        Law::Mu => 0,
        Law::A => 8,
    }
}

impl Local {
    /// The offer: every law that we speak, and telephone events.
    pub fn offer(&self) -> String {
        let formats = self.laws.iter().map(|law| (payload_type_of(*law), *law)).collect::<Vec<_>>();
        self.write(vec![self.audio(&formats, Some(KEYS), Direction::SendReceive)])
    }

    fn audio(&self, formats: &[(u8, Law)], keys: Option<u8>, direction: Direction) -> Media {
        let numbers = formats.iter().map(|(number, _)| *number).chain(keys);
        let list = numbers.map(|number| number.to_string()).collect::<Vec<_>>().join(" ");
        let mut attributes = Vec::new();
        let mut push = |name: &str, value: Option<String>| {
            attributes.push(Attribute { attribute: name.to_owned(), value });
        };
        for (number, law) in formats {
            let name = match law {
                Law::Mu => "PCMU",
                Law::A => "PCMA",
            };
            push("rtpmap", Some(format!("{number} {name}/8000")));
        }
        if let Some(number) = keys {
            push("rtpmap", Some(format!("{number} telephone-event/8000")));
            push("fmtp", Some(format!("{number} 0-15")));
        }
        push("ptime", Some(PACKET_MS.to_string()));
        push(direction.as_str(), None);
        Media {
            media: "audio".to_owned(),
            port: self.port,
            num_ports: None,
            proto: "RTP/AVP".to_owned(),
            fmt: list,
            media_title: None,
            connections: Vec::new(),
            bandwidths: Vec::new(),
            key: None,
            attributes,
        }
    }

    fn write(&self, medias: Vec<Media>) -> String {
        let mut session =
            Session::new(Origin::with_ip_addr(self.session, self.session, self.address), "-");
        session.connection = Some(Connection::from_ip_addr(self.address));
        session.times = vec![Time { start_time: 0, stop_time: 0, repeats: Vec::new() }];
        session.medias = medias;
        let mut text = Vec::new();
        // Writing into memory does not fail.
        let _ = session.write(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    }
}
