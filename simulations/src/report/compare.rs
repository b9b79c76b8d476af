//! A live run beside its simulation.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use busyhour_base::{Outcome, Reason, Span};

use super::{CallRow, Report};

/// In what a live run and its simulation differ.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Comparison {
    /// How far apart two starts may be and still count as the same.
    pub tolerance: Span,
    /// Calls that were in both.
    pub compared: usize,
    /// The largest distance between a call's two starts.
    pub start_difference_max: Span,
    /// Everything in which they differ.
    pub differences: Vec<Difference>,
}

/// One difference; the call is named by its called number.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Difference {
    /// It is in one of the two only.
    Missing {
        /// Which call.
        to: String,
        /// Where it is: in the live run, or else in the simulation.
        live: bool,
    },
    /// It ended differently.
    Outcome {
        /// Which call.
        to: String,
        /// In the live run.
        live: Option<Outcome>,
        /// In the simulation.
        simulated: Option<Outcome>,
    },
    /// A caller of a tenant's number heard something else.
    Caller {
        /// Called number, and which of its callers.
        caller: String,
        /// In the live run.
        live: String,
        /// In the simulation.
        simulated: String,
    },
    /// A message came to something else.
    Message {
        /// To whom.
        to: String,
        /// In the live run.
        live: String,
        /// In the simulation.
        simulated: String,
    },
    /// It was dialled after a call that should have come clearly later.
    Order {
        /// Which call.
        to: String,
        /// Which call overtook it.
        overtaken_by: String,
    },
    /// It started at another time, by more than the tolerance.
    Start {
        /// Which call.
        to: String,
        /// In the live run, in microseconds from the first INVITE.
        live_us: Option<u64>,
        /// In the simulation.
        simulated_us: Option<u64>,
    },
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = |us: &Option<u64>| {
            us.map_or_else(|| "never".to_owned(), |us| format!("at {:.3} s", us as f64 / 1e6))
        };
        let word = |outcome: &Option<Outcome>| outcome.map_or("no outcome", Outcome::as_str);
        match self {
            Self::Missing { to, live: true } => write!(f, "{to}: in the live run only"),
            Self::Missing { to, live: false } => write!(f, "{to}: in the simulation only"),
            Self::Outcome { to, live, simulated } => {
                write!(f, "{to}: {} live, {} simulated", word(live), word(simulated))
            }
            Self::Caller { caller: of, live, simulated }
            | Self::Message { to: of, live, simulated } => {
                write!(f, "{of}: {live} live, {simulated} simulated")
            }
            Self::Order { to, overtaken_by } => write!(f, "{to}: overtaken by {overtaken_by}"),
            Self::Start { to, live_us, simulated_us } => {
                write!(
                    f,
                    "{to}: started {} live, {} simulated",
                    seconds(live_us),
                    seconds(simulated_us)
                )
            }
        }
    }
}

impl Comparison {
    /// Whether outcomes, order and starts are the same.
    pub fn agrees(&self) -> bool {
        self.differences.is_empty()
    }
}

/// How far apart what is the same in both runs may be.
struct Allowed {
    /// Where nothing is contended.
    tolerance: Span,
    /// When the simulation's first call started that had waited for a channel.
    contended_from: u64,
    /// What comes on top of the tolerance from then on.
    turn: Span,
}

impl Allowed {
    /// Who gets a channel that comes free is decided by the order of events that are milliseconds apart. A channel that goes to the
    /// other of two calls moves both by as much as there is to the next free one, and that no more than the longest time between
    /// two starts; so does everything that waits behind them.
    fn new(simulated: &Report, tolerance: Span) -> Self {
        let waited = |call: &&CallRow| call.held_by == Reason::CarrierChannels;
        let contended_from = simulated.calls.iter().filter(waited).filter_map(|call| call.start_us);
        let contended_from = contended_from.min().unwrap_or(u64::MAX);
        let mut starts: Vec<_> = simulated.calls.iter().filter_map(|call| call.start_us).collect();
        starts.retain(|start| *start >= contended_from);
        starts.sort_unstable();
        let turn = starts.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(0);
        Self { tolerance, contended_from, turn: Span(turn) }
    }

    /// For what the simulation has at this instant.
    fn at(&self, simulated_us: u64) -> Span {
        if simulated_us < self.contended_from { self.tolerance } else { self.tolerance + self.turn }
    }
}

/// Compares two runs of one scenario, call by call. Instants may differ by `tolerance`, and from the first call that waited for a
/// channel on by what it means when another's turn comes first. Two calls count as dialled in another order only if the
/// simulation has them further apart than that: what is due at one instant has no order.
pub fn compare(live: &Report, simulated: &Report, tolerance: Span) -> Comparison {
    let allowed = Allowed::new(simulated, tolerance);
    let by_number = |report: &Report| -> BTreeMap<String, CallRow> {
        report.calls.iter().map(|call| (call.to.clone(), call.clone())).collect()
    };
    let (lives, simulations) = (by_number(live), by_number(simulated));
    let mut differences = Vec::new();
    let missing = |from: &BTreeMap<_, _>, other: &BTreeMap<_, _>, live| -> Vec<_> {
        let only = from.keys().filter(|to: &&String| !other.contains_key(*to));
        only.map(|to| Difference::Missing { to: to.clone(), live }).collect()
    };
    differences.extend(missing(&lives, &simulations, true));
    differences.extend(missing(&simulations, &lives, false));
    let mut both: Vec<_> = simulations
        .values()
        .filter_map(|simulated| Some((lives.get(&simulated.to)?, simulated)))
        .collect();
    both.sort_by_key(|(_, simulated)| simulated.start_us.unwrap_or(u64::MAX));
    let mut start_difference_max = Span::ZERO;
    for (live, simulated) in &both {
        let to = &simulated.to;
        if live.outcome != simulated.outcome {
            let (live, simulated) = (live.outcome, simulated.outcome);
            differences.push(Difference::Outcome { to: to.clone(), live, simulated });
        }
        let apart = match (live.start_us, simulated.start_us) {
            (Some(live), Some(simulated)) => Some(Span(live.abs_diff(simulated))),
            (None, None) => Some(Span::ZERO),
            _ => None,
        };
        start_difference_max = start_difference_max.max(apart.unwrap_or_default());
        let at = simulated.start_us.unwrap_or(u64::MAX);
        if apart.is_none_or(|apart| apart > allowed.at(at)) {
            let (live_us, simulated_us) = (live.start_us, simulated.start_us);
            differences.push(Difference::Start { to: to.clone(), live_us, simulated_us });
        }
    }
    differences.extend(overtakings(&both, &allowed));
    differences.extend(callers(live, simulated, &allowed));
    differences.extend(messages(live, simulated, &allowed));
    Comparison { tolerance, compared: both.len(), start_difference_max, differences }
}

/// What is compared of a thing, in words, with its two instants, which may differ by the tolerance.
type Told = (String, [u64; 2]);

/// Names of which the words differ, or an instant differs by more than is allowed; each with both words.
fn told_apart(
    live: &BTreeMap<String, Told>,
    simulated: &BTreeMap<String, Told>,
    allowed: &Allowed,
) -> Vec<(String, String, String)> {
    let names: BTreeSet<_> = live.keys().chain(simulated.keys()).collect();
    let shown = |told: Option<&Told>| match told {
        Some((words, [at, lasted])) => {
            let seconds = |us: &u64| *us as f64 / 1e6;
            format!("{words} after {:.3} s for {:.3} s", seconds(at), seconds(lasted))
        }
        None => "nothing".to_owned(),
    };
    let differ = |name: &&&String| match (live.get(**name), simulated.get(**name)) {
        (Some((a, ats)), Some((b, bts))) => {
            a != b || (0..2).any(|n| ats[n].abs_diff(bts[n]) > allowed.at(bts[0]).as_micros())
        }
        _ => true,
    };
    names
        .iter()
        .filter(differ)
        .map(|name| ((*name).clone(), shown(live.get(*name)), shown(simulated.get(*name))))
        .collect()
}

/// Callers who heard something else, or at another time.
fn callers(live: &Report, simulated: &Report, allowed: &Allowed) -> Vec<Difference> {
    let told = |report: &Report| -> BTreeMap<_, _> {
        let rows = report.inbound.iter().flat_map(|of| of.callers.iter().map(move |c| (of, c)));
        rows.map(|(of, caller)| {
            let name = format!("caller {} of {}", caller.nth, of.number);
            let heard = if caller.speech_heard { " speech" } else { "" };
            let words = format!("{} {}{heard}", caller.status, caller.reason);
            (name, (words, [caller.start_us, caller.talk_us]))
        })
        .collect()
    };
    let apart = told_apart(&told(live), &told(simulated), allowed).into_iter();
    apart.map(|(caller, live, simulated)| Difference::Caller { caller, live, simulated }).collect()
}

/// Messages that ended differently, or were handed over at another time.
fn messages(live: &Report, simulated: &Report, allowed: &Allowed) -> Vec<Difference> {
    let told = |report: &Report| -> BTreeMap<_, _> {
        let rows = report.messages.iter().flat_map(|of| &of.messages);
        let sent = rows.map(|message| {
            let name = format!("message to {}", message.to);
            (name, (message.status.clone(), [message.start_us.unwrap_or(u64::MAX), 0]))
        });
        let written = report.writers.iter().flat_map(|of| &of.writers).map(|writer| {
            let answers = writer.answers.join(", ");
            let words = format!("{}, answered by {answers}", writer.status);
            (format!("message from {}", writer.from), (words, [0, 0]))
        });
        sent.chain(written).collect()
    };
    let apart = told_apart(&told(live), &told(simulated), allowed).into_iter();
    apart.map(|(to, live, simulated)| Difference::Message { to, live, simulated }).collect()
}

/// Calls of the live run that were dialled after one that the simulation has clearly later. `both` is in the
/// order of the simulation.
fn overtakings(both: &[(&CallRow, &CallRow)], allowed: &Allowed) -> Vec<Difference> {
    let started: Vec<_> = both
        .iter()
        .filter_map(|(live, simulated)| Some((live.start_us?, simulated.start_us?, &simulated.to)))
        .collect();
    let (mut behind, mut latest, mut found) = (0, None, Vec::new());
    for (live, simulated, to) in &started {
        // The latest live start among the calls that should have come clearly earlier than this one.
        while started[behind].1 + allowed.at(*simulated).as_micros() < *simulated {
            latest = latest.max(Some((started[behind].0, started[behind].2)));
            behind += 1;
        }
        if let Some((earlier, earlier_to)) = latest
            && earlier > *live
        {
            let (to, overtaken_by) = (earlier_to.clone(), (*to).clone());
            found.push(Difference::Order { to, overtaken_by });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{CarrierReport, TenantTerms};

    fn report(starts_ms: &[(&str, u64)]) -> Report {
        let row = |(to, ms): &(&str, u64)| CallRow {
            to: (*to).to_owned(),
            tenant: "t".to_owned(),
            start_us: Some(ms * 1_000),
            end_us: Some(ms * 1_000 + 5),
            outcome: Some(Outcome::Completed),
            outcomes: 1,
            held_by: Reason::Throttle,
            answered: true,
            speech_heard: true,
            digits: String::new(),
        };
        let carrier = CarrierReport {
            name: "c".to_owned(),
            channels: 2,
            channels_peak: 1,
            calls_per_second: 5,
            setups_peak: 1,
            breaches: 0,
            duplicates: 0,
        };
        let terms = [TenantTerms { name: "t".to_owned(), spacing: Some(Span::from_secs(1)) }];
        Report::new(1, &terms, vec![carrier], starts_ms.iter().map(row).collect())
    }

    const MS_20: Span = Span::from_millis(20);

    #[test]
    fn two_alike_runs_agree_within_the_tolerance() {
        let simulated = report(&[("a", 0), ("b", 1_000), ("c", 1_000), ("d", 2_000)]);
        let live = report(&[("a", 700), ("c", 1_705), ("b", 1_709), ("d", 2_719)]);
        let comparison = compare(&live, &simulated, MS_20);
        assert!(comparison.agrees(), "{comparison:?}");
        assert_eq!(
            (comparison.compared, comparison.start_difference_max),
            (4, Span::from_millis(19))
        );
    }

    #[test]
    fn a_channel_that_goes_to_another_moves_what_waits_by_a_turn_at_most() {
        let mut simulated = report(&[("a", 0), ("b", 1_000), ("c", 3_000), ("d", 5_500)]);
        simulated.calls[1].held_by = Reason::CarrierChannels;
        // The longest time between two starts that contend is 2.5 s.
        let turned = report(&[("a", 0), ("c", 1_000), ("b", 3_515), ("d", 5_500)]);
        assert!(compare(&turned, &simulated, MS_20).agrees());
        for (to, late) in [("b", 3_521), ("d", 8_021)] {
            let mut later = turned.clone();
            for call in later.calls.iter_mut().filter(|call| call.to == to) {
                call.start_us = Some(late * 1_000);
            }
            assert!(!compare(&later, &simulated, MS_20).agrees(), "{to}");
        }
        // Before anyone waits for a channel no turn explains anything.
        simulated.calls[1].held_by = Reason::Throttle;
        assert!(!compare(&turned, &simulated, MS_20).agrees());
    }

    #[test]
    fn every_kind_of_difference_is_found() {
        let simulated = report(&[("a", 0), ("b", 1_000), ("c", 2_000), ("d", 3_000), ("x", 4_000)]);
        let mut live = report(&[("a", 0), ("b", 2_010), ("c", 2_000), ("d", 3_000), ("y", 4_000)]);
        live.calls[3].outcome = None;
        let found = compare(&live, &simulated, MS_20).differences;
        let texts: Vec<_> = found.iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "y: in the live run only",
                "x: in the simulation only",
                "b: started at 2.010 s live, at 1.000 s simulated",
                "d: no outcome live, completed simulated",
                "b: overtaken by c",
            ]
        );
    }

    #[test]
    fn a_report_survives_json_and_tells_broken_promises() {
        let mut run = report(&[("a", 0), ("b", 1_000)]);
        let json = serde_json::to_string(&run).expect("JSON");
        assert!(
            json.contains(r#""outcome":"completed""#)
                && json.contains(r#""held_by":{"throttle":2}"#),
            "{json}"
        );
        assert_eq!(serde_json::from_str::<Report>(&json).expect("back"), run);
        assert_eq!(run.failures(), Vec::<String>::new());
        assert!(run.table().contains("peak 1 of 2 channels"), "{}", run.table());
        run.calls[0].outcomes = 2;
        run.calls[1].speech_heard = false;
        (run.carriers[0].breaches, run.carriers[0].duplicates) = (3, 1);
        assert_eq!(run.failures().len(), 4, "{:?}", run.failures());
    }
}
