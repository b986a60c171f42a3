//! How long changes usually take: estimates for people, never deadlines.
//!
//! AWS promises no durations. Sources: botocore's and the Terraform provider's waiters, the developer guides where
//! they name a figure, and measured times of UpdateTable as published by others.

use jiff::SignedDuration;

use crate::{model::ShardCount, spec::ScalingPolicy};

/// Tags, retention, deletion protection, point-in-time recovery, TTL: seconds.
pub const SETTING: SignedDuration = SignedDuration::from_secs(10);
/// SplitShard: as a reshard of one shard (assumption, as for UpdateShardCount).
pub const SPLIT_SHARD: SignedDuration = SignedDuration::from_secs(60);
/// CreateStream (botocore's waiter polls each 10 s; small streams are ACTIVE in under a minute).
pub const CREATE_STREAM: SignedDuration = SignedDuration::from_secs(30);
/// DeleteStream.
pub const DELETE_STREAM: SignedDuration = SignedDuration::from_secs(60);
/// CreateTable with its indexes (the same waiter: 20 s).
pub const CREATE_TABLE: SignedDuration = SignedDuration::from_secs(20);
/// DeleteTable.
pub const DELETE_TABLE: SignedDuration = SignedDuration::from_secs(30);
/// UpdateTable, throughput: seconds on small tables, minutes on large ones.
pub const UPDATE_CAPACITY: SignedDuration = SignedDuration::from_secs(30);
/// UpdateTable, another billing mode: public probes saw 129 to 172 s to on-demand and 60 to 98 s back.
pub const UPDATE_BILLING_MODE: SignedDuration = SignedDuration::from_secs(150);
/// UpdateStreamMode: as a reshard of few shards (assumption; AWS names no figure).
pub const UPDATE_STREAM_MODE: SignedDuration = SignedDuration::from_secs(60);
/// UpdateTable, a new index with its backfill: 7 to 16 minutes even on small tables.
pub const CREATE_INDEX: SignedDuration = SignedDuration::from_mins(10);
/// Creating, changing or deleting a mapping (Lambda developer guide: up to 90 s, sometimes minutes).
pub const MAPPING: SignedDuration = SignedDuration::from_secs(60);

/// Registering or deregistering a fan-out consumer: tens of seconds.
pub const CONSUMER: SignedDuration = SignedDuration::from_secs(30);
/// From a mapping switched off to its successor caught up: two to four minutes for the metrics, a minute to create it,
/// and what it missed meanwhile.
pub const MOVE: SignedDuration = SignedDuration::from_mins(10);

/// One UpdateShardCount: a fixed part and one for each shard that changes, as the policy assumes.
pub fn reshard(from: ShardCount, to: ShardCount, policy: &ScalingPolicy) -> SignedDuration {
    let changed = f64::from(from.get().abs_diff(to.get()));
    let seconds = policy.reshard_base_seconds + policy.reshard_per_shard_seconds * changed;
    SignedDuration::from_secs(seconds.clamp(0.0, 86_400.0).round() as i64)
}
