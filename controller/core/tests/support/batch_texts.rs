//! Batches of messages for tests: what is declared, their lines, and the carrier's part.

use std::sync::Arc;

use busyhour_base::{
    Body, Direction, MessageEvent, MessageSpec, MessageStatus, Reason, Span, Timestamp,
};
use busyhour_controller_core::{
    Options,
    command::{BatchCommand, Command},
    effect::Reply,
    message::{
        MessageCarrier, MessageCommand, MessageDeclaration, MessageNumber, MessageRecord, Send,
    },
    spec::{
        BatchId, BatchPlan, Declaration, Kind, Lines, NewText, Requests, Retry, RetryOn, Throttle,
        Urgency,
    },
    view::BatchView,
};

use super::{Machine, START, account, declaration, tenant, texts::Messages};

pub const FROM: &str = "+15550100001";
pub const OTHER: &str = "+15550100002";

pub fn at(s: u64) -> Timestamp {
    START + Span::from_secs(s)
}

fn number(number: &str, spacing: Option<Span>) -> MessageNumber {
    MessageNumber {
        account: account(1),
        number: number.into(),
        throttle: spacing.map(|spacing| Throttle { spacing }),
        caps: Vec::new(),
    }
}

pub fn declared(spacing: Option<Span>, reports: bool) -> Declaration {
    let carrier = MessageCarrier {
        name: "text".into(),
        outbound: 1_000,
        inbound: 4,
        segment_spacing: Span::ZERO,
        delivery_reports: reports,
    };
    Declaration {
        messages: MessageDeclaration {
            numbers: vec![number(FROM, spacing), number(OTHER, spacing)],
            carriers: vec![carrier],
            ..MessageDeclaration::default()
        },
        ..declaration(vec![tenant(1, None)], Vec::new())
    }
}

pub fn machine_with(options: Options, declaration: Declaration) -> Machine {
    let mut machine = Machine::with(options);
    machine.apply(Command::Declare(Box::new(declaration)));
    machine
}

pub fn machine() -> Machine {
    machine_with(Options::default(), declared(None, true))
}

pub fn text(from: &str, body: &str) -> NewText {
    NewText {
        spec: Arc::new(MessageSpec {
            to: String::new(),
            from: from.to_owned(),
            direction: Direction::OutboundApi,
            status_callback: None,
        }),
        body: Body::from(body),
        not_before: None,
        expires: None,
        urgency: Urgency::Ordinary,
    }
}

pub fn messages() -> BatchPlan {
    BatchPlan { kind: Kind::Message, ..BatchPlan::default() }
}

pub fn paced(spacing: Span) -> BatchPlan {
    BatchPlan { throttle: Some(Throttle { spacing }), ..messages() }
}

pub fn retries(on: RetryOn, delay: Span) -> BatchPlan {
    BatchPlan { retry: Some(Retry { on, attempts_max: 3, delays: vec![delay] }), ..messages() }
}

pub fn to(n: usize) -> String {
    format!("+1555020{n:04}")
}

/// So many lines that share this text: row-0 and so on.
pub fn lines(count: usize, rest: NewText) -> Requests {
    let mut requests = Requests::default();
    let rest = requests.share(rest);
    for n in 0..count {
        requests.push(n as u64 + 1, rest, &to(n), Some(&format!("row-{n}")));
    }
    requests
}

/// The carrier's name for what it took.
fn reference(send: &Send) -> String {
    format!("{}.{}", send.message.0, send.attempt)
}

pub trait Batches {
    fn draft(&mut self, plan: BatchPlan) -> BatchId;
    fn takes(&mut self, batch: BatchId, requests: Requests) -> Vec<Option<Reason>>;
    fn runs(&mut self, plan: BatchPlan, requests: Requests) -> BatchId;
    fn view(&self, batch: BatchId) -> BatchView;
    fn taken(&mut self, send: &Send);
    fn ends(&mut self, send: &Send, event: MessageEvent);
    fn records(&mut self) -> Vec<MessageRecord>;
    fn steers(&mut self, command: fn(BatchId) -> BatchCommand, batch: BatchId);
}

impl Batches for Machine {
    fn draft(&mut self, plan: BatchPlan) -> BatchId {
        let (account, plan) = (account(1), Box::new(plan));
        let create = BatchCommand::Create { account, idempotency: None, plan };
        let Reply::Batch(batch) = self.apply(Command::Batch(create)) else {
            panic!("a batch is created")
        };
        batch
    }

    fn takes(&mut self, batch: BatchId, requests: Requests) -> Vec<Option<Reason>> {
        let (account, part) = (account(1), None);
        let (keys, faults) = (Vec::new(), Vec::new());
        let lines = Lines { account, batch, part, requests, keys, faults };
        match self.apply(Command::Batch(BatchCommand::Take(Arc::new(lines)))) {
            Reply::Messages(verdicts) => verdicts.into_iter().map(Result::err).collect(),
            other => panic!("{other:?}"),
        }
    }

    fn runs(&mut self, plan: BatchPlan, requests: Requests) -> BatchId {
        let batch = self.draft(plan);
        let refused = self.takes(batch, requests);
        assert!(refused.iter().all(Option::is_none), "{refused:?}");
        assert_eq!(self.start_batch(1, batch), Reply::Done);
        batch
    }

    fn view(&self, batch: BatchId) -> BatchView {
        self.state.batch(batch).expect("it is in the state")
    }

    fn taken(&mut self, send: &Send) {
        self.answers(send, MessageEvent::Accepted(reference(send).into()));
    }

    fn ends(&mut self, send: &Send, event: MessageEvent) {
        self.reports(&reference(send), event);
    }

    fn records(&mut self) -> Vec<MessageRecord> {
        let rows: Vec<_> = self.state.message_outbox(usize::MAX).cloned().collect();
        if let Some(last) = rows.last() {
            self.apply(Command::Message(MessageCommand::Recorded { through: last.seq }));
        }
        rows
    }

    fn steers(&mut self, command: fn(BatchId) -> BatchCommand, batch: BatchId) {
        assert_eq!(self.apply(Command::Batch(command(batch))), Reply::Done);
    }
}

pub fn ended(view: &BatchView, status: MessageStatus) -> u64 {
    view.counts.ended[status.end().expect("an end")]
}

/// The instants at which messages were handed over.
pub fn instants(machine: &Machine) -> Vec<u64> {
    machine.sends().iter().map(|send| send.at.since(START).as_millis()).collect()
}
