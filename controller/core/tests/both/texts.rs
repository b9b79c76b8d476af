//! What a history does with messages.

use std::sync::Arc;

use busyhour_base::{Body, Direction, MessageEvent, MessageSpec, Reason, Span};
use busyhour_controller_core::{
    command::Command,
    message::{Cancel, MessageCommand, MessageReport, NewMessage, Reported, SubmitMessages},
    spec::Urgency,
};

use super::{Both, pick};
use crate::{
    model::declared::{number, other_number},
    support::account,
};

impl Both {
    pub(super) fn texts(&mut self, tenant: u128, count: usize, of: u8, begins: u16, lasts: u16) {
        let now = self.machine.now;
        let from = if of.is_multiple_of(2) { number(tenant) } else { other_number(tenant) };
        let spec = MessageSpec {
            to: "+1777".into(),
            from: from.to_string(),
            direction: Direction::OutboundApi,
            status_callback: None,
        };
        let segments = tenant as usize;
        let text = "x".repeat(1 + (segments - 1) * 153 + usize::from(segments == 2) * 10);
        let new = NewMessage {
            spec: Arc::new(spec),
            body: 0,
            not_before: (begins > 20).then(|| now + Span(u64::from(begins - 20) * 1_000_003)),
            expires: (lasts > 40).then(|| now + Span(u64::from(lasts - 40) * 1_000_033)),
            urgency: if of > 200 { Urgency::Synchronous } else { Urgency::Ordinary },
        };
        self.apply(Command::Message(MessageCommand::Submit(SubmitMessages {
            account: account(tenant),
            idempotency: None,
            bodies: vec![Body::from(text)],
            messages: vec![new; count],
        })));
    }

    pub(super) fn cancel_texts(&mut self, which: usize, how: u8) {
        let Some((one, tenant)) = pick(&self.model.texts.waiting(), which) else { return };
        let which = match how {
            0 => Cancel::Waiting { from: Some(number(tenant)), to: None },
            _ => Cancel::One(one),
        };
        let account = account(tenant);
        self.apply(Command::Message(MessageCommand::Cancel { account, which }));
    }

    pub(super) fn answer(&mut self, which: usize, how: u8) {
        let Some((message, attempt)) = pick(&self.model.texts.sending(), which) else { return };
        assert_eq!(self.sent[&message], attempt, "attempts of {message:?} are counted alike");
        let event = match how {
            0 => MessageEvent::NotSent(Reason::LinkLost),
            1 => MessageEvent::Refused(Reason::CarrierFailure),
            _ => MessageEvent::Accepted(format!("{}-{attempt}", message.0).into()),
        };
        let of = Reported::Attempt { message, attempt };
        self.apply(Command::Message(MessageCommand::Reports(vec![MessageReport { of, event }])));
    }
}
