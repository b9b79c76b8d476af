//! What happens to a call outside of its leg, as the leg's inputs.

use busyhour_agent_core::leg::Input;
use busyhour_base::Reason;

use super::driver::{Done, Driver, Way};
use crate::{media::MediaEvent, sip::SipEvent};

impl Driver {
    pub(super) fn take_sip(&mut self, event: SipEvent) {
        let input = match event {
            SipEvent::Provisional(status) => Input::Provisional(status),
            SipEvent::Answered { answer, dialog } => {
                self.end_invite(200);
                self.node.journal.answered(
                    self.job.call,
                    self.job.attempt,
                    &self.job.carrier,
                    &dialog,
                );
                self.take_answer(&answer);
                return;
            }
            SipEvent::Refused(status) => {
                self.end_invite(status);
                Input::Refused(status)
            }
            SipEvent::Silent => {
                self.end_invite(0);
                Input::Silent
            }
            SipEvent::FarHangUp => Input::FarHangUp,
            SipEvent::Closed { confirmed } => Input::Closed { confirmed },
            SipEvent::SessionLost => Input::MediaLost,
            SipEvent::Reoffered { offer, answer } => {
                let answered = self.negotiation.reanswer(offer.as_deref());
                if let Some((Some(agreed), _)) = &answered {
                    self.media.connect(agreed.clone());
                }
                // The dialog may be over by now.
                let _ = answer.send(answered.map(|(_, sdp)| sdp));
                return;
            }
        };
        self.inputs.push_back(input);
    }

    /// The call is up even if its answer makes no sense: it was charged, and must be hung up.
    fn take_answer(&mut self, answer: &[u8]) {
        if matches!(self.way, Way::In { offered: true, .. }) {
            // Its side came with the INVITE.
            self.inputs.push_back(Input::Answered);
            return;
        }
        let agreed = self.negotiation.take_answer(answer);
        if let Ok(agreed) = &agreed {
            self.media.connect(agreed.clone());
        }
        self.inputs.push_back(Input::Answered);
        if let Err(error) = agreed {
            tracing::warn!(%error, "the carrier's SDP is unusable");
            self.inputs.push_back(Input::HangUp(Reason::CarrierFailure));
        }
    }

    fn end_invite(&mut self, status: u16) {
        if let Some(span) = self.inviting.take() {
            span.record("status", status);
        }
    }

    pub(super) fn take_media(&mut self, event: MediaEvent) {
        self.inputs.push_back(match event {
            MediaEvent::Played(token) => {
                self.playing = None;
                Input::Played { token }
            }
            MediaEvent::Digit(key) => Input::Digit(key),
            MediaEvent::Lost => Input::MediaLost,
        });
    }

    pub(super) fn take_done(&mut self, done: Done) {
        self.inputs.push_back(match done {
            Done::Fetched(token, result) => Input::Fetched { token, result },
            Done::Prepared(token, result) => {
                let result = result.map(|clip| {
                    let span = clip.span();
                    if self.wanted.remove(&token) {
                        self.clips.insert(token, clip);
                    }
                    span
                });
                Input::Prepared { token, result }
            }
        });
    }
}
