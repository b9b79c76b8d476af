//! Kill -9 at any moment: every accepted call gets exactly one outcome, and the carrier, by its own account,
//! never sees a number dialled twice (`RELIABILITY.md`, invariants 1 to 3; MT-1, DC-2).

mod support;

use std::{collections::BTreeMap, time::Duration};

use support::{Running, outcomes_by_reason, until};

/// Lets the installation run until this many calls have ended.
async fn ended(running: &Running, at_least: u64) {
    until("calls to end", Duration::from_secs(120), async || {
        let counts = running.counts().await.ok()?;
        (counts.ended() >= at_least).then_some(())
    })
    .await;
}

/// What must hold after any fault, once everything has drained.
async fn nothing_was_lost_or_dialled_twice(running: &mut Running) -> BTreeMap<String, u64> {
    let results = running.drained().await;
    let account = running.carrier_account().await;
    assert_eq!(account.duplicates.numbers, 0, "a number was dialled twice");
    assert_eq!(account.duplicates.call_ids, 0, "a Call-ID was used twice");
    assert_eq!(account.breaches(), 0, "the contract was breached: {account:?}");
    for (tenant, lines) in &results {
        let mut numbers: Vec<_> = lines.iter().map(|line| line["to"].as_str().unwrap()).collect();
        let all = numbers.len();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), all, "{tenant}: a call has two outcomes");
        assert_eq!(all as u64, running.submitted(tenant), "{tenant}: a call has no outcome");
    }
    outcomes_by_reason(&results)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_controller_killed_again_and_again_loses_nothing_and_dials_nothing_twice() {
    let mut running = Running::start("crash-controller", "quick").await;
    running.submit_all().await;
    for round in 1..=5 {
        ended(&running, round * 25).await;
        running.stage.take("controller").unwrap().kill().await.unwrap();
        running.stage.start_controller(&[]).await.unwrap();
    }
    let reasons = nothing_was_lost_or_dialled_twice(&mut running).await;
    // The agents lived through it, so that no call can be in doubt.
    assert!(reasons.keys().all(|reason| !reason.starts_with("in_doubt")), "{reasons:?}");
    running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_killed_and_started_again_ends_its_calls_in_doubt_and_redials_none() {
    let mut running = Running::start("crash-agent", "quick").await;
    running.submit_all().await;
    for round in 1..=3 {
        ended(&running, round * 30).await;
        running.stage.take("agent-1").unwrap().kill().await.unwrap();
        running.start_agent(1).await;
    }
    let reasons = nothing_was_lost_or_dialled_twice(&mut running).await;
    assert!(reasons.contains_key("in_doubt_agent_restarted"), "no call was up: {reasons:?}");
    running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_never_comes_back_leaves_its_calls_failed_with_their_reason() {
    let mut running = Running::start_with("crash-gone", "quick", &["--agent-grace-s", "2"]).await;
    running.submit_all().await;
    ended(&running, 30).await;
    running.stage.take("agent-2").unwrap().kill().await.unwrap();
    let reasons = nothing_was_lost_or_dialled_twice(&mut running).await;
    assert!(reasons.contains_key("in_doubt_agent_lost"), "no call was up: {reasons:?}");
    running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_lost_its_journal_redials_nothing() {
    let mut running = Running::start("crash-journal", "quick").await;
    running.submit_all().await;
    ended(&running, 30).await;
    running.stage.take("agent-1").unwrap().kill().await.unwrap();
    std::fs::remove_dir_all(running.stage.folder().join("agent-1")).unwrap();
    running.start_agent(1).await;
    let reasons = nothing_was_lost_or_dialled_twice(&mut running).await;
    assert!(reasons.contains_key("in_doubt_journal_lost"), "no call was up: {reasons:?}");
    running.end().await;
}
