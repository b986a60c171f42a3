//! What the stream buffers, and when shards are kept or doubled: each test fails when its guard alone is taken out.

use jiff::SignedDuration;

use super::{
    note_reshard,
    tests::{Load, Scene, held, index_write, shards, write},
};
use crate::model::{LifecycleStatus, ShardCount, Signal, Signals};

/// A race on a stream with room: what it writes is 960 units/s on the table and 480 on the index.
fn race() -> Load {
    Load { records: 300.0, write: 960.0, index_write: 480.0, ..Load::race() }
}

/// What is decided for a table and an index of so many units/s.
fn decided(units: (u64, u64), load: &Load, change: impl Fn(&mut Scene, &mut Signals)) -> super::Sizing {
    let mut scene = Scene::new();
    scene.policy.buffer_share = 0.25;
    scene.set_write(units.0, units.1);
    let mut signals = scene.signals(load);
    change(&mut scene, &mut signals);
    scene.cycle_on(&signals).1
}

#[test]
fn a_table_that_is_a_little_short_is_not_raised_while_the_stream_carries_it() {
    let little = decided((940, 2000), &race(), |_, _| ());
    assert_eq!(write(&little), None, "five seconds in four minutes, of fifteen allowed");
    assert!(held(&little, "buffered"), "{:?}", little.holds);
    let much = decided((880, 2000), &race(), |_, _| ());
    assert_eq!(write(&much), Some(1110), "twenty seconds: {:?}", much.holds);
    let tenth = Load { write: 96.0, index_write: 48.0, ..race() };
    let cheap = decided((94, 2000), &tenth, |_, _| ());
    assert_eq!(write(&cheap), Some(111), "17 units/s cost a cent: {:?}", cheap.holds);
    let careful = decided((940, 2000), &race(), |scene, _| scene.policy.buffer_share = 0.0);
    assert_eq!(write(&careful), Some(1110), "{:?}", careful.holds);
}

#[test]
fn nothing_is_left_to_the_stream_that_throttles_or_waits_already() {
    let throttled = decided((940, 2000), &Load { throttles: 60.0, ..race() }, |_, _| ());
    assert!(write(&throttled).is_some(), "{:?}", throttled.holds);
    let late = decided((940, 2000), &Load { age_seconds: 14.0, ..race() }, |_, _| ());
    assert!(write(&late).is_some(), "14 s and 5 s more: {:?}", late.holds);
    let unknown = decided((940, 2000), &race(), |_, signals| {
        signals.stream.iterator_age_ms = Signal::absent();
        signals.consumers.values_mut().for_each(|consumer| consumer.iterator_age_ms = Signal::absent());
    });
    assert!(write(&unknown).is_some(), "{:?}", unknown.holds);
}

#[test]
fn an_index_is_left_to_its_burst_credit_only() {
    let short = decided((2000, 460), &race(), |_, _| ());
    assert_eq!(index_write(&short), Some(555), "an index that throttles holds up its table: {:?}", short.holds);
    let carried = decided((2000, 480), &race(), |_, _| ());
    assert_eq!(index_write(&carried), None);
    assert!(held(&carried, "buffered"), "{:?}", carried.holds);
}

/// The newest minute brings this much more.
fn grow(signals: &mut Signals, times: f64) {
    for signal in [&mut signals.stream.incoming_records, &mut signals.stream.incoming_bytes] {
        signal.points.last_mut().unwrap().value *= times;
    }
}

#[test]
fn nothing_is_left_to_the_stream_while_the_load_grows() {
    let steady = decided((1540, 2000), &Load { records: 390.0, write: 1560.0, ..Load::race() }, |_, _| ());
    assert!(write(&steady).is_none() && held(&steady, "buffered"), "{:?}", steady.holds);
    // Seven seconds beyond the credit.
    let growing = decided((1340, 2000), &Load { write: 1200.0, ..race() }, |_, signals| grow(signals, 1.3));
    assert!(write(&growing).is_some(), "{:?}", growing.holds);
}

#[test]
fn a_growing_load_doubles_the_shards_that_a_steady_one_raises_by_half() {
    let of = |load: f64, times: f64| {
        decided((4000, 2000), &Load { records: load, ..Load::race() }, |scene, signals| {
            scene.stream().open_shards = ShardCount(8);
            grow(signals, times);
        })
    };
    assert_eq!(shards(&of(6500.0, 1.0)), Some(12));
    assert_eq!(shards(&of(5000.0, 1.3)), Some(16));
    assert_eq!(shards(&of(6000.0, 1.09)), Some(12), "a tenth more is chance");
}

#[test]
fn a_flood_of_rejections_raises_the_shards_in_its_first_minute_whatever_the_table() {
    let rejected = |share: f64| {
        decided((4000, 2000), &Load::race(), |scene, signals| {
            scene.table().status = LifecycleStatus::Updating;
            let newest = signals.stream.rejected_records.points.last_mut().unwrap();
            newest.value = 60_000.0 * share;
        })
    };
    assert_eq!(shards(&rejected(0.5)), Some(2));
    let few = rejected(0.05);
    assert_eq!(shards(&few), None, "a single minute: {:?}", few.holds);
}

/// Shards that have long been too many, with an old peak of the load.
fn lowering(live: u32, units: u64, peak: Option<(i64, u32)>, used: u32, newest: &Load) -> super::Sizing {
    let mut scene = Scene::new();
    scene.stream().open_shards = ShardCount(live);
    scene.set_write(units, units);
    let before = Load { records: 200.0, ..Load::race() };
    scene.memory.no_scale_in_before = Some(scene.now + SignedDuration::from_mins(200));
    scene.cycles(&before, 200);
    for _ in 0..used {
        note_reshard(&mut scene.memory, ShardCount(live), scene.now - SignedDuration::from_hours(20));
    }
    scene.memory.stream_seen.as_mut().unwrap().pending_target = None;
    if let Some((hours, records)) = peak {
        let second = (scene.now - SignedDuration::from_hours(hours)).as_second();
        let slots = scene.memory.season.days.entry(second / 86_400).or_insert_with(|| vec![None; 96]);
        slots[(second % 86_400 / 900) as usize] = Some(records);
    }
    let mut sizing = scene.cycle(newest).1;
    for _ in 0..5 {
        sizing = scene.cycle(newest).1;
    }
    sizing
}

#[test]
fn shards_are_not_lowered_while_the_load_rises() {
    let steady = lowering(8, 100, None, 0, &Load { records: 200.0, ..Load::race() });
    assert!(!held(&steady, "rising"), "{:?}", steady.holds);
    let rising = lowering(8, 100, None, 0, &Load { records: 900.0, ..Load::race() });
    assert!(held(&rising, "rising"), "{:?}", rising.holds);
}

#[test]
fn shards_that_are_cheap_beside_the_table_are_kept_for_six_hours_after_their_load() {
    let quiet = Load { records: 200.0, ..Load::race() };
    assert!(held(&lowering(8, 2000, Some((5, 5_000)), 0, &quiet), "cheap"));
    assert!(!held(&lowering(8, 2000, Some((7, 5_000)), 0, &quiet), "cheap"), "seven hours ago");
    assert!(!held(&lowering(8, 20, Some((5, 5_000)), 0, &quiet), "cheap"), "most of the cost");
}

#[test]
fn shards_are_lowered_only_as_far_as_the_calls_left_bring_back_the_weeks_peak() {
    let quiet = Load { records: 200.0, ..Load::race() };
    let held_back = |used: u32, days: i64| held(&lowering(2, 20, Some((days * 24, 90_000)), used, &quiet), "quota");
    assert!(held_back(5, 3), "from one to sixteen shards takes four of five calls, and one is kept");
    assert!(!held_back(4, 3));
    assert!(!held_back(5, 9), "that was last week");
}
