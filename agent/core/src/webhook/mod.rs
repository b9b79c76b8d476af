//! Webhooks: what every request carries (`WIRE.md`, SP-2), URI templates (SP-1) and signatures (SP-3).

pub(crate) mod address;
mod date;
mod outgoing;
mod params;
pub mod sign;
pub mod template;

pub use date::rfc2822;
pub use outgoing::{BadAddress, Outgoing};
pub use params::{API_VERSION, Base};
