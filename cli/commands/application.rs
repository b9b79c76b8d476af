//! `busyhour application`

use anyhow::{Context, Result};
use busyhour_carrier::ApplicationOptions;
use tokio::sync::oneshot;

use super::example;
use crate::{args::ApplicationArgs, process};

/// Serves until it is told to end, and then prints what it was asked.
///
/// # Errors
/// The declarations are wrong, or the address is taken.
pub async fn run(args: ApplicationArgs) -> Result<()> {
    let (declared, scenario) = example(&args.declarations)?;
    let tokens = declared
        .tenants
        .values()
        .map(|tenant| (tenant.spec.account.to_string(), tenant.token.reveal().to_owned()))
        .collect();
    let mut options = ApplicationOptions::new(args.documents, tokens);
    options.listen = args.listen;
    options.recordings = scenario.recordings;
    let shutdown = process::shutdown()?;
    let (ready, is_ready) = oneshot::channel();
    tokio::spawn(async move {
        let Ok(addresses) = is_ready.await else { return Ok(()) };
        process::say_ready("application", &addresses)
    });
    let account = busyhour_carrier::serve_application(options, ready, async move {
        shutdown.cancelled().await;
    });
    let account = account.await.with_context(|| format!("serving on {}", args.listen))?;
    super::print_line(&serde_json::to_string(&account)?)?;
    Ok(())
}
