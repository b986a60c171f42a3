//! Proportional on lag: the Horizontal Pod Autoscaler's formula on the iterator age that KEDA's CloudWatch scaler reads.
//!
//! Rules: Kubernetes documentation, "Horizontal Pod Autoscaling" (`desired = ceil(current × metric / target)`, tolerance
//! 10 %, up by at most four or 100 % in 15 s, down to the greatest recommendation of the last 300 s), looked at every
//! 30 s (KEDA's pollingInterval). The newest point counts; without one KEDA takes its minimum, 0. Replicas are slots: the
//! factor of each consumer. The shards follow the same formula on their write limit at 70 %, as a stream cannot be scaled
//! by lag. The target is 30 % of the objective.

use std::collections::VecDeque;

use jiff::{SignedDuration, Timestamp};

use super::{Asks, Look, whole};
use crate::{
    aws::{MetricQuery, Statistic},
    model::ParallelizationFactor,
    plan::{MappingChange, Step},
    spec::{ConsumerSpec, Pipeline},
};

pub(super) const EVERY: SignedDuration = SignedDuration::from_secs(30);
/// KEDA's `metricCollectionTime`.
pub(super) const WINDOW: SignedDuration = SignedDuration::from_secs(300);
const STABILIZATION: SignedDuration = SignedDuration::from_secs(300);
const TOLERANCE: f64 = 0.1;
const AGE_SHARE: f64 = 0.3;
const SHARD_TARGET: f64 = 0.7;
/// The rate policy's number per 15 s; two such periods pass between two looks.
const MOST_PODS: f64 = 8.0;
const MOST_TIMES: f64 = 4.0;

/// Recommendations of the last 300 s.
#[derive(Debug, Default)]
struct Stabilized(VecDeque<(Timestamp, u32)>);

impl Stabilized {
    /// The formula, its limits and the stabilisation.
    fn decide(&mut self, now: Timestamp, current: u32, ratio: f64) -> u32 {
        let wanted = if (ratio - 1.0).abs() <= TOLERANCE { f64::from(current) } else { f64::from(current) * ratio };
        let most = (f64::from(current) + MOST_PODS).max(f64::from(current) * MOST_TIMES);
        let wanted = whole(wanted.clamp(1.0, most));
        if self.0.is_empty() {
            // A controller that has just started takes what it finds for recommended.
            self.0.push_back((now, current));
        }
        self.0.push_back((now, wanted));
        while self.0.front().is_some_and(|(at, _)| now.duration_since(*at) > STABILIZATION) {
            self.0.pop_front();
        }
        let greatest = self.0.iter().map(|(_, wanted)| *wanted).max().unwrap_or(wanted);
        if wanted >= current { wanted } else { greatest.min(current) }
    }
}

/// By the consumers' order; the stream apart.
#[derive(Debug, Default)]
pub(in crate::simulate) struct State {
    shards: Stabilized,
    slots: Vec<Stabilized>,
}

fn name(consumer: &ConsumerSpec) -> String {
    format!("age of {}", consumer.name)
}

pub(super) fn ages(pipeline: &Pipeline) -> Asks {
    let ask = |consumer: &ConsumerSpec| {
        let dimensions = vec![("FunctionName", consumer.function.clone())];
        let (namespace, metric) = ("AWS/Lambda", "IteratorAge");
        (name(consumer), MetricQuery { namespace, metric, dimensions, statistic: Statistic::Maximum })
    };
    pipeline.consumers.iter().map(ask).collect()
}

impl State {
    pub(super) fn decide(&mut self, look: &Look) -> Vec<Step> {
        let mut steps = Vec::new();
        self.slots.resize_with(look.pipeline.consumers.len(), Stabilized::default);
        let target_ms = look.pipeline.objectives.iterator_age.as_secs_f64() * 1_000.0 * AGE_SHARE;
        let shards = look.facts.stream.as_ref().map_or(1, |stream| stream.open_shards.get().max(1));
        for (consumer, slots) in look.pipeline.consumers.iter().zip(&mut self.slots) {
            let Some(mapping) = look.facts.mapping_named(&consumer.function, consumer.alias.as_deref()) else {
                continue;
            };
            let factor = mapping.parallelization_factor;
            let age_ms = look.points(&name(consumer)).last().map_or(0.0, |point| point.value);
            let wanted = slots.decide(look.now, shards * factor.get(), age_ms / target_ms.max(1.0));
            let wanted = ParallelizationFactor(wanted.div_ceil(shards).clamp(1, 10));
            let wanted = consumer.parallelization_factor.clamp(wanted);
            if wanted != factor && mapping.state.is_settled() {
                steps.push(Step::UpdateMapping(Box::new(MappingChange {
                    consumer: consumer.name.clone(),
                    uuid: mapping.uuid.clone(),
                    parallelization_factor: Some(wanted),
                    ..MappingChange::default()
                })));
            }
        }
        if look.shards().is_some() {
            let usage = look.usage(shards).into_values().next_back().unwrap_or(0.0);
            let wanted = self.shards.decide(look.now, shards, usage / SHARD_TARGET);
            steps.extend(look.reshard(wanted));
        }
        steps
    }
}
