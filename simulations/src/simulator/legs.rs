//! An agent's shell: orders taken by the journal's rules, and the deeds that a leg asks for.

use busyhour_agent_core::{
    journal::Attempt,
    leg::{Action, AudioSource, Input as LegInput, Token},
};
use busyhour_base::{CallEvent, Reason, SidKey, Span, Timestamp};
use busyhour_controller_core::effect::Dial;

use super::{
    Key,
    agent::Running,
    callers::CallerEvent,
    carrier,
    faults::{CARRIER_KEEPS, GIVEN_UP_AFTER},
    world::{Event, Message, World},
};

/// Warnings that are kept.
const WARNINGS_MAX: usize = 100;

impl World<'_> {
    fn running(&mut self, key: Key) -> Option<&mut Running> {
        let index = self.index_of(key.agent)?;
        self.agents[index].legs.get_mut(&key)
    }

    /// An order reaches its agent. What must be on the disk before the INVITE is written first.
    pub(super) fn on_order(&mut self, now: Timestamp, link: u64, dial: &Dial) {
        let key = Key { call: dial.call, attempt: dial.attempt, agent: dial.agent };
        let Some(index) = self.index_of(dial.agent) else { return };
        let agent = &mut self.agents[index];
        if agent.link != Some(link) {
            return;
        }
        let attempt = Attempt { call: dial.call.0, attempt: u32::from(dial.attempt) };
        let entries = match agent.journal.to_send(attempt, dial.fence) {
            // Its first order is being answered, or was.
            Err(Reason::Duplicate) => return,
            Ok(_) if agent.legs.len() >= agent.slots => Err(Reason::AgentFull),
            judged => judged,
        };
        match entries {
            Ok(entries) => {
                agent.journal.extend(&entries);
                let sids = SidKey(u128::from(self.input.scenario.behaviour.seed));
                agent.legs.insert(key, Running::new(dial, sids));
                self.routes.insert(key, (dial.carrier.to_string(), dial.spec.to.clone()));
                self.queue.put(now + self.faults.journal, Event::Leg(key, LegInput::Start));
            }
            Err(reason) => self.report_call(now, key, CallEvent::NotSent(reason)),
        }
    }

    /// Something happens to a leg; whatever it asks for is done.
    pub(super) fn tell_leg(&mut self, now: Timestamp, key: Key, input: LegInput) {
        let Some(running) = self.running(key) else { return };
        running.leg.handle(now, input);
        let actions: Vec<_> = std::iter::from_fn(|| running.leg.poll()).collect();
        let wake = running.leg.wake_at().filter(|at| running.wake != Some(*at));
        if let Some(at) = wake {
            running.wake = Some(at);
            self.queue.put(at, Event::Leg(key, LegInput::Timer));
        }
        for action in actions {
            self.act(now, key, action);
        }
    }

    fn act(&mut self, now: Timestamp, key: Key, action: Action) {
        let latencies = self.input.latencies;
        let at_carrier = now + latencies.signalling;
        match action {
            Action::Invite => self.invite(now, key),
            Action::Cancel => self.queue.put(at_carrier, Event::AtCarrier(key, Message::Cancel)),
            Action::Bye if self.callers.of(key).is_some() => self.hang_up_on_caller(now, key),
            Action::Bye if self.faults.loses_bye(key.call.0) => {
                let closed = LegInput::Closed { confirmed: false };
                self.queue.put(now + GIVEN_UP_AFTER, Event::Leg(key, closed));
                self.queue
                    .put(now + CARRIER_KEEPS, Event::CarrierStep(key, carrier::Step::Abandon));
            }
            Action::Bye => self.queue.put(at_carrier, Event::AtCarrier(key, Message::Bye)),
            Action::Fetch { token, request } => {
                let result = self.application.fetch(&request);
                let answer = Event::Leg(key, LegInput::Fetched { token, result });
                self.queue.put(now + latencies.web.times(2), answer);
            }
            Action::Prepare { token, source } => {
                let result = self.application.length(&source);
                if let (Some(running), Ok(length)) = (self.running(key), &result) {
                    running.ready.insert(token, *length);
                }
                let ready = now
                    + self.preparing(key, &source, result.as_ref().copied().unwrap_or_default());
                self.queue.put(ready, Event::Leg(key, LegInput::Prepared { token, result }));
            }
            Action::Play { token } => self.play(now, key, token),
            Action::StopPlaying => self.silence(now, key),
            Action::Discard { token } => {
                self.running(key).map(|running| running.ready.remove(&token));
            }
            Action::Report(event) => self.report_call(now, key, event),
            Action::Warn { code, message } => {
                if self.warnings.len() < WARNINGS_MAX {
                    self.warnings.push(format!("{code}: {message}"));
                }
            }
            Action::End => {
                self.silence(now, key);
                let index = self.index_of(key.agent);
                index.map(|index| self.agents[index].legs.remove(&key));
            }
            Action::Answer => self.tell_its_caller(now, key, CallerEvent::Answered),
            Action::Refuse { status, reason } => {
                self.tell_its_caller(now, key, CallerEvent::Refused { status, reason });
            }
            Action::Ring | Action::SendDigits(_) | Action::Callback(_) => {}
        }
    }

    fn tell_its_caller(&mut self, now: Timestamp, key: Key, event: CallerEvent) {
        if let Some(of) = self.callers.of(key) {
            self.leg_tells_caller(now, of, event);
        }
    }

    fn hang_up_on_caller(&mut self, now: Timestamp, key: Key) {
        let lost = self.faults.loses_bye(key.call.0);
        let after = if lost { GIVEN_UP_AFTER } else { self.input.latencies.signalling.times(2) };
        if !lost {
            self.tell_its_caller(now, key, CallerEvent::HungUp);
        }
        self.queue.put(now + after, Event::Leg(key, LegInput::Closed { confirmed: !lost }));
    }

    /// How long it takes to have audio ready that lasts `length`.
    fn preparing(&mut self, key: Key, source: &AudioSource, length: Span) -> Span {
        let latencies = self.input.latencies;
        let AudioSource::Say { text, .. } = source else { return latencies.speech };
        let Some(index) = self.index_of(key.agent) else { return latencies.speech };
        if self.agents[index].said.insert(text.clone()) {
            latencies.speech + Span(latencies.synthesis.0 * length.0 / Span::from_secs(1).0)
        } else {
            latencies.speech
        }
    }

    fn invite(&mut self, now: Timestamp, key: Key) {
        self.watch.on_invite(now, key);
        self.queue.put(now, Event::Leg(key, LegInput::Sent));
        if self.faults.loses_invite(key.call.0) {
            return self.queue.put(now + GIVEN_UP_AFTER, Event::Leg(key, LegInput::Silent));
        }
        let at = now + self.input.latencies.signalling;
        self.queue.put(at, Event::AtCarrier(key, Message::Invite));
    }

    fn play(&mut self, now: Timestamp, key: Key, token: Token) {
        self.silence(now, key);
        let Some(running) = self.running(key) else { return };
        let length = running.ready.get(&token).copied().unwrap_or_default();
        running.playing = Some((token, now));
        let played = running.played;
        self.queue.put(now + length, Event::AudioEnds { key, token, played });
    }

    /// Audio has come to its end, unless it was stopped before.
    pub(super) fn on_audio_end(&mut self, now: Timestamp, key: Key, token: Token, played: u64) {
        if self.running(key).is_some_and(|running| running.played == played) {
            self.silence(now, key);
            self.tell_leg(now, key, LegInput::Played { token });
        }
    }

    /// Ends what is being played; the called party has heard it so far.
    fn silence(&mut self, now: Timestamp, key: Key) {
        let Some(running) = self.running(key) else { return };
        let heard = running.stop(now);
        let name = running.carrier.clone();
        if let Some(of) = self.callers.of(key) {
            return self.callers.hear(of, heard);
        }
        if heard > Span::ZERO
            && let Some(carrier) = self.carriers.get_mut(&name)
        {
            carrier.hear(key, heard);
        }
    }

    /// Carries out what the carrier has done.
    pub(super) fn carry_from_carrier(
        &mut self,
        now: Timestamp,
        key: Key,
        outcome: carrier::Outcome,
    ) {
        for reply in outcome.replies {
            self.queue.put(now + self.input.latencies.signalling, Event::Leg(key, reply));
        }
        for (after, step) in outcome.steps {
            self.queue.put(now + after, Event::CarrierStep(key, step));
        }
    }
}
