//! Looking at batches, and steering them.

use anyhow::Result;
use reqwest::Method;
use serde_json::{Value, json};

use super::{
    Client,
    args::{Bound, PaceArgs},
    ended, number, say, text,
};

/// Batches, newest first.
pub(super) async fn list(client: &Client, limit: usize, as_json: bool) -> Result<()> {
    let mut path = format!("/v1/Batches?PageSize={}", limit.clamp(1, 1_000));
    let mut left = limit;
    if !as_json {
        say(&format!("{:34}  {:10}  {:>9}  {:>9}  name", "sid", "status", "calls", "ended"))?;
    }
    while left > 0 {
        let page: Value = client.json(client.request(Method::GET, &path)).await?;
        for batch in page["batches"].as_array().into_iter().flatten().take(left) {
            let counts = &batch["counts"];
            let row = format!(
                "{:34}  {:10}  {:>9}  {:>9}  {}",
                text(batch, "sid"),
                text(batch, "status"),
                number(counts, "accepted"),
                ended(counts),
                text(batch, "name"),
            );
            say(&if as_json { batch.to_string() } else { row })?;
            left -= 1;
        }
        match page["meta"]["next_page_url"].as_str() {
            Some(next) => path = next.to_owned(),
            None => break,
        }
    }
    Ok(())
}

/// One batch.
pub(super) async fn show(client: &Client, sid: &str, as_json: bool) -> Result<()> {
    tell(&client.batch(sid).await?, as_json)
}

/// Does something with a batch, and shows it.
pub(super) async fn post(
    client: &Client,
    sid: &str,
    what: &str,
    body: Value,
    as_json: bool,
) -> Result<()> {
    let request = client.request(Method::POST, &format!("/v1/Batches/{sid}/{what}")).json(&body);
    tell(&client.json(request).await?, as_json)
}

/// Another pace; what is not said stays.
pub(super) async fn pace(client: &Client, args: &PaceArgs, as_json: bool) -> Result<()> {
    let mut pace = json!({});
    if let Some(Bound(cps)) = args.cps {
        pace["cps"] = cps.into();
    }
    if let Some(Bound(most)) = args.max_concurrent {
        pace["max_concurrent"] = most.into();
    }
    post(client, &args.sid, "pace", pace, as_json).await
}

pub(super) fn tell(batch: &Value, as_json: bool) -> Result<()> {
    if as_json {
        return say(&batch.to_string());
    }
    let (counts, pacing) = (&batch["counts"], &batch["pacing"]);
    say(&format!("{} {:?} is {}", text(batch, "sid"), text(batch, "name"), text(batch, "status")))?;
    say(&format!(
        "  calls     {} accepted, {} waiting, {} in progress, {} ended",
        number(counts, "accepted"),
        number(counts, "queued"),
        number(counts, "in_progress"),
        ended(counts)
    ))?;
    say(&format!(
        "  outcomes  {} completed, {} busy, {} no answer, {} failed, {} canceled",
        number(counts, "completed"),
        number(counts, "busy"),
        number(counts, "no_answer"),
        number(counts, "failed"),
        number(counts, "canceled")
    ))?;
    let bound = |name: &str, unit: &str| match &pacing[name] {
        Value::Null => None,
        value => Some(format!("{value} {unit}")),
    };
    let own = [bound("cps", "per second"), bound("max_concurrent", "at once")];
    let own: Vec<_> = own.into_iter().flatten().collect();
    let own = if own.is_empty() { "no bounds of its own".to_owned() } else { own.join(", ") };
    say(&format!("  pace      {own}"))?;
    let shut_by = batch["shut_by"].as_str();
    if let Some(reason) = shut_by {
        let opens = match reason {
            "window" => batch["schedule"]["opens_at"].as_str(),
            "not_before" => batch["schedule"]["not_before"].as_str(),
            _ => None,
        };
        let opens = opens.map_or(String::new(), |opens| format!(" until {opens}"));
        say(&format!("  waits     {reason}{opens}"))?;
    }
    if number(&batch["upload"], "refused") > 0 {
        let sid = text(batch, "sid");
        let refused = number(&batch["upload"], "refused");
        say(&format!("  refused   {refused} lines; see `busyhour batch errors {sid}`"))?;
    }
    let stands = matches!(shut_by, Some("draft" | "paused"));
    if batch["eta"] != json!(null) && !stands {
        let eta = &batch["eta"];
        say(&format!("  last call {} ({})", text(eta, "p50"), text(eta, "limiting_factor")))?;
    }
    Ok(())
}
