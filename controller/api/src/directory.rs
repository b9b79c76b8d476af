//! Who is who, as declared: accounts with their tokens, API keys, applications and numbers.

use std::{collections::HashMap, fmt, sync::Arc};

use busyhour_base::{
    AccountSid, ApplicationSid, KeySid, NumberSid, StatusEvents, Timestamp, Webhook,
};
use subtle::ConstantTimeEq;

/// A text that is never shown.
#[derive(Clone)]
pub struct Secret(Arc<str>);

impl Secret {
    /// Keeps `text`.
    pub fn new(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    /// Whether `given` is the same text, in time that depends on the lengths alone.
    pub fn matches(&self, given: &[u8]) -> bool {
        self.0.as_bytes().ct_eq(given).into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Everything declared that the API looks things up in. Immutable: a change of the declaration makes a new one.
#[derive(Clone, Debug, Default)]
pub struct Directory {
    /// By account.
    pub accounts: HashMap<AccountSid, Account>,
    /// API keys.
    pub keys: HashMap<KeySid, ApiKey>,
    /// Applications.
    pub applications: HashMap<ApplicationSid, Application>,
    /// Numbers in E.164, and SIP addresses.
    pub numbers: HashMap<String, Number>,
}

/// A tenant as the API sees it.
#[derive(Clone, Debug)]
pub struct Account {
    /// Its name in the declaration.
    pub name: Arc<str>,
    /// Password of basic authentication.
    pub token: Secret,
    /// It may read, but nothing is accepted from it.
    pub suspended: bool,
    /// When it was first declared, if known.
    pub created: Option<Timestamp>,
    /// Beginnings of E.164 numbers, or whole SIP addresses, that it may call. Nothing else may be called
    /// (`RELIABILITY.md`, toll fraud).
    pub destinations: Vec<String>,
}

impl Account {
    /// Whether its plan allows calls to `to`.
    pub fn may_call(&self, to: &str) -> bool {
        self.destinations.iter().any(|allowed| {
            if allowed.starts_with('+') { to.starts_with(allowed.as_str()) } else { to == allowed }
        })
    }
}

/// A key that stands for an account.
#[derive(Clone, Debug)]
pub struct ApiKey {
    /// For whom.
    pub account: AccountSid,
    /// Password of basic authentication.
    pub secret: Secret,
}

/// Documents that answer calls.
#[derive(Clone, Debug)]
pub struct Application {
    /// Whose.
    pub account: AccountSid,
    /// First document.
    pub voice: Webhook,
    /// Asked when the first fails.
    pub fallback: Option<Webhook>,
    /// Told of progress, and of which.
    pub status_callback: Option<(Webhook, StatusEvents)>,
}

/// A number that calls may be placed from.
#[derive(Clone, Debug)]
pub struct Number {
    /// Whose.
    pub account: AccountSid,
    /// Its id, shown as `phone_number_sid`.
    pub sid: Option<NumberSid>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_matches_itself_alone_and_is_not_shown() {
        let secret = Secret::new("correct horse");
        assert!(secret.matches(b"correct horse"));
        assert!(!secret.matches(b"correct hors"));
        assert!(!secret.matches(b"correct horsf"));
        assert!(!format!("{secret:?}").contains("horse"));
    }

    #[test]
    fn only_declared_destinations_may_be_called() {
        let account = |destinations: &[&str]| Account {
            name: "a".into(),
            token: Secret::new("t"),
            suspended: false,
            created: None,
            destinations: destinations.iter().map(|d| (*d).to_owned()).collect(),
        };
        assert!(!account(&[]).may_call("+4930123456"));
        let limited = account(&["+49", "sip:desk@example.com"]);
        assert!(limited.may_call("+4930123456"));
        assert!(!limited.may_call("+881612345678"));
        assert!(limited.may_call("sip:desk@example.com"));
        assert!(!limited.may_call("sip:desk@example.com.evil.example"));
    }
}
