//! Flags that every command takes, and what follows from them.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use jiff::SignedDuration;

use super::{
    console::{ColorChoice, Console, OutputFormat},
    errors::CliError,
    exit::Exit,
};

/// Flags that every command takes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub struct Globals {
    /// Form of the results on stdout.
    #[arg(long, global = true, value_enum, default_value = "text", env = "ALLEYCAT_OUTPUT", hide_env = true)]
    pub output: OutputFormat,
    /// Only results and errors.
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// More logs on stderr; twice for debug. `ALLEYCAT_LOG` takes a tracing filter instead.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Form of the logs on stderr.
    #[arg(long, global = true, value_enum, default_value = "text", env = "ALLEYCAT_LOG_FORMAT", hide_env = true)]
    pub log_format: LogFormat,
    /// Colours; NO_COLOR and CLICOLOR_FORCE are honoured.
    #[arg(long, global = true, value_enum, default_value = "auto", env = "ALLEYCAT_COLOR", hide_env = true)]
    pub color: ColorChoice,
    /// AWS region; before the spec's and the environment's.
    #[arg(long, global = true, value_name = "REGION")]
    pub region: Option<String>,
    /// Profile of the AWS configuration files.
    #[arg(long, global = true, value_name = "NAME")]
    pub profile: Option<String>,
    /// Another endpoint for all AWS services, e.g. an emulator.
    #[arg(long, global = true, value_name = "URL")]
    pub endpoint_url: Option<String>,
    /// Run against the built-in simulated AWS (the twin) instead of AWS; its state is kept in the state directory.
    /// Without a world file: the Alleycat world.
    #[arg(long, global = true, value_name = "WORLD.yaml", num_args = 0..=1, require_equals = true)]
    pub local: Option<Option<PathBuf>>,
    /// Seed of the twin's noise, for `demo` and for a new `--local` world.
    #[arg(long, global = true, value_name = "N")]
    pub seed: Option<u64>,
    /// Where memory and the twin are kept; `none` keeps nothing. Default: $XDG_STATE_HOME/alleycat-operator.
    #[arg(long, global = true, value_name = "DIR", env = "ALLEYCAT_STATE_DIR", hide_env = true)]
    pub state_dir: Option<PathBuf>,
    /// How long apply and destroy wait for changes to settle.
    #[arg(long, global = true, value_name = "DURATION", default_value = "30m", value_parser = duration, env = "ALLEYCAT_TIMEOUT", hide_env = true)]
    pub timeout: SignedDuration,
}

/// Form of the logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One line for people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Globals {
    /// The streams as these flags want them.
    pub fn console(&self) -> Console {
        Console::new(self.output, self.quiet, self.verbose > 0, self.color)
    }

    /// Refuses flags that contradict each other across commands.
    pub fn check(&self) -> Result<(), CliError> {
        if self.local.is_some() && (self.profile.is_some() || self.endpoint_url.is_some()) {
            return Err(CliError::new(
                Exit::Usage,
                "--local runs on the built-in simulated AWS: --profile and --endpoint-url have no meaning there",
            ));
        }
        Ok(())
    }

    /// The state directory, or `None` when nothing is to be kept.
    pub fn state_dir(&self) -> Result<Option<PathBuf>, CliError> {
        if let Some(dir) = self.state_dir.as_ref().filter(|dir| !dir.as_os_str().is_empty()) {
            return Ok((dir.as_os_str() != "none").then(|| dir.clone()));
        }
        let base = absolute("XDG_STATE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".local/state")));
        let base = base.ok_or_else(|| {
            CliError::new(Exit::Usage, "no state directory: neither HOME nor XDG_STATE_HOME is set")
                .hint("pass --state-dir DIR, or --state-dir none to keep nothing")
        })?;
        Ok(Some(base.join("alleycat-operator")))
    }
}

/// A path from the environment. Relative ones are ignored, as the XDG specification asks.
fn absolute(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute())
}

/// Parses `90s`, `10m`, `2h`; zero and less are refused.
pub fn duration(text: &str) -> Result<SignedDuration, String> {
    match text.parse::<SignedDuration>() {
        Ok(duration) if duration.is_positive() => Ok(duration),
        Ok(_) => Err("a duration above zero is needed".to_owned()),
        Err(_) => Err("not a duration; write it like 90s, 10m or 2h".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_like_in_the_spec() {
        assert_eq!(duration("90s"), Ok(SignedDuration::from_secs(90)));
        assert_eq!(duration("2h"), Ok(SignedDuration::from_hours(2)));
        assert!(duration("0s").is_err());
        assert!(duration("-5m").is_err());
        assert!(duration("10").is_err());
    }
}
