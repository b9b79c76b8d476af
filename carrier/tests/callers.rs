//! A carrier whose customers call in (MT-9, MT-13), at another carrier that takes the calls by a script of its own.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use busyhour_base::{
    AccountSid, CallSpec, Direction, Instructions, Method, Span, StatusEvents, Webhook,
};
use busyhour_carrier::{
    Contract, Options,
    account::{Account, EndedBy, Outcome},
    plan::{Conclusion, HangUp, Plan, Talk},
};
use busyhour_simulations::scenario::Caller;

mod common;

use common::Carrier;

/// Answered and greeted; the caller hangs up.
const FRIENDLY: &str = "+15550100001";
/// Answered, greeted, and hung up on.
const BRIEF: &str = "+15550100002";
/// Refused with 486.
const BUSY: &str = "+15550100003";

/// Where this carrier's customers and account are asked for.
fn url(carrier: &Carrier, path: &str) -> String {
    format!("http://{}/{path}", carrier.ready.account)
}

/// The carrier's account, once it says what is waited for.
async fn when(
    carrier: &Carrier,
    client: &reqwest::Client,
    (what, within): (&str, Duration),
    said: impl Fn(&Account) -> bool,
) -> Account {
    let look = async {
        loop {
            let answer = client.get(url(carrier, "account")).send().await.expect("an account");
            let text = answer.text().await.expect("a body");
            let account: Account = serde_json::from_str(&text).expect("its shape");
            if said(&account) {
                return account;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(within, look).await.expect(what)
}

/// The carrier's account, once everybody has called and is done.
async fn when_over(carrier: &Carrier, client: &reqwest::Client) -> Account {
    let over = |account: &Account| account.callers.over == account.callers.planned;
    when(carrier, client, ("the callers are done", Duration::from_secs(60)), over).await
}

async fn call_in(carrier: &Carrier, client: &reqwest::Client, trunks: &[SocketAddr]) -> u16 {
    let body = serde_json::json!({ "trunks": trunks }).to_string();
    let request = client.post(url(carrier, "callers")).body(body);
    let request = request.header("Content-Type", "application/json");
    request.send().await.expect("an answer").status().as_u16()
}

/// Takes calls as the tenants' side would.
async fn callee() -> Carrier {
    let plan = |called: &str| {
        let talk = |hang_up| Talk { greeting: Span::from_millis(600), hang_up, ..Talk::default() };
        let answer = |talk| Conclusion::Answer { after: Span::from_millis(60), talk };
        let conclusion = match called {
            BUSY => Conclusion::Refuse { after: Span::from_millis(30), status: 486 },
            BRIEF => answer(talk(Some(HangUp { after: Span::from_millis(2_500), lost: false }))),
            _ => answer(talk(None)),
        };
        Plan { ring_after: Some(Span::from_millis(20)), conclusion }
    };
    let contract = Contract { channels: 50, calls_per_second: 1_000 };
    Carrier::start(Options { contract, ..Options::new(Arc::new(plan)) }).await
}

fn caller(number: u32, to: &str, listens: Span) -> Caller {
    let url = "http://127.0.0.1:1/any.xml".to_owned();
    Caller {
        number,
        nth: number,
        after: Span::from_millis(20).times(number.into()),
        carrier: "north".to_owned(),
        account: AccountSid(1),
        call: CallSpec {
            to: to.to_owned(),
            from: "+15551900001".to_owned(),
            instructions: Instructions::Url(Webhook { url, method: Method::Post }),
            fallback: None,
            status_callback: None,
            status_events: StatusEvents::default(),
            send_digits: None,
            ring_timeout: Span::from_secs(20),
            time_limit: Span::from_secs(60),
            direction: Direction::Inbound,
        },
        listens,
    }
}

fn calling(channels: u32, callers: Vec<Caller>) -> Options {
    let nobody = |_: &str| Plan { ring_after: None, conclusion: Conclusion::Silence };
    Options {
        contract: Contract { channels, calls_per_second: 100 },
        callers,
        ..Options::new(Arc::new(nobody))
    }
}

fn client() -> reqwest::Client {
    // A second test of this process finds it installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().expect("a client")
}

#[tokio::test(flavor = "multi_thread")]
async fn mt_9_callers_call_where_the_carrier_is_told_and_its_account_says_what_they_heard() {
    let (callee, client) = (callee().await, client());
    // Whoever is to be hung up on stays for so long that no machine is late by it.
    let patience = Span::from_secs(60);
    let listens = |to| if to == BRIEF { patience } else { Span::from_secs(2) };
    let callers = [FRIENDLY, BRIEF, BUSY, FRIENDLY]
        .into_iter()
        .zip(0..)
        .map(|(to, n)| caller(n, to, listens(to)));
    let carrier = Carrier::start(calling(10, callers.collect())).await;
    assert_eq!(call_in(&carrier, &client, &[]).await, 400);
    assert_eq!(call_in(&carrier, &client, &[callee.ready.sip]).await, 200);
    assert_eq!(call_in(&carrier, &client, &[callee.ready.sip]).await, 409, "once is enough");
    let account = when_over(&carrier, &client).await;
    let callers = &account.callers;
    assert_eq!((callers.called, callers.answered, callers.refused), (4, 3, 1), "{callers:?}");
    assert_eq!(callers.speech_heard, 3);
    for call in &callers.calls {
        assert!(call.confirmed && call.rang, "{call:?}");
        assert_eq!(call.status, if call.to == BUSY { 486 } else { 200 });
        assert_eq!(call.answered_at_us.is_some(), call.status == 200);
    }
    let brief = callers.calls.iter().find(|call| call.to == BRIEF).expect("it called");
    let up = brief.left_at_us.expect("it left") - brief.answered_at_us.expect("it was answered");
    assert!(up < patience.as_micros(), "it was hung up on after {up} us");
    assert!((1..=3).contains(&account.channels.peak), "{:?}", account.channels);
    assert_eq!((account.channels.current, account.breaches()), (0, 0));
    carrier.stop().await;
    let seen = callee.stop().await;
    assert_eq!(seen.totals.answered, 3);
    let by = |who| seen.calls.iter().filter(|call| call.ended_by == Some(who)).count();
    assert_eq!((by(EndedBy::Caller), by(EndedBy::Called)), (2, 1));
}

/// A customer for whom the carrier has no channel hears that from the carrier alone.
#[tokio::test(flavor = "multi_thread")]
async fn mt_13_a_carrier_without_a_free_channel_places_no_call() {
    let (callee, client) = (callee().await, client());
    let callers = (0..3).map(|n| caller(n, FRIENDLY, Span::from_secs(2))).collect();
    let carrier =
        Carrier::start(Options { calls_to: vec![callee.ready.sip], ..calling(1, callers) }).await;
    let account = when_over(&carrier, &client).await;
    let without = account.callers.calls.iter().filter(|call| call.reason == "carrier_channels");
    assert!(without.clone().all(|call| call.status == 0 && call.confirmed));
    assert_eq!((account.callers.answered, without.count()), (1, 2));
    assert_eq!(account.breaches(), 0);
    carrier.stop().await;
    assert_eq!(callee.stop().await.totals.calls, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_carrier_that_is_stopped_hangs_up_on_whoever_its_customers_speak_to() {
    let (callee, client) = (callee().await, client());
    let callers = vec![caller(0, FRIENDLY, Span::from_secs(600))];
    let options = Options { calls_to: vec![callee.ready.sip], ..calling(5, callers) };
    let carrier = Carrier::start(options).await;
    let answered = ("it is answered", Duration::from_secs(30));
    when(&carrier, &client, answered, |account| account.callers.answered == 1).await;
    let account = carrier.stop().await;
    assert_eq!((account.callers.over, account.callers.calls[0].confirmed), (1, true));
    assert_eq!(account.channels.current, 0);
    let seen = callee.stop().await;
    assert_eq!(seen.calls[0].outcome, Outcome::Answered);
    assert_eq!(seen.calls[0].ended_by, Some(EndedBy::Caller));
}
