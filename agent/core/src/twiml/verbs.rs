//! The verbs, typed, with every default filled in.

use busyhour_base::{Method, Span};

use super::Warning;
use crate::errands::AudioSource;

/// The voice of a `Say` that names none.
pub const DEFAULT_VOICE: &str = "man";
/// The language of a `Say` that names none.
pub const DEFAULT_LANGUAGE: &str = "en-US";

/// What a document says to do.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Document {
    /// In order.
    pub verbs: Vec<Verb>,
    /// What was left out or replaced by a default, and where.
    pub warnings: Vec<Warning>,
}

/// One instruction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verb {
    /// `Say`, `Play` or `Pause` on its own.
    Prompt(Prompt),
    /// Collect keys.
    Gather(Gather),
    /// Go on with another document.
    Redirect(Redirect),
    /// Hang up.
    Hangup,
    /// Refuse an inbound call; on a call that is up it hangs up.
    Reject(RejectReason),
}

/// Something that takes its time and asks for nothing: what may stand inside a `Gather`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Prompt {
    /// `Say`, or `Play` of a file (whose URL is not filled in nor resolved yet).
    Audio {
        /// What is heard.
        source: AudioSource,
        /// How often.
        times: Times,
    },
    /// `Play` of keys; `w` is half a second.
    Keys(String),
    /// `Pause`.
    Pause(Span),
}

/// How often something is repeated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Times {
    /// `loop="0"`: until the call ends.
    Forever,
    /// This often, at least once.
    Count(u32),
}

impl Times {
    /// What is left after one more time, or `None` if that was the last.
    #[must_use]
    pub const fn less_one(self) -> Option<Self> {
        match self {
            Self::Forever => Some(Self::Forever),
            Self::Count(0 | 1) => None,
            Self::Count(left) => Some(Self::Count(left - 1)),
        }
    }
}

/// `Gather`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Gather {
    /// Where the digits go; `None` is this document's own address.
    pub action: Option<String>,
    /// How `action` is asked.
    pub method: Method,
    /// How long it waits for the first key after the prompts, and for each key after another.
    pub timeout: Span,
    /// The key that ends the input and does not count as one; `None` if there is none.
    pub finish_on_key: Option<char>,
    /// Ends after so many keys.
    pub num_digits: Option<u32>,
    /// Whether `action` is asked without input, too.
    pub action_on_empty_result: bool,
    /// What is heard meanwhile; the first key ends it.
    pub prompts: Vec<Prompt>,
}

/// `Redirect`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Redirect {
    /// The address; empty is this document's own.
    pub url: String,
    /// How it is asked.
    pub method: Method,
}

/// `reason` of a `Reject`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum RejectReason {
    /// As if the number were not in service.
    #[default]
    Rejected,
    /// As if it were busy.
    Busy,
}
