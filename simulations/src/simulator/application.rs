//! The simulated application server: documents from a folder that the caller has read, and recordings and
//! speech of known lengths.

use std::collections::BTreeMap;

use busyhour_agent_core::leg::{AudioError, AudioSource, Document, FetchError, Request};
use busyhour_base::Span;

/// The application's documents, by file name.
pub type Documents = BTreeMap<String, Vec<u8>>;

/// How long speech lasts, as an estimate from its letters.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SpeechLengths {
    /// For each character.
    pub per_character: Span,
    /// For each mark at which a speaker pauses.
    pub per_pause: Span,
}

impl Default for SpeechLengths {
    /// Fitted to the default voice (Flite's `rms`) over the demo's sentences, whose lengths it meets within a tenth.
    fn default() -> Self {
        Self { per_character: Span::from_micros(52_500), per_pause: Span::from_millis(330) }
    }
}

impl SpeechLengths {
    /// How long these words last.
    pub fn of(&self, text: &str) -> Span {
        let text = text.trim();
        let pauses = text.matches([',', '.', ';', ':', '!', '?']).count() as u64;
        self.per_character.times(text.chars().count() as u64) + self.per_pause.times(pauses)
    }
}

/// The server and what it plays.
#[derive(Clone, Copy, Debug)]
pub struct Application<'a> {
    /// Its documents.
    pub documents: &'a Documents,
    /// Its recordings, by file name.
    pub recordings: &'a BTreeMap<String, Span>,
    /// Measured lengths of speech, by its words.
    pub measured: &'a BTreeMap<String, Span>,
    /// Of all other speech.
    pub speech: &'a SpeechLengths,
}

impl Application<'_> {
    /// Answers a webhook: the host is not looked at, the last part of the path names the document.
    pub fn fetch(&self, request: &Request) -> Result<Document, FetchError> {
        let name = file_name(&request.url);
        let body = self.documents.get(name).ok_or(FetchError::Status(404))?;
        Ok(Document {
            url: request.url.clone(),
            content_type: "text/xml".to_owned(),
            body: body.clone(),
        })
    }

    /// How long this audio is.
    pub fn length(&self, source: &AudioSource) -> Result<Span, AudioError> {
        match source {
            AudioSource::Say { text, .. } => {
                let measured = self.measured.get(text.trim()).copied();
                Ok(measured.unwrap_or_else(|| self.speech.of(text)))
            }
            AudioSource::Play { url } => {
                let length = self.recordings.get(file_name(url));
                length.copied().ok_or(AudioError::Fetch(FetchError::Status(404)))
            }
        }
    }
}

/// The last part of a URL's path.
fn file_name(url: &str) -> &str {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    path.rsplit('/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speech_lasts_about_as_long_as_the_engine_takes() {
        let speech = SpeechLengths::default();
        // Lengths of flite 2.2, voice rms, of two of the demo's sentences.
        let cases = [
            ("No answer is an answer too. Thank you for listening, and good night.", 4_490),
            (
                "You voted no. Without a ferry at night, the night bus over the bridge stays the way across the harbour, every half an hour until four in the morning.",
                9_260,
            ),
        ];
        for (text, measured_ms) in cases {
            let estimate = speech.of(text).as_millis();
            assert!(
                estimate.abs_diff(measured_ms) * 10 <= measured_ms,
                "{estimate} ms, measured {measured_ms}"
            );
        }
    }

    #[test]
    fn urls_name_files() {
        assert_eq!(file_name("http://127.0.0.1:8081/demo/answer-1.xml?x=/2#y"), "answer-1.xml");
    }
}
