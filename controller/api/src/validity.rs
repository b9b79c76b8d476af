//! When a call or a message may start, as both are asked for (MT-5).

use busyhour_base::{Span, Timestamp};

use crate::{
    error::{ApiError, Code},
    form::Params,
};

/// How far ahead it may be scheduled: 35 days, as the field does.
pub(crate) const AHEAD_MAX: Span = Span::from_secs(35 * 86_400);
/// Longest `ValidityPeriod` (`WIRE.md`): ten hours.
pub(crate) const VALIDITY_MAX: Span = Span::from_secs(36_000);

/// `ValidityPeriod`: the instant from which on it is not worth starting any more, counted from when it may start.
pub(crate) fn expires(params: &Params<'_>, from: Timestamp) -> Result<Option<Timestamp>, ApiError> {
    let allowed = 1..=VALIDITY_MAX.as_secs();
    let validity = params.whole(Code::InvalidParameter, "ValidityPeriod", allowed)?;
    Ok(validity.map(|seconds| from + Span::from_secs(seconds)))
}
