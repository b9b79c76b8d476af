//! Documents that answer messages: `Message` and `Redirect`.

use busyhour_base::{Body, Method, Webhook, is_e164};
use roxmltree::Node;

use super::{
    ParseError, Redirect, Warning,
    attributes::{Attributes, cut},
    parse::{Reader, read},
    text,
};

/// What a document that answers a message says to do.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct MessageDocument {
    /// In order.
    pub verbs: Vec<MessageVerb>,
    /// What was left out or replaced by a default, and where.
    pub warnings: Vec<Warning>,
}

/// One instruction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MessageVerb {
    /// Send a message.
    Message(Message),
    /// Go on with another document.
    Redirect(Redirect),
}

/// `Message`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    /// In E.164; `None` is who wrote.
    pub to: Option<String>,
    /// In E.164; `None` is the number that was written to.
    pub from: Option<String>,
    /// 1 to [`Body::CHARS_MAX`] characters.
    pub body: Body,
    /// Where the application is asked how it went on; what follows in the document is not reached then.
    pub action: Option<Webhook>,
    /// Told of its progress. Both addresses are as they were written.
    pub status_callback: Option<Webhook>,
}

/// Reads a document that answers a message.
pub fn parse_messages(body: &[u8]) -> Result<MessageDocument, ParseError> {
    let (verbs, warnings) = read(body, |reader, root| {
        let mut verbs = Vec::new();
        for node in reader.elements(root)? {
            let verb = match node.tag_name().name() {
                "Message" | "Sms" => message(reader, node)?.map(MessageVerb::Message),
                "Redirect" => reader.redirect(node).map(MessageVerb::Redirect),
                name => {
                    reader.warnings.push(node, node.range().start, || {
                        let name = cut(name);
                        format!("<{name}> is not known here and is passed over (known: Message, Redirect)")
                    });
                    None
                }
            };
            verbs.extend(verb);
        }
        Ok(verbs)
    })?;
    Ok(MessageDocument { verbs, warnings })
}

impl MessageDocument {
    /// A document that answers with a text: what `text/plain` means. An empty text is no answer.
    pub fn answer(text: &str) -> Result<Self, String> {
        let verbs = match body_of(text)? {
            Some(body) => vec![MessageVerb::Message(Message {
                to: None,
                from: None,
                body,
                action: None,
                status_callback: None,
            })],
            None => Vec::new(),
        };
        Ok(Self { verbs, warnings: Vec::new() })
    }
}

/// A text without the white space around it; none if it is empty, or why it cannot be sent.
fn body_of(text: &str) -> Result<Option<Body>, String> {
    let text = text.trim();
    let characters = text.chars().count();
    if characters > Body::CHARS_MAX {
        return Err(format!(
            "the text has {characters} characters, at most {} are allowed",
            Body::CHARS_MAX
        ));
    }
    Ok((!text.is_empty()).then(|| Body::from(text)))
}

/// A `Message`, or a warning: one that cannot be sent as it is written is not sent at all.
fn message(reader: &mut Reader, node: Node<'_, '_>) -> Result<Option<Message>, ParseError> {
    const KNOWN: &[&str] =
        &["to", "from", "sender", "action", "method", "statusCallback", "statusCallbackMethod"];
    let text = words(reader, node)?;
    let mut attributes = Attributes::new(node, KNOWN, &mut reader.warnings);
    let (method, told_by) = (attributes.method(), attributes.method_named("statusCallbackMethod"));
    let mut hook = |name, method: Method| {
        let url = attributes.url(name).filter(|url| !url.is_empty())?;
        Some(Webhook { url, method })
    };
    let action = hook("action", method);
    let status_callback = hook("statusCallback", told_by);
    let number = |names: &[&str]| {
        let named = names.iter().find_map(|name| node.attribute_node(*name));
        match named.map(|attribute| attribute.value().trim()) {
            None | Some("") => Ok(None),
            Some(text) if is_e164(text) => Ok(Some(text.to_owned())),
            Some(text) => Err(format!(
                "{} is {:?}, allowed is a number such as +14155550123",
                names[0],
                cut(text)
            )),
        }
    };
    let made = (|| {
        let (to, from) = (number(&["to"])?, number(&["from", "sender"])?);
        let body = body_of(&text)?.ok_or_else(|| "there is no text in it".to_owned())?;
        Ok::<_, String>(Message { to, from, body, action, status_callback })
    })();
    Ok(match made {
        Ok(message) => Some(message),
        Err(problem) => {
            reader.warnings.push(node, node.range().start, || {
                format!("{problem}; the message is passed over")
            });
            None
        }
    })
}

/// The text of a `Message`: of its `Body`, or what stands in it directly.
fn words(reader: &mut Reader, node: Node<'_, '_>) -> Result<String, ParseError> {
    let mut bodies = Vec::new();
    for inner in node.children().filter(Node::is_element) {
        reader.count(inner)?;
        if inner.tag_name().name() == "Body" {
            Attributes::new(inner, &[], &mut reader.warnings);
            bodies.push(text::direct(inner));
        } else {
            reader.warnings.push(inner, inner.range().start, || {
                let name = cut(inner.tag_name().name());
                format!("<{name}> in <Message> is passed over (known: Body)")
            });
        }
    }
    Ok(if bodies.is_empty() { text::direct(node) } else { bodies.concat() })
}
