//! Where speech is found again: a key over everything that changes how it sounds (ML-2).

use sha2::{Digest, Sha256};

/// Everything that changes how speech sounds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Speech<'a> {
    /// The words.
    pub text: &'a str,
    /// The voice that was asked for, by name.
    pub voice: &'a str,
    /// BCP 47.
    pub language: &'a str,
    /// Speed in percent of the voice's own.
    pub speed_percent: u32,
    /// Samples per second.
    pub sample_rate: u32,
    /// Engine and its version, since another one speaks otherwise.
    pub engine: &'a str,
}

impl Speech<'_> {
    /// The address of this speech: 64 hex digits, the same for ever, and different if anything differs.
    pub fn key(&self) -> String {
        let Self { text, voice, language, speed_percent, sample_rate, engine } = self;
        let mut hash = Sha256::new_with_prefix(b"busyhour speech 1");
        for part in [text, voice, language, engine] {
            // The length keeps ("ab", "c") apart from ("a", "bc").
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        hash.update(speed_percent.to_be_bytes());
        hash.update(sample_rate.to_be_bytes());
        hex::encode(hash.finalize())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const HELLO: Speech<'_> = Speech {
        text: "hello there",
        voice: "man",
        language: "en-US",
        speed_percent: 100,
        sample_rate: 8_000,
        engine: "flite 2.2",
    };

    /// ML-2. The literal is what Python's `hashlib` gives: files that were cached must be found by later versions.
    #[test]
    fn the_key_of_a_speech_never_changes() {
        assert_eq!(HELLO.key(), "4f60f789d67cae814dad3f5ae4c2bf897a78f0eca640fd4a9941e5b4ed2f5dd2");
    }

    /// ML-2.
    #[test]
    fn every_parameter_counts() {
        let others = [
            HELLO,
            Speech { text: "hello", voice: " thereman", ..HELLO },
            Speech { text: "Hello there", ..HELLO },
            Speech { voice: "woman", ..HELLO },
            Speech { language: "en-GB", ..HELLO },
            Speech { speed_percent: 101, ..HELLO },
            Speech { sample_rate: 16_000, ..HELLO },
            Speech { engine: "flite 2.3", ..HELLO },
        ];
        let keys: HashSet<_> = others.iter().map(Speech::key).collect();
        assert_eq!(keys.len(), others.len());
    }
}
