//! What a tenant asks of a batch: when its calls or messages may start, how fast, how often again, and the lines themselves.

use std::sync::Arc;

use busyhour_base::{AccountSid, MessageStatus, Outcome, Reason, Span, Timestamp, Webhook};
use serde::{Deserialize, Serialize};

use super::{BatchId, Kind, NewCall, NewText, Requests, Throttle, Urgency};
use crate::{
    message::{MessageAttempt, MessageRecord},
    view::{Attempt, Record},
};

/// How a batch is paced and when (`WIRE.md`, batches).
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct BatchPlan {
    /// What its lines are.
    pub kind: Kind,
    /// The tenant's name for it.
    pub name: String,
    /// Spacing within the batch: of calls, or of segments.
    pub throttle: Option<Throttle>,
    /// Most calls in progress at once, or messages with carriers that have not answered.
    pub max_concurrent: Option<u32>,
    /// Not before.
    pub not_before: Option<Timestamp>,
    /// What has not started by then expires.
    pub not_after: Option<Timestamp>,
    /// Parameters of `calls.create` or `messages.create` that a line may leave out. The machine keeps them and does not read them.
    pub defaults: Vec<(String, String)>,
    /// The calling hours as they were asked for. The machine keeps them and does not read them: it goes by `openings`.
    pub hours: Option<CallingHours>,
    /// When calls may start, as instants; at any time if there is none.
    pub openings: Option<Openings>,
    /// Whether and when a call is placed, or a message sent, again.
    pub retry: Option<Retry>,
    /// Who is told of progress and of the end.
    pub callback: Option<BatchHook>,
    /// Which lines mean the same.
    pub dedupe_by: DedupeBy,
    /// What becomes of what has not started when a window closes.
    pub on_window_end: WindowEnd,
}

impl BatchPlan {
    /// By what a line is known beside its name: of two lines with the same, only the first is taken. `variable` is its value
    /// of the variable that the plan names.
    pub(crate) fn key<'a>(&self, to: &'a str, variable: Option<&'a str>) -> Option<&'a str> {
        match self.dedupe_by {
            DedupeBy::CustomId => None,
            DedupeBy::To => Some(to),
            DedupeBy::Variable(_) => variable,
        }
    }
}

/// Which lines of a batch mean the same, so that only the first is taken. Lines of the same name always do.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum DedupeBy {
    /// Those of the same name only.
    #[default]
    CustomId,
    /// Those to the same number.
    To,
    /// Those with the same value of this variable.
    Variable(String),
}

/// What becomes of what has not started when a calling window closes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum WindowEnd {
    /// It stands still until the next window.
    #[default]
    Pause,
    /// It expires, and so the batch does with its first window.
    Expire,
}

/// Every day of [`WeeklyWindow::days`].
pub const DAYS_ALL: u8 = 0b111_1111;

/// Calling hours: weekly windows in the local time of one zone.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CallingHours {
    /// IANA name, such as `Europe/Berlin`.
    pub zone: String,
    /// The windows; calls may start in any of them.
    pub weekly: Vec<WeeklyWindow>,
}

/// One window of a week, in local time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct WeeklyWindow {
    /// The days on which it begins: bit 0 is Monday, bit 6 Sunday.
    pub days: u8,
    /// Its beginning, in minutes from midnight.
    pub from_min: u16,
    /// Its end, which is no part of it, in minutes from midnight; at or before its beginning it is on the next day.
    pub to_min: u16,
}

/// Calling hours as instants. The core knows no time zones: whoever does resolves the hours, and again before they
/// run out ([`crate::command::BatchCommand::Open`]).
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Openings {
    /// In order, apart from each other, none empty.
    pub spans: Vec<Opening>,
    /// Up to when they are complete. Behind it nothing is known, and nothing starts.
    pub through: Timestamp,
}

/// From one instant up to, but not at, another.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Opening {
    /// The first instant at which calls may start.
    pub from: Timestamp,
    /// The first at which they may not any more.
    pub to: Timestamp,
}

impl Openings {
    /// Most spans: more than two a day for a year.
    pub const SPANS_MAX: usize = 1_000;

    /// Whether they are in order, apart, not empty and not too many.
    pub fn are_well_formed(&self) -> bool {
        self.spans.len() <= Self::SPANS_MAX
            && self.spans.iter().all(|span| span.from < span.to)
            && self.spans.windows(2).all(|pair| pair[0].to < pair[1].from)
    }

    /// The opening that `at` is in, or else the next one.
    pub fn at_or_after(&self, at: Timestamp) -> Option<Opening> {
        let next = self.spans.partition_point(|span| span.to <= at);
        self.spans.get(next).copied()
    }
}

/// Placing a call or sending a message again that came to nothing. Only after a definitive end: never when in doubt.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Retry {
    /// After which outcomes.
    pub on: RetryOn,
    /// Attempts in all, with the first one.
    pub attempts_max: u16,
    /// From the end of an attempt to the next one: after the first, the second and so on; the last one goes on.
    pub delays: Vec<Span>,
}

/// Outcomes after which a call is placed, or a message sent, again.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct RetryOn {
    /// The called party was busy.
    pub busy: bool,
    /// Nobody answered.
    pub no_answer: bool,
    /// The carrier or the called party refused, or the carrier could not complete it; of a message, the carrier did not take
    /// it.
    pub failed: bool,
    /// The carrier took the message and could not deliver it.
    pub undelivered: bool,
}

impl Retry {
    /// Most attempts of one line.
    pub const ATTEMPTS_MAX: u16 = 10;

    /// The wait after so many attempts, if there is another one.
    pub fn delay(&self, attempts: u16) -> Option<Span> {
        if attempts >= self.attempts_max.min(Self::ATTEMPTS_MAX) {
            return None;
        }
        let step = usize::from(attempts.saturating_sub(1));
        Some(self.delays.get(step).or(self.delays.last()).copied().unwrap_or(Span::ZERO))
    }
}

impl RetryOn {
    /// Whether an end of this kind is followed by another attempt. Only ends that the carrier or the called party
    /// gave count: an answered call, or one that failed at our side, is not placed again.
    pub const fn takes(self, outcome: Outcome, reason: Reason) -> bool {
        match (outcome, reason) {
            (Outcome::Busy, Reason::Busy) => self.busy,
            (Outcome::NoAnswer, Reason::NoAnswer) => self.no_answer,
            (Outcome::Failed, Reason::Rejected | Reason::CarrierFailure) => self.failed,
            _ => false,
        }
    }

    /// The same of a message whose carrier has said that it did not take it, or could not deliver it.
    pub const fn takes_message(self, status: MessageStatus) -> bool {
        match status {
            MessageStatus::Failed => self.failed,
            MessageStatus::Undelivered => self.undelivered,
            _ => false,
        }
    }
}

/// Who is told of a batch. The machine says that something is owed; others tell it, until it is accepted.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct BatchHook {
    /// Where.
    pub hook: Webhook,
    /// Also at every so many thousandths of the calls that have ended; 0 for the end only.
    pub progress_permille: u16,
}

/// How an upload is written.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum UploadFormat {
    /// One JSON object per line.
    Ndjson,
    /// With a line of names first (RFC 4180): these.
    Csv(Vec<Arc<str>>),
}

/// Checked lines of a batch, and what was found wrong with others, in one entry: all of it holds, or none.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Lines {
    /// Whose.
    pub account: AccountSid,
    /// The batch that they belong to.
    pub batch: BatchId,
    /// What part of the upload they are, if it can be resumed.
    pub part: Option<Part>,
    /// The requests, each with where it stood in its file, from 1. All of them are of the batch's kind.
    pub requests: Requests,
    /// Of each request the value of the variable of [`DedupeBy::Variable`]; empty without that.
    pub keys: Vec<Arc<str>>,
    /// Lines that cannot become requests.
    pub faults: Vec<Fault>,
}

/// A part of an upload. It is taken only where the last one ended, so that a part sent twice is taken once.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Part {
    /// Its first byte, counted from the beginning of the upload.
    pub from: u64,
    /// The byte behind its last one.
    pub to: u64,
    /// The number of the line behind it.
    pub next_line: u64,
    /// How the upload is written. The first part has to say so; of others it is not read.
    pub format: Option<UploadFormat>,
    /// It is the last one.
    pub complete: bool,
}

/// A line that cannot become a request.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Fault {
    /// Its place in the file, from 1.
    pub line: u64,
    /// The tenant's name for it, if it could be read.
    pub custom_id: Option<Arc<str>>,
    /// The API's code.
    pub code: u32,
    /// For a person.
    pub message: Arc<str>,
}

/// Lines of a batch that came to nothing and are placed again on their tenant's word, in the order of their records. Each
/// becomes a call or message of its own under the same name.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Again {
    /// Whose.
    pub account: AccountSid,
    /// The batch that they belong to.
    pub batch: BatchId,
    /// The lines of a batch of calls.
    pub lines: Vec<AgainLine>,
    /// The lines of a batch of messages.
    pub messages: Vec<AgainMessage>,
}

/// A line that is placed again.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AgainLine {
    /// The number of its record: of each outcome they are placed again in order, and each once.
    pub seq: u64,
    /// How it ended.
    pub outcome: Outcome,
    /// What is asked again.
    pub call: NewCall,
    /// Attempts that were made. The numbers of those to come go on from there.
    pub attempts: u16,
    /// Those that came to an end.
    pub earlier: Vec<Attempt>,
}

/// A line that is sent again.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AgainMessage {
    /// The number of its record: of each end they are sent again in order, and each once.
    pub seq: u64,
    /// How it ended.
    pub status: MessageStatus,
    /// What is asked again, recipient and all.
    pub text: NewText,
    /// The tenant's name for it.
    pub custom_id: Option<Arc<str>>,
    /// Attempts that were made. The numbers of those to come go on from there.
    pub attempts: u16,
    /// Those that came to an end.
    pub earlier: Vec<MessageAttempt>,
}

impl AgainMessage {
    /// The line of a record. `None` if it must not be sent again: it may have arrived, its tenant ended it or took its text out,
    /// or it is in doubt whether a carrier has it (`RELIABILITY.md`, invariant 2).
    pub fn of(record: MessageRecord) -> Option<Self> {
        let in_doubt = matches!(record.reason, Reason::InDoubtRestart | Reason::InDoubtNoAnswer);
        let nothing = matches!(record.status, MessageStatus::Failed | MessageStatus::Undelivered);
        if in_doubt || !nothing || record.body.text().is_empty() {
            return None;
        }
        let text = NewText {
            spec: Arc::clone(&record.spec),
            body: record.body.clone(),
            not_before: None,
            expires: None,
            urgency: Urgency::Ordinary,
        };
        let (seq, status, attempts) = (record.seq, record.status, record.attempts);
        let custom_id = record.custom_id.clone();
        let before = record.earlier.clone();
        let earlier = before.into_iter().chain(MessageAttempt::last_of(record)).collect();
        Some(Self { seq, status, text, custom_id, attempts, earlier })
    }
}

impl AgainLine {
    /// The line of a record. `None` if it must not be placed again: it was completed, its tenant ended it, or it is in doubt
    /// whether its last call rang (`RELIABILITY.md`, invariant 2).
    pub fn of(record: Record) -> Option<Self> {
        use Reason::{InDoubtAgentLost, InDoubtAgentRestarted, InDoubtJournalLost};
        let (outcome, reason) = (record.ending.outcome, record.ending.reason);
        let doubts = [InDoubtAgentLost, InDoubtAgentRestarted, InDoubtJournalLost];
        let in_doubt = !record.ending.confirmed || doubts.contains(&reason);
        if in_doubt || matches!(outcome, Outcome::Completed | Outcome::Canceled) {
            return None;
        }
        let last = Attempt::last_of(&record);
        Some(Self {
            seq: record.seq,
            outcome,
            call: NewCall {
                application: record.application,
                custom_id: record.custom_id,
                ..NewCall::of(record.spec)
            },
            attempts: record.attempts,
            earlier: record.earlier.into_iter().chain(last).collect(),
        })
    }
}
