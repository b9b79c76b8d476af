//! One call's RTP: once every 20 ms what has come is taken and one packet is sent.

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use busyhour_agent_core::{
    leg::Token,
    media::{
        FRAME,
        dtmf::{Listener, Pressed, Presser},
        rtp::{Header, Sender},
    },
    sdp::{Agreed, Direction},
};
use tokio::sync::mpsc;

use super::{Control, MediaEvent, Stats, Wishes, ports::Bound};
use crate::metric_definitions as metric;

/// Datagrams taken per turn. The far end sends one; more make up for a late turn, and a flood waits in the
/// kernel's bounded buffer until it is dropped there.
const TAKEN_MAX: usize = 4;
/// Largest datagram that is looked at: 60 ms of G.711 with room.
const DATAGRAM_MAX: usize = 1_024;
/// Packets in a row from one strange source before it is believed to be the far end behind a NAT.
const TRUST_AFTER: u32 = 3;
/// Keys that may wait to be pressed; further ones are dropped.
const KEYS_MAX: usize = 128;

/// A call's stream, owned by its thread.
pub struct Stream {
    bound: Bound,
    control: Arc<Control>,
    events: mpsc::Sender<MediaEvent>,
    inactivity: Duration,
    agreed: Option<Agreed>,
    remote: Remote,
    sender: Sender,
    playing: Option<Playing>,
    keys: String,
    presser: Option<Presser>,
    listener: Listener,
    arrival: Arrival,
    heard_at: Option<Instant>,
    lost_told: bool,
    /// An event that the call had no room for.
    unsent: Option<MediaEvent>,
    stats: Stats,
    packet: Vec<u8>,
}

struct Playing {
    token: Token,
    octets: Arc<[u8]>,
    at: usize,
}

/// Where the far end really is: where its SDP says, until it proves to send from elsewhere (symmetric RTP).
#[derive(Default)]
struct Remote {
    latched: Option<SocketAddr>,
    stranger: Option<(SocketAddr, u32, u16, u32)>,
}

/// Interarrival jitter (RFC 3550, 6.4.1), in samples times 16.
#[derive(Default)]
struct Arrival {
    last: Option<(Instant, u32)>,
    jitter: u32,
}

impl Stream {
    pub fn new(
        bound: Bound,
        control: Arc<Control>,
        events: mpsc::Sender<MediaEvent>,
        inactivity: Duration,
    ) -> Self {
        let (ssrc, sequence, timestamp) = rand::random();
        Self {
            bound,
            control,
            events,
            inactivity,
            agreed: None,
            remote: Remote::default(),
            sender: Sender::new(ssrc, sequence, timestamp),
            playing: None,
            keys: String::new(),
            presser: None,
            listener: Listener::default(),
            arrival: Arrival::default(),
            heard_at: None,
            lost_told: false,
            unsent: None,
            stats: Stats::default(),
            packet: Vec::with_capacity(FRAME + 12),
        }
    }

    /// One turn; `false` once the call is over. `skipped` turns fell out before it.
    pub fn tick(&mut self, now: Instant, skipped: u32) -> bool {
        if self.control.closed.load(Ordering::Acquire) {
            return false;
        }
        if self.control.changed.swap(false, Ordering::AcqRel) {
            let wishes = std::mem::take(&mut *self.control.wishes.lock());
            self.take_wishes(wishes, now);
        }
        if let Some(event) = self.unsent.take() {
            self.tell(event);
        }
        let Some(agreed) = self.agreed.clone() else {
            return true;
        };
        if skipped > 0 {
            self.sender.pause(skipped.saturating_mul(FRAME as u32));
        }
        self.receive(&agreed, now);
        self.watch(agreed.direction, now);
        if agreed.direction.sends() {
            self.send(&agreed);
        } else {
            self.sender.pause(FRAME as u32);
        }
        *self.control.stats.lock() = self.stats;
        true
    }

    fn take_wishes(&mut self, wishes: Wishes, now: Instant) {
        if let Some(agreed) = wishes.agreed {
            if self.agreed.as_ref().is_none_or(|old| old.remote != agreed.remote) {
                self.remote = Remote::default();
            }
            self.agreed = Some(agreed);
            self.heard_at.get_or_insert(now);
        }
        if wishes.stop {
            self.playing = None;
        }
        if let (Some((token, clip)), Some(agreed)) = (wishes.play, &self.agreed) {
            let octets = clip.encoded(agreed.law);
            self.playing = Some(Playing { token, octets, at: 0 });
        }
        if let Some(keys) = wishes.keys {
            let room = KEYS_MAX.saturating_sub(self.keys.len());
            self.keys.extend(keys.chars().take(room));
        }
    }

    fn receive(&mut self, agreed: &Agreed, now: Instant) {
        let mut datagram = [0; DATAGRAM_MAX];
        for _ in 0..TAKEN_MAX {
            // An error is an empty socket, or an ICMP answer to an earlier packet, which says nothing new.
            let Ok((length, from)) = self.bound.socket.recv_from(&mut datagram) else {
                return;
            };
            self.take(agreed, &datagram[..length], from, now);
        }
    }

    fn take(&mut self, agreed: &Agreed, datagram: &[u8], from: SocketAddr, now: Instant) {
        let taken = Header::parse(datagram).ok().filter(|(header, _)| {
            let audio = header.payload_type == agreed.payload_type;
            let known = audio || Some(header.payload_type) == agreed.keys_in;
            known && self.remote.is_far_end(agreed.remote, from, header)
        });
        let Some((header, payload)) = taken else {
            self.stats.refused += 1;
            return;
        };
        self.stats.received += 1;
        self.heard_at = Some(now);
        self.lost_told = false;
        if Some(header.payload_type) == agreed.keys_in {
            if let Some(key) = self.listener.hear(&header, payload) {
                self.tell(MediaEvent::Digit(key));
            }
        } else {
            self.stats.jitter_us = self.arrival.note(now, header.timestamp);
        }
    }

    /// A far end that holds the call may be silent for as long as it likes.
    fn watch(&mut self, direction: Direction, now: Instant) {
        if matches!(direction, Direction::SendOnly | Direction::Inactive) {
            self.heard_at = Some(now);
            return;
        }
        let silent = self.heard_at.is_some_and(|at| now.duration_since(at) >= self.inactivity);
        if silent && !self.lost_told {
            self.lost_told = true;
            self.tell(MediaEvent::Lost);
        }
    }

    /// Keys come before sound, sound before silence: the far end gets a packet in every turn but those in which
    /// a key is let go.
    fn send(&mut self, agreed: &Agreed) {
        if self.press(agreed) {
            return;
        }
        let frame = self.playing.as_mut().and_then(|playing| {
            let frame = playing.octets.get(playing.at..playing.at + FRAME)?;
            playing.at += FRAME;
            Some(frame)
        });
        let silence = [agreed.law.silence(); FRAME];
        let frame = frame.unwrap_or(&silence);
        self.sender.audio(agreed.payload_type, frame, &mut self.packet);
        self.send_packet(agreed);
        let ended = self.playing.take_if(|playing| playing.at >= playing.octets.len());
        if let Some(playing) = ended {
            self.tell(MediaEvent::Played(playing.token));
        }
    }

    /// Fills the turn with a key, if one is to be pressed. Without telephone events nothing is pressed.
    fn press(&mut self, agreed: &Agreed) -> bool {
        let Some(kind) = agreed.keys_out else {
            self.keys.clear();
            return false;
        };
        if self.presser.is_none() && !self.keys.is_empty() {
            self.presser = Some(Presser::new(&std::mem::take(&mut self.keys), kind));
        }
        let Some(presser) = &mut self.presser else {
            return false;
        };
        match presser.turn(&mut self.sender, &mut self.packet) {
            Pressed::Packet => self.send_packet(agreed),
            Pressed::Silence => {}
            Pressed::Done => {
                self.presser = None;
                return false;
            }
        }
        true
    }

    fn send_packet(&mut self, agreed: &Agreed) {
        let remote = self.remote.latched.unwrap_or(agreed.remote);
        if self.bound.socket.send_to(&self.packet, remote).is_ok() {
            self.stats.sent += 1;
        }
    }

    /// A full channel loses a key; anything else is told in a later turn.
    fn tell(&mut self, event: MediaEvent) {
        let Err(mpsc::error::TrySendError::Full(event)) = self.events.try_send(event) else {
            return;
        };
        match event {
            MediaEvent::Digit(_) => metric::digit_dropped(),
            MediaEvent::Played(_) | MediaEvent::Lost => self.unsent = Some(event),
        }
    }
}

impl Remote {
    /// Whether a packet is the far end's. What comes from where its SDP says always is. A stranger must first send
    /// some packets in a row, and only as long as nobody else is believed: otherwise anybody could take over a
    /// call by guessing its port.
    fn is_far_end(&mut self, expected: SocketAddr, from: SocketAddr, header: &Header) -> bool {
        if let Some(latched) = self.latched {
            return latched == from;
        }
        if from == expected {
            self.latched = Some(from);
            return true;
        }
        let count = match self.stranger {
            Some((who, ssrc, sequence, count))
                if who == from
                    && ssrc == header.ssrc
                    && sequence.wrapping_add(1) == header.sequence =>
            {
                count + 1
            }
            _ => 1,
        };
        self.stranger = Some((from, header.ssrc, header.sequence, count));
        let trusted = count >= TRUST_AFTER;
        if trusted {
            self.latched = Some(from);
        }
        trusted
    }
}

impl Arrival {
    fn note(&mut self, now: Instant, timestamp: u32) -> u32 {
        if let Some((last, sent)) = self.last {
            let elapsed = now.duration_since(last).as_micros() as i64 * 8 / 1_000;
            let between = i64::from(timestamp.wrapping_sub(sent).cast_signed());
            let off = (elapsed - between).unsigned_abs().min(1 << 20) as u32;
            self.jitter = self.jitter + off - ((self.jitter + 8) >> 4);
        }
        self.last = Some((now, timestamp));
        (self.jitter >> 4) * 125
    }
}
