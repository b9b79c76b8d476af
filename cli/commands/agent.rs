//! `busyhour agent`

use anyhow::Result;
use busyhour_agent::Options;

use crate::{args::AgentArgs, process};

/// Places calls for the controller until it is told to end.
///
/// # Errors
/// An option cannot be, or a part of it does not start.
pub async fn run(args: AgentArgs) -> Result<()> {
    let token = process::read_secret(&args.cluster_token_file)?;
    let mut options = Options::new(&args.name, &args.controller, &token, args.data);
    options.sip = args.sip;
    options.media = args.sip.ip();
    options.rtp_ports = Some(args.rtp_ports.0..=args.rtp_ports.1);
    options.slots = args.slots;
    options.metrics = args.metrics;
    let ready = |addresses| {
        if let Err(error) = process::say_ready("agent", &addresses) {
            tracing::warn!("{error:#}");
        }
    };
    busyhour_agent::run(options, ready, process::shutdown()?).await?;
    Ok(())
}
