//! One dialog of ours, from its INVITE to its confirmed end.
//!
//! | phase | leaves on | to |
//! |---|---|---|
//! | inviting | 2xx | confirmed |
//! | | 3xx to 6xx, time-out | over |
//! | cancelling | 487 and other finals | over |
//! | | 2xx (they crossed) | confirmed, and the call says BYE |
//! | | nothing for 64 T1 | over; a late 2xx still gets ACK and BYE |
//! | confirmed | our BYE | ending |
//! | | the far end's BYE | over |
//! | ending | final response, crossing BYE, or nothing for 64 T1 | over |

use std::{net::SocketAddr, sync::Arc, time::Duration};

use busyhour_agent_core::digest::Credentials;
use rsipstack::{
    sip::{Header, Method, Request, Response, Uri, prelude::HasHeaders},
    transaction::Transaction,
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};

use super::{
    DialogCommand, DialogControl, Invite, InviteError, SipEvent, StoredDialog, auth,
    confirmed::Confirmed, endpoint::Shared, incoming::Registration, message, transaction::Reply,
};

/// What a dialog has from its first message to its end, whoever began it.
pub(super) struct Line {
    pub shared: Arc<Shared>,
    /// Our SDP, repeated in refreshes.
    pub sdp: Vec<u8>,
    /// How to answer a challenge.
    pub credentials: Option<Credentials>,
    pub events: mpsc::Sender<SipEvent>,
    pub commands: mpsc::Receiver<DialogCommand>,
    pub requests: mpsc::Receiver<Box<Transaction>>,
    pub _registration: Registration,
}

impl Line {
    /// Tells the call; if it is gone, nobody needs to know.
    pub async fn tell(&self, event: SipEvent) {
        let _ = self.events.send(event).await;
    }
}

/// A dialog in the making, as a task of its own.
struct Dialog {
    line: Line,
    call_id: String,
    destination: SocketAddr,
    from: String,
    to: String,
    target: Uri,
    cseq: u32,
    session_min: Option<Duration>,
    answered_challenges: u32,
}

/// Commands that may wait at one dialog: more than a call gives.
pub(super) const COMMANDS_MAX: usize = 4;

/// How an INVITE came out.
enum Outcome {
    Answered { response: Box<Response>, request: Box<Request>, replies: mpsc::Receiver<Reply> },
    Over,
}

/// How far a CANCEL has come (RFC 3261, 9.1: not before a provisional response).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cancel {
    Unwanted,
    Wanted,
    SentUntil(Instant),
}

/// Sends the INVITE and leaves its dialog to a task.
pub(super) fn start(
    shared: Arc<Shared>,
    invite: Invite,
    from: String,
    target: Uri,
    events: mpsc::Sender<SipEvent>,
) -> Result<DialogControl, InviteError> {
    let tag = message::random_token();
    let text = target.to_string();
    let Invite { call_id, destination, offer, credentials, .. } = invite;
    let (registration, requests) = shared.dialogs.register(&call_id, &tag, text.clone())?;
    let (sender, commands) = mpsc::channel(COMMANDS_MAX);
    let line = Line {
        shared,
        sdp: offer,
        credentials,
        events,
        commands,
        requests,
        _registration: registration,
    };
    let dialog = Dialog {
        line,
        call_id,
        destination,
        from: format!("<{from}>;tag={tag}"),
        to: format!("<{text}>"),
        target,
        cseq: 0,
        session_min: None,
        answered_challenges: 0,
    };
    let mut dialog = Box::new(dialog);
    let (request, replies) =
        dialog.send_invite(None).map_err(|e| InviteError::Build(e.to_string()))?;
    tokio::spawn(dialog.run(request, replies));
    Ok(DialogControl { commands: sender })
}

/// Ends a dialog of another process.
pub(super) async fn end_stored(shared: &Shared, mut dialog: StoredDialog) -> bool {
    let hop = message::next_hop(&dialog);
    let Ok(request) = shared.in_dialog(&mut dialog, Method::Bye) else {
        return false;
    };
    let Ok(mut replies) = shared.sender.send(request, hop) else {
        return false;
    };
    while let Some(reply) = replies.recv().await {
        if reply.code() >= 200 {
            return !reply.local && (reply.code() < 300 || reply.code() == 481);
        }
    }
    false
}

impl Dialog {
    async fn run(mut self: Box<Self>, request: Request, replies: mpsc::Receiver<Reply>) {
        match self.inviting(request, replies).await {
            Outcome::Over => {}
            Outcome::Answered { response, request, replies } => {
                let dialog = message::established(&request, &response, self.destination);
                let confirmed = Confirmed::called(self.line, dialog, &response, replies);
                confirmed.run(response.body).await;
            }
        }
    }

    fn send_invite(
        &mut self,
        authorization: Option<Header>,
    ) -> Result<(Request, mpsc::Receiver<Reply>), Box<rsipstack::Error>> {
        self.cseq += 1;
        let draft = message::Draft {
            target: self.target.clone(),
            from: &self.from,
            to: &self.to,
            call_id: &self.call_id,
            cseq: self.cseq,
            routes: &[],
            local: self.line.shared.local,
        };
        let mut request = draft.request(Method::Invite);
        let timers = self.line.shared.timers;
        let min = self.session_min.unwrap_or(timers.session_min);
        message::add_session(&mut request, timers.session, min);
        request.headers.extend(authorization.into_iter().collect());
        let offer = self.line.sdp.clone();
        message::add_sdp(&mut request.headers, &mut request.body, offer);
        let replies = self.line.shared.sender.send(request.clone(), self.destination)?;
        Ok((request, replies))
    }

    async fn inviting(
        &mut self,
        mut request: Request,
        mut replies: mpsc::Receiver<Reply>,
    ) -> Outcome {
        let mut cancel = Cancel::Unwanted;
        let mut heard = false;
        loop {
            let deadline = match cancel {
                Cancel::SentUntil(deadline) => Some(deadline),
                _ => None,
            };
            tokio::select! {
                reply = replies.recv() => {
                    let Some(reply) = reply.filter(|reply| !reply.local) else {
                        self.tell_silence(cancel).await;
                        return Outcome::Over;
                    };
                    match reply.code() {
                        100..200 => {
                            heard = true;
                            if reply.code() > 100 {
                                self.line.tell(SipEvent::Provisional(reply.code())).await;
                            }
                        }
                        200..300 => {
                            let response = reply.response;
                            return Outcome::Answered { response, request: Box::new(request), replies };
                        }
                        code => {
                            let again = if cancel == Cancel::Unwanted { self.resubmit(&request, &reply.response) } else { None };
                            let Some((next, next_replies)) = again else {
                                self.line.tell(SipEvent::Refused(code)).await;
                                return Outcome::Over;
                            };
                            (request, replies, heard) = (next, next_replies, false);
                        }
                    }
                }
                command = self.line.commands.recv(), if cancel == Cancel::Unwanted => {
                    // A BYE before the answer, and a call that is gone, mean the same.
                    let (None | Some(DialogCommand::Cancel | DialogCommand::Bye)) = command;
                    cancel = Cancel::Wanted;
                }
                Some(transaction) = self.line.requests.recv() => {
                    self.line.shared.responder.refuse_unknown(transaction);
                }
                () = async { sleep_until(deadline.unwrap_or_else(Instant::now)).await }, if deadline.is_some() => {
                    self.line.tell(SipEvent::Closed { confirmed: false }).await;
                    self.end_late_answers(&request, replies).await;
                    return Outcome::Over;
                }
            }
            if cancel == Cancel::Wanted && heard {
                cancel = self.send_cancel(&request);
            }
        }
    }

    /// The CANCEL is a transaction of its own; only the INVITE's final response matters.
    fn send_cancel(&self, invite: &Request) -> Cancel {
        let cancel = message::cancel_of(invite);
        let _ = self.line.shared.sender.send(cancel, self.destination);
        Cancel::SentUntil(Instant::now() + self.line.shared.timers.transaction())
    }

    /// Answers a challenge, once and once more if its nonce was stale; or keeps the session interval that the
    /// far end asks for, once. The refused INVITE never rang, so there is still one live INVITE at most.
    fn resubmit(
        &mut self,
        request: &Request,
        response: &Response,
    ) -> Option<(Request, mpsc::Receiver<Reply>)> {
        let authorization = match response.status_code.code() {
            401 | 407 => {
                let header = auth::answer(
                    request,
                    response,
                    self.line.credentials.as_ref()?,
                    self.answered_challenges,
                )?;
                self.answered_challenges += 1;
                Some(header)
            }
            422 if self.session_min.is_none() => {
                self.session_min = Some(min_session(response)?);
                None
            }
            _ => return None,
        };
        self.send_invite(authorization).ok()
    }

    async fn tell_silence(&self, cancel: Cancel) {
        let event = match cancel {
            Cancel::Unwanted => SipEvent::Silent,
            Cancel::Wanted | Cancel::SentUntil(_) => SipEvent::Closed { confirmed: false },
        };
        self.line.tell(event).await;
    }

    /// After a CANCEL that nobody answered: whoever answers the call all the same is hung up on.
    async fn end_late_answers(&self, request: &Request, mut replies: mpsc::Receiver<Reply>) {
        let until = Instant::now() + self.line.shared.timers.transaction();
        while let Ok(Some(reply)) = tokio::time::timeout_at(until, replies.recv()).await {
            if !reply.local && (200..300).contains(&reply.code()) {
                let dialog = message::established(request, &reply.response, self.destination);
                end_stored(&self.line.shared, dialog).await;
            }
        }
    }
}

/// The `Min-SE` of a 422, within the interval that the RFC calls reasonable.
fn min_session(response: &Response) -> Option<Duration> {
    let value = response.headers().iter().find_map(|h| match h {
        Header::MinSE(value) => Some(value.value()),
        _ => None,
    })?;
    let seconds: u64 = value.split(';').next()?.trim().parse().ok()?;
    (seconds <= 24 * 3_600).then(|| Duration::from_secs(seconds))
}
