//! What a webhook's answer means, by its type (SP-4).

use super::code;
use crate::{
    errands::{AudioSource, Document},
    twiml,
};

/// Turns an answer into instructions, or gives the field's error code with a message.
pub(super) fn judge(answer: &Document) -> Result<twiml::Document, (u16, String)> {
    let of_type = answer.content_type.as_str();
    match of_type {
        "text/xml" | "application/xml" => {
            twiml::parse(&answer.body).map_err(|error| (code::PARSE, error.to_string()))
        }
        "text/plain" => match std::str::from_utf8(&answer.body) {
            Ok(text) => Ok(twiml::Document::speak(text)),
            Err(error) => {
                let at = error.valid_up_to();
                Err((code::PARSE, format!("byte {at} is not UTF-8, the only encoding allowed")))
            }
        },
        _ if of_type.starts_with("audio/") => {
            Ok(twiml::Document::hear(AudioSource::Play { url: answer.url.clone() }))
        }
        _ => {
            let found: String =
                of_type.chars().filter(|char| !char.is_control()).take(64).collect();
            Err((
                code::CONTENT_TYPE,
                format!(
                    "the content type is {found:?}, allowed are text/xml, application/xml, text/plain and audio/*"
                ),
            ))
        }
    }
}
