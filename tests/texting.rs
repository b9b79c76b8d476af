//! Messages that come in, with real processes: the tenant's own web server is asked, signed, and its answers go out once,
//! whatever is killed in between (MT-9, SP-1 to SP-5, SP-7, `RELIABILITY.md`).

mod support;

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, Uri, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::any,
};
use busyhour_agent_core::webhook::sign::{self, Key};
use busyhour_base::Keyword;
use reqwest::Method;
use serde_json::{Value, json};
use support::{Running, cli::busyhour, tenant::answer, until};
use tokio::sync::{Mutex, watch};

const COUNTER: &str = "+15550100001";
const WRITER: &str = "+15557654321";
const WITHIN: Duration = Duration::from_secs(90);

/// A request's path and form.
type Asked = (String, BTreeMap<String, String>);

/// The shop's web server. What it answers follows from the text of the message.
#[derive(Clone)]
struct Shop {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    /// It answers only while this is open.
    open: watch::Sender<bool>,
}

impl Shop {
    async fn start() -> Self {
        let listener =
            tokio::net::TcpListener::bind((busyhour_peer::own_ip(), 0)).await.expect("a listener");
        let address = listener.local_addr().expect("it has an address");
        let shop = Self { address, asked: Arc::default(), open: watch::Sender::new(true) };
        let router = Router::new().fallback(any(serve)).with_state(shop.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        shop
    }

    /// How often it was asked first about messages with this text.
    async fn asked_about(&self, body: &str) -> usize {
        let asked = self.asked.lock().await;
        let first = asked.iter().filter(|(path, _)| path == "/sms");
        first.filter(|(_, form)| form.get("Body").is_some_and(|of| of == body)).count()
    }
}

async fn serve(State(shop): State<Shop>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let form: Vec<(String, String)> = url::form_urlencoded::parse(&body).into_owned().collect();
    let text = sign::text(&format!("http://{}{uri}", shop.address), &form);
    let given = headers.get(sign::SIGNATURE).and_then(|value| value.to_str().ok());
    if given != Some(&*Key::new("shop-token-for-tests-0001".into()).signature(&text)) {
        return StatusCode::FORBIDDEN.into_response();
    }
    let form: BTreeMap<_, _> = form.into_iter().collect();
    let words = form.get("Body").cloned().unwrap_or_default();
    let code = form.get("ErrorCode").cloned();
    shop.asked.lock().await.push((uri.path().to_owned(), form));
    if uri.path() == "/sms" {
        let _ = shop.open.subscribe().wait_for(|open| *open).await;
    }
    let of_type = |kind: &'static str, text: String| ([(CONTENT_TYPE, kind)], text).into_response();
    let xml = |verbs: String| of_type("text/xml", format!("<Response>{verbs}</Response>"));
    match (uri.path(), &*words) {
        ("/sorry", _) => xml(format!("<Message>sorry {}</Message>", code.unwrap_or_default())),
        (_, "missing") => StatusCode::NOT_FOUND.into_response(),
        (_, "broken") => of_type("text/xml", "<Response><Message>".to_owned()),
        (_, "picture") => of_type("image/png", "PNG".to_owned()),
        (_, "plain") => of_type("text/plain", "re: plain".to_owned()),
        (_, "silence") => StatusCode::NO_CONTENT.into_response(),
        (_, "unknown") => xml("<Dance/><Message>re: unknown</Message>".to_owned()),
        ("/sms", "onward") => xml("<Redirect>/next</Redirect>".to_owned()),
        (_, words) => xml(format!("<Message><Body>re: {words}</Body></Message>")),
    }
}

/// Brings a message as its carrier would, again and again until it is taken, and gives its sid.
async fn brought(running: &Running, reference: &str, body: &str) -> String {
    let message = json!({"reference": reference, "from": WRITER, "to": COUNTER, "body": body});
    until("a message to be taken", WITHIN, async || {
        running.api.bring_message("quay", &message).await.ok()
    })
    .await
}

/// Waits until the shop was asked so often about a message, or all is over with it.
async fn asked(running: &Running, shop: &Shop, body: &str, times: usize, sid: &str) {
    until("the shop to be asked", WITHIN, async || {
        if shop.asked_about(body).await >= times {
            return Some(());
        }
        let all = messages(running).await?;
        let over = |message: &&Value| message["sid"] == *sid && message["status"] == "received";
        all.iter().find(over).map(|_| ())
    })
    .await;
}

/// Every message of the shop.
async fn messages(running: &Running) -> Option<Vec<Value>> {
    running.api.messages(&running.account("shop")).await.ok()
}

/// Waits until a message has been answered.
async fn received(running: &Running, sid: &str) -> Value {
    until("a message to be received", WITHIN, async || {
        let all = messages(running).await?;
        all.into_iter().find(|message| message["sid"] == *sid && message["status"] == "received")
    })
    .await
}

/// How often each text went out in answer, once all answers have ended: those that were with the carrier when the controller was
/// killed are in doubt.
async fn answers(running: &Running) -> BTreeMap<String, u32> {
    until("every answer to end", WITHIN, async || {
        let mut answers = BTreeMap::new();
        for message in messages(running).await? {
            if message["direction"] == "outbound-reply" {
                let ended = ["delivered", "failed"].contains(&message["status"].as_str()?);
                ended.then_some(())?;
                *answers.entry(message["body"].as_str()?.to_owned()).or_default() += 1;
            }
        }
        Some(answers)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn mt_9_a_message_is_answered_once_whoever_is_killed_while_the_shop_thinks() {
    let shop = Shop::start().await;
    let mut running = Running::start_answered_at("texting-kill", "texting", shop.address).await;

    shop.open.send_replace(false);
    let first = brought(&running, "in-1", "one").await;
    asked(&running, &shop, "one", 1, &first).await;
    running.stage.take("controller").unwrap().kill().await.unwrap();
    running.stage.start_controller(&[]).await.unwrap();
    assert_eq!(brought(&running, "in-1", "one").await, first, "its carrier brings it again");
    asked(&running, &shop, "one", 2, &first).await;
    shop.open.send_replace(true);
    received(&running, &first).await;

    shop.open.send_replace(false);
    let second = brought(&running, "in-2", "two").await;
    asked(&running, &shop, "two", 1, &second).await;
    running.stage.take("agent-1").unwrap().kill().await.unwrap();
    running.start_agent(1).await;
    asked(&running, &shop, "two", 2, &second).await;
    shop.open.send_replace(true);
    received(&running, &second).await;

    // Some are asked about, some wait, some are answered when it is killed.
    let mut sids = Vec::new();
    for n in 0..40 {
        sids.push(brought(&running, &format!("many-{n}"), &format!("many {n}")).await);
    }
    running.stage.take("controller").unwrap().kill().await.unwrap();
    running.stage.start_controller(&[]).await.unwrap();
    for sid in &sids {
        received(&running, sid).await;
    }
    // On a machine that stands still for 15 s an answer of the shop can be the apology of its fallback.
    let mut answers = answers(&running).await;
    let sorry = answers.remove("sorry 11200").unwrap_or_default();
    assert!(answers.values().all(|times| *times == 1), "{answers:?}");
    assert_eq!(answers.len() + sorry as usize, 42, "one answer to each, and not two: {answers:?}");
    let account = running.stage.folder().join("controller/message-carriers/quay.ndjson");
    let mut handed = BTreeMap::<String, u32>::new();
    for line in std::fs::read_to_string(account).unwrap().lines() {
        // A kill may have cut the last line off.
        if let Ok(line) = serde_json::from_str::<Value>(line) {
            *handed.entry(line["message"].as_str().unwrap().to_owned()).or_default() += 1;
        }
    }
    assert!(handed.values().all(|times| *times == 1), "handed over twice: {handed:?}");
    running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_says_stop_is_sent_nothing_also_after_a_kill_until_they_say_start() {
    let shop = Shop::start().await;
    let mut running = Running::start_answered_at("texting-stop", "texting", shop.address).await;
    let tenant = running.tenant("shop");
    let offer = [("To", WRITER), ("From", COUNTER), ("Body", "ten percent off")];
    let send = async || {
        answer(tenant.request(Method::POST, &tenant.path("Messages.json")).form(&offer)).await
    };
    let stop = brought(&running, "in-1", "Stop").await;
    received(&running, &stop).await;
    assert!(send().await.refuses(400, 21_610).contains("STOP"));
    // The shop was asked, and what it answered was not sent; the last word was.
    let last = Keyword::Stop.answer().to_owned();
    assert_eq!(answers(&running).await, BTreeMap::from([(last.clone(), 1)]));
    let kinds = async || {
        let asked = shop.asked.lock().await;
        let kinds = asked.iter().filter_map(|(_, form)| form.get("OptOutType").cloned());
        let mut kinds: Vec<_> = kinds.collect();
        // It may be asked twice about one message.
        kinds.dedup();
        kinds
    };
    assert_eq!(kinds().await, ["STOP"]);
    let listed = busyhour(&running, &["opt-outs", "--tenant", "shop"]).await.unwrap();
    assert!(listed.starts_with(&format!("{WRITER} takes no messages from {COUNTER}")), "{listed}");

    running.stage.take("controller").unwrap().kill().await.unwrap();
    running.stage.start_controller(&[]).await.unwrap();
    assert!(send().await.refuses(400, 21_610).contains("STOP"));

    let start = brought(&running, "in-2", "START").await;
    received(&running, &start).await;
    assert_eq!(send().await.status, 201);
    assert_eq!(kinds().await, ["STOP", "START"]);
    let (again, re) = (Keyword::Start.answer().to_owned(), "re: START".to_owned());
    assert_eq!(answers(&running).await, BTreeMap::from([(last, 1), (again, 1), (re, 1)]));
    assert_eq!(busyhour(&running, &["opt-outs", "--tenant", "shop"]).await.unwrap(), "");
    running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_opted_out_elsewhere_is_imported_whole_or_not_at_all_and_removed_for_a_reason() {
    const PEOPLE: usize = 60_000;
    let shop = Shop::start().await;
    let mut running = Running::start_answered_at("texting-import", "texting", shop.address).await;
    let file = running.stage.folder().join("opted-out.csv");
    let path = file.to_str().unwrap().to_owned();
    let person = |n: usize| format!("+1555{:07}", 2_000_000 + n);
    // More than one request takes.
    let write = |since: &dyn Fn(usize) -> &'static str| {
        let lines = (0..PEOPLE).map(|n| format!("{},{}\n", person(n), since(n)));
        std::fs::write(&file, format!("To,Since\n{}", lines.collect::<String>())).unwrap();
    };
    let args = ["opt-outs", "import", &path, "--tenant", "shop", "--from", COUNTER];
    write(&|n| if n == 54_999 { "soon" } else { "2024-01-02T03:04:05Z" });
    let refused = busyhour(&running, &args).await.unwrap_err();
    assert!(refused.contains("line 55001") && refused.contains("soon"), "{refused}");
    let of_one = ["opt-outs", "--tenant", "shop", "--to", &person(0)];
    assert_eq!(busyhour(&running, &of_one).await.unwrap(), "", "nothing of it was taken");

    write(&|_| "2024-01-02T03:04:05Z");
    let added = busyhour(&running, &args).await.unwrap();
    assert!(added.starts_with("60,000 lines: 60,000 added"), "{added}");
    running.stage.take("controller").unwrap().kill().await.unwrap();
    running.stage.start_controller(&[]).await.unwrap();
    assert_eq!(
        busyhour(&running, &args).await.unwrap(),
        "60,000 lines: 0 added, 60,000 known before\n"
    );
    let listed = busyhour(&running, &of_one).await.unwrap();
    assert!(listed.contains("since 2024-01-02T03:04:05.000Z"), "{listed}");
    let tenant = running.tenant("shop");
    let offer = [("To", &*person(1)), ("From", COUNTER), ("Body", "ten percent off")];
    let send = async || {
        answer(tenant.request(Method::POST, &tenant.path("Messages.json")).form(&offer)).await
    };
    assert!(send().await.refuses(400, 21_610).contains("STOP"));

    let remove = ["opt-outs", "remove", "--tenant", "shop", "--from", COUNTER, "--to", &person(1)];
    busyhour(&running, &[&remove[..], &["--reason", "signed up again"]].concat()).await.unwrap();
    assert_eq!(send().await.status, 201);
    let removed = busyhour(&running, &["opt-outs", "removed", "--tenant", "shop"]).await.unwrap();
    assert!(removed.contains(&person(1)) && removed.contains("signed up again"), "{removed}");
    running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mt_9_what_the_shop_answers_wrongly_costs_its_writer_no_more_than_an_apology() {
    let shop = Shop::start().await;
    let running = Running::start_answered_at("texting-answers", "texting", shop.address).await;
    for (body, answer) in [
        ("missing", Some("sorry 11200")),
        ("broken", Some("sorry 12100")),
        ("picture", Some("sorry 12300")),
        ("plain", Some("re: plain")),
        ("unknown", Some("re: unknown")),
        ("onward", Some("re: onward")),
        ("silence", None),
    ] {
        let before = answers(&running).await;
        let sid = brought(&running, body, body).await;
        let message = received(&running, &sid).await;
        assert_eq!(message["error_code"], Value::Null, "{body}: {message}");
        let mut expected = before;
        expected.extend(answer.map(|answer| (answer.to_owned(), 1)));
        assert_eq!(answers(&running).await, expected, "{body}");
    }
    let asked = shop.asked.lock().await;
    let (path, form) = &asked[0];
    assert_eq!((&**path, &*form["To"], &*form["NumMedia"]), ("/sms", COUNTER, "0"));
    assert_eq!(form["AccountSid"], running.account("shop").sid);
    drop(asked);
    let tenant = running.tenant("shop");
    let refused = tenant.get("/v1/Carriers/quay/explain").await;
    assert_eq!(refused.status, 401, "what carriers bring is the operator's affair");
    running.end().await;
}
