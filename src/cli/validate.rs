//! `validate`: is this spec right? Reads files only; needs no AWS and no state.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::{
    console::Console,
    errors::{CliError, problem_json},
    exit::Exit,
    source::{self, Source},
};
use crate::spec::Pipeline;

/// Check specs without touching AWS.
#[derive(Debug, Args)]
pub struct ValidateArgs {
    /// The specs; `-` reads stdin.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
}

/// Runs the verb. All problems of all files are reported.
pub fn run(console: &Console, args: &ValidateArgs) -> Result<Exit, CliError> {
    let mut valid = Vec::new();
    let mut errors: Vec<CliError> = Vec::new();
    for path in &args.files {
        match check(path, console) {
            Ok(found) => valid.extend(found),
            Err(error) => errors.push(error),
        }
    }
    if console.json() {
        let problems: Vec<_> = errors
            .iter()
            .flat_map(|error| &error.problems)
            .map(|(file, problem)| problem_json(file, problem))
            .collect();
        let names: Vec<_> = valid.iter().map(|(_, pipeline)| &pipeline.name).collect();
        console.document(&json!({ "valid": errors.is_empty(), "pipelines": names, "problems": problems }))?;
        // Problems are in the document; a file that cannot be read is not.
        for error in errors.iter().filter(|error| error.problems.is_empty()) {
            error.report(console);
        }
    } else {
        for (file, pipeline) in &valid {
            console.print(&format!("{file}: {}\n", summary(pipeline)))?;
        }
        for error in &errors {
            error.report(console);
        }
    }
    if errors.is_empty() { Ok(Exit::Ok) } else { Err(CliError::said(Exit::Config)) }
}

fn check(path: &std::path::Path, console: &Console) -> Result<Vec<(String, Pipeline)>, CliError> {
    let source = Source::read(path)?;
    let pipelines = source::pipelines(&source).map_err(|problems| source::invalid(&source, problems, console))?;
    for pipeline in &pipelines {
        source::policy(pipeline, path.parent(), console)?;
    }
    Ok(pipelines.into_iter().map(|pipeline| (source.name.clone(), pipeline)).collect())
}

fn summary(pipeline: &Pipeline) -> String {
    let count = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    format!(
        "valid: pipeline {} (stream {}, {}, {})",
        pipeline.name,
        pipeline.stream.name,
        count(pipeline.consumers.len(), "consumer"),
        count(pipeline.tables.len(), "table"),
    )
}
