//! Declared documents that break while the controller runs: the error names file, line, field and what is allowed,
//! and the last good set stays in force as a whole until the documents are right again.

use std::{fs, time::Duration};

use super::{Running, serves, unharmed, victim};
use crate::support::until;

/// A look each half a second, and two that must agree; the rest is for a slow machine.
const PICKED_UP_WITHIN: Duration = Duration::from_secs(60);

/// Status and text of `/readyz`.
async fn readiness(running: &Running) -> (u16, String) {
    let url = format!("{}/readyz", running.api.base());
    let response = reqwest::get(url).await.expect("the API answers");
    (response.status().as_u16(), response.text().await.unwrap())
}

/// Waits until `/readyz` says all of this, or that all is well if it is nothing.
async fn says(running: &Running, words: &[&str]) {
    until(&format!("/readyz to say {words:?}"), PICKED_UP_WITHIN, async || {
        let (now, text) = readiness(running).await;
        let well = text == "ready\n";
        (now == 200 && well == words.is_empty() && words.iter().all(|word| text.contains(word)))
            .then_some(())
    })
    .await;
}

async fn channels(running: &Running) -> u64 {
    let overview = running.api.overview().await.unwrap_or_else(|error| panic!("{error:#}"));
    overview["carriers"][0]["channels"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_declarations_change_nothing_until_they_are_repaired() {
    let (running, tenant) = victim("bad-declarations").await;
    let file = running.stage.declarations().join("capacity.yaml");
    let good = fs::read_to_string(&file).unwrap();
    assert_eq!(channels(&running).await, 20);
    let bad = [
        ("channels: 20", "channels: many", "spec.channels", "a whole number"),
        ("channels: 20", "channels: 0", "spec.channels", "1 to 1000000"),
        ("codecs: [PCMU]", "codecs: [G729]", "spec.codecs[0]", "PCMU, PCMA"),
        (
            "role: Router",
            "rule: Router",
            "spec.rule",
            "agents, allowedNetworks, first, floors, halfLife, messageOrder, order, role",
        ),
        ("role: Router", "role: Rooter", "spec.role", "Router"),
        ("kind: Pool", "kind: Pond", "kind", "Application, Carrier, Number, Pool, Tenant"),
        ("tenant: south, app", "tenant: sud, app", "spec.tenant", "north, south"),
        ("role: Router", "role: [Router", "", "',' or ']'"),
        ("[\"+1555\"]", "7", "spec.allowedDestinations", "a list"),
    ];
    for (right, wrong, field, allowed) in bad {
        let line = good.lines().position(|line| line.contains(right)).unwrap() + 1;
        // A change for the better goes with it, and must not be taken over by itself.
        let text = good.replacen(right, wrong, 1).replace("channels: 20", "channels: 33");
        fs::write(&file, text).unwrap();
        // Broken syntax is noticed where the parser stops.
        let place =
            if field.is_empty() { "capacity.yaml:" } else { &format!("capacity.yaml:{line}:") };
        says(&running, &[place, field, allowed]).await;
        assert_eq!(channels(&running).await, 20, "{wrong}: taken over in part");
        serves(&tenant).await;
    }
    let log = fs::read_to_string(running.stage.folder().join("controller.log")).unwrap();
    assert!(log.contains("capacity.yaml:") && log.contains("the last good ones stay in force"));

    // A token that is broken is not shown.
    let token = tenant.account.token.as_str();
    fs::write(
        &file,
        good.replace(&format!("authToken: {token}"), &format!("authToken: [{token}]")),
    )
    .unwrap();
    says(&running, &["spec.authToken"]).await;
    assert!(!readiness(&running).await.1.contains(token), "the token is shown");

    fs::write(&file, good.replace("channels: 20", "channels: 21")).unwrap();
    says(&running, &[]).await;
    assert_eq!(channels(&running).await, 21);
    unharmed(running, &tenant).await;
}
