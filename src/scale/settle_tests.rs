//! Tables that take long to change, and what does not wait for them: each test fails when its rule alone is taken out.

use jiff::SignedDuration;

use super::{
    guards,
    tests::{Load, Scene, factor, held, shards, slow_consumer, write},
};
use crate::model::{LifecycleStatus, Point, Signals};

const WRITES: &str = "table/alleycat-races writeCapacity";

/// The last settled minute brings so many times what those before it did, and the young one two fifths more.
fn grow(signals: &mut Signals, settled: f64) {
    for signal in [&mut signals.stream.incoming_records, &mut signals.stream.incoming_bytes] {
        let newest = signal.points.last_mut().unwrap();
        let young = Point { at: newest.at + SignedDuration::from_mins(1), value: 1.4 * newest.value };
        newest.value *= settled;
        signal.young.push(young);
    }
}

fn ramp(signals: &mut Signals) {
    grow(signals, 1.2);
}

/// A raise of ours that was in transition for so many minutes, and is there now.
fn raised_for(minutes: u32) -> Scene {
    let mut scene = Scene::new();
    scene.policy.buffer_share = 0.0;
    scene.set_write(4000, 2000);
    guards::note_change(&mut scene.memory, WRITES, true, scene.now);
    scene.table().status = LifecycleStatus::Updating;
    scene.now += SignedDuration::from_secs(15);
    scene.cycles(&Load::quiet(), minutes);
    scene.table().status = LifecycleStatus::Active;
    scene.cycle(&Load::quiet());
    scene
}

/// The write units that a load wants that has long been more than the 940 the table has.
fn wanted(mut scene: Scene, change: impl Fn(&mut Signals)) -> u64 {
    scene.set_write(940, 2000);
    let mut signals = scene.signals(&Load { records: 300.0, write: 960.0, index_write: 480.0, ..Load::race() });
    change(&mut signals);
    let sizing = scene.cycle_on(&signals).1;
    write(&sizing).unwrap_or_else(|| panic!("{:?}", sizing.holds))
}

#[test]
fn a_table_that_was_slow_is_raised_for_what_comes_until_the_next_raise_would_be_there() {
    let quick = wanted(raised_for(1), ramp);
    let slow = wanted(raised_for(10), ramp);
    // 60 records/s a minute more for 14 minutes, and what waits until then: up to the bound.
    assert!(slow > 2 * quick, "{slow} and {quick}");
    let steady = wanted(raised_for(10), |_| ());
    assert!(steady < quick * 11 / 10, "nothing grows: {steady} and {quick}");
    let mut forgotten = raised_for(10);
    forgotten.now += SignedDuration::from_hours(25);
    assert_eq!(wanted(forgotten, ramp), quick, "that was yesterday");
}

#[test]
fn a_transition_of_somebody_else_says_nothing_of_our_raises() {
    let mut scene = Scene::new();
    scene.policy.buffer_share = 0.0;
    scene.set_write(4000, 2000);
    scene.table().status = LifecycleStatus::Updating;
    scene.cycles(&Load::quiet(), 10);
    scene.table().status = LifecycleStatus::Active;
    scene.cycle(&Load::quiet());
    assert_eq!(wanted(scene, ramp), wanted(raised_for(1), ramp), "they may have built an index");
}

/// A consumer that is behind, on a table that carries more of its invocations and is being changed.
fn behind(raised: bool) -> super::Sizing {
    let (mut scene, healthy) = slow_consumer();
    if raised {
        guards::note_change(&mut scene.memory, WRITES, true, scene.now - SignedDuration::from_secs(45));
    }
    scene.table().status = LifecycleStatus::Updating;
    scene.cycle(&Load { age_seconds: 120.0, invocations: (1.1, 10.0), ..healthy }).1
}

#[test]
fn consumers_wait_for_a_table_that_changes_unless_it_only_rises() {
    let somebody = behind(false);
    assert_eq!(factor(&somebody, "leaderboard"), None);
    assert!(held(&somebody, "sink-first"), "{:?}", somebody.holds);
    let rising = behind(true);
    assert!(factor(&rising, "leaderboard").is_some_and(|factor| factor > 1), "{:?}", rising.holds);
}

#[test]
fn throttles_from_before_a_slow_raise_was_there_do_not_raise_again() {
    let of = |minutes: i64| {
        let mut scene = Scene::new();
        scene.set_write(113, 57);
        let throttled = Load { throttles: 50.0, ..Load::race() };
        scene.cycles(&throttled, 3);
        guards::note_change(&mut scene.memory, WRITES, true, scene.now);
        scene.table().status = LifecycleStatus::Updating;
        scene.cycles(&throttled, 10);
        scene.set_write(400, 200);
        scene.table().status = LifecycleStatus::Active;
        scene.cycle(&throttled);
        scene.now += SignedDuration::from_mins(minutes);
        write(&scene.cycle(&throttled).1)
    };
    assert_eq!(of(0), None, "the newest throttles are three minutes old");
    assert_eq!(of(10), Some(520), "these are of the raised table");
}

#[test]
fn a_growth_that_will_be_rejected_raises_the_shards_unless_the_table_throttles() {
    let of = |throttles: f64, grow: fn(&mut Signals)| {
        let mut scene = Scene::new();
        scene.set_write(4000, 2000);
        scene.table().status = LifecycleStatus::Updating;
        let mut signals = scene.signals(&Load { records: 650.0, throttles, ..Load::race() });
        grow(&mut signals);
        scene.cycle_on(&signals).1
    };
    assert_eq!(shards(&of(0.0, ramp)), Some(2), "780, 910 and soon 1,200 records/s on one shard");
    let throttled = of(50.0, ramp);
    assert_eq!(shards(&throttled), None, "more shards are more writers, and nothing is lost yet");
    assert!(held(&throttled, "sink-first"), "{:?}", throttled.holds);
    let step = of(0.0, |signals| grow(signals, 1.0));
    assert_eq!(shards(&step), None, "one minute is no growth that goes on: {:?}", step.holds);
    assert!(held(&step, "sink-first"), "{:?}", step.holds);
}
