//! Bounds on documents, checked in one pass before the XML parser runs.
//!
//! The parser compares the attributes of an element in pairs, keeps a node per element, and copies every namespace in
//! scope for each element that declares one: 64 KiB of nested declarations took it four seconds. These bounds make
//! all of it linear in the size of the document. The pass agrees with the parser on every prefix that is well-formed, and
//! what follows the first flaw is never parsed, so that nothing escapes it.

use super::{ParseError, Position};

/// Bytes of a document.
pub const BYTES_MAX: usize = 64 * 1024;
/// Nesting of elements, the root being 1.
pub const DEPTH_MAX: usize = 32;
/// Attributes of one element.
pub const ATTRIBUTES_MAX: usize = 64;
/// Namespaces that a document declares, wherever. Verbs need none.
pub const NAMESPACES_MAX: usize = 16;
/// Verbs of a document, nested ones included.
pub const VERBS_MAX: usize = 1_000;
/// Warnings told about one document; those that follow are only counted.
pub const WARNINGS_MAX: usize = 16;
/// Characters of an address in a document.
pub const URL_MAX: usize = 4_000;
/// Characters that one `Say` speaks.
pub const SAY_MAX: usize = 4_096;

/// Checks size, encoding, declarations, depth and attributes.
pub(super) fn check(body: &[u8]) -> Result<&str, ParseError> {
    if body.len() > BYTES_MAX {
        return Err(ParseError::TooLarge(body.len()));
    }
    let text = std::str::from_utf8(body).map_err(|e| ParseError::NotUtf8(e.valid_up_to()))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    scan(text)?;
    Ok(text)
}

fn scan(text: &str) -> Result<(), ParseError> {
    let bytes = text.as_bytes();
    let (mut at, mut depth, mut namespaces) = (0, 0_usize, 0);
    while let Some(start) = find(bytes, at, b"<") {
        let rest = &bytes[start..];
        let end = if rest.starts_with(b"<!--") {
            find(bytes, start + 4, b"-->").map(|end| end + 3)
        } else if rest.starts_with(b"<![CDATA[") {
            find(bytes, start + 9, b"]]>").map(|end| end + 3)
        } else if rest.starts_with(b"<!") {
            return Err(ParseError::Declaration(Position::of(text, start)));
        } else if rest.starts_with(b"<?") {
            find(bytes, start + 2, b"?>").map(|end| end + 2)
        } else if rest.starts_with(b"</") {
            depth = depth.saturating_sub(1);
            find(bytes, start + 2, b">").map(|end| end + 1)
        } else {
            let tag = Tag::scan(rest);
            if tag.attributes > ATTRIBUTES_MAX {
                return Err(ParseError::TooManyAttributes(Position::of(text, start)));
            }
            namespaces += tag.namespaces;
            if namespaces > NAMESPACES_MAX {
                return Err(ParseError::TooManyNamespaces(Position::of(text, start)));
            }
            if depth >= DEPTH_MAX {
                return Err(ParseError::TooDeep(Position::of(text, start)));
            }
            depth += usize::from(!tag.empty);
            tag.length.map(|length| start + length)
        };
        // An open end is the parser's to refuse.
        let Some(end) = end else { return Ok(()) };
        at = end;
    }
    Ok(())
}

/// A start tag.
struct Tag {
    /// With its brackets; `None` if it is not closed.
    length: Option<usize>,
    attributes: usize,
    namespaces: usize,
    empty: bool,
}

impl Tag {
    fn scan(bytes: &[u8]) -> Self {
        let (mut attributes, mut namespaces, mut quote) = (0, 0, None);
        for (at, byte) in bytes.iter().enumerate() {
            match (quote, byte) {
                (Some(open), byte) if open == *byte => quote = None,
                (Some(_), _) => {}
                (None, b'"' | b'\'') => quote = Some(*byte),
                (None, b'=') => attributes += 1,
                (None, b'x') if bytes[at..].starts_with(b"xmlns") => namespaces += 1,
                (None, b'>') => {
                    return Self {
                        length: Some(at + 1),
                        attributes,
                        namespaces,
                        empty: bytes[at - 1] == b'/',
                    };
                }
                (None, _) => {}
            }
        }
        Self { length: None, attributes, namespaces, empty: false }
    }
}

fn find(bytes: &[u8], from: usize, what: &[u8]) -> Option<usize> {
    let rest = bytes.get(from..)?;
    rest.windows(what.len()).position(|window| window == what).map(|at| at + from)
}
