//! Raft's own messages, handed on to `tracing`.

use std::fmt::{self, Write};

use slog::{Drain, KV, Key, Level, Logger, Never, OwnedKVList, Record, Serializer, o};

/// A logger for raft.
pub(crate) fn logger() -> Logger {
    Logger::root(ToTracing, o!())
}

struct ToTracing;

impl Drain for ToTracing {
    type Ok = ();
    type Err = Never;

    fn log(&self, record: &Record<'_>, _values: &OwnedKVList) -> Result<(), Never> {
        let mut line = Line(record.msg().to_string());
        // The line stays without the value that cannot be written.
        let _ = record.kv().serialize(record, &mut line);
        match record.level() {
            Level::Critical | Level::Error => tracing::error!(target: "raft", "{}", line.0),
            Level::Warning => tracing::warn!(target: "raft", "{}", line.0),
            // Elections of a group of one are no news to an operator.
            Level::Info | Level::Debug => tracing::debug!(target: "raft", "{}", line.0),
            Level::Trace => tracing::trace!(target: "raft", "{}", line.0),
        }
        Ok(())
    }
}

struct Line(String);

impl Serializer for Line {
    fn emit_arguments(&mut self, key: Key, value: &fmt::Arguments<'_>) -> slog::Result {
        Ok(write!(self.0, " {key}={value}")?)
    }
}
