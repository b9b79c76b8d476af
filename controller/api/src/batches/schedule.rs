//! When a batch runs: from the request's body to instants and calling hours, and back.

use busyhour_base::Timestamp;
use busyhour_controller_core::spec::{BatchPlan, CallingHours, DAYS_ALL, WeeklyWindow};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    hours::{self, zone},
    plan::refused,
};
use crate::{
    dates::{Rfc3339, instant},
    error::{ApiError, Code},
};

/// Most windows of a week.
const WINDOWS_MAX: usize = 16;
/// Days in the order of their bits.
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const DAY_MINUTES: u16 = 24 * 60;

/// When a batch runs.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Schedule {
    /// RFC 3339. No call starts before it.
    not_before: Option<String>,
    /// RFC 3339. What has not started by then expires.
    not_after: Option<String>,
    /// IANA name of the zone of `windows`, such as `Europe/Berlin`.
    timezone: Option<String>,
    /// Calls start within these only; what is left over goes on in the next one.
    windows: Vec<Window>,
}

/// A calling window of every week, in local time.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Window {
    /// mon, tue, wed, thu, fri, sat, sun; every day if left out.
    #[serde(default)]
    days: Vec<String>,
    /// `HH:MM`.
    from: String,
    /// `HH:MM`, up to 24:00; at or before `from` it is on the next day.
    to: String,
}

/// When a batch runs, as it is shown.
#[derive(Serialize, ToSchema)]
pub(crate) struct ScheduleBody {
    /// Not before.
    #[schema(value_type = Option<String>)]
    not_before: Option<Rfc3339>,
    /// What has not started by then expires.
    #[schema(value_type = Option<String>)]
    not_after: Option<Rfc3339>,
    /// Zone of the windows.
    timezone: Option<String>,
    /// Calling windows.
    windows: Vec<WindowBody>,
    /// When calls may start next by the windows; in the past while one is open.
    #[schema(value_type = Option<String>)]
    opens_at: Option<Rfc3339>,
    /// When that window closes.
    #[schema(value_type = Option<String>)]
    closes_at: Option<Rfc3339>,
}

/// A calling window, as it is shown.
#[derive(Serialize, ToSchema)]
pub(crate) struct WindowBody {
    days: Vec<&'static str>,
    from: String,
    to: String,
}

impl Schedule {
    /// Checks it, and puts it into the plan.
    pub(super) fn plan(&self, plan: &mut BatchPlan, now: Timestamp) -> Result<(), ApiError> {
        (plan.not_before, plan.not_after) = self.times(now)?;
        plan.hours = self.hours()?;
        plan.openings = plan.hours.as_ref().map(|hours| {
            let from = plan.not_before.unwrap_or(now).max(now);
            hours::openings(hours, from, horizon(from, plan.not_after))
        });
        let ends = plan.not_after.filter(|end| {
            plan.openings.as_ref().is_some_and(|open| open.spans.is_empty() && open.through == *end)
        });
        if ends.is_some() {
            let message = "schedule.windows: none of them opens before schedule.not_after";
            return Err(ApiError::new(Code::InvalidParameter, message));
        }
        Ok(())
    }

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

    fn hours(&self) -> Result<Option<CallingHours>, ApiError> {
        let missing = |name: &str, other: &str| {
            let message =
                format!("schedule.{name} is missing: schedule.{other} has no meaning alone");
            Err(ApiError::new(Code::InvalidParameter, message))
        };
        let name = match (&self.timezone, self.windows.is_empty()) {
            (None, true) => return Ok(None),
            (None, false) => return missing("timezone", "windows"),
            (Some(_), true) => return missing("windows", "timezone"),
            (Some(name), false) => name,
        };
        if zone(name).is_none() {
            let allowed = "the IANA name of a time zone, such as Europe/Berlin or UTC";
            return Err(refused("schedule.timezone", name, allowed));
        }
        if self.windows.len() > WINDOWS_MAX {
            let message = format!(
                "schedule.windows has {} windows: at most {WINDOWS_MAX} are allowed",
                self.windows.len()
            );
            return Err(ApiError::new(Code::InvalidParameter, message));
        }
        let weekly = self.windows.iter().enumerate().map(|(n, window)| window.weekly(n));
        Ok(Some(CallingHours { zone: name.clone(), weekly: weekly.collect::<Result<_, _>>()? }))
    }
}

/// Up to when hours are resolved from an instant on.
pub(super) fn horizon(from: Timestamp, not_after: Option<Timestamp>) -> Timestamp {
    (from + hours::AHEAD).min(not_after.unwrap_or(Timestamp::NEVER))
}

impl Window {
    fn weekly(&self, n: usize) -> Result<WeeklyWindow, ApiError> {
        let place = |field: &str| format!("schedule.windows[{n}].{field}");
        let mut days = 0;
        for day in &self.days {
            let bit = DAYS.iter().position(|known| known == day);
            let allowed = format!("one of {}", DAYS.join(", "));
            days |= 1 << bit.ok_or_else(|| refused(&place("days"), day, &allowed))?;
        }
        let time = |field: &str, text: &str, most: u16| {
            let allowed = if most == DAY_MINUTES {
                "a time from 00:00 to 24:00"
            } else {
                "a time from 00:00 to 23:59"
            };
            minutes(text)
                .filter(|minutes| *minutes <= most)
                .ok_or_else(|| refused(&place(field), text, allowed))
        };
        let days = if self.days.is_empty() { DAYS_ALL } else { days };
        let from_min = time("from", &self.from, DAY_MINUTES - 1)?;
        let to_min = time("to", &self.to, DAY_MINUTES)?;
        Ok(WeeklyWindow { days, from_min, to_min })
    }
}

/// `HH:MM` in minutes from midnight.
fn minutes(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':')?;
    let digits = |part: &str| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(hour) || !digits(minute) {
        return None;
    }
    let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
    (minute < 60).then_some(hour * 60 + minute)
}

impl ScheduleBody {
    pub(super) fn new(plan: &BatchPlan, now: Timestamp) -> Self {
        let hours = plan.hours.as_ref();
        let opening = plan
            .openings
            .as_ref()
            .and_then(|openings| openings.at_or_after(plan.not_before.unwrap_or(now).max(now)));
        Self {
            not_before: plan.not_before.map(Rfc3339),
            not_after: plan.not_after.map(Rfc3339),
            timezone: hours.map(|hours| hours.zone.clone()),
            windows: hours
                .map_or_else(Vec::new, |hours| hours.weekly.iter().map(WindowBody::new).collect()),
            opens_at: opening.map(|opening| Rfc3339(opening.from)),
            closes_at: opening.map(|opening| Rfc3339(opening.to)),
        }
    }
}

impl WindowBody {
    fn new(window: &WeeklyWindow) -> Self {
        let time = |minutes: u16| format!("{:02}:{:02}", minutes / 60, minutes % 60);
        let days = DAYS.iter().enumerate().filter(|(bit, _)| window.days & (1 << bit) != 0);
        Self {
            days: days.map(|(_, name)| *name).collect(),
            from: time(window.from_min),
            to: time(window.to_min),
        }
    }
}
