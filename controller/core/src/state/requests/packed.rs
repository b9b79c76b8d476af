//! One request in the arena: what it was asked for, as the difference from a spec that others share.
//!
//! ```text
//! flags | lane | wait in ms | accepted, from its page's first in us | [spec number] | to | [fields that differ] | [custom id]
//! ```

use busyhour_base::{CallSpec, Direction, Instructions, Method, Span, StatusEvents, Webhook};

use super::text::{Reader, Text, put_number, put_text};

/// What a request is told apart from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Base {
    /// The default of every field.
    Nothing,
    /// The spec that its lane shares.
    Lane,
    /// A shared spec by number.
    Shared(u32),
}

const CUSTOM_ID: u8 = 1;
const LANE: u8 = 1 << 1;
const SHARED: u8 = 1 << 2;
const FROM: u8 = 1 << 3;
const INSTRUCTIONS: u8 = 1 << 4;
const SEND_DIGITS: u8 = 1 << 5;
const MORE: u8 = 1 << 7;

const FALLBACK: u8 = 1;
const STATUS_CALLBACK: u8 = 1 << 1;
const STATUS_EVENTS: u8 = 1 << 2;
const RING_TIMEOUT: u8 = 1 << 3;
const TIME_LIMIT: u8 = 1 << 4;
const DIRECTION: u8 = 1 << 5;

/// What is known of a request beside its spec.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Facts {
    pub lane: u32,
    pub wait_ms: u32,
    /// From the first acceptance of its page, in microseconds.
    pub accepted: u64,
}

/// The spec from which requests without a shared one are told apart.
pub(super) fn nothing() -> CallSpec {
    CallSpec {
        to: String::new(),
        from: String::new(),
        instructions: Instructions::Document(String::new()),
        fallback: None,
        status_callback: None,
        status_events: StatusEvents::default(),
        send_digits: None,
        ring_timeout: Span::from_secs(60),
        time_limit: Span::from_secs(14_400),
        direction: Direction::OutboundApi,
    }
}

/// Writes a request to `to` as its difference from `base`, which is `kind`. The number called that `spec` names is not read.
pub(super) fn write(
    out: &mut Vec<u8>,
    facts: Facts,
    (to, spec): (&str, &CallSpec),
    custom_id: Option<&str>,
    (kind, base): (Base, &CallSpec),
) {
    // Every field is named, so that a new one cannot be forgotten here.
    let CallSpec {
        to: _,
        from,
        instructions,
        fallback,
        status_callback,
        status_events,
        send_digits,
        ring_timeout,
        time_limit,
        direction,
    } = spec;
    let flag = |differs: bool, flag: u8| if differs { flag } else { 0 };
    let more = flag(*fallback != base.fallback, FALLBACK)
        | flag(*status_callback != base.status_callback, STATUS_CALLBACK)
        | flag(*status_events != base.status_events, STATUS_EVENTS)
        | flag(*ring_timeout != base.ring_timeout, RING_TIMEOUT)
        | flag(*time_limit != base.time_limit, TIME_LIMIT)
        | flag(*direction != base.direction, DIRECTION);
    let flags = flag(custom_id.is_some(), CUSTOM_ID)
        | flag(kind == Base::Lane, LANE)
        | flag(matches!(kind, Base::Shared(_)), SHARED)
        | flag(*from != base.from, FROM)
        | flag(*instructions != base.instructions, INSTRUCTIONS)
        | flag(*send_digits != base.send_digits, SEND_DIGITS)
        | flag(more != 0, MORE);
    out.push(flags);
    if more != 0 {
        out.push(more);
    }
    put_number(out, facts.lane.into());
    put_number(out, facts.wait_ms.into());
    put_number(out, facts.accepted);
    if let Base::Shared(number) = kind {
        put_number(out, number.into());
    }
    put_text(out, to);
    if flags & FROM != 0 {
        put_text(out, from);
    }
    if flags & INSTRUCTIONS != 0 {
        put_instructions(out, instructions);
    }
    if flags & SEND_DIGITS != 0 {
        out.push(send_digits.is_some().into());
        put_text(out, send_digits.as_deref().unwrap_or_default());
    }
    if more & FALLBACK != 0 {
        put_webhook(out, fallback.as_ref());
    }
    if more & STATUS_CALLBACK != 0 {
        put_webhook(out, status_callback.as_ref());
    }
    if more & STATUS_EVENTS != 0 {
        let StatusEvents { initiated, ringing, answered, completed } = *status_events;
        let bits = [initiated, ringing, answered, completed];
        out.push(bits.iter().enumerate().map(|(bit, on)| u8::from(*on) << bit).sum());
    }
    if more & RING_TIMEOUT != 0 {
        put_number(out, ring_timeout.0);
    }
    if more & TIME_LIMIT != 0 {
        put_number(out, time_limit.0);
    }
    if more & DIRECTION != 0 {
        let code = Direction::ALL.iter().position(|other| other == direction).unwrap_or(0);
        out.push(code as u8);
    }
    if let Some(custom_id) = custom_id {
        put_text(out, custom_id);
    }
}

const POST: u8 = 0;
const GET: u8 = 1;
const DOCUMENT: u8 = 2;
const NONE: u8 = 3;

fn put_hook(out: &mut Vec<u8>, Webhook { url, method }: &Webhook) {
    out.push(match method {
        Method::Post => POST,
        Method::Get => GET,
    });
    put_text(out, url);
}

fn put_webhook(out: &mut Vec<u8>, hook: Option<&Webhook>) {
    match hook {
        Some(hook) => put_hook(out, hook),
        None => out.push(NONE),
    }
}

fn put_instructions(out: &mut Vec<u8>, instructions: &Instructions) {
    match instructions {
        Instructions::Url(hook) => put_hook(out, hook),
        Instructions::Document(text) => {
            out.push(DOCUMENT);
            put_text(out, text);
        }
    }
}

/// A webhook, a document, or nothing.
#[derive(Clone, Copy, Debug)]
enum Link<'a> {
    Hook(Method, Text<'a>),
    Document(Text<'a>),
    None,
}

impl Link<'_> {
    fn hook(self) -> Option<Webhook> {
        match self {
            Self::Hook(method, url) => Some(Webhook { url: url.to_text(), method }),
            _ => None,
        }
    }
}

/// A request as it lies in the arena.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packed<'a> {
    pub facts: Facts,
    pub base: Base,
    pub custom_id: Option<Text<'a>>,
    to: Text<'a>,
    from: Option<Text<'a>>,
    instructions: Option<Link<'a>>,
    send_digits: Option<(bool, Text<'a>)>,
    fallback: Option<Link<'a>>,
    status_callback: Option<Link<'a>>,
    status_events: Option<u8>,
    ring_timeout: Option<u64>,
    time_limit: Option<u64>,
    direction: Option<u8>,
}

/// The facts alone of the request at the beginning of `bytes`.
pub(super) fn facts(bytes: &[u8]) -> Facts {
    let mut reader = Reader(bytes);
    if reader.byte() & MORE != 0 {
        reader.byte();
    }
    read_facts(&mut reader)
}

fn read_facts(reader: &mut Reader<'_>) -> Facts {
    Facts {
        lane: reader.number() as u32,
        wait_ms: reader.number() as u32,
        accepted: reader.number(),
    }
}

/// Reads the request at the beginning of `bytes`; tells how many it has.
pub(super) fn read(bytes: &[u8]) -> (Packed<'_>, usize) {
    let mut reader = Reader(bytes);
    let r = &mut reader;
    let flags = r.byte();
    let more = if flags & MORE != 0 { r.byte() } else { 0 };
    let facts = read_facts(r);
    let base = if flags & SHARED != 0 {
        Base::Shared(r.number() as u32)
    } else if flags & LANE != 0 {
        Base::Lane
    } else {
        Base::Nothing
    };
    let packed = Packed {
        facts,
        base,
        to: r.text(),
        from: (flags & FROM != 0).then(|| r.text()),
        instructions: (flags & INSTRUCTIONS != 0).then(|| link(r)),
        send_digits: (flags & SEND_DIGITS != 0).then(|| (r.byte() != 0, r.text())),
        fallback: (more & FALLBACK != 0).then(|| link(r)),
        status_callback: (more & STATUS_CALLBACK != 0).then(|| link(r)),
        status_events: (more & STATUS_EVENTS != 0).then(|| r.byte()),
        ring_timeout: (more & RING_TIMEOUT != 0).then(|| r.number()),
        time_limit: (more & TIME_LIMIT != 0).then(|| r.number()),
        direction: (more & DIRECTION != 0).then(|| r.byte()),
        custom_id: (flags & CUSTOM_ID != 0).then(|| r.text()),
    };
    (packed, bytes.len() - reader.0.len())
}

fn link<'a>(reader: &mut Reader<'a>) -> Link<'a> {
    match reader.byte() {
        POST => Link::Hook(Method::Post, reader.text()),
        GET => Link::Hook(Method::Get, reader.text()),
        DOCUMENT => Link::Document(reader.text()),
        _ => Link::None,
    }
}

impl Packed<'_> {
    /// The whole spec, given the one that it was told apart from.
    pub(super) fn spec(&self, base: &CallSpec) -> CallSpec {
        let or = |link: Option<Link<'_>>, base: &Option<Webhook>| {
            link.map_or_else(|| base.clone(), Link::hook)
        };
        CallSpec {
            to: self.to.to_text(),
            from: self.from.map_or_else(|| base.from.clone(), Text::to_text),
            instructions: match self.instructions {
                None | Some(Link::None) => base.instructions.clone(),
                Some(Link::Document(text)) => Instructions::Document(text.to_text()),
                Some(Link::Hook(method, url)) => {
                    Instructions::Url(Webhook { url: url.to_text(), method })
                }
            },
            fallback: or(self.fallback, &base.fallback),
            status_callback: or(self.status_callback, &base.status_callback),
            status_events: self.status_events.map_or(base.status_events, |bits| StatusEvents {
                initiated: bits & 1 != 0,
                ringing: bits & 2 != 0,
                answered: bits & 4 != 0,
                completed: bits & 8 != 0,
            }),
            send_digits: match self.send_digits {
                None => base.send_digits.clone(),
                Some((given, text)) => given.then(|| text.to_text()),
            },
            ring_timeout: self.ring_timeout.map_or(base.ring_timeout, Span),
            time_limit: self.time_limit.map_or(base.time_limit, Span),
            direction: self
                .direction
                .and_then(|code| Direction::ALL.get(usize::from(code)).copied())
                .unwrap_or(base.direction),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hook() -> impl Strategy<Value = Webhook> {
        ("[a-z:/]{0,30}", any::<bool>()).prop_map(|(url, get)| Webhook {
            url,
            method: if get { Method::Get } else { Method::Post },
        })
    }

    fn spec() -> impl Strategy<Value = CallSpec> {
        let instructions = prop_oneof![
            hook().prop_map(Instructions::Url),
            ".{0,60}".prop_map(Instructions::Document)
        ];
        let text = || prop_oneof!["\\+[1-9][0-9]{4,14}", "sip:[a-z]{1,9}"];
        let hooks = (prop::option::of(hook()), prop::option::of(hook()));
        let times = (any::<u64>(), prop_oneof![Just(14_400_000_000), any::<u64>()]);
        let direction = prop::sample::select(&Direction::ALL[..]);
        let rest = (any::<[bool; 4]>(), prop::option::of("[0-9w]{0,8}"), times, direction);
        (text(), text(), instructions, hooks, rest).prop_map(
            |(
                to,
                from,
                instructions,
                (fallback, status_callback),
                (events, digits, times, direction),
            )| {
                let [initiated, ringing, answered, completed] = events;
                CallSpec {
                    to,
                    from,
                    instructions,
                    fallback,
                    status_callback,
                    status_events: StatusEvents { initiated, ringing, answered, completed },
                    send_digits: digits,
                    ring_timeout: Span(times.0),
                    time_limit: Span(times.1),
                    direction,
                }
            },
        )
    }

    proptest! {
        #[test]
        fn a_request_comes_back_whatever_it_is_told_apart_from(
            spec in spec(),
            base in prop_oneof![spec(), Just(nothing())],
            kind in prop_oneof![Just(Base::Nothing), Just(Base::Lane), any::<u32>().prop_map(Base::Shared)],
            custom_id in prop::option::of(".{0,20}"),
            (lane, wait_ms, accepted) in any::<(u32, u32, u64)>(),
        ) {
            let facts = Facts { lane, wait_ms, accepted };
            let mut bytes = Vec::new();
            write(&mut bytes, facts, (&spec.to, &spec), custom_id.as_deref(), (kind, &base));
            let length = bytes.len();
            bytes.extend_from_slice(b"what follows");
            let (packed, read) = read(&bytes);
            prop_assert_eq!(read, length);
            prop_assert_eq!((packed.facts, packed.base), (facts, kind));
            prop_assert_eq!(super::facts(&bytes), facts);
            prop_assert_eq!(packed.custom_id.map(Text::to_text), custom_id);
            prop_assert_eq!(packed.spec(&base), spec);
        }
    }

    #[test]
    fn a_line_that_differs_from_its_batch_in_its_number_alone_takes_a_dozen_bytes() {
        let spec = CallSpec { to: "+15551234567".to_owned(), ..nothing() };
        let facts = Facts { lane: 100_000, wait_ms: 60_000, accepted: 4_000 };
        let mut bytes = Vec::new();
        write(&mut bytes, facts, (&spec.to, &spec), None, (Base::Lane, &nothing()));
        assert!(bytes.len() <= 15, "{}", bytes.len());
    }
}
