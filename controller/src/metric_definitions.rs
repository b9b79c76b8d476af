//! Every metric of the controller process: its name, unit and meaning. Labels are words of our own
//! (outcomes, reasons, carriers' declared names), never ids of tenants or calls, so that their number is bounded.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

/// Calls that reached a phase. Label `phase`: queued, dialling, sent, ringing, in-progress, or an outcome.
pub(crate) const CALLS: &str = "busyhour_calls_total";
/// How long after its due instant an order to dial left for its agent; 0 if it left ahead of it.
pub(crate) const DIAL_LATENESS: &str = "busyhour_dial_lateness_seconds";
/// Orders that could not be handed to an agent. Label `reason`: no_link, link_full, undeclared.
pub(crate) const ORDERS_UNDELIVERED: &str = "busyhour_orders_undelivered_total";
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
/// Attempts to store finished calls that failed.
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
/// Channels by carrier and use. Labels `carrier`, `use`: free, in_use, quarantined.
pub(crate) const CHANNELS: &str = "busyhour_carrier_channels";
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
    describe_gauge!(AGENT_LINKS, Unit::Count, "Agents with a connection");
    describe_counter!(
        AGENT_LINKS_ENDED,
        Unit::Count,
        "Connections of agents that were refused or ended"
    );
    describe_counter!(REPORTS, Unit::Count, "Reports of agents that were applied");
    describe_gauge!(CALLBACKS_OWED, Unit::Count, "Status callbacks that wait for an agent");
    describe_counter!(
        CALLBACKS_DROPPED,
        Unit::Count,
        "Status callbacks that were given up because too many waited"
    );
    describe_counter!(RECORDS_STORED, Unit::Count, "Finished calls that were stored");
    describe_counter!(RECORDS_FAILED, Unit::Count, "Attempts to store finished calls that failed");
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
    describe_gauge!(CHANNELS, Unit::Count, "Channels by carrier and use");
    describe_counter!(
        LOG_GROUPS,
        Unit::Count,
        "Groups of entries written to the log, each with one sync"
    );
    describe_gauge!(LOG_SYNC, Unit::Seconds, "How long the last group took to be durable");
    describe_gauge!(LOG_BYTES, Unit::Bytes, "Log since the last snapshot");
    describe_gauge!(LOG_QUEUED, Unit::Count, "Proposals that wait to be written");
}
