//! Messages that carriers bring, and the applications that are asked about them: the agents' own conversation with the simulated
//! application server.

use std::{collections::BTreeMap, sync::Arc};

use busyhour_agent_core::{
    texting::{Conversation, Next, Said},
    twiml,
};
use busyhour_base::{Direction, MessageSpec, Reason, Timestamp};
use busyhour_controller_core::{
    command::Command,
    effect::Reply,
    message::{After, Arrival, Ask, Asked, MessageCommand, MessageRecord},
};

use super::{
    messages::{AGAIN_AFTER, MessageStep},
    world::{Event, World},
};
use crate::report::{WriterRow, WritersReport};

impl World<'_> {
    /// Everybody writes in their time.
    pub(super) fn let_write(&mut self) {
        let now = self.queue.now();
        for (of, writers) in self.input.scenario.writers.iter().enumerate() {
            for (nth, written) in writers.written().enumerate() {
                self.queue.put(now + written.after, Event::Message(MessageStep::Brings(of, nth)));
            }
        }
    }

    pub(super) fn bring(&mut self, now: Timestamp, of: usize, nth: usize) {
        let writers = &self.input.scenario.writers[of];
        let Some(written) = writers.written().nth(nth) else { return };
        let spec = MessageSpec {
            to: writers.to.clone(),
            from: written.from.clone(),
            direction: Direction::Inbound,
            status_callback: None,
        };
        let arrival = Arrival {
            account: writers.account,
            carrier: writers.carrier.as_str().into(),
            reference: written.reference.into(),
            spec: Arc::new(spec),
            body: writers.body.clone(),
            answers: true,
            answered_by: writers.answered_by.clone(),
        };
        match self.apply(Command::Message(MessageCommand::Arrived(vec![arrival]))) {
            Reply::Messages(verdicts) if verdicts.iter().all(Result::is_ok) => {}
            // There was no room: the carrier brings it again.
            Reply::Messages(_) => {
                let again = Event::Message(MessageStep::Brings(of, nth));
                self.queue.put(now + AGAIN_AFTER, again);
            }
            other => {
                let from = written.from;
                self.watch
                    .broken(now, format!("the message from {from} got no verdict: {other:?}"));
            }
        }
    }

    /// Asks, a while from now: the answer is there when it has been to an agent and to the server and back.
    pub(super) fn ask_application(&mut self, now: Timestamp, ask: Box<Ask>) {
        let latencies = &self.input.latencies;
        let takes = (latencies.control + latencies.web).times(2);
        self.queue.put(now + takes, Event::Message(MessageStep::Asked(ask)));
    }

    pub(super) fn hear_application(&mut self, ask: &Ask) {
        let mut writers = self.input.scenario.writers.iter();
        let Some(of) = writers.find(|writers| writers.to == ask.spec.to) else { return };
        let application = &of.application;
        let hook = ask.again.as_ref().map_or(&application.hook, |again| &again.hook);
        let params = [("From", &*ask.spec.from), ("To", &ask.spec.to), ("Body", ask.body.text())];
        let params = params.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let (mut conversation, mut next) =
            Conversation::begin(hook, application.fallback.clone(), params.into());
        let said = loop {
            match next {
                Next::Ask(request) => next = conversation.heard(self.application.fetch(&request)),
                Next::Over(said) => break said,
            }
        };
        let warnings = conversation.warnings().into_iter();
        self.warnings
            .extend(warnings.map(|warning| format!("{}: {}", warning.code, warning.message)));
        let asked = Command::Message(MessageCommand::Asked(vec![asked(ask, said)]));
        self.apply(asked);
    }

    /// What became of each number's writers.
    pub(super) fn writers_report(&self) -> Vec<WritersReport> {
        let mut rows = BTreeMap::<(&str, String), WriterRow>::new();
        let mut order = Vec::new();
        for writers in &self.input.scenario.writers {
            for written in writers.written() {
                let key = (&*writers.to, written.from.clone());
                order.push(key.clone());
                rows.insert(key, WriterRow { from: written.from, ..WriterRow::default() });
            }
        }
        for record in self.messages.finished() {
            note(&mut rows, record);
        }
        let mut by_number = BTreeMap::<&str, Vec<_>>::new();
        for key in order {
            by_number.entry(key.0).or_default().extend(rows.remove(&key));
        }
        let reports = by_number.into_iter().map(|(number, rows)| WritersReport::new(number, rows));
        reports.collect()
    }
}

fn note<'a>(rows: &mut BTreeMap<(&'a str, String), WriterRow>, record: &'a MessageRecord) {
    let (spec, status) = (&record.spec, record.status.as_str().to_owned());
    match spec.direction {
        Direction::Inbound => {
            if let Some(row) = rows.get_mut(&(&*spec.to, spec.from.clone())) {
                row.taken += 1;
                row.status = status;
            }
        }
        Direction::OutboundReply => {
            if let Some(row) = rows.get_mut(&(&*spec.from, spec.to.clone())) {
                row.answers.push(status);
            }
        }
        Direction::OutboundApi => {}
    }
}

fn asked(ask: &Ask, said: Said) -> Asked {
    let answer = |reply: twiml::Message| {
        ask.answer((reply.to, reply.from), reply.body, reply.status_callback)
    };
    let after = match (said.failed, said.again) {
        (true, _) => After::Failed(Reason::DocumentFailed),
        (false, Some(hook)) => After::Again(hook),
        (false, None) => After::Done,
    };
    let answers = said.replies.into_iter().map(answer).collect();
    Asked { message: ask.message, step: ask.step, answers, after }
}
