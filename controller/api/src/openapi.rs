//! The OpenAPI document, served at `/openapi.json`.

use std::sync::OnceLock;

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::header;
use serde::Deserialize;
use utoipa::{
    Modify, OpenApi, ToSchema,
    openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
};

/// The document.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Busyhour",
        description = "Self-hosted, multi-tenant telephony. Paths under /2010-04-01 are those of the field's SDKs; /v1 is Busyhour's own."
    ),
    paths(
        crate::accounts::list, crate::accounts::fetch,
        crate::calls::create, crate::calls::list, crate::calls::fetch, crate::calls::update, crate::calls::cancel,
        crate::explain::call, crate::explain::batch, crate::explain::tenant, crate::explain::carrier,
        crate::messages::create, crate::messages::list, crate::messages::fetch, crate::messages::update,
        crate::messages::delete, crate::messages::media, crate::messages::cancel, crate::messages::explain, crate::messages::bring, crate::messages::opt_outs, crate::messages::import,
        crate::messages::remove, crate::messages::removed, crate::messages::consents,
        crate::batches::create, crate::batches::list, crate::batches::fetch,
        crate::batches::post_lines, crate::batches::put_lines, crate::batches::patch_lines, crate::batches::head_lines,
        crate::batches::errors, crate::batches::results,
        crate::batches::start, crate::batches::pause, crate::batches::resume, crate::batches::cancel,
        crate::batches::pace, crate::batches::retry,
        crate::overview::overview, crate::availability::availability, crate::catalogue::error,
        document, crate::health::metrics, crate::health::live, crate::health::ready,
    ),
    modifiers(&Schemes)
)]
pub(crate) struct Document;

/// How callers prove who they are.
struct Schemes;

impl Modify for Schemes {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_default();
        let account = HttpBuilder::new()
            .scheme(HttpAuthScheme::Basic)
            .description(Some("AccountSid:AuthToken"))
            .build();
        components.add_security_scheme("account", SecurityScheme::Http(account));
        let operator = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("The operator's token"))
            .build();
        components.add_security_scheme("operator", SecurityScheme::Http(operator));
    }
}

/// This document.
#[utoipa::path(get, path = "/openapi.json", tag = "Operation", responses((status = 200, description = "This document")))]
pub(crate) async fn document() -> Response {
    static TEXT: OnceLock<String> = OnceLock::new();
    // It is plain data and can be written; the fallback keeps even a defect from panicking.
    let text = TEXT.get_or_init(|| Document::openapi().to_json().unwrap_or_default());
    ([(header::CONTENT_TYPE, "application/json")], Body::from(text.as_str())).into_response()
}

/// The form of `calls.create`, for the document: the handler reads it as it comes.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
#[expect(dead_code, reason = "its fields are there to be described")]
pub(crate) struct CreateCall {
    /// Called party: E.164 or a SIP address.
    to: String,
    /// Calling party: a number of this account.
    from: String,
    /// Shown to the called party in place of From: a number of this account.
    caller_id: Option<String>,
    /// First document. One of Url, Twiml and ApplicationSid is required.
    #[schema(max_length = 2048)]
    url: Option<String>,
    /// GET or POST (default).
    method: Option<String>,
    /// The document itself. Url goes before it.
    #[schema(max_length = 4000)]
    twiml: Option<String>,
    /// An application of this account. It goes before Url and Twiml.
    application_sid: Option<String>,
    /// Asked when a document cannot be had.
    fallback_url: Option<String>,
    /// GET or POST (default).
    fallback_method: Option<String>,
    /// Told of progress.
    status_callback: Option<String>,
    /// Of which progress, repeated: initiated, ringing, answered, completed (default).
    status_callback_event: Option<Vec<String>>,
    /// GET or POST (default).
    status_callback_method: Option<String>,
    /// Keys pressed after the answer: 0-9, A-D, *, #, w (half a second), W (a second).
    #[schema(max_length = 32)]
    send_digits: Option<String>,
    /// Seconds that it may ring.
    #[schema(minimum = 1, maximum = 600, default = 60)]
    timeout: Option<u32>,
    /// Seconds that it may last.
    #[schema(minimum = 1, maximum = 86400, default = 14400)]
    time_limit: Option<u32>,
    /// Not before this instant (RFC 3339), at most 35 days ahead.
    send_at: Option<String>,
    /// Seconds from SendAt, or from now, after which it is not tried any more.
    #[schema(minimum = 1, maximum = 36000)]
    validity_period: Option<u32>,
    /// synchronous if someone waits on the call: it goes before the account's and others' ordinary ones.
    urgency: Option<String>,
    /// Recording is not done yet: false only.
    record: Option<bool>,
    /// Answering-machine detection is not done yet: None only.
    machine_detection: Option<String>,
}

/// The form of canceling many calls, for the document.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
#[expect(dead_code, reason = "its fields are there to be described")]
pub(crate) struct CancelCalls {
    /// Those from this number only.
    from: Option<String>,
    /// Those to this number or SIP address only.
    to: Option<String>,
    /// queued: those that wait, which are meant in any case.
    status: Option<String>,
    /// Those that this application asked for only.
    application_sid: Option<String>,
    /// ordinary or synchronous only.
    urgency: Option<String>,
    /// Those scheduled for this instant (RFC 3339) or a later one only.
    scheduled_from: Option<String>,
    /// Those scheduled for an instant before this one only.
    scheduled_before: Option<String>,
}

/// The form of `calls.update`, for the document.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
#[expect(dead_code, reason = "its fields are there to be described")]
pub(crate) struct UpdateCall {
    /// canceled (unless answered) or completed.
    status: Option<String>,
    /// Go on with this document.
    url: Option<String>,
    /// GET or POST (default).
    method: Option<String>,
    /// Go on with the document given here.
    twiml: Option<String>,
}

/// The form of `messages.create`, for the document.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
#[expect(dead_code, reason = "its fields are there to be described")]
pub(crate) struct CreateMessage {
    /// Recipient in E.164.
    to: String,
    /// Sender: a number of this account.
    from: String,
    /// The text.
    #[schema(max_length = 1600)]
    body: String,
    /// Told when it was sent, delivered, not delivered, failed or canceled.
    status_callback: Option<String>,
    /// GET or POST (default).
    status_callback_method: Option<String>,
    /// Seconds from SendAt, or from now, after which it is not sent any more.
    #[schema(minimum = 1, maximum = 36000, default = 36000)]
    validity_period: Option<u32>,
    /// synchronous if someone waits on the message: it goes before ordinary ones.
    urgency: Option<String>,
    /// fixed, with SendAt.
    schedule_type: Option<String>,
    /// Not before this instant (RFC 3339), at most 35 days ahead.
    send_at: Option<String>,
}

/// The form of `messages.update`, for the document.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
#[expect(dead_code, reason = "its fields are there to be described")]
pub(crate) struct UpdateMessage {
    /// canceled: one that waits is not sent.
    status: Option<String>,
    /// Empty: the text is taken out of one that has ended.
    body: Option<String>,
}

/// Parameters of removing an opt-out.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
#[expect(dead_code, reason = "its fields are there to be described")]
pub(crate) struct RemoveOptOut {
    /// The account's number.
    from: String,
    /// Who takes messages from it again.
    to: String,
    /// Why, at most 200 characters. It is kept.
    reason: String,
}

/// Parameters of `accounts.v1.bulk_consents.create`.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
#[expect(dead_code, reason = "its fields are there to be described")]
pub(crate) struct BulkConsents {
    /// JSON objects with `contact_id`, `correlation_id`, `sender_id`, `status`, `source` and, if wanted, `date_of_consent`.
    items: Vec<String>,
}

/// The form of canceling many messages, for the document.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
#[expect(dead_code, reason = "its fields are there to be described")]
pub(crate) struct CancelMessages {
    /// Those from this number only.
    from: Option<String>,
    /// Those to this number only.
    to: Option<String>,
}
