//! Documents into verbs: every verb and default of WIRE, every bound of RELIABILITY, every message.

use std::fmt::Write;

use busyhour_agent_core::{
    leg::AudioSource,
    twiml::{
        Document, Gather, ParseError, Prompt, Redirect, RejectReason, Times, Verb, bounds, parse,
    },
};
use busyhour_base::{Method, Span};
use proptest::prelude::*;

fn ok(inner: &str) -> Document {
    let document = parse(format!("<Response>{inner}</Response>").as_bytes()).unwrap();
    assert_eq!(document.warnings, [], "{inner}");
    document
}

fn say(text: &str, times: Times) -> Prompt {
    let source = AudioSource::Say {
        text: text.to_owned(),
        voice: "man".to_owned(),
        language: "en-US".to_owned(),
    };
    Prompt::Audio { source, times }
}

fn play(url: &str, times: Times) -> Prompt {
    Prompt::Audio { source: AudioSource::Play { url: url.to_owned() }, times }
}

/// SP-5, WIRE "Verbs".
#[test]
fn every_verb_has_its_defaults() {
    let document =
        ok("<Say>hi</Say><Play>a.wav</Play><Pause/><Gather/><Redirect/><Reject/><Hangup/>");
    let gather = Gather {
        action: None,
        method: Method::Post,
        timeout: Span::from_secs(5),
        finish_on_key: Some('#'),
        num_digits: None,
        action_on_empty_result: false,
        prompts: Vec::new(),
    };
    assert_eq!(
        document.verbs,
        [
            Verb::Prompt(say("hi", Times::Count(1))),
            Verb::Prompt(play("a.wav", Times::Count(1))),
            Verb::Prompt(Prompt::Pause(Span::from_secs(1))),
            Verb::Gather(gather),
            Verb::Redirect(Redirect { url: String::new(), method: Method::Post }),
            Verb::Reject(RejectReason::Rejected),
            Verb::Hangup,
        ]
    );
}

#[test]
fn every_attribute_is_read() {
    let document = ok(r##"
        <!-- a comment --><?target data?>
        <Say voice="woman" language="de-DE" loop="0"> Guten
           <![CDATA[Tag & ]]> auf &lt;Wieder&#x68;ören&gt; </Say>
        <Play loop="3"> http://a/b.wav?x=1&amp;y=2 </Play>
        <Play digits="1w2#"/>
        <Pause length="10"/>
        <Gather input="dtmf" action="/next" method="get" timeout="0" finishOnKey="" numDigits="4"
                actionOnEmptyResult="true"><Say>a</Say><Pause length="2"/><Play>b</Play></Gather>
        <Redirect method="GET">next.xml</Redirect>
        <Reject reason="busy"/>"##);
    let source = AudioSource::Say {
        text: "Guten Tag & auf <Wiederhören>".to_owned(),
        voice: "woman".to_owned(),
        language: "de-DE".to_owned(),
    };
    let gather = Gather {
        action: Some("/next".to_owned()),
        method: Method::Get,
        timeout: Span::ZERO,
        finish_on_key: None,
        num_digits: Some(4),
        action_on_empty_result: true,
        prompts: vec![
            say("a", Times::Count(1)),
            Prompt::Pause(Span::from_secs(2)),
            play("b", Times::Count(1)),
        ],
    };
    assert_eq!(
        document.verbs,
        [
            Verb::Prompt(Prompt::Audio { source, times: Times::Forever }),
            Verb::Prompt(play("http://a/b.wav?x=1&y=2", Times::Count(3))),
            Verb::Prompt(Prompt::Keys("1w2#".to_owned())),
            Verb::Prompt(Prompt::Pause(Span::from_secs(10))),
            Verb::Gather(gather),
            Verb::Redirect(Redirect { url: "next.xml".to_owned(), method: Method::Get }),
            Verb::Reject(RejectReason::Busy),
        ]
    );
}

#[test]
fn an_empty_document_says_nothing() {
    assert_eq!(ok("").verbs, []);
    assert_eq!(
        parse(b"\xef\xbb\xbf<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response/>")
            .unwrap()
            .verbs,
        []
    );
    assert_eq!(ok("<Say>  \n </Say>").verbs, [], "nothing to say");
}

/// 12200: what was found, where, what is allowed, what is done instead.
#[test]
fn warnings_name_place_value_and_what_is_allowed() {
    for (inner, message) in [
        (
            "<Dial>1</Dial>",
            "line 2, column 1: <Dial> is not known here and is passed over \
             (known: Say, Play, Pause, Gather, Redirect, Hangup, Reject)",
        ),
        (
            "<Say pitch='3'>x</Say>",
            "line 2, column 6: <Say> has no attribute pitch; it is passed over (known: voice, language, loop)",
        ),
        (
            "<Hangup now='1'/>",
            "line 2, column 9: <Hangup> has no attribute now; it is passed over (known: none)",
        ),
        (
            "<Pause length='-1'/>",
            "line 2, column 8: length is \"-1\", allowed is a whole number from 0 to 3600; 1 is taken",
        ),
        (
            "<Say loop='1e9'>x</Say>",
            "line 2, column 6: loop is \"1e9\", allowed is a whole number from 0 to 1000; 1 is taken",
        ),
        (
            "<Gather timeout='auto'/>",
            "line 2, column 9: timeout is \"auto\", allowed is a whole number from 0 to 600; 5 is taken",
        ),
        (
            "<Gather finishOnKey='##'/>",
            "line 2, column 9: finishOnKey is \"##\", allowed is one of 0-9 * #, or nothing; # is taken",
        ),
        (
            "<Gather input='speech'/>",
            "line 2, column 9: input is \"speech\", allowed is dtmf; dtmf is taken",
        ),
        (
            "<Gather><Gather/></Gather>",
            "line 2, column 9: <Gather> is not known here and is passed over (known: Say, Play, Pause)",
        ),
        (
            "<Redirect method='DELETE'>x</Redirect>",
            "line 2, column 11: method is \"DELETE\", allowed is POST or GET; POST is taken",
        ),
        (
            "<Reject reason='bored'/>",
            "line 2, column 9: reason is \"bored\", allowed is rejected or busy; rejected is taken",
        ),
        (
            "<Play digits='12x'>y</Play>",
            "line 2, column 7: digits is \"12x\", allowed is 1 to 64 of 0-9 A-D * # w; nothing is taken",
        ),
        ("<Play/>", "line 2, column 1: <Play> names neither a URL nor digits and is passed over"),
        ("  hello", "line 1, column 11: text \"hello\" directly in <Response> is passed over"),
        (
            "<Say>a<break/>b</Say>",
            "line 2, column 7: <break> in <Say> has no effect; only its text is spoken",
        ),
        (
            "<Say voice='../etc'>a</Say>",
            "line 2, column 6: voice is \"../etc\", allowed is 1 to 64 of A-Z a-z 0-9 . _ -; man is taken",
        ),
    ] {
        let document = parse(format!("<Response>\n{inner}\n</Response>").as_bytes()).unwrap();
        let warnings: Vec<_> = document.warnings.iter().map(ToString::to_string).collect();
        assert_eq!(warnings, [message], "{inner}");
    }
}

#[test]
fn what_is_passed_over_leaves_the_rest() {
    let document = parse(b"<Response><Dance/><Say loop='x'>hi</Say></Response>").unwrap();
    assert_eq!(document.verbs, [Verb::Prompt(say("hi", Times::Count(1)))]);
    assert_eq!(document.warnings.len(), 2);
}

#[test]
fn warnings_are_bounded() {
    let document =
        parse(format!("<Response>{}</Response>", "<X/>".repeat(100)).as_bytes()).unwrap();
    assert_eq!(document.warnings.len(), bounds::WARNINGS_MAX + 1);
    assert_eq!(document.warnings.last().unwrap().message, "and 84 more warnings after this one");
}

#[test]
fn texts_and_addresses_are_bounded() {
    let text = "ü".repeat(bounds::SAY_MAX + 1);
    let document = parse(format!("<Response><Say>{text}</Say></Response>").as_bytes()).unwrap();
    assert_eq!(document.verbs, [Verb::Prompt(say(&text[2..], Times::Count(1)))]);
    assert_eq!(document.warnings.len(), 1);
    let url = "u".repeat(bounds::URL_MAX + 1);
    let verbs = format!("<Response><Redirect>{url}</Redirect><Gather action='{url}'/></Response>");
    let document = parse(verbs.as_bytes()).unwrap();
    assert!(matches!(&document.verbs[..], [Verb::Gather(Gather { action: None, .. })]));
    assert_eq!(document.warnings.len(), 2);
}

/// 12100, with its place.
#[track_caller]
fn refused(body: &[u8], message: &str) {
    let error = parse(body).unwrap_err().to_string();
    assert!(error.contains(message), "{error}");
}

#[test]
fn what_is_no_document_is_refused() {
    refused(b"", "not well-formed XML");
    refused(b"hello", "not well-formed XML");
    refused(b"<Response><Say>hi</Response>", "1:18");
    refused(b"<Response/><Response/>", "not well-formed XML");
    refused(b"\n <Reply/>", "line 2, column 2: the root element is <Reply>, expected <Response>");
    refused(b"<Response>\xff</Response>", "byte 10 is not UTF-8");
}

/// RELIABILITY "Bad input": DTDs refused, at most 64 KiB, depth 32, 64 attributes.
#[test]
fn declarations_are_refused() {
    let laughs = r#"<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "ha">]><Response>&a;</Response>"#;
    refused(laughs.as_bytes(), "line 1, column 22: found a document type or other declaration");
    refused(br#"<!DOCTYPE r SYSTEM "file:///etc/passwd"><Response/>"#, "line 1, column 1");
    refused(b"<Response>&a;</Response>", "not well-formed XML");
    assert!(
        parse(b"<Response><Say><![CDATA[<!DOCTYPE]]></Say><!-- <!DOCTYPE --></Response>").is_ok()
    );
}

#[test]
fn size_is_bounded() {
    let padded = |size: usize| {
        let mut body = b"<Response/>".to_vec();
        body.resize(size, b' ');
        body
    };
    assert!(parse(&padded(bounds::BYTES_MAX)).is_ok());
    assert_eq!(
        parse(&padded(bounds::BYTES_MAX + 1)),
        Err(ParseError::TooLarge(bounds::BYTES_MAX + 1))
    );
}

#[test]
fn depth_is_bounded() {
    let nested = |depth: usize| {
        let (open, close) = ("<a>".repeat(depth - 1), "</a>".repeat(depth - 1));
        format!("<Response>{open}{close}</Response>")
    };
    assert!(parse(nested(bounds::DEPTH_MAX).as_bytes()).is_ok());
    assert!(matches!(parse(nested(bounds::DEPTH_MAX + 1).as_bytes()), Err(ParseError::TooDeep(_))));
    let open = "<a>".repeat(20_000);
    assert!(matches!(parse(open.as_bytes()), Err(ParseError::TooDeep(_))));
}

#[test]
fn attributes_are_bounded() {
    let with = |count: usize| {
        let attributes = (0..count).fold(String::new(), |mut text, n| {
            let _ = write!(text, " a{n}='>'");
            text
        });
        format!("<Response><Say{attributes}>x</Say></Response>")
    };
    assert!(parse(with(bounds::ATTRIBUTES_MAX).as_bytes()).is_ok());
    assert!(matches!(
        parse(with(bounds::ATTRIBUTES_MAX + 1).as_bytes()),
        Err(ParseError::TooManyAttributes(_))
    ));
}

/// Without this bound, 64 KiB of nested declarations keep the XML parser busy for seconds.
#[test]
fn namespaces_are_bounded() {
    let with = |count: usize| {
        let declared = (0..count).fold(String::new(), |mut text, n| {
            let _ = write!(text, "<x xmlns:a{n}='xmlns xmlns'/>");
            text
        });
        format!("<Response>{declared}</Response>")
    };
    assert!(parse(with(bounds::NAMESPACES_MAX).as_bytes()).is_ok());
    assert!(matches!(
        parse(with(bounds::NAMESPACES_MAX + 1).as_bytes()),
        Err(ParseError::TooManyNamespaces(_))
    ));
}

#[test]
fn verbs_are_bounded() {
    let with = |count: usize| format!("<Response>{}</Response>", "<Pause/>".repeat(count));
    assert_eq!(parse(with(bounds::VERBS_MAX).as_bytes()).unwrap().verbs.len(), bounds::VERBS_MAX);
    assert!(matches!(
        parse(with(bounds::VERBS_MAX + 1).as_bytes()),
        Err(ParseError::TooManyVerbs(_))
    ));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(body: Vec<u8>) {
        let _ = parse(&body);
    }

    #[test]
    fn no_markup_makes_it_panic_and_all_that_passes_is_bounded(
        pieces in prop::collection::vec(
            "(<(Say|Play|Gather|Pause|Redirect|Reject|Hangup|X|!--|!\\[CDATA\\[|\\?|/Say|/Gather|/Play)|( (loop|timeout|length|digits|numDigits|finishOnKey|action|method|xmlns|xml:a)=['\"][ -~]{0,6}['\"])|/?>|-->|\\]\\]>|\\?>|&[a-z#0-9]{0,6};|[ -~é]{0,8})",
            0..40,
        )
    ) {
        for body in [pieces.concat(), format!("<Response>{}</Response>", pieces.concat())] {
            if let Ok(document) = parse(body.as_bytes()) {
                prop_assert!(document.verbs.len() <= bounds::VERBS_MAX);
                prop_assert!(document.warnings.len() <= bounds::WARNINGS_MAX + 1);
            }
        }
    }
}
