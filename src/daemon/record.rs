//! What a pass leaves for later: its decision, what it was made from, and the judgement of earlier ones.
//!
//! What always holds: a store that refuses costs the record and nothing else: what was done stays done, and the pass
//! says so.

use std::collections::BTreeSet;

use super::{
    expect::{self, Scene},
    pass::Report,
};
use crate::{
    apply::{describe, resource},
    cost::{self, PriceSheet},
    memory::{CostThen, Decision, Expectation, Inputs, Memory, QuotaThen, Rules, Store, StoreError, fingerprint},
    model::{BillingMode, CapacityFacts, Facts, ResourceId},
    plan::quota,
    scale::{self, Hold},
    spec::{Pipeline, ScalingPolicy},
};

/// Decisions looked at anew for their expectations: more than can be open at once, one a pass at most.
const OPEN: usize = 30;

/// What a pass was made from, beside what it reports.
pub(super) struct Made<'a> {
    pub(super) pipeline: &'a Pipeline,
    pub(super) policy: &'a ScalingPolicy,
    pub(super) prices: &'a PriceSheet,
    /// The memory as the sizing was given it.
    pub(super) memory: Memory,
    /// The moment the sizing was given.
    pub(super) now: jiff::Timestamp,
}

/// Records the pass when it did something, or holds back something else than the last recorded one; judges what the
/// decisions before it expected.
pub(super) fn record(store: &dyn Store, made: &Made<'_>, report: &mut Report) {
    let (Some(facts), Some(signals)) = (&report.facts, &report.signals) else { return };
    let name = &made.pipeline.name;
    let mut before = match store.decisions(name, OPEN) {
        Ok(decisions) => decisions,
        Err(error) => {
            report.problems.push(error.to_string());
            return;
        }
    };
    let held_before = before.last().map(|decision| guards(&decision.holds)).unwrap_or_default();
    report.is_news = !report.performed.is_empty() || guards(&report.sizing.holds) != held_before;
    let scene = Scene {
        pipeline: made.pipeline,
        policy: made.policy,
        facts,
        signals,
        findings: &report.findings,
        now: made.now,
    };
    let expectation = expect::expect(&scene, &report.performed);
    let judged = expect::judge(&scene, &mut before);
    let mut problems = Vec::new();
    let mut tell = |result: Result<(), StoreError>| problems.extend(result.err().map(|error| error.to_string()));
    for decision in judged.into_iter().filter_map(|place| before.get(place)) {
        tell(store.amend(name, decision));
    }
    if report.is_news {
        let decision = decision(made, report, facts, expectation);
        match store.record(name, decision) {
            Ok(id) => tell(keep_inputs(store, made, report, id)),
            Err(error) => tell(Err(error)),
        }
    }
    report.problems.extend(problems);
}

fn keep_inputs(store: &dyn Store, made: &Made<'_>, report: &Report, id: u64) -> Result<(), StoreError> {
    let (Some(facts), Some(signals)) = (&report.facts, &report.signals) else { return Ok(()) };
    let inputs = Inputs {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        now: made.now,
        pipeline: made.pipeline.clone(),
        policy: made.policy.clone(),
        prices: made.prices.clone(),
        facts: facts.clone(),
        signals: signals.clone(),
        memory: made.memory.clone(),
        findings: report.findings.clone(),
        sizing: report.sizing.clone(),
    };
    match inputs.pack() {
        Ok(packet) => store.keep_inputs(&made.pipeline.name, id, &packet),
        // The decision itself is kept; it cannot be made again.
        Err(error) => {
            tracing::warn!(%error, id, "the inputs of a decision are not kept");
            Ok(())
        }
    }
}

fn decision(made: &Made<'_>, report: &Report, facts: &Facts, expectation: Option<Expectation>) -> Decision {
    let actions = report.performed.iter().map(|(step, result)| {
        let outcome = result.as_ref().err().map(|failure| format!(": {failure}")).unwrap_or_default();
        (resource(step), format!("{}{outcome}", describe(step)))
    });
    let after = expectation.as_ref().map_or_else(|| facts.clone(), |it| expect::once_true(facts, it));
    Decision {
        id: 0,
        at: report.at,
        findings: report.findings.clone(),
        terms: report.sizing.terms.clone(),
        holds: report.sizing.holds.clone(),
        actions: actions.collect(),
        targets: report.sizing.targets.clone(),
        waits: report.waits.clone(),
        quota: Some(quota_then(made, facts)),
        cost: Some(CostThen {
            before: cost::of_facts(facts, made.prices).0,
            after: cost::of_facts(&after, made.prices).0,
        }),
        rules: Some(Rules {
            spec: fingerprint(made.pipeline),
            policy: fingerprint(made.policy),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }),
        expectation,
    }
}

fn quota_then(made: &Made<'_>, facts: &Facts) -> QuotaThen {
    let mut decreases = Vec::new();
    let mut add = |id: ResourceId, units: &CapacityFacts| decreases.push((id, quota::decreases_today(units, made.now)));
    for table in facts.tables.values().filter(|it| it.billing_mode == BillingMode::Provisioned) {
        add(ResourceId::Table(table.name.clone()), &table.capacity);
        for index in table.global_secondary_indexes.values() {
            add(ResourceId::Index(table.name.clone(), index.name.clone()), &index.capacity);
        }
    }
    QuotaThen {
        reshards_used: scale::reshards_used(&made.memory.reshards, made.now),
        reshards_limit: scale::MAX_RESHARDS_PER_DAY,
        exhausted_until: made.memory.reshards.exhausted_until.filter(|until| made.now < *until),
        decreases,
    }
}

/// What is held back, without the numbers in the reasons, which change each minute.
fn guards(holds: &[Hold]) -> BTreeSet<(String, String)> {
    holds.iter().map(|hold| (hold.resource.to_string(), hold.guard.clone())).collect()
}
