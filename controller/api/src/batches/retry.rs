//! Placing calls again, and who is told of a batch: from the request's body to the plan, and back.

use busyhour_base::{Method, Span, Webhook};
use busyhour_controller_core::{
    spec::{BatchHook, Kind, Retry, RetryOn},
    view::{BatchEvent, BatchView},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::plan::refused;
use crate::{
    calls::webhook,
    error::{ApiError, Code},
    form::Params,
};

/// Longest wait before another attempt: a week.
const DELAY_MAX_S: u64 = 7 * 86_400;
/// The outcomes that can be tried again.
const fn names(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Call => &["busy", "no-answer", "failed"],
        Kind::Message => &["failed", "undelivered"],
    }
}

/// Which calls are placed again, and when.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RetryBody {
    /// busy, no-answer, failed; of messages failed, undelivered.
    on: Vec<String>,
    /// Attempts of a line in all, from 2 to 10.
    max: u16,
    /// Seconds from the end of an attempt to the next one: one number, or one for each; the last one goes on.
    backoff: Delays,
}

/// One wait, or several.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum Delays {
    /// The same before each.
    One(u64),
    /// One for each.
    Each(Vec<u64>),
}

/// Who is told of a batch.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CallbackBody {
    /// Where.
    url: String,
    /// GET or POST; POST if left out.
    #[serde(default)]
    method: Option<String>,
    /// Also at every so many percent of its calls that have ended; the end only, if left out.
    #[serde(default)]
    progress_percent: Option<u16>,
}

impl RetryBody {
    pub(super) fn plan(&self, kind: Kind) -> Result<Retry, ApiError> {
        let on = outcomes(kind, "retry.on", &self.on)?;
        let most = Retry::ATTEMPTS_MAX;
        if !(2..=most).contains(&self.max) {
            let allowed = format!("a whole number from 2 to {most}, the first attempt among them");
            return Err(refused("retry.max", &self.max.to_string(), &allowed));
        }
        let delays = match &self.backoff {
            Delays::One(delay) => vec![*delay],
            Delays::Each(delays) => delays.clone(),
        };
        if delays.is_empty() || delays.len() >= usize::from(most) {
            let allowed = format!("1 to {} waits", most - 1);
            return Err(refused("retry.backoff", &format!("{delays:?}"), &allowed));
        }
        if let Some(long) = delays.iter().find(|delay| **delay > DELAY_MAX_S) {
            let allowed = format!("seconds from 0 to {DELAY_MAX_S}");
            return Err(refused("retry.backoff", &long.to_string(), &allowed));
        }
        let delays = delays.into_iter().map(Span::from_secs).collect();
        Ok(Retry { on, attempts_max: self.max, delays })
    }
}

/// The outcomes of these names; there has to be one.
pub(super) fn outcomes(kind: Kind, place: &str, names: &[String]) -> Result<RetryOn, ApiError> {
    let allowed = self::names(kind);
    let mut on = RetryOn::default();
    for outcome in names {
        let known = allowed.iter().find(|known| **known == outcome.as_str());
        match *known.unwrap_or(&"") {
            "busy" => on.busy = true,
            "no-answer" => on.no_answer = true,
            "failed" => on.failed = true,
            "undelivered" => on.undelivered = true,
            _ => {
                let allowed = format!("one of {}", allowed.join(", "));
                return Err(refused(place, outcome, &allowed));
            }
        }
    }
    if names.is_empty() {
        let message = format!("{place} is empty: name at least one of {}", allowed.join(", "));
        return Err(ApiError::new(Code::InvalidParameter, message));
    }
    Ok(on)
}

impl CallbackBody {
    pub(super) fn plan(&self) -> Result<BatchHook, ApiError> {
        let mut pairs = vec![("callback.url".into(), self.url.as_str().into())];
        if let Some(method) = &self.method {
            pairs.push(("callback.method".into(), method.as_str().into()));
        }
        let hook = webhook(&Params::of(pairs), "callback.url", "callback.method")?;
        let Some(hook) = hook else {
            let message = "callback.url is empty: an absolute http or https URL is required";
            return Err(ApiError::new(Code::InvalidUrl, message));
        };
        let percent = self.progress_percent.unwrap_or(0);
        if self.progress_percent == Some(0) || percent > 100 {
            let allowed = "a whole number from 1 to 100";
            return Err(refused("callback.progress_percent", &percent.to_string(), allowed));
        }
        Ok(BatchHook { hook, progress_permille: percent * 10 })
    }
}

/// Which calls are placed again, as it is shown.
#[derive(Serialize, ToSchema)]
pub(crate) struct RetryShown {
    on: Vec<&'static str>,
    max: u16,
    backoff: Vec<u64>,
}

impl RetryShown {
    pub(super) fn new(retry: &Retry) -> Self {
        let RetryOn { busy, no_answer, failed, undelivered } = retry.on;
        let named = [
            ("busy", busy),
            ("no-answer", no_answer),
            ("failed", failed),
            ("undelivered", undelivered),
        ];
        let named = named.into_iter();
        Self {
            on: named.filter(|(_, on)| *on).map(|(name, _)| name).collect(),
            max: retry.attempts_max,
            backoff: retry.delays.iter().map(|delay| delay.as_secs()).collect(),
        }
    }
}

/// Who is told, as it is shown.
#[derive(Serialize, ToSchema)]
pub(crate) struct CallbackShown {
    url: String,
    method: &'static str,
    progress_percent: Option<u16>,
    /// What was not accepted yet: progress or finished.
    owed: Option<&'static str>,
}

impl CallbackShown {
    pub(super) fn new(hook: &BatchHook, view: &BatchView) -> Self {
        let BatchHook { hook: Webhook { url, method }, progress_permille } = hook;
        Self {
            url: url.clone(),
            method: if *method == Method::Get { "GET" } else { "POST" },
            progress_percent: (*progress_permille > 0).then_some(progress_permille / 10),
            owed: view.owed.map(|owed| match owed.event {
                BatchEvent::Progress => "progress",
                BatchEvent::Finished => "finished",
            }),
        }
    }
}
