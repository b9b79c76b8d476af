//! Read models of messages. Nothing here decides.

use std::sync::Arc;

use busyhour_base::{AccountSid, MessageStatus, Reason, Span, Timestamp};

use super::{Stage, State};
use crate::{
    message::{
        MessageCarrierView, MessageCounts, MessageId, MessageRecord, MessageTenantView, MessageView,
    },
    spec::Kind,
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
        };
        match message.stage {
            Stage::Scheduled => {
                (view.status, view.reason) = (MessageStatus::Scheduled, Reason::NotBefore);
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

    /// Why a message that waits is not being sent; `None` if it does not wait.
    pub fn explain_message(&self, message: MessageId) -> Option<Explanation> {
        let messages = &self.messages;
        let id = *messages.index.get(&message)?;
        let message = &messages.all[id];
        if !matches!(message.stage, Stage::Scheduled | Stage::Queued) {
            return None;
        }
        let (urgency, held_by) = messages.queue.lane_of_message(message.lane);
        let place = (message.tenant, message.lane);
        let outlook = messages.queue.explain(place, id, (&message.spec.from, urgency));
        let now = Timestamp(self.now);
        let not_before = messages.times.get(message.times).and_then(|times| times.not_before);
        let not_before = not_before.filter(|at| *at > now).map(|at| (Reason::NotBefore, Some(at)));
        let limits = outlook.limits.into_iter().map(|(reason, at)| (reason, at.map(Timestamp)));
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

    pub(in crate::state) fn message_counts(&self, tenant: u32) -> MessageCounts {
        self.messages.tenants[tenant].counts
    }

    pub(in crate::state) fn message_queues(&self, tenant: u32) -> impl Iterator<Item = QueueView> {
        let queue = &self.messages.queue;
        queue.lanes(Some(tenant)).map(|(lane, _, number, segments)| QueueView {
            kind: Kind::Message,
            application: None,
            number: Some(Arc::clone(number)),
            urgency: queue.engine().lane_urgency(lane),
            batch: None,
            waiting: queue.engine().lane_len(lane),
            units: segments,
            in_progress: queue.engine().lane_in_progress(lane),
            held_by: queue.engine().lane_held_by(lane),
        })
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
