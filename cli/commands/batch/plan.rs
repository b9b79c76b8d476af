//! What a batch is to do: the plan of a file, and what flags say beside it.

use std::{
    fs::File,
    io::{BufRead as _, BufReader, Read as _},
    path::Path,
};

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};

use super::args::{FileFormat, LineKind, PlanArgs, SubmitArgs};

/// The most that is read of a file to tell what its lines are.
const FIRST_LINE_MAX: u64 = 64 * 1_024;
/// Days in the order of the week.
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
/// Parts of a plan that are objects.
const SECTIONS: [&str; 5] = ["defaults", "schedule", "pacing", "retry", "callback"];

/// How the file of lines is written.
pub(super) fn format(args: &SubmitArgs) -> Result<FileFormat> {
    if let Some(format) = args.format {
        return Ok(format);
    }
    match args.file.extension().and_then(|ending| ending.to_str()) {
        Some("csv") => Ok(FileFormat::Csv),
        Some("ndjson" | "jsonl") => Ok(FileFormat::Ndjson),
        _ => bail!(
            "{} does not end in .csv, .ndjson or .jsonl: say how it is written with --format",
            args.file.display()
        ),
    }
}

/// The body of `POST /v1/Batches` for a file of lines.
pub(super) fn plan(lines: &Path, args: &PlanArgs) -> Result<Value> {
    let mut plan = args.plan.as_deref().map(read).transpose()?.unwrap_or_default();
    let stem = lines.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    if let Some(name) = args.name.clone().or_else(|| stem.filter(|_| !plan.contains_key("name"))) {
        plan.insert("name".to_owned(), name.into());
    }
    let mut set = |section: &str, name: &str, value: Value| {
        let section = plan.entry(section).or_insert_with(|| json!({}));
        section[name] = value;
    };
    for (name, value) in &args.defaults {
        set("defaults", name, value.as_str().into());
    }
    let given = [
        ("pacing", "cps", args.cps.map(|rate| rate.0.into())),
        ("pacing", "max_concurrent", args.max_concurrent.map(Value::from)),
        ("schedule", "not_before", args.not_before.as_deref().map(Value::from)),
        ("schedule", "not_after", args.not_after.as_deref().map(Value::from)),
        ("schedule", "timezone", args.timezone.as_deref().map(Value::from)),
        ("schedule", "windows", (!args.windows.is_empty()).then(|| args.windows.clone().into())),
        ("callback", "url", args.callback.as_deref().map(Value::from)),
    ];
    for (section, name, value) in given {
        if let Some(value) = value {
            set(section, name, value);
        }
    }
    if !args.retry.is_empty() {
        set("retry", "on", args.retry.clone().into());
        set("retry", "max", args.attempts.into());
        set("retry", "backoff", args.retry_delay.clone().into());
    }
    if let Some(kind) = args.kind {
        let word = match kind {
            LineKind::Calls => "calls",
            LineKind::Messages => "messages",
        };
        plan.insert("kind".to_owned(), word.into());
    }
    let top = [("dedupe_by", &args.dedupe_by), ("on_window_end", &args.on_window_end)];
    for (name, value) in top {
        if let Some(value) = value {
            plan.insert(name.to_owned(), value.as_str().into());
        }
    }
    Ok(plan.into())
}

/// The name of a column of CSV, which may stand in quotation marks.
fn bare(name: &[u8]) -> &[u8] {
    let name = name.trim_ascii();
    name.strip_prefix(b"\"").and_then(|name| name.strip_suffix(b"\"")).unwrap_or(name)
}

/// Says that the lines are messages, if nothing else says what they are and the first of the file has a `Body`.
pub(super) fn tell_kind(plan: &mut Value, path: &Path, format: FileFormat) -> Result<()> {
    if plan["kind"].is_string() {
        return Ok(());
    }
    let mut first = Vec::new();
    let file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
    BufReader::new(file.take(FIRST_LINE_MAX)).read_until(b'\n', &mut first)?;
    // Some programs begin a file in UTF-8 with a mark.
    let first = first.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&first);
    let has_body = match format {
        FileFormat::Csv => {
            let mut names = first.split(|byte| *byte == b',');
            names.any(|name| bare(name) == b"Body")
        }
        FileFormat::Ndjson => {
            let line: Option<Value> = serde_json::from_slice(first).ok();
            line.is_some_and(|line| line.get("Body").is_some())
        }
    };
    if has_body {
        plan["kind"] = "messages".into();
    }
    Ok(())
}

fn read(path: &Path) -> Result<Map<String, Value>> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("reading the plan {}", path.display()))?;
    let plan: Value = serde_yaml::from_str(&text)
        .with_context(|| format!("{} is neither YAML nor JSON", path.display()))?;
    match plan {
        Value::Object(plan)
            if SECTIONS.iter().all(|name| plan.get(*name).is_none_or(Value::is_object)) =>
        {
            Ok(plan)
        }
        _ => bail!("{} is no plan: an object with {}", path.display(), SECTIONS.join(", ")),
    }
}

/// A calling window such as `mon-fri,09:00-18:00`. Times are checked by the API.
pub(super) fn window(text: &str) -> Result<Value, String> {
    let bad = || {
        format!(
            "{text:?} is no window such as mon-fri,09:00-18:00 or sat,10:00-12:30 or 09:00-18:00"
        )
    };
    let mut parts: Vec<&str> = text.split(',').map(str::trim).collect();
    let (from, to) = parts.pop().and_then(|times| times.split_once('-')).ok_or_else(bad)?;
    if !from.contains(':') || !to.contains(':') {
        return Err(bad());
    }
    let mut window = json!({"from": from.trim(), "to": to.trim()});
    if !parts.is_empty() {
        let days: Option<Vec<_>> = parts.into_iter().map(days).collect();
        window["days"] = days.ok_or_else(bad)?.concat().into();
    }
    Ok(window)
}

/// The days of `mon`, or of `fri-mon`.
fn days(text: &str) -> Option<Vec<&'static str>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let place = |day: &str| DAYS.iter().position(|known| known.eq_ignore_ascii_case(day));
    let (first, last) = (place(first)?, place(last)?);
    let count = (last + 7 - first) % 7 + 1;
    Some((first..first + count).map(|day| DAYS[day % 7]).collect())
}

#[cfg(test)]
mod tests {
    use super::{super::args::Rate, *};

    #[test]
    fn windows_name_days_and_times() {
        assert_eq!(window("09:00-18:00"), Ok(json!({"from": "09:00", "to": "18:00"})));
        let days = |text: &str| window(text).unwrap()["days"].clone();
        assert_eq!(days("mon-wed,09:00-18:00"), json!(["mon", "tue", "wed"]));
        assert_eq!(days("sat-mon,22:00-02:00"), json!(["sat", "sun", "mon"]));
        assert_eq!(days("Tue,thu,09:00-10:00"), json!(["tue", "thu"]));
        for bad in ["", "mon", "mon-fri", "moon,09:00-10:00", "09:00", "mon,9-10"] {
            assert!(window(bad).unwrap_err().contains("mon-fri,09:00-18:00"), "{bad}");
        }
    }

    #[test]
    fn flags_go_before_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("plan.yaml");
        let text = "pacing: {cps: 1, max_concurrent: 4}\ndefaults:\n  From: '+1'\n";
        std::fs::write(&file, text).unwrap();
        let args = PlanArgs {
            plan: Some(file.clone()),
            cps: Some(Rate(2.5)),
            defaults: vec![("To".to_owned(), "+2".to_owned())],
            retry: vec!["busy".to_owned()],
            attempts: 2,
            retry_delay: vec![60],
            ..PlanArgs::default()
        };
        let expected = json!({
            "name": "lines",
            "pacing": {"cps": 2.5, "max_concurrent": 4},
            "defaults": {"From": "+1", "To": "+2"},
            "retry": {"on": ["busy"], "max": 2, "backoff": [60]},
        });
        assert_eq!(plan(Path::new("a/lines.csv"), &args).unwrap(), expected);
        let lines = folder.path().join("lines");
        let kind = |text: &str, format: FileFormat, plan: Value| {
            std::fs::write(&lines, text).unwrap();
            let mut plan = plan;
            tell_kind(&mut plan, &lines, format).unwrap();
            plan["kind"].as_str().map(str::to_owned)
        };
        let messages = Some("messages".to_owned());
        assert_eq!(kind("To, \"Body\"\r\n", FileFormat::Csv, json!({})), messages);
        assert_eq!(kind("To,Twiml\nBody,x\n", FileFormat::Csv, json!({})), None);
        assert_eq!(
            kind("{\"To\":\"+1\",\"Body\":\"x\"}\n", FileFormat::Ndjson, json!({})),
            messages
        );
        assert_eq!(kind("{\"To\":\"Body\"}\n", FileFormat::Ndjson, json!({})), None);
        assert_eq!(kind("\u{feff}Body,To\n", FileFormat::Csv, json!({})), messages);
        assert_eq!(kind("\u{feff}{\"Body\":\"x\"}", FileFormat::Ndjson, json!({})), messages);
        let said = json!({"kind": "calls"});
        assert_eq!(kind("Body\n", FileFormat::Csv, said), Some("calls".to_owned()));
        std::fs::write(&file, "pacing: 3").unwrap();
        assert!(plan(Path::new("a"), &args).unwrap_err().to_string().contains("pacing"));
    }
}
