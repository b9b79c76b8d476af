//! The application server over real HTTP.

use std::{collections::HashMap, net::SocketAddr};

use base64::{Engine, engine::general_purpose::STANDARD};
use busyhour_carrier::{ApplicationAccount, ApplicationOptions, serve_application};
use hmac::{Hmac, Mac};
use tokio::sync::oneshot;

const ACCOUNT: &str = "AC00000000000000000000000000000001";
const TOKEN: &str = "a-secret-token";

struct Application {
    http: SocketAddr,
    stop: oneshot::Sender<()>,
    account: tokio::task::JoinHandle<ApplicationAccount>,
    client: reqwest::Client,
    _folder: tempfile::TempDir,
}

impl Application {
    async fn start() -> Self {
        // A second test of this process finds it installed.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("answer.xml"), "<Response/>").expect("a file");
        let tokens = HashMap::from([(ACCOUNT.to_owned(), TOKEN.to_owned())]);
        let options = ApplicationOptions::new(folder.path().to_owned(), tokens);
        let (told, ready) = oneshot::channel();
        let (stop, stopped) = oneshot::channel::<()>();
        let account = tokio::spawn(async move {
            let shutdown = async {
                let _ = stopped.await;
            };
            serve_application(options, told, shutdown).await.expect("it runs")
        });
        let http = ready.await.expect("it starts").http;
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        Self { http, stop, account, client, _folder: folder }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.http)
    }

    async fn post(&self, path: &str, form: &[(&str, &str)], token: &str) -> (u16, String) {
        let signature = sign(token, &self.url(path), form);
        let request = self.client.post(self.url(path)).form(form);
        let response = request.header("X-Twilio-Signature", signature).send().await;
        let response = response.expect("an answer");
        (response.status().as_u16(), response.text().await.expect("a body"))
    }

    async fn stop(self) -> ApplicationAccount {
        self.stop.send(()).expect("it still runs");
        drop(self.client);
        self.account.await.expect("it ends in order")
    }
}

fn sign(token: &str, url: &str, form: &[(&str, &str)]) -> String {
    let mut sorted = form.to_vec();
    sorted.sort_unstable();
    let text = sorted.into_iter().fold(url.to_owned(), |text, (name, value)| text + name + value);
    let mut mac = Hmac::<sha1::Sha1>::new_from_slice(token.as_bytes()).expect("any length");
    mac.update(text.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

/// SP-3: documents go to whoever signs for the tenant, and what was told about the call is kept.
#[tokio::test]
async fn signed_requests_get_documents_and_are_remembered() {
    let application = Application::start().await;
    let form = [("CallSid", "CA1"), ("AccountSid", ACCOUNT), ("Digits", "4 2#"), ("To", "+1555")];
    let (status, body) = application.post("/answer.xml?leg=1", &form, TOKEN).await;
    assert_eq!((status, body.as_str()), (200, "<Response/>"));
    let (status, _) = application.post("/missing.xml", &form, TOKEN).await;
    assert_eq!(status, 404);

    let query = format!("/answer.xml?AccountSid={ACCOUNT}&CallSid=CA2&CallStatus=completed");
    let signature = sign(TOKEN, &application.url(&query), &[]);
    let get = application.client.get(application.url(&query));
    let response = get.header("X-Twilio-Signature", signature).send().await.expect("an answer");
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/xml");

    let served = application.client.get(application.url("/account")).send().await;
    let served: ApplicationAccount =
        served.expect("an answer").json().await.expect("the account is JSON");
    let account = application.stop().await;
    assert_eq!(served, account);
    assert_eq!((account.verified, account.failed), (3, 0));
    assert_eq!(account.calls[0].digits, ["4 2#", "4 2#"]);
    assert_eq!(account.calls[0].to, "+1555");
    assert_eq!(account.calls[1].statuses, ["completed"]);
}

#[tokio::test]
async fn everything_else_is_refused_and_counted() {
    let application = Application::start().await;
    let form = [("CallSid", "CA1"), ("AccountSid", ACCOUNT)];
    assert_eq!(application.post("/answer.xml", &form, "wrong").await.0, 403);
    let stranger = [("CallSid", "CA1"), ("AccountSid", "AC2")];
    assert_eq!(application.post("/answer.xml", &stranger, TOKEN).await.0, 403);
    let unsigned = application.client.post(application.url("/answer.xml")).form(&form);
    assert_eq!(unsigned.send().await.expect("an answer").status(), 403);
    let bad = application.client.post(application.url("/answer.xml")).body(vec![b'x'; 100_000]);
    assert_eq!(bad.send().await.expect("an answer").status(), 413);
    let put = application.client.put(application.url("/answer.xml"));
    assert_eq!(put.send().await.expect("an answer").status(), 405);
    let account = application.stop().await;
    assert_eq!((account.verified, account.failed), (0, 3));
    assert!(account.calls.is_empty(), "strangers take no memory");
}
