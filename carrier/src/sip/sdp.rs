//! Offers read, answers written (RFC 3264), for one G.711 stream with RFC 4733 keys.

use std::{
    fmt::Write,
    net::{IpAddr, SocketAddr},
};

use sdp_types::{Connection, Media, Session};

use crate::media::{Law, Stream};

/// What the caller offers, as far as the carrier takes it up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Offer {
    /// What is agreed on.
    pub(crate) stream: Stream,
    /// The offered media sections in order: the one taken, and what the others must be refused as.
    sections: Vec<Section>,
    /// The caller does not want to hear us (hold).
    hold: bool,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Section {
    Taken,
    Refused { media: String, proto: String, fmt: String },
}

/// Sections over this are refused as a whole: no caller of ours sends so many.
const MAX_SECTIONS: usize = 8;

/// Reads an offer; `None` when there is nothing in it that the carrier can speak.
pub(crate) fn read_offer(body: &[u8]) -> Option<Offer> {
    let session = Session::parse(body).ok()?;
    if session.medias.len() > MAX_SECTIONS {
        return None;
    }
    let mut taken = None;
    let mut sections = Vec::new();
    for media in &session.medias {
        let stream =
            taken.is_none().then(|| stream_of(media, session.connection.as_ref())).flatten();
        sections.push(match stream {
            Some(stream) => {
                taken = Some((stream, media));
                Section::Taken
            }
            None => Section::Refused {
                media: media.media.clone(),
                proto: media.proto.clone(),
                fmt: media.fmt.clone(),
            },
        });
    }
    let (stream, media) = taken?;
    let hold = ["sendonly", "inactive"]
        .iter()
        .any(|name| media.has_attribute(name) || session.has_attribute(name));
    Some(Offer { stream, sections, hold })
}

fn stream_of(media: &Media, session: Option<&Connection>) -> Option<Stream> {
    if media.media != "audio" || media.proto != "RTP/AVP" || media.port == 0 {
        return None;
    }
    let connection = media.connections.first().or(session)?;
    let ip: IpAddr = connection.connection_address.split('/').next()?.parse().ok()?;
    let law = media.fmt.split_whitespace().find_map(|fmt| match fmt {
        "0" => Some(Law::Mu),
        "8" => Some(Law::A),
        _ => None,
    })?;
    Some(Stream { remote: SocketAddr::new(ip, media.port), law, keys: key_type(media) })
}

/// Payload type of `telephone-event/8000` (RFC 4733 3.1), when offered.
fn key_type(media: &Media) -> Option<u8> {
    media.get_attribute_values("rtpmap").find_map(|map| {
        let (number, encoding) = map?.trim().split_once(' ')?;
        encoding
            .trim()
            .eq_ignore_ascii_case("telephone-event/8000")
            .then(|| number.parse().ok())
            .flatten()
            .filter(|number| *number < 128)
    })
}

impl Offer {
    /// The answer, with our socket and a session id.
    pub(crate) fn answer(&self, local: SocketAddr, session_id: u64, version: u32) -> String {
        let kind = if local.is_ipv4() { "IP4" } else { "IP6" };
        let ip = local.ip();
        let mut text = format!(
            "v=0\r\no=carrier {session_id} {version} IN {kind} {ip}\r\ns=-\r\nc=IN {kind} {ip}\r\nt=0 0\r\n"
        );
        for section in &self.sections {
            match section {
                Section::Taken => self.write_stream(&mut text, local.port()),
                Section::Refused { media, proto, fmt } => {
                    let _ = write!(text, "m={media} 0 {proto} {fmt}\r\n");
                }
            }
        }
        text
    }

    fn write_stream(&self, text: &mut String, port: u16) {
        let law = self.stream.law;
        let _ = write!(text, "m=audio {port} RTP/AVP {}", law.payload_type());
        if let Some(keys) = self.stream.keys {
            let _ = write!(text, " {keys}");
        }
        let _ = write!(text, "\r\na=rtpmap:{} {}/8000\r\n", law.payload_type(), law.name());
        if let Some(keys) = self.stream.keys {
            let _ = write!(text, "a=rtpmap:{keys} telephone-event/8000\r\na=fmtp:{keys} 0-15\r\n");
        }
        let direction = if self.hold { "recvonly" } else { "sendrecv" };
        let _ = write!(text, "a=ptime:20\r\na={direction}\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFER: &str = "v=0\r\no=a 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
         m=video 5000 RTP/AVP 97\r\nm=audio 4000 RTP/AVP 18 8 0 96\r\na=rtpmap:96 telephone-event/8000\r\n";

    #[test]
    fn the_callers_order_of_codecs_decides() {
        let offer = read_offer(OFFER.as_bytes()).expect("acceptable");
        assert_eq!(offer.stream.law, Law::A);
        assert_eq!(offer.stream.keys, Some(96));
        assert_eq!(offer.stream.remote.port(), 4000);
        let answer = offer.answer(SocketAddr::from(([127, 0, 0, 1], 6000)), 1, 1);
        assert!(answer.contains("m=video 0 RTP/AVP 97\r\nm=audio 6000 RTP/AVP 8 96\r\n"));
        assert_eq!(read_offer(answer.as_bytes()).map(|own| own.stream.remote.port()), Some(6000));
    }

    #[test]
    fn what_cannot_be_spoken_is_refused() {
        for offer in [
            OFFER.replace("18 8 0 96", "18"),
            OFFER.replace("m=audio 4000", "m=audio 0"),
            OFFER.replace("c=IN IP4 127.0.0.1", "c=IN IP4 host.example"),
            OFFER.replace("m=audio 4000 RTP/AVP", "m=audio 4000 RTP/SAVP"),
            "nonsense".to_owned(),
        ] {
            assert_eq!(read_offer(offer.as_bytes()), None, "{offer}");
        }
    }

    #[test]
    fn a_held_stream_is_answered_as_held() {
        let offer = read_offer(format!("{OFFER}a=sendonly\r\n").as_bytes()).expect("acceptable");
        let answer = offer.answer(SocketAddr::from(([127, 0, 0, 1], 6000)), 1, 1);
        assert!(answer.contains("a=recvonly"));
    }
}
