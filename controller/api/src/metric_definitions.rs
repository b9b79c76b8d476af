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
/// Requests and lines that were refused, by error code.
pub(crate) const REFUSED: &str = "busyhour_api_refused_total";

/// Tells the recorder what the metrics mean.
pub(crate) fn describe() {
    describe_counter!(REQUESTS, Unit::Count, "Requests by method, route template and status");
    describe_histogram!(
        REQUEST_SECONDS,
        Unit::Seconds,
        "Time from the head of a request to the head of its answer"
    );
    describe_gauge!(IN_FLIGHT, Unit::Count, "Requests in progress");
    describe_counter!(ACCEPTED, Unit::Count, "Calls accepted, one by one or as lines of batches");
    describe_counter!(REFUSED, Unit::Count, "Requests and lines of batches refused, by error code");
}
