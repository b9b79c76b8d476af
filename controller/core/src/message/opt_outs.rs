//! Who takes no messages from a tenant's numbers: by their own word, or by the tenant's; and who answers that word.

use std::sync::Arc;

use busyhour_base::{AccountSid, Body, Timestamp, is_e164};
use serde::{Deserialize, Serialize};

/// Who answers STOP, START and HELP.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum AnsweredBy {
    /// The platform, in the tenant's words or else in those of the field ([`Keyword::answer`]).
    Platform(Option<Body>),
    /// The tenant's application: its first answer goes out, though its recipient takes no other messages.
    Application,
}

impl Default for AnsweredBy {
    fn default() -> Self {
        Self::Platform(None)
    }
}

/// A tenant's own changes to who takes no messages from its numbers: all of them are made, or none.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ChangeOptOuts {
    /// Whose.
    pub account: AccountSid,
    /// Who takes none from now on, by the account's numbers. Who has opted out already stays so from when they did.
    pub add: Vec<(Arc<str>, Vec<AddOptOut>)>,
    /// Who takes them again.
    pub remove: Vec<RemoveOptOut>,
}

/// Somebody who takes no messages from now on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct AddOptOut {
    /// Who.
    pub person: Person,
    /// Since when, in seconds since the epoch, if not since now.
    pub since_s: Option<u32>,
}

/// Somebody takes messages again, on the tenant's word.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RemoveOptOut {
    /// The tenant's number.
    pub from: Arc<str>,
    /// Who.
    pub person: Person,
    /// Why, in the tenant's words, which are kept.
    pub reason: Arc<str>,
}

impl RemoveOptOut {
    /// The longest reason, in characters.
    pub const REASON_CHARS_MAX: usize = 200;
}

/// A number in E.164 without its plus: at most 15 digits, of which the first is not 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Person(u64);

impl Person {
    /// Before all others.
    pub(crate) const FIRST: Self = Self(0);
    /// Behind all others.
    pub(crate) const LAST: Self = Self(u64::MAX);

    /// Of a number in E.164.
    pub fn of(number: &str) -> Option<Self> {
        number.strip_prefix('+').filter(|_| is_e164(number))?.parse().ok().map(Self)
    }

    /// The next one in order.
    pub(crate) const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl std::fmt::Display for Person {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "+{}", self.0)
    }
}

/// Somebody took no messages from a number, and takes them again on the tenant's word.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RemovedOptOut {
    /// Its place among all of them.
    pub seq: u64,
    /// Whose.
    pub account: AccountSid,
    /// The tenant's number.
    pub from: Arc<str>,
    /// Who.
    pub to: Person,
    /// Since when they had taken none, to the second.
    pub since: Timestamp,
    /// When it was removed.
    pub removed_at: Timestamp,
    /// Why, in the tenant's words.
    pub reason: Arc<str>,
}

/// Somebody takes no messages from a number.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OptOut {
    /// The tenant's number.
    pub from: Arc<str>,
    /// Who.
    pub to: Arc<str>,
    /// Since when, to the second.
    pub since: Timestamp,
}
