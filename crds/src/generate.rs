//! The custom resource definitions as files for a Kubernetes API server.

use std::{fs, io, path::Path};

use kube::CustomResourceExt;
use serde_json::Value;

use crate::kinds::{Application, Carrier, Number, Pool, Tenant};

/// Name and content of every file that [`write_all`] writes.
pub fn crd_files() -> Vec<(String, String)> {
    [Application::crd(), Carrier::crd(), Number::crd(), Pool::crd(), Tenant::crd()]
        .into_iter()
        .map(|crd| {
            let name = format!("{}.yaml", crd.spec.names.plural);
            let mut value = serde_json::to_value(&crd).expect("a definition is plain data");
            use_known_formats(&mut value);
            let yaml = serde_yaml::to_string(&value).expect("a definition is plain data");
            (name, format!("# Written by `make crds` from the types in crds/src/kinds.\n{yaml}"))
        })
        .collect()
}

/// Writes `applications.yaml`, `carriers.yaml` and so on into `folder`, and tells their names.
///
/// # Errors
/// If a file cannot be written.
pub fn write_all(folder: &Path) -> io::Result<Vec<String>> {
    crd_files()
        .into_iter()
        .map(|(name, text)| fs::write(folder.join(&name), text).map(|()| name))
        .collect()
}

/// An API server knows signed formats only and warns of others. Every integer here is bounded by its
/// `maximum` anyway.
fn use_known_formats(value: &mut Value) {
    match value {
        Value::Object(map) => {
            if let Some(Value::String(format)) = map.get_mut("format")
                && format.starts_with("uint")
            {
                *format = "int64".to_owned();
            }
            map.values_mut().for_each(use_known_formats);
        }
        Value::Array(items) => items.iter_mut().for_each(use_known_formats),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// DESIGN: the committed definitions are the ones that the types say.
    #[test]
    fn the_committed_definitions_are_those_of_the_types() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        for (name, expected) in crd_files() {
            let found = fs::read_to_string(folder.join(&name)).unwrap_or_default();
            assert!(found == expected, "crds/{name} has drifted from its type: run `make crds`");
        }
    }

    /// An API server refuses what is not structural, and warns of unknown formats.
    #[test]
    fn the_definitions_are_structural() {
        fn check(schema: &Value, path: &str) {
            if let Value::Object(map) = schema {
                if let Some(Value::Object(properties)) = map.get("properties") {
                    for (name, property) in properties {
                        let path = format!("{path}.{name}");
                        assert!(property["type"].is_string(), "{path} has no type");
                        check(property, &path);
                    }
                }
                if let Some(items) = map.get("items") {
                    assert!(items["type"].is_string(), "{path}[] has no type");
                    check(items, path);
                }
                for banned in ["$ref", "oneOf", "anyOf", "definitions"] {
                    assert!(!map.contains_key(banned), "{path} holds {banned}");
                }
            }
        }
        for (name, text) in crd_files() {
            let crd: Value = serde_yaml::from_str(&text).expect("YAML");
            let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
            assert!(schema["properties"]["spec"]["description"].is_string(), "{name}");
            check(&schema["properties"]["spec"], &name);
            assert!(!text.contains("uint"), "{name} holds a format that no API server knows");
        }
    }
}
