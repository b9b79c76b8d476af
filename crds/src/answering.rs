//! What answers the calls and the messages to a tenant's numbers (SP-1).

use std::collections::HashMap;

use busyhour_base::{
    AccountSid, Body, CallSpec, Direction, Instructions, Keyword, Span, StatusEvents, Webhook,
};
use busyhour_controller_core::message::AnsweredBy;

use crate::{
    Declared,
    kinds::{
        ApplicationSpec, CallbackEvent, FirstDocument, KeywordAnswerer, KeywordAnswers,
        StatusCallback,
    },
};

/// Most that an inbound call lasts, as for calls that the API places (`calls.create`, TimeLimit).
const TIME_LIMIT: Span = Span::from_secs(14_400);

/// What answers a number's calls.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answering {
    /// Whose number it is.
    pub account: AccountSid,
    /// First document.
    pub voice: Webhook,
    /// Asked when the first fails.
    pub fallback: Option<Webhook>,
    /// Told of progress, and of which.
    pub status_callback: Option<(Webhook, StatusEvents)>,
    /// How long a call may ring.
    pub ring_for: Span,
}

impl Answering {
    /// A call to this number.
    pub fn call(&self, to: String, from: String) -> CallSpec {
        let (hook, events) = self.status_callback.clone().unzip();
        CallSpec {
            to,
            from,
            instructions: Instructions::Url(self.voice.clone()),
            fallback: self.fallback.clone(),
            status_callback: hook,
            status_events: events.unwrap_or_default(),
            send_digits: None,
            ring_timeout: self.ring_for,
            time_limit: TIME_LIMIT,
            direction: Direction::Inbound,
        }
    }
}

/// Who is asked about a number's messages.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Texting {
    /// Whose number it is.
    pub account: AccountSid,
    /// Its application; without one messages are taken in and nobody is asked.
    pub application: Option<TextingApplication>,
    /// Who answers STOP, START and HELP.
    pub keywords: KeywordAnswers,
}

impl Texting {
    /// Who answers a message with this text, if it is one that says STOP, START or HELP.
    pub fn answered_by(&self, text: &str) -> AnsweredBy {
        match self.keywords.answered_by {
            KeywordAnswerer::Application => AnsweredBy::Application,
            KeywordAnswerer::Platform => {
                let own = Keyword::of(text).and_then(|keyword| self.keywords.to(keyword));
                AnsweredBy::Platform(own.map(|own| Body::from(own.as_str())))
            }
        }
    }
}

/// An application that is asked about messages.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TextingApplication {
    /// First document.
    pub hook: Webhook,
    /// Asked when a document fails.
    pub fallback: Option<Webhook>,
}

impl FirstDocument {
    /// How it is asked for.
    pub fn hook(&self) -> Webhook {
        Webhook { url: self.url.clone(), method: self.method.into() }
    }

    /// Asked when it fails.
    pub fn fallback(&self) -> Option<Webhook> {
        let url = self.fallback_url.as_ref()?;
        Some(Webhook { url: url.clone(), method: self.fallback_method.into() })
    }
}

impl ApplicationSpec {
    /// The first document of its calls.
    pub fn first_document(&self) -> Webhook {
        self.voice.hook()
    }

    /// Asked when a document fails.
    pub fn fallback(&self) -> Option<Webhook> {
        self.voice.fallback()
    }

    /// Who is told of its calls' progress, and of which.
    pub fn told(&self) -> Option<(Webhook, StatusEvents)> {
        let callback = self.status_callback.as_ref()?;
        let hook = Webhook { url: callback.url.clone(), method: callback.method.into() };
        Some((hook, status_events(callback)))
    }
}

impl Declared {
    /// What answers calls, by number in E.164.
    pub fn answering(&self) -> HashMap<String, Answering> {
        let numbers = self.numbers.values().filter_map(|spec| {
            let account = self.tenants.get(&spec.tenant)?.spec.account;
            let answers = self.applications.get(spec.application.as_ref()?)?;
            let answering = Answering {
                account,
                voice: answers.first_document(),
                fallback: answers.fallback(),
                status_callback: answers.told(),
                ring_for: spec.ring_for.0,
            };
            Some((spec.number.clone(), answering))
        });
        numbers.collect()
    }
}

impl Declared {
    /// Who is asked about messages, by number in E.164.
    pub fn texting(&self) -> HashMap<String, Texting> {
        let numbers = self.numbers.values().filter_map(|spec| {
            let tenant = &self.tenants.get(&spec.tenant)?.spec;
            let account = tenant.account;
            let keywords = tenant.messages.as_ref().map(|of| of.keywords.clone());
            let asked = spec.application.as_ref().and_then(|name| self.applications.get(name));
            let application = asked.and_then(|asked| asked.messages.as_ref());
            let application = application.map(|document| TextingApplication {
                hook: document.hook(),
                fallback: document.fallback(),
            });
            Some((
                spec.number.clone(),
                Texting { account, application, keywords: keywords.unwrap_or_default() },
            ))
        });
        numbers.collect()
    }
}

fn status_events(callback: &StatusCallback) -> StatusEvents {
    let wants = |event| callback.events.contains(&event);
    StatusEvents {
        initiated: wants(CallbackEvent::Initiated),
        ringing: wants(CallbackEvent::Ringing),
        answered: wants(CallbackEvent::Answered),
        completed: wants(CallbackEvent::Completed),
    }
}
