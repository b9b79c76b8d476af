//! Lines out of a stream of CSV (RFC 4180), with the place in the stream at which each ended.
//!
//! The parser is driven by hand, so that a record that is not whole when a part of an upload ends is told from the last
//! one of a file: it is left for the next part.

use std::{
    io::{self, Read},
    sync::Arc,
};

use busyhour_controller_core::spec::Kind;
use csv_core::ReadRecordResult;

use super::{
    line::{Column, LineError, Row},
    read::{LINE_MAX, Next, Place, READ_AHEAD},
};
use crate::error::{ApiError, Code};

/// Most columns of a CSV file.
const COLUMNS_MAX: usize = 128;
/// A record longer than this ends the upload: a quotation mark was left open.
const RECORD_MAX: usize = LINE_MAX + READ_AHEAD;

/// CSV with a line of names.
pub(super) struct CsvLines<R> {
    stream: Parser<R>,
    names: Vec<Arc<str>>,
    columns: Vec<Column<'static>>,
}

impl<R: Read> CsvLines<R> {
    /// Reads the line of names.
    pub(super) fn open(stream: R, kind: Kind, whole: bool) -> Result<Self, ApiError> {
        let mut stream = Parser::new(stream, Place::START, whole);
        let found = stream.record().map_err(|problem| stream.broken(&problem))?;
        let names = found.map_or_else(Vec::new, |record| stream.texts(&record));
        Self::with(stream, kind, names.into_iter().map(Arc::from).collect())
    }

    /// Goes on behind the line of names, or further.
    pub(super) fn go_on(
        stream: R,
        kind: Kind,
        place: Place,
        names: &[Arc<str>],
        whole: bool,
    ) -> Result<Self, ApiError> {
        Self::with(Parser::new(stream, place, whole), kind, names.to_vec())
    }

    fn with(stream: Parser<R>, kind: Kind, names: Vec<Arc<str>>) -> Result<Self, ApiError> {
        if names.len() > COLUMNS_MAX {
            let message = format!("{} columns: at most {COLUMNS_MAX} are allowed", names.len());
            return Err(ApiError::new(Code::InvalidParameter, message));
        }
        let mut columns = Vec::with_capacity(names.len());
        for name in &names {
            let column = Column::named(name.trim(), kind)?.into_owned();
            if columns.contains(&column) {
                let message = format!("Column {name} is there twice");
                return Err(ApiError::new(Code::InvalidParameter, message));
            }
            columns.push(column);
        }
        Ok(Self { stream, names, columns })
    }

    pub(super) fn names(&self) -> &[Arc<str>] {
        &self.names
    }

    pub(super) fn place(&self) -> Place {
        self.stream.place
    }

    pub(super) fn next(&mut self) -> Next<'_> {
        let record = self.stream.empty_lines();
        let line = self.stream.place.line;
        match record.and_then(|()| self.stream.record()) {
            Ok(None) => Next::End,
            Ok(Some(record)) => self.row(line, &record),
            Err(problem) => Next::Broken(self.stream.broken(&problem)),
        }
    }

    fn row(&self, line: u64, record: &Record) -> Next<'_> {
        let bad = |message: String| {
            let error = ApiError::new(Code::InvalidParameter, message);
            Next::Bad(LineError::new(line, None, &error))
        };
        if record.long {
            return bad(format!("The line is longer than {LINE_MAX} bytes"));
        }
        if record.open {
            return bad(
                "A quotation mark is left open: all to the end of the file is within".to_owned()
            );
        }
        let (found, expected) = (record.fields, self.columns.len());
        if found != expected {
            return bad(format!("{found} fields: the first line names {expected}"));
        }
        let mut row = Row { line, ..Row::default() };
        for (n, column) in self.columns.iter().enumerate() {
            match std::str::from_utf8(self.stream.field(n)) {
                Ok(text) => row.put(column, text.into()),
                Err(_) => return bad(format!("{column:?} is not UTF-8")),
            }
        }
        Next::Row(row)
    }
}

/// What was found of a record.
struct Record {
    fields: usize,
    /// It is too long to be used.
    long: bool,
    /// The file ended within quotation marks.
    open: bool,
}

/// Why no record can be read.
enum Problem {
    Io(io::Error),
    TooLong,
}

/// The parser with its buffers.
struct Parser<R> {
    stream: R,
    core: csv_core::Reader,
    /// Where the last record ended.
    place: Place,
    /// The end of the stream is the end of the file.
    whole: bool,
    buffer: Vec<u8>,
    begin: usize,
    eof: bool,
    out: Vec<u8>,
    ends: Vec<usize>,
}

impl<R: Read> Parser<R> {
    fn new(stream: R, place: Place, whole: bool) -> Self {
        let mut core = csv_core::Reader::new();
        core.set_line(place.line);
        Self {
            stream,
            core,
            place,
            whole,
            buffer: Vec::with_capacity(READ_AHEAD),
            begin: 0,
            eof: false,
            out: vec![0; LINE_MAX],
            ends: vec![0; COLUMNS_MAX + 1],
        }
    }

    /// The next record that is whole.
    fn record(&mut self) -> Result<Option<Record>, Problem> {
        let mut record = Record { fields: 0, long: false, open: false };
        let (mut out, mut ends, mut read, mut last) = (0, 0, 0_usize, 0);
        loop {
            self.fill()?;
            if self.begin == self.buffer.len() && !self.whole {
                // What was read of a record comes again with the next part.
                return Ok(None);
            }
            // At the end of the file a line feed more shows whether a record ends there: within quotation marks it does not.
            let over = self.begin == self.buffer.len() && read > 0;
            let rest = &self.buffer[self.begin..];
            let input = if over && !record.open { b"\n" } else { rest };
            let (result, mut nin, nout, nend) =
                self.core.read_record(input, &mut self.out[out..], &mut self.ends[ends..]);
            if over {
                record.open |= matches!(result, ReadRecordResult::InputEmpty);
                self.core.set_line(self.core.line() - nin as u64);
                nin = 0;
            }
            last = input[..nin].last().copied().unwrap_or(last);
            self.begin += nin;
            read += nin;
            (out, ends) = (out + nout, ends + nend);
            record.fields += nend;
            match result {
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull => (out, record.long) = (0, true),
                ReadRecordResult::OutputEndsFull => ends = 0,
                ReadRecordResult::Record => {
                    self.place.byte += (read + self.line_feed(last)?) as u64;
                    self.place.line = self.core.line();
                    return Ok(Some(record));
                }
                ReadRecordResult::End => return Ok(None),
            }
            if read > RECORD_MAX {
                return Err(Problem::TooLong);
            }
        }
    }

    /// Takes the line feed behind the carriage return with which a record ended: it is the same end of line.
    fn line_feed(&mut self, last: u8) -> Result<usize, Problem> {
        if last != b'\r' {
            return Ok(0);
        }
        self.fill()?;
        let found = self.buffer.get(self.begin) == Some(&b'\n');
        if found {
            self.pass();
        }
        Ok(usize::from(found))
    }

    /// Passes over empty lines, so that what follows is known by the line on which it stands.
    fn empty_lines(&mut self) -> Result<(), Problem> {
        loop {
            self.fill()?;
            if !matches!(self.buffer.get(self.begin), Some(b'\n' | b'\r')) {
                return Ok(());
            }
            self.pass();
            self.place = Place { byte: self.place.byte + 1, line: self.core.line() };
        }
    }

    /// Passes over a byte that ends a line and belongs to no record.
    fn pass(&mut self) {
        let byte = [self.buffer[self.begin]];
        // The parser reads nothing unless it could write: it writes nothing of this.
        self.core.read_record(&byte, &mut [0], &mut [0]);
        self.begin += 1;
    }

    /// Reads on if nothing is left.
    fn fill(&mut self) -> Result<(), Problem> {
        if self.begin < self.buffer.len() || self.eof {
            return Ok(());
        }
        self.begin = 0;
        self.buffer.resize(READ_AHEAD, 0);
        let count = loop {
            match self.stream.read(&mut self.buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.buffer.clear();
                    return Err(Problem::Io(error));
                }
                Ok(count) => break count,
            }
        };
        self.buffer.truncate(count);
        self.eof = count == 0;
        Ok(())
    }

    /// A field of the last record.
    fn field(&self, n: usize) -> &[u8] {
        let begin = n.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.out[begin..self.ends[n]]
    }

    fn texts(&self, record: &Record) -> Vec<String> {
        let fields = 0..record.fields.min(COLUMNS_MAX + 1);
        fields.map(|n| String::from_utf8_lossy(self.field(n)).trim().to_owned()).collect()
    }

    fn broken(&self, problem: &Problem) -> ApiError {
        let line = self.place.line;
        let message = match problem {
            Problem::TooLong => {
                format!(
                    "Line {line} is longer than {LINE_MAX} bytes; is a quotation mark left open?"
                )
            }
            Problem::Io(error) => {
                format!("The upload broke off after line {}: {error}", line.saturating_sub(1))
            }
        };
        ApiError::new(Code::InvalidParameter, message)
    }
}
