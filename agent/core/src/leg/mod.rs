//! One call: from the order to dial or to answer to its end, its SIP leg and its document session together.
//!
//! # The driver's contract
//!
//! A [`Leg`] does nothing by itself. **Its driver (the agent's shell, or the simulator) must:**
//!
//! 1. **After every [`Leg::handle`], call [`Leg::poll`] until it returns `None`**, and carry the actions out
//!    in that order. Nothing else may be given to the leg in between.
//! 2. **Then ask [`Leg::wake_at`]**, and give [`Input::Timer`] at that instant or soon after, unless another
//!    input comes first. The instant changes with every input.
//! 3. **Give every input as it happens**, with times that never go back. What means nothing at the moment is
//!    ignored, so the driver never needs to know what the leg is doing.
//! 4. **Answer what must be answered**: [`Action::Fetch`] by [`Input::Fetched`], [`Action::Prepare`] by
//!    [`Input::Prepared`], [`Action::Play`] by [`Input::Played`], [`Action::Bye`] by [`Input::Closed`]. An answer
//!    that never comes is given up after a bound; one that comes too late is ignored.
//! 5. **Report provisional responses from 100 on** ([`Input::Provisional`]): without one no CANCEL may be sent.
//! 6. **Drop the leg on [`Action::End`]**, and whatever it still holds for it (audio, sockets). A 200 that comes
//!    after that is acknowledged and followed by a BYE without asking anybody.
//!
//! In return the leg promises, whatever it is given: one [`Action::Invite`] or one of [`Action::Answer`] and [`Action::Refuse`] at most; each of `Sent`, `Ringing` and
//! `Answered` reported once at most; exactly one [`CallEvent::Ended`](busyhour_base::CallEvent::Ended) or
//! [`CallEvent::NotSent`](busyhour_base::CallEvent::NotSent), then [`Action::End`], after a bounded time.

mod fate;
mod io;
mod progress;
mod table;

use std::collections::VecDeque;

use busyhour_base::{CallEvent, CallSpec, Direction, Ending, Outcome, Reason, Span, Timestamp};

use self::{
    fate::Fate,
    progress::Teller,
    table::{On, Step},
};
use crate::{
    interpreter::{Context, Event, Session, Wish},
    media::dtmf,
    webhook::Base,
};

pub use fate::given_up;
pub use io::*;
pub use progress::undialled_callback;
pub use table::Phase;

/// How long a CANCEL or a BYE may go unanswered, or a 200 of ours without its ACK. The transaction layer gives up after 64 x T1 = 32 s
/// (RFC 3261 section 17.1.2.2) and says so; this only catches a shell that does not.
pub const GUARD: Span = Span::from_secs(40);
/// The longest that a call may ring, whatever its order says (`WIRE.md`: Timeout).
pub const RING_MAX: Span = Span::from_secs(600);
/// The longest that a call may last, whatever its order says.
pub const TALK_MAX: Span = Span::from_secs(24 * 3_600);
/// How many pressed keys an [`Ending`] tells of.
pub const DIGITS_MAX: usize = 64;

/// One call at an agent. See the module's docs for how it is driven.
pub struct Leg {
    order: Order,
    base: Base,
    phase: Phase,
    fate: Option<Fate>,
    status: u16,
    dialled: Option<Timestamp>,
    answered: Option<Timestamp>,
    /// Ring time-out, time limit or guard, as the phase has it.
    timer: Option<(Timestamp, On)>,
    digits: String,
    teller: Teller,
    session: Session,
    actions: VecDeque<Action>,
}

impl Leg {
    /// A leg that waits for [`Input::Start`].
    pub fn new(order: Order) -> Self {
        let base = Base::of(&order);
        Self {
            order,
            base,
            phase: Phase::New,
            fate: None,
            status: 0,
            dialled: None,
            answered: None,
            timer: None,
            digits: String::new(),
            teller: Teller::default(),
            session: Session::default(),
            actions: VecDeque::new(),
        }
    }

    /// Where its signalling stands, for people who watch.
    pub const fn phase(&self) -> Phase {
        self.phase
    }

    /// The next thing to be done, until there is none.
    pub fn poll(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When [`Input::Timer`] is due.
    pub fn wake_at(&self) -> Option<Timestamp> {
        let timer = self.timer.map(|(at, _)| at);
        timer.into_iter().chain(self.session.wake_at()).min()
    }

    /// Takes in what happened at `now`.
    pub fn handle(&mut self, now: Timestamp, input: Input) {
        match input {
            Input::Start if self.is_inbound() => self.on(now, On::Accept, None),
            Input::Start => self.on(now, On::Start, None),
            Input::Sent => self.on(now, On::Sent, None),
            Input::Provisional(180 | 183) => self.on(now, On::Ringing, None),
            Input::Provisional(_) => self.on(now, On::Trying, None),
            Input::Answered => self.on_final(now, On::Answered, 200, None),
            Input::Refused(status) => {
                self.on_final(now, On::Refused, status, Some(Fate::of_status(status)));
            }
            Input::NotSent(_) if self.teller.told_sent() => {
                self.on(now, On::Silent, Some(CARRIER_FAILURE));
            }
            Input::NotSent(reason) => {
                self.on(now, On::NotSent, Some(Fate::new(Outcome::Failed, reason)));
            }
            Input::Silent => self.on(now, On::Silent, Some(CARRIER_FAILURE)),
            Input::FarHangUp => {
                let gave_up = matches!(self.phase, Phase::Deciding | Phase::Answering);
                let fate = if gave_up { CALLER_GAVE_UP } else { COMPLETED };
                self.on(now, On::FarHangUp, Some(fate));
            }
            Input::Closed { confirmed: true } => self.on(now, On::Confirmed, Some(COMPLETED)),
            Input::Closed { confirmed: false } => self.on(now, On::Unconfirmed, Some(COMPLETED)),
            Input::MediaLost => {
                self.on(now, On::MediaLost, Some(Fate::hung_up(true, Reason::MediaLost)));
            }
            Input::HangUp(reason) => {
                let fate = Fate::hung_up(self.phase == Phase::Up, reason);
                self.on(now, On::HangUp, Some(fate));
            }
            Input::Digit(key) => self.on_digit(now, key),
            Input::Timer => self.on_timer(now),
            Input::Redirect(instructions) => {
                self.order.spec.instructions = instructions;
                if self.has_session() {
                    self.in_session(now, |session, cx, spec| {
                        session.begin(cx, None, &spec.instructions)
                    });
                }
            }
            Input::Fetched { token, result } => {
                self.tell_session(now, Event::Fetched(token, result))
            }
            Input::Prepared { token, result } => {
                self.tell_session(now, Event::Prepared(token, result))
            }
            Input::Played { token } => self.tell_session(now, Event::Played(token)),
        }
    }

    /// Whether the far end began it.
    fn is_inbound(&self) -> bool {
        self.order.spec.direction == Direction::Inbound
    }

    /// Whether its document session has begun and is not over. Before the answer it does only what needs none.
    fn has_session(&self) -> bool {
        matches!(self.phase, Phase::Deciding | Phase::Answering | Phase::Up)
    }

    fn tell_session(&mut self, now: Timestamp, event: Event) {
        if self.has_session() {
            self.in_session(now, |session, cx, _| session.handle(cx, event));
        }
    }

    /// Lets the session work, and does what it wishes: to be answered, not to be, or to be hung up on when it has nothing
    /// left to do.
    fn in_session(
        &mut self,
        now: Timestamp,
        work: impl FnOnce(&mut Session, &mut Context<'_>, &CallSpec),
    ) {
        let spec = &self.order.spec;
        let mut cx = Context {
            now,
            up: self.phase == Phase::Up,
            base: &self.base,
            fallback: spec.fallback.as_ref(),
            out: &mut self.actions,
        };
        work(&mut self.session, &mut cx, spec);
        match self.session.wish() {
            None => {}
            Some(Wish::Answer) => self.on(now, On::NeedsAnswer, None),
            Some(Wish::Reject(how)) => self.on(now, On::Rejected, Some(Fate::rejected(how))),
            Some(Wish::HangUp(reason)) => {
                self.on(now, On::DocumentOver, Some(Fate::hung_up(true, reason)));
            }
        }
    }

    fn on_timer(&mut self, now: Timestamp) {
        if let Some((_, on)) = self.timer.filter(|(at, _)| *at <= now) {
            self.timer = None;
            let fate = match on {
                // A caller who has waited long enough is answered all the same.
                On::RingTimeout if self.is_inbound() => None,
                On::RingTimeout => Some(Fate::new(Outcome::NoAnswer, Reason::NoAnswer)),
                On::TimeLimit => Some(Fate::hung_up(true, Reason::TimeLimit)),
                _ => Some(CARRIER_FAILURE),
            };
            self.on(now, on, fate);
        }
        self.tell_session(now, Event::Timer);
    }

    fn on_digit(&mut self, now: Timestamp, key: char) {
        if self.phase != Phase::Up || !dtmf::is_key(key) {
            return;
        }
        if self.digits.len() < DIGITS_MAX {
            self.digits.push(key);
        }
        self.tell_session(now, Event::Digit(key));
    }

    /// A final response: its status is kept if it means anything now.
    fn on_final(&mut self, now: Timestamp, on: On, status: u16, fate: Option<Fate>) {
        if table::row(self.phase, on).is_some() {
            self.status = status;
        }
        self.on(now, on, fate);
    }

    /// Takes one step in the table; `fate` counts if nothing doomed the leg before.
    fn on(&mut self, now: Timestamp, on: On, fate: Option<Fate>) {
        let Some(row) = table::row(self.phase, on) else { return };
        self.phase = row.to;
        self.fate = self.fate.or(fate);
        if matches!(row.to, Phase::Up | Phase::Over) {
            self.timer = None;
        }
        for step in row.steps {
            self.step(now, *step);
        }
    }

    fn step(&mut self, now: Timestamp, step: Step) {
        let (base, spec, out) = (&self.base, &self.order.spec, &mut self.actions);
        match step {
            Step::Invite => {
                out.push_back(Action::Invite);
                self.dialled = Some(now);
                let ring = spec.ring_timeout.min(RING_MAX);
                self.timer = Some((now + ring, On::RingTimeout));
            }
            Step::Decide => {
                self.dialled = Some(now);
                self.timer = Some((now + spec.ring_timeout.min(RING_MAX), On::RingTimeout));
                self.in_session(now, |session, cx, spec| {
                    session.begin(cx, None, &spec.instructions);
                });
                if self.phase == Phase::Deciding {
                    self.actions.push_back(Action::Ring);
                }
            }
            Step::Accept => {
                out.push_back(Action::Answer);
                self.timer = Some((now + GUARD, On::GivenUp));
            }
            Step::Refuse => {
                let fate = self.fate.unwrap_or(CARRIER_FAILURE);
                self.status = fate.refusal();
                out.push_back(Action::Refuse { status: self.status, reason: fate.reason });
            }
            Step::Cancel => out.push_back(Action::Cancel),
            Step::Bye => out.push_back(Action::Bye),
            Step::Guard => self.timer = Some((now + GUARD, On::GivenUp)),
            Step::TellSent => self.teller.sent(now, base, spec, out),
            Step::TellRinging => self.teller.ringing(now, base, spec, out),
            Step::TellAnswered => self.teller.answered(now, base, spec, out),
            Step::Answer => self.answered = Some(now),
            Step::Begin => {
                self.timer = Some((now + spec.time_limit.min(TALK_MAX), On::TimeLimit));
                self.in_session(now, |session, cx, spec| {
                    session.begin(cx, spec.send_digits.as_deref(), &spec.instructions);
                });
            }
            Step::Resume => {
                self.timer = Some((now + spec.time_limit.min(TALK_MAX), On::TimeLimit));
                self.in_session(now, |session, cx, _| session.resume(cx));
            }
            Step::Silence => self.in_session(now, |session, cx, _| session.stop(cx)),
            Step::GiveBack => {
                let reason = self.fate.map_or(Reason::CarrierFailure, |fate| fate.reason);
                out.push_back(Action::Report(CallEvent::NotSent(reason)));
                out.push_back(Action::End);
            }
            Step::Finish => self.finish(now, true),
            Step::FinishInDoubt => self.finish(now, false),
        }
    }

    fn finish(&mut self, now: Timestamp, confirmed: bool) {
        let fate = self.fate.unwrap_or(CARRIER_FAILURE);
        let since =
            |from: Option<Timestamp>, to: Timestamp| from.map_or(Span::ZERO, |at| to.since(at));
        let ending = Ending {
            outcome: fate.outcome,
            reason: fate.reason,
            sip_code: self.status,
            ring: since(self.dialled, self.answered.unwrap_or(now)),
            talk: since(self.answered, now),
            digits: std::mem::take(&mut self.digits),
            confirmed,
        };
        self.teller.ended(now, &self.base, &self.order.spec, ending, &mut self.actions);
        self.actions.push_back(Action::End);
    }
}

const CARRIER_FAILURE: Fate = Fate::new(Outcome::Failed, Reason::CarrierFailure);
const CALLER_GAVE_UP: Fate = Fate::new(Outcome::NoAnswer, Reason::CallerGaveUp);
const COMPLETED: Fate = Fate::new(Outcome::Completed, Reason::Completed);
