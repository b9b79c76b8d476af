//! The command line: what each subcommand takes. Every flag has a default that works on one machine.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Parser, Subcommand};

use crate::commands::{
    batch::args::BatchArgs, cancel::CancelArgs, explain::ExplainArgs, opt_outs::OptOutsArgs,
    top::TopArgs,
};

/// Self-hosted, multi-tenant telephony with a capacity-managing control plane.
#[derive(Parser, Debug)]
#[command(version, propagate_version = true)]
pub struct Args {
    /// End when standard input does, which is when the process at its other end is gone, however it went.
    #[arg(long, global = true, hide = true)]
    pub end_with_input: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The parts and the tools.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Run everything on this machine: two tenants' batches as real calls, callers, and messages.
    Demo(DemoArgs),
    /// Run the declared capacity and batches of a folder in virtual time.
    Simulate(SimulateArgs),
    /// Run a controller: API, queues, log.
    Controller(ControllerArgs),
    /// Run a node agent: SIP, media, speech.
    Agent(AgentArgs),
    /// Run a test carrier that answers and places calls with real SIP and RTP, and keeps its own account.
    Carrier(CarrierArgs),
    /// Serve a folder of XML documents as a tenant's application server.
    Application(ApplicationArgs),
    /// Submit, follow and steer a tenant's batches over the API.
    Batch(BatchArgs),
    /// Cancel at once the calls or messages that a tenant has waiting.
    Cancel(CancelArgs),
    /// Show, import or remove people who take no messages from a tenant's numbers.
    OptOuts(OptOutsArgs),
    /// Watch tenants, carriers and agents live.
    Top(TopArgs),
    /// Say where a call, a batch, a tenant or a carrier stands, what holds it, and what would change that.
    Explain(ExplainArgs),
    /// Check a folder of declarations and print what is declared.
    Check(CheckArgs),
    /// Write the custom resource definitions as YAML.
    Crds {
        /// Folder to write them to.
        folder: PathBuf,
    },
}

/// `busyhour demo`
#[derive(clap::Args, Debug)]
pub struct DemoArgs {
    /// Declarations, scenario and documents.
    #[arg(default_value = "examples/demo")]
    pub example: PathBuf,
    /// Where logs, data and connection.json go; emptied first.
    #[arg(long, default_value = "target/demo")]
    pub folder: PathBuf,
    /// Print the report as JSON on standard output.
    #[arg(long)]
    pub json: bool,
    /// Stay up after the report, until Ctrl-C, and say how to go on with curl and the SDKs.
    #[arg(long)]
    pub keep: bool,
}

/// `busyhour simulate`
#[derive(clap::Args, Debug)]
pub struct SimulateArgs {
    /// Declarations, scenario and documents.
    #[arg(default_value = "examples/demo")]
    pub example: PathBuf,
    /// Print the report as JSON.
    #[arg(long)]
    pub json: bool,
    /// Run this many seeds instead of the scenario's own, and stop at the first that breaks an invariant.
    #[arg(long)]
    pub seeds: Option<u64>,
}

/// `busyhour controller`
#[derive(clap::Args, Debug)]
pub struct ControllerArgs {
    /// The log, snapshots and records.
    #[arg(long, env = "BUSYHOUR_DATA", default_value = "/var/lib/busyhour/controller")]
    pub data: PathBuf,
    /// Folder of declared capacity (YAML), read live.
    #[arg(long, env = "BUSYHOUR_DECLARATIONS", default_value = "/etc/busyhour")]
    pub declarations: PathBuf,
    /// Address of the HTTP API.
    #[arg(long, env = "BUSYHOUR_API", default_value = "127.0.0.1:8080")]
    pub api: SocketAddr,
    /// Address that agents connect to.
    #[arg(long, env = "BUSYHOUR_GRPC", default_value = "127.0.0.1:8090")]
    pub grpc: SocketAddr,
    /// File that holds the secret which agents must show.
    #[arg(long, env = "BUSYHOUR_CLUSTER_TOKEN_FILE")]
    pub cluster_token_file: PathBuf,
    /// File that holds the operator's token for the overview.
    #[arg(long, env = "BUSYHOUR_OPERATOR_TOKEN_FILE")]
    pub operator_token_file: PathBuf,
    /// How long a lost agent's calls stay in doubt before they end as failed, in seconds.
    #[arg(long, default_value_t = 30)]
    pub agent_grace_s: u64,
}

/// `busyhour agent`
#[derive(clap::Args, Debug)]
pub struct AgentArgs {
    /// Its name in the cluster, kept across restarts.
    #[arg(long, env = "BUSYHOUR_NAME")]
    pub name: String,
    /// Its journal and caches.
    #[arg(long, env = "BUSYHOUR_DATA", default_value = "/var/lib/busyhour/agent")]
    pub data: PathBuf,
    /// The controller's address for agents.
    #[arg(long, env = "BUSYHOUR_CONTROLLER", default_value = "http://127.0.0.1:8090")]
    pub controller: String,
    /// File that holds the cluster's secret.
    #[arg(long, env = "BUSYHOUR_CLUSTER_TOKEN_FILE")]
    pub cluster_token_file: PathBuf,
    /// SIP over UDP.
    #[arg(long, env = "BUSYHOUR_SIP", default_value = "127.0.0.1:5060")]
    pub sip: SocketAddr,
    /// Ports for RTP, on the address of --sip.
    #[arg(long, default_value = "20000-29999", value_parser = port_range)]
    pub rtp_ports: (u16, u16),
    /// Calls that it holds at once.
    #[arg(long, default_value_t = 100)]
    pub slots: u32,
    /// Metrics over HTTP, if wanted.
    #[arg(long)]
    pub metrics: Option<SocketAddr>,
}

/// `busyhour carrier`
#[derive(clap::Args, Debug)]
pub struct CarrierArgs {
    /// SIP over UDP.
    #[arg(long, default_value = "127.0.0.1:5070")]
    pub sip: SocketAddr,
    /// Ports for RTP, on the address of --sip.
    #[arg(long, default_value = "30000-39999", value_parser = port_range)]
    pub rtp_ports: (u16, u16),
    /// Its account over HTTP.
    #[arg(long, default_value = "127.0.0.1:15080")]
    pub account: SocketAddr,
    /// Channels by contract.
    #[arg(long, default_value_t = 30)]
    pub channels: u32,
    /// Call set-ups per second by contract.
    #[arg(long, default_value_t = 5)]
    pub calls_per_second: u32,
    /// Folder of declarations and of the scenario that says how its subscribers behave, and whom they call.
    #[arg(long, default_value = "examples/demo")]
    pub scenario: PathBuf,
    /// The declared carrier that it plays: its callers only. All of the scenario's if it is left out.
    #[arg(long)]
    pub plays: Option<String>,
    /// Where its callers call, in turn: SIP addresses of agents, separated by commas. They can be told later as well, as
    /// {"trunks": ["ADDRESS", ...]} to /callers on the address of --account.
    #[arg(long, value_delimiter = ',')]
    pub calls_to: Vec<SocketAddr>,
    /// A call without any RTP for this long is over, in seconds.
    #[arg(long, default_value_t = 60)]
    pub rtp_timeout_s: u64,
    /// A call that rings for this long is given up with 480, in seconds.
    #[arg(long, default_value_t = 180)]
    pub ring_limit_s: u64,
    /// Ask for digest authentication of this user.
    #[arg(long, requires = "password_file")]
    pub user: Option<String>,
    /// File that holds the user's password.
    #[arg(long, requires = "user")]
    pub password_file: Option<PathBuf>,
}

/// `busyhour application`
#[derive(clap::Args, Debug)]
pub struct ApplicationArgs {
    /// Address to serve on.
    #[arg(long, default_value = "127.0.0.1:8081")]
    pub listen: SocketAddr,
    /// Folder of documents.
    #[arg(long, default_value = "examples/demo/documents")]
    pub documents: PathBuf,
    /// Folder of declarations, whose tenants' tokens prove the requests' signatures, and of the scenario, whose
    /// recordings are made up.
    #[arg(long, default_value = "examples/demo")]
    pub declarations: PathBuf,
}

/// `busyhour check`
#[derive(clap::Args, Debug)]
pub struct CheckArgs {
    /// Folder of declarations.
    pub folder: PathBuf,
    /// Print as JSON.
    #[arg(long)]
    pub json: bool,
}

fn port_range(text: &str) -> Result<(u16, u16), String> {
    let bad = || format!("{text:?} is not a range of ports such as 20000-29999");
    let (first, last) = text.split_once('-').ok_or_else(bad)?;
    let (first, last): (u16, u16) =
        (first.parse().map_err(|_| bad())?, last.parse().map_err(|_| bad())?);
    if first == 0 || first >= last { Err(bad()) } else { Ok((first, last)) }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Args::command().debug_assert();
    }

    #[test]
    fn a_port_range_names_what_it_wants() {
        assert_eq!(port_range("20000-20010"), Ok((20000, 20010)));
        for bad in ["", "5", "9-1", "0-7", "1-99999"] {
            assert!(port_range(bad).unwrap_err().contains("20000-29999"), "{bad}");
        }
    }
}
