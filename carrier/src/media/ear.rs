//! Tells speech from silence by energy.

use busyhour_base::{Span, Timestamp};

/// Mean square above which a frame is loud: an RMS of 260, about -42 dB below full scale.
const LOUD: u64 = 260 * 260;

/// So many loud frames within a row of as many make speech; clicks and key tones in between do not.
const ONSET_FRAMES: u32 = 3;

/// Pauses shorter than this are part of speech.
const HANGOVER: Span = Span::from_millis(300);

const FRAME: Span = Span::from_millis(20);

/// Listens to one call.
#[derive(Debug, Default)]
pub(crate) struct Ear {
    /// Loud frames in a row.
    row: u32,
    speaking: bool,
    /// Last loud frame of speech.
    last_loud: Timestamp,
    /// Length of all loud frames of speech.
    heard: Span,
}

impl Ear {
    /// A frame of 20 ms was received.
    pub(crate) fn frame(&mut self, now: Timestamp, energy: u64) {
        if energy < LOUD {
            self.row = 0;
            return;
        }
        self.row = self.row.saturating_add(1);
        if self.row == ONSET_FRAMES {
            self.speaking = true;
            self.heard = self.heard + FRAME.times(u64::from(ONSET_FRAMES));
        } else if self.row > ONSET_FRAMES {
            self.heard = self.heard + FRAME;
        }
        if self.speaking {
            self.last_loud = now;
        }
    }

    /// How long there has been no speech, once there was any since the last [`Self::forget`].
    pub(crate) fn quiet_for(&self, now: Timestamp) -> Option<Span> {
        let quiet = now.since(self.last_loud);
        (self.speaking && quiet >= HANGOVER).then_some(quiet)
    }

    /// Waits for other speech.
    pub(crate) fn forget(&mut self) {
        self.speaking = false;
        self.row = 0;
    }

    /// Length of speech until now.
    pub(crate) const fn heard(&self) -> Span {
        self.heard
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listen(ear: &mut Ear, from_ms: u64, frames: u64, energy: u64) {
        for n in 0..frames {
            ear.frame(Timestamp((from_ms + 20 * n) * 1_000), energy);
        }
    }

    #[test]
    fn clicks_are_not_speech() {
        let mut ear = Ear::default();
        listen(&mut ear, 0, 2, LOUD);
        listen(&mut ear, 40, 1, 0);
        listen(&mut ear, 60, 2, LOUD);
        assert_eq!(ear.heard(), Span::ZERO);
        assert_eq!(ear.quiet_for(Timestamp(9_000_000)), None);
    }

    #[test]
    fn speech_is_measured_and_its_end_is_noticed() {
        let mut ear = Ear::default();
        listen(&mut ear, 0, 50, LOUD);
        assert_eq!(ear.heard(), Span::from_secs(1));
        assert_eq!(ear.quiet_for(Timestamp(1_200_000)), None);
        assert_eq!(ear.quiet_for(Timestamp(1_480_000)), Some(Span::from_millis(500)));
        ear.forget();
        assert_eq!(ear.quiet_for(Timestamp(2_000_000)), None);
    }
}
