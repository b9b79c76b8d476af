//! A file of people who take no messages, read line by line in bounded memory: CSV with a line of names, or NDJSON.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read},
    sync::Arc,
};

use busyhour_base::AccountSid;
use busyhour_controller_core::message::AddOptOut;
use chrono::DateTime;
use serde::Deserialize;

use super::{own, person};
use crate::{
    batches::Format,
    directory::Directory,
    edge::parse,
    error::{ApiError, Code},
};

/// Lines of one file: they are one entry of the log, which takes a mebibyte and lets others wait some ten milliseconds. A line
/// takes 16 bytes of it at most.
pub(super) const LINES_MAX: u64 = 50_000;
/// Longest line, in bytes. Two numbers and an instant have some 60.
const LINE_MAX: u64 = 1_024;
/// Lines whose mistakes are told. The others are counted.
const TOLD_MAX: usize = 10;

/// How a file is to be read.
pub(super) struct Reading<'a> {
    pub(super) account: AccountSid,
    pub(super) directory: &'a Directory,
    pub(super) format: Format,
    /// The account's number of lines that name none.
    pub(super) from: Option<Arc<str>>,
    /// The number of its first line, for the part of a file.
    pub(super) first_line: u64,
    /// In seconds since the epoch.
    pub(super) now_s: i64,
}

/// What a file says.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// By the account's numbers.
    pub(super) people: BTreeMap<Arc<str>, Vec<AddOptOut>>,
    pub(super) lines: u64,
}

/// One line.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase", default)]
struct Row {
    to: Option<String>,
    from: Option<String>,
    since: Option<String>,
}

/// A column of a CSV file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Column {
    To,
    From,
    Since,
}

impl Reading<'_> {
    /// Reads it to its end. Every line is checked; with one that cannot be used there are no contents.
    pub(super) fn read(&self, stream: impl Read) -> Result<Contents, ApiError> {
        let mut stream = BufReader::new(stream);
        let (mut contents, mut columns) = (Contents::default(), None);
        let (mut line, mut wrong, mut told) = (self.first_line, 0_u64, Vec::new());
        let mut text = Vec::new();
        loop {
            text.clear();
            let read = stream.by_ref().take(LINE_MAX + 1).read_until(b'\n', &mut text);
            if read.map_err(|error| broken(line, &error.to_string()))? == 0 {
                break;
            }
            if text.len() as u64 > LINE_MAX {
                return Err(broken(line, &format!("it is longer than {LINE_MAX} bytes")));
            }
            let trimmed = text.trim_ascii();
            if trimmed.is_empty() {
            } else if self.format == Format::Csv && columns.is_none() {
                columns = Some(names(line, trimmed)?);
            } else {
                contents.lines += 1;
                if contents.lines > LINES_MAX {
                    let message = format!(
                        "Nothing was changed: more than {LINES_MAX} lines; send the file in parts"
                    );
                    return Err(ApiError::new(Code::TooLarge, message));
                }
                let row = match &columns {
                    Some(columns) => fields(columns, trimmed),
                    None => parse(trimmed),
                };
                if let Err(message) = row.and_then(|row| self.take(&row, &mut contents)) {
                    wrong += 1;
                    if told.len() < TOLD_MAX {
                        told.push(format!("line {line}: {message}"));
                    }
                }
            }
            line += 1;
        }
        if wrong == 0 {
            return Ok(contents);
        }
        let more = wrong - told.len() as u64;
        let more = if more == 0 { String::new() } else { format!("; and {more} more") };
        let message = format!("Nothing was changed: {}{more}", told.join("; "));
        Err(ApiError::new(Code::InvalidParameter, message))
    }

    fn take(&self, row: &Row, contents: &mut Contents) -> Result<(), String> {
        let words = |error: ApiError| error.message.into_owned();
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let to = given(&row.to).ok_or("To is missing")?;
        let from = match given(&row.from) {
            Some(from) => {
                Arc::from(own("From", &from, self.account, self.directory).map_err(words)?)
            }
            None => self.from.clone().ok_or("From is missing, in the line and in the query")?,
        };
        let since_s = given(&row.since).map(|since| self.instant(&since)).transpose()?;
        let person = person("To", &to).map_err(words)?;
        contents.people.entry(from).or_default().push(AddOptOut { person, since_s });
        Ok(())
    }

    fn instant(&self, text: &str) -> Result<u32, String> {
        let seconds = DateTime::parse_from_rfc3339(text).ok().map(|at| at.timestamp());
        let past = seconds.filter(|seconds| *seconds <= self.now_s);
        past.and_then(|seconds| u32::try_from(seconds).ok()).ok_or_else(|| {
            format!("Since = {text:?} is not allowed: an instant that has passed, such as 2026-03-10T12:00:00Z")
        })
    }
}

/// The columns of a CSV file, by its line of names.
fn names(line: u64, text: &[u8]) -> Result<Vec<Column>, ApiError> {
    let mut columns = Vec::new();
    for name in split(text).map_err(|message| broken(line, &message))? {
        let column = match name {
            "To" => Column::To,
            "From" => Column::From,
            "Since" => Column::Since,
            _ => {
                let message = format!("column {name:?} is not allowed: To, From or Since");
                return Err(broken(line, &message));
            }
        };
        if columns.contains(&column) {
            return Err(broken(line, &format!("column {name} is there twice")));
        }
        columns.push(column);
    }
    Ok(columns)
}

fn fields(columns: &[Column], text: &[u8]) -> Result<Row, String> {
    let found = split(text)?;
    if found.len() != columns.len() {
        return Err(format!("{} fields: the first line names {}", found.len(), columns.len()));
    }
    let mut row = Row::default();
    for (column, text) in columns.iter().zip(found) {
        let field = match column {
            Column::To => &mut row.to,
            Column::From => &mut row.from,
            Column::Since => &mut row.since,
        };
        *field = Some(text.to_owned());
    }
    Ok(row)
}

/// Fields between commas, with or without quotation marks around each: no number and no instant holds either.
fn split(text: &[u8]) -> Result<Vec<&str>, String> {
    let text = std::str::from_utf8(text).map_err(|_| "it is not UTF-8".to_owned())?;
    let bare = |field: &'_ str| -> Option<usize> {
        let quoted = field.len() >= 2 && field.starts_with('"') && field.ends_with('"');
        Some(usize::from(quoted)).filter(|_| quoted || !field.contains('"'))
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    text.split(',')
        .map(|field| {
            let field = field.trim();
            let cut = bare(field).ok_or_else(|| format!("{field} has a stray quotation mark"))?;
            Ok(&field[cut..field.len() - cut])
        })
        .collect()
}

fn broken(line: u64, message: &str) -> ApiError {
    ApiError::new(Code::InvalidParameter, format!("Nothing was changed: line {line}: {message}"))
}
