//! Messages for tests: two tenants with numbers, one carrier, and what is said to a machine and of it.

use std::sync::Arc;

use busyhour_base::{Body, Direction, MessageEvent, MessageSpec, MessageStatus, Reason, Span};
use busyhour_controller_core::{
    command::Command,
    effect::{Effect, Reply},
    message::{
        AcceptedMessage, MessageCarrier, MessageCommand, MessageDeclaration, MessageEffect,
        MessageId, MessageLimits, MessageNumber, MessageReport, NewMessage, Reported, Send,
        SubmitMessages,
    },
    spec::{Declaration, Throttle, Urgency},
};

use super::{Machine, account, declaration, tenant};

pub const FROM: &str = "+15550100001";
pub const OTHER: &str = "+15550100002";
pub const TO: &str = "+15550200001";

pub fn carrier(outbound: u32, spacing: Span) -> MessageCarrier {
    MessageCarrier {
        name: "text".into(),
        outbound,
        inbound: 4,
        segment_spacing: spacing,
        delivery_reports: true,
    }
}

pub fn number(owner: u128, number: &str, spacing: Option<Span>) -> MessageNumber {
    MessageNumber {
        account: account(owner),
        number: number.into(),
        throttle: spacing.map(|spacing| Throttle { spacing }),
        caps: Vec::new(),
    }
}

/// Two tenants; the first has two numbers.
pub fn declared(
    limits: MessageLimits,
    spacing: Option<Span>,
    carrier: MessageCarrier,
) -> Declaration {
    Declaration {
        messages: MessageDeclaration {
            tenants: vec![(account(1), limits)],
            numbers: vec![
                number(1, FROM, spacing),
                number(1, OTHER, spacing),
                number(2, "+15550100003", spacing),
            ],
            carriers: vec![carrier],
            ..MessageDeclaration::default()
        },
        ..declaration(vec![tenant(1, None), tenant(2, None)], Vec::new())
    }
}

pub fn machine(declaration: Declaration) -> Machine {
    let mut machine = Machine::new();
    machine.apply(Command::Declare(Box::new(declaration)));
    machine
}

pub fn simple() -> Machine {
    machine(declared(MessageLimits::default(), None, carrier(1_000, Span::ZERO)))
}

pub fn spec(from: &str) -> Arc<MessageSpec> {
    Arc::new(MessageSpec {
        to: TO.to_owned(),
        from: from.to_owned(),
        direction: Direction::OutboundApi,
        status_callback: None,
    })
}

pub fn message(from: &str) -> NewMessage {
    NewMessage {
        spec: spec(from),
        body: 0,
        not_before: None,
        expires: None,
        urgency: Urgency::Ordinary,
    }
}

pub fn submit(owner: u128, text: &str, messages: Vec<NewMessage>) -> Command {
    Command::Message(MessageCommand::Submit(SubmitMessages {
        account: account(owner),
        idempotency: None,
        bodies: vec![Body::from(text)],
        messages,
    }))
}

pub trait Messages {
    fn verdicts(&mut self, command: Command) -> Vec<Result<AcceptedMessage, Reason>>;
    fn queued(&mut self, owner: u128, text: &str, new: NewMessage) -> MessageId;
    fn sends(&self) -> Vec<Send>;
    fn answers(&mut self, send: &Send, event: MessageEvent);
    fn reports(&mut self, reference: &str, event: MessageEvent);
    fn status(&self, message: MessageId) -> MessageStatus;
}

impl Messages for Machine {
    fn verdicts(&mut self, command: Command) -> Vec<Result<AcceptedMessage, Reason>> {
        match self.apply(command) {
            Reply::Messages(verdicts) => verdicts,
            Reply::Refused(reason) => vec![Err(reason)],
            other => panic!("{other:?}"),
        }
    }

    fn queued(&mut self, owner: u128, text: &str, new: NewMessage) -> MessageId {
        self.verdicts(submit(owner, text, vec![new]))[0].expect("accepted").message
    }

    fn sends(&self) -> Vec<Send> {
        let sent = |effect: &Effect| match effect {
            Effect::Message(MessageEffect::Send(send)) => Some((**send).clone()),
            _ => None,
        };
        self.effects.iter().filter_map(sent).collect()
    }

    fn answers(&mut self, send: &Send, event: MessageEvent) {
        let of = Reported::Attempt { message: send.message, attempt: send.attempt };
        let reports = vec![MessageReport { of, event }];
        self.apply(Command::Message(MessageCommand::Reports(reports)));
    }

    fn reports(&mut self, reference: &str, event: MessageEvent) {
        let of = Reported::Reference { carrier: "text".into(), reference: reference.into() };
        let reports = vec![MessageReport { of, event }];
        self.apply(Command::Message(MessageCommand::Reports(reports)));
    }

    fn status(&self, message: MessageId) -> MessageStatus {
        self.state.message(message).expect("it is in the state").status
    }
}
