//! What time brings: expiries, scheduled messages, reports that do not come, and messages whose turn has come.

use std::sync::Arc;

use busyhour_base::{MessageStatus, Reason, Timestamp};

use super::{
    Live, Stage, State, Times,
    lines::Counted,
    queue::{Brought, Turn},
};
use crate::{
    effect::Effect,
    engine::{ring::NIL, wheel::NO_TIMER},
    message::{MessageEffect, Send},
};

/// What a timer among the expiries is for; with the id it is the timer's key.
enum Due {
    /// A message's expiry.
    Expiry,
    /// The end of the wait for a report.
    Report,
}

const REPORT: u32 = 1 << 31;

impl Due {
    const fn of(self, id: u32) -> u32 {
        match self {
            Self::Expiry => id,
            Self::Report => id | REPORT,
        }
    }

    const fn split(key: u32) -> (Self, u32) {
        if key & REPORT == 0 { (Self::Expiry, key) } else { (Self::Report, key & !REPORT) }
    }
}

/// What a timer of the queue's engine is for; with the id it is the timer's key.
pub(in crate::state) enum Begins {
    /// A scheduled message's time has come.
    Message,
    /// A batch of messages opens.
    Batch,
}

const BATCH: u32 = 1 << 26;

impl Begins {
    pub const fn of(self, id: u32) -> u32 {
        assert!(id < BATCH, "fewer than 2^26 of a kind");
        match self {
            Self::Message => id,
            Self::Batch => id | BATCH,
        }
    }

    const fn split(key: u32) -> (Self, u32) {
        if key & BATCH == 0 { (Self::Message, key) } else { (Self::Batch, key & !BATCH) }
    }
}

impl State {
    /// Everything about messages that is due by now: first what ends, then what begins.
    pub(in crate::state) fn advance_messages(&mut self, fx: &mut Vec<Effect>) {
        while let Some((_, key)) = self.messages.expiries.pop(self.now) {
            match Due::split(key) {
                (Due::Expiry, times) => self.message_expires(times, fx),
                (Due::Report, live) => self.report_is_late(live, fx),
            }
        }
        self.drain_messages(fx);
    }

    /// The queue's events up to now.
    pub(in crate::state) fn drain_messages(&mut self, fx: &mut Vec<Effect>) {
        while let Some(brought) = self.messages.queue.next(self.now) {
            match brought {
                Brought::Start(turn) => self.send_message(turn, fx),
                Brought::Timer(key) => match Begins::split(key) {
                    (Begins::Message, times) => self.message_begins(times, fx),
                    (Begins::Batch, batch) => self.batch_opens(batch),
                },
            }
        }
    }

    /// Notes a message's own times and sets its timers.
    pub(super) fn time_message(
        &mut self,
        id: u32,
        not_before: Option<Timestamp>,
        expires: Option<Timestamp>,
    ) {
        if not_before.is_none() && expires.is_none() {
            return;
        }
        let messages = &mut self.messages;
        let begin = not_before.filter(|begin| begin.0 > self.now);
        let times = messages.times.insert(Times {
            message: id,
            not_before,
            expires,
            begin: NO_TIMER,
            end: NO_TIMER,
        });
        messages.all[id].times = times;
        if let Some(begin) = begin {
            let key = Begins::Message.of(times);
            messages.times[times].begin = messages.queue.set_timer(begin.0, key);
            messages.all[id].stage = Stage::Scheduled;
            messages.queue.put_off(messages.all[id].lane, id);
        }
        if let Some(end) = expires {
            messages.times[times].end = messages.expiries.set(end.0, Due::Expiry.of(times));
        }
    }

    /// A message's times and their timers go.
    pub(super) fn untime_message(&mut self, id: u32) {
        let messages = &mut self.messages;
        let times = std::mem::replace(&mut messages.all[id].times, NIL);
        if let Some(times) = messages.times.remove(times) {
            if times.begin != NO_TIMER {
                messages.queue.cancel_timer(times.begin);
            }
            if times.end != NO_TIMER {
                messages.expiries.cancel(times.end);
            }
        }
    }

    fn message_begins(&mut self, times: u32, fx: &mut Vec<Effect>) {
        let messages = &mut self.messages;
        messages.times[times].begin = NO_TIMER;
        let id = messages.times[times].message;
        let held_by = messages.put_off_for(id);
        let message = &mut messages.all[id];
        message.stage = Stage::Queued;
        let (lane, asked) = (message.lane, messages.asked(id));
        messages.queue.take_up(lane, id);
        messages.queue.push_back(lane, id, asked, held_by);
        self.message_changed(id, MessageStatus::Queued, Reason::Ready, fx);
    }

    fn message_expires(&mut self, times: u32, fx: &mut Vec<Effect>) {
        self.messages.times[times].end = NO_TIMER;
        let id = self.messages.times[times].message;
        if matches!(self.messages.all[id].stage, Stage::Scheduled | Stage::Queued) {
            self.end_message(id, MessageStatus::Failed, Reason::Expired, fx);
        }
    }

    fn report_is_late(&mut self, live: u32, fx: &mut Vec<Effect>) {
        self.messages.live[live].report_by = NO_TIMER;
        let id = self.messages.live[live].message;
        self.end_message(id, MessageStatus::Sent, Reason::NoDeliveryReport, fx);
    }

    /// When the report on a message that was just taken is not awaited any more.
    pub(super) fn await_report(&mut self, live: u32) {
        let until = Timestamp(self.now) + self.message_options.report_wait;
        let timer = self.messages.expiries.set(until.0, Due::Report.of(live));
        self.messages.live[live].report_by = timer;
    }

    /// A message is handed to a carrier: this is the intent, and its effect is carried out once it is durable.
    fn send_message(&mut self, turn: Turn, fx: &mut Vec<Effect>) {
        let Turn { message: id, channel, carrier, due, held_by, number } = turn;
        let messages = &mut self.messages;
        let live = messages.live.insert(Live {
            message: id,
            channel,
            carrier: Arc::clone(&carrier),
            due,
            held_by,
            number,
            handed_at: self.now,
            entry: self.applied,
            reference: None,
            report_by: NO_TIMER,
        });
        let message = &mut messages.all[id];
        message.stage = Stage::Sending(live);
        let counts = &mut messages.tenants[message.tenant].counts;
        counts.waiting -= 1;
        counts.sending += 1;
        self.line_moves(id, Counted::Waits, Counted::InProgress);
        if self.is_opted_out(id) {
            return self.end_opted_out(id, fx);
        }
        self.line_starts(id);
        let messages = &mut self.messages;
        messages.all[id].attempt += 1;
        let message = &messages.all[id];
        fx.push(Effect::Message(MessageEffect::Send(Box::new(Send {
            message: message.message,
            attempt: message.attempt,
            account: self.tenants[message.tenant].account,
            carrier,
            at: Timestamp(due),
            held_by,
            spec: Arc::clone(&message.spec),
            body: messages.bodies.body(message.body).clone(),
            segments: messages.bodies.segments(message.body),
            expires: messages.times.get(message.times).and_then(|times| times.expires),
        }))));
        self.message_changed(id, MessageStatus::Sending, Reason::Ready, fx);
    }
}
