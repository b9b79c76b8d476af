//! When messages are sent, foretold as calls are ([`crate::forward`]): their engine is copied and run ahead. What a message holds
//! is its carrier's channel until the carrier answers.

use std::{collections::BTreeMap, sync::Arc};

use busyhour_base::{AccountSid, Timestamp};

use super::{Begins, Stage, State, Times};
use crate::{
    engine::{ring::NIL, wheel::NO_TIMER, workers::NO_WORKER},
    forward::{
        COPY_BYTES_MAX, Expiring, Holding, InProgress, Inquiry, MESSAGE_ASSUMED_US, Outlook,
        Target, Timed, Waits,
    },
    message::MessageId,
    spec::Kind,
    state::batch::Batch,
    state::proposals::{Proposals, propose_for_carrier, propose_for_gate},
};

impl State {
    /// A copy of what decides when messages are sent, to run ahead from `now`; `None` if that is more than may be copied while entries wait.
    pub fn message_outlook(&self, now: Timestamp) -> Option<Outlook> {
        let (messages, now) = (&self.messages, now.0.max(self.now));
        let engine = messages.queue.engine();
        let beside = messages.times.bytes() + messages.live.bytes() + size_of::<Holding>();
        if engine.bytes() + beside > COPY_BYTES_MAX {
            return None;
        }
        let mut tenant_of: Vec<_> =
            messages.queue.lanes(None).map(|of| (of.lane, of.tenant)).collect();
        tenant_of.sort_unstable();
        let mut engine = engine.clone();
        let (openings, closings) = self.hours(Kind::Message, Timestamp(now), &mut engine);
        let batches = self.batches.iter().map(|(_, batch)| batch);
        let batches = batches.filter(|batch| batch.kind() == Kind::Message && batch.gate != NIL);
        let lanes = |batch: &Batch| {
            let lanes = messages.queue.lanes_of_batch(batch.tenant, batch.gate);
            lanes.map(|(lane, _)| lane).collect()
        };
        Some(Outlook {
            engine,
            now,
            in_progress: self.messages_at_carriers(now).collect(),
            timed: self.messages_timed().chain(openings).collect(),
            closings,
            expiring: self.messages_expiring(),
            tenant_of,
            holding: BTreeMap::new(),
            holding_all: messages.holding.clone(),
            holding_assumed_us: MESSAGE_ASSUMED_US,
            accounts: BTreeMap::new(),
            batches: batches.map(|batch| (batch.id, lanes(batch))).collect(),
        })
    }

    /// Those that carriers have not answered.
    fn messages_at_carriers(&self, now: u64) -> impl Iterator<Item = InProgress> {
        let messages = &self.messages;
        let sending = messages
            .live
            .iter()
            .filter(|(_, live)| matches!(messages.all[live.message].stage, Stage::Sending(_)));
        sending.map(move |(_, live)| InProgress {
            lane: messages.all[live.message].lane,
            carrier: live.channel,
            worker: NO_WORKER,
            elapsed: now.saturating_sub(live.handed_at),
            leased: true,
        })
    }

    /// Those whose time has not come, by their timers.
    fn messages_timed(&self) -> impl Iterator<Item = (u32, Timed)> {
        let messages = &self.messages;
        let scheduled = messages.times.iter().filter(|(_, times)| times.begin != NO_TIMER);
        let scheduled = scheduled.map(|(id, Times { message, .. })| {
            let (lane, asked) = (messages.all[*message].lane, messages.asked(*message));
            let begins = Timed::Begins { request: *message, lane, asked };
            (Begins::Message.of(id), begins)
        });
        let batches = self.beginning(Kind::Message);
        scheduled.chain(batches.map(|(id, gate)| (Begins::Batch.of(id), Timed::Opens { gate })))
    }

    pub(in crate::state) fn inquire_message_batch(
        &self,
        batch: u32,
        now: Timestamp,
    ) -> Option<Inquiry> {
        let state = &self.batches[batch];
        let of_it = self.messages.queue.lanes_of_batch(state.tenant, state.gate);
        let (lanes, numbers): (Vec<_>, Vec<_>) =
            of_it.map(|(lane, number)| (lane, Arc::from(number))).unzip();
        let mut proposals = Proposals::new();
        self.propose_for_messages(state.tenant, &numbers, &mut proposals);
        if state.gate != NIL {
            let engine = self.messages.queue.engine();
            let name = Arc::from(state.plan.name.as_str());
            propose_for_gate(engine, state.gate, &name, &mut proposals);
        }
        Some(Inquiry {
            outlook: self.message_outlook(now)?,
            target: Target::Lanes(lanes),
            proposals,
        })
    }

    /// Those that expire if they are not sent by then.
    fn messages_expiring(&self) -> Vec<Expiring> {
        let messages = &self.messages;
        let expiring = messages.times.iter().filter_map(|(_, times)| {
            let request = times.message;
            let waits = match messages.all[request].stage {
                Stage::Queued => Waits::Queued,
                Stage::Scheduled => Waits::PutOff,
                _ => return None,
            };
            let lane = messages.all[request].lane;
            Some(Expiring { at: times.expires?.0, request, lane, waits })
        });
        let mut expiring: Vec<_> = expiring.collect();
        expiring.sort_unstable();
        expiring
    }

    pub(in crate::state) fn inquire_message(
        &self,
        message: MessageId,
        now: Timestamp,
    ) -> Option<Inquiry> {
        let messages = &self.messages;
        let id = *messages.index.get(&message)?;
        let message = &messages.all[id];
        let lane = message.lane;
        let ahead = match message.stage {
            Stage::Scheduled => 0,
            Stage::Queued => {
                let mut queue = messages.queue.engine().lane_requests(lane);
                queue.position(|other| other == id)? as u64
            }
            _ => return None,
        };
        let mut proposals = Proposals::new();
        let numbers = [Arc::from(message.spec.from.as_str())];
        self.propose_for_messages(message.tenant, &numbers, &mut proposals);
        let target = Target::Request { request: id, lane, ahead };
        Some(Inquiry { outlook: self.message_outlook(now)?, target, proposals })
    }

    pub(in crate::state) fn inquire_messages(
        &self,
        account: AccountSid,
        now: Timestamp,
    ) -> Option<Inquiry> {
        let tenant = *self.accounts.get(&account)?;
        let engine = self.messages.queue.engine();
        let mut lanes: Vec<_> = self.messages.queue.lanes(Some(tenant)).collect();
        // The longest queues are those that something could be done about.
        lanes.sort_by_key(|of| std::cmp::Reverse(engine.lane_len(of.lane)));
        let numbers: Vec<_> = lanes.iter().map(|of| Arc::clone(of.number)).collect();
        let mut proposals = Proposals::new();
        self.propose_for_messages(tenant, &numbers, &mut proposals);
        let target = Target::Lanes(lanes.into_iter().map(|of| of.lane).collect());
        Some(Inquiry { outlook: self.message_outlook(now)?, target, proposals })
    }

    /// Other limits of a tenant's messages, of the first of these numbers, and of carriers.
    fn propose_for_messages(&self, tenant: u32, numbers: &[Arc<str>], proposals: &mut Proposals) {
        /// Numbers that are tried at most: each that binds is a forecast of its own.
        const NUMBERS_MAX: usize = 4;
        let queue = &self.messages.queue;
        let engine = queue.engine();
        let own = engine.tenant_gate(tenant, Kind::Message);
        propose_for_gate(engine, own, &self.tenants[tenant].name, proposals);
        for number in numbers.iter().take(NUMBERS_MAX) {
            if let Some(gate) = queue.gate_of(tenant, number) {
                propose_for_gate(engine, gate, number, proposals);
            }
        }
        for (name, id) in queue.carriers() {
            propose_for_carrier(engine, *id, name, proposals);
        }
    }
}
