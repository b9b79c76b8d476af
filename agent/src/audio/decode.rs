//! Reads WAV files, which tenants write and which may therefore hold anything.

use std::{io::Cursor, time::Duration};

use busyhour_agent_core::media::g711::Law;
use hound::{SampleFormat, WavReader};

use super::{Clip, resample};

/// Longest sound that is played.
pub const LENGTH_MAX: Duration = Duration::from_secs(600);

/// Why a file cannot be played.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Not a WAV file, or a broken one.
    #[error("not a readable WAV file: {0}")]
    Wav(String),
    /// An encoding that is not read.
    #[error(
        "{bits} bits per sample in {channels} channels: expected 8 or 16 bit PCM or G.711, mono or stereo"
    )]
    Encoding {
        /// Bits per sample.
        bits: u16,
        /// Channels.
        channels: u16,
    },
    /// A sample rate that is not read.
    #[error("{0} samples per second: expected 4,000 to 192,000")]
    Rate(u32),
    /// It is too long.
    #[error("it lasts longer than {} s", LENGTH_MAX.as_secs())]
    TooLong,
    /// The resampler refused it.
    #[error("it cannot be brought to 8 kHz: {0}")]
    Resample(String),
}

/// Decodes a WAV file: PCM of 8 or 16 bits or G.711, mono or stereo (mixed down), at 4 to 192 kHz.
///
/// # Errors
/// [`DecodeError`], which names what was found and what is read.
pub fn decode_wav(file: &[u8]) -> Result<Clip, DecodeError> {
    let (samples, channels, rate_hz) = match g711_data(file) {
        Some((law, format, data)) => {
            check(8, format.channels, format.rate_hz, data.len() as u64)?;
            let mut samples = vec![0; data.len()];
            law.decode(data, &mut samples);
            (samples, format.channels, format.rate_hz)
        }
        None => pcm(file)?,
    };
    let mono = mix_down(samples, channels);
    Ok(Clip::new(resample::to_telephone_rate(mono, rate_hz)?))
}

fn pcm(file: &[u8]) -> Result<(Vec<i16>, u16, u32), DecodeError> {
    let broken = |e: hound::Error| DecodeError::Wav(e.to_string());
    let mut reader = WavReader::new(Cursor::new(file)).map_err(broken)?;
    let spec = reader.spec();
    if spec.sample_format != SampleFormat::Int || !matches!(spec.bits_per_sample, 8 | 16) {
        return Err(DecodeError::Encoding { bits: spec.bits_per_sample, channels: spec.channels });
    }
    check(spec.bits_per_sample, spec.channels, spec.sample_rate, reader.len().into())?;
    let shift = 16 - spec.bits_per_sample;
    let samples: Result<Vec<i16>, _> =
        reader.samples::<i16>().map(|sample| sample.map(|s| s << shift)).collect();
    Ok((samples.map_err(broken)?, spec.channels, spec.sample_rate))
}

/// Checks the header's claims before anything is allocated for them.
fn check(bits: u16, channels: u16, rate_hz: u32, samples: u64) -> Result<(), DecodeError> {
    if !matches!(channels, 1 | 2) {
        return Err(DecodeError::Encoding { bits, channels });
    }
    let most = LENGTH_MAX.as_secs() * u64::from(rate_hz) * u64::from(channels);
    if samples > most && rate_hz > 0 {
        return Err(DecodeError::TooLong);
    }
    Ok(())
}

fn mix_down(samples: Vec<i16>, channels: u16) -> Vec<i16> {
    if channels != 2 {
        return samples;
    }
    let mix = |pair: &[i16]| ((i32::from(pair[0]) + i32::from(pair[1])) / 2) as i16;
    samples.chunks_exact(2).map(mix).collect()
}

struct Format {
    channels: u16,
    rate_hz: u32,
}

/// The data of a G.711 file, which `hound` does not read: format tags 6 (A-law) and 7 (mu-law).
fn g711_data(file: &[u8]) -> Option<(Law, Format, &[u8])> {
    let rest = file.strip_prefix(b"RIFF")?.get(4..)?.strip_prefix(b"WAVE")?;
    let (mut rest, mut found) = (rest, None);
    while let Some((header, after)) = rest.split_at_checked(8) {
        let length = u32::from_le_bytes(header[4..8].try_into().ok()?) as usize;
        // A length beyond the file is what a recorder writes that was cut off: take what is there.
        let chunk = &after[..length.min(after.len())];
        match &header[..4] {
            b"fmt " => {
                let field =
                    |at: usize| Some(u16::from_le_bytes(chunk.get(at..at + 2)?.try_into().ok()?));
                let law = match field(0)? {
                    6 => Law::A,
                    7 => Law::Mu,
                    _ => return None,
                };
                let rate_hz = u32::from_le_bytes(chunk.get(4..8)?.try_into().ok()?);
                found = Some((law, Format { channels: field(2)?, rate_hz }));
            }
            b"data" => return found.map(|(law, format)| (law, format, chunk)),
            _ => {}
        }
        rest = after.get(length.checked_add(length & 1)?..)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn wav(channels: u16, bits: u16, rate: u32, samples: &[i32]) -> Vec<u8> {
        let spec = hound::WavSpec {
            channels,
            sample_rate: rate,
            bits_per_sample: bits,
            sample_format: SampleFormat::Int,
        };
        let mut file = Cursor::new(Vec::new());
        let mut writer = hound::WavWriter::new(&mut file, spec).unwrap();
        samples.iter().for_each(|&s| writer.write_sample(s).unwrap());
        writer.finalize().unwrap();
        file.into_inner()
    }

    fn g711(tag: u16, data: &[u8]) -> Vec<u8> {
        let mut file = b"RIFF\0\0\0\0WAVEfmt \x12\0\0\0".to_vec();
        file.extend(tag.to_le_bytes());
        file.extend(1u16.to_le_bytes());
        file.extend(8_000u32.to_le_bytes());
        file.extend(8_000u32.to_le_bytes());
        file.extend([1, 0, 8, 0, 0, 0]);
        file.extend(b"fact\x04\0\0\0\0\0\0\0data");
        file.extend((data.len() as u32).to_le_bytes());
        file.extend(data);
        file
    }

    #[test]
    fn every_promised_encoding_is_read() {
        let stereo = decode_wav(&wav(2, 16, 8_000, &[100, 300, -100, -300])).unwrap();
        assert_eq!(stereo.samples(), [200, -200]);
        let eight = decode_wav(&wav(1, 8, 8_000, &[-128, 0, 127])).unwrap();
        assert_eq!(eight.samples(), [-32_768, 0, 32_512]);
        for (tag, law) in [(6, Law::A), (7, Law::Mu)] {
            let clip =
                decode_wav(&g711(tag, &[4_000, -4_000].map(|s| law.encode_sample(s)))).unwrap();
            assert!((clip.samples()[0] - 4_000).abs() < 200, "{law:?}");
            assert!((clip.samples()[1] + 4_000).abs() < 200, "{law:?}");
        }
        let wide = decode_wav(&wav(1, 16, 44_100, &[0; 44_100])).unwrap();
        assert!((7_990..=8_010).contains(&wide.samples().len()));
    }

    #[test]
    fn refusals_say_what_was_found() {
        let error = decode_wav(&wav(1, 24, 8_000, &[0])).unwrap_err().to_string();
        assert!(error.starts_with("24 bits per sample in 1 channels"), "{error}");
        assert!(matches!(decode_wav(b"<html>no</html>"), Err(DecodeError::Wav(_))));
        assert_eq!(decode_wav(&wav(1, 16, 2_000, &[0])), Err(DecodeError::Rate(2_000)));
        let mut claims_hours = wav(1, 8, 8_000, &[0; 8]);
        claims_hours[40..44].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(decode_wav(&claims_hours).is_err());
    }

    impl PartialEq for Clip {
        fn eq(&self, other: &Self) -> bool {
            self.samples() == other.samples()
        }
    }

    proptest! {
        #[test]
        fn no_file_makes_it_panic(tag in 0..9u16, flips in proptest::collection::vec((0..80usize, any::<u8>()), 0..8)) {
            let mut file = if tag % 2 == 0 { g711(tag, &[1; 40]) } else { wav(1 + tag % 2, 16, 16_000, &[5; 40]) };
            for (at, value) in flips {
                let length = file.len();
                file[at % length] = value;
            }
            let _ = decode_wav(&file);
        }
    }
}
