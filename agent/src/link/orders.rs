//! What the controller orders, checked and handed on.

use std::{sync::Arc, time::Instant};

use busyhour_agent_core::{
    leg::{Request, given_up},
    webhook::{sign::Key, template},
};
use busyhour_base::{
    AccountSid, CallEvent, CallSid, CallSpec, Ending, Instructions, MessageSid, Outcome, Reason,
    Span, Webhook,
};
use busyhour_protocol::{
    AnswerOrder, DialOrder, FieldError, InboundTrunk, Refusal, Transit, v1, v1::to_agent::Message,
};

use super::{asks, session::LinkError, tells};
use crate::{
    call::{self, CallCommand, Word},
    metric_definitions as metric,
    node::Node,
};

/// Carries out one message. An order that breaks a rule of the protocol is refused and the link goes on.
pub async fn take(
    node: &Arc<Node>,
    message: Message,
    timing: &mut Timing,
) -> Result<(), LinkError> {
    match message {
        Message::Welcome(welcome) => {
            node.allow_networks(&welcome.allowed_networks);
        }
        Message::Clock(clock) => {
            timing.sent(clock.sent_at_us);
        }
        Message::Dial(dial) => take_dial(node, dial, timing).await?,
        Message::HangUp(order) => {
            let reason = Reason::from_code(&order.reason).unwrap_or(Reason::CanceledByTenant);
            command(node, order.fence, order.call, order.attempt, CallCommand::HangUp(reason));
        }
        Message::Redirect(order) => match instructions(order.instructions) {
            Ok(instructions) => {
                let redirect = CallCommand::Redirect(instructions);
                command(node, order.fence, order.call, order.attempt, redirect);
            }
            Err(error) => tracing::error!(call = order.call, %error, "redirect refused"),
        },
        Message::Ack(ack) => {
            node.reports.acknowledge(ack.seq);
            node.forget(&ack.forget);
        }
        Message::Trunks(trunks) => let_in(node, trunks),
        Message::Ring(ring) => match u16::try_from(ring.attempt) {
            // A caller who is gone has been waiting for this word.
            Ok(attempt) => {
                node.offers.tell(ring.offer, Word::Ring { call: ring.call, attempt });
            }
            Err(_) => tracing::error!(call = ring.call, "order to let ring refused"),
        },
        Message::Answer(answer) => take_answer(node, answer).await?,
        Message::Refuse(refuse) => match Refusal::try_from(&refuse) {
            Ok(refusal) => {
                node.offers.tell(refuse.offer, Word::Refuse(refusal));
            }
            Err(error) => tracing::error!(%error, "order to refuse refused"),
        },
        Message::Callback(callback) => {
            if let Err(error) = take_callback(node, callback) {
                tracing::error!(%error, "status callback refused");
            }
        }
        Message::Tell(order) => {
            if let Err(error) = tells::tell(node, order) {
                tracing::error!(%error, "webhook to be told refused");
            }
        }
        Message::Ask(order) => asks::ask(node, order),
        Message::MessageNotice(notice) => {
            if let Err(error) = take_message_notice(node, notice) {
                tracing::error!(%error, "status callback of a message refused");
            }
        }
    }
    Ok(())
}

/// When the messages of one connection were sent, on our clock.
pub struct Timing {
    began: Instant,
    transit: Transit,
}

impl Timing {
    /// Of a connection that begins now.
    pub fn start() -> Self {
        Self { began: Instant::now(), transit: Transit::default() }
    }

    /// When a message that is here now was sent, on our clock and but for what the quickest needs: what held an order up on its
    /// way makes it neither later nor valid for longer. Every second the controller's clock comes too, so that there is always
    /// something to compare an order with.
    fn sent(&mut self, sent_at_us: u64) -> Instant {
        let now = Instant::now();
        let received = Span::from(now - self.began);
        let delay = self.transit.delay(Span::from_micros(sent_at_us), received);
        now.checked_sub(delay.into()).unwrap_or(now)
    }
}

async fn take_dial(node: &Arc<Node>, dial: v1::Dial, timing: &mut Timing) -> Result<(), LinkError> {
    let ordered = timing.sent(dial.sent_at_us);
    let (call, attempt) = (dial.call, dial.attempt);
    let order = match DialOrder::try_from(dial) {
        Ok(order) => order,
        Err(error) => {
            // Sent again it would be refused again, so this ends the call.
            tracing::error!(call, %error, "order to dial refused");
            let failed = CallEvent::Ended(never_dialled());
            if let Ok(attempt) = u16::try_from(attempt) {
                node.reports.push(call, attempt, &failed);
            }
            metric::order("malformed");
            return Ok(());
        }
    };
    if order.fence > node.journal.fence() {
        node.journal.store_fence(order.fence).await?;
    }
    call::admit(node, order, ordered);
    Ok(())
}

/// Carriers that call in from now on. What cannot be read lets nobody in.
fn let_in(node: &Node, trunks: v1::Trunks) {
    let read = trunks.trunks.into_iter().filter_map(|trunk| {
        let carrier = trunk.carrier.clone();
        let refused = |error: &FieldError| tracing::error!(carrier, %error, "trunk refused");
        InboundTrunk::try_from(trunk).inspect_err(refused).ok()
    });
    node.sip.let_in(read.collect());
}

async fn take_answer(node: &Arc<Node>, answer: v1::Answer) -> Result<(), LinkError> {
    let (offer, call, attempt) = (answer.offer, answer.call, answer.attempt);
    let ended = |ending: Ending| {
        if let Ok(attempt) = u16::try_from(attempt) {
            node.reports.push(call, attempt, &CallEvent::Ended(ending));
        }
    };
    let order = match AnswerOrder::try_from(answer) {
        Ok(order) => order,
        Err(error) => {
            tracing::error!(call, %error, "order to answer refused");
            metric::order("malformed");
            let refusal = Refusal::of(Reason::WrongState);
            node.offers.tell(offer, Word::Refuse(refusal));
            ended(never_dialled());
            return Ok(());
        }
    };
    if order.fence > node.journal.fence() {
        node.journal.store_fence(order.fence).await?;
    }
    if !node.offers.tell(offer, Word::Answer(Box::new(order))) {
        ended(given_up(Span::ZERO));
    }
    Ok(())
}

/// The end of a call whose order could not be read: nothing was sent, and nothing ever will be.
fn never_dialled() -> Ending {
    Ending {
        outcome: Outcome::Failed,
        reason: Reason::Rejected,
        sip_code: 0,
        ring: Span::ZERO,
        talk: Span::ZERO,
        digits: String::new(),
        confirmed: true,
    }
}

fn instructions(instructions: Option<v1::Instructions>) -> Result<Instructions, FieldError> {
    let missing = || FieldError::missing("redirect.instructions", "a URL or a document");
    instructions.ok_or_else(missing)?.try_into()
}

/// Hands an order to a call. A call that is over has reported so, which is the answer.
fn command(node: &Arc<Node>, fence: u64, call: u64, attempt: u32, command: CallCommand) {
    if fence < node.journal.fence() {
        tracing::warn!(call, fence, "order under an old fence ignored");
        return;
    }
    if let Ok(attempt) = u16::try_from(attempt) {
        node.calls.command(call, attempt, command);
    }
}

/// A call that no agent ever held has ended; its tenant is told.
fn take_callback(node: &Arc<Node>, callback: v1::Callback) -> Result<(), FieldError> {
    let account = callback.account.ok_or_else(|| FieldError::missing("account", "an account"))?;
    let spec = callback.spec.ok_or_else(|| FieldError::missing("spec", "a call's request"))?;
    let spec = CallSpec::try_from(spec)?;
    let wrong = |field, value: &str, expected| FieldError::new(field, value, expected);
    let call_sid: CallSid = callback
        .call_sid
        .parse()
        .map_err(|_| wrong("call_sid", &callback.call_sid, "CA followed by 32 hex digits"))?;
    let account_sid: AccountSid = account
        .sid
        .parse()
        .map_err(|_| wrong("account.sid", &account.sid, "AC followed by 32 hex digits"))?;
    let outcome = busyhour_protocol::outcome("outcome", &callback.outcome)?;
    node.tell_outcome(call_sid, account_sid, &spec, outcome, Key::new(account.auth_token));
    Ok(())
}

/// A message has another status; its tenant is told.
fn take_message_notice(node: &Arc<Node>, notice: v1::MessageNotice) -> Result<(), FieldError> {
    let account = notice.account.ok_or_else(|| FieldError::missing("account", "an account"))?;
    let hook = notice.hook.ok_or_else(|| FieldError::missing("hook", "a webhook"))?;
    let hook = Webhook::try_from(hook)?;
    let sid: MessageSid = notice.message_sid.parse().map_err(|_| {
        FieldError::new("message_sid", &notice.message_sid, "SM followed by 32 hex digits")
    })?;
    let params: Vec<_> =
        notice.parameters.into_iter().map(|parameter| (parameter.name, parameter.value)).collect();
    let request = Request { url: template::fill(&hook.url, &params), method: hook.method, params };
    node.callbacks.send(sid.into(), request, Key::new(account.auth_token));
    Ok(())
}
