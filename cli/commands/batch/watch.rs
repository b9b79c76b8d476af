//! Following a batch live: a screen of its own lines on a terminal, a line now and then elsewhere, JSON if asked.

use std::{
    collections::VecDeque,
    io::IsTerminal as _,
    time::{Duration, Instant},
};

use anyhow::Result;
use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use serde_json::Value;

use super::{
    Client, Problem, control::tell, ended, is_of_messages, is_over, number, say, text, time_left,
};

/// How often it is looked.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How often a line is printed where no bar can be drawn.
const LINE_EVERY: Duration = Duration::from_secs(10);
/// Over how many looks the present rate is the mean: ten seconds.
const LOOKS: usize = 20;
/// How long an API that is away is waited for.
const PATIENCE: Duration = Duration::from_secs(300);

/// Follows until the batch is over.
pub(super) async fn run(client: &Client, sid: &str, as_json: bool) -> Result<()> {
    let mut batch = client.batch(sid).await?;
    let mut shown = Shown::new(as_json)?;
    let mut pace = Pace::default();
    let mut away_since: Option<Instant> = None;
    loop {
        pace.look(&batch, Instant::now());
        shown.show(&batch, &pace)?;
        if is_over(&batch) {
            shown.end();
            return if as_json { Ok(()) } else { tell(&batch, false) };
        }
        tokio::time::sleep(LOOK_EVERY).await;
        match client.batch(sid).await {
            Ok(now) => (batch, away_since) = (now, None),
            Err(Problem::Away(why)) => {
                let since = *away_since.get_or_insert_with(Instant::now);
                anyhow::ensure!(
                    since.elapsed() < PATIENCE,
                    "{why}; the batch goes on without being watched: `busyhour batch watch {sid}`"
                );
                shown.away(&why);
            }
            Err(refused) => return Err(refused.into()),
        }
    }
}

/// How many calls, or segments of messages, were started lately.
#[derive(Default)]
struct Pace {
    looks: VecDeque<(Instant, u64)>,
}

impl Pace {
    fn look(&mut self, batch: &Value, now: Instant) {
        let started = number(&batch["rates"], "started");
        if self.looks.len() > LOOKS {
            self.looks.pop_front();
        }
        self.looks.push_back((now, started));
    }

    /// Per second; nothing until it was looked for a second.
    fn per_s(&self) -> Option<f64> {
        let ((first, before), (last, now)) = (self.looks.front()?, self.looks.back()?);
        let lasted = last.duration_since(*first).as_secs_f64();
        (lasted >= 1.0).then(|| now.saturating_sub(*before) as f64 / lasted)
    }
}

enum Shown {
    Bar(ProgressBar),
    /// When the last line was printed, and the status in it.
    Lines(Option<(Instant, String)>),
    Json(Value),
}

impl Shown {
    fn new(as_json: bool) -> Result<Self> {
        if as_json {
            return Ok(Self::Json(Value::Null));
        }
        if !std::io::stderr().is_terminal() {
            return Ok(Self::Lines(None));
        }
        let bar = ProgressBar::new(0);
        let style = "{prefix}\n[{bar:40}] {percent:>3}%  {human_pos} of {human_len} ended\n{msg}";
        bar.set_style(ProgressStyle::with_template(style)?.progress_chars("=> "));
        Ok(Self::Bar(bar))
    }

    fn show(&mut self, batch: &Value, pace: &Pace) -> Result<()> {
        let (counts, status) = (&batch["counts"], text(batch, "status").to_owned());
        match self {
            Self::Bar(bar) => {
                bar.set_length(number(counts, "accepted"));
                bar.set_position(ended(batch));
                bar.set_prefix(format!(
                    "{} {:?} is {status}",
                    text(batch, "sid"),
                    text(batch, "name")
                ));
                bar.set_message(sentences(batch, pace).join("\n"));
            }
            Self::Lines(last) => {
                let due = last
                    .as_ref()
                    .is_none_or(|(at, before)| at.elapsed() >= LINE_EVERY || *before != status);
                if due {
                    let (done, all) = (ended(batch), number(counts, "accepted"));
                    eprintln!("{status} {done}/{all}  {}", sentences(batch, pace).join("; "));
                    *last = Some((Instant::now(), status));
                }
            }
            Self::Json(last) if last != batch => {
                say(&batch.to_string())?;
                *last = batch.clone();
            }
            Self::Json(_) => {}
        }
        Ok(())
    }

    fn away(&self, why: &str) {
        if let Self::Bar(bar) = self {
            bar.set_message(why.to_owned());
        }
    }

    fn end(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

/// Where its calls or messages are, what became of them, how fast it is, and when its last call starts.
fn sentences(batch: &Value, pace: &Pace) -> Vec<String> {
    let counts = &batch["counts"];
    let count = |name: &str, words: &str| {
        let count = number(counts, name);
        (count > 0).then(|| format!("{} {words}", HumanCount(count)))
    };
    let (waiting, up) = (number(counts, "queued"), number(counts, "in_progress"));
    let mut all = vec![format!("{} waiting, {} in progress", HumanCount(waiting), HumanCount(up))];
    let outcomes = super::ends(batch).map(|(field, words)| count(field, words));
    let outcomes: Vec<_> = outcomes.into_iter().flatten().collect();
    if !outcomes.is_empty() {
        all.push(outcomes.join(", "));
    }
    if let Some(reason) = batch["shut_by"].as_str() {
        let opens = batch["schedule"]["opens_at"].as_str();
        let opens =
            opens.filter(|_| reason == "window").or(batch["schedule"]["not_before"].as_str());
        all.push(match opens.filter(|_| reason == "window" || reason == "not_before") {
            Some(opens) => format!("waits: {reason}, until {opens}"),
            None => format!("waits: {reason}"),
        });
        all.extend(super::control::next(batch).map(|next| format!("next: {next}")));
        return all;
    }
    if waiting == 0 {
        return all;
    }
    if let Some(rate) = pace.per_s() {
        let (rates, rate) = (&batch["rates"], short(rate));
        let unit = text(rates, "unit");
        all.push(match rates["allowed_per_s"].as_f64() {
            Some(allowed) => format!("{rate} of {} {unit}/s that are allowed", short(allowed)),
            None => format!("{rate} {unit}/s"),
        });
    }
    let what = if is_of_messages(batch) { "message" } else { "call" };
    all.extend(expected(&batch["eta"], what));
    all
}

/// When its last call or message is expected to start, and why not earlier.
fn expected(eta: &Value, what: &str) -> Vec<String> {
    let left = |name: &str| eta[name].as_u64().map(|ms| time_left(ms.div_ceil(1_000)));
    let Some(p50) = left("in_ms") else { return Vec::new() };
    let p90 =
        left("in_ms_p90").map_or(String::new(), |p90| format!(" (9 times in 10 within {p90})"));
    let mut all = vec![format!("last {what} in {p50}{p90}")];
    if let (Some(limit), Some(message)) = (eta["limiting_factor"].as_str(), eta["message"].as_str())
    {
        all.push(format!("{limit}: {message}"));
    }
    all
}

/// A rate with as many digits as say something.
fn short(rate: f64) -> String {
    if rate < 0.01 {
        return crate::words::rate(rate);
    }
    let text = format!("{rate:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_batch_is_told_in_sentences() {
        let batch = |queued: u64, started: u64| {
            json!({
                "counts": {"accepted": 10_000, "queued": queued, "in_progress": 20, "completed": 900, "busy": 2},
                "rates": {"unit": "calls", "started": started, "allowed_per_s": 1.5},
                "eta": {"in_ms": 3_725_000, "in_ms_p90": 4_000_000, "limiting_factor": "throttle", "message": "Paced."},
            })
        };
        let (mut pace, start) = (Pace::default(), Instant::now());
        // Lines that were canceled are not waiting any more and were not started either.
        pace.look(&batch(9_500, 908), start);
        assert_eq!(pace.per_s(), None);
        pace.look(&batch(9_078, 918), start + Duration::from_secs(8));
        let expected = [
            "9,078 waiting, 20 in progress",
            "900 completed, 2 busy",
            "1.25 of 1.5 calls/s that are allowed",
            "last call in 1 h 2 min (9 times in 10 within 1 h 6 min)",
            "throttle: Paced.",
        ];
        assert_eq!(sentences(&batch(9_078, 918), &pace), expected);
        let mut texts = batch(9_078, 918);
        texts["kind"] = "messages".into();
        texts["rates"]["unit"] = "segments".into();
        texts["counts"] =
            json!({"accepted": 10_000, "queued": 9_078, "in_progress": 2, "delivered": 920});
        let told = sentences(&texts, &pace);
        assert_eq!(told[1], "920 delivered");
        assert_eq!(told[2], "1.25 of 1.5 segments/s that are allowed");
        texts["rates"]["allowed_per_s"] = Value::Null;
        assert_eq!(sentences(&texts, &pace)[2], "1.25 segments/s");
        assert!(told[3].starts_with("last message in 1 h 2 min"), "{told:?}");
        let mut shut = batch(5, 918);
        shut["shut_by"] = "window".into();
        shut["schedule"] = json!({"opens_at": "2026-03-10T08:00:00Z"});
        let told = sentences(&shut, &pace);
        assert_eq!(told[2], "waits: window, until 2026-03-10T08:00:00Z");
    }
}
