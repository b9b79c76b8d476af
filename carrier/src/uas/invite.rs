//! The INVITE server transaction over an unreliable transport (RFC 3261 17.2.1, RFC 6026), with the
//! retransmission of 2xx that belongs to the core (RFC 3261 13.3.1.4): one machine does both.

use busyhour_base::{Span, Timestamp};

use super::timer::Backoff;
use crate::sip::reply::{Datagram, ReplyHead};

/// How long ACKs to a failure are absorbed (timer I = T4).
const T4: Span = Span::from_secs(5);

/// One INVITE, from its first datagram until nothing of it can arrive any more.
#[derive(Debug)]
pub(crate) struct InviteTransaction {
    pub(crate) branch: String,
    pub(crate) cseq: u32,
    pub(crate) reply: ReplyHead,
    last: Option<Datagram>,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Proceeding,
    /// A final response is repeated until its ACK comes.
    Final {
        success: bool,
        resend: Backoff,
    },
    /// ACKs to a failure are absorbed until then.
    Confirmed(Timestamp),
    Done,
}

/// What a due timer asks for.
#[derive(Clone, Debug)]
pub(crate) enum Due {
    Resend(Datagram),
    /// The final response was never acknowledged.
    NoAck {
        success: bool,
    },
}

impl InviteTransaction {
    pub(crate) fn new(branch: String, cseq: u32, reply: ReplyHead) -> Self {
        Self { branch, cseq, reply, last: None, state: State::Proceeding }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Remembers a provisional response for retransmitted INVITEs.
    pub(crate) fn provisional(&mut self, response: Datagram) -> Datagram {
        self.last = Some(response.clone());
        response
    }

    /// Ends the INVITE; the response is repeated until acknowledged.
    pub(crate) fn conclude(
        &mut self,
        now: Timestamp,
        success: bool,
        response: Datagram,
    ) -> Datagram {
        let resend = Backoff::start(now);
        self.state = State::Final { success, resend };
        self.last = Some(response.clone());
        response
    }

    /// A retransmitted INVITE gets the last response again, whatever it was. Answered as well after a 2xx, where
    /// RFC 6026 would absorb it: an older caller may depend on it and none is harmed.
    pub(crate) fn repeated(&self) -> Option<Datagram> {
        match self.state {
            State::Proceeding | State::Final { .. } => self.last.clone(),
            State::Confirmed(_) | State::Done => None,
        }
    }

    /// ACK.
    pub(crate) fn acknowledged(&mut self, now: Timestamp) {
        match self.state {
            State::Final { success: true, .. } => self.state = State::Done,
            State::Final { success: false, .. } => self.state = State::Confirmed(now + T4),
            State::Proceeding | State::Confirmed(_) | State::Done => {}
        }
    }

    /// Nothing more is sent: the dialog is over in another way.
    pub(crate) fn abandon(&mut self) {
        self.state = State::Done;
    }

    pub(crate) fn wake(&self) -> Timestamp {
        match self.state {
            State::Proceeding | State::Done => Timestamp::NEVER,
            State::Final { resend, .. } => resend.wake(),
            State::Confirmed(until) => until,
        }
    }

    pub(crate) fn tick(&mut self, now: Timestamp) -> Option<Due> {
        if now < self.wake() {
            return None;
        }
        match &mut self.state {
            State::Final { success, resend } => {
                if resend.again(now) {
                    return self.last.clone().map(Due::Resend);
                }
                let success = *success;
                self.state = State::Done;
                Some(Due::NoAck { success })
            }
            State::Confirmed(_) => {
                self.state = State::Done;
                None
            }
            State::Proceeding | State::Done => None,
        }
    }
}
