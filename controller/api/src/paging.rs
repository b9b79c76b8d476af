//! Lists of the field's shape, newest first, put together of what is in the state and what is in the records; and the paths from
//! page to page.
//!
//! The state is read before the records, and something leaves the state only when it is in the records. So what ends in
//! between is in at least one of them; if it is in both, the record counts. Each of the two is complete down to
//! its floor, so that the list is complete down to the higher floor and ends there at the latest.

use std::cmp::Reverse;

use busyhour_base::AccountSid;
use busyhour_records::PAGE_MAX;
use serde::Serialize;
use url::form_urlencoded;
use utoipa::ToSchema;

use crate::{
    error::{ApiError, Code},
    form::Params,
};

/// On a page if nothing is said. At most as many as the records give (`WIRE.md`: clamped, never refused).
const PAGE: usize = 50;
/// What is looked at per lock of the state.
const LOOK_MIN: usize = 100;
const LOOK_MAX: usize = 1_000;
/// Locks of the state per request. A filter that few of many match then yields a short page with a next one.
const LOOKS_MAX: usize = 100;
/// Pages that a page leads back to, one by one. A path stays below a kilobyte with so many.
const TRAIL_MAX: usize = 16;

/// What is listed: things with a number each, those accepted later with the higher one.
pub(crate) trait Source {
    /// In the state.
    type Live;
    /// In the records.
    type Stored;

    /// The last segment of the list's path.
    const NAME: &'static str;

    fn sid(&self, number: u64) -> String;
    fn number(&self, sid: &str) -> Option<u64>;
    fn live_number(live: &Self::Live) -> u64;
    fn stored_number(stored: &Self::Stored) -> u64;

    /// At most `most` in the state with lower numbers than `before`, newest first.
    fn look(&self, before: Option<u64>, most: usize) -> Vec<Self::Live>;

    /// Whether it is wanted.
    fn admits(&self, live: &Self::Live) -> bool;

    /// Wanted ones in the records, likewise.
    fn stored(
        &self,
        before: Option<u64>,
        most: u32,
    ) -> impl Future<Output = Result<Vec<Self::Stored>, ApiError>> + Send;
}

/// One of a list.
pub(crate) enum Listed<S: Source> {
    /// In the state.
    Live(S::Live),
    /// In the records.
    Stored(S::Stored),
}

impl<S: Source> Listed<S> {
    fn number(&self) -> u64 {
        match self {
            Self::Live(live) => S::live_number(live),
            Self::Stored(stored) => S::stored_number(stored),
        }
    }
}

/// Which page.
pub(crate) struct Page {
    pub(crate) number: usize,
    pub(crate) size: usize,
    /// The ways to the pages before it and, as the last, to itself: that page has lower numbers only. Empty for the first
    /// page.
    trail: Vec<u64>,
}

/// What every list says of the page that it shows.
#[derive(Serialize, ToSchema)]
pub(crate) struct ListPage {
    /// Place of the last one on this page.
    end: usize,
    /// Path of the first page.
    first_page_uri: String,
    /// Path of the next page, or null if this is the last.
    next_page_uri: Option<String>,
    /// Number of this page, from 0.
    page: usize,
    /// Most rows on a page.
    page_size: usize,
    /// Path of the page before, or null if this is the first, or was reached in too many steps to tell.
    previous_page_uri: Option<String>,
    /// Place of the first one on this page.
    start: usize,
    /// Path of this page.
    uri: String,
}

/// How many rows are wanted on a page.
pub(crate) fn page_size(params: &Params<'_>) -> Result<usize, ApiError> {
    let size = params.whole(Code::InvalidParameter, "PageSize", 0..=u64::from(u32::MAX))?;
    Ok(size.map_or(PAGE, |size| size as usize).clamp(1, PAGE_MAX as usize))
}

impl ListPage {
    /// Of a list at this path that never has anything.
    pub(crate) fn empty(path: &str, page: usize, page_size: usize) -> Self {
        let link = |page: usize| format!("{path}?PageSize={page_size}&Page={page}");
        let start = page * page_size;
        Self {
            end: start,
            first_page_uri: link(0),
            next_page_uri: None,
            page,
            page_size,
            previous_page_uri: page.checked_sub(1).map(link),
            start,
            uri: link(page),
        }
    }
}

impl Page {
    pub(crate) fn read<S: Source>(params: &Params<'_>, source: &S) -> Result<Self, ApiError> {
        let whole = |name| params.whole(Code::InvalidParameter, name, 0..=u64::from(u32::MAX));
        let size = page_size(params)?;
        let number = whole("Page")?.unwrap_or(0) as usize;
        let trail = match params.one("PageToken")? {
            None => Vec::new(),
            Some(text) => trail(source, text).ok_or_else(|| {
                let allowed = "a token out of next_page_uri";
                ApiError::parameter(Code::InvalidParameter, "PageToken", text, allowed)
            })?,
        };
        if number > 0 && trail.is_empty() {
            return Err(ApiError::new(
                Code::InvalidParameter,
                format!(
                    "Page = {number} needs the PageToken of next_page_uri: pages after the first are reached by it"
                ),
            ));
        }
        Ok(Self { number, size, trail })
    }

    /// The page's rows, and the number below which the next page begins.
    pub(crate) async fn rows<S: Source>(
        &self,
        source: &S,
    ) -> Result<(Vec<Listed<S>>, Option<u64>), ApiError> {
        let (live, live_floor) = self.live(source).await;
        let (stored, stored_floor) = self.stored(source).await?;
        let floor = live_floor.max(stored_floor);
        let is_stored =
            |number: u64| stored.binary_search_by(|row| number.cmp(&S::stored_number(row))).is_ok();
        let live = live.into_iter().filter(|live| !is_stored(S::live_number(live)));
        let mut found: Vec<Listed<S>> = live.map(Listed::Live).collect();
        found.extend(stored.into_iter().map(Listed::Stored));
        found.retain(|row| floor.is_none_or(|floor| row.number() >= floor));
        found.sort_unstable_by_key(|row| Reverse(row.number()));
        if found.len() <= self.size {
            return Ok((found, floor));
        }
        found.truncate(self.size);
        let last = found.last().map(Listed::number);
        Ok((found, last))
    }

    /// Wanted ones in the state, newest first, and the lowest number looked at if there are lower ones.
    async fn live<S: Source>(&self, source: &S) -> (Vec<S::Live>, Option<u64>) {
        let (mut found, mut before) = (Vec::new(), self.before());
        let most = (self.size + 1).clamp(LOOK_MIN, LOOK_MAX);
        for _ in 0..LOOKS_MAX {
            let look = source.look(before, most);
            let exhausted = look.len() < most;
            before = look.last().map(S::live_number).or(before);
            found.extend(look.into_iter().filter(|live| source.admits(live)));
            if exhausted {
                return (found, None);
            }
            if found.len() > self.size {
                break;
            }
            tokio::task::yield_now().await;
        }
        (found, before)
    }

    /// Wanted ones in the records, newest first, and the lowest number read if there may be lower ones.
    async fn stored<S: Source>(
        &self,
        source: &S,
    ) -> Result<(Vec<S::Stored>, Option<u64>), ApiError> {
        let most = u32::try_from(self.size + 1).unwrap_or(PAGE_MAX).min(PAGE_MAX);
        let stored = source.stored(self.before(), most).await?;
        let full = stored.len() >= most as usize;
        let floor = stored.last().filter(|_| full).map(S::stored_number);
        Ok((stored, floor))
    }

    /// Lower numbers only.
    fn before(&self) -> Option<u64> {
        self.trail.last().copied()
    }

    /// The way to the next page.
    fn trail_to(&self, before: u64) -> Vec<u64> {
        let oldest = (self.trail.len() + 1).saturating_sub(TRAIL_MAX);
        self.trail[oldest..].iter().copied().chain([before]).collect()
    }

    /// The way to the page before this one, unless it was too long ago.
    fn back(&self) -> Option<&[u64]> {
        let (_, earlier) = self.trail.split_last()?;
        (self.number > 0 && (self.number == 1 || !earlier.is_empty())).then_some(earlier)
    }

    /// It with so many rows, if the next page begins below `next`.
    pub(crate) fn shown<S: Source>(
        &self,
        source: &S,
        account: AccountSid,
        params: &Params<'_>,
        (rows, next): (usize, Option<u64>),
    ) -> ListPage {
        let link = |number, trail: &[u64]| self.link(source, account, params, number, trail);
        let start = self.number * self.size;
        ListPage {
            end: start + rows.saturating_sub(1),
            first_page_uri: link(0, &[]),
            next_page_uri: next.map(|before| link(self.number + 1, &self.trail_to(before))),
            page: self.number,
            page_size: self.size,
            previous_page_uri: self.back().map(|trail| link(self.number - 1, trail)),
            start,
            uri: link(self.number, &self.trail),
        }
    }

    /// The path of a page: the same question with another place in it.
    fn link<S: Source>(
        &self,
        source: &S,
        account: AccountSid,
        params: &Params<'_>,
        number: usize,
        trail: &[u64],
    ) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (name, value) in params.iter() {
            if !matches!(name, "Page" | "PageSize" | "PageToken") {
                query.append_pair(name, value);
            }
        }
        query.append_pair("PageSize", &self.size.to_string());
        query.append_pair("Page", &number.to_string());
        if !trail.is_empty() {
            let sids: Vec<_> = trail.iter().map(|number| source.sid(*number)).collect();
            query.append_pair("PageToken", &format!("PA{}", sids.join(".")));
        }
        format!("/2010-04-01/Accounts/{account}/{}.json?{}", S::NAME, query.finish())
    }
}

/// `PA` and sids, the oldest page's first.
fn trail<S: Source>(source: &S, token: &str) -> Option<Vec<u64>> {
    let sids = token.strip_prefix("PA")?.split('.');
    let trail: Option<Vec<_>> = sids.take(TRAIL_MAX + 1).map(|sid| source.number(sid)).collect();
    trail.filter(|trail| trail.len() <= TRAIL_MAX)
}
