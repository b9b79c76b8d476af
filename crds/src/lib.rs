//! The declared kinds (Carrier, Tenant, Application, Number, Pool) as Kubernetes resources, and the
//! folder of the same documents that a cluster-less installation reads.
//!
//! One schema serves both: it is derived from the types in [`kinds`], written to `crds/*.yaml` for a
//! Kubernetes API server ([`write_all`]), and is what [`load_folder`] checks documents against. What a
//! schema cannot say (references, secrets, sums) is checked here as well, and nothing is taken over in
//! part: [`Declared`] exists only if every document is right.
//!
//! This crate is an adapter of `controller/core`: [`Declared::declaration`] is the one place where a
//! document becomes what the state machine holds, for the controller and the simulator alike.

mod answering;
mod compile;
pub mod document;
mod duration;
mod error;
mod folder;
mod generate;
mod in_process;
pub mod kinds;
mod load;
pub mod schema;
mod secret;

pub use answering::{Answering, Texting, TextingApplication};
pub use compile::spacing;
pub use duration::Duration;
pub use error::{LoadError, LoadErrors};
pub use folder::{SourceFile, read_folder};
pub use generate::{crd_files, write_all};
pub use in_process::{Fate, Sending};
pub use load::{Declared, DeclaredCarrier, DeclaredTenant, load, load_folder};
pub use secret::Secret;

/// The API group and version of every declared kind.
pub const API_VERSION: &str = "busyhour.dev/v1alpha1";

/// Documents of this group are the simulator's and are passed over here.
pub const SIMULATIONS_API_VERSION: &str = "simulations.busyhour.dev/v1alpha1";
