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

/// The policies that are compiled in: name and file.
pub(super) const BUILTIN: [(&str, &str); 3] = [
    ("careful", include_str!("../../policies/scaling/careful.yaml")),
    ("balanced", include_str!("../../policies/scaling/balanced.yaml")),
    ("eager", include_str!("../../policies/scaling/eager.yaml")),
];

/// The parameters, as the file spells them.
const FIELDS: [&str; 25] = [
    "shardTargetUtilization",
    "shardRaiseUtilization",
    "shardLowerUtilization",
    "consumerTargetUtilization",
    "writeTargetUtilization",
    "writeMeanUtilization",
    "readTargetUtilization",
    "metricDelaySeconds",
    "staleAfterSeconds",
    "catchUpSeconds",
    "shardStabilizationSeconds",
    "writeStabilizationSeconds",
    "factorStabilizationSeconds",
    "reservedReshards",
    "reservedDecreases",
    "minimumDecrease",
    "drainedAgeSeconds",
    "drainedForSeconds",
    "shardCooldownSeconds",
    "reshardBaseSeconds",
    "reshardPerShardSeconds",
    "rejectingRatio",
    "laggingRatio",
    "offeredClamp",
    "coldStartHours",
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
    const DAY: i128 = 86_400;
    validate::metadata_name(reader, root);
    let field = reader.require(root, "spec", "the parameters: `spec: {shardTargetUtilization: 0.55, …}`")?;
    let mut known = FIELDS.to_vec();
    known.push("coldStartReshards");
    let spec = reader.object(&field, &known)?;
    let mut number = |name: &str, least: f64, most: f64| {
        let field = reader.require(&spec, name, HELP)?;
        reader.number(&field, least..=most)
    };
    // A utilization of 0 would ask for infinite capacity.
    let shard_target = number("shardTargetUtilization", 0.05, 1.0);
    let shard_raise = number("shardRaiseUtilization", 0.05, 1.0);
    let shard_lower = number("shardLowerUtilization", 0.0, 1.0);
    let consumer_target = number("consumerTargetUtilization", 0.05, 1.0);
    let write_target = number("writeTargetUtilization", 0.05, 1.0);
    let write_mean = number("writeMeanUtilization", 0.05, 1.0);
    let read_target = number("readTargetUtilization", 0.05, 1.0);
    let minimum_decrease = number("minimumDecrease", 0.0, 0.9);
    let reshard_base = number("reshardBaseSeconds", 0.0, 3_600.0);
    let reshard_per_shard = number("reshardPerShardSeconds", 0.0, 600.0);
    let rejecting_ratio = number("rejectingRatio", 0.0, 1.0);
    let lagging_ratio = number("laggingRatio", 0.01, 1.0);
    let offered_clamp = number("offeredClamp", 1.0, 10.0);
    ordered(reader, &spec, ("shardLowerUtilization", shard_lower), ("shardTargetUtilization", shard_target), true);
    ordered(reader, &spec, ("shardTargetUtilization", shard_target), ("shardRaiseUtilization", shard_raise), false);
    ordered(reader, &spec, ("writeTargetUtilization", write_target), ("writeMeanUtilization", write_mean), false);
    let mut whole = |name: &str, least: i128, most: i128| {
        let field = reader.require(&spec, name, HELP)?;
        reader.integer::<u32>(&field, least..=most)
    };
    let metric_delay = whole("metricDelaySeconds", 0, 900);
    let stale_after = whole("staleAfterSeconds", 60, 3_600);
    let catch_up = whole("catchUpSeconds", 60, DAY);
    let shard_stabilization = whole("shardStabilizationSeconds", 0, 7 * DAY);
    let write_stabilization = whole("writeStabilizationSeconds", 0, 7 * DAY);
    let factor_stabilization = whole("factorStabilizationSeconds", 0, 7 * DAY);
    // Ten calls in a rolling day (Kinesis API, UpdateShardCount); keeping all back would never lower.
    let reserved_reshards = whole("reservedReshards", 0, 10);
    // Four decreases at the start of a UTC day (DynamoDB, service quotas).
    let reserved_decreases = whole("reservedDecreases", 0, 4);
    let drained_age = whole("drainedAgeSeconds", 0, 3_600);
    let drained_for = whole("drainedForSeconds", 0, DAY);
    let shard_cooldown = whole("shardCooldownSeconds", 0, 7 * DAY);
    let cold_start_hours = whole("coldStartHours", 0, 48);
    let cold_start_reshards = whole("coldStartReshards", 0, 10);
    Some(ScalingPolicy {
        shard_target_utilization: shard_target?,
        shard_raise_utilization: shard_raise?,
        shard_lower_utilization: shard_lower?,
        consumer_target_utilization: consumer_target?,
        write_target_utilization: write_target?,
        write_mean_utilization: write_mean?,
        read_target_utilization: read_target?,
        metric_delay_seconds: metric_delay?,
        stale_after_seconds: stale_after?,
        catch_up_seconds: catch_up?,
        shard_stabilization_seconds: shard_stabilization?,
        write_stabilization_seconds: write_stabilization?,
        factor_stabilization_seconds: factor_stabilization?,
        reserved_reshards: reserved_reshards?,
        reserved_decreases: reserved_decreases?,
        minimum_decrease: minimum_decrease?,
        drained_age_seconds: drained_age?,
        drained_for_seconds: drained_for?,
        shard_cooldown_seconds: shard_cooldown?,
        reshard_base_seconds: reshard_base?,
        reshard_per_shard_seconds: reshard_per_shard?,
        rejecting_ratio: rejecting_ratio?,
        lagging_ratio: lagging_ratio?,
        offered_clamp: offered_clamp?,
        cold_start_hours: cold_start_hours?,
        cold_start_reshards: cold_start_reshards?,
    })
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
        let mut names = FIELDS.to_vec();
        names.push("coldStartReshards");
        for name in names {
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
