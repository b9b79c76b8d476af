//! What is available, and why no more is (MT-27): the one read model of the core, as JSON. The overview, `explain`, the
//! metrics and the live view show the same.

use axum::{extract::State, response::Response};
use busyhour_base::AccountSid;
use busyhour_controller_core::view::{
    CarrierView, GroupView, LineView, PoppersView, Room, ShareView,
};
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    App,
    dates::Rfc3339,
    edge::{Operator, json},
};

/// Tenants whose shares are shown.
const TENANTS_MAX: usize = 1_000;

/// What is available, and why no more is.
#[derive(Serialize, ToSchema)]
pub(crate) struct Availability {
    /// When it was read.
    #[schema(value_type = String)]
    at: Rfc3339,
    /// By name.
    carriers: Vec<CarrierRow>,
    /// By name.
    groups: Vec<GroupRow>,
    /// What the engine takes requests from.
    lines: Vec<LineRow>,
    /// How many requests of each route may be taken at one instant.
    poppers: Vec<PoppersRow>,
    /// By account; of the thousand tenants with the most calls waiting and in progress.
    shares: Vec<ShareRow>,
}

/// A carrier. What its channels are doing adds up to them.
#[derive(Serialize, ToSchema)]
pub(crate) struct CarrierRow {
    /// Its name.
    name: String,
    /// The carriers whose channels tenants share as one.
    group: String,
    /// By contract.
    channels: u32,
    /// Nobody has them.
    free: u32,
    /// Nobody has them, and they are held for inbound calls.
    reserved: u32,
    /// Ordered from an agent that has not said yet that the call was sent.
    leased: u32,
    /// With a call.
    in_use: u32,
    /// Kept back until an unconfirmed end is certain.
    quarantined: u32,
    /// Told to become active, and not active yet.
    activating: u32,
    /// By contract, and not allocated.
    inactive: u32,
    /// Held by calls beyond what a smaller contract has.
    beyond: u32,
    /// For outbound calls.
    outbound: RoomBody,
    /// For inbound calls.
    inbound: RoomBody,
    /// The bound on outbound requests in service.
    service_ports: u32,
    /// Set-up spacing in microseconds.
    setup_spacing_us: u64,
    /// Call set-ups in the last second.
    setups_1s: u32,
}

/// What could be taken now.
#[derive(Serialize, ToSchema)]
pub(crate) struct RoomBody {
    /// So many calls.
    calls: u32,
    /// Why not one more now, for machines; `ready` if one more could.
    binding: &'static str,
    /// The same for people.
    message: &'static str,
}

/// A group of carriers whose channels tenants share.
#[derive(Serialize, ToSchema)]
pub(crate) struct GroupRow {
    /// Its name.
    name: String,
    /// Outbound calls that it could take now, but for the rates.
    free: u64,
    /// Of those, kept for guarantees that are not used.
    kept_guaranteed: u64,
    /// Of those, kept because tenants expect them and do not lend them.
    kept_expected: u64,
    /// Of those, not lent in any case.
    margin: u64,
    /// What a tenant could take beyond what it is expected to use.
    lendable: u64,
}

/// A line of queues that compete for the same channels under the same conditions: the engine takes the next request from the
/// first of them. Lines come and go with what waits.
#[derive(Serialize, ToSchema)]
pub(crate) struct LineRow {
    /// The carriers of its route, in the order in which they are tried.
    carriers: Vec<String>,
    /// `inbound`, `synchronous` or `ordinary`.
    urgency: &'static str,
    /// Of their tenants' shares: below what is `guaranteed`, below what is `expected`, or `beyond`.
    class: &'static str,
    /// How many queues stand in it, each with a request that nothing of its own holds.
    standing: usize,
    /// Why nothing is taken from it now, for machines; `ready` if something is.
    held_by: &'static str,
    /// The same for people.
    message: &'static str,
}

/// Lines that are shown.
pub(crate) const LINES_MAX: usize = 100;

impl From<LineView> for LineRow {
    fn from(view: LineView) -> Self {
        Self {
            carriers: view.carriers.iter().map(ToString::to_string).collect(),
            urgency: view.urgency.as_str(),
            class: ["guaranteed", "expected", "beyond"][usize::from(view.class.min(2))],
            standing: view.standing,
            held_by: view.held_by.code(),
            message: view.held_by.message(),
        }
    }
}

/// The poppers of a route: each takes one request out of the queues at one instant. Their number follows what waits and what
/// the carriers could take.
#[derive(Serialize, ToSchema)]
pub(crate) struct PoppersRow {
    /// The carriers of the route, in the order in which they are tried.
    carriers: Vec<String>,
    /// How many there are.
    number: u32,
    /// There are never more.
    most: u32,
    /// How many took a request at the last instant.
    at_work: u32,
    /// Requests that wait for the route, whatever they wait for.
    waiting: u64,
    /// What its carriers could take, by their channels and rates.
    capacity: u64,
}

impl From<PoppersView> for PoppersRow {
    fn from(view: PoppersView) -> Self {
        Self {
            carriers: view.carriers.iter().map(ToString::to_string).collect(),
            number: view.number,
            most: view.most,
            at_work: view.at_work,
            waiting: view.waiting,
            capacity: view.capacity,
        }
    }
}

/// A tenant's share of a group.
#[derive(Serialize, ToSchema)]
pub(crate) struct ShareRow {
    /// Whose.
    #[schema(value_type = String)]
    account_sid: AccountSid,
    /// Of which group.
    group: String,
    /// Kept for it.
    guaranteed: u32,
    /// What it usually needs.
    expected: u32,
    /// It never has more; null without a bound.
    maximum: Option<u32>,
    /// How much of what it expects and does not use is lent, in thousandths.
    lend_permille: u16,
    /// Outbound channels that it has.
    outbound: u32,
    /// Inbound channels that it has.
    inbound: u32,
    /// What it could take now, but for the carriers' rates and its own limits.
    room: RoomBody,
}

impl From<Room> for RoomBody {
    fn from(room: Room) -> Self {
        let Room { calls, binding } = room;
        Self { calls, binding: binding.code(), message: binding.message() }
    }
}

impl From<CarrierView> for CarrierRow {
    fn from(view: CarrierView) -> Self {
        let now = view.availability;
        Self {
            name: view.name.to_string(),
            group: view.group.to_string(),
            channels: view.channels,
            free: now.free,
            reserved: now.reserved,
            leased: now.leased,
            in_use: now.in_use,
            quarantined: now.quarantined,
            activating: now.activating,
            inactive: now.inactive,
            beyond: now.beyond,
            outbound: view.outbound.into(),
            inbound: view.inbound.into(),
            service_ports: view.service_ports,
            setup_spacing_us: view.setup_spacing.as_micros(),
            setups_1s: view.setups_1s,
        }
    }
}

impl From<GroupView> for GroupRow {
    fn from(view: GroupView) -> Self {
        Self {
            name: view.name.to_string(),
            free: view.free,
            kept_guaranteed: view.guaranteed,
            kept_expected: view.expected,
            margin: view.margin,
            lendable: view.lendable,
        }
    }
}

impl From<ShareView> for ShareRow {
    fn from(view: ShareView) -> Self {
        Self {
            account_sid: view.account,
            group: view.group.to_string(),
            guaranteed: view.guaranteed,
            expected: view.expected,
            maximum: view.maximum,
            lend_permille: view.lend_permille,
            outbound: view.outbound,
            inbound: view.inbound,
            room: view.room.into(),
        }
    }
}

/// What is available of every carrier, group and share, and why no more is.
#[utoipa::path(
    get, path = "/v1/Availability", tag = "Operation",
    responses((status = 200, body = Availability), (status = 401, body = crate::error::ErrorBody)),
    security(("operator" = []))
)]
pub(crate) async fn availability(State(app): State<App>, _operator: Operator) -> Response {
    let views = &app.platform.views;
    let tenants = views.busiest(TENANTS_MAX).into_iter();
    let shares = tenants.flat_map(|tenant| views.shares_of(tenant.account));
    let availability = Availability {
        at: Rfc3339((app.platform.clock)()),
        carriers: views.carriers().into_iter().map(CarrierRow::from).collect(),
        groups: views.groups().into_iter().map(GroupRow::from).collect(),
        lines: views.lines(LINES_MAX).into_iter().map(LineRow::from).collect(),
        poppers: views.poppers(LINES_MAX).into_iter().map(PoppersRow::from).collect(),
        shares: shares.map(ShareRow::from).collect(),
    };
    json(StatusCode::OK, &availability)
}
