//! Calls that carriers begin, from the INVITE to its acknowledged answer (RFC 3261, 13.3 and 17.2.1).
//!
//! | phase | on | then |
//! |---|---|---|
//! | arrived | from nowhere known, unreadable | refused, nobody is told |
//! | | else | 100, and the call is told as an [`Arrival`] |
//! | waiting | [`ArrivalControl::ring`] | 180 |
//! | | [`ArrivalControl::refuse`], or the control is dropped | that failure, over |
//! | | the caller's CANCEL | 487, over |
//! | | [`ArrivalControl::answer`] | 200, repeated by the transaction until its ACK |
//! | answered | ACK | confirmed |
//! | | no ACK for 64 T1 | BYE, over |

use std::{net::SocketAddr, sync::Arc};

use busyhour_base::Reason;
use busyhour_protocol::InboundTrunk;
use rsipstack::{
    sip::{
        Header, Method, Request, StatusCode,
        prelude::{HasHeaders, HeadersExt},
    },
    transaction::{
        Transaction,
        transaction::{TransactionEvent, TransactionEventSender},
    },
};
use tokio::sync::mpsc;
use tracing::{Dispatch, instrument::WithSubscriber};

use super::{
    DialogCommand, DialogControl, EVENTS_MAX, SipEvent, StoredDialog,
    confirmed::{Confirmed, session_expires},
    dialog::{COMMANDS_MAX, Line},
    endpoint::Shared,
    gate::Judged,
    incoming, message,
    session::Session,
};
use crate::metric_definitions as metric;

/// Seconds after which a carrier may offer again what was refused for want of room.
const RETRY_AFTER_S: u32 = 5;
/// Verdicts on one call: it rings while it waits and while it is decided on, and then is answered or refused.
const VERDICTS_MAX: usize = 3;
/// Requests of one transaction that may wait: a CANCEL and an ACK.
const HEARD_MAX: usize = 4;

/// A call that a carrier begins.
#[derive(Debug)]
pub struct Arrival {
    /// Which carrier, with the codecs that it takes.
    pub trunk: InboundTrunk,
    /// Called party: the user of the Request-URI, or all of it.
    pub to: String,
    /// Calling party, likewise.
    pub from: String,
    /// `Call-ID`.
    pub call_id: String,
    /// The carrier's SDP; `None` if it wants ours in the answer.
    pub offer: Option<Vec<u8>>,
    /// What happens to it.
    pub events: mpsc::Receiver<SipEvent>,
    /// What may be done with it.
    pub control: ArrivalControl,
}

/// Hold on a call that is not answered. Dropping it refuses the call.
#[derive(Debug)]
pub struct ArrivalControl {
    verdicts: mpsc::Sender<Verdict>,
    commands: mpsc::Sender<DialogCommand>,
}

impl ArrivalControl {
    /// The caller hears it ring.
    pub fn ring(&self) {
        let _ = self.verdicts.try_send(Verdict::Ring);
    }

    /// Answers with our SDP; told by [`SipEvent::Answered`] with the SDP of the ACK, or by [`SipEvent::Silent`] and
    /// [`SipEvent::Closed`] if no ACK comes. A caller who has given up is told by [`SipEvent::FarHangUp`] instead.
    pub fn answer(self, sdp: Vec<u8>) -> DialogControl {
        let _ = self.verdicts.try_send(Verdict::Answer(sdp));
        DialogControl { commands: self.commands }
    }

    /// Refuses with a failure from 400 to 699. The carrier's people can read why (RFC 3261, 20.43), as far as there is a word.
    pub fn refuse(self, sip_code: u16, retry_after_s: u32, why: Option<Reason>) {
        let _ = self.verdicts.try_send(Verdict::Refuse { sip_code, retry_after_s, why });
    }
}

#[derive(Debug)]
enum Verdict {
    Ring,
    Answer(Vec<u8>),
    Refuse { sip_code: u16, retry_after_s: u32, why: Option<Reason> },
}

/// Judges an INVITE outside of any dialog, and tells of the call if it may be one.
pub(super) fn take(
    shared: &Arc<Shared>,
    arrivals: &mpsc::Sender<Arrival>,
    transaction: Box<Transaction>,
) {
    let refuse = |transaction, code, headers, cause| {
        metric::arrival(cause);
        shared.responder.respond(transaction, code, headers, None);
    };
    let invite = &transaction.original;
    if let Some(unsupported) = incoming::unsupported(invite) {
        let header = Header::Unsupported(unsupported.into());
        return refuse(transaction, StatusCode::BadExtension, vec![header], "unreadable");
    }
    let Some(source) = message::source(invite) else {
        return refuse(transaction, StatusCode::Forbidden, vec![], "stranger");
    };
    let trunk = match shared.gate.judge(source, invite) {
        Judged::Welcome(trunk) => *trunk,
        Judged::Challenged(headers) => {
            return refuse(transaction, StatusCode::Unauthorized, headers, "challenged");
        }
        Judged::Stranger => return refuse(transaction, StatusCode::Forbidden, vec![], "stranger"),
    };
    let (session, sdp) = match (session_of(shared, invite), offer_of(invite)) {
        (Ok(session), Ok(sdp)) => (session, sdp),
        (Err((code, header)), _) => {
            return refuse(transaction, code, vec![header], "session_too_short");
        }
        (_, Err(code)) => return refuse(transaction, code, vec![], "unreadable"),
    };
    let tag = message::random_token();
    let (Some(to), Some(from), Some(stored)) =
        (called(invite), calling(invite), stored(invite, &tag, source))
    else {
        return refuse(transaction, StatusCode::BadRequest, vec![], "unreadable");
    };
    let call_id = stored.call_id.clone();
    let later = || vec![Header::RetryAfter(RETRY_AFTER_S.to_string().into())];
    let registered = shared.dialogs.register(&call_id, &tag, stored.target.clone());
    let Ok((registration, requests)) = registered else {
        return refuse(transaction, StatusCode::ServiceUnavailable, later(), "full");
    };
    let (verdicts, given) = mpsc::channel(VERDICTS_MAX);
    let (commands, ordered) = mpsc::channel(COMMANDS_MAX);
    let (events, happened) = mpsc::channel(EVENTS_MAX);
    let control = ArrivalControl { verdicts, commands };
    let arrival = Arrival { trunk, to, from, call_id, offer: sdp, events: happened, control };
    if arrivals.try_send(arrival).is_err() {
        return refuse(transaction, StatusCode::ServiceUnavailable, later(), "full");
    }
    metric::arrival("offered");
    let (heard, hears) = mpsc::channel(HEARD_MAX);
    let arriving = Arriving {
        invite: transaction.original.clone(),
        responses: transaction.tu_sender.clone(),
        heard: hears,
        stored,
        session,
        line: Line {
            shared: shared.clone(),
            sdp: Vec::new(),
            credentials: None,
            events,
            commands: ordered,
            requests,
            _registration: registration,
        },
    };
    tokio::spawn(follow(transaction, heard).with_subscriber(Dispatch::none()));
    tokio::spawn(arriving.run(given));
}

/// Sees the transaction to its end, and passes on what it hears.
async fn follow(mut transaction: Box<Transaction>, heard: mpsc::Sender<Request>) {
    while let Some(message) = transaction.receive().await {
        if let rsipstack::sip::SipMessage::Request(request) = message {
            let _ = heard.send(request).await;
        }
    }
}

/// A call that is not confirmed yet.
struct Arriving {
    invite: Request,
    /// Responses go out in the transaction's own task: sending one must not be given up half-way.
    responses: TransactionEventSender,
    heard: mpsc::Receiver<Request>,
    stored: StoredDialog,
    session: Session,
    line: Line,
}

impl Arriving {
    async fn run(mut self, verdicts: mpsc::Receiver<Verdict>) {
        self.respond(StatusCode::Trying, vec![], None);
        if self.waiting(verdicts).await {
            self.answered().await;
        }
    }

    /// Until it is answered (`true`) or over.
    async fn waiting(&mut self, mut verdicts: mpsc::Receiver<Verdict>) -> bool {
        let mut rang = false;
        loop {
            tokio::select! {
                // A CANCEL that is here already goes before an answer.
                biased;
                heard = self.heard.recv() => {
                    if heard.is_some_and(|request| request.method == Method::Cancel) {
                        self.respond(StatusCode::RequestTerminated, vec![], None);
                    }
                    self.line.tell(SipEvent::FarHangUp).await;
                    return false;
                }
                verdict = verdicts.recv() => match verdict {
                    Some(Verdict::Ring) if rang => {}
                    Some(Verdict::Ring) => {
                        rang = true;
                        let contact = vec![self.contact()];
                        self.respond(StatusCode::Ringing, contact, None);
                    }
                    Some(Verdict::Answer(sdp)) => {
                        self.accept(sdp);
                        return true;
                    }
                    Some(Verdict::Refuse { sip_code, retry_after_s, why }) => {
                        self.refuse(sip_code, retry_after_s, why);
                        return false;
                    }
                    None => {
                        self.refuse(503, RETRY_AFTER_S, None);
                        return false;
                    }
                },
                Some(transaction) = self.line.requests.recv() => {
                    self.line.shared.responder.refuse_unknown(transaction);
                }
            }
        }
    }

    fn refuse(&self, sip_code: u16, retry_after_s: u32, why: Option<Reason>) {
        let code = StatusCode::from(sip_code);
        let mut headers = Vec::new();
        if retry_after_s > 0 {
            headers.push(Header::RetryAfter(retry_after_s.to_string().into()));
        }
        if let Some(why) = why {
            headers.push(Header::Warning(format!("399 busyhour \"{why}\"").into()));
        }
        self.respond(code, headers, None);
    }

    fn accept(&mut self, sdp: Vec<u8>) {
        let mut headers = vec![
            self.contact(),
            Header::Allow(message::ALLOW.into()),
            Header::Supported("timer".into()),
            Header::ContentType("application/sdp".into()),
        ];
        if session_expires(&self.invite).is_some() {
            headers.push(Header::SessionExpires(self.session.as_answered().into()));
            if !self.session.ours {
                headers.push(Header::Require("timer".into()));
            }
        }
        self.line.sdp.clone_from(&sdp);
        self.respond(StatusCode::OK, headers, Some(sdp));
    }

    /// From the 200 to its ACK, and on.
    async fn answered(mut self) {
        loop {
            tokio::select! {
                heard = self.heard.recv() => match heard {
                    Some(request) if request.method == Method::Ack => {
                        let Self { line, stored, session, invite, .. } = self;
                        let confirmed = Confirmed::accepted(line, stored, session, &invite);
                        return confirmed.run(request.body).await;
                    }
                    Some(_) => {}
                    None => return self.unacknowledged().await,
                },
                Some(transaction) = self.line.requests.recv() => {
                    if transaction.original.method == Method::Bye {
                        self.line.shared.responder.respond(transaction, StatusCode::OK, vec![], None);
                        return self.line.tell(SipEvent::FarHangUp).await;
                    }
                    let code = StatusCode::RequestPending;
                    self.line.shared.responder.respond(transaction, code, vec![], None);
                }
            }
        }
    }

    /// The caller never acknowledged: it may hold the call for up, so it is told (RFC 3261, 13.3.1.4).
    async fn unacknowledged(self) {
        let Self { line, stored, session, invite, .. } = self;
        line.tell(SipEvent::Silent).await;
        let events = line.events.clone();
        let confirmed = Confirmed::accepted(line, stored, session, &invite).hang_up().await;
        let _ = events.send(SipEvent::Closed { confirmed }).await;
    }

    fn contact(&self) -> Header {
        Header::Contact(format!("<sip:busyhour@{}>", self.line.shared.local).into())
    }

    fn respond(&self, code: StatusCode, headers: Vec<Header>, body: Option<Vec<u8>>) {
        let endpoint = &self.line.shared.sender.endpoint;
        let mut response = endpoint.make_response(&self.invite, code.clone(), body);
        if code != StatusCode::Trying {
            // The tag makes the dialog, and the route must come back with it (RFC 3261, 12.1.1).
            response.headers.unique_push(Header::To(self.stored.local.clone().into()));
            let routes = self.invite.headers().iter();
            let routes = routes.filter(|h| matches!(h, Header::RecordRoute(_))).cloned();
            response.headers.extend(routes.collect::<Vec<_>>());
        }
        response.headers.extend(headers);
        // The transaction may be over, and then nobody waits for it.
        let _ = self.responses.send(TransactionEvent::Respond(response));
    }
}

fn stored(invite: &Request, tag: &str, source: SocketAddr) -> Option<StoredDialog> {
    let to = invite.to_header().ok()?.value();
    message::accepted(invite, format!("{to};tag={tag}"), source)
}

/// What the session's timer will be, or why it cannot be that (RFC 4028, 9).
fn session_of(shared: &Shared, invite: &Request) -> Result<Session, (StatusCode, Header)> {
    let timers = shared.timers;
    let Some(asked) = session_expires(invite) else {
        return Ok(Session::agreed(None, timers.session, timers.session_min));
    };
    let seconds = asked.split(';').next().and_then(|text| text.trim().parse::<u64>().ok());
    let min = timers.session_min.as_secs();
    if seconds.is_some_and(|seconds| seconds < min) {
        let header = Header::MinSE(min.to_string().into());
        return Err((StatusCode::SessionIntervalTooSmall, header));
    }
    Ok(Session::agreed(Some(asked), timers.session, timers.session_min).asked_of_us())
}

fn offer_of(invite: &Request) -> Result<Option<Vec<u8>>, StatusCode> {
    if invite.body.is_empty() {
        return Ok(None);
    }
    let sdp = invite.headers().iter().any(|h| {
        matches!(h, Header::ContentType(kind)
            if kind.value().split(';').next().unwrap_or_default().trim()
                .eq_ignore_ascii_case("application/sdp"))
    });
    sdp.then(|| Some(invite.body.clone())).ok_or(StatusCode::UnsupportedMediaType)
}

fn called(invite: &Request) -> Option<String> {
    party(&invite.uri)
}

fn calling(invite: &Request) -> Option<String> {
    use rsipstack::sip::prelude::ToTypedHeader;
    party(&invite.from_header().ok()?.typed().ok()?.uri)
}

/// A number as it is written, or else the whole address.
fn party(uri: &rsipstack::sip::Uri) -> Option<String> {
    let user = uri.user()?;
    let user = user.split(';').next().unwrap_or(user);
    let digits = user.strip_prefix('+').unwrap_or(user);
    if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) {
        return Some(user.to_owned());
    }
    Some(format!("sip:{user}@{}", uri.host_with_port.host))
}
