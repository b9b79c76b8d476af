//! A batch as JSON.

use busyhour_base::{AccountSid, BatchSid, MessageStatus, Outcome, Reason, Timestamp};
use busyhour_controller_core::{
    spec::Kind,
    view::{BatchStatus, BatchView},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    counts::BatchCounts,
    kind,
    plan::{shown_dedupe, shown_end},
    retry::{CallbackShown, RetryShown},
    schedule::ScheduleBody,
};
use crate::{App, dates::Rfc3339, forecasts::Expected, overview::Eta};

/// The Batch resource.
#[derive(Serialize, ToSchema)]
pub(crate) struct BatchResource {
    /// `BT` and 32 hex digits.
    #[schema(value_type = String)]
    sid: BatchSid,
    /// Whose.
    #[schema(value_type = String)]
    account_sid: AccountSid,
    /// The tenant's name for it.
    name: String,
    /// What its lines are: calls or messages.
    kind: &'static str,
    /// draft, validating (an upload in parts has begun and not ended), scheduled, running, paused, completing (none of its calls
    /// waits any more), completed, expired, cancelling or cancelled.
    #[schema(value_type = String)]
    status: BatchStatus,
    /// When it was created.
    #[schema(value_type = String)]
    date_created: Rfc3339,
    /// When its first call was dialled, or its first message handed to a carrier.
    #[schema(value_type = Option<String>)]
    date_started: Option<Rfc3339>,
    /// When its last call or message ended.
    #[schema(value_type = Option<String>)]
    date_ended: Option<Rfc3339>,
    /// When it runs.
    schedule: ScheduleBody,
    /// How fast.
    pacing: PacingBody,
    /// Which calls are placed, or messages sent, again.
    retry: Option<RetryShown>,
    /// Who is told of it.
    callback: Option<CallbackShown>,
    /// Of lines with the same value of this only the first was taken.
    dedupe_by: String,
    /// What becomes of lines that wait when a calling window closes: pause or expire.
    on_window_end: &'static str,
    /// Why none of its calls starts, or no message is sent, now, whatever the limits say: draft, paused, not_before, window.
    shut_by: Option<&'static str>,
    /// How far its lines are.
    upload: UploadBody,
    /// Where its calls or messages are.
    counts: BatchCounts,
    /// How fast it has been.
    rates: Rates,
    /// When its last call is expected to be dialled, or its last message to be sent, and the limit that binds now.
    eta: Option<Eta>,
    /// Path of this resource.
    url: String,
    /// Paths of what belongs to it.
    links: Links,
}

/// How fast a batch may run.
#[derive(Serialize, ToSchema)]
pub(crate) struct PacingBody {
    /// Calls per second, or segments per second of messages.
    cps: Option<f64>,
    /// What `cps` counts: calls or segments.
    unit: &'static str,
    /// Most calls in progress at once, or messages that carriers have not answered.
    max_concurrent: Option<u32>,
}

/// How far the lines of a batch are.
#[derive(Serialize, ToSchema)]
pub(crate) struct UploadBody {
    /// Bytes up to which lines of an upload in parts were taken.
    offset: u64,
    /// The number of the line there.
    next_line: u64,
    /// The last part was taken.
    complete: bool,
    /// Lines that were not accepted; `links.errors` tells what was wrong with the first 1,000.
    refused: u64,
    /// Lines that were passed over, because one with the same `custom_id` or `dedupe_by` value had been taken.
    duplicates: u64,
}

/// How fast a batch has been since its first call was dialled, or its first message handed to a carrier.
#[derive(Serialize, ToSchema)]
pub(crate) struct Rates {
    /// What is counted: calls, or segments of messages.
    unit: &'static str,
    /// Calls that were dialled, or segments that were handed to carriers; each attempt counts.
    started: u64,
    /// The same per second.
    started_per_s: Option<f64>,
    /// Most per second by its own pacing and by the throttles of its account and of the applications and numbers that its open
    /// lines go out by, whichever is slowest; null without any.
    allowed_per_s: Option<f64>,
    /// Completed calls among those that ended; of messages the delivered ones, and those of carriers without reports that
    /// were sent.
    completed_share: Option<f64>,
}

/// What belongs to a batch.
#[derive(Serialize, ToSchema)]
pub(crate) struct Links {
    /// Takes lines.
    lines: String,
    /// Tells what was wrong with lines.
    errors: String,
    /// Gives results.
    results: String,
}

impl BatchResource {
    pub(super) fn new(app: &App, view: &BatchView) -> Self {
        let sid = app.platform.sid_key.batch(view.batch.0);
        let url = format!("/v1/Batches/{sid}");
        let now = (app.platform.clock)();
        let plan = &view.plan;
        Self {
            sid,
            account_sid: view.account,
            name: plan.name.clone(),
            kind: kind::word(plan.kind),
            status: view.status,
            date_created: Rfc3339(view.created_at),
            date_started: view.started_at.map(Rfc3339),
            date_ended: view.ended_at.map(Rfc3339),
            schedule: ScheduleBody::new(plan, now),
            pacing: PacingBody {
                unit: unit(plan.kind),
                cps: plan.throttle.map(|throttle| 1.0 / throttle.spacing.as_secs_f64()),
                max_concurrent: plan.max_concurrent,
            },
            retry: plan.retry.as_ref().map(RetryShown::new),
            callback: plan.callback.as_ref().map(|hook| CallbackShown::new(hook, view)),
            dedupe_by: shown_dedupe(&plan.dedupe_by),
            on_window_end: shown_end(plan.on_window_end),
            shut_by: view.shut_by.map(Reason::code),
            upload: UploadBody {
                offset: view.upload.bytes,
                next_line: view.upload.next_line,
                complete: view.upload.complete,
                refused: view.upload.refused,
                duplicates: view.upload.duplicates,
            },
            rates: Rates::new(view, now),
            counts: BatchCounts::new(view),
            eta: eta(app, view, now),
            links: Links {
                lines: format!("{url}/lines"),
                errors: format!("{url}/errors"),
                results: format!("{url}/results"),
            },
            url,
        }
    }
}

/// What paces count.
const fn unit(kind: Kind) -> &'static str {
    match kind {
        Kind::Call => "calls",
        Kind::Message => "segments",
    }
}

/// When its last call is dialled or its last message sent, by the last forecast, which the handlers that show batches have made sure is not old.
fn eta(app: &App, view: &BatchView, now: Timestamp) -> Option<Eta> {
    let forward = app.forecasts.latest(view.plan.kind, |forecast| forecast.batch(view.batch));
    let forward = forward.filter(|_| view.counts.queued > 0);
    Expected::of(forward, view.eta, now).map(|expected| Eta::new(now, &expected))
}

impl Rates {
    fn new(view: &BatchView, now: Timestamp) -> Self {
        let spacing = view.spacing.filter(|spacing| spacing.as_micros() > 0);
        let rounded = |value: f64| (value * 1e4).round() / 1e4;
        let share = |part: u64, whole: f64| (whole > 0.0).then(|| rounded(part as f64 / whole));
        let ended: u64 = view.counts.ended.iter().sum();
        let completed = match view.plan.kind {
            Kind::Call => view.counts.ended[Outcome::Completed as usize],
            Kind::Message => {
                let well = [MessageStatus::Delivered, MessageStatus::Sent];
                let well = well.into_iter().filter_map(MessageStatus::end);
                well.map(|end| view.counts.ended[end]).sum()
            }
        };
        let lasted = view.started_at.map(|start| view.ended_at.unwrap_or(now).since(start));
        Self {
            unit: unit(view.plan.kind),
            started: view.started,
            started_per_s: lasted.and_then(|lasted| share(view.started, lasted.as_secs_f64())),
            allowed_per_s: spacing.map(|spacing| rounded(1.0 / spacing.as_secs_f64())),
            completed_share: share(completed, ended as f64),
        }
    }
}
