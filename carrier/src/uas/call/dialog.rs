//! A call from its answer on: acknowledgement, requests inside the dialog, and its end.

use std::net::SocketAddr;

use busyhour_base::{Span, Timestamp};
use rsipstack::sip::Method;

use super::{Call, Phase};
use crate::{
    account::{EndedBy, Outcome},
    media::Order,
    sip::{
        incoming::{InRequest, InResponse},
        reply::ReplyHead,
        sdp, value,
    },
    uas::{ALLOW, bye::ByeTransaction, desk::Desk, invite::InviteTransaction, timer::GIVE_UP},
};

impl Call {
    /// ACK, by the number of the INVITE that it belongs to.
    pub(crate) fn acknowledged(&mut self, now: Timestamp, cseq: u32) {
        if let Some(reinvite) = &mut self.reinvite
            && reinvite.cseq == cseq
        {
            reinvite.acknowledged(now);
            return;
        }
        if self.invite.cseq == cseq {
            self.invite.acknowledged(now);
        }
    }

    /// A request inside the dialog.
    pub(crate) fn request(
        &mut self,
        now: Timestamp,
        desk: &mut Desk,
        source: SocketAddr,
        request: &InRequest,
    ) {
        let reply = ReplyHead::new(request, source, &self.local_tag);
        match (&request.method, &self.phase) {
            (Method::Bye, Phase::Talking { .. }) if self.byes_to_lose > 0 => {
                self.byes_to_lose -= 1;
            }
            (Method::Bye, Phase::Talking { .. }) => {
                desk.send(reply.to, reply.plain(200, ""));
                self.end(now, desk, EndedBy::Caller);
            }
            (Method::Bye, Phase::Offered(_)) => {
                desk.send(reply.to, reply.plain(200, ""));
                self.refuse(now, desk, 487, Outcome::Cancelled);
            }
            // Lost on its way back, or crossed with ours.
            (Method::Bye, Phase::Ended) => desk.send(reply.to, reply.plain(200, "")),
            (Method::Invite, Phase::Talking { slot }) => {
                let slot = *slot;
                self.reinvited(now, desk, request, reply, slot);
            }
            (Method::Update, Phase::Talking { .. }) => self.refresh(now, desk, &reply),
            (Method::Info | Method::Options, Phase::Talking { .. }) => {
                desk.send(reply.to, reply.plain(200, ALLOW));
            }
            _ => desk.send(reply.to, reply.plain(481, "")),
        }
    }

    /// A response to our BYE.
    pub(crate) fn responded(&mut self, response: &InResponse) {
        let is_ours = self.bye.as_ref().is_some_and(|bye| bye.branch == response.branch);
        if is_ours && response.status >= 200 {
            self.bye = None;
        }
    }

    /// Ends the call from the carrier's side: an answered one with BYE, an offered one with 480.
    pub(crate) fn release(&mut self, now: Timestamp, desk: &mut Desk, by: EndedBy) {
        match self.phase {
            Phase::Talking { .. } => {
                self.send_bye(now, desk, by);
                self.end(now, desk, by);
            }
            Phase::Offered(_) => self.refuse(now, desk, 480, Outcome::Refused),
            Phase::Challenged | Phase::Refused | Phase::Ended => {}
        }
    }

    pub(super) fn hang_up_as_planned(&mut self, now: Timestamp, desk: &mut Desk) {
        if self.hang_up.is_some_and(|hang_up| hang_up.lost) {
            self.end(now, desk, EndedBy::Called);
        } else {
            self.release(now, desk, EndedBy::Called);
        }
    }

    /// The end of an answered call; idle afterwards, but for what may be repeated.
    pub(super) fn end(&mut self, now: Timestamp, desk: &mut Desk, by: EndedBy) {
        let Phase::Talking { slot } = self.phase else {
            return;
        };
        desk.media(Order::Close { slot });
        desk.meter.release();
        desk.ledger.end(now, self.record, by);
        self.invite.abandon();
        self.reinvite = None;
        self.hang_up_at = Timestamp::NEVER;
        self.refresh_by = Timestamp::NEVER;
        self.phase = Phase::Ended;
        self.forget_at = now + GIVE_UP;
    }

    pub(super) fn send_bye(&mut self, now: Timestamp, desk: &mut Desk, by: EndedBy) {
        let branch = desk.branch(self.number);
        let datagram = self.route.bye(desk.sip, &branch, reason(by));
        desk.send(self.route.to, datagram.clone());
        self.bye = Some(ByeTransaction::new(now, branch, datagram, self.route.to));
    }

    /// A re-INVITE: the same stream goes on, from where the caller now wants it.
    pub(super) fn reinvited(
        &mut self,
        now: Timestamp,
        desk: &mut Desk,
        request: &InRequest,
        reply: ReplyHead,
        slot: usize,
    ) {
        if let Some(earlier) = &self.reinvite {
            if earlier.branch == request.branch {
                if let Some(response) = earlier.repeated() {
                    desk.send(reply.to, response);
                }
                return;
            }
            if !earlier.is_done() {
                desk.send(reply.to, reply.plain(491, ""));
                return;
            }
        }
        let mut reinvite = InviteTransaction::new(request.branch.clone(), request.cseq, reply);
        let offer = match request.body.is_empty() {
            // An offer is asked for: the stream as it is.
            true => self.offer.clone(),
            false => sdp::read_offer(&request.body).filter(|_| request.is_sdp),
        };
        let response = match offer {
            Some(offer) => {
                self.sdp_version += 1;
                let sdp = offer.answer(desk.rtp[slot], self.number, self.sdp_version);
                let stream = offer.stream;
                desk.media(Order::Retarget { slot, stream });
                self.offer = Some(offer);
                self.restart_session(now);
                let response = reinvite.reply.with_sdp(200, &self.success_headers(desk), &sdp);
                reinvite.conclude(now, true, response)
            }
            None => {
                let response = reinvite.reply.plain(488, "");
                reinvite.conclude(now, false, response)
            }
        };
        desk.send(reinvite.reply.to, response);
        self.reinvite = Some(reinvite);
    }

    /// UPDATE without an offer: the session goes on (RFC 4028).
    pub(super) fn refresh(&mut self, now: Timestamp, desk: &mut Desk, reply: &ReplyHead) {
        self.restart_session(now);
        desk.send(reply.to, reply.plain(200, &self.success_headers(desk)));
    }

    pub(super) fn restart_session(&mut self, now: Timestamp) {
        // RFC 4028 10: the side that does not refresh ends the call a little before the session expires.
        self.refresh_by = self.session_interval.map_or(Timestamp::NEVER, |interval| {
            let early = Span(interval.as_micros() / 3).min(Span::from_secs(32));
            now + interval - early
        });
    }

    pub(super) fn success_headers(&self, desk: &Desk) -> String {
        let mut headers = contact(desk);
        headers.push_str(ALLOW);
        headers.push_str("Supported: timer\r\n");
        if let Some(interval) = self.session_interval {
            headers.push_str(&format!(
                "Require: timer\r\nSession-Expires: {};refresher=uac\r\n",
                interval.as_secs()
            ));
        }
        headers
    }
}

pub(super) fn contact(desk: &Desk) -> String {
    format!("Contact: <sip:{}>\r\n", desk.sip)
}

/// The interval of `Session-Expires`, when it leaves refreshing to the caller. Below RFC 4028's minimum of 90 s a
/// value is taken as it is, so that tests need not wait.
pub(super) fn session_interval(value: &str) -> Option<Span> {
    let (seconds, params) = value.split_once(';').unwrap_or((value, ""));
    let is_ours = value::parameter(params, "refresher")
        .is_some_and(|refresher| refresher.eq_ignore_ascii_case("uas"));
    let seconds: u64 = seconds.trim().parse().ok()?;
    (!is_ours && seconds > 0 && seconds <= u64::from(u32::MAX)).then(|| Span::from_secs(seconds))
}

/// `Reason` (RFC 3326) of our BYE.
fn reason(by: EndedBy) -> &'static str {
    match by {
        EndedBy::Called | EndedBy::Caller => {
            "Reason: Q.850;cause=16;text=\"Normal call clearing\"\r\n"
        }
        EndedBy::MediaLost => "Reason: SIP;cause=408;text=\"RTP timeout\"\r\n",
        EndedBy::SessionExpired => "Reason: SIP;cause=408;text=\"Session expired\"\r\n",
        EndedBy::NoAck => "Reason: SIP;cause=408;text=\"ACK timeout\"\r\n",
        EndedBy::Stopped => "Reason: SIP;cause=503;text=\"Carrier stopped\"\r\n",
    }
}
