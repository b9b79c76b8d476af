//! The queues of messages: the engine of the calls, filled with tenants' message limits, lanes by number, and message
//! carriers. This file is all that touches it, so that the rest speaks of messages only.

use std::{collections::BTreeMap, sync::Arc};

use busyhour_base::{Reason, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Messages, State};
use crate::{
    engine::{
        Channel, Engine, Event, Start,
        caps::Window,
        forecast::Position,
        gate::{GateLimits, Scope},
        lanes::{Asked, LaneKey, TenantLimits},
        ledger::Contract,
        wheel::Handle,
        workers::NO_WORKER,
    },
    message::{MessageCarrier, MessageLimits},
    spec::{Kind, Throttle, Urgency},
};

/// A number of a tenant.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Number {
    /// If not, it goes with its tenant.
    declared: bool,
    gate: u32,
    /// By urgency, once a message was sent with it.
    lanes: BTreeMap<u8, u32>,
}

/// The engine of the messages and how its ids are found.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Queue {
    engine: Engine,
    /// By tenant and number.
    numbers: BTreeMap<(u32, Arc<str>), Number>,
    carriers: BTreeMap<Arc<str>, u32>,
    names: BTreeMap<u32, Arc<str>>,
    /// Messages taken in: they are numbered in their order.
    arrived: u64,
}

/// What time brings.
pub(super) enum Brought {
    /// A message's turn has come.
    Start(Turn),
    /// A timer set by [`Queue::set_timer`].
    Timer(u32),
}

/// A message that is to be sent.
pub(super) struct Turn {
    pub message: u32,
    pub channel: u32,
    pub carrier: Arc<str>,
    pub due: u64,
    pub held_by: Reason,
}

impl Queue {
    /// A new tenant; ids follow those of the calls' tenants.
    pub fn add_tenant(&mut self, limits: &MessageLimits, suspended: bool) -> u32 {
        self.engine.add_tenant(tenant_limits(limits, suspended))
    }

    pub fn set_limits(&mut self, tenant: u32, limits: &MessageLimits, suspended: bool) {
        self.engine.set_limits(tenant, tenant_limits(limits, suspended));
    }

    /// Forgets a tenant with its lanes, which are empty.
    pub fn remove_tenant(&mut self, tenant: u32) {
        let Self { engine, numbers, .. } = self;
        numbers.retain(|(owner, _), number| {
            if *owner == tenant {
                number.lanes.values().for_each(|lane| engine.remove_lane(*lane));
                engine.remove_gate(number.gate);
            }
            *owner != tenant
        });
        self.engine.remove_tenant(tenant);
    }

    /// A number's spacing, for all that waits and will wait there.
    pub fn set_number(&mut self, tenant: u32, number: &Arc<str>, throttle: Option<Throttle>) {
        let Self { engine, numbers, .. } = self;
        let number = numbers.entry((tenant, Arc::clone(number))).or_insert_with(|| Number {
            declared: true,
            gate: engine.add_gate(Scope::Number),
            lanes: BTreeMap::new(),
        });
        number.declared = true;
        let spacing = throttle.map_or(0, |throttle| throttle.spacing.0);
        engine.set_gate(number.gate, GateLimits { spacing, ..GateLimits::default() });
    }

    /// Whether a tenant may send from a number.
    pub fn knows(&self, tenant: u32, number: &str) -> bool {
        self.numbers.get(&(tenant, Arc::from(number))).is_some_and(|number| number.declared)
    }

    /// Numbers that are not declared any more: what waits there goes on, and nothing new may come.
    pub fn keep_numbers(&mut self, keep: impl Fn(u32, &str) -> bool) {
        let Self { engine, numbers, .. } = self;
        numbers.retain(|(tenant, name), number| {
            number.declared = keep(*tenant, name);
            if !number.declared && number.lanes.is_empty() {
                engine.remove_gate(number.gate);
                return false;
            }
            true
        });
    }

    pub fn set_carrier(&mut self, carrier: &MessageCarrier) {
        let contract = Contract::both(carrier.outbound, carrier.segment_spacing.0);
        self.contract(&carrier.name, contract);
    }

    /// The carrier takes nothing any more; what it has goes on.
    pub fn close_carrier(&mut self, carrier: &MessageCarrier) {
        let spacing = carrier.segment_spacing.0;
        self.contract(&carrier.name, Contract::both(0, spacing));
    }

    fn contract(&mut self, name: &Arc<str>, contract: Contract) {
        match self.carriers.get(name) {
            Some(id) => {
                if *self.engine.ledger().get(*id).contract() != contract {
                    self.engine.set_carrier(*id, contract);
                }
            }
            None => {
                let id = self.engine.add_carrier(contract);
                self.carriers.insert(Arc::clone(name), id);
                self.names.insert(id, Arc::clone(name));
            }
        }
    }

    /// Forgets a closed carrier that has nothing; whether it did.
    pub fn forget_carrier(&mut self, name: &str) -> bool {
        let Some(id) = self.carriers.get(name).copied() else { return true };
        if self.engine.ledger().get(id).in_use() > 0 {
            return false;
        }
        self.engine.remove_carrier(id);
        self.carriers.remove(name);
        self.names.remove(&id);
        true
    }

    /// Channels of a carrier with a message that it has not answered.
    pub fn in_use(&self, name: &str) -> u32 {
        self.carriers.get(name).map_or(0, |id| self.engine.ledger().get(*id).in_use())
    }

    /// What the lane of a number is of. A number that is not known limits nothing.
    fn key(&self, tenant: u32, number: &str, urgency: Urgency) -> LaneKey {
        let number = self.numbers.get(&(tenant, Arc::from(number)));
        let gate = number.map_or(LaneKey::default().number, |number| number.gate);
        let urgency = urgency as u8;
        LaneKey { kind: Kind::Message, urgency, number: gate, ..LaneKey::default() }
    }

    /// The lane of a number that is known.
    pub fn lane_of(&mut self, tenant: u32, number: &str, urgency: Urgency) -> u32 {
        let key = self.key(tenant, number, urgency);
        let Self { engine, numbers, .. } = self;
        let known = numbers.get_mut(&(tenant, Arc::from(number))).expect("the number is known");
        *known.lanes.entry(urgency as u8).or_insert_with(|| engine.add_lane(tenant, key))
    }

    pub fn push_back(&mut self, lane: u32, message: u32, segments: u16, why: Reason) {
        self.arrived += 1;
        let asked = Asked { number: self.arrived, units: segments };
        self.engine.push_back(lane, message, asked, why);
    }

    pub fn push_front(&mut self, lane: u32, message: u32, segments: u16, why: Reason) {
        let asked = Asked { number: self.arrived, units: segments };
        self.engine.push_front(lane, message, asked, why);
    }

    pub fn unqueue(&mut self, lane: u32, message: u32) {
        self.engine.unqueue(lane, message);
    }

    /// A message that was being sent has its carrier's answer, or was not sent.
    pub fn answered(&mut self, lane: u32, channel: u32, held_us: Option<u64>) {
        self.engine.finished(lane, channel, NO_WORKER, Channel::Free, held_us, true);
    }

    pub fn hold(&mut self, reason: Option<Reason>) {
        if reason.is_some() != self.engine.is_held() {
            self.engine.hold(reason);
        }
    }

    pub fn set_timer(&mut self, at: u64, key: u32) -> Handle {
        self.engine.set_timer(at, key)
    }

    pub fn cancel_timer(&mut self, handle: Handle) {
        self.engine.cancel_timer(handle);
    }

    pub fn next_wake(&self) -> Option<u64> {
        self.engine.next_wake()
    }

    /// What happens next at `now` or before.
    pub fn next(&mut self, now: u64) -> Option<Brought> {
        Some(match self.engine.next(now)? {
            Event::Timer(key) => Brought::Timer(key),
            Event::Start(Start { request, carrier, due, held_by, .. }) => Brought::Start(Turn {
                message: request,
                channel: carrier,
                carrier: Arc::clone(&self.names[&carrier]),
                due,
                held_by,
            }),
        })
    }

    /// The expected start of the next message of a number. Channels do not count: a message holds one only until its carrier
    /// has answered, so that the rate of segments is what makes messages wait.
    pub fn expected_start(
        &self,
        tenant: u32,
        number: &str,
        urgency: Urgency,
        now: u64,
    ) -> Timestamp {
        let known = self.numbers.get(&(tenant, Arc::from(number)));
        let lane = known.and_then(|number| number.lanes.get(&(urgency as u8)));
        let ahead_in_lane = lane.map_or(0, |lane| u64::from(self.engine.lane_len(*lane)));
        let lane = self.key(tenant, number, urgency);
        let position = Position { tenant, lane, ahead_in_lane };
        let mut start = now;
        self.engine.limits(position, |reason, at| {
            if reason != Reason::CarrierChannels {
                start = start.max(at.unwrap_or(0));
            }
        });
        Timestamp(start)
    }

    /// Why nothing is being sent though something could be.
    pub fn resting(&self) -> Option<Reason> {
        self.engine.resting()
    }

    /// Whether the caps of a tenant are used up by what waits and by what was sent.
    pub fn is_over_cap(&self, tenant: u32, waiting: u64, now: u64) -> bool {
        let gate = self.engine.tenant_gate(tenant, Kind::Message);
        self.engine.gate_caps(gate).is_some_and(|caps| {
            let over = |window: &Window| {
                waiting.saturating_add(caps.used(window, now)) >= u64::from(window.count)
            };
            caps.windows().iter().any(over)
        })
    }

    pub fn check(&self) -> Result<(), String> {
        self.engine.check()
    }
}

fn tenant_limits(limits: &MessageLimits, suspended: bool) -> TenantLimits {
    let windows = limits.caps.iter();
    TenantLimits {
        messages: GateLimits {
            spacing: limits.throttle.map_or(0, |throttle| throttle.spacing.0),
            windows: windows.map(|cap| Window { count: cap.count, length: cap.window.0 }).collect(),
            concurrent: None,
        },
        suspended,
        ..TenantLimits::default()
    }
}

impl Messages {
    /// When time alone brings something about.
    pub fn next_wake(&self) -> Option<u64> {
        [self.queue.next_wake(), self.expiries.next_at()].into_iter().flatten().min()
    }
}

impl State {
    /// Nothing new is sent while finished messages pile up in front of the records.
    pub(in crate::state) fn hold_messages_if_behind(&mut self) {
        let behind = self.messages.outbox.len() >= self.options.outbox_max;
        self.messages.queue.hold(behind.then_some(Reason::RecordsBehind));
    }
}
