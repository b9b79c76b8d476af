//! What one raft entry carries: a batch of commands and the instant of them all.
//!
//! ```text
//! at u64 | (length u32 | command)*
//! ```
//!
//! All numbers are little-endian. Commands are in postcard's format.

use busyhour_base::Timestamp;
use bytes::{Buf, BufMut, Bytes};
use serde::de::DeserializeOwned;

/// A batch that is being put together, one after the other in the same memory.
#[derive(Debug, Default)]
pub(crate) struct Batch(Vec<u8>);

impl Batch {
    /// Forgets the last batch and begins another.
    pub(crate) fn begin(&mut self, at: Timestamp) {
        self.0.clear();
        self.0.put_u64_le(at.as_micros());
    }

    pub(crate) fn push(&mut self, command: &[u8]) {
        self.0.put_u32_le(command.len() as u32);
        self.0.put_slice(command);
    }

    /// The whole batch, in no more memory than it needs: raft keeps it until a snapshot covers it.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.0.as_slice().to_vec()
    }
}

/// A batch that is read back.
pub(crate) struct Commands {
    pub(crate) at: Timestamp,
    rest: Bytes,
}

impl Commands {
    pub(crate) fn read(mut data: Bytes) -> Result<Self, String> {
        let at =
            data.try_get_u64_le().map_err(|error| format!("its batch has no instant: {error}"))?;
        Ok(Self { at: Timestamp(at), rest: data })
    }
}

impl Iterator for Commands {
    type Item = Result<Bytes, String>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let length = match self.rest.try_get_u32_le() {
            Ok(length) if length as usize <= self.rest.len() => length as usize,
            Ok(_) | Err(_) => {
                self.rest.clear();
                return Some(Err("its batch ends within it".to_owned()));
            }
        };
        Some(Ok(self.rest.split_to(length)))
    }
}

/// Reads one command, which must fill its bytes.
pub(crate) fn command<C: DeserializeOwned>(bytes: &[u8]) -> Result<C, String> {
    match postcard::take_from_bytes(bytes) {
        Ok((command, [])) => Ok(command),
        Ok((_, rest)) => Err(format!("{} bytes are left over after it", rest.len())),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_come_back_in_order() {
        let mut batch = Batch::default();
        batch.begin(Timestamp(1));
        batch.push(b"of the last batch");
        batch.begin(Timestamp(77));
        let commands: [&[u8]; 3] = [b"one", b"", b"three"];
        for command in commands {
            batch.push(command);
        }
        let bytes = batch.bytes();
        assert_eq!(bytes.capacity(), bytes.len(), "what is kept is no larger than need be");
        let back = Commands::read(bytes.into()).unwrap();
        assert_eq!(back.at, Timestamp(77));
        assert_eq!(back.map(Result::unwrap).collect::<Vec<_>>(), commands);
    }

    #[test]
    fn a_batch_that_is_cut_short_is_refused() {
        let mut batch = Batch::default();
        batch.begin(Timestamp(77));
        batch.push(b"one");
        let whole = batch.bytes();
        for length in 0..whole.len() {
            let cut = Bytes::copy_from_slice(&whole[..length]);
            let read = Commands::read(cut).and_then(|batch| batch.collect::<Result<Vec<_>, _>>());
            match length {
                8 => assert_eq!(read, Ok(vec![]), "an empty batch"),
                _ => assert!(read.is_err(), "{length}"),
            }
        }
    }
}
