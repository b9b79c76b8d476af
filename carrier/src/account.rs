//! What the carrier saw, by its own clock: the independent evidence for contracts kept and calls placed once.

use std::collections::HashSet;

use busyhour_base::Timestamp;
use serde::{Deserialize, Serialize};

use crate::Contract;

/// The whole account, as served and printed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Account {
    /// The instant of this account, microseconds since the Unix epoch.
    pub at_us: u64,
    /// What callers are held to.
    pub contract: Contract,
    /// Channels.
    pub channels: Usage,
    /// Call set-ups in a rolling second.
    pub rate: Usage,
    /// Calls by what became of them.
    pub totals: Totals,
    /// What was dialled more than once.
    pub duplicates: Duplicates,
    /// Datagrams that were not taken.
    pub ignored: Ignored,
    /// Calls that were counted but not recorded, since the bound on records was reached.
    pub records_dropped: u64,
    /// The carrier's customers who call the tenants' numbers.
    pub callers: Callers,
    /// Calls in the order of their INVITEs; empty when only figures were asked for.
    pub calls: Vec<Record>,
}

impl Account {
    /// Breaches of either part of the contract.
    pub const fn breaches(&self) -> u64 {
        self.channels.breaches + self.rate.breaches
    }
}

/// One measure of the contract.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Usage {
    /// Now.
    pub current: u64,
    /// The most there ever was at once, including what was refused.
    pub peak: u64,
    /// Set-ups that went over the contract.
    pub breaches: u64,
}

/// Counts of calls. Every call is in exactly one of them, but `speech_heard`, which is a part of `answered`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Totals {
    /// New INVITEs, after authentication.
    pub calls: u64,
    /// Not yet answered or refused.
    pub ringing: u64,
    /// Answered, whether or not they have ended.
    pub answered: u64,
    /// Final failures that the script asked for, that nobody answered, or that no codec was common.
    pub refused: u64,
    /// Cancelled by the caller.
    pub cancelled: u64,
    /// Refused with 503 over the contract.
    pub over_contract: u64,
    /// Never answered by anything, as the script asked.
    pub ignored: u64,
    /// Answered calls that have ended and in which speech was heard.
    pub speech_heard: u64,
}

/// What was dialled more than once.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Duplicates {
    /// INVITEs for a Call-ID that had a call before.
    pub call_ids: u64,
    /// INVITEs to a number that had a call before.
    pub numbers: u64,
}

/// The carrier's customers who call the tenants' numbers.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Callers {
    /// Who will call, have called or are calling, by the scenario.
    pub planned: u64,
    /// Who have begun to call.
    pub called: u64,
    /// Who were answered.
    pub answered: u64,
    /// Who were answered and are done, and heard speech.
    pub speech_heard: u64,
    /// Who were refused.
    pub refused: u64,
    /// Who are done.
    pub over: u64,
    /// Those who are done, in the order of their ends; empty when only figures were asked for.
    pub calls: Vec<CallerRecord>,
}

/// One caller who is done.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct CallerRecord {
    /// Counts the callers of the scenario.
    pub number: u32,
    /// Counts the callers of the called number.
    pub nth: u32,
    /// Calling number.
    pub from: String,
    /// Called number.
    pub to: String,
    /// When it called, microseconds since the Unix epoch.
    pub called_at_us: u64,
    /// Final status of the INVITE; 0 if there was none.
    pub status: u16,
    /// Why it was refused, as far as the refusal said.
    pub reason: String,
    /// It heard ringing.
    pub rang: bool,
    /// When 200 came.
    pub answered_at_us: Option<u64>,
    /// When it hung up or was hung up on, gave up or was refused.
    pub left_at_us: Option<u64>,
    /// When that was confirmed, or was not in time.
    pub ended_at_us: u64,
    /// Length of the speech that it heard.
    pub speech_us: u64,
    /// The other side has confirmed its end, or said so itself.
    pub confirmed: bool,
}

/// Datagrams that were not taken, by reason.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Ignored {
    /// Not SIP, or broken.
    pub malformed: u64,
    /// For no transaction or dialog that is known.
    pub unmatched: u64,
    /// Too many transactions at once.
    pub overload: u64,
}

/// One call.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Record {
    /// Its Call-ID.
    pub call_id: String,
    /// Calling number.
    pub from: String,
    /// Called number.
    pub to: String,
    /// First INVITE, microseconds since the Unix epoch.
    pub invited_at_us: u64,
    /// What became of the INVITE.
    pub outcome: Outcome,
    /// Final status sent, once there is one.
    pub status: Option<u16>,
    /// When 200 was sent first.
    pub answered_at_us: Option<u64>,
    /// When its channel became free.
    pub ended_at_us: Option<u64>,
    /// Who ended an answered call.
    pub ended_by: Option<EndedBy>,
    /// What the media side heard and did, once an answered call has ended.
    pub media: Option<Heard>,
}

/// What became of an INVITE.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Nothing yet.
    Ringing,
    /// 200.
    Answered,
    /// A final failure, not over the contract.
    Refused,
    /// 487.
    Cancelled,
    /// 503 over the contract.
    OverContract,
    /// No response at all, as the script asked.
    Ignored,
}

/// Who ended an answered call.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndedBy {
    /// The caller's BYE.
    Caller,
    /// The called party, as the script asked.
    Called,
    /// 200 was never acknowledged.
    NoAck,
    /// No RTP for too long.
    MediaLost,
    /// The session timer ran out (RFC 4028).
    SessionExpired,
    /// The carrier was stopped.
    Stopped,
}

/// What one call's media side heard and did.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Heard {
    /// Length of what was speech by its energy.
    pub speech_us: u64,
    /// Keys that the caller sent (RFC 4733), at most 64.
    pub keys_heard: String,
    /// Keys that the called party pressed.
    pub keys_pressed: String,
    /// RTP packets of the call received.
    pub packets_received: u64,
    /// RTP packets sent.
    pub packets_sent: u64,
    /// Packets that did not belong to the call: another source, payload type or version.
    pub packets_stray: u64,
    /// Packets missing by their sequence numbers.
    pub packets_lost: u64,
}

/// Names a call in the ledger; absent for calls over the bound on records.
pub(crate) type RecordIx = Option<u32>;

/// The account while it is being written.
#[derive(Debug)]
pub(crate) struct Ledger {
    max_records: usize,
    records: Vec<Record>,
    dropped: u64,
    pub(crate) totals: Totals,
    pub(crate) duplicates: Duplicates,
    pub(crate) ignored: Ignored,
    pub(crate) callers: Callers,
    /// Bounded like the records.
    call_ids: HashSet<String>,
    numbers: HashSet<String>,
}

impl Ledger {
    pub(crate) fn new(max_records: usize) -> Self {
        Self {
            max_records,
            records: Vec::new(),
            dropped: 0,
            totals: Totals::default(),
            duplicates: Duplicates::default(),
            ignored: Ignored::default(),
            callers: Callers::default(),
            call_ids: HashSet::new(),
            numbers: HashSet::new(),
        }
    }

    /// A new call.
    pub(crate) fn open(&mut self, now: Timestamp, call_id: &str, from: &str, to: &str) -> RecordIx {
        self.totals.calls += 1;
        self.totals.ringing += 1;
        self.duplicates.call_ids += seen(&mut self.call_ids, call_id, self.max_records);
        self.duplicates.numbers += seen(&mut self.numbers, to, self.max_records);
        if self.records.len() >= self.max_records {
            self.dropped += 1;
            return None;
        }
        self.records.push(Record {
            call_id: call_id.to_owned(),
            from: from.to_owned(),
            to: to.to_owned(),
            invited_at_us: now.as_micros(),
            outcome: Outcome::Ringing,
            status: None,
            answered_at_us: None,
            ended_at_us: None,
            ended_by: None,
            media: None,
        });
        u32::try_from(self.records.len() - 1).ok()
    }

    /// The INVITE is over. Called once per call.
    pub(crate) fn conclude(
        &mut self,
        now: Timestamp,
        ix: RecordIx,
        outcome: Outcome,
        status: Option<u16>,
    ) {
        self.totals.ringing -= 1;
        let count = match outcome {
            Outcome::Ringing => &mut self.totals.ringing,
            Outcome::Answered => &mut self.totals.answered,
            Outcome::Refused => &mut self.totals.refused,
            Outcome::Cancelled => &mut self.totals.cancelled,
            Outcome::OverContract => &mut self.totals.over_contract,
            Outcome::Ignored => &mut self.totals.ignored,
        };
        *count += 1;
        if let Some(record) = self.record(ix) {
            record.outcome = outcome;
            record.status = status;
            match outcome {
                Outcome::Answered => record.answered_at_us = Some(now.as_micros()),
                _ => record.ended_at_us = Some(now.as_micros()),
            }
        }
    }

    /// An answered call is over.
    pub(crate) fn end(&mut self, now: Timestamp, ix: RecordIx, by: EndedBy) {
        if let Some(record) = self.record(ix) {
            record.ended_at_us = Some(now.as_micros());
            record.ended_by = Some(by);
        }
    }

    /// What was heard in an answered call that is over.
    pub(crate) fn heard(&mut self, ix: RecordIx, heard: Heard) {
        if heard.speech_us > 0 {
            self.totals.speech_heard += 1;
        }
        if let Some(record) = self.record(ix) {
            record.media = Some(heard);
        }
    }

    /// A caller of a tenant's number is done.
    pub(crate) fn caller_over(&mut self, record: CallerRecord) {
        self.callers.over += 1;
        self.callers.refused += u64::from(record.status >= 300);
        self.callers.speech_heard += u64::from(record.speech_us > 0);
        if self.callers.calls.len() < self.max_records {
            self.callers.calls.push(record);
        } else {
            self.dropped += 1;
        }
    }

    fn record(&mut self, ix: RecordIx) -> Option<&mut Record> {
        self.records.get_mut(usize::try_from(ix?).ok()?)
    }

    /// The account at this instant; without the calls when only figures are wanted.
    pub(crate) fn account(
        &self,
        now: Timestamp,
        contract: Contract,
        (channels, rate): (Usage, Usage),
        with_calls: bool,
    ) -> Account {
        Account {
            at_us: now.as_micros(),
            contract,
            channels,
            rate,
            totals: self.totals,
            duplicates: self.duplicates,
            ignored: self.ignored,
            records_dropped: self.dropped,
            callers: Callers {
                calls: if with_calls { self.callers.calls.clone() } else { Vec::new() },
                ..self.callers
            },
            calls: if with_calls { self.records.clone() } else { Vec::new() },
        }
    }
}

/// 1 when `name` was there before. Names beyond the bound are not remembered.
fn seen(names: &mut HashSet<String>, name: &str, bound: usize) -> u64 {
    if names.contains(name) {
        return 1;
    }
    if names.len() < bound {
        names.insert(name.to_owned());
    }
    0
}
