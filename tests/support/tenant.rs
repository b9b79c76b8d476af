//! A tenant as a client of the API: raw requests and their answers, refusals included.

use std::time::Duration;

use busyhour::demo::api::Account;
use reqwest::{Client, Method, RequestBuilder};
use serde_json::Value;

use super::until;

/// How long a call of these tests may take to its outcome. A BYE that is never answered alone takes 32 s.
const OUTCOME_WITHIN: Duration = Duration::from_secs(120);

/// An account with an HTTP client of its own.
pub struct Tenant {
    pub account: Account,
    pub base: String,
    pub http: Client,
}

/// An answer of the API.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub text: String,
}

impl Answer {
    /// Its body as JSON; null where it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    /// That it refuses with this status and code, in the documented shape, and its message.
    #[track_caller]
    pub fn refuses(&self, status: u16, code: u32) -> String {
        let body = self.json();
        assert_eq!((self.status, body["code"].as_u64()), (status, Some(code.into())), "{self:?}");
        assert_eq!(body["status"], status, "{self:?}");
        assert_eq!(body["more_info"], format!("/v1/errors/{code}"), "{self:?}");
        body["message"].as_str().expect("a refusal has a message").to_owned()
    }
}

/// How a call ended, as the API tells it.
#[derive(Debug)]
pub struct Ended {
    pub status: String,
    pub reason: String,
    pub sip_code: Option<u64>,
    /// Whole seconds, rounded up; none if it was not answered.
    pub duration: Option<u64>,
}

impl Tenant {
    pub fn new(base: &str, account: Account) -> Self {
        // The bound is above that of the slowest answer; without it a hung one would hang the test.
        let http = Client::builder().no_proxy().timeout(Duration::from_secs(60)).build().unwrap();
        Self { account, base: base.to_owned(), http }
    }

    /// A request as this account.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        request.basic_auth(&self.account.sid, Some(&self.account.token))
    }

    pub async fn get(&self, path: &str) -> Answer {
        answer(self.request(Method::GET, path)).await
    }

    /// The path of something under its account.
    pub fn path(&self, rest: &str) -> String {
        format!("/2010-04-01/Accounts/{}/{rest}", self.account.sid)
    }

    /// Asks for a call with these parameters.
    pub async fn create(&self, parameters: &[(&str, &str)]) -> Answer {
        let request = self.request(Method::POST, &self.path("Calls.json"));
        answer(request.form(parameters)).await
    }

    /// Asks for a call that must be accepted, and gives its sid.
    pub async fn accepted(&self, parameters: &[(&str, &str)]) -> String {
        let answer = self.create(parameters).await;
        assert_eq!(answer.status, 201, "{parameters:?}: {answer:?}");
        answer.json()["sid"].as_str().expect("a call has a sid").to_owned()
    }

    /// Waits for a call's outcome.
    pub async fn ended(&self, call: &str) -> Ended {
        let path = self.path(&format!("Calls/{call}.json"));
        let resource = until("a call's outcome", OUTCOME_WITHIN, async || {
            let answer = self.get(&path).await;
            assert_eq!(answer.status, 200, "{answer:?}");
            let resource = answer.json();
            let going = ["queued", "ringing", "in-progress"];
            (!going.contains(&resource["status"].as_str()?)).then_some(resource)
        })
        .await;
        let explanation = self.explain(call).await;
        assert_eq!(explanation["status"], resource["status"], "{explanation}");
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Ended {
            status: word(&resource["status"]),
            reason: word(&explanation["ending"]["reason"]),
            sip_code: explanation["sip_code"].as_u64(),
            duration: resource["duration"].as_str().map(|text| text.parse().expect("a number")),
        }
    }

    /// Why a call is where it is.
    pub async fn explain(&self, call: &str) -> Value {
        let answer = self.get(&format!("/v1/Calls/{call}/explain")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }
}

/// Sends a request and takes its answer, whatever it is.
pub async fn answer(request: RequestBuilder) -> Answer {
    let response = request.send().await.expect("the API answers");
    let status = response.status().as_u16();
    Answer { status, text: response.text().await.expect("an answer has a body") }
}
