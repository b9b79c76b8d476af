//! Calls: `/2010-04-01/Accounts/{AC}/Calls` (`WIRE.md`).

mod address;
mod attempt;
mod cancel;
mod create;
mod fetch;
mod filter;
mod find;
mod list;
mod params;
mod resource;
mod update;
mod webhooks;

pub(crate) use address::{Ends, canonical};
pub(crate) use attempt::EarlierAttempt;
pub(crate) use cancel::{__path_cancel, cancel};
pub(crate) use create::{__path_create, create};
pub(crate) use fetch::{__path_fetch, fetch};
pub(crate) use filter::range;
pub(crate) use find::{Found, find, find_any};
pub(crate) use list::{__path_list, list};
pub(crate) use params::{KNOWN, Template, callable, check, new_call, urgency};
pub(crate) use resource::{CallList, CallResource, Facts, Text};
pub(crate) use update::{__path_update, update};
pub(crate) use webhooks::webhook;
