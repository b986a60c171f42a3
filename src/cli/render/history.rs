//! Decisions as text: one entry each, or the whole story of one.
//!
//! What always holds: no line is wider than 80 columns unless one word is; what is not known is said to be unknown.

use anstyle::{AnsiColor, Style};
use jiff::Timestamp;

use super::{out::Out, status::amount};
use crate::{
    cli::history::{Replay, Story},
    diagnose::Severity,
    memory::{Came, Decision, Expectation, QuotaThen},
    model::ResourceId,
    scale::{CapacityTarget, Targets},
};

/// Where the text of an entry begins.
const INDENT: usize = 6;

/// All of them, newest last.
pub fn list(decisions: &[Decision], color: bool) -> String {
    let mut out = Out { text: String::new(), color };
    if decisions.is_empty() {
        out.line("", "No decision is known here: the daemon records what it changes and what it holds back.", None, 0);
    }
    for decision in decisions {
        out.line(&format!("{:>4}  ", decision.id), &headline(decision), None, INDENT);
        if let Some(text) = consequence(decision) {
            out.line("", &text, style(decision), INDENT);
        }
    }
    out.text
}

fn moment(at: Timestamp) -> impl std::fmt::Display {
    at.strftime("%Y-%m-%d %H:%MZ")
}

fn clock(at: Timestamp) -> impl std::fmt::Display {
    at.strftime("%H:%MZ")
}

/// What was done or held back, and for which causes.
fn headline(decision: &Decision) -> String {
    let done: Vec<String> = decision.actions.iter().map(|(resource, what)| format!("{resource}: {what}")).collect();
    let held: Vec<String> =
        decision.holds.iter().map(|hold| format!("held back {} ({})", hold.resource, hold.guard)).collect();
    let what = match (done.is_empty(), held.is_empty()) {
        (false, _) => done.join("; "),
        (true, false) => held.join("; "),
        (true, true) => "nothing is held back any more".to_owned(),
    };
    let mut causes: Vec<&str> = Vec::new();
    for finding in decision.findings.iter().filter(|finding| finding.severity > Severity::Info) {
        if !causes.contains(&finding.diagnosis.code()) {
            causes.push(finding.diagnosis.code());
        }
    }
    let seen = if causes.is_empty() { String::new() } else { format!(" (seen: {})", causes.join(", ")) };
    format!("{}  {what}{seen}", moment(decision.at))
}

/// What it cost and whether it came as expected; nothing where nothing was done.
fn consequence(decision: &Decision) -> Option<String> {
    let expectation = decision.expectation.as_ref()?;
    let cost = decision.cost.map(|cost| format!("${:.3} -> ${:.3} an hour; ", cost.before, cost.after));
    Some(format!("{}{}", cost.unwrap_or_default(), came(expectation)))
}

fn came(expectation: &Expectation) -> String {
    match &expectation.verdict {
        None => format!("open until {}", clock(expectation.by)),
        Some(verdict) => {
            let word = match verdict.came {
                Came::True => "came true",
                Came::Not => "did not come true",
                Came::Inconclusive => "inconclusive",
            };
            format!("{word} at {}: {}", clock(verdict.at), verdict.why)
        }
    }
}

fn style(decision: &Decision) -> Option<Style> {
    let verdict = decision.expectation.as_ref()?.verdict.as_ref()?;
    match verdict.came {
        Came::True => Some(AnsiColor::Green.on_default()),
        Came::Not => Some(AnsiColor::Yellow.on_default()),
        Came::Inconclusive => None,
    }
}

/// Sections of a story.
struct Sections {
    out: Out,
}

impl Sections {
    /// A heading with what stands under it; a section of nothing says so.
    fn add(&mut self, heading: &str, lines: impl IntoIterator<Item = String>) {
        self.out.line("", heading, Some(Style::new().bold()), 0);
        let mut some = false;
        for line in lines {
            self.out.line("  ", &line, None, 4);
            some = true;
        }
        if !some {
            self.out.line("  ", "nothing", None, 4);
        }
    }
}

/// The whole story of one decision.
pub fn story(story: &Story, color: bool) -> String {
    let decision = &story.decision;
    let mut text = Sections { out: Out { text: String::new(), color } };
    let head = format!("decision {} of {}, {}", decision.id, story.pipeline, moment(decision.at));
    text.out.line("", &head, Some(Style::new().bold()), 0);
    if let Some(rules) = &decision.rules {
        let rules = format!("spec {}, policy {}, version {}", rules.spec, rules.policy, rules.version);
        text.out.line("", &rules, None, 0);
    }
    text.add("seen", decision.findings.iter().map(|it| format!("{} {}", it.diagnosis.code(), it.sentence())));
    text.add("measured", decision.terms.iter().map(|term| format!("{} = {}", term.name, amount(term.value))));
    text.add("wanted", wanted(&decision.targets));
    text.add("held back", held_back(decision));
    text.add("done", decision.actions.iter().map(|(resource, what)| format!("{resource}: {what}")));
    if let Some(then) = &decision.quota {
        text.add("quota before", quota(then));
    }
    if let Some(cost) = decision.cost {
        let (before, after) = (cost.before, cost.after);
        let month = |hour: f64| hour * 730.0;
        let line = format!(
            "${before:.4} -> ${after:.4} an hour (${:.2} -> ${:.2} a month of 730 h), at rest",
            month(before),
            month(after)
        );
        text.add("cost", [line]);
    }
    if let Some(expectation) = &decision.expectation {
        text.add("expected", expected(expectation));
    }
    text.add("replay", [replay(&story.replay)]);
    text.out.text
}

fn wanted(targets: &Targets) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(shards) = &targets.shards {
        lines.push(format!("shards {}: {}", shards.value.get(), shards.reason));
    }
    lines.extend(targets.split.iter().map(|split| format!("split {}: {}", split.value.shard, split.reason)));
    let mode = targets.mode.iter();
    lines.extend(mode.map(|it| format!("streamMode {}: {}", it.value.word(), it.reason)));
    for (name, table) in &targets.tables {
        let billing = table.billing.iter();
        lines.extend(billing.map(|it| format!("table/{name} billingMode {}: {}", it.value.word(), it.reason)));
    }
    for (name, consumer) in &targets.consumers {
        if let Some(factor) = &consumer.parallelization_factor {
            lines.push(format!("mapping/{name} parallelizationFactor {}: {}", factor.value.get(), factor.reason));
        }
        if let Some(batch) = &consumer.batch_size {
            lines.push(format!("mapping/{name} batchSize {}: {}", batch.value.get(), batch.reason));
        }
    }
    let mut capacity = |id: ResourceId, target: &CapacityTarget| {
        for (field, target) in [("writeCapacity", &target.write), ("readCapacity", &target.read)] {
            lines.extend(target.iter().map(|it| format!("{id} {field} {}: {}", it.value.get(), it.reason)));
        }
    };
    for (name, table) in &targets.tables {
        capacity(ResourceId::Table(name.clone()), &table.table);
        for (index, target) in &table.indexes {
            capacity(ResourceId::Index(name.clone(), index.clone()), target);
        }
    }
    lines
}

fn held_back(decision: &Decision) -> Vec<String> {
    let held = decision.holds.iter().map(|hold| {
        let until = hold.until.map_or(String::new(), |until| format!(", until {}", moment(until)));
        format!("{} ({}{until}): {}", hold.resource, hold.guard, hold.reason)
    });
    held.chain(decision.waits.iter().cloned()).collect()
}

fn quota(then: &QuotaThen) -> Vec<String> {
    let refused = then.exhausted_until.map_or(String::new(), |until| format!("; refused until {}", moment(until)));
    let mut lines =
        vec![format!("UpdateShardCount: {} of {} used in 24 h{refused}", then.reshards_used, then.reshards_limit)];
    lines.extend(then.decreases.iter().map(|(id, today)| format!("{id}: {today} decreases that day")));
    lines
}

fn expected(expectation: &Expectation) -> Vec<String> {
    let mut lines: Vec<String> = expectation
        .values
        .iter()
        .map(|it| {
            let seen = it.seen.map_or("not seen yet".to_owned(), |at| format!("seen at {}", clock(at)));
            format!("{} {} {}: {seen}", it.resource, it.field, it.value)
        })
        .collect();
    let by = clock(expectation.by);
    lines.extend(expectation.clears.iter().map(|(code, id)| format!("{} of {id} gone by {by}", code.code())));
    lines.extend(expectation.keeps_away.iter().map(|(code, id)| format!("no {} of {id} at {by}", code.code())));
    if let Some(offered) = expectation.offered {
        lines.push(format!("at {} records/s offered", amount(offered)));
    }
    lines.push(came(expectation));
    lines
}

fn replay(replay: &Replay) -> String {
    match replay {
        Replay::Agrees { .. } => "The recorded inputs lead to the same decision again, byte for byte.".to_owned(),
        Replay::Differs { parts, version } => {
            let parts = parts.join(", ");
            let this = env!("CARGO_PKG_VERSION");
            format!("The recorded inputs lead to another decision: {parts}. Version {version} made it; this is {this}.")
        }
        Replay::Unknown { why } => format!("It cannot be made again: {why}."),
    }
}
