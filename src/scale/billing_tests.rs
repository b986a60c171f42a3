//! The billing mode of `auto` tables, on the hand-made scene: a day of minutes.

use jiff::SignedDuration;

use super::{
    Sizing, TableTargets, note_billing, note_billing_refused,
    tests::{INDEX, Load, Scene, TABLE, held, shards, write},
};
use crate::{
    memory::{BillingMemory, Memory},
    model::{BillingMode, CapacityUnits, ErrorClass, Failure, IndexSignals, LifecycleStatus, ShardCount, Signal},
    spec::{Begins, Billing, Freeze, Window},
};

const DAY: u32 = 24 * 60;
/// The first counted minute began six before the first cycle.
const DELAY: u32 = 16;

fn auto() -> Scene {
    let mut scene = Scene::new();
    scene.pipeline.tables[0].billing_mode = Billing::Auto;
    scene
}

/// A little traffic that everything keeps up with: 1.5 write units/s of 30 provisioned.
fn little() -> Load {
    Load {
        records: 5.0,
        invocations: (0.1, 0.1),
        duration_ms: (20.0, 13.0),
        write: 1.0,
        index_write: 0.5,
        read: 0.5,
        ..Load::race()
    }
}

/// Much of the same, steadily: what on-demand is dear for.
fn much() -> Load {
    Load { write: 30.0, index_write: 15.0, read: 10.0, ..little() }
}

fn on_demand(mut scene: Scene) -> Scene {
    let table = scene.table();
    table.billing_mode = BillingMode::OnDemand;
    table.capacity.write = CapacityUnits(0);
    table.capacity.read = CapacityUnits(0);
    for index in table.global_secondary_indexes.values_mut() {
        (index.capacity.write, index.capacity.read) = (CapacityUnits(0), CapacityUnits(0));
    }
    scene
}

fn targets(sizing: &Sizing) -> Option<&TableTargets> {
    sizing.targets.tables.get(TABLE)
}

fn chosen(sizing: &Sizing) -> Option<BillingMode> {
    targets(sizing)?.billing.as_ref().map(|target| target.value)
}

/// The scene after a day without a switch: with the next cycle one is due.
fn due(mut scene: Scene, load: &Load) -> Scene {
    for _ in 0..DAY - 8 {
        let sizing = scene.cycle(load).1;
        assert_eq!(chosen(&sizing), None);
        scene.memory.last_change.clear();
    }
    for _ in 0..DELAY {
        let (memory, now) = (scene.memory.clone(), scene.now);
        if chosen(&scene.cycle(load).1).is_some() {
            (scene.memory, scene.now) = (memory, now);
            return scene;
        }
    }
    panic!("no switch: {:?}", scene.cycle(load).1.holds);
}

#[test]
fn after_a_day_of_little_use_on_demand_is_chosen_and_after_a_day_of_much_provisioned_again() {
    let mut scene = due(auto(), &little());
    let sizing = scene.cycle(&little()).1;
    let target = targets(&sizing).unwrap();
    assert_eq!(chosen(&sizing), Some(BillingMode::OnDemand));
    // 30 units of each held; 129,600 write and 43,200 read units used.
    let reason = &target.billing.as_ref().unwrap().reason;
    assert!(reason.contains("cost $0.5596 provisioned") && reason.contains("would have cost $0.086"), "{reason}");
    assert_eq!((&target.table.write, target.indexes.len()), (&None, 0), "no capacity goes with it");

    let mut scene = due(on_demand(auto()), &much());
    let sizing = scene.cycle(&much()).1;
    assert_eq!(chosen(&sizing), Some(BillingMode::Provisioned));
    let target = targets(&sizing).unwrap();
    let units = |it: &super::CapacityTarget| (it.write.as_ref().unwrap().value, it.read.as_ref().unwrap().value);
    let (own, index) = (units(&target.table), units(&target.indexes[INDEX]));
    assert!(own.0 >= CapacityUnits(30) && index.0 >= CapacityUnits(15), "the present need: {own:?} {index:?}");
    let bounds =
        (scene.pipeline.tables[0].read_capacity, scene.pipeline.tables[0].global_secondary_indexes[0].read_capacity);
    assert_eq!(index.1, bounds.1.min, "not below the bounds");
    assert!(own.1 >= bounds.0.min);
}

#[test]
fn a_mode_that_is_not_clearly_cheaper_stays_and_so_does_every_mode_of_the_spec() {
    // On demand would cost 0.9 of what is provisioned.
    let close = Load { write: 6.8, index_write: 3.4, read: 0.0, ..little() };
    let mut scene = auto();
    let last = scene.cycles(&close, DAY + DELAY).unwrap();
    assert!(!held(&last, "cool-down") && chosen(&last).is_none());
    let known = &scene.memory.billing[TABLE];
    let (used, held_units): (f64, f64) =
        known.hours.iter().fold((0.0, 0.0), |sum, hour| (sum.0 + hour.write, sum.1 + hour.held_write));
    let share = used * 0.625 / 1e6 / (held_units * 0.000_65 + held_units * 0.000_13);
    assert!((0.85..1.0).contains(&share), "{share}");

    for mode in [Billing::Provisioned, Billing::OnDemand] {
        let mut scene = due(auto(), &little());
        scene.pipeline.tables[0].billing_mode = mode;
        assert_eq!(chosen(&scene.cycle(&little()).1), None);
        assert!(scene.memory.billing.is_empty(), "nothing is kept of it");
    }
}

#[test]
fn nothing_is_switched_while_anything_else_is_going_on() {
    let scene = due(auto(), &little());
    let with = |change: &dyn Fn(&mut Scene), load: &Load| {
        let mut scene = Scene {
            pipeline: scene.pipeline.clone(),
            policy: scene.policy.clone(),
            facts: scene.facts.clone(),
            memory: scene.memory.clone(),
            now: scene.now,
        };
        change(&mut scene);
        scene.cycle(load).1
    };
    let refused = |guard: &str, change: &dyn Fn(&mut Scene), load: &Load| {
        let sizing = with(change, load);
        assert_eq!(chosen(&sizing), None, "{guard}");
        assert!(held(&sizing, guard), "{guard}: {:?}", sizing.holds);
    };
    assert_eq!(chosen(&with(&|_| (), &little())), Some(BillingMode::OnDemand));
    refused("in-transition", &|scene| scene.table().status = LifecycleStatus::Updating, &little());
    refused("in-transition", &|scene| scene.stream().status = LifecycleStatus::Updating, &little());
    let called = |scene: &mut Scene| scene.memory.stream_seen.as_mut().unwrap().pending_target = Some(ShardCount(2));
    refused("in-transition", &called, &little());
    refused("in-transition", &|scene| scene.facts.mappings[0].state = crate::model::MappingState::Updating, &little());
    for (up, down) in [(true, false), (false, true)] {
        let freeze = |scene: &mut Scene| {
            let begins = Begins::At(scene.now);
            let window = Window { begins, duration: SignedDuration::from_hours(1) };
            scene.pipeline.scaling.freeze = vec![Freeze { window, up, down }];
        };
        refused("frozen", &freeze, &little());
    }
    refused("scale-in", &|_| (), &Load { age_seconds: 120.0, ..little() });
    refused(
        "scale-in",
        &|scene| scene.memory.no_scale_in_before = Some(scene.now + SignedDuration::from_hours(1)),
        &little(),
    );
    refused("throttling", &|_| (), &Load { throttles: 1.0, ..little() });
    refused("throttling", &|_| (), &Load { key_range: 1.0, ..little() });
    refused("one-stage-at-a-time", &|_| (), &Load { records: 1500.0, rejected: 0.0, ..little() });
    let switched = |scene: &mut Scene| {
        let an_hour_ago = scene.now - SignedDuration::from_hours(1);
        note_billing(&mut scene.memory, TABLE, BillingMode::Provisioned, an_hour_ago);
    };
    refused("cool-down", &switched, &little());
}

#[test]
fn an_index_without_metrics_or_outside_the_spec_keeps_the_mode() {
    let mut scene = due(auto(), &little());
    let mut signals = scene.signals(&little());
    *signals.tables.get_mut(TABLE).unwrap().indexes.get_mut(INDEX).unwrap() = IndexSignals::default();
    let sizing = scene.cycle_on(&signals).1;
    assert_eq!(chosen(&sizing), None);
    assert!(held(&sizing, "blind"), "{:?}", sizing.holds);

    let mut scene = auto();
    for _ in 0..30 {
        let mut signals = scene.signals(&little());
        signals.tables.get_mut(TABLE).unwrap().indexes.clear();
        scene.cycle_on(&signals);
    }
    assert!(scene.memory.billing[TABLE].hours.is_empty(), "what the index used is not known");

    let mut scene = auto();
    scene.pipeline.tables[0].global_secondary_indexes.clear();
    scene.cycles(&little(), 30);
    assert!(scene.memory.billing[TABLE].hours.is_empty(), "what another index costs and needs is not known");
}

#[test]
fn a_day_of_which_too_little_was_measured_decides_nothing() {
    let mut scene = due(auto(), &little());
    // Of five hours ten minutes each.
    for hour in scene.memory.billing.get_mut(TABLE).unwrap().hours.iter_mut().take(5) {
        hour.minutes = 10;
    }
    assert_eq!(chosen(&scene.cycle(&little()).1), None);
}

#[test]
fn back_to_provisioned_only_where_the_bounds_carry_what_was_used() {
    let mut scene = on_demand(auto());
    scene.pipeline.tables[0].write_capacity.max = CapacityUnits(20);
    scene.cycles(&much(), DAY);
    let last = scene.cycles(&much(), DELAY).unwrap();
    assert_eq!(chosen(&last), None);
    assert!(held(&last, "bounds"), "{:?}", last.holds);

    // So it is for reads.
    let reading = Load { read: 100.0, ..much() };
    let mut scene = on_demand(auto());
    scene.pipeline.tables[0].read_capacity.max = CapacityUnits(90);
    scene.cycles(&reading, DAY);
    let last = scene.cycles(&reading, DELAY).unwrap();
    assert_eq!(chosen(&last), None);
    assert!(held(&last, "bounds"), "{:?}", last.holds);
}

#[test]
fn only_measured_minutes_count_and_a_switch_begins_a_new_day() {
    let mut scene = auto();
    scene.cycles(&little(), 120);
    let minutes = |scene: &Scene| scene.memory.billing[TABLE].hours.iter().map(|hour| hour.minutes).sum::<u32>();
    let before = minutes(&scene);
    assert!((114..=120).contains(&before), "{before}");
    let mut blind = scene.signals(&little());
    blind.tables.get_mut(TABLE).unwrap().table.consumed_write = Signal::absent();
    scene.cycle_on(&blind);
    assert_eq!(minutes(&scene), before, "not measured");
    // An idle table publishes nothing; its idle writers prove it.
    let mut idle = scene.signals(&Load::quiet());
    for part in idle.tables.values_mut().flat_map(|it| std::iter::once(&mut it.table).chain(it.indexes.values_mut())) {
        (part.consumed_write, part.consumed_read) = (Signal::absent(), Signal::absent());
    }
    scene.cycle_on(&idle);
    assert_eq!(minutes(&scene), before + 1);

    let mut scene = on_demand(scene);
    scene.cycle(&little());
    let known = &scene.memory.billing[TABLE];
    assert!(known.hours.is_empty(), "{known:?}");
    assert_eq!(known.switches.len(), 1, "somebody else's counts as well");
    scene.cycles(&little(), 26 * 60);
    let known = &scene.memory.billing[TABLE];
    assert!(known.hours.len() <= 26 && known.switches.is_empty(), "bounded: {}", known.hours.len());
}

#[test]
fn an_on_demand_table_is_not_sized_and_holds_nothing_back() {
    let load = Load { records: 1500.0, rejected: 100.0, ..Load::race() };
    let mut provisioned = auto();
    assert!(write(&provisioned.cycle(&load).1).is_some());
    let mut scene = on_demand(auto());
    let sizing = scene.cycle(&load).1;
    assert_eq!(targets(&sizing), None);
    assert!(shards(&sizing).is_some(), "{:?}", sizing.holds);
    let calm = Load { rejected: 0.0, ..load };
    assert!(shards(&scene.cycle(&calm).1).is_some(), "the table carries it");
    // Beyond the quota of any table it does not.
    let heavy = Load { write: 39_000.0, ..calm };
    let mut scene = on_demand(auto());
    let sizing = scene.cycles(&heavy, 3).unwrap();
    assert_eq!(shards(&sizing), None, "{:?}", sizing.terms);
    assert!(held(&sizing, "sink-limit"), "{:?}", sizing.holds);
}

#[test]
fn a_refused_switch_is_taken_back_unless_aws_counts_it() {
    for (class, left) in [(ErrorClass::Invalid, 0), (ErrorClass::Unreachable, 1), (ErrorClass::QuotaExhausted, 1)] {
        let (mut memory, scene) = (Memory::empty(), Scene::new());
        note_billing(&mut memory, TABLE, BillingMode::OnDemand, scene.now);
        let failure = Failure {
            class,
            operation: "dynamodb:UpdateTable".into(),
            resource: TABLE.into(),
            code: "x".into(),
            message: String::new(),
            request_id: None,
        };
        note_billing_refused(&mut memory, TABLE, &failure);
        assert_eq!(memory.billing[TABLE].switches.len(), left, "{class:?}");
    }
}

#[test]
fn a_memory_of_an_older_version_knows_no_switches() {
    let mut old = serde_json::to_value(Memory::empty()).unwrap();
    assert!(old.get("billing").is_none() && old.get("streamMode").is_none(), "nothing to say is not written");
    old.as_object_mut().unwrap().remove("fanOut");
    let memory: Memory = serde_json::from_value(old).unwrap();
    assert_eq!(memory, Memory::empty());
    assert_eq!(BillingMemory::default().mode, None);
}
