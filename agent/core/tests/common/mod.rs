//! A leg with a clock, driven as its contract demands.
#![allow(dead_code, reason = "each test program uses a part")]

use busyhour_agent_core::leg::{Action, Document, Input, Leg, Order, Request, Token};
use busyhour_base::{
    AccountSid, CallEvent, CallSid, CallSpec, Direction, Ending, Instructions, Method, Span,
    StatusEvents, Timestamp, Webhook,
};

pub const T0: Timestamp = Timestamp(1_773_144_000_000_000);

pub fn webhook(url: &str) -> Webhook {
    Webhook { url: url.to_owned(), method: Method::Post }
}

pub fn order() -> Order {
    Order {
        call_sid: CallSid(0xca),
        account_sid: AccountSid(0xac),
        spec: CallSpec {
            to: "+15550100".to_owned(),
            from: "+15550199".to_owned(),
            instructions: Instructions::Url(webhook("http://app/first.xml")),
            fallback: None,
            status_callback: None,
            status_events: StatusEvents::default(),
            send_digits: None,
            ring_timeout: Span::from_secs(30),
            time_limit: Span::from_secs(600),
            direction: Direction::OutboundApi,
        },
    }
}

pub struct Driver {
    pub leg: Leg,
    pub now: Timestamp,
    pub all: Vec<Action>,
}

impl Driver {
    pub fn new(order: Order) -> Self {
        Self { leg: Leg::new(order), now: T0, all: Vec::new() }
    }

    /// A leg whose call was answered after 3 s, with the actions of the answer.
    pub fn answered(order: Order) -> (Self, Vec<Action>) {
        let mut driver = Self::new(order);
        driver.give(Input::Start);
        driver.give(Input::Sent);
        driver.give(Input::Provisional(180));
        driver.pass(Span::from_secs(3));
        let actions = driver.give(Input::Answered);
        (driver, actions)
    }

    /// A leg that runs this document.
    pub fn running(body: &str) -> (Self, Vec<Action>) {
        let (mut driver, actions) = Self::answered(order());
        let (token, _) = fetch(&actions);
        let actions = driver.document(token, "http://app/first.xml", body);
        (driver, actions)
    }

    pub fn give(&mut self, input: Input) -> Vec<Action> {
        self.leg.handle(self.now, input);
        let actions: Vec<_> = std::iter::from_fn(|| self.leg.poll()).collect();
        self.all.extend(actions.iter().cloned());
        actions
    }

    pub fn document(&mut self, token: Token, url: &str, body: &str) -> Vec<Action> {
        let result = Ok(Document {
            url: url.to_owned(),
            content_type: "text/xml".to_owned(),
            body: body.as_bytes().to_vec(),
        });
        self.give(Input::Fetched { token, result })
    }

    pub fn prepared(&mut self, token: Token, length: Span) -> Vec<Action> {
        let result = Ok(length);
        self.give(Input::Prepared { token, result })
    }

    /// Lets time pass without waking the leg.
    pub fn pass(&mut self, span: Span) {
        self.now = self.now + span;
    }

    /// Goes to the time at which the leg wants to be woken, and wakes it.
    pub fn wake(&mut self) -> Vec<Action> {
        let at = self.leg.wake_at().expect("the leg waits for a time");
        self.now = self.now.max(at);
        self.give(Input::Timer)
    }

    pub fn events(&self) -> Vec<&CallEvent> {
        self.all
            .iter()
            .filter_map(|action| match action {
                Action::Report(event) => Some(event),
                _ => None,
            })
            .collect()
    }

    pub fn ending(&self) -> &Ending {
        let endings: Vec<_> = self.events();
        match endings.last() {
            Some(CallEvent::Ended(ending)) => ending,
            other => panic!("not ended: {other:?}"),
        }
    }

    pub fn callbacks(&self) -> Vec<&Request> {
        self.all
            .iter()
            .filter_map(|action| match action {
                Action::Callback(request) => Some(request),
                _ => None,
            })
            .collect()
    }
}

pub fn fetch(actions: &[Action]) -> (Token, Request) {
    actions
        .iter()
        .find_map(|action| match action {
            Action::Fetch { token, request } => Some((*token, request.clone())),
            _ => None,
        })
        .unwrap_or_else(|| panic!("nothing is fetched: {actions:?}"))
}

pub fn prepare(actions: &[Action]) -> Token {
    actions
        .iter()
        .find_map(|action| match action {
            Action::Prepare { token, .. } => Some(*token),
            _ => None,
        })
        .unwrap_or_else(|| panic!("nothing is prepared: {actions:?}"))
}

pub fn warned(actions: &[Action]) -> Vec<u16> {
    actions
        .iter()
        .filter_map(|action| match action {
            Action::Warn { code, .. } => Some(*code),
            _ => None,
        })
        .collect()
}

pub fn param<'a>(request: &'a Request, key: &str) -> Option<&'a str> {
    let found = request.params.iter().find(|(name, _)| name == key);
    found.map(|(_, value)| value.as_str())
}
