//! `validate`: is this spec, or this world, right? Reads files only; needs no AWS and no state.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::{
    console::Console,
    errors::{CliError, problem_json},
    exit::Exit,
    local::load_world,
    source::{self, Source},
};
use crate::{spec::Pipeline, twin::World};

/// What a file holds.
enum Valid {
    Pipeline(Box<Pipeline>),
    World(Box<World>),
}

/// Check specs and world files without touching AWS.
#[derive(Debug, Args)]
pub struct ValidateArgs {
    /// The specs and world files; `-` reads stdin.
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
        let (mut pipelines, mut worlds) = (Vec::new(), Vec::new());
        for (_, found) in &valid {
            match found {
                Valid::Pipeline(pipeline) => pipelines.push(&pipeline.name),
                Valid::World(world) => worlds.push(&world.name),
            }
        }
        let document =
            json!({ "valid": errors.is_empty(), "pipelines": pipelines, "worlds": worlds, "problems": problems });
        console.document(&document)?;
        // Problems are in the document; a file that cannot be read is not.
        for error in errors.iter().filter(|error| error.problems.is_empty()) {
            error.report(console);
        }
    } else {
        for (file, found) in &valid {
            console.print(&format!("{file}: valid: {}\n", summary(found)))?;
        }
        for error in &errors {
            error.report(console);
        }
    }
    if errors.is_empty() { Ok(Exit::Ok) } else { Err(CliError::said(Exit::Config)) }
}

fn check(path: &Path, console: &Console) -> Result<Vec<(String, Valid)>, CliError> {
    let source = Source::read(path)?;
    if World::is_meant_by(&source.text) {
        let world = load_world(&source, console)?;
        return Ok(vec![(source.name, Valid::World(Box::new(world)))]);
    }
    let pipelines = source::pipelines(&source).map_err(|problems| source::invalid(&source, problems, console))?;
    for pipeline in &pipelines {
        source::policy(pipeline, path.parent(), console)?;
    }
    let valid = |pipeline| (source.name.clone(), Valid::Pipeline(Box::new(pipeline)));
    Ok(pipelines.into_iter().map(valid).collect())
}

fn summary(valid: &Valid) -> String {
    let count = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    match valid {
        Valid::Pipeline(pipeline) => format!(
            "pipeline {} (stream {}, {}, {})",
            pipeline.name,
            pipeline.stream.name,
            count(pipeline.consumers.len(), "consumer"),
            count(pipeline.tables.len(), "table"),
        ),
        Valid::World(world) => format!(
            "world {} ({}, {}, {})",
            world.name,
            count(world.producers.len(), "producer"),
            count(world.functions.len(), "function"),
            count(world.faults.len(), "fault"),
        ),
    }
}
