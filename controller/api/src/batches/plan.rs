//! The body of a new batch, and the plan that the state machine gets of it.

use busyhour_base::{Timestamp, pacing};
use busyhour_controller_core::spec::{BatchPlan, DedupeBy, Kind, Throttle, WindowEnd};
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{
    kind,
    line::{Column, texts},
    retry::{CallbackBody, RetryBody},
    schedule::Schedule,
};
use crate::{
    calls,
    edge::Caller,
    error::{ApiError, Code},
    form::Params,
    messages,
};

/// Longest name, in characters.
const NAME_MAX: usize = 128;
/// Most bytes of all defaults together: they are in the replicated state as long as the batch is.
const DEFAULTS_MAX: usize = 16 * 1_024;

/// A new batch. Everything may be left out.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct CreateBatch {
    /// The tenant's name for it, at most 128 characters.
    name: String,
    /// What its lines are: `calls` or `messages`. Told by the defaults if left out (`Body` is of messages, `Url` of calls);
    /// calls, if they do not tell.
    kind: Option<String>,
    /// Parameters of `calls.create`, or of `messages.create`, that lines may leave out.
    #[schema(value_type = Object)]
    defaults: Map<String, Value>,
    /// When.
    #[schema(default = json!({}))]
    schedule: Schedule,
    /// How fast.
    #[schema(default = json!({}))]
    pacing: Pacing,
    /// Which calls are placed, or messages sent, again.
    retry: Option<RetryBody>,
    /// Who is told of progress and of the end.
    callback: Option<CallbackBody>,
    /// Of lines with the same value only the first is taken: `custom_id` (which is so in any case), `To`, or a variable such
    /// as `var.customer`.
    #[schema(default = "custom_id")]
    dedupe_by: Option<String>,
    /// What becomes of lines that wait when a calling window closes: `pause` until the next one, or `expire`.
    #[schema(default = "pause")]
    on_window_end: Option<String>,
}

/// How fast a batch runs, within its account's limits and those of its numbers.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Pacing {
    /// Calls per second, or segments of messages per second, evenly spaced; fractions are allowed.
    pub(super) cps: Option<f64>,
    /// Most calls in progress at once, or messages that carriers have not answered.
    pub(super) max_concurrent: Option<u32>,
}

impl CreateBatch {
    /// Checks it whole.
    pub(super) fn plan(&self, caller: &Caller, now: Timestamp) -> Result<BatchPlan, ApiError> {
        let kind = kind::of(self.kind.as_deref(), &self.defaults)?;
        let mut plan = BatchPlan {
            kind,
            name: self.name()?,
            throttle: self.pacing.throttle()?,
            max_concurrent: self.pacing.concurrent()?,
            defaults: self.defaults(kind, caller, now)?,
            retry: self.retry.as_ref().map(|retry| retry.plan(kind)).transpose()?,
            callback: self.callback.as_ref().map(CallbackBody::plan).transpose()?,
            dedupe_by: self.dedupe_by(kind)?,
            on_window_end: self.on_window_end()?,
            ..BatchPlan::default()
        };
        self.schedule.plan(&mut plan, now)?;
        if self.on_window_end.is_some() && plan.hours.is_none() {
            let message =
                "on_window_end has no meaning without windows: schedule.windows is missing";
            return Err(ApiError::new(Code::InvalidParameter, message));
        }
        Ok(plan)
    }

    fn dedupe_by(&self, kind: Kind) -> Result<DedupeBy, ApiError> {
        let Some(name) = &self.dedupe_by else { return Ok(DedupeBy::default()) };
        match Column::named(name, kind) {
            Ok(Column::CustomId) => Ok(DedupeBy::CustomId),
            Ok(Column::Parameter("To")) => Ok(DedupeBy::To),
            Ok(Column::Variable(name)) => Ok(DedupeBy::Variable(name.into_owned())),
            _ => {
                let allowed = "custom_id, To, or var. and the name of a variable";
                Err(refused("dedupe_by", name, allowed))
            }
        }
    }

    fn on_window_end(&self) -> Result<WindowEnd, ApiError> {
        match self.on_window_end.as_deref() {
            None | Some("pause") => Ok(WindowEnd::Pause),
            Some("expire") => Ok(WindowEnd::Expire),
            Some(other) => Err(refused("on_window_end", other, "pause or expire")),
        }
    }

    fn name(&self) -> Result<String, ApiError> {
        let fits = self.name.chars().count() <= NAME_MAX;
        if !fits || self.name.chars().any(char::is_control) {
            let allowed = "at most 128 characters, none of them a control character";
            return Err(refused("name", &self.name, allowed));
        }
        Ok(self.name.clone())
    }

    fn defaults(
        &self,
        kind: Kind,
        caller: &Caller,
        now: Timestamp,
    ) -> Result<Vec<(String, String)>, ApiError> {
        let mut pairs = Vec::new();
        for (name, value) in &self.defaults {
            if kind::known(kind).name(name).is_none() {
                return Err(refused("defaults", name, &kind::allowed(kind, name)));
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
        let check = match kind {
            Kind::Call => calls::check,
            Kind::Message => messages::check,
        };
        check(&params, caller.account, &caller.directory, now)?;
        Ok(pairs)
    }
}

impl Pacing {
    pub(super) fn throttle(&self) -> Result<Option<Throttle>, ApiError> {
        let Some(cps) = self.cps else {
            return Ok(None);
        };
        match pacing::spacing(cps) {
            Some(spacing) => Ok(Some(Throttle { spacing })),
            None => Err(refused("pacing.cps", &cps.to_string(), pacing::CPS_ALLOWED)),
        }
    }

    pub(super) fn concurrent(&self) -> Result<Option<u32>, ApiError> {
        match self.max_concurrent {
            Some(0) => Err(refused("pacing.max_concurrent", "0", "a whole number from 1")),
            other => Ok(other),
        }
    }
}

/// Words as they are asked for.
pub(super) fn shown_dedupe(by: &DedupeBy) -> String {
    match by {
        DedupeBy::CustomId => "custom_id".to_owned(),
        DedupeBy::To => "To".to_owned(),
        DedupeBy::Variable(name) => format!("var.{name}"),
    }
}

pub(super) const fn shown_end(end: WindowEnd) -> &'static str {
    match end {
        WindowEnd::Pause => "pause",
        WindowEnd::Expire => "expire",
    }
}

pub(super) fn refused(name: &str, value: &str, allowed: &str) -> ApiError {
    ApiError::parameter(Code::InvalidParameter, name, value, allowed)
}
