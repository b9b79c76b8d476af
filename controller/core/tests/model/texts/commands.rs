//! What operators and tenants say of messages.

use std::collections::BTreeMap;

use busyhour_base::{MessageSpec, MessageStatus, Reason, Segments};
use busyhour_controller_core::{
    command::{BatchCommand, Command},
    effect::{Effect, Reply},
    message::{Cancel, MessageCommand, MessageDeclaration, MessageId, NewMessage, SubmitMessages},
    spec::{BatchId, Declaration, Floors, OrderPolicy, Pace},
};

use super::{
    super::{
        turns::{Root, Standing},
        why::Held,
    },
    Line, Place, Text, Texts, root,
};

impl Texts {
    pub(super) fn command(
        &mut self,
        command: &Command,
        reply: &Reply,
        effects: &[Effect],
    ) -> Result<(), String> {
        if let Command::Batch(BatchCommand::Take(lines)) = command {
            self.take(lines, reply)?;
        }
        if let Command::Batch(BatchCommand::Again(again)) = command {
            self.send_again(again, reply)?;
        }
        if let Command::Message(MessageCommand::OptOuts(changes)) = command {
            self.change_opt_outs(changes, reply)?;
        }
        match (command, reply) {
            (Command::Message(MessageCommand::Submit(submit)), Reply::Refused(reason)) => {
                self.check_refusal(submit, *reason)?;
            }
            (_, Reply::Refused(_)) => {}
            (Command::Declare(declaration), _) => self.declare(declaration),
            (Command::Batch(command), _) => self.steer(command, reply),
            (Command::Message(command), _) => self.of_messages(command, reply, effects)?,
            _ => {}
        }
        self.keep_turns();
        Ok(())
    }

    fn of_messages(
        &mut self,
        command: &MessageCommand,
        reply: &Reply,
        effects: &[Effect],
    ) -> Result<(), String> {
        match (command, reply) {
            (MessageCommand::Submit(submit), Reply::Messages(verdicts)) => {
                for (at, verdict) in verdicts.iter().enumerate() {
                    let verdict = verdict.map(|accepted| accepted.message);
                    self.submit(submit, at, verdict)?;
                }
            }
            (MessageCommand::Cancel { account, which }, _) => self.cancel(account.0, which),
            (MessageCommand::Reports(reports), _) => {
                reports.iter().for_each(|report| self.report(report));
            }
            (MessageCommand::Arrived(arrivals), Reply::Messages(verdicts)) => {
                let verdicts = verdicts.iter().map(|one| one.map(|accepted| accepted.message));
                self.arrive(arrivals, verdicts, effects)?;
            }
            (MessageCommand::Asked(asked), _) => self.asked(asked, effects)?,
            (MessageCommand::Restarted, _) => {
                self.doubt();
                self.arrivals.ask_all_again();
            }
            _ => {}
        }
        Ok(())
    }

    fn submit(
        &mut self,
        submit: &SubmitMessages,
        at: usize,
        verdict: Result<MessageId, Reason>,
    ) -> Result<(), String> {
        let new = &submit.messages[at];
        let segments = Segments::of(submit.bodies[new.body as usize].text()).count;
        self.check_verdict(submit.account.0, &new.spec, segments.into(), verdict)?;
        if let Ok(message) = verdict {
            self.accept(submit.account.0, new, segments.into(), message, None);
        }
        Ok(())
    }

    /// A message with more segments than a cap ever holds is refused, and so is one to somebody who has stopped them; no other
    /// is for that.
    pub(super) fn check_verdict(
        &self,
        account: u128,
        spec: &MessageSpec,
        segments: u32,
        verdict: Result<MessageId, Reason>,
    ) -> Result<(), String> {
        let stopped = self.takes_none(account, &spec.from, &spec.to);
        let fits = self.fits(account, &spec.from, segments);
        match verdict {
            Ok(_) | Err(Reason::OptedOut) if stopped == verdict.is_ok() => {
                Err(format!("said {verdict:?} to {spec:?}; its recipient has stopped: {stopped}"))
            }
            Ok(_) | Err(Reason::SegmentsOverCap) if fits != verdict.is_ok() => {
                Err(format!("said {verdict:?} to {segments} segments"))
            }
            _ => Ok(()),
        }
    }

    fn declare(&mut self, declaration: &Declaration) {
        let MessageDeclaration { tenants, numbers, carriers, order } = &declaration.messages;
        let limits: BTreeMap<_, _> = tenants.iter().cloned().collect();
        for tenant in &declaration.tenants {
            let own = limits.get(&tenant.account).cloned().unwrap_or_default();
            let (gate, suspended) = self.tenants.entry(tenant.account.0).or_default();
            gate.declare(&Pace { throttle: own.throttle, caps: own.caps.clone() });
            *suspended = tenant.suspended;
            let standing = Standing { weight: tenant.limits.weight, plan: tenant.limits.plan };
            self.turns.declare_tenant(tenant.account.0, standing);
        }
        for number in numbers {
            let gate = self.numbers.entry((number.account.0, number.number.to_string()));
            let pace = Pace { throttle: number.throttle, caps: number.caps.clone() };
            gate.or_default().declare(&pace);
        }
        self.declare_order(*order);
        self.turns.relimited();
        for line in &mut self.lines {
            // A carrier that comes back begins anew if it was done with all that it had.
            if !line.there && line.in_use == 0 && line.next() <= self.now {
                line.last = None;
            }
            line.there = false;
        }
        for carrier in carriers {
            match self.lines.iter_mut().find(|line| line.declared.name == carrier.name) {
                Some(line) => {
                    (line.declared, line.there) = (carrier.clone(), true);
                }
                None => self.lines.push(Line {
                    declared: carrier.clone(),
                    there: true,
                    in_use: 0,
                    last: None,
                }),
            }
        }
        let oversized = self.texts.iter().filter(|(_, text)| {
            text.waits() && !self.fits(text.account, &text.from, text.segments)
        });
        for message in oversized.map(|(message, _)| *message).collect::<Vec<_>>() {
            // What is too long for ever may be seen to be too long for now first, by those that wait behind it too.
            let text = &self.texts[&message];
            let (queue, reasons) = (self.root(text), self.limits_on(text));
            let apart = self.turns.parts_kinds();
            let beside = self.texts.values_mut().filter(|text| root(text, apart) == queue);
            beside.for_each(|text| text.held.also(&reasons));
            self.end(message, MessageStatus::Failed);
        }
        let place = |name| self.lines.iter().position(|line| line.declared.name == name);
        self.order = carriers.iter().filter_map(|carrier| place(carrier.name.clone())).collect();
    }

    fn declare_order(&mut self, order: OrderPolicy) {
        let waiting = |texts: &Self| -> Vec<Root> {
            let waiting =
                texts.texts.values().filter(|text| matches!(text.place, Place::Waiting(_)));
            waiting.map(|text| texts.root(text)).collect()
        };
        let stood = waiting(self);
        self.turns.declare(order, Floors::default(), self.now);
        let led = stood.into_iter().zip(waiting(self));
        self.turns.part(&led.filter(|(before, after)| before != after).collect(), self.now);
    }

    /// Whether the caps of a tenant and its number ever hold so many segments.
    pub(super) fn fits(&self, account: u128, from: &str, segments: u32) -> bool {
        let number = self.numbers.get(&(account, from.to_owned()));
        let tenant = &self.tenants[&account].0;
        number.into_iter().chain([tenant]).all(|gate| gate.ever_holds(segments))
    }

    pub(super) fn accept(
        &mut self,
        account: u128,
        new: &NewMessage,
        segments: u32,
        message: MessageId,
        batch: Option<BatchId>,
    ) {
        self.planned += 1;
        let text = Text {
            account,
            from: new.spec.from.clone(),
            to: new.spec.to.clone(),
            batch,
            segments,
            urgency: new.urgency,
            not_before: new.not_before.map(|at| at.0),
            expires: new.expires.map(|at| at.0),
            place: Place::Scheduled,
            planned: self.planned,
            attempts: 0,
            unsent: 0,
            failed: 0,
            held: Held::new(Reason::Ready, self.now),
            last_word: false,
        };
        self.texts.insert(message, text);
        self.begin();
    }

    fn cancel(&mut self, account: u128, which: &Cancel) {
        let of_it = |message: &MessageId, text: &Text| match which {
            Cancel::One(one) => message == one,
            Cancel::Waiting { from, to } => {
                from.as_ref().is_none_or(|from| **from == *text.from)
                    && to.as_ref().is_none_or(|to| **to == *text.to)
            }
        };
        let all = self.texts.iter().filter(|(message, text)| {
            text.account == account && text.waits() && of_it(message, text)
        });
        for message in all.map(|(message, _)| *message).collect::<Vec<_>>() {
            self.end(message, MessageStatus::Canceled);
        }
    }
}
