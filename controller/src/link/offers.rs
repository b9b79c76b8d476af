//! What carriers offer by way of an agent: who is called is looked up, the rest is the state machine's affair.

use std::sync::Arc;

use busyhour_base::Reason;
use busyhour_controller_core::{
    command::Offer,
    effect::{Answer, Reply, Ringing},
    spec::AgentIx,
};
use busyhour_protocol::{
    AnswerOrder, FieldError, Refusal,
    v1::{self, to_agent::Message},
};

use crate::declared::DialBook;

/// Offers of one connection that wait while earlier ones become durable; further ones are refused. Their callers hear
/// ringing meanwhile.
const WAITING_MAX: usize = 1_024;

/// Longest name of a party that is kept.
const PARTY_MAX: usize = 256;

/// Offers of one connection in their order.
#[derive(Default)]
pub(super) struct Offers {
    waiting: Vec<Offer>,
}

impl Offers {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Takes an offer in, or refuses it at once.
    pub(super) fn take_in(
        &mut self,
        agent: AgentIx,
        incarnation: u64,
        offer: v1::Offer,
        book: &DialBook,
    ) -> Result<Result<(), Message>, FieldError> {
        if offer.offer == 0 {
            return Err(FieldError::new("offer.offer", 0, "a number from 1"));
        }
        if let Some(party) = [&offer.to, &offer.from].into_iter().find(|p| p.len() > PARTY_MAX) {
            return Err(FieldError::new("offer.to", party.len(), "at most 256 bytes"));
        }
        let Some((to, answering)) = book.answering(&offer.to) else {
            tracing::info!(to = offer.to, carrier = offer.carrier, "a call to an unknown number");
            return Ok(Err(refuse(offer.offer, Reason::UnknownNumber)));
        };
        if self.waiting.len() >= WAITING_MAX {
            return Ok(Err(refuse(offer.offer, Reason::TooLarge)));
        }
        self.waiting.push(Offer {
            agent,
            incarnation,
            offer: offer.offer,
            carrier: Arc::from(offer.carrier),
            account: answering.account,
            spec: Arc::new(answering.call(to, offer.from)),
        });
        Ok(Ok(()))
    }

    /// Everything that waits.
    pub(super) fn next_batch(&mut self) -> Vec<Offer> {
        std::mem::take(&mut self.waiting)
    }
}

/// What the agent is told of offers that were not taken in. Of the others, effects tell.
pub(super) fn refusals(offers: &[Offer], reply: &Reply) -> Vec<Message> {
    let Reply::Offered(verdicts) = reply else { return Vec::new() };
    let refused = offers.iter().zip(verdicts).filter_map(|(offer, verdict)| {
        let reason = verdict.as_ref().err()?;
        Some(refuse(offer.offer, *reason))
    });
    refused.collect()
}

/// An offered call is refused.
pub(crate) fn refuse(offer: u64, reason: Reason) -> Message {
    metrics::counter!(crate::metric_definitions::OFFERS_REFUSED, "reason" => reason.code())
        .increment(1);
    Message::Refuse(Refusal::of(reason).message(offer))
}

/// An offered call waits for capacity.
pub(crate) fn ring(ringing: &Ringing) -> Message {
    Message::Ring(v1::Ring {
        offer: ringing.offer,
        call: ringing.call.0,
        attempt: ringing.attempt.into(),
        fence: ringing.fence,
    })
}

/// An offered call may be answered. `Err` says what that needs and is not declared (any more).
pub(crate) fn answer(
    answer: &Answer,
    key: busyhour_base::SidKey,
    book: &DialBook,
) -> Result<Message, Reason> {
    let auth_token = book.tokens.get(&answer.account).ok_or(Reason::UnknownTenant)?;
    Ok(Message::Answer(v1::Answer::from(&AnswerOrder {
        offer: answer.offer,
        call: answer.call.0,
        attempt: answer.attempt,
        fence: answer.fence,
        call_sid: key.call(answer.call.0),
        account: answer.account,
        auth_token: auth_token.clone(),
        carrier: answer.carrier.to_string(),
        spec: (*answer.spec).clone(),
    })))
}

/// Who may call in.
pub(crate) fn trunks(book: &DialBook) -> Message {
    Message::Trunks(v1::Trunks { trunks: book.callers.iter().map(Into::into).collect() })
}
