//! `version`.

use serde_json::json;

use super::{console::Console, errors::CliError, exit::Exit};

/// Runs the verb.
pub fn run(console: &Console) -> Result<Exit, CliError> {
    let version = env!("CARGO_PKG_VERSION");
    if console.json() {
        console.document(&json!({
            "name": env!("CARGO_PKG_NAME"),
            "version": version,
            "specVersion": "alleycat.dev/v1alpha1",
            "os": std::env::consts::OS,
            "arch": std::env::consts::ARCH,
        }))?;
    } else {
        console.print(&format!("alleycat-operator {version}\n"))?;
    }
    Ok(Exit::Ok)
}
