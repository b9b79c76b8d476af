//! Calls that carriers offer: who may call in, what is offered, and what becomes of it.

use busyhour_base::{AccountSid, CallSid, CallSpec, Reason, refusal};
use ipnet::IpNet;

use crate::{FieldError, Secret, attempt, reason, v1};

/// A carrier that calls in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InboundTrunk {
    /// Its name in the declaration.
    pub carrier: String,
    /// Where its calls come from.
    pub networks: Vec<IpNet>,
    /// The user that must answer our digest challenge; `None` if the address is enough.
    pub username: Option<String>,
    /// Of that user.
    pub password: Secret,
    /// Names of RTP payload formats in order of preference, such as `PCMU`, `PCMA`.
    pub codecs: Vec<String>,
}

/// Answer one offered call, once.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AnswerOrder {
    /// Which offer of the agent's.
    pub offer: u64,
    /// The call's number.
    pub call: u64,
    /// Always 1: an inbound call is not tried again.
    pub attempt: u16,
    /// Under which fence; refused if the agent has stored a higher one.
    pub fence: u64,
    /// Public id of the call.
    pub call_sid: CallSid,
    /// Whose number was called.
    pub account: AccountSid,
    /// Signs that tenant's webhooks.
    pub auth_token: Secret,
    /// Which carrier offered it.
    pub carrier: String,
    /// How its number's application wants it treated.
    pub spec: CallSpec,
}

/// An offered call is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// Why.
    pub reason: Reason,
    /// What the carrier is told.
    pub sip_code: u16,
    /// With 503: when it may try again, in seconds; 0 for no word on that.
    pub retry_after_s: u32,
}

impl Refusal {
    /// What a carrier is told for a reason.
    pub const fn of(reason: Reason) -> Self {
        let (sip_code, retry_after_s) = refusal(reason);
        Self { reason, sip_code, retry_after_s }
    }

    /// As it travels.
    pub fn message(&self, offer: u64) -> v1::Refuse {
        v1::Refuse {
            offer,
            reason: self.reason.code().to_owned(),
            sip_code: self.sip_code.into(),
            retry_after_s: self.retry_after_s,
        }
    }
}

impl TryFrom<&v1::Refuse> for Refusal {
    type Error = FieldError;

    fn try_from(refuse: &v1::Refuse) -> Result<Self, FieldError> {
        let code = u16::try_from(refuse.sip_code).ok().filter(|code| (400..700).contains(code));
        let wrong = || FieldError::new("sip_code", refuse.sip_code, "a failure from 400 to 699");
        Ok(Self {
            reason: reason("reason", &refuse.reason)?,
            sip_code: code.ok_or_else(wrong)?,
            retry_after_s: refuse.retry_after_s,
        })
    }
}

impl From<&InboundTrunk> for v1::InboundTrunk {
    fn from(trunk: &InboundTrunk) -> Self {
        Self {
            carrier: trunk.carrier.clone(),
            networks: trunk.networks.iter().map(ToString::to_string).collect(),
            username: trunk.username.clone().unwrap_or_default(),
            password: trunk.password.expose().to_owned(),
            codecs: trunk.codecs.join(","),
        }
    }
}

impl TryFrom<v1::InboundTrunk> for InboundTrunk {
    type Error = FieldError;

    fn try_from(trunk: v1::InboundTrunk) -> Result<Self, FieldError> {
        let networks = trunk.networks.iter().map(|text| {
            let wrong = |_| FieldError::new("networks", text, "a network such as 192.0.2.0/24");
            text.parse().map_err(wrong)
        });
        Ok(Self {
            networks: networks.collect::<Result<_, FieldError>>()?,
            carrier: trunk.carrier,
            username: Some(trunk.username).filter(|name| !name.is_empty()),
            password: Secret::new(trunk.password),
            codecs: trunk.codecs.split(',').map(str::to_owned).collect(),
        })
    }
}

impl From<&AnswerOrder> for v1::Answer {
    fn from(order: &AnswerOrder) -> Self {
        Self {
            offer: order.offer,
            call: order.call,
            attempt: order.attempt.into(),
            fence: order.fence,
            call_sid: order.call_sid.to_string(),
            account: Some(v1::Account {
                sid: order.account.to_string(),
                auth_token: order.auth_token.expose().to_owned(),
            }),
            carrier: order.carrier.clone(),
            spec: Some((&order.spec).into()),
        }
    }
}

impl TryFrom<v1::Answer> for AnswerOrder {
    type Error = FieldError;

    fn try_from(answer: v1::Answer) -> Result<Self, FieldError> {
        let account = answer.account.ok_or_else(|| FieldError::missing("account", "an account"))?;
        let spec = answer.spec.ok_or_else(|| FieldError::missing("spec", "a call's request"))?;
        Ok(Self {
            offer: answer.offer,
            call: answer.call,
            attempt: attempt("attempt", answer.attempt)?,
            fence: answer.fence,
            call_sid: answer.call_sid.parse().map_err(|_| {
                FieldError::new("call_sid", &answer.call_sid, "CA followed by 32 hex digits")
            })?,
            account: account.sid.parse().map_err(|_| {
                FieldError::new("account.sid", &account.sid, "AC followed by 32 hex digits")
            })?,
            auth_token: Secret::new(account.auth_token),
            carrier: answer.carrier,
            spec: spec.try_into().map_err(|e: FieldError| e.within("spec"))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use busyhour_base::{Direction, Instructions, Span, StatusEvents};

    use super::*;

    fn order() -> AnswerOrder {
        AnswerOrder {
            offer: 4,
            call: 7,
            attempt: 1,
            fence: 3,
            call_sid: CallSid(9),
            account: AccountSid(1),
            auth_token: Secret::new("open-sesame"),
            carrier: "north".to_owned(),
            spec: CallSpec {
                to: "+4930".to_owned(),
                from: "+4989".to_owned(),
                instructions: Instructions::Document("<Response/>".to_owned()),
                fallback: None,
                status_callback: None,
                status_events: StatusEvents::default(),
                send_digits: None,
                ring_timeout: Span::from_secs(20),
                time_limit: Span::from_secs(60),
                direction: Direction::Inbound,
            },
        }
    }

    fn trunk() -> InboundTrunk {
        InboundTrunk {
            carrier: "north".to_owned(),
            networks: vec!["192.0.2.0/24".parse().unwrap(), "2001:db8::/32".parse().unwrap()],
            username: Some("north".to_owned()),
            password: Secret::new("hunter2"),
            codecs: vec!["PCMU".to_owned()],
        }
    }

    #[test]
    fn there_and_back() {
        assert_eq!(AnswerOrder::try_from(v1::Answer::from(&order())), Ok(order()));
        assert_eq!(InboundTrunk::try_from(v1::InboundTrunk::from(&trunk())), Ok(trunk()));
        for reason in Reason::ALL {
            let refusal = Refusal::of(*reason);
            assert_eq!(Refusal::try_from(&refusal.message(3)), Ok(refusal));
            assert_eq!(refusal.retry_after_s > 0, refusal.sip_code == 503, "{reason}");
        }
    }

    #[test]
    fn a_refusal_names_the_field() {
        let answer = v1::Answer::from(&order());
        let bad = [
            v1::Answer { attempt: 0, ..answer.clone() },
            v1::Answer { call_sid: "CA1".to_owned(), ..answer.clone() },
            v1::Answer { account: None, ..answer.clone() },
            v1::Answer { spec: Some(v1::CallSpec::default()), ..answer },
        ];
        for (answer, field) in
            bad.into_iter().zip(["attempt", "call_sid", "account", "spec.instructions"])
        {
            assert_eq!(AnswerOrder::try_from(answer).unwrap_err().field, field);
        }
        let trunk = v1::InboundTrunk { networks: vec!["here".to_owned()], ..Default::default() };
        assert_eq!(InboundTrunk::try_from(trunk).unwrap_err().field, "networks");
        let refuse = v1::Refuse { sip_code: 200, reason: "busy".to_owned(), ..Default::default() };
        assert_eq!(Refusal::try_from(&refuse).unwrap_err().field, "sip_code");
    }

    #[test]
    fn no_secret_is_shown_by_debug() {
        let shown = format!(
            "{:?} {:?} {:?} {:?}",
            order(),
            v1::Answer::from(&order()),
            trunk(),
            v1::InboundTrunk::from(&trunk())
        );
        for secret in ["open-sesame", "hunter2"] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
}
