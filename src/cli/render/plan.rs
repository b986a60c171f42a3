//! A plan as text: the verdict first, then what is risky, then one entry a change with what, why, quota, time and
//! dollars a month; what is refused with its code and what to do; at the end the next command.
//!
//! What always holds: no line is wider than 80 columns unless one word is; colour only repeats what a word says;
//! text and JSON count the same things ([`summary`]).

use std::{collections::BTreeSet, fmt::Write as _};

use anstyle::{AnsiColor, Style};
use jiff::SignedDuration;
use serde::Serialize;

use super::out::Out;
use crate::{
    model::UsdPerHour,
    plan::{Action, Blocked, Change, Plan, QuotaUse, Risk, Step, codes},
};

/// Indent of what belongs to an entry.
const INDENT: usize = 6;

/// How many of what a plan holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the names of the actions")]
pub struct Summary {
    pub create: usize,
    pub update: usize,
    pub scale: usize,
    pub adopt: usize,
    pub replace: usize,
    pub delete: usize,
    /// Refused: `apply` does not start.
    pub refused: usize,
    /// Held back until a budget or a limit allows it.
    pub waiting: usize,
    /// Left standing by `destroy`.
    pub retained: usize,
    pub unchanged: usize,
}

/// A plan with its counts: what `--output json` prints.
#[derive(Debug, Serialize)]
pub struct Document<'a> {
    /// The plan itself; its keys stand at the top level.
    #[serde(flatten)]
    pub plan: &'a Plan,
    /// The counts of the text's first line.
    pub summary: Summary,
}

/// The data behind the text.
pub fn document(plan: &Plan) -> Document<'_> {
    Document { plan, summary: summary(plan) }
}

/// Counts a plan.
pub fn summary(plan: &Plan) -> Summary {
    let mut counts = Summary { unchanged: plan.unchanged.len(), ..Summary::default() };
    for change in &plan.changes {
        match change.action {
            Action::Create => counts.create += 1,
            Action::Update => counts.update += 1,
            Action::Scale => counts.scale += 1,
            Action::Adopt => counts.adopt += 1,
            Action::Replace => counts.replace += 1,
            Action::Delete => counts.delete += 1,
        }
    }
    for blocked in &plan.blocked {
        match kind(blocked) {
            Kind::Refused => counts.refused += 1,
            Kind::Waiting => counts.waiting += 1,
            Kind::Retained => counts.retained += 1,
        }
    }
    counts
}

/// What a blocked entry means for the reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Refused,
    Waiting,
    Retained,
}

fn kind(blocked: &Blocked) -> Kind {
    match blocked.code.as_str() {
        _ if blocked.is_conflict() => Kind::Refused,
        codes::RESHARD_QUOTA
        | codes::DECREASE_QUOTA
        | codes::SHARD_LIMIT
        | codes::MOVE_REFUSED
        | codes::FAN_OUT_LIMIT => Kind::Waiting,
        _ => Kind::Retained,
    }
}

/// Where the plan was made for: account, region, caller, time and, when it is not AWS's own, the endpoint.
pub fn header(plan: &Plan, identity: &str, endpoint: Option<&str>) -> String {
    let mut text = format!("account {}  region {}  identity {identity}", plan.account, plan.region);
    if let Some(endpoint) = endpoint {
        let _ = write!(text, "  endpoint {endpoint}");
    }
    let _ = write!(text, "  observed {}", plan.observed_at.strftime("%Y-%m-%d %H:%M:%SZ"));
    text
}

/// The whole text, ending in a newline.
pub fn text(plan: &Plan, color: bool) -> String {
    let mut text = announcement(plan, color);
    let next = next(plan);
    if !next.is_empty() {
        text.push_str(next);
        text.push('\n');
    }
    text
}

/// The plan without what to type next: for a verb that goes on by itself.
pub fn announcement(plan: &Plan, color: bool) -> String {
    let mut out = Out { text: String::new(), color };
    let counts = summary(plan);
    out.line("", &verdict(plan, &counts), Some(Style::new().bold()), 0);
    let mut changes: Vec<&Change> = plan.changes.iter().collect();
    // Risky ones first, each group in the order in which it is done.
    changes.sort_by_key(|change| change.risk == Risk::None);
    for change in &changes {
        entry(&mut out, change);
    }
    for blocked in &plan.blocked {
        refusal(&mut out, blocked);
    }
    for warning in &plan.warnings {
        out.line("warning: ", warning, Some(AnsiColor::Yellow.on_default()), 9);
    }
    if plan.is_empty() && plan.blocked.is_empty() {
        return out.text;
    }
    footer(&mut out, plan);
    out.text
}

fn verdict(plan: &Plan, counts: &Summary) -> String {
    if plan.is_empty() && plan.blocked.is_empty() {
        return match counts.unchanged {
            0 => format!("No changes. Nothing of {} exists.", plan.pipeline),
            _ => format!("No changes. {} is as the spec says.", plan.pipeline),
        };
    }
    let parts = [
        (counts.replace, "to replace"),
        (counts.delete, "to delete"),
        (counts.create, "to create"),
        (counts.adopt, "to adopt"),
        (counts.update, "to update"),
        (counts.scale, "to scale"),
        (counts.refused, "refused"),
        (counts.waiting, "waiting"),
        (counts.retained, "retained"),
        (counts.unchanged, "unchanged"),
    ];
    let said: Vec<String> =
        parts.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")).collect();
    let nothing = if plan.is_empty() { "nothing to change, " } else { "" };
    format!("Plan for {}: {nothing}{}.", plan.pipeline, said.join(", "))
}

/// Symbol, word and colour of an action.
fn look(action: Action) -> (&'static str, &'static str, AnsiColor) {
    match action {
        Action::Create => ("+", "create", AnsiColor::Green),
        Action::Update => ("~", "update", AnsiColor::Yellow),
        Action::Scale => ("~", "scale", AnsiColor::Cyan),
        Action::Adopt => ("<-", "adopt", AnsiColor::Cyan),
        Action::Replace => ("-/+", "replace", AnsiColor::Red),
        Action::Delete => ("-", "delete", AnsiColor::Red),
    }
}

fn entry(out: &mut Out, change: &Change) {
    let (symbol, word, color) = look(change.action);
    let mark = if change.risk > Risk::None { "!" } else { " " };
    let mut facts = Vec::new();
    match change.risk {
        Risk::None => {}
        Risk::Interrupts => facts.push("INTERRUPTS".to_owned()),
        Risk::LosesData => facts.push("LOSES DATA".to_owned()),
    }
    if change.steps.len() > 1 {
        facts.push(format!("{} calls", change.steps.len()));
    }
    if change.expected > SignedDuration::ZERO {
        facts.push(format!("~{}", duration(change.expected)));
    }
    facts.extend(dollars(change.cost_delta));
    let facts = if facts.is_empty() { String::new() } else { format!("  ({})", facts.join(", ")) };
    let style = color.on_default();
    out.line(&format!("{mark} {symbol:<3} {word:<7} "), &format!("{}{facts}", change.resource), Some(style), 14);
    // On creation every field has the same reason; otherwise each says its own.
    if change.action == Action::Create {
        let fields: Vec<String> = change
            .fields
            .iter()
            .map(|field| format!("{} {}", field.path, field.after.as_deref().unwrap_or("none")))
            .collect();
        out.line("", &format!("{}: {}", change.reason, fields.join(", ")), None, INDENT);
    } else {
        if matches!(change.action, Action::Adopt | Action::Delete | Action::Replace) || change.fields.is_empty() {
            out.line("", &change.reason, None, INDENT);
        }
        for fields in change.fields.chunk_by(|one, next| one.reason == next.reason) {
            let moves: Vec<String> = fields
                .iter()
                .map(|field| {
                    let before = field.before.as_deref().unwrap_or("none");
                    format!("{} {before} -> {}", field.path, field.after.as_deref().unwrap_or("none"))
                })
                .collect();
            let reason = fields.first().map_or("", |field| field.reason.as_str());
            out.line("", &format!("{}: {reason}", moves.join(", ")), None, INDENT);
        }
    }
    if let Some(chain) = chain(change) {
        out.line("", &chain, None, INDENT);
    }
    for quota in &change.quota {
        out.line("", &quota_text(quota), None, INDENT);
    }
}

/// The shard counts that several calls pass through.
fn chain(change: &Change) -> Option<String> {
    let mut counts = Vec::new();
    for step in &change.steps {
        if let Step::UpdateShardCount { from, to, .. } = step {
            if counts.is_empty() {
                counts.push(from.to_string());
            }
            counts.push(to.to_string());
        }
    }
    (counts.len() > 2).then(|| format!("{} steps: shards {}", counts.len() - 1, counts.join(" -> ")))
}

fn quota_text(quota: &QuotaUse) -> String {
    // Other people's UpdateShardCount calls cannot be read anywhere, so that figure is a lower bound.
    let least = if quota.quota.starts_with("UpdateShardCount") { "at least " } else { "" };
    format!("quota: {}: takes {}, {least}{} of {} used", quota.quota, quota.takes, quota.used, quota.limit)
}

fn refusal(out: &mut Out, blocked: &Blocked) {
    let (symbol, word, color) = match kind(blocked) {
        Kind::Refused => ("x", "refused", AnsiColor::Red),
        Kind::Waiting => (".", "waits", AnsiColor::Yellow),
        Kind::Retained => ("=", "keep", AnsiColor::Cyan),
    };
    let head = format!("  {symbol:<3} {word:<7} ");
    out.line(&head, &format!("{}  {}", blocked.resource, blocked.code), Some(color.on_default()), 14);
    out.line("", &blocked.reason, None, INDENT);
    out.line("", &format!("hint: {}", blocked.hint), None, INDENT);
}

fn footer(out: &mut Out, plan: &Plan) {
    let unchanged = summary(plan).unchanged;
    let owned = &plan.owned_by_scaler;
    let hidden: Vec<String> = [(unchanged, "unchanged"), (owned.len(), "inside their bounds, the scaler's")]
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    if !hidden.is_empty() {
        let colon = if owned.is_empty() { "." } else { ":" };
        out.line("", &format!("Not shown: {}{colon}", hidden.join("; ")), None, 0);
    }
    // One line a resource: "table/x writeCapacity = 20 in [20, 4000]" and what else is its.
    let parts: Vec<(&str, &str)> = owned.iter().filter_map(|line| line.split_once(' ')).collect();
    for group in parts.chunk_by(|one, next| one.0 == next.0) {
        let Some((resource, _)) = group.first() else { continue };
        let values: Vec<&str> = group.iter().map(|(_, value)| *value).collect();
        out.line("  ", &format!("{resource} {}", values.join(", ")), None, INDENT);
    }
    let (before, after) = (plan.cost.before.per_month(), plan.cost.after.per_month());
    if !plan.is_empty() {
        let text = format!("Cost at rest: ${before:.2} -> ${after:.2} a month, traffic not included.");
        out.line("", &text, None, 0);
    }
    let mut symbols: BTreeSet<&str> = BTreeSet::new();
    for change in &plan.changes {
        if change.risk > Risk::None {
            symbols.insert("! risky");
        }
        if change.action == Action::Replace {
            symbols.insert("-/+ delete and create anew");
        }
    }
    if !symbols.is_empty() {
        out.line("", &format!("Legend: {}.", symbols.into_iter().collect::<Vec<_>>().join(", ")), None, 0);
    }
}

/// What a person does with a plan.
fn next(plan: &Plan) -> &'static str {
    let counts = summary(plan);
    if plan.is_empty() && plan.blocked.is_empty() {
        ""
    } else if counts.refused > 0 {
        "Nothing is applied while something is refused: solve that, then plan again."
    } else if counts.delete > 0 || counts.retained > 0 {
        if plan.is_empty() {
            "Nothing would be deleted."
        } else {
            "Next: alleycat-operator destroy, with the same file."
        }
    } else if plan.is_empty() {
        "Nothing to do for now."
    } else {
        "Next: alleycat-operator apply, with the same file."
    }
}

/// `20 s`, `4 min`, `1 h 5 min`.
fn duration(length: SignedDuration) -> String {
    let seconds = length.as_secs();
    let minutes = (seconds + 30) / 60;
    match seconds {
        ..=90 => format!("{seconds} s"),
        91..=5_399 => format!("{minutes} min"),
        _ if minutes % 60 == 0 => format!("{} h", minutes / 60),
        _ => format!("{} h {} min", minutes / 60, minutes % 60),
    }
}

fn dollars(delta: UsdPerHour) -> Option<String> {
    let month = delta.per_month();
    let sign = if month < 0.0 { "-" } else { "+" };
    (month.abs() >= 0.005).then(|| format!("{sign}${:.2}/month", month.abs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_people_say_them() {
        let said = |seconds| duration(SignedDuration::from_secs(seconds));
        assert_eq!(
            [said(20), said(90), said(240), said(3_900), said(7_200)],
            ["20 s", "90 s", "4 min", "65 min", "2 h"]
        );
    }
}
