//! Kill -9 at any moment: every accepted call gets exactly one outcome, and the carrier, by its own account,
//! never sees a number dialled twice (`RELIABILITY.md`, invariants 1 to 3; MT-1, DC-2).

mod support;

use std::{collections::BTreeMap, time::Duration};

use busyhour_base::Reason;
use support::{Running, outcomes_by_reason, tenant::answer, until};

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

/// How often a carrier within the controller was handed each message, by its own account, which outlives kills.
fn handed(running: &Running) -> BTreeMap<String, u32> {
    let account = running.stage.folder().join("controller/message-carriers/quay.ndjson");
    let mut handed = BTreeMap::new();
    for line in std::fs::read_to_string(account).unwrap_or_default().lines() {
        // A kill may have cut the last line off, which then was never answered.
        if let Ok(line) = serde_json::from_str::<serde_json::Value>(line) {
            *handed.entry(line["message"].as_str().unwrap().to_owned()).or_default() += 1;
        }
    }
    handed
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_neither_lost_nor_sent_twice_however_often_the_controller_is_killed() {
    let mut running = Running::start("crash-messages", "quick").await;
    let tenant = running.tenant("north");
    let mut sids = Vec::new();
    for n in 0..120 {
        let body = format!("number {n}");
        let form = [("To", "+15553000001"), ("From", "+15550100001"), ("Body", &*body)];
        let path = tenant.path("Messages.json");
        let answer = answer(tenant.request(reqwest::Method::POST, &path).form(&form)).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        sids.push(answer.json()["sid"].as_str().unwrap().to_owned());
    }
    for round in 1..=3 {
        until("messages to be sent", Duration::from_secs(60), async || {
            (handed(&running).len() >= round * 30).then_some(())
        })
        .await;
        running.stage.take("controller").unwrap().kill().await.unwrap();
        running.stage.start_controller(&[]).await.unwrap();
    }
    let mut in_doubt = 0;
    for sid in &sids {
        let path = tenant.path(&format!("Messages/{sid}.json"));
        let ended = until("a message to end", Duration::from_secs(60), async || {
            let message = tenant.get(&path).await.json();
            let ends = ["delivered", "undelivered", "failed"];
            ends.contains(&message["status"].as_str()?).then_some(message)
        })
        .await;
        let why = ended["error_message"].as_str().unwrap_or_default();
        in_doubt += usize::from(why == Reason::InDoubtRestart.message());
    }
    let handed = handed(&running);
    assert!(handed.values().all(|times| *times == 1), "a message was sent twice: {handed:?}");
    assert!(
        handed.len() + in_doubt >= sids.len(),
        "{} handed over, {in_doubt} in doubt",
        handed.len()
    );
    running.end().await;
}
