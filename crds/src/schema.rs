//! Checking a document against its schema, with every fault named by its place and what is allowed.
//!
//! The schema is the one that a Kubernetes API server would enforce ([`of_kind`]) or one derived in the same
//! way ([`of`]), so that a folder and a cluster accept the same documents. Only the keywords that such
//! structural schemas hold are known here; an object is closed unless its schema says otherwise.

use std::fmt;

use kube::{
    CustomResourceExt,
    core::schema::{OptionalEnum, OptionalIntOrString, StructuralSchemaRewriter},
};
use regex::Regex;
use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Map, Value};

/// One step from a document's root to a field.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// Into a mapping.
    Key(String),
    /// Into a sequence.
    Index(usize),
}

/// The place of a field in its document.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Path(pub Vec<Step>);

impl Path {
    /// A path of keys: `Path::of(&["spec", "channels"])`.
    pub fn of(keys: &[&str]) -> Self {
        Self(keys.iter().map(|key| Step::Key((*key).to_owned())).collect())
    }

    /// This path and then a key.
    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        self.then(Step::Key(key.to_owned()))
    }

    /// This path and then an index.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        self.then(Step::Index(index))
    }

    fn then(&self, step: Step) -> Self {
        let mut path = self.clone();
        path.0.push(step);
        path
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(key) if n == 0 => f.write_str(key)?,
                Step::Key(key) => write!(f, ".{key}")?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// One thing that is wrong with a document.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// Where.
    pub path: Path,
    /// What.
    pub problem: String,
    /// What would be right.
    pub allowed: Option<String>,
}

/// Most problems that one document is reported with.
const PROBLEMS_MAX: usize = 20;

/// The schema of a custom resource, as its definition holds it.
pub fn of_kind<K: CustomResourceExt>() -> Value {
    let crd = serde_json::to_value(K::crd()).expect("a definition is plain data");
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone()
}

/// The schema of any other type, derived in the way that `kube` derives those of custom resources.
pub fn of<T: JsonSchema>() -> Value {
    SchemaSettings::openapi3()
        .with(|settings| settings.inline_subschemas = true)
        .with_transform(StructuralSchemaRewriter)
        .with_transform(OptionalEnum)
        .with_transform(OptionalIntOrString)
        .into_generator()
        .into_root_schema_for::<T>()
        .to_value()
}

/// Checks `value` against `schema`; an empty list says that it is right.
pub fn check(schema: &Value, value: &Value, path: &Path) -> Vec<Problem> {
    let mut checker = Checker { problems: Vec::new() };
    checker.any(schema, value, path);
    checker.problems.truncate(PROBLEMS_MAX);
    checker.problems
}

struct Checker {
    problems: Vec<Problem>,
}

impl Checker {
    fn report(&mut self, path: &Path, problem: String, allowed: impl Into<Option<String>>) {
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(Problem { path: path.clone(), problem, allowed: allowed.into() });
        }
    }

    fn any(&mut self, schema: &Value, value: &Value, path: &Path) {
        if value.is_null() && schema["nullable"] == true {
            return;
        }
        if let Some(wanted) = schema["type"].as_str()
            && !is_of_type(value, wanted)
        {
            let allowed = choices(schema).unwrap_or_else(|| name_of_type(wanted).to_owned());
            return self.report(
                path,
                format!("{} is of the wrong type", shown(schema, value)),
                allowed,
            );
        }
        if let Some(choices) = schema["enum"].as_array()
            && !choices.contains(value)
        {
            let problem = format!("{} is not one of the allowed values", shown(schema, value));
            return self.report(path, problem, self::choices(schema));
        }
        match value {
            Value::Number(_) => self.number(schema, value, path),
            Value::String(text) => self.text(schema, text, path),
            Value::Array(items) => self.list(schema, items, path),
            Value::Object(map) => self.object(schema, map, path),
            Value::Null | Value::Bool(_) => {}
        }
    }

    fn number(&mut self, schema: &Value, value: &Value, path: &Path) {
        let number = value.as_f64().unwrap_or(f64::NAN);
        let (min, max) = (schema["minimum"].as_f64(), schema["maximum"].as_f64());
        if min.is_some_and(|min| number < min) || max.is_some_and(|max| number > max) {
            let problem = format!("{value} is out of bounds");
            self.report(path, problem, span(&schema["minimum"], &schema["maximum"], ""));
        }
    }

    fn text(&mut self, schema: &Value, text: &str, path: &Path) {
        let length = text.chars().count() as u64;
        if !within(length, &schema["minLength"], &schema["maxLength"]) {
            let allowed = span(&schema["minLength"], &schema["maxLength"], " characters");
            self.report(path, format!("its {length} characters are too few or too many"), allowed);
        } else if let Some(pattern) = schema["pattern"].as_str()
            && !Regex::new(pattern).is_ok_and(|regex| regex.is_match(text))
        {
            let problem = format!("{} does not have the right form", shown(schema, &text.into()));
            self.report(path, problem, format!("text that matches {pattern}"));
        }
    }

    fn list(&mut self, schema: &Value, items: &[Value], path: &Path) {
        if !within(items.len() as u64, &schema["minItems"], &schema["maxItems"]) {
            let allowed = span(&schema["minItems"], &schema["maxItems"], " items");
            return self.report(
                path,
                format!("{} items are too few or too many", items.len()),
                allowed,
            );
        }
        for (index, item) in items.iter().enumerate() {
            self.any(&schema["items"], item, &path.index(index));
        }
    }

    fn object(&mut self, schema: &Value, map: &Map<String, Value>, path: &Path) {
        let empty = Map::new();
        let known = schema["properties"].as_object().unwrap_or(&empty);
        for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if !map.contains_key(name) {
                let description = known.get(name).and_then(|p| p["description"].as_str());
                let wanted = description.map(|d| format!("{name}: {}", d.trim_end_matches('.')));
                self.report(path, format!("{name} is missing"), wanted);
            }
        }
        for (name, value) in map {
            let path = path.key(name);
            if let Some(schema) = known.get(name) {
                self.any(schema, value, &path);
            } else if schema["additionalProperties"].is_object() {
                self.any(&schema["additionalProperties"], value, &path);
            } else if !known.is_empty() {
                let names = known.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
                self.report(&path, "there is no such field".to_owned(), names);
            }
        }
    }
}

fn is_of_type(value: &Value, wanted: &str) -> bool {
    match wanted {
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => false,
    }
}

fn name_of_type(wanted: &str) -> &str {
    match wanted {
        "integer" => "a whole number",
        "number" => "a number",
        "string" => "text (in quotes, if it looks like something else)",
        "boolean" => "true or false",
        "array" => "a list",
        _ => "a mapping of fields",
    }
}

/// The value for an error, cut short, and hidden if it is a secret.
fn shown(schema: &Value, value: &Value) -> String {
    if schema["format"] == "password" {
        return "the value (not shown)".to_owned();
    }
    match value {
        Value::Object(_) => "a mapping".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::Null => "nothing".to_owned(),
        Value::String(text) => format!("{:?}", text.chars().take(64).collect::<String>()),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

fn choices(schema: &Value) -> Option<String> {
    let words = schema["enum"].as_array()?.iter().map(|v| v.as_str().unwrap_or_default());
    Some(words.collect::<Vec<_>>().join(", "))
}

fn within(count: u64, min: &Value, max: &Value) -> bool {
    min.as_u64().is_none_or(|min| count >= min) && max.as_u64().is_none_or(|max| count <= max)
}

fn span(min: &Value, max: &Value, unit: &str) -> String {
    let plain = |v: &Value| v.as_f64().map_or_else(|| v.to_string(), |f| f.to_string());
    match (min.is_null(), max.is_null()) {
        (false, false) => format!("{} to {}{unit}", plain(min), plain(max)),
        (false, true) => format!("at least {}{unit}", plain(min)),
        _ => format!("at most {}{unit}", plain(max)),
    }
}
