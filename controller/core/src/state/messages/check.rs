//! What must hold of messages in every state, checked from scratch. For tests and the simulator.

use std::collections::BTreeMap;

use super::{Stage, State};
use crate::message::MessageCounts;

impl State {
    /// # Errors
    /// One sentence about the first contradiction.
    pub(in crate::state) fn check_messages(&self) -> Result<(), String> {
        let messages = &self.messages;
        messages.queue.check()?;
        messages.opt_outs.check()?;
        let mut known = 0;
        for (id, tenant) in messages.tenants.iter() {
            let mut counts = MessageCounts {
                accepted: tenant.counts.accepted,
                ended: tenant.counts.ended,
                ..MessageCounts::default()
            };
            let mut asked = 0;
            for message in tenant.all.iter(&messages.all) {
                known += 1;
                match messages.all[message].stage {
                    Stage::Scheduled | Stage::Queued => counts.waiting += 1,
                    Stage::Sending(_) => counts.sending += 1,
                    Stage::Sent(_) => counts.sent += 1,
                    Stage::Receiving => counts.receiving += 1,
                    Stage::Asked => (counts.receiving, asked) = (counts.receiving + 1, asked + 1),
                    Stage::Ended(_) => {}
                }
            }
            if counts != tenant.counts || asked != tenant.asked {
                return Err(format!("tenant {id} counts {:?}, has {counts:?}", tenant.counts));
            }
            let MessageCounts { accepted, waiting, sending, sent, receiving, ended } = counts;
            if accepted != waiting + sending + sent + receiving + ended {
                return Err(format!("tenant {id} has lost or doubled a message: {counts:?}"));
            }
        }
        self.check_inbound_messages()?;
        let (texts, held) = messages.bodies.counts();
        if known != messages.all.len() || held != known as u64 || texts > known {
            return Err(format!("{known} messages, {} kept, {held} texts", messages.all.len()));
        }
        let sent: u64 = messages.tenants.iter().map(|(_, t)| t.counts.sent).sum();
        if sent != messages.unreported_count as u64 {
            return Err(format!("{sent} unreported, {} counted", messages.unreported_count));
        }
        Ok(())
    }

    /// Those that wait stand in their tenants' queues once, and every one of a carrier has one of its inbound channels.
    fn check_inbound_messages(&self) -> Result<(), String> {
        let messages = &self.messages;
        let mut by_carrier = BTreeMap::<&str, u32>::new();
        for (id, message) in messages.all.iter() {
            if !matches!(message.stage, Stage::Receiving | Stage::Asked) {
                continue;
            }
            let origin = messages.origins.get(&id).ok_or(format!("{id} came from no carrier"))?;
            *by_carrier.entry(&origin.carrier).or_default() += 1;
        }
        for (name, carrier) in &messages.carriers {
            let held = by_carrier.remove(&**name).unwrap_or_default();
            if held != carrier.inbound {
                return Err(format!("{name} has {held} messages in, {} counted", carrier.inbound));
            }
        }
        if let Some((name, held)) = by_carrier.first_key_value() {
            return Err(format!("{held} messages of {name}, which is not known, are in"));
        }
        for (id, tenant) in messages.tenants.iter() {
            let waits = |id: &u32| messages.all[*id].stage == Stage::Receiving;
            let waiting = tenant.counts.receiving - u64::from(tenant.asked);
            if !tenant.receiving.iter().all(waits) || tenant.receiving.len() as u64 != waiting {
                return Err(format!("tenant {id} has {waiting} messages to ask about"));
            }
        }
        Ok(())
    }
}
