//! Attributes of a verb, read by type. A value that is not allowed gives a warning and the default.

use std::ops::RangeInclusive;

use busyhour_base::{Method, Span};
use roxmltree::{Attribute, Node};

use super::{
    Position, Warning,
    bounds::{URL_MAX, WARNINGS_MAX},
    verbs::Times,
};

/// Collects warnings up to their bound.
#[derive(Default)]
pub(super) struct Warnings {
    told: Vec<Warning>,
    untold: u32,
}

impl Warnings {
    /// Adds a warning about the byte at `offset`. Finding its line takes time linear in the document, hence
    /// the bound.
    pub fn push(&mut self, node: Node<'_, '_>, offset: usize, message: impl FnOnce() -> String) {
        if self.told.len() < WARNINGS_MAX {
            let at = Position::from(node.document().text_pos_at(offset));
            let message = message();
            self.told.push(Warning { at, message });
        } else {
            self.untold += 1;
        }
    }

    pub fn finish(mut self) -> Vec<Warning> {
        if let (Some(last), 1..) = (self.told.last().cloned(), self.untold) {
            self.told.push(Warning {
                at: last.at,
                message: format!("and {} more warnings after this one", self.untold),
            });
        }
        self.told
    }
}

/// The attributes of one element.
pub(super) struct Attributes<'a, 'input, 'w> {
    node: Node<'a, 'input>,
    warnings: &'w mut Warnings,
}

impl<'a, 'input, 'w> Attributes<'a, 'input, 'w> {
    /// Warns of every attribute that is not among `allowed`.
    pub fn new(node: Node<'a, 'input>, allowed: &[&str], warnings: &'w mut Warnings) -> Self {
        for attribute in node.attributes() {
            if !allowed.contains(&attribute.name()) {
                warnings.push(node, attribute.range().start, || {
                    let list =
                        if allowed.is_empty() { "none".to_owned() } else { allowed.join(", ") };
                    let name = cut(attribute.name());
                    let verb = cut(node.tag_name().name());
                    format!("<{verb}> has no attribute {name}; it is passed over (known: {list})")
                });
            }
        }
        Self { node, warnings }
    }

    /// `POST` or `GET`, of `method`.
    pub fn method(&mut self) -> Method {
        self.method_named("method")
    }

    /// `POST` or `GET`.
    pub fn method_named(&mut self, name: &str) -> Method {
        let read = |text: &str| match text.to_ascii_uppercase().as_str() {
            "POST" => Some(Method::Post),
            "GET" => Some(Method::Get),
            _ => None,
        };
        self.read(name, "POST or GET", "POST", read).unwrap_or_default()
    }

    /// `true` or `false`.
    pub fn flag(&mut self, name: &str) -> bool {
        let read = |text: &str| match text {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        };
        self.read(name, "true or false", "false", read).unwrap_or_default()
    }

    /// A whole number.
    pub fn number(&mut self, name: &str, range: RangeInclusive<u32>, default: &str) -> Option<u32> {
        let allowed = format!("a whole number from {} to {}", range.start(), range.end());
        let read = |text: &str| text.trim().parse().ok().filter(|value| range.contains(value));
        self.read(name, &allowed, default, read)
    }

    /// Whole seconds.
    pub fn seconds(&mut self, name: &str, range: RangeInclusive<u32>, default: u32) -> Span {
        let value = self.number(name, range, &default.to_string());
        Span::from_secs(u64::from(value.unwrap_or(default)))
    }

    /// `loop`.
    pub fn times(&mut self) -> Times {
        match self.number("loop", 0..=1_000, "1") {
            None => Times::Count(1),
            Some(0) => Times::Forever,
            Some(count) => Times::Count(count),
        }
    }

    /// An address.
    pub fn url(&mut self, name: &str) -> Option<String> {
        let read = |text: &str| (text.len() <= URL_MAX).then(|| text.trim().to_owned());
        self.read(name, &format!("at most {URL_MAX} characters"), "this document", read)
    }

    /// A value that `read` takes, or a warning and `None`.
    pub fn read<T>(
        &mut self,
        name: &str,
        allowed: &str,
        default: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let attribute = self.node.attribute_node(name)?;
        let value = read(attribute.value());
        if value.is_none() {
            self.refuse(attribute, allowed, default);
        }
        value
    }

    fn refuse(&mut self, attribute: Attribute<'_, '_>, allowed: &str, default: &str) {
        self.warnings.push(self.node, attribute.range().start, || {
            let (name, value) = (attribute.name(), cut(attribute.value()));
            format!("{name} is {value:?}, allowed is {allowed}; {default} is taken")
        });
    }
}

/// Enough of a text to recognise it by.
pub(super) fn cut(text: &str) -> String {
    text.chars().take(64).collect()
}
