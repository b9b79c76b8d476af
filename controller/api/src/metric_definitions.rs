//! Every metric of the API: name, unit, meaning. Labels hold only values of bounded sets.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

/// Requests by method, route template and status.
pub(crate) const REQUESTS: &str = "busyhour_api_requests_total";
/// Time from the head of a request to the head of its answer, by route template.
pub(crate) const REQUEST_SECONDS: &str = "busyhour_api_request_seconds";
/// Requests in progress.
pub(crate) const IN_FLIGHT: &str = "busyhour_api_requests_in_flight";
/// Calls that were accepted, one by one or as lines of batches.
pub(crate) const ACCEPTED: &str = "busyhour_api_calls_accepted_total";
pub(crate) const MESSAGES_ACCEPTED: &str = "busyhour_api_messages_accepted_total";
/// Requests and lines that were refused, by error code.
pub(crate) const REFUSED: &str = "busyhour_api_refused_total";

/// How long forecasts took, beside the state's lock. Label `of`: everything, one.
pub(crate) const FORECAST_SECONDS: &str = "busyhour_forecast_seconds";
/// How long whoever applies entries was kept from the state while a forecast's copy was taken.
pub(crate) const FORECAST_COPY_SECONDS: &str = "busyhour_forecast_copy_seconds";

/// Tells the recorder what the metrics mean.
pub(crate) fn describe() {
    describe_counter!(REQUESTS, Unit::Count, "Requests by method, route template and status");
    describe_histogram!(
        REQUEST_SECONDS,
        Unit::Seconds,
        "Time from the head of a request to the head of its answer"
    );
    describe_gauge!(IN_FLIGHT, Unit::Count, "Requests in progress");
    describe_counter!(MESSAGES_ACCEPTED, Unit::Count, "Messages accepted");
    describe_counter!(ACCEPTED, Unit::Count, "Calls accepted, one by one or as lines of batches");
    describe_counter!(REFUSED, Unit::Count, "Requests and lines of batches refused, by error code");
    describe_histogram!(
        FORECAST_SECONDS,
        Unit::Seconds,
        "How long forecasts of starts took, beside the state"
    );
    describe_histogram!(
        FORECAST_COPY_SECONDS,
        Unit::Seconds,
        "How long the copy for a forecast kept entries from the state"
    );
}
