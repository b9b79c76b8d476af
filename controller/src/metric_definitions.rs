//! Every metric of the controller process: its name, unit and meaning. Labels are words of our own
//! (outcomes, reasons, carriers' declared names), never ids of tenants or calls, so that their number is bounded.

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder};

/// Calls that reached a phase. Label `phase`: queued, dialling, sent, ringing, in-progress, or an outcome.
pub(crate) const CALLS: &str = "busyhour_calls_total";
/// Calls that were ordered from an agent. Label `held_by`: the reason that held them last, `ready` if none did.
pub(crate) const STARTED: &str = "busyhour_calls_started_total";
/// Calls that are in the records. Label `reason`: why they ended.
pub(crate) const ENDED: &str = "busyhour_calls_ended_total";
/// Calls, messages, lines and other requests that were refused. Label `reason`.
pub(crate) const REFUSED: &str = "busyhour_refused_total";
/// From a call's acceptance, or its scheduled time, to the instant at which its first attempt was due.
pub(crate) const QUEUE_WAIT: &str = "busyhour_queue_wait_seconds";
/// From the order to dial to the answer, of calls that are in the records.
pub(crate) const ANSWER_DELAY: &str = "busyhour_answer_delay_seconds";
/// From the answer to the end, of calls that are in the records.
pub(crate) const CALL_DURATION: &str = "busyhour_call_duration_seconds";
/// Messages that reached a status. Label `status`.
pub(crate) const MESSAGES: &str = "busyhour_messages_total";
/// Messages that wait, over all tenants.
pub(crate) const MESSAGES_QUEUED: &str = "busyhour_messages_queued";
/// People who take no messages from a number, over all tenants.
pub(crate) const OPTED_OUT: &str = "busyhour_messages_opted_out";
/// How long after its due instant a message was handed on to its carrier; 0 if it was ahead of it.
pub(crate) const MESSAGE_LATENESS: &str = "busyhour_message_lateness_seconds";
/// What carriers answered to messages. Labels `carrier`, `answer`: accepted, refused, not_sent, none.
pub(crate) const MESSAGE_ANSWERS: &str = "busyhour_message_answers_total";
/// Reports that fit nothing in progress, and entries whose clock went back. Labels `reason`; `of`: calls, messages, time.
pub(crate) const UNUSED: &str = "busyhour_unused_total";
/// Messages that carriers brought. Labels `carrier`, `receipt`: taken, later, refused; `reason`, `ready` for what was taken.
pub(crate) const MESSAGES_BROUGHT: &str = "busyhour_messages_brought_total";
/// Answers of applications to numbers that their account may not write to; they were not sent.
pub(crate) const REPLIES_FORBIDDEN: &str = "busyhour_replies_forbidden_total";
/// Segments that a carrier within this process was handed, by its own account. Label `carrier`.
pub(crate) const IN_PROCESS_SEGMENTS: &str = "busyhour_in_process_carrier_segments_total";
/// Of these, segments over the contract's rate. Label `carrier`.
pub(crate) const IN_PROCESS_BREACHES: &str = "busyhour_in_process_carrier_breaches_total";
/// Most segments in any second. Label `carrier`.
pub(crate) const IN_PROCESS_PEAK: &str = "busyhour_in_process_carrier_segments_peak";
/// How long after its due instant an order to dial left for its agent; 0 if it left ahead of it.
pub(crate) const DIAL_LATENESS: &str = "busyhour_dial_lateness_seconds";
/// Orders that could not be handed to an agent. Label `reason`: no_link, link_full, undeclared.
pub(crate) const ORDERS_UNDELIVERED: &str = "busyhour_orders_undelivered_total";
/// Offered calls that were refused. Label `reason`.
pub(crate) const OFFERS_REFUSED: &str = "busyhour_offers_refused_total";
/// Agents with a connection.
pub(crate) const AGENT_LINKS: &str = "busyhour_agent_links";
/// Connections of agents that were refused or ended. Label `reason`.
pub(crate) const AGENT_LINKS_ENDED: &str = "busyhour_agent_links_ended_total";
/// Reports of agents that were applied.
pub(crate) const REPORTS: &str = "busyhour_reports_total";
/// Status callbacks that wait for an agent.
pub(crate) const CALLBACKS_OWED: &str = "busyhour_callbacks_owed";
/// Status callbacks that were given up because too many waited.
pub(crate) const CALLBACKS_DROPPED: &str = "busyhour_callbacks_dropped_total";
/// Finished calls that were stored.
pub(crate) const RECORDS_STORED: &str = "busyhour_records_stored_total";
/// Finished messages that were stored.
pub(crate) const MESSAGES_STORED: &str = "busyhour_messages_stored_total";
/// Attempts to store finished calls or messages that failed.
pub(crate) const RECORDS_FAILED: &str = "busyhour_records_failed_total";
/// Things wrong with the declared documents on disk; the last good ones stay in force while it is not 0.
pub(crate) const DECLARATION_ERRORS: &str = "busyhour_declaration_errors";
/// Changes of the declared documents that were put into force.
pub(crate) const DECLARATIONS: &str = "busyhour_declarations_total";
/// Times that the state machine was woken.
pub(crate) const TICKS: &str = "busyhour_ticks_total";
/// Calls that wait, over all tenants.
pub(crate) const CALLS_QUEUED: &str = "busyhour_calls_queued";
/// Calls that were dialled and are not over, over all tenants.
pub(crate) const CALLS_IN_PROGRESS: &str = "busyhour_calls_in_progress";
/// Channels by what they are doing. Labels `carrier`, `use`: free, reserved, leased, in_use, quarantined, activating, inactive,
/// which add up to those by contract; and beyond, which calls hold that a smaller contract does not have.
pub(crate) const CHANNELS: &str = "busyhour_carrier_channels";
/// Calls that a carrier could take now, one after the other. Labels `carrier`, `direction`.
pub(crate) const CARRIER_ROOM: &str = "busyhour_carrier_room_calls";
/// How long a carrier could not take one more call. Looked at once a second. Labels `carrier`, `direction`, `reason`.
pub(crate) const CARRIER_SHUT: &str = "busyhour_carrier_shut_seconds_total";
/// Call set-ups in the last second. Label `carrier`.
pub(crate) const CARRIER_SETUPS: &str = "busyhour_carrier_setups_per_second";
/// Call set-ups per second that the contract allows, less the margin for jitter. Label `carrier`.
pub(crate) const CARRIER_SETUPS_MAX: &str = "busyhour_carrier_setups_per_second_limit";
/// The bound on outbound calls in service. Label `carrier`.
pub(crate) const CARRIER_PORTS: &str = "busyhour_carrier_service_ports";
/// Requests of a route that may be taken out of the queues at one instant. Label `carriers`: those of the route.
pub(crate) const POPPERS: &str = "busyhour_route_poppers";
/// Requests that wait for a route. Label `carriers`.
pub(crate) const ROUTE_WAITING: &str = "busyhour_route_waiting";
/// Outbound channels of a group of carriers that are free. Labels `group`, `part`: all of them; guaranteed, expected and
/// margin, which are kept out of them for some tenants; and lendable, what is left for any.
pub(crate) const GROUP_FREE: &str = "busyhour_group_free_channels";
/// Groups of entries written to the log, each with one sync.
pub(crate) const LOG_GROUPS: &str = "busyhour_log_groups_total";
/// How long the last group took to be durable.
pub(crate) const LOG_SYNC: &str = "busyhour_log_last_sync_seconds";
/// Log since the last snapshot.
pub(crate) const LOG_BYTES: &str = "busyhour_log_bytes";
/// Proposals that wait to be written.
pub(crate) const LOG_QUEUED: &str = "busyhour_log_queued_commands";

/// Tells the recorder what the names mean.
pub(crate) fn describe() {
    describe_counter!(CALLS, Unit::Count, "Calls that reached a phase");
    describe_counter!(
        STARTED,
        Unit::Count,
        "Calls ordered from an agent, by the reason that held them last"
    );
    describe_counter!(ENDED, Unit::Count, "Calls in the records, by the reason of their end");
    describe_counter!(REFUSED, Unit::Count, "Calls, messages, lines and other requests refused");
    describe_histogram!(
        QUEUE_WAIT,
        Unit::Seconds,
        "From a call's acceptance or scheduled time to when its first attempt was due"
    );
    describe_histogram!(ANSWER_DELAY, Unit::Seconds, "From the order to dial to the answer");
    describe_histogram!(CALL_DURATION, Unit::Seconds, "From the answer to the end");
    describe_counter!(MESSAGES, Unit::Count, "Messages that reached a status");
    describe_gauge!(MESSAGES_QUEUED, Unit::Count, "Messages that wait");
    describe_gauge!(OPTED_OUT, Unit::Count, "People who take no messages from a number");
    describe_histogram!(
        MESSAGE_LATENESS,
        Unit::Seconds,
        "How long after its due instant a message was handed on to its carrier"
    );
    describe_counter!(MESSAGES_BROUGHT, Unit::Count, "Messages that carriers brought");
    describe_counter!(
        REPLIES_FORBIDDEN,
        Unit::Count,
        "Answers of applications to numbers that their account may not write to"
    );
    describe_counter!(MESSAGE_ANSWERS, Unit::Count, "What carriers answered to messages");
    describe_counter!(
        IN_PROCESS_SEGMENTS,
        Unit::Count,
        "Segments handed to a carrier within this process, by its own account"
    );
    describe_counter!(
        IN_PROCESS_BREACHES,
        Unit::Count,
        "Segments over the rate of a carrier within this process, by its own account"
    );
    describe_gauge!(
        IN_PROCESS_PEAK,
        Unit::Count,
        "Most segments in any second at a carrier within this process, by its own account"
    );
    describe_histogram!(
        DIAL_LATENESS,
        Unit::Seconds,
        "How long after its due instant an order to dial left for its agent"
    );
    describe_counter!(
        ORDERS_UNDELIVERED,
        Unit::Count,
        "Orders that could not be handed to an agent"
    );
    describe_counter!(OFFERS_REFUSED, Unit::Count, "Offered calls that were refused");
    describe_gauge!(AGENT_LINKS, Unit::Count, "Agents with a connection");
    describe_counter!(
        AGENT_LINKS_ENDED,
        Unit::Count,
        "Connections of agents that were refused or ended"
    );
    describe_counter!(REPORTS, Unit::Count, "Reports of agents that were applied");
    describe_counter!(UNUSED, Unit::Count, "What came in and is not used, by the reason");
    describe_gauge!(CALLBACKS_OWED, Unit::Count, "Status callbacks that wait for an agent");
    describe_counter!(
        CALLBACKS_DROPPED,
        Unit::Count,
        "Status callbacks that were given up because too many waited"
    );
    describe_counter!(RECORDS_STORED, Unit::Count, "Finished calls that were stored");
    describe_counter!(MESSAGES_STORED, Unit::Count, "Finished messages that were stored");
    describe_counter!(
        RECORDS_FAILED,
        Unit::Count,
        "Attempts to store finished calls or messages that failed"
    );
    describe_gauge!(
        DECLARATION_ERRORS,
        Unit::Count,
        "Things wrong with the declared documents on disk; the last good ones stay in force"
    );
    describe_counter!(
        DECLARATIONS,
        Unit::Count,
        "Changes of the declared documents that were put into force"
    );
    describe_counter!(TICKS, Unit::Count, "Times that the state machine was woken");
    describe_gauge!(CALLS_QUEUED, Unit::Count, "Calls that wait");
    describe_gauge!(CALLS_IN_PROGRESS, Unit::Count, "Calls that were dialled and are not over");
    describe_carriers();
    describe_counter!(
        LOG_GROUPS,
        Unit::Count,
        "Groups of entries written to the log, each with one sync"
    );
    describe_gauge!(LOG_SYNC, Unit::Seconds, "How long the last group took to be durable");
    describe_gauge!(LOG_BYTES, Unit::Bytes, "Log since the last snapshot");
    describe_gauge!(LOG_QUEUED, Unit::Count, "Proposals that wait to be written");
    start_at_zero();
}

fn describe_carriers() {
    describe_gauge!(CHANNELS, Unit::Count, "Channels by carrier and use");
    describe_gauge!(CARRIER_ROOM, Unit::Count, "Calls that a carrier could take now");
    describe_counter!(
        CARRIER_SHUT,
        Unit::Seconds,
        "How long a carrier could not take one more call, by what bound it"
    );
    describe_gauge!(CARRIER_SETUPS, Unit::Count, "Call set-ups in the last second");
    describe_gauge!(
        CARRIER_SETUPS_MAX,
        Unit::Count,
        "Call set-ups per second that the contract allows, less the margin for jitter"
    );
    describe_gauge!(CARRIER_PORTS, Unit::Count, "The bound on outbound calls in service");
    describe_gauge!(
        POPPERS,
        Unit::Count,
        "Requests of a route that may be taken out of the queues at one instant"
    );
    describe_gauge!(ROUTE_WAITING, Unit::Count, "Requests that wait for a route");
    describe_gauge!(
        GROUP_FREE,
        Unit::Count,
        "Free outbound channels of a group of carriers, by what they are kept for"
    );
}

/// What has not happened yet is 0 rather than nothing, so that its first time is seen as an increase.
fn start_at_zero() {
    let counters =
        [REPORTS, CALLBACKS_DROPPED, RECORDS_STORED, RECORDS_FAILED, DECLARATIONS, TICKS];
    for name in counters {
        counter!(name).absolute(0);
    }
    for name in [AGENT_LINKS, CALLBACKS_OWED, DECLARATION_ERRORS] {
        gauge!(name).increment(0);
    }
}

/// Bounds of the buckets of what should take a moment: requests, syncs, lateness.
const MOMENTS_S: [f64; 14] =
    [0.000_1, 0.000_25, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 20.0];

/// From a wait that nobody notices to a whole day, the longest that is accepted by default.
const WAITS_S: [f64; 17] = [
    0.01, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_800.0, 3_600.0,
    7_200.0, 21_600.0, 86_400.0,
];

/// A called party answers in seconds; nothing rings for longer than ten minutes.
const RINGS_S: [f64; 13] =
    [0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 7.5, 10.0, 15.0, 20.0, 30.0, 60.0, 600.0];

/// From an announcement to the longest call by default.
const TALKS_S: [f64; 14] = [
    1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_200.0, 3_600.0, 7_200.0, 14_400.0,
];

/// Buckets rather than quantiles: they can be added up over controllers and time.
pub(crate) fn with_buckets(builder: PrometheusBuilder) -> Result<PrometheusBuilder, BuildError> {
    let of = |name: &str| Matcher::Full(name.to_owned());
    builder
        .set_buckets(&MOMENTS_S)?
        .set_buckets_for_metric(of(QUEUE_WAIT), &WAITS_S)?
        .set_buckets_for_metric(of(ANSWER_DELAY), &RINGS_S)?
        .set_buckets_for_metric(of(CALL_DURATION), &TALKS_S)
}
