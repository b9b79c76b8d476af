//! Datagrams at the SIP ports of the agent and of the carrier, from a stranger.

use std::time::Duration;

use busyhour_peer::{Stranger, status_for};
use reqwest::Method;

use super::{FROM, TO, unharmed, victim};
use crate::support::{
    Running,
    tenant::{Tenant, answer},
    until,
};

/// Rounds of garbage; each is a handful of datagrams and one question.
const ROUNDS: u64 = 120;

fn stranger(running: &Running, part: &str) -> Stranger {
    Stranger::of(running.stage.address(part).unwrap().parse().unwrap())
}

fn request(stranger: &Stranger, method: &str, call: &str) -> String {
    let (us, port) = (stranger.address(), stranger.port);
    format!(
        "{method} sip:+15551000009@{port} SIP/2.0\r\n\
         Via: SIP/2.0/UDP {us};rport;branch=z9hG4bK{call}{method}\r\n\
         From: <sip:stranger@{us}>;tag=s{call}\r\nTo: <sip:+15551000009@{port}>\r\n\
         Call-ID: {call}\r\nCSeq: 1 {method}\r\nMax-Forwards: 70\r\n\
         Contact: <sip:stranger@{us}>\r\nContent-Length: 0\r\n\r\n"
    )
}

/// That a request gets no answer until the one after it has its own.
fn is_passed_over(stranger: &Stranger, unheard: &str, call: &str) {
    stranger.send(unheard);
    let probe = format!("after-{call}");
    stranger.ask(request(stranger, "OPTIONS", &probe), &probe, |answer| {
        assert_eq!(status_for(answer, call), None, "{call} was answered");
    });
}

/// Garbage of every make, the same in every run, and one question at the end of each round.
fn pester(stranger: &Stranger) {
    // xorshift
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for round in 0..ROUNDS {
        let length = (next() % 1_500) as usize;
        stranger.send((0..length).map(|_| (next() >> 24) as u8).collect::<Vec<_>>());
        for method in ["INVITE", "BYE", "CANCEL", "OPTIONS"] {
            let mut broken = request(stranger, method, &format!("g{round}")).into_bytes();
            for _ in 0..4 {
                let at = next() as usize % broken.len();
                broken[at] = (next() >> 24) as u8;
            }
            if round % 3 == 0 {
                broken.truncate(next() as usize % broken.len());
            }
            stranger.send(broken);
        }
        let good = request(stranger, "OPTIONS", &format!("h{round}"));
        let huge = "x".repeat(30_000 + (next() % 20_000) as usize);
        stranger.send(good.replace("Max-Forwards", &format!("Subject: {huge}\r\nMax-Forwards")));
        stranger.send(good.replacen("<sip:stranger", &format!("\"{huge}\" <sip:stranger"), 1));
        let many = "Via: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bKx\r\n".repeat(800);
        stranger.send(good.replace("Max-Forwards", &format!("{many}Max-Forwards")));
        for stray in ["SIP/2.0 200 OK", "SIP/2.0 999 X", "SIP/2.0 -1 X"] {
            let (_, headers) = good.split_once("\r\n").unwrap();
            stranger.send(format!("{stray}\r\n{headers}"));
        }
        let probe = format!("p{round}");
        stranger.send(b"\r\n\r\n");
        assert!(stranger.status(request(stranger, "OPTIONS", &probe), &probe) < 600);
    }
}

async fn answered(tenant: &Tenant) -> String {
    let twiml = "<Response><Pause length=\"600\"/></Response>";
    let call = tenant.accepted(&[("To", TO), ("From", FROM), ("Twiml", twiml)]).await;
    until("the call to be answered", Duration::from_secs(60), async || {
        (tenant.explain(&call).await["status"] == "in-progress").then_some(())
    })
    .await;
    call
}

/// RFC 4475's verdicts, and a call that is up meanwhile is not touched.
#[tokio::test(flavor = "multi_thread")]
async fn garbage_at_the_sip_ports_disturbs_no_call() {
    let (running, tenant) = victim("bad-sip").await;
    let call = answered(&tenant).await;
    for part in ["agent-1.sip", "carrier.sip"] {
        let stranger = stranger(&running, part);
        tokio::task::spawn_blocking(move || pester(&stranger)).await.unwrap();
    }
    let explanation = tenant.explain(&call).await;
    assert_eq!(explanation["status"], "in-progress", "a stranger ended it: {explanation}");
    let path = tenant.path(&format!("Calls/{call}.json"));
    let complete = tenant.request(Method::POST, &path).form(&[("Status", "completed")]);
    assert_eq!(answer(complete).await.status, 200);
    assert_eq!(tenant.ended(&call).await.status, "completed");

    let agent = stranger(&running, "agent-1.sip");
    let verdict = |call: &str, change: &dyn Fn(String) -> String, method: &str| {
        agent.status(change(request(&agent, method, call)), call)
    };
    let same: &dyn Fn(String) -> String = &|request| request;
    assert_eq!(verdict("v1", same, "NONSENSE"), 501);
    assert_eq!(verdict("v2", same, "BYE"), 481);
    assert_eq!(verdict("v3", same, "CANCEL"), 481);
    is_passed_over(&agent, &request(&agent, "ACK", "v4"), "v4");
    let version = |request: String| request.replacen(" SIP/2.0\r\n", " SIP/7.0\r\n", 1);
    assert_eq!(verdict("v5", &version, "OPTIONS"), 505);
    let length = |request: String| request.replace("Length: 0", "Length: 9999");
    assert_eq!(verdict("v6", &length, "OPTIONS"), 400);
    let negative = |request: String| request.replace("Length: 0", "Length: -1");
    assert_eq!(verdict("v7", &negative, "OPTIONS"), 400);
    let method = |request: String| request.replace("CSeq: 1 OPTIONS", "CSeq: 1 INVITE");
    assert_eq!(verdict("v8", &method, "OPTIONS"), 400);
    let number = |request: String| request.replace("CSeq: 1 ", "CSeq: 36893488147419103232 ");
    assert_eq!(verdict("v9", &number, "OPTIONS"), 400);
    let requires = |request: String| request.replace("Max-F", "Require: nothing-does\r\nMax-F");
    assert_eq!(verdict("v10", &requires, "INVITE"), 420);
    let carrier = stranger(&running, "carrier.sip");
    assert_eq!(carrier.status(request(&carrier, "BYE", "w1"), "w1"), 481);
    unharmed(running, &tenant).await;
}
