//! One module per subcommand: from flags to a part's options, and nothing else.

pub mod agent;
pub mod application;
pub mod batch;
pub mod cancel;
pub mod carrier;
pub mod check;
pub mod controller;
pub mod crds;
pub mod explain;
pub mod opt_outs;
pub mod simulate;
pub mod top;

use std::{io::Write as _, path::Path};

use anyhow::{Result, anyhow};
use busyhour_crds::{Declared, LoadErrors};
use busyhour_simulations::scenario::{self, Scenario};

/// What a folder declares, and its scenario.
///
/// # Errors
/// Everything that is wrong with either, with file, line, field and what is allowed.
pub fn example(folder: &Path) -> Result<(Declared, Scenario)> {
    let wrong = |errors: LoadErrors| refused(folder, &errors);
    let files = busyhour_crds::read_folder(folder).map_err(wrong)?;
    let declared = busyhour_crds::load(&files).map_err(wrong)?;
    let scenario = scenario::load(&files, &declared).map_err(wrong)?;
    Ok((declared, scenario))
}

/// All faults of a folder as one error, a line each.
fn refused(folder: &Path, errors: &LoadErrors) -> anyhow::Error {
    let lines: Vec<_> = errors.iter().map(ToString::to_string).collect();
    anyhow!("{} cannot be used as it is:\n  {}", folder.display(), lines.join("\n  "))
}

/// A line on standard output.
fn print_line(line: &str) -> Result<()> {
    let mut output = std::io::stdout().lock();
    writeln!(output, "{line}")?;
    Ok(output.flush()?)
}
