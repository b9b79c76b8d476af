//! A tenant's application server for the demo and for tests: documents from a folder, every request's signature
//! checked as the official libraries would, every parameter kept.

mod account;
mod files;
mod recordings;
mod signature;

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    future::Future,
    io,
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use busyhour_base::Span;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::{net::TcpListener, sync::oneshot};

pub use self::account::{ApplicationAccount, CallParameters, Exchange};
use self::{account::Keeper, files::Folder};

/// An application server's settings.
#[derive(Clone)]
pub struct ApplicationOptions {
    /// Where HTTP is listened to; port 0 takes any.
    pub listen: SocketAddr,
    /// Folder of the documents; nothing outside of it is ever served.
    pub documents: PathBuf,
    /// Secret token of every tenant, by account sid. A request for another account, or with a wrong signature, gets 403.
    pub tokens: HashMap<String, String>,
    /// Start of the URLs that tenants declared, when it is not `http://` and the request's `Host`.
    pub public_url: Option<String>,
    /// Calls whose parameters are kept; the oldest goes first.
    pub max_calls: usize,
    /// Recordings that are made up at the start and served to anyone, by file name.
    pub recordings: BTreeMap<String, Span>,
}

impl fmt::Debug for ApplicationOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApplicationOptions")
            .field("listen", &self.listen)
            .field("documents", &self.documents)
            .field("accounts", &self.tokens.len())
            .finish_non_exhaustive()
    }
}

impl ApplicationOptions {
    /// On a free port of loopback.
    pub fn new(documents: PathBuf, tokens: HashMap<String, String>) -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            documents,
            tokens,
            public_url: None,
            max_calls: 100_000,
            recordings: BTreeMap::new(),
        }
    }
}

/// Where an application server can be reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ApplicationReady {
    /// HTTP.
    pub http: SocketAddr,
}

/// The header that carries a request's signature.
const SIGNATURE: &str = "x-twilio-signature";

/// Largest request taken.
const MAX_BODY: usize = 64 << 10;

struct Server {
    folder: Folder,
    tokens: HashMap<String, String>,
    public_url: Option<String>,
    recordings: HashMap<String, Bytes>,
    keeper: Mutex<Keeper>,
}

/// Serves until `shutdown` resolves; tells `ready` its address and returns its final account.
pub async fn serve_application(
    options: ApplicationOptions,
    ready: oneshot::Sender<ApplicationReady>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<ApplicationAccount> {
    let server = Arc::new(Server {
        folder: Folder::open(&options.documents)?,
        tokens: options.tokens,
        public_url: options.public_url,
        recordings: recordings::make(&options.recordings)?,
        keeper: Mutex::new(Keeper::new(options.max_calls)),
    });
    let listener = TcpListener::bind(options.listen).await?;
    let http = listener.local_addr()?;
    let app = Router::new()
        .route("/account", axum::routing::get(account))
        .fallback(document)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(server.clone());
    tracing::info!(%http, "application server is up");
    // Whoever started this may not care.
    let _ = ready.send(ApplicationReady { http });
    axum::serve(listener, app).with_graceful_shutdown(shutdown).await?;
    let account = server.keeper.lock().account();
    Ok(account)
}

async fn account(State(server): State<Arc<Server>>) -> Response {
    let account = server.keeper.lock().account();
    axum::Json(account).into_response()
}

async fn document(
    State(server): State<Arc<Server>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if let Some(recording) = server.recordings.get(uri.path()) {
        return ([(header::CONTENT_TYPE, "audio/wav")], recording.clone()).into_response();
    }
    let form: Vec<(String, String)> = match method {
        Method::GET | Method::HEAD => Vec::new(),
        Method::POST => match serde_urlencoded::from_bytes(&body) {
            Ok(form) => form,
            Err(_) => return refuse(StatusCode::BAD_REQUEST, "the body is not a form"),
        },
        _ => {
            return refuse(StatusCode::METHOD_NOT_ALLOWED, "only GET and POST are served");
        }
    };
    let query: Vec<(String, String)> =
        serde_urlencoded::from_str(uri.query().unwrap_or_default()).unwrap_or_default();
    let is_signed = server.is_signed(&uri, &headers, &form, &query);
    let path = uri.path_and_query().map_or_else(|| uri.path(), |path| path.as_str());
    let signature =
        headers.get(SIGNATURE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    server.keeper.lock().note(is_signed, path, signature, form.iter().chain(&query));
    if !is_signed {
        return refuse(StatusCode::FORBIDDEN, "the signature is not right");
    }
    // Reading a few kilobytes from the page cache does not deserve a thread of its own.
    match server.folder.read(uri.path()) {
        Some((kind, bytes)) => ([(header::CONTENT_TYPE, kind)], Body::from(bytes)).into_response(),
        None => refuse(StatusCode::NOT_FOUND, "there is no such document"),
    }
}

fn refuse(status: StatusCode, why: &'static str) -> Response {
    (status, why).into_response()
}

impl Server {
    fn is_signed(
        &self,
        uri: &Uri,
        headers: &HeaderMap,
        form: &[(String, String)],
        query: &[(String, String)],
    ) -> bool {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let base = match (&self.public_url, text("host")) {
            (Some(url), _) => url.trim_end_matches('/').to_owned(),
            (None, Some(host)) => format!("http://{host}"),
            (None, None) => return false,
        };
        let path = uri.path_and_query().map_or_else(|| uri.path(), |path| path.as_str());
        let token = form
            .iter()
            .chain(query)
            .find(|(name, _)| name == "AccountSid")
            .and_then(|(_, sid)| self.tokens.get(sid));
        match (token, text(SIGNATURE)) {
            (Some(token), Some(given)) => {
                signature::is_right(token, &format!("{base}{path}"), form, given)
            }
            // Media is fetched without parameters; any tenant's signature will do there.
            (None, Some(given)) if form.is_empty() && query.is_empty() => self
                .tokens
                .values()
                .any(|token| signature::is_right(token, &format!("{base}{path}"), form, given)),
            _ => false,
        }
    }
}
