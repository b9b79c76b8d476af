//! Batches of messages (MT-1, DC-3): their lines, and when a line is sent again.

use std::sync::Arc;

use busyhour_base::{MessageSpec, MessageStatus, Reason, Segments};
use busyhour_controller_core::{
    command::BatchCommand,
    effect::Reply,
    message::{MessageId, NewMessage},
    spec::{Again, Kind, Lines, Pace, Rest},
};

use super::{
    super::requests::{Batch, check_order},
    Place, Texts,
};

impl Texts {
    /// Lines are taken by a draft, each name once.
    pub(super) fn take(&mut self, lines: &Lines, reply: &Reply) -> Result<(), String> {
        let batch = lines.batch;
        let Some((_, state)) = self.batches.get(&batch) else { return Ok(()) };
        let drafted = state.started.is_none() && !state.over;
        let Reply::Messages(verdicts) = reply else {
            let suspended = self.tenants[&lines.account.0].1;
            let told = *reply == Reply::Refused(Reason::Suspended);
            return match drafted && !(suspended && told) {
                true => Err(format!("answered lines of a draft with {reply:?}")),
                false => Ok(()),
            };
        };
        if !drafted {
            return Err(format!("took lines of {batch:?}, which is no draft"));
        }
        for ((_, line), verdict) in lines.requests.iter().zip(verdicts) {
            let Rest::Message(text) = line.rest else { return Err("took a call".into()) };
            let verdict = verdict.map(|accepted| accepted.message);
            let name = line.custom_id.expect("the lines of histories have names").to_owned();
            let known = self.named.contains(&(batch, name.clone()));
            if known != (verdict == Err(Reason::Duplicate)) {
                return Err(format!("said {verdict:?} of {name}; known is {known}"));
            }
            if known {
                continue;
            }
            let segments = Segments::of(text.body.text()).count.into();
            let spec = MessageSpec { to: line.to.into(), ..(*text.spec).clone() };
            self.check_verdict(lines.account.0, &spec, segments, verdict)?;
            let Ok(message) = verdict else { continue };
            self.named.insert((batch, name));
            let new = NewMessage {
                spec: Arc::new(spec),
                body: 0,
                not_before: text.not_before,
                expires: text.expires,
                urgency: text.urgency,
            };
            self.accept(lines.account.0, &new, segments, message, Some(batch));
        }
        Ok(())
    }

    /// As [`super::super::Model::place_again`].
    pub(super) fn send_again(&mut self, again: &Again, reply: &Reply) -> Result<(), String> {
        let (id, account, now) = (again.batch, again.account.0, self.now);
        let Some((_, batch)) = self.batches.get(&id) else { return Ok(()) };
        let kept = batch.keeps_ended(self.tenants[&account].1, now);
        let verdicts = match reply {
            Reply::Messages(verdicts) if kept.is_empty() => verdicts,
            Reply::Refused(reason) if kept.contains(reason) => return Ok(()),
            _ => return Err(format!("answered lines of {id:?} again with {reply:?}: {kept:?}")),
        };
        check_order(verdicts)?;
        for (line, verdict) in again.messages.iter().zip(verdicts) {
            let end = format!("{:?}", line.status);
            let batch = &self.batches[&id].1;
            let before = batch.was_placed_again(&end, line.seq);
            if before != (*verdict == Err(Reason::Duplicate)) {
                let through = &batch.again_through;
                return Err(format!("said {verdict:?} to record {}; {through:?}", line.seq));
            }
            if before {
                continue;
            }
            let verdict = verdict.map(|accepted| accepted.message);
            let spec = &line.text.spec;
            let segments = Segments::of(line.text.body.text()).count.into();
            self.check_verdict(account, spec, segments, verdict)?;
            let Ok(message) = verdict else { return Ok(()) };
            let mut mine = self.texts.values().filter(|text| text.batch == Some(id));
            let open = mine.any(|text| text.place != Place::Over);
            let (_, batch) = self.batches.get_mut(&id).expect("it is known");
            batch.run_on(open, now);
            batch.again_through.insert(end, line.seq);
            let (not_before, expires) = (line.text.not_before, line.text.expires);
            let (spec, urgency) = (Arc::clone(spec), line.text.urgency);
            let new = NewMessage { spec, body: 0, not_before, expires, urgency };
            self.accept(account, &new, segments, message, Some(id));
            let text = self.texts.get_mut(&message).expect("it was just accepted");
            text.failed = line.earlier.len() as u16;
            text.attempts = line.attempts.into();
            text.unsent = text.attempts - u32::from(text.failed);
        }
        Ok(())
    }

    /// As [`super::super::Model::batch`].
    pub(super) fn steer(&mut self, command: &BatchCommand, reply: &Reply) {
        if let (BatchCommand::Create { account, plan, .. }, Reply::Batch(batch)) = (command, reply)
        {
            if plan.kind == Kind::Message {
                self.batches.insert(*batch, (account.0, Batch::new(plan)));
            }
            return;
        }
        let now = self.now;
        let (batch, how): (_, &dyn Fn(&mut Batch)) = match command {
            BatchCommand::Start { batch, .. } | BatchCommand::Resume { batch, .. } => {
                (batch, &|batch| batch.run(now))
            }
            BatchCommand::Pause { batch, .. } => (batch, &|batch| batch.paused = true),
            BatchCommand::Cancel { batch, .. } => {
                (batch, &|batch| (batch.over, batch.canceled) = (true, true))
            }
            BatchCommand::Pace { batch, throttle, max_concurrent, .. } => (batch, &|batch| {
                batch.plan.max_concurrent = *max_concurrent;
                batch.gate.declare(&Pace { throttle: *throttle, caps: Vec::new() });
            }),
            _ => return,
        };
        let Some((_, state)) = self.batches.get_mut(batch) else { return };
        how(state);
        if state.canceled {
            let batch = *batch;
            self.end_all(|text| text.batch == Some(batch) && text.waits(), MessageStatus::Canceled);
        }
        if let BatchCommand::Pace { .. } = command {
            self.turns.relimited();
        }
    }

    /// The carrier did not take a message, or could not deliver it. A line is sent again if its batch names that end and the
    /// next attempt can still begin.
    pub(super) fn came_to_nothing(&mut self, message: MessageId, status: MessageStatus) {
        match self.next_attempt(message, status) {
            Some(at) => {
                let now = self.now;
                self.planned += 1;
                let planned = self.planned;
                let text = self.texts.get_mut(&message).expect("it is known");
                text.failed += 1;
                text.planned = planned;
                // One that is sent again at once was never scheduled.
                text.not_before = if at > now { Some(at) } else { text.not_before };
                text.place = Place::Scheduled;
                self.begin();
            }
            None => self.end(message, status),
        }
    }

    fn next_attempt(&self, message: MessageId, status: MessageStatus) -> Option<u64> {
        let text = &self.texts[&message];
        let batch = &self.batches[&text.batch?].1;
        let on = batch.plan.retry.as_ref()?.on;
        let named = match status {
            MessageStatus::Failed => on.failed,
            MessageStatus::Undelivered => on.undelivered,
            _ => false,
        };
        let fits = self.fits(text.account, &text.from, text.segments);
        let again = batch.next_attempt(text.failed, text.expires, self.now);
        again.filter(|_| named && fits)
    }
}
