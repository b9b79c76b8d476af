//! sipp as an independent carrier under a whole installation (SP-4, SP-5, MT-11): what a SIP stack that is not
//! ours answers becomes the right outcome at the API, one INVITE for each call, and the carrier's only channel
//! comes back after every end, at once if the end is certain and after its quarantine if not.

mod support;

use std::{net::SocketAddr, time::Duration};

use serde_json::Value;
use support::{
    Running,
    sipp::{self, Messages, Sipp},
    tenant::{Ended, Tenant},
    until,
};

/// An installation whose only carrier is at `trunk`.
struct Installation {
    running: Running,
    tenant: Tenant,
    trunk: SocketAddr,
}

impl Installation {
    async fn start(name: &str) -> Self {
        let trunk = sipp::address();
        let running = Running::start_under(name, "sipp", trunk).await;
        let tenant = running.tenant("east");
        Self { running, tenant, trunk }
    }

    async fn sipp(&self, scenario: &str) -> Sipp {
        let folder = self.running.stage.folder().join("sipp").join(scenario);
        Sipp::start(scenario, self.trunk, folder).await
    }

    async fn place(&self) -> String {
        let url = self.running.stage.with_addresses("http://127.0.0.1:8081/two-seconds.xml");
        let parameters =
            [("To", "+15553000001"), ("From", "+15550100003"), ("Url", &url), ("Timeout", "1")];
        self.tenant.accepted(&parameters).await
    }

    /// One call to a carrier that plays `scenario`: its end, and what the carrier saw.
    async fn call(&self, scenario: &str) -> (Ended, Messages) {
        let sipp = self.sipp(scenario).await;
        let call = self.place().await;
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

    /// Waits for the channel to be free, and that no quarantine was needed for it.
    async fn is_free_without_quarantine(&self, scenario: &str) {
        until("the channel to be free", Duration::from_secs(5), async || {
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
            "answer_hangup" => assert_eq!(ended.duration, Some(1), "heard too late"),
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
    let carrier = installation.carrier().await;
    assert_eq!((&carrier["quarantined"], &carrier["free"]), (&1.into(), &0.into()), "{carrier}");

    let sipp = installation.sipp("busy").await;
    let next = installation.place().await;
    let explanation = installation.tenant.explain(&next).await;
    assert_eq!(explanation["limit"]["reason"], "carrier_channels", "{explanation}");
    assert_eq!(sipp.messages().calls(), 0, "dialled while the channel was in quarantine");
    assert_eq!(installation.tenant.ended(&next).await.status, "busy");
    assert_eq!(sipp.verdict().await.calls(), 1);
    installation.is_free_without_quarantine("after the quarantine").await;
    installation.running.end().await;
}
