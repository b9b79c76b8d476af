//! `messages(sid).media.list`: no message has media, and the list says so as that of the field does.

use axum::{extract::State, response::Response};
use http::{StatusCode, Uri};
use serde::Serialize;
use utoipa::ToSchema;

use super::find::find;
use crate::{
    App,
    edge::{Caller, Ids, json},
    error::{ApiError, Code},
    form::Params,
    paging::{ListPage, page_size},
};

/// A page of the media of a message.
#[derive(Serialize, ToSchema)]
pub(crate) struct MediaList {
    /// Always empty: messages have no media.
    #[schema(value_type = Vec<Object>)]
    media_list: [(); 0],
    /// Which page.
    #[serde(flatten)]
    shown: ListPage,
}

/// The media of a message of the account: none.
#[utoipa::path(
    get, path = "/2010-04-01/Accounts/{AccountSid}/Messages/{Sid}/Media.json", tag = "Messages",
    params(
        ("AccountSid" = String, Path), ("Sid" = String, Path),
        ("PageSize" = Option<usize>, Query, description = "50 by default, 1000 at most"),
        ("Page" = Option<usize>, Query),
    ),
    responses((status = 200, body = MediaList), (status = "4XX", body = crate::error::ErrorBody)),
    security(("account" = []))
)]
pub(crate) async fn media(
    State(app): State<App>,
    caller: Caller,
    Ids((account, message)): Ids<(String, String)>,
    uri: Uri,
) -> Result<Response, ApiError> {
    caller.owns(&account)?;
    let params = Params::parse(uri.query().unwrap_or("").as_bytes())?;
    let size = page_size(&params)?;
    let number = params.whole(Code::InvalidParameter, "Page", 0..=u64::from(u32::MAX))?;
    let sid = message.parse().map_err(|_| ApiError::not_found())?;
    find(&app, caller.account, sid).await?;
    let path = format!("/2010-04-01/Accounts/{}/Messages/{sid}/Media.json", caller.account);
    let shown = ListPage::empty(&path, number.unwrap_or(0) as usize, size);
    Ok(json(StatusCode::OK, &MediaList { media_list: [], shown }))
}
