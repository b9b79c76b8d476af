//! What an application answers to a message (MT-9, SP-1, SP-4, SP-5, SP-7).

use busyhour_agent_core::{
    leg::{Document, FetchError, Request},
    texting::{Conversation, DOCUMENTS_MAX, Next, REPLIES_MAX, Said},
};
use busyhour_base::{Method, Webhook};

fn hook(url: &str) -> Webhook {
    Webhook { url: url.to_owned(), method: Method::Post }
}

fn params() -> Vec<(String, String)> {
    [("From", "+15550200001"), ("To", "+15550100001"), ("Body", "hi & bye")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

fn begin() -> (Conversation, Next) {
    Conversation::begin(&hook("https://app/sms?to={To}"), Some(hook("https://app/sorry")), params())
}

fn document(kind: &str, body: &str) -> Result<Document, FetchError> {
    Ok(Document {
        url: "https://app/v1/sms".to_owned(),
        content_type: kind.to_owned(),
        body: body.as_bytes().to_vec(),
    })
}

fn xml(body: &str) -> Result<Document, FetchError> {
    document("text/xml", &format!("<Response>{body}</Response>"))
}

#[track_caller]
fn asked(next: Next) -> Request {
    match next {
        Next::Ask(request) => request,
        Next::Over(said) => panic!("expected a request: {said:?}"),
    }
}

#[track_caller]
fn over(next: Next) -> Said {
    match next {
        Next::Over(said) => said,
        Next::Ask(request) => panic!("expected an end: {request:?}"),
    }
}

/// What one answer of the application says, and the codes of its warnings.
fn says(answer: Result<Document, FetchError>) -> (Said, Vec<u16>) {
    let (mut conversation, _) = begin();
    let said = over(conversation.heard(answer));
    (said, conversation.warnings().iter().map(|warning| warning.code).collect())
}

fn texts(said: &Said) -> Vec<&str> {
    said.replies.iter().map(|reply| reply.body.text()).collect()
}

#[test]
fn mt_9_the_application_is_asked_with_its_parameters_and_its_address_filled_in() {
    let request = asked(begin().1);
    assert_eq!(request.url, "https://app/sms?to=%2B15550100001");
    assert_eq!((request.method, request.params), (Method::Post, params()));
}

#[test]
fn sp_4_every_form_of_answer_gives_its_messages_in_order() {
    for (answer, expected) in [
        (
            xml("<Message>one</Message><Message><Body>two\nlines</Body></Message>"),
            &["one", "two\nlines"][..],
        ),
        (
            xml("<Message> a &lt;b&gt; <![CDATA[& c]]> </Message><Sms>old</Sms>"),
            &["a <b> & c", "old"],
        ),
        (xml(""), &[]),
        (xml("<Message><Body>a</Body><Body>b</Body>c</Message>"), &["ab"]),
        (document("text/plain", " hello \n"), &["hello"]),
        (document("text/plain", "  "), &[]),
        (document("", ""), &[]),
        (document("text/html", ""), &[]),
    ] {
        let (said, warnings) = says(answer);
        assert_eq!(texts(&said), expected);
        assert_eq!((said.failed, said.again, warnings), (false, None, Vec::new()));
    }
}

#[test]
fn sp_5_a_message_says_to_whom_from_whom_and_who_is_told() {
    let (said, warnings) = says(xml(
        r#"<Message to="+15550300001" from="+15550100002" statusCallback="told?for={From}" statusCallbackMethod="GET">x</Message>
           <Message to=" " statusCallback="ftp://app/told">y</Message>"#,
    ));
    let [first, second] = &said.replies[..] else { panic!("{said:?}") };
    assert_eq!(first.to.as_deref(), Some("+15550300001"));
    assert_eq!(first.from.as_deref(), Some("+15550100002"));
    let told = first.status_callback.as_ref().unwrap();
    assert_eq!((&*told.url, told.method), ("https://app/v1/told?for=%2B15550200001", Method::Get));
    assert_eq!((&second.to, &second.status_callback), (&None, &None));
    assert_eq!(warnings, [11_200]);
}

#[test]
fn sp_5_what_cannot_be_sent_or_is_unknown_is_warned_of_and_the_rest_goes_on() {
    let long = format!("<Message>{}</Message>", "x".repeat(1_601));
    for bad in [
        "<Dial>+15550300001</Dial>",
        "<Message/>",
        r#"<Message to="mum">hi</Message>"#,
        r#"<Message from="me">hi</Message>"#,
        &long,
    ] {
        let (said, warnings) = says(xml(&format!("{bad}<Message>ok</Message>")));
        assert_eq!((texts(&said), said.failed), (vec!["ok"], false), "{bad}");
        assert_eq!(warnings, [12_200], "{bad}");
    }
    for odd in [
        r#"<Message colour="red">ok</Message>"#,
        "<Message><Body>ok</Body><Media>http://a/b.gif</Media></Message>",
    ] {
        let (said, warnings) = says(xml(odd));
        assert_eq!((texts(&said), warnings), (vec!["ok"], vec![12_200]), "{odd}");
    }
    let (said, warnings) = says(xml(&"<Message>x</Message>".repeat(REPLIES_MAX + 3)));
    assert_eq!((said.replies.len(), warnings), (REPLIES_MAX, vec![12_200]));
}

#[test]
fn sp_7_what_cannot_be_had_or_read_goes_to_the_fallback_once_with_its_code() {
    for (answer, code) in [
        (Err(FetchError::Status(500)), 11_200),
        (Err(FetchError::Transport("refused".to_owned())), 11_200),
        (document("text/xml", "<Response><Message>"), 12_100),
        (document("text/xml", "<Answer/>"), 12_100),
        (document("text/plain", &"x".repeat(1_601)), 12_100),
        (document("audio/wav", "RIFF"), 12_300),
    ] {
        let (mut conversation, first) = begin();
        let first = asked(first);
        let fallback = asked(conversation.heard(answer.clone()));
        assert_eq!(fallback.url, "https://app/sorry");
        let mut expected = params();
        expected.push(("ErrorCode".to_owned(), code.to_string()));
        expected.push(("ErrorUrl".to_owned(), first.url));
        assert_eq!(fallback.params, expected);
        assert_eq!(conversation.warnings()[0].code, code);
        let said = over(conversation.heard(answer));
        assert_eq!((said.failed, said.replies), (true, Vec::new()));
        let (mut conversation, _) = begin();
        conversation.heard(Err(FetchError::Status(404)));
        let said = over(conversation.heard(xml("<Message>sorry</Message>")));
        assert_eq!((texts(&said), said.failed), (vec!["sorry"], false));
    }
}

#[test]
fn sp_5_a_redirect_leads_on_keeps_what_was_said_and_comes_to_an_end() {
    let (mut conversation, _) = begin();
    let next = conversation.heard(xml(
        r#"<Message>first</Message><Redirect method="GET">next</Redirect><Message>unreached</Message>"#,
    ));
    let request = asked(next);
    assert_eq!((&*request.url, request.method), ("https://app/v1/next", Method::Get));
    assert_eq!(
        texts(&over(conversation.heard(xml("<Message>second</Message>")))),
        ["first", "second"]
    );

    let (mut conversation, mut next) = begin();
    for _ in 0..DOCUMENTS_MAX {
        asked(next);
        next = conversation.heard(xml("<Redirect/>"));
    }
    assert!(over(next).failed);
    assert_eq!(conversation.warnings().last().unwrap().code, 11_215);

    let (mut conversation, _) = begin();
    conversation.heard(xml("<Message>said</Message><Redirect>http://</Redirect>"));
    let said = over(conversation.heard(Err(FetchError::Status(500))));
    assert_eq!((texts(&said), said.failed), (vec!["said"], true));
}

#[test]
fn sp_5_an_action_ends_the_document_and_asks_to_be_asked_again() {
    let (said, _) = says(xml(
        r#"<Message>a</Message><Message action="/sent" method="GET">b</Message><Message>unreached</Message>"#,
    ));
    assert_eq!(texts(&said), ["a", "b"]);
    let again = said.again.unwrap();
    assert_eq!((&*again.url, again.method), ("https://app/sent", Method::Get));
}
