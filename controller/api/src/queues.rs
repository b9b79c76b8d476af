//! Queues as JSON: the overview and the explanation of a tenant show the same.

use busyhour_base::{AccountSid, ApplicationSid, BatchSid};
use busyhour_controller_core::view::{QueueView, TenantView};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{App, explain::Because};

/// A queue: what waits in it has all of this in common. What does not apply is null.
#[derive(Serialize, ToSchema)]
pub(crate) struct QueueRow {
    /// Whose.
    #[schema(value_type = String)]
    account_sid: AccountSid,
    /// The tenant's name.
    tenant: String,
    /// `call` or `message`.
    kind: &'static str,
    /// `inbound`, `synchronous` or `ordinary`.
    urgency: &'static str,
    /// Of an application with limits of its own.
    #[schema(value_type = Option<String>)]
    application_sid: Option<ApplicationSid>,
    /// Of a number with limits of its own.
    number: Option<String>,
    /// Of a batch.
    #[schema(value_type = Option<String>)]
    batch_sid: Option<BatchSid>,
    /// The batch's name.
    batch: Option<String>,
    /// Waiting.
    waiting: u32,
    /// The segments of messages that wait.
    segments: Option<u64>,
    /// In progress: calls that are not over, messages that their carrier has not answered.
    in_progress: u32,
    /// What holds what waits in it now.
    held_by: Option<Because>,
}

impl QueueRow {
    pub(crate) fn new(app: &App, tenant: &TenantView, view: &QueueView) -> Self {
        use busyhour_controller_core::spec::Kind;
        let batch = view.batch.and_then(|batch| app.platform.views.batch(batch));
        Self {
            account_sid: tenant.account,
            tenant: tenant.name.to_string(),
            kind: view.kind.as_str(),
            urgency: view.urgency.as_str(),
            application_sid: view.application,
            number: view.number.as_ref().map(ToString::to_string),
            batch_sid: view.batch.map(|batch| app.platform.sid_key.batch(batch.0)),
            batch: batch.map(|batch| batch.plan.name.clone()),
            waiting: view.waiting,
            segments: (view.kind == Kind::Message).then_some(view.units),
            in_progress: view.in_progress,
            held_by: (view.waiting > 0).then(|| view.held_by.into()),
        }
    }
}
