//! Throttles and caps at every scope, the order across tenants and its floors (SPEC MT-2, MT-3, MT-4, MT-6): what is
//! declared, and what is refused.

use std::path::PathBuf;

use busyhour_base::Span;
use busyhour_controller_core::spec::{AskedAs, Cap, Floors, OrderPolicy, Pace, Throttle};
use busyhour_crds::{Declared, LoadErrors, SourceFile, load};

const GOOD: &str = r#"apiVersion: busyhour.dev/v1alpha1
kind: Tenant
metadata: {name: clinic}
spec:
  account: AC0123456789abcdef0123456789abcdef
  authToken: hunter2hunter2
  weight: 3
  plan: 2
---
apiVersion: busyhour.dev/v1alpha1
kind: Application
metadata: {name: reminder}
spec:
  tenant: clinic
  sid: AP0123456789abcdef0123456789abcdef
  voice: {url: "http://127.0.0.1/reminder.xml"}
  throttle: {callsPerSecond: 4}
---
apiVersion: busyhour.dev/v1alpha1
kind: Number
metadata: {name: desk}
spec:
  number: "+4915112345678"
  tenant: clinic
  throttle: {spacing: 3s}
  caps: [{calls: 1, per: 1m}, {calls: 500, per: 1d}]
---
apiVersion: busyhour.dev/v1alpha1
kind: Pool
metadata: {name: routers}
spec:
  role: Router
  agents: 1
  slotsPerAgent: 10
  order: Weighted
  floors: {synchronous: 100, ordinary: 50}
---
apiVersion: busyhour.dev/v1alpha1
kind: Pool
metadata: {name: others}
spec: {role: Router, agents: 1, slotsPerAgent: 10, order: Weighted, floors: {synchronous: 100, ordinary: 50}}
"#;

fn read(text: &str) -> Result<Declared, LoadErrors> {
    load(&[SourceFile { path: PathBuf::from("all.yaml"), text: text.into() }])
}

fn complaint(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "{from} is in the documents");
    read(&GOOD.replacen(from, to, 1)).expect_err("it is refused").to_string()
}

#[test]
fn mt_2_mt_3_applications_and_numbers_have_paces_of_their_own() {
    let declaration = read(GOOD).unwrap_or_else(|errors| panic!("{errors}")).declaration();
    let tenant = &declaration.tenants[0];
    assert_eq!((tenant.limits.weight, tenant.limits.plan), (3, 2));
    let spaced = |micros| Some(Throttle { spacing: Span::from_micros(micros) });
    assert_eq!(tenant.applications.len(), 1);
    assert_eq!(tenant.applications[0].pace, Pace { throttle: spaced(250_000), caps: Vec::new() });
    let caps = vec![
        Cap { count: 1, window: Span::from_secs(60) },
        Cap { count: 500, window: Span::from_secs(86_400) },
    ];
    assert_eq!(declaration.numbers[0].pace, Pace { throttle: spaced(3_000_000), caps });
}

#[test]
fn mt_4_mt_6_the_order_and_its_floors_are_declared_with_the_pools() {
    let declaration = read(GOOD).unwrap_or_else(|errors| panic!("{errors}")).declaration();
    assert_eq!(declaration.order, OrderPolicy::Weighted);
    assert_eq!(declaration.floors, Floors { synchronous: 100, ordinary: 50 });
    let orders = [
        ("Alternating", OrderPolicy::Alternating),
        ("FirstComeFirstServed", OrderPolicy::FirstComeFirstServed),
        ("Plan", OrderPolicy::Plan),
        ("Kind", OrderPolicy::Kind { first: AskedAs::Single }),
        ("ResourceUse", OrderPolicy::ResourceUse { half_life: Span::from_secs(3_600) }),
        ("Random", OrderPolicy::Random { seed: 0 }),
    ];
    for (word, order) in orders {
        let declared = read(&GOOD.replace("Weighted", word));
        let declaration = declared.unwrap_or_else(|e| panic!("{e}")).declaration();
        assert_eq!((declaration.order, declaration.messages.order), (order, order));
        // Messages have another one than calls where it is declared apart.
        let apart = format!("Weighted\n  messageOrder: {word}\n");
        let text = GOOD.replace("Weighted\n", &apart);
        let text = text.replace("Weighted,", &format!("Weighted, messageOrder: {word},"));
        let declaration = read(&text).unwrap_or_else(|errors| panic!("{errors}")).declaration();
        let orders = (declaration.order, declaration.messages.order);
        assert_eq!(orders, (OrderPolicy::Weighted, order));
    }
    for (word, first) in [("Single", AskedAs::Single), ("BatchLine", AskedAs::BatchLine)] {
        let kind = format!("Kind\n  first: {word}\n");
        let text = GOOD.replace("Weighted\n", &kind);
        let declared = read(&text.replace("Weighted,", &format!("Kind, first: {word},")));
        let declared = declared.unwrap_or_else(|errors| panic!("{errors}"));
        assert_eq!(declared.declaration().order, OrderPolicy::Kind { first });
        assert_eq!(declared.declaration().messages.order, OrderPolicy::Kind { first });
    }
    let one_of_two = read(&GOOD.replace("Weighted\n", "Weighted\n  first: BatchLine\n"));
    assert!(one_of_two.is_err(), "pools agree on which kind goes first, too");
}

#[test]
fn what_cannot_hold_is_refused_with_its_place() {
    let cases = [
        ("{spacing: 3s}", "{spacing: 3s, callsPerSecond: 1}", "spec.throttle"),
        ("{callsPerSecond: 4}", "{spacing: 2d}", "spec.throttle.spacing"),
        ("per: 1m", "per: 1ms", "spec.caps[0].per"),
        ("weight: 3", "weight: 0", "spec.weight"),
        ("order: Weighted\n", "order: Random\n", "spec.order"),
        ("  order: Weighted\n", "  order: Weighted\n  messageOrder: Plan\n", "spec.messageOrder"),
        ("  order: Weighted\n", "  order: Weighted\n  messageOrder: Urgent\n", "spec.messageOrder"),
        ("  order: Weighted\n", "  order: Kind\n  first: Messages\n", "spec.first"),
        ("ordinary: 50}\n---", "ordinary: 40}\n---", "spec.floors"),
        ("ordinary: 50}\n---", "ordinary: 501}\n---", "spec.floors.ordinary"),
        ("  order: Weighted\n", "  order: Weighted\n  halfLife: 0s\n", "spec.halfLife"),
    ];
    for (from, to, place) in cases {
        let said = complaint(from, to);
        assert!(said.contains(place), "{place} is named: {said}");
    }
}
