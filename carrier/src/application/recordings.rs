//! Recordings that the server makes up, so that an example needs no audio in its repository.

use std::{
    collections::{BTreeMap, HashMap},
    io::{self, Cursor},
};

use axum::body::Bytes;
use busyhour_base::Span;
use hound::{SampleFormat, WavSpec, WavWriter};

/// Telephone quality: 8 kHz, 16 bit, mono.
const SPEC: WavSpec = WavSpec {
    channels: 1,
    sample_rate: 8_000,
    bits_per_sample: 16,
    sample_format: SampleFormat::Int,
};
/// A rising arpeggio in C, in hertz.
const NOTES: [f64; 4] = [523.25, 659.25, 783.99, 1046.5];
/// Notes per second.
const NOTES_PER_S: usize = 4;
/// Longest recording that is made up: 10 minutes are 9.6 MB.
const LENGTH_MAX: Span = Span::from_secs(600);

/// A WAV file per name, by the path that it is served at.
///
/// # Errors
/// A recording is longer than ten minutes.
pub(super) fn make(recordings: &BTreeMap<String, Span>) -> io::Result<HashMap<String, Bytes>> {
    recordings.iter().map(|(name, length)| Ok((format!("/{name}"), wav(*length)?))).collect()
}

fn wav(length: Span) -> io::Result<Bytes> {
    if length > LENGTH_MAX {
        let problem = format!("a recording of {length} is asked for; allowed: up to {LENGTH_MAX}");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
    }
    let mut file = Cursor::new(Vec::new());
    let mut writer = WavWriter::new(&mut file, SPEC).map_err(io::Error::other)?;
    let rate = SPEC.sample_rate as usize;
    let per_note = rate / NOTES_PER_S;
    for n in 0..length.as_millis() as usize * rate / 1_000 {
        let (note, into) = (NOTES[n / per_note % NOTES.len()], (n % per_note) as f64);
        // Each note dies away, as a plucked string does, so that there is no click between two.
        let loud = 9_000.0 * (1.0 - into / per_note as f64);
        let phase = std::f64::consts::TAU * note * n as f64 / rate as f64;
        writer.write_sample((loud * phase.sin()) as i16).map_err(io::Error::other)?;
    }
    writer.finalize().map_err(io::Error::other)?;
    Ok(file.into_inner().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recording_is_as_long_as_asked_and_is_heard() {
        let bytes = wav(Span::from_millis(1_500)).unwrap();
        let reader = hound::WavReader::new(Cursor::new(bytes)).unwrap();
        assert_eq!(reader.duration(), 12_000);
        let loudest = reader.into_samples::<i16>().map(|s| s.unwrap().unsigned_abs()).max();
        assert!(loudest > Some(8_000));
    }

    #[test]
    fn an_endless_recording_is_refused() {
        assert!(wav(Span::from_secs(601)).unwrap_err().to_string().contains("allowed"));
    }
}
