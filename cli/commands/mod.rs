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

use anyhow::{Result, anyhow, ensure};
use busyhour_crds::{Declared, LoadErrors, SourceFile};
use busyhour_simulations::scenario::{self, Scenario};

/// What a folder declares, and its scenario.
///
/// # Errors
/// Everything that is wrong with either, with file, line, field and what is allowed.
pub fn example(folder: &Path) -> Result<(Declared, Scenario)> {
    let wrong = |errors: LoadErrors| refused(folder, &errors);
    let files = busyhour_crds::read_folder(folder).map_err(wrong)?;
    ensure_some(folder, &files)?;
    let declared = busyhour_crds::load(&files).map_err(wrong)?;
    let scenario = scenario::load(&files, &declared).map_err(wrong)?;
    Ok((declared, scenario))
}

/// A folder without any YAML file is not what was meant.
fn ensure_some(folder: &Path, files: &[SourceFile]) -> Result<()> {
    let shown = folder.display();
    ensure!(
        !files.is_empty(),
        "{shown} declares nothing: no file in it ends in .yaml or .yml; see docs/guide/operators.md, or examples/demo"
    );
    Ok(())
}

/// All faults of a folder as one error, a line each.
fn refused(folder: &Path, errors: &LoadErrors) -> anyhow::Error {
    let lines: Vec<_> = errors.iter().map(ToString::to_string).collect();
    anyhow!("{} cannot be used as it is:\n  {}", folder.display(), lines.join("\n  "))
}

/// A line on standard output.
fn print_line(line: &str) -> Result<()> {
    print(&format!("{line}\n"))
}

/// Text on standard output. If nobody reads any more, the error is of input and output and has no context, so that the process
/// ends without a word.
fn print(text: &str) -> Result<()> {
    let mut output = std::io::stdout().lock();
    output.write_all(text.as_bytes())?;
    Ok(output.flush()?)
}
