//! Sound that is ready to be played: decoded once, brought to 8 kHz once, encoded once per law, and shared
//! by every call that plays it.

mod decode;
mod lru;
mod resample;

use std::sync::{Arc, OnceLock};

use busyhour_agent_core::media::{FRAME, SAMPLE_RATE as RATE_HZ, g711::Law};
use busyhour_base::Span;

pub use decode::{DecodeError, decode_wav};
pub use lru::Lru;
pub use resample::to_telephone_rate;

/// A piece of sound at the telephone network's 8 kHz, mono. Clones share it.
#[derive(Clone)]
pub struct Clip(Arc<Inner>);

struct Inner {
    samples: Box<[i16]>,
    encoded: [OnceLock<Arc<[u8]>>; 2],
}

impl Clip {
    /// From samples at 8 kHz.
    pub fn new(samples: Vec<i16>) -> Self {
        Self(Arc::new(Inner { samples: samples.into(), encoded: Default::default() }))
    }

    /// The samples at 8 kHz.
    pub fn samples(&self) -> &[i16] {
        &self.0.samples
    }

    /// Its length.
    pub fn span(&self) -> Span {
        Span::from_micros(self.0.samples.len() as u64 * 1_000_000 / u64::from(RATE_HZ))
    }

    /// Bytes that it holds once both laws are in use.
    pub fn weight(&self) -> usize {
        self.0.samples.len() * 4 + 256
    }

    /// As whole frames of G.711, the last one filled up with silence.
    pub fn encoded(&self, law: Law) -> Arc<[u8]> {
        let slot = match law {
            Law::Mu => &self.0.encoded[0],
            Law::A => &self.0.encoded[1],
        };
        slot.get_or_init(|| {
            let whole = self.0.samples.len().div_ceil(FRAME) * FRAME;
            let mut octets = vec![law.silence(); whole];
            law.encode(&self.0.samples, &mut octets);
            octets.into()
        })
        .clone()
    }
}

impl std::fmt::Debug for Clip {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Clip({})", self.span())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clip_is_encoded_once_per_law_in_whole_frames() {
        let clip = Clip::new(vec![1_000; 250]);
        let first = clip.encoded(Law::Mu);
        assert_eq!(first.len(), 320);
        assert!(Arc::ptr_eq(&first, &clip.clone().encoded(Law::Mu)));
        assert_ne!(first[0], clip.encoded(Law::A)[0]);
        assert_eq!(first[319], Law::Mu.silence(), "filled with silence");
        assert_eq!(clip.span(), Span::from_micros(31_250));
    }
}
