//! What an application is asked about a message: signed, only where it may be asked, bounded, with its fallback (MT-9, SP-2 to
//! SP-4, SP-7).

mod common;

use axum::{
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use busyhour_protocol::v1::{self, answered::Outcome, to_agent::Message};
use common::{Agent, Heard, PATIENCE, Stub, application::Application};

fn serve(path: &str) -> Response {
    let xml = |text: String| ([(CONTENT_TYPE, "text/xml")], text).into_response();
    match path {
        "/sms" => xml("<Response><Message>hello</Message><Redirect>/more</Redirect></Response>".into()),
        "/more" => xml("<Response><Message to=\"+15550300001\" statusCallback=\"told\">more</Message></Response>".into()),
        "/long" => xml(format!("<Response>{}</Response>", " ".repeat(70_000))),
        "/plain" => ([(CONTENT_TYPE, "text/plain")], "sorry").into_response(),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

fn ask(hook: &str, fallback: Option<&str>) -> v1::Ask {
    let webhook = |url: &str| v1::Webhook { url: url.to_owned(), method: "POST".to_owned() };
    let parameters = [("From", "+15550200001"), ("To", "+15550100001"), ("Body", "hi & bye")];
    v1::Ask {
        message: 7,
        step: 1,
        account: Some(v1::Account {
            sid: "AC00000000000000000000000000000001".to_owned(),
            auth_token: "tenant secret".to_owned(),
        }),
        hook: Some(webhook(hook)),
        fallback: fallback.map(webhook),
        parameters: parameters
            .map(|(name, value)| v1::Parameter { name: name.to_owned(), value: value.to_owned() })
            .into(),
    }
}

async fn answer(stub: &mut Stub, ask: v1::Ask) -> v1::Replies {
    stub.order(Message::Ask(ask)).await;
    let heard = async {
        loop {
            if let Heard::Answered(answered) = stub.heard().await {
                assert_eq!((answered.message, answered.step), (7, 1));
                match answered.outcome {
                    Some(Outcome::Replies(replies)) => return replies,
                    other => panic!("{other:?}"),
                }
            }
        }
    };
    tokio::time::timeout(PATIENCE, heard).await.expect("an answer in time")
}

#[tokio::test(flavor = "multi_thread")]
async fn mt_9_an_application_is_asked_signed_and_its_documents_are_followed() {
    let app = Application::start(serve).await;
    let mut stub = Stub::start().await;
    let _agent = Agent::start(&stub);
    stub.linked().await;
    let said = answer(&mut stub, ask(&format!("{}/sms?to={{To}}", app.base), None)).await;
    assert_eq!((said.failure.as_str(), &said.again), ("", &None));
    let replies: Vec<_> = said.replies.iter().map(|reply| (&*reply.to, &*reply.body)).collect();
    assert_eq!(replies, [("", "hello"), ("+15550300001", "more")]);
    let told = said.replies[1].status_callback.as_ref().unwrap();
    assert_eq!(told.url, format!("{}/told", app.base));
    let asked = app.asked.lock();
    let paths: Vec<_> = asked.iter().map(|(path, _, signed)| (&**path, *signed)).collect();
    assert_eq!(paths, [("/sms", true), ("/more", true)]);
    assert!(asked[0].1.contains(&("Body".to_owned(), "hi & bye".to_owned())));
}

#[tokio::test(flavor = "multi_thread")]
async fn sp_7_what_is_no_document_goes_to_the_fallback_and_fails_without_one() {
    let app = Application::start(serve).await;
    let mut stub = Stub::start().await;
    let _agent = Agent::start(&stub);
    stub.linked().await;
    let fallback = format!("{}/plain", app.base);
    for (hook, code) in [
        (format!("{}/missing", app.base), "11200"),
        (format!("{}/long", app.base), "11200"),
        // Not an address that a tenant may have asked.
        ("http://169.254.169.254/latest".to_owned(), "11200"),
        ("ftp://app/sms".to_owned(), "11200"),
    ] {
        let said = answer(&mut stub, ask(&hook, Some(&fallback))).await;
        assert_eq!((said.replies[0].body.as_str(), said.failure.as_str()), ("sorry", ""), "{hook}");
        let (path, form, signed) = app.asked.lock().last().unwrap().clone();
        assert_eq!((&*path, signed), ("/plain", true));
        assert!(form.contains(&("ErrorCode".to_owned(), code.to_owned())), "{hook}: {form:?}");
        assert!(form.iter().any(|(name, _)| name == "ErrorUrl"));
        let said = answer(&mut stub, ask(&hook, None)).await;
        assert_eq!((said.replies.len(), said.failure.as_str()), (0, "document_failed"), "{hook}");
    }
}

/// An order that breaks a rule is answered, so that the controller does not wait and ask again.
#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_cannot_be_read_is_answered_as_failed() {
    let mut stub = Stub::start().await;
    let _agent = Agent::start(&stub);
    stub.linked().await;
    let said = answer(&mut stub, v1::Ask { hook: None, ..ask("http://127.0.0.1:9/", None) }).await;
    assert_eq!(said.failure, "document_failed");
}
