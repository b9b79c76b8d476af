//! `busyhour simulate FOLDER`: the folder's capacity and batches in virtual time.

use std::{fs, path::Path, time::Instant};

use anyhow::{Context, Result, bail};
use busyhour_base::Timestamp;
use busyhour_simulations::{
    scenario::Scenario,
    simulator::{Capacity, Documents, Input, Latencies, Run, SpeechLengths, simulate},
};
use indicatif::ProgressBar;

use super::{example, print, print_line};
use crate::{args::SimulateArgs, words::many};

/// Virtual time starts here, so that equal inputs give equal reports: 2027-01-15 08:00:00 UTC.
const START: Timestamp = Timestamp(1_800_000_000_000_000);

/// Prints the report that a live run would give.
///
/// # Errors
/// The folder is wrong, or the run broke a promise.
pub fn run(args: &SimulateArgs) -> Result<()> {
    let (declared, scenario) = example(&args.example)?;
    let documents = documents(&args.example)?;
    let capacity = Capacity::from(&declared);
    let simulate = |scenario: &Scenario| {
        simulate(&Input {
            capacity: &capacity,
            scenario,
            documents: &documents,
            speech: &SpeechLengths::default(),
            latencies: Latencies::default(),
            start: START,
        })
    };
    if let Some(seeds) = args.seeds {
        return sweep(seeds, scenario, simulate);
    }
    let began = Instant::now();
    let run = simulate(&scenario);
    let took = began.elapsed();
    if args.json {
        print_line(&serde_json::to_string(&run.report)?)?;
    } else {
        print(&run.report.table())?;
        eprintln!("{} events in {took:.0?}", run.events);
    }
    for warning in &run.warnings {
        eprintln!("warning: {warning}");
    }
    good(&run)
}

/// Runs the scenario under many seeds, to find one that breaks a promise.
fn sweep(seeds: u64, mut scenario: Scenario, simulate: impl Fn(&Scenario) -> Run) -> Result<()> {
    let progress = ProgressBar::new(seeds);
    for seed in 0..seeds {
        scenario.behaviour.seed = seed;
        good(&simulate(&scenario)).with_context(|| format!("with seed {seed}"))?;
        progress.inc(1);
    }
    progress.finish();
    print_line(&format!("{}, no broken promise", many(seeds, "seed")))
}

fn good(run: &Run) -> Result<()> {
    let mut broken: Vec<_> =
        run.violations.iter().map(|violation| format!("{violation:?}")).collect();
    broken.extend(run.report.failures());
    if broken.is_empty() {
        return Ok(());
    }
    bail!("the run did not keep its promises:\n  {}", broken.join("\n  "))
}

/// The documents beside a scenario, by file name.
///
/// # Errors
/// They cannot be read.
pub fn documents(example: &Path) -> Result<Documents> {
    let folder = example.join("documents");
    let entries = fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))?;
    entries
        .map(|entry| {
            let path = entry?.path();
            let bytes = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
            let name = path.file_name().context("a file has a name")?;
            Ok((name.to_string_lossy().into_owned(), bytes))
        })
        .collect()
}
