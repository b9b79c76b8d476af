//! How a controller is set up, and what it says when it is up.

use std::{net::SocketAddr, path::PathBuf};

use busyhour_base::Span;
use busyhour_protocol::Secret;

/// Everything that a controller must be told.
#[derive(Clone, Debug)]
pub struct Options {
    /// Folder of the log, the records and the key of the sids. Created if there is none.
    pub data: PathBuf,
    /// Folder of the declared documents.
    pub declarations: PathBuf,
    /// Where the HTTP API listens; port 0 takes a free one.
    pub api: SocketAddr,
    /// Where agents connect; port 0 takes a free one.
    pub grpc: SocketAddr,
    /// What agents must know to be let in.
    pub cluster_token: Secret,
    /// Opens the operator's read models in the API; without it they are closed.
    pub operator_token: Option<Secret>,
    /// How long an agent may be away before its calls end as in doubt. Fixed when the data folder is first used.
    pub agent_grace: Span,
}

impl Options {
    /// The usual grace: longer than an agent needs to reconnect, shorter than a tenant's patience.
    pub const AGENT_GRACE: Span = Span::from_secs(30);

    /// The shortest cluster token.
    pub const CLUSTER_TOKEN_MIN: usize = 16;
}

/// A controller is up: both listeners take connections, and what was accepted before goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ready {
    /// Where the HTTP API listens.
    pub api: SocketAddr,
    /// Where agents connect.
    pub grpc: SocketAddr,
}

/// Why a controller does not start, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A setting cannot work.
    #[error("{field}: {problem}; allowed: {allowed}")]
    Option {
        /// Which.
        field: &'static str,
        /// What is wrong, without the value of a secret.
        problem: String,
        /// What would be accepted.
        allowed: String,
    },
    /// A folder or file of its own cannot be used.
    #[error("{doing} {path}: {source}")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// With what.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// What identifies the data folder is damaged. A new key would give every call another sid.
    #[error("{path} is damaged: {source}. Restore it from a backup of the data folder")]
    Installation {
        /// Its file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A listener's address cannot be had.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The declared documents are not right, and there is no earlier set that could stay in force.
    #[error("the declaration is refused:\n{0}")]
    Declaration(#[from] busyhour_crds::LoadErrors),
    /// The log cannot be opened.
    #[error("log: {0}")]
    Log(#[from] busyhour_log::OpenError),
    /// The records cannot be opened.
    #[error(transparent)]
    Records(#[from] busyhour_records::RecordsError),
    /// A part that must run for ever has stopped.
    #[error("{part} has stopped: {problem}")]
    Part {
        /// Which.
        part: &'static str,
        /// Why.
        problem: String,
    },
}
