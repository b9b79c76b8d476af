//! RTP packets (RFC 3550 5.1).

/// The fixed header's length.
pub(crate) const HEADER: usize = 12;

/// Longest packet taken: an Ethernet's MTU.
pub(crate) const MAX_PACKET: usize = 1_500;

/// A received packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Packet<'a> {
    pub(crate) payload_type: u8,
    pub(crate) sequence: u16,
    pub(crate) timestamp: u32,
    pub(crate) ssrc: u32,
    pub(crate) payload: &'a [u8],
}

/// Reads a packet; `None` when it is not RTP version 2 or is cut short.
pub(crate) fn read(bytes: &[u8]) -> Option<Packet<'_>> {
    let (fixed, _) = bytes.split_first_chunk::<HEADER>()?;
    if fixed[0] >> 6 != 2 {
        return None;
    }
    let mut start = HEADER + 4 * usize::from(fixed[0] & 0x0f);
    if fixed[0] & 0x10 != 0 {
        let extension = bytes.get(start..start + 4)?;
        start += 4 + 4 * usize::from(u16::from_be_bytes([extension[2], extension[3]]));
    }
    let mut end = bytes.len();
    if fixed[0] & 0x20 != 0 {
        let padding = usize::from(*bytes.last()?);
        end = end.checked_sub(padding.max(1))?;
    }
    Some(Packet {
        payload_type: fixed[1] & 0x7f,
        sequence: u16::from_be_bytes([fixed[2], fixed[3]]),
        timestamp: u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
        ssrc: u32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]),
        payload: bytes.get(start..end)?,
    })
}

/// Writes a header in front of a payload, into a buffer that is used again.
pub(crate) fn write(into: &mut Vec<u8>, packet: &Packet<'_>, marker: bool) {
    into.clear();
    into.extend_from_slice(&[0x80, packet.payload_type | u8::from(marker) << 7]);
    into.extend_from_slice(&packet.sequence.to_be_bytes());
    into.extend_from_slice(&packet.timestamp.to_be_bytes());
    into.extend_from_slice(&packet.ssrc.to_be_bytes());
    into.extend_from_slice(packet.payload);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let packet = Packet {
            payload_type: 8,
            sequence: 65_535,
            timestamp: 7,
            ssrc: 9,
            payload: &[1, 2, 3],
        };
        let mut bytes = Vec::new();
        write(&mut bytes, &packet, true);
        assert_eq!(read(&bytes), Some(packet));
    }

    #[test]
    fn sources_extensions_and_padding_are_stepped_over() {
        let mut bytes = vec![0xb1, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3];
        bytes.extend([0; 4]); // one contributing source
        bytes.extend([0xbe, 0xde, 0, 1, 0, 0, 0, 0]); // one word of extension
        bytes.extend([42, 43, 0, 2]); // two bytes of padding
        assert_eq!(read(&bytes).map(|packet| packet.payload), Some(&[42, 43][..]));
        for length in 0..bytes.len() - 4 {
            assert_eq!(read(&bytes[..length]).map(|packet| packet.payload.len()), None, "{length}");
        }
    }
}
