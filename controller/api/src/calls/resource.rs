//! A call as JSON: every key of the field's schema, null where empty (`WIRE.md`).

use std::borrow::Cow;

use busyhour_base::{
    AccountSid, CallSid, CallSpec, Direction, NumberSid, Outcome, SidKey, Span, Timestamp,
};
use busyhour_controller_core::{
    effect::Phase,
    spec::CallId,
    view::{CallView, Record},
};
use serde::{Serialize, Serializer, ser::SerializeMap};
use utoipa::ToSchema;

use super::address::formatted;
use crate::{dates::Rfc2822, directory::Directory, paging::ListPage};

/// What is known of a call, wherever it is kept.
#[derive(Clone, Copy)]
pub(crate) struct Facts<'a> {
    pub(crate) call: CallId,
    pub(crate) account: AccountSid,
    pub(crate) spec: &'a CallSpec,
    pub(crate) phase: Phase,
    pub(crate) accepted_at: Timestamp,
    pub(crate) queue_time: Span,
    pub(crate) dialled_at: Option<Timestamp>,
    pub(crate) answered_at: Option<Timestamp>,
    pub(crate) ended_at: Option<Timestamp>,
    pub(crate) talk: Span,
}

impl<'a> From<&'a CallView> for Facts<'a> {
    fn from(view: &'a CallView) -> Self {
        Self {
            call: view.call,
            account: view.account,
            spec: &view.spec,
            phase: view.phase,
            accepted_at: view.accepted_at,
            queue_time: view.queue_time,
            dialled_at: view.dialled_at,
            answered_at: view.answered_at,
            ended_at: view.ended_at,
            talk: view.ending.as_ref().map_or(Span::ZERO, |ending| ending.talk),
        }
    }
}

impl<'a> From<&'a Record> for Facts<'a> {
    fn from(record: &'a Record) -> Self {
        Self {
            call: record.call,
            account: record.account,
            spec: &record.spec,
            phase: Phase::Ended(record.ending.outcome),
            accepted_at: record.accepted_at,
            queue_time: record.dialled_at.unwrap_or(record.ended_at).since(record.accepted_at),
            dialled_at: record.dialled_at,
            answered_at: record.answered_at,
            ended_at: Some(record.ended_at),
            talk: record.ending.talk,
        }
    }
}

impl Facts<'_> {
    /// The word on the wire. A call that was sent but does not ring yet is still `queued`: `initiated` is an event
    /// and no status.
    pub(crate) fn status(&self) -> &'static str {
        match self.phase {
            // Somebody hears it ring from its first moment.
            Phase::Queued | Phase::Dialling | Phase::Sent
                if self.spec.direction == Direction::Inbound =>
            {
                "ringing"
            }
            Phase::Queued | Phase::Dialling | Phase::Sent => "queued",
            Phase::Ringing => "ringing",
            Phase::InProgress => "in-progress",
            Phase::Ended(outcome) => outcome.as_str(),
        }
    }

    fn updated_at(&self) -> Timestamp {
        let changes = [self.dialled_at, self.answered_at, self.ended_at];
        changes.into_iter().flatten().fold(self.accepted_at, Timestamp::max)
    }
}

/// The Call resource.
#[derive(Serialize, ToSchema)]
pub(crate) struct CallResource<'a> {
    /// `CA` and 32 hex digits.
    #[schema(value_type = String)]
    sid: CallSid,
    /// When it was accepted, in RFC 2822.
    #[schema(value_type = String)]
    date_created: Rfc2822,
    /// When it last changed.
    #[schema(value_type = String)]
    date_updated: Rfc2822,
    /// Always null: calls made by instructions are not resources yet.
    parent_call_sid: Option<&'a str>,
    /// Whose.
    #[schema(value_type = String)]
    account_sid: AccountSid,
    /// Called party.
    to: &'a str,
    /// Called party for people.
    to_formatted: Cow<'a, str>,
    /// Calling party.
    from: &'a str,
    /// Calling party for people.
    from_formatted: Cow<'a, str>,
    /// Sid of the tenant's number: the one that it was placed from, or that was called.
    #[schema(value_type = Option<String>)]
    phone_number_sid: Option<NumberSid>,
    /// queued, ringing, in-progress, completed, busy, failed, no-answer or canceled.
    status: &'static str,
    /// When it was dialled.
    #[schema(value_type = Option<String>)]
    start_time: Option<Rfc2822>,
    /// When it ended.
    #[schema(value_type = Option<String>)]
    end_time: Option<Rfc2822>,
    /// Whole seconds from answer to end, rounded up, as a string; null unless completed.
    #[schema(value_type = Option<String>)]
    duration: Option<Text<u64>>,
    /// Always null: calls are not priced.
    price: Option<&'a str>,
    /// Always null.
    price_unit: Option<&'a str>,
    /// `outbound-api` or `inbound`.
    direction: &'static str,
    /// Always null: there is no answering-machine detection yet.
    answered_by: Option<&'a str>,
    /// `2010-04-01`.
    api_version: &'static str,
    /// Always null: carriers do not tell us.
    forwarded_from: Option<&'a str>,
    /// Always null.
    group_sid: Option<&'a str>,
    /// Always null: carriers do not tell us.
    caller_name: Option<&'a str>,
    /// Expected or actual wait in milliseconds, as a string.
    #[schema(value_type = String)]
    queue_time: Text<u64>,
    /// Always null.
    stir_verstat: Option<&'a str>,
    /// Always null.
    trunk_sid: Option<&'a str>,
    /// Path of this resource.
    #[schema(value_type = String)]
    uri: Path,
    /// Paths of what belongs to it.
    #[schema(value_type = std::collections::HashMap<String, String>)]
    subresource_uris: Subresources,
}

impl<'a> CallResource<'a> {
    pub(crate) fn new(facts: Facts<'a>, key: SidKey, directory: &Directory) -> Self {
        let sid = key.call(facts.call.0);
        let ours = match facts.spec.direction {
            Direction::Inbound => &facts.spec.to,
            _ => &facts.spec.from,
        };
        let number = directory.numbers.get(ours);
        let number = number.filter(|number| number.account == facts.account);
        let completed = facts.phase == Phase::Ended(Outcome::Completed);
        Self {
            sid,
            date_created: Rfc2822(facts.accepted_at),
            date_updated: Rfc2822(facts.updated_at()),
            parent_call_sid: None,
            account_sid: facts.account,
            to: &facts.spec.to,
            to_formatted: formatted(&facts.spec.to),
            from: &facts.spec.from,
            from_formatted: formatted(&facts.spec.from),
            phone_number_sid: number.and_then(|number| number.sid),
            status: facts.status(),
            start_time: facts.dialled_at.map(Rfc2822),
            end_time: facts.ended_at.map(Rfc2822),
            duration: completed.then(|| Text(facts.talk.as_micros().div_ceil(1_000_000))),
            price: None,
            price_unit: None,
            direction: facts.spec.direction.as_str(),
            answered_by: None,
            api_version: "2010-04-01",
            forwarded_from: None,
            group_sid: None,
            caller_name: None,
            queue_time: Text(facts.queue_time.as_millis()),
            stir_verstat: None,
            trunk_sid: None,
            uri: Path(facts.account, sid),
            subresource_uris: Subresources(sid),
        }
    }
}

/// A number as a JSON string, as the field writes durations and waits.
#[derive(Clone, Copy)]
pub(crate) struct Text<T>(pub(crate) T);

impl<T: std::fmt::Display> Serialize for Text<T> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(&self.0)
    }
}

/// Where a call is found.
struct Path(AccountSid, CallSid);

impl Serialize for Path {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let Self(account, call) = self;
        s.collect_str(&format_args!("/2010-04-01/Accounts/{account}/Calls/{call}.json"))
    }
}

/// Only what there is: a path that leads nowhere would be worse than none.
struct Subresources(CallSid);

impl Serialize for Subresources {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(Some(1))?;
        map.serialize_entry("explain", &format_args!("/v1/Calls/{}/explain", self.0))?;
        map.end()
    }
}

/// A page of calls. An SDK finds the list by its being the only key that it does not know.
#[derive(Serialize, ToSchema)]
pub(crate) struct CallList<'a> {
    /// The page, newest first.
    pub(crate) calls: Vec<CallResource<'a>>,
    /// Which page.
    #[serde(flatten)]
    pub(crate) shown: ListPage,
}
