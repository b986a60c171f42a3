//! Who is chosen for fan-out, on each side of every rule.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::{Sizing, Target, fan_out::deliver};
use crate::{
    apply::fixtures::{self, at},
    cost::PriceSheet,
    diagnose::{Confidence, Diagnosis, Finding, Severity, Way},
    memory::Memory,
    model::{
        ConsumerSignals, Facts, MappingState, Point, ResourceId, ShardCount, Signal, Signals, StreamSignals, TAG_MOVE,
        TAG_PIPELINE,
    },
    spec::{Begins, Delivery, ExternalConsumer, Freeze, Pipeline, Window, policy},
};

const MINUTE: SignedDuration = SignedDuration::from_mins(1);

/// One idempotent consumer with `auto` that polls a stream of one shard, alone.
struct Scene {
    pipeline: Pipeline,
    facts: Facts,
    signals: Signals,
    findings: Vec<Finding>,
    memory: Memory,
    now: Timestamp,
}

type Arrange = fn(&mut Scene);

fn same(value: f64) -> Signal {
    let points = (0..30).map(|minute| Point { at: at(minute * 60), value }).collect();
    Signal::of(points, at(29 * 60))
}

fn scene() -> Scene {
    let mut pipeline = fixtures::pipeline();
    pipeline.consumers[0].idempotent = true;
    pipeline.stream.shards.max = ShardCount(16);
    let facts = fixtures::facts("ACTIVE", "", "Enabled");
    let own = ConsumerSignals { iterator_age_ms: same(500.0), ..ConsumerSignals::default() };
    let signals = Signals {
        observed_at: at(32 * 60),
        newest_expected: at(29 * 60),
        metrics_requested: 0,
        account_concurrency: Signal::absent(),
        stream: StreamSignals {
            incoming_records: same(60_000.0),
            incoming_bytes: same(6e6),
            rejected_records: same(0.0),
            read_throttles: same(0.0),
            ..StreamSignals::default()
        },
        consumers: BTreeMap::from([("c".to_owned(), own)]),
        tables: BTreeMap::new(),
    };
    Scene { pipeline, facts, signals, findings: Vec::new(), memory: Memory::empty(), now: at(32 * 60) }
}

impl Scene {
    fn others(mut self, count: usize) -> Self {
        let other = |index| ExternalConsumer { name: format!("x{index}"), kind: "firehose".into() };
        self.pipeline.external_consumers = (0..count).map(other).collect();
        self
    }

    fn read_short(mut self) -> Self {
        self.findings = vec![Finding {
            diagnosis: Diagnosis::ReadShort,
            severity: Severity::Warning,
            confidence: Confidence::High,
            resource: ResourceId::Stream("s".into()),
            since: None,
            outlook: None,
            summary: String::new(),
            evidence: Vec::new(),
            remedy: String::new(),
            person: None,
        }];
        self
    }

    /// On fan-out, with its consumer.
    fn on_fan_out(mut self) -> Self {
        self.facts.fan_out = vec![fixtures::read(json!({
            "name": "p-c", "arn": "f", "status": "ACTIVE", "tags": {TAG_PIPELINE: "p", TAG_MOVE: "enhancedFanOut"}
        }))];
        self.facts.mappings[0].source_arn = "f".into();
        self
    }

    fn sizing(&mut self) -> Sizing {
        let mut sizing = Sizing::default();
        self.decide(&mut sizing);
        sizing
    }

    fn decide(&mut self, sizing: &mut Sizing) {
        let (prices, policy) = (PriceSheet::us_east_1(), policy::builtin("balanced").unwrap());
        let Self { pipeline, facts, signals, findings, memory, now } = self;
        deliver(pipeline, &policy, facts, signals, findings, &prices, memory, *now, sizing);
    }

    fn chosen(&mut self) -> Option<Way> {
        self.sizing().targets.consumers.get("c")?.delivery.as_ref().map(|target| target.value)
    }

    /// Whether it is chosen when nothing changes for so long.
    fn chosen_after(&mut self, minutes: i64) -> Option<Way> {
        let begin = self.now;
        let mut chosen = None;
        for minute in 0..=minutes {
            self.now = begin + MINUTE * i32::try_from(minute).unwrap();
            chosen = self.chosen();
        }
        chosen
    }
}

#[test]
fn short_reads_count_after_a_quarter_of_an_hour_without_a_pause() {
    assert_eq!(scene().others(2).chosen_after(60), None, "nothing asks for it");
    assert_eq!(scene().others(2).read_short().chosen_after(14), None);
    assert_eq!(scene().others(2).read_short().chosen_after(15), Some(Way::EnhancedFanOut));
    let mut paused = scene().others(2).read_short();
    paused.chosen_after(14);
    let findings = std::mem::take(&mut paused.findings);
    paused.chosen();
    paused.findings = findings;
    assert_eq!(paused.chosen_after(14), None, "it counts anew");
}

#[test]
fn only_auto_and_idempotent_consumers_are_chosen() {
    for delivery in [Delivery::Shared, Delivery::EnhancedFanOut] {
        let mut scene = scene().others(2).read_short();
        scene.pipeline.consumers[0].delivery = delivery;
        assert_eq!(scene.chosen_after(20), None);
    }
    let mut scene = scene().others(2).read_short();
    scene.pipeline.consumers[0].idempotent = false;
    assert_eq!(scene.chosen_after(20), None);
}

#[test]
fn an_objective_below_what_shared_readers_reach_asks_for_it_at_once() {
    let of = |objective_ms| {
        let mut scene = scene().others(4);
        scene.pipeline.objectives.iterator_age = SignedDuration::from_millis(objective_ms);
        scene.chosen()
    };
    assert_eq!((of(1_000), of(999)), (None, Some(Way::EnhancedFanOut)), "five readers take about a second");
}

#[test]
fn shards_are_taken_when_they_are_the_cheaper_way() {
    let with = |others: usize, bytes_per_minute: f64, shards: u32, most: u32| {
        let mut scene = scene().others(others).read_short();
        scene.signals.stream.incoming_bytes = same(bytes_per_minute);
        scene.facts.stream.as_mut().unwrap().open_shards = ShardCount(shards);
        scene.pipeline.stream.shards.max = ShardCount(most);
        scene.chosen_after(15)
    };
    let of = |bytes_per_minute, shards, most| with(2, bytes_per_minute, shards, most);
    // Three readers of 6 MB/s need 10 shards of shared reads.
    assert_eq!(of(3.6e8, 9, 16), None, "one shard more is cheaper than nine consumer-shards");
    assert_eq!(of(3.6e8, 4, 16), None, "and the GB are paid, too");
    assert_eq!(of(3.6e8, 9, 9), Some(Way::EnhancedFanOut), "no more shards are allowed");
    assert_eq!(of(3.6e8, 10, 16), Some(Way::EnhancedFanOut), "shards would not do it");
    // Of 1 MB/s, one consumer-shard and 3.4 GB an hour cost 0.059 $/h; three readers need one shard more, for 0.015.
    assert_eq!(of(6e7, 1, 16), None);
    assert_eq!(with(12, 6e7, 1, 16), Some(Way::EnhancedFanOut), "13 readers need six shards more, for 0.09 $/h");
}

#[test]
fn three_readers_that_lag_at_once_contend() {
    let of = |lagging: usize| {
        let mut scene = scene();
        for index in 0..3_usize {
            let name = format!("c{index}");
            let spec = crate::spec::ConsumerSpec {
                name: name.clone(),
                function: name.clone(),
                ..scene.pipeline.consumers[0].clone()
            };
            scene.pipeline.consumers.push(spec);
            let mapping = crate::model::MappingFacts {
                uuid: name.clone(),
                function_arn: format!("arn:aws:lambda:r:1:function:{name}"),
                ..scene.facts.mappings[0].clone()
            };
            scene.facts.mappings.push(mapping);
            let age = if index < lagging { 40_000.0 + index as f64 } else { 500.0 };
            let own = ConsumerSignals { iterator_age_ms: same(age), ..ConsumerSignals::default() };
            scene.signals.consumers.insert(name, own);
        }
        let sizing = scene.sizing();
        sizing.targets.consumers.keys().cloned().collect::<Vec<_>>()
    };
    assert_eq!(of(2), [""; 0]);
    assert_eq!(of(3), ["c2"], "the one that is furthest behind");
}

#[test]
fn it_goes_back_after_seven_quiet_days() {
    let week = SignedDuration::from_hours(7 * 24);
    let mut quiet = scene().others(1).on_fan_out();
    assert_eq!(quiet.chosen(), None);
    quiet.now += week - MINUTE;
    assert_eq!(quiet.chosen(), None);
    quiet.now += MINUTE;
    assert_eq!(quiet.chosen(), Some(Way::Shared));

    let busy: [(&str, Arrange); 3] = [
        ("bytes", |scene| scene.signals.stream.incoming_bytes = same(3e7)),
        ("throttles", |scene| scene.signals.stream.read_throttles = same(1.0)),
        ("objective", |scene| scene.pipeline.objectives.iterator_age = SignedDuration::from_millis(799)),
    ];
    for (what, arrange) in busy {
        let mut scene = scene().others(1).on_fan_out();
        scene.chosen();
        scene.now += week - MINUTE;
        arrange(&mut scene);
        scene.chosen();
        scene.now += MINUTE;
        assert_eq!(scene.chosen(), None, "{what}: the week begins anew");
    }
}

#[test]
fn around_a_move_everything_else_stands_still() {
    let wish = |shards: u32, rejected: f64| {
        let mut scene = scene().on_fan_out();
        scene.facts.mappings[0].source_arn = "a".into();
        scene.facts.mappings[0].state = MappingState::Disabled;
        scene.signals.stream.rejected_records = same(rejected);
        let mut sizing = Sizing::default();
        sizing.targets.shards = Some(Target { value: ShardCount(shards), reason: String::new() });
        let factor = Target { value: crate::model::ParallelizationFactor(2), reason: String::new() };
        sizing.targets.consumers.entry("c".into()).or_default().parallelization_factor = Some(factor);
        scene.decide(&mut sizing);
        assert!(sizing.targets.consumers.is_empty());
        assert!(sizing.holds.iter().all(|hold| hold.guard == "actuating" && hold.reason.contains("ACTUATING")));
        sizing.targets.shards.map(|target| target.value.get())
    };
    assert_eq!((wish(2, 0.0), wish(2, 5.0)), (None, Some(2)), "only rejected records cannot wait");
}

#[test]
fn nothing_is_chosen_blindly() {
    let mut blind = scene().others(4).read_short();
    blind.pipeline.objectives.iterator_age = SignedDuration::from_millis(100);
    blind.signals.stream.incoming_bytes = Signal::absent();
    assert_eq!(blind.chosen_after(20), None);
}

#[test]
fn a_week_does_not_end_while_the_bytes_are_not_known() {
    let mut quiet = scene().others(1).on_fan_out();
    quiet.chosen();
    quiet.now += SignedDuration::from_hours(7 * 24);
    quiet.signals.stream.incoming_bytes = Signal::absent();
    assert_eq!(quiet.chosen(), None);
}

#[test]
fn nothing_is_chosen_in_a_freeze() {
    let of = |up, down| {
        let mut scene = scene().others(4);
        scene.pipeline.objectives.iterator_age = SignedDuration::from_millis(999);
        let window = Window { begins: Begins::At(scene.now), duration: MINUTE };
        scene.pipeline.scaling.freeze = vec![Freeze { window, up, down }];
        scene.chosen()
    };
    assert_eq!(of(false, false), Some(Way::EnhancedFanOut));
    assert_eq!((of(true, false), of(false, true)), (None, None), "whichever way is frozen");
}
