//! Instruction documents: from bytes to typed verbs (SP-4, SP-5, `WIRE.md`).
//!
//! A document that is no document is a [`ParseError`] (the field's 12100): nothing of it is run. An unknown verb
//! or attribute, or a value out of range, is a [`Warning`] (12200): the verb is left out or the default taken, and
//! the rest runs. Both name line, column, what was found and what is allowed.
//!
//! Documents come from tenants and are hostile until proven otherwise: [`bounds`] holds what is checked before
//! the XML parser sees them, so that parsing takes linear time and little stack (`RELIABILITY.md`).

mod attributes;
pub mod bounds;
mod error;
mod messages;
mod parse;
mod text;
mod verbs;

pub use error::{ParseError, Position, Warning};
pub use messages::{Message, MessageDocument, MessageVerb, parse_messages};
pub use parse::parse;
pub use verbs::{
    DEFAULT_LANGUAGE, DEFAULT_VOICE, Document, Gather, Prompt, Redirect, RejectReason, Times, Verb,
};
