//! Requests as they are queued, and the lines of a batch as one entry carries them: what they share is there once, and what
//! each has of its own lies in one text.

use std::sync::Arc;

use busyhour_base::{Body, MessageSpec, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Kind, NewCall, Urgency};

/// A request to be queued: what it has of its own, and what others may have as well.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NewRequest<'a> {
    /// The number called.
    pub to: &'a str,
    /// The tenant's own name for it, unique in its batch.
    pub custom_id: Option<&'a str>,
    /// The rest. Its number called and its name are not read.
    pub rest: &'a NewCall,
}

impl<'a> From<&'a NewCall> for NewRequest<'a> {
    fn from(call: &'a NewCall) -> Self {
        Self { to: &call.spec.to, custom_id: call.custom_id.as_deref(), rest: call }
    }
}

/// A message to be queued, with its text.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct NewText {
    /// What was asked.
    pub spec: Arc<MessageSpec>,
    /// Its text.
    pub body: Body,
    /// Not before this instant (MT-5).
    pub not_before: Option<Timestamp>,
    /// Not sent at or after this instant (MT-5).
    pub expires: Option<Timestamp>,
    /// Its class.
    pub urgency: Urgency,
}

/// What a line asks for, but for whom it is to and its name.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Rest {
    /// A call.
    Call(NewCall),
    /// A message.
    Message(NewText),
}

impl Rest {
    /// What it is.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Call(_) => Kind::Call,
            Self::Message(_) => Kind::Message,
        }
    }

    /// Takes out whom it is to; what it is called goes.
    fn strip(&mut self) {
        match self {
            Self::Call(call) => {
                if !call.spec.to.is_empty() {
                    Arc::make_mut(&mut call.spec).to = String::new();
                }
                call.custom_id = None;
            }
            Self::Message(text) if !text.spec.to.is_empty() => {
                Arc::make_mut(&mut text.spec).to = String::new();
            }
            Self::Message(_) => {}
        }
    }
}

impl From<NewCall> for Rest {
    fn from(call: NewCall) -> Self {
        Self::Call(call)
    }
}

impl From<NewText> for Rest {
    fn from(text: NewText) -> Self {
        Self::Message(text)
    }
}

/// One request among [`Requests`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LineRequest<'a> {
    /// The number called, or the recipient.
    pub to: &'a str,
    /// The tenant's own name for it, unique in its batch.
    pub custom_id: Option<&'a str>,
    /// The rest.
    pub rest: &'a Rest,
}

/// Requests, each with the number of its line.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Requests {
    /// What requests have in common, without numbers called and names.
    shared: Vec<Rest>,
    lines: Vec<Line>,
    /// The numbers called and the names, in the order of the lines.
    text: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Line {
    number: u64,
    /// Which of the shared ones.
    rest: u32,
    /// Bytes of the number called.
    to: u32,
    /// Bytes of the name, which follows it.
    custom_id: Option<u32>,
}

impl Requests {
    /// How many there are.
    pub const fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Whether all of them are of this kind.
    pub fn are_all(&self, kind: Kind) -> bool {
        self.shared.iter().all(|rest| rest.kind() == kind)
    }

    /// Adds what following requests may have in common; tells by which number they name it. Whom it is to and its
    /// name are left out.
    pub fn share(&mut self, rest: impl Into<Rest>) -> u32 {
        let mut rest = rest.into();
        rest.strip();
        self.shared.push(rest);
        self.shared.len() as u32 - 1
    }

    /// Adds a request of a line.
    ///
    /// # Panics
    /// If `rest` is not a number that [`Requests::share`] gave.
    pub fn push(&mut self, line: u64, rest: u32, to: &str, custom_id: Option<&str>) {
        assert!((rest as usize) < self.shared.len(), "what is shared is added first");
        let length = |text: &str| u32::try_from(text.len()).expect("an entry is not as long");
        let to_length = length(to);
        self.text.push_str(to);
        let custom_id = custom_id.map(|custom_id| {
            self.text.push_str(custom_id);
            length(custom_id)
        });
        self.lines.push(Line { number: line, rest, to: to_length, custom_id });
    }

    /// Whether every line is whole. Those that were put together by the methods above are.
    pub fn are_well_formed(&self) -> bool {
        let mut at = 0_usize;
        let whole = self.lines.iter().all(|line| {
            let ends = [line.to, line.custom_id.unwrap_or(0)].map(|length| {
                at = at.saturating_add(length as usize);
                at
            });
            (line.rest as usize) < self.shared.len()
                && ends.iter().all(|end| self.text.is_char_boundary(*end))
        });
        whole && at == self.text.len()
    }

    /// The requests, each with the number of its line.
    ///
    /// # Panics
    /// If they are not well formed.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (u64, LineRequest<'_>)> + Clone {
        let mut text = self.text.as_str();
        self.lines.iter().map(move |line| {
            let (to, rest) = text.split_at(line.to as usize);
            text = rest;
            let custom_id = line.custom_id.map(|length| {
                let (custom_id, rest) = text.split_at(length as usize);
                text = rest;
                custom_id
            });
            (line.number, LineRequest { to, custom_id, rest: &self.shared[line.rest as usize] })
        })
    }
}

impl FromIterator<(u64, NewCall)> for Requests {
    fn from_iter<T: IntoIterator<Item = (u64, NewCall)>>(calls: T) -> Self {
        let mut requests = Self::default();
        for (line, call) in calls {
            let rest = requests.share(call.clone());
            requests.push(line, rest, &call.spec.to, call.custom_id.as_deref());
        }
        requests
    }
}

#[cfg(test)]
mod tests {
    use busyhour_base::{CallSpec, Direction, Instructions, Span, StatusEvents};

    use super::*;

    fn call(to: &str, from: &str, custom_id: Option<&str>) -> NewCall {
        let spec = CallSpec {
            to: to.to_owned(),
            from: from.to_owned(),
            instructions: Instructions::Document("<Response/>".to_owned()),
            fallback: None,
            status_callback: None,
            status_events: StatusEvents::default(),
            send_digits: None,
            ring_timeout: Span::from_secs(60),
            time_limit: Span::from_secs(60),
            direction: Direction::OutboundApi,
        };
        NewCall { custom_id: custom_id.map(Arc::from), ..NewCall::of(Arc::new(spec)) }
    }

    #[test]
    fn requests_come_back_as_they_were_put_in() {
        let mut requests = Requests::default();
        let common = requests.share(call("+1", "+1555", Some("left out")));
        requests.push(4, common, "+4930123456", Some("Zoë"));
        requests.push(7, common, "+4930123457", None);
        let other = requests.share(call("", "+1556", None));
        requests.push(8, other, "sip:desk@example.com", Some(""));
        let bytes = postcard::to_stdvec(&requests).unwrap();
        let back: Requests = postcard::from_bytes(&bytes).unwrap();
        assert!(back.are_well_formed());
        let read = back.iter().map(|(line, new)| {
            let Rest::Call(call) = new.rest else { panic!("{new:?}") };
            (line, new.to, new.custom_id, call.spec.from.as_str(), call.spec.to.as_str())
        });
        let expected = [
            (4, "+4930123456", Some("Zoë"), "+1555", ""),
            (7, "+4930123457", None, "+1555", ""),
            (8, "sip:desk@example.com", Some(""), "+1556", ""),
        ];
        assert_eq!(read.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn what_is_not_whole_is_told() {
        let whole = Requests::from_iter([(1, call("+4930123456", "+1", Some("Zoë")))]);
        assert!(whole.are_well_formed());
        let broken = |change: fn(&mut Requests)| {
            let mut requests = whole.clone();
            change(&mut requests);
            !requests.are_well_formed()
        };
        assert!(broken(|requests| requests.lines[0].rest = 1));
        assert!(broken(|requests| requests.lines[0].to = 12));
        assert!(broken(|requests| requests.lines[0].to = u32::MAX));
        assert!(broken(|requests| requests.lines[0].custom_id = Some(3)));
        assert!(broken(|requests| requests.text.push('x')));
        assert!(broken(|requests| {
            requests.lines[0].to += 3;
            requests.lines[0].custom_id = Some(1);
        }));
    }
}
