//! One call at the carrier, from its INVITE until nothing of it can arrive any more.

use std::net::SocketAddr;

use busyhour_base::{Span, Timestamp};
use rsipstack::sip::Method;

use super::{
    ALLOW,
    bye::{ByeTransaction, Route},
    desk::Desk,
    invite::{Due, InviteTransaction},
    timer::GIVE_UP,
};
use crate::{
    account::{EndedBy, Outcome, RecordIx},
    media::Order,
    plan::{Conclusion, HangUp, Plan, Talk},
    sip::{
        incoming::{InRequest, InResponse},
        reply::{Datagram, ReplyHead},
        sdp::{self, Offer},
        value,
    },
};

/// Where a call stands.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Phase {
    /// Sent back to authenticate; nothing is counted yet.
    Challenged,
    /// The INVITE has no final response; the call holds a channel.
    Offered(Conclusion),
    /// Over without an answer.
    Refused,
    /// Answered; the call holds a channel and a media slot.
    Talking { slot: usize },
    /// Over after an answer.
    Ended,
}

pub(crate) struct Call {
    number: u64,
    key: String,
    local_tag: String,
    phase: Phase,
    invite: InviteTransaction,
    reinvite: Option<InviteTransaction>,
    bye: Option<ByeTransaction>,
    route: Route,
    offer: Option<Offer>,
    record: RecordIx,
    /// Of the SDP that we sent last.
    sdp_version: u32,
    session_interval: Option<Span>,
    hang_up: Option<HangUp>,
    byes_to_lose: u8,
    ring_at: Timestamp,
    conclude_at: Timestamp,
    hang_up_at: Timestamp,
    refresh_by: Timestamp,
    forget_at: Timestamp,
}

impl Call {
    pub(crate) fn new(
        number: u64,
        key: String,
        source: SocketAddr,
        request: &InRequest,
        desk: &mut Desk,
    ) -> Self {
        let local_tag = desk.tag();
        let reply = ReplyHead::new(request, source, &local_tag);
        Self {
            number,
            key,
            phase: Phase::Challenged,
            invite: InviteTransaction::new(request.branch.clone(), request.cseq, reply),
            reinvite: None,
            bye: None,
            route: Route::new(request, source, &local_tag),
            local_tag,
            offer: None,
            record: None,
            sdp_version: 1,
            session_interval: None,
            hang_up: None,
            byes_to_lose: 0,
            ring_at: Timestamp::NEVER,
            conclude_at: Timestamp::NEVER,
            hang_up_at: Timestamp::NEVER,
            refresh_by: Timestamp::NEVER,
            forget_at: Timestamp(0),
        }
    }

    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    pub(crate) fn local_tag(&self) -> &str {
        &self.local_tag
    }

    /// Whether this INVITE or CANCEL belongs to the call's own INVITE transaction.
    pub(crate) fn is_same_invite(&self, request: &InRequest) -> bool {
        self.invite.branch == request.branch && self.invite.cseq == request.cseq
    }

    /// What a retransmitted INVITE is answered.
    pub(crate) fn repeated_invite(&self) -> Option<(SocketAddr, Datagram)> {
        Some((self.invite.reply.to, self.invite.repeated()?))
    }

    /// Nothing of this call matters any more when its Call-ID comes with another INVITE.
    pub(crate) fn may_be_replaced(&self) -> bool {
        match self.phase {
            Phase::Challenged | Phase::Refused | Phase::Ended => true,
            Phase::Offered(_) | Phase::Talking { .. } => false,
        }
    }

    pub(crate) fn is_over(&self, now: Timestamp) -> bool {
        !matches!(self.phase, Phase::Offered(_) | Phase::Talking { .. })
            && self.invite.is_done()
            && self.bye.is_none()
            && now >= self.forget_at
    }

    /// When [`Self::tick`] is due.
    pub(crate) fn wake(&self) -> Timestamp {
        let reinvite = self.reinvite.as_ref().map(InviteTransaction::wake);
        let bye = self.bye.as_ref().map(ByeTransaction::wake);
        let forget = match self.phase {
            Phase::Ended | Phase::Refused if self.invite.is_done() && self.bye.is_none() => {
                self.forget_at
            }
            _ => Timestamp::NEVER,
        };
        [
            self.ring_at,
            self.conclude_at,
            self.hang_up_at,
            self.refresh_by,
            self.invite.wake(),
            reinvite.unwrap_or(Timestamp::NEVER),
            bye.unwrap_or(Timestamp::NEVER),
            forget,
        ]
        .into_iter()
        .min()
        .unwrap_or(Timestamp::NEVER)
    }

    /// Asks the caller to authenticate.
    pub(crate) fn challenge(&mut self, now: Timestamp, desk: &mut Desk, challenge: &str) {
        let response = self.invite.reply.plain(401, challenge);
        let response = self.invite.conclude(now, false, response);
        desk.send(self.invite.reply.to, response);
    }

    /// A caller that is welcome: counts the call, holds it to the contract and starts what the script wants.
    pub(crate) fn invited(
        &mut self,
        now: Timestamp,
        desk: &mut Desk,
        request: &InRequest,
        plan: Plan,
        ring_limit: Span,
    ) {
        let from = value::user(value::address(&request.from).0);
        self.record = desk.ledger.open(now, &request.call_id, from, &request.called);
        if plan.conclusion == Conclusion::Silence {
            self.be_away(now, desk);
            return;
        }
        if !desk.meter.set_up(now) {
            self.fail(now, desk, 503, Outcome::OverContract);
            return;
        }
        let trying = self.invite.reply.plain(100, "");
        self.provisional(desk, trying);
        self.offer = sdp::read_offer(&request.body).filter(|_| request.is_sdp);
        self.session_interval = request.session_expires.as_deref().and_then(session_interval);
        self.phase = Phase::Offered(plan.conclusion.clone());
        if self.offer.is_none() {
            self.refuse(now, desk, 488, Outcome::Refused);
            return;
        }
        self.ring_at = plan.ring_after.map_or(Timestamp::NEVER, |after| now + after);
        self.conclude_at = match plan.conclusion {
            Conclusion::Answer { after, .. } | Conclusion::Refuse { after, .. } => now + after,
            Conclusion::NoAnswer { .. } | Conclusion::Silence => now + ring_limit,
        };
        self.tick(now, desk);
    }

    /// Does what is due.
    pub(crate) fn tick(&mut self, now: Timestamp, desk: &mut Desk) {
        if now >= self.ring_at {
            self.ring_at = Timestamp::NEVER;
            let ringing = self.invite.reply.plain(180, &contact(desk));
            self.provisional(desk, ringing);
        }
        if now >= self.conclude_at {
            self.conclude(now, desk);
        }
        if now >= self.hang_up_at {
            self.hang_up_as_planned(now, desk);
        }
        if now >= self.refresh_by {
            self.release(now, desk, EndedBy::SessionExpired);
        }
        self.tick_transactions(now, desk);
    }

    fn tick_transactions(&mut self, now: Timestamp, desk: &mut Desk) {
        match self.invite.tick(now) {
            Some(Due::Resend(response)) => desk.send(self.invite.reply.to, response),
            // RFC 3261 13.3.1.4: a dialog that was never confirmed is ended by BYE.
            Some(Due::NoAck { success: true }) => self.release(now, desk, EndedBy::NoAck),
            Some(Due::NoAck { success: false }) | None => {}
        }
        if let Some(reinvite) = &mut self.reinvite {
            match reinvite.tick(now) {
                Some(Due::Resend(response)) => desk.send(reinvite.reply.to, response),
                Some(Due::NoAck { success: true }) => self.release(now, desk, EndedBy::NoAck),
                Some(Due::NoAck { success: false }) | None => {}
            }
        }
        match self.bye.as_mut().map(|bye| bye.tick(now)) {
            Some(Ok(Some((to, datagram)))) => desk.send(to, datagram),
            Some(Err(_)) => self.bye = None,
            Some(Ok(None)) | None => {}
        }
    }

    /// CANCEL for the INVITE. It is confirmed in any case; whether it has an effect is the plan's affair.
    pub(crate) fn cancelled(
        &mut self,
        now: Timestamp,
        desk: &mut Desk,
        source: SocketAddr,
        request: &InRequest,
    ) {
        if self.is_away() {
            return;
        }
        let reply = ReplyHead::new(request, source, &self.local_tag);
        desk.send(reply.to, reply.plain(200, ""));
        let Phase::Offered(conclusion) = &self.phase else {
            return;
        };
        match conclusion {
            Conclusion::NoAnswer { crossing: Some(talk) } => {
                let talk = talk.clone();
                self.answer(now, desk, &talk);
            }
            _ => self.refuse(now, desk, 487, Outcome::Cancelled),
        }
    }

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

    fn conclude(&mut self, now: Timestamp, desk: &mut Desk) {
        self.conclude_at = Timestamp::NEVER;
        let Phase::Offered(conclusion) = &self.phase else {
            return;
        };
        match conclusion.clone() {
            Conclusion::Answer { talk, .. } => self.answer(now, desk, &talk),
            Conclusion::Refuse { status, .. } => {
                self.refuse(now, desk, status, Outcome::Refused);
            }
            Conclusion::NoAnswer { .. } | Conclusion::Silence => {
                self.refuse(now, desk, 480, Outcome::Refused);
            }
        }
    }

    fn answer(&mut self, now: Timestamp, desk: &mut Desk, talk: &Talk) {
        let (Some(offer), Some(slot)) = (self.offer.as_ref(), desk.open_slot(self.record)) else {
            self.refuse(now, desk, 503, Outcome::Refused);
            return;
        };
        let sdp = offer.answer(desk.rtp[slot], self.number, self.sdp_version);
        desk.media(Order::Open {
            slot,
            call: self.number,
            stream: offer.stream,
            talk: talk.clone(),
        });
        let headers = self.success_headers(desk);
        let response = self.invite.reply.with_sdp(200, &headers, &sdp);
        let response = self.invite.conclude(now, true, response);
        desk.send(self.invite.reply.to, response);
        desk.ledger.conclude(now, self.record, Outcome::Answered, Some(200));
        self.stop_ringing();
        self.phase = Phase::Talking { slot };
        self.byes_to_lose = talk.lose_byes;
        self.hang_up = talk.hang_up;
        self.hang_up_at = talk.hang_up.map_or(Timestamp::NEVER, |hang_up| now + hang_up.after);
        self.restart_session(now);
    }

    /// Ends an INVITE that holds a channel without an answer.
    fn refuse(&mut self, now: Timestamp, desk: &mut Desk, status: u16, outcome: Outcome) {
        desk.meter.release();
        self.fail(now, desk, status, outcome);
    }

    fn fail(&mut self, now: Timestamp, desk: &mut Desk, status: u16, outcome: Outcome) {
        let response = self.invite.reply.plain(status, "");
        let response = self.invite.conclude(now, false, response);
        desk.send(self.invite.reply.to, response);
        desk.ledger.conclude(now, self.record, outcome, Some(status));
        self.stop_ringing();
        self.phase = Phase::Refused;
    }

    /// Says nothing at all, and goes on saying nothing to what may still be sent.
    fn be_away(&mut self, now: Timestamp, desk: &mut Desk) {
        desk.ledger.conclude(now, self.record, Outcome::Ignored, None);
        self.invite.abandon();
        self.phase = Phase::Refused;
        self.forget_at = now + GIVE_UP;
    }

    fn is_away(&self) -> bool {
        self.phase == Phase::Refused && self.forget_at != Timestamp(0)
    }

    fn stop_ringing(&mut self) {
        self.ring_at = Timestamp::NEVER;
        self.conclude_at = Timestamp::NEVER;
    }

    fn hang_up_as_planned(&mut self, now: Timestamp, desk: &mut Desk) {
        if self.hang_up.is_some_and(|hang_up| hang_up.lost) {
            self.end(now, desk, EndedBy::Called);
        } else {
            self.release(now, desk, EndedBy::Called);
        }
    }

    /// The end of an answered call; idle afterwards, but for what may be repeated.
    fn end(&mut self, now: Timestamp, desk: &mut Desk, by: EndedBy) {
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

    fn send_bye(&mut self, now: Timestamp, desk: &mut Desk, by: EndedBy) {
        let branch = desk.branch(self.number);
        let datagram = self.route.bye(desk.sip, &branch, reason(by));
        desk.send(self.route.to, datagram.clone());
        self.bye = Some(ByeTransaction::new(now, branch, datagram, self.route.to));
    }

    /// A re-INVITE: the same stream goes on, from where the caller now wants it.
    fn reinvited(
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
    fn refresh(&mut self, now: Timestamp, desk: &mut Desk, reply: &ReplyHead) {
        self.restart_session(now);
        desk.send(reply.to, reply.plain(200, &self.success_headers(desk)));
    }

    fn restart_session(&mut self, now: Timestamp) {
        // RFC 4028 10: the side that does not refresh ends the call a little before the session expires.
        self.refresh_by = self.session_interval.map_or(Timestamp::NEVER, |interval| {
            let early = Span(interval.as_micros() / 3).min(Span::from_secs(32));
            now + interval - early
        });
    }

    fn success_headers(&self, desk: &Desk) -> String {
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

    fn provisional(&mut self, desk: &mut Desk, response: Datagram) {
        let response = self.invite.provisional(response);
        desk.send(self.invite.reply.to, response);
    }
}

fn contact(desk: &Desk) -> String {
    format!("Contact: <sip:{}>\r\n", desk.sip)
}

/// The interval of `Session-Expires`, when it leaves refreshing to the caller. Below RFC 4028's minimum of 90 s a
/// value is taken as it is, so that tests need not wait.
fn session_interval(value: &str) -> Option<Span> {
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
