//! A run told in words: what it is made of, what was done, and what AWS's side saw.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{
    play::{Played, Sample},
    scenario::Scenario,
};

/// All that helps to understand a run.
pub fn story(scenario: &Scenario, played: &Played) -> String {
    let mut lines = vec![format!("{scenario:#?}")];
    lines.extend(played.log.iter().cloned());
    lines.push("--- AWS's side".to_owned());
    let audit = played.twin.audit();
    let mut events: Vec<(Timestamp, String)> = audit
        .mutations
        .iter()
        .map(|it| {
            let whose = if it.foreign { "FOREIGN " } else { "" };
            let refused = it.refused.as_ref().map_or_else(String::new, |code| format!(" {code}: {}", it.message));
            (it.at, format!("{whose}{} {}{refused}", it.operation, it.resource))
        })
        .collect();
    let history = audit.history.iter();
    events.extend(history.map(|it| (it.at, format!("  {} {} {} -> {}", it.resource, it.field, it.from, it.to))));
    let mut before = Sample::default();
    for sample in &played.samples {
        let text = format!(
            "    +{} records, +{} rejected, waiting {:?}, +{} throttled writes",
            sample.accepted - before.accepted,
            sample.rejected - before.rejected,
            sample.waiting,
            sample.throttles - before.throttles
        );
        events.push((sample.at, text));
        before = sample.clone();
    }
    events.sort_by_key(|(at, _)| *at);
    lines.extend(events.into_iter().map(|(at, text)| format!("{at} {text}")));
    if let Some(last) = &played.last {
        lines.push(format!("--- the last pass: holds {:#?}\nterms {:?}", last.sizing.holds, last.sizing.terms));
    }
    let totals: BTreeMap<_, _> = played.twin.plane().totals().functions.iter().collect();
    lines.push(format!("{totals:#?}\ncalm from {} to {}", scenario.calm(), scenario.end()));
    lines.join("\n")
}
