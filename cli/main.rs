//! Busyhour: one binary, every part a subcommand.

use std::process::ExitCode;

use busyhour::{
    args::{Args, Command},
    commands, demo, process,
};
use clap::Parser;

#[global_allocator]
static ALLOCATOR: busyhour_controller::memory::Allocator = busyhour_controller::memory::Allocator;

fn main() -> ExitCode {
    let args = Args::parse();
    process::prepare();
    if args.end_with_input {
        process::end_with_input();
    }
    let run = async {
        match args.command {
            Command::Demo(args) => demo::run(args).await,
            Command::Simulate(args) => commands::simulate::run(&args),
            Command::Controller(args) => commands::controller::run(args).await,
            Command::Agent(args) => commands::agent::run(args).await,
            Command::Carrier(args) => commands::carrier::run(args).await,
            Command::Application(args) => commands::application::run(args).await,
            Command::Batch(args) => commands::batch::run(args).await,
            Command::Cancel(args) => commands::cancel::run(&args).await,
            Command::OptOuts(args) => commands::opt_outs::run(&args).await,
            Command::Top(args) => commands::top::run(&args).await,
            Command::Explain(args) => commands::explain::run(&args).await,
            Command::Check(args) => commands::check::run(&args),
            Command::Crds { folder } => commands::crds::run(&folder),
        }
    };
    process::block_on(run)
}
