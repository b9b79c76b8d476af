//! G.711 in both laws, between its octets and 16-bit linear samples.
//!
//! The recommendation's values are 14 bits (mu-law, table 2) and 13 bits (A-law, table 1); they stand here at the
//! top of 16 bits. Octets are as transmitted: mu-law inverted, A-law with its even bits inverted.

/// Which of the two laws.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Law {
    /// North America and Japan; RTP payload type 0.
    Mu,
    /// Everywhere else; RTP payload type 8.
    A,
}

impl Law {
    /// The octet of silence.
    pub const fn silence(self) -> u8 {
        self.encode_sample(0)
    }

    /// Encodes samples, one octet each, into the front of `octets`; what does not fit is left out.
    pub fn encode(self, samples: &[i16], octets: &mut [u8]) {
        for (octet, sample) in octets.iter_mut().zip(samples) {
            *octet = self.encode_sample(*sample);
        }
    }

    /// Decodes octets, one sample each, into the front of `samples`; what does not fit is left out.
    pub fn decode(self, octets: &[u8], samples: &mut [i16]) {
        let table = match self {
            Self::Mu => &MU_DECODED,
            Self::A => &A_DECODED,
        };
        for (sample, octet) in samples.iter_mut().zip(octets) {
            *sample = table[*octet as usize];
        }
    }

    /// Encodes one sample.
    pub const fn encode_sample(self, sample: i16) -> u8 {
        match self {
            Self::Mu => encode_mu(sample),
            Self::A => encode_a(sample),
        }
    }

    /// Decodes one octet.
    pub const fn decode_sample(self, octet: u8) -> i16 {
        match self {
            Self::Mu => MU_DECODED[octet as usize],
            Self::A => A_DECODED[octet as usize],
        }
    }
}

/// Makes every segment of mu-law begin at a power of two, in units of 14 bits.
const MU_BIAS: u16 = 33;
/// Largest magnitude of mu-law with its bias, in units of 14 bits.
const MU_MAX: u16 = 0x1fff;

const fn encode_mu(sample: i16) -> u8 {
    // The ones' complement keeps zero and minus one in the innermost intervals of their signs.
    let magnitude = (if sample < 0 { !sample } else { sample } as u16) >> 2;
    let biased = if magnitude + MU_BIAS > MU_MAX { MU_MAX } else { magnitude + MU_BIAS };
    let segment = 15 - biased.leading_zeros() as u16 - 5;
    let step = (biased >> (segment + 1)) & 0x0f;
    let sign = if sample < 0 { 0x80 } else { 0 };
    !(sign | (segment << 4) as u8 | step as u8)
}

const fn decode_mu(octet: u8) -> i16 {
    let octet = !octet;
    let (segment, step) = ((octet >> 4) & 7, (octet & 0x0f) as i16);
    let magnitude = (((step << 1) + MU_BIAS as i16) << segment) - MU_BIAS as i16;
    if octet & 0x80 == 0 { magnitude << 2 } else { -(magnitude << 2) }
}

const fn encode_a(sample: i16) -> u8 {
    // In units of 12 bits; the ones' complement as above.
    let magnitude = (if sample < 0 { !sample } else { sample } as u16) >> 4;
    let body = if magnitude < 16 {
        magnitude
    } else {
        let segment = 15 - magnitude.leading_zeros() as u16 - 3;
        (segment << 4) | ((magnitude >> (segment - 1)) & 0x0f)
    };
    let sign = if sample < 0 { 0 } else { 0x80 };
    (sign | body as u8) ^ 0x55
}

const fn decode_a(octet: u8) -> i16 {
    let octet = octet ^ 0x55;
    let (segment, step) = ((octet >> 4) & 7, (octet & 0x0f) as i16);
    let magnitude = match segment {
        0 => (step << 4) + 8,
        segment => ((step << 4) + 0x108) << (segment - 1),
    };
    if octet & 0x80 == 0 { -magnitude } else { magnitude }
}

static MU_DECODED: [i16; 256] = {
    let mut table = [0; 256];
    let mut octet = 0;
    while octet < 256 {
        table[octet] = decode_mu(octet as u8);
        octet += 1;
    }
    table
};

static A_DECODED: [i16; 256] = {
    let mut table = [0; 256];
    let mut octet = 0;
    while octet < 256 {
        table[octet] = decode_a(octet as u8);
        octet += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    const LAWS: [Law; 2] = [Law::Mu, Law::A];

    /// Values at decoder output y_n of ITU-T G.711 tables 2a (mu-law, 14 bits) and 1a (A-law, 13 bits), at the
    /// segments' ends, with the octets as transmitted.
    #[test]
    fn decoded_values_are_those_of_the_recommendation() {
        for (octet, value) in [
            (0x80, 8_031),
            (0x8f, 4_191),
            (0x9f, 2_079),
            (0xaf, 1_023),
            (0xbf, 495),
            (0xcf, 231),
            (0xdf, 99),
            (0xef, 33),
            (0xfe, 2),
            (0xff, 0),
        ] {
            assert_eq!(Law::Mu.decode_sample(octet), value * 4, "{octet:02x}");
            assert_eq!(Law::Mu.decode_sample(octet & 0x7f), -value * 4, "{octet:02x}");
        }
        for (octet, value) in [
            (0b1111_1111, 4_032),
            (0b1111_0000, 2_112),
            (0b1110_0000, 1_056),
            (0b1101_0000, 528),
            (0b1100_0000, 264),
            (0b1011_0000, 132),
            (0b1010_0000, 66),
            (0b1000_0000, 1),
        ] {
            let sent = octet ^ 0x55;
            assert_eq!(Law::A.decode_sample(sent), value * 8, "{octet:08b}");
            assert_eq!(Law::A.decode_sample(sent ^ 0x80), -value * 8, "{octet:08b}");
        }
    }

    /// ITU-T G.711 tables 5 and 6: these octets are a sine of 1 kHz at 0 dBm0. The peak of such a sine is
    /// 3.14 dB (A) and 3.17 dB (mu) below the overload point.
    #[test]
    fn the_digital_milliwatt_has_its_level() {
        for (law, octets, full_scale, headroom_cdb) in [
            (Law::A, [0x34, 0x21, 0x21, 0x34, 0xb4, 0xa1, 0xa1, 0xb4], 4_096.0 * 8.0, 314),
            (Law::Mu, [0x1e, 0x0b, 0x0b, 0x1e, 0x9e, 0x8b, 0x8b, 0x9e], 8_159.0 * 4.0, 317),
        ] {
            let power: f64 =
                octets.iter().map(|octet| f64::from(law.decode_sample(*octet)).powi(2)).sum();
            let peak = (power / 8.0 * 2.0).sqrt();
            let db = 20.0 * (full_scale / peak).log10();
            assert!((db - f64::from(headroom_cdb) / 100.0).abs() < 0.02, "{law:?}: {db} dB");
        }
    }

    #[test]
    fn every_octet_survives_decoding_and_encoding() {
        for law in LAWS {
            for octet in 0..=255 {
                let sample = law.decode_sample(octet);
                // Mu-law has two zeros; the negative one decodes to the same value as the positive one.
                let expected = if law == Law::Mu && octet == 0x7f { 0xff } else { octet };
                assert_eq!(law.encode_sample(sample), expected, "{law:?} {octet:02x}");
            }
        }
    }

    #[test]
    fn encoding_is_monotonic_symmetric_and_close() {
        for law in LAWS {
            let mut last = i16::MIN;
            for sample in i16::MIN..=i16::MAX {
                let heard = law.decode_sample(law.encode_sample(sample));
                assert!(heard >= last, "{law:?} {sample}");
                last = heard;
                assert_eq!(
                    law.decode_sample(law.encode_sample(!sample)),
                    -heard,
                    "{law:?} {sample}"
                );
                let error = (i32::from(heard) - i32::from(sample)).abs();
                let step = (i32::from(sample).abs() / 16).max(16);
                assert!(error <= step.max(644), "{law:?} {sample}: {heard}");
                if sample.unsigned_abs() < 32_000 {
                    assert!(error <= step, "{law:?} {sample}: {heard}");
                }
            }
        }
    }

    #[test]
    fn silence_is_silent() {
        assert_eq!(Law::Mu.silence(), 0xff);
        assert_eq!(Law::A.silence(), 0xd5);
        let mut octets = [0; 4];
        Law::Mu.encode(&[0; 4], &mut octets);
        assert_eq!(octets, [0xff; 4]);
        let mut samples = [1; 3];
        Law::Mu.decode(&octets, &mut samples);
        assert_eq!(samples, [0; 3]);
    }
}
