//! `GET /v1/overview.json`: what the operator's live view shows, read from one state.

use axum::{extract::State, response::Response};
use busyhour_base::{AccountSid, Outcome, Span, Timestamp};
use busyhour_controller_core::message::MessageCounts;
use busyhour_controller_core::spec::Kind;
use busyhour_controller_core::view::{AgentView, Counts, InboundCounts, TenantView};
use http::{StatusCode, Uri};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    App,
    availability::{CarrierRow, GroupRow, LINES_MAX, LineRow, PoppersRow, ShareRow},
    dates::Rfc3339,
    edge::{Operator, json},
    error::{ApiError, Code},
    forecasts::Expected,
    form::Params,
    queues::QueueRow,
};

/// Tenants that are shown if nothing is said, and at most.
const TENANTS: usize = 1_000;
const TENANTS_MAX: u64 = 10_000;
/// Queues that are shown.
const QUEUES_MAX: usize = 200;

/// Everything at a glance.
#[derive(Serialize, ToSchema)]
pub(crate) struct Overview {
    /// When it was read.
    #[schema(value_type = String)]
    at: Rfc3339,
    /// Calls that wait, over all tenants.
    queued: u64,
    /// Calls that were dialled and are not over, over all tenants.
    in_progress: u64,
    /// By account: all of them, or those with the most calls waiting and in progress if there are more than were asked for.
    tenants: Vec<TenantRow>,
    /// Tenants that are not shown.
    tenants_more: usize,
    /// By name.
    carriers: Vec<CarrierRow>,
    /// Groups of carriers whose channels tenants share, by name.
    groups: Vec<GroupRow>,
    /// The longest queues of these tenants, of calls and of messages, by what they wait for.
    queues: Vec<QueueRow>,
    /// Queues that are not shown.
    queues_more: usize,
    /// What the engine takes requests from; a hundred at most.
    lines: Vec<LineRow>,
    /// How many requests of each route may be taken at one instant; of a hundred routes at most.
    poppers: Vec<PoppersRow>,
    /// By number.
    agents: Vec<AgentRow>,
}

/// A tenant.
#[derive(Serialize, ToSchema)]
pub(crate) struct TenantRow {
    /// Its account.
    #[schema(value_type = String)]
    account_sid: AccountSid,
    /// Its name.
    name: String,
    /// Where its calls are.
    counts: CountsBody,
    /// Calls dialled in the last ten seconds.
    dialled_10s: u32,
    /// Its throttle's spacing in microseconds.
    spacing_us: Option<u64>,
    /// When its queue will be empty.
    eta: Option<Eta>,
    /// Its shares of groups of carriers.
    shares: Vec<ShareRow>,
    /// Calls to its numbers.
    inbound: InboundBody,
    /// Where its messages are.
    messages: MessagesBody,
}

/// Messages by where they are.
#[derive(Serialize, ToSchema)]
pub(crate) struct MessagesBody {
    /// Accepted or taken in ever.
    accepted: u64,
    /// Outbound, scheduled or in a queue.
    waiting: u64,
    /// With a carrier that has not answered.
    sending: u64,
    /// Taken by a carrier that has not reported on it.
    sent: u64,
    /// Inbound, not yet answered by the application.
    receiving: u64,
    /// Ended.
    ended: u64,
}

impl From<MessageCounts> for MessagesBody {
    fn from(counts: MessageCounts) -> Self {
        let MessageCounts { accepted, waiting, sending, sent, receiving, ended } = counts;
        Self { accepted, waiting, sending, sent, receiving, ended }
    }
}

/// Calls to a tenant's numbers.
#[derive(Serialize, ToSchema)]
pub(crate) struct InboundBody {
    /// Offered ever by carriers, and not refused at once.
    offered: u64,
    /// Ring for want of capacity.
    ringing: u64,
    /// Answered ever.
    answered: u64,
}

impl From<InboundCounts> for InboundBody {
    fn from(counts: InboundCounts) -> Self {
        let InboundCounts { offered, ringing, answered } = counts;
        Self { offered, ringing, answered }
    }
}

/// Calls by where they are.
#[derive(Serialize, ToSchema)]
pub(crate) struct CountsBody {
    /// Accepted ever.
    accepted: u64,
    /// Waiting.
    queued: u64,
    /// Dialled and not over.
    in_progress: u64,
    /// Answered and ended.
    completed: u64,
    /// Busy or rejected.
    busy: u64,
    /// Rang out.
    no_answer: u64,
    /// Could not be completed, or in doubt.
    failed: u64,
    /// Ended before the answer by the tenant.
    canceled: u64,
}

impl From<Counts> for CountsBody {
    fn from(counts: Counts) -> Self {
        let ended = |wanted| {
            let ended = Outcome::ALL.into_iter().zip(counts.ended);
            ended.filter(|(outcome, _)| *outcome == wanted).map(|(_, count)| count).sum()
        };
        Self {
            accepted: counts.accepted,
            queued: counts.queued,
            in_progress: counts.in_progress,
            completed: ended(Outcome::Completed),
            busy: ended(Outcome::Busy),
            no_answer: ended(Outcome::NoAnswer),
            failed: ended(Outcome::Failed),
            canceled: ended(Outcome::Canceled),
        }
    }
}

/// When the last waiting call is expected to be dialled.
#[derive(Serialize, ToSchema)]
pub(crate) struct Eta {
    /// As likely before as after.
    #[schema(value_type = String)]
    p50: Rfc3339,
    /// Nine times out of ten not after; null while that cannot be told.
    #[schema(value_type = Option<String>)]
    p90: Option<Rfc3339>,
    /// From now to `p50`.
    in_ms: u64,
    /// From now to `p90`.
    in_ms_p90: Option<u64>,
    /// The limit that binds, for machines.
    limiting_factor: &'static str,
    /// The limit that binds, for people.
    message: &'static str,
}

impl Eta {
    pub(crate) fn new(now: Timestamp, expected: &Expected) -> Self {
        let from = now.max(expected.from);
        Self {
            p50: Rfc3339(expected.p50),
            p90: expected.p90.map(Rfc3339),
            in_ms: expected.p50.since(from).as_millis(),
            in_ms_p90: expected.p90.map(|p90| p90.since(from).as_millis()),
            limiting_factor: expected.binding.code(),
            message: expected.binding.message(),
        }
    }
}

/// An agent.
#[derive(Serialize, ToSchema)]
pub(crate) struct AgentRow {
    /// Its number.
    agent: u16,
    /// Its name.
    name: String,
    /// Connected now.
    connected: bool,
    /// Calls that it can hold.
    slots: u32,
    /// Calls that it holds.
    in_use: u32,
    /// Processor use in thousandths.
    cpu_permille: u16,
    /// Takes no new calls.
    draining: bool,
}

/// When everything that a tenant has waiting has started.
fn eta(app: &App, view: &TenantView, now: Timestamp) -> Option<Eta> {
    if view.counts.queued == 0 {
        return None;
    }
    let forward = app.forecasts.latest(Kind::Call, |forecast| forecast.tenant(view.account));
    Expected::of(forward, view.eta, now).map(|expected| Eta::new(now, &expected))
}

/// Tenants, carriers and agents, for the operator.
#[utoipa::path(
    get, path = "/v1/overview.json", tag = "Operation",
    params(("Tenants" = Option<u64>, Query, description = "Most tenants that are shown: 1000 by default, 10000 at most")),
    responses((status = 200, body = Overview), (status = "4XX", body = crate::error::ErrorBody)),
    security(("operator" = []))
)]
pub(crate) async fn overview(
    State(app): State<App>,
    _operator: Operator,
    uri: Uri,
) -> Result<Response, ApiError> {
    let params = Params::parse(uri.query().unwrap_or("").as_bytes())?;
    let most = params.whole(Code::InvalidParameter, "Tenants", 0..=TENANTS_MAX)?;
    let most = most.map_or(TENANTS, |most| most as usize);
    app.forecasts.refresh(Kind::Call).await;
    let now = (app.platform.clock)();
    let views = &app.platform.views;
    let tenant = |view: TenantView| TenantRow {
        account_sid: view.account,
        name: view.name.to_string(),
        counts: view.counts.into(),
        dialled_10s: view.dialled_10s,
        spacing_us: view.spacing.map(Span::as_micros),
        eta: eta(&app, &view, now),
        shares: views.shares_of(view.account).into_iter().map(ShareRow::from).collect(),
        inbound: view.inbound.into(),
        messages: view.messages.into(),
    };
    let agent = |view: AgentView| AgentRow {
        agent: view.agent.0,
        name: view.name.to_string(),
        connected: view.connected,
        slots: view.slots,
        in_use: view.in_use,
        cpu_permille: view.cpu_permille,
        draining: view.draining,
    };
    let totals = views.totals();
    let busiest = views.busiest(most);
    let (queues, queues_more) = queues(&app, &busiest);
    let tenants: Vec<_> = busiest.into_iter().map(tenant).collect();
    let overview = Overview {
        at: Rfc3339(now),
        queued: totals.queued,
        in_progress: totals.in_progress,
        tenants_more: totals.tenants.saturating_sub(tenants.len()),
        tenants,
        queues,
        queues_more,
        groups: views.groups().into_iter().map(GroupRow::from).collect(),
        lines: views.lines(LINES_MAX).into_iter().map(LineRow::from).collect(),
        poppers: views.poppers(LINES_MAX).into_iter().map(PoppersRow::from).collect(),
        carriers: views.carriers().into_iter().map(CarrierRow::from).collect(),
        agents: views.agents().into_iter().map(agent).collect(),
    };
    Ok(json(StatusCode::OK, &overview))
}

/// The longest queues of these tenants, the longest first, and how many others there are.
fn queues(app: &App, tenants: &[TenantView]) -> (Vec<QueueRow>, usize) {
    let views = &app.platform.views;
    let of = |tenant: &TenantView| {
        let idle = tenant.counts.queued + tenant.counts.in_progress == 0
            && tenant.messages.waiting + tenant.messages.sending == 0;
        if idle { Vec::new() } else { views.queues_of(tenant.account) }
    };
    let all =
        tenants.iter().flat_map(|tenant| of(tenant).into_iter().map(move |row| (tenant, row)));
    let mut all: Vec<_> = all.collect();
    all.sort_by_key(|(_, queue)| std::cmp::Reverse((queue.waiting, queue.in_progress)));
    let more = all.len().saturating_sub(QUEUES_MAX);
    let shown = all.iter().take(QUEUES_MAX).map(|(tenant, row)| QueueRow::new(app, tenant, row));
    (shown.collect(), more)
}
