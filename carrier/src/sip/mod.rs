//! The text of SIP: what the carrier reads from requests and how it writes its own messages.

pub(crate) mod digest;
pub(crate) mod incoming;
pub(crate) mod reply;
pub(crate) mod sdp;
pub(crate) mod value;
