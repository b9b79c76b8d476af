//! A message as JSON: every key of the field's schema, null where empty (`WIRE.md`).

use busyhour_base::{
    AccountSid, MessageSid, MessageSpec, MessageStatus, Reason, Segments, SidKey, Timestamp,
    message::error_code,
};
use busyhour_controller_core::message::{MessageId, MessageRecord, MessageView};
use serde::{Serialize, Serializer, ser::SerializeMap};
use utoipa::ToSchema;

use crate::{calls::Text, dates::Rfc2822, paging::ListPage};

/// What is known of a message, wherever it is kept.
#[derive(Clone, Copy)]
pub(super) struct Facts<'a> {
    pub(super) message: MessageId,
    pub(super) account: AccountSid,
    pub(super) spec: &'a MessageSpec,
    pub(super) body: &'a str,
    pub(super) segments: Segments,
    pub(super) status: MessageStatus,
    pub(super) reason: Reason,
    pub(super) accepted_at: Timestamp,
    pub(super) sent_at: Option<Timestamp>,
    pub(super) ended_at: Option<Timestamp>,
}

impl<'a> From<&'a MessageView> for Facts<'a> {
    fn from(view: &'a MessageView) -> Self {
        Self {
            message: view.message,
            account: view.account,
            spec: &view.spec,
            body: view.body.text(),
            segments: view.segments,
            status: view.status,
            reason: view.reason,
            accepted_at: view.accepted_at,
            sent_at: view.sent_at,
            ended_at: view.ended_at,
        }
    }
}

impl<'a> From<&'a MessageRecord> for Facts<'a> {
    fn from(record: &'a MessageRecord) -> Self {
        Self {
            message: record.message,
            account: record.account,
            spec: &record.spec,
            body: record.body.text(),
            segments: record.segments,
            status: record.status,
            reason: record.reason,
            accepted_at: record.accepted_at,
            sent_at: record.sent_at,
            ended_at: Some(record.ended_at),
        }
    }
}

/// The Message resource.
#[derive(Serialize, ToSchema)]
pub(crate) struct MessageResource<'a> {
    /// `SM` and 32 hex digits.
    #[schema(value_type = String)]
    sid: MessageSid,
    /// Whose.
    #[schema(value_type = String)]
    account_sid: AccountSid,
    /// Always null: there are no messaging services.
    messaging_service_sid: Option<&'a str>,
    /// When it was accepted or came in, in RFC 2822.
    #[schema(value_type = String)]
    date_created: Rfc2822,
    /// When it last changed.
    #[schema(value_type = String)]
    date_updated: Rfc2822,
    /// When it was handed to a carrier, or came from one.
    #[schema(value_type = Option<String>)]
    date_sent: Option<Rfc2822>,
    /// Recipient.
    to: &'a str,
    /// Sender.
    from: &'a str,
    /// The text; empty once it was taken out.
    body: &'a str,
    /// scheduled, queued, sending, sent, delivered, undelivered, failed, canceled, receiving or received.
    status: &'static str,
    /// inbound, outbound-api or outbound-reply.
    direction: &'static str,
    /// Segments as it travels, as a string: of 160 or 153 characters of GSM 03.38, else of 70 or 67 of UTF-16.
    #[schema(value_type = String)]
    num_segments: Text<u16>,
    /// Always 0: there is no media.
    num_media: &'static str,
    /// Always null: messages are not priced.
    price: Option<&'a str>,
    /// Always null.
    price_unit: Option<&'a str>,
    /// Why it failed, if it did.
    error_code: Option<u32>,
    /// The same for people.
    error_message: Option<&'static str>,
    /// `2010-04-01`.
    api_version: &'static str,
    /// Path of this resource.
    uri: String,
    /// Nothing belongs to a message.
    #[schema(value_type = std::collections::HashMap<String, String>)]
    subresource_uris: Nothing,
}

impl<'a> MessageResource<'a> {
    pub(super) fn new(facts: Facts<'a>, key: SidKey) -> Self {
        let sid = key.message(facts.message.0);
        let changes = [facts.sent_at, facts.ended_at].into_iter().flatten();
        let error = facts.ended_at.and_then(|_| error_code(facts.reason));
        Self {
            sid,
            account_sid: facts.account,
            messaging_service_sid: None,
            date_created: Rfc2822(facts.accepted_at),
            date_updated: Rfc2822(changes.fold(facts.accepted_at, Timestamp::max)),
            date_sent: facts.sent_at.map(Rfc2822),
            to: &facts.spec.to,
            from: &facts.spec.from,
            body: facts.body,
            status: facts.status.as_str(),
            direction: facts.spec.direction.as_str(),
            num_segments: Text(facts.segments.count),
            num_media: "0",
            price: None,
            price_unit: None,
            error_code: error,
            error_message: error.map(|_| facts.reason.message()),
            api_version: "2010-04-01",
            uri: format!("/2010-04-01/Accounts/{}/Messages/{sid}.json", facts.account),
            subresource_uris: Nothing,
        }
    }
}

struct Nothing;

impl Serialize for Nothing {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_map(Some(0))?.end()
    }
}

/// A page of messages. An SDK finds the list by its being the only key that it does not know.
#[derive(Serialize, ToSchema)]
pub(crate) struct MessageList<'a> {
    /// The page, newest first.
    pub(super) messages: Vec<MessageResource<'a>>,
    /// Which page.
    #[serde(flatten)]
    pub(super) shown: ListPage,
}
