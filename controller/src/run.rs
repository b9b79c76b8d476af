//! Start, wiring and stop.

use std::{future::Future, path::Path, sync::Arc, sync::OnceLock, time::Duration};

use busyhour_api::Platform;
use busyhour_base::{SidKey, Span, Timestamp};
use busyhour_controller_core::{
    State,
    command::{AgentCommand, Command},
    message::MessageCommand,
};
use busyhour_log::{Config, Log, Recovery};
use busyhour_protocol::v1::{self, controller_server::ControllerServer};
use busyhour_records::Records;
use futures::future::FutureExt as _;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio::{
    net::TcpListener,
    sync::{Notify, mpsc, watch},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;
use tonic::transport::{Server, server::TcpIncoming};

use crate::{
    callbacks::Callbacks,
    clock,
    declared::{Declarations, Published},
    effects::{self, GIVEN_BACK_MAX, Pump},
    gauges,
    health::Health,
    hours,
    installation::Installation,
    link::{self, LinkService, Links},
    machine::{Core, EFFECTS_MAX, Effects, Outlets},
    messages::{self, Asker, Asks, Couriers},
    metric_definitions as names,
    notices::{self, Teller},
    options::{Options, Ready, RunError},
    outbox::{self, Writer},
    platform::Ports,
    proposer::Proposer,
    reasons, serve,
    ticker::{Ticker, Waker},
    trace::CallSpans,
};

/// How far the state machine's time runs ahead of the clock: long enough for an intent to be durable and with its
/// agent when the call is due, which is what the agent waits for. Nobody sees it otherwise.
const LEAD: Span = Span::from_millis(10);

/// How often the controller asks a silent connection whether its agent is there, and how long it waits.
const KEEPALIVE: Duration = Duration::from_secs(5);

/// How long requests in progress may take to finish when the controller stops.
const DRAIN: Duration = Duration::from_secs(5);

/// The largest command: a declaration of a hundred thousand tenants, at some 60 bytes each.
const COMMAND_BYTES: usize = 8 << 20;

/// Runs a controller until `shutdown`. `ready` is called once, when both listeners take connections.
///
/// # Errors
/// If it cannot start, or if a part that must run for ever stops. Everything that was accepted is on disk in
/// either case, and starting again goes on with it.
pub async fn run(
    options: Options,
    ready: impl FnOnce(Ready),
    shutdown: CancellationToken,
) -> Result<(), RunError> {
    check(&options)?;
    prepare(&options.data)?;
    let installation = Installation::open(&options.data, options.agent_grace)?;
    let sid_key = installation.sid_key;
    let (folder, data) = (options.declarations.clone(), options.data.clone());
    let declarations = blocking(move || Declarations::open(folder, data)).await?;
    let api = listen(options.api).await?;
    let grpc = listen(options.grpc).await?;
    let records = Records::open(&options.data.join("records.db")).await?;
    // Before there is anything to count.
    let recorder = recorder();
    let (proposer, inner) = open_log(&options).await?;
    let bound = Ready { api: local(&api)?, grpc: local(&grpc)? };

    let controller = Controller {
        stop: shutdown.child_token(),
        health: Health::new(),
        links: Links::default(),
        spans: Arc::new(CallSpans::new(sid_key)),
        published: declarations.published(),
        recorder,
        proposer,
        records,
        sid_key,
        options,
    };
    controller.serve(declarations, inner, api, grpc, move || ready(bound)).await
}

/// What every part shares.
struct Controller {
    options: Options,
    stop: CancellationToken,
    proposer: Proposer,
    records: Records,
    sid_key: SidKey,
    health: Health,
    links: Links,
    spans: Arc<CallSpans>,
    published: Published,
    recorder: PrometheusHandle,
}

/// The log's side of the outlets.
struct Inner {
    effects: mpsc::Receiver<Effects>,
    waker: Waker,
    outbox: Arc<Notify>,
    message_outbox: Arc<Notify>,
    log: Log<Core>,
}

/// A part that must run until it is told to stop; its name for the error if it does not.
type Parts = JoinSet<(&'static str, Result<(), String>)>;

impl Controller {
    async fn serve(
        self,
        declarations: Declarations,
        inner: Inner,
        api: TcpListener,
        grpc: TcpListener,
        ready: impl FnOnce(),
    ) -> Result<(), RunError> {
        let mut parts = Parts::new();
        let owed = Arc::new(Notify::new());
        let (told, told_of) = mpsc::channel(notices::TOLD_MAX);
        let (given_back, orders_back) = mpsc::channel(GIVEN_BACK_MAX);
        let (heard, said) = mpsc::channel(messages::HEARD_MAX);
        let (arriving, arrived) = mpsc::channel(messages::ARRIVING_MAX);
        let (answered, answers) = mpsc::channel(messages::ANSWERED_MAX);
        let book = self.published.dial_book.subscribe();
        let ways_in = (heard, arriving);
        let couriers = Couriers::new(book, ways_in, &self.options.data, self.sid_key)?;
        let asks = Asks::default();
        let pump = Pump {
            couriers: couriers.clone(),
            asks: asks.clone(),
            links: self.links.clone(),
            callbacks: Arc::new(Callbacks::new(self.links.clone())),
            owed: owed.clone(),
            spans: self.spans.clone(),
            dial_book: self.published.dial_book.subscribe(),
            sid_key: self.sid_key,
            valid_after_due: link::valid_after_due(self.options.agent_grace),
            given_back,
        };
        // These end with the log, after everything else.
        let pump = tokio::spawn(pump.run(inner.effects));
        let give_back = tokio::spawn(effects::give_back(orders_back, self.proposer.clone()));
        let listen = tokio::spawn(messages::listen(couriers.clone(), said, self.proposer.clone()));

        self.take_up(&declarations).await?;
        couriers.resume(&self.proposer);
        let (recorded, messages_recorded) = (watch::Sender::new(0), watch::Sender::new(0));
        let platform = self.platform(&recorded, &messages_recorded, &couriers);
        let links = self.link_service(told, answered);
        spawn(&mut parts, "batches' callbacks", {
            let teller = Teller {
                proposer: self.proposer.clone(),
                links: self.links.clone(),
                dial_book: self.published.dial_book.subscribe(),
                sid_key: self.sid_key,
                owed,
                told: told_of,
            };
            teller.run(self.stop.clone()).map(Ok)
        });
        spawn(&mut parts, "messages that come in", {
            let declared =
                (self.published.dial_book.subscribe(), self.published.directory.subscribe());
            let stop = self.stop.clone();
            let take_in = messages::take_in(arrived, declared, self.proposer.clone());
            async move { stop.run_until_cancelled(take_in).await }.map(|_| Ok(()))
        });
        spawn(&mut parts, "questions to applications", {
            let asker = Asker {
                asks,
                answered: answers,
                proposer: self.proposer.clone(),
                links: self.links.clone(),
                dial_book: self.published.dial_book.subscribe(),
                directory: self.published.directory.subscribe(),
                sid_key: self.sid_key,
            };
            asker.run(self.stop.clone()).map(Ok)
        });
        spawn(&mut parts, "calling hours", {
            hours::renew(self.proposer.clone(), self.stop.clone()).map(Ok)
        });
        spawn(&mut parts, "records of calls", {
            let calls = outbox::Calls(self.spans.clone());
            self.writer(calls, inner.outbox, recorded).run(self.stop.clone()).map(Ok)
        });
        spawn(&mut parts, "records of messages", {
            let writer = self.writer(outbox::Messages, inner.message_outbox, messages_recorded);
            writer.run(self.stop.clone()).map(Ok)
        });
        spawn(&mut parts, "gauges", {
            let refresh = gauges::refresh(
                self.proposer.clone(),
                self.recorder.clone(),
                self.health.clone(),
                self.stop.clone(),
            );
            refresh.map(Ok)
        });
        let router = busyhour_api::router(platform);
        let proposer = self.proposer.clone();
        let hand_in = move || proposer.hand_in();
        spawn(&mut parts, "API", serve::serve(api, router, hand_in, self.stop.clone()));
        spawn(&mut parts, "agents' server", serve_links(grpc, links.clone(), self.stop.clone()));
        spawn(&mut parts, "declaration", {
            let follow = declarations.follow(
                self.proposer.clone(),
                self.published,
                self.links.clone(),
                self.health.clone(),
                self.stop.clone(),
            );
            follow.map(Ok)
        });
        let ticker = start_ticker(inner.waker, self.proposer.clone())?;
        self.proposer.core(Core::announce);
        let Recovery { snapshot_index, replayed, torn } = inner.log.recovery();
        match torn {
            Some(torn) => {
                tracing::info!(snapshot_index, replayed, ?torn, "the controller is up");
            }
            None => tracing::info!(snapshot_index, replayed, "the controller is up"),
        }
        ready();

        let ended = tokio::select! {
            // Asked first: told to stop, parts end.
            biased;
            () = self.stop.cancelled() => Ok(()),
            Some(ended) = parts.join_next() => Err(failure(ended)),
        };
        tracing::info!("the controller is stopping");
        self.stop.cancel();
        finish(&mut parts).await;
        links.ended().await;
        blocking_drop(ticker).await;
        couriers.drained().await;
        inner.log.shutdown().await;
        give_back.abort();
        listen.abort();
        drop((self.proposer, inner.log));
        pump.abort();
        self.records.close().await;
        ended
    }

    /// Before anything moves: agents that were connected to the last process are away until they come, messages without an
    /// answer are in doubt, and the declared documents are in force.
    async fn take_up(&self, declarations: &Declarations) -> Result<(), RunError> {
        let part = "start";
        let failed = |problem: String| RunError::Part { part, problem };
        let agents: Vec<_> = self.proposer.read(|state| state.agents().collect());
        for agent in agents.into_iter().filter(|agent| agent.connected) {
            let away = Command::Agent(AgentCommand::Disconnected {
                agent: agent.agent,
                incarnation: agent.incarnation,
            });
            let told = self.proposer.propose(away).await;
            told.map_err(|error| failed(error.to_string()))?;
        }
        let restarted = Command::Message(MessageCommand::Restarted);
        let told = self.proposer.propose(restarted).await;
        told.map_err(|error| failed(error.to_string()))?;
        declarations.declare(&self.proposer).await.map_err(failed)
    }

    fn writer<F>(
        &self,
        finished: F,
        waiting: Arc<Notify>,
        recorded: watch::Sender<u64>,
    ) -> Writer<F> {
        Writer {
            finished,
            records: self.records.clone(),
            proposer: self.proposer.clone(),
            waiting,
            recorded,
            health: self.health.clone(),
        }
    }

    fn platform(
        &self,
        recorded: &watch::Sender<u64>,
        messages_recorded: &watch::Sender<u64>,
        couriers: &Couriers,
    ) -> Platform {
        let ports = Arc::new(Ports(self.proposer.clone()));
        let operator_token = self.options.operator_token.as_ref();
        Platform {
            views: ports.clone(),
            messages: ports.clone(),
            bring: Arc::new(couriers.clone()),
            proposer: ports,
            directory: self.published.directory.subscribe(),
            records: self.records.clone(),
            recorded: recorded.subscribe(),
            messages_recorded: messages_recorded.subscribe(),
            sid_key: self.sid_key,
            clock: clock::now,
            readiness: self.health.readiness(),
            metrics: Some(self.recorder.clone()),
            operator_token: operator_token.map(|token| busyhour_api::Secret::new(token.expose())),
            limits: busyhour_api::EdgeLimits::default(),
        }
    }

    fn link_service(
        &self,
        told: mpsc::Sender<v1::Told>,
        answered: mpsc::Sender<v1::Answered>,
    ) -> LinkService {
        LinkService::new(
            self.links.clone(),
            self.proposer.clone(),
            self.published.dial_book.subscribe(),
            self.options.cluster_token.clone(),
            (told, answered),
            self.stop.clone(),
        )
    }
}

fn check(options: &Options) -> Result<(), RunError> {
    let length = options.cluster_token.expose().len();
    if length < Options::CLUSTER_TOKEN_MIN {
        return Err(RunError::Option {
            field: "cluster token",
            problem: format!("it has {length} characters"),
            allowed: format!("at least {}", Options::CLUSTER_TOKEN_MIN),
        });
    }
    if options.agent_grace == Span::ZERO {
        return Err(RunError::Option {
            field: "agent grace",
            problem: "it is 0".to_owned(),
            allowed: "more than 0".to_owned(),
        });
    }
    Ok(())
}

/// Makes the data folder, for its owner alone.
fn prepare(data: &Path) -> Result<(), RunError> {
    use std::os::unix::fs::DirBuilderExt as _;
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true).mode(0o700).create(data).map_err(|source| RunError::Io {
        doing: "create",
        path: data.to_owned(),
        source,
    })
}

async fn open_log(options: &Options) -> Result<(Proposer, Inner), RunError> {
    let (effects, effects_out) = mpsc::channel(EFFECTS_MAX);
    let waker = Waker::new();
    let outbox = Arc::new(Notify::new());
    let message_outbox = Arc::new(Notify::new());
    let outlets = Outlets {
        effects,
        queued: effects::queued(),
        waker: waker.clone(),
        outbox: outbox.clone(),
        message_outbox: message_outbox.clone(),
    };
    let state = State::with(busyhour_controller_core::Options {
        agent_grace: options.agent_grace,
        batch_run_up: busyhour_controller_core::Options::BATCH_RUN_UP,
        ..Default::default()
    });
    let core = Core::new(state, outlets);
    let mut config = Config::new(options.data.join("log"), Arc::new(machine_now));
    config.command_bytes = COMMAND_BYTES;
    let log = blocking(move || Log::open(config, core)).await?;
    let inner = Inner { effects: effects_out, waker, outbox, message_outbox, log: log.clone() };
    Ok((Proposer::new(log), inner))
}

/// The state machine's present.
fn machine_now() -> Timestamp {
    clock::now() + LEAD
}

fn start_ticker(waker: Waker, proposer: Proposer) -> Result<Ticker, RunError> {
    let tick = move || {
        let ticked = proposer.insist_blocking(|| Command::Tick);
        metrics::counter!(names::TICKS).increment(1);
        ticked.is_ok()
    };
    Ticker::start(waker, machine_now, tick)
        .map_err(|error| RunError::Part { part: "ticker", problem: error.to_string() })
}

async fn serve_links(
    listener: TcpListener,
    links: LinkService,
    stop: CancellationToken,
) -> Result<(), String> {
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE))
        .add_service(ControllerServer::new(links))
        .serve_with_incoming_shutdown(incoming, stop.cancelled_owned())
        .await
        .map_err(|error| error.to_string())
}

fn spawn(
    parts: &mut Parts,
    name: &'static str,
    part: impl Future<Output = Result<(), String>> + Send + 'static,
) {
    parts.spawn(async move { (name, part.await) });
}

type PartEnd = Result<(&'static str, Result<(), String>), tokio::task::JoinError>;

fn failure(ended: PartEnd) -> RunError {
    let (part, problem) = match ended {
        Ok((part, Err(problem))) => (part, problem),
        Ok((part, Ok(()))) => (part, "it ended without being told to".to_owned()),
        Err(panic) => ("a part", panic.to_string()),
    };
    RunError::Part { part, problem }
}

/// Lets the parts finish what they are at, for a while.
async fn finish(parts: &mut Parts) {
    let all = async {
        while let Some(ended) = parts.join_next().await {
            match ended {
                Ok((_, Ok(()))) => {}
                Ok((part, Err(problem))) => tracing::error!(part, problem, "stopped badly"),
                Err(error) => tracing::error!(%error, "a part stopped badly"),
            }
        }
    };
    if tokio::time::timeout(DRAIN, all).await.is_err() {
        tracing::warn!("requests in progress are cut off");
        parts.shutdown().await;
    }
}

async fn listen(address: std::net::SocketAddr) -> Result<TcpListener, RunError> {
    TcpListener::bind(address).await.map_err(|source| RunError::Listen { address, source })
}

fn local(listener: &TcpListener) -> Result<std::net::SocketAddr, RunError> {
    listener.local_addr().map_err(|source| RunError::Io {
        doing: "read the address of",
        path: "a listener".into(),
        source,
    })
}

/// Runs what blocks beside the async runtime.
async fn blocking<T: Send + 'static, E: Send + 'static>(
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, RunError>
where
    RunError: From<E>,
{
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(RunError::from),
        Err(panic) => Err(RunError::Part { part: "start", problem: panic.to_string() }),
    }
}

/// Drops what joins a thread when it is dropped.
async fn blocking_drop(value: impl Send + 'static) {
    if let Err(panic) = tokio::task::spawn_blocking(move || drop(value)).await {
        tracing::error!(%panic, "a thread did not end well");
    }
}

/// The recorder of this process's metrics, set up at the first call.
fn recorder() -> PrometheusHandle {
    static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();
    RECORDER
        .get_or_init(|| {
            let with_buckets = names::with_buckets(PrometheusBuilder::new());
            let recorder = with_buckets.expect("no list of buckets is empty").build_recorder();
            let handle = recorder.handle();
            if metrics::set_global_recorder(recorder).is_err() {
                tracing::warn!("another recorder takes the metrics; /metrics shows none of them");
            }
            names::describe();
            reasons::start_at_zero();
            handle
        })
        .clone()
}
