//! Messages: `/2010-04-01/Accounts/{AC}/Messages` (`WIRE.md`), and canceling many at once, which is our own.

mod bring;
mod cancel;
mod create;
mod explain;
mod find;
mod list;
mod media;
mod one;
mod opt_outs;
mod params;
mod resource;

pub(crate) use bring::{__path_bring, bring};
pub(crate) use cancel::{__path_cancel, cancel};
pub(crate) use create::{__path_create, create, refused};
pub(crate) use explain::{__path_explain, explain};
pub(crate) use list::{__path_list, list};
pub(crate) use media::{__path_media, media};
pub(crate) use one::{__path_delete, __path_fetch, __path_update, delete, fetch, update};
pub(crate) use opt_outs::{
    __path_consents, __path_import, __path_opt_outs, __path_remove, __path_removed, consents,
    import, opt_outs, remove, removed,
};
pub(crate) use params::{
    Instants, KNOWN, check, fits, is_other, new_text, recipient, text_but_for_to,
};
