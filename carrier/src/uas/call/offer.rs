//! A call before its answer.

use std::net::SocketAddr;

use busyhour_base::{Span, Timestamp};

use super::{Call, Phase, dialog::session_interval};
use crate::{
    account::Outcome,
    media::Order,
    plan::{Conclusion, Plan, Talk},
    sip::{
        incoming::InRequest,
        reply::{Datagram, ReplyHead},
        sdp, value,
    },
    uas::{desk::Desk, timer::GIVE_UP},
};

impl Call {
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

    pub(super) fn conclude(&mut self, now: Timestamp, desk: &mut Desk) {
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

    pub(super) fn answer(&mut self, now: Timestamp, desk: &mut Desk, talk: &Talk) {
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
    pub(super) fn refuse(
        &mut self,
        now: Timestamp,
        desk: &mut Desk,
        status: u16,
        outcome: Outcome,
    ) {
        desk.meter.release();
        self.fail(now, desk, status, outcome);
    }

    pub(super) fn fail(&mut self, now: Timestamp, desk: &mut Desk, status: u16, outcome: Outcome) {
        let response = self.invite.reply.plain(status, "");
        let response = self.invite.conclude(now, false, response);
        desk.send(self.invite.reply.to, response);
        desk.ledger.conclude(now, self.record, outcome, Some(status));
        self.stop_ringing();
        self.phase = Phase::Refused;
    }

    /// Says nothing at all, and goes on saying nothing to what may still be sent.
    pub(super) fn be_away(&mut self, now: Timestamp, desk: &mut Desk) {
        desk.ledger.conclude(now, self.record, Outcome::Ignored, None);
        self.invite.abandon();
        self.phase = Phase::Refused;
        self.forget_at = now + GIVE_UP;
    }

    pub(super) fn is_away(&self) -> bool {
        self.phase == Phase::Refused && self.forget_at != Timestamp(0)
    }

    pub(super) fn stop_ringing(&mut self) {
        self.ring_at = Timestamp::NEVER;
        self.conclude_at = Timestamp::NEVER;
    }

    pub(super) fn provisional(&mut self, desk: &mut Desk, response: Datagram) {
        let response = self.invite.provisional(response);
        desk.send(self.invite.reply.to, response);
    }
}
