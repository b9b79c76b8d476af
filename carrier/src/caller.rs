//! A call that the carrier makes to a tenant's number: a caller with sockets of its own, who listens for a while and tells
//! what was heard (RFC 3261, 13.2 and 17.1.1).

use std::{
    fmt::Write,
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use busyhour_base::{Span, Timestamp};
use tokio::{
    net::UdpSocket,
    time::{Instant, timeout_at},
};
use tokio_util::sync::CancellationToken;

use crate::{
    media::{Ear, Stream, read_packet},
    sip::{sdp, value},
};

/// Estimate of the round trip; requests are repeated after it, doubling (RFC 3261, 17.1.1.1).
const T1: Duration = Duration::from_millis(500);
/// How long an unanswered request is repeated.
const GIVE_UP: Duration = Duration::from_secs(32);
/// Largest datagram that is looked at.
const DATAGRAM_MAX: usize = 4_096;

/// One call to be made.
#[derive(Clone, Debug)]
pub struct CallIn {
    /// Counts the calls; names this one.
    pub number: u64,
    /// Address of the caller's sockets.
    pub ip: IpAddr,
    /// Where the trunk's other side listens.
    pub trunk: SocketAddr,
    /// Calling number.
    pub from: String,
    /// Called number.
    pub to: String,
    /// How long the caller listens before hanging up.
    pub listens: Span,
    /// How long the caller lets it ring.
    pub patience: Span,
    /// Cuts both short.
    pub stop: CancellationToken,
}

/// What is told of a call while it goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// 200 came.
    Answered,
    /// The caller, or the other side, has hung up, given up or refused; that may still have to be confirmed.
    Leaves,
}

/// What became of it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CalledIn {
    /// Final status of the INVITE; 0 if there was none.
    pub status: u16,
    /// Why the call was refused, as far as the refusal says (RFC 3261, 20.43).
    pub reason: String,
    /// Anything came back: the INVITE may be cancelled.
    pub heard: bool,
    /// The caller heard ringing.
    pub rang: bool,
    /// Length of the speech that was heard.
    pub speech: Span,
    /// The end was confirmed: by a response to our BYE, or by the far end's own.
    pub ended: bool,
}

/// Calls, listens, and hangs up; `told` hears of each step as it happens.
///
/// # Errors
/// A socket cannot be opened or used.
pub async fn call_in(call: &CallIn, mut told: impl FnMut(Step)) -> io::Result<CalledIn> {
    let sip = UdpSocket::bind((call.ip, 0)).await?;
    let rtp = UdpSocket::bind((call.ip, 0)).await?;
    let (local, media) = (sip.local_addr()?, rtp.local_addr()?);
    let mut caller = Caller { call, sip, rtp, local, to_tag: String::new() };
    caller.run(media, &mut told).await
}

struct Caller<'a> {
    call: &'a CallIn,
    sip: UdpSocket,
    rtp: UdpSocket,
    local: SocketAddr,
    to_tag: String,
}

/// A message of the far end, as far as a caller looks at it.
struct Message {
    head: String,
    body: Vec<u8>,
}

impl Message {
    fn status(&self) -> Option<u16> {
        self.head.strip_prefix("SIP/2.0 ")?.get(..3)?.parse().ok()
    }

    fn lines(&self, name: &str) -> impl Iterator<Item = &str> {
        let lines = self.head.lines().filter(move |line| {
            line.split_once(':').is_some_and(|(field, _)| field.trim().eq_ignore_ascii_case(name))
        });
        lines.map(str::trim)
    }

    fn value(&self, name: &str) -> &str {
        let line = self.lines(name).next().and_then(|line| line.split_once(':'));
        line.map_or("", |(_, value)| value.trim())
    }

    /// A response to a request of this method.
    fn answers(&self, method: &str) -> Option<u16> {
        self.status().filter(|_| self.value("CSeq").ends_with(method))
    }
}

impl Caller<'_> {
    async fn run(
        &mut self,
        media: SocketAddr,
        told: &mut impl FnMut(Step),
    ) -> io::Result<CalledIn> {
        let mut called = CalledIn::default();
        let invite = self.request("INVITE", 1, "invite", &self.sdp(media));
        let patience = Instant::now() + self.call.patience.into();
        let mut answer = tokio::select! {
            answer = self.invited(&invite, patience, &mut called) => answer?,
            () = self.call.stop.cancelled() => None,
        };
        let gives_up = answer.is_none();
        if gives_up && called.heard {
            told(Step::Leaves);
            let cancel = self.request("CANCEL", 1, "invite", "");
            let until = Instant::now() + GIVE_UP;
            answer = self.invited(&cancel, until, &mut called).await?;
        }
        let Some(answer) = answer else { return Ok(called) };
        called.status = answer.status().unwrap_or(0);
        self.to_tag = value::tag(answer.value("To")).unwrap_or_default().to_owned();
        if called.status >= 300 {
            told(Step::Leaves);
            called.reason = reason(answer.value("Warning"));
            self.send(&self.request("ACK", 1, "invite", "")).await?;
            called.ended = true;
            return Ok(called);
        }
        told(Step::Answered);
        let acknowledge = self.request("ACK", 1, "ack", "");
        self.send(&acknowledge).await?;
        let stream = sdp::read_offer(&answer.body).map(|offer| offer.stream);
        let far_bye = !gives_up && self.listen(stream, &acknowledge, &mut called).await?;
        told(Step::Leaves);
        called.ended = far_bye || self.hang_up().await?;
        Ok(called)
    }

    /// Sends until something is heard, and waits for the final response to the INVITE.
    async fn invited(
        &self,
        request: &str,
        until: Instant,
        called: &mut CalledIn,
    ) -> io::Result<Option<Message>> {
        let mut pause = T1;
        let mut again = Instant::now();
        let mut heard = false;
        loop {
            if !heard && Instant::now() >= again {
                self.send(request).await?;
                again = Instant::now() + pause;
                pause *= 2;
            }
            let look = if heard { until } else { again.min(until) };
            let Some(message) = self.receive(look).await? else {
                if Instant::now() >= until {
                    return Ok(None);
                }
                continue;
            };
            match message.answers("INVITE") {
                Some(status) if status >= 200 => return Ok(Some(message)),
                Some(status) => {
                    heard = true;
                    called.heard = true;
                    called.rang |= status == 180;
                }
                None => {}
            }
        }
    }

    /// Listens for as long as the caller wants to; `true` if the far end has hung up before.
    async fn listen(
        &self,
        stream: Option<Stream>,
        acknowledge: &str,
        called: &mut CalledIn,
    ) -> io::Result<bool> {
        let started = Instant::now();
        let until = started + self.call.listens.into();
        let mut ear = Ear::default();
        let mut packet = [0; DATAGRAM_MAX];
        let mut far_bye = false;
        while !far_bye && Instant::now() < until {
            tokio::select! {
                () = self.call.stop.cancelled() => break,
                received = self.rtp.recv(&mut packet) => {
                    let payload = read_packet(&packet[..received?]);
                    if let (Some(stream), Some(payload)) = (stream, payload) {
                        let now = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
                        ear.frame(Timestamp(now), stream.law.energy(payload));
                    }
                }
                message = self.receive(until) => match message? {
                    // Its ACK was lost.
                    Some(again) if again.answers("INVITE") == Some(200) => {
                        self.send(acknowledge).await?;
                    }
                    Some(request) if request.head.starts_with("BYE ") => {
                        self.confirm(&request).await?;
                        far_bye = true;
                    }
                    _ => {}
                },
            }
        }
        called.speech = ear.heard();
        Ok(far_bye)
    }

    /// Says BYE until it is answered, or until the far end's own crosses it.
    async fn hang_up(&self) -> io::Result<bool> {
        let bye = self.request("BYE", 2, "bye", "");
        let until = Instant::now() + GIVE_UP;
        let mut pause = T1;
        while Instant::now() < until {
            self.send(&bye).await?;
            let again = Instant::now() + pause;
            pause *= 2;
            while let Some(message) = self.receive(again).await? {
                if message.head.starts_with("BYE ") {
                    self.confirm(&message).await?;
                    return Ok(true);
                }
                if message.answers("BYE").is_some_and(|status| status >= 200) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    async fn confirm(&self, request: &Message) -> io::Result<()> {
        let mut text = "SIP/2.0 200 OK\r\n".to_owned();
        for name in ["Via", "From", "To", "Call-ID", "CSeq"] {
            for line in request.lines(name) {
                let _ = write!(text, "{line}\r\n");
            }
        }
        text.push_str("Content-Length: 0\r\n\r\n");
        self.send(&text).await
    }

    async fn send(&self, text: &str) -> io::Result<()> {
        self.sip.send_to(text.as_bytes(), self.call.trunk).await.map(|_| ())
    }

    /// The next message, if one comes in time.
    async fn receive(&self, until: Instant) -> io::Result<Option<Message>> {
        let mut datagram = [0; DATAGRAM_MAX];
        let Ok(received) = timeout_at(until, self.sip.recv(&mut datagram)).await else {
            return Ok(None);
        };
        let datagram = &datagram[..received?];
        let end = datagram.windows(4).position(|w| w == b"\r\n\r\n").unwrap_or(datagram.len());
        let head = String::from_utf8_lossy(&datagram[..end]).into_owned();
        let body = datagram.get(end + 4..).unwrap_or_default().to_vec();
        Ok(Some(Message { head, body }))
    }

    fn request(&self, method: &str, cseq: u32, branch: &str, body: &str) -> String {
        let CallIn { number, trunk, from, to, .. } = self.call;
        let local = self.local;
        let mut text = format!(
            "{method} sip:{to}@{trunk} SIP/2.0\r\n\
             Via: SIP/2.0/UDP {local};rport;branch=z9hG4bKin{number}-{branch}-{port}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:{from}@{local}>;tag=in{number}\r\n\
             To: <sip:{to}@{trunk}>",
            port = local.port(),
        );
        if !self.to_tag.is_empty() {
            let _ = write!(text, ";tag={}", self.to_tag);
        }
        let _ = write!(
            text,
            "\r\nCall-ID: in{number}-{port}@{ip}\r\nCSeq: {cseq} {method}\r\n",
            port = local.port(),
            ip = local.ip(),
        );
        if method == "INVITE" {
            let _ = write!(
                text,
                "Contact: <sip:{from}@{local}>\r\nAllow: INVITE, ACK, CANCEL, BYE\r\n\
                 Content-Type: application/sdp\r\n"
            );
        }
        let _ = write!(text, "Content-Length: {}\r\n\r\n{body}", body.len());
        text
    }

    fn sdp(&self, media: SocketAddr) -> String {
        let kind = if media.is_ipv4() { "IP4" } else { "IP6" };
        let (ip, port, number) = (media.ip(), media.port(), self.call.number);
        format!(
            "v=0\r\no=caller {number} 1 IN {kind} {ip}\r\ns=-\r\nc=IN {kind} {ip}\r\nt=0 0\r\n\
             m=audio {port} RTP/AVP 0 8\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n"
        )
    }
}

/// Longest reason that is kept.
const REASON_MAX: usize = 64;

/// The text of a warning, `399 AGENT "TEXT"`.
fn reason(warning: &str) -> String {
    let text = warning.split('"').nth(1).unwrap_or_default();
    text.chars().filter(|char| !char.is_control()).take(REASON_MAX).collect()
}
