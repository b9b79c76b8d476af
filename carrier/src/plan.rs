//! What the carrier does with a call, decided by its called number alone.

use busyhour_base::Span;
use busyhour_simulations::behaviour::{Behaviour, ScriptedOutcome};

/// Decides how calls are treated. The same number must always get the same plan, so that runs can be compared.
pub trait Script: Send + Sync {
    /// The plan for a call to `called` (digits, with `+` where the caller sent one).
    fn plan(&self, called: &str) -> Plan;
}

impl<F: Fn(&str) -> Plan + Send + Sync> Script for F {
    fn plan(&self, called: &str) -> Plan {
        self(called)
    }
}

/// A scenario's called parties, as the simulator plays them too.
impl Script for Behaviour {
    fn plan(&self, called: &str) -> Plan {
        let script = self.script(called);
        let conclusion = match script.outcome {
            ScriptedOutcome::Answer { after, patience, greeting, keys } => {
                let keys = keys.into_iter().map(|press| KeyPress {
                    keys: press.key.to_string(),
                    when: KeyTime::AfterAnswer(press.after),
                });
                let talk = Talk {
                    greeting,
                    keys: keys.collect(),
                    hang_up: Some(HangUp { after: patience, lost: false }),
                    lose_byes: 0,
                };
                Conclusion::Answer { after, talk }
            }
            ScriptedOutcome::Refuse { after, code } => Conclusion::Refuse { after, status: code },
            ScriptedOutcome::NoAnswer => Conclusion::NoAnswer { crossing: None },
        };
        Plan { ring_after: script.rings_after, conclusion }
    }
}

/// One call's treatment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    /// 180 this long after the INVITE; none when absent.
    pub ring_after: Option<Span>,
    /// How the INVITE ends.
    pub conclusion: Conclusion,
}

/// How an INVITE ends when it is not cancelled before.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Conclusion {
    /// 200, this long after the INVITE.
    Answer {
        /// From the INVITE.
        after: Span,
        /// What is done once it is answered.
        talk: Talk,
    },
    /// A final failure, this long after the INVITE.
    Refuse {
        /// From the INVITE.
        after: Span,
        /// 400 to 699.
        status: u16,
    },
    /// It rings until the caller or the carrier's ring limit gives up.
    NoAnswer {
        /// A CANCEL crosses the answer: it is confirmed, but the INVITE gets 200 (RFC 3261 9.2) and this talk.
        crossing: Option<Talk>,
    },
    /// Nothing is ever sent, not even 100, and the call takes no channel: a carrier that is away.
    Silence,
}

/// The called party's part in an answered call.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Talk {
    /// Says hello for this long right after the answer; RTP goes on in silence.
    pub greeting: Span,
    /// Keys pressed, one entry after the other.
    pub keys: Vec<KeyPress>,
    /// When the called party hangs up; when absent it waits for the caller.
    pub hang_up: Option<HangUp>,
    /// So many BYE requests of the caller get no answer, as if lost on the way.
    pub lose_byes: u8,
}

/// Some keys, pressed one after the other.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyPress {
    /// `0` to `9`, `*`, `#`, `A` to `D`; others are left out.
    pub keys: String,
    /// When the first is pressed.
    pub when: KeyTime,
}

/// When keys are pressed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeyTime {
    /// This long after the answer.
    AfterAnswer(Span),
    /// This long after the far end, heard since the last keys, has stopped speaking.
    AfterSpeech(Span),
}

/// How the called party hangs up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HangUp {
    /// From the answer.
    pub after: Span,
    /// BYE is lost on its way: the carrier is done with the call and the caller is never told.
    pub lost: bool,
}
