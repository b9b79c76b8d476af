//! Where a waiting call or message stands: the part of both explanations.

use busyhour_base::{Reason, Span, Timestamp};
use busyhour_controller_core::{forward::Answer, view::Explanation};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Because, ChangeBody, Held, Start, changes, words};
use crate::{dates::Rfc3339, forecasts::Expected};

/// Where a request stands. What does not apply is null.
#[derive(Default, Serialize, ToSchema)]
pub(crate) struct RequestPart {
    /// How many requests of the same account go before it, while it waits.
    position: Option<u64>,
    /// When it is expected to start (as likely before as after), or did.
    #[schema(value_type = Option<String>)]
    start: Option<Rfc3339>,
    /// Nine times out of ten it starts by then.
    #[schema(value_type = Option<String>)]
    start_p90: Option<Rfc3339>,
    /// From now to its expected start.
    starts_in_ms: Option<u64>,
    /// From now to `start_p90`.
    starts_in_ms_p90: Option<u64>,
    /// The limit that holds it longest until it starts, or that last held it before it did.
    limit: Option<Because>,
    /// What holds it until then, the longest first.
    held_by: Vec<Held>,
    /// Every limit that it has to pass.
    limits: Vec<Limit>,
    /// What would let it start sooner.
    changes: Vec<ChangeBody>,
    /// How the start was found: `forward`, by running the engine ahead, or `analytic`, limit by limit.
    method: Option<&'static str>,
}

/// One limit.
#[derive(Serialize, ToSchema)]
struct Limit {
    /// For machines.
    reason: &'static str,
    /// For people.
    message: String,
    /// Whether it holds the request now.
    binds: bool,
    /// From now to when it alone would let the request start; null while that cannot be foretold.
    starts_in_ms: Option<u64>,
}

impl RequestPart {
    /// Of one that has started or ended.
    pub(crate) fn over(started_at: Option<Timestamp>, held_by: Option<Reason>) -> Self {
        Self {
            start: started_at.map(Rfc3339),
            limit: held_by.map(Because::from),
            ..Self::default()
        }
    }

    /// Of one that waits.
    pub(crate) fn waiting(
        why: Explanation,
        answer: Option<(Timestamp, Answer)>,
        now: Timestamp,
    ) -> Self {
        let forward = answer.as_ref().map(|(at, answer)| (*at, answer.estimate.clone()));
        let analytic = why.starts_in.map(|span| (span, why.binding));
        let expected = Expected::of(forward, analytic, now);
        let binding = expected.as_ref().map_or(why.binding, |expected| expected.binding);
        let is_listed = why.limits.iter().any(|(reason, _)| *reason == binding);
        // What comes out of the run of all limits together is in the list, too, and none alone holds for longer than all do.
        let missing = (!is_listed && binding != Reason::Ready).then_some((binding, None));
        let together = expected.as_ref().filter(|expected| expected.method == "forward");
        let most = together.map(|expected| expected.p50.since(now));
        let limits = why.limits.into_iter().chain(missing);
        let limits = limits.map(|(reason, alone)| {
            (reason, alone.map(|alone| most.map_or(alone, |most| alone.min(most))))
        });
        let mut part = Self {
            position: Some(why.position),
            limit: Some(binding.into()),
            limits: limits.map(limit).collect(),
            ..Self::default()
        };
        if let Some(expected) = &expected {
            let Start { p50, p90, in_ms, in_ms_p90, held_by, method } = Start::new(expected, now);
            (part.start, part.start_p90) = (Some(p50), p90);
            (part.starts_in_ms, part.starts_in_ms_p90) = (Some(in_ms), in_ms_p90);
            (part.held_by, part.method) = (held_by, Some(method));
        }
        if let Some((at, answer)) = &answer {
            part.changes = changes(answer, *at, now);
        }
        part
    }
}

/// A limit and the time from now at which it alone would let something start.
fn limit((reason, starts_in): (Reason, Option<Span>)) -> Limit {
    let starts_in_ms = starts_in.map(Span::as_millis);
    let binds = starts_in_ms != Some(0);
    let message = if binds { reason.message().to_owned() } else { words::free(reason) };
    Limit { reason: reason.code(), message, binds, starts_in_ms }
}

#[cfg(test)]
mod tests {
    use busyhour_controller_core::forward::Estimate;

    use super::*;

    #[test]
    fn what_binds_is_listed_and_nothing_alone_holds_for_longer_than_all_together() {
        let limits = vec![
            (Reason::CarrierChannels, Some(Span::from_secs(30))),
            (Reason::Workers, Some(Span::ZERO)),
        ];
        let why = Explanation {
            position: 3,
            starts_in: Some(Span::from_secs(30)),
            binding: Reason::CarrierChannels,
            limits,
        };
        let estimate = Estimate {
            p50: Span::from_secs(20),
            p90: None,
            held_by: vec![(Reason::TenantChannels, 1_000)],
        };
        let now = Timestamp(1_700_000_000_000_000);
        let answer = Answer { estimate, changes: Vec::new() };
        let part = RequestPart::waiting(why, Some((now, answer)), now);
        let told = part.limits.iter().map(|one| (one.reason, one.binds, one.starts_in_ms));
        assert_eq!(
            told.collect::<Vec<_>>(),
            [
                ("carrier_channels", true, Some(20_000)),
                ("workers", false, Some(0)),
                ("tenant_channels", true, None)
            ]
        );
    }
}
