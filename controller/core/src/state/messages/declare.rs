//! What is declared about messages: limits, numbers and carriers. What has not changed is left alone; queues keep their places.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use busyhour_base::{MessageStatus, Reason};

use super::{CarrierState, Message, MessageTenant, Messages, Stage, State};
use crate::{
    effect::Effect,
    message::{MessageDeclaration, MessageLimits},
    spec::Declaration,
};

impl State {
    /// Called when the tenants are declared and none has been dropped yet.
    pub(in crate::state) fn declare_messages(&mut self, new: &Declaration, fx: &mut Vec<Effect>) {
        let declared = &new.messages;
        let limits: BTreeMap<_, _> =
            declared.tenants.iter().map(|(account, limits)| (*account, limits)).collect();
        let mut narrowed = BTreeSet::new();
        for tenant in &new.tenants {
            let id = self.accounts[&tenant.account];
            let default = MessageLimits::default();
            let limits = limits.get(&tenant.account).copied().unwrap_or(&default);
            self.messages.tenants[id].limits = limits.clone();
            if self.messages.queue.set_limits(id, limits, tenant) {
                narrowed.insert(id);
            }
        }
        let Messages { queue, all, .. } = &mut self.messages;
        queue.set_policy(declared.order, |message| all[message].message.0);
        self.declare_numbers(declared, &mut narrowed);
        for tenant in narrowed {
            self.end_oversized_messages(tenant, fx);
        }
        self.declare_message_carriers(declared);
    }

    /// A tenant that is new to the calls is new to the messages, under the same id.
    pub(in crate::state) fn add_message_tenant(&mut self, id: u32) {
        let queued = self.messages.queue.add_tenant();
        let kept = self.messages.tenants.insert(MessageTenant::default());
        assert!(id == queued && id == kept, "calls and messages number their tenants alike");
    }

    /// Whether a tenant has no message left.
    pub(in crate::state) fn has_no_message(&self, id: u32) -> bool {
        self.messages.tenants[id].all.is_empty()
    }

    pub(in crate::state) fn remove_message_tenant(&mut self, id: u32) {
        self.messages.turns.retain(|tenant| *tenant != id);
        self.messages.queue.remove_tenant(id);
        self.messages.tenants.remove(id);
    }

    /// A suspended tenant is not declared any more: what waits ends now.
    pub(in crate::state) fn end_waiting_messages(&mut self, id: u32, fx: &mut Vec<Effect>) {
        let messages = &self.messages;
        let waits = |id: &u32| matches!(messages.all[*id].stage, Stage::Scheduled | Stage::Queued);
        let waiting: Vec<u32> =
            messages.tenants[id].all.iter(&messages.all).filter(waits).collect();
        for id in waiting {
            self.end_message(id, MessageStatus::Failed, Reason::Suspended, fx);
        }
    }

    /// What waits and has more segments than its caps hold by now could never be sent, and nothing behind it.
    fn end_oversized_messages(&mut self, tenant: u32, fx: &mut Vec<Effect>) {
        let messages = &self.messages;
        let waits = |id: &u32| matches!(messages.all[*id].stage, Stage::Scheduled | Stage::Queued);
        let waiting = messages.tenants[tenant].all.iter(&messages.all).filter(waits);
        let oversized: Vec<u32> = waiting.filter(|id| self.is_oversized(*id)).collect();
        for id in oversized {
            self.end_message(id, MessageStatus::Failed, Reason::SegmentsOverCap, fx);
        }
    }

    /// Whether a message has more segments than its tenant's or its number's caps ever hold.
    pub(super) fn is_oversized(&self, id: u32) -> bool {
        let Message { tenant, spec, body, .. } = &self.messages.all[id];
        let segments = self.messages.bodies.segments(*body).count;
        u32::from(segments) > self.messages.queue.segments_max(*tenant, &spec.from)
    }

    /// Notes in `narrowed` the tenants whose messages may have fewer segments than they might.
    fn declare_numbers(&mut self, declared: &MessageDeclaration, narrowed: &mut BTreeSet<u32>) {
        let mut kept = BTreeSet::new();
        for number in &declared.numbers {
            let Some(tenant) = self.accounts.get(&number.account).copied() else { continue };
            if self.messages.queue.set_number(tenant, number) {
                narrowed.insert(tenant);
            }
            kept.insert((tenant, Arc::clone(&number.number)));
        }
        let is_kept = |tenant, number: &str| kept.contains(&(tenant, Arc::from(number)));
        self.messages.queue.keep_numbers(is_kept);
    }

    fn declare_message_carriers(&mut self, declared: &MessageDeclaration) {
        // What comes back now begins anew if its old contract would allow a message: so it does not matter when it was forgotten.
        self.forget_message_carriers();
        for carrier in self.messages.carriers.values_mut() {
            carrier.declared = false;
        }
        for carrier in &declared.carriers {
            self.messages.queue.set_carrier(carrier);
            let present = self.messages.carriers.entry(Arc::clone(&carrier.name));
            let present = present.or_insert_with(|| CarrierState {
                contract: carrier.clone(),
                declared: true,
                inbound: 0,
            });
            (present.contract, present.declared) = (carrier.clone(), true);
        }
        for carrier in self.messages.carriers.values().filter(|carrier| !carrier.declared) {
            self.messages.queue.close_carrier(&carrier.contract);
        }
        let names = declared.carriers.iter().map(|carrier| &carrier.name);
        self.messages.queue.order_carriers(names);
        self.forget_message_carriers();
    }

    /// Carriers that are not declared any more go when they have no message any more and their rate would allow one.
    pub(super) fn forget_message_carriers(&mut self) {
        let now = self.now;
        let Messages { carriers, queue, .. } = &mut self.messages;
        carriers.retain(|name, carrier| {
            carrier.declared || !queue.forget_carrier(name, now) || carrier.inbound > 0
        });
    }
}
