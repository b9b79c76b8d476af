//! Inbound calls: asked of the ledger before they are answered, before anything else, and ringing for a bounded time (MT-6, MT-9).

use std::collections::BTreeSet;

use busyhour_base::{CallEvent, Reason};
use busyhour_controller_core::{
    command::{CallReport, Offer},
    effect::{Effect, Reply},
    spec::CallId,
};

use super::{Instant, Model, Start, carrier::Way, why::Held};

#[derive(Clone, Debug)]
pub struct Caller {
    pub account: u128,
    carrier: usize,
    agent: usize,
    /// It rings no longer than this.
    pub until: Instant,
    pub answered: bool,
    /// By the entry of this instant.
    made: Instant,
    /// Its agent has said that it answers.
    sent: bool,
    held: Held,
    /// It came with the entry in hand.
    new: bool,
}

impl Model {
    pub(super) fn offers(&mut self, offers: &[Offer], reply: &Reply) -> Result<(), String> {
        let Reply::Offered(verdicts) = reply else {
            return Err(format!("answered an offer with {reply:?}"));
        };
        for (offer, verdict) in offers.iter().zip(verdicts) {
            let (account, now) = (offer.account.0, self.now);
            let suspended = self.tenants[&account].declared.suspended;
            let there = self.capacity.has(&offer.carrier);
            match verdict {
                Ok(_) if suspended || !there => return Err(format!("took {offer:?} in")),
                Ok(call) => {
                    let caller = Caller {
                        account,
                        carrier: self.capacity.named(&offer.carrier),
                        agent: usize::from(offer.agent.0),
                        until: now + offer.spec.ring_timeout.0,
                        answered: false,
                        made: 0,
                        sent: false,
                        held: Held::new(Reason::Ready, now),
                        new: true,
                    };
                    self.callers.insert(*call, caller);
                }
                Err(Reason::Suspended) if suspended => {}
                Err(Reason::UnknownCarrier) if !there => {}
                Err(reason) => return Err(format!("refused {offer:?}: {reason:?}")),
            }
        }
        Ok(())
    }

    /// What keeps a caller from being answered now.
    fn keeps_ringing(&self, caller: &Caller) -> BTreeSet<Reason> {
        let agent = &self.agents[caller.agent];
        let full = (agent.calls >= agent.slots).then_some(Reason::Workers);
        let kept = self.capacity.keeps_out(caller.carrier, caller.account);
        full.into_iter().chain(kept).collect()
    }

    /// Every caller for whom there is room is answered, in the order in which they came.
    pub(super) fn answer_callers(&mut self, starts: &mut Vec<Start>) -> Result<(), String> {
        loop {
            self.listen();
            let mut ringing = self.callers.iter().filter(|(_, caller)| !caller.answered);
            let first = ringing.find(|(_, caller)| self.keeps_ringing(caller).is_empty());
            let Some((call, caller)) = first.map(|(call, caller)| (*call, caller.clone())) else {
                return Ok(());
            };
            let Some(Start::Answer(answer)) = starts.last().copied() else {
                return Err(format!("did not answer {call:?} at {}", self.now));
            };
            if call != answer.call {
                return Err(format!("answered {:?} before {call:?} who came first", answer.call));
            }
            if *self.capacity.line(caller.carrier).declared.name != *answer.carrier {
                return Err(format!("answered {call:?} over {}", answer.carrier));
            }
            let words = caller.held.words(self.now);
            if !words.contains(&answer.held_by) {
                return Err(format!(
                    "said {:?} of {call:?}, which waited for {words:?}",
                    answer.held_by
                ));
            }
            starts.pop();
            self.agents[caller.agent].calls += 1;
            self.capacity.line_mut(caller.carrier).answer(caller.account);
            let made = self.entry;
            let caller = self.callers.get_mut(&call).expect("it rings");
            (caller.answered, caller.made) = (true, made);
            self.decisions += 1;
        }
    }

    /// Notes what those wait for who ring on. From whom a channel was kept it is still kept when it has been taken by whom it
    /// was kept for.
    fn listen(&mut self) {
        let now = self.now;
        let ringing = self.callers.iter().filter(|(_, caller)| !caller.answered);
        let reasons = ringing.map(|(call, caller)| {
            let mut reasons = self.keeps_ringing(caller);
            if !reasons.is_empty() && caller.held.words(now).contains(&Reason::ChannelsKept) {
                reasons.insert(Reason::ChannelsKept);
            }
            (*call, reasons)
        });
        for (call, reasons) in reasons.collect::<Vec<_>>() {
            self.callers.get_mut(&call).expect("it rings").held.looked(now, &reasons);
        }
    }

    /// Whoever came with this entry and was not answered is told to ring, and what for.
    pub(super) fn compare_rings(&mut self, effects: &[Effect]) -> Result<(), String> {
        let told = effects.iter().filter_map(|effect| match effect {
            Effect::Ring(rings) => Some((rings.call, rings.waits_for)),
            _ => None,
        });
        let told: Vec<_> = told.collect();
        let new: Vec<_> = self.callers.iter().filter(|(_, caller)| caller.new).collect();
        let ring = new.iter().filter(|(_, caller)| !caller.answered).map(|(call, _)| **call);
        if !told.iter().map(|(call, _)| *call).eq(ring) {
            return Err(format!("let {told:?} ring of {new:?}"));
        }
        for (call, reason) in told {
            let caller = &self.callers[&call];
            if !self.keeps_ringing(caller).contains(&reason) {
                return Err(format!("said that {call:?} waits for {reason:?}: {caller:?}"));
            }
        }
        self.callers.values_mut().for_each(|caller| caller.new = false);
        Ok(())
    }

    /// Nobody rings for ever.
    pub(super) fn ring_out(&mut self, now: Instant) {
        let over = |caller: &Caller| !caller.answered && caller.until <= now;
        self.end_callers(over);
    }

    /// Who rings over a carrier that is not declared any more is refused.
    pub(super) fn end_offers_of_removed(&mut self) {
        let there: Vec<bool> =
            (0..self.capacity.len()).map(|at| self.capacity.line(at).there).collect();
        self.end_callers(|caller| !caller.answered && !there[caller.carrier]);
    }

    fn end_callers(&mut self, over: impl Fn(&Caller) -> bool) {
        let over = self.callers.iter().filter(|(_, caller)| over(caller));
        for call in over.map(|(call, _)| *call).collect::<Vec<_>>() {
            self.callers.remove(&call);
            self.ended.insert(call);
        }
    }

    pub(super) fn ringing_of(&self, account: u128) -> usize {
        let ringing = self.callers.values().filter(|caller| !caller.answered);
        ringing.filter(|caller| caller.account == account).count()
    }

    /// Whether it is a caller's call that a report speaks of.
    pub(super) fn report_of_caller(&mut self, report: &CallReport) -> bool {
        let Some(caller) = self.callers.get(&report.call).cloned() else { return false };
        let confirmed = match &report.event {
            CallEvent::Ended(ending) => ending.confirmed,
            CallEvent::NotSent(_) if caller.answered && !caller.sent => true,
            CallEvent::NotSent(_) => return true,
            _ => {
                let caller = self.callers.get_mut(&report.call).expect("it is known");
                caller.sent |= caller.answered;
                return true;
            }
        };
        self.callers.remove(&report.call);
        self.ended.insert(report.call);
        if caller.answered {
            let now = self.now;
            self.leave(caller.agent);
            let line = self.capacity.line_mut(caller.carrier);
            line.give_back(caller.account, Way::Inbound, confirmed, now);
            self.turns.used(caller.account, now - caller.made, now);
        }
        true
    }

    /// Callers who hear ringing, with where, for a history to let them give up.
    pub fn ringing(&self) -> Vec<(CallId, usize)> {
        let ringing = self.callers.iter().filter(|(_, caller)| !caller.answered);
        ringing.map(|(call, caller)| (*call, caller.agent)).collect()
    }
}
