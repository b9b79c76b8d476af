//! `connection.json`: everything that a person or a program needs to use the running demo.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use busyhour_crds::Declared;
use serde::{Deserialize, Serialize};

use crate::stage::Stage;

/// Addresses and credentials of a running demo.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Connection {
    /// URL of the API.
    pub api: String,
    /// Opens the operator's read models, as a bearer token.
    pub operator_token: String,
    /// Every tenant.
    pub tenants: Vec<TenantConnection>,
    /// The carrier's SIP address.
    pub carrier_sip: String,
    /// The carrier's own account over HTTP.
    pub carrier_account: String,
    /// URL of the tenants' application server.
    pub application: String,
    /// The folder of declarations that the controller watches.
    pub declarations: String,
}

/// One tenant's credentials.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TenantConnection {
    /// Its name.
    pub name: String,
    /// `AC...`
    pub account_sid: String,
    /// Password of basic authentication, and key of the webhooks' signatures.
    pub auth_token: String,
    /// Its numbers.
    pub numbers: Vec<String>,
}

impl Connection {
    /// Of a stage whose parts are all up.
    ///
    /// # Errors
    /// A part is missing.
    pub fn new(stage: &Stage, declared: &Declared) -> Result<Self> {
        let tenants = declared.tenants.iter().map(|(name, tenant)| TenantConnection {
            name: name.clone(),
            account_sid: tenant.spec.account.to_string(),
            auth_token: tenant.token.reveal().to_owned(),
            numbers: declared
                .numbers
                .values()
                .filter(|number| number.tenant == *name)
                .map(|number| number.number.clone())
                .collect(),
        });
        Ok(Self {
            api: format!("http://{}", stage.address("controller.api")?),
            operator_token: stage.operator_token()?,
            tenants: tenants.collect(),
            carrier_sip: stage.address("carrier.sip")?.to_owned(),
            carrier_account: format!("http://{}/account", stage.address("carrier.account")?),
            application: format!("http://{}", stage.address("application.http")?),
            declarations: stage.declarations().display().to_string(),
        })
    }

    /// Writes it to `FOLDER/connection.json`.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let path = folder.join("connection.json");
        fs::write(&path, serde_json::to_string_pretty(self)? + "\n")
            .with_context(|| format!("writing {}", path.display()))
    }

    /// How to go on, with commands that work as they stand.
    pub fn how_to(&self, folder: &Path) -> String {
        let Some(tenant) = self.tenants.first() else { return String::new() };
        let (account, token, api) = (&tenant.account_sid, &tenant.auth_token, &self.api);
        let from = tenant.numbers.first().map_or("", String::as_str);
        format!(
            r#"It stays up until Ctrl-C. Everything below is in {folder}/connection.json too.

Place a call:
  curl -u {account}:{token} {api}/2010-04-01/Accounts/{account}/Calls.json \
       -d To=%2B15551000001 -d From={from} \
       --data-urlencode 'Twiml=<Response><Say>Hello from Busyhour.</Say></Response>'
List calls:
  curl -u {account}:{token} '{api}/2010-04-01/Accounts/{account}/Calls.json?PageSize=5'
Everything at a glance, as the operator:
  curl -H 'Authorization: Bearer {operator}' {api}/v1/overview.json
The carrier's own account:
  curl {carrier}
Change a limit while it runs:
  edit {declarations}/*.yaml, then look at {folder}/controller.log
With the official SDKs (docs/guide/sdks.md):
  from busyhour_client import busyhour_client   # examples/sdk/busyhour_client.py
  tel = busyhour_client("{api}", "{account}", "{token}")
"#,
            folder = folder.display(),
            from = from.replace('+', "%2B"),
            operator = self.operator_token,
            carrier = self.carrier_account,
            declarations = self.declarations,
        )
    }
}
