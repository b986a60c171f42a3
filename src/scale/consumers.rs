//! A consumer: how many batches at a time it needs, and how large they should be.
//!
//! The factor acts on existing shards at once and costs nothing by itself, but every slot that writes per
//! batch carries its own cost on the table: `size` checks that before a raise.

use jiff::{SignedDuration, Timestamp};

use crate::{
    diagnose::{ConsumerLoad, Diagnosis, Finding, median},
    memory::Memory,
    model::{BatchSize, FunctionFacts, MappingFacts, ParallelizationFactor, ResourceId, StreamFacts},
    spec::{ConsumerSpec, Pipeline, ScalingPolicy},
};

use super::Term;

/// Busy share of the slots above which a lagging consumer of unknown speed gets twice the slots.
const BUSY: f64 = 0.85;

/// Share of the timeout that the longest invocation may take in a larger batch, in proportion.
const ROOM: f64 = 0.5;
/// Polls are not equally far apart: a batch this much above the mean takes nearly every poll whole.
const UNEVEN: f64 = 1.25;
/// A larger batch must be larger by this factor: a change of the mapping stops its polling for a moment.
const WORTH_A_CHANGE: f64 = 2.0;

/// What a consumer needs, inside its bounds, before guards.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ConsumerDemand {
    /// Factor.
    pub(super) factor: ParallelizationFactor,
    /// Why.
    pub(super) factor_reason: String,
    /// Batch size.
    pub(super) batch: BatchSize,
    /// Why.
    pub(super) batch_reason: String,
    /// Shards this consumer needs at its greatest factor; 0 when the factor is enough.
    pub(super) shards: f64,
    /// Records/s it has to do: what comes in and its share of the backlog.
    pub(super) required: f64,
    /// Records/s that a slot gets done, if known.
    pub(super) slot_rate: Option<f64>,
    /// Why the factor must not be raised now, if so.
    pub(super) no_raise: Option<String>,
}

/// Everything a consumer is sized from.
pub(super) struct ConsumerInputs<'a> {
    pub(super) pipeline: &'a Pipeline,
    pub(super) policy: &'a ScalingPolicy,
    pub(super) consumer: &'a ConsumerSpec,
    pub(super) mapping: &'a MappingFacts,
    pub(super) function: Option<&'a FunctionFacts>,
    pub(super) stream: &'a StreamFacts,
    pub(super) load: &'a ConsumerLoad,
    pub(super) findings: &'a [Finding],
    pub(super) memory: &'a Memory,
    pub(super) now: Timestamp,
    /// Records/s expected to come in.
    pub(super) expected: f64,
    /// A table this consumer writes to throttles writes for provisioned throughput.
    pub(super) sink_throttled: bool,
    /// A table this consumer writes to is at its upper bound and short.
    pub(super) sink_limited: bool,
}

/// Sizes one consumer.
pub(super) fn demand(inputs: &ConsumerInputs<'_>, terms: &mut Vec<Term>) -> ConsumerDemand {
    let ConsumerInputs { policy, consumer, mapping, stream, load, .. } = inputs;
    let live = mapping.parallelization_factor;
    let shards = f64::from(stream.open_shards.get());
    let required = inputs.expected + load.backlog / catch_up(inputs.pipeline, policy);
    let bound = factor_bound(inputs);
    let busy = load.concurrency.map_or(0.0, |used| used / (shards * f64::from(live.get())));
    let usual = slot_rate(inputs.memory, &consumer.name);
    let slowed = slowed(inputs, busy).filter(|now| usual.is_some_and(|usual| *now < usual));
    let rate = slowed.or(usual);
    let wanted = match rate {
        Some(rate) => (required / (shards * rate * policy.consumer_target_utilization)).ceil(),
        None if load.lagging && busy > BUSY => f64::from(live.get()) * 2.0,
        None => f64::from(live.get()),
    };
    for (name, value) in [
        (format!("R({}) records/s", consumer.name), required),
        (format!("B({}) records", consumer.name), load.backlog),
        (format!("mu*({}) records/s", consumer.name), rate.unwrap_or(0.0)),
        (format!("PF_need({})", consumer.name), wanted),
    ] {
        terms.push(Term { name, value });
    }
    let factor = ParallelizationFactor(
        (wanted.max(1.0) as u32).clamp(consumer.parallelization_factor.min.get().min(bound), bound),
    );
    let no_raise = no_raise(inputs);
    let shards_needed = match rate {
        Some(rate) if load.lagging && wanted > f64::from(bound) && no_raise.is_none() && consumer.concurrency_safe => {
            (required / (f64::from(bound) * rate * policy.consumer_target_utilization)).ceil()
        }
        _ => 0.0,
    };
    let (batch, batch_reason) = batch(inputs);
    let factor_reason = match rate {
        Some(rate) => format!(
            "{required:.0} records/s to do{}, a slot does {rate:.0} records/s",
            if load.backlog > 0.0 { format!(" with {:.0} waiting", load.backlog) } else { String::new() }
        ),
        None => format!("{:.0} s behind with {:.0} % of the slots busy", load.age_seconds, busy * 100.0),
    };
    ConsumerDemand {
        factor,
        factor_reason,
        batch,
        batch_reason,
        shards: shards_needed,
        required,
        slot_rate: rate,
        no_raise,
    }
}

/// Seconds in which a backlog is to be drained.
pub(super) fn catch_up(pipeline: &Pipeline, policy: &ScalingPolicy) -> f64 {
    f64::from(policy.catch_up_seconds).min(pipeline.objectives.recovery.as_secs_f64()).max(60.0)
}

/// Records/s that a slot does now, when it can be told: while the consumer lags with its slots busy, its batches are
/// full. A function that has become slower must not be sized by what it did before; a throttled table makes it look
/// slower than it is.
fn slowed(inputs: &ConsumerInputs<'_>, busy: f64) -> Option<f64> {
    let seconds = inputs.load.duration_avg_ms.filter(|ms| *ms > 0.0)? / 1000.0;
    let tells = inputs.load.lagging && busy > BUSY && !inputs.sink_throttled && inputs.load.error_ratio <= 0.0;
    tells.then(|| f64::from(inputs.mapping.batch_size.get()) / seconds)
}

/// The upper bound of the factor: the spec's, one where two at a time are not safe, and what the function's
/// reserved concurrency can serve.
fn factor_bound(inputs: &ConsumerInputs<'_>) -> u32 {
    let spec = inputs.consumer.parallelization_factor.max.get();
    if !inputs.consumer.concurrency_safe {
        return 1;
    }
    let reserved = inputs.function.and_then(|function| function.reserved_concurrency);
    let by_concurrency = reserved.map_or(spec, |reserved| (reserved / inputs.stream.open_shards.get().max(1)).max(1));
    spec.min(by_concurrency.max(inputs.consumer.parallelization_factor.min.get()))
}

/// Median records/s per slot over the healthy minutes of a day.
pub(super) fn slot_rate(memory: &Memory, consumer: &str) -> Option<f64> {
    let rates = memory.slot_rates.get(consumer)?.iter().map(|rate| rate.value).collect();
    median(rates).filter(|rate| *rate > 0.0)
}

fn no_raise(inputs: &ConsumerInputs<'_>) -> Option<String> {
    if inputs.sink_throttled {
        return Some("a table it writes to throttles: more consumers would make it worse".to_owned());
    }
    let id = ResourceId::Mapping(inputs.consumer.name.clone());
    inputs
        .findings
        .iter()
        .find(|finding| {
            finding.resource == id
                && matches!(
                    finding.diagnosis,
                    Diagnosis::FunctionFault
                        | Diagnosis::PoisonRecord
                        | Diagnosis::FunctionTimeout
                        | Diagnosis::ConcurrencyLimit
                        | Diagnosis::PermissionDenied
                        | Diagnosis::MappingFailing
                )
        })
        .map(|finding| format!("not the bottleneck: {}", finding.summary))
}

/// Batch size: smaller when batches run into the timeout on their own account. Larger when the consumer lags and
/// more slots are not to be had (one at a time, or a table at its bound): a larger batch spreads what an
/// invocation costs over more records. Larger also when each poll brings several batches and the longest
/// invocation leaves room: the same work in fewer invocations costs less.
fn batch(inputs: &ConsumerInputs<'_>) -> (BatchSize, String) {
    let bounds = inputs.consumer.batch_size;
    let live = inputs.mapping.batch_size;
    let timeout_ms = inputs.function.map(|function| f64::from(function.timeout_seconds) * 1000.0);
    let times_out = inputs.load.duration_max_ms.zip(timeout_ms).is_some_and(|(longest, limit)| longest >= 0.98 * limit);
    if times_out && inputs.load.error_ratio > 0.0 && live > bounds.initial {
        return (bounds.initial, "the larger batches run into the timeout, and a batch is retried whole".to_owned());
    }
    if times_out && inputs.load.error_ratio > 0.0 && !inputs.sink_throttled {
        let half = BatchSize((live.get() / 2).max(1));
        return (bounds.clamp(half), "batches run into the timeout although no table throttles".to_owned());
    }
    if rests(inputs) {
        return (bounds.clamp(live), "lowered a short time ago".to_owned());
    }
    if inputs.load.lagging && (inputs.sink_limited || !inputs.consumer.concurrency_safe) && !times_out {
        let double = BatchSize(live.get().saturating_mul(2));
        return (bounds.clamp(double), "larger batches do more with as many invocations".to_owned());
    }
    if let Some((larger, reason)) = fewer_invocations(inputs, timeout_ms) {
        return (larger, reason);
    }
    (bounds.clamp(live), "inside its bounds".to_owned())
}

/// Key of the moment the batch size was last lowered, in the memory's changes: it is not raised again for a day.
pub(super) fn batch_lowered(consumer: &str) -> String {
    format!("mapping/{consumer} batchSize lowered")
}

/// Larger batches were too large within the day: raising them again would only go back and forth.
fn rests(inputs: &ConsumerInputs<'_>) -> bool {
    let lowered = inputs.memory.last_change.get(&batch_lowered(&inputs.consumer.name));
    lowered.is_some_and(|at| inputs.now < *at + SignedDuration::from_hours(24))
}

/// The batch that takes a poll's records in one invocation, as far as the timeout leaves room; `None` when it
/// is not clearly larger, or the past was not steady.
fn fewer_invocations(inputs: &ConsumerInputs<'_>, timeout_ms: Option<f64>) -> Option<(BatchSize, String)> {
    let (steady, timeout_ms) = (inputs.load.steady.filter(|_| !inputs.load.lagging)?, timeout_ms?);
    if inputs.sink_throttled {
        return None;
    }
    let live = f64::from(inputs.mapping.batch_size.get());
    let slots = f64::from(inputs.stream.open_shards.get() * inputs.mapping.parallelization_factor.get());
    let per_poll = inputs.expected / slots;
    let room = live * ROOM * timeout_ms / steady.longest_ms.max(1.0);
    let larger = inputs.consumer.batch_size.clamp(BatchSize((per_poll * UNEVEN).min(room) as u32));
    (f64::from(larger.get()) >= WORTH_A_CHANGE * live).then(|| {
        let reason = format!(
            "a poll brings {per_poll:.0} records; the longest invocation took {:.1} of {:.0} s",
            steady.longest_ms / 1000.0,
            timeout_ms / 1000.0
        );
        (larger, reason)
    })
}
