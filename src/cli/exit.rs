//! Exit codes: the one list of what the process can answer to its caller.
//!
//! The numbers are public interface. `docs/exit-codes.md` is this table; a test compares the two.

use std::fmt::Write as _;

use crate::model::{ErrorClass, Failure};

/// How the process ends. 64–77 are those of BSD's `sysexits.h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done, or nothing to do.
    Ok,
    /// AWS or this machine failed before anything was written.
    Failed,
    /// `plan --detailed-exitcode`: there are changes.
    Changes,
    /// Some writes are done, some are not; the same command continues.
    Partial,
    /// A saved plan no longer fits.
    StalePlan,
    /// A rule, a policy or an owner says no.
    Blocked,
    /// Writes were accepted but did not settle in time.
    Timeout,
    /// `diagnose`: something will become a problem.
    Warning,
    /// `diagnose`: something is a problem.
    Critical,
    /// The command line is wrong.
    Usage,
    /// The spec (or another input file) is wrong.
    Config,
    /// AWS or a lock could not be had; worth another try.
    Unavailable,
    /// A broken invariant of this program.
    Bug,
    /// Credentials are missing or do not suffice.
    Denied,
    /// Stopped by SIGINT.
    Interrupted,
    /// Stopped by SIGTERM.
    Terminated,
}

impl Exit {
    /// Every code, ascending.
    pub const ALL: [Self; 16] = [
        Self::Ok,
        Self::Failed,
        Self::Changes,
        Self::Partial,
        Self::StalePlan,
        Self::Blocked,
        Self::Timeout,
        Self::Warning,
        Self::Critical,
        Self::Usage,
        Self::Config,
        Self::Unavailable,
        Self::Bug,
        Self::Denied,
        Self::Interrupted,
        Self::Terminated,
    ];

    /// The number the shell sees.
    pub fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Failed => 1,
            Self::Changes => 2,
            Self::Partial => 3,
            Self::StalePlan => 4,
            Self::Blocked => 5,
            Self::Timeout => 6,
            Self::Warning => 10,
            Self::Critical => 11,
            Self::Usage => 64,
            Self::Config => 65,
            Self::Unavailable => 69,
            Self::Bug => 70,
            Self::Denied => 77,
            Self::Interrupted => 130,
            Self::Terminated => 143,
        }
    }

    /// The name used in `--output json` and in the docs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Failed => "FAILED",
            Self::Changes => "CHANGES",
            Self::Partial => "PARTIAL",
            Self::StalePlan => "STALE_PLAN",
            Self::Blocked => "BLOCKED",
            Self::Timeout => "TIMEOUT",
            Self::Warning => "WARNING",
            Self::Critical => "CRITICAL",
            Self::Usage => "USAGE",
            Self::Config => "CONFIG",
            Self::Unavailable => "UNAVAILABLE",
            Self::Bug => "BUG",
            Self::Denied => "DENIED",
            Self::Interrupted => "INTERRUPTED",
            Self::Terminated => "TERMINATED",
        }
    }

    /// What it means and what a script should do.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Ok => {
                "Done, nothing to do, or changes shown without `--detailed-exitcode`. A daemon stopped by a signal ends with this too."
            }
            Self::Failed => "AWS or this machine failed before anything was written.",
            Self::Changes => "Only with `plan --detailed-exitcode`: there are changes.",
            Self::Partial => "Some writes are done, some are not. The same command continues where this one stopped.",
            Self::StalePlan => "A saved plan no longer fits what exists. Reserved: plans cannot be saved yet.",
            Self::Blocked => {
                "Refused by a rule: wrong account, foreign owner, deletion policy, quota, `management: observe`, or no confirmation."
            }
            Self::Timeout => "Writes were accepted but had not settled within `--timeout`.",
            Self::Warning => "Only with `diagnose`: a finding that will become a problem, and none that is one.",
            Self::Critical => "Only with `diagnose`: a finding that is a problem now.",
            Self::Usage => "The command line is wrong.",
            Self::Config => "The spec, a policy or a world file cannot be read or is wrong.",
            Self::Unavailable => {
                "The endpoint was unreachable or throttled past the retry budget, or another process holds the state. Worth another try."
            }
            Self::Bug => "A broken invariant: please report it.",
            Self::Denied => {
                "Credentials are missing, expired or not allowed. Another try without a change is pointless."
            }
            Self::Interrupted => "Stopped by SIGINT (Ctrl-C), after the call in flight.",
            Self::Terminated => "Stopped by SIGTERM, after the call in flight.",
        }
    }

    /// The code for a failed AWS call when nothing has been written yet.
    pub fn of_failure(failure: &Failure) -> Self {
        match failure.class {
            ErrorClass::Denied => Self::Denied,
            ErrorClass::Throttled | ErrorClass::Unreachable | ErrorClass::ServerError => Self::Unavailable,
            ErrorClass::QuotaExhausted => Self::Blocked,
            ErrorClass::Forbidden => Self::Bug,
            ErrorClass::InUse
            | ErrorClass::NotFound
            | ErrorClass::AlreadyExists
            | ErrorClass::NoChange
            | ErrorClass::Invalid
            | ErrorClass::Unknown => Self::Failed,
        }
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// The text of `docs/exit-codes.md`.
pub fn table() -> String {
    let mut text = String::from("# Exit codes\n\n| code | name | meaning |\n|---|---|---|\n");
    for exit in Exit::ALL {
        let _ = writeln!(text, "| {} | {} | {} |", exit.code(), exit.name(), exit.meaning());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_ascend_so_none_is_used_twice() {
        let codes: Vec<u8> = Exit::ALL.iter().map(|exit| exit.code()).collect();
        assert!(codes.windows(2).all(|pair| pair[0] < pair[1]), "{codes:?}");
    }

    #[test]
    fn the_docs_carry_this_table() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/exit-codes.md");
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(path, table()).unwrap();
        }
        assert_eq!(std::fs::read_to_string(path).unwrap(), table(), "run with BLESS=1 to rewrite it");
    }
}
