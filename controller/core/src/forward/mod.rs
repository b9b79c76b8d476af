//! When waiting requests will start, found by running the engine itself ahead on a copy (`explain`, SPEC MT-27).
//!
//! [`Outlook`] is that copy: the engine, the calls in progress and how long calls have lasted. Taking it is bounded
//! by [`COPY_BYTES_MAX`]; a state that is larger gives none, and the analytic [`crate::engine::forecast`] answers
//! instead. Everything after that needs neither the state nor its lock.
//!
//! An outlook is run [`RUNS`] times, each with other lengths of calls, drawn from those that were seen: the same decisions
//! as the machine's own, in virtual time. The quantiles over the runs are the answer, and what held the request in
//! them is why. What would change it is found by running again with a limit moved. What is not foreseen: requests that
//! are yet to come, calls that are sent back, changes of the declaration.
//!
//! Nothing here decides anything, and equal copies with equal seeds give equal answers.

mod estimate;
mod holding;
mod lengths;
mod outlook;
mod run;
mod what_if;

pub use estimate::{Estimate, Forecast, RUNS};
pub use holding::Holding;
pub use outlook::{COPY_BYTES_MAX, Outlook};
pub use run::Bounds;
pub use what_if::{About, Amount, Answer, Inquiry, Proposal};

pub(crate) use lengths::{CALL_ASSUMED_US, MESSAGE_ASSUMED_US};
pub(crate) use outlook::{Closing, Expiring, InProgress, Timed, Waits};
pub(crate) use run::Until;
pub(crate) use what_if::{Change, Target};
