//! What a leg promises whatever happens to it: one INVITE, one end, bounded queues, and that it ends.

mod common;

use busyhour_agent_core::leg::{
    Action, AudioError, Document, FetchError, Input, Leg, Phase, RING_MAX, TALK_MAX, Token,
};
use busyhour_base::{
    CallEvent, Direction, Instructions, Outcome, Reason, Span, StatusEvents, Timestamp,
};
use common::{Driver, order, webhook};
use proptest::prelude::*;

/// Documents with everything that waits, loops, asks and fails.
const DOCUMENTS: &[&str] = &[
    "<Response/>",
    "<Response",
    "<Response><Hangup/></Response>",
    "<Response><Redirect/></Response>",
    "<Response><Say loop='0'>on and on</Say></Response>",
    "<Response><Play loop='0'>a.wav</Play><Redirect>b</Redirect></Response>",
    "<Response><Pause/><Redirect/></Response>",
    "<Response><Reject/></Response>",
    "<Response><Pause/><Reject reason='busy'/></Response>",
    "<Response><Gather timeout='1' actionOnEmptyResult='true'><Say>a</Say><Play digits='1w'/></Gather></Response>",
    "<Response><Gather numDigits='1' action='{Digits}'><Say>a</Say><Say>b</Say></Gather><Redirect/></Response>",
    "<Response><Say>a</Say><Say>b</Say><X/><Play>c</Play><Play>http://[</Play></Response>",
];

#[derive(Clone, Debug)]
enum Step {
    Give(Input),
    /// An answer to one of the last requests, or to none.
    Fetched(u32, usize),
    FetchFailed(u32),
    Prepared(u32, Span),
    PrepareFailed(u32),
    Played(u32),
    Pass(Span),
    Wake,
}

fn any_step() -> impl Strategy<Value = Step> {
    let tokens = 0_u32..30;
    let inputs = prop_oneof![
        3 => Just(Input::Start),
        3 => Just(Input::Sent),
        2 => prop_oneof![Just(100_u16), Just(180), Just(183)].prop_map(Input::Provisional),
        4 => Just(Input::Answered),
        1 => prop_oneof![Just(486_u16), Just(487), Just(503), Just(603)].prop_map(Input::Refused),
        1 => Just(Input::NotSent(Reason::LeaseExpired)),
        1 => Just(Input::Silent),
        1 => Just(Input::FarHangUp),
        1 => any::<bool>().prop_map(|confirmed| Input::Closed { confirmed }),
        1 => Just(Input::MediaLost),
        3 => prop_oneof![Just('1'), Just('#'), Just('z')].prop_map(Input::Digit),
        1 => Just(Input::HangUp(Reason::CanceledByTenant)),
        1 => Just(Input::Redirect(Instructions::Url(webhook("http://app/other")))),
        1 => (0..DOCUMENTS.len()).prop_map(|at| Input::Redirect(Instructions::Document(DOCUMENTS[at].to_owned()))),
        2 => Just(Input::Timer),
    ];
    prop_oneof![
        8 => inputs.prop_map(Step::Give),
        6 => (tokens.clone(), 0..DOCUMENTS.len()).prop_map(|(token, at)| Step::Fetched(token, at)),
        1 => tokens.clone().prop_map(Step::FetchFailed),
        4 => (tokens.clone(), 0_u64..4_000).prop_map(|(token, ms)| Step::Prepared(token, Span::from_millis(ms))),
        1 => tokens.clone().prop_map(Step::PrepareFailed),
        3 => tokens.prop_map(Step::Played),
        2 => (0_u64..40_000).prop_map(|ms| Step::Pass(Span::from_millis(ms))),
        4 => Just(Step::Wake),
    ]
}

fn document(at: usize) -> Document {
    Document {
        url: "http://app/any".to_owned(),
        content_type: "text/xml".to_owned(),
        body: DOCUMENTS[at].as_bytes().to_vec(),
    }
}

/// Checks every action as it comes.
struct Watched {
    driver: Driver,
    inbound: bool,
    invites: u32,
    ends: u32,
    told: Vec<&'static str>,
    sequence: u32,
    over: bool,
}

impl Watched {
    fn new(driver: Driver) -> Self {
        Self {
            driver,
            inbound: false,
            invites: 0,
            ends: 0,
            told: Vec::new(),
            sequence: 0,
            over: false,
        }
    }

    fn step(&mut self, step: &Step) {
        let actions = match step {
            Step::Give(input) => self.driver.give(input.clone()),
            Step::Fetched(token, at) => {
                self.driver.give(Input::Fetched { token: Token(*token), result: Ok(document(*at)) })
            }
            Step::FetchFailed(token) => {
                let result = Err(FetchError::Status(500));
                self.driver.give(Input::Fetched { token: Token(*token), result })
            }
            Step::Prepared(token, span) => self.driver.prepared(Token(*token), *span),
            Step::PrepareFailed(token) => {
                let result = Err(AudioError::Unplayable("noise".to_owned()));
                self.driver.give(Input::Prepared { token: Token(*token), result })
            }
            Step::Played(token) => self.driver.give(Input::Played { token: Token(*token) }),
            Step::Pass(span) => {
                self.driver.pass(*span);
                Vec::new()
            }
            Step::Wake => match self.driver.leg.wake_at() {
                Some(_) => self.driver.wake(),
                None => Vec::new(),
            },
        };
        self.check(&actions);
    }

    fn check(&mut self, actions: &[Action]) {
        assert!(actions.len() < 200, "{} actions at once", actions.len());
        assert!(!self.over || actions.is_empty(), "after its end: {actions:?}");
        for action in actions {
            match action {
                Action::Invite | Action::Answer | Action::Refuse { .. } => self.invites += 1,
                Action::Report(event) => self.report(event),
                Action::Callback(request) => {
                    let number = common::param(request, "SequenceNumber").unwrap();
                    assert_eq!(number, self.sequence.to_string());
                    self.sequence += 1;
                }
                Action::End => {
                    assert_eq!(self.ends, 1, "an end without its report");
                    assert_eq!(actions.last(), Some(action));
                    self.over = true;
                }
                _ => {}
            }
        }
        assert!(self.invites <= 1);
        assert_eq!(self.over, self.driver.leg.phase() == Phase::Over);
        assert!(
            self.over
                || self.driver.leg.phase() == Phase::New
                || self.driver.leg.wake_at().is_some()
        );
    }

    fn report(&mut self, event: &CallEvent) {
        let name = match event {
            CallEvent::NotSent(_) => "not sent",
            CallEvent::Sent => "sent",
            CallEvent::Ringing => "ringing",
            CallEvent::Answered => "answered",
            CallEvent::Ended(ending) => {
                assert!(ending.digits.len() <= 64);
                let was_up = self.told.contains(&"answered");
                assert!(!was_up || ending.outcome == Outcome::Completed);
                assert!(was_up || ending.outcome != Outcome::Completed);
                "ended"
            }
        };
        assert!(!self.told.contains(&name), "{name} is told twice");
        if name == "not sent" {
            assert_eq!(self.told, [] as [&str; 0], "not sent after all");
        }
        if matches!(name, "ringing" | "answered") {
            assert!(self.inbound || self.told.contains(&"sent"));
        }
        self.ends += u32::from(matches!(name, "not sent" | "ended"));
        assert!(self.ends <= 1);
        self.told.push(name);
    }
}

fn watched(fallback: bool, send_digits: bool, inbound: bool) -> Watched {
    let mut order = order();
    order.spec.status_callback = Some(webhook("http://app/status"));
    order.spec.status_events =
        StatusEvents { initiated: true, ringing: true, answered: true, completed: true };
    order.spec.fallback = fallback.then(|| webhook("http://spare/"));
    order.spec.send_digits = send_digits.then(|| "1w".to_owned());
    if inbound {
        order.spec.direction = Direction::Inbound;
    }
    Watched { inbound, ..Watched::new(Driver::new(order)) }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    /// Invariants 1 and 2 of RELIABILITY for one leg; and 10: with nothing but timers it ends.
    #[test]
    fn whatever_happens_a_leg_ends_once(
        steps in prop::collection::vec(any_step(), 0..80), fallback: bool, send_digits: bool, inbound: bool
    ) {
        let mut watched = watched(fallback, send_digits, inbound);
        watched.step(&Step::Give(Input::Start));
        steps.iter().for_each(|step| watched.step(step));
        let mut wakes = 0;
        while !watched.over {
            watched.step(&Step::Wake);
            wakes += 1;
            prop_assert!(wakes < 50_000, "it does not end");
        }
        prop_assert_eq!(watched.ends, 1);
        prop_assert_eq!(watched.driver.leg.wake_at(), None);
    }
}

proptest! {
    // Each case is ten minutes of a call.
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// An application server that always answers with some document, a speech engine that always works: however the
    /// documents lead to each other, the leg asks within bounds at any instant and ends by its time limit.
    #[test]
    fn no_documents_keep_a_leg_busy_without_time_passing(
        choice in prop::collection::vec(0..DOCUMENTS.len(), 1..6), length_ms in 0_u64..3_000
    ) {
        let (driver, actions) = Driver::answered(order());
        let mut watched = Watched { told: vec!["sent", "ringing", "answered"], invites: 1, ..Watched::new(driver) };
        let start = watched.driver.now;
        let (mut queue, mut asked, mut at_once, mut last) = (actions, 0_usize, 0, start);
        while !watched.over {
            let waiting = std::mem::take(&mut queue);
            let before = watched.driver.all.len();
            for action in &waiting {
                match action {
                    Action::Fetch { token, .. } => {
                        watched.step(&Step::Fetched(token.0, choice[asked % choice.len()]));
                        asked += 1;
                    }
                    Action::Prepare { token, .. } => watched.step(&Step::Prepared(token.0, Span::from_millis(length_ms))),
                    Action::Play { token } => {
                        watched.step(&Step::Pass(Span::from_millis(length_ms)));
                        watched.step(&Step::Played(token.0));
                    }
                    Action::Bye => watched.step(&Step::Give(Input::Closed { confirmed: true })),
                    _ => {}
                }
            }
            let is_idle = watched.driver.all.len() == before;
            watched.step(&if is_idle { Step::Wake } else { Step::Give(Input::Timer) });
            queue.extend_from_slice(&watched.driver.all[before..]);
            at_once = if watched.driver.now == last { at_once + 1 } else { 0 };
            last = watched.driver.now;
            prop_assert!(at_once < 500, "{} rounds at one instant", at_once);
            watched.driver.all.clear();
        }
        prop_assert!(watched.driver.now <= start + Span::from_secs(600 + 6), "two prompts after the limit at most");
    }
}

/// Absurd orders do not make a leg last for ever.
#[test]
fn absurd_limits_are_cut() {
    let mut order = order();
    order.spec.ring_timeout = Span(u64::MAX);
    order.spec.time_limit = Span(u64::MAX);
    let mut leg = Leg::new(order);
    let start = Timestamp(1_000_000);
    leg.handle(start, Input::Start);
    assert_eq!(leg.wake_at(), Some(start + RING_MAX));
    leg.handle(start, Input::Answered);
    while leg.poll().is_some() {}
    leg.handle(
        start,
        Input::Redirect(Instructions::Document(
            "<Response><Pause length='3600'/></Response>".to_owned(),
        )),
    );
    assert!(leg.wake_at() <= Some(start + TALK_MAX));
}
