//! Inbound messages (MT-9): they wait in their tenant's queue until its application has been asked. Tenants take turns, and no more than
//! so many of one are asked at once, so that a slow application holds up its own messages only.

use std::sync::Arc;

use busyhour_base::{Direction, MessageSpec, MessageStatus, Reason};

use super::{Origin, Stage, State};
use crate::{
    effect::{Effect, Reply},
    message::{
        AcceptedMessage, After, Again, Answer, Arrival, Ask, Asked, MessageEffect, MessageId,
    },
};

/// How often an application is asked about one message: an answer may lead to the next asking.
const ASKS_MAX: u16 = 10;

impl State {
    pub(super) fn messages_arrived(&mut self, arrivals: &[Arrival], fx: &mut Vec<Effect>) -> Reply {
        let verdicts = arrivals.iter().map(|arrival| self.message_arrived(arrival, fx)).collect();
        self.serve_inbound(fx);
        Reply::Messages(verdicts)
    }

    fn message_arrived(
        &mut self,
        arrival: &Arrival,
        fx: &mut Vec<Effect>,
    ) -> Result<AcceptedMessage, Reason> {
        let tenant = self.tenant(arrival.account)?;
        let (now, key) = (self.now, Some(key(arrival)));
        if let Some(Reply::Messages(first)) = self.messages.tenants[tenant].brought.get(key, now) {
            return first.first().copied().unwrap_or(Err(Reason::Duplicate));
        }
        if self.tenants[tenant].suspended {
            return Err(Reason::Suspended);
        }
        let waiting = self.messages.tenants[tenant].receiving.len();
        if waiting >= self.message_options.inbound_max {
            return Err(Reason::QueueFull);
        }
        let keyword = self.keyword_in(arrival)?;
        let known = self.messages.carriers.get_mut(&arrival.carrier);
        let carrier = known.filter(|carrier| carrier.declared).ok_or(Reason::NoCarrier)?;
        if carrier.inbound >= carrier.contract.inbound {
            return Err(Reason::CarrierChannels);
        }
        carrier.inbound += 1;
        let body = match self.messages.bodies.hold(&arrival.body) {
            Some(body) => body,
            None => {
                self.give_back_inbound(&Arc::clone(&arrival.carrier));
                return Err(Reason::TextsFull);
            }
        };
        let none = crate::engine::ring::NIL;
        let id = self.insert_message(tenant, none, &arrival.spec, body, Stage::Receiving);
        let messages = &mut self.messages;
        let (carrier, reference) = (Arc::clone(&arrival.carrier), Arc::clone(&arrival.reference));
        messages
            .origins
            .insert(id, Origin { carrier, reference, again: None, keyword, speaks: false });
        let state = &mut messages.tenants[tenant];
        state.counts.accepted += 1;
        state.counts.receiving += 1;
        state.receiving.push_back(id);
        let accepted = AcceptedMessage {
            message: messages.all[id].message,
            segments: messages.bodies.segments(body),
            wait: busyhour_base::Span::ZERO,
        };
        let reply = Reply::Messages(vec![Ok(accepted)]);
        self.messages.tenants[tenant].brought.put(key, now, &reply);
        self.message_changed(id, MessageStatus::Receiving, Reason::Ready, fx);
        if let Some(keyword) = keyword {
            let speaks = self.obey(tenant, keyword, arrival, fx);
            self.messages.origins.get_mut(&id).expect("it was just put there").speaks = speaks;
        }
        self.take_turn(tenant);
        Ok(accepted)
    }

    /// A tenant stands in the ring if it has a message that may be asked about.
    fn take_turn(&mut self, tenant: u32) {
        let most = self.message_options.asked_of_tenant_max;
        let state = &mut self.messages.tenants[tenant];
        if !state.in_turn && !state.receiving.is_empty() && state.asked < most {
            state.in_turn = true;
            self.messages.turns.push_back(tenant);
        }
    }

    /// Asks about the next messages, in turn.
    pub(super) fn serve_inbound(&mut self, fx: &mut Vec<Effect>) {
        while self.messages.asked < self.message_options.asked_max {
            let Some(tenant) = self.messages.turns.pop_front() else { return };
            let state = &mut self.messages.tenants[tenant];
            state.in_turn = false;
            if let Some(id) = state.receiving.pop_front() {
                state.asked += 1;
                self.messages.asked += 1;
                self.messages.all[id].stage = Stage::Asked;
                self.messages.all[id].attempt += 1;
                self.ask(id, fx);
            }
            self.take_turn(tenant);
        }
    }

    fn ask(&self, id: u32, fx: &mut Vec<Effect>) {
        let message = &self.messages.all[id];
        let origin = self.messages.origins.get(&id);
        fx.push(Effect::Message(MessageEffect::Ask(Box::new(Ask {
            message: message.message,
            account: self.tenants[message.tenant].account,
            spec: Arc::clone(&message.spec),
            body: self.messages.bodies.body(message.body).clone(),
            segments: self.messages.bodies.segments(message.body),
            step: message.attempt,
            again: origin.and_then(|origin| origin.again.clone()),
            keyword: origin.and_then(|origin| origin.keyword),
        }))));
    }

    /// After a restart: nobody knows what applications have answered, so they are asked again.
    pub(super) fn ask_again(&self, fx: &mut Vec<Effect>) {
        for (id, message) in self.messages.all.iter() {
            if message.stage == Stage::Asked {
                self.ask(id, fx);
            }
        }
    }

    pub(super) fn applications_asked(&mut self, asked: &[Asked], fx: &mut Vec<Effect>) -> Reply {
        for asked in asked {
            self.application_asked(asked, fx);
        }
        self.serve_inbound(fx);
        Reply::Done
    }

    /// The message ends or is asked about again, and its answers begin, in one step: so they are queued once, however often it is
    /// said.
    fn application_asked(&mut self, asked: &Asked, fx: &mut Vec<Effect>) {
        let id = self.messages.index.get(&asked.message).copied().filter(|id| {
            let message = &self.messages.all[*id];
            message.stage == Stage::Asked && message.attempt == asked.step
        });
        let Some(id) = id else {
            self.messages.stray_reports += 1;
            return;
        };
        let last = self.queue_answers(id, &asked.answers, fx);
        let reason = match &asked.after {
            After::Done => Reason::Received,
            After::Failed(reason) => *reason,
            After::Again(hook) if asked.step < ASKS_MAX => {
                let again = Again { hook: hook.clone(), answer: last };
                if let Some(origin) = self.messages.origins.get_mut(&id) {
                    origin.again = Some(again);
                }
                self.messages.all[id].attempt += 1;
                return self.ask(id, fx);
            }
            After::Again(_) => Reason::DocumentFailed,
        };
        self.end_message(id, MessageStatus::Received, reason, fx);
    }

    /// Queues what an application answered, and tells what became of the last of it. What is refused is as if the application had
    /// been refused: the message itself has come in.
    fn queue_answers(
        &mut self,
        asked: u32,
        answers: &[Answer],
        fx: &mut Vec<Effect>,
    ) -> Result<MessageId, Reason> {
        let (tenant, written) =
            (self.messages.all[asked].tenant, Arc::clone(&self.messages.all[asked].spec));
        let mut last = Err(Reason::UnknownMessage);
        for answer in answers.iter().take(self.message_options.answers_max) {
            let spec = MessageSpec {
                direction: Direction::OutboundReply,
                ..MessageSpec::clone(&answer.spec)
            };
            let back = (&spec.to, &spec.from) == (&written.from, &written.to);
            let origin = self.messages.origins.get_mut(&asked).filter(|_| back);
            let speaks = origin.is_some_and(|origin| std::mem::take(&mut origin.speaks));
            let queued = self.submit_answer(tenant, &Arc::new(spec), &answer.body, speaks, fx);
            self.messages.answers_refused += u64::from(queued.is_err());
            last = queued.map(|accepted| accepted.message);
        }
        last
    }

    /// A message leaves its tenant's inbound queue, or is not asked about any more.
    pub(super) fn leave_inbound(&mut self, id: u32) {
        let tenant = self.messages.all[id].tenant;
        let state = &mut self.messages.tenants[tenant];
        if self.messages.all[id].stage == Stage::Asked {
            state.asked -= 1;
            self.messages.asked -= 1;
            self.take_turn(tenant);
        } else {
            state.receiving.retain(|other| *other != id);
        }
        if let Some(origin) = self.messages.origins.get(&id) {
            let carrier = Arc::clone(&origin.carrier);
            self.give_back_inbound(&carrier);
        }
    }

    fn give_back_inbound(&mut self, carrier: &Arc<str>) {
        if let Some(carrier) = self.messages.carriers.get_mut(carrier) {
            carrier.inbound -= 1;
        }
        self.forget_message_carriers();
    }
}

/// What makes two arrivals the same one.
fn key(arrival: &Arrival) -> u128 {
    use sha2::{Digest as _, Sha256};
    let mut hash = Sha256::new();
    for part in ["arrival", &arrival.carrier, &arrival.reference] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let bytes: [u8; 32] = hash.finalize().into();
    let (first, _) = bytes.split_at(16);
    first.iter().fold(0, |key, byte| key << 8 | u128::from(*byte))
}
