//! What an agent is started with, and what it says once it is up.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    ops::RangeInclusive,
    path::PathBuf,
    time::Duration,
};

use ipnet::IpNet;

use crate::{
    http::{AudioConfig, CallbacksConfig, HttpConfig},
    sip::Timers,
};

/// How an agent runs. `Debug` hides the token.
#[derive(Clone)]
pub struct Options {
    /// Its name in the cluster, kept across restarts.
    pub name: String,
    /// Addresses of controllers, such as `http://127.0.0.1:8081`; tried in turn.
    pub controllers: Vec<String>,
    /// The cluster's shared secret.
    pub cluster_token: String,
    /// Its journal and caches.
    pub data: PathBuf,
    /// SIP over UDP; port 0 takes any.
    pub sip: SocketAddr,
    /// Address that carriers reach its SIP at, if it is another one; port 0 stands for the bound port.
    pub sip_public: Option<SocketAddr>,
    /// Where RTP is received.
    pub media: IpAddr,
    /// Address that the far end sends RTP to, if it is another one.
    pub media_public: Option<IpAddr>,
    /// Ports for RTP, of which the even ones are used; `None` takes any.
    pub rtp_ports: Option<RangeInclusive<u16>>,
    /// Media threads.
    pub media_threads: usize,
    /// How long the far end may send no RTP before its call is ended.
    pub media_inactivity: Duration,
    /// Calls that it holds at once.
    pub slots: u32,
    /// The speech program.
    pub flite: PathBuf,
    /// Speech processes.
    pub speech_workers: usize,
    /// Networks beyond public space that webhooks may reach, besides those that the controller allows.
    pub allowed_networks: Vec<IpNet>,
    /// Bounds on webhooks.
    pub http: HttpConfig,
    /// Bounds on status callbacks.
    pub callbacks: CallbacksConfig,
    /// Bounds on audio files.
    pub audio: AudioConfig,
    /// Where metrics are served, if anywhere.
    pub metrics: Option<SocketAddr>,
    /// How long calls may go on after the agent is told to stop, before it hangs up.
    pub drain: Duration,
    /// SIP timers.
    pub timers: Timers,
}

impl Options {
    /// An agent on loopback with any ports, and usual bounds.
    pub fn new(name: &str, controller: &str, cluster_token: &str, data: PathBuf) -> Self {
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            name: name.to_owned(),
            controllers: vec![controller.to_owned()],
            cluster_token: cluster_token.to_owned(),
            data,
            sip: SocketAddr::new(loopback, 0),
            sip_public: None,
            media: loopback,
            media_public: None,
            rtp_ports: None,
            media_threads: (cores / 2).max(1),
            media_inactivity: Duration::from_secs(30),
            slots: 100,
            flite: PathBuf::from("flite"),
            speech_workers: cores.max(2),
            allowed_networks: Vec::new(),
            http: HttpConfig::default(),
            callbacks: CallbacksConfig::default(),
            audio: AudioConfig::default(),
            metrics: None,
            drain: Duration::from_secs(5),
            timers: Timers::default(),
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("name", &self.name)
            .field("controllers", &self.controllers)
            .field("data", &self.data)
            .field("sip", &self.sip)
            .field("rtp_ports", &self.rtp_ports)
            .field("slots", &self.slots)
            .finish_non_exhaustive()
    }
}

/// Where an agent listens.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub struct Ready {
    /// SIP over UDP.
    pub sip: SocketAddr,
    /// Metrics over HTTP, if served.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metrics: Option<SocketAddr>,
}

/// Why an agent does not run.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// An option that cannot be.
    #[error("{option}: {problem}")]
    Option {
        /// Which.
        option: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// A part could not be started.
    #[error("{part}: {source}")]
    Start {
        /// Which.
        part: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// The journal cannot be read or written; without it no call may be placed.
    #[error("journal: {0}")]
    Journal(#[from] crate::journal::JournalError),
    /// The HTTP client cannot be set up.
    #[error("HTTP client: {0}")]
    Http(#[from] reqwest::Error),
}
