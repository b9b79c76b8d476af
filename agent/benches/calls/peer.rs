//! Carrier and controller of the benchmark: answers every INVITE at once, sends and takes audio, orders calls.

use std::{
    collections::HashMap,
    io::BufRead,
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    time::Duration,
};

use busyhour_agent::media::{EVENTS_MAX, Media, MediaConfig, MediaEvent, MediaSession};
use busyhour_agent_core::{media::g711::Law, sdp::Local};
use busyhour_base::{CallEvent, CallSid, Reason, Span};
use busyhour_protocol::v1::{self, to_agent::Message};
use tokio::sync::mpsc;

use crate::common::{FENCE, Stub, order};

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// Speech for as long as the call is up.
const SPEAK: &str = "<Response><Say loop=\"0\">This is an announcement of some length, which is heard again \
                     and again for as long as the call is up.</Say></Response>";
const HANG_UP: &str = "<Response><Hangup/></Response>";
/// Calls begun per second while many are brought up.
const UP_PER_S: u32 = 100;

pub fn run() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(serve());
}

async fn serve() {
    let carrier = Carrier::bind();
    let carrier_at = carrier.address;
    std::thread::spawn(move || carrier.run());
    let mut stub = Stub::start().await;
    println!("controller {}", stub.address);
    stub.linked().await;
    println!("linked");
    let mut driver = Driver { stub, carrier: carrier_at, next: 0 };
    let (sender, mut orders) = mpsc::channel(1);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    while let Some(line) = orders.recv().await {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["up", calls] => driver.up(calls.parse().expect("a number")).await,
            ["down"] => driver.down().await,
            ["rate", calls, at_once] => {
                let (calls, at_once) =
                    (calls.parse().expect("calls"), at_once.parse().expect("at once"));
                driver.rate(calls, at_once).await;
            }
            _ => panic!("{line:?}"),
        }
    }
}

struct Driver {
    stub: Stub,
    carrier: SocketAddr,
    next: u64,
}

impl Driver {
    async fn dial(&mut self, document: &str) {
        self.next += 1;
        let mut order = order(self.carrier, document);
        order.call = self.next;
        order.call_sid = CallSid(self.next.into());
        order.spec.time_limit = Span::from_secs(600);
        self.stub.dial(&order).await;
    }

    async fn up(&mut self, calls: u64) {
        let mut clock = tokio::time::interval(Duration::from_secs(1) / UP_PER_S);
        for _ in 0..calls {
            clock.tick().await;
            self.dial(SPEAK).await;
        }
        let mut answered = 0;
        while answered < calls {
            match self.stub.report().await.2 {
                CallEvent::Answered => answered += 1,
                CallEvent::Sent | CallEvent::Ringing => {}
                other => panic!("{other:?}"),
            }
        }
        // Every one speaks before it is measured.
        tokio::time::sleep(Duration::from_secs(2)).await;
        println!("up");
    }

    async fn down(&mut self) {
        let first = self.next + 1 - self.next.min(super::UP.into());
        for call in first..=self.next {
            let reason = Reason::CanceledByTenant.code().to_owned();
            let hang_up = v1::HangUp { call, attempt: 1, fence: FENCE, reason };
            self.stub.order(Message::HangUp(hang_up)).await;
        }
        for _ in first..=self.next {
            self.ended().await;
        }
        println!("down all were confirmed");
    }

    async fn rate(&mut self, calls: u32, at_once: u32) {
        let (mut begun, mut ended) = (0, 0);
        while ended < calls {
            while begun < calls && begun - ended < at_once {
                self.dial(HANG_UP).await;
                begun += 1;
            }
            self.ended().await;
            ended += 1;
        }
        println!("done");
    }

    async fn ended(&mut self) {
        loop {
            match self.stub.report().await.2 {
                CallEvent::Ended(ending) => {
                    assert!(ending.confirmed && ending.sip_code == 200, "{ending:?}");
                    return;
                }
                CallEvent::NotSent(reason) => panic!("{reason}"),
                _ => {}
            }
        }
    }
}

/// A user agent server that answers every call.
struct Carrier {
    socket: UdpSocket,
    address: SocketAddr,
    media: Media,
    calls: HashMap<String, (MediaSession, mpsc::Receiver<MediaEvent>)>,
}

impl Carrier {
    fn bind() -> Self {
        let socket = UdpSocket::bind((LOOPBACK, 0)).expect("a port");
        let config = MediaConfig {
            ip: LOOPBACK,
            ports: None,
            threads: 1,
            inactivity: Duration::from_secs(600),
        };
        Self {
            address: socket.local_addr().expect("bound"),
            socket,
            media: Media::start(&config).expect("media"),
            calls: HashMap::new(),
        }
    }

    fn run(mut self) {
        let mut datagram = [0; 4_096];
        while let Ok((length, from)) = self.socket.recv_from(&mut datagram) {
            let request = String::from_utf8_lossy(&datagram[..length]).into_owned();
            match request.split(' ').next() {
                Some("INVITE") => self.answer(&request, from),
                Some("BYE") => {
                    self.calls.remove(&header(&request, "Call-ID"));
                    self.reply("200 OK", &request, "", "", from);
                }
                _ => {}
            }
        }
    }

    fn answer(&mut self, invite: &str, from: SocketAddr) {
        let call = header(invite, "Call-ID");
        if self.calls.contains_key(&call) {
            return;
        }
        self.reply("180 Ringing", invite, ";tag=peer", "", from);
        let offer = invite.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        let (sender, events) = mpsc::channel(EVENTS_MAX);
        let session = self.media.open(sender).expect("a port");
        let local = Local {
            address: LOOPBACK,
            port: session.address().port(),
            laws: vec![Law::Mu],
            session: 1,
        };
        let (sdp, agreed) = local.answer(offer.as_bytes()).expect("an offer");
        session.connect(agreed);
        self.calls.insert(call, (session, events));
        self.reply("200 OK", invite, ";tag=peer", &sdp, from);
    }

    fn reply(&self, status: &str, request: &str, tag: &str, sdp: &str, to: SocketAddr) {
        let mut reply = format!("SIP/2.0 {status}\r\n");
        for name in ["Via", "From", "To", "Call-ID", "CSeq"] {
            let tag = if name == "To" { tag } else { "" };
            reply.push_str(&format!("{name}: {}{tag}\r\n", header(request, name)));
        }
        if !sdp.is_empty() {
            reply.push_str(&format!(
                "Contact: <sip:{}>\r\nContent-Type: application/sdp\r\n",
                self.address
            ));
        }
        reply.push_str(&format!("Content-Length: {}\r\n\r\n{sdp}", sdp.len()));
        self.socket.send_to(reply.as_bytes(), to).expect("sent");
    }
}

fn header(message: &str, name: &str) -> String {
    let start = format!("{name}: ");
    message.lines().find_map(|line| line.strip_prefix(&start)).unwrap_or_default().to_owned()
}
