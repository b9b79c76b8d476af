//! The demo's scenario is read against its declaration; every fault names file, line, field and what is allowed.

use std::path::Path;

use busyhour_base::{Span, Timestamp};
use busyhour_controller_core::spec::{Kind, Rest};
use busyhour_crds::{SourceFile, load, read_folder};
use busyhour_simulations::scenario::{self, Batch};

fn demo() -> Vec<SourceFile> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/demo");
    read_folder(&folder).unwrap_or_else(|errors| panic!("{errors}"))
}

/// The error when a text of the scenario is replaced by another.
fn error_with(from: &str, to: &str) -> String {
    let mut files = demo();
    let declared = load(&files).expect("the demo's declaration");
    let file = files.iter_mut().find(|f| f.path.ends_with("scenario.yaml")).expect("a scenario");
    assert!(file.text.contains(from), "{from}");
    file.text = file.text.replacen(from, to, 1);
    let errors = scenario::load(&files, &declared).expect_err(to).to_string();
    errors.rsplit_once("/examples/demo/").map_or(errors.clone(), |(_, rest)| rest.to_owned())
}

#[test]
fn the_demo_is_a_scenario_of_two_batches_of_calls_and_one_of_messages() {
    let files = demo();
    let scenario = scenario::load(&files, &load(&files).expect("declaration")).expect("scenario");
    let lines = |batch: &Batch| (batch.tenant.clone(), batch.kind(), batch.count);
    let lines: Vec<_> = scenario.batches.iter().map(lines).collect();
    let [clinic, survey] = ["clinic", "survey"].map(str::to_owned);
    let calls = Kind::Call;
    assert_eq!(
        lines,
        [(clinic.clone(), calls, 60), (survey, calls, 60), (clinic, Kind::Message, 12)]
    );
    let called: Vec<_> = scenario.batches[0].numbers().collect();
    let name = |to: &str, name: &str| (to.to_owned(), name.to_owned());
    assert_eq!(called[0], name("+15551000001", "reminders-0"));
    assert_eq!(called[59], name("+15551000060", "reminders-59"));
    let at = Timestamp(1_000_000);
    let Rest::Message(text) = scenario.batches[2].line(at) else { panic!("it is of messages") };
    assert_eq!((text.expires, &*text.spec.from), (Some(at + Span::from_secs(600)), "+15550100003"));
    assert!(text.body.text().starts_with("The city clinic"), "{:?}", text.body);
}

#[test]
fn every_fault_names_file_line_field_and_what_is_allowed() {
    let cases = [
        (
            "weight: 58",
            "weight: 0",
            "spec.behaviour[0].weight: 0 is out of bounds; allowed: 1 to 1000000",
        ),
        (
            "reaction: busy",
            "reaction: sleepy",
            "spec.behaviour[2].reaction: \"sleepy\" is not one of the allowed values; allowed: answer, busy, reject, noAnswer",
        ),
        (
            "code: 603",
            "code: 200",
            "spec.behaviour[3].code: 200 is out of bounds; allowed: 400 to 699",
        ),
        ("      code: 603\n", "", "spec.behaviour[3]: code is missing; allowed: reject with code"),
        (
            "reaction: noAnswer",
            "reaction: noAnswer\n      code: 486",
            "spec.behaviour[4].code: code means nothing with noAnswer",
        ),
        (
            "max: 30s",
            "max: 9s",
            "spec.behaviour[0].patience.max: 9s is out of bounds; allowed: 10s to 1d",
        ),
        (
            "mean: 17s",
            "mean: 35s",
            "spec.behaviour[0].patience.mean: 35s is out of bounds; allowed: 10s to 30s",
        ),
        (
            "tenant: clinic",
            "tenant: klinic",
            "spec.batches[0].tenant: there is no tenant \"klinic\"; allowed: clinic, survey",
        ),
        (
            "application: reminder",
            "application: question",
            "spec.batches[0].application: tenant \"clinic\" has no application \"question\"; allowed: closed, reminder",
        ),
        (
            "from: \"+15550100001\"",
            "from: \"+15550100002\"",
            "spec.batches[0].from: tenant \"clinic\" has no number +15550100002; allowed: +15550100001",
        ),
        (
            "+15551000001",
            "+99999999990",
            "spec.batches[0].calls: 60 calls from +99999999990 on go beyond its digits",
        ),
        (
            "+15551000001",
            "+49301000001",
            "spec.batches[0].firstTo: tenant \"clinic\" may not call all of +49301000001 to +49301000060; allowed: +1555",
        ),
        (
            "      kind: messages\n",
            "",
            "spec.batches[2]: calls is missing; allowed: a batch of calls with calls",
        ),
        (
            "kind: messages",
            "kind: faxes",
            "spec.batches[2].kind: \"faxes\" is not one of the allowed values; allowed: calls, messages",
        ),
        (
            "validity: 10m",
            "validity: 11h",
            "spec.batches[2].validity: 11h is out of bounds; allowed: 1s to 10h",
        ),
        (
            "validity: 10m",
            "ringTimeout: 10s",
            "spec.batches[2].ringTimeout: ringTimeout means nothing with a batch of messages; allowed: a batch of messages without ringTimeout",
        ),
        (
            "calls: 60",
            "calls: 60\n      pacing: {cps: 0}",
            "spec.batches[0].pacing.cps: 0 is out of bounds; allowed: a number of calls, or segments, per second from 1/86400 to 100000",
        ),
        (
            "messages: 12",
            "messages: 12\n      pacing: {cps: 100000.5}",
            "spec.batches[2].pacing.cps: 100000.5 is out of bounds; allowed: a number of calls, or segments, per second from 1/86400 to 100000",
        ),
        (
            "calls: 60",
            "calls: 60\n      pacing: {cps: fast}",
            "spec.batches[0].pacing.cps: \"fast\" is of the wrong type; allowed: a number",
        ),
        (
            "calls: 60",
            "calls: 60\n      pacing: {cps: .nan}",
            "spec.batches[0].pacing.cps: nothing is of the wrong type; allowed: a number",
        ),
        (
            "calls: 60",
            "calls: 60\n      pacing: {max_concurrent: .inf}",
            "spec.batches[0].pacing.max_concurrent: nothing is of the wrong type; allowed: a whole number",
        ),
        (
            "calls: 60",
            "calls: 60\n      pacing: {max_concurrent: 0}",
            "spec.batches[0].pacing.max_concurrent: 0 is out of bounds; allowed: 1 to 4294967295",
        ),
        (
            "calls: 60",
            "calls: 60\n      pacing: {max_concurrent: 1.5}",
            "spec.batches[0].pacing.max_concurrent: 1.5 is of the wrong type; allowed: a whole number",
        ),
        (
            "calls: 60",
            "calls: 60\n      pacing: {maxConcurrent: 5}",
            "spec.batches[0].pacing.maxConcurrent: there is no such field; allowed: cps, max_concurrent",
        ),
        (
            "messages: 12\n",
            "\n",
            "spec.batches[2]: messages is missing; allowed: a batch of messages with messages",
        ),
        (
            "to: \"+15550100003\", from",
            "to: \"+15550100009\", from",
            "spec.callers[2].to: no application answers +15550100009; allowed: +15550100001, +15550100003, +15550100002",
        ),
        (
            "listens: {min: 5s}",
            "listens: {min: 5ms}",
            "spec.callers[2].listens.min: 5ms is out of bounds; allowed: 1s to 1d",
        ),
        (
            "every: {min: 8s, max: 12s}, listens: {min: 5s}",
            "every: {min: 8s, max: 12s}, listens: {min: 5s}, carrier: bay",
            "spec.callers[2].carrier: there is no carrier \"bay\" that calls in; allowed: harbour",
        ),
        (
            "tenant: survey, from: \"+15550100002\"",
            "tenant: survey, from: \"+15550100001\"",
            "spec.messages[1].from: tenant \"survey\" has no number +15550100001; allowed: +15550100002",
        ),
        (
            "firstTo: \"+15552800001\"",
            "firstTo: \"+49302800001\"",
            "spec.messages[1].firstTo: tenant \"survey\" may not call all of +49302800001 to +49302800006; allowed: +1555",
        ),
        (
            "kind: Scenario",
            "kind: Story",
            "kind: \"Story\" is not one of the allowed values; allowed: Scenario",
        ),
        (
            "press: \"1\"",
            "press: \"x\"",
            "spec.behaviour[0].keys.choices[0].press: \"x\" does not have the right form",
        ),
    ];
    for (from, to, expected) in cases {
        let found = error_with(from, to);
        assert!(found.starts_with("scenario.yaml:"), "{found}");
        assert!(found.contains(expected), "for {to:?}\n  found {found}\n  expected {expected}");
    }
    assert!(
        error_with("simulations.busyhour.dev", "elsewhere.example")
            .contains("no document is a scenario")
    );
}
