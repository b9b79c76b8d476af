//! From XML to verbs.

use roxmltree::{Node, ParsingOptions};

use super::{
    DEFAULT_LANGUAGE, DEFAULT_VOICE, Document, Gather, ParseError, Position, Prompt, Redirect,
    RejectReason, Times, Verb, Warning,
    attributes::{Attributes, Warnings, cut},
    bounds::{self, URL_MAX, VERBS_MAX},
    text,
};
use crate::{errands::AudioSource, media::dtmf};

/// Longest `Pause`.
const PAUSE_MAX_S: u32 = 3_600;
/// Longest `timeout` of a `Gather`.
const TIMEOUT_MAX_S: u32 = 600;
/// Keys that a `Gather` takes at most, and `Play digits` presses at most.
pub(crate) const KEYS_MAX: u32 = 64;

/// Reads an instruction document.
pub fn parse(body: &[u8]) -> Result<Document, ParseError> {
    let (verbs, warnings) = read(body, |reader, root| reader.verbs(root))?;
    Ok(Document { verbs, warnings })
}

/// Reads a document, the verbs of which `verbs` reads, with what there is to warn of.
pub(super) fn read<T>(
    body: &[u8],
    verbs: impl FnOnce(&mut Reader, Node<'_, '_>) -> Result<T, ParseError>,
) -> Result<(T, Vec<Warning>), ParseError> {
    let text = bounds::check(body)?;
    let options = ParsingOptions { allow_dtd: false, ..ParsingOptions::default() };
    let xml = roxmltree::Document::parse_with_options(text, options)
        .map_err(|error| ParseError::Xml(error.to_string()))?;
    let root = xml.root_element();
    if root.tag_name().name() != "Response" {
        return Err(ParseError::Root {
            at: Position::of(text, root.range().start),
            found: cut(root.tag_name().name()),
        });
    }
    let mut reader = Reader::default();
    Attributes::new(root, &[], &mut reader.warnings);
    let verbs = verbs(&mut reader, root)?;
    Ok((verbs, reader.warnings.finish()))
}

#[derive(Default)]
pub(super) struct Reader {
    pub(super) warnings: Warnings,
    seen: usize,
}

impl Reader {
    fn verbs(&mut self, root: Node<'_, '_>) -> Result<Vec<Verb>, ParseError> {
        let mut verbs = Vec::new();
        for node in self.elements(root)? {
            let verb = match node.tag_name().name() {
                "Gather" => Some(Verb::Gather(self.gather(node)?)),
                "Redirect" => self.redirect(node).map(Verb::Redirect),
                "Hangup" => {
                    Attributes::new(node, &[], &mut self.warnings);
                    Some(Verb::Hangup)
                }
                "Reject" => Some(Verb::Reject(self.reject(node))),
                _ => self
                    .prompt(node, "Say, Play, Pause, Gather, Redirect, Hangup, Reject")
                    .map(Verb::Prompt),
            };
            verbs.extend(verb);
        }
        Ok(verbs)
    }

    /// The elements inside a node, counted; text between them is warned of.
    pub(super) fn elements<'a, 'i>(
        &mut self,
        parent: Node<'a, 'i>,
    ) -> Result<Vec<Node<'a, 'i>>, ParseError> {
        let mut elements = Vec::new();
        for node in parent.children() {
            if node.is_element() {
                self.count(node)?;
                elements.push(node);
            } else if let Some(text) =
                node.text().filter(|text| node.is_text() && !text.trim().is_empty())
            {
                self.warnings.push(node, node.range().start, || {
                    let parent = parent.tag_name().name();
                    format!("text {:?} directly in <{parent}> is passed over", cut(text.trim()))
                });
            }
        }
        Ok(elements)
    }

    /// Counts an element, of which a document may have so many.
    pub(super) fn count(&mut self, node: Node<'_, '_>) -> Result<(), ParseError> {
        self.seen += 1;
        if self.seen > VERBS_MAX {
            let at = node.document().text_pos_at(node.range().start);
            return Err(ParseError::TooManyVerbs(at.into()));
        }
        Ok(())
    }

    fn prompt(&mut self, node: Node<'_, '_>, known: &str) -> Option<Prompt> {
        match node.tag_name().name() {
            "Say" => self.say(node),
            "Play" => self.play(node),
            "Pause" => {
                let mut attributes = Attributes::new(node, &["length"], &mut self.warnings);
                Some(Prompt::Pause(attributes.seconds("length", 0..=PAUSE_MAX_S, 1)))
            }
            name => {
                self.warnings.push(node, node.range().start, || {
                    let name = cut(name);
                    format!("<{name}> is not known here and is passed over (known: {known})")
                });
                None
            }
        }
    }

    fn say(&mut self, node: Node<'_, '_>) -> Option<Prompt> {
        let (text, was_cut) = text::spoken(node);
        if was_cut {
            self.warnings.push(node, node.range().start, || {
                format!(
                    "the text is longer than {} characters; the rest is not spoken",
                    bounds::SAY_MAX
                )
            });
        }
        for inner in node.children().filter(Node::is_element) {
            self.warnings.push(inner, inner.range().start, || {
                let name = cut(inner.tag_name().name());
                format!("<{name}> in <Say> has no effect; only its text is spoken")
            });
        }
        let mut attributes =
            Attributes::new(node, &["voice", "language", "loop"], &mut self.warnings);
        let voice =
            attributes.read("voice", "1 to 64 of A-Z a-z 0-9 . _ -", DEFAULT_VOICE, |text| {
                let fits = (1..=64).contains(&text.len()) && text.bytes().all(is_voice_byte);
                fits.then(|| text.to_owned())
            });
        let language = attributes.read("language", "a BCP 47 tag", DEFAULT_LANGUAGE, |text| {
            let fits = (2..=35).contains(&text.len()) && text.bytes().all(is_language_byte);
            fits.then(|| text.to_owned())
        });
        let times = attributes.times();
        let source = AudioSource::Say {
            text,
            voice: voice.unwrap_or_else(|| DEFAULT_VOICE.to_owned()),
            language: language.unwrap_or_else(|| DEFAULT_LANGUAGE.to_owned()),
        };
        let silent = matches!(&source, AudioSource::Say { text, .. } if text.is_empty());
        (!silent).then_some(Prompt::Audio { source, times })
    }

    fn play(&mut self, node: Node<'_, '_>) -> Option<Prompt> {
        let mut attributes = Attributes::new(node, &["loop", "digits"], &mut self.warnings);
        let times = attributes.times();
        let keys = attributes.read("digits", "1 to 64 of 0-9 A-D * # w", "nothing", |text| {
            let fits = (1..=KEYS_MAX as usize).contains(&text.len())
                && text.chars().all(dtmf::is_sendable);
            fits.then(|| text.to_owned())
        });
        if let Some(keys) = keys {
            return Some(Prompt::Keys(keys));
        }
        let url = self.address(node)?;
        if url.is_empty() {
            self.warnings.push(node, node.range().start, || {
                "<Play> names neither a URL nor digits and is passed over".to_owned()
            });
            return None;
        }
        let source = AudioSource::Play { url };
        Some(Prompt::Audio { source, times })
    }

    /// The URL inside an element, or a warning.
    fn address(&mut self, node: Node<'_, '_>) -> Option<String> {
        let url = text::direct(node);
        if url.len() > URL_MAX {
            self.warnings.push(node, node.range().start, || {
                format!("the URL is longer than {URL_MAX} characters; the verb is passed over")
            });
            return None;
        }
        Some(url)
    }

    fn gather(&mut self, node: Node<'_, '_>) -> Result<Gather, ParseError> {
        const KNOWN: &[&str] = &[
            "input",
            "action",
            "method",
            "timeout",
            "finishOnKey",
            "numDigits",
            "actionOnEmptyResult",
        ];
        let mut attributes = Attributes::new(node, KNOWN, &mut self.warnings);
        attributes.read("input", "dtmf", "dtmf", |text| (text == "dtmf").then_some(()));
        let finish_on_key =
            attributes.read("finishOnKey", "one of 0-9 * #, or nothing", "#", |text| {
                let mut keys = text.chars();
                match (keys.next(), keys.next()) {
                    (None, _) => Some(None),
                    (Some(key @ ('0'..='9' | '*' | '#')), None) => Some(Some(key)),
                    _ => None,
                }
            });
        let mut gather = Gather {
            action: attributes.url("action").filter(|url| !url.is_empty()),
            method: attributes.method(),
            timeout: attributes.seconds("timeout", 0..=TIMEOUT_MAX_S, 5),
            finish_on_key: finish_on_key.unwrap_or(Some('#')),
            num_digits: attributes.number("numDigits", 1..=KEYS_MAX, "no number"),
            action_on_empty_result: attributes.flag("actionOnEmptyResult"),
            prompts: Vec::new(),
        };
        for inner in self.elements(node)? {
            gather.prompts.extend(self.prompt(inner, "Say, Play, Pause"));
        }
        Ok(gather)
    }

    pub(super) fn redirect(&mut self, node: Node<'_, '_>) -> Option<Redirect> {
        let method = Attributes::new(node, &["method"], &mut self.warnings).method();
        let url = self.address(node)?;
        Some(Redirect { url, method })
    }

    fn reject(&mut self, node: Node<'_, '_>) -> RejectReason {
        let mut attributes = Attributes::new(node, &["reason"], &mut self.warnings);
        let read = |text: &str| match text {
            "rejected" => Some(RejectReason::Rejected),
            "busy" => Some(RejectReason::Busy),
            _ => None,
        };
        attributes.read("reason", "rejected or busy", "rejected", read).unwrap_or_default()
    }
}

impl Document {
    /// A document that says a text and hangs up: what `text/plain` means, and the last resort.
    pub fn speak(text: &str) -> Self {
        let (text, _) = text::fold(std::iter::once(text));
        if text.is_empty() {
            return Self { verbs: vec![Verb::Hangup], warnings: Vec::new() };
        }
        Self::hear(AudioSource::Say {
            text,
            voice: DEFAULT_VOICE.to_owned(),
            language: DEFAULT_LANGUAGE.to_owned(),
        })
    }

    /// A document that plays something once and hangs up: what `audio/*` means.
    pub fn hear(source: AudioSource) -> Self {
        let times = Times::Count(1);
        Self {
            verbs: vec![Verb::Prompt(Prompt::Audio { source, times }), Verb::Hangup],
            warnings: Vec::new(),
        }
    }
}

const fn is_voice_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')
}

const fn is_language_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-'
}
