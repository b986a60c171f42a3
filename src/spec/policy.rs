//! `ScalingPolicy`: every parameter of the sizing, read from a policy file (`policies/scaling/*.yaml`).
//! The built-in ones are those files, compiled in. Reasons for the values stand in the files.

use serde::{Deserialize, Serialize};

use super::problem::{self, Problem};
use super::reader::{Object, Reader};
use super::validate;

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
    /// Share of the iterator age objective that the stream may hold back before a table is raised for it.
    pub buffer_share: f64,
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
    /// How far ahead known loads are prepared for, seconds: the slowest chain of changes must fit in.
    pub forecast_lead_seconds: u32,
    /// Shards are not lowered below what a known load of this long ahead needs, seconds.
    pub quiet_ahead_seconds: u32,
    /// Days that must be known before the usual load of a time of day counts.
    pub seasonal_days: u32,
    /// Of those days' loads the quantile that counts as usual.
    pub seasonal_quantile: f64,
    /// A trend counts up to this multiple of what comes in now.
    pub trend_clamp: f64,
    /// The usual load counts up to this multiple of what comes in now.
    pub seasonal_clamp: f64,
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

/// The policies that are compiled in: name and file.
pub(super) const BUILTIN: [(&str, &str); 3] = [
    ("careful", include_str!("../../policies/scaling/careful.yaml")),
    ("balanced", include_str!("../../policies/scaling/balanced.yaml")),
    ("eager", include_str!("../../policies/scaling/eager.yaml")),
];

/// What a parameter may be.
enum Range {
    /// A number.
    Share(f64, f64),
    /// A whole number.
    Whole(i128, i128),
}

const DAY: i128 = 86_400;

/// The parameters as the file spells them, with their ranges; equal to the fields of [`ScalingPolicy`] (tested).
const PARAMETERS: [(&str, Range); 33] = [
    // A utilization of 0 would ask for infinite capacity.
    ("shardTargetUtilization", Range::Share(0.05, 1.0)),
    ("shardRaiseUtilization", Range::Share(0.05, 1.0)),
    ("shardLowerUtilization", Range::Share(0.0, 1.0)),
    ("consumerTargetUtilization", Range::Share(0.05, 1.0)),
    ("writeTargetUtilization", Range::Share(0.05, 1.0)),
    ("writeMeanUtilization", Range::Share(0.05, 1.0)),
    ("readTargetUtilization", Range::Share(0.05, 1.0)),
    ("bufferShare", Range::Share(0.0, 1.0)),
    ("metricDelaySeconds", Range::Whole(0, 900)),
    ("staleAfterSeconds", Range::Whole(60, 3_600)),
    ("catchUpSeconds", Range::Whole(60, DAY)),
    ("shardStabilizationSeconds", Range::Whole(0, 7 * DAY)),
    ("writeStabilizationSeconds", Range::Whole(0, 7 * DAY)),
    ("factorStabilizationSeconds", Range::Whole(0, 7 * DAY)),
    ("forecastLeadSeconds", Range::Whole(0, 7_200)),
    ("quietAheadSeconds", Range::Whole(0, DAY)),
    ("seasonalDays", Range::Whole(1, 28)),
    ("seasonalQuantile", Range::Share(0.0, 1.0)),
    ("trendClamp", Range::Share(1.0, 100.0)),
    ("seasonalClamp", Range::Share(1.0, 100.0)),
    // Ten calls in a rolling day (Kinesis API, UpdateShardCount).
    ("reservedReshards", Range::Whole(0, 10)),
    // Four decreases at the start of a UTC day (DynamoDB developer guide, "Service quotas").
    ("reservedDecreases", Range::Whole(0, 4)),
    ("minimumDecrease", Range::Share(0.0, 0.9)),
    ("drainedAgeSeconds", Range::Whole(0, 3_600)),
    ("drainedForSeconds", Range::Whole(0, DAY)),
    ("shardCooldownSeconds", Range::Whole(0, 7 * DAY)),
    ("reshardBaseSeconds", Range::Share(0.0, 3_600.0)),
    ("reshardPerShardSeconds", Range::Share(0.0, 600.0)),
    ("rejectingRatio", Range::Share(0.0, 1.0)),
    ("laggingRatio", Range::Share(0.01, 1.0)),
    ("offeredClamp", Range::Share(1.0, 10.0)),
    ("coldStartHours", Range::Whole(0, 48)),
    ("coldStartReshards", Range::Whole(0, 10)),
];

/// The policy of that name, if it is a built-in one: `careful`, `balanced` or `eager`.
pub fn builtin(name: &str) -> Option<ScalingPolicy> {
    let (_, source) = BUILTIN.iter().find(|(known, _)| *known == name)?;
    // The files are tested to parse.
    parse(source).ok()
}

/// Reads a `kind: ScalingPolicy` document. Every parameter must be there: a policy is complete in itself.
///
/// # Errors
/// Every problem of the document, in the order of the file.
pub fn parse(source: &str) -> Result<ScalingPolicy, Vec<Problem>> {
    super::read(source, "ScalingPolicy", policy)
}

fn policy(reader: &mut Reader, root: &Object<'_>) -> Option<ScalingPolicy> {
    const HELP: &str = "a policy carries every parameter: start from policies/scaling/balanced.yaml";
    validate::metadata_name(reader, root);
    let field = reader.require(root, "spec", "the parameters: `spec: {shardTargetUtilization: 0.55, …}`")?;
    let spec = reader.object(&field, &PARAMETERS.map(|(name, _)| name))?;
    let mut values = serde_json::Map::new();
    for (name, range) in PARAMETERS {
        let Some(field) = reader.require(&spec, name, HELP) else { continue };
        let value = match range {
            Range::Share(least, most) => reader.number(&field, least..=most).map(serde_json::Value::from),
            Range::Whole(least, most) => reader.integer::<u32>(&field, least..=most).map(serde_json::Value::from),
        };
        values.extend(value.map(|value| (name.to_owned(), value)));
    }
    let share = |name| values.get(name).and_then(serde_json::Value::as_f64);
    for (low, high, strict) in [
        ("shardLowerUtilization", "shardTargetUtilization", true),
        ("shardTargetUtilization", "shardRaiseUtilization", false),
        ("writeTargetUtilization", "writeMeanUtilization", false),
    ] {
        ordered(reader, &spec, (low, share(low)), (high, share(high)), strict);
    }
    serde_json::from_value(serde_json::Value::Object(values)).ok()
}

/// A parameter must lie below another one, or raise and lower would chase each other.
fn ordered(
    reader: &mut Reader,
    spec: &Object<'_>,
    (low_name, low): (&str, Option<f64>),
    (high_name, high): (&str, Option<f64>),
    strict: bool,
) {
    let (Some(low), Some(high), Some(field)) = (low, high, spec.get(low_name)) else { return };
    if low > high || (strict && low >= high) {
        let relation = if strict { "below" } else { "at most" };
        let what = format!("{low} must be {relation} {high_name}, which is {high}");
        reader.report(&field, problem::CONTRADICTION, what, "lower this one or raise the other");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_policies_are_valid_and_complete() {
        for (name, source) in BUILTIN {
            assert_eq!(parse(source).map(|_| ()), Ok(()), "{name}");
        }
        let balanced = builtin("balanced").unwrap();
        assert!((balanced.shard_target_utilization - 0.55).abs() < 1e-12);
        assert_eq!(balanced.shard_stabilization_seconds, 3 * 3_600);
        assert_eq!((balanced.cold_start_hours, balanced.cold_start_reshards), (3, 5));
        assert_eq!(builtin("reckless"), None);
    }

    #[test]
    fn careful_and_eager_lie_on_their_sides_of_balanced() {
        let [careful, balanced, eager] = ["careful", "balanced", "eager"].map(|name| builtin(name).unwrap());
        assert!(careful.shard_target_utilization < balanced.shard_target_utilization);
        assert!(balanced.shard_target_utilization < eager.shard_target_utilization);
        assert!(careful.shard_stabilization_seconds > balanced.shard_stabilization_seconds);
        assert!(balanced.shard_stabilization_seconds > eager.shard_stabilization_seconds);
    }

    #[test]
    fn every_parameter_is_required_ranged_and_ordered() {
        let source = BUILTIN[1].1;
        let codes = |source: &str| -> Vec<&str> {
            parse(source).err().unwrap_or_default().iter().map(|problem| problem.code).collect()
        };
        for (name, _) in PARAMETERS {
            let renamed = source.replace(&format!("  {name}:"), "  x:");
            assert_eq!(codes(&renamed).len(), 2, "{name}: one missing, one unknown");
            let start = source.find(&format!("  {name}:")).unwrap();
            let line = source[start..].lines().next().unwrap();
            let negative = source.replace(line, &format!("  {name}: -1"));
            assert!(codes(&negative).contains(&problem::OUT_OF_RANGE), "{name}");
        }
        assert_eq!(codes(&source.replace("shardLowerUtilization: 0.35", "shardLowerUtilization: 0.6")), ["AC0122"]);
        assert_eq!(codes("kind: Pipeline\n").first(), Some(&"AC0105"));
    }
}
