//! The documents of one file: read as YAML, with the line of any field at hand for errors.

use std::{fmt, path::PathBuf};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::Value;
use serde_path_to_error::Segment;

use crate::{
    LoadError, SourceFile,
    schema::{self, Path, Step},
};

/// Most documents of one file.
const DOCUMENTS_MAX: usize = 20_000;

/// One YAML document.
#[derive(Clone, Debug)]
pub struct Document<'a> {
    file: &'a SourceFile,
    position: usize,
    /// What it holds.
    pub value: Value,
}

impl<'a> Document<'a> {
    /// Reads every document of a file; empty ones are passed over.
    ///
    /// # Errors
    /// The first thing that is not YAML, or goes beyond the bound of 20,000 documents.
    pub fn parse_all(file: &'a SourceFile) -> Result<Vec<Self>, LoadError> {
        let mut documents = Vec::new();
        for (position, yaml) in serde_yaml::Deserializer::from_str(&file.text).enumerate() {
            if position == DOCUMENTS_MAX {
                let problem = "the file holds too many documents".to_owned();
                return Err(whole_file(file, problem, Some(format!("at most {DOCUMENTS_MAX}"))));
            }
            // By way of a YAML value, which refuses a key that is there twice.
            let value = serde_yaml::Value::deserialize(yaml).map_err(|e| not_yaml(file, &e))?;
            let value = serde_json::to_value(value).map_err(|e| {
                let problem =
                    format!("the document holds more than text, numbers, lists and mappings: {e}");
                whole_file(file, problem, None)
            })?;
            if !value.is_null() {
                documents.push(Self { file, position, value });
            }
        }
        Ok(documents)
    }

    /// The text at the root's field `name`, if it is text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.value[name].as_str()
    }

    /// An error about the field at `path`, with its line.
    pub fn error(
        &self,
        path: &Path,
        problem: impl Into<String>,
        allowed: Option<String>,
    ) -> LoadError {
        LoadError {
            file: self.file.path.clone(),
            line: self.line_of(path),
            field: path.to_string(),
            problem: problem.into(),
            allowed,
        }
    }

    /// Checks the document against `schema` and reads it.
    ///
    /// # Errors
    /// Everything that does not fit the schema.
    pub fn read<T: DeserializeOwned>(&self, schema: &Value) -> Result<T, Vec<LoadError>> {
        let problems = schema::check(schema, &self.value, &Path::default());
        if !problems.is_empty() {
            let error = |p: schema::Problem| self.error(&p.path, p.problem, p.allowed);
            return Err(problems.into_iter().map(error).collect());
        }
        serde_path_to_error::deserialize(&self.value).map_err(|e| {
            let steps = e.path().iter().filter_map(|segment| match segment {
                Segment::Map { key } => Some(Step::Key(key.clone())),
                Segment::Seq { index } => Some(Step::Index(*index)),
                Segment::Enum { .. } | Segment::Unknown => None,
            });
            vec![self.error(&Path(steps.collect()), e.inner().to_string(), None)]
        })
    }

    /// The file that it stands in.
    pub fn file(&self) -> &'a PathBuf {
        &self.file.path
    }

    /// The line of the field at `path`, or of the nearest field around it that is there.
    pub fn line_of(&self, path: &Path) -> Option<usize> {
        let yaml = serde_yaml::Deserializer::from_str(&self.file.text).nth(self.position)?;
        let found = Seek { steps: &path.0 }.deserialize(yaml).err()?;
        found.location().map(|location| location.line())
    }
}

fn whole_file(file: &SourceFile, problem: String, allowed: Option<String>) -> LoadError {
    LoadError { file: file.path.clone(), line: None, field: String::new(), problem, allowed }
}

fn not_yaml(file: &SourceFile, error: &serde_yaml::Error) -> LoadError {
    LoadError {
        line: error.location().map(|l| l.line()),
        ..whole_file(file, format!("not YAML: {error}"), None)
    }
}

/// Walks to a field and fails there: the error that `serde_yaml` makes of it holds the position, which its
/// values do not keep.
struct Seek<'a> {
    steps: &'a [Step],
}

/// The wanted key, or any other.
struct SeekKey<'a> {
    wanted: &'a str,
    is_last: bool,
}

const HERE: &str = "here";

impl<'de> DeserializeSeed<'de> for Seek<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<(), D::Error> {
        d.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seek<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HERE)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Some((Step::Key(wanted), rest)) = self.steps.split_first() else {
            return Err(A::Error::custom(HERE));
        };
        while let Some(found) = map.next_key_seed(SeekKey { wanted, is_last: rest.is_empty() })? {
            if found {
                return map.next_value_seed(Seek { steps: rest });
            }
            map.next_value::<IgnoredAny>()?;
        }
        Err(A::Error::custom(HERE))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let Some((Step::Index(wanted), rest)) = self.steps.split_first() else {
            return Err(A::Error::custom(HERE));
        };
        for _ in 0..*wanted {
            seq.next_element::<IgnoredAny>()?;
        }
        seq.next_element_seed(Seek { steps: rest })?;
        Err(A::Error::custom(HERE))
    }
}

impl<'de> DeserializeSeed<'de> for SeekKey<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<bool, D::Error> {
        d.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for SeekKey<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<bool, E> {
        let found = key == self.wanted;
        if found && self.is_last { Err(E::custom(HERE)) } else { Ok(found) }
    }
}
