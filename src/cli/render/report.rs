//! One pass of the daemon in words.

use std::{
    collections::BTreeSet,
    fmt::{Display, Write as _},
};

use jiff::SignedDuration;

use crate::{apply, daemon::Report, diagnose::Severity, plan::Step};

/// A pass for `daemon --once`: findings, what was done, what was held back.
pub fn text(report: &Report) -> String {
    let mut text = String::new();
    for finding in &report.findings {
        let word = match finding.severity {
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::Critical => "critical",
        };
        let _ = writeln!(text, "{word}: {}: {}", finding.resource, finding.summary);
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
pub fn key(report: &Report) -> String {
    let mut parts = BTreeSet::new();
    parts.extend(report.findings.iter().map(|finding| format!("{:?} {}", finding.diagnosis, finding.resource)));
    parts.extend(report.sizing.holds.iter().map(|hold| format!("{} {}", hold.guard, hold.resource)));
    parts.extend(report.failure.iter().map(|failure| format!("{:?} {}", failure.class, failure.operation)));
    parts.extend(report.problems.iter().cloned());
    parts.into_iter().collect::<Vec<_>>().join("\n")
}

/// The one line a changed pass is worth in the log.
pub fn log_line(report: &Report) -> String {
    let mut parts = Vec::new();
    if let Some(failure) = &report.failure {
        parts.push(format!("cannot observe: {failure}"));
    }
    parts.extend(
        report
            .findings
            .iter()
            .map(|finding| format!("{:?} on {}: {}", finding.diagnosis, finding.resource, finding.summary)),
    );
    for (step, result) in &report.performed {
        parts.push(match result {
            Ok(()) => words(step),
            Err(failure) => format!("{} failed: {failure}", words(step)),
        });
    }
    parts.extend(report.problems.iter().cloned());
    parts.extend(report.waits.iter().map(|wait| format!("waiting: {wait}")));
    parts.extend(report.sizing.holds.iter().map(|hold| format!("held back {}: {}", hold.resource, hold.reason)));
    if parts.is_empty() { "all is well".to_owned() } else { parts.join("; ") }
}

/// A call in words, with the values it sets.
fn words(step: &Step) -> String {
    format!("{}: {}", apply::resource(step), apply::describe(step))
}

/// The closing line of a daemon that ran for a while.
pub fn summary(passes: u64, steps: u64, ran: SignedDuration) -> String {
    format!("stopped after {}: {passes} passes, {steps} calls made", super::super::progress::human(ran))
}
