//! Why a message was refused.

use std::fmt;

/// A field that holds what it must not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {value:?} is not {expected}")]
pub struct FieldError {
    /// Path of the field in the message, such as `dial.spec.instructions.url.method`.
    pub field: String,
    /// Its value, cut to 64 characters; of a secret or a missing field, only that.
    pub value: String,
    /// What is allowed.
    pub expected: &'static str,
}

impl FieldError {
    /// A value that is not allowed.
    pub fn new(field: &str, value: impl fmt::Display, expected: &'static str) -> Self {
        Self {
            field: field.to_owned(),
            value: value.to_string().chars().take(64).collect(),
            expected,
        }
    }

    /// A field that must be there and is not.
    pub fn missing(field: &str, expected: &'static str) -> Self {
        Self::new(field, "(missing)", expected)
    }

    /// The same, seen from the message that holds it as `parent`.
    #[must_use]
    pub fn within(mut self, parent: &str) -> Self {
        self.field = format!("{parent}.{}", self.field);
        self
    }
}
