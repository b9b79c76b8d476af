//! What operators and tenants see of a running installation: `busyhour top`, `busyhour explain`, metrics, and the
//! dashboard that shows them (MT-27).

mod support;

use std::{collections::BTreeSet, fs, time::Duration};

use reqwest::Method;
use serde_json::{Value, json};
use support::{Running, cli::busyhour, root, tenant::answer, until};

/// How long calls may take to be up.
const WITHIN: Duration = Duration::from_secs(60);

async fn raised(name: &str) -> Running {
    let mut running = Running::start(name, "quick").await;
    running.submit_all().await;
    until("calls that are up while others wait", WITHIN, async || {
        let counts = running.counts().await.ok()?;
        (counts.in_progress > 0 && counts.queued > 0 && counts.ended() > 0).then_some(())
    })
    .await;
    running
}

/// Lets the rest of north's batch last for hours, so that calls wait however long the looking takes.
async fn go_slow(running: &Running) {
    let tenant = running.tenant("north");
    let batches = tenant.get("/v1/Batches").await.json();
    let pace = format!("/v1/Batches/{}/pace", batches["batches"][0]["sid"].as_str().unwrap());
    let slow = tenant.request(Method::POST, &pace).json(&json!({"cps": 0.01}));
    let answer = answer(slow).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn mt_27_top_and_explain_tell_the_same_as_the_api() {
    let running = raised("operator-top").await;
    go_slow(&running).await;
    let top: Value =
        serde_json::from_str(&busyhour(&running, &["top", "--json"]).await.unwrap()).expect("JSON");
    let names = |list: &str| -> Vec<&str> {
        top[list].as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap()).collect()
    };
    assert_eq!(names("tenants"), ["north", "south"]);
    assert_eq!(names("carriers"), ["quay"]);
    assert_eq!(names("agents"), ["agent-1", "agent-2"]);
    let carrier = &top["carriers"][0];
    let uses = ["free", "reserved", "leased", "in_use", "quarantined", "activating", "inactive"];
    let channels: u64 = uses.iter().map(|r#use| carrier[r#use].as_u64().unwrap()).sum();
    assert_eq!(channels, 40, "what channels do adds up to them: {carrier}");

    let tables = busyhour(&running, &["top", "--once"]).await.unwrap();
    for part in ["north", "south", "quay", "agent-2", "2 of 2 agents", "WAITING", "group default:"]
    {
        assert!(tables.contains(part), "{part:?} is not in\n{tables}");
    }

    // Of the operator, and of the tenant itself; a tenant sees no carrier and no other tenant.
    let tenant = busyhour(&running, &["explain", "tenant", "north"]).await.unwrap();
    assert!(tenant.starts_with("Tenant north (AC00000000000000000000000000000001)\n"), "{tenant}");
    assert!(tenant.contains("its throttle allows 12") && tenant.contains("waiting"), "{tenant}");
    let own = busyhour(&running, &["explain", "tenant", "north", "--tenant", "north"]).await;
    assert!(own.unwrap().starts_with("Tenant north"));
    let other = busyhour(&running, &["explain", "tenant", "south", "--tenant", "north"]).await;
    assert!(other.unwrap_err().contains("(404, code 20404)"));
    let carrier = busyhour(&running, &["explain", "carrier", "quay"]).await.unwrap();
    assert!(carrier.starts_with("Carrier quay of group default: 40 channels\n"), "{carrier}");
    let refused = busyhour(&running, &["explain", "carrier", "quay", "--tenant", "north"]).await;
    assert!(refused.unwrap_err().contains("(401, code 20003)"));

    // The batch's ETA is that of its last call.
    let why = busyhour(&running, &["explain", "tenant", "north", "--json"]).await.unwrap();
    let why: Value = serde_json::from_str(&why).expect("JSON");
    let batch = why["queues"][0]["batch_sid"].as_str().expect("a batch").to_owned();
    let text = busyhour(&running, &["explain", &batch]).await.unwrap();
    assert!(text.starts_with(&format!("Batch {batch} \"north\" is running\n")), "{text}");
    assert!(text.contains("last call   in ") && text.contains("held by     "), "{text}");

    // A call that waits, and the same when it has ended, also for the operator.
    let tenant = running.tenant("north");
    let form = [("To", "+15551999999"), ("From", "+15550100001"), ("Twiml", "<Response/>")];
    let call = tenant.accepted(&form).await;
    let waits = busyhour(&running, &["explain", &call, "--tenant", "north"]).await.unwrap();
    assert!(waits.starts_with(&format!("Call {call} is ")), "{waits}");
    tenant.ended(&call).await;
    let ended = busyhour(&running, &["explain", &call]).await.unwrap();
    assert!(ended.contains("  ended  "), "{ended}");
    let unknown = busyhour(&running, &["explain", "clinic"]).await.unwrap_err();
    assert!(unknown.contains("\"clinic\" cannot be explained"), "{unknown}");
    running.end().await;
}

/// The names of series with their labels, as a scrape shows them.
struct Scrape(String);

impl Scrape {
    async fn of(running: &Running) -> Self {
        let mut text = running.tenant("north").get("/metrics").await.text;
        let agent = running.stage.address("agent-1.metrics").expect("agents serve metrics");
        text += &reqwest::get(format!("http://{agent}/metrics"))
            .await
            .expect("the agent answers")
            .text()
            .await
            .expect("metrics are text");
        Self(text)
    }

    fn has(&self, metric: &str, label: Option<&str>) -> bool {
        self.0.lines().filter_map(|line| line.strip_prefix(metric)).any(|rest| match label {
            None => rest.starts_with(['{', ' ']),
            Some(label) => {
                let labels = rest.strip_prefix('{').and_then(|rest| rest.split_once('}'));
                labels.is_some_and(|(labels, _)| {
                    labels.starts_with(&format!("{label}="))
                        || labels.contains(&format!(",{label}="))
                })
            }
        })
    }
}

/// Every text of the dashboard that is asked of Prometheus.
fn queries(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value.as_str() {
                    Some(text) if ["expr", "query"].contains(&name.as_str()) => {
                        found.push(text.to_owned());
                    }
                    _ => queries(value, found),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| queries(value, found)),
        _ => {}
    }
}

/// Words of a query, and whether each is a metric of ours.
fn metrics(query: &str) -> BTreeSet<&str> {
    let words = query.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words.filter(|word| word.starts_with("busyhour_")).collect()
}

/// What a query groups by or selects by, but for what Prometheus adds itself.
fn labels(query: &str) -> BTreeSet<&str> {
    let grouped = query.split("by (").skip(1).filter_map(|rest| rest.split_once(')'));
    let selected = query.split('{').skip(1).filter_map(|rest| rest.split_once('}'));
    let lists = grouped.chain(selected).map(|(list, _)| list);
    let names = lists.flat_map(|list| list.split(','));
    let names = names.map(|name| name.trim().split(['=', '!']).next().unwrap_or_default());
    names.filter(|name| !name.is_empty() && *name != "instance").collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dashboard_shows_only_what_there_is() {
    let mut running = raised("operator-dashboard").await;
    running.tenant("north").create(&[("To", "nobody"), ("From", "+15550100001")]).await;
    busyhour(&running, &["explain", "carrier", "quay"]).await.unwrap();
    running.drained().await;
    let scrape = Scrape::of(&running).await;
    let text = fs::read_to_string(root().join("dashboards/busyhour.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let mut asked = Vec::new();
    queries(&dashboard, &mut asked);
    let asked: Vec<_> = asked.iter().filter(|query| !metrics(query).is_empty()).collect();
    assert!(asked.len() > 30, "{} queries", asked.len());
    for query in asked {
        for metric in metrics(query) {
            assert!(scrape.has(metric, None), "{query}: there is no {metric}");
            for label in labels(query) {
                assert!(scrape.has(metric, Some(label)), "{query}: {metric} has no {label}");
            }
        }
    }
    running.end().await;
}
