//! An application server of a tenant that remembers what it was asked.

use std::sync::Arc;

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, Uri},
    response::Response,
    routing::any,
};
use busyhour_agent_core::webhook::sign::{self, Key};
use parking_lot::Mutex;

/// What an application server was asked: path, form, and whether its signature is right.
type Asked = Arc<Mutex<Vec<(String, Vec<(String, String)>, bool)>>>;

#[derive(Clone)]
pub struct Application {
    pub base: Arc<str>,
    pub asked: Asked,
    answer: fn(&str) -> Response,
}

impl Application {
    /// Serves what `answer` has for each path.
    pub async fn start(answer: fn(&str) -> Response) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap()).into();
        let app = Self { base, asked: Asked::default(), answer };
        let router = Router::new().fallback(any(serve)).with_state(app.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        app
    }
}

async fn serve(
    State(app): State<Application>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let form: Vec<(String, String)> = url::form_urlencoded::parse(&body).into_owned().collect();
    let text = sign::text(&format!("{}{uri}", app.base), &form);
    let given = headers.get(sign::SIGNATURE).map(|v| v.to_str().unwrap().to_owned());
    let signed = given == Some(Key::new("tenant secret".into()).signature(&text));
    app.asked.lock().push((uri.path().to_owned(), form, signed));
    (app.answer)(uri.path())
}
