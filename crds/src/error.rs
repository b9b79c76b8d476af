//! What is wrong with a declaration, and where.

use std::{fmt, path::PathBuf};

/// One thing wrong: file, line, field, what it is, and what would be allowed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LoadError {
    /// In which file or folder.
    pub file: PathBuf,
    /// On which line, from 1; nothing if it is about the whole file.
    pub line: Option<usize>,
    /// Which field, such as `spec.caps[1].per`; empty if it is about the whole document.
    pub field: String,
    /// What is wrong, with the value unless it is a secret.
    pub problem: String,
    /// What would be right.
    pub allowed: Option<String>,
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, "{line}:")?;
        }
        if !self.field.is_empty() {
            write!(f, " {}:", self.field)?;
        }
        write!(f, " {}", self.problem)?;
        if let Some(allowed) = &self.allowed {
            write!(f, "; allowed: {allowed}")?;
        }
        Ok(())
    }
}

impl std::error::Error for LoadError {}

/// Everything that is wrong with a folder, at most [`LoadErrors::MAX`] things.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LoadErrors(Vec<LoadError>);

impl LoadErrors {
    /// After so many, the rest is not looked for.
    pub const MAX: usize = 100;

    /// The errors, in order of file and line as they were found.
    pub fn iter(&self) -> impl Iterator<Item = &LoadError> {
        self.0.iter()
    }

    /// `Ok` if there are none.
    ///
    /// # Errors
    /// All of them, up to the bound.
    pub fn unless_none(mut errors: Vec<LoadError>) -> Result<(), Self> {
        errors.truncate(Self::MAX);
        if errors.is_empty() { Ok(()) } else { Err(Self(errors)) }
    }
}

impl From<LoadError> for LoadErrors {
    fn from(error: LoadError) -> Self {
        Self(vec![error])
    }
}

impl fmt::Display for LoadErrors {
    /// One error a line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, error) in self.0.iter().enumerate() {
            write!(f, "{}{error}", if n == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}

impl std::error::Error for LoadErrors {}
