//! `examples/demo` in virtual time, through the production cores (SPEC MT-2, MT-3, MT-4, MT-11, MT-12, MT-16).

#![expect(
    clippy::disallowed_methods,
    reason = "the test reads the demo's files for the pure simulator"
)]

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use busyhour_base::{Reason, Timestamp};
use busyhour_controller_core::Options;
use busyhour_crds::{load, read_folder};
use busyhour_simulations::{
    report::compare,
    scenario,
    simulator::{Capacity, Documents, Input, Latencies, Run, SpeechLengths, simulate},
};

const START: Timestamp = Timestamp(1_800_000_000_000_000);

fn documents(folder: &Path) -> Documents {
    let files = fs::read_dir(folder).expect("documents").map(|entry| entry.expect("entry").path());
    let named = files.map(|path| {
        let name = path.file_name().expect("name").to_string_lossy().into_owned();
        (name, fs::read(&path).expect("readable"))
    });
    named.collect()
}

fn demo(latencies: Latencies) -> Run {
    demo_with(latencies, &[])
}

/// With pieces of the scenario's text replaced by others.
fn demo_with(latencies: Latencies, changes: &[(&str, &str)]) -> Run {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/demo");
    let mut files = read_folder(&folder).unwrap_or_else(|errors| panic!("{errors}"));
    let file = files.iter_mut().find(|f| f.path.ends_with("scenario.yaml")).expect("a scenario");
    for (from, to) in changes {
        assert!(file.text.contains(from), "{from}");
        file.text = file.text.replacen(from, to, 1);
    }
    let declared = load(&files).unwrap_or_else(|errors| panic!("{errors}"));
    let scenario = scenario::load(&files, &declared).unwrap_or_else(|errors| panic!("{errors}"));
    simulate(&Input {
        capacity: &Capacity::from(&declared),
        scenario: &scenario,
        documents: &documents(&folder.join("documents")),
        speech: &SpeechLengths::default(),
        latencies,
        start: START,
    })
}

#[test]
fn the_demo_keeps_every_promise_and_binds_its_channels() {
    let run = demo(Latencies::default());
    assert_eq!(run.violations, [], "{}", run.report.table());
    assert_eq!(run.warnings, Vec::<String>::new());
    assert_eq!(run.report.failures(), Vec::<String>::new());
    for tenant in &run.report.tenants {
        assert_eq!((tenant.accepted, tenant.outcomes.total()), (60, 60));
        let error = tenant.spacing_error.expect("the throttle binds");
        assert_eq!(error.max_us, 0, "virtual time has no jitter");
        assert!(
            tenant.outcomes.completed > 30
                && tenant.outcomes.busy > 3
                && tenant.outcomes.no_answer > 1
        );
        assert!(tenant.with_digits > 20, "{tenant:?}");
    }
    let carrier = &run.report.carriers[0];
    assert!(
        (30..=34).contains(&carrier.channels_peak) && carrier.breaches == 0,
        "more is offered than there are channels: {carrier:?}"
    );
    let answered: u64 = run.report.inbound.iter().map(|calls| calls.answered).sum();
    let heard: u64 = run.report.inbound.iter().map(|calls| calls.speech_heard).sum();
    assert_eq!((answered, heard), (20, 20), "{:?}", run.report.inbound);
    let sent: u64 = run.report.messages.iter().map(|messages| messages.accepted).sum();
    let ended = run.report.messages.iter().flat_map(|messages| messages.outcomes.values());
    assert_eq!((sent, ended.sum::<u64>()), (26, 26), "{:?}", run.report.messages);
    // The batch passes the throttle of its number, a segment per second, once its run-up is over and the carrier has room.
    let texts = run.report.messages[0].messages.iter().filter(|row| row.to.starts_with("+155516"));
    let starts: Vec<_> = texts.map(|row| row.start_us.expect("it is sent")).collect();
    assert!(starts[0] >= Options::BATCH_RUN_UP.as_micros(), "{starts:?}");
    let spacing: Vec<_> = starts.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(spacing, [1_000_000; 11]);
    let written: Vec<_> =
        run.report.writers.iter().map(|of| (of.brought, of.received, of.writers.len())).collect();
    assert_eq!(written, [(4, 4, 4), (3, 3, 3)], "{:?}", run.report.writers);
    let held = |reason| run.report.calls.iter().filter(|call| call.held_by == reason).count();
    assert!(
        held(Reason::CarrierChannels) > 5 && held(Reason::Throttle) > 40,
        "{:?}",
        run.report.tenants
    );
    let lasted = Duration::from_micros(run.report.lasted_us);
    assert!((60..130).contains(&lasted.as_secs()), "{lasted:?}");
}

/// One batch at a fraction of its tenant's rate, one with few calls at once, and one of messages below its number's rate.
#[test]
fn a_batch_keeps_to_its_pacing() {
    let run = demo_with(
        Latencies::default(),
        &[
            ("tenant: clinic\n", "tenant: clinic\n      pacing: {cps: 0.4}\n"),
            ("tenant: survey\n", "tenant: survey\n      pacing: {max_concurrent: 5}\n"),
            ("kind: messages\n", "kind: messages\n      pacing: {cps: 0.7}\n"),
        ],
    );
    assert_eq!((run.violations, run.report.failures()), (vec![], vec![]));
    let calls = |tenant| run.report.calls.iter().filter(move |call| call.tenant == tenant);
    let paced: Vec<_> = calls("clinic").collect();
    for pair in paced.windows(2) {
        let apart = pair[1].start_us.expect("start") - pair[0].start_us.expect("start");
        let exact = pair[1].held_by == Reason::BatchThrottle;
        assert!(apart >= 2_500_000 && (!exact || apart == 2_500_000), "{pair:?}");
    }
    let texts = run.report.messages[0].messages.iter();
    let texts = texts.filter(|row| row.to.starts_with("+15551600"));
    let starts: Vec<_> = texts.map(|row| row.start_us.expect("it is sent")).collect();
    let apart: Vec<_> = starts.windows(2).map(|pair| pair[1] - pair[0]).collect();
    // A second by 0.7, rounded up; now and then the carrier's own rate makes it more.
    let exact = apart.iter().filter(|apart| **apart == 1_428_572).count();
    assert!(exact > 5 && apart.iter().all(|apart| *apart >= 1_428_572), "{apart:?}");
    let spans =
        calls("survey").map(|call| call.start_us.expect("start")..call.end_us.expect("end"));
    let spans: Vec<_> = spans.collect();
    let up = |at| spans.iter().filter(|span| span.contains(at)).count();
    assert_eq!(spans.iter().map(|span| up(&span.start)).max(), Some(5));
    let held = |tenant, reason| calls(tenant).filter(|call| call.held_by == reason).count();
    assert!(held("clinic", Reason::BatchThrottle) > 40);
    assert!(held("survey", Reason::BatchConcurrency) > 20);
}

#[test]
fn the_same_input_gives_the_same_run_to_the_last_bit() {
    assert_eq!(demo(Latencies::default()), demo(Latencies::default()));
}

/// The report of a run with the latencies of a real machine differs from the ideal one by little: what the live
/// demo is held to.
#[test]
fn small_latencies_change_starts_a_little_and_outcomes_not_at_all() {
    use busyhour_base::Span;
    let ideal = demo(Latencies::default());
    let real = Latencies {
        control: Span::from_millis(1),
        signalling: Span::from_micros(300),
        web: Span::from_millis(1),
        speech: Span::from_millis(2),
        synthesis: Span::from_millis(12),
    };
    let real = demo(real);
    assert_eq!(real.violations, []);
    let tolerance = Span::from_millis(250);
    let comparison = compare(&real.report, &ideal.report, tolerance);
    assert!(comparison.agrees(), "{comparison:?}");
    // Nobody's turn comes before another's here, since the latencies are the same for all.
    let most = comparison.start_difference_max;
    assert!(Span::ZERO < most && most <= tolerance, "{most}");
    let outcomes: BTreeMap<_, _> =
        real.report.calls.iter().map(|call| (&call.to, call.outcome)).collect();
    assert_eq!(outcomes.len(), 120);
}

/// The comparison of a live run with its simulation is worth no more than the lengths of speech.
#[test]
fn every_sentence_of_the_demo_has_a_measured_length() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/demo");
    let files = read_folder(&folder).expect("the demo");
    let scenario = scenario::load(&files, &load(&files).expect("declared")).expect("scenario");
    let mut sentences = 0;
    for (name, document) in documents(&folder.join("documents")) {
        let text = String::from_utf8(document).expect("UTF-8");
        for say in text.split("<Say").skip(1) {
            let words = say
                .split_once('>')
                .and_then(|(_, rest)| rest.split_once("</Say>"))
                .expect("a Say")
                .0;
            assert!(scenario.speech.contains_key(words.trim()), "{name}: {words}");
            sentences += 1;
        }
    }
    assert!(sentences >= 16, "{sentences}");
}
