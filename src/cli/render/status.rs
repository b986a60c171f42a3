//! A status as text: the verdict and the bottleneck first, then used against capacity, lag, bounds, quota, cost and
//! the last decisions.
//!
//! What always holds: no line is wider than 80 columns; what a bar or a colour says stands there in numbers too.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use jiff::{SignedDuration, Timestamp};

use super::{diagnosis::word, out::Out};
use crate::{
    cli::{
        progress::human,
        status::{Lag, Stage, Status},
    },
    diagnose::{Finding, Severity, Way},
    memory::Decision,
    model::ResourceId,
};

/// Columns of a bar.
const BAR: usize = 12;
/// Columns of a resource's name.
const NAME: usize = 26;
/// Where the text of a paragraph begins.
const INDENT: usize = 11;
/// Columns of a line of it.
const ROOM: usize = 80 - INDENT;

/// The screen, ending in a newline.
pub fn text(status: &Status, color: bool) -> String {
    let mut out = Out { text: String::new(), color };
    let bottleneck = status.findings.iter().find(|finding| finding.severity > Severity::Info);
    verdict(&mut out, status, bottleneck);
    if !status.stages.is_empty() {
        out.text.push('\n');
    }
    let mut before = None;
    for stage in &status.stages {
        let name = if before == Some(&stage.resource) { String::new() } else { short(&stage.resource) };
        let line = row(&name, stage);
        let full = stage.used.zip(stage.capacity).is_some_and(|(used, most)| used >= most);
        out.row(&line, full.then(|| AnsiColor::Yellow.on_default()));
        before = Some(&stage.resource);
    }
    if !status.stages.is_empty() {
        out.text.push('\n');
    }
    for (at, lag) in status.lag.iter().enumerate() {
        out.paragraph(if at == 0 { "lag" } else { "" }, &lag_text(lag));
    }
    if !status.bounds.is_empty() {
        out.paragraph("bounds", &bounds(status));
    }
    out.paragraph("quota", &quota(status));
    let cost = &status.cost;
    out.paragraph(
        "cost",
        &format!(
            "${:.4}/h, ${:.2}/month at rest; traffic, month so far: unknown",
            cost.usd_per_hour, cost.usd_per_month
        ),
    );
    decisions(&mut out, &status.decisions);
    out.text
}

impl Out {
    /// A paragraph with its name in front.
    fn paragraph(&mut self, name: &str, text: &str) {
        self.line(&format!("{name:<INDENT$}"), text, Some(Style::new().bold()), INDENT);
    }

    /// A line as it is.
    fn row(&mut self, text: &str, style: Option<Style>) {
        let style = style.filter(|_| self.color).unwrap_or_default();
        let _ = writeln!(self.text, "{style}{}{style:#}", text.trim_end());
    }
}

fn verdict(out: &mut Out, status: &Status, bottleneck: Option<&Finding>) {
    let at = status.observed_at.strftime("%Y-%m-%d %H:%M:%SZ");
    let (said, style) = match bottleneck {
        Some(finding) => {
            let color = if finding.severity == Severity::Critical { AnsiColor::Red } else { AnsiColor::Yellow };
            let others = status.findings.len().saturating_sub(1);
            let more = if others > 0 { format!(" and {others} more") } else { String::new() };
            (format!("{}: {}{more}", word(finding.severity), finding.diagnosis), color.on_default().bold())
        }
        None if !status.missing.is_empty() => ("not complete".to_owned(), AnsiColor::Yellow.on_default().bold()),
        None => ("all is well".to_owned(), AnsiColor::Green.on_default().bold()),
    };
    out.row(&format!("{said}  {}  {}  {at}", clip(&status.pipeline, NAME), clip(&status.region, 16)), Some(style));
    if !status.missing.is_empty() {
        let names: Vec<String> = status.missing.iter().map(ToString::to_string).collect();
        out.paragraph("missing", &format!("{}: run alleycat-operator apply", names.join(", ")));
    }
    if let Some(finding) = bottleneck {
        out.paragraph("bottleneck", &finding.sentence());
        out.paragraph("remedy", &finding.remedy);
        if let Some(person) = &finding.person {
            out.paragraph("you", person);
        }
    }
}

/// One use: name, bar, numbers and share.
fn row(name: &str, stage: &Stage) -> String {
    let head = format!("{:<NAME$} {:<7}", clip(name, NAME), stage.what);
    let (scale, unit) = match (stage.unit, stage.capacity.or(stage.used).unwrap_or(0.0)) {
        ("bytes/s", most) if most >= 1_048_576.0 => (1_048_576.0, "MiB/s"),
        ("bytes/s", _) => (1024.0, "KiB/s"),
        (unit, _) => (1.0, unit),
    };
    let said = |value: f64| amount(value / scale);
    match (stage.used, stage.capacity) {
        (Some(used), Some(most)) if most > 0.0 => {
            let share = used / most;
            format!("{head} [{}] {} of {} {unit}, {:.0} %", bar(share), said(used), said(most), share * 100.0)
        }
        (Some(used), _) => format!("{head} {:pad$} {} {unit}, no fixed limit", "", said(used), pad = BAR + 2),
        (None, Some(most)) => format!("{head} [{:?<BAR$}] unknown of {} {unit}", "", said(most)),
        (None, None) => format!("{head} {:pad$} unknown", "", pad = BAR + 2),
    }
}

/// `####........`; what is over the limit ends in `>`.
fn bar(share: f64) -> String {
    let full = (share * BAR as f64).round().clamp(0.0, BAR as f64) as usize;
    let mut bar = format!("{}{}", "#".repeat(full), ".".repeat(BAR - full));
    if share > 1.005 {
        bar.replace_range(BAR - 1.., ">");
    }
    bar
}

/// A number as short as it can be read.
pub fn amount(value: f64) -> String {
    let digits = match value {
        value if value >= 99.5 || value.fract() == 0.0 => 0,
        value if value >= 9.95 => 1,
        value if value >= 0.095 => 2,
        _ => 4,
    };
    format!("{value:.digits$}")
}

/// At most so many characters; what is left out is shown.
fn clip(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(2)).chain("..".chars()).collect()
}

/// A resource's name on a line of its own: an index stands below its table.
fn short(resource: &ResourceId) -> String {
    match resource {
        ResourceId::Index(_, name) => format!("  index/{name}"),
        other => other.to_string(),
    }
}

fn lag_text(lag: &Lag) -> String {
    let objective = SignedDuration::from_secs(lag.objective_seconds as i64);
    let head = format!("{}: ", lag.consumer);
    let Some(estimate) = &lag.estimate else { return format!("{head}no mapping") };
    let Some(age) = estimate.age_seconds else {
        return format!("{head}unknown (objective {})", human(objective));
    };
    let above = age > lag.objective_seconds;
    let word = if above { "above" } else { "within" };
    let mut text = format!("{head}{} behind, {word} {}", human(seconds(age)), human(objective));
    // What is within the objective is on its way, not a backlog.
    if let Some(left) = estimate.drain_seconds.filter(|left| above && *left > 0.0) {
        let _ = write!(text, ", caught up in {}", human(seconds(left)));
    }
    if let Some(left) = estimate.data_loss_seconds {
        let _ = write!(text, ", loss in {}", human(seconds(left)));
    }
    match (lag.moving_to, lag.delivery) {
        (Some(to), _) => _ = write!(text, ", being moved to {}", to.word()),
        (None, Some(Way::EnhancedFanOut)) => text.push_str(", through fan-out"),
        _ => {}
    }
    text
}

fn seconds(value: f64) -> SignedDuration {
    SignedDuration::from_secs(value.round() as i64)
}

/// `alleycat-races write 20 (20-4000)`, one resource after the other.
fn bounds(status: &Status) -> String {
    let groups = status.bounds.chunk_by(|one, next| one.resource == next.resource);
    let said = groups.map(|group| {
        let values: Vec<String> = group
            .iter()
            .map(|it| {
                let name = match it.field {
                    "parallelizationFactor" => "factor",
                    "batchSize" => "batch",
                    "writeCapacity" => "write",
                    "readCapacity" => "read",
                    other => other,
                };
                format!("{name} {} ({}-{})", it.value, it.min, it.max)
            })
            .collect();
        let name = group.first().map_or("", |it| last_name(&it.resource));
        format!("{name} {}", values.join(", "))
    });
    said.collect::<Vec<_>>().join("; ")
}

fn last_name(resource: &ResourceId) -> &str {
    match resource {
        ResourceId::Table(name)
        | ResourceId::Index(_, name)
        | ResourceId::Stream(name)
        | ResourceId::FanOutConsumer(_, name)
        | ResourceId::Mapping(name)
        | ResourceId::Function(name) => name,
    }
}

fn quota(status: &Status) -> String {
    let quota = &status.quota;
    let mut text = format!(
        "UpdateShardCount: {} of {} calls left in 24 h",
        quota.update_shard_count_left, quota.update_shard_count_limit
    );
    for (at, it) in quota.decreases.iter().enumerate() {
        text.push_str(if at == 0 { "; decreases today: " } else { ", " });
        let _ = write!(text, "{} {}", last_name(&it.resource), it.today);
        if let Some(next) = it.next_at {
            let _ = write!(text, " (next at {})", clock(next));
        }
    }
    text
}

fn clock(at: Timestamp) -> impl std::fmt::Display {
    at.strftime("%H:%MZ")
}

fn decisions(out: &mut Out, decisions: &[Decision]) {
    if decisions.is_empty() {
        out.paragraph("decisions", "none is known here");
    }
    for (at, decision) in decisions.iter().rev().enumerate() {
        let text = decision_text(decision);
        // The newest whole, the ones before it as far as a line goes.
        out.paragraph(if at == 0 { "decisions" } else { "" }, &if at == 0 { text } else { clip(&text, ROOM) });
    }
}

/// What was done, or held back, and for which causes.
pub fn decision_text(decision: &Decision) -> String {
    let mut text = format!("{} ", clock(decision.at));
    let done: Vec<String> = decision.actions.iter().map(|(resource, what)| format!("{resource}: {what}")).collect();
    let held: Vec<String> =
        decision.holds.iter().map(|hold| format!("held back {}: {}", hold.resource, hold.reason)).collect();
    if done.is_empty() && held.is_empty() {
        text.push_str("nothing is held back any more");
    }
    text.push_str(&if done.is_empty() { held } else { done }.join("; "));
    let mut causes: Vec<&str> = Vec::new();
    for code in decision.findings.iter().map(|finding| finding.diagnosis.code()) {
        if !causes.contains(&code) {
            causes.push(code);
        }
    }
    if !causes.is_empty() {
        let _ = write!(text, " (seen: {})", causes.join(", "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(used: Option<f64>, capacity: Option<f64>) -> Stage {
        let resource = ResourceId::Stream("s".to_owned());
        Stage { resource, what: "bytes", unit: "bytes/s", used, capacity }
    }

    #[test]
    fn a_row_says_in_numbers_what_its_bar_shows() {
        let said = |used, capacity| row("stream/s", &stage(used, capacity));
        let name = format!("{:<NAME$} bytes  ", "stream/s");
        assert_eq!(said(Some(524_288.0), Some(1_048_576.0)), format!("{name} [######......] 0.50 of 1 MiB/s, 50 %"));
        assert_eq!(said(Some(3e6), Some(1_048_576.0)), format!("{name} [###########>] 2.86 of 1 MiB/s, 286 %"));
        assert_eq!(said(None, Some(1_048_576.0)), format!("{name} [????????????] unknown of 1 MiB/s"));
        assert!(said(Some(2048.0), None).ends_with("2 KiB/s, no fixed limit"));
    }

    #[test]
    fn the_longest_names_stay_on_the_screen() {
        let stage = Stage {
            resource: ResourceId::Table("t".repeat(255)),
            used: Some(123_456.7),
            capacity: Some(400_000.0),
            what: "write",
            unit: "units/s",
        };
        assert!(row(&short(&stage.resource), &stage).chars().count() <= 80);
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!(
            [0.0, 0.001, 0.123, 9.94, 12.34, 1234.5].map(amount),
            ["0", "0.0010", "0.12", "9.94", "12.3", "1234"]
        );
    }
}
