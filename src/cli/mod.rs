//! The command line: one file a verb. The only room that prints.
//!
//! What always holds: stdout carries results and nothing else; every end has an exit code of [`exit::Exit`].

use std::ffi::OsString;

use clap::{Parser, Subcommand, error::ErrorKind};

pub mod apply;
pub mod console;
pub mod daemon;
pub mod demo;
pub mod destroy;
pub mod diagnose;
pub mod errors;
pub mod exit;
pub mod explain;
mod found;
pub mod globals;
pub mod history;
pub mod iam_policy;
pub mod local;
pub mod logging;
pub mod plan;
pub mod progress;
pub mod render;
pub mod serve;
pub mod signals;
pub mod simulate;
pub mod source;
pub mod status;
pub mod target;
pub mod validate;
pub mod version;

use errors::CliError;
use exit::Exit;
use globals::Globals;

/// Keeps a Kinesis -> Lambda -> DynamoDB pipeline the right size: one spec, one binary.
#[derive(Debug, Parser)]
#[command(
    name = "alleycat-operator",
    version,
    max_term_width = 100,
    arg_required_else_help = true,
    after_help = "Without an AWS account: alleycat-operator demo, or add --local to any command.\nExit codes: docs/exit-codes.md."
)]
struct Cli {
    #[command(flatten)]
    globals: Globals,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check specs and world files without touching AWS.
    Validate(validate::ValidateArgs),
    /// Show what would change, why, how long it takes and what it costs.
    Plan(plan::PlanArgs),
    /// Create and change what the spec asks for.
    Apply(apply::ApplyArgs),
    /// Remove what belongs to the pipeline; what holds data stays unless you say so twice.
    Destroy(destroy::DestroyArgs),
    /// Show the pipeline on one screen: load, lag, bottleneck, bounds, quota, cost.
    Status(status::StatusArgs),
    /// Say what is wrong, why, what it leads to and what to do, of any pipeline that runs.
    Diagnose(diagnose::DiagnoseArgs),
    /// Show what the daemon decided, from what, and whether it came as expected.
    History(history::HistoryArgs),
    /// Explain a code that a diagnosis names.
    Explain(explain::ExplainArgs),
    /// Watch the pipeline and scale it.
    Daemon(daemon::DaemonArgs),
    /// Watch the Alleycat pipeline fall over, and then the operator keep it up; needs no AWS account.
    Demo(demo::DemoArgs),
    /// Play days of a pipeline in seconds, with the operator and with other policies.
    Simulate(Box<simulate::SimulateArgs>),
    /// Serve the simulated AWS on a local port to any AWS client.
    Local(serve::LocalArgs),
    /// Print the IAM policy a command needs.
    IamPolicy(iam_policy::IamPolicyArgs),
    /// Print the version.
    Version,
}

/// Runs the program and says how it ended.
pub fn main(args: impl IntoIterator<Item = OsString>) -> Exit {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            let asked = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            // Nobody may be listening; the code is the answer then.
            let _ = error.print();
            return if asked { Exit::Ok } else { Exit::Usage };
        }
    };
    let console = cli.globals.console();
    logging::start(&cli.globals, &console, if matches!(cli.command, Command::Daemon(_)) { "info" } else { "warn" });
    // A panic is a bug, and has an exit code like every other end; its message is on stderr already.
    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(&cli, &console)));
    match ended.unwrap_or_else(|_| Err(CliError::bug(&"it panicked, see above"))) {
        Ok(exit) => exit,
        Err(error) => {
            error.report(&console);
            error.exit
        }
    }
}

fn run(cli: &Cli, console: &console::Console) -> Result<Exit, CliError> {
    let globals = &cli.globals;
    globals.check()?;
    match &cli.command {
        Command::Validate(args) => validate::run(console, args),
        Command::Plan(args) => plan::run(globals, console, args),
        Command::Apply(args) => apply::run(globals, console, args),
        Command::Destroy(args) => destroy::run(globals, console, args),
        Command::Status(args) => status::run(globals, console, args),
        Command::Diagnose(args) => diagnose::run(globals, console, args),
        Command::History(args) => history::run(globals, console, args),
        Command::Explain(args) => explain::run(console, args),
        Command::Daemon(args) => daemon::run(globals, console, args),
        Command::Demo(args) => demo::run(globals, console, args),
        Command::Simulate(args) => simulate::run(globals, console, args),
        Command::Local(args) => serve::run(globals, console, args),
        Command::IamPolicy(args) => iam_policy::run(console, args),
        Command::Version => version::run(console),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_flags_do_not_contradict_each_other() {
        Cli::command().debug_assert();
    }

    #[test]
    fn global_flags_stand_before_or_after_the_verb() {
        for line in ["x --local plan spec.yaml", "x plan --local spec.yaml", "x plan spec.yaml --local=world.yaml"] {
            let cli = Cli::try_parse_from(line.split(' ')).unwrap();
            assert!(cli.globals.local.is_some(), "{line}");
        }
    }
}
