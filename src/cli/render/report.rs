//! One pass of the daemon in words.

use std::{
    collections::BTreeSet,
    fmt::{Display, Write as _},
};

use jiff::SignedDuration;

use crate::{
    apply,
    daemon::{Mode, Report},
    diagnose::Severity,
    plan::{Action, Step},
};

/// A pass for `daemon --once`: findings, what was done (or would be), what was held back.
pub fn text(report: &Report, mode: Mode) -> String {
    let mut text = String::new();
    for finding in &report.findings {
        let word = match finding.severity {
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::Critical => "critical",
        };
        let _ = writeln!(text, "{word}: {}", finding.sentence());
        let _ = writeln!(text, "  -> {}", finding.remedy);
    }
    for (step, result) in &report.performed {
        match result {
            Ok(()) => {
                let _ = writeln!(text, "done: {}", words(step));
            }
            Err(failure) => {
                let _ = writeln!(text, "failed: {}: {failure}", words(step));
            }
        }
    }
    for (resource, values) in untaken(report, mode) {
        let _ = writeln!(text, "would change: {resource}: {values}");
    }
    for problem in &report.problems {
        let _ = writeln!(text, "problem: {problem}");
    }
    for wait in &report.waits {
        let _ = writeln!(text, "waiting: {wait}");
    }
    for hold in &report.sizing.holds {
        let until = hold.until.map(|until| format!(" until {}", seconds(until))).unwrap_or_default();
        let _ = writeln!(text, "held back: {}: {} ({}{until})", hold.resource, hold.reason, hold.guard);
    }
    if text.is_empty() {
        text.push_str("All is well: nothing to change.\n");
    }
    text
}

/// A moment to the second.
pub fn seconds(at: jiff::Timestamp) -> impl Display {
    at.round(jiff::Unit::Second).unwrap_or(at)
}

/// What a pass concluded, without its numbers: two passes with equal keys tell the same story.
pub fn key(report: &Report, mode: Mode) -> String {
    let mut parts = BTreeSet::new();
    parts.extend(untaken(report, mode).into_iter().map(|(resource, _)| format!("would change {resource}")));
    parts.extend(report.findings.iter().map(|finding| format!("{:?} {}", finding.diagnosis, finding.resource)));
    parts.extend(report.sizing.holds.iter().map(|hold| format!("{} {}", hold.guard, hold.resource)));
    parts.extend(report.failure.iter().map(|failure| format!("{:?} {}", failure.class, failure.operation)));
    parts.extend(report.problems.iter().cloned());
    parts.into_iter().collect::<Vec<_>>().join("\n")
}

/// The one line a changed pass is worth in the log.
pub fn log_line(report: &Report, mode: Mode) -> String {
    let mut parts = Vec::new();
    if let Some(failure) = &report.failure {
        parts.push(format!("cannot observe: {failure}"));
    }
    parts.extend(report.findings.iter().map(|finding| format!("{:?}: {}", finding.diagnosis, finding.sentence())));
    for (step, result) in &report.performed {
        parts.push(match result {
            Ok(()) => words(step),
            Err(failure) => format!("{} failed: {failure}", words(step)),
        });
    }
    parts.extend(
        untaken(report, mode).into_iter().map(|(resource, values)| format!("would change {resource}: {values}")),
    );
    parts.extend(report.problems.iter().cloned());
    parts.extend(report.waits.iter().map(|wait| format!("waiting: {wait}")));
    parts.extend(report.sizing.holds.iter().map(|hold| format!("held back {}: {}", hold.resource, hold.reason)));
    if parts.is_empty() { "all is well".to_owned() } else { parts.join("; ") }
}

/// What an observing daemon would scale: each resource with its values and their reasons.
fn untaken(report: &Report, mode: Mode) -> Vec<(String, String)> {
    if mode == Mode::Act {
        return Vec::new();
    }
    let scaled = report.plan.iter().flat_map(|plan| &plan.changes).filter(|change| change.action == Action::Scale);
    scaled
        .map(|change| {
            let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".to_owned());
            let fields = change.fields.iter().map(|field| {
                format!("{} {} -> {} ({})", field.path, value(&field.before), value(&field.after), field.reason)
            });
            (change.resource.to_string(), fields.collect::<Vec<_>>().join(", "))
        })
        .collect()
}

/// A call in words, with the values it sets.
fn words(step: &Step) -> String {
    format!("{}: {}", apply::resource(step), apply::describe(step))
}

/// The closing line of a daemon that ran for a while.
pub fn summary(passes: u64, steps: u64, ran: SignedDuration) -> String {
    format!("stopped after {}: {passes} passes, {steps} calls made", super::super::progress::human(ran))
}
