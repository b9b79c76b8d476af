//! Brings sound to the telephone network's 8 kHz.

use busyhour_agent_core::media::SAMPLE_RATE as RATE_HZ;
use rubato::{Fft, FixedSync, Resampler, audioadapter_buffers::owned::InterleavedOwned};

use super::DecodeError;

/// Frames that the resampler takes at once; longer ones cut off more sharply at 4 kHz.
const CHUNK: usize = 1_024;
/// Highest rate that is accepted, twice that of a studio.
const RATE_MAX_HZ: u32 = 192_000;
/// Lowest rate that is accepted.
const RATE_MIN_HZ: u32 = 4_000;

/// Mono `samples` at `rate_hz` brought to 8 kHz, with what lies above 4 kHz filtered out.
///
/// # Errors
/// [`DecodeError::Rate`] outside of 4 to 192 kHz; [`DecodeError::Resample`] if the library refuses.
pub fn to_telephone_rate(samples: Vec<i16>, rate_hz: u32) -> Result<Vec<i16>, DecodeError> {
    if !(RATE_MIN_HZ..=RATE_MAX_HZ).contains(&rate_hz) {
        return Err(DecodeError::Rate(rate_hz));
    }
    if rate_hz == RATE_HZ || samples.is_empty() {
        return Ok(samples);
    }
    let failed = |e: &dyn std::fmt::Display| DecodeError::Resample(e.to_string());
    let length = samples.len();
    let input: Vec<f32> = samples.into_iter().map(f32::from).collect();
    let input = InterleavedOwned::new_from(input, 1, length).map_err(|e| failed(&e))?;
    let (from, to) = (rate_hz as usize, RATE_HZ as usize);
    let mut resampler =
        Fft::<f32>::new(from, to, CHUNK, 1, FixedSync::Input).map_err(|e| failed(&e))?;
    let output = resampler.process_all(&input, length, None).map_err(|e| failed(&e))?;
    // `as` saturates, so an overshoot of the filter is clipped and not wrapped.
    Ok(output.take_data().into_iter().map(|s| s.round() as i16).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(rate_hz: u32, hz: f64, seconds: f64) -> Vec<i16> {
        let count = (f64::from(rate_hz) * seconds) as usize;
        let step = std::f64::consts::TAU * hz / f64::from(rate_hz);
        (0..count).map(|n| ((n as f64 * step).sin() * 8_000.0) as i16).collect()
    }

    fn power(samples: &[i16]) -> f64 {
        let middle = &samples[samples.len() / 4..samples.len() * 3 / 4];
        middle.iter().map(|&s| f64::from(s).powi(2)).sum::<f64>() / middle.len() as f64
    }

    #[test]
    fn speech_passes_and_what_would_fold_back_does_not() {
        for rate in [11_025, 16_000, 44_100, 48_000] {
            let kept = to_telephone_rate(tone(rate, 1_000.0, 1.0), rate).unwrap();
            assert!((7_990..=8_010).contains(&kept.len()), "{rate}: {}", kept.len());
            assert!((power(&kept) / 32e6 - 1.0).abs() < 0.02, "{rate}: {}", power(&kept));
            let gone = to_telephone_rate(tone(rate, 5_000.0, 1.0), rate).unwrap();
            assert!(power(&gone) < 32.0, "{rate}: an alias of {}", power(&gone));
        }
    }

    #[test]
    fn absurd_rates_are_refused() {
        for rate in [0, 1, 3_999, 192_001, u32::MAX] {
            assert!(
                matches!(to_telephone_rate(vec![0; 8], rate), Err(DecodeError::Rate(r)) if r == rate)
            );
        }
    }
}
