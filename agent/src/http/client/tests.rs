//! The client against a real server on loopback.

use axum::{
    Router,
    body::Body,
    extract::Request as HttpRequest,
    http::{StatusCode as Code, header},
    response::{IntoResponse, Redirect},
    routing::any,
};
use busyhour_agent_core::leg::{FetchError, Request};

use super::*;

async fn echo(request: HttpRequest) -> impl IntoResponse {
    let line = format!("{} {}", request.method(), request.uri());
    let signed = request.headers().contains_key("x-twilio-signature");
    let body = axum::body::to_bytes(request.into_body(), 1 << 20).await.unwrap();
    let text = format!("{line}\nsigned {signed}\n{}", String::from_utf8_lossy(&body));
    ([(header::CONTENT_TYPE, "Text/XML; charset=utf-8")], text)
}

fn endless() -> Body {
    let chunk = || Ok::<_, std::io::Error>(vec![b' '; 16 << 10]);
    Body::from_stream(futures::stream::repeat_with(chunk))
}

/// A server whose every path misbehaves in its own way.
async fn server() -> (String, tokio::task::JoinHandle<()>) {
    let app = Router::new()
        .route("/echo", any(echo))
        .route("/moved", any(|| async { Redirect::to("/echo#x") }))
        .route("/kept", any(|| async { Redirect::temporary("/echo") }))
        .route("/loop", any(|| async { Redirect::to("/loop") }))
        .route("/inside", any(|| async { Redirect::to("http://169.254.169.254/latest") }))
        .route("/file", any(|| async { Redirect::to("file:///etc/passwd") }))
        .route("/huge", any(|| async { endless().into_response() }))
        .route("/stuck", any(|| async { std::future::pending::<()>().await }))
        .route("/broken", any(|| async { Code::INTERNAL_SERVER_ERROR }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let task = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    (url, task)
}

fn http(allowed: &[&str]) -> Http {
    let nets = allowed.iter().map(|net| net.parse().unwrap()).collect();
    let config = HttpConfig { total: Duration::from_secs(60), ..HttpConfig::default() };
    Http::new(Guard::new(nets), config).unwrap()
}

fn request(url: String, method: Method) -> Request {
    let params = vec![("CallSid".to_owned(), "CA1 & 2".to_owned())];
    Request { url, method, params }
}

fn key() -> Key {
    Key::new("secret".into())
}

#[tokio::test]
async fn parameters_travel_in_body_or_query_and_redirects_are_followed() {
    let (base, _server) = server().await;
    let http = http(&["127.0.0.0/8"]);
    let ask = async |path: &str, method| {
        let document =
            http.document(&request(format!("{base}{path}"), method), &key()).await.unwrap();
        assert_eq!(document.content_type, "text/xml");
        assert_eq!(document.url.split('?').next().unwrap(), format!("{base}/echo"));
        String::from_utf8(document.body).unwrap()
    };
    assert_eq!(ask("/echo", Method::Post).await, "POST /echo\nsigned true\nCallSid=CA1+%26+2");
    assert_eq!(
        ask("/echo?a=1", Method::Get).await,
        "GET /echo?a=1&CallSid=CA1+%26+2\nsigned true\n"
    );
    assert_eq!(ask("/moved", Method::Post).await, "GET /echo\nsigned true\n");
    assert_eq!(ask("/kept", Method::Post).await, "POST /echo\nsigned true\nCallSid=CA1+%26+2");
}

#[tokio::test]
async fn what_a_server_does_wrong_is_told_apart_and_bounded() {
    let (base, _server) = server().await;
    let http = http(&["127.0.0.0/8"]);
    let ask = async |path: &str| {
        let request = request(format!("{base}{path}"), Method::Post);
        http.document(&request, &key()).await.unwrap_err()
    };
    assert_eq!(ask("/broken").await, FetchError::Status(500));
    assert_eq!(ask("/huge").await, FetchError::TooLarge);
    assert!(matches!(ask("/loop").await, FetchError::Transport(m) if m.contains("redirects")));
    assert!(
        matches!(ask("/inside").await, FetchError::Forbidden(m) if m.contains("169.254.169.254"))
    );
    assert!(matches!(ask("/file").await, FetchError::Forbidden(m) if m.contains("file")));
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up() {
    let (base, _server) = server().await;
    let guard = Guard::new(vec!["127.0.0.0/8".parse().unwrap()]);
    let config = HttpConfig { total: Duration::from_millis(500), ..HttpConfig::default() };
    let http = Http::new(guard, config).unwrap();
    let stuck = http.document(&request(format!("{base}/stuck"), Method::Post), &key()).await;
    assert!(matches!(stuck, Err(FetchError::Transport(m)) if m.contains("no answer")));
}

#[tokio::test]
async fn without_the_operators_leave_loopback_is_never_reached() {
    let (base, server) = server().await;
    let port = base.rsplit(':').next().unwrap().to_owned();
    let http = http(&[]);
    for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "2130706433"] {
        let request = request(format!("http://{host}:{port}/echo"), Method::Post);
        let error = http.document(&request, &key()).await.unwrap_err();
        assert!(matches!(error, FetchError::Forbidden(_)), "{host}: {error:?}");
    }
    server.abort();
}
