//! `diagnose --report`: a diagnosis as one self-contained page. Verdict and findings first, then the charts of the
//! walk-through with their limit lines, then what the codes mean.
//!
//! What always holds: the page asks for nothing from anywhere and runs no script; every chart says its numbers in a
//! sentence and in a table as well; whatever came from AWS or a spec is escaped.

mod cards;
mod charts;
mod draw;
mod look;
pub mod pareto;
pub mod simulation;
mod words;

use std::fmt::{Display, Write as _};

use jiff::{SignedDuration, Timestamp};

use super::diagnosis;
use crate::{
    cli::{diagnose::Diagnosed, errors::CliError},
    diagnose::{Episode, Severity},
    memory::Decision,
    model::ResourceId,
};

/// Minutes of a day: a longer time says its days.
const LONG: f64 = 1440.0;

/// The time that every chart shows, and what is marked on it.
pub(super) struct Frame<'a> {
    /// Start of the first minute.
    pub from: Timestamp,
    /// End of the last.
    pub to: Timestamp,
    /// Minutes from one point to the next.
    pub step: f64,
    /// What was found, worth knowing alone left out.
    pub episodes: Vec<&'a Episode>,
    /// Decisions that did something.
    pub decisions: Vec<Mark<'a>>,
}

/// A decision as the charts mark it: when, and what was done to what, in words.
pub(super) struct Mark<'a> {
    pub at: Timestamp,
    pub actions: &'a [(ResourceId, String)],
}

impl Frame<'_> {
    /// Minutes since the start.
    fn minute(&self, at: Timestamp) -> f64 {
        at.duration_since(self.from).as_secs_f64() / 60.0
    }

    fn minutes(&self) -> f64 {
        self.minute(self.to).max(1.0)
    }

    /// A time of day, with the day where there is more than one.
    fn clock(&self, at: Timestamp) -> String {
        if self.minutes() > LONG { at.strftime("%b %d %H:%M").to_string() } else { clock(at) }
    }

    /// The same in the space of an axis.
    fn mark(&self, at: Timestamp) -> String {
        if self.minutes() > 2.0 * LONG { at.strftime("%b %d").to_string() } else { clock(at) }
    }
}

/// The whole page.
///
/// # Errors
/// When a chart cannot be drawn: a bug.
pub fn page(diagnosed: &Diagnosed) -> Result<String, CliError> {
    let frame = frame(diagnosed);
    let sections = charts::sections(diagnosed);
    let mut html = String::new();
    head(&mut html, diagnosed);
    html.push_str("<nav aria-label=\"Contents\"><a href=\"#findings\">Findings</a>");
    for section in &sections {
        let _ = write!(html, "<a href=\"#{}\">{}</a>", section.id, escaped(&section.title));
    }
    html.push_str("<a href=\"#decisions\">Decisions</a><a href=\"#codes\">Codes</a></nav>\n<main>");
    cards::findings(&mut html, diagnosed);
    draw::overview(&mut html, &frame).map_err(|error| CliError::bug(&error))?;
    let note = "Limit lines stand where the configuration is now: AWS keeps no history of it.";
    let _ = write!(html, "<p class=\"note\">{note} Times are UTC; each point is one minute.</p>");
    for section in &sections {
        let _ = write!(
            html,
            "<section aria-labelledby=\"{0}\"><h2 id=\"{0}\">{1}</h2>\n<div class=\"charts\">",
            section.id,
            escaped(&section.title)
        );
        for chart in &section.charts {
            draw::figure(&mut html, chart, &frame).map_err(|error| CliError::bug(&error))?;
        }
        html.push_str("</div></section>\n");
    }
    cards::now(&mut html, diagnosed);
    cards::decisions(&mut html, diagnosed);
    cards::codes(&mut html, diagnosed);
    html.push_str("</main>\n");
    foot(&mut html, diagnosed);
    Ok(html)
}

fn frame(diagnosed: &Diagnosed) -> Frame<'_> {
    let to = diagnosis::end(diagnosed);
    // A pipeline that is younger than the window fills the page with what there is.
    let first = diagnosed.signals.stream.incoming_records.points.first().map(|point| point.at);
    let from = first.unwrap_or(diagnosed.from).max(diagnosed.from).min(to - SignedDuration::from_mins(10));
    let shown = |episode: &&Episode| episode.severity > Severity::Info && episode.to > from;
    let did = |decision: &&Decision| !decision.actions.is_empty() && decision.at >= from && decision.at <= to;
    Frame {
        from,
        to,
        step: 1.0,
        episodes: diagnosed.review.episodes.iter().filter(shown).collect(),
        decisions: diagnosed.decisions.iter().filter(did).map(|it| Mark { at: it.at, actions: &it.actions }).collect(),
    }
}

/// The beginning of a page up to its body; the title is safe already.
fn start(html: &mut String, title: &str) {
    let _ = write!(
        html,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\
         <title>{title}</title>\n<style>{}</style></head>\n<body>",
        look::css()
    );
}

/// The end of a page.
fn end(html: &mut String, text: &str) {
    let version = env!("CARGO_PKG_VERSION");
    let _ = writeln!(
        html,
        "<footer><p class=\"note\">Made by alleycat-operator {version}. {text}</p></footer></body></html>"
    );
}

fn head(html: &mut String, diagnosed: &Diagnosed) {
    let name = escaped(&diagnosed.pipeline.name);
    let severity = diagnosed.severity().filter(|severity| *severity > Severity::Info);
    let class = cards::class(severity);
    start(html, &format!("{name}: diagnosis"));
    let _ = writeln!(
        html,
        "<header class=\"{class}\"><h1>{name}</h1><p class=\"verdict\">{}</p><p class=\"note\">{}</p>\
         <p class=\"note\">account {}, region {}, {} until {}</p></header>",
        escaped(diagnosis::verdict(diagnosed)),
        escaped(diagnosis::counts(diagnosed)),
        escaped(&diagnosed.facts.account),
        escaped(&diagnosed.facts.region),
        diagnosed.from.strftime("%Y-%m-%d %H:%M UTC"),
        diagnosis::end(diagnosed).strftime("%H:%M UTC"),
    );
}

fn foot(html: &mut String, diagnosed: &Diagnosed) {
    let calls: u64 = diagnosed.calls.values().sum();
    let metrics = diagnosed.signals.metrics_requested;
    end(html, &format!("From {calls} calls to AWS and {metrics} metrics. Nothing was changed."));
}

/// Text as it may stand in HTML, in attributes too.
fn escaped(text: impl Display) -> String {
    let mut safe = String::new();
    for letter in text.to_string().chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

/// `08:12`.
fn clock(at: Timestamp) -> String {
    at.strftime("%H:%M").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_from_elsewhere_cannot_become_markup() {
        assert_eq!(escaped("<script>a&b\"'"), "&lt;script&gt;a&amp;b&quot;&#39;");
    }
}
