//! The rule set, one file a stage, and the order of its answer.
//!
//! What always holds: what is urgent comes before what is not; a cause before what it leads to; what is so before what
//! only will be; otherwise equally urgent causes in the way of the data. So the first finding is the one to act on first.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::{
    Diagnosis, Estimates, Evidence, Finding, Severity, StreamLoad, consumers, estimates, producers, readers, sinks,
    stream,
    symptoms::{self},
};
use crate::{
    model::{Facts, ResourceId, Signals},
    spec::{Pipeline, ScalingPolicy},
};

/// What every rule looks at.
pub(super) struct View<'a> {
    pub(super) pipeline: &'a Pipeline,
    pub(super) policy: &'a ScalingPolicy,
    pub(super) facts: &'a Facts,
    pub(super) signals: &'a Signals,
    pub(super) estimates: Estimates,
    pub(super) load: Option<StreamLoad>,
    /// What was measured last is of the shards before a reshard.
    pub(super) old_shards: bool,
}

/// Minutes that decide on a hot shard; all of them must lie behind a reshard.
const DECIDING: SignedDuration = SignedDuration::from_mins(3);

/// Findings, with what is only the effect of another one kept apart.
#[derive(Default)]
pub(super) struct Answer {
    found: Vec<(Rank, Finding)>,
}

/// Where a finding stands among others of its urgency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Cause,
    /// A cause of what has not come yet.
    Soon,
    Effect,
}

impl Answer {
    /// Adds a finding that another one cannot explain.
    pub(super) fn cause(&mut self, finding: Finding) {
        self.found.push((Rank::Cause, finding));
    }

    /// Adds a finding of what will come, if nothing is done: behind what is there already.
    pub(super) fn soon(&mut self, finding: Finding) {
        self.found.push((Rank::Soon, finding));
    }

    /// Adds a finding that the removal of its cause removes.
    pub(super) fn effect(&mut self, finding: Finding) {
        self.found.push((Rank::Effect, finding));
    }

    /// Whether something was found so far.
    pub(super) fn has(&self, diagnosis: Diagnosis) -> bool {
        self.found.iter().any(|(_, finding)| finding.diagnosis == diagnosis)
    }

    /// Causes before effects, both before what is only worth knowing; in each the most urgent first, then the way of
    /// the data.
    fn ordered(mut self) -> Vec<Finding> {
        self.found.sort_by_key(|(rank, finding)| {
            let known = finding.severity == Severity::Info;
            let effect = *rank == Rank::Effect;
            let urgency = (known, effect, std::cmp::Reverse(finding.severity), *rank);
            (urgency, finding.diagnosis, finding.resource.clone())
        });
        self.found.into_iter().map(|(_, finding)| finding).collect()
    }
}

/// Everything that is wrong, or soon will be; the first finding is the cause to act on first. `resharded` is when the
/// open shards changed last, if known: rejections that were right for the old shards look like a hot one among the new.
pub fn diagnose(
    pipeline: &Pipeline,
    policy: &ScalingPolicy,
    facts: &Facts,
    signals: &Signals,
    resharded: Option<Timestamp>,
) -> Vec<Finding> {
    let view = View {
        pipeline,
        policy,
        facts,
        signals,
        estimates: estimates(pipeline, policy, facts, signals),
        load: facts.stream.as_ref().and_then(|stream| symptoms::stream_load(policy, stream, signals)),
        old_shards: resharded.is_some_and(|at| signals.newest_expected < at + DECIDING),
    };
    let mut answer = Answer::default();
    producers::rules(&view, &mut answer);
    stream::rules(&view, &mut answer);
    let throttling: BTreeMap<String, Diagnosis> = sinks::rules(&view, &mut answer);
    readers::rules(&view, &mut answer);
    for consumer in &pipeline.consumers {
        consumers::rules(&view, &mut answer, consumer, &throttling);
    }
    answer.ordered()
}

pub(super) fn evidence(name: &str, value: f64, limit: Option<f64>) -> Evidence {
    Evidence { name: name.to_owned(), value, limit }
}

/// A signal that a rule needs is not there.
pub(super) fn blind(resource: &ResourceId, what: &str) -> Finding {
    Finding::new(
        Diagnosis::Blind,
        Severity::Warning,
        resource.clone(),
        format!("{what} of {resource} is missing or stale: it is not taken for zero."),
        "Hold: nothing is scaled on a missing signal.",
    )
    .person("Check that the resource exists and is in use, and that CloudWatch publishes.")
}

/// Something is in transition.
pub(super) fn actuating(resource: ResourceId, state: &str) -> Finding {
    let summary = format!("{resource} is {state}: AWS accepts no other change until that is over.");
    Finding::new(Diagnosis::Actuating, Severity::Info, resource, summary, "Wait.")
}
