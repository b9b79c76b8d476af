//! Documents, callbacks and secrets: a call with an application server, and what the log holds of it (SP-2, SP-3).

mod common;

use std::{
    io,
    sync::{Arc, LazyLock},
    time::Duration,
};

use axum::{
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use busyhour_base::{
    CallEvent, CallSpec, Instructions, Method, Outcome, Reason, StatusEvents, Webhook,
};
use busyhour_protocol::{
    Secret,
    v1::{self, to_agent::Message},
};
use common::{PATIENCE, Sipp, application::Application, linked, order};
use parking_lot::Mutex;
use tracing_subscriber::fmt::MakeWriter;

fn serve(path: &str) -> Response {
    let document = match path {
        "/start" => "<Response><Say>Hello.</Say><Redirect>/next</Redirect></Response>",
        "/next" => "<Response><Play>/tone.wav</Play><Pause/></Response>",
        "/fallback" => "<Response><Hangup/></Response>",
        "/tone.wav" => return wav().into_response(),
        "/status" => "",
        _ => return StatusCode::NOT_FOUND.into_response(),
    };
    ([(CONTENT_TYPE, "application/xml")], document).into_response()
}

fn wav() -> Vec<u8> {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 8_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut file = io::Cursor::new(Vec::new());
    let mut writer = hound::WavWriter::new(&mut file, spec).unwrap();
    (0..1_600).for_each(|n| writer.write_sample((n % 200) as i16 * 50).unwrap());
    writer.finalize().unwrap();
    file.into_inner()
}

impl Application {
    fn hook(&self, path: &str) -> Webhook {
        Webhook { url: format!("{}{path}", self.base), method: Method::Post }
    }

    /// The spec of a call that this application directs, with every status callback.
    fn direct(&self, spec: &mut CallSpec, first: &str) {
        spec.instructions = Instructions::Url(self.hook(first));
        spec.fallback = Some(self.hook("/fallback"));
        spec.status_callback = Some(self.hook("/status"));
        spec.status_events =
            StatusEvents { initiated: true, ringing: true, answered: true, completed: true };
    }

    fn paths(&self) -> Vec<String> {
        self.asked.lock().iter().map(|(path, ..)| path.clone()).filter(|p| p != "/status").collect()
    }

    fn callbacks(&self, parameter: &str) -> Vec<String> {
        let asked = self.asked.lock();
        let callbacks = asked.iter().filter(|(path, ..)| path == "/status");
        let values =
            callbacks.filter_map(|(_, form, _)| form.iter().find(|(key, _)| key == parameter));
        values.map(|(_, value)| value.clone()).collect()
    }

    /// Values of a parameter in the status callbacks, once as many have come.
    async fn statuses(&self, parameter: &str, count: usize) -> Vec<String> {
        let all = async {
            loop {
                let values = self.callbacks(parameter);
                if values.len() >= count {
                    return values;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let all = tokio::time::timeout(PATIENCE, all).await;
        all.unwrap_or_else(|_| panic!("fewer than {count} status callbacks"))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_directed_by_its_application_and_tells_it_of_its_progress() {
    let app = Application::start(serve).await;
    let (mut stub, _agent) = linked().await;
    let sipp = Sipp::start("answer").await;
    let mut order = order(sipp.address(), "");
    app.direct(&mut order.spec, "/start");
    stub.dial(&order).await;
    let (_, ending) = stub.whole_call().await;
    assert_eq!((ending.outcome, ending.confirmed), (Outcome::Completed, true));
    sipp.verdict().await;
    assert_eq!(app.paths(), ["/start", "/next", "/tone.wav"]);
    let statuses = app.statuses("CallStatus", 4).await;
    assert_eq!(statuses, ["initiated", "ringing", "in-progress", "completed"]);
    assert_eq!(app.statuses("SequenceNumber", 4).await, ["0", "1", "2", "3"]);
    let asked = app.asked.lock();
    assert!(asked.iter().all(|(.., signed)| *signed), "a request is not signed: {asked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fallback_is_asked_when_the_document_cannot_be_had() {
    let app = Application::start(serve).await;
    let (mut stub, _agent) = linked().await;
    let sipp = Sipp::start("answer").await;
    let mut order = order(sipp.address(), "");
    app.direct(&mut order.spec, "/missing");
    stub.dial(&order).await;
    stub.whole_call().await;
    sipp.verdict().await;
    assert_eq!(app.paths(), ["/missing", "/fallback"]);
    let asked = app.asked.lock();
    let (_, form, _) = asked.iter().find(|(path, ..)| path == "/fallback").unwrap();
    assert!(form.contains(&("ErrorCode".to_owned(), "11200".to_owned())), "{form:?}");
}

/// A call that ended before any agent held it: its tenant is told all the same.
#[tokio::test(flavor = "multi_thread")]
async fn the_callback_of_an_undialled_call_is_sent() {
    let app = Application::start(serve).await;
    let (stub, _agent) = linked().await;
    let mut order = order("127.0.0.1:9".parse().unwrap(), "");
    app.direct(&mut order.spec, "/start");
    let callback = v1::Callback {
        call_sid: order.call_sid.to_string(),
        account: v1::Dial::from(&order).account,
        spec: Some((&order.spec).into()),
        outcome: Outcome::Canceled.as_str().to_owned(),
    };
    stub.order(Message::Callback(callback)).await;
    assert_eq!(app.statuses("CallStatus", 1).await, ["canceled"]);
}

/// Every word that is logged in this program, at every level.
static LOG: LazyLock<Log> = LazyLock::new(|| {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE);
    let subscriber = subscriber.with_writer(log.clone()).with_ansi(false).finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();
    log
});

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_logged_at_any_level() {
    let log = LazyLock::force(&LOG).clone();
    let app = Application::start(serve).await;
    let (mut stub, _agent) = linked().await;
    let sipp = Sipp::start("digest").await;
    let mut order = order(sipp.address(), "");
    order.trunk.username = Some("trunk".to_owned());
    order.trunk.password = Secret::new("s3cret");
    app.direct(&mut order.spec, "/start");
    stub.dial(&order).await;
    while stub.report().await.2 != CallEvent::Answered {}
    let (_, ending) = stub.whole_call().await;
    assert_eq!((ending.outcome, ending.reason), (Outcome::Completed, Reason::Completed));
    let messages = sipp.verdict().await;
    let proof =
        messages.text.split("response=\"").nth(1).expect("a digest").split('"').next().unwrap();
    let log = String::from_utf8_lossy(&log.0.lock()).into_owned();
    assert!(log.contains(&order.call_sid.to_string()), "nothing was logged");
    let secrets = ["s3cret", "tenant secret", common::TOKEN, "Authorization", proof];
    for secret in secrets {
        let line = log.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{secret} is in the log");
    }
}
