//! Reading specs and policies: from a file or stdin, one or several documents, always with the name the
//! user gave it. What always holds: a position in a message is a position in the user's file.

use std::{
    io::{self, Read},
    path::{Path, PathBuf},
};

use clap::Args;

use super::{console::Console, errors::CliError, exit::Exit};
use crate::spec::{self, Pipeline, Problem, ScalingPolicy};

/// Most that is read of an input. A spec is a few kilobytes; `spec::parse` refuses earlier with a better message.
const READ_LIMIT: u64 = 16 * 1024 * 1024;

/// Which spec, and which pipeline in it.
#[derive(Debug, Clone, Args)]
pub struct SpecArgs {
    /// The spec; `-` reads stdin.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Which pipeline, when the file holds several.
    #[arg(long, value_name = "NAME")]
    pub pipeline: Option<String>,
}

/// A text and the name to call it by.
#[derive(Debug)]
pub struct Source {
    /// As the user wrote it; `<stdin>` for `-`.
    pub name: String,
    /// The text.
    pub text: String,
}

impl Source {
    /// Reads a file, or stdin for `-`.
    pub fn read(path: &Path) -> Result<Self, CliError> {
        let (name, bytes) = if path.as_os_str() == "-" {
            let mut bytes = Vec::new();
            let read = io::stdin().lock().take(READ_LIMIT).read_to_end(&mut bytes);
            ("<stdin>".to_owned(), read.map(|_| bytes))
        } else {
            (path.display().to_string(), read_file(path))
        };
        let bytes = bytes.map_err(|error| {
            let error = CliError::file(Exit::Config, "read", path, &error);
            if path.extension().is_none() {
                error.hint("the argument is the path of a spec file, e.g. pipeline.yaml")
            } else {
                error
            }
        })?;
        let text = String::from_utf8(bytes).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            CliError::new(Exit::Config, format!("{name} is not UTF-8 text: byte {at} starts no character"))
                .hint("a spec is a YAML file in UTF-8")
        })?;
        Ok(Self { name, text })
    }
}

fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let file = std::fs::File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    let mut bytes = Vec::new();
    file.take(READ_LIMIT).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The YAML documents of a text, each with everything before it blanked, so that positions stay those of the file.
/// `---` at the start of a line cannot be part of a value (YAML 1.2.2, 9.1.2), so lines suffice.
pub fn documents(text: &str) -> Vec<String> {
    let mut starts = vec![0];
    let mut offset = 0;
    for line in text.split_inclusive('\n') {
        let rest = line.strip_prefix("---");
        if offset > 0 && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n'])) {
            starts.push(offset);
        }
        offset += line.len();
    }
    let ends = starts.iter().skip(1).copied().chain([text.len()]);
    let spans: Vec<(usize, usize)> = starts.iter().copied().zip(ends).collect();
    let full: Vec<&(usize, usize)> = spans.iter().filter(|(start, end)| !is_blank(&text[*start..*end])).collect();
    if full.len() < 2 {
        return vec![text.to_owned()];
    }
    full.iter()
        .map(|(start, end)| {
            let before = text[..*start].bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' });
            before.chain(text[*start..*end].chars()).collect()
        })
        .collect()
}

/// Whether a stretch between document marks holds nothing but marks, directives and comments.
fn is_blank(text: &str) -> bool {
    text.lines().map(str::trim).all(|line| {
        let line = line.strip_prefix("---").unwrap_or(line).trim_start_matches(['\u{feff}', ' ', '\t']);
        line.is_empty() || line == "..." || line.starts_with(['#', '%'])
    })
}

/// Every pipeline of a source, or every problem of all its documents.
pub fn pipelines(source: &Source) -> Result<Vec<Pipeline>, Vec<Problem>> {
    let mut pipelines: Vec<Pipeline> = Vec::new();
    let mut problems = Vec::new();
    for document in documents(&source.text) {
        match spec::parse(&document) {
            Ok(pipeline) if pipelines.iter().any(|other| other.name == pipeline.name) => problems.push(Problem {
                code: "AC0120",
                message: format!("two pipelines in this file are named `{}`", pipeline.name),
                help: Some("a name is an identity: choose another one".to_owned()),
                span: None,
                line: first_line(&document),
                column: 1,
            }),
            Ok(pipeline) => pipelines.push(pipeline),
            Err(found) => problems.extend(found),
        }
    }
    if problems.is_empty() { Ok(pipelines) } else { Err(problems) }
}

/// The line (from 1) on which a blanked document starts.
fn first_line(document: &str) -> usize {
    1 + document.lines().position(|line| !line.trim().is_empty()).unwrap_or(0)
}

/// The error for a source with problems.
pub fn invalid(source: &Source, problems: Vec<Problem>, console: &Console) -> CliError {
    let count = problems.len();
    let plural = if count == 1 { "" } else { "s" };
    let rendered = spec::render_problems(&source.name, &source.text, &problems, console.color_err);
    let mut error =
        CliError::new(Exit::Config, format!("{} has {count} problem{plural}; nothing was done", source.name))
            .detail(rendered);
    error.problems = problems.into_iter().map(|problem| (source.name.clone(), problem)).collect();
    error
}

/// A pipeline with the policy it names.
#[derive(Debug)]
pub struct Loaded {
    /// What the user wants.
    pub pipeline: Pipeline,
    /// How it is scaled.
    pub policy: ScalingPolicy,
}

/// Reads a spec and resolves its policy.
pub fn load(args: &SpecArgs, console: &Console) -> Result<Loaded, CliError> {
    let source = Source::read(&args.file)?;
    let all = pipelines(&source).map_err(|problems| invalid(&source, problems, console))?;
    let names: Vec<String> = all.iter().map(|pipeline| pipeline.name.clone()).collect();
    let mut chosen =
        all.into_iter().filter(|pipeline| args.pipeline.as_ref().is_none_or(|name| *name == pipeline.name));
    let (Some(pipeline), None) = (chosen.next(), chosen.next()) else {
        let what = match &args.pipeline {
            Some(name) => format!("{} holds no pipeline named `{name}`", source.name),
            None => format!("{} holds {} pipelines and this command takes one", source.name, names.len()),
        };
        return Err(CliError::new(Exit::Usage, what).hint(format!("choose with --pipeline: {}", names.join(", "))));
    };
    let policy = policy(&pipeline, args.file.parent(), console)?;
    Ok(Loaded { pipeline, policy })
}

/// The scaling policy a pipeline names: a built-in one, or a file beside the spec.
pub fn policy(pipeline: &Pipeline, beside: Option<&Path>, console: &Console) -> Result<ScalingPolicy, CliError> {
    let named = &pipeline.scaling.policy;
    if let Some(policy) = spec::policy::builtin(named) {
        return Ok(policy);
    }
    if !named.contains(['/', '.']) {
        return Err(CliError::new(Exit::Config, format!("scaling.policy: there is no built-in policy `{named}`"))
            .hint("use `balanced`, or the path of a policy file such as ./policy.yaml"));
    }
    let path = beside.map_or_else(|| PathBuf::from(named), |dir| dir.join(named));
    let source = Source::read(&path)?;
    spec::policy::parse(&source.text).map_err(|problems| invalid(&source, problems, console))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_keep_their_place_in_the_file() {
        let text = "a: 1\n---\nb: 2\n--- # third\nc: 3\n";
        let all = documents(text);
        assert_eq!(all.len(), 3);
        for (document, key) in all.iter().zip(["a:", "b:", "c:"]) {
            assert_eq!(document.find(key), text.find(key), "{document:?}");
        }
        assert_eq!(first_line(&all[1]), 2);
    }

    #[test]
    fn marks_comments_and_directives_are_no_documents() {
        for text in
            ["---\na: 1\n", "# hello\n---\na: 1\n", "%YAML 1.2\n---\na: 1\n", "a: 1\n---\n", "a: 1\n---\n# end\n..."]
        {
            assert_eq!(documents(text), vec![text.to_owned()], "{text:?}");
        }
        assert_eq!(documents("").len(), 1);
        assert_eq!(documents("a: |\n  --- x\n  ---\n").len(), 1, "indented marks belong to the value");
    }

    #[test]
    fn a_position_after_wide_characters_stays_the_same_byte() {
        let text = "a: \"äöü\"\n---\nb: 2\n";
        assert_eq!(documents(text)[1].find("b:"), text.find("b:"));
    }

    #[test]
    fn a_directory_and_a_missing_file_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let error = Source::read(dir.path()).unwrap_err();
        assert!(error.what.ends_with("it is a directory"), "{}", error.what);
        let error = Source::read(&dir.path().join("none.yaml")).unwrap_err();
        assert!(error.what.ends_with("no such file or directory"), "{}", error.what);
        assert_eq!(error.exit, Exit::Config);
    }

    #[test]
    fn bytes_that_are_no_text_are_refused_with_their_place() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bad.yaml");
        std::fs::write(&path, b"kind: \xff\xfe").unwrap();
        assert!(Source::read(&path).unwrap_err().what.contains("byte 6"));
    }
}
