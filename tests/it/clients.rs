//! boto3 and the AWS CLI against `alleycat-operator local`, unchanged. `./scripts/emulators clients` installs them.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

use alleycat_operator::twin::serve::SERVER_BYTES;

use super::local::Served;

/// The Python that has boto3 and the AWS CLI; `None`, and said so, when it is not installed.
fn python(check: &str) -> Option<PathBuf> {
    let installed = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/emulator-clients/bin/python");
    let python = std::env::var_os("ALLEYCAT_CLIENTS").map_or(installed, PathBuf::from);
    if python.is_file() {
        return Some(python);
    }
    let ci = ["CI", "ALLEYCAT_CI"].iter().any(|name| std::env::var(name).is_ok_and(|v| v == "true" || v == "1"));
    assert!(!ci, "{check}: the clients are not installed and this is CI; run ./scripts/test");
    let _ = writeln!(std::io::stderr(), "NOT RUN: {check}: run ./scripts/emulators clients");
    None
}

/// Runs a script of `tests/clients` against an empty account at thirty times real time.
fn passes(command: &mut Command) {
    let output = command.output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
}

#[test]
fn boto3_waits_pages_and_reads_event_streams() {
    let Some(python) = python("boto3 against the served twin") else { return };
    let served = Served::start(&["--speed", "30"]);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/boto3_checks.py");
    passes(Command::new(python).arg(script).arg(served.url()));
}

#[test]
fn the_aws_cli_speaks_with_the_served_twin() {
    let Some(python) = python("the AWS CLI against the served twin") else { return };
    let served = Served::start(&["--speed", "30"]);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/aws_cli.sh");
    passes(Command::new("bash").arg(script).arg(served.url()).arg(python.with_file_name("aws")));
}

/// What the account's own state may take: record payloads, clients' metrics, items (docs/twin.md), and as much again
/// of the last two for how they are kept.
#[cfg(target_os = "linux")]
const STATE_BYTES: usize = (128 + 2 * (16 + 16)) << 20;

#[cfg(target_os = "linux")]
#[test]
fn a_client_cannot_fill_the_memory() {
    let Some(python) = python("boto3 that fills the served twin") else { return };
    let served = Served::start(&["--speed", "60"]);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/fill.py");
    passes(Command::new(python).arg(script).arg(served.url()));
    let peak = served.peak_bytes();
    assert!(peak < SERVER_BYTES + STATE_BYTES, "{peak} bytes");
}
