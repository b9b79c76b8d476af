//! The filters of `calls.list`.

use std::ops::Range;

use busyhour_base::{AccountSid, Outcome, Span, Timestamp};
use busyhour_records::CallFilter;

use super::{Facts, address::canonical};
use crate::{
    dates::day_or_second,
    error::{ApiError, Code},
    form::Params,
};

/// Which calls are wanted.
#[derive(Clone, Debug, Default)]
pub(super) struct Filter {
    to: Option<String>,
    from: Option<String>,
    status: Option<Status>,
    start: Option<Range<Timestamp>>,
    end: Option<Range<Timestamp>>,
    /// Nothing is wanted: a parent, which no call has.
    none: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Status {
    Live(&'static str),
    Ended(Outcome),
}

const STATUSES: &str =
    "queued, ringing, in-progress, completed, busy, failed, no-answer or canceled";

impl Filter {
    /// Reads the query. `StartTime>` and `StartTime<` are names of parameters: `StartTime>=2026-03-10` (`WIRE.md`).
    pub(super) fn read(params: &Params<'_>) -> Result<Self, ApiError> {
        let address = |name| -> Result<Option<String>, ApiError> {
            let text = params.one(name)?;
            // What cannot be an address is the address of no call.
            Ok(text.map(|text| canonical(text).map_or_else(|_| text.to_owned(), Into::into)))
        };
        Ok(Self {
            to: address("To")?,
            from: address("From")?,
            status: status(params)?,
            start: range(params, ["StartTime", "StartTime>", "StartTime<"])?,
            end: range(params, ["EndTime", "EndTime>", "EndTime<"])?,
            none: params.one("ParentCallSid")?.is_some(),
        })
    }

    /// Whether a call is wanted.
    pub(super) fn admits(&self, facts: &Facts<'_>) -> bool {
        let within = |range: &Option<Range<Timestamp>>, at: Option<Timestamp>| match range {
            None => true,
            Some(range) => at.is_some_and(|at| range.contains(&at)),
        };
        let status = match self.status {
            None => true,
            Some(Status::Live(word)) => facts.status() == word,
            Some(Status::Ended(outcome)) => facts.status() == outcome.as_str(),
        };
        !self.none
            && status
            && self.to.as_ref().is_none_or(|to| *to == facts.spec.to)
            && self.from.as_ref().is_none_or(|from| *from == facts.spec.from)
            && within(&self.start, facts.dialled_at)
            && within(&self.end, facts.ended_at)
    }

    /// No call can be wanted.
    pub(super) fn is_empty(&self) -> bool {
        self.none
    }

    /// The same question to the records, or `None` if no finished call can be wanted.
    pub(super) fn of_records(&self, account: AccountSid) -> Option<CallFilter> {
        let status = match self.status {
            None => None,
            Some(Status::Ended(outcome)) => Some(outcome),
            Some(Status::Live(_)) => return None,
        };
        (!self.none).then(|| CallFilter {
            to: self.to.clone(),
            from: self.from.clone(),
            status,
            start_time: self.start.clone(),
            end_time: self.end.clone(),
            ..CallFilter::of(account)
        })
    }
}

fn status(params: &Params<'_>) -> Result<Option<Status>, ApiError> {
    let Some(word) = params.one("Status")? else {
        return Ok(None);
    };
    let live = ["queued", "ringing", "in-progress"].into_iter().find(|known| *known == word);
    let ended = || Outcome::ALL.into_iter().find(|outcome| outcome.as_str() == word);
    match live.map(Status::Live).or_else(|| ended().map(Status::Ended)) {
        Some(status) => Ok(Some(status)),
        None => Err(ApiError::parameter(Code::InvalidParameter, "Status", word, STATUSES)),
    }
}

/// A day of UTC.
const DAY: Span = Span::from_secs(86_400);

/// On a day or at a second, from its beginning on, or up to its beginning: "on or before midnight of this date".
pub(crate) fn range(
    params: &Params<'_>,
    names: [&str; 3],
) -> Result<Option<Range<Timestamp>>, ApiError> {
    let mut bounds = Timestamp(0)..Timestamp::NEVER;
    let mut any = false;
    for (place, name) in names.into_iter().enumerate() {
        let Some(text) = params.one(name)? else {
            continue;
        };
        let allowed = "a day such as 2026-03-10, or an instant such as 2026-03-10T12:00:00Z";
        let given = day_or_second(text)
            .ok_or_else(|| ApiError::parameter(Code::InvalidParameter, name, text, allowed))?;
        any = true;
        match place {
            // The SDKs write a day as its midnight and know no other way to ask for one.
            0 if given.start.0 % DAY.0 == 0 => {
                let day = given.start..given.start + DAY;
                bounds = bounds.start.max(day.start)..bounds.end.min(day.end);
            }
            0 => bounds = bounds.start.max(given.start)..bounds.end.min(given.end),
            1 => bounds.start = bounds.start.max(given.start),
            // The very instant belongs to it.
            _ => bounds.end = bounds.end.min(Timestamp(given.start.0 + 1)),
        }
    }
    Ok(any.then_some(bounds))
}
