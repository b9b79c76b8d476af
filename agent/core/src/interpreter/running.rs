//! One document being run: a place in it, what is heard, and what was gathered.

use std::sync::Arc;

use busyhour_base::{Method, Reason, Timestamp};
use url::Url;

use super::{
    Context, Event, code,
    player::{Cue, Heard, Player},
};
use crate::{
    errands::{AudioSource, Request},
    twiml::{Gather, Prompt, RejectReason, Verb},
    webhook::{address, template},
};

/// Keys that one `Gather` collects at most; it ends there.
const GATHERED_MAX: usize = 64;

pub(super) struct Running {
    verbs: Arc<[Verb]>,
    /// What was asked to get this document.
    origin: Request,
    base: Option<Url>,
    since: Timestamp,
    ending: Reason,
    at: usize,
    gathering: Gathering,
    player: Player,
}

/// Of the `Gather` that the session stands at.
#[derive(Default)]
struct Gathering {
    /// Prompts that are over.
    heard: usize,
    digits: String,
    /// Set once the prompts are over.
    until: Option<Timestamp>,
}

/// How it goes on.
pub(super) enum Flow {
    /// Something is awaited.
    Waits,
    /// The next verb needs the call to be up, and it is not.
    NeedsAnswer,
    /// The call is not to be answered.
    Reject(RejectReason),
    /// With another document, at `to` or, if that is empty, at this one's own address.
    Ask { to: String, method: Method, extra: Vec<(String, String)> },
    /// Not at all.
    Over(Reason),
}

impl Running {
    pub fn new(verbs: Vec<Verb>, origin: Request, base: Option<Url>) -> Self {
        Self {
            verbs: verbs.into(),
            origin,
            base,
            since: Timestamp::default(),
            ending: Reason::Completed,
            at: 0,
            gathering: Gathering::default(),
            player: Player::default(),
        }
    }

    pub fn starting(mut self, now: Timestamp) -> Self {
        self.since = now;
        self
    }

    pub fn ending_with(mut self, reason: Reason) -> Self {
        self.ending = reason;
        self
    }

    pub const fn since(&self) -> Timestamp {
        self.since
    }

    pub fn stop(&mut self, cx: &mut Context<'_>) {
        self.player.stop(cx);
    }

    pub fn wake_at(&self) -> Option<Timestamp> {
        self.gathering.until.or_else(|| self.player.wake_at())
    }

    /// An address in this document, made absolute.
    pub fn resolve(&self, address: &str) -> Result<String, String> {
        if address.is_empty() {
            address::resolve(None, &self.origin.url)
        } else {
            address::resolve(self.base.as_ref(), address)
        }
    }

    /// Runs on from where it stands, until something must be waited for.
    pub fn run(&mut self, cx: &mut Context<'_>, tokens: &mut u32) -> Flow {
        let verbs = Arc::clone(&self.verbs);
        loop {
            let prompt = match verbs.get(self.at) {
                Some(Verb::Reject(how)) if !cx.up => return self.leave(cx, Flow::Reject(*how)),
                verb if !cx.up && !goes_before_the_answer(verb) => {
                    return self.leave(cx, Flow::NeedsAnswer);
                }
                None | Some(Verb::Hangup | Verb::Reject(_)) => {
                    return self.leave(cx, Flow::Over(self.ending));
                }
                Some(Verb::Redirect(redirect)) => {
                    let flow = Flow::Ask {
                        to: redirect.url.clone(),
                        method: redirect.method,
                        extra: Vec::new(),
                    };
                    return self.leave(cx, flow);
                }
                Some(Verb::Prompt(prompt)) => prompt,
                Some(Verb::Gather(gather)) => match gather.prompts.get(self.gathering.heard) {
                    Some(prompt) => prompt,
                    None => {
                        self.gathering.until = Some(cx.now + gather.timeout);
                        return Flow::Waits;
                    }
                },
            };
            let heard = match self.cue(cx, prompt) {
                Some(cue) => self.player.start(cx, tokens, cue),
                None => Heard::Yes,
            };
            if heard == Heard::NotYet {
                self.look_ahead(cx, tokens);
                return Flow::Waits;
            }
            self.prompt_over();
        }
    }

    pub fn handle(&mut self, cx: &mut Context<'_>, tokens: &mut u32, event: Event) -> Flow {
        let heard = match event {
            Event::Prepared(token, result) => self.player.prepared(cx, token, result),
            Event::Played(token) => self.player.played(cx, token),
            Event::Digit(key) => return self.digit(cx, tokens, key),
            Event::Timer => match self.gathering.until {
                Some(until) if until <= cx.now => return self.gathered(cx, tokens, None),
                Some(_) => Heard::NotYet,
                None => self.player.timer(cx),
            },
            Event::Fetched(..) => Heard::NotYet,
        };
        match heard {
            Heard::NotYet => {
                self.look_ahead(cx, tokens);
                Flow::Waits
            }
            Heard::Yes => {
                self.prompt_over();
                self.run(cx, tokens)
            }
        }
    }

    fn prompt_over(&mut self) {
        match self.verbs.get(self.at) {
            Some(Verb::Gather(_)) => self.gathering.heard += 1,
            _ => self.at += 1,
        }
    }

    fn leave(&mut self, cx: &mut Context<'_>, flow: Flow) -> Flow {
        self.player.stop(cx);
        flow
    }

    fn gather(&self) -> Option<&Gather> {
        match self.verbs.get(self.at)? {
            Verb::Gather(gather) => Some(gather),
            _ => None,
        }
    }

    /// A key: it ends the prompts, and perhaps the input. Outside a `Gather` it means nothing.
    fn digit(&mut self, cx: &mut Context<'_>, tokens: &mut u32, key: char) -> Flow {
        let Some(gather) = self.gather() else { return Flow::Waits };
        if gather.finish_on_key == Some(key) {
            return self.gathered(cx, tokens, Some(key));
        }
        let wanted = gather.num_digits.map_or(GATHERED_MAX, |n| n as usize);
        self.gathering.until = Some(cx.now + gather.timeout);
        self.player.stop(cx);
        self.gathering.digits.push(key);
        if self.gathering.digits.len() >= wanted.min(GATHERED_MAX) {
            return self.gathered(cx, tokens, None);
        }
        Flow::Waits
    }

    /// The input is over: ask the action, or fall through to the next verb if there was none.
    fn gathered(
        &mut self,
        cx: &mut Context<'_>,
        tokens: &mut u32,
        finished_on: Option<char>,
    ) -> Flow {
        self.player.stop(cx);
        let digits = std::mem::take(&mut self.gathering).digits;
        let wanted = self.gather().filter(|gather| {
            let nowhere_to_go = gather.action.is_none() && self.origin.url.is_empty();
            (!digits.is_empty() || gather.action_on_empty_result) && !nowhere_to_go
        });
        let Some(gather) = wanted else {
            self.at += 1;
            return self.run(cx, tokens);
        };
        let finished_on = finished_on.map(String::from).unwrap_or_default();
        Flow::Ask {
            to: gather.action.clone().unwrap_or_default(),
            method: gather.method,
            extra: vec![("Digits".to_owned(), digits), ("FinishedOnKey".to_owned(), finished_on)],
        }
    }

    /// A prompt with its address filled in from what this document was asked with (SP-1). One whose address is
    /// none is warned of and passed over.
    fn cue(&self, cx: &mut Context<'_>, prompt: &Prompt) -> Option<Cue> {
        match prompt {
            Prompt::Keys(keys) => Some(Cue::Keys(keys.clone())),
            Prompt::Pause(span) => Some(Cue::Pause(*span)),
            Prompt::Audio { source, times } => match self.source(source) {
                Ok(source) => Some(Cue::Audio { source, times: *times }),
                Err(message) => {
                    cx.warn(code::FETCH, message);
                    None
                }
            },
        }
    }

    fn source(&self, source: &AudioSource) -> Result<AudioSource, String> {
        match source {
            AudioSource::Say { .. } => Ok(source.clone()),
            AudioSource::Play { url } => {
                let filled = template::fill(url, &self.origin.params);
                let url = self
                    .resolve(&filled)
                    .map_err(|message| format!("{}: {message}", address::shown(&filled)))?;
                Ok(AudioSource::Play { url })
            }
        }
    }

    /// Has the next audio made ready while something else is heard. Inside a `Gather` only its own prompts are
    /// looked at: what follows it is heard only if there is no input.
    fn look_ahead(&mut self, cx: &mut Context<'_>, tokens: &mut u32) {
        if !self.player.is_under_way() {
            return;
        }
        let next = match (self.gather(), self.verbs.get(self.at + 1)) {
            (Some(gather), _) => gather.prompts.get(self.gathering.heard + 1),
            (None, Some(Verb::Prompt(prompt))) => Some(prompt),
            (None, Some(Verb::Gather(gather))) => gather.prompts.first(),
            (None, _) => None,
        };
        if let Some(Prompt::Audio { source, .. }) = next
            && let Ok(source) = self.source(source)
        {
            self.player.look_ahead(cx, tokens, source);
        }
    }
}

/// What the field does while a call still rings: a `Pause` at the start of a document lets it ring on, and a `Redirect` may
/// lead to a `Reject`.
fn goes_before_the_answer(verb: Option<&Verb>) -> bool {
    matches!(verb, Some(Verb::Redirect(_) | Verb::Prompt(Prompt::Pause(_))))
}
