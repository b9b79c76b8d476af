//! Keys as named telephone events (RFC 4733).

use std::collections::VecDeque;

/// Event codes 0 to 15 (RFC 4733 3.2, table 3).
const KEYS: [char; 16] =
    ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '*', '#', 'A', 'B', 'C', 'D'];

/// Keys remembered of one call.
const MAX_KEYS: usize = 64;

/// Samples of one packet.
const STEP: u16 = 160;

/// A key is held for 100 ms and followed by 80 ms of nothing.
const HELD_STEPS: u16 = 5;
const GAP_STEPS: u8 = 4;

/// RFC 4733 2.5.1.4: the end is told three times.
const ENDS: u8 = 3;

/// Collects the far end's keys.
#[derive(Debug, Default)]
pub(crate) struct KeyListener {
    keys: String,
    /// Timestamp of the event that was counted last: all packets of one event share it.
    last: Option<u32>,
}

impl KeyListener {
    /// A packet with an event.
    pub(crate) fn event(&mut self, timestamp: u32, payload: &[u8]) {
        let [code, _, _, _, ..] = payload else {
            return;
        };
        // An older event that was overtaken is a repetition as well.
        if self.last.is_some_and(|last| timestamp.wrapping_sub(last).cast_signed() <= 0) {
            return;
        }
        let Some(key) = KEYS.get(usize::from(*code)) else {
            return;
        };
        self.last = Some(timestamp);
        if self.keys.len() < MAX_KEYS {
            self.keys.push(*key);
        }
    }

    pub(crate) fn into_keys(self) -> String {
        self.keys
    }
}

/// Presses keys, one packet at every tick while one is held.
#[derive(Debug, Default)]
pub(crate) struct KeyPresser {
    waiting: VecDeque<u8>,
    pressing: Option<Pressing>,
    gap: u8,
    pressed: String,
}

#[derive(Clone, Copy, Debug)]
struct Pressing {
    code: u8,
    /// RTP timestamp of the start.
    start: u32,
    steps: u16,
    ends_sent: u8,
}

/// What a tick sends instead of audio.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Event {
    pub(crate) timestamp: u32,
    pub(crate) payload: [u8; 4],
    /// First packet of the event.
    pub(crate) marker: bool,
}

impl KeyPresser {
    /// Adds keys; what is not a key is left out, as is what goes over the bound.
    pub(crate) fn press(&mut self, keys: &str) {
        for key in keys.chars() {
            let code = KEYS.iter().position(|known| *known == key.to_ascii_uppercase());
            if let Some(code) = code.and_then(|code| u8::try_from(code).ok())
                && self.waiting.len() < MAX_KEYS
            {
                self.waiting.push_back(code);
            }
        }
    }

    /// The packet of this tick, when a key is being pressed; `timestamp` is the audio's.
    pub(crate) fn tick(&mut self, timestamp: u32) -> Option<Event> {
        if self.pressing.is_none() {
            self.start_next(timestamp)?;
        }
        let pressing = self.pressing.as_mut()?;
        let marker = pressing.steps == 0;
        pressing.steps = (pressing.steps + 1).min(HELD_STEPS);
        let is_end = pressing.steps == HELD_STEPS;
        pressing.ends_sent += u8::from(is_end);
        let duration = (pressing.steps * STEP).to_be_bytes();
        // End bit, then the volume in -dBm0.
        let flags = u8::from(is_end) << 7 | 10;
        let event = Event {
            timestamp: pressing.start,
            payload: [pressing.code, flags, duration[0], duration[1]],
            marker,
        };
        if pressing.ends_sent == ENDS {
            self.pressed.push(KEYS[usize::from(pressing.code)]);
            self.pressing = None;
            self.gap = GAP_STEPS;
        }
        Some(event)
    }

    fn start_next(&mut self, timestamp: u32) -> Option<()> {
        if self.gap > 0 {
            self.gap -= 1;
            return None;
        }
        let code = self.waiting.pop_front()?;
        self.pressing = Some(Pressing { code, start: timestamp, steps: 0, ends_sent: 0 });
        Some(())
    }

    pub(crate) fn into_pressed(self) -> String {
        self.pressed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pressed_keys_are_heard_once_each_even_with_losses() {
        let mut presser = KeyPresser::default();
        let mut listener = KeyListener::default();
        presser.press("15x5#d");
        let mut sent = 0;
        for tick in 0..200u32 {
            if let Some(event) = presser.tick(tick * 160) {
                sent += 1;
                // Every third packet is lost, and every other one arrives twice.
                if sent % 3 != 0 {
                    listener.event(event.timestamp, &event.payload);
                    listener.event(event.timestamp, &event.payload);
                }
            }
        }
        assert_eq!(presser.into_pressed(), "155#D");
        assert_eq!(listener.into_keys(), "155#D");
    }

    #[test]
    fn an_event_has_a_marker_growing_duration_and_three_ends() {
        let mut presser = KeyPresser::default();
        presser.press("9");
        let events: Vec<_> = (0..20).filter_map(|tick| presser.tick(tick * 160)).collect();
        let durations: Vec<_> = events
            .iter()
            .map(|event| u16::from_be_bytes([event.payload[2], event.payload[3]]))
            .collect();
        assert_eq!(durations, [160, 320, 480, 640, 800, 800, 800]);
        let ends = events.iter().filter(|event| event.payload[1] & 0x80 != 0);
        assert_eq!(ends.count(), 3);
        assert_eq!(events.iter().filter(|event| event.marker).count(), 1);
        assert!(events.iter().all(|event| event.timestamp == 0));
    }

    #[test]
    fn hostile_events_are_bounded_and_never_panic() {
        let mut listener = KeyListener::default();
        listener.event(0, &[]);
        listener.event(0, &[255, 0, 0, 0]);
        for timestamp in 0..1_000 {
            listener.event(timestamp, &[1, 0, 0, 0]);
        }
        assert_eq!(listener.into_keys().len(), MAX_KEYS);
    }
}
