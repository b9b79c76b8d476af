//! The declared kinds as types. Descriptions, bounds and patterns here are the schema: of the custom
//! resource definitions, and of the folder's documents.

#![expect(clippy::duplicated_attributes, reason = "several print columns have the same type")]

mod application;
mod carrier;
mod contract;
mod messages;
mod number;
mod pace;
mod pool;
mod share;
mod tenant;
mod webhook;

pub use application::{Application, ApplicationSpec, FirstDocument};
pub use carrier::{Carrier, CarrierSpec, Codec, InboundSpec};
pub use contract::{
    AllocationSpec, CommitmentSpec, DestinationSpec, PeriodSpec, TariffSpec, UnusedMode, VolumeSpec,
};
pub use messages::{
    CarrierMessages, InProcessCarrier, KeywordAnswerer, KeywordAnswers, MessageQueueBounds,
    NumberMessages, SegmentCap, SegmentThrottle, TenantMessages,
};
pub use number::{Number, NumberKind, NumberSpec};
pub use pace::{CapSpec, ThrottleSpec};
pub use pool::{AskedAs, FloorsSpec, Order, Pool, PoolSpec, Role};
pub use share::ShareSpec;
pub use tenant::{ExcessPolicy, QueueBounds, Tenant, TenantSpec};
pub use webhook::{CallbackEvent, HttpMethod, StatusCallback};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A short name that another document uses to refer to one.
pub const NAME_PATTERN: &str = r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$";
/// An E.164 number.
pub const E164_PATTERN: &str = r"^\+[1-9][0-9]{6,14}$";
/// An absolute URL of an application server; templates such as `{To}` are allowed.
pub(crate) const URL_PATTERN: &str = r"^https?://[^\s/]+\S*$";
/// Where a secret is read from.
pub(crate) const FILE_PATTERN: &str = r"^[^\x00]{1,1024}$";

/// The group of carriers that name none.
pub(crate) fn default_group() -> String {
    busyhour_controller_core::spec::DEFAULT_GROUP.to_owned()
}

/// What the controller says of a declared document.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Status {
    /// The generation of the document that the rest of this status speaks of.
    pub observed_generation: i64,
    /// Whether it is in force.
    pub accepted: bool,
    /// Why not, if it is not.
    pub message: String,
}
