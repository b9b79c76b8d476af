//! `busyhour carrier`

use std::sync::Arc;

use anyhow::{Context, Result};
use busyhour_base::Span;
use busyhour_carrier::{Contract, Credentials, Options};
use tokio::sync::oneshot;

use super::example;
use crate::{args::CarrierArgs, process};

/// Answers calls until it is told to end, and then prints its account.
///
/// # Errors
/// The scenario is wrong, or an address is taken.
pub async fn run(args: CarrierArgs) -> Result<()> {
    let (_, scenario) = example(&args.scenario)?;
    let seed = scenario.behaviour.seed;
    let mut callers = scenario.callers();
    if let Some(name) = &args.plays {
        callers.retain(|caller| caller.carrier == *name);
    }
    let mut options = Options::new(Arc::new(scenario.behaviour));
    options.sip = args.sip;
    options.rtp = args.sip.ip();
    options.rtp_ports = Some(args.rtp_ports.0..=args.rtp_ports.1);
    options.account = args.account;
    options.contract =
        Contract { channels: args.channels, calls_per_second: args.calls_per_second };
    options.seed = seed;
    options.callers = callers;
    options.calls_to = args.calls_to;
    options.rtp_timeout = Some(Span::from_secs(args.rtp_timeout_s));
    options.ring_limit = Span::from_secs(args.ring_limit_s);
    if let (Some(user), Some(file)) = (args.user, args.password_file) {
        options.credentials = Some(Credentials { user, password: process::read_secret(&file)? });
    }
    let shutdown = process::shutdown()?;
    let (ready, is_ready) = oneshot::channel();
    tokio::spawn(async move {
        let Ok(addresses) = is_ready.await else { return Ok(()) };
        process::say_ready("carrier", &addresses)
    });
    let account = busyhour_carrier::run(options, ready, async move { shutdown.cancelled().await });
    let account = account.await.context("the carrier")?;
    super::print_line(&serde_json::to_string(&account)?)?;
    Ok(())
}
