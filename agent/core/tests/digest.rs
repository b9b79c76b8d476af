//! Digest authentication against the examples of the RFCs, and against itself.

use busyhour_agent_core::digest::{Challenge, Client, Credentials, Denied, DigestError, Server};
use busyhour_base::{Span, Timestamp};
use proptest::prelude::*;

const NOW: Timestamp = Timestamp(1_773_144_000_000_000);
const HOUR: Span = Span::from_secs(3_600);

fn credentials(username: &str, password: &str) -> Credentials {
    Credentials { username: username.to_owned(), password: password.to_owned() }
}

fn field<'a>(header: &'a str, name: &str) -> &'a str {
    let start = header.find(&format!("{name}=")).unwrap_or_else(|| panic!("no {name} in {header}"));
    let value = &header[start + name.len() + 1..];
    match value.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next().unwrap(),
        None => value.split(',').next().unwrap(),
    }
}

/// RFC 7616 section 3.9.1 (both algorithms), RFC 2617 section 3.5, and RFC 2069 section 2.4 as corrected by its
/// erratum 749.
#[test]
fn the_examples_of_the_rfcs_come_out() {
    const NONCE: &str = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v";
    const CNONCE: &str = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
    let rfc7616 = |algorithm: &str| {
        format!(
            "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", algorithm={algorithm}, \
             nonce=\"{NONCE}\", opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""
        )
    };
    let rfc2617 = "Digest realm=\"testrealm@host.com\",qop=\"auth,auth-int\",\
        nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\",opaque=\"5ccc069c403ebaf9f0171e9517f40e41\"";
    let rfc2069 =
        "Digest realm=\"testrealm@host.com\", nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\"";
    for (challenge, password, cnonce, response) in [
        (
            rfc7616("SHA-256"),
            "Circle of Life",
            CNONCE,
            "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
        ),
        (rfc7616("MD5"), "Circle of Life", CNONCE, "8ca523f5e9506fed4657c9700eebdbec"),
        (rfc2617.to_owned(), "Circle Of Life", "0a4f113b", "6629fae49393a05397450978507c4ef1"),
        (rfc2069.to_owned(), "CircleOfLife", "unused", "1949323746fe6a43ef61f9606e7febea"),
    ] {
        let mut client = Client::new(Challenge::parse(&challenge).unwrap());
        let header =
            client.authorize(&credentials("Mufasa", password), "GET", "/dir/index.html", cnonce);
        assert_eq!(field(&header, "response"), response, "{challenge}");
        assert_eq!(header.contains("cnonce"), challenge.contains("qop"));
        assert_eq!(header.contains("opaque"), challenge.contains("opaque"));
    }
}

#[test]
fn the_count_has_eight_hex_digits_beyond_nine() {
    let challenge = Challenge::parse("Digest realm=\"r\", nonce=\"n\", qop=\"auth\"").unwrap();
    let mut client = Client::new(challenge);
    let counts: Vec<_> = (0..17)
        .map(|_| {
            field(&client.authorize(&credentials("u", "p"), "INVITE", "sip:x", "c"), "nc")
                .to_owned()
        })
        .collect();
    assert_eq!(counts[0], "00000001");
    assert_eq!(counts[9], "0000000a");
    assert_eq!(counts[16], "00000011");
}

/// RFC 8760: the topmost that is known.
#[test]
fn the_first_known_challenge_is_answered() {
    let headers = [
        "Digest realm=\"a\", nonce=\"1\", algorithm=SHA-512-256, qop=\"auth\"",
        "Basic realm=\"b\"",
        "Digest realm=\"c\", nonce=\"2\", qop=\"auth-int\"",
        "Digest realm=\"d\", nonce=\"3\", algorithm=sha-256, qop=\"auth\", stale=TRUE",
        "Digest realm=\"e\", nonce=\"4\", algorithm=MD5",
    ];
    let challenge = Challenge::choose(headers).unwrap();
    assert_eq!(challenge.realm(), "d");
    assert!(challenge.is_stale());
    assert_eq!(Challenge::choose(headers[..2].iter().copied()), Err(DigestError::Scheme));
    assert_eq!(Challenge::choose([]), Err(DigestError::NoChallenge));
}

#[test]
fn errors_name_what_is_wrong() {
    for (header, message) in [
        ("Basic x", "the scheme is not Digest"),
        ("Digestive realm=x", "the scheme is not Digest"),
        ("Digest realm=\"r\"", "nonce is missing"),
        ("Digest realm=\"r\", realm=\"r\", nonce=\"n\"", "realm stands there twice"),
        (
            "Digest realm=\"r",
            "malformed at byte 7: expected a list of name=value or name=\"value\"",
        ),
        (
            "Digest realm=\"r\" nonce=\"n\"",
            "malformed at byte 7: expected a list of name=value or name=\"value\"",
        ),
        (
            "Digest realm=\"r\", nonce=\"n\", algorithm=MD5-sess",
            "the algorithm is \"MD5-sess\", allowed are MD5 and SHA-256",
        ),
        (
            "Digest realm=\"r\", nonce=\"n\", qop=\"auth-int\"",
            "the qop is \"auth-int\", allowed is auth",
        ),
    ] {
        assert_eq!(Challenge::parse(header).unwrap_err().to_string(), message, "{header}");
    }
}

fn server() -> Server {
    Server::new("trunk.example", [7; 32], HOUR)
}

fn answered(server: &Server, which: usize, password: &str) -> String {
    let challenges = server.challenges(NOW, false);
    let mut client = Client::new(Challenge::parse(&challenges[which]).unwrap());
    client.authorize(&credentials("al\"ice", password), "INVITE", "sip:+1@trunk.example", "abc")
}

fn verify(server: &Server, now: Timestamp, header: &str) -> Result<String, Denied> {
    let password_of = |user: &str| (user == "al\"ice").then(|| "right".to_owned());
    let verified = server.verify(now, header, "INVITE", "sip:+1@trunk.example", password_of)?;
    assert_eq!(verified.count.1, 1);
    Ok(verified.username)
}

#[test]
fn both_sides_understand_each_other() {
    for which in [0, 1] {
        let header = answered(&server(), which, "right");
        assert_eq!(verify(&server(), NOW + HOUR, &header).as_deref(), Ok("al\"ice"));
        assert_eq!(
            verify(&server(), NOW, &answered(&server(), which, "wrong")),
            Err(Denied::Wrong)
        );
    }
}

#[test]
fn a_nonce_lasts_its_lifetime_and_for_its_server_only() {
    let header = answered(&server(), 0, "right");
    assert_eq!(verify(&server(), NOW + HOUR + Span::from_secs(1), &header), Err(Denied::Stale));
    assert_eq!(verify(&server(), NOW - Span::from_secs(1), &header), Err(Denied::Foreign));
    let other = Server::new("trunk.example", [8; 32], HOUR);
    assert_eq!(verify(&other, NOW, &header), Err(Denied::Foreign));
    let stale_but_wrong = answered(&server(), 0, "wrong");
    assert_eq!(verify(&server(), NOW + HOUR + HOUR, &stale_but_wrong), Err(Denied::Wrong));
}

#[test]
fn an_answer_is_good_for_its_request_only() {
    let header = answered(&server(), 0, "right");
    let right = |_: &str| Some("right".to_owned());
    let uri = "sip:+1@trunk.example";
    assert!(server().verify(NOW, &header, "INVITE", uri, right).is_ok());
    assert_eq!(server().verify(NOW, &header, "BYE", uri, right), Err(Denied::Wrong));
    assert_eq!(
        server().verify(NOW, &header, "INVITE", "sip:+2@trunk.example", right),
        Err(Denied::Foreign)
    );
    assert_eq!(server().verify(NOW, &header, "INVITE", uri, |_| None), Err(Denied::Wrong));
    for (from, to) in [("nc=00000001", "nc=1"), ("qop=auth", "qop=auth-int"), ("SHA-256", "SHA-1")]
    {
        let header = header.replace(from, to);
        assert!(
            matches!(server().verify(NOW, &header, "INVITE", uri, right), Err(Denied::Header(_))),
            "{to}"
        );
    }
}

#[test]
fn nothing_secret_is_shown_and_no_header_can_be_forged() {
    assert_eq!(format!("{:?}", credentials("u", "p")), "Credentials(..)");
    assert!(!format!("{:?}", server()).contains('7'));
    let mut client = Client::new(Challenge::parse("Digest realm=\"r\", nonce=\"n\"").unwrap());
    let header = client.authorize(&credentials("a\r\nVia: x", "p"), "INVITE", "sip:x\r\n", "c");
    assert!(!header.contains(['\r', '\n']));
    assert!(Challenge::parse("Digest realm=\"a\r\nb\", nonce=\"n\"").is_err());
}

proptest! {
    #[test]
    fn no_header_makes_it_panic(header in "(Digest )?[ -~\\r\\n\"\\\\é=,]{0,80}") {
        let _ = Challenge::parse(&header);
        let _ = server().verify(NOW, &header, "INVITE", "sip:x", |_| Some(String::new()));
    }

    #[test]
    fn any_password_works_and_no_other(password in ".{0,20}", other in ".{0,20}") {
        let header = answered(&server(), 1, &password);
        let uri = "sip:+1@trunk.example";
        let verified = |with: &str| server().verify(NOW, &header, "INVITE", uri, |_| Some(with.to_owned())).is_ok();
        prop_assert!(verified(&password));
        prop_assert_eq!(verified(&other), password == other);
    }
}
