//! Loads that are known beforehand: the schedule, the season; and frozen times.

use jiff::{SignedDuration, Timestamp};

use super::tests::{Load, Scene, factor, held, shards, write};
use crate::spec::{Begins, Freeze, ScheduledLoad, Window};

fn window(at: Timestamp, minutes: i64) -> Window {
    Window { begins: Begins::At(at), duration: SignedDuration::from_mins(minutes) }
}

/// A table that is never short, so that only the stream decides.
fn scene() -> Scene {
    let mut scene = Scene::new();
    scene.set_write(4000, 2000);
    scene
}

fn slow() -> Load {
    Load { records: 300.0, ..Load::race() }
}

#[test]
fn a_scheduled_load_is_ready_a_quarter_of_an_hour_before() {
    let mut scene = scene();
    let begins = scene.now + SignedDuration::from_mins(20);
    scene.pipeline.scaling.schedule =
        vec![ScheduledLoad { name: "race".into(), window: window(begins, 60), records_per_second: 1_900.0 }];
    let early = scene.cycles(&slow(), 5).unwrap();
    assert_eq!(shards(&early), None, "it is more than 15 minutes away");
    let sizing = scene.cycle(&slow()).1;
    assert_eq!(shards(&sizing), Some(2), "at most double: {:?}", sizing.holds);
    let reason = &sizing.targets.shards.unwrap().reason;
    assert!(reason.contains("`race` is scheduled with 1900 records/s"), "{reason}");
}

#[test]
fn what_came_on_seven_days_is_expected_on_the_eighth() {
    let mut scene = scene();
    let soon = scene.now + SignedDuration::from_mins(10);
    let (day, slot) = (soon.as_second() / 86_400, soon.as_second() % 86_400 / 900);
    let mut remember = |days: std::ops::Range<i64>, records: u32| {
        for back in days {
            let slots = scene.memory.season.days.entry(day - back).or_insert_with(|| vec![None; 96]);
            slots[slot as usize] = Some(records);
        }
    };
    remember(1..7, 880);
    let six = scene.cycle(&slow()).1;
    assert_eq!(shards(&six), None, "six days are no week");
    let mut scene = self::scene();
    for back in 1..8 {
        scene.memory.season.days.insert(day - back, vec![Some(880); 96]);
    }
    let sizing = scene.cycle(&slow()).1;
    assert_eq!(shards(&sizing), Some(2), "{:?}", sizing.holds);
    let reason = &sizing.targets.shards.unwrap().reason;
    assert!(reason.contains("880 records/s came at this time on most of 7 days"), "{reason}");
}

#[test]
fn one_odd_day_in_ten_is_no_habit_and_a_habit_far_from_now_is_not_believed() {
    let mut odd = scene();
    let day = odd.now.as_second() / 86_400;
    for back in 1..=13 {
        let records = if back == 4 { 9_000 } else { 300 };
        odd.memory.season.days.insert(day - back, vec![Some(records); 96]);
    }
    assert_eq!(shards(&odd.cycle(&slow()).1), None);
    let mut far = scene();
    for back in 1..=7 {
        far.memory.season.days.insert(day - back, vec![Some(90_000); 96]);
    }
    let sizing = far.cycle(&Load { records: 100.0, ..Load::race() }).1;
    assert_eq!(shards(&sizing), None, "three times 100 records/s fit into a shard: {:?}", sizing.targets.shards);
}

#[test]
fn shards_are_not_lowered_before_a_load_that_needs_them() {
    let quiet = Load { records: 20.0, ..Load::quiet() };
    let lowered = |scheduled: bool| {
        let mut scene = Scene::new();
        scene.stream().open_shards = crate::model::ShardCount(8);
        if scheduled {
            let begins = scene.now + SignedDuration::from_mins(290);
            scene.pipeline.scaling.schedule =
                vec![ScheduledLoad { name: "race".into(), window: window(begins, 60), records_per_second: 7_000.0 }];
        }
        (0..230).any(|_| {
            let sizing = scene.cycle(&quiet).1;
            shards(&sizing).is_some_and(|to| to < 8)
        })
    };
    assert!(lowered(false), "three quiet hours lower it");
    assert!(!lowered(true), "the load comes within two hours of that");
}

#[test]
fn frozen_times_hold_raises_and_lowering_apart() {
    let freeze = |scene: &mut Scene, up, down| {
        let window = window(scene.now, 24 * 60);
        scene.pipeline.scaling.freeze = vec![Freeze { window, up, down }];
    };
    let mut up = Scene::new();
    freeze(&mut up, true, false);
    let sizing = up.cycle(&Load { rejected: 30.0, ..Load::race() }).1;
    assert_eq!((shards(&sizing), write(&sizing), factor(&sizing, "leaderboard")), (None, None, None));
    assert!(held(&sizing, "frozen"), "{:?}", sizing.holds);

    let mut down = Scene::new();
    freeze(&mut down, false, true);
    let sizing = down.cycle(&Load { rejected: 30.0, ..Load::race() }).1;
    assert_eq!(shards(&sizing), Some(2), "raises are free");
    down.set_write(4000, 2000);
    let lowers = (0..60).any(|_| write(&down.cycle(&Load::quiet()).1).is_some());
    assert!(!lowers, "a quiet hour lowers nothing");
}
