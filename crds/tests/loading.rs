//! A folder of documents is taken over as a whole or refused with every fault named by file, line, field
//! and what is allowed (`RELIABILITY.md`, YAML and CRDs; SPEC MT-2, MT-3, MT-11, MT-12).

use std::{fs, path::PathBuf};

use busyhour_base::Span;
use busyhour_controller_core::spec::{Cap, Excess};
use busyhour_crds::{Declared, LoadErrors, SourceFile, load, load_folder};
use proptest::{collection::vec, prelude::*, sample::Index};

const GOOD: &str = r#"# A carrier and a tenant.
apiVersion: busyhour.dev/v1alpha1
kind: Carrier
metadata: {name: harbour}
spec:
  address: 127.0.0.1:5070
  codecs: [PCMA, PCMU]
  channels: 30
  callsPerSecond: 5
  servicePorts: 28
---
apiVersion: busyhour.dev/v1alpha1
kind: Tenant
metadata:
  name: clinic
spec:
  account: AC0123456789abcdef0123456789abcdef
  authToken: hunter2hunter2
  throttle:
    callsPerSecond: 3
  caps:
    - calls: 500
      per: 24h
    - {calls: 10, per: 1m}
  excess: refuse
  allowedDestinations: ["+4930"]
---
# Only a comment.
---
apiVersion: simulations.busyhour.dev/v1alpha1
kind: Scenario
anything: [1, 2]
---
apiVersion: busyhour.dev/v1alpha1
kind: Application
metadata: {name: reminder}
spec:
  tenant: clinic
  sid: AP0123456789abcdef0123456789abcdef
  voice: {url: "http://127.0.0.1:8081/reminder.xml?to={To}"}
---
apiVersion: busyhour.dev/v1alpha1
kind: Number
metadata: {name: clinic-desk}
spec: {number: "+493012345678", tenant: clinic, application: reminder}
---
apiVersion: busyhour.dev/v1alpha1
kind: Pool
metadata: {name: routers}
spec: {role: Router, agents: 2, slotsPerAgent: 40, allowedNetworks: [127.0.0.0/8]}
"#;

fn read(text: &str) -> Result<Declared, LoadErrors> {
    load(&[SourceFile { path: PathBuf::from("demo/all.yaml"), text: text.to_owned() }])
}

/// The errors of the good documents with one text replaced by another.
fn errors_with(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "{from}");
    read(&GOOD.replacen(from, to, 1)).expect_err(to).to_string()
}

#[test]
fn good_documents_become_a_declaration() {
    let declared = read(GOOD).expect("good documents");
    let declaration = declared.declaration();
    let carrier = &declaration.carriers[0];
    assert_eq!((carrier.channels.total(), carrier.service_ports), (30, 28));
    assert_eq!(carrier.setup_spacing, Span::from_millis(204));
    assert_eq!(carrier.quarantine, Span::from_secs(180));
    let limits = &declaration.tenants[0].limits;
    assert_eq!(limits.throttle.expect("throttle").spacing, Span(333_334), "rounded up");
    let (day, minute) = (Span::from_secs(86_400), Span::from_secs(60));
    assert_eq!(limits.caps, [Cap { count: 500, window: day }, Cap { count: 10, window: minute }]);
    assert_eq!((limits.excess, limits.wait_max), (Excess::Refuse, day));

    let (name, tenant) = declared.tenant_of(declaration.tenants[0].account).expect("by account");
    assert_eq!((name, tenant.token.reveal()), ("clinic", "hunter2hunter2"));
    assert!(tenant.spec.may_call("+4930123") && !tenant.spec.may_call("+4940123"));
    assert!(declared.owns_number("clinic", "+493012345678"));
    assert!(!declared.owns_number("clinic", "+493012345679"));
    assert!(!format!("{declared:?}").contains("hunter2"), "a token shows");
}

#[test]
fn every_fault_names_file_line_field_and_what_is_allowed() {
    let cases = [
        (
            "channels: 30",
            "channels: -3",
            "demo/all.yaml:8: spec.channels: -3 is out of bounds; allowed: 1 to 1000000",
        ),
        (
            "channels: 30",
            "channels: many",
            "demo/all.yaml:8: spec.channels: \"many\" is of the wrong type; allowed: a whole number",
        ),
        (
            "channels: 30",
            "channels: 9999999999999999999999",
            "demo/all.yaml:8: not YAML: spec.channels: ",
        ),
        (
            "channels: 30",
            "chanels: 30",
            "demo/all.yaml:8: spec.chanels: there is no such field; allowed: address, allocation, callsPerSecond, channels,",
        ),
        (
            "  channels: 30\n",
            "",
            "demo/all.yaml:5: spec: channels is missing; allowed: channels: Concurrent calls by contract",
        ),
        (
            "[PCMA, PCMU]",
            "[PCMA, G729]",
            "demo/all.yaml:7: spec.codecs[1]: \"G729\" is not one of the allowed values; allowed: PCMU, PCMA",
        ),
        (
            "servicePorts: 28",
            "servicePorts: 31",
            "demo/all.yaml:10: spec.servicePorts: 31 service ports are more than the channels; allowed: 1 to 30",
        ),
        (
            "127.0.0.1:5070",
            "127.0.0.1:70000",
            "demo/all.yaml:6: spec.address: port 70000 does not exist; allowed: 1 to 65535",
        ),
        (
            "kind: Carrier",
            "kind: Carier",
            "demo/all.yaml:3: kind: \"Carier\" is not a known kind; allowed: Application, Carrier, Number, Pool, Tenant",
        ),
        (
            "busyhour.dev/v1alpha1\nkind: Carrier",
            "busyhour.dev/v9\nkind: Carrier",
            "demo/all.yaml:2: apiVersion: \"busyhour.dev/v9\" is not a known version; allowed: busyhour.dev/v1alpha1,",
        ),
        (
            "callsPerSecond: 3",
            "{}",
            "demo/all.yaml:19: spec.throttle: one throttle is wanted; allowed: callsPerSecond or spacing",
        ),
        (
            "callsPerSecond: 3",
            "spacing: 1000d",
            "demo/all.yaml:20: spec.throttle.spacing: 1000d is out of bounds; allowed: 1ms to 1d",
        ),
        (
            "per: 24h",
            "per: a while",
            "demo/all.yaml:23: spec.caps[0].per: \"a while\" does not have the right form; allowed: text that matches",
        ),
        (
            "per: 24h",
            "per: 90d",
            "demo/all.yaml:23: spec.caps[0].per: 90d is out of bounds; allowed: 1s to 31d",
        ),
        (
            "per: 1m",
            "per: 60",
            "demo/all.yaml:24: spec.caps[1].per: 60 is of the wrong type; allowed: text",
        ),
        (
            "  authToken: hunter2hunter2\n",
            "",
            "demo/all.yaml:16: spec: the tenant has no token; allowed: authToken or authTokenFile",
        ),
        (
            "tenant: clinic\n",
            "tenant: klinic\n",
            "demo/all.yaml:38: spec.tenant: there is no tenant \"klinic\"; allowed: clinic",
        ),
        (
            "application: reminder",
            "application: remainder",
            "demo/all.yaml:45: spec.application: there is no application \"remainder\"; allowed: reminder",
        ),
        ("127.0.0.0/8", "127.0.0.0/99", "demo/all.yaml:50: spec.allowedNetworks[0]: "),
        (
            "name: clinic-desk",
            "name: Clinic Desk",
            "demo/all.yaml:44: metadata.name: \"Clinic Desk\" does not have the right form",
        ),
        (
            "callsPerSecond: 5",
            "callsPerSecond: 5\n  inbound: {networks: [10.0.0.1]}",
            "demo/all.yaml:10: spec.inbound.networks[0]: \"10.0.0.1\" does not have the right form",
        ),
        (
            "callsPerSecond: 5",
            "callsPerSecond: 5\n  inbound: {networks: [10.0.0.1/32], authenticate: true}",
            "demo/all.yaml:10: spec.inbound.authenticate: there is nothing to authenticate with; allowed: username and password",
        ),
        (
            "application: reminder}",
            "application: reminder, ringFor: 4m}",
            "demo/all.yaml:45: spec.ringFor: 4m is out of bounds; allowed: 1s to 3m",
        ),
        ("http://127", "ftp://127", "demo/all.yaml:40: spec.voice.url: "),
        ("{name: routers}", "{name: routers, name: again}", "demo/all.yaml:49: not YAML: "),
        ("{name: routers}", "{name: [routers}", "demo/all.yaml:49: not YAML: "),
    ];
    for (from, to, expected) in cases {
        let found = errors_with(from, to);
        assert!(
            found.lines().any(|line| line.starts_with(expected)),
            "for {to:?}\n  found {found}\n  expected {expected}"
        );
        assert!(found.lines().count() <= 2, "for {to:?}: {found}");
    }
}

#[test]
fn what_may_be_there_once_is_refused_twice() {
    let second = GOOD.replace("name: clinic\n", "name: other\n");
    let text = format!("{GOOD}---\n{}", second.split("---\n").nth(1).expect("the tenant"));
    let found = read(&text).expect_err("one account, two tenants").to_string();
    assert!(
        found.contains(
            "spec.account: AC0123456789abcdef0123456789abcdef is that of \"clinic\" already"
        ),
        "{found}"
    );
    let inbound = "callsPerSecond: 5\n  inbound: {networks: [10.1.0.0/16]}";
    let carrier = GOOD.split("---\n").next().expect("the carrier");
    let wider = carrier
        .replace("harbour", "other")
        .replace("callsPerSecond: 5", "callsPerSecond: 5\n  inbound: {networks: [10.0.0.0/8]}");
    let text = format!("{}---\n{wider}", GOOD.replacen("callsPerSecond: 5", inbound, 1));
    let found = read(&text).expect_err("one caller, two carriers").to_string();
    assert!(found.contains("10.0.0.0/8 overlaps 10.1.0.0/16 of carrier \"harbour\""), "{found}");
    let text = format!("{GOOD}---\n{}", GOOD.split("---\n").next().expect("the carrier"));
    let found = read(&text).expect_err("one name, two carriers").to_string();
    assert!(
        found.contains("metadata.name: \"harbour\" is declared already at demo/all.yaml:4"),
        "{found}"
    );
}

#[test]
fn all_faults_are_told_at_once_and_secrets_never() {
    let text =
        GOOD.replace("channels: 30", "channels: 0").replace("hunter2hunter2", "[hunter2hunter2]");
    let found = read(&text).expect_err("two faults");
    assert!(found.iter().count() >= 2, "{found}");
    assert!(
        found.to_string().contains("spec.authToken: the value (not shown) is of the wrong type"),
        "{found}"
    );
    assert!(!format!("{found} {found:?}").contains("hunter2"), "{found}");
}

#[test]
fn a_folder_is_read_with_its_secret_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let with_file = GOOD.replace("authToken: hunter2hunter2", "authTokenFile: clinic.token");
    fs::write(folder.path().join("all.yaml"), with_file).expect("written");
    fs::write(folder.path().join(".hidden.yaml"), "not: [yaml").expect("written");
    let found = load_folder(folder.path()).expect_err("the file is missing").to_string();
    assert!(
        found.contains("all.yaml:18: spec.authTokenFile: ") && found.contains("clinic.token"),
        "{found}"
    );
    fs::write(folder.path().join("clinic.token"), "swordfish\n").expect("written");
    let declared = load_folder(folder.path()).expect("a good folder");
    assert_eq!(declared.tenants["clinic"].token.reveal(), "swordfish");
    fs::write(folder.path().join("clinic.token"), "sword\nfish\n").expect("written");
    let found = load_folder(folder.path()).expect_err("two lines").to_string();
    assert!(found.contains("does not hold a secret") && !found.contains("fish\""), "{found}");
}

#[test]
fn hostile_files_are_refused_within_bounds() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("all.yaml");
    let refused = |bytes: &[u8], expected: &str| {
        fs::write(&path, bytes).expect("written");
        let found = load_folder(folder.path()).expect_err(expected).to_string();
        assert!(found.contains(expected), "{found}");
    };
    refused(b"kind: \xff", "all.yaml:1: the file is not UTF-8");
    refused(&vec![b' '; (4 << 20) + 1], "the file is too large; allowed: at most 4194304 bytes");
    refused("--- 1\n".repeat(20_001).as_bytes(), "too many documents");
    refused("[".repeat(10_000).as_bytes(), "not YAML");
    let laughs = (1..9).fold("a0: &a0 [x]\n".to_owned(), |text, n| {
        let before = format!("*a{},", n - 1).repeat(10);
        format!("{text}a{n}: &a{n} [{before}]\n")
    });
    refused(laughs.as_bytes(), "not YAML");
    refused(b"just text", "apiVersion");
    let many = "apiVersion: busyhour.dev/v1alpha1\nkind: Nothing\n---\n".repeat(5_000);
    fs::write(&path, many).expect("written");
    assert_eq!(
        load_folder(folder.path()).expect_err("unknown kinds").iter().count(),
        LoadErrors::MAX
    );
    assert!(load_folder(&folder.path().join("none")).is_err());
}

proptest! {
    /// Whatever is written, the loader answers: it takes it or names what is wrong, and never panics.
    #[test]
    fn any_damage_is_taken_or_refused(
        damages in vec((any::<Index>(), 0usize..12, "[ -~\\n]{0,12}"), 1..4),
    ) {
        let mut text = GOOD.to_owned();
        for (at, cut, put) in damages {
            let at = at.index(text.len());
            let end = (at + cut).min(text.len());
            text.replace_range(at..end, &put);
        }
        if let Err(errors) = read(&text) {
            prop_assert!(errors.iter().count() >= 1);
            prop_assert!(errors.iter().all(|error| !error.problem.is_empty()));
        }
    }
}

#[test]
fn an_empty_folder_declares_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    assert_eq!(load_folder(folder.path()), Ok(Declared::default()));
}

#[test]
fn the_demo_is_declared_without_a_fault() {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/demo"));
    let declaration =
        load_folder(&folder).unwrap_or_else(|errors| panic!("{errors}")).declaration();
    let spacings: Vec<_> =
        declaration.tenants.iter().map(|t| t.limits.throttle.map(|t| t.spacing)).collect();
    assert_eq!(
        spacings,
        [Some(Span::from_secs(1)), Some(Span::from_millis(500))],
        "in order of account"
    );
    let channels = declaration.carriers[0].channels;
    assert_eq!((channels.both, channels.inbound, channels.outbound), (30, 4, 0));
}
