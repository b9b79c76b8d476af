//! What is wrong with a document, and where.

use std::fmt;

use super::bounds;

/// A place in a document, counted from 1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Position {
    /// Line.
    pub line: u32,
    /// Column, in characters.
    pub column: u32,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

impl From<roxmltree::TextPos> for Position {
    fn from(pos: roxmltree::TextPos) -> Self {
        Self { line: pos.row, column: pos.col }
    }
}

impl Position {
    /// Where byte `offset` stands in `text`.
    pub(super) fn of(text: &str, offset: usize) -> Self {
        let before = &text.as_bytes()[..offset.min(text.len())];
        let line_start = before.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        let lines = before.iter().filter(|b| **b == b'\n').count();
        let is_char_start = |b: &&u8| (**b & 0xc0) != 0x80;
        Self {
            line: u32::try_from(lines + 1).unwrap_or(u32::MAX),
            column: u32::try_from(before[line_start..].iter().filter(is_char_start).count() + 1)
                .unwrap_or(u32::MAX),
        }
    }
}

/// Why a document cannot be run at all (12100).
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ParseError {
    /// Over the bound.
    #[error("the document has {0} bytes, at most {max} are allowed", max = bounds::BYTES_MAX)]
    TooLarge(usize),
    /// Not in the one encoding that is read.
    #[error("byte {0} is not UTF-8, the only encoding allowed")]
    NotUtf8(usize),
    /// A document type declaration.
    #[error("{0}: found a document type or other declaration (<!...), which is not allowed")]
    Declaration(Position),
    /// Nested too deep.
    #[error("{0}: elements are nested deeper than {max}", max = bounds::DEPTH_MAX)]
    TooDeep(Position),
    /// Too many attributes.
    #[error("{0}: the element has more than {max} attributes", max = bounds::ATTRIBUTES_MAX)]
    TooManyAttributes(Position),
    /// Too many namespaces.
    #[error("{0}: the document declares more than {max} namespaces (xmlns)", max = bounds::NAMESPACES_MAX)]
    TooManyNamespaces(Position),
    /// Too many verbs.
    #[error("{0}: the document has more than {max} verbs", max = bounds::VERBS_MAX)]
    TooManyVerbs(Position),
    /// Not well-formed.
    #[error("not well-formed XML: {0}")]
    Xml(String),
    /// Another root.
    #[error("{at}: the root element is <{found}>, expected <Response>")]
    Root {
        /// Where.
        at: Position,
        /// Its name, cut to 64 characters.
        found: String,
    },
}

/// Something in a document that was passed over (12200).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Warning {
    /// Where.
    pub at: Position,
    /// What was found, what is allowed, and what is done instead.
    pub message: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.at, self.message)
    }
}
