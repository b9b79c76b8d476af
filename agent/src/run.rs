//! Start, wiring and stop.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{Router, routing::get};
use busyhour_base::Reason;
use metrics_exporter_prometheus::PrometheusBuilder;
use tokio::{net::TcpListener, sync::mpsc, time::timeout};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use crate::{
    call::{self, CallCommand, Calls, Offers},
    clock::Clock,
    http::{AudioCache, Callbacks, Guard, Http},
    journal::Journal,
    link::{self, Asks, Reports, Tells},
    media::{Media, MediaConfig},
    metric_definitions as metric,
    node::Node,
    options::{AgentError, Options, Ready},
    pacer::Pacer,
    recovery,
    sip::{SipAgent, SipConfig},
    speech::{Speech, SpeechConfig},
};

/// After the drain: how long calls that are hung up may take, which is a BYE's 64 T1 at worst.
const HANG_UP: Duration = Duration::from_secs(33);
/// How long reports may take to be acknowledged, and callbacks to be accepted, once all calls are over.
const FAREWELL: Duration = Duration::from_secs(5);

/// Runs an agent until `shutdown`, then drains it: no more calls are taken, those in progress get
/// [`Options::drain`] to end and are hung up on, what is owed to controller and tenants is told.
/// `ready` is called once, when SIP is listened to.
///
/// # Errors
/// [`AgentError`] if a part cannot be started.
pub async fn run(
    options: Options,
    ready: impl FnOnce(Ready),
    shutdown: CancellationToken,
) -> Result<(), AgentError> {
    check(&options)?;
    let metrics = serve_metrics(&options).await?;
    let (node, sip) = start(options).await?;
    tracing::info!(name = node.options.name, %sip, slots = node.options.slots, "the agent is up");
    ready(Ready { sip, metrics: metrics.as_ref().map(|(address, _)| *address) });
    recovery::settle(&node).await;
    let stop = CancellationToken::new();
    let link = tokio::spawn(link::keep(node.clone(), stop.clone()));
    let failed = tokio::select! {
        () = shutdown.cancelled() => None,
        failure = node.journal.failed() => Some(failure),
    };
    drain(&node).await;
    stop.cancel();
    let _ = link.await;
    failed.map_or(Ok(()), |failure| Err(failure.into()))
}

fn check(options: &Options) -> Result<(), AgentError> {
    let wrong = |option, problem: &str| AgentError::Option { option, problem: problem.to_owned() };
    if options.slots == 0 {
        return Err(wrong("slots", "an agent without slots takes no calls"));
    }
    if options.controllers.is_empty() {
        return Err(wrong("controllers", "at least one address is needed"));
    }
    let ports = options.rtp_ports.as_ref();
    let even = ports.map(|range| range.clone().filter(|port| port % 2 == 0).count());
    if even.is_some_and(|even| even < options.slots as usize) {
        let even = even.unwrap_or_default();
        let slots = options.slots;
        let problem =
            format!("{even} even ports; allowed: an even port for each of the {slots} slots");
        return Err(wrong("RTP ports", &problem));
    }
    Ok(())
}

async fn start(options: Options) -> Result<(Arc<Node>, std::net::SocketAddr), AgentError> {
    let failed = |part| move |source: io::Error| AgentError::Start { part, source };
    std::fs::create_dir_all(&options.data).map_err(failed("data folder"))?;
    let journal = Journal::open(&options.data.join("journal"))?;
    let (arrivals, arrived) = mpsc::channel(ARRIVALS_MAX);
    let sip = SipAgent::bind(SipConfig {
        listen: options.sip,
        public: options.sip_public,
        dialogs_max: options.slots as usize + DIALOGS_SPARE,
        timers: options.timers,
        arrivals,
    });
    let sip = sip.await.map_err(failed("SIP"))?;
    let address = sip.address();
    let media = Media::start(&MediaConfig {
        ip: options.media,
        ports: options.rtp_ports.clone(),
        threads: options.media_threads,
        inactivity: options.media_inactivity,
    });
    let mut speech = SpeechConfig::new(options.data.join("speech"));
    speech.flite.clone_from(&options.flite);
    speech.workers = options.speech_workers;
    let guard = Guard::new(options.allowed_networks.clone());
    let http = Http::new(guard.clone(), options.http.clone())?;
    let node = Node {
        incarnation: rand::random(),
        clock: Clock::start(),
        pacer: Pacer::start().map_err(failed("pacer"))?,
        journal,
        reports: Reports::default(),
        calls: Calls::new(options.slots),
        offers: Offers::default(),
        sip: Arc::new(sip),
        media: media.map_err(failed("media"))?,
        speech: Speech::start(speech).await.map_err(failed("speech"))?,
        guard,
        audio: AudioCache::new(http.clone(), options.audio.clone()),
        callbacks: Callbacks::new(http.clone(), options.callbacks.clone()),
        http,
        tells: Tells::default(),
        asks: Asks::default(),
        draining: AtomicBool::new(false),
        options,
    };
    let node = Arc::new(node);
    tokio::spawn(call::receive(Arc::downgrade(&node), arrived));
    Ok((node, address))
}

/// Calls of carriers that may wait to be looked at.
const ARRIVALS_MAX: usize = 1_024;

/// Dialogs beyond the slots: those whose call is over and whose BYE is not answered yet.
const DIALOGS_SPARE: usize = 1_000;

async fn serve_metrics(
    options: &Options,
) -> Result<Option<(std::net::SocketAddr, AbortOnDropHandle<()>)>, AgentError> {
    let Some(address) = options.metrics else {
        return Ok(None);
    };
    let failed = |source| AgentError::Start { part: "metrics", source };
    let recorder = PrometheusBuilder::new()
        .set_buckets(&SECONDS)
        .and_then(|builder| builder.set_buckets_for_metric(metric::journal_batch(), &RECORDS))
        .and_then(PrometheusBuilder::install_recorder)
        .map_err(|e| failed(io::Error::other(e)))?;
    metric::describe();
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let page = move || std::future::ready(recorder.render());
    let app = Router::new().route("/metrics", get(page));
    let server = tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, app).await {
            tracing::error!(%error, "metrics are served no more");
        }
    });
    Ok(Some((address, AbortOnDropHandle::new(server))))
}

/// Bounds of the histograms' buckets, in seconds: from a fraction of a packet to a slow server.
const SECONDS: [f64; 12] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 20.0];

/// Bounds of the buckets of what counts records: a journal's group is at most all calls of an agent.
const RECORDS: [f64; 8] = [1.0, 2.0, 4.0, 8.0, 16.0, 64.0, 256.0, 1_024.0];

async fn drain(node: &Arc<Node>) {
    node.draining.store(true, Ordering::Release);
    tracing::info!(calls = node.calls.in_use(), "the agent is draining");
    if timeout(node.options.drain, node.calls.idle()).await.is_err() {
        node.calls.command_all(&CallCommand::HangUp(Reason::AgentDraining));
        if timeout(HANG_UP, node.calls.idle()).await.is_err() {
            tracing::error!(calls = node.calls.in_use(), "calls are left behind");
        }
    }
    let told = async {
        node.callbacks.drained().await;
        while node.reports.waiting() > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    if timeout(FAREWELL, told).await.is_err() {
        tracing::warn!(
            reports = node.reports.waiting(),
            callbacks = node.callbacks.waiting(),
            "not everything could be told"
        );
    }
}
