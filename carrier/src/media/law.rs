//! G.711: what is said is encoded once for all calls, what is heard is judged by its energy from a table.

use std::{f64::consts::TAU, sync::LazyLock};

use audio_codec::{
    Decoder, Encoder,
    pcma::{PcmaDecoder, PcmaEncoder},
    pcmu::{PcmuDecoder, PcmuEncoder},
};

/// Samples of one packet: 20 ms at 8 kHz.
pub(crate) const FRAME: usize = 160;

/// The two laws of G.711.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Law {
    /// PCMU.
    Mu,
    /// PCMA.
    A,
}

impl Law {
    /// RTP payload type (RFC 3551 6).
    pub const fn payload_type(self) -> u8 {
        match self {
            Self::Mu => 0,
            Self::A => 8,
        }
    }

    /// Name in SDP.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mu => "PCMU",
            Self::A => "PCMA",
        }
    }

    fn tables(self) -> &'static Tables {
        match self {
            Self::Mu => &MU,
            Self::A => &A,
        }
    }

    /// Mean square of a packet's samples.
    pub(crate) fn energy(self, payload: &[u8]) -> u64 {
        let squares = &self.tables().squares;
        let sum: u64 = payload.iter().map(|byte| u64::from(squares[usize::from(*byte)])).sum();
        sum / payload.len().max(1) as u64
    }

    /// A frame of the called party's voice; frames repeat after a while.
    pub(crate) fn voice(self, frame: u64) -> &'static [u8] {
        let voice = &self.tables().voice;
        let frames = (voice.len() / FRAME) as u64;
        let start = (frame % frames) as usize * FRAME;
        &voice[start..start + FRAME]
    }

    /// A frame without sound.
    pub(crate) fn silence(self) -> &'static [u8; FRAME] {
        &self.tables().silence
    }
}

struct Tables {
    /// Square of every code's sample.
    squares: [u32; 256],
    voice: Vec<u8>,
    silence: [u8; FRAME],
}

static MU: LazyLock<Tables> = LazyLock::new(|| {
    let encode = |samples: &[i16]| PcmuEncoder::new().encode(samples);
    Tables::new(PcmuDecoder::new().decode(&ALL_CODES), encode)
});
static A: LazyLock<Tables> = LazyLock::new(|| {
    let encode = |samples: &[i16]| PcmaEncoder::new().encode(samples);
    Tables::new(PcmaDecoder::new().decode(&ALL_CODES), encode)
});

const ALL_CODES: [u8; 256] = {
    let mut codes = [0; 256];
    let mut code = 0;
    while code < 256 {
        codes[code] = code as u8;
        code += 1;
    }
    codes
};

impl Tables {
    fn new(samples: Vec<i16>, encode: impl Fn(&[i16]) -> Vec<u8>) -> Self {
        let mut squares = [0; 256];
        for (square, sample) in squares.iter_mut().zip(samples) {
            *square = u32::from(sample.unsigned_abs()).pow(2);
        }
        let mut silence = [0; FRAME];
        silence.copy_from_slice(&encode(&[0; FRAME]));
        Self { squares, voice: encode(&voice()), silence }
    }
}

/// Two seconds of something with the shape of speech: a gliding pitch with harmonics, in syllables.
fn voice() -> Vec<i16> {
    const RATE: f64 = 8_000.0;
    const SYLLABLE_S: f64 = 0.25;
    let mut phase = 0.0;
    (0..2 * RATE as usize)
        .map(|n| {
            let t = n as f64 / RATE;
            let pitch = 120.0 + 30.0 * (TAU * 0.5 * t).sin();
            phase += TAU * pitch / RATE;
            let tone: f64 = (1..=12)
                .map(|harmonic| {
                    let distance = (f64::from(harmonic) * pitch - 600.0) / 500.0;
                    (phase * f64::from(harmonic)).sin() * (-distance * distance).exp()
                })
                .sum();
            let within = (t % SYLLABLE_S) / SYLLABLE_S;
            let loudness = (within * std::f64::consts::PI).sin();
            (tone * loudness * 2_500.0) as i16
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn voice_is_loud_and_silence_is_not_in_both_laws() {
        for law in [Law::Mu, Law::A] {
            assert!(law.energy(law.silence()) <= 64, "{law:?}");
            let frames = 0..100;
            let loud = frames.filter(|frame| law.energy(law.voice(*frame)) > 300 * 300).count();
            assert!(loud > 70, "{law:?}: {loud}");
        }
    }

    /// G.711's own fixed points: positive zero and full scale of both laws.
    #[test]
    fn codes_are_those_of_the_recommendation() {
        assert_eq!(Law::Mu.silence()[0], 0xff);
        assert_eq!(Law::A.silence()[0], 0xd5);
        assert_eq!(Law::Mu.energy(&[0x80]), 32_124 * 32_124);
        assert_eq!(Law::A.energy(&[0xaa]), 32_256 * 32_256);
    }
}
