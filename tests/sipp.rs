//! sipp as an independent carrier under a whole installation (SP-4, SP-5, MT-6, MT-9, MT-11): what a SIP stack that is
//! not ours answers becomes the right outcome at the API, one INVITE for each call, and the carrier's only channel
//! comes back after every end, at once if the end is certain and after its quarantine if not.

mod support;

use std::{net::SocketAddr, time::Duration};

use chrono::{DateTime, TimeDelta};
use reqwest::Method;
use serde_json::Value;
use support::{
    Running, root,
    sipp::{Messages, Sipp},
    tenant::{Ended, Tenant, answer},
    until,
};

/// How long anything may take that does not depend on a call's own length.
const WITHIN: Duration = Duration::from_secs(60);
/// As the scenario's carrier declares it.
const QUARANTINE: TimeDelta = TimeDelta::seconds(5);

/// An installation whose only carrier is at `trunk`.
struct Installation {
    running: Running,
    tenant: Tenant,
    trunk: SocketAddr,
}

impl Installation {
    async fn start(name: &str) -> Self {
        let trunk = busyhour_peer::own_address();
        let running = Running::start_under(name, "sipp", trunk).await;
        let tenant = running.tenant("east");
        Self { running, tenant, trunk }
    }

    async fn sipp(&self, scenario: &str) -> Sipp {
        let folder = self.running.stage.folder().join("sipp").join(scenario);
        Sipp::start(scenario, self.trunk, &folder).await
    }

    /// A call that lasts two seconds, unless something else ends it.
    async fn place(&self) -> String {
        self.place_for("two-seconds").await
    }

    async fn place_for(&self, document: &str) -> String {
        let url = format!("http://127.0.0.1:8081/{document}.xml");
        let url = self.running.stage.with_addresses(&url);
        let parameters =
            [("To", "+15553000001"), ("From", "+15550100003"), ("Url", &url), ("Timeout", "3")];
        self.tenant.accepted(&parameters).await
    }

    /// One call to a carrier that plays `scenario`: its end, and what the carrier saw.
    async fn call(&self, scenario: &str) -> (Ended, Messages) {
        let sipp = self.sipp(scenario).await;
        // Whoever is to hang up first has all the time for it.
        let document = if scenario == "answer_hangup" { "ten-minutes" } else { "two-seconds" };
        let call = self.place_for(document).await;
        let ended = self.tenant.ended(&call).await;
        let messages = sipp.verdict().await;
        assert_eq!(messages.calls(), 1, "{scenario}: {messages:?}");
        assert_eq!(messages.transactions("INVITE"), 1, "{scenario}: {messages:?}");
        (ended, messages)
    }

    /// The carrier as the operator sees it.
    async fn carrier(&self) -> Value {
        let overview = self.running.api.overview().await;
        overview.unwrap_or_else(|error| panic!("{error:#}"))["carriers"][0].clone()
    }

    /// The tenant ends a call that is up.
    async fn hang_up(&self, call: &str) -> Ended {
        let path = self.tenant.path(&format!("Calls/{call}.json"));
        let request = self.tenant.request(Method::POST, &path).form(&[("Status", "completed")]);
        let answer = answer(request).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        self.tenant.ended(call).await
    }

    /// Waits for the channel to be free, and that no quarantine was needed for it.
    async fn is_free_without_quarantine(&self, scenario: &str) {
        until("the channel to be free", WITHIN, async || {
            let carrier = self.carrier().await;
            assert_eq!(carrier["quarantined"], 0, "{scenario}: {carrier}");
            (carrier["free"] == 1).then_some(())
        })
        .await;
    }
}

/// Scenario, then status, reason and SIP code of the call, and the requests that the carrier saw, in their order.
type Case = (&'static str, &'static str, &'static str, u64, &'static [&'static str]);

const CASES: [Case; 6] = [
    ("answer", "completed", "completed", 200, &["INVITE", "ACK", "BYE"]),
    ("answer_hangup", "completed", "completed", 200, &["INVITE", "ACK"]),
    ("busy", "busy", "busy", 486, &["INVITE", "ACK"]),
    ("unavailable", "failed", "carrier_failure", 503, &["INVITE", "ACK"]),
    ("no_answer", "no-answer", "no_answer", 487, &["INVITE", "CANCEL", "ACK"]),
    ("late_answer", "no-answer", "no_answer", 200, &["INVITE", "CANCEL", "ACK", "BYE"]),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_of_the_carrier_becomes_its_outcome() {
    let installation = Installation::start("sipp-answers").await;
    for (scenario, status, reason, sip_code, methods) in CASES {
        let (ended, messages) = installation.call(scenario).await;
        assert_eq!((ended.status.as_str(), ended.reason.as_str()), (status, reason), "{scenario}");
        assert_eq!(ended.sip_code, Some(sip_code), "{scenario}");
        assert_eq!(messages.methods(), methods, "{scenario}");
        match scenario {
            "answer" => assert!(ended.duration >= Some(2), "cut short: {ended:?}"),
            "answer_hangup" => assert!(ended.duration.is_some(), "{ended:?}"),
            _ => assert_eq!(ended.duration, None, "{scenario}"),
        }
        installation.is_free_without_quarantine(scenario).await;
    }
    installation.running.end().await;
}

/// RELIABILITY.md, protocol 7: the call has its outcome, but its channel waits until the carrier has surely
/// given it up.
#[tokio::test(flavor = "multi_thread")]
async fn a_bye_that_is_never_answered_costs_a_quarantine_and_nothing_else() {
    let installation = Installation::start("sipp-lost-bye").await;
    let (ended, messages) = installation.call("lost_bye").await;
    assert_eq!((ended.status.as_str(), ended.sip_code), ("completed", Some(200)));
    assert_eq!(messages.transactions("BYE"), 1, "{messages:?}");
    assert!(messages.count("BYE") >= 5, "it was hardly repeated: {messages:?}");

    let sipp = installation.sipp("busy").await;
    let next = installation.place().await;
    assert_eq!(installation.tenant.ended(&next).await.status, "busy");
    assert_eq!(sipp.verdict().await.calls(), 1);
    let over = installation.tenant.get(&installation.tenant.path("Calls.json?PageSize=2")).await;
    let over = over.json()["calls"][1]["end_time"].as_str().map(DateTime::parse_from_rfc2822);
    let explanation = installation.tenant.explain(&next).await;
    let start = explanation["start"].as_str().map(DateTime::parse_from_rfc3339);
    let waited = start.expect("it started").unwrap() - over.expect("it ended").unwrap();
    assert!(waited >= QUARANTINE, "dialled while the channel was in quarantine: {waited}");
    installation.is_free_without_quarantine("after the quarantine").await;
    installation.running.end().await;
}

/// What the first carrier answers; whether the call goes on to the second one, which takes it; its status, reason and SIP code.
const FAILOVERS: [(&str, bool, [&str; 2], u64); 4] = [
    ("unavailable", true, ["completed", "canceled_by_tenant"], 200),
    ("busy", false, ["busy", "busy"], 486),
    ("not_found", false, ["failed", "rejected"], 404),
    ("decline", false, ["busy", "rejected"], 603),
];

/// A definitive failure of the carrier goes to the next one, and what the called party says never does: one attempt at a time,
/// the first one's channel given back before the second one begins.
#[tokio::test(flavor = "multi_thread")]
async fn mt_12_a_definitive_failure_goes_to_the_next_carrier_and_a_busy_party_never_does() {
    let installation = Installation::start("sipp-next-carrier").await;
    let second = busyhour_peer::own_address();
    installation.declare_second(second).await;
    let folder = installation.running.stage.folder().join("sipp-second");
    let next = Sipp::start("answer", second, &folder.join("answer")).await;
    let mut went_on = 0;
    for (scenario, goes_on, [status, reason], sip_code) in FAILOVERS {
        let first = installation.sipp(scenario).await;
        let call = installation.place_for("ten-minutes").await;
        if goes_on {
            let path = installation.tenant.path(&format!("Calls/{call}.json"));
            until("the second carrier to answer", WITHIN, async || {
                (installation.tenant.get(&path).await.json()["status"] == "in-progress")
                    .then_some(())
            })
            .await;
            let [one, two] = installation.carriers().await;
            assert_eq!((&one["free"], &two["in_use"]), (&1.into(), &1.into()), "{one} {two}");
            installation.hang_up(&call).await;
        }
        let ended = installation.tenant.ended(&call).await;
        assert_eq!((ended.status.as_str(), ended.reason.as_str()), (status, reason), "{scenario}");
        assert_eq!(ended.sip_code, Some(sip_code), "{scenario}");
        assert_eq!(first.verdict().await.transactions("INVITE"), 1, "{scenario}");
        went_on += usize::from(goes_on);
        assert_eq!(next.messages().transactions("INVITE"), went_on, "{scenario}");
        let explanation = installation.tenant.explain(&call).await;
        let earlier = explanation["earlier_attempts"].as_array().unwrap();
        assert_eq!(earlier.len(), usize::from(goes_on), "{explanation}");
        for attempt in earlier {
            assert_eq!((&attempt["carrier"], &attempt["sip_code"]), (&"sipp".into(), &503.into()));
            assert_eq!(attempt["failed_over"], true);
            let (over, again) = (attempt["ended_at"].as_str(), explanation["start"].as_str());
            assert!(over.unwrap() <= again.unwrap(), "one after the other: {explanation}");
        }
        installation.all_are_free_without_quarantine(scenario).await;
    }
    next.verdict().await;
    // Where every carrier fails, the call says so, and is not tried for ever.
    let first = installation.sipp("unavailable").await;
    let next = Sipp::start("unavailable", second, &folder.join("both")).await;
    let ended = installation.tenant.ended(&installation.place().await).await;
    let (status, reason) = (ended.status.as_str(), ended.reason.as_str());
    assert_eq!((status, reason, ended.sip_code), ("failed", "carriers_exhausted", Some(503)));
    for carrier in [first, next] {
        assert_eq!(carrier.verdict().await.transactions("INVITE"), 1);
    }
    installation.all_are_free_without_quarantine("both").await;
    installation.running.end().await;
}

/// A second carrier.
impl Installation {
    async fn declare_second(&self, address: SocketAddr) {
        let text = std::fs::read_to_string(root().join("tests/scenarios/sipp/capacity.yaml"));
        let text = text.expect("the scenario's capacity");
        let carrier = text.split("---").next().expect("its first document is the carrier");
        // It calls nobody: its calls could not be told from the first one's.
        let lines = carrier.lines().filter(|line| !line.trim_start().starts_with("inbound:"));
        let carrier = lines.collect::<Vec<_>>().join("\n");
        let carrier = carrier
            .replace("name: sipp", "name: sipp-two")
            .replace("127.0.0.1:5070", &address.to_string());
        let file = self.running.stage.declarations().join("second.yaml");
        std::fs::write(file, carrier).expect("the folder can be written");
        until("the second carrier", WITHIN, async || {
            let overview = self.running.api.overview().await.ok()?;
            (overview["carriers"].as_array()?.len() == 2).then_some(())
        })
        .await;
    }

    async fn carriers(&self) -> [Value; 2] {
        let overview = self.running.api.overview().await;
        let carriers = overview.unwrap_or_else(|error| panic!("{error:#}"))["carriers"].clone();
        [0, 1].map(|n| carriers[n].clone())
    }

    async fn all_are_free_without_quarantine(&self, scenario: &str) {
        until("both channels to be free", WITHIN, async || {
            let carriers = self.carriers().await;
            assert!(carriers.iter().all(|one| one["quarantined"] == 0), "{scenario}: {carriers:?}");
            carriers.iter().all(|one| one["free"] == 1).then_some(())
        })
        .await;
    }
}

/// Calls of the carrier to the tenant's numbers.
impl Installation {
    fn caller(&self, scenario: &str, number: &str) -> Sipp {
        let folder = self.running.stage.folder().join("sipp").join(scenario);
        let agent = self.running.stage.address("agent-1.sip").unwrap();
        Sipp::call(scenario, agent, number, &folder)
    }

    /// The tenant's calls, newest first.
    async fn calls(&self) -> Vec<Value> {
        let answer = self.tenant.get(&self.tenant.path("Calls.json")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["calls"].as_array().expect("calls").clone()
    }

    /// The tenant's only inbound call so far that is not in `before`, once it rings.
    async fn rings(&self) -> Value {
        until("a call to ring", WITHIN, async || {
            let calls = self.calls().await;
            calls.into_iter().find(|c| c["direction"] == "inbound" && c["status"] == "ringing")
        })
        .await
    }

    /// How the newest inbound call ended.
    async fn inbound_ended(&self) -> (Value, Ended) {
        let calls = self.calls().await;
        let call = calls.into_iter().find(|c| c["direction"] == "inbound").expect("it is listed");
        let sid = call["sid"].as_str().unwrap().to_owned();
        (call, self.tenant.ended(&sid).await)
    }

    /// An outbound call that holds the only channel until it is hung up.
    async fn occupied(&self) -> (Sipp, String) {
        let sipp = self.sipp("answer").await;
        let call = self.place_for("ten-minutes").await;
        until("the channel to be taken", WITHIN, async || {
            let answer = self.tenant.get(&self.tenant.path(&format!("Calls/{call}.json"))).await;
            (answer.json()["status"] == "in-progress").then_some(())
        })
        .await;
        (sipp, call)
    }
}

const DESK: &str = "+15550100003";
/// Listens until the caller hangs up.
const LISTENING: &str = "+15550100007";
/// Lets a call ring for a second.
const IMPATIENT: &str = "+15550100004";

#[tokio::test(flavor = "multi_thread")]
async fn mt_9_a_caller_is_answered_by_the_numbers_application() {
    let installation = Installation::start("sipp-calls-in").await;
    installation.caller("calls_in_at_once", LISTENING).called().await;
    let (call, ended) = installation.inbound_ended().await;
    assert_eq!((&call["to"], &call["from"]), (&LISTENING.into(), &"+15559990001".into()));
    assert_eq!((ended.status.as_str(), ended.reason.as_str()), ("completed", "completed"));
    assert!(ended.duration.is_some(), "{ended:?}");
    installation.is_free_without_quarantine("calls_in_at_once").await;

    installation.caller("calls_in_404", "+15550109999").called().await;
    assert_eq!(installation.calls().await.len(), 1, "nobody's call is not recorded");
    installation.running.end().await;
}

/// The document is had while it rings, and its `Reject` refuses the call: nothing is answered, and nothing billed.
#[tokio::test(flavor = "multi_thread")]
async fn sp_5_a_caller_whom_the_application_rejects_is_refused_and_never_billed() {
    let installation = Installation::start("sipp-rejects").await;
    for (number, scenario, status, code) in [
        ("+15550100005", "calls_in_486", "busy", 486),
        ("+15550100006", "calls_in_603", "no-answer", 603),
    ] {
        installation.caller(scenario, number).called().await;
        let (call, ended) = installation.inbound_ended().await;
        assert_eq!(call["to"], number);
        assert_eq!((ended.status.as_str(), ended.sip_code), (status, Some(code)));
        assert_eq!((ended.reason.as_str(), ended.duration), ("rejected_by_application", None));
        let sid = call["sid"].as_str().unwrap();
        let path = installation.tenant.path(&format!("Calls/{sid}.json"));
        let shown = installation.tenant.get(&path).await.json();
        assert_eq!((&shown["status"], &shown["price"]), (&status.into(), &Value::Null), "{shown}");
        installation.is_free_without_quarantine(scenario).await;
    }
    let carrier = installation.carrier().await;
    assert_eq!(carrier["quarantined"], 0, "{carrier}");
    installation.running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mt_9_without_a_channel_a_caller_rings_for_a_bounded_time_or_until_giving_up() {
    let installation = Installation::start("sipp-calls-in-full").await;
    let (sipp, call) = installation.occupied().await;
    installation.caller("calls_in_503", IMPATIENT).called().await;
    let (_, ended) = installation.inbound_ended().await;
    assert_eq!((ended.status.as_str(), ended.reason.as_str()), ("failed", "carrier_channels"));
    installation.hang_up(&call).await;
    sipp.verdict().await;

    let (sipp, call) = installation.occupied().await;
    installation.caller("calls_in_gives_up", DESK).called().await;
    let (_, ended) = installation.inbound_ended().await;
    assert_eq!((ended.status.as_str(), ended.reason.as_str()), ("no-answer", "caller_gave_up"));
    assert_eq!(ended.sip_code, Some(487));
    installation.hang_up(&call).await;
    sipp.verdict().await;
    installation.is_free_without_quarantine("calls_in_gives_up").await;
    installation.running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mt_6_a_caller_goes_before_requests_that_waited_longer_for_the_last_channel() {
    let installation = Installation::start("sipp-calls-in-first").await;
    let (sipp, first) = installation.occupied().await;
    let second = installation.place().await;
    let caller = installation.caller("calls_in", DESK);
    let ringing = installation.rings().await;
    let sid = ringing["sid"].as_str().unwrap();
    let explanation = installation.tenant.explain(sid).await;
    assert_eq!(explanation["limit"]["reason"], "carrier_channels", "{explanation}");
    installation.hang_up(&first).await;
    caller.called().await;
    let path = installation.tenant.path(&format!("Calls/{second}.json"));
    let waited = installation.tenant.get(&path).await.json();
    assert_ne!(waited["status"], "completed", "it went first: {waited}");
    let messages = sipp.messages();
    assert!(messages.calls() <= 2, "{messages:?}");
    assert_eq!(installation.tenant.ended(sid).await.status, "completed");
    assert_eq!(installation.tenant.ended(&second).await.status, "completed");
    sipp.verdict().await;
    installation.running.end().await;
}

/// RELIABILITY.md, protocol 7: whether the caller is still there is not known, so the channel waits.
#[tokio::test(flavor = "multi_thread")]
async fn a_callers_channel_comes_back_after_the_quarantine_when_the_agent_is_killed() {
    let mut installation = Installation::start("sipp-calls-in-killed").await;
    let _caller = installation.caller("calls_in", "+15550100009");
    until("the caller to be answered", WITHIN, async || {
        let calls = installation.calls().await;
        calls.iter().any(|call| call["status"] == "in-progress").then_some(())
    })
    .await;
    installation.running.stage.take("agent-1").unwrap().kill().await.unwrap();
    let (_, ended) = installation.inbound_ended().await;
    assert_eq!((ended.status.as_str(), ended.reason.as_str()), ("failed", "in_doubt_agent_lost"));
    assert_eq!(installation.carrier().await["quarantined"], 1);
    until("the channel to be free", WITHIN, async || {
        (installation.carrier().await["free"] == 1).then_some(())
    })
    .await;
    installation.running.end().await;
}
