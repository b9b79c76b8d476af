//! Documents on a call that is up: SP-1, SP-2, SP-4 to SP-7 and the verbs' defaults of WIRE.

mod common;

use busyhour_agent_core::{
    interpreter::{APOLOGY, BRIEF_DOCUMENTS_MAX, FETCH_GUARD},
    leg::{Action, AudioError, AudioSource, Document, FetchError, Input, Phase},
};
use busyhour_base::{Instructions, Method, Outcome, Reason, Span, Webhook};
use common::{Driver, fetch, order, param, prepare, warned, webhook};

const SECOND: Span = Span::from_secs(1);

fn said(actions: &[Action]) -> Vec<&str> {
    actions
        .iter()
        .filter_map(|action| match action {
            Action::Prepare { source: AudioSource::Say { text, .. }, .. } => Some(text.as_str()),
            _ => None,
        })
        .collect()
}

#[track_caller]
fn assert_hangs_up(driver: &mut Driver, actions: &[Action], reason: Reason) {
    assert!(actions.contains(&Action::Bye), "{actions:?}");
    driver.give(Input::Closed { confirmed: true });
    assert_eq!(driver.ending().outcome, Outcome::Completed);
    assert_eq!(driver.ending().reason, reason);
}

/// SP-2: the first request carries the whole state.
#[test]
fn the_answer_asks_for_the_first_document() {
    let mut order = order();
    order.spec.instructions = Instructions::Url(Webhook {
        url: "http://app/{From}/first.xml#part".to_owned(),
        method: Method::Get,
    });
    let (_, actions) = Driver::answered(order);
    let (_, request) = fetch(&actions);
    assert_eq!(request.url, "http://app/%2B15550199/first.xml");
    assert_eq!(request.method, Method::Get);
    let keys: Vec<_> = request.params.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(
        keys,
        ["CallSid", "AccountSid", "From", "To", "CallStatus", "ApiVersion", "Direction"]
    );
    assert_eq!(param(&request, "CallStatus"), Some("in-progress"));
    assert_eq!(param(&request, "CallSid"), Some("CA000000000000000000000000000000ca"));
}

/// SP-5: in order, each prompt once the one before is over, the next made ready meanwhile.
#[test]
fn verbs_run_in_order_and_the_next_audio_is_made_ready_meanwhile() {
    let (mut driver, actions) = Driver::running(
        r#"<Response><Say>one</Say><Pause length="2"/><Play>beep.wav</Play><Say loop="2">two</Say></Response>"#,
    );
    let one = prepare(&actions);
    assert_eq!(driver.prepared(one, SECOND), [Action::Play { token: one }]);
    driver.pass(SECOND);
    let actions = driver.give(Input::Played { token: one });
    assert_eq!(actions[0], Action::Discard { token: one });
    assert!(
        matches!(&actions[1], Action::Prepare { source: AudioSource::Play { url }, .. } if url == "http://app/beep.wav")
    );
    let beep = prepare(&actions);
    assert_eq!(driver.prepared(beep, SECOND), [], "the pause is not over");
    let paused = driver.now;
    let actions = driver.wake();
    assert_eq!(driver.now, paused + Span::from_secs(2));
    assert_eq!(actions[0], Action::Play { token: beep });
    let two = prepare(&actions);
    driver.prepared(two, SECOND);
    let actions = driver.give(Input::Played { token: beep });
    assert_eq!(actions, [Action::Discard { token: beep }, Action::Play { token: two }]);
    assert_eq!(driver.give(Input::Played { token: two }), [Action::Play { token: two }]);
    let actions = driver.give(Input::Played { token: two });
    assert_hangs_up(&mut driver, &actions, Reason::Completed);
}

const MENU: &str = r#"<Response>
    <Gather numDigits="1" action="answer-{Digits}.xml"><Say>press a key</Say></Gather>
    <Say>nothing pressed</Say>
</Response>"#;

/// SP-1, SP-5, SP-6: a key ends the prompt, its digits fill the template, the next document becomes primary.
#[test]
fn a_key_ends_the_prompt_and_leads_to_the_action() {
    let (mut driver, actions) = Driver::running(MENU);
    let menu = prepare(&actions);
    driver.prepared(menu, SECOND);
    let actions = driver.give(Input::Digit('1'));
    assert_eq!(actions[0], Action::StopPlaying);
    assert_eq!(actions[1], Action::Discard { token: menu });
    let (token, request) = fetch(&actions);
    assert_eq!(request.url, "http://app/answer-1.xml");
    assert_eq!(request.method, Method::Post);
    assert_eq!(param(&request, "Digits"), Some("1"));
    assert_eq!(param(&request, "FinishedOnKey"), Some(""));
    assert_eq!(driver.give(Input::Played { token: menu }), [], "it crossed the stop");
    let actions = driver.document(
        token,
        "http://other/deep/answer.xml",
        "<Response><Play>{Digits}.mp3</Play><Redirect method='GET'>next.xml</Redirect></Response>",
    );
    assert!(
        matches!(&actions[0], Action::Prepare { source: AudioSource::Play { url }, .. } if url == "http://other/deep/1.mp3")
    );
    let mp3 = prepare(&actions);
    driver.prepared(mp3, SECOND);
    let actions = driver.give(Input::Played { token: mp3 });
    let (_, request) = fetch(&actions);
    assert_eq!(request.url, "http://other/deep/next.xml");
    assert_eq!(request.method, Method::Get);
    assert_eq!(param(&request, "Digits"), None);
}

/// WIRE: no input falls through, after the prompts and five seconds.
#[test]
fn without_input_gather_falls_through() {
    let (mut driver, actions) = Driver::running(MENU);
    let menu = prepare(&actions);
    driver.prepared(menu, SECOND);
    driver.pass(SECOND);
    driver.give(Input::Played { token: menu });
    let over = driver.now;
    let actions = driver.wake();
    assert_eq!(driver.now, over + Span::from_secs(5));
    assert_eq!(said(&actions), ["nothing pressed"]);
}

#[test]
fn several_digits_end_by_the_finish_key_or_by_time() {
    let body = r#"<Response><Gather timeout="3"/><Say>none</Say></Response>"#;
    let (mut driver, _) = Driver::running(body);
    for key in ['4', '2'] {
        driver.pass(Span::from_secs(2));
        assert_eq!(driver.give(Input::Digit(key)), []);
    }
    let (_, request) = fetch(&driver.give(Input::Digit('#')));
    assert_eq!(request.url, "http://app/first.xml", "this document is the default action");
    assert_eq!(param(&request, "Digits"), Some("42"));
    assert_eq!(param(&request, "FinishedOnKey"), Some("#"));

    let (mut driver, _) = Driver::running(body);
    driver.give(Input::Digit('9'));
    let pressed = driver.now;
    let (_, request) = fetch(&driver.wake());
    assert_eq!(driver.now, pressed + Span::from_secs(3));
    assert_eq!(param(&request, "Digits"), Some("9"));

    let (mut driver, _) = Driver::running(body);
    assert_eq!(said(&driver.give(Input::Digit('#'))), ["none"]);
}

#[test]
fn an_empty_result_is_sent_if_it_is_asked_for() {
    let (mut driver, _) = Driver::running(
        r#"<Response><Gather timeout="0" finishOnKey="" actionOnEmptyResult="true"/></Response>"#,
    );
    let (_, request) = fetch(&driver.wake());
    assert_eq!(param(&request, "Digits"), Some(""));
}

#[test]
fn without_a_finish_key_the_hash_is_a_digit() {
    let (mut driver, _) =
        Driver::running(r#"<Response><Gather finishOnKey="" numDigits="2"/></Response>"#);
    driver.give(Input::Digit('#'));
    let (_, request) = fetch(&driver.give(Input::Digit('5')));
    assert_eq!(param(&request, "Digits"), Some("#5"));
}

#[test]
fn keys_between_verbs_mean_nothing_but_are_told_at_the_end() {
    let (mut driver, actions) = Driver::running("<Response><Say>hello</Say></Response>");
    let token = prepare(&actions);
    driver.prepared(token, SECOND);
    for _ in 0..100 {
        assert_eq!(driver.give(Input::Digit('1')), []);
    }
    driver.give(Input::FarHangUp);
    assert_eq!(driver.ending().digits, "1".repeat(64));
}

#[test]
fn digits_are_sent_after_the_answer_before_the_first_document() {
    let mut order = order();
    order.spec.send_digits = Some("ww12<#".to_owned());
    let (mut driver, actions) = Driver::answered(order);
    assert!(actions.contains(&Action::SendDigits("ww12#".to_owned())), "{actions:?}");
    let answered = driver.now;
    fetch(&driver.wake());
    assert_eq!(driver.now, answered + Span::from_millis(2 * 500 + 3 * 200));
}

#[test]
fn play_with_digits_presses_keys() {
    let (mut driver, actions) =
        Driver::running(r#"<Response><Play digits="1w2"/><Hangup/></Response>"#);
    assert_eq!(actions, [Action::SendDigits("1w2".to_owned())]);
    let actions = driver.wake();
    assert_hangs_up(&mut driver, &actions, Reason::Completed);
}

/// SP-4.
#[test]
fn audio_is_played_and_plain_text_is_spoken() {
    for (content_type, body, source) in [
        ("audio/mpeg", "", AudioSource::Play { url: "http://cdn/hello".to_owned() }),
        (
            "text/plain",
            " hello\n  there ",
            AudioSource::Say {
                text: "hello there".to_owned(),
                voice: "man".to_owned(),
                language: "en-US".to_owned(),
            },
        ),
    ] {
        let (mut driver, actions) = Driver::answered(order());
        let (token, _) = fetch(&actions);
        let result = Ok(Document {
            url: "http://cdn/hello".to_owned(),
            content_type: content_type.to_owned(),
            body: body.as_bytes().to_vec(),
        });
        let actions = driver.give(Input::Fetched { token, result });
        let token = prepare(&actions);
        assert_eq!(actions, [Action::Prepare { token, source }]);
        driver.prepared(token, SECOND);
        let actions = driver.give(Input::Played { token });
        assert_hangs_up(&mut driver, &actions, Reason::Completed);
    }
}

fn failing(result: Result<Document, FetchError>) -> (Driver, Vec<Action>) {
    let mut order = order();
    order.spec.fallback = Some(webhook("http://spare/{ErrorCode}"));
    let (mut driver, actions) = Driver::answered(order);
    let (token, _) = fetch(&actions);
    let actions = driver.give(Input::Fetched { token, result });
    (driver, actions)
}

/// SP-7, WIRE: at once, with the error beside the same parameters.
#[test]
fn every_kind_of_failure_goes_to_the_fallback_with_its_code() {
    let answer = |content_type: &str, body: &str| {
        Ok(Document {
            url: "http://app/first.xml".to_owned(),
            content_type: content_type.to_owned(),
            body: body.as_bytes().to_vec(),
        })
    };
    for (result, code) in [
        (Err(FetchError::Status(500)), 11_200),
        (Err(FetchError::Forbidden("10.0.0.1".to_owned())), 11_200),
        (Err(FetchError::TooLarge), 11_200),
        (answer("text/xml", "<Response"), 12_100),
        (answer("text/xml", "<Respond/>"), 12_100),
        (answer("text/plain", ""), 0),
        (answer("text/html", "<Response/>"), 12_300),
    ] {
        let (_, actions) = failing(result);
        if code == 0 {
            assert!(actions.contains(&Action::Bye), "nothing to say: {actions:?}");
            continue;
        }
        assert_eq!(warned(&actions), [code]);
        let (_, request) = fetch(&actions);
        assert_eq!(request.url, format!("http://spare/{code}"));
        assert_eq!(param(&request, "ErrorCode"), Some(code.to_string().as_str()));
        assert_eq!(param(&request, "ErrorUrl"), Some("http://app/first.xml"));
        assert_eq!(param(&request, "CallStatus"), Some("in-progress"));
    }
}

#[test]
fn the_session_goes_on_with_the_fallbacks_document() {
    let (mut driver, actions) = failing(Err(FetchError::Status(404)));
    let (token, _) = fetch(&actions);
    let actions =
        driver.document(token, "http://spare/doc/x", "<Response><Redirect>y</Redirect></Response>");
    let (token, request) = fetch(&actions);
    assert_eq!(request.url, "http://spare/doc/y");
    let actions = driver.give(Input::Fetched { token, result: Err(FetchError::Status(404)) });
    assert_eq!(fetch(&actions).1.url, "http://spare/11200", "each failure may use it");
}

/// SP-7: if all fail, a default message is played.
#[test]
fn when_all_fail_an_apology_is_spoken() {
    let (mut driver, actions) = failing(Err(FetchError::Status(404)));
    let (token, _) = fetch(&actions);
    let result = Err(FetchError::Transport("connection refused".to_owned()));
    let actions = driver.give(Input::Fetched { token, result });
    assert_eq!(said(&actions), [APOLOGY]);
    let token = prepare(&actions);
    let result = Err(AudioError::Speech("engine gone".to_owned()));
    let actions = driver.give(Input::Prepared { token, result });
    assert_hangs_up(&mut driver, &actions, Reason::DocumentFailed);
}

#[test]
fn a_server_that_never_answers_is_given_up() {
    let (mut driver, _) = Driver::answered(order());
    let asked = driver.now;
    let actions = driver.wake();
    assert_eq!(driver.now, asked + FETCH_GUARD);
    assert_eq!(warned(&actions), [11_200]);
    assert_eq!(said(&actions), [APOLOGY]);
}

#[test]
fn audio_that_fails_is_passed_over_with_a_warning() {
    let (mut driver, actions) =
        Driver::running("<Response><Play>a.wav</Play><Say>b</Say></Response>");
    let token = prepare(&actions);
    let result = Err(AudioError::Fetch(FetchError::Status(404)));
    let actions = driver.give(Input::Prepared { token, result });
    assert_eq!(warned(&actions), [11_200]);
    assert_eq!(said(&actions), ["b"]);
}

#[test]
fn addresses_that_are_none_fail_without_being_asked() {
    let (mut driver, actions) =
        Driver::running("<Response><Redirect>ftp://x/</Redirect></Response>");
    assert_eq!(warned(&actions), [11_200]);
    let token = prepare(&actions);
    let result = Err(AudioError::Speech(String::new()));
    let actions = driver.give(Input::Prepared { token, result });
    assert_hangs_up(&mut driver, &actions, Reason::DocumentFailed);
}

/// Redirect loops that nobody hears end.
#[test]
fn a_loop_of_redirects_ends() {
    let (mut driver, mut actions) = Driver::answered(order());
    let mut documents = 0;
    while let Some(Action::Fetch { token, .. }) = actions.last().cloned() {
        documents += 1;
        actions =
            driver.document(token, "http://app/a", "<Response><Redirect>a</Redirect></Response>");
    }
    assert_eq!(documents, BRIEF_DOCUMENTS_MAX);
    assert_eq!(warned(&actions), [11_215]);
    assert_eq!(said(&actions), [APOLOGY]);
}

#[test]
fn a_loop_that_waits_is_a_programme_and_goes_on() {
    let (mut driver, mut actions) = Driver::answered(order());
    for _ in 0..200 {
        let (token, _) = fetch(&actions);
        driver.document(
            token,
            "http://app/a",
            "<Response><Pause/><Redirect>a</Redirect></Response>",
        );
        actions = driver.wake();
    }
}

#[test]
fn silent_audio_does_not_loop_for_ever() {
    let (mut driver, actions) =
        Driver::running(r#"<Response><Play loop="0">empty.wav</Play></Response>"#);
    let actions = driver.prepared(prepare(&actions), Span::ZERO);
    assert_hangs_up(&mut driver, &actions, Reason::Completed);
}

#[test]
fn a_document_of_the_calls_own_runs_without_asking() {
    let mut order = order();
    order.spec.instructions = Instructions::Document(
        r#"<Response><Gather numDigits="1"><Say>key?</Say></Gather><Say>thanks</Say></Response>"#
            .to_owned(),
    );
    let (mut driver, actions) = Driver::answered(order);
    assert_eq!(said(&actions), ["key?"]);
    let actions = driver.give(Input::Digit('1'));
    assert_eq!(said(&actions), ["thanks"], "no action and no address of its own: it goes on");
}

#[test]
fn a_bad_document_of_the_calls_own_goes_to_the_fallback() {
    let mut order = order();
    order.spec.instructions = Instructions::Document("<Response>".to_owned());
    order.spec.fallback = Some(webhook("http://spare/"));
    let (_, actions) = Driver::answered(order);
    assert_eq!(warned(&actions), [12_100]);
    assert_eq!(fetch(&actions).1.url, "http://spare/");
}

/// WIRE: an unknown verb or attribute warns (12200) and goes on.
#[test]
fn unknown_verbs_warn_and_go_on() {
    let (_, actions) = Driver::running("<Response><Dance/><Say speed=\"9\">hi</Say></Response>");
    assert_eq!(warned(&actions), [12_200, 12_200]);
    assert_eq!(said(&actions), ["hi"]);
}

/// SP-10 begins here: a live call moves to another document.
#[test]
fn a_live_call_is_redirected() {
    let (mut driver, actions) = Driver::running("<Response><Say>long</Say></Response>");
    let token = prepare(&actions);
    driver.prepared(token, SECOND);
    let actions = driver.give(Input::Redirect(Instructions::Url(webhook("http://app/other.xml"))));
    assert_eq!(actions[..2], [Action::StopPlaying, Action::Discard { token }]);
    assert_eq!(fetch(&actions).1.url, "http://app/other.xml");
    assert_eq!(driver.give(Input::Played { token }), []);
}

#[test]
fn a_call_redirected_before_the_answer_begins_with_the_new_document() {
    let mut driver = Driver::new(order());
    driver.give(Input::Start);
    driver.give(Input::Redirect(Instructions::Url(webhook("http://app/new.xml"))));
    let actions = driver.give(Input::Answered);
    assert_eq!(fetch(&actions).1.url, "http://app/new.xml");
}

#[test]
fn hanging_up_silences_the_session() {
    let (mut driver, actions) = Driver::running("<Response><Say>long</Say></Response>");
    let token = prepare(&actions);
    driver.prepared(token, SECOND);
    let actions = driver.give(Input::HangUp(Reason::CanceledByTenant));
    assert_eq!(actions, [Action::StopPlaying, Action::Discard { token }, Action::Bye]);
    assert_eq!(driver.leg.phase(), Phase::Closing);
    assert_eq!(driver.give(Input::Digit('1')), []);
}
