//! Limits in words.

use busyhour_base::Reason;

/// What the amounts of a limit count.
pub(super) const fn unit(limit: Reason) -> &'static str {
    match limit {
        Reason::CarrierChannels
        | Reason::ChannelsInactive
        | Reason::ChannelsReserved
        | Reason::TenantChannels => "channels",
        Reason::ServicePorts => "ports",
        Reason::Workers => "slots",
        Reason::Cap | Reason::ApplicationCap | Reason::NumberCap => "requests",
        Reason::BatchConcurrency => "calls",
        _ => "per_second",
    }
}

/// Beneath this many per second a rate is told as the time from one to the next.
const SLOW: f64 = 0.1;

/// A rate.
fn rate(per_s: f64) -> String {
    if per_s < SLOW {
        let apart_ms = (1_000.0 / per_s.max(f64::MIN_POSITIVE)).round() as u64;
        return format!("one every {}", span(apart_ms));
    }
    format!("{per_s:.2}/s")
}

/// The beginning of a sentence on a limit that was moved.
pub(super) fn changed(limit: Reason, of: &str, from: f64, to: f64) -> String {
    let more = to - from;
    match limit {
        Reason::CarrierChannels => {
            format!("With {} at {of} ({to} instead of {from})", many(more, "channel"))
        }
        Reason::ChannelsInactive => {
            format!("With {to} active channels at {of} instead of {from}")
        }
        Reason::ChannelsReserved => {
            format!("With {to} channels of {of} held for inbound calls instead of {from}")
        }
        Reason::TenantChannels => format!("With at most {to} channels for {of} instead of {from}"),
        Reason::ServicePorts => format!("With {to} service ports at {of} instead of {from}"),
        Reason::Workers => {
            format!("With {} over all agents ({to} instead of {from})", many(more, "slot"))
        }
        Reason::BatchConcurrency => {
            format!("With at most {to} calls of {of} at once instead of {from}")
        }
        Reason::Cap | Reason::ApplicationCap | Reason::NumberCap => {
            format!("With a cap of {to} requests for {of} instead of {from}")
        }
        Reason::CarrierRate => format!("With {} at {of} instead of {}", rate(to), rate(from)),
        _ => format!("With {of}'s throttle at {} instead of {}", rate(to), rate(from)),
    }
}

/// So many more of something.
fn many(more: f64, singular: &str) -> String {
    let s = if more == 1.0 { "" } else { "s" };
    format!("{more} more {singular}{s}")
}

/// A limit by its name, and the message of one that does not bind.
pub(super) fn free(limit: Reason) -> String {
    let name = match limit {
        Reason::Throttle => "The tenant's throttle",
        Reason::ApplicationThrottle => "The application's throttle",
        Reason::NumberThrottle => "The number's throttle",
        Reason::BatchThrottle => "The batch's own pacing",
        Reason::Cap => "The cap on requests in a window",
        Reason::ApplicationCap => "The application's cap on requests in a window",
        Reason::NumberCap => "The number's cap on requests in a window",
        Reason::BatchConcurrency => "The batch's bound on calls in progress",
        Reason::CarrierChannels => "The number of the carriers' channels",
        Reason::CarrierRate => "The carriers' rate",
        Reason::ServicePorts => "The bound on outbound requests in service",
        Reason::Workers => "The agents' room",
        Reason::NotBefore => "Its scheduled time",
        _ => return format!("It is not held by this now ({limit})."),
    };
    format!("{name} would let it start now.")
}

/// A length of time for people.
pub(super) fn span(ms: u64) -> String {
    let s = ms.div_ceil(1_000);
    match s {
        0 if ms == 0 => "0 s".to_owned(),
        0..=119 => format!("{s} s"),
        120..=7_199 => format!("{} min {} s", s / 60, s % 60),
        _ => format!("{} h {} min", s / 3_600, s % 3_600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_at_a_glance() {
        let shown = [0, 1, 119_000, 120_000, 7_200_000].map(span);
        assert_eq!(shown, ["0 s", "1 s", "119 s", "2 min 0 s", "2 h 0 min"]);
    }

    #[test]
    fn changes_are_told_as_people_would() {
        assert_eq!(
            changed(Reason::CarrierChannels, "harbour", 30.0, 36.0),
            "With 6 more channels at harbour (36 instead of 30)"
        );
        assert_eq!(
            changed(Reason::Throttle, "clinic", 1.0, 2.0),
            "With clinic's throttle at 2.00/s instead of 1.00/s"
        );
        assert_eq!(
            changed(Reason::Throttle, "clinic", 1.0 / 86_400.0, 1.0 / 43_200.0),
            "With clinic's throttle at one every 12 h 0 min instead of one every 24 h 0 min"
        );
        assert_eq!(
            changed(Reason::CarrierChannels, "harbour", 4.0, 5.0),
            "With 1 more channel at harbour (5 instead of 4)"
        );
    }
}
