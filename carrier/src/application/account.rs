//! What the application server was told, per call, in bounded memory.

use std::collections::{HashMap, VecDeque};

use serde::{Deserialize, Serialize};

/// Everything that an application server was told.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ApplicationAccount {
    /// Requests with the right signature.
    pub verified: u64,
    /// Requests with a wrong one, or none; they got 403.
    pub failed: u64,
    /// Calls forgotten, since the bound was reached.
    pub forgotten: u64,
    /// By call, oldest first.
    pub calls: Vec<CallParameters>,
}

/// What was told about one call.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CallParameters {
    /// `CallSid`.
    pub call_sid: String,
    /// `AccountSid` of the first request.
    pub account_sid: String,
    /// `To` of the first request.
    pub to: String,
    /// All keys gathered, in the order of their requests.
    pub digits: Vec<String>,
    /// `CallStatus` of every request whose status differs from the one before.
    pub statuses: Vec<String>,
    /// Requests, at most 32.
    pub exchanges: Vec<Exchange>,
}

/// One request.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Exchange {
    /// Path that was asked, with its query.
    pub path: String,
    /// The signature that it carried, for judging it again with an official validator.
    pub signature: String,
    /// Its parameters, at most 64, form first.
    pub parameters: Vec<(String, String)>,
}

/// Exchanges and digits kept of one call.
const MAX_EXCHANGES: usize = 32;

/// Parameters kept of one exchange.
const MAX_PARAMETERS: usize = 64;

#[derive(Debug)]
pub(super) struct Keeper {
    max_calls: usize,
    verified: u64,
    failed: u64,
    forgotten: u64,
    order: VecDeque<String>,
    calls: HashMap<String, CallParameters>,
}

impl Keeper {
    pub(super) fn new(max_calls: usize) -> Self {
        Self {
            max_calls: max_calls.max(1),
            verified: 0,
            failed: 0,
            forgotten: 0,
            order: VecDeque::new(),
            calls: HashMap::new(),
        }
    }

    /// A request. Only what is signed is kept: anybody can send the rest.
    pub(super) fn note<'a>(
        &mut self,
        is_signed: bool,
        path: &str,
        signature: &str,
        parameters: impl Iterator<Item = &'a (String, String)>,
    ) {
        if !is_signed {
            self.failed += 1;
            return;
        }
        self.verified += 1;
        let parameters: Vec<(String, String)> = parameters.take(MAX_PARAMETERS).cloned().collect();
        let Some(call) = self.call(&parameters) else {
            return;
        };
        let find = |wanted: &str| {
            parameters.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.clone())
        };
        if call.exchanges.is_empty() {
            call.account_sid = find("AccountSid").unwrap_or_default();
            call.to = find("To").unwrap_or_default();
        }
        if call.exchanges.len() == MAX_EXCHANGES {
            return;
        }
        call.digits.extend(find("Digits"));
        if let Some(status) = find("CallStatus")
            && call.statuses.last() != Some(&status)
        {
            call.statuses.push(status);
        }
        call.exchanges.push(Exchange {
            path: path.to_owned(),
            signature: signature.to_owned(),
            parameters,
        });
    }

    fn call(&mut self, parameters: &[(String, String)]) -> Option<&mut CallParameters> {
        let (_, sid) = parameters.iter().find(|(name, _)| name == "CallSid")?;
        if !self.calls.contains_key(sid) {
            if self.order.len() == self.max_calls
                && let Some(oldest) = self.order.pop_front()
            {
                self.calls.remove(&oldest);
                self.forgotten += 1;
            }
            self.order.push_back(sid.clone());
            self.calls.insert(
                sid.clone(),
                CallParameters {
                    call_sid: sid.clone(),
                    account_sid: String::new(),
                    to: String::new(),
                    digits: Vec::new(),
                    statuses: Vec::new(),
                    exchanges: Vec::new(),
                },
            );
        }
        self.calls.get_mut(sid)
    }

    pub(super) fn account(&self) -> ApplicationAccount {
        ApplicationAccount {
            verified: self.verified,
            failed: self.failed,
            forgotten: self.forgotten,
            calls: self.order.iter().filter_map(|sid| self.calls.get(sid).cloned()).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(keeper: &mut Keeper, sid: &str, extra: &[(&str, &str)]) {
        let mut parameters = vec![("CallSid".to_owned(), sid.to_owned())];
        parameters
            .extend(extra.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        keeper.note(true, "/answer.xml", "c2ln", parameters.iter());
    }

    #[test]
    fn digits_and_statuses_are_kept_in_order() {
        let mut keeper = Keeper::new(10);
        told(&mut keeper, "CA1", &[("CallStatus", "in-progress"), ("AccountSid", "AC1")]);
        told(&mut keeper, "CA1", &[("CallStatus", "in-progress"), ("Digits", "42")]);
        told(&mut keeper, "CA1", &[("CallStatus", "completed")]);
        let call = &keeper.account().calls[0];
        assert_eq!(call.account_sid, "AC1");
        assert_eq!(call.digits, ["42"]);
        assert_eq!(call.statuses, ["in-progress", "completed"]);
        assert_eq!(call.exchanges.len(), 3);
    }

    #[test]
    fn memory_is_bounded_and_strangers_take_none() {
        let mut keeper = Keeper::new(2);
        for sid in ["CA1", "CA2", "CA3"] {
            for _ in 0..100 {
                told(&mut keeper, sid, &[("Digits", "1")]);
            }
        }
        keeper.note(false, "/x", "", [("CallSid".to_owned(), "CA4".to_owned())].iter());
        let account = keeper.account();
        assert_eq!((account.verified, account.failed, account.forgotten), (300, 1, 1));
        assert_eq!(account.calls.len(), 2);
        assert!(account.calls.iter().all(|call| call.exchanges.len() == MAX_EXCHANGES));
    }
}
