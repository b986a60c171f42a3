//! Where text goes: stdout carries results only, stderr everything else. What always holds: a reader
//! that closes its end of stdout ends the command quietly, and nothing said on stderr can fail it.

use std::io::{self, IsTerminal, Write};

use clap::ValueEnum;
use serde::Serialize;

use super::errors::CliError;

/// Form of the results on stdout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// For people.
    Text,
    /// One JSON document, or one a line for commands that report as they go.
    Json,
}

/// `--color`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    /// On a terminal, unless `NO_COLOR` or `TERM=dumb` says otherwise.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What of the environment decides about colours.
#[derive(Debug, Clone, Default)]
pub struct ColorEnv {
    /// `NO_COLOR` is set and not empty (<https://no-color.org>).
    pub no_color: bool,
    /// `CLICOLOR_FORCE` is set and not `0`.
    pub force: bool,
    /// `TERM=dumb`.
    pub dumb: bool,
}

impl ColorEnv {
    /// Reads the process environment.
    pub fn from_process() -> Self {
        let value = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        Self {
            no_color: value("NO_COLOR").is_some(),
            force: value("CLICOLOR_FORCE").is_some_and(|value| value != "0"),
            dumb: value("TERM").is_some_and(|value| value == "dumb"),
        }
    }
}

/// Whether to colour a stream: the flag, then `NO_COLOR`, then `CLICOLOR_FORCE`, then whether it is a terminal.
pub fn use_color(choice: ColorChoice, env: &ColorEnv, terminal: bool) -> bool {
    match choice {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto if env.no_color => false,
        ColorChoice::Auto if env.force => true,
        ColorChoice::Auto => terminal && !env.dumb,
    }
}

/// Both streams and how to write on them.
#[derive(Debug, Clone)]
pub struct Console {
    format: OutputFormat,
    quiet: bool,
    verbose: bool,
    /// Colours on stdout.
    pub color: bool,
    /// Colours on stderr.
    pub color_err: bool,
}

impl Console {
    /// Decides about colours once, for this process.
    pub fn new(format: OutputFormat, quiet: bool, verbose: bool, choice: ColorChoice) -> Self {
        let env = ColorEnv::from_process();
        Self {
            format,
            quiet,
            verbose,
            color: use_color(choice, &env, io::stdout().is_terminal()),
            color_err: use_color(choice, &env, io::stderr().is_terminal()),
        }
    }

    /// Whether results are JSON.
    pub fn json(&self) -> bool {
        self.format == OutputFormat::Json
    }

    /// Whether progress and hints are left out.
    pub fn quiet(&self) -> bool {
        self.quiet
    }

    /// Whether a live display may be drawn on stderr: a terminal, and nothing else that writes there.
    pub fn live(&self) -> bool {
        !self.quiet && !self.verbose && !self.json() && io::stderr().is_terminal()
    }

    /// Whether a question can be asked and answered.
    pub fn can_ask(&self) -> bool {
        io::stdin().is_terminal() && io::stderr().is_terminal()
    }

    /// Writes result text.
    pub fn print(&self, text: &str) -> Result<(), CliError> {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|error| CliError::stdout(&error))
    }

    /// Empties the screen for the next result, where stdout is a terminal; elsewhere results follow each other.
    pub fn clear(&self) -> Result<(), CliError> {
        if io::stdout().is_terminal() && !self.json() { self.print("\x1b[H\x1b[2J") } else { Ok(()) }
    }

    /// Writes one JSON document over several lines.
    pub fn document(&self, value: &impl Serialize) -> Result<(), CliError> {
        let text = serde_json::to_string_pretty(value).map_err(|error| CliError::bug(&error))?;
        self.print(&format!("{text}\n"))
    }

    /// Writes one JSON document on one line.
    pub fn line(&self, value: &impl Serialize) -> Result<(), CliError> {
        let text = serde_json::to_string(value).map_err(|error| CliError::bug(&error))?;
        self.print(&format!("{text}\n"))
    }

    /// Says something beside the result; not with `-q`, and never a reason to fail.
    pub fn note(&self, text: &str) {
        if !self.quiet {
            self.say(text);
        }
    }

    /// Writes on stderr whatever the flags are: errors and questions.
    pub fn say(&self, text: &str) {
        let mut err = io::stderr().lock();
        let _ = writeln!(err, "{text}");
        let _ = err.flush();
    }

    /// Asks a question on stderr and reads one line. `None` at the end of the input.
    pub fn ask(&self, question: &str) -> Option<String> {
        let mut err = io::stderr().lock();
        let _ = write!(err, "{question} ");
        let _ = err.flush();
        let mut answer = String::new();
        match io::stdin().read_line(&mut answer) {
            Ok(0) | Err(_) => None,
            Ok(_) => Some(answer.trim().to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flag_beats_the_environment_and_the_environment_beats_the_terminal() {
        let plain = ColorEnv::default();
        let none = ColorEnv { no_color: true, force: true, dumb: false };
        let force = ColorEnv { force: true, ..ColorEnv::default() };
        let dumb = ColorEnv { dumb: true, ..ColorEnv::default() };
        assert!(use_color(ColorChoice::Always, &none, false));
        assert!(!use_color(ColorChoice::Never, &force, true));
        assert!(!use_color(ColorChoice::Auto, &none, true));
        assert!(use_color(ColorChoice::Auto, &force, false));
        assert!(use_color(ColorChoice::Auto, &plain, true));
        assert!(!use_color(ColorChoice::Auto, &plain, false));
        assert!(!use_color(ColorChoice::Auto, &dumb, true));
    }
}
