//! Every metric of the agent: names, units, descriptions. No label comes from a tenant or from the network.

use std::time::Duration;

use busyhour_agent_core::leg::FetchError;
use metrics::{
    Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};

const CALLS: &str = "busyhour_agent_calls";
const SLOTS: &str = "busyhour_agent_slots";
const ARRIVALS: &str = "busyhour_agent_inbound_calls_total";
const ORDERS: &str = "busyhour_agent_orders_total";
const ENDED: &str = "busyhour_agent_calls_ended_total";
const DIAL_LATENESS: &str = "busyhour_agent_dial_lateness_seconds";
const LINK_UP: &str = "busyhour_agent_link_up";
const REPORTS: &str = "busyhour_agent_reports_unacknowledged";
const SIP_DROPPED: &str = "busyhour_agent_sip_datagrams_dropped_total";
const MEDIA_HELD_UP: &str = "busyhour_agent_media_held_up_seconds";
const DIGITS_DROPPED: &str = "busyhour_agent_digits_dropped_total";
const SPEECH_CACHE: &str = "busyhour_agent_speech_requests_total";
const SPEECH_SECONDS: &str = "busyhour_agent_speech_seconds";
const AUDIO_CACHE: &str = "busyhour_agent_audio_requests_total";
const WEBHOOK_SECONDS: &str = "busyhour_agent_webhook_seconds";
const CALLBACKS: &str = "busyhour_agent_callbacks_total";
const WARNINGS: &str = "busyhour_agent_document_warnings_total";
const JOURNAL_SYNC: &str = "busyhour_agent_journal_sync_seconds";
const JOURNAL_BATCH: &str = "busyhour_agent_journal_batch";

/// Describes every metric to the recorder that is installed.
pub fn describe() {
    describe_gauge!(CALLS, Unit::Count, "Calls that the agent holds");
    describe_gauge!(SLOTS, Unit::Count, "Calls that the agent can hold");
    describe_counter!(
        ARRIVALS,
        Unit::Count,
        "INVITEs of carriers that were offered to the controller, and those refused by cause"
    );
    describe_counter!(ORDERS, Unit::Count, "Orders to dial or to answer, by what became of them");
    describe_counter!(ENDED, Unit::Count, "Calls ended, by outcome");
    describe_histogram!(
        DIAL_LATENESS,
        Unit::Seconds,
        "From the instant that an INVITE was due to its sending"
    );
    describe_gauge!(LINK_UP, Unit::Count, "1 while the agent is linked to a controller");
    describe_gauge!(REPORTS, Unit::Count, "Reports that no controller has acknowledged");
    describe_counter!(
        SIP_DROPPED,
        Unit::Count,
        "SIP datagrams not handed to a transaction, by cause"
    );
    describe_histogram!(
        MEDIA_HELD_UP,
        Unit::Seconds,
        "How far a media thread fell behind when packets were left out"
    );
    describe_counter!(DIGITS_DROPPED, Unit::Count, "Keys dropped because a call did not take them");
    describe_counter!(SPEECH_CACHE, Unit::Count, "Requests for speech, by where it came from");
    describe_histogram!(
        SPEECH_SECONDS,
        Unit::Seconds,
        "Time that the speech engine took, by result"
    );
    describe_counter!(
        AUDIO_CACHE,
        Unit::Count,
        "Requests for audio files, by where they came from"
    );
    describe_histogram!(
        WEBHOOK_SECONDS,
        Unit::Seconds,
        "Time that application servers took, by result"
    );
    describe_counter!(CALLBACKS, Unit::Count, "Status callbacks, by what became of each try");
    describe_counter!(WARNINGS, Unit::Count, "Warnings about tenants' documents, by code");
    describe_histogram!(
        JOURNAL_SYNC,
        Unit::Seconds,
        "Time to make a batch of journal records durable"
    );
    describe_histogram!(JOURNAL_BATCH, Unit::Count, "Records in a batch of the journal");
}

/// Slots in use and in all.
pub fn load(calls: u32, slots: u32) {
    gauge!(CALLS).set(f64::from(calls));
    gauge!(SLOTS).set(f64::from(slots));
}

/// A carrier's INVITE was `offered`, or refused for a cause.
pub fn arrival(fate: &'static str) {
    counter!(ARRIVALS, "fate" => fate).increment(1);
}

/// An order was `accepted`, or refused for a reason's code.
pub fn order(fate: &'static str) {
    counter!(ORDERS, "fate" => fate).increment(1);
}

/// A call ended.
pub fn ended(outcome: &'static str) {
    counter!(ENDED, "outcome" => outcome).increment(1);
}

/// An INVITE left this long after it was due.
pub fn dial_lateness(late: Duration) {
    histogram!(DIAL_LATENESS).record(late.as_secs_f64());
}

/// The link came up or went down.
pub fn link_up(up: bool) {
    gauge!(LINK_UP).set(if up { 1.0 } else { 0.0 });
}

/// Reports that wait for an acknowledgement.
pub fn reports_waiting(waiting: usize) {
    gauge!(REPORTS).set(waiting as f64);
}

/// A datagram was dropped.
pub fn sip_dropped(cause: &'static str) {
    counter!(SIP_DROPPED, "cause" => cause).increment(1);
}

/// A media thread fell behind so far that packets were left out.
pub fn media_held_up(late: Duration) {
    histogram!(MEDIA_HELD_UP).record(late.as_secs_f64());
}

/// A key was dropped.
pub fn digit_dropped() {
    counter!(DIGITS_DROPPED).increment(1);
}

/// Speech came from `memory`, `disk`, or had to be made (`miss`).
pub fn speech_cache(from: &'static str) {
    counter!(SPEECH_CACHE, "from" => from).increment(1);
}

/// The engine ended.
pub fn speech_made(took: Duration, well: bool) {
    let result = if well { "ok" } else { "failed" };
    histogram!(SPEECH_SECONDS, "result" => result).record(took.as_secs_f64());
}

/// An audio file came from the cache (`hit`) or not (`miss`).
pub fn audio_cache(from: &'static str) {
    counter!(AUDIO_CACHE, "from" => from).increment(1);
}

/// An application server answered or did not.
pub fn webhook(took: Duration, result: &Result<(), &FetchError>) {
    let result = match result {
        Ok(()) => "ok",
        Err(FetchError::Forbidden(_)) => "forbidden",
        Err(FetchError::Transport(_)) => "transport",
        Err(FetchError::Status(_)) => "status",
        Err(FetchError::TooLarge) => "too_large",
    };
    histogram!(WEBHOOK_SECONDS, "result" => result).record(took.as_secs_f64());
}

/// A try of a status callback ended.
pub fn callback(fate: &'static str) {
    counter!(CALLBACKS, "fate" => fate).increment(1);
}

/// A document was warned about; codes are those of the field's catalogue.
pub fn warning(code: u16) {
    counter!(WARNINGS, "code" => code.to_string()).increment(1);
}

/// The one histogram that counts records rather than seconds.
pub fn journal_batch() -> metrics_exporter_prometheus::Matcher {
    metrics_exporter_prometheus::Matcher::Full(JOURNAL_BATCH.to_owned())
}

/// A batch of the journal was made durable.
pub fn journal_synced(records: usize, took: Duration) {
    histogram!(JOURNAL_SYNC).record(took.as_secs_f64());
    histogram!(JOURNAL_BATCH).record(records as f64);
}
