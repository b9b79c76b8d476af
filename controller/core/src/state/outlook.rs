//! The copy by which starts are foretold ([`crate::forward`]), and the questions that it is taken for.

use std::sync::Arc;

use busyhour_base::Timestamp;

use super::{
    State,
    batch::Batch,
    calls::{Stage, asked},
    tick::Due,
};
use crate::{
    effect::Phase,
    engine::{Engine, ring::NIL, wheel::NO_TIMER},
    forward::{
        About, CALL_ASSUMED_US, COPY_BYTES_MAX, Closing, Expiring, Holding, InProgress, Inquiry,
        Outlook, Target, Timed, Waits,
    },
    spec::{Kind, Opening, WindowEnd},
    view::BatchStatus,
};

/// Windows of one batch that a copy holds: those of two weeks of working days.
const HOURS_MAX: usize = 10;

impl State {
    /// A copy of what decides when requests start; `None` if that is more than may be copied while entries wait.
    /// It counts from `now`, or from the last entry if that is later.
    pub fn outlook(&self, now: Timestamp) -> Option<Outlook> {
        let now = now.0.max(self.now);
        let beside = self.lanes.bytes() + self.live.bytes() + self.requests.aside_bytes();
        let holding = self.tenants.len() * size_of::<[Holding; 8]>();
        if self.engine.bytes() + beside + holding > COPY_BYTES_MAX {
            return None;
        }
        let busy = self
            .tenants
            .iter()
            .filter(|(_, tenant)| tenant.counts.queued + tenant.counts.in_progress > 0);
        let waits = self.accounts.iter().filter(|(_, id)| self.tenants[**id].counts.queued > 0);
        let of_calls = |batch: &Batch| batch.kind() == Kind::Call && batch.gate != NIL;
        let batches = self.batches.iter().filter(|(_, batch)| of_calls(batch));
        let mut engine = self.engine.clone();
        let (openings, closings) = self.hours(Kind::Call, Timestamp(now), &mut engine);
        Some(Outlook {
            engine,
            now,
            in_progress: self.in_progress(now).collect(),
            timed: self.timed().chain(openings).collect(),
            closings,
            expiring: self.expiring(),
            tenant_of: self.lanes.iter().map(|(lane, owner)| (lane, owner.tenant)).collect(),
            holding: busy.map(|(id, tenant)| (id, tenant.holding.clone())).collect(),
            holding_all: self.holding.clone(),
            holding_assumed_us: CALL_ASSUMED_US,
            accounts: waits.map(|(account, id)| (*account, self.lanes_of(*id))).collect(),
            batches: batches.map(|(id, batch)| (batch.id, self.lanes_of_batch(id))).collect(),
        })
    }

    /// Requests that expire if they have not started by then.
    fn expiring(&self) -> Vec<Expiring> {
        let expiring = self.requests.expiring().filter_map(|(at, request)| {
            let lane = self.requests.lane(request);
            let waits = match self.requests.stage(request) {
                Stage::Queued => Waits::Queued,
                Stage::Scheduled => Waits::PutOff,
                _ => return None,
            };
            let waits = Some(waits).filter(|_| self.lanes[lane].canceled.is_none())?;
            Some(Expiring { at: at.0, request, lane, waits })
        });
        let mut expiring: Vec<_> = expiring.collect();
        expiring.sort_unstable();
        expiring
    }

    /// A question with all that is needed to answer it. `None` if nothing waits there, or if there is no outlook.
    pub fn inquire(&self, about: &About, now: Timestamp) -> Option<Inquiry> {
        let mut proposals = Vec::new();
        let (target, tenant) = match about {
            About::Call(call) => {
                let request = self.requests.find(*call)?;
                let lane = self.requests.lane(request);
                let ahead = self.ahead_in_lane(request)?;
                (Target::Request { request, lane, ahead }, Some(self.lanes[lane].tenant))
            }
            About::Batch(batch) => {
                let batch = *self.batch_index.get(batch)?;
                if self.batches[batch].kind() == Kind::Message {
                    return self.inquire_message_batch(batch, now);
                }
                (Target::Lanes(self.lanes_of_batch(batch)), Some(self.batches[batch].tenant))
            }
            About::Message(message) => return self.inquire_message(*message, now),
            About::Messages(account) => return self.inquire_messages(*account, now),
            About::Tenant(account) => {
                let tenant = *self.accounts.get(account)?;
                (Target::Lanes(self.lanes_of(tenant)), Some(tenant))
            }
            About::Carrier(name) => {
                let carrier = *self.carrier_names.get(name)?;
                let lanes = self.lanes.iter().map(|(lane, _)| lane);
                (
                    Target::Lanes(lanes.filter(|lane| self.may_go_over(*lane, carrier)).collect()),
                    None,
                )
            }
        };
        if let Some(tenant) = tenant {
            self.propose_for_tenant(tenant, &mut proposals);
            self.propose_for_gates(&target, &mut proposals);
            self.propose_for_shares(tenant, &mut proposals);
            self.propose_for_agents(&mut proposals);
        }
        // What waits for none of a carrier's channels starts no sooner with more of them.
        let wanted = |name: &Arc<str>, carrier| match (about, &target) {
            (About::Carrier(only), _) => only == name,
            (_, Target::Request { lane, .. }) => self.may_go_over(*lane, carrier),
            (_, Target::Lanes(lanes)) => {
                let mut waiting = lanes.iter().filter(|lane| self.waits(**lane));
                waiting.any(|lane| self.may_go_over(*lane, carrier))
            }
        };
        self.propose_for_carriers(wanted, &mut proposals);
        Some(Inquiry { outlook: self.outlook(now)?, target, proposals })
    }

    /// Whether a carrier can serve what a lane holds.
    pub(super) fn may_go_over(&self, lane: u32, carrier: u32) -> bool {
        self.engine.ledger().route(self.lanes[lane].key.route).any(|other| other == carrier)
    }

    /// Whether a lane holds a request that has not started.
    fn waits(&self, lane: u32) -> bool {
        self.engine.lane_requests(lane).next().is_some()
    }

    /// How many others of its lane go before a waiting request; `None` if it does not wait.
    fn ahead_in_lane(&self, request: u32) -> Option<u64> {
        match self.requests.stage(request) {
            Stage::Scheduled => Some(0),
            Stage::Queued => {
                let mut queue = self.engine.lane_requests(self.requests.lane(request));
                Some(queue.position(|other| other == request)? as u64)
            }
            _ => None,
        }
    }

    fn in_progress(&self, now: u64) -> impl Iterator<Item = InProgress> {
        self.live.iter().map(move |(_, live)| InProgress {
            lane: self.requests.lane(live.request),
            carrier: live.carrier,
            worker: live.agent,
            elapsed: now.saturating_sub(live.dialled_at),
            leased: live.phase == Phase::Dialling,
        })
    }

    /// The calling hours of batches of a kind in which something waits: openings as timers of the copy's engine, and the ends
    /// in their order.
    pub(super) fn hours(
        &self,
        kind: Kind,
        now: Timestamp,
        engine: &mut Engine,
    ) -> (Vec<(u32, Timed)>, Vec<Closing>) {
        let (mut openings, mut closings) = (Vec::new(), Vec::new());
        let waiting = self.batches.iter().map(|(_, batch)| batch).filter(|batch| {
            let runs = matches!(batch.status, BatchStatus::Scheduled | BatchStatus::Running);
            runs && batch.counts.queued > 0 && batch.kind() == kind
        });
        for batch in waiting {
            let gate = batch.gate;
            // What a batch has not started by its end expires.
            let end = batch.plan.not_after;
            closings.extend(end.map(|end| Closing { at: end.0, gate }));
            let hours = batch.next_hours(now);
            for Opening { from, to } in
                hours.take_while(|span| end.is_none_or(|end| span.from < end))
            {
                if from > now {
                    let key = Due::Window.of(openings.len() as u32);
                    engine.set_timer(from.0, key);
                    openings.push((key, Timed::Opens { gate }));
                }
                closings.push(Closing { at: to.0, gate });
            }
        }
        closings.sort_unstable();
        (openings, closings)
    }

    fn timed(&self) -> impl Iterator<Item = (u32, Timed)> {
        let calls = self.requests.scheduled().map(|(number, request)| {
            let lane = self.requests.lane(request);
            let asked = asked(self.requests.call(request));
            (Due::Call.of(number), Timed::Begins { request, lane, asked })
        });
        let batches = self.beginning(Kind::Call);
        calls.chain(batches.map(|(id, gate)| (Due::Batch.of(id), Timed::Opens { gate })))
    }

    /// Batches of a kind that open by a timer of theirs, with their gates. Those that have calling hours open with them.
    pub(super) fn beginning(&self, kind: Kind) -> impl Iterator<Item = (u32, u32)> {
        let batches = self.batches.iter().filter(move |(_, batch)| {
            let begins = batch.begin != NO_TIMER && batch.plan.openings.is_none();
            begins && batch.kind() == kind
        });
        batches.map(|(id, batch)| (id, batch.gate))
    }
}

impl Batch {
    /// The calling hours that it will go by from now on, as far as they are known: the first of them may have begun.
    fn next_hours(&self, now: Timestamp) -> impl Iterator<Item = Opening> {
        let spans = self.plan.openings.as_ref().map_or(&[][..], |openings| &openings.spans);
        let begins = self.plan.not_before.unwrap_or(now).max(self.opens_at).max(now);
        let first = spans.partition_point(|span| span.to <= begins);
        let most = if self.plan.on_window_end == WindowEnd::Expire { 1 } else { HOURS_MAX };
        let hours = spans[first..].iter().take(most);
        hours.map(move |span| Opening { from: span.from.max(begins), to: span.to })
    }
}
