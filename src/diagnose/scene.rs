//! A scene for the tests of the rules: a small pipeline that is healthy, half an hour of steady minutes, and ways to
//! make single things wrong.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::{Diagnosis, Finding, diagnose};
use crate::{
    model::{
        BatchSize, BillingMode, CapacityFacts, CapacityUnits, ConsumerSignals, Facts, FunctionFacts, Hours, IndexFacts,
        IndexSignals, LifecycleStatus, MappingFacts, MappingState, ParallelizationFactor, Point, ResourceId,
        ShardCount, Signal, Signals, StreamFacts, StreamMode, StreamSignals, TableFacts, TableSignals,
    },
    spec::{self, Pipeline, ScalingPolicy},
};

/// Minutes of measurements.
pub(crate) const MINUTES: i64 = 30;

#[derive(Debug, Clone)]
pub(crate) struct Scene {
    pub(crate) pipeline: Pipeline,
    pub(crate) policy: ScalingPolicy,
    pub(crate) facts: Facts,
    pub(crate) signals: Signals,
    /// When the open shards changed last.
    pub(crate) resharded: Option<Timestamp>,
}

fn newest() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

/// The same value in each minute.
pub(crate) fn steady(value: f64) -> Signal {
    lately(value, 0, value)
}

/// One value, and another in the newest minutes.
pub(crate) fn lately(before: f64, minutes: i64, value: f64) -> Signal {
    let points = (0..MINUTES).rev().map(|ago| Point {
        at: newest() - SignedDuration::from_mins(ago),
        value: if ago < minutes { value } else { before },
    });
    Signal::of(points.collect(), newest())
}

/// An age in s that grows by `slope` s a second up to `now`.
pub(crate) fn growing(now: f64, slope: f64) -> Signal {
    let points = (0..MINUTES).rev().map(|ago| Point {
        at: newest() - SignedDuration::from_mins(ago),
        value: (now - slope * 60.0 * ago as f64).max(0.0) * 1000.0,
    });
    Signal::of(points.collect(), newest())
}

pub(crate) fn minute(ago: i64) -> Timestamp {
    newest() - SignedDuration::from_mins(ago)
}

fn capacity(read: u64, write: u64) -> CapacityFacts {
    CapacityFacts { read: CapacityUnits(read), write: CapacityUnits(write), decreases_today: 0, last_decrease: None }
}

fn pipeline() -> Pipeline {
    let bounds = |min: u32, max: u32| json!({"min": min, "max": max, "initial": min});
    let key = json!({"name": "PK", "kind": "S"});
    serde_json::from_value(json!({
        "name": "p", "region": null, "expectedAccountIds": [], "management": "full", "tags": {},
        "stream": {"name": "s", "mode": "provisioned", "shards": bounds(1, 16), "retention": bounds(24, 168),
            "shardLevelMetrics": [], "encryption": "none", "adoptionPolicy": "refuse", "deletionPolicy": "retain"},
        "consumers": [{"name": "c", "function": "f", "alias": null, "delivery": "shared",
            "parallelizationFactor": bounds(1, 10), "batchSize": bounds(10, 1000), "maximumBatchingWindowSeconds": 0,
            "startingPosition": "latest", "tumblingWindowSeconds": 0, "maximumRetryAttempts": -1,
            "maximumRecordAgeSeconds": -1, "bisectBatchOnFunctionError": false, "reportBatchItemFailures": false,
            "onFailure": null, "filterCriteria": [], "idempotent": false, "concurrencySafe": true, "writesTo": ["t"]}],
        "externalConsumers": [],
        "tables": [{"name": "t", "billingMode": "provisioned", "partitionKey": key, "sortKey": null,
            "writeCapacity": bounds(10, 1000), "readCapacity": bounds(10, 1000),
            "globalSecondaryIndexes": [{"name": "i", "partitionKey": key, "sortKey": null, "projection": "all",
                "writeCapacity": bounds(10, 1000), "readCapacity": bounds(10, 1000)}],
            "localSecondaryIndexes": [], "streamViewType": null, "timeToLive": null, "pointInTimeRecovery": false,
            "deletionProtection": false, "adoptionPolicy": "refuse", "deletionPolicy": "retain"}],
        "objectives": {"iteratorAge": "PT60S", "recovery": "PT10M", "monthlyBudgetUsd": null},
        "scaling": {"policy": "balanced", "schedule": [], "freeze": [], "breakGlass": []},
    }))
    .unwrap()
}

fn table() -> TableFacts {
    TableFacts {
        name: "t".into(),
        arn: "arn:t".into(),
        id: None,
        status: LifecycleStatus::Active,
        billing_mode: BillingMode::Provisioned,
        capacity: capacity(100, 100),
        partition_key: "PK:S".into(),
        sort_key: None,
        global_secondary_indexes: BTreeMap::from([(
            "i".to_owned(),
            IndexFacts {
                name: "i".into(),
                status: LifecycleStatus::Active,
                partition_key: "PK:S".into(),
                sort_key: None,
                capacity: capacity(100, 100),
            },
        )]),
        local_secondary_indexes: Vec::new(),
        stream_view_type: None,
        time_to_live: None,
        point_in_time_recovery: false,
        deletion_protection: false,
        on_demand_maximum_write: None,
        tags: BTreeMap::new(),
    }
}

fn facts() -> Facts {
    let function = FunctionFacts {
        name: "f".into(),
        arn: "arn:aws:lambda:us-east-2:123456789012:function:f".into(),
        timeout_seconds: 10,
        memory_mb: 1769,
        reserved_concurrency: None,
    };
    Facts {
        observed_at: newest() + SignedDuration::from_mins(3),
        account: "123456789012".into(),
        region: "us-east-2".into(),
        caller: "arn".into(),
        stream: Some(StreamFacts {
            name: "s".into(),
            arn: "arn:s".into(),
            status: LifecycleStatus::Active,
            mode: StreamMode::Provisioned,
            open_shards: ShardCount(2),
            shards: Vec::new(),
            retention: Hours(24),
            encryption_key: None,
            shard_level_metrics: Vec::new(),
            created_at: None,
            tags: BTreeMap::new(),
        }),
        fan_out: Vec::new(),
        mappings: vec![MappingFacts {
            uuid: "u".into(),
            arn: None,
            function_arn: function.arn.clone(),
            source_arn: "arn:s".into(),
            state: MappingState::Enabled,
            batch_size: BatchSize(100),
            maximum_batching_window_seconds: 0,
            parallelization_factor: ParallelizationFactor(1),
            starting_position: "LATEST".into(),
            tumbling_window_seconds: 0,
            maximum_retry_attempts: -1,
            maximum_record_age_seconds: -1,
            bisect_batch_on_function_error: false,
            report_batch_item_failures: false,
            on_failure: None,
            filter_criteria: Vec::new(),
            kms_key_arn: None,
            metrics: Vec::new(),
            last_modified: None,
            last_processing_result: Some("OK".into()),
            tags: BTreeMap::new(),
        }],
        functions: BTreeMap::from([("f".to_owned(), function)]),
        tables: BTreeMap::from([("t".to_owned(), table())]),
        account_concurrency: Some(1000),
        shard_limit: None,
    }
}

/// 400 records/s of 500 bytes, four invocations a second of 200 ms, 40 of 100 write units/s.
fn signals() -> Signals {
    let sink = || IndexSignals {
        consumed_write: steady(40.0 * 60.0),
        consumed_read: steady(10.0 * 60.0),
        write_throttles: steady(0.0),
        key_range_throttles: steady(0.0),
        read_throttles: steady(0.0),
        account_limit_throttles: Signal::absent(),
        on_demand_maximum_throttles: Signal::absent(),
    };
    Signals {
        observed_at: newest() + SignedDuration::from_mins(3),
        newest_expected: newest(),
        metrics_requested: 30,
        account_concurrency: steady(10.0),
        stream: StreamSignals {
            incoming_records: steady(400.0 * 60.0),
            incoming_bytes: steady(400.0 * 60.0 * 500.0),
            rejected_records: steady(0.0),
            read_throttles: steady(0.0),
            iterator_age_ms: steady(0.0),
            get_records: steady(400.0 * 60.0),
            get_records_bytes: steady(400.0 * 60.0 * 500.0),
            get_records_success: steady(1.0),
            put_record_success: steady(1.0),
            put_records_success: Signal::absent(),
            shards: BTreeMap::new(),
        },
        consumers: BTreeMap::from([(
            "c".to_owned(),
            ConsumerSignals {
                invocations: steady(4.0 * 60.0),
                errors: steady(0.0),
                throttles: steady(0.0),
                duration_avg_ms: steady(200.0),
                duration_max_ms: steady(300.0),
                iterator_age_ms: steady(500.0),
                concurrent_executions: steady(2.0),
                ..ConsumerSignals::default()
            },
        )]),
        tables: BTreeMap::from([(
            "t".to_owned(),
            TableSignals { table: sink(), indexes: BTreeMap::from([("i".to_owned(), sink())]) },
        )]),
    }
}

impl Scene {
    pub(crate) fn healthy() -> Self {
        let policy = spec::policy::builtin("balanced").unwrap();
        Self { pipeline: pipeline(), policy, facts: facts(), signals: signals(), resharded: None }
    }

    /// A healthy scene with something changed.
    pub(crate) fn with(change: impl FnOnce(&mut Self)) -> Self {
        let mut scene = Self::healthy();
        change(&mut scene);
        scene
    }

    pub(crate) fn stream(&mut self) -> &mut StreamFacts {
        self.facts.stream.as_mut().unwrap()
    }

    pub(crate) fn table(&mut self) -> &mut TableFacts {
        self.facts.tables.get_mut("t").unwrap()
    }

    pub(crate) fn function(&mut self) -> &mut FunctionFacts {
        self.facts.functions.get_mut("f").unwrap()
    }

    pub(crate) fn mapping(&mut self) -> &mut MappingFacts {
        &mut self.facts.mappings[0]
    }

    pub(crate) fn consumer(&mut self) -> &mut ConsumerSignals {
        self.signals.consumers.get_mut("c").unwrap()
    }

    pub(crate) fn sink(&mut self) -> &mut IndexSignals {
        &mut self.signals.tables.get_mut("t").unwrap().table
    }

    pub(crate) fn index(&mut self) -> &mut IndexSignals {
        self.signals.tables.get_mut("t").unwrap().indexes.get_mut("i").unwrap()
    }

    /// The consumer lags so much, growing.
    pub(crate) fn lag(&mut self, now: f64, slope: f64) {
        self.consumer().iterator_age_ms = growing(now, slope);
    }

    pub(crate) fn findings(&self) -> Vec<Finding> {
        diagnose(&self.pipeline, &self.policy, &self.facts, &self.signals, self.resharded)
    }

    pub(crate) fn codes(&self) -> Vec<Diagnosis> {
        self.findings().iter().map(|finding| finding.diagnosis).collect()
    }

    pub(crate) fn finding(&self, code: Diagnosis) -> Finding {
        let found = self.findings();
        found.iter().find(|finding| finding.diagnosis == code).unwrap_or_else(|| panic!("{code}: {found:#?}")).clone()
    }
}

/// The mapping of the scene's consumer.
pub(crate) fn mapping() -> ResourceId {
    ResourceId::Mapping("c".to_owned())
}
