//! Reading lines out of a stream of CSV or NDJSON, one at a time, in bounded memory.

use std::io::{self, BufRead, BufReader, Read};

use busyhour_controller_core::spec::{Kind, UploadFormat};

use super::{
    csv::CsvLines,
    line::{LineError, Row},
    object,
};
use crate::error::{ApiError, Code};

/// Longest line, in bytes: a `Twiml` of 4,000 characters with every one escaped, and some URLs.
pub(super) const LINE_MAX: usize = 64 * 1_024;
/// With this some programs begin a file in UTF-8.
const MARK: &[u8] = b"\xef\xbb\xbf";
/// What is read at once.
pub(super) const READ_AHEAD: usize = 64 * 1_024;

/// What comes of reading on.
#[derive(Debug)]
pub(super) enum Next<'a> {
    /// A line.
    Row(Row<'a>),
    /// A line that cannot be read; the one behind it can.
    Bad(LineError),
    /// Nothing more can be read. What came before it stays read.
    Broken(ApiError),
    /// The end.
    End,
}

/// How lines are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Format {
    /// With a line of names first (RFC 4180).
    Csv,
    /// One JSON object per line.
    Ndjson,
}

/// A place between two lines.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place {
    /// The first byte behind it, counted from the beginning of the file.
    pub(super) byte: u64,
    /// The number of the line behind it, from 1.
    pub(super) line: u64,
}

impl Place {
    pub(super) const START: Self = Self { byte: 0, line: 1 };
}

/// Lines out of a stream.
pub(super) enum Lines<R> {
    Csv(Box<CsvLines<R>>),
    Ndjson(NdjsonLines<R>),
}

impl<R: Read> Lines<R> {
    /// Begins to read. A first line of names that cannot be used is an error before anything is taken. Unless the stream
    /// is the `whole` file, a line that its end cuts off is left for the next part.
    pub(super) fn open(
        format: Format,
        stream: R,
        kind: Kind,
        whole: bool,
    ) -> Result<Self, ApiError> {
        match format {
            Format::Csv => CsvLines::open(stream, kind, whole).map(Box::new).map(Self::Csv),
            Format::Ndjson => Ok(Self::Ndjson(NdjsonLines::new(stream, kind, Place::START, whole))),
        }
    }

    /// Goes on at a place of a file whose beginning was read before.
    pub(super) fn go_on(
        format: &UploadFormat,
        stream: R,
        kind: Kind,
        place: Place,
        whole: bool,
    ) -> Result<Self, ApiError> {
        match format {
            UploadFormat::Csv(names) => {
                CsvLines::go_on(stream, kind, place, names, whole).map(Box::new).map(Self::Csv)
            }
            UploadFormat::Ndjson => Ok(Self::Ndjson(NdjsonLines::new(stream, kind, place, whole))),
        }
    }

    /// The next line that is not empty.
    pub(super) fn next(&mut self) -> Next<'_> {
        match self {
            Self::Csv(lines) => lines.next(),
            Self::Ndjson(lines) => lines.next(),
        }
    }

    /// The place behind the last line that was given.
    pub(super) fn place(&self) -> Place {
        match self {
            Self::Csv(lines) => lines.place(),
            Self::Ndjson(lines) => lines.place,
        }
    }

    /// How it is written, for whoever goes on later.
    pub(super) fn format(&self) -> UploadFormat {
        match self {
            Self::Csv(lines) => UploadFormat::Csv(lines.names().to_vec()),
            Self::Ndjson(_) => UploadFormat::Ndjson,
        }
    }
}

/// One JSON object per line.
pub(super) struct NdjsonLines<R> {
    stream: BufReader<R>,
    /// What the lines are.
    kind: Kind,
    /// Where the last line ended.
    place: Place,
    whole: bool,
    buffer: Vec<u8>,
}

/// What was read of a line.
struct Piece {
    bytes: u64,
    /// Its end was seen.
    ended: bool,
    long: bool,
}

impl<R: Read> NdjsonLines<R> {
    fn new(stream: R, kind: Kind, place: Place, whole: bool) -> Self {
        let stream = BufReader::with_capacity(READ_AHEAD, stream);
        Self { stream, kind, place, whole, buffer: Vec::new() }
    }

    fn next(&mut self) -> Next<'_> {
        loop {
            let line = self.place.line;
            let piece = match self.read() {
                Ok(piece) => piece,
                Err(error) => {
                    let message = format!("The upload broke off after line {}: {error}", line - 1);
                    return Next::Broken(ApiError::new(Code::InvalidParameter, message));
                }
            };
            if piece.bytes == 0 || !(piece.ended || self.whole) {
                return Next::End;
            }
            self.place = Place { byte: self.place.byte + piece.bytes, line: line + 1 };
            if piece.long {
                return bad(line, &format!("The line is longer than {LINE_MAX} bytes"));
            }
            if line == 1 && self.buffer.starts_with(MARK) {
                self.buffer.drain(..MARK.len());
            }
            if self.buffer.trim_ascii().is_empty() {
                continue;
            }
            return match object::row(self.buffer.trim_ascii(), self.kind) {
                Ok(row) => Next::Row(Row { line, ..row }),
                Err(error) => bad(line, &told(&error)),
            };
        }
    }

    /// Reads a line into the buffer; nothing at the end. A line that is too long is passed over to its end.
    fn read(&mut self) -> io::Result<Piece> {
        self.buffer.clear();
        let most = LINE_MAX as u64 + 1;
        let bytes = self.stream.by_ref().take(most).read_until(b'\n', &mut self.buffer)? as u64;
        let ended = self.buffer.ends_with(b"\n");
        if bytes < most || ended {
            return Ok(Piece { bytes, ended, long: false });
        }
        let (rest, ended) = self.pass_over()?;
        Ok(Piece { bytes: bytes + rest, ended, long: true })
    }

    /// Passes over the rest of a line; how much that was, and whether its end was there.
    fn pass_over(&mut self) -> io::Result<(u64, bool)> {
        let mut passed = 0;
        loop {
            let piece = self.stream.fill_buf()?;
            let found = piece.iter().position(|byte| *byte == b'\n');
            let count = found.map_or(piece.len(), |at| at + 1);
            self.stream.consume(count);
            passed += count as u64;
            if found.is_some() || count == 0 {
                return Ok((passed, found.is_some()));
            }
        }
    }
}

/// What is wrong with a line. To the parser it is the only one.
fn told(error: &serde_json::Error) -> String {
    error.to_string().replace(" at line 1 column ", " at column ")
}

fn bad(line: u64, message: &str) -> Next<'static> {
    let error = ApiError::new(Code::InvalidParameter, message.to_owned());
    Next::Bad(LineError::new(line, None, &error))
}

#[cfg(test)]
#[path = "read_tests.rs"]
mod tests;
