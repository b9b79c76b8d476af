//! One call at the carrier, from its INVITE until nothing of it can arrive any more.

mod dialog;
mod offer;

use std::net::SocketAddr;

use busyhour_base::{Span, Timestamp};

use self::dialog::contact;
use super::{
    bye::{ByeTransaction, Route},
    desk::Desk,
    invite::{Due, InviteTransaction},
};
use crate::{
    account::{EndedBy, RecordIx},
    plan::{Conclusion, HangUp},
    sip::{
        incoming::InRequest,
        reply::{Datagram, ReplyHead},
        sdp::Offer,
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
}
