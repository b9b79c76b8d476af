//! The queues of messages: the engine of the calls, filled with tenants' message limits, lanes by number, and message
//! carriers. This file is all that touches it, so that the rest speaks of messages only.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Read, Write},
    sync::Arc,
};

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
        policy::Standing,
        ring::NIL,
        wheel::Handle,
        workers::NO_WORKER,
    },
    message::{MessageCarrier, MessageLimits, MessageNumber},
    spec::{Cap, Kind, OrderPolicy, Tenant, Urgency},
};

/// A number of a tenant.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Number {
    /// If not, it goes with its tenant.
    declared: bool,
    gate: u32,
    /// By urgency and by the gate of a batch, or [`NIL`], once a message was sent with it.
    lanes: BTreeMap<(u8, u32), u32>,
    /// Lanes of batches of which nothing starts any more.
    retired: Vec<u32>,
}

impl Number {
    fn new(gate: u32) -> Self {
        Self { declared: true, gate, lanes: BTreeMap::new(), retired: Vec::new() }
    }

    fn has_lanes(&self) -> bool {
        !self.lanes.is_empty() || !self.retired.is_empty()
    }

    fn all_lanes(&self) -> impl Iterator<Item = &u32> {
        self.lanes.values().chain(&self.retired)
    }
}

/// What a lane is of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    pub tenant: u32,
    pub number: &'a str,
    pub urgency: Urgency,
    /// The gate of a batch, or [`NIL`].
    pub batch: u32,
}

/// A lane and what it is of.
#[derive(Clone, Copy, Debug)]
pub(super) struct LaneOf<'a> {
    pub lane: u32,
    pub tenant: u32,
    pub number: &'a Arc<str>,
    /// The gate of its batch, or [`NIL`].
    pub batch: u32,
    /// Segments that wait in it.
    pub segments: u64,
}

/// The engine of the messages and how its ids are found.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Queue {
    engine: Engine,
    /// By tenant and number.
    numbers: BTreeMap<(u32, Arc<str>), Number>,
    carriers: BTreeMap<Arc<str>, u32>,
    names: BTreeMap<u32, Arc<str>>,
    /// Segments that wait, by lane.
    segments: BTreeMap<u32, u64>,
    /// The numbers with lanes of a batch, by its gate.
    batches: BTreeMap<u32, BTreeSet<Arc<str>>>,
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
    pub number: u64,
}

/// Where a message stands, and what it has to pass.
pub(super) struct Outlook {
    pub position: u64,
    /// Each limit, with the instant at which it alone would let the message be sent.
    pub limits: Vec<(Reason, Option<u64>)>,
}

impl Queue {
    pub fn share(&mut self) {
        self.engine.share();
    }

    pub fn write_tables(&self, to: &mut dyn Write) -> io::Result<()> {
        self.engine.write_tables(to)
    }

    pub fn read_tables(&mut self, from: &mut dyn Read) -> io::Result<()> {
        self.engine.read_tables(from)
    }

    /// A new tenant; ids follow those of the calls' tenants.
    pub fn add_tenant(&mut self) -> u32 {
        self.engine.add_tenant(TenantLimits::default())
    }

    /// Other limits of a tenant, and another place in the order. Answers whether a message may have fewer segments than it might.
    pub fn set_limits(&mut self, tenant: u32, limits: &MessageLimits, declared: &Tenant) -> bool {
        let gate = self.engine.tenant_gate(tenant, Kind::Message);
        let before = self.holds(gate);
        self.engine.set_limits(tenant, tenant_limits(limits, declared));
        self.holds(gate) < before
    }

    /// Another order across tenants. `accepted` tells the number under which a waiting message was accepted.
    pub fn set_policy(&mut self, policy: OrderPolicy, accepted: impl Fn(u32) -> u64) {
        self.engine.set_policy(policy, accepted);
    }

    /// The most segments that the caps of a gate ever hold.
    fn holds(&self, gate: u32) -> u32 {
        let windows = self.engine.gate_caps(gate).windows();
        windows.map(|window| window.count).min().unwrap_or(u32::MAX)
    }

    /// The most segments that a message of a number may have: one with more would wait for ever, and what is behind it too.
    pub fn segments_max(&self, tenant: u32, number: &str) -> u32 {
        let number = self.gate_of(tenant, number).map_or(u32::MAX, |gate| self.holds(gate));
        self.holds(self.engine.tenant_gate(tenant, Kind::Message)).min(number)
    }

    /// Forgets a tenant with its lanes, which are empty.
    pub fn remove_tenant(&mut self, tenant: u32) {
        let Self { engine, numbers, segments, .. } = self;
        numbers.retain(|(owner, _), number| {
            if *owner == tenant {
                for lane in number.all_lanes() {
                    engine.remove_lane(*lane);
                    segments.remove(lane);
                }
                engine.remove_gate(number.gate);
            }
            *owner != tenant
        });
        self.engine.remove_tenant(tenant);
    }

    /// A number's spacing and caps, for all that waits and will wait there. Answers as [`Queue::set_limits`].
    pub fn set_number(&mut self, tenant: u32, declared: &MessageNumber) -> bool {
        let Self { engine, numbers, .. } = self;
        let number = numbers.entry((tenant, Arc::clone(&declared.number)));
        let number = number.or_insert_with(|| Number::new(engine.add_gate(Scope::Number)));
        number.declared = true;
        let spacing = declared.throttle.map_or(0, |throttle| throttle.spacing.0);
        let windows = windows(&declared.caps);
        let gate = number.gate;
        let before = self.holds(gate);
        self.engine.set_gate(gate, GateLimits { spacing, windows, concurrent: None });
        self.holds(gate) < before
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
            if !number.declared && !number.has_lanes() {
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

    /// Carriers are tried in this order; those that are named no more come last.
    pub fn order_carriers<'a>(&mut self, names: impl Iterator<Item = &'a Arc<str>>) {
        let mut order: Vec<_> = names.filter_map(|name| self.carriers.get(name).copied()).collect();
        let others = self.carriers.values().filter(|id| !order.contains(id));
        let others: Vec<_> = others.copied().collect();
        order.extend(others);
        self.engine.order_carriers(order);
    }

    /// Forgets a closed carrier that has nothing and would take a segment at once: if it comes back, its rate counts from the
    /// last one on (MT-12). Whether it did.
    pub fn forget_carrier(&mut self, name: &str, now: u64) -> bool {
        let Some(id) = self.carriers.get(name).copied() else { return true };
        let carrier = self.engine.ledger().get(id);
        if carrier.in_use() > 0 || carrier.next_setup() > now {
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
    fn key(&self, of: Place<'_>) -> LaneKey {
        let Place { tenant, number, urgency, batch } = of;
        let number = self.numbers.get(&(tenant, Arc::from(number)));
        let number = number.map_or(NIL, |number| number.gate);
        LaneKey { kind: Kind::Message, urgency: urgency as u8, number, batch, ..LaneKey::default() }
    }

    /// The lane of a number that is known.
    pub fn lane_of(&mut self, of: Place<'_>) -> u32 {
        let key = self.key(of);
        let number = Arc::from(of.number);
        let Self { engine, numbers, batches, .. } = self;
        let known = numbers.get_mut(&(of.tenant, Arc::clone(&number)));
        let lanes = &mut known.expect("the number is known").lanes;
        *lanes.entry((of.urgency as u8, of.batch)).or_insert_with(|| {
            if of.batch != NIL {
                batches.entry(of.batch).or_default().insert(number);
            }
            engine.add_lane(of.tenant, key)
        })
    }

    /// The lanes of a batch with their numbers, but for those of which nothing starts any more.
    pub fn lanes_of_batch(&self, tenant: u32, batch: u32) -> impl Iterator<Item = (u32, &str)> {
        self.batches.get(&batch).into_iter().flatten().flat_map(move |name| {
            let number = self.numbers.get(&(tenant, Arc::clone(name)));
            let lanes = number.into_iter().flat_map(|number| &number.lanes);
            lanes.filter(move |((_, of), _)| *of == batch).map(move |(_, lane)| (*lane, &**name))
        })
    }

    /// The throttles of the numbers that a batch has lanes of; 0 for one without.
    pub fn spacings_of_batch(&self, tenant: u32, batch: u32) -> impl Iterator<Item = u64> {
        let numbers = self.batches.get(&batch).into_iter().flatten();
        let numbers = numbers.filter_map(move |name| self.numbers.get(&(tenant, Arc::clone(name))));
        numbers.map(|number| self.engine.limits_of(number.gate).0.spacing)
    }

    /// Sets the lanes of a batch aside: nothing of them starts any more, and messages that come go into others.
    pub fn retire_batch(&mut self, tenant: u32, batch: u32) -> Vec<u32> {
        let Self { engine, numbers, batches, .. } = self;
        let mut all = Vec::new();
        for name in batches.get(&batch).into_iter().flatten() {
            let Some(number) = numbers.get_mut(&(tenant, Arc::clone(name))) else { continue };
            let lanes = number.lanes.extract_if(.., |(_, of), _| *of == batch);
            let lanes: Vec<_> = lanes.map(|(_, lane)| lane).collect();
            for lane in &lanes {
                engine.retire(*lane);
            }
            number.retired.extend(&lanes);
            all.extend(lanes);
        }
        all
    }

    /// Forgets the gate of a batch with its lanes, which are empty, and numbers that were there for these alone.
    fn remove_batch(&mut self, tenant: u32, batch: u32) {
        let Self { engine, numbers, segments, batches, .. } = self;
        for name in batches.remove(&batch).unwrap_or_default() {
            let Some(number) = numbers.get_mut(&(tenant, Arc::clone(&name))) else { continue };
            let gone = |lane: &u32| engine.gates_of(*lane).any(|gate| gate == batch);
            let retired = number.retired.extract_if(.., |lane| gone(lane));
            let mut lanes: Vec<_> = retired.collect();
            lanes.extend(
                number.lanes.extract_if(.., |(_, of), _| *of == batch).map(|(_, lane)| lane),
            );
            for lane in lanes {
                engine.remove_lane(lane);
                segments.remove(&lane);
            }
            if !number.declared && !number.has_lanes() {
                engine.remove_gate(number.gate);
                numbers.remove(&(tenant, name));
            }
        }
        engine.remove_gate(batch);
    }

    /// Keeps a message whose time has not come with its lane.
    pub fn put_off(&mut self, lane: u32, message: u32) {
        self.engine.put_off(lane, message);
    }

    /// Its time has come, or it has ended.
    pub fn take_up(&mut self, lane: u32, message: u32) {
        self.engine.take_up(lane, message);
    }

    pub fn push_back(&mut self, lane: u32, message: u32, asked: Asked, why: Reason) {
        *self.segments.entry(lane).or_default() += u64::from(asked.units);
        self.engine.push_back(lane, message, asked, why);
    }

    /// `number` is that of its start.
    pub fn put_back(&mut self, lane: u32, message: u32, asked: Asked, why: Reason, number: u64) {
        *self.segments.entry(lane).or_default() += u64::from(asked.units);
        self.engine.put_back(lane, message, asked, why, number);
    }

    pub fn unqueue(&mut self, lane: u32, message: u32) {
        self.left(lane, message);
        self.engine.unqueue(lane, message);
    }

    /// A message waits no longer.
    fn left(&mut self, lane: u32, message: u32) {
        let units = u64::from(self.engine.units_of(message));
        if let Some(segments) = self.segments.get_mut(&lane) {
            *segments -= units;
        }
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
            Event::Start(Start { request, lane, carrier, due, held_by, number, .. }) => {
                self.left(lane, request);
                let name = Arc::clone(&self.names[&carrier]);
                Brought::Start(Turn {
                    message: request,
                    channel: carrier,
                    carrier: name,
                    due,
                    held_by,
                    number,
                })
            }
        })
    }

    /// The expected start of the next message of a number. Channels do not count: a message holds one only until its carrier
    /// has answered, so that the rate of segments is what makes messages wait.
    pub fn expected_start(&self, of: Place<'_>, now: u64) -> Timestamp {
        let known = self.numbers.get(&(of.tenant, Arc::from(of.number)));
        let lane = known.and_then(|number| number.lanes.get(&(of.urgency as u8, of.batch)));
        let ahead_in_lane = lane.map_or(0, |lane| u64::from(self.engine.lane_len(*lane)));
        let segments = lane.and_then(|lane| self.segments.get(lane)).copied();
        let position = Position {
            tenant: of.tenant,
            lane: self.key(of),
            is_queued: false,
            ahead_in_lane,
            units_ahead_in_lane: segments.unwrap_or(0),
            begins: 0,
        };
        let limits = self.outlook(position).limits;
        Timestamp(limits.iter().filter_map(|(_, at)| *at).fold(now, u64::max))
    }

    /// What a message of a lane has to pass; one that is not in the lane yet stands behind all that are.
    pub fn explain(&self, lane: u32, message: u32, of: Place<'_>) -> Outlook {
        let before = self.engine.lane_requests(lane).take_while(|other| *other != message);
        let (mut ahead_in_lane, mut units_ahead_in_lane) = (0, 0);
        for other in before {
            ahead_in_lane += 1;
            units_ahead_in_lane += u64::from(self.engine.units_of(other));
        }
        let is_queued = ahead_in_lane < u64::from(self.engine.lane_len(lane));
        self.outlook(Position {
            tenant: of.tenant,
            lane: self.key(of),
            is_queued,
            ahead_in_lane,
            units_ahead_in_lane,
            begins: 0,
        })
    }

    /// What the last message of a lane has to pass, whose batch opens at an instant; nothing if none waits there.
    pub fn explain_last(
        &self,
        lane: u32,
        of: Place<'_>,
        opens: Option<Timestamp>,
    ) -> Option<Outlook> {
        let ahead_in_lane = u64::from(self.engine.lane_len(lane)).checked_sub(1)?;
        let segments = self.segments.get(&lane).copied().unwrap_or(0);
        let position = Position {
            tenant: of.tenant,
            lane: self.key(of),
            is_queued: true,
            ahead_in_lane,
            // The last one is taken to have as many as they have in the mean.
            units_ahead_in_lane: segments - segments.div_ceil(ahead_in_lane + 1),
            begins: opens.map_or(0, |opens| opens.0),
        };
        Some(self.outlook(position))
    }

    /// The limits but for channels, which a message holds only until its carrier has answered, and for workers, which it
    /// needs none of.
    fn outlook(&self, position: Position) -> Outlook {
        let mut limits = Vec::new();
        self.engine.limits(position, |reason, at| {
            if !matches!(reason, Reason::CarrierChannels | Reason::Workers) {
                limits.push((reason, at));
            }
        });
        Outlook { position: self.engine.ahead(position), limits }
    }

    /// The urgency of a lane's messages, and what holds them.
    pub fn lane_of_message(&self, lane: u32) -> (Urgency, Reason) {
        (self.engine.lane_urgency(lane), self.engine.lane_held_by(lane))
    }

    /// The engine, for whoever runs a copy of it ahead.
    pub const fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The lanes of all tenants, or of one, but for those of which nothing starts any more.
    pub fn lanes(&self, of: Option<u32>) -> impl Iterator<Item = LaneOf<'_>> {
        let from = (of.unwrap_or(0), Arc::from(""));
        let numbers = self.numbers.range(from..);
        let numbers = numbers.take_while(move |((tenant, _), _)| of.is_none_or(|of| *tenant == of));
        numbers.flat_map(move |((tenant, name), number)| {
            number.lanes.iter().map(move |((_, batch), lane)| LaneOf {
                lane: *lane,
                tenant: *tenant,
                number: name,
                batch: *batch,
                segments: self.segments.get(lane).copied().unwrap_or(0),
            })
        })
    }

    /// The gate of a number.
    pub fn gate_of(&self, tenant: u32, number: &str) -> Option<u32> {
        self.numbers.get(&(tenant, Arc::from(number))).map(|number| number.gate)
    }

    /// The carriers by name.
    pub const fn carriers(&self) -> &BTreeMap<Arc<str>, u32> {
        &self.carriers
    }

    /// Why nothing is being sent though something could be.
    pub fn resting(&self) -> Option<Reason> {
        self.engine.resting()
    }

    /// Whether so many segments more are too many for a cap of the tenant or of the number, beside what waits and what was
    /// sent.
    pub fn is_over_cap(&self, tenant: u32, number: &str, segments: u16, now: u64) -> bool {
        let Some(sender) = self.numbers.get(&(tenant, Arc::from(number))) else { return false };
        let waiting = |number: &Number| -> u64 {
            number.lanes.values().filter_map(|lane| self.segments.get(lane)).sum()
        };
        let of_tenant = self.numbers.range((tenant, Arc::from(""))..);
        let of_tenant = of_tenant.take_while(|((owner, _), _)| *owner == tenant);
        let tenant_gate = self.engine.tenant_gate(tenant, Kind::Message);
        let over = |gate, waiting: u64| {
            let caps = self.engine.gate_caps(gate);
            let asked = waiting.saturating_add(u64::from(segments));
            let over = |window: Window| {
                asked.saturating_add(caps.used(&window, now)) > u64::from(window.count)
            };
            caps.windows().any(over)
        };
        over(sender.gate, waiting(sender))
            || over(tenant_gate, of_tenant.map(|(_, number)| waiting(number)).sum())
    }

    pub fn check(&self) -> Result<(), String> {
        self.engine.check()
    }
}

fn windows(caps: &[Cap]) -> Vec<Window> {
    caps.iter().map(|cap| Window { count: cap.count, length: cap.window.0 }).collect()
}

fn tenant_limits(limits: &MessageLimits, declared: &Tenant) -> TenantLimits {
    TenantLimits {
        messages: GateLimits {
            spacing: limits.throttle.map_or(0, |throttle| throttle.spacing.0),
            windows: windows(&limits.caps),
            concurrent: None,
        },
        suspended: declared.suspended,
        standing: Standing { weight: declared.limits.weight, plan: declared.limits.plan },
        ..TenantLimits::default()
    }
}

impl Messages {
    /// The engine, for the gates of batches.
    pub const fn engine_mut(&mut self) -> &mut Engine {
        &mut self.queue.engine
    }

    /// Forgets the gate of a batch, of which nothing is left.
    pub fn remove_batch(&mut self, tenant: u32, gate: u32) {
        self.queue.remove_batch(tenant, gate);
    }

    /// When time alone brings something about, but for what is being ended.
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
