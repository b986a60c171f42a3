//! Logs: `tracing` to stderr, as text or JSON lines.

use std::io;

use tracing_subscriber::{EnvFilter, fmt};

use super::{
    console::Console,
    globals::{Globals, LogFormat},
};

/// Starts logging. `default` is the level of our own crate without `-v`: `info` for the daemon, `warn` otherwise.
pub fn start(globals: &Globals, console: &Console, default: &str) {
    let ours = match (globals.quiet, globals.verbose) {
        (true, _) => "error",
        (false, 0) => default,
        (false, 1) => "info",
        (false, 2) => "debug",
        (false, _) => "trace",
    };
    // The SDK is talkative: it joins in at -vvv only.
    let others = if globals.verbose >= 3 { "debug" } else { "error" };
    let filter = std::env::var("ALLEYCAT_LOG")
        .ok()
        .filter(|text| !text.is_empty())
        .and_then(|text| EnvFilter::try_new(text).ok())
        .unwrap_or_else(|| EnvFilter::new(format!("{others},alleycat_operator={ours}")));
    let builder = fmt().with_env_filter(filter).with_writer(io::stderr).with_ansi(console.color_err).with_target(false);
    // A second start (a test in the same process) keeps the first.
    let _ = match globals.log_format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
}
