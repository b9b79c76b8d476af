//! SP-3, WIRE: signatures that the official validators accept. The vectors were made by `RequestValidator` of the
//! field's Python SDK 9 and agree with `getExpectedTwilioSignature` of its Node SDK 6; the dated ones by Python's
//! `hmac`.

use busyhour_agent_core::{
    leg::Request,
    webhook::{
        Outgoing,
        sign::{self, Key},
    },
};
use busyhour_base::{Method, Timestamp};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";
const NOW: Timestamp = Timestamp(1_773_144_000_999_999);

fn key() -> Key {
    Key::new(TOKEN.to_owned())
}

fn request(method: Method, url: &str, params: &[(&str, &str)]) -> Request {
    let params =
        params.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    Request { url: url.to_owned(), method, params }
}

fn sent(request: &Request) -> Outgoing {
    Outgoing::new(request, &key(), NOW).unwrap()
}

const PARAMS: &[(&str, &str)] = &[
    ("To", "+15550100"),
    ("CallSid", "CA000000000000000000000000000000ca"),
    ("Digits", "1#"),
    ("from", "lower case sorts last"),
    ("Name", "Zoë & 日本=?"),
    ("Empty", ""),
];

#[test]
fn posts_are_signed_over_url_and_sorted_parameters() {
    for (url, sent_to, signature) in [
        ("https://app.example/x", "https://app.example/x", "X2Wd4io0QWV/QKRSlCn6z52vMtI="),
        ("https://app.example:443/x", "https://app.example/x", "X2Wd4io0QWV/QKRSlCn6z52vMtI="),
        (
            "https://app.example:8443/x?a=1&b=%20",
            "https://app.example:8443/x?a=1&b=%20",
            "n9NXb6/Oa1biMalgob8qAOu4nAE=",
        ),
        (
            "http://127.0.0.1:9000/first.xml#frag",
            "http://127.0.0.1:9000/first.xml",
            "wBlsGj2/ehQGQmnOLYNeWulv8Xc=",
        ),
        ("http://app.example", "http://app.example/", "ua6LEPy5JACvtdw4y0cEQslMQx8="),
    ] {
        let sent = sent(&request(Method::Post, url, PARAMS));
        assert_eq!(sent.url, sent_to);
        assert_eq!(sent.signature, signature, "{url}");
        assert_eq!(sent.content_type, Some("application/x-www-form-urlencoded"));
    }
}

#[test]
fn forms_are_encoded_as_html_says() {
    let sent = sent(&request(Method::Post, "http://a/", PARAMS));
    assert_eq!(
        String::from_utf8(sent.body).unwrap(),
        "To=%2B15550100&CallSid=CA000000000000000000000000000000ca&Digits=1%23&from=lower+case+sorts+last\
         &Name=Zo%C3%AB+%26+%E6%97%A5%E6%9C%AC%3D%3F&Empty="
    );
}

#[test]
fn repeated_values_are_signed_once_and_in_order() {
    let twice = [("k", "b"), ("k", "a"), ("k", "b"), ("a", "z")];
    assert_eq!(
        sent(&request(Method::Post, "https://app.example/x", &twice)).signature,
        "w6e4til48sr8ZVWmMUODvgD8t20="
    );
}

#[test]
fn gets_carry_their_parameters_in_the_query_and_sign_the_url() {
    let sent = sent(&request(Method::Get, "https://app.example/x?y=1#part", PARAMS));
    assert_eq!(
        sent.url,
        "https://app.example/x?y=1&To=%2B15550100&CallSid=CA000000000000000000000000000000ca&Digits=1%23&from=lower+case+sorts+last&Name=Zo%C3%AB+%26+%E6%97%A5%E6%9C%AC%3D%3F&Empty="
    );
    assert_eq!(sent.signature, "eOpKu7SNwGZvfcMlL14hfN2IARM=");
    assert_eq!((sent.content_type, sent.body.len()), (None, 0));
}

#[test]
fn json_is_signed_by_the_hash_of_its_body() {
    let body = br#"{"batch":"BT1","state":"completed"}"#.to_vec();
    let sent = Outgoing::json("https://app.example/x?y=1", body, &key(), NOW).unwrap();
    assert_eq!(
        sent.url,
        "https://app.example/x?y=1&bodySHA256=e280dedd6d03571a022fa3cf3792629d598fd8725d776e3fca2cfccf9e4a3150"
    );
    assert_eq!(sent.signature, "NXHkH5ZZpJeaRzzamS1+Y7itRs0=");
    assert_eq!(sent.content_type, Some("application/json"));
}

#[test]
fn credentials_are_sent_on_but_not_signed() {
    let with = sent(&request(Method::Post, "https://me:secret@app.example/x", PARAMS));
    let without = sent(&request(Method::Post, "https://app.example/x", PARAMS));
    assert_eq!(with.url, "https://me:secret@app.example/x");
    assert_eq!(with.signature, without.signature);
}

/// The field's signature can be replayed for ever; the one beside it says when it was made.
#[test]
fn the_dated_signature_binds_the_time() {
    let sent = sent(&request(Method::Post, "https://app.example/x", PARAMS));
    assert_eq!(
        sent.dated_signature,
        "t=1773144000,v1=3645d42813d59918bf47f7ff5d3d3ac357907c6a219a9f628abac6cb38e49383"
    );
    let later = key().dated_signature("text", Timestamp(NOW.0 + 1_000_000));
    assert_ne!(later, key().dated_signature("text", NOW));
    assert_eq!(sign::DATED_SIGNATURE, "X-Busyhour-Signature");
}

#[test]
fn the_key_is_never_shown() {
    assert_eq!(format!("{:?}", key()), "Key(..)");
}

#[test]
fn what_is_no_url_is_an_error() {
    assert!(Outgoing::new(&request(Method::Post, "/relative", &[]), &key(), NOW).is_err());
}
