//! `Update`: a tenant cancels, completes or redirects one call (`WIRE.md`, calls).

use busyhour_base::Reason;

use super::{
    State,
    calls::{LaneOwner, Stage},
};
use crate::{
    command::{Change, Update},
    effect::{Effect, Phase, Reply},
    spec::AgentIx,
};

impl State {
    pub(super) fn update(&mut self, update: &Update, fx: &mut Vec<Effect>) -> Reply {
        match self.change(update, fx) {
            Ok(()) => Reply::Done,
            Err(reason) => Reply::Refused(reason),
        }
    }

    fn change(&mut self, update: &Update, fx: &mut Vec<Effect>) -> Result<(), Reason> {
        let tenant = self.tenant(update.account)?;
        let id = self.requests.find(update.call).ok_or(Reason::UnknownCall)?;
        let LaneOwner { tenant: owner, .. } = self.lanes[self.requests.lane(id)];
        if owner != tenant {
            return Err(Reason::UnknownCall);
        }
        match (self.requests.stage(id), &update.change) {
            (Stage::Ended(_), _) => Err(Reason::WrongState),
            (Stage::Scheduled | Stage::Queued | Stage::Offered, Change::Redirect(_)) => {
                Err(Reason::WrongState)
            }
            (
                Stage::Scheduled | Stage::Queued | Stage::Offered,
                Change::Cancel | Change::Complete,
            ) => {
                self.end_unsent(id, Reason::CanceledByTenant, fx);
                Ok(())
            }
            (Stage::Live(live), change) => self.change_live(live, change, fx),
        }
    }

    fn change_live(
        &mut self,
        live: u32,
        change: &Change,
        fx: &mut Vec<Effect>,
    ) -> Result<(), Reason> {
        let call = &self.live[live];
        let answered = call.phase == Phase::InProgress;
        match change {
            Change::Cancel if answered => Err(Reason::WrongState),
            Change::Redirect(_) if !answered || call.hang_up.is_some() => Err(Reason::WrongState),
            Change::Cancel | Change::Complete => {
                self.hang_up(live, Reason::CanceledByTenant, fx);
                Ok(())
            }
            Change::Redirect(instructions) => {
                fx.push(Effect::Redirect {
                    agent: AgentIx(call.agent),
                    call: self.requests.call(call.request),
                    attempt: self.requests.attempt(call.request),
                    instructions: instructions.clone(),
                });
                Ok(())
            }
        }
    }
}
