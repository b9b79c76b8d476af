//! One line of a batch, from whichever format, and the request that it becomes.

use std::{borrow::Cow, sync::Arc};

use busyhour_base::{AccountSid, Timestamp};
use busyhour_controller_core::spec::{self, BatchPlan, Kind};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{kind, variables};
use crate::{
    calls,
    directory::{Account, Directory},
    error::{ApiError, Code},
    form::Params,
    messages::{self, Instants},
};

/// Longest `custom_id`, in characters.
const CUSTOM_ID_MAX: usize = 128;
/// Most variables of one line, and the longest name of one.
const VARIABLES_MAX: usize = 64;
const VARIABLE_NAME_MAX: usize = 64;

/// What a column holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Column<'a> {
    /// `custom_id`.
    CustomId,
    /// A parameter of `calls.create` or `messages.create`.
    Parameter(&'static str),
    /// `var.` and a name.
    Variable(Cow<'a, str>),
}

impl<'a> Column<'a> {
    /// Reads the name of a column of lines of this kind.
    pub(super) fn named(name: &'a str, kind: Kind) -> Result<Self, ApiError> {
        if name == "custom_id" {
            return Ok(Self::CustomId);
        }
        if let Some(variable) = name.strip_prefix("var.") {
            let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
            let fits = (1..=VARIABLE_NAME_MAX).contains(&variable.len());
            if fits && variable.bytes().all(plain) {
                return Ok(Self::Variable(variable.into()));
            }
        } else if let Some(known) = kind::known(kind).name(name) {
            return Ok(Self::Parameter(known));
        }
        let allowed = format!(
            "custom_id, var. and a name of letters, digits and _, or {}",
            kind::allowed(kind, name)
        );
        Err(ApiError::parameter(Code::InvalidParameter, "column", name, &allowed))
    }

    /// The same, for as long as one likes.
    pub(super) fn into_owned(self) -> Column<'static> {
        match self {
            Self::CustomId => Column::CustomId,
            Self::Parameter(name) => Column::Parameter(name),
            Self::Variable(name) => Column::Variable(name.into_owned().into()),
        }
    }
}

/// One line as it was read. What needs no unescaping stays where it was read.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Row<'a> {
    /// Its place in the file, from 1.
    pub(super) line: u64,
    /// The tenant's name for it.
    pub(super) custom_id: Option<Cow<'a, str>>,
    /// Parameters, those that are not empty.
    pub(super) parameters: Vec<(&'static str, Cow<'a, str>)>,
    /// Variables.
    pub(super) variables: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

impl<'a> Row<'a> {
    /// Takes a value. Empty ones count as left out.
    pub(super) fn put(&mut self, column: &Column<'a>, value: Cow<'a, str>) {
        if value.is_empty() {
            return;
        }
        match column {
            Column::CustomId => self.custom_id = Some(value),
            Column::Parameter(name) => self.parameters.push((name, value)),
            Column::Variable(name) => self.variables.push((name.clone(), value)),
        }
    }
}

/// A line that was not accepted.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub(crate) struct LineError {
    /// Its place in the file, from 1.
    pub(crate) line: u64,
    /// The tenant's name for it, if it could be read.
    #[schema(value_type = Option<String>)]
    pub(crate) custom_id: Option<Arc<str>>,
    /// Error code.
    pub(crate) code: u32,
    /// For a person: names the parameter, the value and what is allowed.
    pub(crate) message: String,
}

impl LineError {
    pub(super) fn new(line: u64, custom_id: Option<Arc<str>>, error: &ApiError) -> Self {
        Self { line, custom_id, code: error.code.number(), message: error.message.to_string() }
    }
}

/// What lines are checked against.
pub(super) struct Context<'a> {
    account: AccountSid,
    directory: &'a Directory,
    kind: Kind,
    defaults: &'a [(String, String)],
    instants: Instants,
    /// What the defaults make of a line that has only `To`, as most have. Nothing if they do not do alone.
    template: Option<(spec::Rest, &'a Account)>,
}

/// The request that a line becomes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Made<'r> {
    /// The number called, or the recipient.
    pub(super) to: Cow<'r, str>,
    /// The tenant's name for it.
    pub(super) custom_id: Cow<'r, str>,
    /// The rest.
    pub(super) rest: Rest<'r>,
}

/// What a request has beside its number called and its name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Rest<'c> {
    /// What all lines share that have nothing else of their own.
    Shared(&'c spec::Rest),
    /// Its own.
    Own(spec::Rest),
}

impl<'a> Context<'a> {
    pub(super) fn new(
        account: AccountSid,
        directory: &'a Directory,
        plan: &'a BatchPlan,
        now: Timestamp,
    ) -> Self {
        let instants = Instants { now, begins: plan.not_before.unwrap_or(now).max(now) };
        let (kind, defaults) = (plan.kind, &plan.defaults[..]);
        let mut context = Self { account, directory, kind, defaults, instants, template: None };
        context.template = context.template().zip(directory.accounts.get(&account));
        context
    }

    /// Without variables nothing is filled in, unless something is to be: then every line has to be looked at.
    fn template(&self) -> Option<spec::Rest> {
        let (account, directory, row) = (self.account, self.directory, Row::default());
        let params = merged(&row, self.defaults);
        match self.kind {
            Kind::Call => {
                let now = self.instants.now;
                let template = calls::Template::new(&params, account, directory, now).ok()?;
                let call = template.rest();
                (!variables::are_named(&call.spec)).then(|| call.clone().into())
            }
            Kind::Message => {
                let text = messages::text_but_for_to(&params, account, directory, self.instants);
                let text = text.ok()?;
                (!variables::are_named_by_text(&text)).then(|| text.into())
            }
        }
    }

    fn request<'r>(&'r self, row: &'r Row<'_>) -> Result<(Cow<'r, str>, Rest<'r>), ApiError> {
        if let (Some((template, account)), [("To", to)], []) =
            (&self.template, &row.parameters[..], &row.variables[..])
        {
            let to = match template {
                spec::Rest::Call(_) => calls::callable(to, account)?,
                spec::Rest::Message(text) => {
                    let to = messages::recipient(to, account)?;
                    messages::is_other(&to, &text.spec.from)?;
                    to
                }
            };
            return Ok((to, Rest::Shared(template)));
        }
        let (account, directory) = (self.account, self.directory);
        let params = merged(row, self.defaults);
        // The request was made just now and nobody else holds it, so that nothing is copied.
        match self.kind {
            Kind::Call => {
                let mut call = calls::new_call(&params, account, directory, self.instants.now)?;
                let spec = Arc::make_mut(&mut call.spec);
                variables::fill(spec, &row.variables)?;
                Ok((std::mem::take(&mut spec.to).into(), Rest::Own(call.into())))
            }
            Kind::Message => {
                let mut text = messages::new_text(&params, account, directory, self.instants)?;
                variables::fill_text(&mut text, &row.variables)?;
                let to = std::mem::take(&mut Arc::make_mut(&mut text.spec).to);
                Ok((to.into(), Rest::Own(text.into())))
            }
        }
    }
}

/// Makes a request of a line, under its `custom_id` or, without one, under `line-` and its number, so that the same
/// file sent again dials nobody twice.
pub(super) fn request<'r>(
    row: &'r Row<'_>,
    context: &'r Context<'_>,
) -> Result<Made<'r>, LineError> {
    let custom_id: Cow<'r, str> = match &row.custom_id {
        Some(id) => Cow::Borrowed(id),
        None => format!("line-{}", row.line).into(),
    };
    match build(row, context, &custom_id) {
        Ok((to, rest)) => Ok(Made { to, custom_id, rest }),
        Err(error) => {
            let shown = custom_id.chars().count() <= CUSTOM_ID_MAX;
            let shown = shown.then(|| custom_id.as_ref().into());
            Err(LineError::new(row.line, shown, &error))
        }
    }
}

/// Whether a name is short and of printing characters of ASCII, as most are.
fn is_plain(name: &str) -> bool {
    name.len() <= CUSTOM_ID_MAX && name.bytes().all(|byte| (0x20..0x7f).contains(&byte))
}

fn build<'r>(
    row: &'r Row<'_>,
    context: &'r Context<'_>,
    custom_id: &str,
) -> Result<(Cow<'r, str>, Rest<'r>), ApiError> {
    let fits = is_plain(custom_id)
        || (custom_id.chars().count() <= CUSTOM_ID_MAX && !custom_id.chars().any(char::is_control));
    if !fits {
        let allowed = "at most 128 characters, none of them a control character";
        return Err(ApiError::parameter(Code::InvalidParameter, "custom_id", custom_id, allowed));
    }
    if row.variables.len() > VARIABLES_MAX {
        let count = row.variables.len();
        let message = format!("{count} variables: at most {VARIABLES_MAX} are allowed");
        return Err(ApiError::new(Code::InvalidParameter, message));
    }
    context.request(row)
}

/// Parameters that say which document comes first: a line that has one of the first three leaves all defaults among
/// them aside, so that its `Twiml` is not overruled by a default `Url`.
const DOCUMENT: [&str; 4] = ["Url", "Twiml", "ApplicationSid", "Method"];

/// The line's own parameters, and the defaults that it leaves out.
fn merged<'a>(row: &'a Row<'_>, defaults: &'a [(String, String)]) -> Params<'a> {
    let own = |name: &str| row.parameters.iter().any(|(found, _)| *found == name);
    let own_document = DOCUMENT[..3].iter().any(|name| own(name));
    let overruled = |name: &str| own(name) || (own_document && DOCUMENT.contains(&name));
    let mine = row.parameters.iter();
    let mine = mine.map(|(name, value)| (Cow::Borrowed(*name), Cow::Borrowed(value.as_ref())));
    let rest = defaults.iter().filter(|(name, _)| !overruled(name));
    let rest =
        rest.map(|(name, value)| (Cow::Borrowed(name.as_str()), Cow::Borrowed(value.as_str())));
    Params::of(mine.chain(rest).collect())
}

/// A JSON value as form values. The error says what it is instead.
pub(super) fn texts(value: &Value) -> Result<Vec<String>, &'static str> {
    match value {
        Value::Null => Ok(Vec::new()),
        Value::String(text) => Ok(vec![text.clone()]),
        Value::Number(number) => Ok(vec![number.to_string()]),
        Value::Bool(flag) => Ok(vec![flag.to_string()]),
        Value::Object(_) => Err("an object"),
        Value::Array(items) => {
            let mut all = Vec::with_capacity(items.len());
            for item in items {
                match item {
                    Value::Array(_) => return Err("a list within a list"),
                    other => all.extend(texts(other)?),
                }
            }
            Ok(all)
        }
    }
}

#[cfg(test)]
mod tests {
    use busyhour_base::AccountSid;
    use busyhour_controller_core::spec::NewCall;

    use super::*;
    use crate::directory::{Number, Secret};

    const ACCOUNT: AccountSid = AccountSid(7);

    fn directory() -> Directory {
        let account = Account {
            name: "acme".into(),
            token: Secret::new("token"),
            suspended: false,
            created: None,
            destinations: vec!["+1".to_owned()],
        };
        Directory {
            accounts: [(ACCOUNT, account)].into(),
            numbers: [("+15550100".to_owned(), Number { account: ACCOUNT, sid: None })].into(),
            ..Directory::default()
        }
    }

    fn row(parameters: &[(&'static str, &'static str)]) -> Row<'static> {
        let parameters = parameters.iter().map(|(name, value)| (*name, (*value).into()));
        Row { line: 3, parameters: parameters.collect(), ..Row::default() }
    }

    /// The request whole.
    fn made(row: &Row<'_>, context: &Context<'_>) -> Result<NewCall, LineError> {
        let Made { to, custom_id, rest } = request(row, context)?;
        let rest = match rest {
            Rest::Shared(rest) => rest.clone(),
            Rest::Own(rest) => rest,
        };
        let spec::Rest::Call(mut call) = rest else { panic!("{rest:?}") };
        Arc::make_mut(&mut call.spec).to = to.into_owned();
        call.custom_id = Some(custom_id.as_ref().into());
        Ok(call)
    }

    fn plan(pairs: &[(&str, &str)]) -> BatchPlan {
        let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        BatchPlan { defaults: pairs.collect(), ..BatchPlan::default() }
    }

    /// A line that repeats a default means what one means that leaves it out, whichever way it is checked.
    #[test]
    fn a_line_with_only_a_number_is_as_with_every_default_said() {
        let directory = directory();
        let pairs = [
            ("To", "+15550199"),
            ("From", "+15550100"),
            ("Url", "https://a.example/x"),
            ("StatusCallback", "https://a.example/s"),
            ("Timeout", "30"),
            ("ValidityPeriod", "600"),
        ];
        let plan = plan(&pairs);
        let context = Context::new(ACCOUNT, &directory, &plan, Timestamp(1_000_000));
        assert!(context.template.is_some(), "these defaults do alone");
        for to in ["+15550123", "+4915550123", "nobody", " 15550123"] {
            let short = row(&[("To", to)]);
            let long = row(&[("To", to), ("From", "+15550100"), ("Timeout", "30")]);
            assert_eq!(made(&short, &context), made(&long, &context), "{to}");
        }
        let call = made(&row(&[("To", "+15550123")]), &context).unwrap();
        assert_eq!((call.spec.to.as_str(), call.spec.ring_timeout.as_secs()), ("+15550123", 30));
        assert_eq!(call.custom_id.as_deref(), Some("line-3"));
    }

    #[test]
    fn defaults_that_do_not_do_alone_are_completed_by_the_line_or_refused_with_it() {
        let directory = directory();
        let plan = plan(&[("Url", "https://a.example/x")]);
        let context = Context::new(ACCOUNT, &directory, &plan, Timestamp(1_000_000));
        let error = made(&row(&[("To", "+15550123")]), &context).unwrap_err();
        assert_eq!(error.code, Code::FromMissing.number());
        let whole = row(&[("To", "+15550123"), ("From", "+15550100")]);
        assert_eq!(made(&whole, &context).unwrap().spec.from, "+15550100");
    }

    #[test]
    fn defaults_that_name_a_variable_are_filled_in_line_by_line() {
        let directory = directory();
        let plan = plan(&[("From", "+15550100"), ("Url", "https://a.example/{var.x}")]);
        let context = Context::new(ACCOUNT, &directory, &plan, Timestamp(1_000_000));
        let bare = row(&[("To", "+15550123")]);
        assert!(made(&bare, &context).unwrap_err().message.contains("{var.x}"));
        let filled = Row { variables: vec![("x".into(), "7".into())], ..bare };
        let call = made(&filled, &context).unwrap();
        assert!(format!("{:?}", call.spec.instructions).contains("https://a.example/7"));
    }

    #[test]
    fn mt_8_lines_of_messages_share_their_text_unless_it_has_variables() {
        let directory = directory();
        let hello = [("From", "+15550100"), ("Body", "hello")];
        let plan = BatchPlan { kind: Kind::Message, ..plan(&hello) };
        let context = Context::new(ACCOUNT, &directory, &plan, Timestamp(1_000_000));
        let shared = row(&[("To", "+15550123")]);
        let Made { to, rest, .. } = request(&shared, &context).unwrap();
        assert!(matches!(rest, Rest::Shared(_)), "{rest:?}");
        assert_eq!(to, "+15550123");
        let own = row(&[("To", "+15550123"), ("Body", "Hi {var.name}, {To}")]);
        let own = Row { variables: vec![("name".into(), "Zoë & Co".into())], ..own };
        let Made { rest, .. } = request(&own, &context).unwrap();
        let Rest::Own(spec::Rest::Message(text)) = rest else { panic!("{rest:?}") };
        assert_eq!(text.body.text(), "Hi Zoë & Co, {To}");
        assert_eq!(text.expires, None, "a batch has its own end");
        for (to, code) in [("+15550100", Code::ToIsFrom), ("nobody", Code::InvalidTo)] {
            let wrong = row(&[("To", to)]);
            assert_eq!(request(&wrong, &context).unwrap_err().code, code.number(), "{to}");
        }
    }

    #[test]
    fn a_column_of_the_other_kind_is_named_as_such() {
        let error = Column::named("Body", Kind::Call).unwrap_err();
        assert!(error.message.contains("Body is a parameter of messages"), "{}", error.message);
        let error = Column::named("Url", Kind::Message).unwrap_err();
        assert!(error.message.contains("Url is a parameter of calls"), "{}", error.message);
        let error = Column::named("Urls", Kind::Message).unwrap_err();
        assert!(!error.message.contains("parameter of"), "{}", error.message);
    }
}
