//! What the API tells operators and tenants, as far as the commands show it. A controller that tells more is understood.

mod explanation;
mod overview;

use serde::Deserialize;

pub use explanation::*;
pub use overview::*;

/// A reason in both its forms.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Because {
    /// For machines.
    pub reason: String,
    /// For people.
    pub message: String,
}
