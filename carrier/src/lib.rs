//! A test carrier with real SIP and RTP that keeps its own account, and a tenant's application server for demos and tests.
//!
//! The carrier is the independent witness of everything that is promised about carriers: it counts channels and
//! call set-ups by its own clock, holds callers to the contract as a real carrier does, and writes down what it
//! heard. To be a witness it shares no SIP, RTP, SDP or digest code with the call router: only the syntax of SIP
//! messages comes from the same library. Its user agent server ([`uas`]) is a sans-IO machine of its own.
//!
//! | part | does |
//! |---|---|
//! | [`run`] | the carrier as a service: SIP over UDP, RTP threads, the account over HTTP |
//! | [`uas`] | calls as a pure machine: datagrams and instants in, datagrams and media orders out |
//! | [`media`] | one call's audio as a pure machine, and the thread that drives all of them |
//! | [`caller`] | one caller of a tenant's number; the service plays all of a scenario |
//! | [`account`] | what the carrier saw |
//! | [`serve_application`] | static documents, signatures checked, parameters kept |

pub mod account;
mod application;
pub mod caller;
mod calling;
mod clock;
pub mod media;
mod options;
pub mod plan;
mod server;
mod sip;
pub mod uas;
mod web;

pub use application::{
    ApplicationAccount, ApplicationOptions, ApplicationReady, CallParameters, Exchange,
    serve_application,
};
pub use options::{Contract, Credentials, Options, OptionsError};
pub use server::{CarrierError, Ready, run};
