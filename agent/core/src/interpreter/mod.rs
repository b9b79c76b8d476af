//! The document session of a call: instructions are fetched, run in order, and lead to the next document (SP-1 to SP-7).
//!
//! Before a call is answered its session does what needs no answer: it asks for documents, follows redirects, pauses, and
//! may find that the call is to be rejected. At the first verb that needs the call up it waits for that.
//!
//! [`Session`] is driven by the leg that owns it, in the same manner as the leg by its shell: it takes events and
//! puts actions into the leg's queue. What it wants of the call itself it says by [`Session::wish`].

mod answer;
mod player;
mod running;

use std::collections::VecDeque;

use busyhour_base::{Instructions, Reason, Span, Timestamp, Webhook};

use self::running::{Flow, Running};
use crate::{
    errands::{AudioError, Document, FetchError, Request, Token},
    leg::Action,
    media::dtmf,
    twiml::{self, Prompt, Redirect, RejectReason, Verb},
    webhook::{Base, address, template},
};

/// What is said when neither the application nor its fallback gives instructions (SP-7).
pub const APOLOGY: &str = "We are sorry. An application error has occurred. Goodbye.";
/// How long an application server may take, all redirects included. The shell's own bound is shorter; this
/// catches a shell that forgets.
pub const FETCH_GUARD: Span = Span::from_secs(30);
/// Documents of one call.
pub const DOCUMENTS_MAX: u32 = 20_000;
/// Documents in a row that last less than [`BRIEF`] each: a loop of redirects that nobody hears.
pub const BRIEF_DOCUMENTS_MAX: u32 = 20;
/// See [`BRIEF_DOCUMENTS_MAX`].
pub const BRIEF: Span = Span::from_secs(1);

/// Keys that are pressed after the answer.
pub const SEND_DIGITS_MAX: usize = 128;

/// Error codes of the field that a session warns with (`WIRE.md`).
pub mod code {
    /// Could not be fetched.
    pub const FETCH: u16 = 11_200;
    /// Too many documents in a row.
    pub const LOOP: u16 = 11_215;
    /// Could not be parsed.
    pub const PARSE: u16 = 12_100;
    /// Unknown verb or attribute, or a value that is not allowed.
    pub const SCHEMA: u16 = 12_200;
    /// Of a type that is neither instructions nor audio nor text.
    pub const CONTENT_TYPE: u16 = 12_300;
    /// The platform's own failure.
    pub const INTERNAL: u16 = 12_400;
}

/// What a session needs from its leg at every step.
pub(crate) struct Context<'a> {
    pub now: Timestamp,
    /// The call is answered.
    pub up: bool,
    pub base: &'a Base,
    pub fallback: Option<&'a Webhook>,
    pub out: &'a mut VecDeque<Action>,
}

impl Context<'_> {
    fn warn(&mut self, code: u16, message: String) {
        self.out.push_back(Action::Warn { code, message });
    }

    /// What applications are told of the call.
    fn params(&self) -> Vec<(String, String)> {
        self.base.params(if self.up { "in-progress" } else { "ringing" })
    }
}

/// What a session wants of its call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Wish {
    /// What comes next needs the call to be up.
    Answer,
    /// It is not to be answered.
    Reject(RejectReason),
    /// There is nothing left to do.
    HangUp(Reason),
}

/// The session. Nothing happens before [`Session::begin`].
#[derive(Default)]
pub(crate) struct Session {
    state: State,
    tokens: u32,
    documents: u32,
    brief_documents: u32,
    wish: Option<Wish>,
}

#[derive(Default)]
enum State {
    #[default]
    Idle,
    Asking(Asking),
    Running(Box<Running>),
    /// It stands at a verb that needs the call to be up.
    Held(Box<Running>),
}

/// A request that is out.
struct Asking {
    token: Token,
    request: Request,
    is_fallback: bool,
    until: Timestamp,
}

/// What came in for a session.
pub(crate) enum Event {
    Fetched(Token, Result<Document, FetchError>),
    Prepared(Token, Result<Span, AudioError>),
    Played(Token),
    Digit(char),
    Timer,
}

impl Session {
    /// Presses `keys`, if there are any, and goes on with `instructions`; whatever ran before is stopped.
    pub fn begin(&mut self, cx: &mut Context<'_>, keys: Option<&str>, instructions: &Instructions) {
        self.stop(cx);
        self.wish = None;
        self.brief_documents = 0;
        let keys: String = keys.into_iter().flat_map(sendable).collect();
        let mut verbs = Vec::new();
        if !keys.is_empty() {
            verbs.push(Verb::Prompt(Prompt::Keys(keys)));
        }
        let params = cx.params();
        match instructions {
            Instructions::Url(Webhook { url, method }) => {
                verbs.push(Verb::Redirect(Redirect { url: url.clone(), method: *method }))
            }
            Instructions::Document(text) => match twiml::parse(text.as_bytes()) {
                Ok(document) => {
                    warn_of(cx, "the call's own document", &document);
                    verbs.extend(document.verbs);
                }
                Err(error) => {
                    let request = request("", params);
                    return self.fail(cx, &request, false, code::PARSE, &error.to_string());
                }
            },
        }
        self.run(cx, Running::new(verbs, request("", params), None));
    }

    /// Ends it in silence.
    pub fn stop(&mut self, cx: &mut Context<'_>) {
        if let State::Running(mut running) = std::mem::take(&mut self.state) {
            running.stop(cx);
        }
    }

    /// The call is up now: goes on where it stands.
    pub fn resume(&mut self, cx: &mut Context<'_>) {
        self.wish = None;
        match std::mem::take(&mut self.state) {
            State::Held(running) => self.run(cx, *running),
            state => self.state = state,
        }
    }

    /// What it wants of the call, if anything.
    pub const fn wish(&self) -> Option<Wish> {
        self.wish
    }

    /// When [`Event::Timer`] is due.
    pub fn wake_at(&self) -> Option<Timestamp> {
        match &self.state {
            State::Idle | State::Held(_) => None,
            State::Asking(asking) => Some(asking.until),
            State::Running(running) => running.wake_at(),
        }
    }

    /// Takes in what happened.
    pub fn handle(&mut self, cx: &mut Context<'_>, event: Event) {
        match (std::mem::take(&mut self.state), event) {
            (State::Asking(asking), Event::Fetched(token, result)) if asking.token == token => {
                self.fetched(cx, &asking, result);
            }
            (State::Asking(asking), Event::Timer) if asking.until <= cx.now => {
                let late = FetchError::Transport("no answer in time".to_owned());
                self.fetched(cx, &asking, Err(late));
            }
            (State::Running(mut running), event) => {
                let flow = running.handle(cx, &mut self.tokens, event);
                self.go_on(cx, running, flow);
            }
            (state, _) => self.state = state,
        }
    }

    fn fetched(
        &mut self,
        cx: &mut Context<'_>,
        asking: &Asking,
        result: Result<Document, FetchError>,
    ) {
        let answer = match result {
            Ok(document) => {
                answer::judge(&document).map(|instructions| (instructions, document.url))
            }
            Err(error) => Err((code::FETCH, error.to_string())),
        };
        match answer {
            Ok((document, url)) => {
                warn_of(cx, &address::shown(&url), &document);
                let running =
                    Running::new(document.verbs, asking.request.clone(), address::base(&url));
                self.run(cx, running);
            }
            Err((code, message)) => {
                self.fail(cx, &asking.request, asking.is_fallback, code, &message);
            }
        }
    }

    fn run(&mut self, cx: &mut Context<'_>, running: Running) {
        let mut running = Box::new(running.starting(cx.now));
        let flow = running.run(cx, &mut self.tokens);
        self.go_on(cx, running, flow);
    }

    fn go_on(&mut self, cx: &mut Context<'_>, running: Box<Running>, flow: Flow) {
        match flow {
            Flow::Waits => self.state = State::Running(running),
            Flow::NeedsAnswer => {
                self.state = State::Held(running);
                self.wish = Some(Wish::Answer);
            }
            Flow::Reject(how) => self.wish = Some(Wish::Reject(how)),
            Flow::Over(reason) => self.wish = Some(Wish::HangUp(reason)),
            Flow::Ask { to, method, extra } => {
                if cx.now.since(running.since()) >= BRIEF {
                    self.brief_documents = 0;
                }
                let mut params = cx.params();
                params.extend(extra);
                let filled = template::fill(&to, &params);
                let resolved = running.resolve(&filled);
                let request = Request { url: resolved.clone().unwrap_or(filled), method, params };
                match resolved {
                    Ok(_) => self.ask(cx, request, false),
                    Err(message) => self.fail(cx, &request, false, code::FETCH, &message),
                }
            }
        }
    }

    fn ask(&mut self, cx: &mut Context<'_>, request: Request, is_fallback: bool) {
        self.documents += 1;
        self.brief_documents += 1;
        if self.documents > DOCUMENTS_MAX || self.brief_documents > BRIEF_DOCUMENTS_MAX {
            let url = address::shown(&request.url);
            cx.warn(code::LOOP, format!("{url}: one document leads to the next without end"));
            return self.apologise(cx);
        }
        let token = next(&mut self.tokens);
        cx.out.push_back(Action::Fetch { token, request: request.clone() });
        self.state =
            State::Asking(Asking { token, request, is_fallback, until: cx.now + FETCH_GUARD });
    }

    /// Asks the fallback with the same parameters and the error (SP-7), or gives up.
    fn fail(
        &mut self,
        cx: &mut Context<'_>,
        failed: &Request,
        was_fallback: bool,
        code: u16,
        message: &str,
    ) {
        let url = address::shown(&failed.url);
        cx.warn(code, format!("{url}: {message}"));
        let Some(fallback) = cx.fallback.filter(|_| !was_fallback) else {
            return self.apologise(cx);
        };
        let mut params = failed.params.clone();
        params.push(("ErrorCode".to_owned(), code.to_string()));
        params.push(("ErrorUrl".to_owned(), url));
        match address::resolve(None, &template::fill(&fallback.url, &params)) {
            Ok(url) => {
                let method = fallback.method;
                self.ask(cx, Request { url, method, params }, true);
            }
            Err(message) => {
                let url = address::shown(&fallback.url);
                cx.warn(code::FETCH, format!("{url}: {message}"));
                self.apologise(cx);
            }
        }
    }

    fn apologise(&mut self, cx: &mut Context<'_>) {
        let verbs = twiml::Document::speak(APOLOGY).verbs;
        let running = Running::new(verbs, request("", Vec::new()), None);
        self.run(cx, running.ending_with(Reason::DocumentFailed));
    }
}

/// The keys of `SendDigits` that can be pressed, up to a bound.
fn sendable(keys: &str) -> impl Iterator<Item = char> {
    keys.chars().filter(|key| dtmf::is_sendable(*key)).take(SEND_DIGITS_MAX)
}

fn request(url: &str, params: Vec<(String, String)>) -> Request {
    Request { url: url.to_owned(), method: busyhour_base::Method::Post, params }
}

fn warn_of(cx: &mut Context<'_>, source: &str, document: &twiml::Document) {
    for warning in &document.warnings {
        cx.warn(code::SCHEMA, format!("{source}: {warning}"));
    }
}

fn next(tokens: &mut u32) -> Token {
    *tokens = tokens.wrapping_add(1);
    Token(*tokens)
}
