//! Raises that do not help, on the hand-made scene.

use jiff::SignedDuration;

use super::Hold;
use super::tests::{INDEX, Load, Scene, TABLE, held, index_write, write};
use crate::{
    memory::Effort,
    model::{CapacityUnits, ResourceId},
};

/// An index that throttles as much as before, whatever it is given.
fn stubborn() -> Load {
    Load { throttles: 50.0, ..Load::race() }
}

/// Passes of that load; each raise is there at once. The index's targets, minute by minute.
fn play(scene: &mut Scene, load: &Load, minutes: u32) -> Vec<Option<u64>> {
    let pass = |_| {
        let (_, sizing) = scene.cycle(load);
        let (table, index) = (write(&sizing), index_write(&sizing));
        let live = live(scene);
        scene.set_write(table.unwrap_or(live.0), index.unwrap_or(live.1));
        index
    };
    (0..minutes).map(pass).collect()
}

/// Write units of the table and of its index.
fn live(scene: &Scene) -> (u64, u64) {
    let table = &scene.facts.tables[TABLE];
    (table.capacity.write.get(), table.global_secondary_indexes[INDEX].capacity.write.get())
}

fn effort(scene: &Scene) -> Option<&Effort> {
    scene.memory.efforts.get(&format!("table/{TABLE}/index/{INDEX} writeCapacity"))
}

fn roomy() -> Scene {
    let mut scene = Scene::new();
    let table = &mut scene.pipeline.tables[0];
    table.write_capacity.max = CapacityUnits(40_000);
    table.global_secondary_indexes[0].write_capacity.max = CapacityUnits(40_000);
    scene
}

#[test]
fn what_did_nothing_twice_in_a_row_rests_and_twice_as_long_each_time() {
    let mut scene = roomy();
    let begun = scene.now;
    while effort(&scene).is_none_or(|it| it.failures < 2) {
        play(&mut scene, &stubborn(), 1);
        assert!(scene.now < begun + SignedDuration::from_mins(30), "{:?}", scene.memory.efforts);
    }
    let until = effort(&scene).unwrap().rests_until.unwrap();
    assert_eq!(until.duration_since(scene.now - SignedDuration::from_mins(1)), SignedDuration::from_hours(2));
    let before = live(&scene).1;
    let of_index = |it: &Hold| it.guard == "ineffective" && matches!(it.resource, ResourceId::Index(..));
    let mut holds = (0..6).flat_map(|_| scene.cycle(&stubborn()).1.holds);
    let hold = holds.find(of_index).unwrap();
    drop(holds);
    assert_eq!(hold.until, Some(until));
    assert!(hold.reason.contains("2 raises in a row did nothing against SINK_SHORT"), "{}", hold.reason);
    // For two hours, nothing is raised; then once more, and it rests for four.
    assert_eq!(play(&mut scene, &stubborn(), 105), [None; 105]);
    assert_eq!(live(&scene).1, before);
    play(&mut scene, &stubborn(), 30);
    let again = effort(&scene).unwrap();
    assert_eq!(again.failures, 3);
    assert!(again.rests_until.unwrap() > scene.now + SignedDuration::from_hours(3));
}

/// A scene whose index was raised in the last pass, and the minutes from then until the raise is judged.
fn raised() -> (Scene, u32) {
    let mut scene = roomy();
    // More than it takes.
    scene.set_write(120, 60);
    for _ in 0..5 {
        if play(&mut scene, &stubborn(), 1)[0].is_some() {
            let minutes = scene.policy.metric_delay_seconds.div_ceil(60) + 4;
            return (scene, minutes);
        }
    }
    panic!("not raised: {:?}", scene.memory.efforts);
}

#[test]
fn a_raise_is_judged_once_it_is_there_and_measured() {
    let failures = |scene: &Scene| effort(scene).unwrap().failures;
    let (mut scene, minutes) = raised();
    play(&mut scene, &stubborn(), minutes - 1);
    assert_eq!(failures(&scene), 0, "not measured yet");
    play(&mut scene, &stubborn(), 1);
    assert_eq!(failures(&scene), 1);

    let mut scene = roomy();
    scene.set_write(120, 60);
    (0..2 * minutes).for_each(|_| drop(scene.cycle(&stubborn())));
    assert_eq!(failures(&scene), 0, "it is not there");

    let (mut scene, minutes) = raised();
    play(&mut scene, &Load { records: 2.0 * stubborn().records, ..stubborn() }, minutes + 1);
    assert_eq!(failures(&scene), 0, "the load rose");
}

#[test]
fn a_load_that_rises_much_ends_the_rest() {
    let mut scene = roomy();
    play(&mut scene, &stubborn(), 30);
    let (_, sizing) = scene.cycle(&stubborn());
    assert!(held(&sizing, "ineffective"));
    let (_, sizing) = scene.cycle(&Load { records: 2.0 * stubborn().records, ..stubborn() });
    assert!(!held(&sizing, "ineffective"), "{:?}", sizing.holds);
}

#[test]
fn what_helps_is_forgotten_and_no_raise_is_held() {
    let mut scene = roomy();
    for _ in 0..30 {
        // It consumes all that it is given, and throttles still.
        let (table, index) = live(&scene);
        let load = Load { write: table as f64, index_write: index as f64, ..stubborn() };
        let (_, sizing) = scene.cycle(&load);
        assert!(!held(&sizing, "ineffective"), "{:?}", sizing.holds);
        scene.set_write(write(&sizing).unwrap_or(table), index_write(&sizing).unwrap_or(index));
    }
    assert!(live(&scene).1 > 1_000, "{:?}", live(&scene));
    assert!(effort(&scene).is_none_or(|it| it.failures == 0), "{:?}", scene.memory.efforts);
}

#[test]
fn a_raise_that_is_used_has_helped_whatever_burst_credit_did_before() {
    let (mut scene, minutes) = raised();
    let open = effort(&scene).unwrap().open.clone().unwrap();
    // Credit carried as much before as the raised index takes now, and more than ever is throttled.
    let used = open.from as f64 + 0.5 * (open.to - open.from) as f64;
    scene.memory.efforts.values_mut().filter_map(|it| it.open.as_mut()).for_each(|it| it.work = used);
    play(&mut scene, &Load { index_write: used, throttles: 500.0, ..stubborn() }, minutes + 1);
    assert!(effort(&scene).is_none_or(|it| it.failures == 0), "{:?}", scene.memory.efforts);
}

#[test]
fn what_did_nothing_from_high_up_is_tried_from_further_down() {
    let mut scene = roomy();
    play(&mut scene, &stubborn(), 30);
    let high = effort(&scene).unwrap().from;
    assert!(held(&scene.cycle(&stubborn()).1, "ineffective"), "from {high} nothing helps");
    scene.set_write(live(&scene).0, high - 1);
    let (_, sizing) = scene.cycle(&stubborn());
    assert!(index_write(&sizing).is_some_and(|to| to >= high), "{:?}", sizing.holds);
}
