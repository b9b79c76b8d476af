//! The parameters that every request to an application server carries, so that it needs no memory (SP-2).

use busyhour_base::{AccountSid, CallSid};

use crate::leg::Order;

/// Version of the interface, as its paths and `ApiVersion` have it.
pub const API_VERSION: &str = "2010-04-01";

/// Who calls whom, on whose behalf: the same for a whole call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Base {
    /// Public id of the call.
    pub call_sid: CallSid,
    /// Public id of its tenant.
    pub account_sid: AccountSid,
    /// Calling party.
    pub from: String,
    /// Called party.
    pub to: String,
    /// `outbound-api`, `inbound` or `outbound-dial`.
    pub direction: &'static str,
}

impl Base {
    /// Those of a call.
    pub fn of(order: &Order) -> Self {
        Self {
            call_sid: order.call_sid,
            account_sid: order.account_sid,
            from: order.spec.from.clone(),
            to: order.spec.to.clone(),
            direction: order.spec.direction.as_str(),
        }
    }

    /// The base parameters with the call's present status, in the order in which they are sent.
    /// `ForwardedFrom`, `CallerName` and `ParentCallSid` are left out where there are none, as for every
    /// call that the API placed.
    pub fn params(&self, status: &str) -> Vec<(String, String)> {
        [
            ("CallSid", self.call_sid.to_string()),
            ("AccountSid", self.account_sid.to_string()),
            ("From", self.from.clone()),
            ("To", self.to.clone()),
            ("CallStatus", status.to_owned()),
            ("ApiVersion", API_VERSION.to_owned()),
            ("Direction", self.direction.to_owned()),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into()
    }
}
