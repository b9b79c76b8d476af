//! From what the state machine wants to what an agent is told: secrets and addresses are added here.

use busyhour_base::{AccountSid, CallSpec, Instructions, Outcome, Reason, SidKey, Span, Timestamp};
use busyhour_controller_core::{effect::Dial, spec::CallId};
use busyhour_protocol::{
    DialOrder,
    v1::{self, to_agent::Message},
};

use crate::declared::DialBook;

/// How long after it is due an order to dial may still be carried out, if the agents' grace allows.
const VALID_AFTER_DUE: Span = Span::from_secs(5);

/// How long after it is due an order may still be carried out. An agent that was held up for longer gives it back. It is
/// below the agents' grace by half, so that no order outlives the verdict on its call.
pub(crate) fn valid_after_due(agent_grace: Span) -> Span {
    VALID_AFTER_DUE.min(Span(agent_grace.0 / 2))
}

/// An order to dial that is sent now, with that instant on the steady clock. `Err` says what it needs and is not declared (any more).
pub(crate) fn dial(
    dial: &Dial,
    (now, sent_at): (Timestamp, Span),
    valid_after_due: Span,
    key: SidKey,
    book: &DialBook,
) -> Result<Message, Reason> {
    let auth_token = book.tokens.get(&dial.account).ok_or(Reason::UnknownTenant)?;
    let trunk = book.trunks.get(&dial.carrier).ok_or(Reason::NoCarrier)?;
    let due_in = dial.at.since(now);
    Ok(Message::Dial(v1::Dial::from(&DialOrder {
        call: dial.call.0,
        attempt: dial.attempt,
        fence: dial.fence,
        sent_at,
        due_in,
        valid_for: due_in + valid_after_due,
        call_sid: key.call(dial.call.0),
        account: dial.account,
        auth_token: auth_token.clone(),
        trunk: trunk.clone(),
        spec: CallSpec::clone(&dial.spec),
    })))
}

/// An order to end a call. It gets its fence when it leaves ([`under`]).
pub(crate) fn hang_up(call: CallId, attempt: u16, reason: Reason) -> Message {
    Message::HangUp(v1::HangUp {
        call: call.0,
        attempt: attempt.into(),
        fence: 0,
        reason: reason.code().to_owned(),
    })
}

/// An order to go on with another document. It gets its fence when it leaves ([`under`]).
pub(crate) fn redirect(call: CallId, attempt: u16, instructions: &Instructions) -> Message {
    Message::Redirect(v1::Redirect {
        call: call.0,
        attempt: attempt.into(),
        fence: 0,
        instructions: Some(instructions.into()),
    })
}

/// An order under the fence of the connection that it leaves over. Dials keep theirs.
pub(super) fn under(fence: u64, mut message: Message) -> Message {
    match &mut message {
        Message::HangUp(order) => order.fence = fence,
        Message::Redirect(order) => order.fence = fence,
        _ => {}
    }
    message
}

/// A status callback that is owed. `None` if the tenant is not declared any more: nobody could sign it.
pub(crate) fn callback(
    call: CallId,
    account: AccountSid,
    spec: &CallSpec,
    outcome: Outcome,
    key: SidKey,
    book: &DialBook,
) -> Option<Message> {
    let token = book.tokens.get(&account)?;
    Some(Message::Callback(v1::Callback {
        call_sid: key.call(call.0).to_string(),
        account: Some(v1::Account {
            sid: account.to_string(),
            auth_token: token.expose().to_owned(),
        }),
        spec: Some(spec.into()),
        outcome: outcome.as_str().to_owned(),
    }))
}
