//! The HTTP API that tenants' SDKs and operators' tools speak (`WIRE.md`).
//!
//! [`router`] makes it of a [`Platform`], which is all that it knows of the controller around it.

mod directory;
mod platform;

pub use directory::{Account, ApiKey, Application, Directory, Number, Secret};
pub use platform::{Applied, EdgeLimits, Platform, Propose, ProposeError, Readiness, Views};

/// The whole API as one service.
pub fn router(platform: Platform) -> axum::Router {
    axum::Router::new()
        .route("/healthz", axum::routing::get(|| async { "ok\n" }))
        .with_state(platform)
}
