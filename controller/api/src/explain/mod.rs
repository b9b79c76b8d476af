//! Why things are as they are, and what would change it: of a call, a batch, a tenant and a carrier.

mod batch;
mod call;
mod carrier;
mod request;
mod tenant;
mod words;

pub(crate) use batch::{__path_batch, batch};
pub(crate) use call::{__path_call, call};
pub(crate) use carrier::{__path_carrier, carrier};
pub(crate) use request::RequestPart;
pub(crate) use tenant::{__path_tenant, tenant};

use busyhour_base::{Reason, Timestamp};
use busyhour_controller_core::forward::{Amount, Answer, Proposal};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{dates::Rfc3339, forecasts::Expected};

/// A reason in both its forms.
#[derive(Serialize, ToSchema)]
pub(crate) struct Because {
    /// For machines.
    reason: &'static str,
    /// For people.
    message: &'static str,
}

impl From<Reason> for Because {
    fn from(reason: Reason) -> Self {
        Self { reason: reason.code(), message: reason.message() }
    }
}

/// What holds something, and for which part of its wait.
#[derive(Serialize, ToSchema)]
pub(crate) struct Held {
    /// For machines.
    reason: &'static str,
    /// For people.
    message: &'static str,
    /// Of the expected wait, 0 to 1.
    share: f64,
}

/// When the last of something is expected to start, and why not before.
#[derive(Serialize, ToSchema)]
pub(crate) struct Start {
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
    /// What holds it until then, the longest first.
    held_by: Vec<Held>,
    /// `forward`: the engine was run ahead. `analytic`: too much waits for that, or time was up.
    method: &'static str,
}

impl Start {
    fn new(expected: &Expected, now: Timestamp) -> Self {
        let from = now.max(expected.from);
        let held = |(reason, share): &(Reason, u16)| Held {
            reason: reason.code(),
            message: reason.message(),
            share: f64::from(*share) / 1_000.0,
        };
        Self {
            p50: Rfc3339(expected.p50),
            p90: expected.p90.map(Rfc3339),
            in_ms: expected.p50.since(from).as_millis(),
            in_ms_p90: expected.p90.map(|p90| p90.since(from).as_millis()),
            held_by: expected.held_by.iter().map(held).collect(),
            method: expected.method,
        }
    }
}

/// What another limit would bring.
#[derive(Serialize, ToSchema)]
pub(crate) struct ChangeBody {
    /// Which limit would be moved, for machines.
    limit: &'static str,
    /// Whose: a carrier, a tenant, a batch, an application, a number, or all agents.
    of: String,
    /// As it is, in `unit`.
    from: f64,
    /// As it could be.
    to: f64,
    /// `channels`, `ports`, `slots`, `requests`, `calls` or `per_second`.
    unit: &'static str,
    /// When it would start then.
    start: Start,
    /// How much sooner that is.
    sooner_ms: u64,
    /// What would bind then, for machines.
    limit_then: &'static str,
    /// All of it in a sentence.
    message: String,
}

/// What would change the answer, if it was found by running ahead.
fn changes(answer: &Answer, at: Timestamp, now: Timestamp) -> Vec<ChangeBody> {
    let changes = answer.changes.iter();
    changes
        .filter_map(|(proposal, estimate)| {
            let then = Expected::of(Some((at, estimate.clone())), None, now)?;
            let sooner_ms =
                answer.estimate.p50.as_millis().saturating_sub(estimate.p50.as_millis());
            let start = Start::new(&then, now);
            Some(ChangeBody {
                limit: proposal.limit.code(),
                of: proposal.of.to_string(),
                from: number(proposal.limit, proposal.from),
                to: number(proposal.limit, proposal.to),
                unit: words::unit(proposal.limit),
                sooner_ms,
                limit_then: then.binding.code(),
                message: sentence(proposal, start.in_ms, sooner_ms),
                start,
            })
        })
        .collect()
}

fn sentence(proposal: &Proposal, in_ms: u64, sooner_ms: u64) -> String {
    let [from, to] = [proposal.from, proposal.to].map(|amount| number(proposal.limit, amount));
    let what = words::changed(proposal.limit, &proposal.of, from, to);
    let when = words::span(in_ms);
    if sooner_ms < 1_000 {
        format!("{what}, it would start no sooner: in {when}.")
    } else {
        format!("{what}, it would start in {when}, {} sooner.", words::span(sooner_ms))
    }
}

/// A carrier's set-ups are spaced by so much more than its contract's rate asks for, against jitter.
const SPACED_WIDER: f64 = 1.02;

/// A spacing is shown as the rate that it stands for: that of a contract as it is declared.
fn number(limit: Reason, amount: Amount) -> f64 {
    match amount {
        Amount::Count(count) => f64::from(count),
        Amount::Spacing(spacing) => {
            let wider = if limit == Reason::CarrierRate { SPACED_WIDER } else { 1.0 };
            let rate = wider / spacing.as_secs_f64().max(1e-6);
            // Three digits behind the point, or as many as a slow one has to be told by.
            let digits = if rate < 1.0 { 1e9 } else { 1e3 };
            (rate * digits).round() / digits
        }
    }
}

#[cfg(test)]
mod tests {
    use busyhour_base::Span;

    use super::*;

    #[test]
    fn rates_are_told_as_they_are_declared() {
        let spacing = |us| Amount::Spacing(Span(us));
        assert_eq!(number(Reason::CarrierRate, spacing(204_000)), 5.0);
        assert_eq!(number(Reason::CarrierRate, spacing(170_000)), 6.0);
        assert_eq!(number(Reason::Throttle, spacing(500_000)), 2.0);
        assert_eq!(number(Reason::Throttle, spacing(3_600_000_000)), 0.000_277_778);
    }
}
