//! Bad input at every edge of a running installation (`RELIABILITY.md`, "Bad input and attack"): each gets the
//! documented answer and has no effect, a valid call is served after it, and no secret reaches a log.

#[path = "../support/mod.rs"]
mod support;

mod api;
mod batches;
mod declarations;
mod documents;
mod sip;
mod tenants;

use std::fs;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use support::{Running, tenant::Tenant};

/// A number of `north`, and one that answers.
const FROM: &str = "+15550100001";
const TO: &str = "+15551000001";
/// A document that does nothing.
const HANGUP: &str = "<Response><Hangup/></Response>";

/// An installation to be bad to.
async fn victim(name: &str) -> (Running, Tenant) {
    let running = Running::start(name, "hostile").await;
    let tenant = running.tenant("north");
    (running, tenant)
}

/// That a valid call goes through.
async fn serves(tenant: &Tenant) {
    let call = tenant.accepted(&[("To", TO), ("From", FROM), ("Twiml", HANGUP)]).await;
    let ended = tenant.ended(&call).await;
    assert_eq!((ended.status.as_str(), ended.reason.as_str()), ("completed", "completed"));
}

/// That everything is still up and serves, that it ends in order, and that its logs hold no secret.
async fn unharmed(mut running: Running, tenant: &Tenant) {
    running.stage.check().unwrap_or_else(|error| panic!("{error:#}"));
    serves(tenant).await;
    let mut secrets = Vec::new();
    for (name, tenant) in &running.declared.tenants {
        let account = running.account(name);
        secrets.push(tenant.token.reveal().to_owned());
        secrets.push(BASE64_STANDARD.encode(format!("{}:{}", account.sid, account.token)));
    }
    let folder = running.stage.folder().to_owned();
    for file in ["cluster-token", "operator-token"] {
        secrets.push(fs::read_to_string(folder.join(file)).unwrap());
    }
    running.end().await;
    let mut logs = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "log") {
            let log = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
            for secret in &secrets {
                assert!(!log.contains(secret), "{} holds a secret", path.display());
            }
            assert!(!log.contains("panicked"), "{}: {log}", path.display());
            logs += 1;
        }
    }
    assert!(logs >= 4, "{logs} logs: the parts do not log where they are looked for");
}
