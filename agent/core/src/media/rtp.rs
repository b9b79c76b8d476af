//! RTP packets (RFC 3550): reading, writing, and the numbering of what we send.

/// Bytes of a header without contributing sources and extensions, as we send it.
pub const HEADER: usize = 12;

/// The fixed header, without what nobody here needs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Header {
    /// Begins a talk spurt or an event.
    pub marker: bool,
    /// What the payload is, by the numbers of the session description; 7 bits.
    pub payload_type: u8,
    /// Counts packets.
    pub sequence: u16,
    /// Counts samples.
    pub timestamp: u32,
    /// The sender's source.
    pub ssrc: u32,
}

/// Why a datagram is no RTP packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RtpError {
    /// It ends within its header, an extension or its padding.
    #[error("the packet is cut off")]
    Short,
    /// Not version 2.
    #[error("the version is {0}, expected 2")]
    Version(u8),
    /// RTCP on the same port (RFC 5761 section 4).
    #[error("payload type {0} is RTCP")]
    Rtcp(u8),
}

impl Header {
    /// Writes the header to the front of a packet.
    pub fn write(&self, packet: &mut [u8; HEADER]) {
        packet[0] = 0x80;
        packet[1] = u8::from(self.marker) << 7 | self.payload_type & 0x7f;
        packet[2..4].copy_from_slice(&self.sequence.to_be_bytes());
        packet[4..8].copy_from_slice(&self.timestamp.to_be_bytes());
        packet[8..12].copy_from_slice(&self.ssrc.to_be_bytes());
    }

    /// Splits a datagram into header and payload; contributing sources, extension and padding are passed over.
    pub fn parse(packet: &[u8]) -> Result<(Self, &[u8]), RtpError> {
        let (fixed, mut rest) = packet.split_first_chunk::<HEADER>().ok_or(RtpError::Short)?;
        let [first, second, s0, s1, t0, t1, t2, t3, c0, c1, c2, c3] = *fixed;
        if first >> 6 != 2 {
            return Err(RtpError::Version(first >> 6));
        }
        if (192..=223).contains(&second) {
            return Err(RtpError::Rtcp(second));
        }
        let sources = usize::from(first & 0x0f) * 4;
        rest = rest.get(sources..).ok_or(RtpError::Short)?;
        if first & 0x10 != 0 {
            let ([_, _, n0, n1], body) = rest.split_first_chunk::<4>().ok_or(RtpError::Short)?;
            let length = usize::from(u16::from_be_bytes([*n0, *n1])) * 4;
            rest = body.get(length..).ok_or(RtpError::Short)?;
        }
        if first & 0x20 != 0 {
            let padding = usize::from(*rest.last().ok_or(RtpError::Short)?);
            let length =
                rest.len().checked_sub(padding).filter(|_| padding > 0).ok_or(RtpError::Short)?;
            rest = &rest[..length];
        }
        let header = Self {
            marker: second & 0x80 != 0,
            payload_type: second & 0x7f,
            sequence: u16::from_be_bytes([s0, s1]),
            timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
            ssrc: u32::from_be_bytes([c0, c1, c2, c3]),
        };
        Ok((header, rest))
    }
}

/// Numbers the packets of one stream that we send. Its clock runs with [`Sender::audio`] and [`Sender::pause`],
/// one of which is called every 20 ms; packets of events stand beside the clock.
#[derive(Clone, Debug)]
pub struct Sender {
    ssrc: u32,
    sequence: u16,
    timestamp: u32,
    talks: bool,
}

impl Sender {
    /// Begins a stream. All three numbers are drawn at random by the caller (RFC 3550 section 5.1).
    pub const fn new(ssrc: u32, sequence: u16, timestamp: u32) -> Self {
        Self { ssrc, sequence, timestamp, talks: false }
    }

    /// The instant that the stream has come to, in samples.
    pub const fn timestamp(&self) -> u32 {
        self.timestamp
    }

    /// Puts one packet of G.711 (an octet a sample) into `packet`, which is emptied first, and advances the clock.
    pub fn audio(&mut self, payload_type: u8, octets: &[u8], packet: &mut Vec<u8>) {
        let marker = !std::mem::replace(&mut self.talks, true);
        self.put(marker, payload_type, self.timestamp, octets, packet);
        self.pause(u32::try_from(octets.len()).unwrap_or(0));
        self.talks = true;
    }

    /// Puts one packet of an event that began at `timestamp` into `packet`; the clock stands still.
    pub fn event(
        &mut self,
        marker: bool,
        payload_type: u8,
        timestamp: u32,
        event: &[u8],
        packet: &mut Vec<u8>,
    ) {
        self.put(marker, payload_type, timestamp, event, packet);
    }

    /// Advances the clock without a packet; the audio that follows begins a talk spurt.
    pub const fn pause(&mut self, samples: u32) {
        self.timestamp = self.timestamp.wrapping_add(samples);
        self.talks = false;
    }

    fn put(
        &mut self,
        marker: bool,
        payload_type: u8,
        timestamp: u32,
        payload: &[u8],
        packet: &mut Vec<u8>,
    ) {
        let header =
            Header { marker, payload_type, sequence: self.sequence, timestamp, ssrc: self.ssrc };
        self.sequence = self.sequence.wrapping_add(1);
        let mut bytes = [0; HEADER];
        header.write(&mut bytes);
        packet.clear();
        packet.extend_from_slice(&bytes);
        packet.extend_from_slice(payload);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn headers_survive_the_wire(
            marker: bool, payload_type in 0_u8..64, sequence: u16, timestamp: u32, ssrc: u32, payload: Vec<u8>
        ) {
            let header = Header { marker, payload_type, sequence, timestamp, ssrc };
            let mut bytes = [0; HEADER];
            header.write(&mut bytes);
            let packet = [&bytes[..], &payload[..]].concat();
            prop_assert_eq!(Header::parse(&packet), Ok((header, &payload[..])));
        }

        #[test]
        fn no_datagram_makes_it_panic(packet: Vec<u8>) {
            let _ = Header::parse(&packet);
        }

        /// Version 2 and every flag, so that all of the parser is reached.
        #[test]
        fn no_flags_make_it_read_outside(first in 0x80_u8..0xc0, mut packet in prop::collection::vec(any::<u8>(), 0..80)) {
            if let Some(byte) = packet.first_mut() {
                *byte = first;
            }
            if let Ok((_, payload)) = Header::parse(&packet) {
                prop_assert!(payload.len() + HEADER <= packet.len());
            }
        }
    }

    /// One contributing source, an extension of one word, two bytes of padding.
    #[test]
    fn what_surrounds_the_payload_is_passed_over() {
        let mut packet = vec![0xb1, 0x80, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3];
        packet.extend([9; 4]);
        packet.extend([0xbe, 0xde, 0, 1, 1, 2, 3, 4]);
        packet.extend([7, 8, 0, 2]);
        let (header, payload) = Header::parse(&packet).unwrap();
        assert_eq!(payload, [7, 8]);
        assert!(header.marker);
        assert_eq!(
            (header.payload_type, header.sequence, header.timestamp, header.ssrc),
            (0, 1, 2, 3)
        );
        for cut in 0..packet.len() - 4 {
            assert_eq!(Header::parse(&packet[..cut]), Err(RtpError::Short), "{cut}");
        }
        let version_1 = [&[0x40], &packet[1..]].concat();
        assert_eq!(Header::parse(&version_1), Err(RtpError::Version(1)));
        let rtcp = [&[0x80, 200], &packet[2..]].concat();
        assert_eq!(Header::parse(&rtcp), Err(RtpError::Rtcp(200)));
    }

    #[test]
    fn a_stream_counts_packets_and_samples_across_the_wrap() {
        let mut sender = Sender::new(5, u16::MAX, u32::MAX - 100);
        let mut packet = Vec::new();
        let mut sent = |sender: &mut Sender| {
            sender.audio(0, &[0xff; 160], &mut packet);
            Header::parse(&packet).map(|(header, payload)| (header, payload.len())).unwrap()
        };
        let (first, length) = sent(&mut sender);
        assert_eq!(
            (first.marker, first.sequence, first.timestamp, length),
            (true, u16::MAX, u32::MAX - 100, 160)
        );
        let (second, _) = sent(&mut sender);
        assert_eq!((second.marker, second.sequence, second.timestamp), (false, 0, 59));
        sender.pause(160);
        let (third, _) = sent(&mut sender);
        assert_eq!((third.marker, third.sequence, third.timestamp), (true, 1, 59 + 320));
    }
}
