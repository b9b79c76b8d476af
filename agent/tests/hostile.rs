//! Garbage at the SIP socket: each gets what RFC 3261 and RFC 4475 say, and a good request is served after it.

mod common;

use busyhour_peer::Stranger;
use common::linked;

fn request(stranger: &Stranger, method: &str, call: &str, extra: &str) -> String {
    let (us, agent) = (stranger.address(), stranger.port);
    format!(
        "{method} sip:busyhour@{agent} SIP/2.0\r\nVia: SIP/2.0/UDP {us};rport;branch=z9hG4bK{call}{method}\r\n\
         From: <sip:stranger@{us}>;tag=s{call}\r\nTo: <sip:busyhour@{agent}>{tag}\r\nCall-ID: {call}\r\n\
         CSeq: 1 {method}\r\nMax-Forwards: 70\r\n{extra}Content-Length: 0\r\n\r\n",
        tag = if method == "BYE" { ";tag=unknown" } else { "" },
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn every_datagram_gets_its_verdict_and_good_requests_are_served() {
    let (_stub, agent) = linked().await;
    let stranger = Stranger::of(agent.sip);
    let status = |method, call: &str| stranger.status(request(&stranger, method, call, ""), call);

    assert_eq!(status("OPTIONS", "c1"), 200);
    assert_eq!(status("INVITE", "c2"), 403);
    assert_eq!(status("BYE", "c3"), 481);
    assert_eq!(status("CANCEL", "c4"), 481);
    assert_eq!(status("MESSAGE", "c5"), 405);
    assert_eq!(status("NONSENSE", "c6"), 501);
    let required = request(&stranger, "INVITE", "c7", "Require: nothingSupportsThis\r\n");
    let answer = stranger.ask(&required, "c7", |_| {});
    assert!(
        answer.starts_with("SIP/2.0 420") && answer.contains("Unsupported: nothingSupportsThis")
    );
    let longer = request(&stranger, "OPTIONS", "c8", "").replace("Length: 0", "Length: 99");
    assert_eq!(stranger.status(&longer, "c8"), 400);
    let other = request(&stranger, "OPTIONS", "c9", "").replace("1 OPTIONS", "1 INVITE");
    assert_eq!(stranger.status(&other, "c9"), 400);
    let version =
        request(&stranger, "OPTIONS", "c10", "").replacen("SIP/2.0\r\n", "SIP/7.0\r\n", 1);
    assert_eq!(stranger.status(&version, "c10"), 505);

    let good = request(&stranger, "OPTIONS", "c11", "");
    let mut state = 1_u64;
    for n in 0..3_000 {
        // xorshift: the same garbage in every run.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let mut garbage = good.replace("c11", &format!("g{n}")).into_bytes();
        let length = garbage.len();
        for shift in [0, 16, 32] {
            garbage[(state >> shift) as usize % length] = (state >> (shift + 8)) as u8;
        }
        garbage.truncate(if n % 3 == 0 { (state % length as u64) as usize } else { length });
        stranger.send(garbage);
        if n % 100 == 0 {
            // One answer each hundred keeps the kernel's buffers from overflowing.
            let name = format!("p{n}");
            let probe = request(&stranger, "OPTIONS", &name, "");
            assert_eq!(stranger.status(&probe, &name), 200);
        }
    }
    stranger.send([0; 60_000]);
    stranger.send(b"\r\n\r\n");
    assert_eq!(stranger.status(&good, "c11"), 200);
}
