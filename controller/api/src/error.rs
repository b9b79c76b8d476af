//! Errors as the field's SDKs read them: `{"code","message","more_info","status"}` (`WIRE.md`), and the
//! catalogue of codes that `more_info` leads to.

use std::borrow::Cow;

use axum::response::{IntoResponse, Response};
use busyhour_base::Reason;
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use utoipa::ToSchema;

use crate::platform::ProposeError;

macro_rules! codes {
    ($($name:ident $code:literal $status:literal $title:literal $help:literal;)*) => {
        /// Every error code that the API answers with.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub(crate) enum Code {$(
            #[doc = $title]
            $name,
        )*}

        impl Code {
            /// All of them.
            pub(crate) const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The number on the wire.
            pub(crate) const fn number(self) -> u32 {
                match self {$(Self::$name => $code,)*}
            }

            /// The HTTP status that it comes with.
            pub(crate) const fn status(self) -> u16 {
                match self {$(Self::$name => $status,)*}
            }

            /// What it is, in a few words.
            pub(crate) const fn title(self) -> &'static str {
                match self {$(Self::$name => $title,)*}
            }

            /// What to do about it.
            pub(crate) const fn help(self) -> &'static str {
                match self {$(Self::$name => $help,)*}
            }
        }
    };
}

codes! {
    Concurrency 10004 400 "Limit on calls reached" "A cap of the account is used up and its policy is to refuse what exceeds it. Send again later, or ask the operator to schedule the excess.";
    InvalidParameter 20001 400 "Invalid parameter" "The message names the parameter, the value and what is allowed.";
    Unauthorized 20003 401 "Authentication failed" "Use HTTP basic authentication with the account's sid and token.";
    MethodNotAllowed 20004 405 "Method not allowed" "The Allow header lists the methods of this resource.";
    NotActive 20005 403 "Account not active" "The operator has suspended the account: it can read, but nothing is accepted from it.";
    NotComplete 20009 409 "Message not complete" "The text of a message can be taken out, and a message be deleted, once it has ended.";
    NotFound 20404 404 "Not found" "There is no such resource in this account, or no such path. Paths under /2010-04-01 end in .json.";
    Conflict 20409 409 "Conflict" "What was asked does not fit the present state of the resource; the message says which state it is in.";
    TooLarge 20413 413 "Body too large" "Send less at once. Lines of a batch are streamed and have no such bound.";
    MediaType 20415 415 "Unsupported media type" "Send the Content-Type that the message names.";
    TooManyRequests 20429 429 "Too many requests" "The account sends API requests faster, or has more of them open, than it may. Wait and send again; nothing was done. Being over the rate of calls is never answered so: such calls are queued.";
    Internal 20500 500 "Internal error" "A defect of the server, which has noted it. A request that creates something may be repeated with the same Idempotency-Key.";
    Unavailable 20503 503 "Service unavailable" "The server is starting, stopping or overloaded. Nothing was done; send again after Retry-After.";
    ToMissing 21201 400 "No 'To' number" "To is required: an E.164 number or a SIP address.";
    InvalidUrl 21205 400 "Invalid URL" "Give an absolute http or https URL of at most 2,048 characters.";
    InvalidSendDigits 21206 400 "Invalid SendDigits" "At most 32 of 0-9, A-D, *, #, w (half a second) and W (a second).";
    InvalidTimeout 21208 400 "Invalid Timeout" "A whole number of seconds from 1 to 600.";
    InvalidMethod 21209 400 "Invalid method" "GET or POST.";
    FromNotOwned 21210 400 "'From' is not a number of this account" "Call from a number that the operator has declared for this account.";
    InvalidTo 21211 400 "Invalid 'To'" "An E.164 number such as +14155550123, or a SIP address such as sip:desk@example.com.";
    InvalidFrom 21212 400 "Invalid 'From'" "An E.164 number such as +14155550123, or a SIP address such as sip:desk@example.com.";
    FromMissing 21213 400 "No 'From' number" "From is required: a number of this account.";
    Unreachable 21214 400 "'To' cannot be reached" "No declared carrier serves this destination.";
    Forbidden 21215 400 "Destination not allowed" "The account's plan does not allow calls to this destination. The operator can allow its prefix.";
    NotANumber 21217 400 "Number does not appear to be valid" "An E.164 number has a plus sign (%2B in a form or a URL, where a bare + is a space), then a country code that does not begin with 0, and 7 to 15 digits in all.";
    InvalidApplication 21218 400 "Invalid ApplicationSid" "The sid of an application of this account.";
    CallState 21220 400 "Invalid call state" "A call that has ended cannot be changed.";
    ToIsFrom 21266 400 "'To' and 'From' are the same" "A number cannot send a message to itself.";
    MessageForbidden 21408 400 "Destination not allowed for messages" "The account's plan does not allow messages to this destination. The operator can allow its prefix.";
    BodyMissing 21602 400 "Message body is required" "Body is required: the text of the message.";
    MessageFromMissing 21603 400 "A 'From' number is required" "From is required: a number of this account. Messaging services are not offered.";
    MessageToMissing 21604 400 "A 'To' number is required" "To is required: an E.164 number.";
    MessageFromNotOwned 21606 400 "'From' cannot send messages" "Send from a number that the operator has declared for this account.";
    OptedOut 21610 400 "Recipient has opted out" "The recipient has said STOP to this number. Nothing can be sent to them from it until they say START. GET /v1/OptOuts shows who has.";
    MessageQueueFull 21611 400 "Too many messages queued" "The message could not be sent within its validity period or the longest wait that the account's queue allows, or its queue holds as many as it may. Nothing was queued.";
    BodyTooLong 21617 400 "Message body is too long" "At most 1,600 characters, and no more segments than the caps of the account and of its number let through in a window.";
    WaitTooLong 22005 400 "Queue full" "The call could not start within the longest wait that the account's queue allows, or its queue holds as many calls, or as many bytes of their parameters, as it may. Nothing was queued.";
    NotCancelable 30409 409 "Message cannot be canceled" "Only a message that is scheduled or queued can be canceled; the message says which state it is in.";
    SendAt 35114 400 "Invalid SendAt" "An RFC 3339 instant in the future, at most 35 days ahead, with ScheduleType = fixed.";
    ScheduleType 35118 400 "Invalid ScheduleType" "fixed, together with SendAt.";
}

/// An answer that is not a success.
#[derive(Clone, Debug)]
pub(crate) struct ApiError {
    /// Which error.
    pub(crate) code: Code,
    /// For a person: names the parameter, the value and what is allowed.
    pub(crate) message: Cow<'static, str>,
}

impl ApiError {
    /// An error with its message.
    pub(crate) fn new(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into() }
    }

    /// A parameter whose value is not allowed. The value is cut, so that an answer is never larger than what was sent.
    pub(crate) fn parameter(code: Code, name: &str, value: &str, allowed: &str) -> Self {
        let value = Shown(value);
        Self::new(code, format!("{name} = {value} is not allowed: {allowed}"))
    }

    /// There is no such resource: one answer for what does not exist and for what is another account's.
    pub(crate) fn not_found() -> Self {
        Self::new(Code::NotFound, "The requested resource was not found in this account")
    }

    /// A defect. What happened goes to the log, not to the client.
    pub(crate) fn internal(what: impl std::fmt::Display) -> Self {
        tracing::error!(account = crate::edge::account(), error = %what, "request failed");
        Self::new(Code::Internal, "Internal error")
    }

    /// A refusal by the state machine.
    pub(crate) fn refused(reason: Reason) -> Self {
        let code = match reason {
            Reason::QueueFull | Reason::QueueBytes | Reason::WaitTooLong => Code::WaitTooLong,
            Reason::CapRefused => Code::Concurrency,
            Reason::Suspended => Code::NotActive,
            Reason::UnknownTenant | Reason::UnknownCall | Reason::UnknownBatch => {
                return Self::not_found();
            }
            Reason::NoCarrier => Code::Unreachable,
            Reason::WrongState | Reason::Duplicate | Reason::UploadOffset => Code::Conflict,
            _ => Code::InvalidParameter,
        };
        Self::new(code, reason.message())
    }
}

impl From<ProposeError> for ApiError {
    fn from(error: ProposeError) -> Self {
        let message = match error {
            ProposeError::Overloaded => {
                "The queue in front of the log is full; nothing was done, send again"
            }
            ProposeError::Stopped => "The controller is stopping; nothing was done, send again",
            ProposeError::InDoubt => {
                let message = "The log failed and whether the request was accepted is unknown; send again with the same Idempotency-Key, or look before you repeat";
                return Self::new(Code::Internal, message);
            }
        };
        Self::new(Code::Unavailable, message)
    }
}

impl From<busyhour_records::RecordsError> for ApiError {
    fn from(error: busyhour_records::RecordsError) -> Self {
        Self::internal(error)
    }
}

/// A value within a message: quoted, control characters escaped, at most 64 characters.
struct Shown<'a>(&'a str);

impl std::fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let cut = self.0.char_indices().nth(64).map(|(at, _)| at);
        match cut {
            Some(at) => write!(f, "{:?}...", &self.0[..at]),
            None => write!(f, "{:?}", self.0),
        }
    }
}

/// The error shape.
#[derive(Serialize, ToSchema)]
pub(crate) struct ErrorBody<'a> {
    /// Which error.
    code: u32,
    /// For a person.
    message: &'a str,
    /// Path of the catalogue's entry.
    more_info: String,
    /// The HTTP status again.
    status: u16,
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = ErrorBody {
            code: self.code.number(),
            message: &self.message,
            more_info: format!("/v1/errors/{}", self.code.number()),
            status: self.code.status(),
        };
        metrics::counter!(crate::metric_definitions::REFUSED, "code" => body.code.to_string())
            .increment(1);
        let status = StatusCode::from_u16(self.code.status()).unwrap_or_default();
        let mut response = crate::edge::json(status, &body);
        let headers = response.headers_mut();
        match self.code {
            Code::Unauthorized => {
                let realm = HeaderValue::from_static("Basic realm=\"Busyhour\"");
                headers.insert(header::WWW_AUTHENTICATE, realm);
            }
            Code::TooManyRequests | Code::Unavailable => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            _ => {}
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_code_is_one_of_a_kind_with_a_status_of_http() {
        let numbers: HashSet<_> = Code::ALL.iter().map(|code| code.number()).collect();
        assert_eq!(numbers.len(), Code::ALL.len());
        for code in Code::ALL {
            assert!((400..600).contains(&code.status()), "{code:?}");
            assert!(code.help().ends_with('.'), "{code:?}");
        }
    }

    #[test]
    fn the_guide_lists_every_code_as_the_catalogue_has_it() {
        let guide = include_str!("../../../docs/guide/errors.md");
        for code in Code::ALL {
            let (number, status) = (code.number(), code.status());
            let row = format!("| {number} | {status} | {} | {} |", code.title(), code.help());
            assert!(guide.contains(&row), "no {row}");
        }
    }

    #[test]
    fn being_over_the_rate_of_calls_is_never_429() {
        for reason in Reason::ALL {
            assert_ne!(ApiError::refused(*reason).code.status(), 429, "{reason}");
        }
    }

    #[test]
    fn values_are_quoted_escaped_and_cut() {
        let error = ApiError::parameter(Code::InvalidTo, "To", "a\r\nb", "a number");
        assert_eq!(error.message, r#"To = "a\r\nb" is not allowed: a number"#);
        let long = "é".repeat(100);
        let error = ApiError::parameter(Code::InvalidTo, "To", &long, "a number");
        assert!(error.message.contains(&format!("\"{}\"...", "é".repeat(64))));
    }
}
