//! Keys as telephone events (RFC 4733): pressing them, hearing them, and how long pressing takes.

use busyhour_base::Span;

use super::{
    FRAME,
    rtp::{Header, Sender},
};

/// How long a key that we send is held. Far above the 40 ms that receivers must accept (ITU-T Q.24).
pub const KEY: Span = Span::from_millis(100);
/// Silence after each key that we send.
pub const GAP: Span = Span::from_millis(100);
/// What one `w` stands for.
pub const WAIT: Span = Span::from_millis(500);

/// One turn of the media clock.
const TURN: Span = Span::from_millis(20);
const KEY_TURNS: u32 = turns(KEY);
const GAP_TURNS: u32 = turns(GAP);
const WAIT_TURNS: u32 = turns(WAIT);
/// How often the last packet of a key is sent (RFC 4733 section 2.5.1.4).
const LAST_PACKETS: u32 = 3;
/// Power of the tone that the event stands for, in dBm0 below zero.
const VOLUME: u8 = 10;
/// Bit of the second byte: the key was let go.
const LET_GO: u8 = 0x80;
/// Bytes of one event.
const EVENT: usize = 4;

const fn turns(span: Span) -> u32 {
    (span.as_micros() / TURN.as_micros()) as u32
}

/// How long sending `keys` takes, `w` being half a second and `W` a second; the bound on the wait for
/// [`Action::SendDigits`](crate::leg::Action::SendDigits).
pub fn keys_last(keys: &str) -> Span {
    keys.chars().fold(Span::ZERO, |sum, key| match key {
        'w' => sum + WAIT,
        'W' => sum + WAIT.times(2),
        _ => sum + KEY + GAP,
    })
}

/// Whether this is one of the sixteen keys of ITU-T Q.23.
pub const fn is_key(key: char) -> bool {
    matches!(key, '0'..='9' | '*' | '#' | 'A'..='D')
}

/// Whether it may stand in what is sent: a key, or `w` or `W` for a wait.
pub const fn is_sendable(key: char) -> bool {
    is_key(key) || matches!(key, 'w' | 'W')
}

/// The event number of a key (RFC 4733 section 3.2).
const fn event_of(key: char) -> Option<u8> {
    match key {
        '0'..='9' => Some(key as u8 - b'0'),
        '*' => Some(10),
        '#' => Some(11),
        'A'..='D' => Some(key as u8 - b'A' + 12),
        _ => None,
    }
}

/// The key of an event number.
const fn key_of(event: u8) -> Option<char> {
    match event {
        0..=9 => Some((b'0' + event) as char),
        10 => Some('*'),
        11 => Some('#'),
        12..=15 => Some((b'A' + event - 12) as char),
        _ => None,
    }
}

/// Presses keys, one packet every 20 ms at most, for as long as [`keys_last`] says.
#[derive(Clone, Debug)]
pub struct Presser {
    keys: std::vec::IntoIter<char>,
    payload_type: u8,
    turn: Option<Turn>,
}

/// What the present turn of the clock belongs to.
#[derive(Clone, Copy, Debug)]
enum Turn {
    /// `left` turns of silence.
    Silent { left: u32 },
    /// Turn `at`, from 0, of a key and the gap after it.
    Key { event: u8, began: u32, at: u32 },
}

/// What one turn of the media clock is filled with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pressed {
    /// A packet was made.
    Packet,
    /// Nothing is sent.
    Silence,
    /// All keys were pressed before this turn: it belongs to somebody else.
    Done,
}

impl Presser {
    /// Takes the keys; what is neither key nor `w` is passed over.
    pub fn new(keys: &str, payload_type: u8) -> Self {
        let keys: Vec<_> = keys.chars().filter(|key| is_sendable(*key)).collect();
        Self { keys: keys.into_iter(), payload_type, turn: None }
    }

    /// Fills one turn of the clock, and advances the stream's clock by it unless it is done.
    pub fn turn(&mut self, sender: &mut Sender, packet: &mut Vec<u8>) -> Pressed {
        let Some(turn) = self.turn.or_else(|| self.next(sender.timestamp())) else {
            return Pressed::Done;
        };
        let pressed = match turn {
            Turn::Silent { left } => {
                self.turn = (left > 1).then_some(Turn::Silent { left: left - 1 });
                Pressed::Silence
            }
            Turn::Key { event, began, at } => {
                self.turn = (at + 1 < KEY_TURNS + GAP_TURNS).then_some(Turn::Key {
                    event,
                    began,
                    at: at + 1,
                });
                if at < KEY_TURNS + LAST_PACKETS - 1 {
                    let held = (at + 1).min(KEY_TURNS) * FRAME as u32;
                    let flags = if at + 1 >= KEY_TURNS { LET_GO | VOLUME } else { VOLUME };
                    let [d0, d1] = u16::try_from(held).unwrap_or(u16::MAX).to_be_bytes();
                    sender.event(
                        at == 0,
                        self.payload_type,
                        began,
                        &[event, flags, d0, d1],
                        packet,
                    );
                    Pressed::Packet
                } else {
                    Pressed::Silence
                }
            }
        };
        sender.pause(FRAME as u32);
        pressed
    }

    fn next(&mut self, now: u32) -> Option<Turn> {
        let key = self.keys.next()?;
        Some(match event_of(key) {
            Some(event) => Turn::Key { event, began: now, at: 0 },
            None if key == 'W' => Turn::Silent { left: 2 * WAIT_TURNS },
            None => Turn::Silent { left: WAIT_TURNS },
        })
    }
}

/// Hears keys: each once, however many packets tell of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Listener {
    last: Option<Heard>,
}

#[derive(Clone, Copy, Debug)]
struct Heard {
    event: u8,
    timestamp: u32,
    duration: u16,
    let_go: bool,
}

impl Listener {
    /// Takes in the packet of an event and gives the key if it is newly pressed.
    ///
    /// All packets of a key bear the timestamp of its beginning (RFC 4733 section 2.5.1.2), so any of them is
    /// enough and the others are repeats. A key held beyond 65,535 samples goes on as a further segment, without a
    /// marker and at the timestamp where the last one ended (section 2.5.1.3).
    pub fn hear(&mut self, header: &Header, payload: &[u8]) -> Option<char> {
        let (&[event, flags, d0, d1], _) = payload.split_first_chunk::<EVENT>()?;
        let key = key_of(event)?;
        let now = Heard {
            event,
            timestamp: header.timestamp,
            duration: u16::from_be_bytes([d0, d1]),
            let_go: flags & LET_GO != 0,
        };
        let Some(last) = &mut self.last else {
            self.last = Some(now);
            return Some(key);
        };
        let elapsed = now.timestamp.wrapping_sub(last.timestamp);
        if elapsed == 0 {
            last.duration = last.duration.max(now.duration);
            last.let_go |= now.let_go;
            return None;
        }
        let is_older = elapsed > u32::MAX / 2;
        if is_older {
            return None;
        }
        let goes_on = now.event == last.event
            && !last.let_go
            && !header.marker
            && last.duration >= u16::MAX - FRAME as u16
            && elapsed.abs_diff(u32::from(u16::MAX)) <= FRAME as u32;
        self.last = Some(now);
        (!goes_on).then_some(key)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pressed(keys: &str) -> (Vec<Vec<u8>>, u32) {
        let mut sender = Sender::new(1, 65_530, u32::MAX - 500);
        let mut presser = Presser::new(keys, 101);
        let (mut packets, mut packet, mut turns) = (Vec::new(), Vec::new(), 0);
        loop {
            match presser.turn(&mut sender, &mut packet) {
                Pressed::Packet => packets.push(packet.clone()),
                Pressed::Silence => {}
                Pressed::Done => return (packets, turns),
            }
            turns += 1;
        }
    }

    fn heard<'a>(packets: impl IntoIterator<Item = &'a Vec<u8>>) -> String {
        let mut listener = Listener::default();
        let hear = |packet: &'a Vec<u8>| {
            let (header, payload) = Header::parse(packet).unwrap();
            listener.hear(&header, payload)
        };
        packets.into_iter().filter_map(hear).collect()
    }

    #[test]
    fn one_key_is_held_and_let_go_three_times() {
        let (packets, turns) = pressed("5");
        assert_eq!(turns, 10);
        let events: Vec<_> = packets
            .iter()
            .map(|packet| {
                let (header, event) = Header::parse(packet).unwrap();
                assert_eq!(header.timestamp, u32::MAX - 500);
                assert_eq!((event[0], event[1] & 0x3f), (5, VOLUME));
                (header.marker, event[1] & LET_GO != 0, u16::from_be_bytes([event[2], event[3]]))
            })
            .collect();
        assert_eq!(
            events,
            [
                (true, false, 160),
                (false, false, 320),
                (false, false, 480),
                (false, false, 640),
                (false, true, 800),
                (false, true, 800),
                (false, true, 800),
            ]
        );
    }

    proptest! {
        #[test]
        fn keys_are_heard_as_pressed_and_take_the_time_foretold(keys in "[0-9A-D*#wW]{0,20}") {
            let (packets, turns) = pressed(&keys);
            prop_assert_eq!(heard(&packets), keys.replace(['w', 'W'], ""));
            prop_assert_eq!(TURN.times(u64::from(turns)), keys_last(&keys));
        }

        /// Any one packet of a key is enough, and repeats and reordering within a key change nothing.
        #[test]
        fn lost_and_repeated_packets_change_nothing(keys in "[0-9*#]{1,8}", keep in prop::collection::vec(0_usize..7, 8)) {
            let (packets, _) = pressed(&keys);
            let some = packets.chunks(7).zip(&keep).flat_map(|(key, at)| [&key[*at], &key[0], &key[*at], &key[6]]);
            prop_assert_eq!(heard(some), keys);
        }

        #[test]
        fn no_payload_makes_it_panic(packets: Vec<(bool, u32, Vec<u8>)>) {
            let mut listener = Listener::default();
            for (marker, timestamp, payload) in packets {
                let header = Header { marker, timestamp, ..Header::default() };
                if let Some(key) = listener.hear(&header, &payload) {
                    prop_assert!(is_key(key));
                }
            }
        }
    }

    #[test]
    fn a_key_held_for_long_is_one_key() {
        let mut listener = Listener::default();
        let mut hear = |marker, timestamp, duration: u16| {
            let header = Header { marker, timestamp, ..Header::default() };
            let [d0, d1] = duration.to_be_bytes();
            listener.hear(&header, &[3, VOLUME, d0, d1])
        };
        assert_eq!(hear(true, 1_000, 160), Some('3'));
        assert_eq!(hear(false, 1_000, u16::MAX), None);
        assert_eq!(hear(false, 1_000 + 65_535, 160), None, "a further segment");
        assert_eq!(hear(false, 1_000, u16::MAX), None, "an old packet");
        assert_eq!(hear(true, 1_000 + 2 * 65_535, 160), Some('3'), "the marker begins a new key");
    }

    #[test]
    fn other_events_are_no_keys() {
        let mut listener = Listener::default();
        assert_eq!(listener.hear(&Header::default(), &[16, 0, 0, 0]), None);
        assert_eq!(listener.hear(&Header::default(), &[1, 0, 0]), None);
    }
}
