//! What the API itself costs of `calls.create`: from the parsed head of a request to the written answer, with
//! authentication, admission, checks, span and metrics, and a log that answers at once.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use axum::body::Body;
use busyhour_api::{
    Account, Applied, Bring, Brought, Directory, EdgeLimits, MessageViews, Number, Platform,
    Propose, ProposeError, Readiness, Receipt, Secret, Views, WantedOptOuts, router,
};
use busyhour_base::{AccountSid, SidKey, Span, Timestamp};
use busyhour_controller_core::{
    command::Command,
    effect::{Accepted, Reply},
    forward::{About, Inquiry, Outlook},
    message::{MessageId, MessageView, OptOut, RemovedOptOut},
    spec::{BatchId, CallId},
    view::{
        AgentView, BatchView, CallView, CarrierView, Explanation, GroupView, LineFault, LineView,
        PoppersView, QueueView, ShareView, TenantView, Totals,
    },
};
use busyhour_records::Records;
use futures::future::BoxFuture;
use http::Request;
use metrics_exporter_prometheus::PrometheusBuilder;
use tokio::sync::watch;
use tower::ServiceExt as _;

const REQUESTS: u64 = 200_000;
const ACCOUNT: AccountSid = AccountSid(0xa);
/// `AC`, the account's 32 digits, a colon and `token`, in base 64.
const AUTHORIZATION: &str = "Basic QUMwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwYTp0b2tlbg==";
const FORM: &str = "To=%2B4930123456&From=%2B4930100000&Url=https%3A%2F%2Fapp.example%2Fvoice%2Fanswer.xml\
    &StatusCallback=https%3A%2F%2Fapp.example%2Fstatus&StatusCallbackEvent=answered&StatusCallbackEvent=completed\
    &Timeout=30";

/// Accepts everything at once.
struct AtOnce(AtomicU64);

impl Propose for AtOnce {
    fn propose(&self, _: Command) -> BoxFuture<'static, Result<Applied, ProposeError>> {
        let call = CallId(self.0.fetch_add(1, Ordering::Relaxed));
        let accepted = Accepted { call, wait: Span::from_millis(250) };
        let applied = Applied { at: now(), reply: Reply::Submitted(vec![Ok(accepted)]) };
        Box::pin(std::future::ready(Ok(applied)))
    }
}

impl Bring for AtOnce {
    fn bring(&self, _: Arc<str>, _: Brought) -> BoxFuture<'static, Option<Receipt>> {
        Box::pin(std::future::ready(None))
    }
}

impl MessageViews for AtOnce {
    fn explain_message(&self, _: MessageId) -> Option<Explanation> {
        None
    }
    fn segments_max(&self, _: AccountSid, _: &str) -> Option<u32> {
        None
    }
    fn message(&self, _: MessageId) -> Option<MessageView> {
        None
    }
    fn messages_of(&self, _: AccountSid, _: Option<MessageId>, _: usize) -> Vec<MessageView> {
        Vec::new()
    }
    fn opt_outs_of(&self, _: AccountSid, _: &WantedOptOuts, _: usize) -> Vec<OptOut> {
        Vec::new()
    }
    fn removed_opt_outs_of(&self, _: AccountSid, _: u64, _: usize) -> Vec<RemovedOptOut> {
        Vec::new()
    }
}

impl Views for AtOnce {
    fn call(&self, _: CallId) -> Option<CallView> {
        None
    }
    fn calls_of(&self, _: AccountSid, _: Option<CallId>, _: usize) -> Vec<CallView> {
        Vec::new()
    }
    fn explain(&self, _: CallId) -> Option<Explanation> {
        None
    }
    fn outlook(&self, _: Timestamp) -> Option<Outlook> {
        None
    }
    fn message_outlook(&self, _: Timestamp) -> Option<Outlook> {
        None
    }
    fn inquire(&self, _: &About, _: Timestamp) -> Option<Inquiry> {
        None
    }
    fn queues_of(&self, _: AccountSid) -> Vec<QueueView> {
        Vec::new()
    }
    fn queues_for(&self, _: AccountSid, _: &str) -> Vec<QueueView> {
        Vec::new()
    }
    fn groups(&self) -> Vec<GroupView> {
        Vec::new()
    }
    fn poppers(&self, _: usize) -> Vec<PoppersView> {
        Vec::new()
    }

    fn lines(&self, _: usize) -> Vec<LineView> {
        Vec::new()
    }

    fn shares_of(&self, _: AccountSid) -> Vec<ShareView> {
        Vec::new()
    }
    fn batch(&self, _: BatchId) -> Option<BatchView> {
        None
    }
    fn batches_of(&self, _: AccountSid, _: Option<BatchId>, _: usize) -> Vec<BatchView> {
        Vec::new()
    }
    fn batch_recorded(&self, _: BatchId) -> bool {
        false
    }
    fn busiest(&self, _: usize) -> Vec<TenantView> {
        Vec::new()
    }

    fn tenant(&self, _: AccountSid) -> Option<TenantView> {
        None
    }

    fn tenant_named(&self, _: &str) -> Option<TenantView> {
        None
    }

    fn totals(&self) -> Totals {
        Totals::default()
    }
    fn carriers(&self) -> Vec<CarrierView> {
        Vec::new()
    }
    fn agents(&self) -> Vec<AgentView> {
        Vec::new()
    }
    fn batch_faults(&self, _: BatchId, _: u64, _: usize) -> Vec<(u64, LineFault)> {
        Vec::new()
    }
}

fn now() -> Timestamp {
    Timestamp(1_773_144_000_000_000)
}

fn directory() -> Directory {
    let account = Account {
        name: "alpha".into(),
        token: Secret::new("token"),
        suspended: false,
        created: None,
        destinations: vec!["+49".to_owned()],
    };
    let number = Number { account: ACCOUNT, sid: None };
    Directory {
        accounts: HashMap::from([(ACCOUNT, account)]),
        numbers: HashMap::from([("+4930100000".to_owned(), number)]),
        ..Directory::default()
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let folder = tempfile::tempdir().expect("a folder");
    let records = Records::open(&folder.path().join("records.db")).await.expect("records");
    let machine = Arc::new(AtOnce(AtomicU64::new(0)));
    let app = router(Platform {
        views: Arc::clone(&machine) as _,
        messages: Arc::clone(&machine) as _,
        bring: Arc::clone(&machine) as _,
        messages_recorded: watch::channel(0).1,
        proposer: machine,
        directory: watch::channel(Arc::new(directory())).1,
        records,
        recorded: watch::channel(0).1,
        sid_key: SidKey(7),
        clock: now,
        readiness: watch::channel(Readiness::Ready).1,
        metrics: Some(PrometheusBuilder::new().install_recorder().expect("a recorder")),
        operator_token: None,
        limits: EdgeLimits { requests_per_s: u32::MAX, burst: u32::MAX, ..EdgeLimits::default() },
    });
    let path = format!("/2010-04-01/Accounts/{ACCOUNT}/Calls.json");
    for measured in [false, true] {
        let requests = if measured { REQUESTS } else { REQUESTS / 10 };
        let started = Instant::now();
        for _ in 0..requests {
            let request = Request::post(&path)
                .header("authorization", AUTHORIZATION)
                .header("content-type", "application/x-www-form-urlencoded")
                .body(Body::from(FORM));
            let response =
                app.clone().oneshot(request.expect("a request")).await.expect("an answer");
            assert_eq!(response.status(), 201);
        }
        let per_s = requests as f64 / started.elapsed().as_secs_f64();
        if measured {
            let how = "calls.create through the router on one core, HTTP parsing, log and network left out";
            println!(
                r#"{{"id":"api.create_per_core","value":{per_s:.0},"unit":"1/s","better":"more","peer":null,"peer_value":null,"ratio":null,"how":"{how}"}}"#
            );
        }
    }
}
