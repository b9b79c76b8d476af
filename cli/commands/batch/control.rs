//! Looking at batches, and steering them.

use anyhow::Result;
use reqwest::Method;
use serde_json::{Value, json};

use crate::words::{many, rate};

use super::{
    Client,
    args::{Bound, PaceArgs},
    ended, ends, is_of_messages, number, say, text, time_left,
};

/// Batches, newest first.
pub(super) async fn list(client: &Client, limit: usize, as_json: bool) -> Result<()> {
    let mut path = format!("/v1/Batches?PageSize={}", limit.clamp(1, 1_000));
    let mut left = limit;
    let (mut none, mut more) = (true, false);
    while left > 0 {
        let page: Value = client.json(client.request(Method::GET, &path)).await?;
        if none && !as_json {
            let (sid, status, kind, lines) = ("sid", "status", "kind", "lines");
            say(&format!("{sid:34}  {status:10}  {kind:8}  {lines:>9}  {:>9}  name", "ended"))?;
        }
        let batches = page["batches"].as_array().map_or(&[][..], Vec::as_slice);
        let next = page["meta"]["next_page_url"].as_str();
        more = next.is_some() || batches.len() > left;
        for batch in batches.iter().take(left) {
            let counts = &batch["counts"];
            let row = format!(
                "{:34}  {:10}  {:8}  {:>9}  {:>9}  {}",
                text(batch, "sid"),
                text(batch, "status"),
                text(batch, "kind"),
                number(counts, "accepted"),
                ended(batch),
                text(batch, "name"),
            );
            say(&if as_json { batch.to_string() } else { row })?;
            (left, none) = (left - 1, false);
        }
        match next {
            Some(next) => path = next.to_owned(),
            None => break,
        }
    }
    if none && !as_json {
        eprintln!("there are none; `busyhour batch submit FILE` makes one");
    }
    if more && !as_json {
        eprintln!("there are more: `busyhour batch list --limit {}` shows them too", limit * 10);
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
        pace["cps"] = cps.map(|cps| cps.0).into();
    }
    if let Some(Bound(most)) = args.max_concurrent {
        pace["max_concurrent"] = most.into();
    }
    post(client, &args.sid, "pace", pace, as_json).await
}

/// Dials lines again that came to nothing.
pub(super) async fn retry(client: &Client, sid: &str, on: &[String], as_json: bool) -> Result<()> {
    let body = if on.is_empty() { json!({}) } else { json!({"on": on}) };
    let request = client.request(Method::POST, &format!("/v1/Batches/{sid}/retry")).json(&body);
    let report: Value = client.json(request).await?;
    if as_json {
        return say(&report.to_string());
    }
    let (done, doubt) = if is_of_messages(&report["batch"]) {
        ("sent", "the carrier took the last message")
    } else {
        ("dialled", "the last call rang")
    };
    say(&match number(&report, "retried") {
        0 => format!("no line is left to be {done} again"),
        lines => format!("{} {done} once more", are(lines)),
    })?;
    let in_doubt = number(&report, "in_doubt");
    if in_doubt > 0 {
        say(&format!("{} not {done} again, since it is unknown whether {doubt}", are(in_doubt)))?;
    }
    if let Some(reason) = report["stopped_by"].as_str() {
        say(&format!(
            "others wait for room ({reason}); for these, later: `busyhour batch retry {sid}`"
        ))?;
    }
    tell(&report["batch"], false)?;
    say(&format!("Follow it with `busyhour batch watch {sid}`."))
}

fn are(lines: u64) -> String {
    if lines == 1 { "1 line is".to_owned() } else { format!("{lines} lines are") }
}

pub(super) fn tell(batch: &Value, as_json: bool) -> Result<()> {
    if as_json {
        return say(&batch.to_string());
    }
    let (counts, pacing) = (&batch["counts"], &batch["pacing"]);
    say(&format!("{} {:?} is {}", text(batch, "sid"), text(batch, "name"), text(batch, "status")))?;
    say(&format!(
        "  {:8}  {} accepted, {} waiting, {} in progress, {} ended",
        text(batch, "kind"),
        number(counts, "accepted"),
        number(counts, "queued"),
        number(counts, "in_progress"),
        ended(batch)
    ))?;
    let outcomes = ends(batch).map(|(field, words)| format!("{} {words}", number(counts, field)));
    say(&format!("  outcomes  {}", outcomes.join(", ")))?;
    let bound = |name: &str, unit: &str| {
        pacing[name].as_f64().map(|bound| format!("{} {unit}", rate(bound)))
    };
    let unit = if is_of_messages(batch) { "segments per second" } else { "per second" };
    let own = [bound("cps", unit), bound("max_concurrent", "at once")];
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
    for line in not_taken(batch) {
        say(&line)?;
    }
    let stands = matches!(shut_by, Some("draft" | "paused"));
    if batch["eta"] != json!(null) && !stands {
        let eta = &batch["eta"];
        let left = time_left(number(eta, "in_ms").div_ceil(1_000));
        let (at, limit) = (text(eta, "p50"), text(eta, "limiting_factor"));
        let what = if is_of_messages(batch) { "message" } else { "call" };
        say(&format!("  last {what} in {left}, at {at} ({limit})"))?;
    }
    match next(batch) {
        Some(next) => say(&format!("  next      {next}")),
        None => Ok(()),
    }
}

/// The lines that did not become calls or messages.
fn not_taken(batch: &Value) -> Vec<String> {
    let (sid, upload) = (text(batch, "sid"), &batch["upload"]);
    let (refused, doubles) = (number(upload, "refused"), number(upload, "duplicates"));
    let mut all = Vec::new();
    if refused > 0 {
        let refused = many(refused, "line");
        all.push(format!("  refused   {refused}; see `busyhour batch errors {sid}`"));
    }
    if doubles > 0 {
        let (doubles, by) = (many(doubles, "line"), text(batch, "dedupe_by"));
        let by = if matches!(by, "" | "custom_id") { String::new() } else { format!(" or {by}") };
        all.push(format!("  doubles   {doubles} left out, whose custom_id{by} came before"));
    }
    all
}

/// What a person may want to do next.
pub(super) fn next(batch: &Value) -> Option<String> {
    let sid = text(batch, "sid");
    let counts = &batch["counts"];
    let of_messages = is_of_messages(batch);
    let names: &[&str] =
        if of_messages { &["failed", "undelivered"] } else { &["busy", "no_answer", "failed"] };
    let failed: u64 = names.iter().map(|name| number(counts, name)).sum();
    let does = if of_messages { "sends" } else { "dials" };
    Some(match text(batch, "status") {
        "draft" | "validating" if number(counts, "accepted") == 0 => {
            format!("`busyhour batch submit FILE --into {sid}` adds lines")
        }
        "draft" => format!("`busyhour batch start {sid}`"),
        "validating" => format!(
            "the same `busyhour batch submit` goes on with the upload; `busyhour batch start {sid}` takes no more lines"
        ),
        "paused" => format!("`busyhour batch resume {sid}`"),
        "completed" | "expired" if failed > 0 => format!(
            "`busyhour batch results {sid}`; `busyhour batch retry {sid}` {does} the {failed} once more that came to nothing"
        ),
        "completed" | "expired" | "cancelled" => format!("`busyhour batch results {sid}`"),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_was_not_taken_is_told_of() {
        let upload = json!({"refused": 1, "duplicates": 0});
        let batch = |upload: Value, by: &str| {
            not_taken(&json!({"sid": "BT1", "upload": upload, "dedupe_by": by})).join("|")
        };
        let told = batch(upload, "custom_id");
        assert_eq!(told, "  refused   1 line; see `busyhour batch errors BT1`");
        let upload = json!({"refused": 0, "duplicates": 1_200});
        let told = batch(upload.clone(), "custom_id");
        assert_eq!(told, "  doubles   1,200 lines left out, whose custom_id came before");
        assert!(batch(upload, "To").ends_with("whose custom_id or To came before"));
        assert_eq!(batch(json!({"refused": 0, "duplicates": 0}), "custom_id"), "");
    }

    #[test]
    fn every_state_tells_what_may_come_next() {
        let of = |status: &str, accepted: u64, busy: u64| {
            next(
                &json!({"sid": "BT1", "status": status, "counts": {"accepted": accepted, "busy": busy}}),
            )
        };
        assert_eq!(
            of("draft", 0, 0).unwrap(),
            "`busyhour batch submit FILE --into BT1` adds lines"
        );
        assert_eq!(of("draft", 3, 0).unwrap(), "`busyhour batch start BT1`");
        assert!(of("validating", 3, 0).unwrap().starts_with("the same `busyhour batch submit`"));
        assert_eq!(of("paused", 3, 0).unwrap(), "`busyhour batch resume BT1`");
        assert!(of("completed", 3, 2).unwrap().contains("retry BT1` dials the 2 once more"));
        assert_eq!(of("cancelled", 3, 2).unwrap(), "`busyhour batch results BT1`");
        assert_eq!(of("running", 3, 2), None);
    }
}
