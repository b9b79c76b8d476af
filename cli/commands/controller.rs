//! `busyhour controller`

use anyhow::Result;
use busyhour_base::Span;
use busyhour_controller::{Options, Ready};
use busyhour_protocol::Secret;
use serde_json::json;

use crate::{args::ControllerArgs, process};

/// Owns queues, channels and agents until it is told to end.
///
/// # Errors
/// An option cannot be, the log is damaged, the declarations are wrong at the start, or an address is taken.
pub async fn run(args: ControllerArgs) -> Result<()> {
    let options = Options {
        data: args.data,
        declarations: args.declarations,
        api: args.api,
        grpc: args.grpc,
        cluster_token: Secret::new(process::read_secret(&args.cluster_token_file)?),
        operator_token: Some(Secret::new(process::read_secret(&args.operator_token_file)?)),
        agent_grace: Span::from_secs(args.agent_grace_s),
    };
    let ready = |at: Ready| {
        let addresses = json!({"api": at.api, "grpc": at.grpc});
        if let Err(error) = process::say_ready("controller", &addresses) {
            tracing::warn!("{error:#}");
        }
    };
    busyhour_controller::run(options, ready, process::shutdown()?).await?;
    Ok(())
}
