//! How loud it is, whether it is a tone, and whether somebody speaks.

use std::f64::consts::TAU;

use super::{FRAME, SAMPLE_RATE};

/// Mean power of samples relative to a full-scale square wave, in dB; digital silence is -96.
pub fn level_db(samples: &[i16]) -> f64 {
    let power = power(samples);
    if power <= 0.0 {
        -96.0
    } else {
        (10.0 * (power / f64::from(i16::MAX).powi(2)).log10()).max(-96.0)
    }
}

/// The part of the power of samples that lies at a frequency (Goertzel), from 0 to about 1.
pub fn tone_share(samples: &[i16], frequency_hz: f64) -> f64 {
    let total = power(samples) * samples.len() as f64;
    if total <= 0.0 {
        return 0.0;
    }
    let turn = 2.0 * (TAU * frequency_hz / f64::from(SAMPLE_RATE)).cos();
    let (mut last, mut before) = (0.0, 0.0);
    for sample in samples {
        (last, before) = (f64::from(*sample) + turn * last - before, last);
    }
    let at_frequency = last * last + before * before - turn * last * before;
    2.0 * at_frequency / (total * samples.len() as f64)
}

/// How badly two previous samples foretell the next, as part of the power: near 0 for any one steady tone, since
/// a sine obeys x(n) = 2 cos(w) x(n-1) - x(n-2), and well above for speech and noise.
pub fn roughness(samples: &[i16]) -> f64 {
    let (mut r0, mut r1, mut r2) = (0.0, 0.0, 0.0);
    let (mut p11, mut p12, mut p22) = (0.0, 0.0, 0.0);
    for window in samples.windows(3) {
        let [before, last, now] = [window[0], window[1], window[2]].map(f64::from);
        r0 += now * now;
        r1 += now * last;
        r2 += now * before;
        p11 += last * last;
        p12 += last * before;
        p22 += before * before;
    }
    let determinant = p11 * p22 - p12 * p12;
    if r0 <= 0.0 || determinant <= f64::EPSILON * p11 * p22 {
        return 0.0;
    }
    let a = (r1 * p22 - r2 * p12) / determinant;
    let b = (r2 * p11 - r1 * p12) / determinant;
    ((r0 - a * r1 - b * r2) / r0).clamp(0.0, 1.0)
}

fn power(samples: &[i16]) -> f64 {
    let sum: f64 = samples.iter().map(|sample| f64::from(*sample).powi(2)).sum();
    if samples.is_empty() { 0.0 } else { sum / samples.len() as f64 }
}

/// Quieter frames are no speech: the noise of a quiet line lies below.
const SPEECH_DB_MIN: f64 = -45.0;
/// Smoother frames are a tone: after G.711, single tones stay below 0.005, and three of four frames of a voice
/// lie above 0.008.
const ROUGHNESS_MIN: f64 = 0.008;
/// Frames of speech in the last second that make it heard: 200 ms.
const HEARD_FRAMES: u32 = 10;

/// Listens for speech: loud enough for 200 ms within a second, and not one steady tone.
///
/// Frames are 20 ms. This is a measure of whether audio got through, not a segmentation of talk.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ear {
    /// The last 50 frames, the newest in the lowest bit.
    frames: u64,
    heard: bool,
    speech_frames: u32,
}

impl Ear {
    /// Takes in the next 20 ms.
    pub fn hear(&mut self, frame: &[i16]) {
        let is_speech = level_db(frame) >= SPEECH_DB_MIN && roughness(frame) >= ROUGHNESS_MIN;
        self.frames = (self.frames << 1 | u64::from(is_speech)) & SECOND;
        self.speech_frames += u32::from(is_speech);
        self.heard |= self.frames.count_ones() >= HEARD_FRAMES;
    }

    /// Whether speech was heard at any time.
    pub const fn heard_speech(&self) -> bool {
        self.heard
    }

    /// How many frames were speech.
    pub const fn speech_frames(&self) -> u32 {
        self.speech_frames
    }
}

/// One bit for each frame of a second.
const SECOND: u64 = (1 << (SAMPLE_RATE as usize / FRAME)) - 1;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::g711::Law;

    fn sine(frequency_hz: f64, peak: f64, length: usize) -> Vec<i16> {
        (0..length)
            .map(|n| {
                (peak * (TAU * frequency_hz * n as f64 / f64::from(SAMPLE_RATE)).sin()).round()
                    as i16
            })
            .collect()
    }

    fn over_the_line(samples: &[i16]) -> Vec<i16> {
        samples.iter().map(|sample| Law::Mu.decode_sample(Law::Mu.encode_sample(*sample))).collect()
    }

    /// A voice of sorts: pulses at 120 Hz through two resonances, louder and softer.
    fn voice(length: usize) -> Vec<i16> {
        let mut states = [[0.0; 2]; 2];
        (0..length)
            .map(|n| {
                let mut x = if n % 67 == 0 { 6_000.0 } else { 0.0 };
                for (state, frequency) in states.iter_mut().zip([600.0, 1_700.0]) {
                    let y = x + 1.8 * (TAU * frequency / 8_000.0_f64).cos() * state[0]
                        - 0.81 * state[1];
                    *state = [y, state[0]];
                    x = y;
                }
                (x * 0.2) as i16
            })
            .collect()
    }

    fn listened(samples: &[i16]) -> Ear {
        let mut ear = Ear::default();
        over_the_line(samples).chunks(FRAME).for_each(|frame| ear.hear(frame));
        ear
    }

    #[test]
    fn levels_are_relative_to_full_scale() {
        assert_eq!(level_db(&[]), -96.0);
        assert_eq!(level_db(&[0; 160]), -96.0);
        assert!((level_db(&sine(1_000.0, 32_767.0, 800)) + 3.01).abs() < 0.01);
        assert!((level_db(&sine(1_000.0, 3_276.7, 800)) + 23.01).abs() < 0.01);
    }

    #[test]
    fn a_tone_is_found_at_its_frequency_only() {
        let tone = over_the_line(&sine(1_000.0, 8_000.0, 800));
        assert!(tone_share(&tone, 1_000.0) > 0.98);
        assert!(tone_share(&tone, 1_400.0) < 0.01);
        assert_eq!(tone_share(&[0; 160], 1_000.0), 0.0);
    }

    #[test]
    fn speech_is_heard_and_silence_noise_floor_and_tones_are_not() {
        assert!(listened(&voice(8_000)).heard_speech());
        assert!(!listened(&[0; 8_000]).heard_speech());
        let hiss: Vec<i16> = (0..8_000_i32).map(|n| (n * 7_919 % 41 - 20) as i16).collect();
        assert!(!listened(&hiss).heard_speech());
        for frequency in [300.0, 440.0, 1_000.0, 1_004.0, 2_100.0, 3_200.0] {
            for peak in [500.0, 3_000.0, 30_000.0] {
                assert!(
                    !listened(&sine(frequency, peak, 8_000)).heard_speech(),
                    "{frequency} Hz at {peak}"
                );
            }
        }
    }

    #[test]
    fn a_click_is_no_speech() {
        let mut samples = voice(FRAME * 5);
        samples.resize(8_000, 0);
        let ear = listened(&samples);
        assert!(!ear.heard_speech());
        assert!(ear.speech_frames() >= 4);
    }
}
