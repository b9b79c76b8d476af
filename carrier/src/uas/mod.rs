//! The user agent server as a machine without I/O.
//!
//! **Driver contract:** give it every datagram ([`Uas::handle`]), every media event ([`Uas::heard`]) and, at the latest
//! at [`Uas::wake`], the time ([`Uas::tick`]); after each of these drain [`Uas::poll`]. Instants must not go backwards.

mod bye;
mod call;
mod desk;
mod invite;
mod meter;
#[cfg(test)]
mod tests;
mod timer;

use std::{collections::HashMap, net::SocketAddr, sync::Arc};

use busyhour_base::{Span, Timestamp};
use rsipstack::sip::Method;

use self::{call::Call, desk::Desk, timer::Agenda};
use crate::{
    Contract, Credentials,
    account::{Account, CallerRecord, EndedBy, Ledger},
    media::{Event, Order},
    plan::Script,
    sip::{
        digest::{Guard, Verdict},
        incoming::{self, InRequest, InResponse, Incoming, Unreadable},
        reply::ReplyHead,
        value,
    },
};

/// What the machine is set up with.
pub struct Settings {
    /// The SIP socket's address, for Via and Contact.
    pub sip: SocketAddr,
    /// RTP sockets, one for each slot; there should be some more than channels, since a slot is
    /// free only when its last packet is accounted for.
    pub rtp: Vec<SocketAddr>,
    /// What callers are held to.
    pub contract: Contract,
    /// Callers must authenticate with these, when given.
    pub credentials: Option<Credentials>,
    /// How calls are treated.
    pub script: Arc<dyn Script>,
    /// Seeds tags, branches and nonces.
    pub seed: u64,
    /// Longest ringing before the carrier gives up with 480.
    pub ring_limit: Span,
    /// Call records kept.
    pub max_records: usize,
    /// Calls and their remains that are kept at a time; further INVITEs are dropped, so that a flood costs a
    /// bounded amount of memory.
    pub max_calls: usize,
}

/// What the machine asks of its driver.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Output {
    /// Send a datagram from the SIP socket.
    Send {
        /// Where to.
        to: SocketAddr,
        /// What.
        datagram: Arc<[u8]>,
    },
    /// Tell the media side.
    Media(Order),
}

/// Methods that are understood.
const ALLOW: &str = "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, INFO\r\n";

/// The machine.
pub struct Uas {
    desk: Desk,
    guard: Option<Guard>,
    script: Arc<dyn Script>,
    ring_limit: Span,
    max_calls: usize,
    contract: Contract,
    calls: HashMap<u64, Call>,
    /// By Call-ID and the caller's tag.
    dialogs: HashMap<String, u64>,
    agenda: Agenda,
    last_call: u64,
}

impl Uas {
    /// A machine without calls.
    pub fn new(settings: Settings) -> Self {
        let mut desk = Desk::new(
            settings.sip,
            settings.rtp,
            settings.contract,
            Ledger::new(settings.max_records),
            settings.seed,
        );
        let guard = settings.credentials.map(|credentials| Guard::new(credentials, desk.random()));
        Self {
            desk,
            guard,
            script: settings.script,
            ring_limit: settings.ring_limit,
            max_calls: settings.max_calls,
            contract: settings.contract,
            calls: HashMap::new(),
            dialogs: HashMap::new(),
            agenda: Agenda::default(),
            last_call: 0,
        }
    }

    /// The next thing to do.
    pub fn poll(&mut self) -> Option<Output> {
        self.desk.out.pop_front()
    }

    /// When [`Self::tick`] is due at the latest.
    pub fn wake(&self) -> Option<Timestamp> {
        self.agenda.next()
    }

    /// Does what is due.
    pub fn tick(&mut self, now: Timestamp) {
        while let Some(number) = self.agenda.due(now) {
            self.with_call(now, number, |call, desk| call.tick(now, desk));
        }
    }

    /// Takes a datagram from the SIP socket. Whatever is in it, the machine goes on.
    pub fn handle(&mut self, now: Timestamp, source: SocketAddr, datagram: &[u8]) {
        self.tick(now);
        match incoming::read(datagram) {
            Ok(Incoming::Request(request)) => self.request(now, source, *request),
            Ok(Incoming::Response(response)) => self.response(now, &response),
            Err(Unreadable::KeepAlive) => {}
            Err(Unreadable::Malformed) => self.desk.ledger.ignored.malformed += 1,
        }
    }

    /// Takes what the media side tells.
    pub fn heard(&mut self, now: Timestamp, event: Event) {
        match event {
            Event::Inactive { call } => self.with_call(now, call, |call, desk| {
                call.release(now, desk, EndedBy::MediaLost);
            }),
            Event::Closed { slot, heard } => self.desk.closed(slot, heard),
        }
    }

    /// Ends every call, as a carrier does that is switched off in order.
    pub fn stop(&mut self, now: Timestamp) {
        let mut numbers: Vec<u64> = self.calls.keys().copied().collect();
        numbers.sort_unstable();
        for number in numbers {
            self.with_call(now, number, |call, desk| {
                call.release(now, desk, EndedBy::Stopped);
            });
        }
    }

    /// What was seen until now; without the single calls when only figures are wanted.
    pub fn account(&self, now: Timestamp, with_calls: bool) -> Account {
        let usage = self.desk.meter.usage(now);
        self.desk.ledger.account(now, self.contract, usage, with_calls)
    }

    /// Tells how many customers will call in.
    pub(crate) fn expect_callers(&mut self, planned: u64) {
        self.desk.ledger.callers.planned = planned;
    }

    /// A customer wants to call a tenant's number; false if there is no channel for that.
    pub(crate) fn caller_calls(&mut self) -> bool {
        self.desk.ledger.callers.called += 1;
        self.desk.meter.calls_in()
    }

    /// A customer's call was answered.
    pub(crate) fn caller_answered(&mut self) {
        self.desk.ledger.callers.answered += 1;
        self.desk.meter.answered();
    }

    /// A customer's call is over, or its ringing.
    pub(crate) fn caller_leaves(&mut self, answered: bool) {
        if answered {
            self.desk.meter.release();
        } else {
            self.desk.meter.gave_up();
        }
    }

    /// What became of a customer's call.
    pub(crate) fn caller_over(&mut self, record: CallerRecord) {
        self.desk.ledger.caller_over(record);
    }

    /// Customers who are calling.
    pub(crate) fn callers_left(&self) -> u64 {
        self.desk.ledger.callers.called - self.desk.ledger.callers.over
    }

    /// Slots whose media has not been accounted for.
    pub fn open_slots(&self) -> usize {
        self.desk.open_slots()
    }

    fn request(&mut self, now: Timestamp, source: SocketAddr, request: InRequest) {
        let starts_dialog = value::tag(&request.to).is_none();
        match request.method {
            Method::Invite if starts_dialog => self.invite(now, source, request),
            Method::Cancel => self.cancel(now, source, &request),
            Method::Ack => self.acknowledge(now, &request),
            Method::Options if starts_dialog => self.stateless(source, &request, 200, ALLOW),
            Method::Invite | Method::Bye | Method::Update | Method::Info | Method::Options => {
                self.in_dialog(now, source, &request);
            }
            _ => self.stateless(source, &request, 405, ALLOW),
        }
    }

    /// An INVITE outside any dialog: a new call, or one of RFC 3261's ways in which it is not.
    fn invite(&mut self, now: Timestamp, source: SocketAddr, request: InRequest) {
        let key = dialog_key(&request);
        if let Some(number) = self.dialogs.get(&key).copied() {
            let call = &self.calls[&number];
            if call.is_same_invite(&request) {
                if let Some(response) = call.repeated_invite() {
                    self.desk.send(response.0, response.1);
                }
                return;
            }
            if !call.may_be_replaced() {
                // Merged or dialled twice while the first is alive (RFC 3261 8.2.2.2).
                self.desk.ledger.duplicates.call_ids += 1;
                self.stateless(source, &request, 482, "");
                return;
            }
            self.forget(number);
        }
        if self.calls.len() >= self.max_calls {
            self.desk.ledger.ignored.overload += 1;
            return;
        }
        self.last_call += 1;
        let number = self.last_call;
        let mut call = Call::new(number, key.clone(), source, &request, &mut self.desk);
        match self.judge(now, &request) {
            Some(challenge) => call.challenge(now, &mut self.desk, &challenge),
            None => {
                let plan = self.script.plan(&request.called);
                call.invited(now, &mut self.desk, &request, plan, self.ring_limit);
            }
        }
        self.agenda.reschedule(number, Timestamp::NEVER, call.wake());
        self.dialogs.insert(key, number);
        self.calls.insert(number, call);
    }

    /// The challenge for a caller that has not shown who it is.
    fn judge(&self, now: Timestamp, request: &InRequest) -> Option<String> {
        let guard = self.guard.as_ref()?;
        match guard.judge(now, "INVITE", request.authorization.as_deref()) {
            Verdict::Welcome => None,
            Verdict::Unknown => Some(guard.challenge(now, false)),
            Verdict::Stale => Some(guard.challenge(now, true)),
        }
    }

    /// CANCEL is matched by the INVITE's branch (RFC 3261 9.2).
    fn cancel(&mut self, now: Timestamp, source: SocketAddr, request: &InRequest) {
        let number = self.dialogs.get(&dialog_key(request)).copied();
        match number.filter(|number| self.calls[number].is_same_invite(request)) {
            Some(number) => self.with_call(now, number, |call, desk| {
                call.cancelled(now, desk, source, request);
            }),
            None => self.stateless(source, request, 481, ""),
        }
    }

    fn acknowledge(&mut self, now: Timestamp, request: &InRequest) {
        match self.find_dialog(request) {
            Some(number) => self.with_call(now, number, |call, _| {
                call.acknowledged(now, request.cseq);
            }),
            None => self.desk.ledger.ignored.unmatched += 1,
        }
    }

    fn in_dialog(&mut self, now: Timestamp, source: SocketAddr, request: &InRequest) {
        match self.find_dialog(request) {
            Some(number) => self.with_call(now, number, |call, desk| {
                call.request(now, desk, source, request);
            }),
            None => {
                self.desk.ledger.ignored.unmatched += 1;
                self.stateless(source, request, 481, "");
            }
        }
    }

    /// The dialog of a request that names our tag.
    fn find_dialog(&self, request: &InRequest) -> Option<u64> {
        let number = *self.dialogs.get(&dialog_key(request))?;
        (value::tag(&request.to) == Some(self.calls[&number].local_tag())).then_some(number)
    }

    /// A response to a BYE of ours, the one request that the carrier sends.
    fn response(&mut self, now: Timestamp, response: &InResponse) {
        let number = desk::call_of_branch(&response.branch)
            .filter(|number| response.method == "BYE" && self.calls.contains_key(number));
        match number {
            Some(number) => self.with_call(now, number, |call, _| call.responded(response)),
            None => self.desk.ledger.ignored.unmatched += 1,
        }
    }

    fn stateless(&mut self, source: SocketAddr, request: &InRequest, status: u16, headers: &str) {
        let tag = self.desk.tag();
        let reply = ReplyHead::new(request, source, &tag);
        self.desk.send(reply.to, reply.plain(status, headers));
    }

    /// Lets a call act, then files it under its new time or forgets it.
    fn with_call(&mut self, now: Timestamp, number: u64, act: impl FnOnce(&mut Call, &mut Desk)) {
        let Some(call) = self.calls.get_mut(&number) else {
            return;
        };
        let before = call.wake();
        act(call, &mut self.desk);
        if call.is_over(now) {
            self.agenda.reschedule(number, before, Timestamp::NEVER);
            self.remove(number);
        } else {
            let after = call.wake();
            self.agenda.reschedule(number, before, after);
        }
    }

    fn forget(&mut self, number: u64) {
        if let Some(call) = self.calls.get(&number) {
            self.agenda.reschedule(number, call.wake(), Timestamp::NEVER);
            self.remove(number);
        }
    }

    fn remove(&mut self, number: u64) {
        if let Some(call) = self.calls.remove(&number) {
            self.dialogs.remove(call.key());
        }
    }
}

fn dialog_key(request: &InRequest) -> String {
    let tag = value::tag(&request.from).unwrap_or_default();
    format!("{}\n{tag}", request.call_id)
}
