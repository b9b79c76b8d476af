//! Garbage at the SIP socket: each gets what RFC 3261 and RFC 4475 say, and a good request is served after it.

mod common;

use std::{net::UdpSocket, time::Duration};

use common::{Agent, PATIENCE, Stub};

struct Stranger {
    socket: UdpSocket,
    agent: std::net::SocketAddr,
}

impl Stranger {
    fn request(&self, method: &str, call: &str, extra: &str) -> String {
        let us = self.socket.local_addr().unwrap();
        format!(
            "{method} sip:busyhour@{agent} SIP/2.0\r\nVia: SIP/2.0/UDP {us};rport;branch=z9hG4bK{call}{method}\r\n\
             From: <sip:stranger@{us}>;tag=s{call}\r\nTo: <sip:busyhour@{agent}>{tag}\r\nCall-ID: {call}\r\n\
             CSeq: 1 {method}\r\nMax-Forwards: 70\r\n{extra}Content-Length: 0\r\n\r\n",
            agent = self.agent,
            tag = if method == "BYE" { ";tag=unknown" } else { "" },
        )
    }

    fn send(&self, datagram: impl AsRef<[u8]>) {
        self.socket.send_to(datagram.as_ref(), self.agent).unwrap();
    }

    /// The answer to a request, passing over repetitions of answers to others.
    fn ask(&self, request: &str) -> String {
        self.send(request);
        let call = request.lines().find(|line| line.starts_with("Call-ID")).unwrap().to_owned();
        let mut datagram = [0; 4_096];
        loop {
            let length = self.socket.recv(&mut datagram).expect("an answer in time");
            let answer = String::from_utf8(datagram[..length].to_vec()).unwrap();
            if answer.contains(&call) && !answer.starts_with("SIP/2.0 100") {
                return answer;
            }
        }
    }

    fn status(&self, request: &str) -> String {
        self.ask(request)[8..11].to_owned()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_datagram_gets_its_verdict_and_good_requests_are_served() {
    let mut stub = Stub::start().await;
    let agent = Agent::start(&stub);
    stub.linked().await;
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let stranger = Stranger { socket, agent: agent.sip };

    assert_eq!(stranger.status(&stranger.request("OPTIONS", "c1", "")), "200");
    assert_eq!(stranger.status(&stranger.request("INVITE", "c2", "")), "403");
    assert_eq!(stranger.status(&stranger.request("BYE", "c3", "")), "481");
    assert_eq!(stranger.status(&stranger.request("CANCEL", "c4", "")), "481");
    assert_eq!(stranger.status(&stranger.request("MESSAGE", "c5", "")), "405");
    assert_eq!(stranger.status(&stranger.request("NONSENSE", "c6", "")), "501");
    let required = stranger.request("INVITE", "c7", "Require: nothingSupportsThis\r\n");
    let answer = stranger.ask(&required);
    assert!(
        answer.starts_with("SIP/2.0 420") && answer.contains("Unsupported: nothingSupportsThis")
    );
    let longer = stranger.request("OPTIONS", "c8", "").replace("Length: 0", "Length: 99");
    assert_eq!(stranger.status(&longer), "400");
    let other = stranger.request("OPTIONS", "c9", "").replace("1 OPTIONS", "1 INVITE");
    assert_eq!(stranger.status(&other), "400");
    let version = stranger.request("OPTIONS", "c10", "").replacen("SIP/2.0\r\n", "SIP/7.0\r\n", 1);
    assert_eq!(stranger.status(&version), "505");

    let good = stranger.request("OPTIONS", "c11", "");
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
            let probe = stranger.request("OPTIONS", &format!("p{n}"), "");
            assert_eq!(stranger.status(&probe), "200");
        }
    }
    stranger.send([0; 60_000]);
    stranger.send(b"\r\n\r\n");
    stranger.socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    assert_eq!(stranger.status(&good), "200");
}
