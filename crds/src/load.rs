//! From documents to what is declared: typed, with references checked and secrets read, or not at all.

use std::{
    collections::BTreeMap,
    path::{Path as FilePath, PathBuf},
};

use busyhour_base::AccountSid;
use kube::CustomResourceExt;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{
    API_VERSION, LoadError, LoadErrors, SIMULATIONS_API_VERSION, Secret, SourceFile,
    document::Document,
    folder,
    kinds::{self, ApplicationSpec, CarrierSpec, NumberSpec, PoolSpec, TenantSpec},
    read_folder,
    schema::{self, Path},
};

mod contracts;
mod messages;
mod references;
mod sums;

/// Everything that is declared, by name. It exists only if all of it is right.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Declared {
    /// Carriers.
    pub carriers: BTreeMap<String, DeclaredCarrier>,
    /// Tenants.
    pub tenants: BTreeMap<String, DeclaredTenant>,
    /// Applications.
    pub applications: BTreeMap<String, ApplicationSpec>,
    /// Numbers.
    pub numbers: BTreeMap<String, NumberSpec>,
    /// Pools.
    pub pools: BTreeMap<String, PoolSpec>,
}

/// A carrier with its password, wherever that was written.
#[derive(Clone, PartialEq, Debug)]
pub struct DeclaredCarrier {
    /// Its document.
    pub spec: CarrierSpec,
    /// Of its trunk, if it asks for one.
    pub password: Option<Secret>,
}

/// A tenant with its token, wherever that was written.
#[derive(Clone, PartialEq, Debug)]
pub struct DeclaredTenant {
    /// Its document.
    pub spec: TenantSpec,
    /// Of its account.
    pub token: Secret,
}

impl Declared {
    /// The tenant of an account, with its name.
    pub fn tenant_of(&self, account: AccountSid) -> Option<(&str, &DeclaredTenant)> {
        let mut tenants = self.tenants.iter();
        tenants
            .find(|(_, tenant)| tenant.spec.account == account)
            .map(|(name, tenant)| (name.as_str(), tenant))
    }

    /// Whether `number` belongs to the tenant of this name, which may then call from it.
    pub fn owns_number(&self, tenant: &str, number: &str) -> bool {
        self.numbers.values().any(|spec| spec.tenant == tenant && spec.number == number)
    }
}

/// Reads and checks a folder of documents.
///
/// # Errors
/// Everything that is wrong with it (at most 100 things); then nothing of it is taken over.
pub fn load_folder(folder: &FilePath) -> Result<Declared, LoadErrors> {
    load(&read_folder(folder)?)
}

/// Checks documents that were already read. Files are touched only for the secrets that documents name.
///
/// # Errors
/// As [`load_folder`].
pub fn load(files: &[SourceFile]) -> Result<Declared, LoadErrors> {
    let mut loader = Loader::default();
    for file in files {
        match Document::parse_all(file) {
            Ok(documents) => loader.take_all(documents),
            Err(error) => loader.errors.push(error),
        }
    }
    // References to a document that was refused would only repeat its faults.
    LoadErrors::unless_none(std::mem::take(&mut loader.errors))?;
    loader.finish()
}

/// A typed document and where it came from.
pub(crate) struct Loaded<'a, T> {
    document: Document<'a>,
    spec: T,
}

type Kind<'a, T> = BTreeMap<String, Loaded<'a, T>>;

#[derive(Default)]
pub(crate) struct Loader<'a> {
    schemas: BTreeMap<&'static str, Value>,
    carriers: Kind<'a, CarrierSpec>,
    tenants: Kind<'a, TenantSpec>,
    applications: Kind<'a, ApplicationSpec>,
    numbers: Kind<'a, NumberSpec>,
    pools: Kind<'a, PoolSpec>,
    errors: Vec<LoadError>,
}

/// The part of a custom resource that a folder's document may hold.
#[derive(Deserialize)]
struct Resource<T> {
    metadata: Metadata,
    spec: T,
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
}

const KINDS: &str = "Application, Carrier, Number, Pool, Tenant";

impl<'a> Loader<'a> {
    /// Finding the line of a fault costs a reading of its file, so that there is a bound on faults.
    fn take_all(&mut self, documents: Vec<Document<'a>>) {
        for document in documents {
            if self.errors.len() < LoadErrors::MAX {
                self.take(document);
            }
        }
    }

    fn take(&mut self, document: Document<'a>) {
        let refuse = |field: &str, problem: String, allowed: &str| {
            document.error(&Path::of(&[field]), problem, Some(allowed.to_owned()))
        };
        match document.text("apiVersion") {
            Some(API_VERSION) => {}
            Some(SIMULATIONS_API_VERSION) => return,
            other => {
                let problem = format!("{:?} is not a known version", other.unwrap_or_default());
                let allowed = format!("{API_VERSION}, {SIMULATIONS_API_VERSION}");
                return self.errors.push(refuse("apiVersion", problem, &allowed));
            }
        }
        let taken = match document.text("kind") {
            Some("Carrier") => {
                put::<kinds::Carrier, _>(&mut self.schemas, &mut self.carriers, document)
            }
            Some("Tenant") => {
                put::<kinds::Tenant, _>(&mut self.schemas, &mut self.tenants, document)
            }
            Some("Application") => {
                put::<kinds::Application, _>(&mut self.schemas, &mut self.applications, document)
            }
            Some("Number") => {
                put::<kinds::Number, _>(&mut self.schemas, &mut self.numbers, document)
            }
            Some("Pool") => put::<kinds::Pool, _>(&mut self.schemas, &mut self.pools, document),
            other => {
                let problem = format!("{:?} is not a known kind", other.unwrap_or_default());
                Err(vec![refuse("kind", problem, KINDS)])
            }
        };
        self.errors.extend(taken.err().into_iter().flatten());
    }

    fn finish(mut self) -> Result<Declared, LoadErrors> {
        self.check_references();
        self.check_sums();
        self.check_contracts();
        self.check_messages();
        LoadErrors::unless_none(std::mem::take(&mut self.errors))?;
        let mut declared = Declared::default();
        for (name, loaded) in &self.carriers {
            let spec = &loaded.spec;
            let keys = ["password", "passwordFile"];
            match loaded.secret(spec.password.as_ref(), spec.password_file.as_ref(), keys) {
                Ok(password) => {
                    let carrier = DeclaredCarrier { spec: spec.clone(), password };
                    declared.carriers.insert(name.clone(), carrier);
                }
                Err(error) => self.errors.push(error),
            }
        }
        for (name, loaded) in &self.tenants {
            let spec = &loaded.spec;
            let keys = ["authToken", "authTokenFile"];
            match loaded.secret(spec.auth_token.as_ref(), spec.auth_token_file.as_ref(), keys) {
                Ok(Some(token)) => {
                    let tenant = DeclaredTenant { spec: spec.clone(), token };
                    declared.tenants.insert(name.clone(), tenant);
                }
                Ok(None) => {
                    let allowed = Some("authToken or authTokenFile".to_owned());
                    self.errors.push(loaded.error(&["spec"], "the tenant has no token", allowed));
                }
                Err(error) => self.errors.push(error),
            }
        }
        LoadErrors::unless_none(self.errors)?;
        let specs = |(name, loaded): (String, Loaded<'_, _>)| (name, loaded.spec);
        declared.applications = self.applications.into_iter().map(specs).collect();
        declared.numbers = self.numbers.into_iter().map(|(name, l)| (name, l.spec)).collect();
        declared.pools = self.pools.into_iter().map(|(name, l)| (name, l.spec)).collect();
        Ok(declared)
    }
}

impl<T> Loaded<'_, T> {
    fn error(
        &self,
        keys: &[&str],
        problem: impl Into<String>,
        allowed: Option<String>,
    ) -> LoadError {
        self.document.error(&Path::of(keys), problem, allowed)
    }

    /// A secret that is written in the document or in a file beside it, but not in both.
    fn secret(
        &self,
        plain: Option<&Secret>,
        file: Option<&String>,
        [plain_key, file_key]: [&str; 2],
    ) -> Result<Option<Secret>, LoadError> {
        match (plain, file) {
            (Some(_), Some(_)) => {
                let problem = format!("{plain_key} and {file_key} exclude each other");
                Err(self.error(&["spec", file_key], problem, Some("one of them".to_owned())))
            }
            (Some(secret), None) => Ok(Some(secret.clone())),
            (None, Some(file)) => self.secret_file(file, file_key).map(Some),
            (None, None) => Ok(None),
        }
    }

    fn secret_file(&self, file: &str, key: &str) -> Result<Secret, LoadError> {
        let folder = self.document.file().parent().map_or_else(PathBuf::new, FilePath::to_owned);
        let path = folder.join(file);
        // Room for the longest secret in UTF-8 and an end of line.
        let bytes_max = 4 * Secret::LENGTH_MAX as u64 + 2;
        let text = folder::read_file(&path, bytes_max).map_err(|e| {
            self.error(&["spec", key], format!("{}: {}", path.display(), e.problem), e.allowed)
        })?;
        let text = text.trim_end_matches(['\r', '\n']);
        if text.is_empty()
            || text.chars().count() > Secret::LENGTH_MAX
            || text.contains(char::is_control)
        {
            let allowed = format!("one line of 1 to {} characters", Secret::LENGTH_MAX);
            let problem = format!("{} does not hold a secret", path.display());
            return Err(self.error(&["spec", key], problem, Some(allowed)));
        }
        Ok(Secret::new(text))
    }
}

fn put<'a, K: CustomResourceExt, T: DeserializeOwned>(
    schemas: &mut BTreeMap<&'static str, Value>,
    kind: &mut Kind<'a, T>,
    document: Document<'a>,
) -> Result<(), Vec<LoadError>> {
    let schema = schemas.entry(K::crd_name()).or_insert_with(document_schema::<K>);
    let resource: Resource<T> = document.read(schema)?;
    let name = resource.metadata.name;
    if let Some(first) = kind.get(&name) {
        let (file, line) = (
            first.document.file().display(),
            first.document.line_of(&Path::of(&["metadata", "name"])),
        );
        let problem =
            format!("{name:?} is declared already at {file}:{}", line.unwrap_or_default());
        let allowed = Some("a name that is used once per kind".to_owned());
        return Err(vec![document.error(&Path::of(&["metadata", "name"]), problem, allowed)]);
    }
    kind.insert(name, Loaded { document, spec: resource.spec });
    Ok(())
}

/// The schema of a kind's definition, with metadata as a folder's documents may hold it. (An API server has
/// its own schema of metadata, so definitions leave it open.)
fn document_schema<K: CustomResourceExt>() -> Value {
    let mut schema = schema::of_kind::<K>();
    let texts = serde_json::json!({"type": "object", "additionalProperties": {"type": "string"}});
    schema["properties"]["metadata"] = serde_json::json!({
        "type": "object",
        "description": "Its name.",
        "required": ["name"],
        "properties": {
            "name": {"type": "string", "pattern": kinds::NAME_PATTERN},
            "namespace": {"type": "string", "pattern": kinds::NAME_PATTERN},
            "labels": texts,
            "annotations": texts,
        },
    });
    schema["properties"]["apiVersion"] = serde_json::json!({"type": "string"});
    schema["properties"]["kind"] = serde_json::json!({"type": "string"});
    if let Some(Value::Array(required)) = schema.get_mut("required") {
        required.push("metadata".into());
    }
    schema
}
