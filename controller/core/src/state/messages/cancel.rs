//! A tenant cancels messages that wait: one, or many at once (MT-5).

use std::sync::Arc;

use busyhour_base::{AccountSid, MessageStatus, Reason};

use super::{Stage, State};
use crate::{
    effect::{Effect, Reply},
    message::{Cancel, MessageId},
};

impl State {
    pub(super) fn cancel_messages(
        &mut self,
        account: AccountSid,
        which: &Cancel,
        fx: &mut Vec<Effect>,
    ) -> Reply {
        let tenant = match self.tenant(account) {
            Ok(tenant) => tenant,
            Err(reason) => return Reply::Refused(reason),
        };
        match which {
            Cancel::One(message) => match self.cancel_message(tenant, *message, fx) {
                Ok(()) => Reply::Canceled(1),
                Err(reason) => Reply::Refused(reason),
            },
            Cancel::Waiting { from, to } => {
                let wanted = |wish: &Option<Arc<str>>, number: &str| {
                    wish.as_ref().is_none_or(|wish| **wish == *number)
                };
                let messages = &self.messages;
                let waiting: Vec<u32> = messages.tenants[tenant]
                    .all
                    .iter(&messages.all)
                    .filter(|id| {
                        matches!(messages.all[*id].stage, Stage::Scheduled | Stage::Queued)
                    })
                    .filter(|id| {
                        let spec = &messages.all[*id].spec;
                        wanted(from, &spec.from) && wanted(to, &spec.to)
                    })
                    .collect();
                for id in &waiting {
                    let reason = Reason::CanceledByTenant;
                    self.end_message(*id, MessageStatus::Canceled, reason, fx);
                }
                Reply::Canceled(waiting.len() as u64)
            }
        }
    }

    fn cancel_message(
        &mut self,
        tenant: u32,
        message: MessageId,
        fx: &mut Vec<Effect>,
    ) -> Result<(), Reason> {
        let id = self.messages.index.get(&message).copied().ok_or(Reason::UnknownMessage)?;
        if self.messages.all[id].tenant != tenant {
            return Err(Reason::UnknownMessage);
        }
        if !matches!(self.messages.all[id].stage, Stage::Scheduled | Stage::Queued) {
            return Err(Reason::WrongState);
        }
        self.end_message(id, MessageStatus::Canceled, Reason::CanceledByTenant, fx);
        Ok(())
    }
}
