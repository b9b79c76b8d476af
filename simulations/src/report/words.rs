//! Outcomes and reasons in JSON as the API words them.

use std::collections::BTreeMap;

use busyhour_base::{Outcome, Reason};
use serde::{Deserialize, Deserializer, Serializer, de::Error};

fn parse_reason<E: Error>(code: &str) -> Result<Reason, E> {
    Reason::from_code(code).ok_or_else(|| E::custom(format!("{code:?} is not a reason")))
}

/// One outcome or none.
pub mod outcome {
    use super::*;

    pub fn serialize<S: Serializer>(outcome: &Option<Outcome>, s: S) -> Result<S::Ok, S::Error> {
        match outcome {
            Some(outcome) => s.serialize_str(outcome.as_str()),
            None => s.serialize_none(),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Outcome>, D::Error> {
        let Some(word) = Option::<String>::deserialize(d)? else { return Ok(None) };
        let known = Outcome::ALL.into_iter().find(|outcome| outcome.as_str() == word);
        known.map(Some).ok_or_else(|| D::Error::custom(format!("{word:?} is not an outcome")))
    }
}

/// One reason.
pub mod reason {
    use super::*;

    pub fn serialize<S: Serializer>(reason: &Reason, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(reason.code())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Reason, D::Error> {
        parse_reason(&String::deserialize(d)?)
    }
}

/// Counts by reason.
pub mod reasons {
    use super::*;

    pub fn serialize<S: Serializer>(
        counts: &BTreeMap<Reason, u64>,
        s: S,
    ) -> Result<S::Ok, S::Error> {
        s.collect_map(counts.iter().map(|(reason, count)| (reason.code(), count)))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<BTreeMap<Reason, u64>, D::Error> {
        let counts = BTreeMap::<String, u64>::deserialize(d)?;
        counts.into_iter().map(|(code, count)| Ok((parse_reason(&code)?, count))).collect()
    }
}
