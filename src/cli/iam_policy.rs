//! `iam-policy`: the permissions a command needs, generated from the table of operations it may call.

use clap::{Args, ValueEnum};

use super::{console::Console, errors::CliError, exit::Exit};
use crate::aws::{self, PolicyKind};

/// Print the IAM policy a command needs.
#[derive(Debug, Args)]
pub struct IamPolicyArgs {
    /// For which command.
    #[arg(value_enum)]
    command: For,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum For {
    /// Reading only.
    Plan,
    /// The daemon: scales, creates and deletes nothing.
    Autoscale,
    /// Creating and changing.
    Apply,
    /// Deleting.
    Destroy,
}

/// Runs the verb. A policy is JSON in either output form.
pub fn run(console: &Console, args: &IamPolicyArgs) -> Result<Exit, CliError> {
    let kind = match args.command {
        For::Plan => PolicyKind::Plan,
        For::Autoscale => PolicyKind::Autoscale,
        For::Apply => PolicyKind::Apply,
        For::Destroy => PolicyKind::Destroy,
    };
    console.document(&aws::iam_policy(kind))?;
    Ok(Exit::Ok)
}
