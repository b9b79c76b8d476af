//! The body of a new batch, and the plan that the state machine gets of it.

use busyhour_base::{Span, Timestamp};
use busyhour_controller_core::spec::{BatchPlan, Throttle};
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::line::texts;
use crate::{
    calls,
    dates::instant,
    edge::Caller,
    error::{ApiError, Code},
    form::Params,
};

/// Longest name, in characters.
const NAME_MAX: usize = 128;
/// Most bytes of all defaults together: they are in the replicated state as long as the batch is.
const DEFAULTS_MAX: usize = 16 * 1_024;
/// Most calls per second of one batch.
const CPS_MAX: f64 = 100_000.0;
/// Fewest: one call a day.
const CPS_MIN: f64 = 1.0 / 86_400.0;

/// A new batch. Everything may be left out.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct CreateBatch {
    /// The tenant's name for it, at most 128 characters.
    name: String,
    /// Parameters of `calls.create` that lines may leave out.
    #[schema(value_type = Object)]
    defaults: Map<String, Value>,
    /// When.
    #[schema(default = json!({}))]
    schedule: Schedule,
    /// How fast.
    #[schema(default = json!({}))]
    pacing: Pacing,
}

/// When a batch runs.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Schedule {
    /// RFC 3339. No call starts before it.
    not_before: Option<String>,
    /// RFC 3339. What has not started by then expires.
    not_after: Option<String>,
}

/// How fast a batch runs, within its account's limits.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Pacing {
    /// Calls per second, evenly spaced; fractions are allowed.
    cps: Option<f64>,
    /// Most calls in progress at once.
    max_concurrent: Option<u32>,
}

impl CreateBatch {
    /// Checks it whole.
    pub(super) fn plan(&self, caller: &Caller, now: Timestamp) -> Result<BatchPlan, ApiError> {
        let (not_before, not_after) = self.schedule.times(now)?;
        Ok(BatchPlan {
            name: self.name()?,
            throttle: self.pacing.throttle()?,
            max_concurrent: self.pacing.concurrent()?,
            not_before,
            not_after,
            defaults: self.defaults(caller, now)?,
            ..BatchPlan::default()
        })
    }

    fn name(&self) -> Result<String, ApiError> {
        let fits = self.name.chars().count() <= NAME_MAX;
        if !fits || self.name.chars().any(char::is_control) {
            let allowed = "at most 128 characters, none of them a control character";
            return Err(refused("name", &self.name, allowed));
        }
        Ok(self.name.clone())
    }

    fn defaults(&self, caller: &Caller, now: Timestamp) -> Result<Vec<(String, String)>, ApiError> {
        let mut pairs = Vec::new();
        for (name, value) in &self.defaults {
            if calls::is_known(name).is_none() {
                let allowed = format!("one of {}", calls::NAMES.join(", "));
                return Err(refused("defaults", name, &allowed));
            }
            let values = texts(value).map_err(|what| {
                let message = format!(
                    "defaults.{name} is {what}: a string, number, true, false or a list of these is allowed"
                );
                ApiError::new(Code::InvalidParameter, message)
            })?;
            pairs.extend(values.into_iter().map(|value| (name.clone(), value)));
        }
        let bytes: usize = pairs.iter().map(|(name, value)| name.len() + value.len()).sum();
        if bytes > DEFAULTS_MAX {
            let message =
                format!("defaults hold {bytes} bytes: at most {DEFAULTS_MAX} are allowed");
            return Err(ApiError::new(Code::InvalidParameter, message));
        }
        let borrowed = pairs.iter();
        let borrowed = borrowed.map(|(name, value)| (name.as_str().into(), value.as_str().into()));
        let params = Params::of(borrowed.collect());
        calls::check(&params, caller.account, &caller.directory, now)?;
        Ok(pairs)
    }
}

impl Schedule {
    fn times(&self, now: Timestamp) -> Result<(Option<Timestamp>, Option<Timestamp>), ApiError> {
        let read = |name: &str, text: &Option<String>| match text {
            None => Ok(None),
            Some(text) => instant(text)
                .map(Some)
                .ok_or_else(|| refused(name, text, "an instant such as 2026-03-10T12:00:00Z")),
        };
        let not_before = read("schedule.not_before", &self.not_before)?;
        let not_after = read("schedule.not_after", &self.not_after)?;
        if let Some(end) = not_after
            && end <= not_before.unwrap_or(now).max(now)
        {
            let text = self.not_after.as_deref().unwrap_or_default();
            let allowed = "an instant in the future and after not_before";
            return Err(refused("schedule.not_after", text, allowed));
        }
        Ok((not_before, not_after))
    }
}

impl Pacing {
    /// Rounded up, so that the batch is never faster than asked.
    fn throttle(&self) -> Result<Option<Throttle>, ApiError> {
        let Some(cps) = self.cps else {
            return Ok(None);
        };
        if !(CPS_MIN..=CPS_MAX).contains(&cps) {
            let allowed = "a number of calls per second from 1/86400 to 100000";
            return Err(refused("pacing.cps", &cps.to_string(), allowed));
        }
        let spacing = Span::from_micros((1e6 / cps).ceil() as u64);
        Ok(Some(Throttle { spacing }))
    }

    fn concurrent(&self) -> Result<Option<u32>, ApiError> {
        match self.max_concurrent {
            Some(0) => Err(refused("pacing.max_concurrent", "0", "a whole number from 1")),
            other => Ok(other),
        }
    }
}

fn refused(name: &str, value: &str, allowed: &str) -> ApiError {
    ApiError::parameter(Code::InvalidParameter, name, value, allowed)
}
