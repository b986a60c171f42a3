//! What a run was worth: its minutes judged against the objectives, its cost, its calls. Pure.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value};

use super::{
    cell::{Diagnosed, Run},
    clairvoyant::optimum,
    demand::Demand,
    elasticity::{Elasticity, elasticity, recoveries},
    minute::Minute,
};
use crate::{
    cost::PriceSheet,
    model::{Bounds, CapacityUnits, Hours, ParallelizationFactor, ResourceId, ShardCount},
    spec::Pipeline,
    twin::Change,
};

/// More than this share of a minute's records rejected is a violation.
const REJECTED_SHARE: f64 = 0.001;
/// Accepted UpdateShardCount calls a stream has in a rolling day (Kinesis API reference).
const RESHARDS: usize = 10;
const DAY: SignedDuration = SignedDuration::from_hours(24);
/// Retention that the shard price includes (Kinesis pricing page).
const INCLUDED_RETENTION: Hours = Hours(24);
/// Up, down and up again within this time is a reversal.
const REVERSAL: SignedDuration = SignedDuration::from_hours(1);

/// Minutes in which an objective was missed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ViolationMinutes {
    /// For either reason.
    pub total: u64,
    /// The iterator age was above the objective.
    pub iterator_age: u64,
    /// More than 0.1 % of the offered records were rejected.
    pub rejected: u64,
}

/// Records of the counted time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Records {
    /// That producers tried to put.
    pub offered: u64,
    /// Stored.
    pub accepted: u64,
    /// Refused for a shard's limit.
    pub rejected: u64,
    /// That outlived the retention.
    pub expired: u64,
    /// That a moved mapping reads again.
    pub reread: u64,
}

/// Dollars of the counted time.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cost {
    /// Everything.
    pub total_usd: f64,
    /// What scaling changes: shards, fan-out, retention, capacity, on-demand charges. Policies compare by it.
    pub scaled_usd: f64,
    /// Everything, by item.
    pub by_item: BTreeMap<String, f64>,
    /// What scaling changes, over what the clairvoyant would have paid for it.
    pub ratio_to_clairvoyant: Option<f64>,
}

/// The figures of one run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Measures {
    /// Minutes counted.
    pub minutes: u64,
    /// Minutes in which an objective was missed.
    pub violation_minutes: ViolationMinutes,
    /// Greatest iterator age, seconds.
    pub max_iterator_age_seconds: f64,
    /// Records.
    pub records: Records,
    /// Cost.
    pub cost: Cost,
    /// Requests by `service:Operation`, after provisioning.
    pub operations: BTreeMap<String, u64>,
    /// All of them.
    pub aws_calls: u64,
    /// Fewest UpdateShardCount calls that were left in a rolling day.
    pub quota_headroom_min: u64,
    /// Our requests that AWS refused because a budget was used up.
    pub quota_refusals: u64,
    /// Changes to a value outside the spec's bounds.
    pub out_of_bounds: u64,
    /// Up, down and up again within one hour.
    pub reversals: u64,
    /// The same by `resource field`, where there were any.
    pub reversals_by_resource: BTreeMap<String, u64>,
    /// Diagnoses; the operator's only.
    pub diagnoses: Vec<Diagnosed>,
    /// How supply followed demand: `shards`, `slots`, and each table and index; empty without a demand.
    pub elasticity: BTreeMap<String, Elasticity>,
    /// Minutes from the first with a record older than 30 s until the first without, each.
    pub recoveries: Vec<u32>,
}

impl Measures {
    /// Sums a run up. `demand`: what the counted minutes asked for, if it is known.
    pub fn of(run: &Run, pipeline: &Pipeline, prices: &PriceSheet, demand: Option<&Demand>) -> Self {
        let counted: Vec<&Minute> = run.counted().collect();
        let sum = |of: fn(&Minute) -> u64| counted.iter().map(|minute| of(minute)).sum::<u64>();
        let bill = run.meters.usd(prices);
        let scaled_usd = run.meters.scaled().usd(prices).total_usd;
        let changes: Vec<&Change> = run.changes.iter().filter(|change| change.at >= run.counted_from).collect();
        let reversals_by_resource = reversals(&changes);
        let extended = pipeline.stream.retention.initial > INCLUDED_RETENTION;
        let optimum_usd = demand.map(|demand| optimum(demand, extended, prices).total_usd());
        let ages: Vec<f64> = counted.iter().map(|minute| minute.max_age_ms).collect();
        Self {
            minutes: counted.len() as u64,
            violation_minutes: violations(&counted, pipeline.objectives.iterator_age),
            max_iterator_age_seconds: counted.iter().map(|it| it.max_age_ms).fold(0.0, f64::max) / 1_000.0,
            records: Records {
                offered: sum(|it| it.offered),
                accepted: sum(|it| it.accepted),
                rejected: sum(|it| it.rejected),
                expired: sum(|it| it.expired),
                reread: sum(|it| it.reread),
            },
            cost: Cost {
                total_usd: bill.total_usd,
                scaled_usd,
                by_item: bill.items.iter().map(|item| (item.name.to_owned(), item.usd)).collect(),
                ratio_to_clairvoyant: optimum_usd.filter(|usd| *usd > 0.0).map(|usd| scaled_usd / usd),
            },
            operations: run.calls.clone(),
            aws_calls: run.calls.values().sum(),
            quota_headroom_min: headroom(&run.reshards),
            quota_refusals: run.quota_refusals,
            out_of_bounds: run.changes.iter().filter(|change| !is_inside(change, pipeline)).count() as u64,
            reversals: reversals_by_resource.values().sum(),
            reversals_by_resource,
            diagnoses: run.diagnoses.clone(),
            elasticity: demand.map(|demand| by_stage(demand, &counted)).unwrap_or_default(),
            recoveries: recoveries(&ages),
        }
    }
}

impl Run {
    /// The minutes that count.
    pub fn counted(&self) -> impl Iterator<Item = &Minute> {
        self.minutes.iter().filter(|minute| minute.at >= self.counted_from)
    }
}

/// Whether a minute missed the objective: by its age, by its rejections.
pub(super) fn violates(minute: &Minute, objective: SignedDuration) -> (bool, bool) {
    let old = minute.max_age_ms > objective.as_secs_f64() * 1_000.0;
    (old, minute.rejected as f64 > REJECTED_SHARE * minute.offered as f64)
}

/// Supply held against demand, stage by stage. A sink on demand has no supply of its own.
fn by_stage(demand: &Demand, minutes: &[&Minute]) -> BTreeMap<String, Elasticity> {
    let supply = |of: &dyn Fn(&Minute) -> f64| -> Vec<f64> { minutes.iter().map(|minute| of(minute)).collect() };
    let shards: Vec<f64> = demand.shards.iter().map(|count| f64::from(*count)).collect();
    let mut stages = BTreeMap::from([
        ("shards".to_owned(), elasticity(&shards, &supply(&|minute| f64::from(minute.shards)))),
        ("slots".to_owned(), elasticity(&demand.slots, &supply(&|minute| f64::from(minute.slots)))),
    ]);
    for (name, sink) in &demand.sinks {
        let of = |minute: &Minute| minute.sinks.get(name).map_or(0.0, |sink| sink.write_capacity as f64);
        if minutes.iter().any(|minute| minute.sinks.get(name).is_some_and(|sink| !sink.on_demand)) {
            stages.insert(name.clone(), elasticity(&sink.writes, &supply(&of)));
        }
    }
    stages
}

fn violations(minutes: &[&Minute], objective: SignedDuration) -> ViolationMinutes {
    let mut found = ViolationMinutes::default();
    for minute in minutes {
        let (old, rejected) = violates(minute, objective);
        found.iterator_age += u64::from(old);
        found.rejected += u64::from(rejected);
        found.total += u64::from(old || rejected);
    }
    found
}

/// Calls left at the worst moment: each accepted call takes one for 24 hours.
fn headroom(reshards: &[Timestamp]) -> u64 {
    let in_day =
        |at: &Timestamp| reshards.iter().filter(|other| **other <= *at && at.duration_since(**other) < DAY).count();
    let most = reshards.iter().map(in_day).max().unwrap_or(0);
    RESHARDS.saturating_sub(most) as u64
}

/// Three changes of one value after each other, up, down and up, within an hour.
fn reversals(changes: &[&Change]) -> BTreeMap<String, u64> {
    let mut by_value: BTreeMap<String, Vec<&Change>> = BTreeMap::new();
    // Creation (from 0) and deletion (to 0) are no scaling.
    for change in changes.iter().filter(|change| change.from > 0 && change.to > 0) {
        by_value.entry(format!("{} {}", change.resource, change.field)).or_default().push(change);
    }
    let turns = |changes: &[&Change]| match changes {
        [first, second, third] => {
            let directions = (first.to > first.from, second.to > second.from, third.to > third.from);
            directions == (true, false, true) && third.at.duration_since(first.at) <= REVERSAL
        }
        _ => false,
    };
    let counted = by_value
        .into_iter()
        .map(|(value, changes)| (value, changes.windows(3).filter(|three| turns(three)).count() as u64));
    counted.filter(|(_, count)| *count > 0).collect()
}

/// Whether a change ended inside the spec's bounds; what the spec does not bound is.
fn is_inside(change: &Change, pipeline: &Pipeline) -> bool {
    let stream = format!("stream/{}", pipeline.stream.name);
    if change.to == 0 {
        return true;
    }
    let capacity = |bounds: &Bounds<CapacityUnits>| bounds.contains(CapacityUnits(change.to));
    let small = u32::try_from(change.to).unwrap_or(u32::MAX);
    match change.field.as_str() {
        "shards" => change.resource != stream || pipeline.stream.shards.contains(ShardCount(small)),
        "retentionHours" => change.resource != stream || pipeline.stream.retention.contains(Hours(small)),
        "writeCapacity" => sink(pipeline, &change.resource).is_none_or(|(write, _)| capacity(&write)),
        "readCapacity" => sink(pipeline, &change.resource).is_none_or(|(_, read)| capacity(&read)),
        "parallelizationFactor" => {
            let inside = |bounds: &Bounds<ParallelizationFactor>| bounds.contains(ParallelizationFactor(small));
            pipeline.consumers.iter().any(|consumer| inside(&consumer.parallelization_factor))
        }
        _ => true,
    }
}

/// Write and read bounds of a table or index by its printed name.
fn sink(pipeline: &Pipeline, resource: &str) -> Option<(Bounds<CapacityUnits>, Bounds<CapacityUnits>)> {
    let find = |name: &str| pipeline.tables.iter().find(|it| it.name == name);
    match ResourceId::printed_sink(resource)? {
        ResourceId::Index(table, index) => {
            let index = find(&table)?.global_secondary_indexes.iter().find(|it| it.name == index)?;
            Some((index.write_capacity, index.read_capacity))
        }
        ResourceId::Table(table) => find(&table).map(|table| (table.write_capacity, table.read_capacity)),
        _ => None,
    }
}

/// Several documents of one shape as one: the mean of each number, and of lists the first document's. A key that one of
/// them lacks counts as 0 there.
pub fn mean(documents: &[Value]) -> Value {
    let (Some(first), count) = (documents.first(), documents.len()) else { return Value::Null };
    if count == 1 {
        return first.clone();
    }
    let objects: Vec<&Map<String, Value>> = documents.iter().filter_map(Value::as_object).collect();
    if !objects.is_empty() {
        let keys: std::collections::BTreeSet<&String> = objects.iter().flat_map(|object| object.keys()).collect();
        let zero = Value::from(0);
        let of = |key: &String| -> Vec<Value> {
            objects.iter().map(|object| object.get(key).unwrap_or(&zero).clone()).collect()
        };
        return Value::Object(keys.into_iter().map(|key| (key.clone(), mean(&of(key)))).collect());
    }
    let numbers: Vec<f64> = documents.iter().filter_map(Value::as_f64).collect();
    if numbers.len() == count {
        let mean = numbers.iter().sum::<f64>() / count as f64;
        return Number::from_f64(mean).map_or(Value::Null, Value::Number);
    }
    first.clone()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minute)
    }

    fn minute(number: i64, offered: u64, rejected: u64, age_s: f64) -> Minute {
        Minute {
            at: at(number),
            offered,
            offered_bytes: offered * 512,
            accepted: offered - rejected,
            rejected,
            expired: 0,
            reread: 0,
            max_age_ms: age_s * 1_000.0,
            shards: 2,
            slots: 4,
            busy_slots: 1.0,
            sinks: BTreeMap::new(),
        }
    }

    fn change(minute: i64, from: u64, to: u64) -> Change {
        Change { at: at(minute), resource: "stream/s".to_owned(), field: "shards".to_owned(), from, to }
    }

    #[test]
    fn a_minute_is_violated_above_the_objective_or_above_a_thousandth() {
        let minutes = [
            minute(0, 1_000, 1, 300.0),
            minute(1, 1_000, 2, 0.0),
            minute(2, 1_000, 0, 300.1),
            minute(3, 1_000, 2, 301.0),
            minute(4, 0, 0, 0.0),
        ];
        let found = violations(&minutes.iter().collect::<Vec<_>>(), SignedDuration::from_secs(300));
        assert_eq!(found, ViolationMinutes { total: 3, iterator_age: 2, rejected: 2 });
    }

    #[test]
    fn up_down_up_within_an_hour_is_one_reversal_and_creation_is_none() {
        let of = |changes: &[Change]| reversals(&changes.iter().collect::<Vec<_>>()).values().sum::<u64>();
        assert_eq!(of(&[change(0, 0, 2), change(1, 2, 1), change(2, 1, 2)]), 0, "creation is no raise");
        assert_eq!(of(&[change(0, 2, 4), change(30, 4, 2), change(60, 2, 4)]), 1);
        assert_eq!(of(&[change(0, 2, 4), change(30, 4, 2), change(61, 2, 4)]), 0);
        assert_eq!(of(&[change(0, 4, 2), change(1, 2, 4), change(2, 4, 2)]), 0, "down, up and down");
    }

    #[test]
    fn headroom_counts_a_rolling_day() {
        assert_eq!(headroom(&[]), 10);
        let day = 24 * 60;
        assert_eq!(headroom(&[at(0), at(1), at(day), at(day + 2)]), 8, "the first leaves as the third comes");
    }

    #[test]
    fn the_mean_of_documents_is_taken_number_by_number() {
        let documents = [
            json!({"a": 1, "b": {"x": 2.0}, "list": [1], "none": null}),
            json!({"a": 3, "b": {"y": 4.0}, "list": [2], "none": null}),
        ];
        assert_eq!(mean(&documents), json!({"a": 2.0, "b": {"x": 1.0, "y": 2.0}, "list": [1], "none": null}));
        assert_eq!(mean(&documents[..1]), documents[0], "one document stays as it is");
    }
}
