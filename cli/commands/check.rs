//! `busyhour check FOLDER`: what is declared, or everything that is wrong with it.

use anyhow::Result;
use busyhour_crds::{Declared, LoadErrors};

use super::{ensure_some, print_line, refused};
use crate::args::CheckArgs;

/// Prints a line per kind.
///
/// # Errors
/// Something is wrong; the error lists it all, with file, line, field and what is allowed.
pub fn run(args: &CheckArgs) -> Result<()> {
    let wrong = |errors: LoadErrors| refused(&args.folder, &errors);
    let files = busyhour_crds::read_folder(&args.folder).map_err(wrong)?;
    ensure_some(&args.folder, &files)?;
    let declared = busyhour_crds::load(&files).map_err(wrong)?;
    let kinds = kinds(&declared);
    if args.json {
        let object: serde_json::Map<_, _> =
            kinds.into_iter().map(|(kind, names)| (kind.to_owned(), names.into())).collect();
        return print_line(&serde_json::Value::Object(object).to_string());
    }
    for (kind, names) in kinds {
        let line = format!("{kind:13} {:>4}  {}", names.len(), names.join(", "));
        print_line(line.trim_end())?;
    }
    Ok(())
}

fn kinds(declared: &Declared) -> [(&'static str, Vec<String>); 5] {
    [
        ("carriers", declared.carriers.keys().cloned().collect()),
        ("tenants", declared.tenants.keys().cloned().collect()),
        ("applications", declared.applications.keys().cloned().collect()),
        ("numbers", declared.numbers.keys().cloned().collect()),
        ("pools", declared.pools.keys().cloned().collect()),
    ]
}
