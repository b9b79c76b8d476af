//! What operators and tenants say: declarations, submissions, batches, cancellations.

use std::collections::{BTreeMap, BTreeSet};

use busyhour_base::Reason;
use busyhour_controller_core::{
    command::{AgentCommand, BatchCommand, Cancel, Change, Command, Submit, Update},
    effect::{Accepted, Reply},
    spec::{Again, BatchId, CallId, Declaration, Kind, NewCall, Pace},
};

use super::{
    Agent, Model,
    limits::Gate,
    requests::{Batch, Owner, Place, Request, check_order},
    turns::{Range, Root, Standing},
    why::Held,
};

/// What a line has behind it that is placed again on its tenant's word: attempts that came to an end, and those of which nothing
/// was sent.
#[derive(Clone, Copy, Default)]
struct Before {
    failed: u16,
    unsent: u32,
}

impl Model {
    pub(super) fn command(&mut self, command: &Command, reply: &Reply) -> Result<(), String> {
        if let Command::Declare(declaration) = command {
            let expected = self.capacity.overcommitted(declaration);
            let refused = *reply == Reply::Refused(Reason::Overcommitted);
            if refused != expected {
                return Err(format!("answered {reply:?}; overcommitted is {expected}"));
            }
        }
        if let Command::Submit(submit) = command {
            return self.submit(submit, reply);
        }
        if let Command::Batch(BatchCommand::Again(again)) = command {
            return self.place_again(again, reply);
        }
        if matches!(reply, Reply::Refused(_)) {
            return Ok(());
        }
        match command {
            Command::Declare(declaration) => self.declare(declaration),
            Command::Capacity(said) => self.capacity.say(said, self.now),
            Command::Batch(command) => self.batch(command, reply),
            Command::Update(update) => self.update(update),
            Command::Cancel(cancel) => self.cancel(cancel),
            Command::Offer(offers) => self.offers(offers, reply)?,
            Command::Reports(reports) => {
                reports.iter().for_each(|report| self.report(report));
                self.capacity.forget(self.now);
            }
            Command::Agent(AgentCommand::Up { slots, .. }) => {
                self.agents.push(Agent { slots: *slots, calls: 0 });
            }
            _ => {}
        }
        self.keep_turns();
        Ok(())
    }

    fn declare(&mut self, declaration: &Declaration) {
        for tenant in &declaration.tenants {
            let account = tenant.account.0;
            let owner = self
                .tenants
                .entry(account)
                .or_insert_with(|| Owner { declared: tenant.clone(), gate: Gate::default() });
            owner.declared = tenant.clone();
            let limits = &tenant.limits;
            owner.gate.declare(&Pace { throttle: limits.throttle, caps: limits.caps.clone() });
            let standing = Standing { weight: limits.weight, plan: limits.plan };
            self.turns.declare_tenant(account, standing);
            for application in &tenant.applications {
                let gate = self.applications.entry((account, application.sid)).or_default();
                gate.declare(&application.pace);
            }
        }
        for number in &declaration.numbers {
            let gate = self.numbers.entry((number.account.0, number.number.to_string()));
            gate.or_default().declare(&number.pace);
        }
        self.declare_order(declaration);
        let before = self.roots();
        let served = self.capacity.served();
        self.capacity.declare(declaration, self.now);
        if self.capacity.served() != served {
            let after = self.roots();
            let led: BTreeSet<_> = before.into_values().zip(after.into_values()).collect();
            self.tables += 1;
            self.turns.reroute(&led);
            self.move_waiting();
            self.share_words();
        }
        self.turns.relimited();
        self.end_offers_of_removed();
    }

    fn declare_order(&mut self, declaration: &Declaration) {
        let stood = self.roots();
        self.turns.declare(declaration.order, declaration.floors, self.now);
        let stands = self.roots();
        let waits = |(_, one): &(_, &Request)| matches!(one.place, Place::Waiting(_));
        let waiting = self.requests.iter().filter(waits);
        let led = waiting.map(|(call, _)| (stood[call].clone(), stands[call].clone()));
        self.turns.part(&led.filter(|(before, after)| before != after).collect(), self.now);
    }

    /// Where everything that was ever asked for stands or would stand.
    fn roots(&self) -> BTreeMap<CallId, Root> {
        self.requests.iter().map(|(call, request)| (*call, self.root_of(request))).collect()
    }

    /// What waits stays in its place, or goes to the end in the order in which it was accepted.
    fn move_waiting(&mut self) {
        for request in self.requests.values_mut() {
            if let Place::Waiting(Range { least, .. }) = request.place {
                self.readied += 1;
                request.place = Place::Waiting(Range { least, most: self.readied });
            }
        }
    }

    /// Those that come into one queue may say what any of them waited for.
    fn share_words(&mut self) {
        let mut said: BTreeMap<_, BTreeSet<Reason>> = BTreeMap::new();
        let waits = |request: &Request| matches!(request.place, Place::Waiting(_));
        for request in self.requests.values().filter(|request| waits(request)) {
            let words = request.held.words(self.now);
            said.entry(self.lane_of(request)).or_default().extend(words);
        }
        let waiting = self.requests.iter().filter(|(_, request)| waits(request));
        let queues = waiting.map(|(call, request)| (*call, self.lane_of(request)));
        for (call, queue) in queues.collect::<Vec<_>>() {
            self.at(call).held.also(&said[&queue]);
        }
    }

    fn submit(&mut self, submit: &Submit, reply: &Reply) -> Result<(), String> {
        let single;
        let verdicts: &[Result<Accepted, Reason>] = match reply {
            Reply::Submitted(verdicts) => verdicts,
            Reply::Refused(reason) if submit.calls.len() == 1 => {
                single = [Err(*reason)];
                &single
            }
            _ => return Ok(()),
        };
        for (new, verdict) in submit.calls.iter().zip(verdicts) {
            self.check_room(submit.account.0, *verdict)?;
            if let Ok(accepted) = verdict {
                self.accept(
                    (submit.account.0, submit.batch),
                    new,
                    accepted.call,
                    Before::default(),
                );
            }
        }
        Ok(())
    }

    /// A queue takes a request unless it is full.
    fn check_room(&self, account: u128, verdict: Result<Accepted, Reason>) -> Result<(), String> {
        let mine = self.requests.values().filter(|request| request.account == account);
        let waiting = mine.filter(|request| request.waits()).count();
        let most = self.tenants[&account].declared.limits.queue_max as usize;
        let full = waiting + self.ringing_of(account) >= most;
        match verdict {
            Ok(_) if full => Err(format!("said {verdict:?}, though the queue is full")),
            Err(Reason::QueueFull) if !full => Err("took a queue for full that is not".into()),
            _ => Ok(()),
        }
    }

    /// Lines that came to nothing are placed again, each record of each end once, in order. A batch that was over runs on.
    fn place_again(&mut self, again: &Again, reply: &Reply) -> Result<(), String> {
        let (id, account, now) = (again.batch, again.account.0, self.now);
        let Some(batch) = self.batches.get(&id) else { return Ok(()) };
        let kept = batch.keeps_ended(self.tenants[&account].declared.suspended, now);
        let verdicts = match reply {
            Reply::Submitted(verdicts) if kept.is_empty() => verdicts,
            Reply::Refused(reason) if kept.contains(reason) => return Ok(()),
            _ => return Err(format!("answered lines of {id:?} again with {reply:?}: {kept:?}")),
        };
        check_order(verdicts)?;
        for (line, verdict) in again.lines.iter().zip(verdicts) {
            let end = format!("{:?}", line.outcome);
            let batch = &self.batches[&id];
            let before = batch.was_placed_again(&end, line.seq);
            if before != (*verdict == Err(Reason::Duplicate)) {
                let through = &batch.again_through;
                return Err(format!("said {verdict:?} to record {}; {through:?}", line.seq));
            }
            if before {
                continue;
            }
            self.check_room(account, *verdict)?;
            let Ok(accepted) = verdict else { return Ok(()) };
            let mut mine = self.requests.values().filter(|request| request.batch == Some(id));
            let open = mine.any(|request| request.place != Place::Ended);
            let failed = line.earlier.iter().filter(|attempt| !attempt.passed_on).count() as u16;
            let unsent = u32::from(line.attempts) - line.earlier.len() as u32;
            let batch = self.batches.get_mut(&id).expect("it is known");
            batch.run_on(open, now);
            batch.again_through.insert(end, line.seq);
            let before = Before { failed, unsent };
            self.accept((account, Some(id)), &line.call, accepted.call, before);
        }
        Ok(())
    }

    fn accept(
        &mut self,
        (account, batch): (u128, Option<BatchId>),
        new: &NewCall,
        call: CallId,
        Before { failed, unsent }: Before,
    ) {
        let application =
            new.application.filter(|sid| self.applications.contains_key(&(account, *sid)));
        let from = new.spec.from.to_string();
        self.planned += 1;
        let request = Request {
            account,
            to: new.spec.to.to_string(),
            urgency: new.urgency,
            application,
            batch,
            number: Some(from.clone()).filter(|_| self.numbers.contains_key(&(account, from))),
            accepted: self.now,
            not_before: new.not_before.map(|at| at.0),
            expires: new.expires.map(|at| at.0),
            place: Place::Scheduled,
            planned: self.planned,
            unsent,
            failed,
            failed_before: failed,
            without: Vec::new(),
            table: 0,
            canceled: false,
            held: Held::new(Reason::Ready, self.now),
        };
        self.requests.insert(call, request);
        self.begin();
    }

    fn batch(&mut self, command: &BatchCommand, reply: &Reply) {
        match (command, reply) {
            (BatchCommand::Create { plan, .. }, Reply::Batch(batch)) if plan.kind == Kind::Call => {
                self.batches.insert(*batch, Batch::new(plan));
            }
            (BatchCommand::Start { batch, .. } | BatchCommand::Resume { batch, .. }, _) => {
                let now = self.now;
                self.steer(*batch, |batch| batch.run(now));
            }
            (BatchCommand::Pause { batch, .. }, _) => {
                self.steer(*batch, |batch| batch.paused = true);
            }
            (BatchCommand::Cancel { batch, .. }, _) => {
                self.steer(*batch, |batch| (batch.over, batch.canceled) = (true, true));
                self.expire(self.now);
            }
            (BatchCommand::Pace { batch, throttle, max_concurrent, .. }, _) => {
                self.steer(*batch, |batch| {
                    batch.plan.max_concurrent = *max_concurrent;
                    batch.gate.declare(&Pace { throttle: *throttle, caps: Vec::new() });
                });
                self.turns.relimited();
            }
            (BatchCommand::Open { batch, openings }, _) => {
                self.steer(*batch, |batch| batch.plan.openings = Some(openings.clone()));
            }
            _ => {}
        }
    }

    fn steer(&mut self, batch: BatchId, how: impl FnOnce(&mut Batch)) {
        // That of messages is not known here.
        self.batches.get_mut(&batch).map(how);
    }

    /// A call that waits is cancelled at once; one that is up goes on until its end is reported.
    fn update(&mut self, update: &Update) {
        if self.requests[&update.call].waits() && !matches!(update.change, Change::Redirect(_)) {
            self.end(update.call);
        } else {
            self.at(update.call).canceled = true;
        }
    }

    /// All that waits of a scope ends. What is up goes on, and is not placed again.
    fn cancel(&mut self, cancel: &Cancel) {
        let of_it = |request: &Request| {
            let which = &cancel.which;
            request.account == cancel.account.0
                && which.application.is_none_or(|sid| request.application == Some(sid))
                && which.from.as_deref().is_none_or(|from| request.number.as_deref() == Some(from))
        };
        let all = self.requests.iter().filter(|(_, request)| of_it(request));
        for call in all.map(|(call, _)| *call).collect::<Vec<_>>() {
            match self.requests[&call].place {
                Place::Scheduled | Place::Waiting(_) => self.end(call),
                Place::Up { .. } => self.at(call).canceled = true,
                Place::Ended => {}
            }
        }
    }
}
