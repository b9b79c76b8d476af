//! Bodies: bounded, timed, and of the announced type.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::Poll,
    time::Duration,
};

use axum::{
    body::Body,
    extract::{FromRequest, Request},
};
use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use http::{HeaderMap, header};
use serde::{Deserialize, de::DeserializeOwned};

use crate::{
    App,
    error::{ApiError, Code},
};

/// How long a whole body may take. A legal one fits into a few packets.
const BODY_WAIT: Duration = Duration::from_secs(10);

/// Most characters of a field's path in an answer: parts of it may be names that the client made up.
const PATH_CHARS_MAX: usize = 128;

/// A form's bytes, undecoded, so that parameters can borrow from them.
pub(crate) struct FormBody(pub(crate) Bytes);

/// A JSON document, or the default for an empty body.
pub(crate) struct JsonBody<T>(pub(crate) T);

impl FromRequest<App> for FormBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let bytes = read(&parts.headers, body, app.platform.limits.body_bytes).await?;
        let expected = "application/x-www-form-urlencoded";
        if !bytes.is_empty() && !is_type(&parts.headers, expected) {
            return Err(wrong_type(expected));
        }
        Ok(Self(bytes))
    }
}

impl<T: DeserializeOwned + Default> FromRequest<App> for JsonBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let bytes = read(&parts.headers, body, app.platform.limits.body_bytes).await?;
        if bytes.is_empty() {
            return Ok(Self(T::default()));
        }
        let expected = "application/json";
        if !is_type(&parts.headers, expected) {
            return Err(wrong_type(expected));
        }
        // serde would take a list as the fields in order.
        if !bytes.trim_ascii_start().starts_with(b"{") {
            return Err(ApiError::new(Code::InvalidParameter, "Body: a JSON object is expected"));
        }
        parse(&bytes)
            .map(Self)
            .map_err(|error| ApiError::new(Code::InvalidParameter, format!("Body: {error}")))
    }
}

/// Reads a JSON document. What is wrong is told with the path of the field; the parser's own words say what is allowed and where it
/// stands.
pub(crate) fn parse<'t, T: Deserialize<'t>>(text: &'t [u8]) -> Result<T, String> {
    let mut from = serde_json::Deserializer::from_slice(text);
    let value = serde_path_to_error::deserialize(&mut from).map_err(|error| {
        let (path, problem) = (error.path(), error.inner());
        // What ends early or is no JSON is nobody's fault but the whole's.
        if path.iter().next().is_none() || !problem.is_data() {
            return problem.to_string();
        }
        let path: String = path.to_string().chars().take(PATH_CHARS_MAX).collect();
        format!("{path}: {problem}")
    })?;
    from.end().map_err(|error| error.to_string())?;
    Ok(value)
}

/// Whether the body is announced as of this media type, whatever its parameters.
pub(crate) fn is_type(headers: &HeaderMap, expected: &str) -> bool {
    let value = headers.get(header::CONTENT_TYPE);
    let value = value.and_then(|value| value.to_str().ok()).unwrap_or("");
    let kind = value.split(';').next().unwrap_or("").trim();
    kind.eq_ignore_ascii_case(expected)
}

fn wrong_type(expected: &str) -> ApiError {
    let message = format!("Content-Type must be {expected}");
    ApiError::new(Code::MediaType, message)
}

/// Reads a whole body. One that comes in one piece, as nearly all do, is not copied.
async fn read(headers: &HeaderMap, body: Body, most: usize) -> Result<Bytes, ApiError> {
    let announced = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > most as u64) {
        return Err(too_large(most));
    }
    let mut whole = pin!(collect(body, most));
    if let Some(at_once) = at_once(whole.as_mut()).await {
        return at_once;
    }
    tokio::time::timeout(BODY_WAIT, whole).await.map_err(|_| {
        let message = format!("The body did not come within {} s", BODY_WAIT.as_secs());
        ApiError::new(Code::InvalidParameter, message)
    })?
}

/// What a body is that came with its head, as nearly all do: setting a timer for each would take longer than to read it. The
/// server fetches a body when it is asked for, so that it is there at the second look.
async fn at_once<F: Future>(mut body: Pin<&mut F>) -> Option<F::Output> {
    let mut looks = 0;
    poll_fn(|cx| {
        looks += 1;
        match body.as_mut().poll(cx) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending if looks > 1 => Poll::Ready(None),
            Poll::Pending => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    })
    .await
}

async fn collect(body: Body, most: usize) -> Result<Bytes, ApiError> {
    let mut stream = body.into_data_stream();
    let mut whole = Bytes::new();
    while let Some(piece) = stream.next().await {
        let piece = piece.map_err(|error| {
            ApiError::new(Code::InvalidParameter, format!("The body ended early: {error}"))
        })?;
        if whole.len() + piece.len() > most {
            return Err(too_large(most));
        }
        whole = if whole.is_empty() {
            piece
        } else {
            let mut joined = BytesMut::from(whole);
            joined.extend_from_slice(&piece);
            joined.freeze()
        };
    }
    Ok(whole)
}

fn too_large(most: usize) -> ApiError {
    let message = format!("The body is larger than {most} bytes");
    ApiError::new(Code::TooLarge, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_looked_at_twice_before_a_timer_is_set() {
        let there_at = |look: u32| {
            let mut looks = 0;
            let body = poll_fn(move |_| {
                looks += 1;
                if looks < look { Poll::Pending } else { Poll::Ready(looks) }
            });
            futures::executor::block_on(at_once(pin!(body)))
        };
        assert_eq!(there_at(1), Some(1));
        assert_eq!(there_at(2), Some(2));
        assert_eq!(there_at(3), None, "it is waited for, with a bound");
    }
}
