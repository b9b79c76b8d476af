//! Plays one prompt after another, the next one being made ready while one is heard.

use busyhour_base::{Span, Timestamp};

use super::{Context, code, next};
use crate::{
    errands::{AudioError, AudioSource, Token},
    leg::Action,
    media::dtmf,
    twiml::Times,
};

/// How long audio may take to be made ready.
pub const PREPARE_GUARD: Span = Span::from_secs(60);
/// How much longer than its length audio may take to be played.
pub const PLAY_GUARD: Span = Span::from_secs(10);
/// Shorter audio counts as none: playing it for ever would be a loop without any waiting.
const AUDIBLE: Span = Span::from_millis(20);

/// A prompt with its address filled in and resolved.
pub(super) enum Cue {
    Audio { source: AudioSource, times: Times },
    Keys(String),
    Pause(Span),
}

#[derive(Default)]
pub(super) struct Player {
    step: Step,
    current: Option<Slot>,
    ahead: Option<Slot>,
}

#[derive(Default)]
enum Step {
    #[default]
    Idle,
    Preparing(Times),
    Playing {
        left: Times,
        until: Timestamp,
    },
    Waiting {
        until: Timestamp,
    },
}

/// Audio that was asked for.
struct Slot {
    source: AudioSource,
    token: Token,
    made: Made,
}

enum Made {
    Awaited { until: Timestamp },
    Ready(Span),
    Failed(AudioError),
}

/// Whether the prompt is over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Heard {
    Yes,
    NotYet,
}

impl Player {
    pub fn start(&mut self, cx: &mut Context<'_>, tokens: &mut u32, cue: Cue) -> Heard {
        let wait = match cue {
            Cue::Audio { source, times } => {
                self.current = Some(match self.ahead.take() {
                    Some(slot) if slot.source == source => slot,
                    other => {
                        discard(cx, other);
                        Slot::ask(cx, tokens, source)
                    }
                });
                self.step = Step::Preparing(times);
                return self.play_if_ready(cx);
            }
            Cue::Pause(span) => span,
            Cue::Keys(keys) => {
                let wait = dtmf::keys_last(&keys);
                cx.out.push_back(Action::SendDigits(keys));
                wait
            }
        };
        if wait == Span::ZERO {
            return Heard::Yes;
        }
        self.step = Step::Waiting { until: cx.now + wait };
        Heard::NotYet
    }

    /// Whether something is heard or a pause runs, so that other audio can be made ready without delaying it.
    pub const fn is_under_way(&self) -> bool {
        matches!(self.step, Step::Playing { .. } | Step::Waiting { .. })
    }

    /// Makes audio ready that is likely to be heard next.
    pub fn look_ahead(&mut self, cx: &mut Context<'_>, tokens: &mut u32, source: AudioSource) {
        if self.ahead.as_ref().is_none_or(|slot| slot.source != source) {
            discard(cx, self.ahead.take());
            self.ahead = Some(Slot::ask(cx, tokens, source));
        }
    }

    /// Falls silent and forgets all audio.
    pub fn stop(&mut self, cx: &mut Context<'_>) {
        if matches!(std::mem::take(&mut self.step), Step::Playing { .. }) {
            cx.out.push_back(Action::StopPlaying);
        }
        discard(cx, self.current.take());
        discard(cx, self.ahead.take());
    }

    pub fn wake_at(&self) -> Option<Timestamp> {
        match self.step {
            Step::Idle => None,
            Step::Preparing(_) => match self.current.as_ref()?.made {
                Made::Awaited { until } => Some(until),
                Made::Ready(_) | Made::Failed(_) => None,
            },
            Step::Playing { until, .. } | Step::Waiting { until } => Some(until),
        }
    }

    pub fn prepared(
        &mut self,
        cx: &mut Context<'_>,
        token: Token,
        result: Result<Span, AudioError>,
    ) -> Heard {
        let slots = [&mut self.current, &mut self.ahead];
        let slot = slots.into_iter().flatten().find(|slot| slot.token == token);
        let Some(slot) = slot.filter(|slot| matches!(slot.made, Made::Awaited { .. })) else {
            return Heard::NotYet;
        };
        slot.made = match result {
            Ok(span) => Made::Ready(span),
            Err(error) => Made::Failed(error),
        };
        self.play_if_ready(cx)
    }

    pub fn played(&mut self, cx: &mut Context<'_>, token: Token) -> Heard {
        match (&self.step, &self.current) {
            (Step::Playing { left, .. }, Some(slot)) if slot.token == token => {
                match left.less_one() {
                    Some(left) => {
                        self.step = Step::Preparing(left);
                        self.play_if_ready(cx)
                    }
                    None => self.finish(cx),
                }
            }
            _ => Heard::NotYet,
        }
    }

    pub fn timer(&mut self, cx: &mut Context<'_>) -> Heard {
        if self.wake_at().is_none_or(|at| cx.now < at) {
            return Heard::NotYet;
        }
        match self.step {
            Step::Preparing(_) => {
                if let Some(slot) = &mut self.current {
                    let late = AudioError::Speech("not ready in time".to_owned());
                    slot.made = Made::Failed(late);
                }
                self.play_if_ready(cx)
            }
            Step::Playing { .. } => {
                cx.out.push_back(Action::StopPlaying);
                self.finish(cx)
            }
            Step::Waiting { .. } | Step::Idle => self.finish(cx),
        }
    }

    fn play_if_ready(&mut self, cx: &mut Context<'_>) -> Heard {
        let (Step::Preparing(left), Some(slot)) = (&self.step, &self.current) else {
            return Heard::NotYet;
        };
        match &slot.made {
            Made::Awaited { .. } => Heard::NotYet,
            Made::Ready(span) if *span < AUDIBLE => self.finish(cx),
            Made::Ready(span) => {
                cx.out.push_back(Action::Play { token: slot.token });
                self.step = Step::Playing { left: *left, until: cx.now + *span + PLAY_GUARD };
                Heard::NotYet
            }
            Made::Failed(error) => {
                cx.warn(code_of(error), error.to_string());
                self.finish(cx)
            }
        }
    }

    fn finish(&mut self, cx: &mut Context<'_>) -> Heard {
        self.step = Step::Idle;
        discard(cx, self.current.take());
        Heard::Yes
    }
}

impl Slot {
    fn ask(cx: &mut Context<'_>, tokens: &mut u32, source: AudioSource) -> Self {
        let token = next(tokens);
        cx.out.push_back(Action::Prepare { token, source: source.clone() });
        let until = cx.now + PREPARE_GUARD;
        let made = Made::Awaited { until };
        Self { source, token, made }
    }
}

fn discard(cx: &mut Context<'_>, slot: Option<Slot>) {
    if let Some(Slot { token, .. }) = slot {
        cx.out.push_back(Action::Discard { token });
    }
}

const fn code_of(error: &AudioError) -> u16 {
    match error {
        AudioError::Fetch(_) => code::FETCH,
        AudioError::Unplayable(_) => code::CONTENT_TYPE,
        AudioError::Speech(_) => code::INTERNAL,
    }
}
