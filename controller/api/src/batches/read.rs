//! Reading lines out of a stream of CSV or NDJSON, one at a time, in bounded memory.

use std::{
    cell::Cell,
    io::{self, BufRead, BufReader, Read},
    rc::Rc,
};

use serde::{Deserialize, Deserializer, de};
use serde_json::Value;

use super::line::{Column, LineError, Row, texts};
use crate::error::{ApiError, Code};

/// Longest line, in bytes: a `Twiml` of 4,000 characters with every one escaped, and some URLs.
const LINE_MAX: usize = 64 * 1_024;
/// What the CSV parser reads at once, and so how far it is ahead of its record at most.
const READ_AHEAD: usize = 16 * 1_024;
/// Most columns of a CSV file.
const COLUMNS_MAX: usize = 128;

/// What comes of reading on.
#[derive(Debug)]
pub(super) enum Next {
    /// A line.
    Row(Row),
    /// A line that cannot be read; the one behind it can.
    Bad(LineError),
    /// Nothing more can be read. What came before it stays read.
    Broken(ApiError),
    /// The end.
    End,
}

/// How lines are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Format {
    /// With a line of names first (RFC 4180).
    Csv,
    /// One JSON object per line.
    Ndjson,
}

/// Lines out of a stream.
pub(super) enum Lines<R> {
    Csv(Box<CsvLines<R>>),
    Ndjson(NdjsonLines<R>),
}

impl<R: Read> Lines<R> {
    /// Begins to read. A first line of names that cannot be used is an error before anything is taken.
    pub(super) fn open(format: Format, stream: R) -> Result<Self, ApiError> {
        match format {
            Format::Csv => CsvLines::open(stream).map(Box::new).map(Self::Csv),
            Format::Ndjson => Ok(Self::Ndjson(NdjsonLines {
                stream: BufReader::with_capacity(READ_AHEAD, stream),
                line: 0,
                buffer: Vec::new(),
            })),
        }
    }

    /// The next line that is not empty.
    pub(super) fn next(&mut self) -> Next {
        match self {
            Self::Csv(lines) => lines.next(),
            Self::Ndjson(lines) => lines.next(),
        }
    }
}

/// CSV with a line of names.
pub(super) struct CsvLines<R> {
    reader: csv::Reader<Guard<R>>,
    used: Rc<Cell<usize>>,
    columns: Vec<Column>,
    record: csv::ByteRecord,
}

/// Counts the bytes that are read for one record: the parser itself would take a record of any length.
struct Guard<R> {
    stream: R,
    used: Rc<Cell<usize>>,
}

impl<R: Read> Read for Guard<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.used.get() > LINE_MAX + READ_AHEAD {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "record too long"));
        }
        let count = self.stream.read(into)?;
        self.used.set(self.used.get() + count);
        Ok(count)
    }
}

impl<R: Read> CsvLines<R> {
    fn open(stream: R) -> Result<Self, ApiError> {
        let used = Rc::new(Cell::new(0));
        let guard = Guard { stream, used: Rc::clone(&used) };
        let mut reader =
            csv::ReaderBuilder::new().flexible(true).buffer_capacity(READ_AHEAD).from_reader(guard);
        let names = reader.byte_headers().map_err(|error| broken(&error, 1))?;
        if names.len() > COLUMNS_MAX {
            let message = format!("{} columns: at most {COLUMNS_MAX} are allowed", names.len());
            return Err(ApiError::new(Code::InvalidParameter, message));
        }
        let mut columns = Vec::with_capacity(names.len());
        for name in names {
            let name = std::str::from_utf8(name).unwrap_or("\u{fffd}").trim();
            let column = Column::named(name)?;
            if columns.contains(&column) {
                let message = format!("Column {name} is there twice");
                return Err(ApiError::new(Code::InvalidParameter, message));
            }
            columns.push(column);
        }
        Ok(Self { reader, used, columns, record: csv::ByteRecord::new() })
    }

    fn next(&mut self) -> Next {
        self.used.set(0);
        let line = self.reader.position().line();
        match self.reader.read_byte_record(&mut self.record) {
            Ok(false) => Next::End,
            Ok(true) => self.row(),
            Err(error) => Next::Broken(broken(&error, line)),
        }
    }

    fn row(&self) -> Next {
        let line = self.record.position().map_or(0, csv::Position::line);
        let bad = |message: String| {
            let error = ApiError::new(Code::InvalidParameter, message);
            Next::Bad(LineError::new(line, None, &error))
        };
        if self.record.as_slice().len() > LINE_MAX {
            return bad(format!("The line is longer than {LINE_MAX} bytes"));
        }
        let (found, expected) = (self.record.len(), self.columns.len());
        if found != expected {
            return bad(format!("{found} fields: the first line names {expected}"));
        }
        let mut row = Row { line, ..Row::default() };
        for (column, field) in self.columns.iter().zip(&self.record) {
            match std::str::from_utf8(field) {
                Ok(text) => row.put(column, text.to_owned()),
                Err(_) => return bad(format!("{column:?} is not UTF-8")),
            }
        }
        Next::Row(row)
    }
}

fn broken(error: &csv::Error, line: u64) -> ApiError {
    let message = match error.kind() {
        csv::ErrorKind::Io(error) if error.kind() == io::ErrorKind::InvalidData => {
            format!("Line {line} is longer than {LINE_MAX} bytes; is a quotation mark left open?")
        }
        csv::ErrorKind::Io(error) => format!("The upload broke off after line {line}: {error}"),
        _ => format!("Line {line}: {error}"),
    };
    ApiError::new(Code::InvalidParameter, message)
}

/// One JSON object per line.
pub(super) struct NdjsonLines<R> {
    stream: BufReader<R>,
    line: u64,
    buffer: Vec<u8>,
}

impl<R: Read> NdjsonLines<R> {
    fn next(&mut self) -> Next {
        loop {
            self.line += 1;
            let complete = match self.read() {
                Ok(complete) => complete,
                Err(error) => {
                    let line = self.line - 1;
                    let message = format!("The upload broke off after line {line}: {error}");
                    return Next::Broken(ApiError::new(Code::InvalidParameter, message));
                }
            };
            if !complete {
                return self.bad(&format!("The line is longer than {LINE_MAX} bytes"));
            }
            if self.buffer.is_empty() {
                return Next::End;
            }
            let text = self.buffer.trim_ascii();
            if text.is_empty() {
                continue;
            }
            return match serde_json::from_slice::<Object>(text) {
                Ok(Object(row)) => Next::Row(Row { line: self.line, ..row }),
                Err(error) => self.bad(&error.to_string()),
            };
        }
    }

    /// Reads a line into the buffer; nothing at the end. A line that is too long is passed over to its end.
    fn read(&mut self) -> io::Result<bool> {
        self.buffer.clear();
        let most = LINE_MAX as u64 + 1;
        let count = self.stream.by_ref().take(most).read_until(b'\n', &mut self.buffer)?;
        if (count as u64) < most || self.buffer.ends_with(b"\n") {
            return Ok(true);
        }
        self.stream.skip_until(b'\n')?;
        Ok(false)
    }

    fn bad(&self, message: &str) -> Next {
        let error = ApiError::new(Code::InvalidParameter, message.to_owned());
        Next::Bad(LineError::new(self.line, None, &error))
    }
}

/// A JSON object as a row, with every name checked.
struct Object(Row);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(ObjectVisitor)
    }
}

struct ObjectVisitor;

impl<'de> de::Visitor<'de> for ObjectVisitor {
    type Value = Object;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object of parameters")
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
        let mut row = Row::default();
        while let Some(name) = map.next_key::<String>()? {
            let column = Column::named(&name).map_err(|error| de::Error::custom(error.message))?;
            let value: Value = map.next_value()?;
            let values =
                texts(&value).map_err(|what| de::Error::custom(format!("{name} is {what}")))?;
            if column == Column::CustomId && (row.custom_id.is_some() || values.len() > 1) {
                return Err(de::Error::custom("custom_id is given twice"));
            }
            for value in values {
                row.put(&column, value);
            }
        }
        Ok(Object(row))
    }
}

#[cfg(test)]
#[path = "read_tests.rs"]
mod tests;
