//! The carrier as a service: sockets, clock and threads around the machine.

use std::{future::Future, io, net::SocketAddr, time::Duration};

use serde::{Deserialize, Serialize};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    net::{TcpListener, UdpSocket},
    sync::{mpsc, oneshot},
    time::{Instant, sleep_until, timeout},
};

use crate::{
    Options, OptionsError,
    account::Account,
    calling::{Calling, NotBegun, Told},
    clock::Clock,
    media::{Desk, Event, open_sockets},
    uas::{Output, Settings, Uas},
    web,
};

/// Where a carrier can be reached, told once everything is open.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Ready {
    /// SIP over UDP.
    pub sip: SocketAddr,
    /// `GET /account` over HTTP.
    pub account: SocketAddr,
}

/// Why a carrier did not start or could not go on.
#[derive(Debug, thiserror::Error)]
pub enum CarrierError {
    /// Settings that cannot be served.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// An address could not be opened.
    #[error("cannot open the {what} socket on {address}: {source}")]
    Open {
        /// Which.
        what: &'static str,
        /// Where.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// A range of RTP ports that others use too much of.
    #[error("only {open} of the {wanted} RTP sockets could be opened")]
    RtpPorts {
        /// Sockets opened.
        open: usize,
        /// One per channel.
        wanted: usize,
    },
    /// The media side is gone.
    #[error("media: {0}")]
    Media(String),
    /// Callers that cannot begin.
    #[error("calls_to: {0}")]
    CallsTo(String),
    /// A socket that was open failed.
    #[error("the {what} socket failed: {source}")]
    Socket {
        /// Which.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
}

/// What is asked over HTTP.
pub(crate) enum Question {
    /// The account, with the single calls or without.
    Account { with_calls: bool, answer: oneshot::Sender<Account> },
    /// The callers may call these addresses.
    CallIn { trunks: Vec<SocketAddr>, answer: oneshot::Sender<Result<usize, NotBegun>> },
}

/// What callers have told and was not looked at; behind a full queue they wait.
const TOLD_MAX: usize = 1_024;

/// Datagrams taken before anything else gets its turn.
const MAX_BATCH: usize = 64;

/// Room for a burst of INVITEs while the machine is busy.
const SIP_BUFFER: usize = 8 << 20;

/// Refused and ended calls whose transactions linger, beside those that hold channels.
const MAX_EXTRA_CALLS: usize = 100_000;

/// How long the last packets are waited for when the carrier stops.
const STOP_WITHIN: Duration = Duration::from_secs(2);

/// Runs a carrier until `shutdown` resolves; tells `ready` its addresses and returns its final account.
pub async fn run(
    options: Options,
    ready: oneshot::Sender<Ready>,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<Account, CarrierError> {
    options.check()?;
    let clock = Clock::start();
    let socket = open_sip(options.sip).map_err(|source| CarrierError::Open {
        what: "SIP",
        address: options.sip,
        source,
    })?;
    let (listener, account) = open_account(options.account).await?;
    let mut service = Service::open(clock, &options, socket)?;
    let sip = service.sip;
    if !options.calls_to.is_empty() {
        let begun = service.calling.begin(options.calls_to.clone());
        begun.map_err(|error| CarrierError::CallsTo(error.to_string()))?;
    }
    let (questions, mut asked) = mpsc::channel::<Question>(64);
    let web = tokio::spawn(web::serve(listener, questions));
    tracing::info!(%sip, %account, "carrier is up");
    // A caller that does not care where the carrier is has dropped the receiver.
    let _ = ready.send(Ready { sip, account });
    let outcome = service.serve(&mut asked, shutdown).await;
    web.abort();
    let account = service.stop().await;
    outcome.map(|()| account)
}

async fn open_account(address: SocketAddr) -> Result<(TcpListener, SocketAddr), CarrierError> {
    let open = async {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    };
    open.await.map_err(|source| CarrierError::Open { what: "account", address, source })
}

fn open_sip(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    // The kernel takes what its limit allows; that is enough to start with.
    socket.set_recv_buffer_size(SIP_BUFFER)?;
    socket.set_send_buffer_size(SIP_BUFFER)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    UdpSocket::from_std(socket.into())
}

struct Service {
    clock: Clock,
    sip: SocketAddr,
    socket: UdpSocket,
    uas: Uas,
    media: Desk,
    events: mpsc::Receiver<Event>,
    calling: Calling,
    told: mpsc::Receiver<Told>,
    buffer: Vec<u8>,
}

impl Service {
    fn open(clock: Clock, options: &Options, socket: UdpSocket) -> Result<Self, CarrierError> {
        let sip = socket.local_addr().map_err(sip_failed)?;
        let channels = options.contract.channels as usize;
        // A slot rests until its last packet is accounted for: some more than channels are needed.
        let slots = channels + channels / 4 + 8;
        raise_file_limit(slots);
        let sockets =
            open_sockets(options.rtp, options.rtp_ports.clone(), slots).map_err(|source| {
                CarrierError::Open { what: "RTP", address: SocketAddr::new(options.rtp, 0), source }
            })?;
        if sockets.len() < channels {
            return Err(CarrierError::RtpPorts { open: sockets.len(), wanted: channels });
        }
        let rtp = sockets
            .iter()
            .map(std::net::UdpSocket::local_addr)
            .collect::<io::Result<Vec<_>>>()
            .map_err(|source| CarrierError::Socket { what: "RTP", source })?;
        let (told, events) = mpsc::channel(2 * sockets.len() + 16);
        let media = Desk::start(
            clock,
            options.media_threads,
            sockets,
            options.rtp_timeout,
            options.seed,
            &told,
        )
        .map_err(|error| CarrierError::Media(error.to_string()))?;
        let (callers_tell, callers_told) = mpsc::channel(TOLD_MAX);
        let calling = Calling::new(options.callers.clone(), options.sip.ip(), clock, callers_tell);
        let mut uas = Uas::new(Settings {
            sip,
            rtp,
            contract: options.contract,
            credentials: options.credentials.clone(),
            script: options.script.clone(),
            seed: options.seed,
            ring_limit: options.ring_limit,
            max_records: options.max_records,
            max_calls: channels + MAX_EXTRA_CALLS,
        });
        uas.expect_callers(options.callers.len() as u64);
        let (told, buffer) = (callers_told, vec![0; 1 << 16]);
        Ok(Self { clock, sip, socket, uas, media, events, calling, told, buffer })
    }

    async fn serve(
        &mut self,
        asked: &mut mpsc::Receiver<Question>,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<(), CarrierError> {
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            let wake = self.uas.wake().map(|at| self.clock.instant(at));
            let timer = async {
                match wake {
                    Some(at) => sleep_until(Instant::from_std(at)).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = &mut shutdown => return Ok(()),
                () = timer => self.uas.tick(self.clock.now()),
                readable = self.socket.readable() => {
                    readable.map_err(sip_failed)?;
                    self.take_batch();
                }
                Some(event) = self.events.recv() => self.uas.heard(self.clock.now(), event),
                Some(told) = self.told.recv() => self.caller(told),
                Some(question) = asked.recv() => self.answer(question),
            }
            self.drain()?;
        }
    }

    /// Whoever asked may have gone away.
    fn answer(&mut self, question: Question) {
        match question {
            Question::Account { with_calls, answer } => {
                let _ = answer.send(self.uas.account(self.clock.now(), with_calls));
            }
            Question::CallIn { trunks, answer } => {
                let _ = answer.send(self.calling.begin(trunks));
            }
        }
    }

    fn caller(&mut self, told: Told) {
        match told {
            Told::Calls(answer) => {
                let _ = answer.send(self.uas.caller_calls());
            }
            Told::Answered => self.uas.caller_answered(),
            Told::Leaves { answered } => self.uas.caller_leaves(answered),
            Told::Over(record) => self.uas.caller_over(*record),
        }
    }

    fn take_batch(&mut self) {
        for _ in 0..MAX_BATCH {
            match self.socket.try_recv_from(&mut self.buffer) {
                Ok((length, source)) => {
                    let now = self.clock.now();
                    self.uas.handle(now, source, &self.buffer[..length]);
                }
                // Nothing more, or an ICMP error for something that we sent: retransmission deals with it.
                Err(_) => return,
            }
        }
    }

    fn drain(&mut self) -> Result<(), CarrierError> {
        while let Some(output) = self.uas.poll() {
            match output {
                Output::Send { to, datagram } => {
                    // A full buffer loses the datagram, as any network may.
                    if let Err(error) = self.socket.try_send_to(&datagram, to) {
                        tracing::debug!(%to, %error, "datagram lost on the way out");
                    }
                }
                Output::Media(order) => self
                    .media
                    .order(order)
                    .map_err(|error| CarrierError::Media(error.to_string()))?,
            }
        }
        Ok(())
    }

    /// Ends all calls and waits, for a bounded time, until everything heard is in the account.
    async fn stop(mut self) -> Account {
        self.uas.stop(self.clock.now());
        self.calling.stop();
        if let Err(error) = self.drain() {
            tracing::error!(%error, "stopping");
        }
        let settle = async {
            while self.uas.open_slots() > 0 || self.uas.callers_left() > 0 {
                tokio::select! {
                    Some(event) = self.events.recv() => self.uas.heard(self.clock.now(), event),
                    Some(told) = self.told.recv() => self.caller(told),
                    else => return,
                }
            }
        };
        if timeout(STOP_WITHIN, settle).await.is_err() {
            tracing::warn!("some calls' media is missing from the account");
        }
        let media = self.media;
        if tokio::task::spawn_blocking(move || media.stop()).await.is_err() {
            tracing::error!("the media threads could not be ended");
        }
        self.uas.account(self.clock.now(), true)
    }
}

fn sip_failed(source: io::Error) -> CarrierError {
    CarrierError::Socket { what: "SIP", source }
}

/// Every slot takes a file descriptor; the soft limit is often 1,024.
fn raise_file_limit(slots: usize) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let wanted = slots as u64 + 256;
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < wanted) {
        let current = limit.maximum.map_or(wanted, |maximum| wanted.min(maximum));
        let raised = Rlimit { current: Some(current), maximum: limit.maximum };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            tracing::warn!(%error, wanted, "cannot raise the limit of open files");
        }
    }
}
