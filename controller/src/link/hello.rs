//! The first word of an agent: who it is, what it can hold, and whether it may come in.

use std::sync::Arc;

use busyhour_controller_core::{
    command::{AgentCommand, Known},
    spec::CallId,
};
use busyhour_protocol::{FieldError, Secret, attempt, v1};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use tonic::Status;

/// Longest name of an agent.
const NAME_MAX: usize = 63;
/// Most calls that one agent may hold at once.
const SLOTS_MAX: u32 = 100_000;
/// Most entries of a journal: calls in progress and endings that were not acknowledged yet.
const KNOWN_MAX: usize = 200_000;

/// An agent that was let in.
pub(super) struct Greeted {
    pub name: Arc<str>,
    pub incarnation: u64,
    pub slots: u32,
    pub fence: u64,
    pub known: Vec<Known>,
}

impl Greeted {
    /// What the state machine is told.
    pub(super) fn command(&self) -> AgentCommand {
        AgentCommand::Up {
            name: self.name.clone(),
            incarnation: self.incarnation,
            slots: self.slots,
            fence: self.fence,
            known: self.known.clone(),
        }
    }
}

/// Checks a first message whole, the token first: who does not know it learns nothing else.
pub(super) fn check(
    message: Option<v1::FromAgent>,
    cluster_token: &Secret,
) -> Result<Greeted, Status> {
    let Some(v1::from_agent::Message::Hello(hello)) = message.and_then(|m| m.message) else {
        return Err(Status::invalid_argument("the first message must be a hello"));
    };
    if !same(&hello.token, cluster_token.expose()) {
        return Err(Status::unauthenticated("hello.token: it is not this cluster's"));
    }
    fields(hello).map_err(|error| Status::invalid_argument(error.within("hello").to_string()))
}

/// Compares hashes, in a time that tells neither where texts differ nor how long the wanted one is.
fn same(given: &str, wanted: &str) -> bool {
    let (given, wanted) = (Sha256::digest(given), Sha256::digest(wanted));
    given.as_slice().ct_eq(wanted.as_slice()).into()
}

fn fields(hello: v1::Hello) -> Result<Greeted, FieldError> {
    let legal = |c: char| matches!(c, 'a'..='z' | '0'..='9' | '-' | '.' | '_');
    if hello.name.is_empty() || hello.name.len() > NAME_MAX || !hello.name.chars().all(legal) {
        let expected = "1 to 63 of a to z, 0 to 9, hyphen, dot, underscore";
        return Err(FieldError::new("name", hello.name, expected));
    }
    if !(1..=SLOTS_MAX).contains(&hello.slots) {
        return Err(FieldError::new("slots", hello.slots, "from 1 to 100000"));
    }
    if hello.known.len() > KNOWN_MAX {
        let expected = "a journal of at most 200000 entries";
        return Err(FieldError::new("known", hello.known.len(), expected));
    }
    let known = hello.known.iter().enumerate().map(|(n, entry)| {
        Ok(Known {
            call: CallId(entry.call),
            attempt: attempt(&format!("known[{n}].attempt"), entry.attempt)?,
            live: entry.live,
        })
    });
    Ok(Greeted {
        known: known.collect::<Result<_, FieldError>>()?,
        name: Arc::from(hello.name),
        incarnation: hello.incarnation,
        slots: hello.slots,
        fence: hello.fence,
    })
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    fn hello() -> v1::Hello {
        v1::Hello {
            name: "agent-1".to_owned(),
            incarnation: 5,
            slots: 10,
            fence: 0,
            known: vec![v1::JournalEntry { call: 3, attempt: 1, live: true }],
            token: "correct horse battery".to_owned(),
        }
    }

    fn checked(hello: v1::Hello) -> Result<Greeted, Status> {
        let message = v1::FromAgent { message: Some(v1::from_agent::Message::Hello(hello)) };
        check(Some(message), &Secret::new("correct horse battery"))
    }

    #[test]
    fn a_good_hello_is_taken_as_it_is() {
        let greeted = checked(hello()).ok().unwrap();
        assert_eq!(&*greeted.name, "agent-1");
        assert_eq!(greeted.known[0].call, CallId(3));
    }

    #[test]
    fn a_wrong_token_is_refused_before_anything_else_is_looked_at() {
        for token in ["", "correct horse batterz", "correct horse battery "] {
            let refused = checked(v1::Hello { token: token.to_owned(), slots: 0, ..hello() });
            let status = refused.err().expect("refused");
            assert_eq!(status.code(), Code::Unauthenticated);
            assert!(!status.message().contains("battery"), "{status}");
        }
    }

    #[test]
    fn what_is_out_of_bounds_is_named() {
        let bad = [
            (v1::Hello { name: String::new(), ..hello() }, "hello.name"),
            (v1::Hello { name: "a\nb".to_owned(), ..hello() }, "hello.name"),
            (v1::Hello { name: "a".repeat(64), ..hello() }, "hello.name"),
            (v1::Hello { slots: 0, ..hello() }, "hello.slots"),
            (v1::Hello { slots: 100_001, ..hello() }, "hello.slots"),
            (
                v1::Hello { known: vec![v1::JournalEntry::default()], ..hello() },
                "hello.known[0].attempt",
            ),
            (
                v1::Hello { known: vec![v1::JournalEntry::default(); KNOWN_MAX + 1], ..hello() },
                "hello.known",
            ),
        ];
        for (hello, field) in bad {
            let status = checked(hello).err().expect("refused");
            assert_eq!(status.code(), Code::InvalidArgument);
            assert!(status.message().starts_with(&format!("{field}: ")), "{status}");
        }
        assert_eq!(
            check(None, &Secret::new("x")).err().expect("refused").code(),
            Code::InvalidArgument
        );
    }
}
