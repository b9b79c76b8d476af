//! Explanations as lines for people: first where it stands, then why, then what would change it.

use std::fmt::Write as _;

use busyhour_base::Reason;

use crate::{
    model::{
        BatchCounts, BatchExplanation, Because, CallExplanation, Carrier, CarrierExplanation,
        Change, Counts, Held, MessageExplanation, MessageLines, Messages, MessagesPart, Queue,
        RequestPart, Room, Share, Start, TenantExplanation,
    },
    words::{count, expected, many, rate, span},
};

/// Queues that are shown one by one.
const QUEUES_MAX: usize = 20;

/// A title, and named lines below it.
struct Lines(String);

impl Lines {
    fn new(title: &str) -> Self {
        Self(format!("{title}\n"))
    }

    /// A line with a name; the name is not repeated.
    fn add(&mut self, name: &str, text: &str) {
        let name = if self.0.contains(&format!("\n  {name:<10}")) { "" } else { name };
        let line = format!("  {name:<10}  {text}");
        let _ = writeln!(self.0, "{}", line.trim_end());
    }

    fn all(&mut self, name: &str, texts: impl IntoIterator<Item = String>) {
        texts.into_iter().for_each(|text| self.add(name, &text));
    }

    fn start(&mut self, name: &str, start: Option<&Start>) {
        let Some(start) = start else { return };
        let at = clock(&start.p50, start.in_ms);
        self.add(
            name,
            &format!("{}{at}{}", expected(start.in_ms, start.in_ms_p90), by(&start.method)),
        );
        self.all("held by", held(&start.held_by));
    }

    /// When the last one starts, and what holds it: without shares where that was reckoned limit by limit.
    fn start_and_why(&mut self, name: &str, start: Option<&Start>, limit: Option<&Because>) {
        self.start(name, start);
        if start.is_none_or(|start| start.held_by.is_empty()) {
            self.limit(limit);
        }
    }

    fn limit(&mut self, limit: Option<&Because>) {
        let told = limit.map(|limit| format!("{:<17}  {}", limit.reason, limit.message));
        self.all("held by", told);
    }

    fn changes(&mut self, changes: &[Change]) {
        self.all("changes", changes.iter().map(|change| change.message.clone()));
    }
}

/// Where a call or a message stands.
fn stands(lines: &mut Lines, what: &str, request: &RequestPart) {
    if let Some(position) = request.position {
        let before = match position {
            0 => "first of its account's".to_owned(),
            1 => format!("1 {what} of its account goes before it"),
            more => format!("{} of its account go before it", many(more, what)),
        };
        lines.add("position", &before);
    }
    match (request.starts_in_ms, &request.start) {
        (Some(in_ms), Some(at)) => {
            let when = expected(in_ms, request.starts_in_ms_p90);
            let how = by(request.method.as_deref().unwrap_or_default());
            lines.add("starts", &format!("{when}{}{how}", clock(at, in_ms)));
        }
        (None, Some(at)) => lines.add("started", at),
        (_, None) if request.position.is_some() => {
            lines.add("starts", "it cannot be told when, as things are");
        }
        _ => {}
    }
    let has_started = request.start.is_some() && request.starts_in_ms.is_none();
    if request.held_by.is_empty() {
        // What nothing held does not start now: it has started.
        let limit = request.limit.as_ref();
        lines.limit(limit.filter(|limit| !has_started || limit.reason != Reason::Ready.code()));
    } else {
        lines.all("held by", held(&request.held_by));
    }
    let limits = request.limits.iter().map(|limit| {
        let alone = match limit.starts_in_ms {
            Some(0) => "lets it start now".to_owned(),
            Some(ms) => format!("alone would let it start in {}", span(ms)),
            None => limit.message.clone(),
        };
        format!("{:<17}  {alone}", limit.reason)
    });
    lines.all("limits", limits);
    lines.changes(&request.changes);
}

/// A call.
pub fn call(call: &CallExplanation) -> String {
    let mut lines = Lines::new(&format!("Call {} is {}", call.call_sid, call.status));
    stands(&mut lines, "call", &call.request);
    let attempts = call.earlier_attempts.iter().map(|one| {
        let sip = one.sip_code.map_or(String::new(), |code| format!(" (SIP {code})"));
        format!("{} over {:<12}  {}{sip}", one.attempt, one.carrier, one.reason)
    });
    lines.all("attempts", attempts);
    if let Some(ending) = &call.ending {
        let sip = call.sip_code.map_or(String::new(), |code| format!(" (SIP {code})"));
        lines.add("ended", &format!("{:<17}  {}{sip}", ending.reason, ending.message));
    }
    lines.0
}

/// A message.
pub fn message(message: &MessageExplanation) -> String {
    let mut lines = Lines::new(&format!("Message {} is {}", message.message_sid, message.status));
    stands(&mut lines, "message", &message.request);
    if let Some(carrier) = &message.carrier {
        lines.add("carrier", carrier);
    }
    if let Some(ending) = &message.ending {
        lines.add("ended", &format!("{:<17}  {}", ending.reason, ending.message));
    }
    lines.0
}

/// A batch.
pub fn batch(batch: &BatchExplanation) -> String {
    let title = format!("Batch {} {:?} is {}", batch.batch_sid, batch.name, batch.status);
    let mut lines = Lines::new(&title);
    let last = match &batch.counts {
        BatchCounts::Calls(calls) => {
            lines.add("calls", &counts(calls));
            "last call"
        }
        BatchCounts::Messages(messages) => {
            lines.add("messages", &message_lines(messages));
            "last message"
        }
    };
    lines.start_and_why(last, batch.last_start.as_ref(), batch.limit.as_ref());
    lines.changes(&batch.changes);
    lines.0
}

/// A tenant.
pub fn tenant(tenant: &TenantExplanation) -> String {
    let mut lines = Lines::new(&format!("Tenant {} ({})", tenant.name, tenant.account_sid));
    lines.add("calls", &counts(&tenant.counts));
    let throttle = tenant.throttle_per_s.map_or_else(
        || "no throttle".to_owned(),
        |per_s| format!("its throttle allows {}", throttled(per_s)),
    );
    let now = rate(f64::from(tenant.dialled_10s) / 10.0);
    lines.add("rate", &format!("{now} per second over the last ten seconds; {throttle}"));
    lines.start_and_why("last call", tenant.last_start.as_ref(), tenant.limit.as_ref());
    lines.all("channels", tenant.shares.iter().map(share));
    let queues = tenant.queues.iter().take(QUEUES_MAX).map(queue);
    lines.all("queues", queues);
    let hidden = tenant.queues.len().saturating_sub(QUEUES_MAX) + tenant.queues_more;
    if hidden > 0 {
        lines.add("queues", &format!("and {}", many(hidden as u64, "more queue")));
    }
    lines.changes(&tenant.changes);
    if let Some(messages) = &tenant.messages {
        lines.0 += &self::messages(messages);
    }
    lines.0
}

/// What a throttle allows; beneath one in ten seconds the time from one to the next.
fn throttled(per_s: f64) -> String {
    if per_s >= 0.1 {
        return rate(per_s);
    }
    format!("one every {}", span((1_000.0 / per_s).round() as u64))
}

/// A tenant's messages, as a part of its own.
fn messages(part: &MessagesPart) -> String {
    let mut lines = Lines::new("  its messages");
    let Messages { waiting, sending, sent, receiving, ended } = part.counts;
    let counts = [
        (waiting, "waiting"),
        (sending, "being sent"),
        (sent, "with carriers"),
        (receiving, "inbound"),
        (ended, "ended"),
    ];
    let counts = counts.map(|(number, word)| format!("{} {word}", count(number)));
    lines.add("messages", &counts.join(", "));
    lines.start_and_why("last sent", part.last_start.as_ref(), part.limit.as_ref());
    lines.changes(&part.changes);
    lines.0
}

/// A queue by what it is of, with what waits in it and why.
fn queue(queue: &Queue) -> String {
    let of = [queue.number.clone().unwrap_or_default(), queue.asked_by()];
    let of: Vec<_> = of.into_iter().filter(|part| !part.is_empty()).collect();
    let of = format!("{} {}s {}", queue.urgency, queue.kind, of.join(", "));
    let (waiting, in_progress) = (count(queue.waiting), queue.in_progress);
    format!("{of:<48}  {waiting:>9} waiting  {in_progress:>5} in progress  {}", queue.why())
}

/// A carrier.
pub fn carrier(explanation: &CarrierExplanation) -> String {
    let carrier = &explanation.carrier;
    let channels = many(carrier.channels.into(), "channel");
    let mut lines =
        Lines::new(&format!("Carrier {} of group {}: {channels}", carrier.name, carrier.group));
    lines.add("channels", &uses(carrier));
    lines.add("outbound", &room(&carrier.outbound));
    lines.add("inbound", &room(&carrier.inbound));
    let (setups, most) = (carrier.setups_1s, rate(carrier.setups_max()));
    lines.add("set-ups", &format!("{setups} in the last second, {most} by contract"));
    lines.add("ports", &format!("{} for outbound calls", carrier.service_ports));
    let waiting = explanation.waiting.iter().map(|row| {
        format!("{:<20}  {:>9}  {}", row.tenant, count(row.waiting), row.held_by.reason)
    });
    lines.all("waiting", waiting);
    lines.start("all start", explanation.last_start.as_ref());
    lines.changes(&explanation.changes);
    lines.0
}

/// What a carrier's channels are doing, without what none is doing.
pub fn uses(carrier: &Carrier) -> String {
    let uses = [
        (carrier.in_use, "in use"),
        (carrier.leased, "leased"),
        (carrier.quarantined, "in quarantine"),
        (carrier.reserved, "reserved for inbound"),
        (carrier.activating, "activating"),
        (carrier.inactive, "inactive"),
        (carrier.free, "free"),
        (carrier.beyond, "beyond the contract"),
    ];
    let some = uses.iter().filter(|(channels, _)| *channels > 0);
    some.map(|(channels, word)| format!("{channels} {word}")).collect::<Vec<_>>().join(", ")
}

fn room(room: &Room) -> String {
    match room.shut_by() {
        Some(reason) => format!("not one more: {reason:<17}  {}", room.message),
        None => format!("{} more", many(room.calls.into(), "call")),
    }
}

fn share(share: &Share) -> String {
    let most = share.maximum.map_or("no maximum".to_owned(), |most| format!("at most {most}"));
    format!(
        "{}: {} outbound, {} inbound; guaranteed {}, expected {}, {most}; {}",
        share.group,
        share.outbound,
        share.inbound,
        share.guaranteed,
        share.expected,
        room(&share.room)
    )
}

fn counts(counts: &Counts) -> String {
    format!(
        "{} waiting, {} in progress, {} ended: {} completed, {} busy, {} no answer, {} failed, {} canceled",
        count(counts.queued),
        count(counts.in_progress),
        count(counts.ended()),
        count(counts.completed),
        count(counts.busy),
        count(counts.no_answer),
        count(counts.failed),
        count(counts.canceled)
    )
}

fn message_lines(counts: &MessageLines) -> String {
    let MessageLines { queued, in_progress, delivered, sent, undelivered, failed, canceled } =
        *counts;
    format!(
        "{} waiting, {} in progress, {} ended: {} delivered, {} sent, {} undelivered, {} failed, {} canceled",
        count(queued),
        count(in_progress),
        count(delivered + sent + undelivered + failed + canceled),
        count(delivered),
        count(sent),
        count(undelivered),
        count(failed),
        count(canceled)
    )
}

fn held(held_by: &[Held]) -> Vec<String> {
    let line = |held: &Held| {
        format!("{:<17}  {:>3.0} %  {}", held.reason, held.share * 100.0, held.message)
    };
    held_by.iter().map(line).collect()
}

/// The time of day of an instant, which is in UTC; with its date if that is more than a day ahead.
fn clock(rfc3339: &str, in_ms: u64) -> String {
    const DAY_MS: u64 = 86_400_000;
    let parts = rfc3339.split_once('T').and_then(|(date, time)| Some((date, time.get(..8)?)));
    match parts {
        Some((date, time)) if in_ms >= DAY_MS => format!(", on {date} at {time} UTC"),
        Some((_, time)) => format!(", at {time} UTC"),
        None => String::new(),
    }
}

fn by(method: &str) -> &'static str {
    if method == "analytic" { " (estimated limit by limit)" } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{EarlierAttempt, Limit};

    fn because(reason: &str, message: &str) -> Because {
        Because { reason: reason.to_owned(), message: message.to_owned() }
    }

    #[test]
    fn a_waiting_call_tells_place_time_limits_and_changes() {
        let throttle = "The tenant's throttle spaces its requests.";
        let text = call(&CallExplanation {
            call_sid: "CA1".to_owned(),
            status: "queued".to_owned(),
            request: RequestPart {
                position: Some(12),
                start: Some("2026-11-21T10:02:45.488Z".to_owned()),
                starts_in_ms: Some(59_000),
                starts_in_ms_p90: Some(64_000),
                limit: Some(because("throttle", throttle)),
                held_by: vec![Held {
                    reason: "throttle".to_owned(),
                    message: throttle.to_owned(),
                    share: 1.0,
                }],
                limits: vec![
                    Limit {
                        reason: "throttle".to_owned(),
                        message: throttle.to_owned(),
                        binds: true,
                        starts_in_ms: Some(59_000),
                    },
                    Limit {
                        reason: "carrier_rate".to_owned(),
                        starts_in_ms: Some(0),
                        ..Limit::default()
                    },
                ],
                changes: vec![Change { message: "With more, sooner.".to_owned() }],
                method: Some("forward".to_owned()),
            },
            ..CallExplanation::default()
        });
        assert_eq!(
            text,
            "Call CA1 is queued\n  \
             position    12 calls of its account go before it\n  \
             starts      in 59 s, nine times out of ten within 64 s, at 10:02:45 UTC\n  \
             held by     throttle           100 %  The tenant's throttle spaces its requests.\n  \
             limits      throttle           alone would let it start in 59 s\n              \
             carrier_rate       lets it start now\n  \
             changes     With more, sooner.\n"
        );
    }

    #[test]
    fn a_batch_too_large_to_be_run_ahead_tells_what_holds_it() {
        let paced = "The batch's own pacing spaces its requests.";
        let text = batch(&BatchExplanation {
            limit: Some(because("batch_throttle", paced)),
            last_start: Some(Start {
                p50: "2026-11-21T14:10:45.488Z".to_owned(),
                in_ms: 14_940_000,
                method: "analytic".to_owned(),
                ..Start::default()
            }),
            ..BatchExplanation::default()
        });
        assert!(text.contains("in about 4 h 9 min, at 14:10:45 UTC"), "{text}");
        assert!(text.contains(&format!("held by     batch_throttle     {paced}")), "{text}");
    }

    #[test]
    fn what_is_slow_and_far_ahead_is_told_as_such() {
        assert_eq!(clock("2026-11-30T20:33:42.720Z", 86_399_999), ", at 20:33:42 UTC");
        assert_eq!(
            clock("2026-11-30T20:33:42.720Z", 86_400_000),
            ", on 2026-11-30 at 20:33:42 UTC"
        );
        assert_eq!([throttled(1.0 / 3_600.0), throttled(2.0)], ["one every 60 min 0 s", "2"]);
    }

    #[test]
    fn an_ended_call_tells_why() {
        let text = call(&CallExplanation {
            call_sid: "CA1".to_owned(),
            status: "busy".to_owned(),
            request: RequestPart {
                start: Some("2026-11-21T10:02:45.488Z".to_owned()),
                limit: Some(because("throttle", "A.")),
                ..RequestPart::default()
            },
            earlier_attempts: vec![EarlierAttempt {
                attempt: 1,
                reason: "carrier_failure".to_owned(),
                sip_code: Some(503),
                carrier: "harbour".to_owned(),
            }],
            ending: Some(because("busy", "The called party was busy.")),
            sip_code: Some(486),
        });
        assert!(
            text.contains("attempts    1 over harbour       carrier_failure (SIP 503)"),
            "{text}"
        );
        assert!(
            text.contains("ended       busy               The called party was busy. (SIP 486)")
        );
        assert!(text.contains("started     2026-11-21T10:02:45.488Z\n  held by     throttle"));
    }

    #[test]
    fn a_full_carrier_tells_what_its_channels_do_and_who_waits() {
        let text = super::carrier(&CarrierExplanation {
            carrier: Carrier {
                name: "harbour".to_owned(),
                group: "default".to_owned(),
                channels: 30,
                in_use: 28,
                quarantined: 2,
                outbound: Room {
                    calls: 0,
                    binding: "carrier_channels".to_owned(),
                    message: "Every channel of the carrier is in use.".to_owned(),
                },
                inbound: Room { calls: 3, binding: "ready".to_owned(), message: String::new() },
                setup_spacing_us: 204_000,
                ..Carrier::default()
            },
            waiting: vec![crate::model::Waiting {
                tenant: "clinic".to_owned(),
                waiting: 1_200,
                held_by: because("carrier_channels", ""),
            }],
            ..CarrierExplanation::default()
        });
        for line in [
            "channels    28 in use, 2 in quarantine",
            "outbound    not one more: carrier_channels   Every channel",
            "inbound     3 calls more",
            "set-ups     0 in the last second, 5 by contract",
            "waiting     clinic                    1,200  carrier_channels",
        ] {
            assert!(text.contains(line), "no {line:?} in\n{text}");
        }
    }
}
