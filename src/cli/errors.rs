//! Errors as a person or a script gets them: what happened, to which resource, AWS's code and request
//! id, whether another try helps, and what to do next. What always holds: every error has an exit code.

use std::{fmt::Write as _, io};

use anstyle::{AnsiColor, Style};
use serde_json::json;

use super::{console::Console, exit::Exit};
use crate::{
    memory::StoreError,
    model::{ErrorClass, Failure},
    spec::Problem,
};

const RED: Style = AnsiColor::Red.on_default().bold();
const CYAN: Style = AnsiColor::Cyan.on_default();

/// Why a command ends without success.
#[derive(Debug)]
pub struct CliError {
    /// The exit code.
    pub exit: Exit,
    /// What happened, in one line.
    pub what: String,
    /// More of it, already laid out: rendered problems, AWS's message.
    pub detail: Option<String>,
    /// The failed call, if one failed.
    pub failure: Option<Box<Failure>>,
    /// Problems of an input file: file name and what is wrong.
    pub problems: Vec<(String, Problem)>,
    /// What to do next, most likely first.
    pub hints: Vec<String>,
    /// Everything was said already (or nobody listens): nothing is printed.
    pub silent: bool,
}

impl CliError {
    /// An error with a code and a sentence.
    pub fn new(exit: Exit, what: impl Into<String>) -> Self {
        Self {
            exit,
            what: what.into(),
            detail: None,
            failure: None,
            problems: Vec::new(),
            hints: Vec::new(),
            silent: false,
        }
    }

    /// Adds a next step.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Adds laid-out detail.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Ends with a code and no words: the output says it already.
    pub fn said(exit: Exit) -> Self {
        Self { silent: true, ..Self::new(exit, "") }
    }

    /// A write to stdout failed. A closed pipe is the reader's choice and no error.
    pub fn stdout(error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::said(Exit::Ok);
        }
        Self::new(Exit::Failed, format!("cannot write to stdout: {error}"))
    }

    /// Something that cannot happen did.
    pub fn bug(error: &dyn std::fmt::Display) -> Self {
        Self::new(Exit::Bug, format!("internal error: {error}"))
            .hint("this is a bug of alleycat-operator: please report it with the command you ran")
    }

    /// A file or directory could not be used.
    pub fn file(exit: Exit, doing: &str, path: &std::path::Path, error: &io::Error) -> Self {
        Self::new(exit, format!("cannot {doing} {}: {}", path.display(), plain(error)))
    }

    /// The error as one JSON object.
    pub fn to_json(&self) -> serde_json::Value {
        let problems: Vec<_> = self.problems.iter().map(|(file, problem)| problem_json(file, problem)).collect();
        json!({ "error": {
            "exitCode": self.exit.code(),
            "exitName": self.exit.name(),
            "message": self.what,
            "failure": self.failure,
            "retryable": self.failure.as_ref().map(|failure| failure.class.is_retryable()),
            "problems": problems,
            "hints": self.hints,
        }})
    }

    /// The error as text.
    pub fn to_text(&self, color: bool) -> String {
        let paint = |style: Style, text: &str| if color { format!("{style}{text}{style:#}") } else { text.to_owned() };
        if let (Some(rendered), false) = (&self.detail, self.problems.is_empty()) {
            // Rendered problems carry their own headlines and end in their sum.
            return rendered.trim_end().to_owned();
        }
        let mut text = format!("{} {}", paint(RED, "error:"), self.what);
        for line in self.detail.iter().flat_map(|detail| detail.trim_end().lines()) {
            let _ = write!(text, "\n  {line}");
        }
        if let Some(failure) = &self.failure {
            if let Some(id) = &failure.request_id {
                let _ = write!(text, "\n  AWS request id: {id}");
            }
            let _ = write!(text, "\n  another try: {}", retry_advice(failure.class));
        }
        for hint in &self.hints {
            let _ = write!(text, "\n{} {hint}", paint(CYAN, "hint:"));
        }
        text
    }

    /// Prints it on stderr.
    pub fn report(&self, console: &Console) {
        if self.silent {
            return;
        }
        if console.json() {
            console.say(&self.to_json().to_string());
        } else {
            console.say(&self.to_text(console.color_err));
        }
    }
}

/// One problem as data.
pub fn problem_json(file: &str, problem: &Problem) -> serde_json::Value {
    json!({
        "severity": "error",
        "code": problem.code,
        "message": problem.message,
        "help": problem.help,
        "file": file,
        "line": problem.line,
        "column": problem.column,
    })
}

/// `io::Error` without the "(os error N)" that only programmers read.
fn plain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file or directory".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::IsADirectory => "it is a directory".to_owned(),
        _ => error.to_string(),
    }
}

fn retry_advice(class: ErrorClass) -> &'static str {
    match class {
        ErrorClass::Throttled => "may help in a minute; AWS is limiting the rate of calls",
        ErrorClass::QuotaExhausted => "does not help until the quota frees",
        ErrorClass::InUse => "helps once the resource has settled",
        ErrorClass::NotFound => "does not help until it exists",
        ErrorClass::AlreadyExists => "does not help; it exists already",
        ErrorClass::NoChange => "is not needed; it is as asked for already",
        ErrorClass::Invalid => "does not help; the request must change",
        ErrorClass::Denied => "is pointless until credentials or permissions change",
        ErrorClass::Unreachable => "may help; the endpoint did not answer",
        ErrorClass::ServerError => "may help; the fault is on AWS's side",
        ErrorClass::Forbidden => "does not help; this command may not make that call",
        ErrorClass::Unknown => "unknown; see AWS's code and message",
    }
}

impl From<Failure> for CliError {
    fn from(failure: Failure) -> Self {
        let what = format!("{} on {} failed: {}", failure.operation, failure.resource, failure.code);
        let mut error = Self::new(Exit::of_failure(&failure), what).detail(failure.message.clone());
        error.hints = hints_for(&failure);
        error.failure = Some(Box::new(failure));
        error
    }
}

fn hints_for(failure: &Failure) -> Vec<String> {
    match failure.class {
        ErrorClass::Denied => {
            let mut hints = vec![
                "check the credentials with `aws sts get-caller-identity`, or choose others with --profile".to_owned(),
            ];
            // AWS answered: then somebody is known, and may not do this.
            if failure.request_id.is_some() {
                hints.push(
                    "the permissions a command needs: `alleycat-operator iam-policy plan` (or apply, autoscale, destroy)"
                        .to_owned(),
                );
            }
            hints.push("to try it without AWS: add --local".to_owned());
            hints
        }
        ErrorClass::Unreachable => vec![
            "check the network, --region and --endpoint-url (or AWS_ENDPOINT_URL)".to_owned(),
            "to try it without AWS: add --local".to_owned(),
        ],
        ErrorClass::Forbidden => {
            vec!["this is a bug of alleycat-operator: please report it with the command you ran".to_owned()]
        }
        _ => Vec::new(),
    }
}

impl From<StoreError> for CliError {
    fn from(error: StoreError) -> Self {
        let exit = match error {
            StoreError::InUse { .. } => Exit::Unavailable,
            StoreError::Newer { .. } | StoreError::Damaged { .. } | StoreError::Io { .. } => Exit::Failed,
        };
        Self::new(exit, error.to_string()).hint("--state-dir none runs without memory of its own")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn denied() -> Failure {
        Failure {
            class: ErrorClass::Denied,
            operation: "kinesis:DescribeStreamSummary".to_owned(),
            resource: "stream/alleycat".to_owned(),
            code: "AccessDeniedException".to_owned(),
            message: "User is not authorized".to_owned(),
            request_id: Some("abc-1".to_owned()),
        }
    }

    #[test]
    fn a_failure_names_resource_code_request_id_and_whether_to_retry() {
        let text = CliError::from(denied()).to_text(false);
        for part in
            ["stream/alleycat", "AccessDeniedException", "User is not authorized", "abc-1", "pointless", "hint:"]
        {
            assert!(text.contains(part), "{part} is missing in:\n{text}");
        }
    }

    #[test]
    fn the_same_error_as_json_carries_the_exit_code() {
        let value = CliError::from(denied()).to_json();
        assert_eq!(value["error"]["exitCode"], 77);
        assert_eq!(value["error"]["failure"]["requestId"], "abc-1");
        assert_eq!(value["error"]["retryable"], false);
    }

    #[test]
    fn a_closed_pipe_is_no_error() {
        let error = CliError::stdout(&io::ErrorKind::BrokenPipe.into());
        assert_eq!(error.exit, Exit::Ok);
        assert!(error.silent);
    }
}
