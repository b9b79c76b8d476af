//! What the parts of a running agent share.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use busyhour_agent_core::{
    leg::{Order, undialled_callback},
    webhook::sign::Key,
};
use busyhour_base::{AccountSid, CallSid, CallSpec, Outcome};
use busyhour_protocol::v1;
use ipnet::IpNet;

use crate::{
    call::{Calls, Offers},
    clock::Clock,
    http::{AudioCache, Callbacks, Guard, Http},
    journal::Journal,
    link::{Asks, Reports, Tells},
    media::Media,
    options::Options,
    pacer::Pacer,
    sip::SipStack,
    speech::Speech,
};

/// One agent.
pub struct Node {
    pub options: Options,
    pub incarnation: u64,
    pub clock: Clock,
    pub pacer: Pacer,
    pub journal: Journal,
    pub reports: Reports,
    pub calls: Calls,
    pub offers: Offers,
    pub sip: Arc<dyn SipStack>,
    pub media: Media,
    pub speech: Arc<Speech>,
    pub guard: Guard,
    pub http: Http,
    pub audio: AudioCache,
    pub callbacks: Callbacks,
    pub tells: Tells,
    pub asks: Asks,
    pub draining: AtomicBool,
}

impl Node {
    /// The first message of a connection.
    pub fn hello(&self) -> v1::Hello {
        let known = self.journal.known();
        let known = known.into_iter().map(|(call, attempt)| v1::JournalEntry {
            call,
            attempt: attempt.into(),
            live: self.calls.answers_for(call, attempt),
        });
        v1::Hello {
            name: self.options.name.clone(),
            incarnation: self.incarnation,
            slots: self.options.slots,
            fence: self.journal.fence(),
            known: known.collect(),
            token: self.options.cluster_token.clone(),
        }
    }

    /// Calls in progress, and whether no more are taken.
    pub fn load(&self) -> (u32, bool) {
        (self.calls.in_use(), self.draining.load(Ordering::Acquire))
    }

    /// Settled calls may leave the journal. Those that are still at work here stay until they are over.
    pub fn forget(&self, settled: &[v1::JournalEntry]) {
        for entry in settled {
            let Ok(attempt) = u16::try_from(entry.attempt) else {
                continue;
            };
            self.calls.settled(entry.call, attempt);
            if !self.calls.is_running(entry.call, attempt) {
                self.journal.forget(entry.call, attempt);
            }
        }
    }

    /// Takes the operator's list of networks that webhooks may reach; an unreadable entry allows nothing.
    pub fn allow_networks(&self, networks: &[String]) {
        let mut allowed = self.options.allowed_networks.clone();
        for network in networks {
            match network.parse::<IpNet>() {
                Ok(network) => allowed.push(network),
                Err(error) => tracing::error!(%network, %error, "allowed network refused"),
            }
        }
        self.guard.allow(allowed);
    }

    /// Tells a tenant of the end of a call that no agent ever held.
    pub fn tell_outcome(
        &self,
        call_sid: CallSid,
        account_sid: AccountSid,
        spec: &CallSpec,
        outcome: Outcome,
        key: Key,
    ) {
        let order = Order { call_sid, account_sid, spec: spec.clone() };
        if let Some(request) = undialled_callback(self.clock.now(), &order, outcome) {
            self.callbacks.send(call_sid.into(), request, key);
        }
    }
}
