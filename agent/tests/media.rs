//! Media threads against each other and against a plain socket: audio, keys, pacing, trust and loss.

use std::{
    io::ErrorKind,
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    time::{Duration, Instant},
};

use busyhour_agent::{
    audio::Clip,
    media::{EVENTS_MAX, Media, MediaConfig, MediaEvent, MediaSession},
};
use busyhour_agent_core::{
    leg::Token,
    media::{
        g711::Law,
        rtp::{Header, Sender},
    },
    sdp::{Agreed, Direction},
};
use tokio::{sync::mpsc, time::timeout};

const PATIENCE: Duration = Duration::from_secs(60);
const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn media(inactivity: Duration) -> Media {
    let config = MediaConfig { ip: LOOPBACK, ports: None, threads: 1, inactivity };
    Media::start(&config).unwrap()
}

fn open(media: &Media) -> (MediaSession, mpsc::Receiver<MediaEvent>) {
    let (sender, events) = mpsc::channel(EVENTS_MAX);
    (media.open(sender).unwrap(), events)
}

fn agreed(remote: SocketAddr) -> Agreed {
    Agreed {
        law: Law::A,
        payload_type: 8,
        keys_out: Some(101),
        keys_in: Some(101),
        remote,
        packet_ms: 20,
        direction: Direction::SendReceive,
    }
}

async fn next(events: &mut mpsc::Receiver<MediaEvent>) -> MediaEvent {
    timeout(PATIENCE, events.recv()).await.expect("an event in time").unwrap()
}

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind((LOOPBACK, 0)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// What a far end receives: when, and what.
fn receive(socket: &UdpSocket) -> (Instant, SocketAddr, Header, Vec<u8>) {
    let mut datagram = [0; 1_500];
    let (length, from) = loop {
        match socket.recv_from(&mut datagram) {
            // A process that was stopped and goes on is told so (signal(7)).
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            received => break received.unwrap(),
        }
    };
    let (header, payload) = Header::parse(&datagram[..length]).unwrap();
    (Instant::now(), from, header, payload.to_vec())
}

/// A busy machine holds threads up, but not all the time: what a media thread does wrong by itself it does every time.
async fn once_undisturbed(what: &str, mut try_it: impl AsyncFnMut() -> Result<(), String>) {
    let bound = Instant::now() + PATIENCE;
    while let Err(problem) = try_it().await {
        assert!(Instant::now() < bound, "{what}: {problem}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_ends_press_keys_and_hear_each_other() {
    let media = media(Duration::from_secs(5));
    let (a, mut a_events) = open(&media);
    let (b, mut b_events) = open(&media);
    a.connect(agreed(b.address()));
    b.connect(agreed(a.address()));
    a.send_keys("12w#");
    b.send_keys("*0");
    let clip = Clip::new(vec![1_000; 1_600]);
    a.play(Token(3), clip.clone());
    for key in ['1', '2', '#'] {
        assert_eq!(next(&mut b_events).await, MediaEvent::Digit(key));
    }
    for key in ['*', '0'] {
        assert_eq!(next(&mut a_events).await, MediaEvent::Digit(key));
    }
    assert_eq!(next(&mut a_events).await, MediaEvent::Played(Token(3)), "after the keys");
    let stats = b.stats();
    // While keys are let go nothing is sent.
    assert!(stats.received > 20 && stats.refused == 0, "{stats:?}");
    // A media thread must not add jitter of its own. What was heard lately counts most (RFC 3550, 6.4.1).
    once_undisturbed("audio comes evenly", async || {
        let stats = b.stats();
        if stats.jitter_us < 10_000 {
            return Ok(());
        }
        // As much audio again.
        a.play(Token(4), clip.clone());
        assert_eq!(next(&mut a_events).await, MediaEvent::Played(Token(4)));
        Err(format!("{stats:?}"))
    })
    .await;
    assert_eq!(media.sessions(), 2);
}

/// Plays a clip to a far end, which must get all of it in its order; how long that took, and how many turns of the media
/// thread fell out, because the machine did not let it run.
fn played(
    session: &MediaSession,
    far: &UdpSocket,
    last: &mut Header,
    clip: &Clip,
) -> (Duration, u32) {
    let octets = clip.encoded(Law::A);
    session.play(Token(1), clip.clone());
    let mut heard = Vec::new();
    let mut times = Vec::new();
    let mut skipped = 0;
    while heard.len() < octets.len() {
        let (at, _, header, payload) = receive(far);
        assert_eq!(header.sequence, last.sequence.wrapping_add(1));
        let step = header.timestamp.wrapping_sub(last.timestamp);
        assert!(step > 0 && step.is_multiple_of(160), "{header:?} after {last:?}");
        skipped += step / 160 - 1;
        *last = header;
        if heard.is_empty() && payload[..] != octets[..160] {
            continue;
        }
        times.push(at);
        heard.extend(payload);
    }
    assert!(heard[..] == octets[..], "the clip came through changed");
    (times[times.len() - 1] - times[0], skipped)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clip_arrives_whole_in_order_and_paced() {
    let media = media(Duration::from_secs(300));
    let (session, mut events) = open(&media);
    let far = socket();
    session.connect(agreed(far.local_addr().unwrap()));
    let (_, _, mut last, silence) = receive(&far);
    assert!(last.marker);
    assert_eq!((last.payload_type, silence), (8, vec![Law::A.silence(); 160]));
    let clip = Clip::new((0..8_000).map(|n| (n % 2_000) as i16).collect());
    once_undisturbed("49 intervals take 980 ms, however late single packets are", async || {
        let (took, skipped) = played(&session, &far, &mut last, &clip);
        assert_eq!(next(&mut events).await, MediaEvent::Played(Token(1)));
        let in_time = skipped == 0 && (900..1_150).contains(&took.as_millis());
        if in_time { Ok(()) } else { Err(format!("{took:?}, {skipped} turns fell out")) }
    })
    .await;
    session.play(Token(2), Clip::new(vec![0; 80_000]));
    session.stop();
    session.play(Token(4), Clip::new(vec![9; 160]));
    assert_eq!(next(&mut events).await, MediaEvent::Played(Token(4)), "2 was stopped");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_far_end_is_told_once() {
    let media = media(Duration::from_millis(200));
    let (session, mut events) = open(&media);
    let far = socket();
    session.connect(agreed(far.local_addr().unwrap()));
    assert_eq!(next(&mut events).await, MediaEvent::Lost);
    for _ in 0..15 {
        receive(&far);
    }
    assert!(events.try_recv().is_err(), "told twice");
    let held = Agreed { direction: Direction::Inactive, ..agreed(far.local_addr().unwrap()) };
    let (other, mut other_events) = open(&media);
    other.connect(held);
    assert!(
        timeout(Duration::from_millis(600), other_events.recv()).await.is_err(),
        "a call on hold may be silent"
    );
}

/// A far end behind a NAT sends from elsewhere than its SDP says; an intruder must not take over a call.
#[tokio::test(flavor = "multi_thread")]
async fn a_strange_source_is_believed_only_when_it_proves_itself() {
    let media = media(Duration::from_secs(5));
    let (session, mut events) = open(&media);
    let (expected, nat, intruder) = (socket(), socket(), socket());
    session.connect(agreed(expected.local_addr().unwrap()));
    let mut packet = Vec::new();
    let mut from_nat = Sender::new(7, 100, 0);
    let mut from_intruder = Sender::new(9, 500, 0);
    // Jumps about in its numbers, as one who guesses does.
    for _ in 0..10 {
        from_intruder.event(true, 101, 8_000, &[5, 0x8a, 3, 32], &mut packet);
        from_intruder.event(true, 101, 8_000, &[5, 0x8a, 3, 32], &mut packet);
        intruder.send_to(&packet, session.address()).unwrap();
    }
    // In order: believed from the third packet on, so the key is heard.
    for _ in 0..6 {
        from_nat.event(true, 101, 1_600, &[3, 0x8a, 3, 32], &mut packet);
        nat.send_to(&packet, session.address()).unwrap();
    }
    assert_eq!(next(&mut events).await, MediaEvent::Digit('3'));
    let (_, from, ..) = receive(&nat);
    assert_eq!(from, session.address(), "audio goes where the far end is");
    for _ in 0..10 {
        from_intruder.event(true, 101, 16_000, &[6, 0x8a, 3, 32], &mut packet);
        intruder.send_to(&packet, session.address()).unwrap();
    }
    intruder.send_to(b"no RTP at all", session.address()).unwrap();
    from_nat.event(true, 101, 32_000, &[4, 0x8a, 3, 32], &mut packet);
    nat.send_to(&packet, session.address()).unwrap();
    assert_eq!(next(&mut events).await, MediaEvent::Digit('4'), "and nothing of the intruder's");
}
