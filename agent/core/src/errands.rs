//! What documents have others do, and what comes of it: webhooks that are asked, audio that is made. Calls and conversations by
//! message speak of it alike.

use busyhour_base::Method;

/// Names one asynchronous piece of work of a call, so that an answer that comes too late is known as such.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Token(pub u32);

/// A webhook's successful answer (status 200 to 299), as bytes with its type; who asked judges both.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Document {
    /// Address that it came from in the end (after redirects), the base for relative URLs.
    pub url: String,
    /// `Content-Type`, without parameters, in lower case.
    pub content_type: String,
    /// At most 64 KiB (the shell refuses more as [`FetchError::TooLarge`]). For `audio/*` it may stay empty
    /// and unread: the audio is asked for again by [`Action::Prepare`](crate::leg::Action::Prepare) with `url`.
    pub body: Vec<u8>,
}

/// Why a webhook gave no document.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FetchError {
    /// Not an address that may be asked (SSRF guard, bad URL).
    #[error("the address is not allowed: {0}")]
    Forbidden(String),
    /// Connection, TLS or time-out.
    #[error("{0}")]
    Transport(String),
    /// Another status than 2xx.
    #[error("the server answered {0}")]
    Status(u16),
    /// Over the bound.
    #[error("the answer is larger than 64 KiB")]
    TooLarge,
}

/// Why there is no audio.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AudioError {
    /// Fetch of a `Play` failed.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// Not audio that can be played.
    #[error("cannot be played: {0}")]
    Unplayable(String),
    /// The speech engine failed.
    #[error("speech: {0}")]
    Speech(String),
}

/// Where audio comes from.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum AudioSource {
    /// Speech.
    Say {
        /// The words.
        text: String,
        /// Voice by name.
        voice: String,
        /// BCP 47.
        language: String,
    },
    /// A file.
    Play {
        /// Absolute URL.
        url: String,
    },
}

/// A webhook to be asked, complete but for its signature's key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request {
    /// Absolute, with templates filled in.
    pub url: String,
    /// How.
    pub method: Method,
    /// Form parameters, in the order in which they are sent.
    pub params: Vec<(String, String)>,
}
