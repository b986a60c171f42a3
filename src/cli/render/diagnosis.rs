//! A diagnosis as text: the verdict first, then the findings in the order in which to act, then what was found
//! earlier; and the page of a code.
//!
//! What always holds: the text fits into 80 columns and 40 lines; colour only repeats what a word says; what the
//! text leaves out for want of room is in the JSON, and it says so.

use std::collections::BTreeMap;

use anstyle::{AnsiColor, Style};
use jiff::{Timestamp, tz::TimeZone};
use serde::Serialize;

use super::out::Out;
use crate::{
    cli::{diagnose::Diagnosed, progress::human},
    diagnose::{Confidence, Episode, Estimates, Finding, Page, Severity},
};

/// Lines of the text, at most.
const LINES: usize = 40;
/// Episodes of the past that are shown, at most.
const EPISODES: usize = 5;
/// Columns for a finding's place behind its severity.
const COLUMNS: usize = 69;
/// Indent of what belongs to a finding.
const INDENT: usize = 4;

/// What `--output json` prints.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Document<'a> {
    format_version: &'static str,
    verdict: String,
    severity: Option<Severity>,
    pipeline: &'a str,
    from: Timestamp,
    to: Timestamp,
    findings: &'a [Finding],
    episodes: &'a [Episode],
    estimates: &'a Estimates,
    asked: Asked<'a>,
}

/// What the answer cost.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Asked<'a> {
    metrics: u32,
    calls: u64,
    operations: &'a BTreeMap<String, u64>,
}

/// The data behind the text.
pub fn document(diagnosed: &Diagnosed) -> Document<'_> {
    Document {
        format_version: "1.0",
        verdict: verdict(diagnosed),
        severity: diagnosed.severity(),
        pipeline: &diagnosed.pipeline.name,
        from: diagnosed.from,
        to: end(diagnosed),
        findings: &diagnosed.review.findings,
        episodes: &diagnosed.review.episodes,
        estimates: &diagnosed.estimates,
        asked: Asked {
            metrics: diagnosed.signals.metrics_requested,
            calls: diagnosed.calls.values().sum(),
            operations: &diagnosed.calls,
        },
    }
}

/// End of the newest minute that was judged.
fn end(diagnosed: &Diagnosed) -> Timestamp {
    diagnosed.signals.newest_expected + jiff::SignedDuration::from_mins(1)
}

/// The whole text, ending in a newline.
pub fn text(diagnosed: &Diagnosed, color: bool) -> String {
    let mut out = Out { text: String::new(), color };
    let severity = diagnosed.severity().filter(|severity| *severity > Severity::Info);
    out.line("", &verdict(diagnosed), Some(style(severity).bold()), 0);
    out.line("", &counts(diagnosed), None, 0);
    let foot = footer(diagnosed, color);
    let past = past(diagnosed, color);
    let room = LINES.saturating_sub(lines(&out.text) + lines(&foot) + lines(&past));
    out.text.push_str(&findings(diagnosed, room, color));
    out.text.push_str(&past);
    out.text.push_str(&foot);
    out.text
}

fn lines(text: &str) -> usize {
    text.lines().count()
}

fn style(severity: Option<Severity>) -> Style {
    match severity {
        Some(Severity::Critical) => AnsiColor::Red.on_default(),
        Some(Severity::Warning) => AnsiColor::Yellow.on_default(),
        Some(Severity::Info) => Style::new(),
        None => AnsiColor::Green.on_default(),
    }
}

fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "note",
        Severity::Warning => "warning",
        Severity::Critical => "critical",
    }
}

fn verdict(diagnosed: &Diagnosed) -> String {
    let name = &diagnosed.pipeline.name;
    match diagnosed.review.findings.iter().find(|finding| finding.severity > Severity::Info) {
        None => format!("HEALTHY: nothing is wrong with {name}."),
        Some(first) => {
            let effects =
                if diagnosed.severity() > Some(first.severity) { ", and what follows is critical" } else { "" };
            let since = since(first, diagnosed).map_or(String::new(), |since| format!(" {since}"));
            let severity = word(first.severity).to_uppercase();
            format!("{severity}: {} at {}{since}{effects}.", first.diagnosis, first.resource)
        }
    }
}

/// `since 08:12 (41 min)`; more than the window is `for 3 h or longer`.
fn since(finding: &Finding, diagnosed: &Diagnosed) -> Option<String> {
    let from = finding.since?;
    let length = human(end(diagnosed).duration_since(from));
    Some(if from <= diagnosed.from {
        format!("for {length} or longer")
    } else {
        format!("since {} ({length})", clock(from))
    })
}

fn clock(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC).strftime("%H:%M").to_string()
}

fn counts(diagnosed: &Diagnosed) -> String {
    let of = |severity| diagnosed.review.findings.iter().filter(|finding| finding.severity == severity).count();
    let counted =
        [Severity::Critical, Severity::Warning, Severity::Info].map(|severity| (of(severity), word(severity)));
    let said: Vec<String> = counted
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}{}", if *count > 1 && *word != "critical" { "s" } else { "" }))
        .collect();
    let said = if said.is_empty() { "No findings".to_owned() } else { said.join(", ") };
    let window = human(end(diagnosed).duration_since(diagnosed.from));
    format!("{said}; {window} until {} looked at.", end(diagnosed).strftime("%Y-%m-%d %H:%MZ"))
}

/// The findings: the first ones whole, the others on one line each as far as there is room.
fn findings(diagnosed: &Diagnosed, room: usize, color: bool) -> String {
    let all = &diagnosed.review.findings;
    let mut text = String::new();
    for (at, finding) in all.iter().enumerate() {
        let left = room.saturating_sub(lines(&text));
        let others = all.len() - at - 1;
        let whole = whole(finding, diagnosed, color);
        let short = short(finding, diagnosed, color);
        if lines(&whole) + others.min(left) <= left && finding.severity > Severity::Info {
            text.push_str(&whole);
        } else if left > 1 || (left == 1 && others == 0) {
            text.push_str(&short);
        } else if left == 1 {
            let mut out = Out { text: String::new(), color };
            out.line("", &format!("... {} more: see --output json", others + 1), None, 0);
            text.push_str(&out.text);
            break;
        }
    }
    text
}

fn head(finding: &Finding) -> String {
    let mark = if finding.severity == Severity::Info { "-" } else { "!" };
    format!("{mark} {:<8} ", word(finding.severity))
}

fn short(finding: &Finding, diagnosed: &Diagnosed, color: bool) -> String {
    let mut out = Out { text: String::new(), color };
    let place = format!("{} {}", finding.diagnosis, finding.resource);
    let since = since(finding, diagnosed).map_or(String::new(), |since| format!("  {since}"));
    // The length is in the verdict, or may be counted.
    let shorter = since.split(" (").next().unwrap_or_default();
    let fits = |tail: &str| place.chars().count() + tail.chars().count() <= COLUMNS;
    let line = [since.as_str(), shorter, ""].into_iter().find(|tail| fits(tail)).unwrap_or_default();
    let line = format!("{place}{line}");
    out.line(&head(finding), &cut(&line, COLUMNS), Some(style(Some(finding.severity))), 0);
    out.text
}

/// A line that is not wrapped.
fn cut(text: &str, columns: usize) -> String {
    if text.chars().count() <= columns {
        text.to_owned()
    } else {
        text.chars().take(columns - 3).chain("...".chars()).collect()
    }
}

fn whole(finding: &Finding, diagnosed: &Diagnosed, color: bool) -> String {
    let mut out = Out { text: short(finding, diagnosed, color), color };
    let sure = match finding.confidence {
        Confidence::High => "",
        Confidence::Medium => " (Not certain.)",
        Confidence::Low => " (A guess among several.)",
    };
    out.line("", &format!("{}{sure}", finding.summary), None, INDENT);
    if let Some(outlook) = &finding.outlook {
        let left = human(outlook.at.duration_since(end(diagnosed)));
        out.line("    leads to: ", &format!("{}, in {left}", outlook.what), None, 14);
    }
    if !finding.remedy.starts_with("None") || finding.person.is_none() {
        out.line("    operator: ", &finding.remedy, None, 14);
    }
    if let Some(person) = &finding.person {
        out.line("    you:      ", person, None, 14);
    }
    out.text
}

/// What was found in the window and is over.
fn past(diagnosed: &Diagnosed, color: bool) -> String {
    let over = |episode: &&Episode| {
        episode.severity > Severity::Info
            && !diagnosed
                .review
                .findings
                .iter()
                .any(|it| it.diagnosis == episode.diagnosis && it.resource == episode.resource)
    };
    let mut out = Out { text: String::new(), color };
    let over: Vec<&Episode> = diagnosed.review.episodes.iter().filter(over).collect();
    let skipped = over.len().saturating_sub(EPISODES);
    if skipped > 0 {
        out.line("", &format!("Over now: {skipped} earlier, and"), None, 0);
    } else if !over.is_empty() {
        out.line("", "Over now:", None, 0);
    }
    for episode in over.iter().skip(skipped) {
        let line = format!(
            "{}-{}  {:<8} {} {}",
            clock(episode.from),
            clock(episode.to),
            word(episode.severity),
            episode.diagnosis,
            episode.resource
        );
        out.line("  ", &cut(&line, 78), None, 0);
    }
    out.text
}

fn footer(diagnosed: &Diagnosed, color: bool) -> String {
    let mut out = Out { text: String::new(), color };
    if !diagnosed.has_spec {
        let note = "No spec: each consumer is taken to write to each table named; bounds are AWS's.";
        out.line("", note, None, 0);
    }
    let calls: u64 = diagnosed.calls.values().sum();
    let asked = format!("Asked {calls} calls and {} metrics.", diagnosed.signals.metrics_requested);
    let more = match diagnosed.review.findings.first() {
        Some(first) => format!(" More: alleycat-operator explain {}", first.diagnosis),
        None => String::new(),
    };
    out.line("", &format!("{asked}{more}"), None, 0);
    out.text
}

/// The page of a code.
pub fn page(page: &Page, color: bool) -> String {
    let mut out = Out { text: String::new(), color };
    out.line("", &format!("{}: {}", page.code, page.title), Some(Style::new().bold()), 0);
    for (head, body) in [("Seen:   ", page.seen), ("Why:    ", page.why), ("Do:     ", page.remedy)] {
        out.line(head, body, None, 8);
    }
    for it in page.thresholds {
        out.line("Limit:  ", &format!("{} = {} {}. {}", it.name, it.value, it.unit, it.source), None, 8);
    }
    if !page.policy.is_empty() {
        out.line("Policy: ", &page.policy.join(", "), None, 8);
    }
    out.line("Source: ", &format!("{}.", page.source), None, 8);
    out.text
}
