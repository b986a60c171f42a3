//! The demo's story: the walk-through's symptoms without the operator, none of them scripted; and the marks
//! the operator has to meet from the same start. Everything is read as CloudWatch published it.

mod cheapest;

use std::{collections::BTreeSet, process::Command};

use cheapest::Credit;

use alleycat_operator::{
    cli::demo::{
        self, JITTER_MS, Lever,
        measure::Symptom::{self, *},
        story::{Story, Told},
    },
    model::{Bounds, CapacityUnits},
    twin::World,
};

/// The walk-through's table.
const WALK_THROUGH: [Symptom; 9] = [
    IteratorAgeGrows,
    IteratorAgeAboveObjective,
    RecordsAtShardLimit,
    FinalResultsTimesOut,
    LeaderboardSlow,
    ErrorsGrow,
    OneExecutionPerFunction,
    WritesOverProvisioned,
    WritesThrottled,
];

fn story(operator: bool, hours: u32) -> Story {
    Story { hours, ..demo::story(1, operator).unwrap_or_else(|error| panic!("{}", error.what)) }
}

fn play(story: &Story) -> Told {
    story.play(&mut |_| {}).unwrap()
}

fn symptoms(change: impl Fn(&mut Story)) -> BTreeSet<Symptom> {
    let mut story = story(false, 3);
    change(&mut story);
    play(&story).measures.symptoms
}

fn without(left_out: &[Symptom]) -> BTreeSet<Symptom> {
    WALK_THROUGH.into_iter().filter(|symptom| !left_out.contains(symptom)).collect()
}

#[test]
fn the_template_alone_shows_every_symptom_of_the_walk_through_and_no_other() {
    let told = play(&story(false, 3));
    assert_eq!(told.measures.symptoms, WALK_THROUGH.into());
    assert_eq!(told.measures.reads_throttled, 0, "the walk-through rules it out");
    assert_eq!(told.calls.keys().filter(|name| demo_writes(name)).count(), 0, "only watched: {:?}", told.calls);
}

fn demo_writes(name: &str) -> bool {
    let operation = alleycat_operator::aws::OPERATIONS
        .iter()
        .find(|it| format!("{}:{}", it.service, it.name) == name)
        .unwrap_or_else(|| panic!("{name} is not in the table"));
    operation.access == alleycat_operator::aws::Access::Write
}

#[test]
fn capacity_alone_cures_what_the_capacity_caused() {
    let cured = symptoms(|story| {
        for table in &mut story.pipeline.tables {
            table.write_capacity = Bounds::pinned(CapacityUnits(4000));
            for index in &mut table.global_secondary_indexes {
                index.write_capacity = Bounds::pinned(CapacityUnits(2000));
            }
        }
    });
    let caused = [
        IteratorAgeGrows,
        IteratorAgeAboveObjective,
        FinalResultsTimesOut,
        LeaderboardSlow,
        ErrorsGrow,
        WritesOverProvisioned,
        WritesThrottled,
    ];
    assert_eq!(cured, without(&caused));
}

#[test]
fn a_tenth_of_the_racers_fits_the_template() {
    let cured = symptoms(|story| story.world = World::alleycat().with_racers(100));
    assert_eq!(cured, BTreeSet::from([OneExecutionPerFunction]));
}

#[test]
fn a_longer_timeout_cures_the_timeouts_only() {
    let cured = symptoms(|story| story.world = World::alleycat().with_timeout(300));
    assert_eq!(cured, without(&[FinalResultsTimesOut]));
}

/// Everything the operator must reach from the template's start, whatever the noise.
fn check_marks(seed: u64) {
    let told = play(&Story { seed, ..story(true, 7) });
    let measures = &told.measures;
    let context = format!("seed {seed}: {measures:?}");
    for (trouble, minute) in &measures.last_trouble_minute {
        assert!(*minute <= 15, "{trouble} at minute {minute}; {context}");
    }
    for symptom in &measures.symptoms_second_hour {
        // Burst credit is there to be used; more capacity does not cure a hot key.
        assert!(matches!(symptom, WritesOverProvisioned | HotKeyThrottled), "{symptom:?}; {context}");
    }
    assert!(measures.shard_raises <= 2, "{context}");
    assert_eq!((measures.reads_throttled, measures.quota_refusals, measures.records_expired), (0, 0, 0), "{context}");
    for (field, minimum) in [
        ("stream/alleycat shards", 1),
        ("table/alleycat-races writeCapacity", 20),
        ("table/alleycat-races readCapacity", 20),
        ("table/alleycat-races/index/GSI_Index writeCapacity", 10),
        ("table/alleycat-races/index/GSI_Index readCapacity", 10),
    ] {
        assert_eq!(told.at_end.get(field), Some(&minimum), "{field}; {context}");
    }
    for (field, value) in told.at_end.iter().filter(|(field, _)| field.ends_with("parallelizationFactor")) {
        assert_eq!(*value, 1, "{field}; {context}");
    }
}

#[test]
fn the_operator_meets_its_marks_with_twenty_seeds() {
    std::thread::scope(|scope| {
        for half in 0..2 {
            scope.spawn(move || (0..20).filter(|seed| seed % 2 == half).for_each(check_marks));
        }
    });
}

#[test]
fn jitter_is_answered_with_shards_and_the_rejections_end() {
    let mut story = story(true, 3);
    story.world = World::alleycat().with_jitter(JITTER_MS);
    let measures = play(&story).measures;
    assert!(measures.records_rejected > 0, "the variant must reject to prove anything");
    for (trouble, minute) in &measures.last_trouble_minute {
        assert!(*minute <= 15, "{trouble} at minute {minute}; {measures:?}");
    }
    assert!(measures.shard_raises <= 2, "{measures:?}");
}

#[test]
fn a_consumer_that_is_not_concurrency_safe_never_runs_twice_and_the_price_is_told() {
    let mut story = story(true, 3);
    story.world = World::alleycat().with_jitter(JITTER_MS);
    story.pipeline.consumers[0].concurrency_safe = false;
    let measures = play(&story).measures;
    assert_eq!(measures.leaderboard_max_concurrency, 1);
    assert_eq!(measures.update_shard_count_calls, 0);
    let mut safe = story.clone();
    safe.pipeline.consumers[0].concurrency_safe = true;
    assert!(measures.records_rejected > play(&safe).measures.records_rejected, "one shard goes on rejecting");
}

#[test]
fn each_pinned_lever_leaves_its_own_symptoms() {
    let mut left = std::collections::BTreeMap::new();
    for (lever, name) in Lever::ALL {
        let mut story = story(true, 3);
        lever.pin(&mut story.pipeline);
        let found = play(&story).measures.symptoms_second_hour;
        let names: Vec<_> = found.iter().filter(|it| **it != OneExecutionPerFunction).map(demo::text::name).collect();
        left.insert(name, names);
    }
    insta::assert_snapshot!(serde_json::to_string_pretty(&left).unwrap());
}

#[test]
fn the_second_hour_costs_at_most_half_more_than_the_cheapest_fixed_configuration() {
    let measures = play(&story(true, 3)).measures;
    for credit in [Credit::Spent, Credit::Kept] {
        let fixed = cheapest::search(credit);
        let ratio = measures.second_hour_usd / fixed.second_hour_usd;
        eprintln!(
            "cheapest fixed, credit {credit:?}: {fixed:?}; operator ${:.4} (+ ${:.4} of metrics read): {ratio:.4} of it",
            measures.second_hour_usd, measures.second_hour_metrics_usd
        );
        assert!(ratio <= 1.5, "{ratio:.4}: {fixed:?} against ${:.4}", measures.second_hour_usd);
    }
}

#[test]
fn one_seed_prints_the_same_bytes_and_another_does_not() {
    let demo = |seed: &str| {
        let binary = env!("CARGO_BIN_EXE_alleycat-operator");
        let output =
            Command::new(binary).args(["demo", "--short", "--output", "json", "--seed", seed]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    let first = demo("7");
    assert!(serde_json::from_slice::<serde_json::Value>(&first).is_ok());
    assert_eq!(first, demo("7"));
    assert_ne!(first, demo("8"));
}
