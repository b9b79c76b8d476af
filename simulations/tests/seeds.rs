//! Hundreds of small random worlds, each with its own declaration, calls, called parties and latencies: the
//! invariants of `RELIABILITY.md` hold after every event of each, and a planted fault is found.

use std::collections::{BTreeMap, BTreeSet};

use busyhour_base::{AccountSid, Body, Method, Reason, Span, Timestamp, Webhook};
use busyhour_controller_core::{
    message::{MessageCarrier, MessageDeclaration, MessageNumber},
    spec::{Cap, Carrier, Declaration, Excess, Kind, Limits, Tenant, Throttle},
};
use busyhour_crds::{
    Answering, TextingApplication,
    kinds::{CarrierMessages, InProcessCarrier},
};
use busyhour_simulations::{
    behaviour::{Behaviour, Habit, Reaction, Spread},
    scenario::{
        Batch, BatchLines, Callers, Calls, Messages, PacingDocument, Scenario, Texts, Writers,
    },
    simulator::{
        Capacity, Documents, Fault, FaultKind, Faults, Input, Latencies, Run, SpeechLengths,
        simulate_with,
    },
};
use rand::{Rng, seq::IndexedRandom};
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

const START: Timestamp = Timestamp(1_800_000_000_000_000);

/// A whole world.
struct World {
    capacity: Capacity,
    scenario: Scenario,
    documents: Documents,
    latencies: Latencies,
    faults: Faults,
}

impl World {
    fn run(&self) -> Run {
        let input = Input {
            capacity: &self.capacity,
            scenario: &self.scenario,
            documents: &self.documents,
            speech: &SpeechLengths::default(),
            latencies: self.latencies,
            start: START,
        };
        simulate_with(&input, &self.faults)
    }
}

fn ms(rng: &mut ChaCha8Rng, from: u64, to: u64) -> Span {
    Span::from_millis(rng.random_range(from..=to))
}

fn spread(rng: &mut ChaCha8Rng, from: u64, to: u64) -> Spread {
    let min = ms(rng, from, to);
    let max = min + ms(rng, 0, to);
    let mean = rng.random_bool(0.3).then(|| min + ms(rng, 0, (max - min).as_millis()));
    Spread { min, max, mean }
}

fn tenant(rng: &mut ChaCha8Rng, n: u32) -> Tenant {
    let throttle = rng.random_bool(0.7).then(|| Throttle { spacing: ms(rng, 20, 3_000) });
    let caps = (0..rng.random_range(0..3))
        .map(|_| Cap { count: rng.random_range(1..20), window: ms(rng, 1_000, 60_000) });
    Tenant {
        account: AccountSid(u128::from(n) + 1),
        name: format!("tenant-{n}").into(),
        limits: Limits {
            caps: caps.collect(),
            throttle,
            excess: if rng.random_bool(0.8) { Excess::Schedule } else { Excess::Refuse },
            queue_max: rng.random_range(5..100),
            wait_max: ms(rng, 60_000, 86_400_000),
            ..Limits::default()
        },
        shares: Vec::new(),
        applications: Vec::new(),
        suspended: false,
    }
}

fn habit(rng: &mut ChaCha8Rng, n: usize) -> Habit {
    let reaction = match rng.random_range(0..5) {
        0 => Reaction::NoAnswer,
        1 => Reaction::Refuse {
            after: spread(rng, 0, 5_000),
            code: *[486, 603, 404, 503].choose(rng).expect("one"),
        },
        _ => Reaction::Answer {
            after: spread(rng, 0, 8_000),
            patience: spread(rng, 0, 20_000),
            greeting: Span::ZERO,
            keys: vec![(2, "1".to_owned()), (1, "42#".to_owned()), (1, String::new())],
            keys_after: spread(rng, 0, 8_000),
        },
    };
    Habit {
        name: format!("habit-{n}").into(),
        weight: rng.random_range(1..10),
        rings_after: rng.random_bool(0.8).then(|| spread(rng, 0, 500)),
        reaction,
    }
}

fn batch(rng: &mut ChaCha8Rng, n: u32, tenant: &Tenant) -> Batch {
    let document = *["menu.xml", "speech.xml", "loop.xml", "missing.xml", "broken.xml"]
        .choose(rng)
        .expect("one");
    let webhook =
        |name: &str| Webhook { url: format!("http://app.example/{name}"), method: Method::Post };
    Batch {
        name: format!("batch-{n}"),
        tenant: tenant.name.to_string(),
        account: tenant.account,
        from: "+15550000000".to_owned(),
        first_to: 15_550_000_000 + u64::from(n) * 1_000,
        count: rng.random_range(1..40),
        pacing: PacingDocument::default(),
        lines: BatchLines::Calls(Calls {
            first_document: webhook(document),
            fallback: rng.random_bool(0.5).then(|| webhook("speech.xml")),
            ring_timeout: ms(rng, 1_000, 10_000),
            time_limit: ms(rng, 1_000, 60_000),
        }),
    }
}

/// A batch of messages from the number that a tenant sends from; of some worlds too many to be sent while they are valid.
fn texts(rng: &mut ChaCha8Rng, n: u32, of: &Messages) -> Batch {
    Batch {
        name: format!("texts-{n}"),
        tenant: of.tenant.clone(),
        account: of.account,
        from: of.from.clone(),
        first_to: 15_556_000_000 + u64::from(n) * 1_000,
        count: rng.random_range(1..20),
        pacing: PacingDocument::default(),
        lines: BatchLines::Texts(Texts {
            body: Body::from("y".repeat(rng.random_range(1..400))),
            validity: rng.random_bool(0.5).then(|| ms(rng, 1_000, 60_000)),
        }),
    }
}

/// Whom a tenant's callers reach is one of its documents, or one that turns them away.
fn callers(rng: &mut ChaCha8Rng, n: u32, tenant: &Tenant) -> Callers {
    let documents = ["menu.xml", "speech.xml", "reject.xml", "later.xml", "missing.xml"];
    let document = *documents.choose(rng).expect("one");
    let url = format!("http://app.example/{document}");
    Callers {
        carrier: "carrier".to_owned(),
        to: format!("+1555700000{n}"),
        answering: Answering {
            account: tenant.account,
            voice: Webhook { url, method: Method::Post },
            fallback: None,
            status_callback: None,
            ring_for: ms(rng, 1_000, 10_000),
        },
        from: "+15557770000".to_owned(),
        calls: rng.random_range(0..12),
        every: spread(rng, 10, 6_000),
        listens: spread(rng, 1_000, 8_000),
    }
}

fn messages(rng: &mut ChaCha8Rng, n: u32, tenant: &Tenant) -> Messages {
    Messages {
        tenant: tenant.name.to_string(),
        account: tenant.account,
        from: format!("+1555700000{n}"),
        first_to: 15_558_000_000 + u64::from(n) * 1_000,
        messages: rng.random_range(0..10),
        body: Body::from("x".repeat(rng.random_range(1..400))),
    }
}

/// People write to the number that a tenant sends from. They get one answer each, by way of the fallback if need be.
fn writers(rng: &mut ChaCha8Rng, n: u32, of: &Messages) -> Writers {
    let webhook =
        |name: &str| Webhook { url: format!("http://app.example/{name}"), method: Method::Post };
    let document =
        *["sms.xml", "onward.xml", "missing.xml", "broken.xml"].choose(rng).expect("one");
    Writers {
        answered_by: Default::default(),
        carrier: "carrier".to_owned(),
        account: of.account,
        to: of.from.clone(),
        application: TextingApplication {
            hook: webhook(document),
            fallback: Some(webhook("sms.xml")),
        },
        first_from: 15_559_000_000 + u64::from(n) * 1_000,
        messages: rng.random_range(1..10),
        after: ms(rng, 0, 20_000),
        every: ms(rng, 10, 3_000),
        body: Body::from("Are you there?"),
    }
}

fn number(rng: &mut ChaCha8Rng, of: &Messages) -> MessageNumber {
    MessageNumber {
        account: of.account,
        number: of.from.as_str().into(),
        throttle: rng.random_bool(0.7).then(|| Throttle { spacing: ms(rng, 20, 2_000) }),
        caps: Vec::new(),
    }
}

fn message_carrier(rng: &mut ChaCha8Rng) -> CarrierMessages {
    CarrierMessages {
        outbound_channels: rng.random_range(1..10),
        inbound_channels: 3,
        segments_per_second: rng.random_range(3..20),
        delivery_reports: rng.random_bool(0.8),
        in_process: InProcessCarrier {
            seed: rng.random(),
            refused_permille: 100,
            undelivered_permille: 100,
            unanswered_permille: 100,
            answer_ms: 500,
            delivery_ms: 5_000,
        },
    }
}

fn documents() -> Documents {
    let documents = [
        (
            "menu.xml",
            r#"<Response><Gather numDigits="1" timeout="2" action="speech.xml"><Say>One or two?</Say></Gather><Redirect>speech.xml</Redirect></Response>"#,
        ),
        (
            "speech.xml",
            "<Response><Say>Thank you for your time.</Say><Pause length=\"1\"/><Hangup/></Response>",
        ),
        ("loop.xml", "<Response><Play>tune.wav</Play><Redirect>loop.xml</Redirect></Response>"),
        ("broken.xml", "<Response><Say>"),
        ("sms.xml", "<Response><Message>We are.</Message></Response>"),
        ("onward.xml", "<Response><Redirect>sms.xml</Redirect></Response>"),
        ("reject.xml", "<Response><Reject reason=\"busy\"/></Response>"),
        ("later.xml", "<Response><Pause length=\"2\"/><Redirect>speech.xml</Redirect></Response>"),
    ];
    documents.map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec())).into()
}

fn world(seed: u64) -> World {
    let rng = &mut ChaCha8Rng::seed_from_u64(seed);
    let tenants: Vec<_> = (0..rng.random_range(1..5)).map(|n| tenant(rng, n)).collect();
    let (channels, rate) = (rng.random_range(1..20), rng.random_range(1..20));
    // The production rule: a second and its guard, divided, rounded up.
    let spacing = Span(1_020_000_u64.div_ceil(u64::from(rate)));
    let carrier = Carrier {
        service_ports: rng.random_range(1..=channels),
        quarantine: ms(rng, 1_000, 30_000),
        ..Carrier::new("carrier", channels, spacing)
    };
    let mut batches: Vec<_> =
        tenants.iter().zip(0..).map(|(tenant, n)| batch(rng, n, tenant)).collect();
    let callers = tenants.iter().zip(0..).map(|(tenant, n)| callers(rng, n, tenant)).collect();
    let messages: Vec<_> =
        tenants.iter().zip(0..).map(|(tenant, n)| messages(rng, n, tenant)).collect();
    let numbers = messages.iter().map(|of| number(rng, of)).collect();
    let message_carrier = message_carrier(rng);
    let rented = vec![MessageCarrier {
        name: "carrier".into(),
        outbound: message_carrier.outbound_channels,
        inbound: message_carrier.inbound_channels,
        segment_spacing: message_carrier.segment_spacing(),
        delivery_reports: message_carrier.delivery_reports,
    }];
    let habits = (0..rng.random_range(1..6)).map(|n| habit(rng, n)).collect();
    let agents =
        (0..rng.random_range(1..4)).map(|n| (format!("agent-{n}"), rng.random_range(1..20)));
    let agents = agents.collect();
    let latencies = if rng.random_bool(0.5) {
        Latencies::default()
    } else {
        Latencies {
            control: ms(rng, 0, 50),
            signalling: ms(rng, 0, 200),
            web: ms(rng, 0, 500),
            speech: ms(rng, 0, 500),
            synthesis: ms(rng, 0, 40),
        }
    };
    let writers = messages.iter().zip(0..).map(|(of, n)| writers(rng, n, of)).collect();
    batches.extend(messages.iter().zip(0..).map(|(of, n)| texts(rng, n, of)));
    World {
        capacity: Capacity {
            declaration: Declaration {
                tenants,
                carriers: vec![carrier],
                messages: MessageDeclaration { numbers, carriers: rented, ..Default::default() },
                ..Declaration::default()
            },
            contracts: vec![("carrier".to_owned(), channels, rate)],
            message_carriers: vec![("carrier".to_owned(), message_carrier)],
            agents,
        },
        scenario: Scenario {
            behaviour: Behaviour { seed, habits },
            batches,
            callers,
            messages,
            writers,
            recordings: BTreeMap::from([("tune.wav".to_owned(), Span::from_secs(3))]),
            speech: BTreeMap::new(),
        },
        documents: documents(),
        latencies,
        faults: Faults::default(),
    }
}

#[test]
fn the_invariants_hold_in_three_hundred_worlds() {
    let (mut calls, mut refused) = (0, 0);
    let (mut answered, mut turned_away, mut without_room, mut messages) = (0, 0, 0, 0);
    let (mut written, mut expired) = (0, 0);
    for seed in 0..300 {
        let world = world(seed);
        let run = world.run();
        assert_eq!(run.violations, [], "seed {seed}");
        let promises = run.report.failures();
        let kept = |failure: &&String| {
            let harmless = ["no speech", "no call", "were refused with"];
            !harmless.iter().any(|words| failure.contains(words))
        };
        assert_eq!(promises.iter().find(kept), None, "seed {seed}");
        calls += run.report.calls.len();
        for inbound in &run.report.inbound {
            answered += inbound.answered;
            for refused in &inbound.refused {
                let of_it = refused.reason == Reason::RejectedByApplication.code();
                *(if of_it { &mut turned_away } else { &mut without_room }) += refused.calls;
            }
        }
        written += run.report.writers.iter().map(|of| of.received).sum::<u64>();
        messages += run.report.messages.iter().map(|of| of.accepted).sum::<u64>();
        let rows = run.report.messages.iter().flat_map(|of| &of.messages);
        expired +=
            rows.filter(|row| row.handed == 0 && row.reason == Reason::Expired.code()).count();
        let asked: u32 = world.scenario.batches_of(Kind::Call).map(|batch| batch.count).sum();
        refused += asked as usize - run.report.calls.len();
    }
    assert!(calls > 5_000 && refused > 50, "{calls} calls accepted, {refused} refused");
    assert!(
        answered > 1_000 && turned_away > 200 && without_room > 50,
        "{answered} callers answered, {turned_away} turned away, {without_room} without room"
    );
    assert!(messages > 5_000 && written > 1_000, "{messages} messages, {written} came in");
    assert!(expired > 100, "{expired} messages were not sent while they were valid");
}

#[test]
fn a_world_is_the_same_each_time() {
    for seed in 0..20 {
        assert_eq!(world(seed).run(), world(seed).run(), "seed {seed}");
    }
}

/// Whatever else holds its calls and messages, each batch keeps to its own pacing.
#[test]
fn no_batch_is_faster_than_its_pacing() {
    let mut held = BTreeMap::new();
    for seed in 0..200 {
        let mut world = world(seed);
        let rng = &mut ChaCha8Rng::seed_from_u64(seed ^ 0xbacc);
        for batch in &mut world.scenario.batches {
            batch.pacing = PacingDocument {
                cps: rng.random_bool(0.7).then(|| rng.random_range(0.2..3.0)),
                max_concurrent: rng.random_bool(0.7).then(|| rng.random_range(1..5)),
            };
        }
        let run = world.run();
        assert_eq!(run.violations, [], "seed {seed}");
        for call in &run.report.calls {
            *held.entry(call.held_by).or_insert(0) += 1;
        }
        for batch in world.scenario.batches_of(Kind::Call) {
            let numbers: BTreeSet<_> = batch.numbers().map(|(to, _)| to).collect();
            let calls = run.report.calls.iter().filter(|call| numbers.contains(&call.to));
            let dialled = calls.filter_map(|call| Some((call.start_us?, call.end_us?)));
            let dialled: Vec<_> = dialled.collect();
            let spacing = batch.throttle().map_or(0, |throttle| throttle.spacing.as_micros());
            for pair in dialled.windows(2) {
                assert!(pair[1].0 >= pair[0].0 + spacing, "seed {seed}: {pair:?} of {batch:?}");
            }
            for (start, _) in &dialled {
                let up = dialled.iter().filter(|(from, to)| (*from..*to).contains(start)).count();
                let most = batch.pacing.max_concurrent.unwrap_or(u32::MAX) as usize;
                assert!(up <= most, "seed {seed}: {up} calls of {batch:?}");
            }
        }
    }
    let held = |reason| held.get(&reason).copied().unwrap_or(0);
    let (throttle, concurrency) = (held(Reason::BatchThrottle), held(Reason::BatchConcurrency));
    assert!(throttle > 300 && concurrency > 1_000, "{throttle} and {concurrency} were held");
}

/// A world in which things go wrong. The carrier's contract is with a carrier that keeps a call whose caller is gone
/// for 20 s, and the declared quarantine is longer than that, as it must be.
fn faulty(seed: u64) -> World {
    let mut world = world(seed);
    let rng = &mut ChaCha8Rng::seed_from_u64(seed ^ 0xfa01);
    world.capacity.declaration.carriers[0].quarantine = ms(rng, 40_000, 90_000);
    for _ in 0..rng.random_range(1..5) {
        let agent = rng.random_range(0..world.capacity.agents.len());
        let kind = match rng.random_range(0..4) {
            0 => FaultKind::ControllerKilled,
            1 => FaultKind::AgentKilled { agent, journal_lost: false },
            2 => FaultKind::AgentKilled { agent, journal_lost: true },
            _ => FaultKind::LinkLost { agent },
        };
        let (after, lasts) = (ms(rng, 0, 60_000), ms(rng, 100, 25_000));
        world.faults.events.push(Fault { after, lasts, kind });
    }
    world.faults.journal = ms(rng, 0, 20);
    world.faults.byes_lost_permille = rng.random_range(0..200);
    world.faults.invites_lost_permille = rng.random_range(0..200);
    world
}

#[test]
fn the_invariants_hold_when_things_go_wrong() {
    let mut outcomes = BTreeMap::new();
    for seed in 0..300 {
        let run = faulty(seed).run();
        assert_eq!(run.violations, [], "seed {seed}");
        for call in &run.report.calls {
            assert_eq!(call.outcomes, 1, "seed {seed}: {call:?}");
            *outcomes.entry(call.outcome).or_insert(0) += 1;
        }
    }
    assert!(outcomes.len() >= 4 && outcomes.values().all(|count| *count > 50), "{outcomes:?}");
}

/// Calls in progress live on agents: a controller that is killed, or a link that is cut for less than the grace of
/// 30 s, costs no call its outcome, whatever happens at the agents meanwhile.
#[test]
fn a_lost_controller_costs_no_call_its_outcome() {
    let mut ended = 0;
    for seed in 0..200 {
        let mut world = faulty(seed);
        world.faults.events.retain(|fault| !matches!(fault.kind, FaultKind::AgentKilled { .. }));
        // Even one after the other they stay below the grace.
        world
            .faults
            .events
            .iter_mut()
            .for_each(|fault| fault.lasts = fault.lasts.min(Span::from_secs(5)));
        let (after, kind) = (Span::from_secs(3), FaultKind::ControllerKilled);
        world.faults.events.push(Fault { after, lasts: Span::from_secs(6), kind });
        let run = world.run();
        assert_eq!(run.violations, [], "seed {seed}");
        let in_doubt =
            [Reason::InDoubtAgentLost, Reason::InDoubtAgentRestarted, Reason::InDoubtJournalLost];
        for reason in in_doubt {
            assert_eq!(run.endings.get(&reason), None, "seed {seed}: {:?}", run.endings);
        }
        ended += run.endings.values().sum::<u64>();
    }
    assert!(ended > 5_000, "{ended} calls");
}

/// The watch would notice a quarantine that ends before the carrier has given the channel up.
#[test]
fn a_planted_short_quarantine_is_found() {
    let too_short = |seed| {
        let mut world = faulty(seed);
        world.capacity.declaration.carriers[0].quarantine = Span::from_millis(500);
        world.run()
    };
    let found = (0..60).filter(|seed| !too_short(*seed).violations.is_empty()).count();
    assert!(found > 5, "found {found} times");
}

/// The watch would notice a ledger with one channel more than the contract, or twice its set-ups.
#[test]
fn a_planted_breach_of_the_contract_is_found() {
    let (mut channels, mut rate) = (0, 0);
    for seed in 0..60 {
        let mut wrong = world(seed);
        wrong.capacity.declaration.carriers[0].channels.both += 1;
        wrong.capacity.declaration.carriers[0].service_ports =
            wrong.capacity.declaration.carriers[0].channels.both;
        channels += u32::from(!wrong.run().violations.is_empty());
        let mut wrong = world(seed);
        let spacing = &mut wrong.capacity.declaration.carriers[0].setup_spacing;
        *spacing = Span(spacing.as_micros() / 2);
        rate += u32::from(!wrong.run().violations.is_empty());
    }
    assert!(channels > 5 && rate > 5, "found {channels} and {rate} times");
}
