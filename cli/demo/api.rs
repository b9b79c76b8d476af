//! The demo is a client of the API like any other.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use busyhour_simulations::scenario::PacingDocument;
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};

/// An account at the API.
#[derive(Clone)]
pub struct Account {
    /// `AC...`
    pub sid: String,
    /// Its password; never shown but in the folder of the demo itself.
    pub token: String,
}

/// The API of one controller.
#[derive(Clone)]
pub struct Api {
    base: String,
    http: Client,
    operator_token: String,
}

impl Api {
    /// At `address` (host and port).
    ///
    /// # Errors
    /// The HTTP client cannot be made.
    pub fn new(address: &str, operator_token: String) -> Result<Self> {
        let http = Client::builder().timeout(Duration::from_secs(30)).build()?;
        Ok(Self { base: format!("http://{address}"), http, operator_token })
    }

    /// Its URL.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Tenants, carriers and agents.
    ///
    /// # Errors
    /// The API does not answer, or refuses.
    pub async fn overview(&self) -> Result<Value> {
        let request = self.http.get(format!("{}/v1/overview.json", self.base));
        read(request.bearer_auth(&self.operator_token)).await
    }

    /// Creates a batch and gives its sid. The key makes a repeat the same request.
    ///
    /// # Errors
    /// The API does not answer, or refuses.
    pub async fn create_batch(
        &self,
        account: &Account,
        key: &str,
        name: &str,
        pacing: &PacingDocument,
        defaults: &Value,
    ) -> Result<String> {
        let body = json!({"name": name, "pacing": pacing, "defaults": defaults});
        let request = self.http.post(format!("{}/v1/Batches", self.base));
        let request = request.header("Idempotency-Key", key).json(&body);
        let batch = read(as_account(request, account)).await?;
        Ok(batch["sid"].as_str().context("a batch has a sid")?.to_owned())
    }

    /// Uploads lines (NDJSON) and gives what the API says of them.
    ///
    /// # Errors
    /// The API does not answer, or refuses.
    pub async fn upload(&self, account: &Account, batch: &str, lines: String) -> Result<Value> {
        let request = self.http.post(format!("{}/v1/Batches/{batch}/lines", self.base));
        let request = request.header("Content-Type", "application/x-ndjson").body(lines);
        read(as_account(request, account)).await
    }

    /// Starts a batch.
    ///
    /// # Errors
    /// The API does not answer, or refuses.
    pub async fn start(&self, account: &Account, batch: &str) -> Result<()> {
        let request = self.http.post(format!("{}/v1/Batches/{batch}/start", self.base));
        read(as_account(request, account)).await.map(drop)
    }

    /// One batch.
    ///
    /// # Errors
    /// The API does not answer, or refuses.
    pub async fn batch(&self, account: &Account, batch: &str) -> Result<Value> {
        let request = self.http.get(format!("{}/v1/Batches/{batch}", self.base));
        read(as_account(request, account)).await
    }

    /// Every result of a batch that is over, one line per call.
    ///
    /// # Errors
    /// The API does not answer, or refuses.
    pub async fn results(&self, account: &Account, batch: &str) -> Result<Vec<Value>> {
        let request = self.http.get(format!("{}/v1/Batches/{batch}/results", self.base));
        let text = read_text(as_account(request, account)).await?;
        text.lines()
            .filter(|line| !line.trim().is_empty())
            .map(|line| serde_json::from_str(line).with_context(|| format!("result {line:?}")))
            .collect()
    }

    /// Sends a message and gives its sid.
    ///
    /// # Errors
    /// The API does not answer, or refuses.
    pub async fn send_message(
        &self,
        account: &Account,
        from: &str,
        to: &str,
        body: &str,
    ) -> Result<String> {
        let url = format!("{}/2010-04-01/Accounts/{}/Messages.json", self.base, account.sid);
        let request = self.http.post(url).form(&[("From", from), ("To", to), ("Body", body)]);
        let message = read(as_account(request, account)).await?;
        Ok(message["sid"].as_str().context("a message has a sid")?.to_owned())
    }

    /// Brings a message to a tenant's number in the place of a carrier, and gives the message's sid.
    ///
    /// # Errors
    /// The API does not answer, refuses it, or has no room for it now.
    pub async fn bring_message(&self, carrier: &str, message: &Value) -> Result<String> {
        let request = self.http.post(format!("{}/v1/Carriers/{carrier}/Messages", self.base));
        let receipt = read(request.bearer_auth(&self.operator_token).json(message)).await?;
        Ok(receipt["message_sid"].as_str().context("a message has a sid")?.to_owned())
    }

    /// The latest thousand messages of an account.
    ///
    /// # Errors
    /// The API does not answer, or refuses.
    pub async fn messages(&self, account: &Account) -> Result<Vec<Value>> {
        self.list(account, "Messages.json?PageSize=1000", "messages").await
    }

    /// The latest thousand calls to a number that were answered and ended.
    ///
    /// # Errors
    /// The API does not answer, or refuses.
    pub async fn completed_calls_to(&self, account: &Account, number: &str) -> Result<Vec<Value>> {
        let number = number.replace('+', "%2B");
        let query = format!("Calls.json?To={number}&Status=completed&PageSize=1000");
        self.list(account, &query, "calls").await
    }

    async fn list(&self, account: &Account, what: &str, container: &str) -> Result<Vec<Value>> {
        let url = format!("{}/2010-04-01/Accounts/{}/{what}", self.base, account.sid);
        let page = read(as_account(self.http.get(url), account)).await?;
        Ok(page[container].as_array().with_context(|| format!("no {container}: {page}"))?.clone())
    }

    /// Posts JSON to a part of this machine, such as the carrier.
    ///
    /// # Errors
    /// It does not answer, or refuses.
    pub async fn post(&self, url: &str, body: &Value) -> Result<Value> {
        read(self.http.post(url).json(body)).await
    }

    /// Any JSON document of this machine, such as the carrier's account.
    ///
    /// # Errors
    /// It cannot be had.
    pub async fn get(&self, url: &str) -> Result<Value> {
        read(self.http.get(url)).await
    }
}

fn as_account(request: RequestBuilder, account: &Account) -> RequestBuilder {
    request.basic_auth(&account.sid, Some(&account.token))
}

async fn read(request: RequestBuilder) -> Result<Value> {
    let text = read_text(request).await?;
    serde_json::from_str(&text).with_context(|| format!("not JSON: {text:?}"))
}

async fn read_text(request: RequestBuilder) -> Result<String> {
    let response = request.send().await?;
    let (status, url) = (response.status(), response.url().clone());
    let text = response.text().await?;
    if !status.is_success() {
        bail!("{url} answered {status}: {text}");
    }
    Ok(text)
}
