//! What a history does with calls and batches of them.

use std::sync::Arc;

use busyhour_base::{CallEvent, CallSpec, Direction, MessageStatus, Outcome, Span, Timestamp};
use busyhour_controller_core::{
    command::{BatchCommand, CallReport, Cancel, Change, Command, Offer, Submit, Update, Waiting},
    effect::{Effect, Reply},
    spec::{
        Again, AgainLine, AgainMessage, AgentIx, BatchPlan, CallId, NewCall, Opening, Openings,
        Retry, RetryOn, WindowEnd,
    },
};

use super::{Both, pick};
use crate::{
    model::declared::{application, number, throttle},
    support::{account, call, ended},
};

impl Both {
    pub(super) fn calls(
        &self,
        tenant: u128,
        count: usize,
        of: u8,
        begins: u16,
        lasts: u16,
    ) -> Vec<NewCall> {
        let now = self.machine.now;
        let mut new = call(["+1555", "+4420", "+8170"][usize::from(of) % 3]);
        if matches!(of / 3 % 3, 1 | 2) {
            let spec = CallSpec { from: number(tenant).to_string(), ..(*new.spec).clone() };
            new.spec = Arc::new(spec);
        }
        new.application = matches!(of / 9 % 3, 1 | 2).then(|| application(tenant));
        new.not_before = (begins > 20).then(|| now + Span(u64::from(begins - 20) * 1_000_003));
        new.expires = (lasts > 40).then(|| now + Span(u64::from(lasts - 40) * 1_000_033));
        vec![new; count]
    }

    pub(super) fn submit(&mut self, tenant: u128, calls: Vec<NewCall>) {
        let account = account(tenant);
        self.apply(Command::Submit(Submit { account, idempotency: None, batch: None, calls }));
    }

    pub(super) fn batch(&mut self, tenant: u128, count: usize, plan: BatchPlan, start: bool) {
        let account = account(tenant);
        let create = BatchCommand::Create { account, idempotency: None, plan: Box::new(plan) };
        let Reply::Batch(batch) = self.apply(Command::Batch(create)) else { return };
        self.batches.push((batch, tenant));
        let calls = self.calls(tenant, count, 0, 0, 0);
        let batch_of = Some(batch);
        self.apply(Command::Submit(Submit { account, idempotency: None, batch: batch_of, calls }));
        if start {
            self.apply(Command::Batch(BatchCommand::Start { account, batch }));
        }
    }

    pub(super) fn plan(&self, pace: [u8; 4], begins: u16, lasts: u16) -> BatchPlan {
        let now = self.machine.now;
        let [spacing, most, hours, retry] = pace;
        let spans = (1u64..4).map(|nth| Opening {
            from: now + Span(nth * 7_000_061),
            to: now + Span(nth * 7_000_061 + 3_000_019),
        });
        let openings = Openings { spans: spans.collect(), through: now + Span::from_secs(3_600) };
        let retry_plan = Retry {
            on: RetryOn {
                busy: true,
                no_answer: false,
                failed: retry / 8 % 2 == 1,
                undelivered: retry / 16 % 2 == 1,
            },
            attempts_max: u16::from(retry % 4) + 1,
            delays: vec![Span(u64::from(retry / 4 % 2) * 1_500_007), Span(2_500_013)],
        };
        BatchPlan {
            throttle: throttle(spacing, 11),
            max_concurrent: (most % 4 > 0).then_some(u32::from(most % 4)),
            not_before: (begins > 20).then(|| now + Span(u64::from(begins - 20) * 1_000_037)),
            not_after: (lasts > 40).then(|| now + Span(u64::from(lasts - 40) * 1_000_039)),
            openings: (hours % 4 == 3).then_some(openings),
            retry: (retry > 100).then_some(retry_plan),
            on_window_end: if hours > 200 && begins <= 20 {
                WindowEnd::Expire
            } else {
                WindowEnd::Pause
            },
            ..BatchPlan::default()
        }
    }

    pub(super) fn steer(&mut self, which: usize, how: u8) {
        let Some(batch) = pick(&self.model.open_batches(), which) else { return };
        let Some(view) = self.machine.state.batch(batch) else { return };
        let account = view.account;
        self.apply(Command::Batch(match how {
            0..2 => BatchCommand::Start { account, batch },
            2 => BatchCommand::Pause { account, batch },
            3 | 4 => BatchCommand::Resume { account, batch },
            5 | 6 => BatchCommand::Pace {
                account,
                batch,
                throttle: throttle((which % 5) as u8, 13),
                max_concurrent: Some(which as u32 % 3 + 1),
            },
            _ => BatchCommand::Cancel { account, batch, hang_up: false },
        }));
    }

    /// A tenant retries what failed of a batch: all of it, of one end only, but for what failed first, or the last of it.
    pub(super) fn again(&mut self, which: usize, how: u8) {
        let Some((batch, tenant)) = pick(&self.batches, which) else { return };
        let of_it = self.records.iter().filter(|record| record.batch == Some(batch));
        let lines: Vec<_> = of_it.cloned().filter_map(AgainLine::of).collect();
        let of_it = self.message_records.iter().filter(|record| record.batch == Some(batch));
        let messages: Vec<_> = of_it.cloned().filter_map(AgainMessage::of).collect();
        let skip = if how == 1 { 1 } else { (lines.len() + messages.len()).saturating_sub(3) };
        let of_end = |bad: bool| how != 0 || bad;
        let lines =
            lines.into_iter().skip(skip).filter(|line| of_end(line.outcome == Outcome::Busy));
        let messages = messages.into_iter().skip(skip);
        let messages = messages.filter(|line| of_end(line.status == MessageStatus::Failed));
        let (account, lines, messages) = (account(tenant), lines.collect(), messages.collect());
        let again = Again { account, batch, lines, messages };
        self.apply(Command::Batch(BatchCommand::Again(Box::new(again))));
    }

    pub(super) fn cancel(&mut self, which: usize, how: u8) {
        let Some((call, tenant)) = pick(&self.model.waiting(), which) else { return };
        let account = account(tenant);
        let which = match how {
            0 => Waiting::default(),
            1 => Waiting { application: Some(application(tenant)), ..Waiting::default() },
            2 => Waiting { from: Some(number(tenant)), ..Waiting::default() },
            _ => {
                let change = Change::Cancel;
                self.apply(Command::Update(Update { account, call, change }));
                return;
            }
        };
        self.apply(Command::Cancel(Cancel { account, which }));
    }

    pub(super) fn offer(&mut self, tenant: u128, carrier: u8, agent: u8, rings: u16) {
        self.offers += 1;
        let spec = CallSpec {
            direction: Direction::Inbound,
            ring_timeout: Span(u64::from(rings) * 1_000_019),
            ..(*call("+1555").spec).clone()
        };
        self.apply(Command::Offer(vec![Offer {
            agent: AgentIx(u16::from(agent)),
            incarnation: 1,
            offer: self.offers,
            carrier: ["first", "second", "third"][usize::from(carrier)].into(),
            account: account(tenant),
            spec: Arc::new(spec),
        }]));
    }

    pub(super) fn give_up(&mut self, which: usize) {
        let Some((call, agent)) = pick(&self.model.ringing(), which) else { return };
        self.report(call, agent as u16, 1, ended(Outcome::Canceled, true), Span::ZERO);
    }

    pub(super) fn report(
        &mut self,
        call: CallId,
        agent: u16,
        attempt: u16,
        event: CallEvent,
        ago: Span,
    ) {
        let heard_at = Timestamp(self.machine.now.0 - ago.0);
        let agent = AgentIx(agent);
        let report = CallReport { agent, call, attempt, heard_at, event };
        self.apply(Command::Reports(vec![report]));
    }

    /// What an agent says of a call that is up.
    pub(super) fn says(&mut self, which: usize, event: CallEvent, ago: Span) {
        let Some(call) = pick(&self.model.up(), which) else { return };
        let answer = self.machine.effects.iter().find_map(|effect| match effect {
            Effect::Answer(answer) if answer.call == call => Some((answer.agent, answer.attempt)),
            _ => None,
        });
        let (agent, attempt) = answer.unwrap_or_else(|| {
            let dial = self.machine.last_dial(call);
            (dial.agent, dial.attempt)
        });
        self.report(call, agent.0, attempt, event, ago);
    }
}
