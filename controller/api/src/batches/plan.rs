//! The body of a new batch, and the plan that the state machine gets of it.

use busyhour_base::{Span, Timestamp};
use busyhour_controller_core::spec::{BatchPlan, Throttle};
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{
    line::texts,
    retry::{CallbackBody, RetryBody},
    schedule::Schedule,
};
use crate::{
    calls,
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
    /// Which calls are placed again.
    retry: Option<RetryBody>,
    /// Who is told of progress and of the end.
    callback: Option<CallbackBody>,
}

/// How fast a batch runs, within its account's limits.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Pacing {
    /// Calls per second, evenly spaced; fractions are allowed.
    pub(super) cps: Option<f64>,
    /// Most calls in progress at once.
    pub(super) max_concurrent: Option<u32>,
}

impl CreateBatch {
    /// Checks it whole.
    pub(super) fn plan(&self, caller: &Caller, now: Timestamp) -> Result<BatchPlan, ApiError> {
        let mut plan = BatchPlan {
            name: self.name()?,
            throttle: self.pacing.throttle()?,
            max_concurrent: self.pacing.concurrent()?,
            defaults: self.defaults(caller, now)?,
            retry: self.retry.as_ref().map(RetryBody::plan).transpose()?,
            callback: self.callback.as_ref().map(CallbackBody::plan).transpose()?,
            ..BatchPlan::default()
        };
        self.schedule.plan(&mut plan, now)?;
        Ok(plan)
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

impl Pacing {
    /// Rounded up, so that the batch is never faster than asked.
    pub(super) fn throttle(&self) -> Result<Option<Throttle>, ApiError> {
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

    pub(super) fn concurrent(&self) -> Result<Option<u32>, ApiError> {
        match self.max_concurrent {
            Some(0) => Err(refused("pacing.max_concurrent", "0", "a whole number from 1")),
            other => Ok(other),
        }
    }
}

pub(super) fn refused(name: &str, value: &str, allowed: &str) -> ApiError {
    ApiError::parameter(Code::InvalidParameter, name, value, allowed)
}
