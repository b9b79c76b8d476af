//! Read models of messages. Nothing here decides.

use std::{collections::BTreeMap, sync::Arc};

use busyhour_base::{AccountSid, MessageStatus, Reason, Span, Timestamp};

use super::{Place, Stage, State};
use crate::{
    engine::ring::NIL,
    message::{
        MessageCarrierView, MessageCounts, MessageId, MessageRecord, MessageTenantView, MessageView,
    },
    spec::{Kind, Throttle},
    state::batch_gate::{is_later, opens_by_itself},
    view::{Explanation, QueueView},
};

impl State {
    /// One message that waits or is under way, or that has ended and is not yet in the records.
    pub fn message(&self, message: MessageId) -> Option<MessageView> {
        self.messages.index.get(&message).map(|id| self.message_view(*id))
    }

    /// The most segments that a message of an account's number may have; `None` if nothing bounds them.
    pub fn message_segments_max(&self, account: AccountSid, number: &str) -> Option<u32> {
        let tenant = *self.accounts.get(&account)?;
        Some(self.messages.queue.segments_max(tenant, number)).filter(|most| *most < u32::MAX)
    }

    /// The messages of an account, newest first, beginning below `before`.
    pub fn messages_of(
        &self,
        account: AccountSid,
        before: Option<MessageId>,
    ) -> impl Iterator<Item = MessageView> {
        let messages = &self.messages;
        let tenant = self.accounts.get(&account).copied();
        // A message that is still here is a place to go on from; otherwise the newer ones are passed over.
        let from = before.and_then(|before| messages.index.get(&before).copied());
        let from = from.filter(|id| Some(messages.all[*id].tenant) == tenant);
        tenant
            .into_iter()
            .flat_map(move |id| messages.tenants[id].all.iter_back(&messages.all, from))
            .filter(move |id| before.is_none_or(|before| messages.all[*id].message < before))
            .map(|id| self.message_view(id))
    }

    fn message_view(&self, id: u32) -> MessageView {
        let messages = &self.messages;
        let message = &messages.all[id];
        let mut view = MessageView {
            message: message.message,
            account: self.tenants[message.tenant].account,
            spec: Arc::clone(&message.spec),
            body: messages.bodies.body(message.body).clone(),
            segments: messages.bodies.segments(message.body),
            status: MessageStatus::Queued,
            reason: Reason::Ready,
            accepted_at: message.accepted_at,
            wait: Span::from_millis(u64::from(message.wait_ms)),
            not_before: messages.times.get(message.times).and_then(|times| times.not_before),
            carrier: None,
            reference: None,
            sent_at: None,
            ended_at: None,
            batch: None,
            custom_id: None,
        };
        if let Some(line) = messages.lines.get(message.line) {
            view.batch = Some(self.batches[line.batch].id);
            view.custom_id.clone_from(&line.custom_id);
        }
        match message.stage {
            Stage::Scheduled => {
                view.reason = messages.put_off_for(id);
                // One that was sent before waits for its next attempt, and was not scheduled by its tenant.
                if view.reason == Reason::NotBefore {
                    view.status = MessageStatus::Scheduled;
                }
            }
            Stage::Queued => view.reason = messages.queue.resting().unwrap_or(Reason::Ready),
            Stage::Sending(live) | Stage::Sent(live) => {
                let sent = matches!(message.stage, Stage::Sent(_));
                view.status = if sent { MessageStatus::Sent } else { MessageStatus::Sending };
                let live = &messages.live[live];
                view.carrier = Some(Arc::clone(&live.carrier));
                view.reference = live.reference.clone();
                view.sent_at = Some(Timestamp(live.handed_at));
            }
            Stage::Receiving | Stage::Asked => {
                view.status = MessageStatus::Receiving;
                view.sent_at = Some(message.accepted_at);
                let origin = messages.origins.get(&id);
                view.carrier = origin.map(|origin| Arc::clone(&origin.carrier));
                view.reference = origin.map(|origin| Arc::clone(&origin.reference));
                if message.stage == Stage::Receiving {
                    view.reason = self.waits_to_be_asked(message.tenant);
                }
            }
            Stage::Ended(seq) => {
                if let Some(record) = self.message_record_of(seq) {
                    (view.status, view.reason) = (record.status, record.reason);
                    view.carrier.clone_from(&record.carrier);
                    view.reference.clone_from(&record.reference);
                    (view.sent_at, view.ended_at) = (record.sent_at, Some(record.ended_at));
                }
            }
        }
        view
    }

    /// Why a message that waits is not being sent, or nobody is asked about it; `None` if it does not wait.
    pub fn explain_message(&self, message: MessageId) -> Option<Explanation> {
        let messages = &self.messages;
        let id = *messages.index.get(&message)?;
        let message = &messages.all[id];
        match message.stage {
            Stage::Receiving => return Some(self.explain_receiving(id)),
            Stage::Scheduled | Stage::Queued => {}
            _ => return None,
        }
        let (urgency, held_by) = messages.queue.lane_of_message(message.lane);
        let batch = messages.lines.get(message.line).map(|line| &self.batches[line.batch]);
        let place = Place {
            tenant: message.tenant,
            number: &message.spec.from,
            urgency,
            batch: batch.map_or(NIL, |batch| batch.gate),
        };
        let outlook = messages.queue.explain(message.lane, id, place);
        let now = Timestamp(self.now);
        let not_before = messages.times.get(message.times).and_then(|times| times.not_before);
        let not_before = not_before.filter(|at| *at > now);
        let not_before = not_before.map(|at| (messages.put_off_for(id), Some(at)));
        let opens = batch.and_then(|batch| batch.opens(now));
        let limits = outlook.limits.into_iter();
        let limits = limits.map(|(reason, at)| (reason, opening(reason, at, opens)));
        let limits: Vec<_> = not_before.into_iter().chain(limits).collect();
        // One for which no instant can be told goes before all others.
        let shut = limits.iter().find(|(_, at)| at.is_none()).map(|(reason, _)| *reason);
        let last = limits.iter().filter_map(|(reason, at)| Some(((*at)?, *reason)));
        let last = last.filter(|(at, _)| *at > now).max_by_key(|(at, _)| *at);
        let starts_in = last.map_or(Span::ZERO, |(at, _)| at.since(now));
        Some(Explanation {
            position: outlook.position,
            starts_in: shut.is_none().then_some(starts_in),
            binding: shut.or(last.map(|(_, reason)| reason)).unwrap_or(held_by),
            limits: limits
                .into_iter()
                .map(|(reason, at)| (reason, at.map(|at| at.since(now))))
                .collect(),
        })
    }

    /// How long an application takes cannot be foretold.
    fn explain_receiving(&self, id: u32) -> Explanation {
        let tenant = self.messages.all[id].tenant;
        let before = self.messages.tenants[tenant].receiving.iter().take_while(|of| **of != id);
        let binding = self.waits_to_be_asked(tenant);
        Explanation {
            position: before.count() as u64,
            starts_in: None,
            binding,
            limits: vec![(binding, None)],
        }
    }

    /// What keeps a tenant's next inbound message from being asked about.
    fn waits_to_be_asked(&self, tenant: u32) -> Reason {
        if self.messages.tenants[tenant].asked >= self.message_options.asked_of_tenant_max {
            Reason::ApplicationAsked
        } else {
            Reason::FairTurn
        }
    }

    pub(in crate::state) fn message_counts(&self, tenant: u32) -> MessageCounts {
        self.messages.tenants[tenant].counts
    }

    pub(in crate::state) fn message_throttle(&self, tenant: u32) -> Option<Throttle> {
        self.messages.tenants[tenant].limits.throttle
    }

    /// The throttles of the numbers that a batch has lanes of; 0 for one without.
    pub(in crate::state) fn message_spacings(
        &self,
        tenant: u32,
        batch: u32,
    ) -> impl Iterator<Item = u64> {
        self.messages.queue.spacings_of_batch(tenant, batch)
    }

    pub(in crate::state) fn message_queues(&self, tenant: u32) -> impl Iterator<Item = QueueView> {
        let engine = self.messages.queue.engine();
        let batches = self.message_batches(tenant);
        self.messages.queue.lanes(Some(tenant)).map(move |of| QueueView {
            kind: Kind::Message,
            application: None,
            number: Some(Arc::clone(of.number)),
            urgency: engine.lane_urgency(of.lane),
            batch: batches.get(&of.batch).map(|batch| self.batches[*batch].id),
            waiting: engine.lane_len(of.lane),
            units: of.segments,
            in_progress: engine.lane_in_progress(of.lane),
            held_by: engine.lane_held_by(of.lane),
        })
    }

    /// The batches of messages of a tenant that have gates, by these.
    fn message_batches(&self, tenant: u32) -> BTreeMap<u32, u32> {
        let batches = self.tenants[tenant].batches.iter().map(|id| self.batch_index[id]);
        let batches = batches.map(|batch| (self.batches[batch].gate, batch));
        let of_messages = |(gate, batch): &(u32, u32)| {
            *gate != NIL && self.batches[*batch].kind() == Kind::Message
        };
        batches.filter(of_messages).collect()
    }

    /// Expected time from now until all that waits of a batch has been sent, and what binds.
    pub(in crate::state) fn eta_of_messages(&self, batch: u32) -> Option<(Span, Reason)> {
        let (state, queue, now) = (&self.batches[batch], &self.messages.queue, Timestamp(self.now));
        let opens = state.opens(now);
        let last = queue.lanes_of_batch(state.tenant, state.gate).filter_map(|(lane, number)| {
            let (urgency, _) = queue.lane_of_message(lane);
            let place = Place { tenant: state.tenant, number, urgency, batch: state.gate };
            let limits = queue.explain_last(lane, place, opens)?.limits.into_iter();
            let limits = limits.map(|(reason, at)| (opening(reason, at, opens), reason));
            // One for which no instant can be told goes before all others.
            let rest = (now, queue.resting().unwrap_or(Reason::FairTurn));
            limits.into_iter().try_fold(rest, |last, (at, reason)| {
                let at = at?;
                Some(if is_later(reason, at, last.0) { (at, reason) } else { last })
            })
        });
        let (at, binding) = last.max_by_key(|(at, _)| *at)?;
        Some((at.since(now), binding))
    }

    /// The outbox is in order of sequence numbers and has no gap.
    fn message_record_of(&self, seq: u64) -> Option<&MessageRecord> {
        let first = self.messages.outbox.front()?.seq;
        self.messages.outbox.get(usize::try_from(seq.checked_sub(first)?).ok()?)
    }

    /// Every tenant's messages.
    pub fn message_tenants(&self) -> impl Iterator<Item = MessageTenantView> {
        self.tenants.iter().map(|(id, tenant)| MessageTenantView {
            account: tenant.account,
            name: Arc::clone(&tenant.name),
            counts: self.messages.tenants[id].counts,
        })
    }

    /// Every carrier's message channels.
    pub fn message_carriers(&self) -> impl Iterator<Item = MessageCarrierView> {
        self.messages.carriers.values().map(|carrier| {
            let name = &carrier.contract.name;
            let live = self.messages.live.iter().map(|(_, live)| live);
            let unreported =
                live.filter(|live| live.reference.is_some() && live.carrier == *name).count();
            MessageCarrierView {
                name: Arc::clone(name),
                outbound: carrier.contract.outbound,
                in_use: self.messages.queue.in_use(name),
                inbound: carrier.contract.inbound,
                inbound_in_use: carrier.inbound,
                unreported: unreported as u64,
            }
        })
    }

    /// How many different texts are stored, and how many messages have one.
    pub fn message_texts(&self) -> (usize, u64) {
        self.messages.bodies.counts()
    }

    /// Reports of messages that nobody awaits.
    pub const fn stray_message_reports(&self) -> u64 {
        self.messages.stray_reports
    }

    /// Answers of applications that no queue took.
    pub const fn message_answers_refused(&self) -> u64 {
        self.messages.answers_refused
    }
}

/// When a limit lets a message pass, if that is known: of a batch that is shut, when it opens by itself.
fn opening(reason: Reason, at: Option<u64>, opens: Option<Timestamp>) -> Option<Timestamp> {
    let opens = opens.filter(|_| opens_by_itself(reason));
    at.map(Timestamp).or(opens)
}
