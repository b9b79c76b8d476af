//! `POST /v1/Carriers/{name}/Messages`: a message to a tenant's number, brought as the carrier within the controller would bring
//! it. For trials, demonstrations and tests.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use busyhour_base::{AccountSid, Body, MessageSid, Reason};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    App,
    edge::{Ids, JsonBody, Operator, json},
    error::{ApiError, Code},
    platform::{Brought, Receipt},
};

/// Longest reference and longest sender, in bytes.
const NAME_MAX: usize = 128;

/// A message that a carrier brings.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct BroughtBody {
    /// The carrier's name for it: brought twice, it is taken once. 1 to 128 printable ASCII characters.
    reference: String,
    /// Who sent it: a number in E.164, a short code or a word.
    from: String,
    /// The tenant's number, with or without its plus.
    to: String,
    /// Its text, of at most 1,600 characters.
    body: String,
}

/// What the carrier is told.
#[derive(Serialize, ToSchema)]
pub(crate) struct ReceiptBody {
    /// What the message is from now on.
    #[schema(value_type = String)]
    message_sid: MessageSid,
    /// Whose number it was sent to.
    #[schema(value_type = String)]
    account_sid: AccountSid,
    /// Segments that it would take to send it.
    num_segments: u16,
}

/// Brings a message to a tenant's number. It is durable when the answer comes. 503 tells the carrier to bring it again later.
#[utoipa::path(
    post, path = "/v1/Carriers/{Name}/Messages", tag = "Operation",
    params(("Name" = String, Path)),
    request_body = BroughtBody,
    responses((status = 201, body = ReceiptBody), (status = "4XX", body = crate::error::ErrorBody), (status = "5XX", body = crate::error::ErrorBody)),
    security(("operator" = []))
)]
pub(crate) async fn bring(
    State(app): State<App>,
    _operator: Operator,
    Ids(carrier): Ids<String>,
    JsonBody(body): JsonBody<BroughtBody>,
) -> Result<Response, ApiError> {
    let number = body.to.clone();
    let brought = checked(body)?;
    match app.platform.bring.bring(Arc::from(carrier), brought).await {
        Some(Receipt::Taken(account_sid, accepted)) => {
            let receipt = ReceiptBody {
                message_sid: app.platform.sid_key.message(accepted.message.0),
                account_sid,
                num_segments: accepted.segments.count,
            };
            Ok(json(StatusCode::CREATED, &receipt))
        }
        Some(Receipt::Later(reason)) => Err(ApiError::new(Code::Unavailable, reason.message())),
        Some(Receipt::Refused(Reason::UnknownNumber)) => {
            Err(ApiError::parameter(Code::InvalidParameter, "to", &number, "a declared number"))
        }
        Some(Receipt::Refused(Reason::CarrierUndeclared)) => {
            let message = "No declared carrier of this name brings messages";
            Err(ApiError::new(Code::NotFound, message))
        }
        Some(Receipt::Refused(reason)) => Err(ApiError::refused(reason)),
        None => {
            let message =
                "Whether the message was taken is unknown; bring it again under the same reference";
            Err(ApiError::new(Code::Unavailable, message))
        }
    }
}

/// The text is personal, so that no error shows it.
fn checked(brought: BroughtBody) -> Result<Brought, ApiError> {
    let BroughtBody { reference, from, to, body } = brought;
    for (name, value) in [("reference", &reference), ("from", &from), ("to", &to)] {
        let printable = value.bytes().all(|byte| (0x21..0x7f).contains(&byte));
        if value.is_empty() || value.len() > NAME_MAX || !printable {
            let allowed = "1 to 128 printable ASCII characters without spaces";
            return Err(ApiError::parameter(Code::InvalidParameter, name, value, allowed));
        }
    }
    let characters = body.chars().count();
    if characters > Body::CHARS_MAX {
        let most = Body::CHARS_MAX;
        let message = format!("body has {characters} characters; at most {most} are allowed");
        return Err(ApiError::new(Code::InvalidParameter, message));
    }
    Ok(Brought { reference: reference.into(), from, to, body: Body::from(body) })
}
