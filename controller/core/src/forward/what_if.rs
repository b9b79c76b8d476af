//! One question in full: when something starts, and what would change it. The latter is the same runs, with the
//! same calls of the same lengths, after one limit was moved.

use std::sync::Arc;

use busyhour_base::{AccountSid, Reason, Span, Timestamp};

use super::{Bounds, Estimate, Outlook, Until};
use crate::{
    engine::{
        Engine,
        gate::GateLimits,
        lanes::TenantLimits,
        ledger::{Contract, shares},
    },
    message::MessageId,
    spec::{BatchId, CallId},
};

/// How many limits are tried at most: those that held it longest.
const TRIED: usize = 3;

/// What is asked about, from outside.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum About {
    /// The start of a waiting call.
    Call(CallId),
    /// The sending of a waiting message.
    Message(MessageId),
    /// The sending of a tenant's last message.
    Messages(AccountSid),
    /// The start of the last call of a batch.
    Batch(BatchId),
    /// The start of the last call of a tenant.
    Tenant(AccountSid),
    /// The start of the last call of those that wait for a carrier, by its name.
    Carrier(Arc<str>),
}

/// What is asked about, as the engine knows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Target {
    /// The start of one request.
    Request {
        request: u32,
        lane: u32,
        /// Others before it in its lane.
        ahead: u64,
    },
    /// The start of the last request of these lanes.
    Lanes(Vec<u32>),
}

/// A limit moved, for the engine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Change {
    Carrier(u32, Contract),
    Tenant(u32, TenantLimits),
    /// Of an application, a number or a batch, or of a tenant's messages.
    Gate(u32, GateLimits),
    /// A tenant's share of a group.
    Share(u32, u16, shares::Terms),
    /// So many more slots at each agent that takes calls.
    Slots(u32),
}

/// A quantity of a limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Amount {
    /// Channels, slots, calls at once, requests in a window.
    Count(u32),
    /// From one request to the next.
    Spacing(Span),
}

/// A limit that could be moved.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Proposal {
    /// Which limit.
    pub limit: Reason,
    /// Whose: the name of a carrier, a tenant or a batch; empty for all agents.
    pub of: Arc<str>,
    /// As it is.
    pub from: Amount,
    /// As it could be.
    pub to: Amount,
}

/// A question, with all that is needed to answer it away from the state.
#[derive(Clone, Debug)]
pub struct Inquiry {
    pub(crate) outlook: Outlook,
    pub(crate) target: Target,
    pub(crate) proposals: Vec<(Proposal, Change)>,
}

/// The answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    /// When it starts as things are.
    pub estimate: Estimate,
    /// When it would start after each change.
    pub changes: Vec<(Proposal, Estimate)>,
}

impl Inquiry {
    /// The instant of its copy.
    pub const fn at(&self) -> Timestamp {
        self.outlook.at()
    }

    /// The same question without asking what would change the answer.
    #[must_use]
    pub fn alone(mut self) -> Self {
        self.proposals.clear();
        self
    }

    /// Runs ahead. `None` if the time was up before the first run was over, or if it would never start.
    pub fn answer(&self, seed: u64, bounds: &mut Bounds<'_>) -> Option<Answer> {
        let estimate = self.estimate(&self.outlook.engine, seed, bounds)?;
        let mut changes = Vec::new();
        for (reason, _) in estimate.held_by.iter().take(TRIED) {
            let tried = self.proposals.iter().filter(|(p, _)| may_help(p.limit, *reason));
            for (proposal, change) in tried {
                let mut engine = self.outlook.engine.clone();
                change.make(&mut engine);
                if let Some(estimate) = self.estimate(&engine, seed, bounds) {
                    changes.push((proposal.clone(), estimate));
                }
            }
        }
        Some(Answer { estimate, changes })
    }

    fn estimate(&self, engine: &Engine, seed: u64, bounds: &mut Bounds<'_>) -> Option<Estimate> {
        let until = match &self.target {
            Target::Request { request, .. } => Until::Started(*request),
            Target::Lanes(_) => Until::Drained,
        };
        let forecast = self.outlook.forecast_of(engine, seed, until, bounds)?;
        match &self.target {
            Target::Request { request, lane, ahead } => forecast.start(*request, *lane, *ahead),
            Target::Lanes(lanes) => forecast.lanes(lanes),
        }
    }
}

/// Whether a limit is to be moved if this binds: a channel that is kept or held is one too few as well.
fn may_help(limit: Reason, binding: Reason) -> bool {
    let needs_channels = matches!(binding, Reason::ChannelsKept | Reason::ChannelsReserved);
    limit == binding || needs_channels && limit == Reason::CarrierChannels
}

impl Change {
    fn make(&self, engine: &mut Engine) {
        match self {
            Self::Carrier(id, contract) => engine.set_carrier(*id, *contract),
            Self::Tenant(id, limits) => engine.set_limits(*id, limits.clone()),
            Self::Gate(id, limits) => engine.set_gate(*id, limits.clone()),
            Self::Share(tenant, group, terms) => engine.set_share(*tenant, *group, *terms),
            Self::Slots(more) => {
                for id in 0..engine.workers().iter().count() {
                    engine.change_worker(id as u16, |worker| worker.slots += *more);
                }
            }
        }
    }
}
