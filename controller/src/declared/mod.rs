//! The declared documents: taken over when they change and are right, left in force when they are not.

mod directory;
mod last_good;
mod watch;

pub(crate) use directory::{DialBook, dial_book, directory};
pub(crate) use watch::{Declarations, Published};
