//! What is fixed when a data folder is first used, because everything in it depends on it: the key of the
//! sids, and the constants with which its log is replayed.

use std::{fs, path::Path};

use busyhour_base::{SidKey, Span};
use serde::{Deserialize, Serialize};

use crate::{durable, options::RunError};

/// Its file in the data folder.
const FILE: &str = "installation.json";

/// The identity of a data folder.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Installation {
    /// Between numbers in the log and sids.
    #[serde(with = "hex_key")]
    pub sid_key: SidKey,
    /// How long an agent may be away. The same log replayed with another grace would come to another state.
    pub agent_grace: Span,
}

impl Installation {
    /// The one in `data`, drawn and stored durably if there is none. One with another grace is refused.
    pub(crate) fn open(data: &Path, agent_grace: Span) -> Result<Self, RunError> {
        let path = data.join(FILE);
        let found = match fs::read_to_string(&path) {
            Ok(text) => serde_json::from_str(&text)
                .map_err(|source| RunError::Installation { path, source })?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let fresh = Self { sid_key: SidKey(rand::random()), agent_grace };
                durable::replace(data, FILE, &serde_json::json!(fresh).to_string())?;
                fresh
            }
            Err(error) => return Err(durable::io("read", &path)(error)),
        };
        if found.agent_grace != agent_grace {
            return Err(RunError::Option {
                field: "agent grace",
                problem: format!(
                    "it is {agent_grace}, but the log in this data folder was begun with another"
                ),
                allowed: found.agent_grace.to_string(),
            });
        }
        Ok(found)
    }
}

/// A key as 32 hex digits: JSON's numbers are too small for it.
mod hex_key {
    use busyhour_base::SidKey;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(key: &SidKey, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:032x}", key.0))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<SidKey, D::Error> {
        let text = String::deserialize(from)?;
        let hex = text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
        let key = hex.then(|| u128::from_str_radix(&text, 16).ok()).flatten();
        key.map(SidKey).ok_or_else(|| D::Error::custom("sid_key must have 32 hex digits"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Span = Span::from_secs(30);

    #[test]
    fn it_is_drawn_once_and_a_damaged_one_is_refused_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let first = Installation::open(dir.path(), GRACE).unwrap();
        assert_eq!(Installation::open(dir.path(), GRACE).unwrap(), first);
        let other = tempfile::tempdir().unwrap();
        assert_ne!(Installation::open(other.path(), GRACE).unwrap().sid_key, first.sid_key);

        let path = dir.path().join(FILE);
        let good = fs::read_to_string(&path).unwrap();
        for damaged in [String::new(), good[..good.len() / 2].to_owned(), good.replacen('"', "", 1)]
        {
            fs::write(&path, &damaged).unwrap();
            let refused = Installation::open(dir.path(), GRACE);
            assert!(matches!(refused, Err(RunError::Installation { .. })), "{damaged:?}");
            assert_eq!(fs::read_to_string(&path).unwrap(), damaged);
        }
    }

    #[test]
    fn another_grace_than_the_logs_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        Installation::open(dir.path(), GRACE).unwrap();
        let refused = Installation::open(dir.path(), Span::from_secs(10)).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "agent grace: it is 10.0 s, but the log in this data folder was begun with another; allowed: 30.0 s"
        );
    }
}
