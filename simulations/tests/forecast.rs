//! The forecast of starts against what then happens, over many random worlds: about half of the starts fall below
//! the median, and nine in ten below the 90th percentile (MT-27, `explain`).

use std::collections::{BTreeMap, BTreeSet};

use busyhour_base::{AccountSid, Method, Span, Timestamp, Webhook};
use busyhour_controller_core::{
    State,
    effect::Dial,
    forward::{About, Bounds, Estimate},
    spec::{BatchId, CallId, Cap, Carrier, Declaration, Excess, Limits, Tenant, Throttle},
};
use busyhour_simulations::{
    behaviour::{Behaviour, Habit, Reaction, Spread},
    scenario::{Batch, BatchLines, Calls, PacingDocument, Scenario},
    simulator::{
        Capacity, Documents, Faults, Input, Latencies, Observe, SpeechLengths, simulate_under,
    },
};
use rand::Rng;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

const START: Timestamp = Timestamp(1_800_000_000_000_000);

/// A question that was asked, and when.
struct Asked {
    at: Timestamp,
    call: CallId,
    estimate: Estimate,
}

/// Asks at its instants for the start of some waiting calls and of the last one of each batch.
struct Asker {
    instants: Vec<Timestamp>,
    batches: BTreeMap<BatchId, Vec<(Timestamp, Estimate)>>,
    asked: Vec<Asked>,
    dialled: BTreeMap<CallId, Timestamp>,
    /// Last dial of each account: each has one batch.
    last: BTreeMap<AccountSid, Timestamp>,
    accounts: BTreeMap<AccountSid, BatchId>,
    seed: u64,
}

impl Asker {
    fn new(seed: u64, at_s: &[u64]) -> Self {
        let instants = at_s.iter().rev().map(|s| START + Span::from_secs(*s)).collect();
        Self {
            instants,
            batches: BTreeMap::new(),
            asked: Vec::new(),
            dialled: BTreeMap::new(),
            last: BTreeMap::new(),
            accounts: BTreeMap::new(),
            seed,
        }
    }

    fn ask(&mut self, now: Timestamp, state: &State) {
        let mut go_on = || true;
        let bounds = &mut Bounds { starts_max: 16_384, go_on: &mut go_on };
        let accounts: Vec<_> = state.tenants().map(|tenant| tenant.account).collect();
        let waits = |call: &CallId| state.call(*call).is_some_and(|view| view.dialled_at.is_none());
        for account in accounts {
            let calls: Vec<_> = state.calls_of(account, None).map(|view| view.call).collect();
            let calls: Vec<_> = calls.into_iter().filter(waits).collect();
            // The last, the next, and one between.
            let some = [calls.first(), calls.get(calls.len() / 2), calls.last()];
            for call in some.into_iter().flatten().collect::<BTreeSet<_>>() {
                let inquiry = state.inquire(&About::Call(*call), now).expect("it waits").alone();
                if let Some(answer) = inquiry.answer(self.seed, bounds) {
                    self.asked.push(Asked { at: now, call: *call, estimate: answer.estimate });
                }
            }
            for batch in state.batches_of(account) {
                self.accounts.insert(account, batch.batch);
            }
        }
        let forecast =
            state.outlook(now).expect("small").forecast(self.seed, bounds).expect("time");
        for batch in self.accounts.values() {
            if let Some(estimate) = forecast.batch(*batch) {
                self.batches.entry(*batch).or_default().push((now, estimate));
            }
        }
    }
}

impl Observe for Asker {
    fn after_event(&mut self, now: Timestamp, state: &State) {
        while self.instants.last().is_some_and(|at| *at <= now) {
            self.instants.pop();
            self.ask(now, state);
        }
    }

    fn on_dial(&mut self, now: Timestamp, dial: &Dial) {
        self.dialled.entry(dial.call).or_insert(now);
        self.last.insert(dial.account, now);
    }
}

/// How many starts fell where.
#[derive(Debug, Default)]
struct Tally {
    all: u32,
    below_p50: u32,
    below_p90: u32,
}

impl Tally {
    fn note(&mut self, estimate: &Estimate, asked: Timestamp, actual: Timestamp) {
        let wait = actual.since(asked);
        if wait < Span::from_secs(1) {
            return; // Neither right nor wrong.
        }
        self.all += 1;
        self.below_p50 += u32::from(wait <= estimate.p50);
        self.below_p90 += u32::from(estimate.p90.is_none_or(|p90| wait <= p90));
    }

    fn percent(&self) -> (u32, u32) {
        (self.below_p50 * 100 / self.all, self.below_p90 * 100 / self.all)
    }
}

fn tally(worlds: impl Iterator<Item = (World, u64)>, at_s: &[u64]) -> (Tally, Tally) {
    let (mut calls, mut batches) = (Tally::default(), Tally::default());
    for (world, seed) in worlds {
        let mut asker = Asker::new(seed, at_s);
        let run = simulate_under(&world.input(), &Faults::default(), &mut asker);
        assert_eq!(run.violations, [], "seed {seed}");
        for Asked { at, call, estimate } in &asker.asked {
            if let Some(dialled) = asker.dialled.get(call) {
                calls.note(estimate, *at, *dialled);
            }
        }
        for (account, batch) in &asker.accounts {
            for (at, estimate) in asker.batches.get(batch).into_iter().flatten() {
                batches.note(estimate, *at, asker.last[account]);
            }
        }
    }
    (calls, batches)
}

struct World {
    capacity: Capacity,
    scenario: Scenario,
    documents: Documents,
    speech: SpeechLengths,
}

impl World {
    fn input(&self) -> Input<'_> {
        Input {
            capacity: &self.capacity,
            scenario: &self.scenario,
            documents: &self.documents,
            speech: &self.speech,
            latencies: Latencies::default(),
            start: START,
        }
    }
}

fn ms(rng: &mut ChaCha8Rng, from: u64, to: u64) -> Span {
    Span::from_millis(rng.random_range(from..=to))
}

fn spread(rng: &mut ChaCha8Rng, from: u64, to: u64) -> Spread {
    let min = ms(rng, from, to);
    let max = min + ms(rng, from, to * 4);
    let mean = rng.random_bool(0.5).then(|| min + ms(rng, 0, (max - min).as_millis() / 2));
    Spread { min, max, mean }
}

/// More is offered than the channels hold, under throttles and caps of which some bind.
fn world(seed: u64) -> World {
    let rng = &mut ChaCha8Rng::seed_from_u64(seed);
    let count = rng.random_range(1..5);
    let channels = rng.random_range(3..20);
    let tenants: Vec<_> = (0..count)
        .map(|n| Tenant {
            account: AccountSid(n + 1),
            name: format!("tenant-{n}").into(),
            limits: Limits {
                throttle: rng.random_bool(0.6).then(|| Throttle { spacing: ms(rng, 100, 3_000) }),
                caps: (0..rng.random_range(0..2))
                    .map(|_| Cap {
                        count: rng.random_range(5..40),
                        window: ms(rng, 10_000, 90_000),
                    })
                    .collect(),
                excess: Excess::Schedule,
                queue_max: 10_000,
                wait_max: Span::from_secs(864_000),
                ..Limits::default()
            },
            applications: Vec::new(),
            suspended: false,
            shares: Vec::new(),
        })
        .collect();
    let webhook =
        |name: &str| Webhook { url: format!("http://app.example/{name}"), method: Method::Post };
    let batches = tenants.iter().zip(0..).map(|(tenant, n)| Batch {
        name: format!("batch-{n}"),
        tenant: tenant.name.to_string(),
        account: tenant.account,
        from: "+15550000000".to_owned(),
        first_to: 15_550_000_000 + n * 1_000,
        count: rng.random_range(30..150),
        pacing: PacingDocument::default(),
        lines: BatchLines::Calls(Calls {
            first_document: webhook("document.xml"),
            fallback: None,
            ring_timeout: ms(rng, 10_000, 30_000),
            time_limit: Span::from_secs(300),
        }),
    });
    let batches = batches.collect();
    let answer = Reaction::Answer {
        after: spread(rng, 1_000, 6_000),
        patience: spread(rng, 5_000, 40_000),
        greeting: Span::ZERO,
        keys: vec![(1, String::new())],
        keys_after: spread(rng, 0, 1_000),
    };
    let busy = Reaction::Refuse { after: spread(rng, 500, 3_000), code: 486 };
    let habit = |name: &str, weight, reaction| Habit {
        name: name.into(),
        weight,
        rings_after: None,
        reaction,
    };
    let habits = vec![
        habit("answers", rng.random_range(5..10), answer),
        habit("busy", rng.random_range(1..4), busy),
        habit("away", rng.random_range(1..3), Reaction::NoAnswer),
    ];
    let document = r#"<Response><Pause length="300"/></Response>"#;
    World {
        capacity: Capacity {
            declaration: Declaration {
                tenants,
                carriers: vec![Carrier::new("carrier", channels, Span::from_millis(102))],
                ..Declaration::default()
            },
            contracts: vec![("carrier".to_owned(), channels, 10)],
            message_carriers: Vec::new(),
            agents: vec![("agent".to_owned(), 100)],
        },
        scenario: Scenario {
            behaviour: Behaviour { seed, habits },
            batches,
            callers: Vec::new(),
            messages: Vec::new(),
            writers: Vec::new(),
            recordings: BTreeMap::new(),
            speech: BTreeMap::new(),
        },
        documents: [("document.xml".to_owned(), document.as_bytes().to_vec())].into(),
        speech: SpeechLengths::default(),
    }
}

/// Once some calls have ended.
#[test]
fn mt_27_nine_in_ten_starts_fall_below_the_p90() {
    let worlds = (0..60).map(|seed| (world(seed), seed));
    let (calls, batches) = tally(worlds, &[60, 150]);
    assert!(calls.all > 500 && batches.all > 100, "{calls:?} {batches:?}");
    for tally in [&calls, &batches] {
        let (p50, p90) = tally.percent();
        assert!((40..=65).contains(&p50), "{p50} % below the p50: {tally:?}");
        assert!(p90 >= 85, "{p90} % below the p90: {tally:?}");
    }
}

/// At the start, when nothing is known of how long calls last.
#[test]
fn mt_27_with_little_to_go_by_the_p90_is_still_held() {
    let worlds = (100..140).map(|seed| (world(seed), seed));
    let (calls, batches) = tally(worlds, &[2, 12]);
    for tally in [&calls, &batches] {
        let (_, p90) = tally.percent();
        assert!(p90 >= 80, "{p90} % below the p90: {tally:?}");
    }
}
