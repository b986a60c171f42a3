//! Properties of the sizing over random signals, on the scene of `tests`.

use proptest::prelude::*;

use super::{
    MAX_RESHARDS_PER_DAY, note_reshard, reshards_used,
    tests::{INDEX, Load, Scene, index_write, shards, write},
};
use crate::model::{CapacityUnits, Freshness, ShardCount};

fn loads() -> impl Strategy<Value = Load> {
    (
        (0.0..6000.0_f64, 0.0..500.0_f64, 0.0..4000.0_f64),
        ((0.0..40.0_f64, 0.0..40.0_f64), (1.0..15000.0_f64, 1.0..15000.0_f64)),
        (0.0..100.0_f64, 0.0..3000.0_f64, 0.0..2000.0_f64, 0.0..500.0_f64),
        (0.0..20.0_f64, 0.0..20.0_f64),
        prop_oneof![4 => Just(Freshness::Fresh), 1 => Just(Freshness::Stale), 1 => Just(Freshness::Absent)],
    )
        .prop_map(
            |((records, rejected, age), (invocations, duration), (errors, write, index, read), (t, k), freshness)| {
                Load {
                    records: records.round(),
                    rejected: rejected.round(),
                    age_seconds: age,
                    invocations,
                    duration_ms: duration,
                    errors: errors.round(),
                    write,
                    index_write: index,
                    read,
                    throttles: t.round(),
                    key_range: k.round(),
                    freshness,
                }
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Whatever the signals: inside the bounds, at most double and at least half, never downwards without
    /// fresh signals, and the same inputs give the same decision.
    #[test]
    fn targets_keep_the_rules(
        steps in prop::collection::vec((loads(), 1_u32..60), 1..8),
        live in 1_u32..16,
        capacity in (20_u64..4000, 10_u64..2000),
    ) {
        let mut scene = Scene::new();
        scene.stream().open_shards = ShardCount(live);
        scene.set_write(capacity.0, capacity.1);
        for (load, minutes) in steps {
            for _ in 0..minutes {
                let open = scene.stream().open_shards.get();
                let (table, index) = {
                    let table = scene.table();
                    (table.capacity.write.get(), table.global_secondary_indexes[INDEX].capacity.write.get())
                };
                let (memory, facts, at) = (scene.memory.clone(), scene.facts.clone(), scene.now);
                let (_, sizing) = scene.cycle(&load);
                let mut again = Scene::new();
                (again.memory, again.facts, again.now) = (memory, facts, at);
                prop_assert_eq!(&again.cycle(&load).1, &sizing);
                if let Some(count) = shards(&sizing) {
                    prop_assert!(count <= open * 2 && count >= open.div_ceil(2) && (1..=16).contains(&count));
                    prop_assert!(count > open || load.freshness == Freshness::Fresh);
                    note_reshard(&mut scene.memory, ShardCount(count), scene.now);
                    scene.stream().open_shards = ShardCount(count);
                }
                prop_assert!(reshards_used(&scene.memory.reshards, scene.now) <= MAX_RESHARDS_PER_DAY);
                for (value, live, (min, max)) in
                    [(write(&sizing), table, (20, 4000)), (index_write(&sizing), index, (10, 2000))]
                {
                    if let Some(units) = value {
                        prop_assert!((min..=max).contains(&units));
                        prop_assert!(units > live || load.age_seconds <= 30.0, "lowered with a backlog");
                        prop_assert!(units != live);
                    }
                }
                if let Some(units) = write(&sizing) { scene.table().capacity.write = CapacityUnits(units); }
                if let Some(units) = index_write(&sizing) {
                    scene.table().global_secondary_indexes.get_mut(INDEX).unwrap().capacity.write = CapacityUnits(units);
                }
            }
        }
    }

    /// More load never wants less.
    #[test]
    fn more_load_never_wants_less(records in 10.0..8000.0_f64, more in 1.0..3.0_f64) {
        let wanted = |records: f64| {
            let mut scene = Scene::new();
            scene.set_write(4000, 2000);
            scene.stream().open_shards = ShardCount(4);
            let (_, sizing) = scene.cycle(&Load { records, rejected: 5.0 + records * 0.01, ..Load::race() });
            shards(&sizing).unwrap_or(4)
        };
        prop_assert!(wanted(records * more) >= wanted(records));
    }
}
