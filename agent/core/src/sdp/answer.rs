//! Judging an answer to our offer, and answering an offer.

use sdp_types::Media;

use super::{Agreed, KEYS, Local, SdpError, read};

impl Local {
    /// Judges the far end's answer to [`Local::offer`].
    pub fn accept(&self, answer: &[u8]) -> Result<Agreed, SdpError> {
        let session = read::parse(answer)?;
        let [media] = &session.medias[..] else {
            return Err(SdpError::Streams(session.medias.len()));
        };
        if !read::is_audio(media) {
            return Err(SdpError::NoAudio);
        }
        let remote = read::remote(&session, media, &self.laws)?;
        let (payload_type, law) = remote.laws[0];
        Ok(Agreed {
            law,
            payload_type,
            keys_out: remote.keys,
            keys_in: remote.keys.map(|_| KEYS),
            remote: remote.address,
            packet_ms: remote.packet_ms,
            direction: remote.direction,
        })
    }

    /// Answers the far end's offer: its first audio stream that we can serve, in the first law of its order that we
    /// speak, with its payload types; every other stream is switched off (RFC 3264 section 6).
    pub fn answer(&self, offer: &[u8]) -> Result<(String, Agreed), SdpError> {
        let session = read::parse(offer)?;
        let mut failed = SdpError::NoAudio;
        let streams = session.medias.iter().enumerate().filter(|(_, media)| read::is_audio(media));
        let served = streams.map(|(at, media)| (at, read::remote(&session, media, &self.laws)));
        for (at, remote) in served {
            let remote = match remote {
                Ok(remote) => remote,
                Err(error) => {
                    failed = error;
                    continue;
                }
            };
            let (payload_type, law) = remote.laws[0];
            let ours = self.audio(&[(payload_type, law)], remote.keys, remote.direction);
            let off = |media: &Media| Media { port: 0, ..bare(media) };
            let medias = session.medias.iter().enumerate();
            let medias =
                medias.map(|(other, media)| if other == at { ours.clone() } else { off(media) });
            let agreed = Agreed {
                law,
                payload_type,
                keys_out: remote.keys,
                keys_in: remote.keys,
                remote: remote.address,
                packet_ms: remote.packet_ms,
                direction: remote.direction,
            };
            return Ok((self.write(medias.collect()), agreed));
        }
        Err(failed)
    }
}

/// A stream without anything but its first line.
fn bare(media: &Media) -> Media {
    Media {
        media: media.media.clone(),
        port: media.port,
        num_ports: None,
        proto: media.proto.clone(),
        fmt: media.fmt.clone(),
        media_title: None,
        connections: Vec::new(),
        bandwidths: Vec::new(),
        key: None,
        attributes: Vec::new(),
    }
}
