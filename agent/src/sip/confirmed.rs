//! An answered dialog: its refreshes, the far end's requests, and its end.

use std::time::Duration;

use rsipstack::{
    sip::{
        Header, Method, Request, Response, StatusCode, Uri,
        prelude::{HasHeaders, HeadersExt},
    },
    transaction::Transaction,
};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep_until, timeout},
};

use super::{
    DialogCommand, SipEvent, StoredDialog, auth,
    dialog::{self, Line},
    incoming, message,
    session::Session,
    transaction::Reply,
};

/// How long the call may take to judge an offer in the dialog before it is refused.
const REOFFER_WAIT: Duration = Duration::from_secs(2);

/// A dialog whose INVITE was answered.
pub(super) struct Confirmed {
    base: Line,
    dialog: StoredDialog,
    invite_replies: Option<mpsc::Receiver<Reply>>,
    refresh: Option<Refresh>,
    session: Session,
    wake: Instant,
    far_updates: bool,
    far_cseq: Option<u32>,
}

/// A refresh under way.
struct Refresh {
    method: Method,
    replies: mpsc::Receiver<Reply>,
}

/// Who ended it.
enum End {
    /// The call asks for BYE.
    Ours,
    /// The far end's BYE was answered.
    Far,
}

impl Confirmed {
    /// The far end has answered our INVITE.
    pub fn called(
        base: Line,
        dialog: StoredDialog,
        response: &Response,
        replies: mpsc::Receiver<Reply>,
    ) -> Self {
        let timers = base.shared.timers;
        let session =
            Session::agreed(session_expires(response), timers.session, timers.session_min);
        let mut confirmed = Self::new(base, dialog, session, response);
        confirmed.invite_replies = Some(replies);
        confirmed
    }

    /// The far end has acknowledged our answer to its INVITE.
    pub fn accepted(base: Line, dialog: StoredDialog, session: Session, invite: &Request) -> Self {
        let mut confirmed = Self::new(base, dialog, session, invite);
        confirmed.far_cseq = invite.cseq_header().and_then(|c| c.seq()).ok();
        confirmed
    }

    fn new(base: Line, dialog: StoredDialog, session: Session, far: &impl HasHeaders) -> Self {
        let far_updates = far.headers().iter().any(|h| {
            matches!(h, Header::Allow(allow)
                if allow.value().split(',').any(|m| m.trim().eq_ignore_ascii_case("UPDATE")))
        });
        Self {
            base,
            dialog,
            invite_replies: None,
            refresh: None,
            session,
            wake: Instant::now() + session.wake_after(),
            far_updates,
            far_cseq: None,
        }
    }

    /// Tells the call of the answer and follows the dialog to its end.
    pub async fn run(mut self, answer: Vec<u8>) {
        let dialog = Box::new(self.dialog.clone());
        self.base.tell(SipEvent::Answered { answer, dialog }).await;
        match self.live().await {
            End::Ours => {
                let confirmed = self.hang_up().await;
                self.base.tell(SipEvent::Closed { confirmed }).await;
            }
            End::Far => {
                self.base.tell(SipEvent::FarHangUp).await;
                // A BYE that the call had asked for meanwhile is as good as confirmed.
                if self.base.commands.recv().await.is_some() {
                    self.base.tell(SipEvent::Closed { confirmed: true }).await;
                }
            }
        }
    }

    async fn live(&mut self) -> End {
        loop {
            tokio::select! {
                command = self.base.commands.recv() => {
                    // CANCEL after the answer (they crossed) leaves the decision with the call.
                    if command != Some(DialogCommand::Cancel) {
                        return End::Ours;
                    }
                }
                Some(transaction) = self.base.requests.recv() => {
                    if self.take_request(transaction) {
                        return End::Far;
                    }
                }
                reply = receive(self.invite_replies.as_mut()) => self.take_invite_reply(reply),
                reply = receive(self.refresh.as_mut().map(|r| &mut r.replies)) => {
                    if self.take_refresh_reply(reply) {
                        self.base.tell(SipEvent::SessionLost).await;
                    }
                }
                () = sleep_until(self.wake) => {
                    if !self.session.ours || !self.send_refresh(None) {
                        self.wake = Instant::now() + self.session.interval;
                        self.base.tell(SipEvent::SessionLost).await;
                    }
                }
            }
        }
    }

    /// Repeated 2xx were acknowledged below. One with another tag is a fork: a second phone, hung up on.
    fn take_invite_reply(&mut self, reply: Option<Reply>) {
        let Some(reply) = reply else {
            self.invite_replies = None;
            return;
        };
        if reply.local || !(200..300).contains(&reply.code()) {
            return;
        }
        let remote = reply.response.to_header().map(|h| h.value().to_owned());
        let Ok(remote) = remote else { return };
        if message::to_tag(&*reply.response) == tag_of(&self.dialog.remote) {
            return;
        }
        let mut fork = self.dialog.clone();
        fork.remote = remote;
        if let Some(target) = message::contact(&*reply.response) {
            fork.target = target.to_string();
        }
        let shared = self.base.shared.clone();
        tokio::spawn(async move { dialog::end_stored(&shared, fork).await });
    }

    /// Sends a refresh: UPDATE if the far end knows it, else a re-INVITE with the same offer.
    fn send_refresh(&mut self, authorization: Option<Header>) -> bool {
        let method = if self.far_updates { Method::Update } else { Method::Invite };
        let Ok(mut request) = self.base.shared.in_dialog(&mut self.dialog, method) else {
            return false;
        };
        let min = self.base.shared.timers.session_min;
        message::add_session(&mut request, self.session.interval, min);
        request.headers.extend(authorization.into_iter().collect());
        if method == Method::Invite {
            let offer = self.base.sdp.clone();
            message::add_sdp(&mut request.headers, &mut request.body, offer);
        }
        let hop = message::next_hop(&self.dialog);
        let Ok(replies) = self.base.shared.sender.send(request, hop) else {
            return false;
        };
        self.refresh = Some(Refresh { method, replies });
        self.wake = Instant::now() + self.session.interval;
        true
    }

    /// Takes the answer to a refresh; `true` if the session is lost.
    fn take_refresh_reply(&mut self, reply: Option<Reply>) -> bool {
        let Some(reply) = reply else {
            self.refresh = None;
            return false;
        };
        let code = reply.code();
        if code < 200 {
            return false;
        }
        let refreshed = self.refresh.take().map(|refresh| refresh.method);
        if reply.local || matches!(code, 408 | 481) {
            return true;
        }
        if code < 300 {
            self.session = self.agreed(session_expires(&*reply.response));
            self.wake = Instant::now() + self.session.wake_after();
        } else if matches!(code, 405 | 501) && refreshed == Some(Method::Update) {
            self.far_updates = false;
            return !self.send_refresh(None);
        } else {
            // The far end is there, it only does not like this request: ask again later.
            self.wake = Instant::now() + self.session.interval / 4;
        }
        false
    }

    /// Answers a request of the far end; `true` if it was BYE.
    fn take_request(&mut self, transaction: Box<Transaction>) -> bool {
        let responder = self.base.shared.responder.clone();
        let request = &transaction.original;
        let cseq = request.cseq_header().and_then(|c| c.seq()).unwrap_or(0);
        if self.far_cseq.is_some_and(|last| cseq <= last) {
            responder.respond(transaction, StatusCode::ServerInternalError, vec![], None);
            return false;
        }
        self.far_cseq = Some(cseq);
        let allow = Header::Allow(message::ALLOW.into());
        if let Some(unsupported) = incoming::unsupported(request) {
            let header = Header::Unsupported(unsupported.into());
            responder.respond(transaction, StatusCode::BadExtension, vec![header], None);
            return false;
        }
        match request.method {
            Method::Bye => {
                responder.respond(transaction, StatusCode::OK, vec![], None);
                return true;
            }
            Method::Invite | Method::Update => self.take_reoffer(transaction),
            Method::Options | Method::Info => {
                responder.respond(transaction, StatusCode::OK, vec![allow], None);
            }
            _ => responder.respond(transaction, StatusCode::MethodNotAllowed, vec![allow], None),
        }
        false
    }

    /// A re-INVITE or UPDATE refreshes the session, may move the far end, and may offer other media.
    fn take_reoffer(&mut self, transaction: Box<Transaction>) {
        let responder = self.base.shared.responder.clone();
        let request = &transaction.original;
        if self.refresh.is_some() && request.method == Method::Invite {
            responder.respond(transaction, StatusCode::RequestPending, vec![], None);
            return;
        }
        if let Some(target) = message::contact(request) {
            self.dialog.target = target.to_string();
        }
        let mut headers = vec![
            Header::Contact(format!("<sip:busyhour@{}>", self.base.shared.local).into()),
            Header::Allow(message::ALLOW.into()),
            Header::Supported("timer".into()),
        ];
        headers.extend(self.refreshed_by(request));
        let offer = (!request.body.is_empty()).then(|| request.body.clone());
        if offer.is_none() && request.method == Method::Update {
            responder.respond(transaction, StatusCode::OK, headers, None);
            return;
        }
        let (answer, judged) = oneshot::channel();
        let event = SipEvent::Reoffered { offer, answer };
        let told = self.base.events.try_send(event).is_ok();
        tokio::spawn(async move {
            let judged = timeout(REOFFER_WAIT, judged).await;
            match judged {
                Ok(Ok(Some(sdp))) if told => {
                    headers.push(Header::ContentType("application/sdp".into()));
                    responder.respond(transaction, StatusCode::OK, headers, Some(sdp));
                }
                _ => responder.respond(transaction, StatusCode::NotAcceptableHere, vec![], None),
            }
        });
    }

    /// Starts the session's interval anew if the far end's request carries one, and answers it (RFC 4028, 9).
    fn refreshed_by(&mut self, request: &impl HasHeaders) -> Option<Header> {
        let asked = session_expires(request)?;
        self.session = self.agreed(Some(asked)).asked_of_us();
        self.wake = Instant::now() + self.session.wake_after();
        Some(Header::SessionExpires(self.session.as_answered().into()))
    }

    fn agreed(&self, header: Option<&str>) -> Session {
        Session::agreed(header, self.session.interval, self.base.shared.timers.session_min)
    }

    /// Sends BYE until it is answered or given up; a crossing BYE of the far end confirms as well.
    pub async fn hang_up(&mut self) -> bool {
        let mut replies = self.send_bye(None);
        let mut challenged = false;
        loop {
            let Some(waiting) = replies.as_mut() else {
                return false;
            };
            tokio::select! {
                reply = waiting.recv() => match reply {
                    None => return false,
                    Some(reply) if reply.code() < 200 => {}
                    Some(reply) if matches!(reply.code(), 401 | 407) && !challenged => {
                        challenged = true;
                        let Some(header) = self.answer_challenge(&reply) else { return false };
                        replies = self.send_bye(Some(header));
                    }
                    // 481: the far end had forgotten the dialog already.
                    Some(reply) => {
                        return !reply.local && (reply.code() < 300 || reply.code() == 481);
                    }
                },
                Some(transaction) = self.base.requests.recv() => {
                    if self.take_request(transaction) {
                        return true;
                    }
                }
            }
        }
    }

    fn send_bye(&mut self, authorization: Option<Header>) -> Option<mpsc::Receiver<Reply>> {
        let mut request = self.base.shared.in_dialog(&mut self.dialog, Method::Bye).ok()?;
        request.headers.extend(authorization.into_iter().collect());
        let hop = message::next_hop(&self.dialog);
        self.base.shared.sender.send(request, hop).ok()
    }

    fn answer_challenge(&self, reply: &Reply) -> Option<Header> {
        let uri = Uri::try_from(self.dialog.target.as_str()).ok()?;
        let credentials = self.base.credentials.as_ref()?;
        auth::answer_for(Method::Bye, &uri, &reply.response, credentials, 0)
    }
}

/// The next reply, or never if there is nothing to wait for.
async fn receive(replies: Option<&mut mpsc::Receiver<Reply>>) -> Option<Reply> {
    match replies {
        Some(replies) => replies.recv().await,
        None => std::future::pending().await,
    }
}

pub(super) fn session_expires(message: &impl HasHeaders) -> Option<&str> {
    message.headers().iter().find_map(|h| match h {
        Header::SessionExpires(value) => Some(value.value()),
        _ => None,
    })
}

fn tag_of(header: &str) -> Option<String> {
    let to = rsipstack::sip::To::new(header);
    Some(to.tag().ok()??.value().to_owned())
}
