//! What an application is asked about a message that came in, and what it answers (SP-1 to SP-5, SP-7).
//!
//! [`Conversation`] does no I/O: it says what to ask ([`Next::Ask`]), is told what came of it ([`Conversation::heard`]), and in the
//! end has the messages that the application answers with. Documents are few and requests are one after the other.

use busyhour_base::{Method, Webhook};

use crate::{
    errands::{Document, FetchError, Request},
    interpreter::code,
    twiml::{self, Message, MessageDocument, MessageVerb},
    webhook::{address, template},
};

/// Messages that an application may answer with. Further ones are passed over.
pub const REPLIES_MAX: usize = 10;
/// Documents of one conversation: a loop of redirects ends there.
pub const DOCUMENTS_MAX: u32 = 20;

/// A conversation with an application about one message.
#[derive(Debug)]
pub struct Conversation {
    params: Vec<(String, String)>,
    fallback: Option<Webhook>,
    asked: Request,
    is_fallback: bool,
    documents: u32,
    replies: Vec<Message>,
    warnings: Vec<Warning>,
}

/// What to do next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Next {
    /// Ask for a document.
    Ask(Request),
    /// Nothing: this is what it said.
    Over(Said),
}

/// What an application answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Said {
    /// Messages, in order. Their addresses are absolute.
    pub replies: Vec<Message>,
    /// Where it wants to be asked about what became of the last of them.
    pub again: Option<Webhook>,
    /// Neither the application nor its fallback gave a document, at some point.
    pub failed: bool,
}

/// Something that its tenant should know.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Warning {
    /// The field's code.
    pub code: u16,
    /// Which address, and what is wrong.
    pub message: String,
}

impl Conversation {
    /// Begins one. `params` go with every request.
    pub fn begin(
        hook: &Webhook,
        fallback: Option<Webhook>,
        params: Vec<(String, String)>,
    ) -> (Self, Next) {
        let asked = Request { url: hook.url.clone(), method: hook.method, params: params.clone() };
        let mut conversation = Self {
            params,
            fallback,
            asked,
            is_fallback: false,
            documents: 0,
            replies: Vec::new(),
            warnings: Vec::new(),
        };
        let next = conversation.ask(None, &hook.url, hook.method);
        (conversation, next)
    }

    /// What there is to warn of since this was asked last.
    pub fn warnings(&mut self) -> Vec<Warning> {
        std::mem::take(&mut self.warnings)
    }

    /// Takes in what came of the request.
    pub fn heard(&mut self, result: Result<Document, FetchError>) -> Next {
        let judged = match result {
            Ok(answer) => judge(&answer).map(|document| (document, answer.url)),
            Err(error) => Err((code::FETCH, error.to_string())),
        };
        match judged {
            Ok((document, url)) => self.run(document, &url),
            Err((code, message)) => self.fail(code, &message),
        }
    }

    /// Ends it for want of time, with what was said until then.
    pub fn cut_off(&mut self) -> Said {
        let url = self.asked.url.clone();
        self.warn(code::FETCH, &url, "the application's documents take too long");
        Said { replies: std::mem::take(&mut self.replies), again: None, failed: true }
    }

    fn run(&mut self, document: MessageDocument, url: &str) -> Next {
        for warning in document.warnings {
            self.warn(code::SCHEMA, url, &warning.to_string());
        }
        for verb in document.verbs {
            match verb {
                MessageVerb::Redirect(redirect) if redirect.url.is_empty() => {
                    let own = self.asked.url.clone();
                    return self.ask(None, &own, redirect.method);
                }
                MessageVerb::Redirect(redirect) => {
                    return self.ask(Some(url), &redirect.url, redirect.method);
                }
                MessageVerb::Message(_) if self.replies.len() >= REPLIES_MAX => {
                    let most = format!("at most {REPLIES_MAX} messages may be answered with");
                    self.warn(code::SCHEMA, url, &format!("{most}; further ones are passed over"));
                    break;
                }
                MessageVerb::Message(message) => {
                    if let Some(again) = self.reply(message, url) {
                        return self.over(Some(again), false);
                    }
                }
            }
        }
        self.over(None, false)
    }

    /// Takes a message, and where its document is left for.
    fn reply(&mut self, mut message: Message, url: &str) -> Option<Webhook> {
        message.status_callback = self.hook(message.status_callback, url);
        message.action = self.hook(message.action, url);
        let again = message.action.clone();
        self.replies.push(message);
        again
    }

    /// An address in a document, made absolute; one that is none is warned of and left out.
    fn hook(&mut self, hook: Option<Webhook>, base: &str) -> Option<Webhook> {
        let Webhook { url, method } = hook?;
        match self.resolve(Some(base), &url) {
            Ok(url) => Some(Webhook { url, method }),
            Err(problem) => {
                self.warn(code::FETCH, &url, &problem);
                None
            }
        }
    }

    fn resolve(&self, base: Option<&str>, url: &str) -> Result<String, String> {
        let filled = template::fill(url, &self.params);
        address::resolve(base.and_then(address::base).as_ref(), &filled)
    }

    fn ask(&mut self, base: Option<&str>, url: &str, method: Method) -> Next {
        self.documents += 1;
        self.is_fallback = false;
        let resolved = self.resolve(base, url);
        let url = resolved.clone().unwrap_or_else(|_| url.to_owned());
        self.asked = Request { url, method, params: self.params.clone() };
        if self.documents > DOCUMENTS_MAX {
            let url = self.asked.url.clone();
            self.warn(code::LOOP, &url, "one document leads to the next without end");
            return self.over(None, true);
        }
        match resolved {
            Ok(_) => Next::Ask(self.asked.clone()),
            Err(problem) => self.fail(code::FETCH, &problem),
        }
    }

    /// Asks the fallback with the same parameters and the error (SP-7), or gives up.
    fn fail(&mut self, code: u16, message: &str) -> Next {
        let failed = self.asked.url.clone();
        self.warn(code, &failed, message);
        let Some(fallback) = self.fallback.clone().filter(|_| !self.is_fallback) else {
            return self.over(None, true);
        };
        let mut params = self.params.clone();
        params.push(("ErrorCode".to_owned(), code.to_string()));
        params.push(("ErrorUrl".to_owned(), address::shown(&failed)));
        match address::resolve(None, &template::fill(&fallback.url, &params)) {
            Ok(url) => {
                self.documents += 1;
                self.is_fallback = true;
                self.asked = Request { url, method: fallback.method, params };
                Next::Ask(self.asked.clone())
            }
            Err(problem) => {
                self.warn(code::FETCH, &fallback.url, &problem);
                self.over(None, true)
            }
        }
    }

    fn over(&mut self, again: Option<Webhook>, failed: bool) -> Next {
        Next::Over(Said { replies: std::mem::take(&mut self.replies), again, failed })
    }

    fn warn(&mut self, code: u16, url: &str, message: &str) {
        self.warnings
            .push(Warning { code, message: format!("{}: {message}", address::shown(url)) });
    }
}

/// Turns an answer into what it says, or gives the field's error code with a message (SP-4). One without a body says nothing,
/// whatever its type.
fn judge(answer: &Document) -> Result<MessageDocument, (u16, String)> {
    if answer.body.iter().all(u8::is_ascii_whitespace) {
        return Ok(MessageDocument::default());
    }
    match answer.content_type.as_str() {
        "text/xml" | "application/xml" => {
            twiml::parse_messages(&answer.body).map_err(|error| (code::PARSE, error.to_string()))
        }
        "text/plain" => match std::str::from_utf8(&answer.body) {
            Ok(text) => MessageDocument::answer(text).map_err(|problem| (code::PARSE, problem)),
            Err(error) => {
                let at = error.valid_up_to();
                Err((code::PARSE, format!("byte {at} is not UTF-8, the only encoding allowed")))
            }
        },
        other => {
            let found: String = other.chars().filter(|char| !char.is_control()).take(64).collect();
            let allowed = "allowed are text/xml, application/xml and text/plain";
            Err((code::CONTENT_TYPE, format!("the content type is {found:?}, {allowed}")))
        }
    }
}
