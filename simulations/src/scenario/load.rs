//! From the document to a scenario, with every fault named by file, line and field.

mod batch;

use std::ops::RangeInclusive;

use busyhour_base::{Body, Span};
use busyhour_crds::{
    Declared, DeclaredCarrier, DeclaredTenant, Duration, LoadError, LoadErrors,
    SIMULATIONS_API_VERSION, SourceFile,
    document::Document,
    schema::{self, Path},
};
use serde::Deserialize;
use serde_json::json;

use super::{
    Callers, Messages, Scenario, Writers,
    document::{
        CallersDocument, HabitDocument, MessagesDocument, ReactionName, RecordingDocument,
        ScenarioDocument, SpeechDocument, SpreadDocument, WritersDocument,
    },
};
use crate::behaviour::{Behaviour, Habit, Reaction, Spread};

/// Finds the one scenario among `files` and checks it against what is declared.
///
/// # Errors
/// If there is none or more than one, and everything that is wrong with it.
pub fn load(files: &[SourceFile], declared: &Declared) -> Result<Scenario, LoadErrors> {
    let mut found = Vec::new();
    for file in files {
        let documents = Document::parse_all(file)?;
        let ours = |d: &Document<'_>| d.text("apiVersion") == Some(SIMULATIONS_API_VERSION);
        found.extend(documents.into_iter().filter(ours));
    }
    let mut found = found.into_iter();
    let Some(document) = found.next() else {
        let folder =
            files.first().and_then(|file| file.path.parent()).map(Into::into).unwrap_or_default();
        let problem = "no document is a scenario".to_owned();
        let allowed = Some(format!(
            "one document with apiVersion: {SIMULATIONS_API_VERSION}, kind: Scenario"
        ));
        return Err(
            LoadError { file: folder, line: None, field: String::new(), problem, allowed }.into()
        );
    };
    if let Some(second) = found.next() {
        let problem = format!("a scenario is there already, in {}", document.file().display());
        return Err(second
            .error(&Path::of(&["kind"]), problem, Some("one scenario".to_owned()))
            .into());
    }
    read(&document, declared)
}

#[derive(Deserialize)]
struct Resource {
    spec: ScenarioDocument,
}

fn read(document: &Document<'_>, declared: &Declared) -> Result<Scenario, LoadErrors> {
    let schema = json!({
        "type": "object",
        "required": ["kind", "metadata", "spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string", "enum": ["Scenario"]},
            "metadata": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}},
            "spec": schema::of::<ScenarioDocument>(),
        },
    });
    let spec = match document.read::<Resource>(&schema) {
        Ok(resource) => resource.spec,
        Err(errors) => return Err(LoadErrors::unless_none(errors).expect_err("a refusal says why")),
    };
    let mut checks = Checks { document, declared, errors: Vec::new() };
    let habits =
        spec.behaviour.iter().enumerate().filter_map(|(n, habit)| checks.habit(n, habit)).collect();
    let batches =
        spec.batches.iter().enumerate().filter_map(|(n, batch)| checks.batch(n, batch)).collect();
    let callers =
        spec.callers.iter().enumerate().filter_map(|(n, c)| checks.callers(n, c)).collect();
    let messages =
        spec.messages.iter().enumerate().filter_map(|(n, m)| checks.messages(n, m)).collect();
    let writers =
        spec.writers.iter().enumerate().filter_map(|(n, w)| checks.writers(n, w)).collect();
    let recordings =
        spec.recordings.iter().enumerate().filter_map(|(n, r)| checks.recording(n, r)).collect();
    let speech = spec.speech.iter().enumerate().filter_map(|(n, s)| checks.speech(n, s)).collect();
    LoadErrors::unless_none(checks.errors)?;
    let behaviour = Behaviour { seed: spec.seed, habits };
    Ok(Scenario { behaviour, batches, callers, messages, writers, recordings, speech })
}

struct Checks<'a> {
    document: &'a Document<'a>,
    declared: &'a Declared,
    errors: Vec<LoadError>,
}

impl<'a> Checks<'a> {
    /// Notes an error; `None` so that it can be returned at once.
    fn refuse<T>(
        &mut self,
        path: &Path,
        problem: impl Into<String>,
        allowed: impl Into<String>,
    ) -> Option<T> {
        if self.errors.len() < LoadErrors::MAX {
            self.errors.push(self.document.error(path, problem, Some(allowed.into())));
        }
        None
    }

    /// Whether those fields are there that go with `what`: (name, there, wanted, possible).
    fn fields(
        &mut self,
        path: &Path,
        what: &str,
        fields: impl IntoIterator<Item = (&'static str, bool, bool, bool)>,
    ) -> Option<()> {
        for (field, there, wanted, possible) in fields {
            if wanted && !there {
                let problem = format!("{field} is missing");
                return self.refuse(path, problem, format!("{what} with {field}"));
            }
            if there && !possible {
                let problem = format!("{field} means nothing with {what}");
                return self.refuse(&path.key(field), problem, format!("{what} without {field}"));
            }
        }
        Some(())
    }

    fn habit(&mut self, index: usize, habit: &HabitDocument) -> Option<Habit> {
        let path = Path::of(&["spec", "behaviour"]).index(index);
        let is = |reaction| habit.reaction == reaction;
        let fields = [
            ("ringsAfter", habit.rings_after.is_some(), is(ReactionName::NoAnswer), true),
            (
                "after",
                habit.after.is_some(),
                !is(ReactionName::NoAnswer),
                !is(ReactionName::NoAnswer),
            ),
            ("code", habit.code.is_some(), is(ReactionName::Reject), is(ReactionName::Reject)),
            (
                "patience",
                habit.patience.is_some(),
                is(ReactionName::Answer),
                is(ReactionName::Answer),
            ),
            ("greeting", habit.greeting.is_some(), false, is(ReactionName::Answer)),
            ("keys", habit.keys.is_some(), false, is(ReactionName::Answer)),
        ];
        let name = json!(habit.reaction);
        let name = name.as_str().unwrap_or_default();
        self.fields(&path, name, fields)?;
        let mut spread = |field: &str, spread: &Option<SpreadDocument>| match spread {
            Some(spread) => self.spread(&path.key(field), spread).map(Some),
            None => Some(None),
        };
        let rings_after = spread("ringsAfter", &habit.rings_after)?;
        let after = spread("after", &habit.after)?;
        let patience = spread("patience", &habit.patience)?;
        let reaction = match (habit.reaction, after, patience) {
            (ReactionName::Answer, Some(after), Some(patience)) => {
                let (keys, keys_after) = match &habit.keys {
                    Some(keys) => {
                        let choices =
                            keys.choices.iter().map(|choice| (choice.weight, choice.press.clone()));
                        (
                            choices.collect(),
                            self.spread(&path.key("keys").key("after"), &keys.after)?,
                        )
                    }
                    None => (Vec::new(), Spread::exactly(Span::ZERO)),
                };
                let greeting = habit.greeting.map_or(Span::ZERO, |greeting| greeting.0);
                Reaction::Answer { after, patience, greeting, keys, keys_after }
            }
            (ReactionName::Busy, Some(after), _) => Reaction::Refuse { after, code: 486 },
            (ReactionName::Reject, Some(after), _) => Reaction::Refuse { after, code: habit.code? },
            _ => Reaction::NoAnswer,
        };
        Some(Habit {
            name: habit.name.as_str().into(),
            weight: habit.weight,
            rings_after,
            reaction,
        })
    }

    fn spread(&mut self, path: &Path, spread: &SpreadDocument) -> Option<Spread> {
        let min = self.length(&path.key("min"), spread.min, Span::ZERO)?;
        let max = spread.max.unwrap_or(spread.min);
        let max = self.length(&path.key("max"), max, min)?;
        let mean = match spread.mean {
            Some(mean) if mean.0 < min || mean.0 > max => {
                let allowed = format!("{} to {}", Duration(min), Duration(max));
                return self.refuse(&path.key("mean"), format!("{mean} is out of bounds"), allowed);
            }
            mean => mean.map(|mean| mean.0),
        };
        Some(Spread { min, max, mean })
    }

    fn callers(&mut self, index: usize, callers: &CallersDocument) -> Option<Callers> {
        let path = Path::of(&["spec", "callers"]).index(index);
        let answered: Vec<_> = self.declared.numbers.values().collect();
        let answered = answered.into_iter().filter(|number| number.application.is_some());
        let answered: Vec<_> = answered.map(|number| &number.number).collect();
        if !answered.contains(&&callers.to) {
            let problem = format!("no application answers {}", callers.to);
            return self.refuse(&path.key("to"), problem, names(answered.into_iter()));
        }
        let (every, listens) = (path.key("every"), path.key("listens"));
        let every = self.spread_from(&every, &callers.every, Span::from_millis(10))?;
        let listens = self.spread_from(&listens, &callers.listens, Span::from_secs(1))?;
        Some(Callers {
            carrier: self.calling_carrier(&path.key("carrier"), callers.carrier.as_ref())?,
            to: callers.to.clone(),
            answering: self.declared.answering().remove(&callers.to)?,
            from: callers.from.clone(),
            calls: callers.calls,
            every,
            listens,
        })
    }

    /// A carrier that calls in.
    fn calling_carrier(&mut self, path: &Path, named: Option<&String>) -> Option<String> {
        let declared = self.declared;
        let calling =
            declared.carriers.iter().filter(|(_, carrier)| carrier.spec.inbound.is_some());
        let calling: Vec<_> = calling.map(|(name, _)| name).collect();
        match named.or(calling.first().copied()) {
            Some(name) if calling.contains(&name) => Some(name.clone()),
            Some(name) => {
                let problem = format!("there is no carrier {name:?} that calls in");
                self.refuse(path, problem, names(calling.into_iter()))
            }
            None => self.refuse(path, "no carrier calls in", "a declared carrier with inbound"),
        }
    }

    fn spread_from(&mut self, path: &Path, spread: &SpreadDocument, min: Span) -> Option<Spread> {
        self.length(&path.key("min"), spread.min, min)?;
        self.spread(path, spread)
    }

    fn messages(&mut self, index: usize, messages: &MessagesDocument) -> Option<Messages> {
        let path = Path::of(&["spec", "messages"]).index(index);
        let MessagesDocument { tenant: name, from, first_to, messages, body } = messages;
        let tenant = self.owner(&path, name, from)?;
        let first_to = self.consecutive(&path, tenant, name, (first_to, *messages, "messages"))?;
        Some(Messages {
            tenant: name.clone(),
            account: tenant.spec.account,
            from: from.clone(),
            first_to,
            messages: *messages,
            body: Body::from(body.as_str()),
        })
    }

    fn writers(&mut self, index: usize, writers: &WritersDocument) -> Option<Writers> {
        let path = Path::of(&["spec", "writers"]).index(index);
        let texting = self.declared.texting();
        let asked =
            |to: &String| texting.get(to).and_then(|of| Some((of, of.application.clone()?)));
        let Some((of, application)) = asked(&writers.to) else {
            let problem = format!("no application is asked about messages to {}", writers.to);
            let mut answered: Vec<_> = texting.keys().filter(|to| asked(to).is_some()).collect();
            answered.sort();
            return self.refuse(&path.key("to"), problem, names(answered.into_iter()));
        };
        let first_from: u64 = writers.first_from.trim_start_matches('+').parse().ok()?;
        let last = format!("+{}", first_from + u64::from(writers.messages) - 1);
        if last.len() != writers.first_from.len() {
            let (count, first) = (writers.messages, &writers.first_from);
            let problem = format!("{count} messages from {first} on go beyond its digits");
            return self.refuse(&path.key("messages"), problem, "numbers of one length");
        }
        Some(Writers {
            carrier: self.bringing_carrier(&path.key("carrier"), writers.carrier.as_ref())?,
            account: of.account,
            to: writers.to.clone(),
            application,
            answered_by: of.answered_by(&writers.body),
            first_from,
            messages: writers.messages,
            after: self.length(&path.key("after"), writers.after, Span::ZERO)?,
            every: self.length(&path.key("every"), writers.every, Span::from_millis(10))?,
            body: Body::from(writers.body.as_str()),
        })
    }

    /// A carrier that brings messages.
    fn bringing_carrier(&mut self, path: &Path, named: Option<&String>) -> Option<String> {
        let declared = self.declared;
        let brings = |carrier: &&DeclaredCarrier| {
            carrier.spec.messages.as_ref().is_some_and(|messages| messages.inbound_channels > 0)
        };
        let bringing = declared.carriers.iter().filter(|(_, carrier)| brings(carrier));
        let bringing: Vec<_> = bringing.map(|(name, _)| name).collect();
        match named.or(bringing.first().copied()) {
            Some(name) if bringing.contains(&name) => Some(name.clone()),
            Some(name) => {
                let problem = format!("there is no carrier {name:?} that brings messages");
                self.refuse(path, problem, names(bringing.into_iter()))
            }
            None => {
                let allowed = "a declared carrier with messages.inboundChannels";
                self.refuse(path, "no carrier brings messages", allowed)
            }
        }
    }

    fn recording(&mut self, index: usize, recording: &RecordingDocument) -> Option<(String, Span)> {
        let path = Path::of(&["spec", "recordings"]).index(index).key("length");
        let length = self.audio(&path, recording.length, Span::from_millis(100))?;
        Some((recording.name.clone(), length))
    }

    fn speech(&mut self, index: usize, speech: &SpeechDocument) -> Option<(String, Span)> {
        let path = Path::of(&["spec", "speech"]).index(index).key("length");
        let length = self.audio(&path, speech.length, Span::from_millis(1))?;
        Some((speech.words.trim().to_owned(), length))
    }

    /// A length of audio, of at least `min` and at most ten minutes.
    fn audio(&mut self, path: &Path, length: Duration, min: Span) -> Option<Span> {
        self.within(path, length, min..=Span::from_secs(600))
    }

    /// A length of at least `min` and at most a day.
    fn length(&mut self, path: &Path, length: Duration, min: Span) -> Option<Span> {
        self.within(path, length, min..=Span::from_secs(86_400))
    }

    fn within(
        &mut self,
        path: &Path,
        length: Duration,
        bounds: RangeInclusive<Span>,
    ) -> Option<Span> {
        if !bounds.contains(&length.0) {
            let allowed = format!("{} to {}", Duration(*bounds.start()), Duration(*bounds.end()));
            return self.refuse(path, format!("{length} is out of bounds"), allowed);
        }
        Some(length.0)
    }

    /// The declared tenant of this name, if this number is one of its.
    fn owner(&mut self, path: &Path, name: &str, from: &str) -> Option<&'a DeclaredTenant> {
        let declared = self.declared;
        let Some(tenant) = declared.tenants.get(name) else {
            let problem = format!("there is no tenant {name:?}");
            return self.refuse(&path.key("tenant"), problem, names(declared.tenants.keys()));
        };
        if !declared.owns_number(name, from) {
            let problem = format!("tenant {name:?} has no number {from}");
            let theirs = declared.numbers.values().filter(|spec| spec.tenant == name);
            return self.refuse(&path.key("from"), problem, names(theirs.map(|spec| &spec.number)));
        }
        Some(tenant)
    }

    /// The first of consecutive numbers, without its plus, if the tenant may call all of them.
    fn consecutive(
        &mut self,
        path: &Path,
        tenant: &DeclaredTenant,
        name: &str,
        (first_to, count, unit): (&str, u32, &str),
    ) -> Option<u64> {
        let first: u64 = first_to.trim_start_matches('+').parse().ok()?;
        let last = format!("+{}", first + u64::from(count) - 1);
        if last.len() != first_to.len() {
            let problem = format!("{count} {unit} from {first_to} on go beyond its digits");
            return self.refuse(&path.key(unit), problem, "numbers of one length");
        }
        if !tenant.spec.may_call(first_to) || !tenant.spec.may_call(&last) {
            let problem = format!("tenant {name:?} may not call all of {first_to} to {last}");
            let allowed = names(tenant.spec.allowed_destinations.iter());
            return self.refuse(&path.key("firstTo"), problem, allowed);
        }
        Some(first)
    }
}

fn names<'a>(names: impl Iterator<Item = &'a String>) -> String {
    let names: Vec<_> = names.take(10).map(String::as_str).collect();
    if names.is_empty() { "none is declared".to_owned() } else { names.join(", ") }
}
