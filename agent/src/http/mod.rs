//! HTTP towards the tenants' application servers: documents, audio and status callbacks, never to an address
//! that a tenant must not reach (SSRF), always with a bound on time and size.

mod audio;
mod callbacks;
mod client;
mod guard;

pub use audio::{AudioCache, AudioConfig};
pub use callbacks::{About, Callbacks, CallbacksConfig};
pub use client::{Http, HttpConfig};
pub use guard::{Guard, NotAllowed};
