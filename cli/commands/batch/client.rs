//! What `busyhour batch` asks of the API again and again.

use std::time::{Duration, Instant};

use reqwest::{Method, RequestBuilder};
use serde_json::Value;

use crate::client::{Client, Problem};

/// Between tries of an API that does not answer.
const PAUSE: Duration = Duration::from_millis(500);

impl Client {
    /// Asks for one batch.
    pub fn get(&self, sid: &str) -> RequestBuilder {
        self.request(Method::GET, &format!("/v1/Batches/{sid}"))
    }

    /// Sends a request that does the same however often it is sent, until the API answers.
    ///
    /// # Errors
    /// [`Problem`]: the API refuses, or has been away for longer than `patience`.
    pub async fn insist(
        &self,
        patience: Duration,
        request: impl Fn() -> RequestBuilder,
    ) -> Result<Value, Problem> {
        let since = Instant::now();
        loop {
            match self.json(request()).await {
                Err(Problem::Away(_)) if since.elapsed() < patience => {
                    tokio::time::sleep(PAUSE).await;
                }
                done => return done,
            }
        }
    }

    /// One batch.
    ///
    /// # Errors
    /// [`Problem`]
    pub async fn batch(&self, sid: &str) -> Result<Value, Problem> {
        self.json(self.get(sid)).await
    }
}
