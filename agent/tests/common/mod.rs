//! An agent in this process, a controller made of its own end of the protocol, and `sipp` as the carrier.

#![allow(dead_code)]

pub mod application;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use busyhour_agent::{Options, run, sip::Timers};
use busyhour_base::{
    AccountSid, CallEvent, CallSid, CallSpec, Direction, Ending, Instructions, Span, StatusEvents,
};
use busyhour_peer::Messages;
use busyhour_protocol::{
    DialOrder, Secret, Trunk,
    v1::{
        self,
        controller_server::{Controller, ControllerServer},
        from_agent::Message as FromAgent,
        to_agent::Message as ToAgent,
    },
};
use parking_lot::Mutex;
use tempfile::TempDir;
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::{StreamExt, wrappers::ReceiverStream, wrappers::TcpListenerStream};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

/// Longest wait for anything.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// The fence that the controller gives first.
pub const FENCE: u64 = 5;
pub const TOKEN: &str = "cluster secret";

/// What the controller heard.
#[derive(Debug)]
pub enum Heard {
    Hello(v1::Hello),
    FenceStored(u64),
    Told(u64, bool),
    Report { call: u64, attempt: u32, event: CallEvent },
    Offer(v1::Offer),
    Answered(v1::Answered),
}

/// What a stub's clock shows when it begins.
pub const CLOCK: Span = Span::from_secs(1_000);

/// A controller of one stream: it welcomes, acknowledges, and passes on.
pub struct Stub {
    pub address: String,
    shared: Arc<Shared>,
    heard: mpsc::UnboundedReceiver<Heard>,
    began: Instant,
}

struct Shared {
    fence: AtomicU64,
    acknowledge: AtomicU64,
    heard: mpsc::UnboundedSender<Heard>,
    orders: Mutex<Option<mpsc::Sender<Result<v1::ToAgent, Status>>>>,
}

struct Service(Arc<Shared>);

#[tonic::async_trait]
impl Controller for Service {
    type LinkStream = ReceiverStream<Result<v1::ToAgent, Status>>;

    async fn link(
        &self,
        request: Request<Streaming<v1::FromAgent>>,
    ) -> Result<Response<Self::LinkStream>, Status> {
        let mut incoming = request.into_inner();
        let (out, stream) = mpsc::channel(64);
        let shared = self.0.clone();
        tokio::spawn(async move {
            while let Some(Ok(message)) = incoming.next().await {
                if let Some(message) = message.message {
                    shared.take(message, &out).await;
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }
}

impl Shared {
    async fn take(&self, message: FromAgent, out: &mpsc::Sender<Result<v1::ToAgent, Status>>) {
        match message {
            FromAgent::Hello(hello) => {
                assert_eq!(hello.token, TOKEN);
                let fence = self.fence.load(Ordering::Relaxed);
                let allowed_networks = vec!["127.0.0.0/8".to_owned()];
                let welcome = v1::Welcome { fence, forget: Vec::new(), allowed_networks };
                send(out, ToAgent::Welcome(welcome)).await;
                let _ = self.heard.send(Heard::Hello(hello));
                *self.orders.lock() = Some(out.clone());
            }
            FromAgent::FenceStored(stored) => {
                let _ = self.heard.send(Heard::FenceStored(stored.fence));
            }
            FromAgent::Load(_) => {}
            FromAgent::Offer(offer) => {
                let _ = self.heard.send(Heard::Offer(offer));
            }
            FromAgent::Told(told) => {
                let _ = self.heard.send(Heard::Told(told.id, told.accepted));
            }
            FromAgent::Answered(answered) => {
                let _ = self.heard.send(Heard::Answered(answered));
            }
            FromAgent::Reports(reports) => {
                let last = reports.reports.last().map_or(0, |report| report.seq);
                for report in reports.reports {
                    let event = report.event.unwrap().try_into().unwrap();
                    let heard = Heard::Report { call: report.call, attempt: report.attempt, event };
                    let _ = self.heard.send(heard);
                }
                if self.acknowledge.load(Ordering::Relaxed) == 1 {
                    send(out, ToAgent::Ack(v1::Ack { seq: last, forget: Vec::new() })).await;
                }
            }
        }
    }
}

async fn send(out: &mpsc::Sender<Result<v1::ToAgent, Status>>, message: ToAgent) {
    let _ = out.send(Ok(v1::ToAgent { message: Some(message) })).await;
}

impl Stub {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let (sender, heard) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            fence: AtomicU64::new(FENCE),
            acknowledge: AtomicU64::new(1),
            heard: sender,
            orders: Mutex::default(),
        });
        let server = tonic::transport::Server::builder()
            .add_service(ControllerServer::new(Service(shared.clone())))
            .serve_with_incoming(TcpListenerStream::new(listener));
        tokio::spawn(server);
        Self { address, shared, heard, began: Instant::now() }
    }

    /// The fence that the next connection is given.
    pub fn raise_fence(&self, fence: u64) {
        self.shared.fence.store(fence, Ordering::Relaxed);
    }

    /// Whether reports are acknowledged.
    pub fn acknowledge(&self, yes: bool) {
        self.shared.acknowledge.store(u64::from(yes), Ordering::Relaxed);
    }

    /// These carriers may call in.
    pub async fn let_in(&self, trunk: v1::InboundTrunk) {
        self.order(ToAgent::Trunks(v1::Trunks { trunks: vec![trunk] })).await;
    }

    pub async fn offer(&mut self) -> v1::Offer {
        loop {
            if let Heard::Offer(offer) = self.heard().await {
                return offer;
            }
        }
    }

    /// Ends the connection.
    pub fn hang_up_link(&self) {
        self.shared
            .orders
            .lock()
            .take()
            .unwrap()
            .try_send(Err(Status::unavailable("bye")))
            .unwrap();
    }

    pub async fn order(&self, message: ToAgent) {
        let out = self.shared.orders.lock().clone().expect("a link");
        send(&out, message).await;
    }

    /// Sends what its clock shows.
    pub async fn clock(&self) {
        let now = CLOCK + self.began.elapsed().into();
        self.order(ToAgent::Clock(v1::Clock { sent_at_us: now.as_micros() })).await;
    }

    /// Sends an order. One that does not say when it was sent is sent now, [`CLOCK`] after the stub's clock began.
    pub async fn dial(&self, order: &DialOrder) {
        let mut order = order.clone();
        if order.sent_at == Span::ZERO {
            order.sent_at = CLOCK + self.began.elapsed().into();
        }
        self.order(ToAgent::Dial((&order).into())).await;
    }

    pub async fn heard(&mut self) -> Heard {
        timeout(PATIENCE, self.heard.recv()).await.expect("something is heard in time").unwrap()
    }

    /// What was heard and not taken yet.
    pub fn pending(&mut self) -> Option<Heard> {
        self.heard.try_recv().ok()
    }

    pub async fn hello(&mut self) -> v1::Hello {
        loop {
            if let Heard::Hello(hello) = self.heard().await {
                return hello;
            }
        }
    }

    pub async fn linked(&mut self) -> u64 {
        loop {
            if let Heard::FenceStored(fence) = self.heard().await {
                return fence;
            }
        }
    }

    pub async fn report(&mut self) -> (u64, u32, CallEvent) {
        loop {
            if let Heard::Report { call, attempt, event } = self.heard().await {
                return (call, attempt, event);
            }
        }
    }

    /// The reports of the only call, to its end; with what came before.
    pub async fn whole_call(&mut self) -> (Vec<CallEvent>, Ending) {
        let mut before = Vec::new();
        loop {
            match self.report().await.2 {
                CallEvent::Ended(ending) => return (before, ending),
                CallEvent::NotSent(reason) => panic!("not sent: {reason}, after {before:?}"),
                event => before.push(event),
            }
        }
    }
}

/// A controller, and an agent that is linked to it.
pub async fn linked() -> (Stub, Agent) {
    let mut stub = Stub::start().await;
    let agent = Agent::start(&stub);
    stub.linked().await;
    (stub, agent)
}

/// An agent, until it is dropped or stopped.
pub struct Agent {
    pub sip: SocketAddr,
    pub folder: Arc<TempDir>,
    stop: CancellationToken,
    runtime: Option<tokio::runtime::Runtime>,
    done: Option<std::sync::mpsc::Receiver<()>>,
}

impl Agent {
    pub fn options(stub: &Stub, folder: &Path) -> Options {
        Self::options_for(&stub.address, folder)
    }

    pub fn options_for(controller: &str, folder: &Path) -> Options {
        let mut options = Options::new("agent-1", controller, TOKEN, folder.to_owned());
        options.slots = 10;
        options.timers = Timers {
            t1: Duration::from_millis(150),
            session_min: Duration::from_secs(1),
            ..Timers::default()
        };
        options.drain = Duration::from_millis(100);
        options.callbacks.backoff = Duration::from_millis(5);
        options
    }

    pub fn start(stub: &Stub) -> Self {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let options = Self::options(stub, folder.path());
        Self::start_with(options, folder)
    }

    /// On a runtime of its own, so that it can be killed.
    pub fn start_with(options: Options, folder: Arc<TempDir>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let stop = CancellationToken::new();
        let (ready, readied) = std::sync::mpsc::channel();
        let (end, done) = std::sync::mpsc::channel();
        let shutdown = stop.clone();
        runtime.spawn(async move {
            run(options, move |r| ready.send(r.sip).unwrap(), shutdown).await.unwrap();
            let _ = end.send(());
        });
        let sip = readied.recv_timeout(PATIENCE).expect("the agent starts");
        Self { sip, folder, stop, runtime: Some(runtime), done: Some(done) }
    }

    /// Lets it drain.
    pub fn stop(mut self) {
        self.stop.cancel();
        self.done.take().unwrap().recv_timeout(PATIENCE).expect("the agent stops");
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// `sipp` playing one scenario for one call.
pub struct Sipp {
    sipp: busyhour_peer::Sipp,
    folder: TempDir,
}

impl Sipp {
    /// Takes a call, and listens when this returns.
    pub async fn start(scenario: &str) -> Self {
        let (folder, address) = (tempfile::tempdir().unwrap(), busyhour_peer::own_address());
        let file = Self::file(scenario);
        let sipp = busyhour_peer::Sipp::serve(&file, address, folder.path(), ONE_CALL).await;
        Self { sipp, folder }
    }

    /// Calls in at the agent.
    pub fn call(scenario: &str, agent: SocketAddr) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let number = [ONE_CALL, &["-s", "+15550100001"]].concat();
        let sipp = busyhour_peer::Sipp::call(&Self::file(scenario), agent, folder.path(), &number);
        Self { sipp, folder }
    }

    fn file(scenario: &str) -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/sipp/{scenario}.xml"))
    }

    pub fn address(&self) -> SocketAddr {
        self.sipp.address
    }

    /// Waits for its end and its verdict: every message was as its scenario wants it. The messages as it saw them.
    pub async fn verdict(self) -> Messages {
        self.sipp.verdict().await
    }
}

const ONE_CALL: &[&str] = &["-m", "1", "-rtp_echo"];

/// An order to call the carrier at `address`.
pub fn order(address: SocketAddr, document: &str) -> DialOrder {
    DialOrder {
        call: 77,
        attempt: 1,
        fence: FENCE,
        sent_at: Span::ZERO,
        due_in: Span::ZERO,
        // Only what is due late is refused for it, however slow the machine.
        valid_for: Span::from_secs(60),
        call_sid: CallSid(0x77),
        account: AccountSid(0x1),
        auth_token: Secret::new("tenant secret"),
        trunk: Trunk {
            carrier: "sipp".to_owned(),
            address: address.to_string(),
            username: None,
            password: Secret::new(""),
            codecs: vec!["PCMU".to_owned()],
        },
        spec: CallSpec {
            to: "+4930555".to_owned(),
            from: "+4989111".to_owned(),
            instructions: Instructions::Document(document.to_owned()),
            fallback: None,
            status_callback: None,
            status_events: StatusEvents::default(),
            send_digits: None,
            ring_timeout: Span::from_secs(20),
            time_limit: Span::from_secs(20),
            direction: Direction::OutboundApi,
        },
    }
}
