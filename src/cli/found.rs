//! A pipeline without a spec: made from what exists, so that it can be diagnosed.
//!
//! What always holds: it is observed only; each value is what exists, and its bounds are AWS's; every consumer is
//! taken to write to every table that was named.

use jiff::SignedDuration;

use crate::{
    model::{
        BatchSize, Bounds, CapacityFacts, CapacityUnits, Facts, Hours, MappingFacts, ParallelizationFactor, ShardCount,
        StreamMode, TableFacts,
    },
    spec::{
        AdoptionPolicy, ConsumerSpec, DeletionPolicy, Delivery, Encryption, GlobalIndexSpec, KeyAttribute, Management,
        Objectives, Pipeline, Projection, ScalingSpec, StartingPosition, StreamSpec, TableSpec,
    },
};

/// Shards of a stream, at most (Kinesis API, UpdateShardCount).
const MOST_SHARDS: u32 = 10_000;
/// Hours of retention, at most (Kinesis API, IncreaseStreamRetentionPeriod).
const MOST_HOURS: u32 = 8_760;
/// Units of a table or index, at most, by default (DynamoDB developer guide, "Service quotas").
const MOST_UNITS: u64 = 40_000;

/// A pipeline of which only the stream's name is known.
pub(super) fn named(stream: &str) -> Pipeline {
    Pipeline {
        name: stream.to_owned(),
        region: None,
        expected_account_ids: Vec::new(),
        management: Management::Observe,
        tags: std::collections::BTreeMap::new(),
        stream: StreamSpec {
            name: stream.to_owned(),
            mode: StreamMode::Provisioned,
            shards: around(ShardCount(1), ShardCount(1), ShardCount(MOST_SHARDS)),
            retention: around(Hours(24), Hours(24), Hours(MOST_HOURS)),
            shard_level_metrics: Vec::new(),
            encryption: Encryption::None,
            adoption_policy: AdoptionPolicy::Refuse,
            deletion_policy: DeletionPolicy::Retain,
        },
        consumers: Vec::new(),
        external_consumers: Vec::new(),
        tables: Vec::new(),
        // The defaults of a spec.
        objectives: Objectives {
            iterator_age: SignedDuration::from_secs(60),
            recovery: SignedDuration::from_mins(10),
            monthly_budget_usd: None,
        },
        scaling: ScalingSpec::default(),
    }
}

/// The pipeline that was found.
pub(super) fn pipeline(facts: &Facts) -> Pipeline {
    let stream = facts.stream.as_ref();
    let mut pipeline = named(stream.map_or("", |stream| stream.name.as_str()));
    if let Some(stream) = stream {
        pipeline.stream.mode = stream.mode;
    }
    let tables: Vec<String> = facts.tables.keys().cloned().collect();
    for mapping in &facts.mappings {
        let Some(function) = mapping.function_name() else { continue };
        let taken = pipeline.consumers.iter().filter(|other| other.function == function).count();
        pipeline.consumers.push(consumer(mapping, function, taken, &tables));
    }
    pipeline.tables = facts.tables.values().map(table).collect();
    pipeline
}

fn around<T>(initial: T, min: T, max: T) -> Bounds<T> {
    Bounds { min, max, initial }
}

fn consumer(mapping: &MappingFacts, function: String, taken: usize, tables: &[String]) -> ConsumerSpec {
    let factor = mapping.parallelization_factor;
    ConsumerSpec {
        name: if taken == 0 { function.clone() } else { format!("{function}-{}", taken + 1) },
        function,
        alias: mapping.function_alias(),
        delivery: Delivery::Auto,
        parallelization_factor: around(factor, ParallelizationFactor(1), ParallelizationFactor(10)),
        batch_size: around(mapping.batch_size, BatchSize(1), BatchSize(10_000)),
        maximum_batching_window_seconds: mapping.maximum_batching_window_seconds,
        starting_position: StartingPosition::Latest,
        tumbling_window_seconds: mapping.tumbling_window_seconds,
        maximum_retry_attempts: mapping.maximum_retry_attempts,
        maximum_record_age_seconds: mapping.maximum_record_age_seconds,
        bisect_batch_on_function_error: mapping.bisect_batch_on_function_error,
        report_batch_item_failures: mapping.report_batch_item_failures,
        on_failure: mapping.on_failure.clone(),
        filter_criteria: mapping.filter_criteria.clone(),
        idempotent: false,
        concurrency_safe: true,
        writes_to: tables.to_vec(),
    }
}

fn capacity(live: CapacityFacts) -> (Bounds<CapacityUnits>, Bounds<CapacityUnits>) {
    let bounds = |units: CapacityUnits| around(units, CapacityUnits(1), CapacityUnits(MOST_UNITS.max(units.get())));
    (bounds(live.write), bounds(live.read))
}

fn table(live: &TableFacts) -> TableSpec {
    let key = |text: &str| {
        let (name, kind) = text.rsplit_once(':').unwrap_or((text, "S"));
        KeyAttribute { name: name.to_owned(), kind: kind.to_owned() }
    };
    let indexes = live.global_secondary_indexes.values().map(|index| {
        let (write_capacity, read_capacity) = capacity(index.capacity);
        GlobalIndexSpec {
            name: index.name.clone(),
            partition_key: key(&index.partition_key),
            sort_key: index.sort_key.as_deref().map(key),
            projection: Projection::All,
            write_capacity,
            read_capacity,
        }
    });
    let (write_capacity, read_capacity) = capacity(live.capacity);
    TableSpec {
        name: live.name.clone(),
        billing_mode: live.billing_mode.into(),
        partition_key: key(&live.partition_key),
        sort_key: live.sort_key.as_deref().map(key),
        write_capacity,
        read_capacity,
        global_secondary_indexes: indexes.collect(),
        local_secondary_indexes: Vec::new(),
        stream_view_type: live.stream_view_type.clone(),
        time_to_live: None,
        point_in_time_recovery: false,
        deletion_protection: live.deletion_protection,
        adoption_policy: AdoptionPolicy::Refuse,
        deletion_policy: DeletionPolicy::Retain,
    }
}
