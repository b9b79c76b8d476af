//! `calls.list`: one list over what lives and what is recorded.

use std::{collections::BTreeSet, sync::Arc};

use axum::body::Body;
use busyhour_base::{CallSpec, Direction, Instructions, Outcome, Span, StatusEvents};
use busyhour_controller_core::{
    command::{Command, Submit},
    spec::NewCall,
};
use http::Request;
use serde_json::Value;

use crate::support::{B, NUMBER_A, NUMBER_B, Rig, basic, calls};

/// Walks all pages and gives the sids, in order.
async fn walk(rig: &Rig, query: &str) -> Vec<String> {
    let mut path = format!("{}?{query}", calls());
    let mut sids = Vec::new();
    for _ in 0..1_000 {
        let answer = rig.get(&path).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let page = answer.json();
        shape(&page);
        let rows = page["calls"].as_array().unwrap();
        sids.extend(rows.iter().map(|row| row["sid"].as_str().unwrap().to_owned()));
        match page["next_page_uri"].as_str() {
            Some(next) => {
                assert!(next.starts_with("/2010-04-01/"), "{next}");
                path = next.to_owned();
            }
            None => return sids,
        }
    }
    panic!("no end of pages");
}

/// Exactly one key that an SDK does not know.
fn shape(page: &Value) {
    let known = BTreeSet::from([
        "end",
        "first_page_uri",
        "next_page_uri",
        "page",
        "page_size",
        "previous_page_uri",
        "start",
        "uri",
    ]);
    let keys: BTreeSet<&str> = page.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys.difference(&known).copied().collect::<Vec<_>>(), ["calls"]);
    assert!(known.is_subset(&keys));
}

/// Twelve calls: five recorded, two ended but not recorded, two in progress, three waiting. Gives sids, oldest first.
async fn mixed(rig: &Rig) -> Vec<String> {
    let mut sids = Vec::new();
    for n in 0..12 {
        sids.push(rig.call(&format!("+49301234{n:02}")).await);
    }
    let mut dials = Vec::new();
    for _ in 0..4 {
        dials.extend(rig.machine.pass(Span::from_secs(1)));
    }
    for (dial, outcome) in dials.iter().zip(Outcome::ALL) {
        rig.machine.end(dial, outcome);
    }
    rig.record().await;
    let mut dials = Vec::new();
    for _ in 0..4 {
        dials.extend(rig.machine.pass(Span::from_secs(1)));
    }
    rig.machine.end(&dials[0], Outcome::Busy);
    rig.machine.end(&dials[2], Outcome::Completed);
    sids
}

#[tokio::test]
async fn pages_of_any_size_hold_every_call_once_in_falling_order() {
    let rig = Rig::new().await;
    let mut sids = mixed(&rig).await;
    sids.reverse();
    for size in [1, 2, 3, 5, 11, 12, 13, 1_000] {
        assert_eq!(walk(&rig, &format!("PageSize={size}")).await, sids, "{size}");
    }
    assert_eq!(walk(&rig, "").await, sids);
}

/// A page leads back to those before it, as they were; beyond sixteen pages only to the first.
#[tokio::test]
async fn pages_lead_back_the_way_that_led_to_them() {
    let rig = Rig::new().await;
    for n in 0..20 {
        rig.call(&format!("+49301234{n:02}")).await;
    }
    let mut pages = vec![rig.get(&format!("{}?PageSize=1&Status=queued", calls())).await.json()];
    assert_eq!(pages[0]["previous_page_uri"], Value::Null);
    while let Some(next) = pages.last().unwrap()["next_page_uri"].as_str() {
        pages.push(rig.get(next).await.json());
    }
    assert_eq!(pages.len(), 20);
    for back in 1..16 {
        let here = &pages[back];
        let uri = here["previous_page_uri"].as_str().unwrap_or_else(|| panic!("{here}"));
        assert!(uri.len() < 1_024, "{uri}");
        let earlier = rig.get(uri).await.json();
        assert_eq!(earlier, pages[back - 1], "before page {back}");
    }
    let mut uri = pages[19]["previous_page_uri"].as_str().map(str::to_owned);
    let mut steps = 0;
    while let Some(path) = uri {
        steps += 1;
        uri = rig.get(&path).await.json()["previous_page_uri"].as_str().map(str::to_owned);
    }
    assert_eq!(steps, 15);
    let forged = format!("{}?Page=1&PageToken=PA{}", calls(), ["CA0"; 17].join("."));
    rig.get(&forged).await.is_error(400, 20001, &["PageToken", "next_page_uri"]);
}

#[tokio::test]
async fn a_call_that_is_in_both_places_is_listed_once() {
    let rig = Rig::new().await;
    let mut sids = mixed(&rig).await;
    sids.reverse();
    // Stored, but the state has not heard of it yet.
    rig.records.store(&rig.machine.outbox()).await.unwrap();
    for size in [1, 4, 50] {
        assert_eq!(walk(&rig, &format!("PageSize={size}")).await, sids, "{size}");
    }
}

#[tokio::test]
async fn calls_that_come_while_pages_are_walked_shift_nothing() {
    let rig = Rig::new().await;
    let mut sids = mixed(&rig).await;
    sids.reverse();
    let first = rig.get(&format!("{}?PageSize=5", calls())).await.json();
    rig.call("+4930999999").await;
    rig.record().await;
    let next = first["next_page_uri"].as_str().unwrap();
    let second = rig.get(next).await.json();
    let seen: Vec<&str> = second["calls"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["sid"].as_str().unwrap())
        .collect();
    assert_eq!(seen, sids[5..10]);
    assert_eq!(
        (&second["page"], &second["start"], &second["end"]),
        (&1.into(), &5.into(), &9.into())
    );
}

#[tokio::test]
async fn filters_choose_among_live_and_recorded_alike() {
    let rig = Rig::new().await;
    let sids = mixed(&rig).await;
    let chosen = async |query: &str| -> Vec<usize> {
        let mut found: Vec<usize> = walk(&rig, query)
            .await
            .iter()
            .map(|sid| sids.iter().position(|s| s == sid).unwrap())
            .collect();
        found.reverse();
        found
    };
    assert_eq!(chosen("To=%2B4930123403").await, [3]);
    assert_eq!(chosen("To=%2B49%2030%201234-03").await, [3]);
    assert_eq!(chosen("To=nobody").await, [0; 0]);
    assert_eq!(chosen(&format!("From={}", NUMBER_A.replace('+', "%2B"))).await.len(), 12);
    let busy = chosen("Status=busy&PageSize=1").await;
    let completed = chosen("Status=completed").await;
    let queued = chosen("Status=queued").await;
    assert_eq!((busy.len(), completed.len()), (2, 2), "{busy:?} {completed:?}");
    assert_eq!(chosen("Status=canceled").await, [4]);
    assert_eq!(queued, [6, 8, 9, 10, 11]);
    assert_eq!(chosen("ParentCallSid=CA00000000000000000000000000000000").await, [0; 0]);
    // Dialled at 12:00:00, 12:00:01 and so on.
    assert_eq!(chosen("StartTime=2026-03-10").await.len(), 9);
    assert_eq!(chosen("StartTime=2026-03-11").await, [0; 0]);
    assert_eq!(
        chosen("StartTime%3E=2026-03-10T12:00:02Z&StartTime%3C=2026-03-10T12:00:04Z").await,
        [2, 3, 4]
    );
    assert_eq!(chosen("StartTime=2026-03-10T12:00:05Z").await, [5]);
    assert_eq!(chosen("EndTime=2026-03-10T12:00:04Z&PageSize=2").await, [0, 1, 2, 3, 4]);
    assert_eq!(chosen("EndTime%3E=2026-03-10T12:00:05Z").await.len(), 2);
}

/// A filter that few of very many live calls match: no request looks at more than 10,000 of them, and where it stops
/// the page stops too, though the records below have a match.
#[tokio::test]
async fn a_page_ends_where_the_look_at_live_calls_ended() {
    let rig = Rig::new().await;
    let submit = |numbers: Vec<String>| {
        let one = |to: String| {
            NewCall::of(Arc::new(CallSpec {
                to,
                from: NUMBER_B.to_owned(),
                instructions: Instructions::Document("<Response/>".to_owned()),
                fallback: None,
                status_callback: None,
                status_events: StatusEvents::default(),
                send_digits: None,
                ring_timeout: Span::from_secs(60),
                time_limit: Span::from_secs(60),
                direction: Direction::OutboundApi,
            }))
        };
        let calls = numbers.into_iter().map(one).collect();
        rig.machine.apply(Command::Submit(Submit {
            account: B,
            idempotency: None,
            batch: None,
            calls,
        }));
    };
    submit(vec!["+4930777".to_owned(), "+4930777".to_owned()]);
    let dial = rig.machine.dials().remove(0);
    rig.machine.end(&dial, Outcome::Busy);
    rig.record().await;
    submit((0..10_500).map(|n| format!("+49301{n:06}")).collect());
    let mut path = format!("/2010-04-01/Accounts/{B}/Calls.json?To=%2B4930777&PageSize=5");
    let mut pages = Vec::new();
    while pages.len() < 10 {
        let request = Request::get(&path).header("authorization", basic(&B.to_string(), "token-b"));
        let page = rig.send(request.body(Body::empty()).unwrap()).await.json();
        let rows = page["calls"].as_array().unwrap();
        pages.push(
            rows.iter().map(|row| row["status"].as_str().unwrap().to_owned()).collect::<Vec<_>>(),
        );
        match page["next_page_uri"].as_str() {
            Some(next) => path = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(pages, [vec![], vec!["queued", "busy"]]);
}

#[tokio::test]
async fn wrong_filters_and_places_are_named() {
    let rig = Rig::new().await;
    for (query, word) in [
        ("Status=gone", "no-answer"),
        ("StartTime=soon", "StartTime"),
        ("EndTime%3C=2026-13-01", "EndTime<"),
        ("PageSize=many", "PageSize"),
        ("Page=2", "PageToken"),
        ("PageToken=PA1", "PageToken"),
        ("PageToken=PACA00000000000000000000000000000000", "PageToken"),
        ("To=%zz", "To"),
    ] {
        rig.get(&format!("{}?{query}", calls())).await.is_error(400, 20001, &[word]);
    }
    // Clamped, never refused.
    for (asked, given) in [("0", 1), ("5000", 1_000)] {
        let page = rig.get(&format!("{}?PageSize={asked}", calls())).await.json();
        assert_eq!(page["page_size"], given);
    }
}
