//! What a far end's description says of its audio.

use std::net::{IpAddr, SocketAddr};

use sdp_types::{Attribute, Media, Session};

use super::{BYTES_MAX, Direction, PACKET_MS, SdpError};
use crate::media::g711::Law;

/// The far end's audio stream.
pub(super) struct Remote {
    /// Payload types with what they are, in its order of preference.
    pub laws: Vec<(u8, Law)>,
    pub keys: Option<u8>,
    pub address: SocketAddr,
    pub packet_ms: u32,
    /// As seen from our side.
    pub direction: Direction,
}

pub(super) fn parse(text: &[u8]) -> Result<Session, SdpError> {
    if text.len() > BYTES_MAX {
        return Err(SdpError::TooLarge(text.len()));
    }
    Session::parse(text).map_err(|error| SdpError::Malformed(error.to_string()))
}

/// Whether a stream could be ours at all.
pub(super) fn is_audio(media: &Media) -> bool {
    media.media.eq_ignore_ascii_case("audio") && media.port != 0
}

pub(super) fn remote(session: &Session, media: &Media, speaks: &[Law]) -> Result<Remote, SdpError> {
    if !media.proto.eq_ignore_ascii_case("RTP/AVP") {
        return Err(SdpError::Transport(cut(&media.proto)));
    }
    let numbers: Vec<u8> =
        media.fmt.split_ascii_whitespace().filter_map(|text| text.parse().ok()).collect();
    let maps: Vec<_> = media.attributes.iter().filter_map(mapping).collect();
    let name_of = |number: u8| match maps.iter().find(|(mapped, _)| *mapped == number) {
        Some((_, name)) => Some(*name),
        None => match number {
            0 => Some("PCMU/8000"),
            8 => Some("PCMA/8000"),
            _ => None,
        },
    };
    let laws: Vec<_> = numbers
        .iter()
        .filter_map(|number| Some((*number, law_of(name_of(*number)?)?)))
        .filter(|(_, law)| speaks.contains(law))
        .collect();
    if laws.is_empty() {
        return Err(SdpError::NoCodec(cut(&media.fmt)));
    }
    let is_keys = |number: &u8| {
        name_of(*number)
            .is_some_and(|name| strip_channels(name).eq_ignore_ascii_case("telephone-event/8000"))
    };
    let (ip, on_hold) = address(session, media)?;
    let direction = direction(session, media);
    Ok(Remote {
        laws,
        keys: numbers.iter().copied().find(is_keys),
        address: SocketAddr::new(ip, media.port),
        packet_ms: value(media, "ptime").filter(|ms| (1..=1_000).contains(ms)).unwrap_or(PACKET_MS),
        direction: match direction {
            Direction::SendReceive if on_hold => Direction::ReceiveOnly,
            Direction::SendOnly if on_hold => Direction::Inactive,
            direction => direction,
        },
    })
}

/// `rtpmap:<number> <name>/<rate>`.
fn mapping(attribute: &Attribute) -> Option<(u8, &str)> {
    if attribute.attribute != "rtpmap" {
        return None;
    }
    let (number, name) = attribute.value.as_deref()?.trim().split_once(' ')?;
    Some((number.parse().ok()?, name.trim()))
}

fn law_of(name: &str) -> Option<Law> {
    let name = strip_channels(name);
    if name.eq_ignore_ascii_case("PCMU/8000") {
        Some(Law::Mu)
    } else if name.eq_ignore_ascii_case("PCMA/8000") {
        Some(Law::A)
    } else {
        None
    }
}

/// One channel may be said or left out (RFC 8866 section 6.6).
fn strip_channels(name: &str) -> &str {
    name.strip_suffix("/1").unwrap_or(name)
}

/// The address of a stream, its own before the session's, and whether it is the null address by which RFC 2543 put
/// a call on hold.
fn address(session: &Session, media: &Media) -> Result<(IpAddr, bool), SdpError> {
    let connection = media.connections.first().or(session.connection.as_ref());
    let text = connection.map_or("", |connection| connection.connection_address.as_str());
    match text.parse::<IpAddr>() {
        Ok(ip) if !ip.is_multicast() => Ok((ip, ip.is_unspecified())),
        _ => Err(SdpError::Address(cut(text))),
    }
}

/// What the far end's direction leaves to us; a stream's own before the session's.
fn direction(session: &Session, media: &Media) -> Direction {
    let ours = |attribute: &Attribute| match attribute.attribute.as_str() {
        "sendrecv" => Some(Direction::SendReceive),
        "sendonly" => Some(Direction::ReceiveOnly),
        "recvonly" => Some(Direction::SendOnly),
        "inactive" => Some(Direction::Inactive),
        _ => None,
    };
    let said = media.attributes.iter().find_map(ours);
    said.or_else(|| session.attributes.iter().find_map(ours)).unwrap_or_default()
}

fn value(media: &Media, name: &str) -> Option<u32> {
    let attribute = media.attributes.iter().find(|attribute| attribute.attribute == name)?;
    attribute.value.as_deref()?.trim().parse().ok()
}

fn cut(text: &str) -> String {
    text.chars().filter(|char| !char.is_control()).take(64).collect()
}
