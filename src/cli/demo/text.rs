//! The demo as text: timeline lines and the before/after table.

use std::{collections::BTreeSet, fmt::Write as _};

use jiff::tz::TimeZone;
use serde::Serialize;

use super::measure::{Measures, Symptom};
use crate::simulate::{Event, EventKind};

/// Columns of a timeline line.
const WIDTH: usize = 100;

/// One line of the timeline, wrapped under its text.
pub fn line(event: &Event, color: bool) -> String {
    let time = event.at.to_zoned(TimeZone::UTC).strftime("%H:%M").to_string();
    let (symbol, style) = match event.kind {
        EventKind::Finding => ("!", anstyle::AnsiColor::Yellow.on_default()),
        EventKind::Cleared => ("-", anstyle::Style::new().dimmed()),
        EventKind::Action => ("=>", anstyle::AnsiColor::Green.on_default()),
        EventKind::Refused => ("x", anstyle::AnsiColor::Red.on_default()),
        EventKind::Held => ("..", anstyle::Style::new().dimmed()),
    };
    let resource = if event.text.contains(&event.resource) { String::new() } else { format!("{}  ", event.resource) };
    let mut text = wrap(&format!("{time}  {symbol:<2} {resource}{}", event.text), WIDTH, 10);
    if color {
        text = format!("{style}{text}{style:#}");
    }
    text.push('\n');
    text
}

/// A sentence of its own, wrapped to the width of the timeline.
pub fn paragraph(text: &str, indent: usize) -> String {
    wrap(text, WIDTH, indent)
}

fn wrap(text: &str, width: usize, indent: usize) -> String {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let last = lines.last().map_or(0, |line| line.chars().count());
        if last + 1 + word.chars().count() > width && last > indent {
            lines.push(" ".repeat(indent));
        } else if last > 0
            && let Some(line) = lines.last_mut()
        {
            line.push(' ');
        }
        if let Some(line) = lines.last_mut() {
            line.push_str(word);
        }
    }
    lines.join("\n")
}

/// The before/after table.
pub fn table(without: &Measures, with: &Measures) -> String {
    let mut out = String::new();
    let mut row = |name: &str, a: String, b: String| {
        let _ = writeln!(out, "  {name:<44}{a:>16}{b:>16}");
    };
    row("", "template alone".to_owned(), "with operator".to_owned());
    let number = |value: u64| group(value);
    row("violation minutes", number(u64::from(without.violation_minutes)), number(u64::from(with.violation_minutes)));
    row("max iterator age", age(without.max_iterator_age_seconds), age(with.max_iterator_age_seconds));
    row("records rejected", number(without.records_rejected), number(with.records_rejected));
    row("function timeouts", number(without.function_timeouts), number(with.function_timeouts));
    row("writes throttled (provisioned capacity)", number(without.writes_throttled), number(with.writes_throttled));
    row(
        "writes throttled (one hot key, incurable)",
        number(without.writes_throttled_hot_key),
        number(with.writes_throttled_hot_key),
    );
    row("reads throttled", number(without.reads_throttled), number(with.reads_throttled));
    row(
        "UpdateShardCount calls (10 a day allowed)",
        number(without.update_shard_count_calls),
        number(with.update_shard_count_calls),
    );
    row("requests refused for a quota", number(without.quota_refusals), number(with.quota_refusals));
    row("cost, 7 hours", usd(without.cost.total_usd), usd(with.cost.total_usd));
    row("  of it metrics read by the operator", usd(metrics(without)), usd(metrics(with)));
    row("cost, second hour of races", usd(without.second_hour_usd), usd(with.second_hour_usd));
    out
}

fn metrics(measures: &Measures) -> f64 {
    measures.cost.items.iter().filter(|item| item.name.starts_with("CloudWatch")).map(|item| item.usd).sum()
}

/// Symptoms in words, in a fixed order.
pub fn symptoms(found: &BTreeSet<Symptom>) -> String {
    if found.is_empty() {
        return "none".to_owned();
    }
    found.iter().map(name).collect::<Vec<_>>().join(", ")
}

/// A name as it stands in the JSON.
pub fn name(value: &impl Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

fn usd(value: f64) -> String {
    format!("${value:.2}")
}

/// Seconds as a person says them.
fn age(seconds: f64) -> String {
    if seconds < 120.0 { format!("{seconds:.0} s") } else { format!("{:.0} min", seconds / 60.0) }
}

fn group(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_wrap_under_their_text() {
        let text = wrap(&"word ".repeat(40), 40, 10);
        assert!(text.lines().all(|line| line.len() <= 40));
        assert!(text.lines().skip(1).all(|line| line.starts_with("          word")));
    }

    #[test]
    fn thousands_are_grouped() {
        assert_eq!((group(0), group(999), group(7_200_000)), ("0".into(), "999".into(), "7,200,000".into()));
    }
}
