//! Guards that need a scene of their own: each test fails when its guard alone is taken out.

use jiff::SignedDuration;

use super::{
    note_reshard,
    tests::{Load, Scene, TABLE, factor, held, index_write, shards, slow_consumer, write},
};
use crate::{
    diagnose::Diagnosis,
    model::{CapacityUnits, Freshness, ParallelizationFactor, ShardCount, Signal, Signals},
};

/// A stream and a table that are far too large for a quiet day, with calls left to lower them.
fn oversized() -> Scene {
    let mut scene = Scene::new();
    scene.stream().open_shards = ShardCount(8);
    scene.set_write(1000, 500);
    scene
}

fn stale(signal: &mut Signal) {
    signal.points.truncate(5);
    signal.freshness = Freshness::Stale;
}

#[test]
fn an_age_that_is_not_known_keeps_everything_up() {
    let unknown = |signals: &mut Signals| {
        stale(&mut signals.stream.iterator_age_ms);
        signals.consumers.values_mut().for_each(|consumer| consumer.iterator_age_ms = Signal::absent());
    };
    let mut scene = oversized();
    for minute in 0..200 {
        let mut signals = scene.signals(&Load::quiet());
        unknown(&mut signals);
        let (_, sizing) = scene.cycle_on(&signals);
        assert_eq!((shards(&sizing), write(&sizing), index_write(&sizing)), (None, None, None), "minute {minute}");
    }
}

#[test]
fn a_table_without_fresh_metrics_is_neither_raised_nor_lowered() {
    let mut scene = oversized();
    for minute in 0..60 {
        let mut signals = scene.signals(&Load::quiet());
        let table = signals.tables.get_mut(TABLE).unwrap();
        stale(&mut table.table.consumed_write);
        let (_, sizing) = scene.cycle_on(&signals);
        assert_eq!(write(&sizing), None, "minute {minute}");
        assert!(held(&sizing, "blind"));
    }
}

#[test]
fn after_a_backlog_nothing_is_lowered_for_ten_minutes() {
    let mut scene = oversized();
    scene.cycles(&Load { age_seconds: 31.0, ..Load::quiet() }, 60);
    for minute in 0..10 {
        let (_, sizing) = scene.cycle(&Load::quiet());
        assert!(write(&sizing).is_none() && held(&sizing, "scale-in"), "minute {minute}: {:?}", sizing.holds);
    }
    assert!(write(&scene.cycle(&Load::quiet()).1).is_some());
}

#[test]
fn after_a_change_nothing_is_lowered_until_its_effect_shows() {
    let mut scene = oversized();
    scene.cycles(&Load::quiet(), 15);
    scene.memory.last_change.insert("another".to_owned(), scene.now + SignedDuration::from_mins(8));
    let lowered = (0..30).position(|_| write(&scene.cycle(&Load::quiet()).1).is_some());
    assert_eq!(lowered, Some(12), "eight minutes, and twice the delay of the metrics");
}

#[test]
fn a_part_of_a_table_is_not_lowered_while_another_is_raised() {
    let mut scene = Scene::new();
    scene.stream().open_shards = ShardCount(2);
    scene.set_write(113, 500);
    scene.memory.no_scale_in_before = Some(scene.now + SignedDuration::from_mins(30));
    scene.cycles(&Load::race(), 30);
    scene.table().capacity.write = CapacityUnits(20);
    // Whatever else was raised has had its time.
    scene.memory.last_change.clear();
    let (_, sizing) = scene.cycle(&Load::race());
    assert!(write(&sizing).is_some_and(|units| units > 20), "{:?}", sizing.holds);
    assert_eq!(index_write(&sizing), None);
    assert!(held(&sizing, "raise-first"), "{:?}", sizing.holds);
}

#[test]
fn table_and_stream_are_not_lowered_in_the_same_cycle() {
    let mut scene = oversized();
    scene.policy.shard_stabilization_seconds = scene.policy.write_stabilization_seconds;
    let mut lowered = 0;
    for _ in 0..40 {
        let (_, sizing) = scene.cycle(&Load::quiet());
        if let Some(units) = write(&sizing) {
            assert_eq!(shards(&sizing), None);
            assert!(held(&sizing, "one-stage-at-a-time"), "{:?}", sizing.holds);
            scene.set_write(units, index_write(&sizing).unwrap());
            lowered += 1;
        }
    }
    assert_eq!(lowered, 1);
}

#[test]
fn an_hour_lies_between_two_decreases_of_the_shard_count() {
    let mut scene = Scene::new();
    scene.stream().open_shards = ShardCount(8);
    let mut minutes = Vec::new();
    for minute in 0..330 {
        let (_, sizing) = scene.cycle(&Load::quiet());
        if let Some(count) = shards(&sizing) {
            minutes.push(minute);
            note_reshard(&mut scene.memory, ShardCount(count), scene.now);
            scene.stream().open_shards = ShardCount(count);
        }
    }
    assert!(minutes.len() >= 3, "{minutes:?}");
    assert!(minutes.windows(2).all(|pair| pair[1] - pair[0] >= 60), "{minutes:?}");
}

#[test]
fn the_factor_stays_inside_its_bounds_however_great_the_backlog() {
    for max in [2, 3] {
        let (mut scene, healthy) = slow_consumer();
        scene.pipeline.consumers[0].parallelization_factor.max = ParallelizationFactor(max);
        let (_, sizing) = scene.cycle(&Load { age_seconds: 900.0, invocations: (1.1, 10.0), ..healthy });
        assert_eq!(factor(&sizing, "leaderboard"), Some(max), "{:?}", sizing.holds);
    }
}

#[test]
fn a_faulty_function_gets_no_more_slots() {
    let (mut scene, healthy) = slow_consumer();
    // Fifty of 66 invocations a minute fail.
    let faulty = Load { age_seconds: 120.0, invocations: (1.1, 10.0), errors: 50.0, ..healthy };
    let (findings, sizing) = scene.cycle(&faulty);
    assert_eq!(factor(&sizing, "leaderboard"), None, "{findings:?}");
    assert!(held(&sizing, "not-the-bottleneck"), "{:?}", sizing.holds);
}

#[test]
fn a_factor_that_was_lowered_too_soon_stays_up_for_an_hour_after_its_raise() {
    let little =
        Load { records: 5.0, invocations: (0.1, 0.1), write: 1.0, index_write: 0.5, read: 0.5, ..Load::race() };
    let after = |minutes: Option<i64>| {
        let mut scene = Scene::new();
        scene.pipeline.consumers.iter_mut().for_each(|consumer| consumer.writes_to.clear());
        scene.facts.mappings[0].parallelization_factor = ParallelizationFactor(4);
        for _ in 0..300 {
            let sizing = scene.cycle(&little).1;
            if let Some(at) = minutes.map(|ago| scene.now - SignedDuration::from_mins(ago)) {
                for what in ["raised", "regretted"] {
                    scene.memory.last_change.insert(format!("mapping/leaderboard parallelizationFactor {what}"), at);
                }
            }
            if factor(&sizing, "leaderboard").is_some() {
                return None;
            }
            if held(&sizing, "lowered-too-soon") {
                return Some(());
            }
        }
        panic!("neither lowered nor held: {:?}", scene.cycle(&little).1.holds);
    };
    assert_eq!(after(None), None);
    assert_eq!(after(Some(61)), None);
    assert_eq!(after(Some(30)), Some(()));
}

#[test]
fn what_was_lowered_too_soon_stays_up_for_an_hour_after_each_raise() {
    let mut scene = Scene::new();
    scene.stream().open_shards = ShardCount(2);
    scene.set_write(113, 57);
    let mut ups = Vec::new();
    // Four minutes of a race, and then quiet for as long as capacity is kept and a little longer.
    for minute in 0..600 {
        let load = if minute % 40 < 4 { Load::race() } else { Load::quiet() };
        let (_, sizing) = scene.cycle(&load);
        let live = scene.table().capacity.write.get();
        if let Some(units) = write(&sizing) {
            ups.push((minute, units > live));
            scene.set_write(units, index_write(&sizing).unwrap_or(57));
        }
        // A decrease an hour is always left.
        scene.table().capacity.decreases_today = 0;
    }
    let turns = ups.windows(3).filter(|it| matches!(it, [(from, true), (_, false), (to, true)] if to - from <= 60));
    assert!(turns.count() <= 1, "{ups:?}");
    assert!(ups.iter().filter(|(_, up)| !up).count() >= 3, "it still goes down: {ups:?}");
}

#[test]
fn more_slots_for_a_hot_shard_are_worth_no_larger_table() {
    let mut scene = Scene::new();
    scene.stream().open_shards = ShardCount(4);
    scene.set_write(4000, 2000);
    scene.table().capacity.read = CapacityUnits(400);
    let healthy = Load { records: 1200.0, invocations: (4.0, 10.0), duration_ms: (900.0, 13.0), ..Load::race() };
    scene.cycle(&healthy);
    let behind = Load { rejected: 200.0, age_seconds: 120.0, ..healthy };
    let (findings, sizing) = scene.cycle(&behind);
    assert!(findings.iter().any(|finding| finding.diagnosis == Diagnosis::HotShard));
    assert!(factor(&sizing, "leaderboard").is_some_and(|factor| factor > 1), "{:?}", sizing.holds);
    scene.set_write(57, 29);
    let (_, sizing) = scene.cycle(&behind);
    assert_eq!((factor(&sizing, "leaderboard"), write(&sizing)), (None, None), "{:?}", sizing.holds);
    assert!(held(&sizing, "hot-shard"), "{:?}", sizing.holds);
    // With two slots a shard the model thinks of twice the invocations: only what reaches the table counts.
    scene.facts.mappings.iter_mut().for_each(|mapping| mapping.parallelization_factor = ParallelizationFactor(2));
    let (_, sizing) = scene.cycle(&behind);
    assert_eq!((write(&sizing), index_write(&sizing)), (None, None), "{:?}", sizing.holds);
    let (_, sizing) = scene.cycle(&Load { write: 55.0, index_write: 27.0, ..behind });
    assert!(write(&sizing).is_some_and(|units| units > 57), "there is no room left: {:?}", sizing.holds);
}

#[test]
fn a_table_at_its_bound_gets_as_many_consumers_as_it_carries() {
    let raised = |bound: u64| {
        let (mut scene, healthy) = slow_consumer();
        let table = &mut scene.pipeline.tables[0];
        table.write_capacity.max = CapacityUnits(bound);
        table.global_secondary_indexes.iter_mut().for_each(|index| index.write_capacity.max = CapacityUnits(bound));
        scene.set_write(bound, bound);
        let mut signals = scene.signals(&Load { age_seconds: 1_200.0, invocations: (1.1, 10.0), ..healthy.clone() });
        // The other consumer keeps up.
        signals.consumers.extend(scene.signals(&healthy).consumers.remove_entry("final-results"));
        let sizing = scene.cycle_on(&signals).1;
        (factor(&sizing, "leaderboard"), held(&sizing, "sink-limit"))
    };
    assert_eq!(raised(4000), (Some(4), false));
    assert_eq!(raised(240), (Some(2), true), "a part is carried, and the rest is held");
    assert_eq!(raised(97), (None, true), "what it carries now is all it carries");
}
