//! `ScalingPolicy`: every parameter of the sizing, read from a policy file (`policies/scaling/*.yaml`).
//! The built-in ones are those files, compiled in. Reasons for the values stand in the files.

use serde::{Deserialize, Serialize};

/// All parameters of the joint sizing. Seconds where the name says so, otherwise ratios.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ScalingPolicy {
    /// Share of a shard's write limit to aim at when raising (T_s).
    pub shard_target_utilization: f64,
    /// Above this share shards are raised (U_s).
    pub shard_raise_utilization: f64,
    /// Below this share shards may be lowered (L_s).
    pub shard_lower_utilization: f64,
    /// Share of a consumer slot's time to aim at (T_c).
    pub consumer_target_utilization: f64,
    /// Share of provisioned write capacity that steady demand may use (T_w).
    pub write_target_utilization: f64,
    /// Share of provisioned write capacity that the mean with its bursts may use: burst credit covers the rest.
    pub write_mean_utilization: f64,
    /// Share of provisioned read capacity to aim at.
    pub read_target_utilization: f64,
    /// A metric point younger than this is not used (D_m), seconds.
    pub metric_delay_seconds: u32,
    /// A signal is stale when its newest point is this much older than expected, seconds.
    pub stale_after_seconds: u32,
    /// Longest catch-up time of a backlog, seconds; the shorter of this and `objectives.recovery` holds.
    pub catch_up_seconds: u32,
    /// Shards may be lowered to the highest recommendation of this window, seconds.
    pub shard_stabilization_seconds: u32,
    /// Capacity may be lowered to the highest recommendation of this window, seconds.
    pub write_stabilization_seconds: u32,
    /// Factor may be lowered to the highest recommendation of this window, seconds.
    pub factor_stabilization_seconds: u32,
    /// UpdateShardCount calls kept back for raises.
    pub reserved_reshards: u32,
    /// DynamoDB decreases kept back each UTC day.
    pub reserved_decreases: u32,
    /// A capacity decrease must save at least this share.
    pub minimum_decrease: f64,
    /// No backlog means iterator age below this, seconds, ...
    pub drained_age_seconds: u32,
    /// ... for this long, seconds.
    pub drained_for_seconds: u32,
    /// Minimum time between two changes of the shard count downwards, seconds.
    pub shard_cooldown_seconds: u32,
    /// Assumed reshard time: fixed part, seconds.
    pub reshard_base_seconds: f64,
    /// Assumed reshard time: per changed shard, seconds.
    pub reshard_per_shard_seconds: f64,
    /// Rejected share of offered records that counts as rejecting.
    pub rejecting_ratio: f64,
    /// Lagging: iterator age above this share of the objective.
    pub lagging_ratio: f64,
    /// Greatest factor by which rejections may inflate the offered rate (producers retry).
    pub offered_clamp: f64,
    /// Hours without scale-in after both copies of the ledger were lost.
    pub cold_start_hours: u32,
    /// UpdateShardCount calls assumed used then.
    pub cold_start_reshards: u32,
}
