//! What a minute teaches of a table's demand, on the hand-made scene.

use jiff::{SignedDuration, Timestamp};

use super::learn;
use super::tests::{Load, Scene, TABLE};
use crate::{memory::SinkSample, model::Signals};

/// Both functions are behind at the table's limit of 20 write units/s, which throttles.
fn throttled() -> Load {
    Load { age_seconds: 60.0, write: 19.0, throttles: 50.0, ..Load::race() }
}

fn learnt(scene: &mut Scene, signals: &Signals) {
    learn(&mut scene.memory, &scene.pipeline, &scene.policy, &scene.facts, signals, scene.now);
}

fn sample(scene: &Scene, at: Timestamp) -> Option<&SinkSample> {
    scene.memory.sink_samples.get(&format!("table/{TABLE}"))?.iter().find(|sample| sample.at == at)
}

/// The functions lag for all minutes but the newest `caught_up`.
fn caught_up(scene: &Scene, load: &Load, caught_up: usize) -> Signals {
    let mut signals = scene.signals(load);
    for consumer in signals.consumers.values_mut() {
        consumer.iterator_age_ms.points.iter_mut().rev().take(caught_up).for_each(|point| point.value = 500.0);
    }
    signals
}

#[test]
fn a_minute_that_was_throttled_stays_so_when_the_table_has_been_raised() {
    let mut scene = Scene::new();
    scene.set_write(20, 20);
    let signals = caught_up(&scene, &throttled(), 30);
    learnt(&mut scene, &signals);
    let minute = signals.newest_expected;
    assert!(sample(&scene, minute).unwrap().throttled);
    scene.set_write(100, 100);
    learnt(&mut scene, &signals);
    assert!(sample(&scene, minute).unwrap().throttled, "it says what 20 units/s let through");
}

#[test]
fn below_the_limit_throttles_count_while_a_writer_lags() {
    // A throttled batch goes on for minutes: few writes in the minute after those it was asked for.
    let few = Load { write: 3.0, ..throttled() };
    let mut scene = Scene::new();
    scene.set_write(20, 20);
    let lagging = scene.signals(&few);
    learnt(&mut scene, &lagging);
    let minute = lagging.newest_expected - SignedDuration::from_mins(1);
    assert!(sample(&scene, minute).unwrap().throttled);
    // Of one that keeps up a throttled request now and then says nothing of the minute.
    let mut scene = Scene::new();
    scene.set_write(20, 20);
    let on_time = caught_up(&scene, &few, 30);
    learnt(&mut scene, &on_time);
    assert!(!sample(&scene, minute).unwrap().throttled);
}

#[test]
fn the_minute_of_catching_up_teaches_nothing() {
    let mut scene = Scene::new();
    let behind = Load { age_seconds: 60.0, ..Load::race() };
    let signals = caught_up(&scene, &behind, 0);
    learnt(&mut scene, &signals);
    assert!(sample(&scene, signals.newest_expected).is_some(), "the next minute is not there yet");
    let signals = caught_up(&scene, &behind, 3);
    learnt(&mut scene, &signals);
    let back = |minutes: i64| signals.newest_expected - SignedDuration::from_mins(minutes);
    assert!(sample(&scene, back(2)).is_some(), "it keeps up");
    assert!(sample(&scene, back(3)).is_none(), "it caught up in this minute, and its batches were not full to the end");
    assert!(sample(&scene, back(4)).is_some(), "it lagged to its end");
}

#[test]
fn one_that_lags_does_no_more_than_waited_and_came_in() {
    let mut scene = Scene::new();
    // Batches of 100 and 1,000 would be some 10,000 records/s; 60 s of 1,000 records/s wait and 1,000 come in.
    let signals = scene.signals(&Load { age_seconds: 60.0, invocations: (100.0, 100.0), ..Load::race() });
    learnt(&mut scene, &signals);
    let minute = signals.newest_expected - SignedDuration::from_mins(1);
    let records = sample(&scene, minute).unwrap().records;
    assert!((records - 2000.0).abs() < 1.0, "{records}");
}
