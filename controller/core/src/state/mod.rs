//! The replicated state machine as a whole. One file for each command; what is decided is in [`crate::engine`].

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use busyhour_base::{AccountSid, Reason, Span, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    command::{Command, Entry},
    effect::{Effect, Reply},
    engine::{Engine, poppers::POPPERS_MAX, slab::Slab, wheel::Wheel},
    forward::Holding,
    spec::{BatchId, CallId, Declaration},
    view::{Attempt, Record},
};

mod again;
mod agent;
mod availability;
mod batch;
mod batch_end;
mod batch_gate;
mod batch_lines;
mod batch_notices;
mod batch_pace;
mod calls;
mod cancel;
mod carriers;
mod check;
mod declare;
mod end;
mod estimate;
mod inbound;
mod messages;
mod meter;
mod outlook;
mod proposals;
mod recorded;
mod remembered;
mod reports;
mod requests;
mod retry;
mod routing;
mod scopes;
mod snapshot;
mod submit;
mod tenants;
mod tick;
mod update;
mod views;

pub use messages::MessageOptions;
pub use snapshot::RestoreError;

use agent::Agent;
use batch::Batch;
use calls::{Lanes, Live};
use carriers::CarrierState;
use inbound::Ringing;
use messages::Messages;
use requests::Requests;
use snapshot::Digest;
use tenants::TenantState;

/// Bounds and times that are the same on every replica and change with the software only.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Options {
    /// How long an agent may be away before its calls end as in doubt.
    pub agent_grace: Span,
    /// How long an agent that turned a call down for being full or draining is left alone.
    pub agent_rest: Span,
    /// Attempts of a call that was not sent; the last one's reason is the call's end.
    pub attempts_max: u16,
    /// Finished calls that may wait for the records before nothing new is started.
    pub outbox_max: usize,
    /// Requests that one entry ends of those that were canceled as a whole; the next entry goes on.
    pub sweep_max: usize,
    /// Calls in one [`crate::command::Submit`].
    pub submit_max: usize,
    /// Batches of a tenant that have not ended.
    pub open_batches_max: usize,
    /// Ended batches of a tenant that are kept for views; the oldest goes first.
    pub ended_batches_max: usize,
    /// Offered calls that may ring at once for want of capacity; a further one is refused.
    pub ringing_max: usize,
    /// Poppers of each route: so many of its requests at most start at one instant.
    pub poppers_max: u32,
    /// Agents known at once. A new one takes the number of one that is away and has no calls.
    pub agents_max: u16,
    /// How long after a batch is started, resumed or run again the first of its lines is due: see [`Options::BATCH_RUN_UP`].
    pub batch_run_up: Span,
}

impl Options {
    /// The run-up of batches where real calls are placed. The first line of a batch is where the grid of all its others begins, and
    /// what starts in the entry that asks for it is late by whatever holds up that entry and a first order to an agent. Behind
    /// a run-up it is decided by a tick, in time and like the rest. Nobody waits for a batch by the tenth of a second; a single
    /// call, for which somebody may, has none.
    pub const BATCH_RUN_UP: Span = Span::from_millis(100);
}

impl Default for Options {
    fn default() -> Self {
        Self {
            agent_grace: Span::from_secs(30),
            agent_rest: Span::from_secs(1),
            attempts_max: 10,
            outbox_max: 100_000,
            sweep_max: 10_000,
            submit_max: 100_000,
            open_batches_max: 1_000,
            ended_batches_max: 1_000,
            ringing_max: 10_000,
            poppers_max: POPPERS_MAX,
            agents_max: 4_096,
            batch_run_up: Span::ZERO,
        }
    }
}

/// The whole replicated state.
///
/// Drive it so: [`State::apply`] each committed entry in order; when the entry is durable, carry out its effects
/// and hand the reply to whoever proposed it; propose [`Command::Tick`] at [`State::next_wake`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct State {
    options: Options,
    message_options: MessageOptions,
    applied: u64,
    now: u64,
    declaration: Arc<Declaration>,
    engine: Engine,
    /// Expiries of requests and ends of batches. They are looked at before the engine is, so that what is over
    /// does not start though it was due a little earlier and the tick came late.
    expiries: Wheel,
    accounts: Arc<BTreeMap<AccountSid, u32>>,
    tenants: Slab<TenantState>,
    carriers: Slab<CarrierState>,
    carrier_names: BTreeMap<Arc<str>, u32>,
    /// The ledger's numbers of the groups of carriers.
    groups: BTreeMap<Arc<str>, u16>,
    agents: Vec<Agent>,
    agent_names: BTreeMap<Arc<str>, u16>,
    fence: u64,
    requests: Requests,
    live: Slab<Live>,
    /// Offered calls that ring, by request.
    ringing: BTreeMap<u32, Ringing>,
    lanes: Lanes,
    /// Lanes whose waiting requests are being ended, a bounded number with each entry.
    sweeps: VecDeque<u32>,
    batches: Slab<Batch>,
    batch_index: BTreeMap<BatchId, u32>,
    /// Attempts that ended, of calls that are placed again.
    earlier: BTreeMap<u32, Vec<Attempt>>,
    /// Batches whose callbacks are owed a notice.
    owing: BTreeSet<BatchId>,
    notices_told: u64,
    notices_given_up: u64,
    outbox: VecDeque<Record>,
    calls_given: u64,
    batches_given: u64,
    records_given: u64,
    stray_reports: u64,
    /// Entries that came with an instant before the last one's.
    clock_backs: u64,
    /// How long calls of all tenants held their channels.
    holding: Holding,
    messages: Messages,
    /// Not part of the state, but of its history.
    #[serde(skip)]
    digest: Digest,
}

impl Default for State {
    fn default() -> Self {
        Self::new()
    }
}

impl State {
    /// Nothing declared, nothing queued.
    pub fn new() -> Self {
        Self::with(Options::default())
    }

    /// Nothing declared, nothing queued, and other bounds than the usual ones.
    pub fn with(options: Options) -> Self {
        let mut engine = Engine::default();
        engine.set_poppers_max(options.poppers_max);
        Self {
            options,
            message_options: MessageOptions::default(),
            applied: 0,
            now: 0,
            declaration: Arc::default(),
            engine,
            expiries: Wheel::default(),
            accounts: Arc::default(),
            tenants: Slab::default(),
            carriers: Slab::default(),
            carrier_names: BTreeMap::new(),
            groups: BTreeMap::new(),
            agents: Vec::new(),
            agent_names: BTreeMap::new(),
            fence: 0,
            requests: Requests::default(),
            live: Slab::default(),
            ringing: BTreeMap::new(),
            lanes: Lanes::default(),
            sweeps: VecDeque::new(),
            batches: Slab::default(),
            batch_index: BTreeMap::new(),
            earlier: BTreeMap::new(),
            owing: BTreeSet::new(),
            notices_told: 0,
            notices_given_up: 0,
            outbox: VecDeque::new(),
            calls_given: 0,
            batches_given: 0,
            records_given: 0,
            stray_reports: 0,
            clock_backs: 0,
            digest: Digest::default(),
            holding: Holding::default(),
            messages: Messages::default(),
        }
    }

    /// The same with other bounds on messages.
    pub fn with_messages(mut self, options: MessageOptions) -> Self {
        self.message_options = options;
        self
    }

    /// Applies one entry: what its instant brings, then its command, then what that made possible.
    ///
    /// Any entry may start calls, not only a tick: a dial is always the effect of an entry, and is sent when
    /// the entry is durable.
    pub fn apply(&mut self, entry: &Entry, effects: &mut Vec<Effect>) -> Reply {
        let before = effects.len();
        self.applied = entry.index;
        self.clock_backs += u64::from(entry.at.0 < self.now);
        self.now = self.now.max(entry.at.0);
        self.messages.engine_mut().takes_out_at(self.now);
        self.advance(effects);
        self.advance_messages(effects);
        let reply = match &entry.command {
            Command::Declare(declaration) => self.declare(declaration, effects),
            Command::Capacity(capacity) => self.capacity(capacity),
            Command::Submit(submit) => self.submit(submit, effects),
            Command::Batch(command) => self.batch_command(command, effects),
            Command::Update(update) => self.update(update, effects),
            Command::Cancel(cancel) => self.cancel(cancel),
            Command::Tick => Reply::Done,
            Command::Agent(command) => self.agent(command, effects),
            Command::Offer(offers) => self.offers(offers, effects),
            Command::Reports(reports) => self.reports(reports, effects),
            Command::Message(command) => self.message_command(command, effects),
            Command::Recorded { through } => self.recorded(*through),
        };
        self.sweep(effects);
        self.sweep_messages(effects);
        self.hold_if_behind();
        self.hold_messages_if_behind();
        self.drain(effects);
        self.drain_messages(effects);
        self.digest.fold(&(entry.index, entry.at, std::mem::discriminant(&entry.command)));
        self.digest.fold(&(&reply, &effects[before..]));
        self.digest.fold(&(self.next_wake(), self.calls_given, self.records_given));
        reply
    }

    /// The instant of the last entry.
    pub const fn now(&self) -> Timestamp {
        Timestamp(self.now)
    }

    /// Position of the last entry in the log.
    pub const fn applied(&self) -> u64 {
        self.applied
    }

    /// When the next [`Command::Tick`] is wanted, if time alone can bring anything about. Never after it does.
    pub fn next_wake(&self) -> Option<Timestamp> {
        let sweeps = !self.sweeps.is_empty() || self.sweeps_messages();
        let sweep = sweeps.then_some(self.now.saturating_add(1));
        let events = [self.engine.next_wake(), self.expiries.next_at(), self.messages.next_wake()];
        let wakes = events.into_iter().chain([sweep]);
        wakes.flatten().min().map(Timestamp)
    }

    /// Nothing new is started while finished calls pile up in front of the records.
    fn hold_if_behind(&mut self) {
        let behind = self.outbox.len() >= self.options.outbox_max;
        if behind != self.engine.is_held() {
            self.engine.hold(behind.then_some(Reason::RecordsBehind));
        }
    }

    fn number_call(&mut self) -> CallId {
        self.calls_given += 1;
        CallId(self.calls_given)
    }
}
