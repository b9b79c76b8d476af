//! The machine under a scripted caller in virtual time.

use std::{net::SocketAddr, sync::Arc};

use busyhour_base::{Span, Timestamp};
use proptest::prelude::*;

use super::{Output, Settings, Uas};
use crate::{
    Contract,
    account::{EndedBy, Heard, Outcome, Record},
    media::{Event, Order},
    plan::{Conclusion, HangUp, Plan, Script, Talk},
};

const CALLER: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 7000);

/// The machine, its clock, what it sent and a media side that closes at once.
struct World {
    uas: Uas,
    now: Timestamp,
    sent: Vec<String>,
    orders: Vec<Order>,
}

impl World {
    fn new(plan: impl Script + 'static) -> Self {
        Self::with_contract(plan, 4, 1_000)
    }

    fn with_contract(plan: impl Script + 'static, channels: u32, calls_per_second: u32) -> Self {
        let rtp =
            (0..channels as u16 + 4).map(|n| SocketAddr::from(([127, 0, 0, 1], 9000 + 2 * n)));
        let uas = Uas::new(Settings {
            sip: SocketAddr::from(([127, 0, 0, 1], 5060)),
            rtp: rtp.collect(),
            contract: Contract { channels, calls_per_second },
            credentials: None,
            script: Arc::new(plan),
            seed: 1,
            ring_limit: Span::from_secs(180),
            max_records: 1_000,
            max_calls: 16,
        });
        Self { uas, now: Timestamp(1_000_000), sent: Vec::new(), orders: Vec::new() }
    }

    fn drain(&mut self) {
        while let Some(output) = self.uas.poll() {
            match output {
                Output::Send { datagram, .. } => {
                    let text = String::from_utf8(datagram.to_vec()).expect("SIP is text");
                    self.sent.push(text);
                }
                Output::Media(order) => {
                    if let Order::Close { slot } = order {
                        self.uas.heard(self.now, Event::Closed { slot, heard: Heard::default() });
                    }
                    self.orders.push(order);
                }
            }
        }
    }

    fn send(&mut self, datagram: &[u8]) {
        self.uas.handle(self.now, CALLER, datagram);
        self.drain();
    }

    /// Lets time pass, stopping wherever the machine wants to be woken.
    fn pass(&mut self, span: Span) {
        let until = self.now + span;
        while let Some(wake) = self.uas.wake().filter(|wake| *wake <= until) {
            self.now = self.now.max(wake);
            self.uas.tick(self.now);
            self.drain();
            assert_ne!(self.uas.wake(), Some(wake), "the machine asks for the same instant again");
        }
        self.now = until;
    }

    /// What was sent since the last time, by first line.
    fn said(&mut self) -> Vec<String> {
        let first = |text: String| text.lines().next().unwrap_or_default().to_owned();
        self.sent.drain(..).map(first).collect()
    }

    fn statuses(&mut self) -> Vec<u16> {
        let status = |line: String| line.split(' ').nth(1)?.parse().ok();
        self.said().into_iter().filter_map(status).collect()
    }

    fn record(&self) -> Record {
        self.uas.account(self.now, true).calls.last().cloned().expect("a call")
    }

    /// Our tag, from the last response that has one.
    fn tag(&self) -> String {
        let to = |text: &String| {
            let line = text.lines().find(|line| line.starts_with("To: "))?;
            line.split_once(";tag=").map(|(_, tag)| tag.to_owned())
        };
        self.sent.iter().rev().find_map(to).expect("a tag")
    }
}

const SDP: &str = "v=0\r\no=a 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8 101\r\na=rtpmap:101 telephone-event/8000\r\n";

fn message(
    method: &str,
    call: u32,
    cseq: u32,
    branch: &str,
    to_tag: &str,
    more: &str,
    body: &str,
) -> Vec<u8> {
    let number = cseq;
    let tag = if to_tag.is_empty() { String::new() } else { format!(";tag={to_tag}") };
    let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
    format!(
        "{method} sip:+1555{call:04}@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:7000;branch={branch}\r\n\
         From: <sip:+1@127.0.0.1>;tag=f{call}\r\nTo: <sip:+1555{call:04}@127.0.0.1>{tag}\r\nCall-ID: c{call}\r\n\
         CSeq: {number} {method}\r\nContact: <sip:caller@127.0.0.1:7000>\r\n{more}{kind}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

fn invite(call: u32) -> Vec<u8> {
    message("INVITE", call, 1, &format!("z9hG4bK{call}"), "", "", SDP)
}

fn in_dialog(method: &str, call: u32, cseq: u32, tag: &str) -> Vec<u8> {
    message(method, call, cseq, &format!("z9hG4bK{method}{call}{cseq}"), tag, "", "")
}

fn answer(talk: Talk) -> Plan {
    let conclusion = Conclusion::Answer { after: Span::from_secs(2), talk };
    Plan { ring_after: Some(Span::from_secs(1)), conclusion }
}

/// A world in which call 1 is answered and acknowledged; its tag.
fn talking(talk: Talk) -> (World, String) {
    let mut world = World::new(move |_: &str| answer(talk.clone()));
    world.send(&invite(1));
    world.pass(Span::from_secs(2));
    let tag = world.tag();
    assert_eq!(world.statuses(), [100, 180, 200]);
    world.send(&in_dialog("ACK", 1, 1, &tag));
    (world, tag)
}

/// RFC 3261 13.3.1.4: 200 is repeated until the ACK; without one the call is ended by BYE.
#[test]
fn an_unacknowledged_answer_is_repeated_and_then_taken_back() {
    let mut world = World::new(|_: &str| answer(Talk::default()));
    world.send(&invite(1));
    world.pass(Span::from_secs(2));
    assert_eq!(world.statuses(), [100, 180, 200]);
    world.pass(Span::from_millis(31_900));
    assert_eq!(world.statuses(), [200; 10]);
    world.pass(Span::from_millis(200));
    assert!(world.said()[0].starts_with("BYE sip:caller@127.0.0.1:7000 "));
    assert_eq!(world.record().ended_by, Some(EndedBy::NoAck));
    world.pass(Span::from_secs(64));
    assert_eq!(world.uas.wake(), None, "everything is forgotten in the end");
    assert!(world.uas.calls.is_empty() && world.uas.dialogs.is_empty());
}

#[test]
fn a_retransmitted_invite_gets_the_last_response_again() {
    let mut world = World::new(|_: &str| answer(Talk::default()));
    let mut heard = Vec::new();
    for wait_ms in [0, 500, 1_000, 600] {
        world.pass(Span::from_millis(wait_ms));
        world.sent.clear();
        world.send(&invite(1));
        heard.extend(world.statuses());
    }
    assert_eq!(heard, [100, 100, 180, 200]);
    let account = world.uas.account(world.now, true);
    assert_eq!((account.totals.calls, account.duplicates.call_ids), (1, 0));
}

#[test]
fn a_refusal_is_repeated_until_acknowledged() {
    let refuse = |_: &str| Plan {
        ring_after: None,
        conclusion: Conclusion::Refuse { after: Span::from_secs(1), status: 486 },
    };
    let mut world = World::new(refuse);
    world.send(&invite(1));
    world.pass(Span::from_millis(1_600));
    let tag = world.tag();
    assert_eq!(world.statuses(), [100, 486, 486]);
    world.send(&message("ACK", 1, 1, "z9hG4bK1", &tag, "", ""));
    world.pass(Span::from_secs(60));
    assert_eq!(world.statuses(), [0; 0]);
    assert_eq!(world.uas.wake(), None);
    assert_eq!(world.record().outcome, Outcome::Refused);
}

#[test]
fn cancel_ends_a_ringing_call_and_only_that() {
    let mut world = World::new(|_: &str| answer(Talk::default()));
    world.send(&invite(1));
    world.pass(Span::from_millis(1_500));
    world.sent.clear();
    let cancel = message("CANCEL", 1, 1, "z9hG4bK1", "", "", "");
    world.send(&message("CANCEL", 1, 1, "z9hG4bKother", "", "", ""));
    assert_eq!(world.statuses(), [481]);
    world.send(&cancel);
    world.send(&cancel);
    assert_eq!(world.statuses(), [200, 487, 200]);
    assert_eq!(world.record().outcome, Outcome::Cancelled);
    assert_eq!(world.uas.account(world.now, false).channels.current, 0);
}

#[test]
fn a_late_cancel_does_not_undo_the_answer() {
    let (mut world, tag) = talking(Talk::default());
    world.send(&message("CANCEL", 1, 1, "z9hG4bK1", "", "", ""));
    assert_eq!(world.statuses(), [200]);
    assert_eq!(world.record().outcome, Outcome::Answered);
    world.send(&in_dialog("BYE", 1, 2, &tag));
    world.send(&in_dialog("BYE", 1, 2, &tag));
    assert_eq!(world.statuses(), [200, 200], "a lost response is given again");
    assert_eq!(world.record().ended_by, Some(EndedBy::Caller));
}

#[test]
fn lost_byes_are_not_answered_until_one_arrives() {
    let (mut world, tag) = talking(Talk { lose_byes: 2, ..Talk::default() });
    let mut heard = Vec::new();
    for _ in 0..3 {
        world.send(&in_dialog("BYE", 1, 2, &tag));
        heard.push(world.statuses().len());
    }
    assert_eq!(heard, [0, 0, 1]);
}

#[test]
fn the_called_party_hangs_up_and_repeats_it_until_heard() {
    let hang_up = HangUp { after: Span::from_secs(5), lost: false };
    let (mut world, _) = talking(Talk { hang_up: Some(hang_up), ..Talk::default() });
    world.pass(Span::from_millis(6_600));
    let byes = std::mem::take(&mut world.sent);
    assert_eq!(byes.len(), 3, "{byes:?}");
    assert!(byes.iter().all(|bye| bye.starts_with("BYE ") && *bye == byes[0]));
    assert!(byes[0].contains("\r\nFrom: <sip:+15550001@127.0.0.1>;tag="));
    assert!(byes[0].contains("\r\nTo: <sip:+1@127.0.0.1>;tag=f1\r\n"));
    let response = byes[0].replacen("BYE sip:caller@127.0.0.1:7000 SIP/2.0", "SIP/2.0 200 OK", 1);
    world.send(response.as_bytes());
    world.pass(Span::from_secs(60));
    assert!(world.said().is_empty());
    assert_eq!(world.record().ended_by, Some(EndedBy::Called));
    assert_eq!(world.uas.wake(), None);
}

/// The caller is never told: its own guards must find out, and its BYE then finds nothing.
#[test]
fn a_lost_hang_up_leaves_the_caller_alone() {
    let hang_up = HangUp { after: Span::from_secs(5), lost: true };
    let (mut world, tag) = talking(Talk { hang_up: Some(hang_up), ..Talk::default() });
    world.pass(Span::from_secs(40));
    assert!(world.said().is_empty());
    assert_eq!(world.record().ended_by, Some(EndedBy::Called));
    world.send(&in_dialog("BYE", 1, 2, &tag));
    assert_eq!(world.statuses(), [481]);
}

#[test]
fn a_session_that_is_not_refreshed_is_ended() {
    let mut world = World::new(|_: &str| answer(Talk::default()));
    let more = "Session-Expires: 90;refresher=uac\r\n";
    world.send(&message("INVITE", 1, 1, "z9hG4bK1", "", more, SDP));
    world.pass(Span::from_secs(2));
    assert!(world.sent[2].contains("\r\nSession-Expires: 90;refresher=uac\r\n"));
    let tag = world.tag();
    world.send(&in_dialog("ACK", 1, 1, &tag));
    world.pass(Span::from_secs(50));
    world.sent.clear();
    world.send(&in_dialog("UPDATE", 1, 2, &tag));
    assert_eq!(world.statuses(), [200]);
    world.pass(Span::from_secs(59));
    assert!(world.said().is_empty());
    world.pass(Span::from_secs(2));
    assert!(world.said()[0].starts_with("BYE "));
    assert_eq!(world.record().ended_by, Some(EndedBy::SessionExpired));
}

#[test]
fn a_call_without_audio_is_released() {
    let (mut world, _) = talking(Talk::default());
    let Some(Order::Open { call, .. }) = world.orders.first().cloned() else {
        panic!("media was opened: {:?}", world.orders);
    };
    world.uas.heard(world.now, Event::Inactive { call });
    world.drain();
    assert!(world.said()[0].starts_with("BYE "));
    assert_eq!(world.record().ended_by, Some(EndedBy::MediaLost));
}

#[test]
fn a_reinvite_moves_the_audio() {
    let (mut world, tag) = talking(Talk::default());
    let moved = SDP.replace("4000", "4002");
    let reinvite = message("INVITE", 1, 2, "z9hG4bKre", &tag, "", &moved);
    world.send(&reinvite);
    world.send(&reinvite);
    world.send(&in_dialog("ACK", 1, 2, &tag));
    world.pass(Span::from_secs(60));
    assert_eq!(world.statuses(), [200, 200]);
    let Some(Order::Retarget { stream, .. }) = world.orders.last() else {
        panic!("media was moved: {:?}", world.orders);
    };
    assert_eq!(stream.remote.port(), 4002);
    assert_eq!(world.uas.account(world.now, false).totals.calls, 1);
}

/// MT-12 and invariant 2 of the reliability rules: a second INVITE for a live call is seen, and does no harm.
#[test]
fn a_call_dialled_twice_is_seen() {
    let (mut world, tag) = talking(Talk::default());
    world.send(&message("INVITE", 1, 9, "z9hG4bKagain", "", "", SDP));
    assert_eq!(world.statuses(), [482]);
    world.send(&in_dialog("BYE", 1, 2, &tag));
    world.send(&message("INVITE", 1, 11, "z9hG4bKlater", "", "", SDP));
    let account = world.uas.account(world.now, true);
    assert_eq!((account.duplicates.call_ids, account.duplicates.numbers), (2, 1));
    assert_eq!(account.totals.calls, 2);
}

#[test]
fn a_carrier_that_is_away_says_nothing() {
    let away = |_: &str| Plan { ring_after: None, conclusion: Conclusion::Silence };
    let mut world = World::new(away);
    for _ in 0..3 {
        world.send(&invite(1));
        world.send(&message("CANCEL", 1, 1, "z9hG4bK1", "", "", ""));
    }
    world.pass(Span::from_secs(60));
    assert!(world.said().is_empty());
    assert_eq!(world.record().outcome, Outcome::Ignored);
    assert_eq!(world.uas.account(world.now, false).channels.peak, 0);
    assert_eq!(world.uas.wake(), None);
}

#[test]
fn other_requests_get_what_the_rfc_says() {
    let mut world = World::new(|_: &str| answer(Talk::default()));
    for (method, status) in [("OPTIONS", 200), ("REGISTER", 405), ("BYE", 481), ("CANCEL", 481)] {
        world.send(&message(method, 1, 1, "z9hG4bKx", "", "", ""));
        assert_eq!(world.statuses(), [status], "{method}");
    }
    world.send(&message("INVITE", 2, 1, "z9hG4bK2", "", "", &SDP.replace(" 8 ", " 9 ")));
    assert_eq!(world.statuses(), [100, 488]);
    world.send(&message("INVITE", 3, 1, "z9hG4bK3", "unknown", "", SDP));
    world.send(&in_dialog("ACK", 3, 1, "unknown"));
    assert_eq!(world.statuses(), [481]);
}

#[test]
fn another_dialogs_bye_ends_nothing() {
    let (mut world, _) = talking(Talk::default());
    world.send(&in_dialog("BYE", 1, 2, "guessed"));
    assert_eq!(world.statuses(), [481]);
    assert_eq!(world.record().ended_at_us, None);
}

#[test]
fn a_flood_is_bounded_and_passes() {
    let mut world = World::new(|_: &str| answer(Talk::default()));
    for call in 0..20 {
        world.send(&invite(call));
    }
    let account = world.uas.account(world.now, true);
    assert_eq!((account.totals.calls, account.ignored.overload), (16, 4));
    assert_eq!(account.totals.over_contract, 12);
    world.pass(Span::from_secs(120));
    world.sent.clear();
    world.send(&invite(30));
    assert_eq!(world.statuses(), [100]);
}

/// The torture test's spirit (RFC 4475): broken messages get no call, and a good one is served right after.
#[test]
fn junk_is_counted_and_survived() {
    let mut world = World::new(|_: &str| answer(Talk::default()));
    let good = String::from_utf8(invite(1)).expect("text");
    let broken = [
        good.replace("Content-Length: ", "Content-Length: 9"),
        good.replace("Content-Length: ", "Content-Length: -"),
        good.replace("CSeq: 1 INVITE", "CSeq: 36893488147419103232 INVITE"),
        good.replace("CSeq: 1 INVITE", "CSeq: 1 BYE"),
        good.replace(";tag=f1", ""),
        good.replace("Via: ", "X: "),
        good.replace("Call-ID: c1", "Call-ID: "),
        good.replace("From: ", "From: <sip:x@y>;tag=z\r\nFrom: "),
        good.replace("SIP/2.0\r\nVia", "SIP/7.0\r\nVia"),
        good.replace("INVITE sip", "INVITE  sip"),
        good.replace("\r\n\r\n", "\r\n"),
        "\u{7f}\u{1}".repeat(3_000),
    ];
    for text in &broken {
        world.send(text.as_bytes());
    }
    let account = world.uas.account(world.now, true);
    assert_eq!(account.totals.calls, 0, "{:?}", account.calls);
    assert_eq!(account.ignored.malformed, broken.len() as u64);
    world.send(b"\r\n\r\n");
    world.send(good.as_bytes());
    assert_eq!(world.statuses(), [100]);
}

/// What a random caller may do with a few calls.
#[derive(Clone, Debug)]
enum Step {
    Invite(u32),
    Ack(u32),
    Cancel(u32),
    Bye(u32),
    Reinvite(u32),
    Inactive(u64),
    Pass(u64),
    Junk(Vec<u8>),
    Mutated(u32, usize, u8),
}

fn step() -> impl Strategy<Value = Step> {
    let call = 0..12u32;
    prop_oneof![
        6 => call.clone().prop_map(Step::Invite),
        4 => call.clone().prop_map(Step::Ack),
        2 => call.clone().prop_map(Step::Cancel),
        3 => call.clone().prop_map(Step::Bye),
        1 => call.clone().prop_map(Step::Reinvite),
        1 => (0..12u64).prop_map(Step::Inactive),
        6 => (0..40_000u64).prop_map(Step::Pass),
        1 => proptest::collection::vec(any::<u8>(), 0..300).prop_map(Step::Junk),
        3 => (call, any::<usize>(), any::<u8>()).prop_map(|(call, at, byte)| Step::Mutated(call, at, byte)),
    ]
}

/// Numbers decide: some answer, some are busy, some ring, some lose things, some are away.
fn mixed(called: &str) -> Plan {
    let number: u64 = called.trim_start_matches("+1555").parse().unwrap_or_default();
    let kind = number % 6;
    let talk = Talk { lose_byes: kind as u8, ..Talk::default() };
    let after = Span::from_millis(kind * 700);
    let conclusion = match kind {
        0 => Conclusion::Refuse { after, status: 503 },
        1 => Conclusion::NoAnswer { crossing: None },
        2 => Conclusion::NoAnswer { crossing: Some(talk) },
        3 => Conclusion::Silence,
        4 => {
            let hang_up = Some(HangUp { after: Span::from_secs(4), lost: number >= 6 });
            Conclusion::Answer { after, talk: Talk { hang_up, ..talk } }
        }
        _ => Conclusion::Answer { after, talk },
    };
    Plan { ring_after: Some(Span::from_millis(300)), conclusion }
}

fn act(world: &mut World, step: &Step, tags: &[String]) {
    let tag = |call: u32| tags[call as usize].as_str();
    match step {
        Step::Invite(call) => world.send(&invite(*call)),
        Step::Ack(call) => world.send(&in_dialog("ACK", *call, 1, tag(*call))),
        Step::Cancel(call) => {
            world.send(&message("CANCEL", *call, 1, &format!("z9hG4bK{call}"), "", "", ""))
        }
        Step::Bye(call) => world.send(&in_dialog("BYE", *call, 3, tag(*call))),
        Step::Reinvite(call) => {
            world.send(&message("INVITE", *call, 2, "z9hG4bKre", tag(*call), "", SDP))
        }
        Step::Inactive(call) => {
            world.uas.heard(world.now, Event::Inactive { call: *call });
            world.drain();
        }
        Step::Pass(ms) => world.pass(Span::from_millis(*ms)),
        Step::Junk(bytes) => world.send(bytes),
        Step::Mutated(call, at, byte) => {
            let mut bytes = invite(*call);
            let at = at % bytes.len();
            bytes[at] = *byte;
            world.send(&bytes);
        }
    }
}

/// Takes note of the tags in what was sent.
fn learn(world: &mut World, tags: &mut [String]) {
    for text in world.sent.drain(..) {
        let line = |name: &str| text.lines().find(|line| line.starts_with(name));
        let call =
            line("Call-ID: c").and_then(|line| line["Call-ID: c".len()..].parse::<usize>().ok());
        let tag =
            line("To: ").and_then(|line| line.split_once(";tag=")).map(|(_, tag)| tag.to_owned());
        if let (Some(call), Some(tag)) = (call, tag)
            && let Some(known) = tags.get_mut(call)
        {
            *known = tag;
        }
    }
}

fn check_conservation(world: &World) -> Result<(), TestCaseError> {
    let account = world.uas.account(world.now, true);
    let totals = account.totals;
    let sum = totals.ringing
        + totals.answered
        + totals.refused
        + totals.cancelled
        + totals.over_contract
        + totals.ignored;
    prop_assert_eq!(totals.calls, sum, "every call is counted once");
    let live = account.calls.iter().filter(|call| call.ended_at_us.is_none()).count() as u64;
    prop_assert_eq!(account.channels.current, live, "a channel for every call that has not ended");
    prop_assert!(account.channels.current <= u64::from(account.contract.channels));
    let talking = account
        .calls
        .iter()
        .filter(|call| call.outcome == Outcome::Answered && call.ended_at_us.is_none());
    prop_assert_eq!(world.uas.open_slots(), talking.count());
    Ok(())
}

proptest! {
    /// Whatever arrives, nothing panics, every call is counted once and every channel is given back.
    #[test]
    fn the_account_is_conserved(steps in proptest::collection::vec(step(), 1..120)) {
        let mut world = World::with_contract(mixed, 3, 4);
        let mut tags = vec!["none".to_owned(); 12];
        for step in &steps {
            act(&mut world, step, &tags);
            learn(&mut world, &mut tags);
            check_conservation(&world)?;
        }
        world.uas.stop(world.now);
        world.drain();
        world.pass(Span::from_secs(200));
        let account = world.uas.account(world.now, true);
        prop_assert_eq!(account.channels.current, 0);
        prop_assert_eq!(world.uas.wake(), None, "nothing is kept for ever");
        prop_assert!(world.uas.calls.is_empty() && world.uas.dialogs.is_empty());
    }

    /// Arbitrary datagrams never panic and make no call.
    #[test]
    fn arbitrary_datagrams_are_survived(datagrams in proptest::collection::vec(
        prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..600),
            "(INVITE|BYE|ACK|SIP/2.0 200) [ -~]{0,40}\r\n([A-Za-z-]{1,10}: ?[ -~]{0,40}\r\n){0,6}\r\n[ -~]{0,20}".prop_map(String::into_bytes),
        ], 0..20))
    {
        let mut world = World::new(mixed);
        for datagram in &datagrams {
            world.send(datagram);
        }
        prop_assert_eq!(world.uas.account(world.now, false).channels.current, 0);
    }
}
