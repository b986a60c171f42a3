//! The stream: how many shards the load wants, and how far one step may go.
//!
//! Shards are cheap in money and dear in operations (ten a day, at most double, at least half), and a short
//! stream loses records: they are raised early, to a low utilization, and lowered late.

use jiff::{SignedDuration, Timestamp};

use crate::{
    diagnose::{SHARD_BYTES_PER_SECOND, StreamLoad, shards_filled},
    model::{ShardCount, StreamFacts},
    spec::{Pipeline, ScalingPolicy},
};

use super::{
    Term,
    forecast::{Expected, Growth},
};

/// Shared reads of a shard, bytes/s (Kinesis developer guide, "Quotas and limits": 2 MiB/s), with 10 % air.
const SHARED_READ_BYTES: f64 = 2.0 * SHARD_BYTES_PER_SECOND * 0.9;

/// A lowering that saves less than this share of the pipeline's cost at rest is one of cheap shards ...
pub(super) const CHEAP: f64 = 0.15;
/// ... which are kept for this long after the load that needs them: calls are scarcer than cents.
pub(super) const KEPT_FOR: SignedDuration = SignedDuration::from_hours(6);
/// The stream is lowered only as far as the calls left can raise it back to the greatest load of this time.
pub(super) const GROWS_BACK_TO: SignedDuration = SignedDuration::from_hours(7 * 24);

/// What the load wants, before bounds and guards.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ShardDemand {
    /// Shards wanted, inside the bounds.
    pub(super) wanted: ShardCount,
    /// Why, in words with numbers.
    pub(super) reason: String,
}

/// The upper bound of the shard count: a consumer that must not run twice at once allows one shard only.
pub(super) fn shard_bound(pipeline: &Pipeline) -> ShardCount {
    let max = pipeline.stream.shards.max;
    if pipeline.consumers.iter().all(|consumer| consumer.concurrency_safe) { max } else { max.min(ShardCount(1)) }
}

/// Sizes the stream for the load and, when consumers are at their greatest factor, for them.
pub(super) fn demand(
    pipeline: &Pipeline,
    policy: &ScalingPolicy,
    stream: &StreamFacts,
    (load, sharing): (&StreamLoad, usize),
    (expected, growing): (&Expected, Option<Growth>),
    for_consumers: f64,
    terms: &mut Vec<Term>,
) -> ShardDemand {
    let why = &expected.why;
    let expected = growing.map_or(expected.records, |growth| growth.records.max(expected.records));
    let growth = if load.offered > 0.0 { expected / load.offered } else { 1.0 };
    let bytes = load.offered_bytes * growth;
    let capacity_used = shards_filled(expected, bytes);
    let shards = f64::from(stream.open_shards.get());
    let utilization = capacity_used / shards;
    let ingest = (capacity_used / policy.shard_target_utilization).ceil();
    let read = (sharing as f64 * bytes / SHARED_READ_BYTES).ceil();
    for (name, value) in [
        ("lambda_hat records/s", expected),
        ("S_in", ingest),
        ("S_read", read),
        ("S_cons", for_consumers),
        ("utilization", utilization),
    ] {
        terms.push(Term { name: name.to_owned(), value });
    }
    let mut wanted = ingest.max(read).max(for_consumers).max(1.0);
    if growing.is_some() && wanted > shards {
        // Nobody knows where growth ends, and half a step now is another call later.
        wanted = wanted.max(2.0 * shards);
    }
    // Inside the dead band the live count is right.
    let settled = !load.rejecting
        && utilization <= policy.shard_raise_utilization
        && utilization >= policy.shard_lower_utilization
        && read <= shards
        && for_consumers <= shards;
    // Bursts are rejected at a low mean as well: that is no reason to want fewer.
    let wanted = if settled || (load.rejecting && wanted < shards) { shards } else { wanted };
    let bound = shard_bound(pipeline);
    let clamped = ShardCount(wanted as u32).clamp(pipeline.stream.shards.min.min(bound), bound);
    let mut reason = format!(
        "{expected:.0} records/s expected, {:.0} % of {}; {:.0} % is aimed at",
        utilization * 100.0,
        stream.open_shards.words(),
        policy.shard_target_utilization * 100.0
    );
    if let Some(why) = why {
        reason = format!("{why}: {reason}");
    }
    if load.rejecting {
        reason = format!("{:.1} % of the records are rejected: {reason}", load.rejected_ratio * 100.0);
    }
    ShardDemand { wanted: clamped, reason }
}

/// One UpdateShardCount step from `live` towards `wanted`: at most double, at least half, in quarters of the
/// live count (AWS finishes those sooner), further when few calls are left.
pub(super) fn step(live: ShardCount, wanted: ShardCount, calls_left: u32, bound: ShardCount) -> ShardCount {
    let (from, to) = (live.get(), wanted.get());
    if to > from {
        let scarce = match calls_left {
            0 | 1 => 2.0,
            2 => 1.6,
            3 => 1.4,
            4 => 1.25,
            _ => 1.0,
        };
        let aim = ((f64::from(to) * scarce).ceil() as u32).min(bound.get()).max(to);
        let quarter = from.div_ceil(4);
        let stepped = from + quarter * (aim - from).div_ceil(quarter);
        return ShardCount(stepped.min(from.saturating_mul(2)).min(bound.get()).max(from));
    }
    ShardCount(to.max(from.div_ceil(2)))
}

/// UpdateShardCount calls from so many shards to as many as `to`, each at most doubling.
pub(super) fn doublings(from: ShardCount, to: ShardCount) -> u32 {
    let ratio = f64::from(to.get()) / f64::from(from.get().max(1));
    ratio.max(1.0).log2().ceil() as u32
}

/// Whether lowering from `live` to `to` is worth an operation: a quarter less at least.
pub(super) fn worth_lowering(live: ShardCount, to: ShardCount) -> bool {
    f64::from(to.get()) <= 0.75 * f64::from(live.get())
}

/// When the shard count may be lowered again.
pub(super) fn cooled_down(
    policy: &ScalingPolicy,
    last_change: Option<Timestamp>,
    now: Timestamp,
) -> Result<(), Timestamp> {
    let until = last_change.map(|at| at + SignedDuration::from_secs(i64::from(policy.shard_cooldown_seconds)));
    match until {
        Some(until) if now < until => Err(until),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_never_leaves_double_and_half() {
        for live in 1..=64_u32 {
            for wanted in 1..=200_u32 {
                for left in 0..=10 {
                    let next = step(ShardCount(live), ShardCount(wanted), left, ShardCount(200)).get();
                    assert!(next <= live * 2 && next >= live.div_ceil(2), "{live} -> {wanted}: {next}");
                    assert!((next >= live) == (wanted >= live) || next == live, "{live} -> {wanted}: {next}");
                }
            }
        }
    }

    #[test]
    fn a_chain_of_doublings_is_as_long_as_it_takes() {
        let calls = |from, to| doublings(ShardCount(from), ShardCount(to));
        assert_eq!([calls(4, 32), calls(4, 33), calls(4, 4), calls(8, 4), calls(1, 27)], [3, 4, 0, 0, 5]);
    }

    #[test]
    fn few_calls_left_make_larger_steps() {
        assert_eq!(step(ShardCount(8), ShardCount(10), 10, ShardCount(100)), ShardCount(10));
        assert_eq!(step(ShardCount(8), ShardCount(10), 1, ShardCount(100)), ShardCount(16));
        assert_eq!(step(ShardCount(8), ShardCount(10), 1, ShardCount(12)), ShardCount(12));
    }
}
