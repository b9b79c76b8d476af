//! One call's audio at the carrier.

use std::{collections::VecDeque, net::SocketAddr};

use busyhour_base::{Span, Timestamp};

use super::{
    Stream,
    ear::Ear,
    keys::{KeyListener, KeyPresser},
    law::FRAME,
    rtp::{self, Packet},
};
use crate::{
    account::Heard,
    plan::{KeyPress, KeyTime, Talk},
};

/// The session: give it every packet and a tick every 20 ms.
#[derive(Debug)]
pub struct Session {
    call: u64,
    stream: Stream,
    greeting_frames: u64,
    script: VecDeque<KeyPress>,
    opened: Timestamp,
    timeout: Option<Span>,
    last_packet: Timestamp,
    told_inactive: bool,
    ear: Ear,
    listener: KeyListener,
    presser: KeyPresser,
    next_sequence: Option<u16>,
    sequence: u16,
    timestamp: u32,
    ssrc: u32,
    ticks: u64,
    counts: Counts,
}

#[derive(Debug, Default)]
struct Counts {
    received: u64,
    sent: u64,
    stray: u64,
    lost: u64,
}

/// Sequence numbers this far ahead are a new start, not losses (RFC 3550 A.1).
const MAX_DROPOUT: u16 = 3_000;

impl Session {
    /// A session that starts now; `chance` makes its random fields (RFC 3550 5.1).
    pub fn new(
        now: Timestamp,
        call: u64,
        stream: Stream,
        talk: Talk,
        timeout: Option<Span>,
        chance: u64,
    ) -> Self {
        Self {
            call,
            stream,
            greeting_frames: talk.greeting.as_millis() / 20,
            script: talk.keys.into(),
            opened: now,
            timeout,
            last_packet: now,
            told_inactive: false,
            ear: Ear::default(),
            listener: KeyListener::default(),
            presser: KeyPresser::default(),
            next_sequence: None,
            sequence: chance as u16,
            timestamp: (chance >> 16) as u32,
            ssrc: (chance >> 32) as u32,
            ticks: 0,
            counts: Counts::default(),
        }
    }

    /// Whose it is.
    pub const fn call(&self) -> u64 {
        self.call
    }

    /// Where packets go.
    pub const fn remote(&self) -> SocketAddr {
        self.stream.remote
    }

    /// Goes on with what was agreed anew.
    pub const fn retarget(&mut self, stream: Stream) {
        self.stream = stream;
    }

    /// A packet came.
    pub fn receive(&mut self, now: Timestamp, source: SocketAddr, bytes: &[u8]) {
        let packet = rtp::read(bytes).filter(|_| source.ip() == self.stream.remote.ip());
        let Some(packet) = packet else {
            self.counts.stray += 1;
            return;
        };
        if packet.payload_type == self.stream.law.payload_type() {
            self.count(now, packet.sequence);
            self.ear.frame(now, self.stream.law.energy(packet.payload));
        } else if Some(packet.payload_type) == self.stream.keys {
            self.count(now, packet.sequence);
            self.listener.event(packet.timestamp, packet.payload);
        } else {
            self.counts.stray += 1;
        }
    }

    fn count(&mut self, now: Timestamp, sequence: u16) {
        self.counts.received += 1;
        self.last_packet = now;
        let expected = self.next_sequence.unwrap_or(sequence);
        let ahead = sequence.wrapping_sub(expected);
        if ahead < MAX_DROPOUT {
            self.counts.lost += u64::from(ahead);
            self.next_sequence = Some(sequence.wrapping_add(1));
        } else if ahead <= MAX_DROPOUT.wrapping_neg() {
            self.next_sequence = Some(sequence.wrapping_add(1));
        } else {
            // Late after all: it was counted as lost.
            self.counts.lost = self.counts.lost.saturating_sub(1);
        }
    }

    /// Writes this tick's packet.
    pub fn tick(&mut self, now: Timestamp, into: &mut Vec<u8>) {
        self.follow_script(now);
        let mut packet = Packet {
            payload_type: self.stream.law.payload_type(),
            sequence: self.sequence,
            timestamp: self.timestamp,
            ssrc: self.ssrc,
            payload: match self.ticks < self.greeting_frames {
                true => self.stream.law.voice(self.ticks),
                false => self.stream.law.silence(),
            },
        };
        let key = self
            .stream
            .keys
            .and_then(|payload_type| Some((payload_type, self.presser.tick(self.timestamp)?)));
        let mut marker = self.ticks == 0;
        if let Some((payload_type, event)) = &key {
            packet.payload_type = *payload_type;
            packet.timestamp = event.timestamp;
            packet.payload = &event.payload;
            marker = event.marker;
        }
        rtp::write(into, &packet, marker);
        self.sequence = self.sequence.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(FRAME as u32);
        self.ticks += 1;
        self.counts.sent += 1;
    }

    fn follow_script(&mut self, now: Timestamp) {
        let is_due = match self.script.front().map(|press| press.when) {
            Some(KeyTime::AfterAnswer(after)) => now.since(self.opened) >= after,
            Some(KeyTime::AfterSpeech(after)) => {
                self.ear.quiet_for(now).is_some_and(|quiet| quiet >= after)
            }
            None => false,
        };
        if is_due && let Some(press) = self.script.pop_front() {
            self.presser.press(&press.keys);
            self.ear.forget();
        }
    }

    /// True once, when nothing was received for too long.
    pub fn has_died(&mut self, now: Timestamp) -> bool {
        let is_late = self.timeout.is_some_and(|timeout| now.since(self.last_packet) >= timeout);
        is_late && !std::mem::replace(&mut self.told_inactive, is_late)
    }

    /// The end, and what was heard.
    pub fn close(self) -> Heard {
        Heard {
            speech_us: self.ear.heard().as_micros(),
            keys_heard: self.listener.into_keys(),
            keys_pressed: self.presser.into_pressed(),
            packets_received: self.counts.received,
            packets_sent: self.counts.sent,
            packets_stray: self.counts.stray,
            packets_lost: self.counts.lost,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::Law;

    fn stream(port: u16) -> Stream {
        Stream { remote: SocketAddr::from(([127, 0, 0, 1], port)), law: Law::A, keys: Some(101) }
    }

    fn session(port: u16, talk: Talk) -> Session {
        let timeout = Some(Span::from_secs(2));
        Session::new(Timestamp(0), 1, stream(port), talk, timeout, 0xffff_ff00_ffff_fff0)
    }

    /// Two sessions talk to each other for a while; the packets of some ticks are lost on one way.
    fn converse(ticks: u64, a: &mut Session, b: &mut Session, lost: impl Fn(u64) -> bool) {
        let mut packet = Vec::new();
        for tick in 0..ticks {
            let now = Timestamp(tick * 20_000);
            a.tick(now, &mut packet);
            if !lost(tick) {
                b.receive(now, b.remote(), &packet);
            }
            b.tick(now, &mut packet);
            a.receive(now, a.remote(), &packet);
        }
    }

    #[test]
    fn keys_are_pressed_after_the_other_has_spoken() {
        let mut speaker = session(1, Talk { greeting: Span::from_secs(1), ..Talk::default() });
        let keys = |keys: &str, when| KeyPress { keys: keys.into(), when };
        let mut listener = session(
            2,
            Talk {
                keys: vec![
                    keys("42#", KeyTime::AfterSpeech(Span::from_millis(500))),
                    keys("7", KeyTime::AfterSpeech(Span::from_millis(500))),
                ],
                ..Talk::default()
            },
        );
        converse(250, &mut listener, &mut speaker, |tick| tick % 25 == 24);
        let (speaker, listener) = (speaker.close(), listener.close());
        assert!((500_000..=1_000_000).contains(&listener.speech_us));
        assert_eq!(listener.keys_pressed, "42#", "nothing was said after the first keys");
        assert_eq!(speaker.keys_heard, "42#");
        assert_eq!(speaker.speech_us, 0);
        assert_eq!((speaker.packets_received, speaker.packets_sent), (240, 250));
        assert_eq!(speaker.packets_lost, 9, "the last loss has no later packet to show it");
        assert_eq!(speaker.packets_stray, 0);
    }

    #[test]
    fn strangers_and_other_payloads_are_not_heard() {
        let mut session = session(1, Talk::default());
        let mut packet = Vec::new();
        session.tick(Timestamp(0), &mut packet);
        session.receive(Timestamp(0), SocketAddr::from(([127, 0, 0, 2], 1)), &packet);
        packet[1] = 96;
        session.receive(Timestamp(0), session.remote(), &packet);
        session.receive(Timestamp(0), session.remote(), b"no RTP");
        let heard = session.close();
        assert_eq!((heard.packets_stray, heard.packets_received), (3, 0));
    }

    #[test]
    fn silence_on_the_wire_is_told_once() {
        let mut session = session(1, Talk::default());
        assert!(!session.has_died(Timestamp(1_999_999)));
        assert!(session.has_died(Timestamp(2_000_000)));
        assert!(!session.has_died(Timestamp(2_000_001)));
    }
}
