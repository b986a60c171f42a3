//! The comparison as text: a table, one line a policy, ours first, and what it says in words.

use std::fmt::Write as _;

use jiff::SignedDuration;

use super::{Document, Played};
use crate::{cli::demo::text::paragraph, simulate::Policy, spec::Pipeline};

/// Columns: title, width. The first is the policy's name.
const COLUMNS: [(&str, usize); 10] = [
    ("policy", 16),
    ("viol min", 9),
    ("age", 7),
    ("reject", 7),
    ("max age", 9),
    ("lost", 9),
    ("scaled $", 10),
    ("of ours", 8),
    ("of best", 8),
    ("reshards", 9),
];

/// `2 days`, `5 hours`.
pub(super) fn span(length: SignedDuration) -> String {
    let hours = length.as_hours();
    match (hours / 24, hours % 24) {
        (0, hours) => format!("{hours} h"),
        (days, 0) => format!("{days} d"),
        (days, hours) => format!("{days} d {hours} h"),
    }
}

/// The whole answer.
pub(super) fn table(document: &Document, pipeline: &Pipeline, played: &[Played]) -> String {
    let counted = SignedDuration::from_secs(document.counted_seconds);
    let mut out = format!(
        "{} in world {}: {} simulated, {} counted, {}; objective {} s\n",
        document.spec,
        document.world,
        span(SignedDuration::from_secs(document.simulated_seconds)),
        span(counted),
        if document.seeds == 1 { "1 seed".to_owned() } else { format!("mean of {} seeds", document.seeds) },
        pipeline.objectives.iterator_age.as_secs(),
    );
    if let Some(assumptions) = &document.assumptions {
        let _ = writeln!(out, "{}", paragraph(assumptions, 0));
    }
    out.push('\n');
    let cells = |values: [String; 10]| {
        let mut line = String::new();
        for (at, (value, (_, width))) in values.iter().zip(COLUMNS).enumerate() {
            let _ = if at == 0 { write!(line, "{value:<width$}") } else { write!(line, "{value:>width$}") };
        }
        line.trim_end().to_owned() + "\n"
    };
    out += &cells(COLUMNS.map(|(title, _)| title.to_owned()));
    let ours = played.iter().find(|one| matches!(one.policy, Policy::Operator(_))).map(usd);
    for one in played {
        let count = |value: f64| if document.seeds == 1 { format!("{value:.0}") } else { format!("{value:.1}") };
        let lost = one.mean(|it| (it.records.rejected + it.records.expired) as f64);
        let resharded = |name: &str| one.mean(|it| it.operations.get(name).copied().unwrap_or(0) as f64);
        out += &cells([
            one.name.clone(),
            count(minutes(one)),
            count(one.mean(|it| it.violation_minutes.iterator_age as f64)),
            count(one.mean(|it| it.violation_minutes.rejected as f64)),
            format!("{:.0} s", one.mean(|it| it.max_iterator_age_seconds)),
            short(lost),
            format!("{:.2}", usd(one)),
            ours.filter(|ours| *ours > 0.0).map_or_else(String::new, |ours| format!("{:.2}x", usd(one) / ours)),
            one.ratio().map_or_else(String::new, |ratio| format!("{ratio:.2}x")),
            count(resharded("kinesis:UpdateShardCount")),
        ]);
    }
    out.push_str(
        "\nviol min: minutes with the iterator age above the objective (age) or over 0.1 % of the records rejected\n\
         (reject). lost: records rejected or expired. scaled $: shards, fan-out, retention, capacity and on-demand\n\
         charges; what traffic costs whoever scales (PUT units, Lambda) is in --output json. of best: over what the\n\
         clairvoyant pays, who knows the future.\n",
    );
    for sentence in verdict(played) {
        let _ = write!(out, "\n{}\n", paragraph(&sentence, 0));
    }
    out
}

fn minutes(one: &Played) -> f64 {
    one.mean(|it| it.violation_minutes.total as f64)
}

fn usd(one: &Played) -> f64 {
    one.mean(|it| it.cost.scaled_usd)
}

/// 12345 as `12 k`.
fn short(count: f64) -> String {
    match count {
        count if count >= 10e6 => format!("{:.0} M", count / 1e6),
        count if count >= 10e3 => format!("{:.0} k", count / 1e3),
        count => format!("{count:.0}"),
    }
}

/// Which is better, in words; and whether on demand wins.
fn verdict(played: &[Played]) -> Vec<String> {
    let Some(ours) = played.iter().find(|one| matches!(one.policy, Policy::Operator(_))) else { return Vec::new() };
    let others: Vec<&Played> = played.iter().filter(|one| !matches!(one.policy, Policy::Operator(_))).collect();
    let (own_minutes, own_usd) = (minutes(ours), usd(ours));
    // A policy dominates ours with as few violation minutes at 2 % less, or two minutes fewer at no higher cost.
    let dominates = |other: &Played| {
        let (minutes, usd) = (minutes(other), usd(other));
        (minutes <= own_minutes && usd <= 0.98 * own_usd) || (minutes <= own_minutes - 2.0 && usd <= own_usd)
    };
    let mut sentences = Vec::new();
    let provisioned: Vec<&&Played> = others.iter().filter(|one| one.policy.is_provisioned()).collect();
    let better: Vec<&str> = provisioned.iter().filter(|one| dominates(one)).map(|one| one.name.as_str()).collect();
    if !better.is_empty() {
        sentences.push(format!("Better than {} here: {}.", ours.name, better.join(", ")));
    } else if let Some(next) =
        provisioned.iter().min_by(|a, b| minutes(a).total_cmp(&minutes(b)).then(usd(a).total_cmp(&usd(b))))
    {
        sentences.push(format!(
            "No provisioned policy is better than {}: {own_minutes:.0} violation minutes at ${own_usd:.2}; the one with \
             the fewest of the others, {}, has {:.0} at ${:.2}.",
            ours.name,
            next.name,
            minutes(next),
            usd(next),
        ));
    }
    if let Some(on_demand) = others.iter().find(|one| !one.policy.is_provisioned()) {
        let (minutes, usd) = (minutes(on_demand), usd(on_demand));
        let ratio = usd / own_usd.max(f64::MIN_POSITIVE);
        sentences.push(if dominates(on_demand) {
            format!("On demand wins: {minutes:.0} violation minutes at {ratio:.2} times the cost of {}.", ours.name)
        } else {
            format!("On demand: {minutes:.0} violation minutes at {ratio:.2} times the cost of {}.", ours.name)
        });
    }
    sentences
}
