//! Datagrams at the SIP ports of the agent and of the carrier, from a stranger.

use std::{
    net::{SocketAddr, UdpSocket},
    time::Duration,
};

use reqwest::Method;

use super::{FROM, TO, unharmed, victim};
use crate::support::{
    Running,
    tenant::{Tenant, answer},
    until,
};

/// Rounds of garbage; each is a handful of datagrams and one question.
const ROUNDS: u64 = 120;

struct Stranger {
    socket: UdpSocket,
    port: SocketAddr,
}

impl Stranger {
    fn at(running: &Running, part: &str) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        Self { socket, port: running.stage.address(part).unwrap().parse().unwrap() }
    }

    fn send(&self, datagram: impl AsRef<[u8]>) {
        self.socket.send_to(datagram.as_ref(), self.port).unwrap();
    }

    fn request(&self, method: &str, call: &str) -> String {
        let (us, port) = (self.socket.local_addr().unwrap(), self.port);
        format!(
            "{method} sip:+15551000009@{port} SIP/2.0\r\n\
             Via: SIP/2.0/UDP {us};rport;branch=z9hG4bK{call}{method}\r\n\
             From: <sip:stranger@{us}>;tag=s{call}\r\nTo: <sip:+15551000009@{port}>\r\n\
             Call-ID: {call}\r\nCSeq: 1 {method}\r\nMax-Forwards: 70\r\n\
             Contact: <sip:stranger@{us}>\r\nContent-Length: 0\r\n\r\n"
        )
    }

    /// The status of the answer to a request, passing over what others are told. It must come.
    fn status(&self, request: impl AsRef<[u8]>, call: &str) -> u16 {
        self.send(request);
        let mut datagram = [0; 65_535];
        loop {
            let length = self.socket.recv(&mut datagram).expect("an answer in time");
            if let Some(status) = status_for(&datagram[..length], call) {
                return status;
            }
        }
    }

    /// That a request gets no answer until the one after it has its own.
    fn is_passed_over(&self, request: impl AsRef<[u8]>, call: &str) {
        self.send(request);
        let probe = format!("after-{call}");
        self.send(self.request("OPTIONS", &probe));
        let mut datagram = [0; 65_535];
        loop {
            let length = self.socket.recv(&mut datagram).expect("an answer in time");
            assert_eq!(status_for(&datagram[..length], call), None, "{call} was answered");
            if status_for(&datagram[..length], &probe).is_some() {
                return;
            }
        }
    }

    /// Garbage of every make, the same in every run, and one question at the end of each round.
    fn pester(&self) {
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
            self.send((0..length).map(|_| (next() >> 24) as u8).collect::<Vec<_>>());
            for method in ["INVITE", "BYE", "CANCEL", "OPTIONS"] {
                let mut broken = self.request(method, &format!("g{round}")).into_bytes();
                for _ in 0..4 {
                    let at = next() as usize % broken.len();
                    broken[at] = (next() >> 24) as u8;
                }
                if round % 3 == 0 {
                    broken.truncate(next() as usize % broken.len());
                }
                self.send(broken);
            }
            let good = self.request("OPTIONS", &format!("h{round}"));
            let huge = "x".repeat(30_000 + (next() % 20_000) as usize);
            self.send(good.replace("Max-Forwards", &format!("Subject: {huge}\r\nMax-Forwards")));
            self.send(good.replacen("<sip:stranger", &format!("\"{huge}\" <sip:stranger"), 1));
            let many = "Via: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bKx\r\n".repeat(800);
            self.send(good.replace("Max-Forwards", &format!("{many}Max-Forwards")));
            for stray in ["SIP/2.0 200 OK", "SIP/2.0 999 X", "SIP/2.0 -1 X"] {
                let (_, headers) = good.split_once("\r\n").unwrap();
                self.send(format!("{stray}\r\n{headers}"));
            }
            let probe = format!("p{round}");
            self.send(b"\r\n\r\n");
            assert!(self.status(self.request("OPTIONS", &probe), &probe) < 600);
        }
    }
}

/// The final status of a response with this Call-ID.
fn status_for(datagram: &[u8], call: &str) -> Option<u16> {
    let answer = String::from_utf8_lossy(datagram);
    let (line, headers) = answer.split_once("\r\n")?;
    let status = line.strip_prefix("SIP/2.0 ")?.get(..3)?.parse().ok()?;
    let ours = headers.split("\r\n").any(|header| header == format!("Call-ID: {call}"));
    (ours && status >= 200).then_some(status)
}

async fn answered(tenant: &Tenant) -> String {
    let twiml = "<Response><Pause length=\"60\"/></Response>";
    let call = tenant.accepted(&[("To", TO), ("From", FROM), ("Twiml", twiml)]).await;
    until("the call to be answered", Duration::from_secs(20), async || {
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
        let stranger = Stranger::at(&running, part);
        tokio::task::spawn_blocking(move || stranger.pester()).await.unwrap();
    }
    let explanation = tenant.explain(&call).await;
    assert_eq!(explanation["status"], "in-progress", "a stranger ended it: {explanation}");
    let path = tenant.path(&format!("Calls/{call}.json"));
    let complete = tenant.request(Method::POST, &path).form(&[("Status", "completed")]);
    assert_eq!(answer(complete).await.status, 200);
    assert_eq!(tenant.ended(&call).await.status, "completed");

    let agent = Stranger::at(&running, "agent-1.sip");
    let verdict = |call: &str, change: &dyn Fn(String) -> String, method: &str| {
        agent.status(change(agent.request(method, call)), call)
    };
    let same: &dyn Fn(String) -> String = &|request| request;
    assert_eq!(verdict("v1", same, "NONSENSE"), 501);
    assert_eq!(verdict("v2", same, "BYE"), 481);
    assert_eq!(verdict("v3", same, "CANCEL"), 481);
    agent.is_passed_over(agent.request("ACK", "v4"), "v4");
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
    let carrier = Stranger::at(&running, "carrier.sip");
    assert_eq!(carrier.status(carrier.request("BYE", "w1"), "w1"), 481);
    unharmed(running, &tenant).await;
}
