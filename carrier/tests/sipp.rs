//! The carrier against sipp as an independent caller (Debian `sip-tester`).

use std::{
    fmt::Write,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use busyhour_base::Span;
use busyhour_carrier::{
    Contract, Credentials, Options,
    account::{Account, EndedBy, Outcome},
    plan::{Conclusion, HangUp, KeyPress, KeyTime, Plan, Talk},
};
use busyhour_peer::Sipp;

mod common;

use common::Carrier;

fn options(plan: impl Fn(&str) -> Plan + Send + Sync + 'static) -> Options {
    Options {
        contract: Contract { channels: 500, calls_per_second: 1_000 },
        ..Options::new(Arc::new(plan))
    }
}

fn answering(talk: Talk) -> Plan {
    Plan {
        ring_after: Some(Span::from_millis(20)),
        conclusion: Conclusion::Answer { after: Span::from_millis(60), talk },
    }
}

struct Caller<'a> {
    scenario: &'a str,
    calls: u32,
    rate: u32,
    lasts_ms: u32,
    /// What follows the called number on every line of the injection file.
    fields: &'a str,
}

impl Caller<'_> {
    /// Runs sipp; every call must have gone by the scenario.
    async fn succeed(&self, to: SocketAddr) {
        let folder = tempfile::tempdir().expect("a folder");
        let mut lines = "SEQUENTIAL\n".to_owned();
        for n in 0..self.calls {
            let _ = writeln!(lines, "+1555{n:07};{}", self.fields);
        }
        std::fs::write(folder.path().join("numbers.csv"), lines).expect("a file");
        let number = |n: u32| n.to_string();
        let (calls, rate, lasts) = (number(self.calls), number(self.rate), number(self.lasts_ms));
        let flags = [
            ["-inf", "numbers.csv"],
            ["-m", &calls],
            ["-l", &calls],
            ["-r", &rate],
            ["-d", &lasts],
        ];
        let flags = [flags.as_flattened(), &["-rtp_echo"]].concat();
        Sipp::call(&scenario(self.scenario), to, folder.path(), &flags).verdict().await;
    }
}

fn scenario(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sipp");
    folder.join(name).with_extension("xml")
}

fn every(account: &Account, outcome: Outcome) {
    for call in &account.calls {
        assert_eq!(call.outcome, outcome, "{call:?}");
    }
}

/// ML-2: audio both ways and keys, judged through sipp's echo: the carrier hears its own greeting and keys.
#[tokio::test(flavor = "multi_thread")]
async fn an_answered_call_is_heard_and_accounted_for() {
    let carrier = Carrier::start(options(|_| {
        answering(Talk {
            greeting: Span::from_secs(1),
            keys: vec![KeyPress {
                keys: "42#".into(),
                when: KeyTime::AfterSpeech(Span::from_millis(400)),
            }],
            ..Talk::default()
        })
    }))
    .await;
    let caller = Caller { scenario: "answer", calls: 5, rate: 5, lasts_ms: 5_000, fields: "" };
    caller.succeed(carrier.ready.sip).await;
    let account = carrier.stop().await;
    assert_eq!(account.calls.len(), 5);
    every(&account, Outcome::Answered);
    for call in &account.calls {
        let media = call.media.as_ref().expect("its media is accounted for");
        assert!((500_000..=1_200_000).contains(&media.speech_us), "{media:?}");
        assert_eq!((media.keys_pressed.as_str(), media.keys_heard.as_str()), ("42#", "42#"));
        assert!(media.packets_sent >= 60, "{media:?}");
        assert_eq!(media.packets_stray, 0, "{media:?}");
        assert_eq!(call.ended_by, Some(EndedBy::Caller));
        assert_eq!(call.from, "+15550000");
        assert!(call.to.starts_with("+1555000000"));
        let (answered, ended) = (call.answered_at_us.unwrap(), call.ended_at_us.unwrap());
        assert!(answered - call.invited_at_us >= 60_000);
        assert!(ended - answered >= 4_900_000);
    }
    assert_eq!(account.totals.speech_heard, 5);
    assert_eq!(account.breaches(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_number_is_refused() {
    let carrier = Carrier::start(options(|_| Plan {
        ring_after: None,
        conclusion: Conclusion::Refuse { after: Span::from_millis(50), status: 486 },
    }))
    .await;
    let caller = Caller { scenario: "refused", calls: 20, rate: 100, lasts_ms: 0, fields: "" };
    caller.succeed(carrier.ready.sip).await;
    let account = carrier.stop().await;
    every(&account, Outcome::Refused);
    assert_eq!((account.totals.refused, account.channels.current), (20, 0));
    assert_eq!(account.ignored.unmatched, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_nobody_answers_is_cancelled() {
    let carrier = Carrier::start(options(|_| Plan {
        ring_after: Some(Span::from_millis(10)),
        conclusion: Conclusion::NoAnswer { crossing: None },
    }))
    .await;
    let caller = Caller { scenario: "cancelled", calls: 20, rate: 100, lasts_ms: 0, fields: "" };
    caller.succeed(carrier.ready.sip).await;
    let account = carrier.stop().await;
    every(&account, Outcome::Cancelled);
    assert_eq!((account.totals.cancelled, account.channels.current), (20, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_can_cross_the_cancel() {
    let carrier = Carrier::start(options(|_| Plan {
        ring_after: Some(Span::from_millis(10)),
        conclusion: Conclusion::NoAnswer { crossing: Some(Talk::default()) },
    }))
    .await;
    let caller = Caller { scenario: "crossing", calls: 20, rate: 100, lasts_ms: 0, fields: "" };
    caller.succeed(carrier.ready.sip).await;
    let account = carrier.stop().await;
    every(&account, Outcome::Answered);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_called_party_can_hang_up() {
    let carrier = Carrier::start(options(|_| {
        answering(Talk {
            hang_up: Some(HangUp { after: Span::from_millis(300), lost: false }),
            ..Talk::default()
        })
    }))
    .await;
    let caller =
        Caller { scenario: "called_hangs_up", calls: 20, rate: 100, lasts_ms: 0, fields: "" };
    caller.succeed(carrier.ready.sip).await;
    let account = carrier.stop().await;
    for call in &account.calls {
        assert_eq!(call.ended_by, Some(EndedBy::Called), "{call:?}");
    }
    assert_eq!(account.ignored.unmatched, 0);
}

/// Retransmission both ways: one datagram in ten is lost, and still every call is one call.
#[tokio::test(flavor = "multi_thread")]
async fn a_lossy_network_costs_no_call_and_doubles_none() {
    let carrier = Carrier::start(options(|_| answering(Talk::default()))).await;
    let caller = Caller { scenario: "lossy", calls: 50, rate: 100, lasts_ms: 200, fields: "" };
    caller.succeed(carrier.ready.sip).await;
    let account = carrier.stop().await;
    assert_eq!(account.totals.calls, 50);
    every(&account, Outcome::Answered);
    assert_eq!(account.duplicates.call_ids + account.duplicates.numbers, 0);
    assert_eq!(account.channels.current, 0);
}

/// MT-12: what goes over the contract is refused and counted, one breach for each call.
#[tokio::test(flavor = "multi_thread")]
async fn calls_over_the_contract_are_refused_and_counted() {
    let mut options = options(|_| answering(Talk::default()));
    options.contract.channels = 3;
    let carrier = Carrier::start(options).await;
    let caller =
        |scenario, calls, lasts_ms| Caller { scenario, calls, rate: 1_000, lasts_ms, fields: "" };
    let (within, over) = (caller("answer", 3, 8_000), caller("over_contract", 4, 0));
    let sip = carrier.ready.sip;
    let breach = async {
        wait_for(&carrier, |account| account.totals.answered == 3).await;
        over.succeed(sip).await;
    };
    tokio::join!(within.succeed(sip), breach);
    let account = carrier.stop().await;
    assert_eq!((account.totals.answered, account.totals.over_contract), (3, 4));
    assert_eq!((account.channels.breaches, account.channels.peak), (4, 4));
    assert_eq!(account.rate.breaches, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_show_who_they_are() {
    let mut options = options(|_| answering(Talk::default()));
    options.credentials = Some(Credentials { user: "trunk".into(), password: "s3cret".into() });
    let carrier = Carrier::start(options).await;
    let caller = |scenario, fields| Caller { scenario, calls: 10, rate: 100, lasts_ms: 0, fields };
    let sip = carrier.ready.sip;
    caller("digest", "[authentication username=trunk password=s3cret]").succeed(sip).await;
    caller("digest_wrong", "[authentication username=trunk password=guess]").succeed(sip).await;
    let account = carrier.stop().await;
    assert_eq!((account.totals.calls, account.totals.answered), (10, 10));
    assert_eq!(account.duplicates.call_ids, 0, "a challenge is not a call");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_calls_at_a_time_are_all_heard() {
    let carrier = Carrier::start(options(|_| {
        answering(Talk { greeting: Span::from_millis(500), ..Talk::default() })
    }))
    .await;
    let caller = Caller { scenario: "answer", calls: 200, rate: 200, lasts_ms: 8_000, fields: "" };
    caller.succeed(carrier.ready.sip).await;
    let account = carrier.stop().await;
    every(&account, Outcome::Answered);
    assert_eq!((account.totals.calls, account.totals.speech_heard), (200, 200));
    assert!(account.channels.peak >= 190, "{:?}", account.channels);
    assert_eq!(account.breaches(), 0);
}

/// Waits for the served account to say so.
async fn wait_for(carrier: &Carrier, is_there: impl Fn(&Account) -> bool) {
    let url = format!("http://{}/account?calls=false", carrier.ready.account);
    // A second test of this process finds it installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let seen = async {
        loop {
            let response = client.get(&url).send().await.expect("the account is served");
            let account: Account = response.json().await.expect("the account is JSON");
            if is_there(&account) {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    let bound = std::time::Duration::from_secs(60);
    tokio::time::timeout(bound, seen).await.expect("in time");
}
