//! Public ids in the shape that the field's SDKs expect: two letters and 32 hex digits (`WIRE.md`).
//!
//! A call's or a batch's sid is not drawn and stored: it is a keyed permutation of its number in the
//! log ([`SidKey`]), so that ten million queued requests need no index from sid to request.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Why a text is not a sid of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{value:?} is not a sid: expected {prefix} followed by 32 hex digits")]
pub struct SidError {
    /// The refused text, cut to 64 characters.
    pub value: String,
    /// The two letters that the wanted kind begins with.
    pub prefix: &'static str,
}

macro_rules! sids {
    ($($(#[$doc:meta])* $name:ident $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub u128);

        impl $name {
            /// The two letters in front.
            pub const PREFIX: &'static str = $prefix;
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(Self::PREFIX)?;
                f.write_str(std::str::from_utf8(&hex(self.0)).map_err(|_| fmt::Error)?)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = SidError;

            fn from_str(text: &str) -> Result<Self, SidError> {
                parse(text, Self::PREFIX).map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                if s.is_human_readable() { s.collect_str(self) } else { self.0.serialize(s) }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                if d.is_human_readable() {
                    String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
                } else {
                    u128::deserialize(d).map(Self)
                }
            }
        }
    )*};
}

sids! {
    /// A tenant's account.
    AccountSid "AC";
    /// An API key of an account.
    KeySid "SK";
    /// A call.
    CallSid "CA";
    /// A message.
    MessageSid "SM";
    /// A batch of calls or messages.
    BatchSid "BT";
    /// An application: the documents that answer calls.
    ApplicationSid "AP";
    /// A phone number.
    NumberSid "PN";
}

/// 32 hex digits. Every answer of the API holds several sids, and the formatter's own way, a character at a
/// time, was the dearest part of writing one.
fn hex(value: u128) -> [u8; 32] {
    let mut digits = [0; 32];
    for (pair, byte) in digits.chunks_exact_mut(2).zip(value.to_be_bytes()) {
        pair[0] = b"0123456789abcdef"[usize::from(byte >> 4)];
        pair[1] = b"0123456789abcdef"[usize::from(byte & 15)];
    }
    digits
}

fn parse(text: &str, prefix: &'static str) -> Result<u128, SidError> {
    let refused = || SidError { value: text.chars().take(64).collect(), prefix };
    let digits = text.strip_prefix(prefix).ok_or_else(refused)?;
    if digits.len() != 32 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(refused());
    }
    u128::from_str_radix(digits, 16).map_err(|_| refused())
}

/// The key of one installation's permutation between numbers in the log and sids.
///
/// It hides how many calls other tenants place; it is no secret that guards anything, since every
/// look-up also checks the account.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SidKey(pub u128);

impl SidKey {
    const ROUNDS: u64 = 6;

    /// The sid of call number `number`.
    pub fn call(self, number: u64) -> CallSid {
        CallSid(self.permute(u64::from_be_bytes(*b"call    "), number))
    }

    /// The number of a call, or `None` for a sid that this installation never gave out.
    pub fn call_number(self, sid: CallSid) -> Option<u64> {
        self.invert(u64::from_be_bytes(*b"call    "), sid.0)
    }

    /// The sid of message number `number`.
    pub fn message(self, number: u64) -> MessageSid {
        MessageSid(self.permute(u64::from_be_bytes(*b"message "), number))
    }

    /// The number of a message, or `None` for a sid that this installation never gave out.
    pub fn message_number(self, sid: MessageSid) -> Option<u64> {
        self.invert(u64::from_be_bytes(*b"message "), sid.0)
    }

    /// The sid of batch number `number`.
    pub fn batch(self, number: u64) -> BatchSid {
        BatchSid(self.permute(u64::from_be_bytes(*b"batch   "), number))
    }

    /// The number of a batch, or `None` for a sid that this installation never gave out.
    pub fn batch_number(self, sid: BatchSid) -> Option<u64> {
        self.invert(u64::from_be_bytes(*b"batch   "), sid.0)
    }

    fn permute(self, tag: u64, number: u64) -> u128 {
        let (mut left, mut right) = (tag, number);
        for round in 0..Self::ROUNDS {
            (left, right) = (right, left ^ self.mix(round, right));
        }
        u128::from(left) << 64 | u128::from(right)
    }

    fn invert(self, tag: u64, value: u128) -> Option<u64> {
        let (mut left, mut right) = ((value >> 64) as u64, value as u64);
        for round in (0..Self::ROUNDS).rev() {
            (left, right) = (right ^ self.mix(round, left), left);
        }
        (left == tag).then_some(right)
    }

    /// The finaliser of SplitMix64 over the half, the round and both halves of the key.
    fn mix(self, round: u64, half: u64) -> u64 {
        let mut z = half ^ (self.0 as u64).wrapping_add(round.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z ^= (self.0 >> 64) as u64;
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_sid_leads_back_to_its_number_and_to_its_own_kind_only(key: u128, number: u64) {
            let key = SidKey(key);
            prop_assert_eq!(key.call_number(key.call(number)), Some(number));
            prop_assert_eq!(key.batch_number(key.batch(number)), Some(number));
            prop_assert_eq!(key.batch_number(BatchSid(key.call(number).0)), None);
        }

        #[test]
        fn text_and_back(value: u128) {
            let sid = CallSid(value);
            prop_assert_eq!(sid.to_string().parse(), Ok(sid));
            prop_assert!(sid.to_string().parse::<AccountSid>().is_err());
            prop_assert_eq!(sid.to_string(), format!("CA{value:032x}"));
        }
    }

    #[test]
    fn a_refusal_names_the_value_and_the_shape() {
        let error = "CA+1".parse::<CallSid>().unwrap_err().to_string();
        assert_eq!(error, r#""CA+1" is not a sid: expected CA followed by 32 hex digits"#);
        assert!(format!("CA+{}", "0".repeat(31)).parse::<CallSid>().is_err());
    }
}
