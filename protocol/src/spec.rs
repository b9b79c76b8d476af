//! A call's request, there and back.

use busyhour_base::{CallSpec, Direction, Instructions, Method, Span, StatusEvents, Webhook};

use crate::{FieldError, v1};

impl From<&CallSpec> for v1::CallSpec {
    fn from(spec: &CallSpec) -> Self {
        Self {
            to: spec.to.clone(),
            from: spec.from.clone(),
            instructions: Some((&spec.instructions).into()),
            fallback: spec.fallback.as_ref().map(Into::into),
            status_callback: spec.status_callback.as_ref().map(Into::into),
            status_events: status_events(spec.status_events),
            send_digits: spec.send_digits.clone().unwrap_or_default(),
            ring_timeout_us: spec.ring_timeout.as_micros(),
            time_limit_us: spec.time_limit.as_micros(),
            inbound: spec.direction == Direction::Inbound,
        }
    }
}

impl TryFrom<v1::CallSpec> for CallSpec {
    type Error = FieldError;

    fn try_from(spec: v1::CallSpec) -> Result<Self, FieldError> {
        let webhook = |field: &'static str, hook: Option<v1::Webhook>| {
            hook.map(|hook| Webhook::try_from(hook).map_err(|e| e.within(field))).transpose()
        };
        Ok(Self {
            to: spec.to,
            from: spec.from,
            instructions: spec
                .instructions
                .ok_or_else(|| FieldError::missing("instructions", "a URL or a document"))?
                .try_into()
                .map_err(|e: FieldError| e.within("instructions"))?,
            fallback: webhook("fallback", spec.fallback)?,
            status_callback: webhook("status_callback", spec.status_callback)?,
            status_events: read_status_events(&spec.status_events)?,
            send_digits: Some(spec.send_digits).filter(|digits| !digits.is_empty()),
            ring_timeout: Span::from_micros(spec.ring_timeout_us),
            time_limit: Span::from_micros(spec.time_limit_us),
            direction: if spec.inbound { Direction::Inbound } else { Direction::OutboundApi },
        })
    }
}

impl From<&Instructions> for v1::Instructions {
    fn from(instructions: &Instructions) -> Self {
        use v1::instructions::Source;
        Self {
            source: Some(match instructions {
                Instructions::Url(hook) => Source::Url(hook.into()),
                Instructions::Document(text) => Source::Document(text.clone()),
            }),
        }
    }
}

impl TryFrom<v1::Instructions> for Instructions {
    type Error = FieldError;

    fn try_from(instructions: v1::Instructions) -> Result<Self, FieldError> {
        use v1::instructions::Source;
        match instructions.source {
            Some(Source::Url(hook)) => {
                hook.try_into().map(Self::Url).map_err(|e: FieldError| e.within("url"))
            }
            Some(Source::Document(text)) => Ok(Self::Document(text)),
            None => Err(FieldError::missing("source", "a URL or a document")),
        }
    }
}

impl From<&Webhook> for v1::Webhook {
    fn from(hook: &Webhook) -> Self {
        let method = match hook.method {
            Method::Post => "POST",
            Method::Get => "GET",
        };
        Self { url: hook.url.clone(), method: method.to_owned() }
    }
}

impl TryFrom<v1::Webhook> for Webhook {
    type Error = FieldError;

    fn try_from(hook: v1::Webhook) -> Result<Self, FieldError> {
        let method = match hook.method.as_str() {
            "POST" => Method::Post,
            "GET" => Method::Get,
            other => return Err(FieldError::new("method", other, "POST or GET")),
        };
        Ok(Self { url: hook.url, method })
    }
}

fn status_events(events: StatusEvents) -> Vec<String> {
    [
        ("initiated", events.initiated),
        ("ringing", events.ringing),
        ("answered", events.answered),
        ("completed", events.completed),
    ]
    .into_iter()
    .filter(|(_, wanted)| *wanted)
    .map(|(word, _)| word.to_owned())
    .collect()
}

fn read_status_events(words: &[String]) -> Result<StatusEvents, FieldError> {
    let mut events =
        StatusEvents { initiated: false, ringing: false, answered: false, completed: false };
    for word in words {
        match word.as_str() {
            "initiated" => events.initiated = true,
            "ringing" => events.ringing = true,
            "answered" => events.answered = true,
            "completed" => events.completed = true,
            other => {
                let expected = "initiated, ringing, answered or completed";
                return Err(FieldError::new("status_events", other, expected));
            }
        }
    }
    Ok(events)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hook() -> impl Strategy<Value = Webhook> {
        ("[a-z:/?{}]{0,40}", any::<bool>()).prop_map(|(url, post)| Webhook {
            url,
            method: if post { Method::Post } else { Method::Get },
        })
    }

    prop_compose! {
        fn spec()(
            (to, from, document) in any::<(String, String, String)>(),
            url in proptest::option::of(hook()),
            fallback in proptest::option::of(hook()),
            status_callback in proptest::option::of(hook()),
            events in any::<[bool; 4]>(),
            digits in proptest::option::of("[0-9w]{1,9}"),
            (ring, limit) in any::<(u64, u64)>(),
            inbound in any::<bool>(),
        ) -> CallSpec {
            let [initiated, ringing, answered, completed] = events;
            CallSpec {
                to,
                from,
                instructions: url.map_or(Instructions::Document(document), Instructions::Url),
                fallback,
                status_callback,
                status_events: StatusEvents { initiated, ringing, answered, completed },
                send_digits: digits,
                ring_timeout: Span(ring),
                time_limit: Span(limit),
                direction: if inbound { Direction::Inbound } else { Direction::OutboundApi },
            }
        }
    }

    proptest! {
        #[test]
        fn there_and_back(spec in spec()) {
            prop_assert_eq!(CallSpec::try_from(v1::CallSpec::from(&spec)), Ok(spec));
        }
    }

    #[test]
    fn a_refusal_names_the_field_its_value_and_what_is_allowed() {
        let mut spec = v1::CallSpec {
            instructions: Some(v1::Instructions {
                source: Some(v1::instructions::Source::Url(v1::Webhook {
                    url: "http://a".to_owned(),
                    method: "PUT".to_owned(),
                })),
            }),
            ..Default::default()
        };
        let error = CallSpec::try_from(spec.clone()).unwrap_err();
        assert_eq!(error.to_string(), r#"instructions.url.method: "PUT" is not POST or GET"#);
        spec.instructions = None;
        let error = CallSpec::try_from(spec).unwrap_err();
        assert_eq!(error.to_string(), r#"instructions: "(missing)" is not a URL or a document"#);
    }
}
