//! The sizing on hand-made signals: one scene, the Alleycat spec at its initial values, minute by minute.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::{MAX_RESHARDS_PER_DAY, Sizing, decide, learn, note_reshard, remember, reshards_used};
use crate::{
    cost::PriceSheet,
    diagnose::{Diagnosis, Finding},
    memory::Memory,
    model::{
        BillingMode, CapacityFacts, CapacityUnits, ConsumerSignals, Facts, Freshness, FunctionFacts, IndexFacts,
        IndexSignals, LifecycleStatus, MappingFacts, MappingState, ParallelizationFactor, Point, ResourceId,
        ShardCount, Signal, Signals, StreamFacts, StreamMode, StreamSignals, TAG_RESHARDS, TableFacts, TableSignals,
    },
    spec::{self, GlobalIndexSpec, Pipeline, ScalingPolicy, TableSpec},
};

pub(super) const TABLE: &str = "alleycat-races";
pub(super) const INDEX: &str = "GSI_Index";

/// What every minute of the window looks like.
#[derive(Debug, Clone)]
pub(super) struct Load {
    pub(super) records: f64,
    pub(super) rejected: f64,
    pub(super) age_seconds: f64,
    pub(super) invocations: (f64, f64),
    pub(super) duration_ms: (f64, f64),
    pub(super) errors: f64,
    pub(super) write: f64,
    pub(super) index_write: f64,
    pub(super) read: f64,
    pub(super) throttles: f64,
    pub(super) key_range: f64,
    pub(super) freshness: Freshness,
}

impl Load {
    /// A race with everything keeping up: the arithmetic of one shard and factor 1.
    pub(super) fn race() -> Self {
        Self {
            records: 1000.0,
            rejected: 0.0,
            age_seconds: 1.0,
            invocations: (1.0, 10.0),
            duration_ms: (200.0, 13.0),
            errors: 0.0,
            write: 48.0,
            index_write: 24.0,
            read: 3.0,
            throttles: 0.0,
            key_range: 0.0,
            freshness: Freshness::Fresh,
        }
    }

    pub(super) fn quiet() -> Self {
        Self {
            records: 0.0,
            age_seconds: 0.0,
            invocations: (0.0, 0.0),
            write: 0.0,
            index_write: 0.0,
            read: 0.0,
            ..Self::race()
        }
    }
}

fn capacity(read: u64, write: u64) -> CapacityFacts {
    CapacityFacts { read: CapacityUnits(read), write: CapacityUnits(write), decreases_today: 0, last_decrease: None }
}

/// A table of the spec, at the template's capacity.
fn table(spec: &TableSpec) -> TableFacts {
    let index = |index: &GlobalIndexSpec| IndexFacts {
        name: index.name.clone(),
        status: LifecycleStatus::Active,
        partition_key: index.partition_key.to_string(),
        sort_key: index.sort_key.as_ref().map(ToString::to_string),
        capacity: capacity(10, 10),
    };
    TableFacts {
        name: spec.name.clone(),
        arn: "arn:table".into(),
        id: None,
        status: LifecycleStatus::Active,
        billing_mode: BillingMode::Provisioned,
        capacity: capacity(20, 20),
        partition_key: spec.partition_key.to_string(),
        sort_key: spec.sort_key.as_ref().map(ToString::to_string),
        global_secondary_indexes: spec.global_secondary_indexes.iter().map(|it| (it.name.clone(), index(it))).collect(),
        local_secondary_indexes: spec.local_secondary_indexes.iter().map(|it| it.name.clone()).collect(),
        stream_view_type: None,
        time_to_live: None,
        point_in_time_recovery: true,
        deletion_protection: true,
        on_demand_maximum_write: None,
        tags: BTreeMap::new(),
    }
}

pub(super) struct Scene {
    pub(super) pipeline: Pipeline,
    pub(super) policy: ScalingPolicy,
    pub(super) facts: Facts,
    pub(super) memory: Memory,
    pub(super) now: Timestamp,
}

impl Scene {
    pub(super) fn new() -> Self {
        Self::of(spec::parse(include_str!("../../examples/alleycat.yaml")).unwrap())
    }

    /// Everything that a spec asks for, with one shard and at factor and batch size as it says.
    pub(super) fn of(pipeline: Pipeline) -> Self {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let mut facts = Facts {
            observed_at: now,
            account: "123456789012".into(),
            region: "us-east-2".into(),
            caller: "arn".into(),
            stream: Some(StreamFacts {
                name: pipeline.stream.name.clone(),
                arn: "arn:stream".into(),
                status: LifecycleStatus::Active,
                mode: StreamMode::Provisioned,
                open_shards: ShardCount(1),
                shards: Vec::new(),
                retention: crate::model::Hours(24),
                encryption_key: None,
                shard_level_metrics: Vec::new(),
                created_at: None,
                tags: BTreeMap::from([(TAG_RESHARDS.to_owned(), "none".to_owned())]),
            }),
            fan_out: Vec::new(),
            functions: BTreeMap::new(),
            mappings: Vec::new(),
            tables: BTreeMap::new(),
            account_concurrency: None,
            shard_limit: None,
        };
        for consumer in &pipeline.consumers {
            let arn = format!("arn:function:{}", consumer.function);
            facts.functions.insert(
                consumer.function.clone(),
                FunctionFacts {
                    name: consumer.function.clone(),
                    arn: arn.clone(),
                    timeout_seconds: 15,
                    memory_mb: 256,
                    reserved_concurrency: None,
                },
            );
            facts.mappings.push(MappingFacts {
                uuid: consumer.name.clone(),
                arn: None,
                function_arn: arn,
                source_arn: "arn:stream".into(),
                state: MappingState::Enabled,
                batch_size: consumer.batch_size.initial,
                maximum_batching_window_seconds: 0,
                parallelization_factor: consumer.parallelization_factor.initial,
                starting_position: "TRIM_HORIZON".into(),
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
                last_processing_result: None,
                tags: BTreeMap::new(),
            });
        }
        facts.tables = pipeline.tables.iter().map(|spec| (spec.name.clone(), table(spec))).collect();
        let policy = spec::policy::builtin("balanced").unwrap();
        Self { pipeline, policy, facts, memory: Memory::empty(), now }
    }

    pub(super) fn stream(&mut self) -> &mut StreamFacts {
        self.facts.stream.as_mut().unwrap()
    }

    pub(super) fn table(&mut self) -> &mut TableFacts {
        self.facts.tables.get_mut(TABLE).unwrap()
    }

    pub(super) fn set_write(&mut self, table: u64, index: u64) {
        self.table().capacity.write = CapacityUnits(table);
        self.table().global_secondary_indexes.get_mut(INDEX).unwrap().capacity.write = CapacityUnits(index);
    }

    pub(super) fn signals(&self, load: &Load) -> Signals {
        let newest = self.now - SignedDuration::from_mins(3);
        let series = |value: f64| Signal {
            freshness: load.freshness,
            young: Vec::new(),
            points: if load.freshness == Freshness::Absent {
                Vec::new()
            } else {
                let late = if load.freshness == Freshness::Stale { 10 } else { 0 };
                (late..30).rev().map(|m| Point { at: newest - SignedDuration::from_mins(m), value }).collect()
            },
        };
        let sum = |per_second: f64| series(per_second * 60.0);
        let consumer = |invocations: f64, ms: f64| ConsumerSignals {
            invocations: sum(invocations),
            errors: series(load.errors),
            throttles: series(0.0),
            duration_avg_ms: if invocations > 0.0 { series(ms) } else { Signal::absent() },
            duration_max_ms: if invocations > 0.0 { series(ms) } else { Signal::absent() },
            iterator_age_ms: if invocations > 0.0 { series(load.age_seconds * 1000.0) } else { Signal::absent() },
            concurrent_executions: series(1.0),
            ..ConsumerSignals::default()
        };
        let sink = |write: f64, read: f64| IndexSignals {
            consumed_write: sum(write),
            consumed_read: sum(read),
            write_throttles: series(load.throttles),
            key_range_throttles: series(load.key_range),
            read_throttles: series(0.0),
            ..IndexSignals::default()
        };
        Signals {
            observed_at: self.now,
            newest_expected: newest,
            metrics_requested: 24,
            account_concurrency: Signal::absent(),
            stream: StreamSignals {
                incoming_records: sum(load.records),
                incoming_bytes: sum(load.records * 190.0),
                rejected_records: sum(load.rejected),
                read_throttles: series(0.0),
                iterator_age_ms: series(load.age_seconds * 1000.0),
                get_records: sum(load.records * 3.0),
                ..StreamSignals::default()
            },
            consumers: BTreeMap::from([
                ("leaderboard".to_owned(), consumer(load.invocations.0, load.duration_ms.0)),
                ("final-results".to_owned(), consumer(load.invocations.1, load.duration_ms.1)),
            ]),
            tables: BTreeMap::from([(
                TABLE.to_owned(),
                TableSignals {
                    table: sink(load.write, load.read),
                    indexes: BTreeMap::from([(INDEX.to_owned(), sink(load.index_write, 0.0))]),
                },
            )]),
        }
    }

    /// One cycle; a minute passes.
    pub(super) fn cycle(&mut self, load: &Load) -> (Vec<Finding>, Sizing) {
        self.cycle_on(&self.signals(load))
    }

    pub(super) fn cycle_on(&mut self, signals: &Signals) -> (Vec<Finding>, Sizing) {
        remember(&mut self.memory, &self.policy, &self.facts, self.now);
        learn(&mut self.memory, &self.pipeline, &self.policy, &self.facts, signals, self.now);
        let prices = PriceSheet::us_east_1();
        let decision = decide(&self.pipeline, &self.policy, &prices, &self.facts, signals, &mut self.memory, self.now);
        self.now += SignedDuration::from_mins(1);
        decision
    }

    pub(super) fn cycles(&mut self, load: &Load, minutes: u32) -> Option<Sizing> {
        (0..minutes).map(|_| self.cycle(load).1).last()
    }
}

pub(super) fn shards(sizing: &Sizing) -> Option<u32> {
    sizing.targets.shards.as_ref().map(|target| target.value.get())
}

pub(super) fn write(sizing: &Sizing) -> Option<u64> {
    sizing.targets.tables.get(TABLE)?.table.write.as_ref().map(|target| target.value.get())
}

pub(super) fn index_write(sizing: &Sizing) -> Option<u64> {
    sizing.targets.tables.get(TABLE)?.indexes.get(INDEX)?.write.as_ref().map(|target| target.value.get())
}

pub(super) fn factor(sizing: &Sizing, consumer: &str) -> Option<u32> {
    sizing.targets.consumers.get(consumer)?.parallelization_factor.as_ref().map(|target| target.value.get())
}

pub(super) fn held(sizing: &Sizing, guard: &str) -> bool {
    sizing.holds.iter().any(|hold| hold.guard == guard)
}

#[test]
fn the_table_is_raised_with_the_shards_that_cost_it_more() {
    let mut scene = Scene::new();
    let (findings, first) = scene.cycle(&Load::race());
    assert!(findings.iter().any(|finding| finding.diagnosis == Diagnosis::IngestShort));
    assert!(findings.iter().any(|finding| finding.diagnosis == Diagnosis::SinkShort));
    // Two shards are polled twice a second: 96 units/s on the table, 48 on the index, at 86.5 %.
    assert_eq!(write(&first), Some(111));
    assert_eq!(index_write(&first), Some(56));
    assert_eq!(shards(&first), Some(2), "{:?}", first.holds);
    scene.set_write(111, 56);
    let (_, second) = scene.cycle(&Load::race());
    assert_eq!(write(&second), None);
}

#[test]
fn a_table_in_transition_keeps_the_shards_waiting() {
    let mut scene = Scene::new();
    scene.set_write(113, 57);
    scene.table().status = LifecycleStatus::Updating;
    let (_, sizing) = scene.cycle(&Load::race());
    assert_eq!(shards(&sizing), None);
    assert!(held(&sizing, "sink-first"));
}

#[test]
fn rejected_records_do_not_wait_for_the_table() {
    let mut scene = Scene::new();
    let (_, sizing) = scene.cycle(&Load { rejected: 30.0, ..Load::race() });
    assert_eq!(shards(&sizing), Some(2));
    assert!(write(&sizing).is_some());
}

#[test]
fn shards_are_not_raised_while_a_table_at_its_bound_throttles() {
    let mut scene = Scene::new();
    scene.set_write(4000, 2000);
    let throttled = Load { throttles: 50.0, ..Load::race() };
    let (_, sizing) = scene.cycle(&throttled);
    assert_eq!(shards(&sizing), None);
    assert!(held(&sizing, "sink-first"), "{:?}", sizing.holds);
    let (_, sizing) = scene.cycle(&Load { rejected: 30.0, ..throttled });
    assert_eq!(shards(&sizing), Some(2), "records lost for good do not wait");
}

#[test]
fn what_a_function_said_last_counts_when_it_is_silent() {
    let mut scene = Scene::new();
    let behind = Load { age_seconds: 100.0, ..Load::race() };
    let mut signals = scene.signals(&behind);
    let own = signals.consumers.values_mut().map(|consumer| &mut consumer.iterator_age_ms);
    for age in own {
        // The last batch was 100 s old; in the newest minute it was not invoked.
        age.points.pop();
        age.freshness = Freshness::Stale;
    }
    signals.stream.iterator_age_ms.points.iter_mut().for_each(|point| point.value = 0.0);
    learn(&mut scene.memory, &scene.pipeline, &scene.policy, &scene.facts, &signals, scene.now);
    assert_eq!(scene.memory.drained_since, None);
}

#[test]
fn a_hot_key_is_not_resharded() {
    // The second load is worth a fifth shard; the first would do with fewer, but for what is rejected.
    for (records, rejected, wants_more) in [(1200.0, 200.0, false), (2600.0, 120.0, true)] {
        let mut scene = Scene::new();
        scene.stream().open_shards = ShardCount(4);
        let (findings, sizing) = scene.cycle(&Load { records, rejected, ..Load::race() });
        assert!(findings.iter().any(|finding| finding.diagnosis == Diagnosis::HotShard));
        assert_eq!(shards(&sizing), None);
        assert_eq!(held(&sizing, "hot-shard"), wants_more);
    }
}

#[test]
fn nothing_is_sized_without_signals() {
    for freshness in [Freshness::Absent, Freshness::Stale] {
        let mut scene = Scene::new();
        scene.stream().open_shards = ShardCount(8);
        scene.set_write(1000, 500);
        for _ in 0..400 {
            let (_, sizing) = scene.cycle(&Load { freshness, ..Load::quiet() });
            assert_eq!(sizing.targets, super::Targets::default());
            assert!(held(&sizing, "blind"));
        }
    }
}

#[test]
fn consumers_are_not_raised_into_a_throttled_sink() {
    let mut scene = Scene::new();
    scene.stream().open_shards = ShardCount(2);
    scene.set_write(113, 57);
    // Learn the true rate first, then fall behind with throttles.
    scene.cycle(&Load { invocations: (2.0, 10.0), duration_ms: (900.0, 13.0), ..Load::race() });
    let behind =
        Load { age_seconds: 300.0, duration_ms: (2400.0, 13.0), throttles: 50.0, write: 113.0, ..Load::race() };
    let (_, sizing) = scene.cycle(&behind);
    assert_eq!(factor(&sizing, "leaderboard"), None);
    assert!(held(&sizing, "not-the-bottleneck"), "{:?}", sizing.holds);
    assert!(write(&sizing).is_some_and(|units| units > 113), "the sink is raised instead");
}

/// A table that carries every factor, and what a slow consumer does in a good minute.
pub(super) fn slow_consumer() -> (Scene, Load) {
    let mut scene = Scene::new();
    scene.stream().open_shards = ShardCount(2);
    scene.set_write(4000, 2000);
    scene.table().capacity.read = CapacityUnits(400);
    let healthy =
        Load { invocations: (2.0, 10.0), duration_ms: (900.0, 13.0), write: 96.0, index_write: 48.0, ..Load::race() };
    scene.cycle(&healthy);
    (scene, healthy)
}

#[test]
fn a_slow_consumer_gets_more_slots_once_the_table_carries_them() {
    let (mut scene, healthy) = slow_consumer();
    let behind = Load { age_seconds: 120.0, invocations: (1.1, 10.0), ..healthy };
    let (findings, sizing) = scene.cycle(&behind);
    assert!(factor(&sizing, "leaderboard").is_some_and(|factor| factor > 1), "{findings:?} {:?}", sizing.holds);
    scene.set_write(113, 57);
    let (_, sizing) = scene.cycle(&behind);
    assert_eq!(factor(&sizing, "leaderboard"), None, "not before the table carries the invocations");
    assert!(held(&sizing, "sink-first"), "{:?}", sizing.holds);
}

#[test]
fn quiet_hours_lower_capacity_then_shards_and_only_after_their_windows() {
    let mut scene = Scene::new();
    scene.stream().open_shards = ShardCount(2);
    scene.set_write(113, 57);
    let mut capacity_at = None;
    let mut shards_at = None;
    for minute in 0..300 {
        let (_, sizing) = scene.cycle(&Load::quiet());
        if let Some(units) = write(&sizing) {
            assert_eq!((units, index_write(&sizing)), (20, Some(10)));
            scene.set_write(20, 10);
            capacity_at.get_or_insert(minute);
            assert_eq!(shards(&sizing), None, "one stage at a time");
        }
        if let Some(count) = shards(&sizing) {
            assert_eq!(count, 1);
            scene.stream().open_shards = ShardCount(1);
            note_reshard(&mut scene.memory, ShardCount(1), scene.now);
            shards_at.get_or_insert(minute);
        }
    }
    assert!(capacity_at.is_some_and(|minute| (14..=20).contains(&minute)), "{capacity_at:?}");
    assert!(shards_at.is_some_and(|minute| (179..=190).contains(&minute)), "{shards_at:?}");
}

#[test]
fn a_backlog_or_an_unknown_age_keeps_everything_up() {
    for load in [Load { age_seconds: 45.0, ..Load::quiet() }, Load { age_seconds: 31.0, ..Load::race() }] {
        let mut scene = Scene::new();
        scene.stream().open_shards = ShardCount(8);
        scene.set_write(1000, 500);
        for _ in 0..250 {
            let (_, sizing) = scene.cycle(&load);
            assert!(shards(&sizing).is_none() && write(&sizing).is_none(), "{sizing:?}");
        }
    }
}

#[test]
fn with_both_ledgers_lost_five_calls_are_used_and_nothing_is_lowered_for_three_hours() {
    let mut scene = Scene::new();
    scene.stream().tags.clear();
    scene.stream().open_shards = ShardCount(2);
    scene.set_write(1000, 500);
    for minute in 0..178 {
        let (_, sizing) = scene.cycle(&Load::quiet());
        assert_eq!(reshards_used(&scene.memory.reshards, scene.now), 5);
        assert!(write(&sizing).is_none() && shards(&sizing).is_none(), "minute {minute}");
    }
    let lowered = (0..5).any(|_| write(&scene.cycle(&Load::quiet()).1).is_some());
    assert!(lowered);
}

#[test]
fn a_lost_store_is_filled_from_the_tag() {
    let mut scene = Scene::new();
    for _ in 0..3 {
        note_reshard(&mut scene.memory, ShardCount(1), scene.now);
    }
    let tag = super::ledger_tag(&scene.memory.reshards, scene.now);
    scene.stream().tags.insert(TAG_RESHARDS.to_owned(), tag);
    scene.memory = Memory::empty();
    scene.cycle(&Load::quiet());
    assert_eq!(reshards_used(&scene.memory.reshards, scene.now), 3);
    assert_eq!(scene.memory.no_scale_in_before, None);
}

#[test]
fn somebody_elses_reshard_is_counted_and_ours_only_once() {
    let mut scene = Scene::new();
    scene.cycle(&Load::quiet());
    note_reshard(&mut scene.memory, ShardCount(2), scene.now);
    scene.stream().open_shards = ShardCount(2);
    scene.cycle(&Load::quiet());
    assert_eq!(reshards_used(&scene.memory.reshards, scene.now), 1);
    scene.stream().open_shards = ShardCount(3);
    scene.cycle(&Load::quiet());
    assert_eq!(reshards_used(&scene.memory.reshards, scene.now), 2);
}

#[test]
fn lowering_keeps_a_reserve_of_calls_and_raising_uses_them() {
    let mut scene = Scene::new();
    scene.cycle(&Load::quiet());
    for _ in 0..6 {
        note_reshard(&mut scene.memory, ShardCount(1), scene.now);
    }
    scene.memory.stream_seen.as_mut().unwrap().pending_target = None;
    scene.stream().open_shards = ShardCount(2);
    scene.memory.stream_seen.as_mut().unwrap().open_shards = ShardCount(2);
    let last = scene.cycles(&Load::quiet(), 200).unwrap();
    assert_eq!(shards(&last), None);
    assert!(held(&last, "quota"), "{:?}", last.holds);
    let (_, raise) = scene.cycle(&Load { rejected: 50.0, records: 2000.0, ..Load::race() });
    assert!(shards(&raise).is_some_and(|count| count > 2));
    for _ in 6..MAX_RESHARDS_PER_DAY {
        note_reshard(&mut scene.memory, ShardCount(1), scene.now);
    }
    scene.memory.stream_seen.as_mut().unwrap().pending_target = None;
    let (_, none) = scene.cycle(&Load { rejected: 50.0, records: 2000.0, ..Load::race() });
    assert_eq!(shards(&none), None);
    assert!(held(&none, "quota"));
}

#[test]
fn no_second_call_while_the_first_has_not_shown() {
    let mut scene = Scene::new();
    scene.cycle(&Load::race());
    note_reshard(&mut scene.memory, ShardCount(2), scene.now);
    let (_, sizing) = scene.cycle(&Load { rejected: 30.0, ..Load::race() });
    assert_eq!(shards(&sizing), None);
    assert!(held(&sizing, "in-transition"));
}

#[test]
fn what_is_in_transition_is_left_alone() {
    let mut scene = Scene::new();
    scene.stream().status = LifecycleStatus::Updating;
    scene.table().status = LifecycleStatus::Updating;
    for mapping in &mut scene.facts.mappings {
        mapping.state = MappingState::Updating;
    }
    let (_, sizing) = scene.cycle(&Load { rejected: 30.0, throttles: 9.0, ..Load::race() });
    assert_eq!(shards(&sizing), None);
    assert_eq!((write(&sizing), index_write(&sizing)), (None, None));
    assert_eq!(factor(&sizing, "leaderboard"), None);
}

#[test]
fn a_consumer_that_must_not_run_twice_holds_the_stream_at_one_shard() {
    let mut scene = Scene::new();
    scene.pipeline.consumers[0].concurrency_safe = false;
    let (_, sizing) = scene.cycle(&Load { rejected: 30.0, age_seconds: 100.0, ..Load::race() });
    assert_eq!(shards(&sizing), None);
    assert_eq!(factor(&sizing, "leaderboard"), None);
    scene.facts.mappings[0].parallelization_factor = ParallelizationFactor(4);
    let (_, sizing) = scene.cycle(&Load::race());
    assert_eq!(factor(&sizing, "leaderboard"), Some(1), "at once, without a window");
}

#[test]
fn throttles_older_than_the_last_raise_do_not_raise_again() {
    let mut scene = Scene::new();
    scene.stream().open_shards = ShardCount(2);
    let load = Load { invocations: (2.0, 10.0), write: 96.0, index_write: 48.0, ..Load::race() };
    scene.cycle(&load);
    scene.set_write(113, 57);
    let (_, sizing) = scene.cycle(&Load { throttles: 5.0, ..load });
    assert_eq!(write(&sizing), None, "they are from before the raise");
}

#[test]
fn a_lag_right_after_a_change_of_the_mapping_is_the_changes() {
    let mut scene = Scene::new();
    scene.set_write(4000, 2000);
    let behind = Load { age_seconds: 40.0, ..Load::race() };
    let of_the_consumer = |findings: Vec<Finding>| {
        let resource = ResourceId::Mapping("leaderboard".to_owned());
        findings.into_iter().find(|finding| finding.resource == resource).unwrap()
    };
    let (before, _) = scene.cycle(&behind);
    assert_eq!(of_the_consumer(before).diagnosis, Diagnosis::Unknown);
    let changed = scene.now - SignedDuration::from_mins(2);
    for mapping in &mut scene.facts.mappings {
        mapping.last_modified = Some(changed);
    }
    let (after, _) = scene.cycle(&behind);
    let finding = of_the_consumer(after);
    assert_eq!(finding.diagnosis, Diagnosis::Actuating);
    assert!(finding.summary.contains("changed 120 s ago"), "{}", finding.summary);
}
