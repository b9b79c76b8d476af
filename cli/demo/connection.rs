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

    /// Writes it to `FOLDER/connection.json`, and the first tenant's part as shell variables to
    /// `FOLDER/connection.env`.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let write = |name: &str, text: String| {
            let path = folder.join(name);
            fs::write(&path, text).with_context(|| format!("writing {}", path.display()))
        };
        write("connection.json", serde_json::to_string_pretty(self)? + "\n")?;
        write("connection.env", self.variables())
    }

    /// What the guide's commands name, for a shell to read.
    fn variables(&self) -> String {
        let tenant = self.tenants.first();
        let of = |field: fn(&TenantConnection) -> &str| tenant.map_or("", field);
        let variables = [
            ("API", self.api.as_str()),
            ("ACCOUNT", of(|tenant| &tenant.account_sid)),
            ("TOKEN", of(|tenant| &tenant.auth_token)),
            ("NUMBER", of(|tenant| tenant.numbers.first().map_or("", String::as_str))),
            ("APPLICATION", self.application.as_str()),
            ("OPERATOR_TOKEN", self.operator_token.as_str()),
            ("CARRIER_ACCOUNT", self.carrier_account.as_str()),
        ];
        variables.map(|(name, value)| format!("{name}='{}'\n", value.replace('\'', ""))).concat()
    }

    /// How to go on, with commands that work as they stand.
    pub fn how_to(&self, folder: &Path) -> String {
        format!(
            r#"It stays up until Ctrl-C. In another terminal, from here:

Set $API, $ACCOUNT, $TOKEN, $NUMBER, $APPLICATION, $OPERATOR_TOKEN (all tenants are in connection.json):
  . {folder}/connection.env
Place a call, and list the latest:
  curl -u $ACCOUNT:$TOKEN $API/2010-04-01/Accounts/$ACCOUNT/Calls.json \
       --data-urlencode To=+15551000001 --data-urlencode From=$NUMBER \
       --data-urlencode 'Twiml=<Response><Say>Hello from Busyhour.</Say></Response>'
  curl -u $ACCOUNT:$TOKEN "$API/2010-04-01/Accounts/$ACCOUNT/Calls.json?PageSize=5"
Everything live, as the operator; where a tenant stands and what holds it; and the carrier's own account:
  target/release/busyhour top --connection {folder}/connection.json
  target/release/busyhour explain tenant clinic --connection {folder}/connection.json
  curl $CARRIER_ACCOUNT
Change a limit while it runs:
  edit {declarations}/clinic.yaml, then look at {folder}/controller.log
More: docs/guide/README.md
"#,
            folder = folder.display(),
            declarations = self.declarations,
        )
    }
}
