//! One outbound call: from the order to dial to its end, its SIP leg and its document session together.

mod io;

pub use io::*;
