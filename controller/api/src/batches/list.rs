//! Batches of an account, in the shape of the field's `/v1` lists.

use std::collections::BTreeSet;

use axum::{extract::State, response::Response};
use busyhour_base::BatchSid;
use busyhour_controller_core::spec::BatchId;
use http::{StatusCode, Uri};
use serde::Serialize;
use utoipa::ToSchema;

use super::resource::BatchResource;
use crate::{
    App,
    edge::{Caller, json},
    error::{ApiError, Code},
    form::Params,
};

/// Batches on a page if nothing is said, and at most.
const PAGE: usize = 50;
const PAGE_MAX: usize = 1_000;

/// A page of batches.
#[derive(Serialize, ToSchema)]
pub(crate) struct BatchList {
    /// The page, newest first.
    batches: Vec<BatchResource>,
    /// Where it stands.
    meta: Meta,
}

/// Where a page stands.
#[derive(Serialize, ToSchema)]
pub(crate) struct Meta {
    /// `batches`.
    key: &'static str,
    /// Number of this page, from 0.
    page: u64,
    /// Most on a page.
    page_size: usize,
    /// Path of the first page.
    first_page_url: String,
    /// Path of this page.
    url: String,
    /// Path of the next page.
    next_page_url: Option<String>,
    /// Always null: pages lead forward only.
    previous_page_url: Option<String>,
}

/// Batches of the account, newest first.
#[utoipa::path(
    get, path = "/v1/Batches", tag = "Batches",
    params(("PageSize" = Option<usize>, Query), ("Page" = Option<u64>, Query), ("PageToken" = Option<String>, Query)),
    responses((status = 200, body = BatchList), (status = "4XX", body = crate::error::ErrorBody)),
    security(("account" = []))
)]
pub(crate) async fn list(
    State(app): State<App>,
    caller: Caller,
    uri: Uri,
) -> Result<Response, ApiError> {
    let params = Params::parse(uri.query().unwrap_or("").as_bytes())?;
    let whole = |name| params.whole(Code::InvalidParameter, name, 0..=u64::from(u32::MAX));
    let size = whole("PageSize")?.map_or(PAGE, |size| size as usize).clamp(1, PAGE_MAX);
    let page = whole("Page")?.unwrap_or(0);
    let before = token(&app, &params)?;
    let views = || app.platform.views.batches_of(caller.account, before, size + 1);
    let kinds: BTreeSet<_> = views().iter().map(|view| view.plan.kind).collect();
    for kind in kinds {
        app.forecasts.refresh(kind).await;
    }
    let mut views = views();
    let more = views.len() > size;
    views.truncate(size);
    let last = views.last().filter(|_| more).map(|view| view.batch);
    let link = |page: u64, before: Option<BatchId>| {
        let token =
            before.map(|before| format!("&PageToken=PA{}", app.platform.sid_key.batch(before.0)));
        format!("/v1/Batches?PageSize={size}&Page={page}{}", token.unwrap_or_default())
    };
    let body = BatchList {
        batches: views.iter().map(|view| BatchResource::new(&app, view)).collect(),
        meta: Meta {
            key: "batches",
            page,
            page_size: size,
            first_page_url: link(0, None),
            url: link(page, before),
            next_page_url: last.map(|last| link(page + 1, Some(last))),
            previous_page_url: None,
        },
    };
    Ok(json(StatusCode::OK, &body))
}

fn token(app: &App, params: &Params<'_>) -> Result<Option<BatchId>, ApiError> {
    let Some(text) = params.one("PageToken")? else {
        return Ok(None);
    };
    let sid: Option<BatchSid> = text.strip_prefix("PA").and_then(|sid| sid.parse().ok());
    let batch = sid.and_then(|sid| app.platform.sid_key.batch_number(sid));
    let refused = || {
        let allowed = "a token out of next_page_url";
        ApiError::parameter(Code::InvalidParameter, "PageToken", text, allowed)
    };
    batch.map(BatchId).map(Some).ok_or_else(refused)
}
