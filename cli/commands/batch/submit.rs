//! From a file to a running batch. The batch is found again by the file and the plan, and the API knows how far the upload is,
//! so that the same command goes on after any interruption and nothing has to be remembered here.

use std::{fs::File, io::Read as _, time::Duration};

use anyhow::{Context, Result, anyhow, bail, ensure};
use reqwest::{Method, StatusCode};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::words::{count, many};

use super::{
    Client, Problem,
    args::SubmitArgs,
    control::tell,
    meter::Meter,
    number, plan,
    results::fault,
    say, text,
    upload::{PartBytes, Upload},
    watch,
};

/// Refused lines that are shown at the end.
const SHOWN: usize = 5;

/// Where lines are described.
const NO_LINES: &str = "`busyhour batch submit --help` shows how it may be written";

/// Uploads, and starts if everything was accepted.
pub(super) async fn run(client: &Client, args: &SubmitArgs, as_json: bool) -> Result<()> {
    let (format, mut plan) = (plan::format(args)?, plan::plan(&args.file, &args.plan)?);
    let opening = || format!("opening {}", args.file.display());
    let mut file = File::open(&args.file).with_context(opening)?;
    let about = file.metadata().with_context(opening)?;
    ensure!(
        about.is_file(),
        "{} is no file on disk: it is read more than once, and again after an interruption",
        args.file.display()
    );
    let length = about.len();
    ensure!(
        length > 0,
        "{} is empty: it has to have a line per call or message; {NO_LINES}",
        args.file.display()
    );
    plan::tell_kind(&mut plan, &args.file, format)?;
    let patience = Duration::from_secs(args.patience_s);
    let mut meter = Meter::new(length)?;
    let batch = match &args.into {
        Some(sid) => client.insist(patience, || client.get(sid)).await?,
        None => {
            meter.doing(format!("reading {}", args.file.display()));
            let key = key(client, &mut file, &plan, args.again, &mut meter)?;
            let create = || {
                let request = client.request(Method::POST, "/v1/Batches");
                request.header("Idempotency-Key", &key).json(&plan)
            };
            client.insist(patience, create).await?
        }
    };
    let sid = text(&batch, "sid").to_owned();
    if matches!(text(&batch, "status"), "draft" | "validating") {
        meter.doing(format!("uploading to {sid}"));
        let path = args.file.clone();
        let part_bytes = PartBytes::default();
        let upload = Upload { client, file, path, length, format, patience, part_bytes };
        let done = tokio::select! {
            done = upload.run(&sid, &mut meter) => done,
            stopped = tokio::signal::ctrl_c() => {
                stopped.map_err(anyhow::Error::from).and(Err(anyhow!("interrupted")))
            }
        };
        meter.end();
        done.map_err(|error| {
            let next = how_to_go_on(args, &sid, &error);
            error.context(format!("{sid} keeps what was taken; {next}"))
        })?;
        start(client, args, &sid).await?;
    } else {
        meter.end();
        already(args, &batch)?;
    }
    if args.watch && !args.no_start {
        return watch::run(client, &sid, as_json).await;
    }
    let batch = client.insist(patience, || client.get(&sid)).await?;
    tell(&batch, as_json)?;
    if !as_json && !args.no_start {
        let (watch, results) = (format!("watch {sid}"), format!("results {sid} --follow"));
        say(&format!("Follow it with `busyhour batch {watch}` or `busyhour batch {results}`."))?;
    }
    Ok(())
}

fn how_to_go_on(args: &SubmitArgs, sid: &str, error: &anyhow::Error) -> String {
    let refused = error.downcast_ref::<Problem>();
    if matches!(refused, Some(Problem::Refused { status, .. }) if *status == StatusCode::BAD_REQUEST)
    {
        // The same file would be refused again.
        format!(
            "mend the file and submit it, and drop this draft with `busyhour batch cancel {sid}`"
        )
    } else if args.again {
        format!("go on with --into {sid} in place of --again")
    } else {
        "run the same command again to go on".to_owned()
    }
}

/// The batch of this file takes no more lines.
fn already(args: &SubmitArgs, batch: &Value) -> Result<()> {
    let (sid, status) = (text(batch, "sid"), text(batch, "status"));
    if args.into.is_some() {
        bail!(
            "{sid} is {status} and takes no more lines; `busyhour batch show {sid}` tells where it \
             stands, and without --into the file becomes a batch of its own"
        );
    }
    if status.starts_with("cancel") {
        bail!("the same file and plan became {sid}, which is {status}; --again submits them anew");
    }
    eprintln!("the same file and plan became {sid}, which is {status}; --again submits them anew");
    Ok(())
}

/// Starts the batch, unless it should not be.
async fn start(client: &Client, args: &SubmitArgs, sid: &str) -> Result<()> {
    let patience = Duration::from_secs(args.patience_s);
    let batch = client.insist(patience, || client.get(sid)).await?;
    let refused = number(&batch["upload"], "refused");
    let accepted = number(&batch["counts"], "accepted");
    if refused > 0 {
        let all = many(refused + accepted, "line");
        let were = if refused + accepted == 1 { "was" } else { "were" };
        eprintln!("{} of {all} {were} refused:", count(refused));
        let path = format!("/v1/Batches/{sid}/errors?limit={SHOWN}");
        let lines = client.send(client.request(Method::GET, &path)).await?.text().await?;
        for line in lines.lines().filter(|line| !line.is_empty()) {
            eprintln!("  {}", fault(&serde_json::from_str(line)?));
        }
        if refused > SHOWN as u64 {
            eprintln!("  ... more of them: `busyhour batch errors {sid}`");
        }
    }
    if args.no_start {
        return Ok(());
    }
    ensure!(
        accepted + refused > 0,
        "{} has no line of a call or message; mend it and submit it, and drop this draft with \
         `busyhour batch cancel {sid}`",
        args.file.display()
    );
    ensure!(
        accepted > 0,
        "no line of {} was accepted; `busyhour batch errors {sid}` tells why; mend the file and submit it, \
         and drop this draft with `busyhour batch cancel {sid}`",
        args.file.display()
    );
    if refused > 0 && !args.start_anyway {
        bail!(
            "{sid} was not started, because lines were refused. Start it with the {} that {} accepted: \
             `busyhour batch start {sid}`; or `busyhour batch cancel {sid}` and submit a mended file",
            many(accepted, "line"),
            if accepted == 1 { "was" } else { "were" }
        );
    }
    let begin = || client.request(Method::POST, &format!("/v1/Batches/{sid}/start"));
    client.insist(patience, begin).await?;
    Ok(())
}

/// The idempotency key by which the same file with the same plan of the same account is the same batch.
fn key(
    client: &Client,
    file: &mut File,
    plan: &Value,
    again: bool,
    meter: &mut Meter,
) -> Result<String> {
    let mut hash = Sha256::new();
    hash.update(client.account());
    hash.update(plan.to_string());
    let mut buffer = vec![0; 1 << 20];
    let mut read = 0;
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        hash.update(&buffer[..count]);
        read += count as u64;
        meter.passes(read);
    }
    if again {
        hash.update(rand::random::<[u8; 16]>());
    }
    let hash = hash.finalize();
    Ok(format!("cli-{}", hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>()))
}
