//! An order to dial, complete with the secrets that the agent needs for it.

use busyhour_base::{AccountSid, CallSid, CallSpec, Span};

use crate::{FieldError, Secret, v1};

/// Dial one call, once.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DialOrder {
    /// Its number.
    pub call: u64,
    /// Which attempt, from 1.
    pub attempt: u16,
    /// Under which fence; refused if the agent has stored a higher one.
    pub fence: u64,
    /// When it was sent, on a clock of the controller's that nobody sets. See [`Transit`](crate::Transit).
    pub sent_at: Span,
    /// When the INVITE is due, counted from when the order was sent.
    pub due_in: Span,
    /// After this time from when the order was sent it must no longer be carried out.
    pub valid_for: Span,
    /// Public id of the call.
    pub call_sid: CallSid,
    /// Whose call.
    pub account: AccountSid,
    /// Signs that tenant's webhooks.
    pub auth_token: Secret,
    /// Over which trunk.
    pub trunk: Trunk,
    /// What was asked.
    pub spec: CallSpec,
}

/// How a carrier is reached.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Trunk {
    /// Name of the carrier in the declaration.
    pub carrier: String,
    /// `host:port`.
    pub address: String,
    /// For digest authentication; `None` if the carrier knows us by address.
    pub username: Option<String>,
    /// For digest authentication.
    pub password: Secret,
    /// Names of RTP payload formats in order of preference, such as `PCMU`, `PCMA`.
    pub codecs: Vec<String>,
}

/// An attempt's number as it travels; `field` names it in the error.
pub fn attempt(field: &str, attempt: u32) -> Result<u16, FieldError> {
    u16::try_from(attempt)
        .ok()
        .filter(|attempt| *attempt > 0)
        .ok_or_else(|| FieldError::new(field, attempt, "an attempt from 1 to 65535"))
}

impl From<&DialOrder> for v1::Dial {
    fn from(order: &DialOrder) -> Self {
        Self {
            call: order.call,
            attempt: order.attempt.into(),
            fence: order.fence,
            sent_at_us: order.sent_at.as_micros(),
            due_in_us: order.due_in.as_micros(),
            valid_for_us: order.valid_for.as_micros(),
            call_sid: order.call_sid.to_string(),
            account: Some(v1::Account {
                sid: order.account.to_string(),
                auth_token: order.auth_token.expose().to_owned(),
            }),
            trunk: Some((&order.trunk).into()),
            spec: Some((&order.spec).into()),
        }
    }
}

impl TryFrom<v1::Dial> for DialOrder {
    type Error = FieldError;

    fn try_from(dial: v1::Dial) -> Result<Self, FieldError> {
        let account = dial.account.ok_or_else(|| FieldError::missing("account", "an account"))?;
        let trunk = dial.trunk.ok_or_else(|| FieldError::missing("trunk", "a trunk"))?;
        let spec = dial.spec.ok_or_else(|| FieldError::missing("spec", "a call's request"))?;
        Ok(Self {
            call: dial.call,
            attempt: attempt("attempt", dial.attempt)?,
            fence: dial.fence,
            sent_at: Span::from_micros(dial.sent_at_us),
            due_in: Span::from_micros(dial.due_in_us),
            valid_for: Span::from_micros(dial.valid_for_us),
            call_sid: dial.call_sid.parse().map_err(|_| {
                FieldError::new("call_sid", &dial.call_sid, "CA followed by 32 hex digits")
            })?,
            account: account.sid.parse().map_err(|_| {
                FieldError::new("account.sid", &account.sid, "AC followed by 32 hex digits")
            })?,
            auth_token: Secret::new(account.auth_token),
            trunk: trunk.try_into().map_err(|e: FieldError| e.within("trunk"))?,
            spec: spec.try_into().map_err(|e: FieldError| e.within("spec"))?,
        })
    }
}

impl From<&Trunk> for v1::Trunk {
    fn from(trunk: &Trunk) -> Self {
        Self {
            carrier: trunk.carrier.clone(),
            address: trunk.address.clone(),
            username: trunk.username.clone().unwrap_or_default(),
            password: trunk.password.expose().to_owned(),
            codecs: trunk.codecs.join(","),
        }
    }
}

impl TryFrom<v1::Trunk> for Trunk {
    type Error = FieldError;

    fn try_from(trunk: v1::Trunk) -> Result<Self, FieldError> {
        if trunk.address.is_empty() {
            return Err(FieldError::missing("address", "host:port"));
        }
        if trunk.codecs.is_empty() {
            return Err(FieldError::missing("codecs", "a list such as PCMU,PCMA"));
        }
        Ok(Self {
            carrier: trunk.carrier,
            address: trunk.address,
            username: Some(trunk.username).filter(|name| !name.is_empty()),
            password: Secret::new(trunk.password),
            codecs: trunk.codecs.split(',').map(str::to_owned).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use busyhour_base::{Direction, Instructions, StatusEvents};

    use super::*;

    fn order() -> DialOrder {
        DialOrder {
            call: 7,
            attempt: 1,
            fence: 3,
            sent_at: Span(77_000),
            due_in: Span(1_500),
            valid_for: Span::from_secs(2),
            call_sid: CallSid(9),
            account: AccountSid(1),
            auth_token: Secret::new("open-sesame"),
            trunk: Trunk {
                carrier: "north".to_owned(),
                address: "127.0.0.1:5060".to_owned(),
                username: Some("busyhour".to_owned()),
                password: Secret::new("hunter2"),
                codecs: vec!["PCMU".to_owned(), "PCMA".to_owned()],
            },
            spec: CallSpec {
                to: "+4930".to_owned(),
                from: "+4989".to_owned(),
                instructions: Instructions::Document("<Response/>".to_owned()),
                fallback: None,
                status_callback: None,
                status_events: StatusEvents::default(),
                send_digits: None,
                ring_timeout: Span::from_secs(60),
                time_limit: Span::from_secs(60),
                direction: Direction::OutboundApi,
            },
        }
    }

    #[test]
    fn there_and_back() {
        assert_eq!(DialOrder::try_from(v1::Dial::from(&order())), Ok(order()));
    }

    #[test]
    fn a_refusal_names_the_field() {
        let dial = v1::Dial::from(&order());
        let bad = [
            v1::Dial { attempt: 0, ..dial.clone() },
            v1::Dial { attempt: 65_536, ..dial.clone() },
            v1::Dial { call_sid: "CA1".to_owned(), ..dial.clone() },
            v1::Dial { account: None, ..dial.clone() },
            v1::Dial { trunk: Some(v1::Trunk::default()), ..dial.clone() },
            v1::Dial { spec: Some(v1::CallSpec::default()), ..dial },
        ];
        let fields =
            ["attempt", "attempt", "call_sid", "account", "trunk.address", "spec.instructions"];
        for (dial, field) in bad.into_iter().zip(fields) {
            assert_eq!(DialOrder::try_from(dial).unwrap_err().field, field);
        }
    }

    #[test]
    fn no_secret_is_shown_by_debug() {
        let hello = v1::Hello { token: "swordfish".to_owned(), ..Default::default() };
        let shown = format!("{:?} {:?} {hello:?}", order(), v1::Dial::from(&order()));
        for secret in ["open-sesame", "hunter2", "swordfish"] {
            assert!(!shown.contains(secret), "{shown}");
        }
        assert!(shown.contains("north"));
    }
}
