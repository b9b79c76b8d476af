//! A controller in memory: entries are applied at once, and the test decides when time passes and what agents say.

mod machine;

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
};

use axum::{Router, body::Body};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use busyhour_api::{
    Account, ApiKey, Application, Directory, EdgeLimits, Number, Platform, Readiness, Secret,
    router,
};
use busyhour_base::{
    AccountSid, ApplicationSid, KeySid, Method, NumberSid, SidKey, StatusEvents, Timestamp, Webhook,
};
use busyhour_records::Records;
use http::{HeaderMap, Request, StatusCode, header};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use serde_json::Value;
use tokio::sync::watch;
use tower::ServiceExt as _;

pub use machine::{Machine, declaration};

/// What the API's clock shows, always: Tue, 10 Mar 2026 12:00:00 UTC.
pub const NOW: Timestamp = Timestamp(1_773_144_000_000_000);

/// The tenant that tests act for.
pub const A: AccountSid = AccountSid(0xa);
/// Another tenant.
pub const B: AccountSid = AccountSid(0xb);
/// A suspended tenant.
pub const C: AccountSid = AccountSid(0xc);

/// Numbers of A and of B.
pub const NUMBER_A: &str = "+4930100";
pub const NUMBER_B: &str = "+4930200";

pub fn now() -> Timestamp {
    NOW
}

/// The API with everything around it.
pub struct Rig {
    pub app: Router,
    pub machine: Arc<Machine>,
    pub records: Records,
    pub recorded: watch::Sender<u64>,
    pub messages_recorded: watch::Sender<u64>,
    pub readiness: watch::Sender<Readiness>,
    pub directory: watch::Sender<Arc<Directory>>,
    pub key: SidKey,
    _folder: tempfile::TempDir,
}

/// An answer.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// The lines of NDJSON that are not empty.
    pub fn lines(&self) -> Vec<Value> {
        let lines = self.text.lines().filter(|line| !line.is_empty());
        lines.map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Checks the documented error shape, and that the message says all of `words`.
    #[track_caller]
    pub fn is_error(&self, status: u16, code: u32, words: &[&str]) {
        assert_eq!(
            (self.status.as_u16(), self.headers[header::CONTENT_TYPE].to_str().unwrap()),
            (status, "application/json"),
            "{}",
            self.text
        );
        let body = self.json();
        let mut keys: Vec<&String> = body.as_object().unwrap().keys().collect();
        keys.sort();
        assert_eq!(keys, ["code", "message", "more_info", "status"]);
        assert_eq!(body["code"], code, "{}", self.text);
        assert_eq!(body["status"], status);
        assert_eq!(body["more_info"], format!("/v1/errors/{code}"));
        for word in words {
            assert!(
                body["message"].as_str().unwrap().contains(word),
                "no {word:?} in {}",
                self.text
            );
        }
    }
}

impl Rig {
    pub async fn new() -> Self {
        Self::with(EdgeLimits::default()).await
    }

    pub async fn with(limits: EdgeLimits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let records = Records::open(&folder.path().join("records.db")).await.unwrap();
        let machine = Arc::new(Machine::new());
        let (recorded, recorded_of) = watch::channel(0);
        let (messages_recorded, messages_recorded_of) = watch::channel(0);
        let (readiness, readiness_of) = watch::channel(Readiness::Ready);
        let (directory, directory_of) = watch::channel(Arc::new(declared()));
        let key = SidKey(0x5eed);
        let app = router(Platform {
            views: Arc::clone(&machine) as _,
            proposer: Arc::clone(&machine) as _,
            directory: directory_of,
            records: records.clone(),
            recorded: recorded_of,
            messages: Arc::clone(&machine) as _,
            bring: Arc::clone(&machine) as _,
            messages_recorded: messages_recorded_of,
            sid_key: key,
            clock: now,
            readiness: readiness_of,
            metrics: Some(recorder()),
            operator_token: Some(Secret::new("operator-token")),
            limits,
        });
        Self {
            app,
            machine,
            records,
            recorded,
            messages_recorded,
            readiness,
            directory,
            key,
            _folder: folder,
        }
    }

    /// Sends a request and reads the whole answer.
    pub async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.app.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        Answer { status: parts.status, headers: parts.headers, text }
    }

    /// As tenant A.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(request("GET", path).body(Body::empty()).unwrap()).await
    }

    /// As tenant A, a form.
    pub async fn form(&self, path: &str, pairs: &[(&str, &str)]) -> Answer {
        let text =
            url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        self.form_text(path, text).await
    }

    /// As tenant A, a form as it is.
    pub async fn form_text(&self, path: &str, text: impl Into<Body>) -> Answer {
        let kind = "application/x-www-form-urlencoded";
        self.send(request("POST", path).header("content-type", kind).body(text.into()).unwrap())
            .await
    }

    /// As tenant A, JSON.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        let request = request("POST", path).header("content-type", "application/json");
        self.send(request.body(Body::from(body.to_string())).unwrap()).await
    }

    /// Creates an ordinary call and gives its sid.
    pub async fn call(&self, to: &str) -> String {
        let answer = self
            .form(&calls(), &[("To", to), ("From", NUMBER_A), ("Url", "https://app.example/")])
            .await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        answer.json()["sid"].as_str().unwrap().to_owned()
    }

    /// Moves what has ended from the state to the records.
    pub async fn record(&self) {
        let rows = self.machine.outbox();
        self.records.store(&rows).await.unwrap();
        if let Some(last) = rows.last() {
            self.machine.recorded(last.seq);
            self.recorded.send_replace(last.seq);
        }
    }
}

/// A request of tenant A.
pub fn request(method: &str, path: &str) -> http::request::Builder {
    Request::builder()
        .method(method)
        .uri(path)
        .header("authorization", basic(&A.to_string(), "token-a"))
}

pub fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}")))
}

/// Path of A's calls.
pub fn calls() -> String {
    format!("/2010-04-01/Accounts/{A}/Calls.json")
}

/// Path of one of A's calls.
pub fn call(sid: &str) -> String {
    format!("/2010-04-01/Accounts/{A}/Calls/{sid}.json")
}

fn account(name: &str, token: &str, suspended: bool) -> Account {
    Account {
        name: name.into(),
        token: Secret::new(token),
        suspended,
        created: Some(NOW),
        destinations: vec!["+49".to_owned(), "+1".to_owned(), "sip:desk@example.com".to_owned()],
    }
}

pub const APPLICATION_A: ApplicationSid = ApplicationSid(0xaa);
pub const KEY_A: KeySid = KeySid(0xab);

pub fn declared() -> Directory {
    let hook = |url: &str| Webhook { url: url.to_owned(), method: Method::Get };
    let application = Application {
        account: A,
        voice: hook("https://app.example/voice"),
        fallback: Some(hook("https://app.example/fallback")),
        status_callback: Some((hook("https://app.example/status"), StatusEvents::default())),
    };
    let number = |account, sid| Number { account, sid: Some(NumberSid(sid)) };
    Directory {
        accounts: HashMap::from([
            (A, account("alpha", "token-a", false)),
            (B, account("beta", "token-b", false)),
            (C, account("gamma", "token-c", true)),
        ]),
        keys: HashMap::from([(KEY_A, ApiKey { account: A, secret: Secret::new("secret-a") })]),
        applications: HashMap::from([(APPLICATION_A, application)]),
        numbers: HashMap::from([
            (NUMBER_A.to_owned(), number(A, 1)),
            (NUMBER_B.to_owned(), number(B, 2)),
        ]),
    }
}

/// One recorder per process, as the metrics facade has it.
fn recorder() -> PrometheusHandle {
    static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();
    RECORDER.get_or_init(|| PrometheusBuilder::new().install_recorder().unwrap()).clone()
}
