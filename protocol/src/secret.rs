//! Text that never reaches a log.

use std::fmt;

use crate::v1;

/// A token or a password. It shows itself to nobody but whoever asks by [`Secret::expose`].
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret(String);

impl Secret {
    /// Takes it in.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for signing or comparing.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "(none)" } else { "(secret)" })
    }
}

impl fmt::Debug for v1::Hello {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hello")
            .field("name", &self.name)
            .field("incarnation", &self.incarnation)
            .field("slots", &self.slots)
            .field("fence", &self.fence)
            .field("known", &self.known)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for v1::Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account").field("sid", &self.sid).finish_non_exhaustive()
    }
}

impl fmt::Debug for v1::InboundTrunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InboundTrunk")
            .field("carrier", &self.carrier)
            .field("networks", &self.networks)
            .field("username", &self.username)
            .field("codecs", &self.codecs)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for v1::Trunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trunk")
            .field("carrier", &self.carrier)
            .field("address", &self.address)
            .field("username", &self.username)
            .field("codecs", &self.codecs)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for v1::Parameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parameter").field("name", &self.name).finish_non_exhaustive()
    }
}

impl fmt::Debug for v1::Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.body.len();
        f.debug_struct("Reply").field("bytes", &bytes).finish_non_exhaustive()
    }
}
