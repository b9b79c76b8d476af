//! Offer and answer, as RFC 3264 and RFC 4317 have them.

use busyhour_agent_core::{
    media::g711::Law,
    sdp::{Direction, Local, SdpError},
};
use proptest::prelude::*;

fn local(laws: &[Law]) -> Local {
    Local { address: [192, 0, 2, 1].into(), port: 4_000, laws: laws.to_vec(), session: 42 }
}

fn both() -> Local {
    local(&[Law::Mu, Law::A])
}

fn description(lines: &[&str]) -> Vec<u8> {
    let head = ["v=0", "o=- 1 1 IN IP4 192.0.2.9", "s=-", "c=IN IP4 192.0.2.9", "t=0 0"];
    let lines = head.iter().chain(lines);
    lines.flat_map(|line| [line.as_bytes(), b"\r\n"].concat()).collect()
}

#[test]
fn the_offer_is_written_out() {
    assert_eq!(
        both().offer(),
        "v=0\r\no=- 42 42 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n\
         m=audio 4000 RTP/AVP 0 8 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n\
         a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\na=sendrecv\r\n"
    );
}

#[test]
fn both_sides_of_an_exchange_agree() {
    for (laws, chosen) in [(&[Law::Mu, Law::A][..], Law::A), (&[Law::A][..], Law::A)] {
        let (caller, called) = (local(&[Law::A, Law::Mu]), Local { port: 5_000, ..local(laws) });
        let (answer, theirs) = called.answer(caller.offer().as_bytes()).unwrap();
        let ours = caller.accept(answer.as_bytes()).unwrap();
        assert_eq!((ours.law, theirs.law), (chosen, chosen));
        assert_eq!(ours.remote, "192.0.2.1:5000".parse().unwrap());
        assert_eq!(theirs.remote, "192.0.2.1:4000".parse().unwrap());
        assert_eq!((ours.keys_out, ours.keys_in), (Some(101), Some(101)));
        assert_eq!((theirs.keys_out, theirs.keys_in), (Some(101), Some(101)));
        assert_eq!((ours.direction, theirs.direction), Default::default());
    }
}

/// sipp's own descriptions name only static types.
#[test]
fn static_payload_types_need_no_map() {
    let agreed = both().accept(&description(&["m=audio 6000 RTP/AVP 8 0"])).unwrap();
    assert_eq!((agreed.law, agreed.payload_type, agreed.keys_out), (Law::A, 8, None));
    assert_eq!(agreed.packet_ms, 20);
}

#[test]
fn the_far_ends_numbers_are_used_for_sending() {
    let answer = description(&[
        "m=audio 6000 RTP/AVP 18 96 97",
        "c=IN IP4 198.51.100.7",
        "a=rtpmap:96 pcma/8000/1",
        "a=rtpmap:97 Telephone-Event/8000",
        "a=ptime:30",
    ]);
    let agreed = both().accept(&answer).unwrap();
    assert_eq!((agreed.law, agreed.payload_type), (Law::A, 96));
    assert_eq!((agreed.keys_out, agreed.keys_in), (Some(97), Some(101)));
    assert_eq!(
        agreed.remote,
        "198.51.100.7:6000".parse().unwrap(),
        "its own address before the session's"
    );
    assert_eq!(agreed.packet_ms, 30);
}

#[test]
fn directions_are_mirrored() {
    for (theirs, ours, written) in [
        ("a=sendrecv", Direction::SendReceive, "a=sendrecv"),
        ("a=sendonly", Direction::ReceiveOnly, "a=recvonly"),
        ("a=recvonly", Direction::SendOnly, "a=sendonly"),
        ("a=inactive", Direction::Inactive, "a=inactive"),
        ("c=IN IP4 0.0.0.0", Direction::ReceiveOnly, "a=recvonly"),
    ] {
        let (answer, agreed) =
            both().answer(&description(&["m=audio 6000 RTP/AVP 0", theirs])).unwrap();
        assert_eq!(agreed.direction, ours, "{theirs}");
        assert!(answer.contains(written), "{theirs}: {answer}");
    }
    let (_, agreed) =
        both().answer(&description(&["a=inactive", "m=audio 6000 RTP/AVP 0"])).unwrap();
    assert_eq!(agreed.direction, Direction::Inactive, "the session's own");
}

#[test]
fn streams_that_are_not_served_are_switched_off_in_their_places() {
    let offer = description(&[
        "m=video 7000 RTP/AVP 31",
        "m=audio 0 RTP/AVP 0",
        "m=audio 7002 RTP/SAVP 0",
        "m=audio 7004 RTP/AVP 9",
        "m=audio 7006 RTP/AVP 9 8",
        "m=audio 7008 RTP/AVP 0",
    ]);
    let (answer, agreed) = both().answer(&offer).unwrap();
    assert_eq!((agreed.law, agreed.remote.port()), (Law::A, 7_006));
    let streams: Vec<_> = answer.lines().filter(|line| line.starts_with("m=")).collect();
    assert_eq!(
        streams,
        [
            "m=video 0 RTP/AVP 31",
            "m=audio 0 RTP/AVP 0",
            "m=audio 0 RTP/SAVP 0",
            "m=audio 0 RTP/AVP 9",
            "m=audio 4000 RTP/AVP 8",
            "m=audio 0 RTP/AVP 0",
        ]
    );
}

#[test]
fn refusals_say_what_was_found_and_what_is_allowed() {
    for (lines, message) in [
        (&["m=audio 0 RTP/AVP 0"][..], "there is no audio stream (m=audio with a port above 0)"),
        (&["m=video 9 RTP/AVP 0"], "there is no audio stream (m=audio with a port above 0)"),
        (&["m=audio 9 RTP/SAVP 0"], r#"the transport is "RTP/SAVP", allowed is RTP/AVP"#),
        (
            &["m=audio 9 RTP/AVP 9 18"],
            r#"the formats are "9 18", none of them G.711 as we speak it"#,
        ),
        (
            &["m=audio 9 RTP/AVP 0", "c=IN IP4 media.example"],
            r#"the address is "media.example", allowed is one unicast IP address"#,
        ),
        (
            &["m=audio 9 RTP/AVP 0", "c=IN IP4 239.1.1.1"],
            r#"the address is "239.1.1.1", allowed is one unicast IP address"#,
        ),
        (&[], "the answer has 0 streams, the offer had 1"),
    ] {
        assert_eq!(both().accept(&description(lines)).unwrap_err().to_string(), message);
    }
    let offered_by_mu_only = local(&[Law::Mu]);
    let error = offered_by_mu_only.accept(&description(&["m=audio 9 RTP/AVP 8"]));
    assert!(matches!(error, Err(SdpError::NoCodec(_))), "an answer beyond the offer");
    assert!(matches!(both().accept(b"hello"), Err(SdpError::Malformed(_))));
    assert!(matches!(both().accept(&[b'v'; 20_000]), Err(SdpError::TooLarge(20_000))));
}

proptest! {
    #[test]
    fn no_description_makes_it_panic(text: Vec<u8>) {
        let _ = both().accept(&text);
        let _ = both().answer(&text);
    }

    #[test]
    fn no_lines_make_it_panic_and_answers_can_be_read_back(
        lines in prop::collection::vec("(m=audio [0-9]{1,5} RTP/AVP [0-9 ]{0,9}|a=[a-z]{4,8}(:[ -~]{0,12})?|c=IN IP[46] [0-9.:]{3,12}|[a-z]=[ -~]{0,20})", 0..12)
    ) {
        let lines: Vec<_> = lines.iter().map(String::as_str).collect();
        if let Ok((answer, _)) = both().answer(&description(&lines)) {
            prop_assert!(answer.lines().filter(|line| *line == "m=audio 4000 RTP/AVP 0"
                || line.starts_with("m=audio 4000 RTP/AVP ")).count() == 1);
            prop_assert!(!matches!(both().accept(answer.as_bytes()), Err(SdpError::Malformed(_))));
        }
    }
}
