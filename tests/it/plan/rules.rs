//! What holds for every plan, over exhaustive small worlds; and the rules one by one.

use alleycat_operator::{
    model::{
        BatchSize, BillingMode, CapacityFacts, CapacityUnits, Hours, LifecycleStatus, MappingState,
        ParallelizationFactor, ShardCount, StreamMode, TAG_MANAGED_BY, TAG_RESHARDS,
    },
    plan::{Action, Owner, Plan, Step},
    scale::{CapacityTarget, ConsumerTargets, TableTargets, Target, Targets},
    spec::{AdoptionPolicy, Billing, DeletionPolicy, StartingPosition},
};
use jiff::SignedDuration;

use super::world::{Setup, carry_out, now, shards};

/// Makes a world what a test needs.
type Arrange = fn(&mut Setup);

fn codes(plan: &Plan) -> Vec<&str> {
    plan.blocked.iter().map(|blocked| blocked.code.as_str()).collect()
}

fn steps(plan: &Plan) -> Vec<&Step> {
    plan.changes.iter().flat_map(|change| &change.steps).collect()
}

fn target<T>(value: T) -> Option<Target<T>> {
    Some(Target { value, reason: "sized".to_owned() })
}

/// The stream's calls in every small world: never past a bound, twice or half, the quota; never on a stream in
/// transition while scaling; and provisioning gets there.
#[test]
fn shards_in_every_small_world() {
    use LifecycleStatus::{Active, Creating, Deleting, Other, Updating};
    let base = Setup::applied();
    let mut worlds = 0;
    for live in 0..=5_u32 {
        for status in [Active, Creating, Updating, Deleting, Other] {
            for (min, max) in (1..=5).flat_map(|min| (min..=5).map(move |max| (min, max))) {
                for used in [0, 5, 6, 8, 9, 10, 12] {
                    for wanted in [None, Some(1), Some(2), Some(3), Some(5)] {
                        let mut setup = base.clone();
                        setup.pipeline.stream.shards = shards(min, max);
                        setup.ledger_used = used;
                        setup.stream().open_shards = ShardCount(live);
                        setup.stream().status = status;
                        if live == 0 {
                            setup.facts.stream = None;
                            setup.facts.mappings.clear();
                        }
                        setup.targets =
                            wanted.map(|count| Targets { shards: target(ShardCount(count)), ..Targets::default() });
                        check_shards(&setup, wanted);
                        worlds += 1;
                    }
                }
            }
        }
    }
    assert_eq!(worlds, 6 * 5 * 15 * 7 * 5);
}

fn check_shards(setup: &Setup, wanted: Option<u32>) {
    let plan = setup.plan();
    assert_eq!(setup.lint(&plan), [""; 0], "{plan:#?}");
    let Some(stream) = &setup.facts.stream else {
        let created = matches!(steps(&plan)[0], Step::CreateStream { shards, .. } if *shards == setup.pipeline.stream.shards.initial);
        assert!(created);
        return;
    };
    let calls: Vec<_> = steps(&plan)
        .iter()
        .filter_map(|step| if let Step::UpdateShardCount { to, .. } = step { Some(to.get()) } else { None })
        .collect();
    let (live, bounds) = (stream.open_shards.get(), setup.pipeline.stream.shards);
    let left = 10_u32.saturating_sub(setup.ledger_used);
    match stream.status {
        LifecycleStatus::Deleting | LifecycleStatus::Other => assert!(calls.is_empty() && plan.changes.is_empty()),
        LifecycleStatus::Active => {}
        _ if wanted.is_some() => assert!(calls.is_empty(), "nothing scales in transition"),
        _ => {}
    }
    if stream.status != LifecycleStatus::Active {
        return;
    }
    let goal = match wanted {
        Some(wanted) if bounds.contains(stream.open_shards) => wanted.clamp(bounds.min.get(), bounds.max.get()),
        _ => live.clamp(bounds.min.get(), bounds.max.get()),
    };
    if goal == live {
        assert!(calls.is_empty(), "inside its bounds and nobody asked");
    } else if left == 0 {
        assert!(calls.is_empty());
    } else if goal > live {
        let first = goal.min(live * 2);
        assert_eq!(calls[0], first, "the first step goes as far as AWS lets it");
    }
    if wanted.is_none() {
        let reached = calls.last().copied().unwrap_or(live);
        assert!(reached == goal || codes(&plan) == ["AC0305"], "{live} -> {goal}: {calls:?} with {left} left");
    }
}

/// Ways in which what exists differs from the spec.
const DRIFTS: &[(&str, Arrange)] = &[
    ("nothing there", |setup| *setup = Setup::default()),
    ("nothing drifted", |_| {}),
    ("no stream", |setup| {
        setup.facts.stream = None;
        setup.facts.mappings.clear();
    }),
    ("no table", |setup| setup.facts.tables.clear()),
    ("no mapping", |setup| setup.facts.mappings.truncate(1)),
    ("shards", |setup| setup.pipeline.stream.shards = shards(16, 32)),
    ("retention", |setup| setup.stream().retention = Hours(1000)),
    ("stream tags", |setup| {
        setup.stream().tags.insert("team".to_owned(), "other".to_owned());
    }),
    ("write capacity", |setup| setup.table().capacity.write = CapacityUnits(5000)),
    ("read capacity", |setup| setup.table().capacity.read = CapacityUnits(1)),
    ("index capacity", |setup| {
        setup.table().global_secondary_indexes.get_mut("GSI_Index").unwrap().capacity.write = CapacityUnits(1);
    }),
    ("no index", |setup| setup.table().global_secondary_indexes.clear()),
    ("view", |setup| setup.table().stream_view_type = Some("KEYS_ONLY".to_owned())),
    ("no table stream", |setup| setup.table().stream_view_type = None),
    ("recovery", |setup| setup.table().point_in_time_recovery = false),
    ("protection", |setup| setup.table().deletion_protection = false),
    ("ttl", |setup| setup.pipeline.tables[0].time_to_live = Some("expires".to_owned())),
    ("factor", |setup| {
        setup.facts.mappings[0].parallelization_factor = ParallelizationFactor(10);
        setup.pipeline.consumers[1].parallelization_factor.max = ParallelizationFactor(2);
    }),
    ("batch size", |setup| setup.facts.mappings[0].batch_size = BatchSize(10)),
    ("paused", |setup| setup.facts.mappings[0].state = MappingState::Disabled),
    ("settings", |setup| {
        let consumer = &mut setup.pipeline.consumers[0];
        consumer.maximum_batching_window_seconds = 5;
        consumer.tumbling_window_seconds = 15;
        consumer.maximum_retry_attempts = 3;
        consumer.maximum_record_age_seconds = 3600;
        consumer.bisect_batch_on_function_error = true;
        consumer.report_batch_item_failures = true;
        consumer.on_failure = Some("arn:aws:sqs:us-east-2:123456789012:failed".to_owned());
        consumer.filter_criteria = vec![r#"{"data":{"event":["final"]}}"#.to_owned()];
    }),
    ("cleared settings", |setup| {
        setup.facts.mappings[0].on_failure = Some("arn:aws:sqs:us-east-2:123456789012:failed".to_owned());
        setup.facts.mappings[0].filter_criteria = vec!["{}".to_owned()];
    }),
    ("adopted", |setup| {
        setup.pipeline.stream.adoption_policy = AdoptionPolicy::Adopt;
        setup.pipeline.tables[0].adoption_policy = AdoptionPolicy::Adopt;
        setup.stream().tags.clear();
        setup.table().tags.clear();
        setup.table().capacity.write = CapacityUnits(1);
        for mapping in &mut setup.facts.mappings {
            mapping.tags.clear();
            mapping.batch_size = BatchSize(1);
        }
    }),
];

/// Applying a plan leaves nothing to apply, from nothing and from every kind of drift.
#[test]
fn after_applying_there_is_nothing_to_do() {
    for (what, drift) in DRIFTS {
        let mut setup = Setup::applied();
        drift(&mut setup);
        let plan = setup.plan();
        assert_eq!(setup.lint(&plan), [""; 0], "{what}");
        assert_eq!(plan.is_empty(), *what == "nothing drifted", "{what}");
        setup.facts = carry_out(&setup.facts, &plan);
        let again = setup.plan();
        assert_eq!((again.changes, again.blocked), (vec![], vec![]), "{what}");
        let (before, after) = (plan.cost.after, again.cost.before);
        assert!((before.0 - after.0).abs() < 1e-9, "{what}: the plan said {before:?}, it costs {after:?}");
    }
}

#[test]
fn the_order_of_the_spec_does_not_matter() {
    let mut setup = Setup::default();
    let mut second = setup.pipeline.tables[0].clone();
    second.name = "another".to_owned();
    let mut index = second.global_secondary_indexes[0].clone();
    index.name = "A_Index".to_owned();
    second.global_secondary_indexes.push(index);
    setup.pipeline.tables.push(second);
    let mut shuffled = setup.clone();
    shuffled.pipeline.tables.reverse();
    shuffled.pipeline.consumers.reverse();
    for table in &mut shuffled.pipeline.tables {
        table.global_secondary_indexes.reverse();
    }
    assert_eq!(setup.plan(), shuffled.plan());
    setup.facts = carry_out(&setup.facts, &setup.plan());
    shuffled.facts = setup.facts.clone();
    setup.facts.tables.get_mut("another").unwrap().global_secondary_indexes.clear();
    shuffled.facts.tables.get_mut("another").unwrap().global_secondary_indexes.clear();
    assert_eq!(setup.plan(), shuffled.plan());
    assert_eq!(setup.destroy(None), shuffled.destroy(None));
}

#[test]
fn values_inside_their_bounds_are_no_drift() {
    let mut setup = Setup::applied();
    setup.stream().open_shards = ShardCount(7);
    setup.stream().retention = Hours(100);
    setup.table().capacity.write = CapacityUnits(3999);
    setup.facts.mappings[0].parallelization_factor = ParallelizationFactor(10);
    let plan = setup.plan();
    assert!(plan.is_empty() && plan.blocked.is_empty());
    assert!(plan.owned_by_scaler.contains(&"stream/alleycat shards = 7 in [1, 16]".to_owned()));
}

#[test]
fn what_only_creation_says_is_no_drift_and_unnamed_things_are_left_alone() {
    let mut setup = Setup::applied();
    setup.pipeline.consumers[0].starting_position = StartingPosition::Latest;
    setup.pipeline.stream.shards.initial = ShardCount(9);
    let extra = setup.table().global_secondary_indexes["GSI_Index"].clone();
    setup.table().global_secondary_indexes.insert("Other_Index".to_owned(), extra);
    setup.table().time_to_live = Some("expires".to_owned());
    setup.stream().tags.insert("cost-center".to_owned(), "7".to_owned());
    setup.stream().tags.insert(TAG_RESHARDS.to_owned(), "abc".to_owned());
    setup.stream().tags.insert(TAG_MANAGED_BY.to_owned(), "something".to_owned());
    let plan = setup.plan();
    assert!(plan.is_empty() && plan.blocked.is_empty(), "{plan:#?}");
}

#[test]
fn a_raise_does_not_wait_for_a_decrease_without_budget() {
    let mut setup = Setup::applied();
    let spent = CapacityFacts {
        read: CapacityUnits(390),
        write: CapacityUnits(20),
        decreases_today: 4,
        last_decrease: Some(now() - SignedDuration::from_secs(600)),
    };
    setup.table().capacity = spent;
    let capacity =
        |write, read| CapacityTarget { write: target(CapacityUnits(write)), read: target(CapacityUnits(read)) };
    let indexes = [("GSI_Index".to_owned(), capacity(900, 10))].into();
    let tables =
        [("alleycat-races".to_owned(), TableTargets { billing: None, table: capacity(2000, 20), indexes })].into();
    setup.targets = Some(Targets { tables, ..Targets::default() });
    let plan = setup.plan();
    let [Step::UpdateCapacity(change)] = steps(&plan)[..] else { panic!("{plan:#?}") };
    assert_eq!(change.capacity, Some((CapacityUnits(390), CapacityUnits(2000))), "read stays, write rises");
    assert_eq!(change.indexes.len(), 1, "and the index with it, in the one call");
    assert!(plan.warnings.iter().any(|line| line.contains("readCapacity 390 -> 20 waits: 4 decreases used today")));
    assert_eq!(setup.lint(&plan), [""; 0]);
    // The spec's own wish is told as held back, with the time at which it may be had.
    setup.targets = None;
    setup.pipeline.tables[0].read_capacity.max = CapacityUnits(100);
    let plan = setup.plan();
    assert!(plan.is_empty());
    assert_eq!(codes(&plan), ["AC0306"]);
    assert!(plan.blocked[0].hint.contains("after 2025-06-01T11:20:00Z"), "{:?}", plan.blocked);
    assert!(!plan.blocked[0].is_conflict());
}

#[test]
fn scaling_is_one_call_a_resource_and_apart_from_drift() {
    let mut setup = Setup::applied();
    setup.table().point_in_time_recovery = false;
    setup.facts.mappings[1].maximum_retry_attempts = 5;
    let consumer = ConsumerTargets {
        parallelization_factor: target(ParallelizationFactor(4)),
        batch_size: target(BatchSize(700)),
        ..ConsumerTargets::default()
    };
    setup.targets = Some(Targets {
        shards: target(ShardCount(12)),
        consumers: [("leaderboard".to_owned(), consumer)].into(),
        ..Targets::default()
    });
    let plan = setup.plan();
    let said: Vec<_> = plan.changes.iter().map(|change| (change.resource.to_string(), change.action)).collect();
    assert_eq!(
        said,
        [
            ("table/alleycat-races".to_owned(), Action::Update),
            ("stream/alleycat".to_owned(), Action::Scale),
            ("mapping/leaderboard".to_owned(), Action::Update),
            ("mapping/leaderboard".to_owned(), Action::Scale),
        ]
    );
    let scale: Vec<_> = plan.changes.iter().filter(|change| change.action == Action::Scale).collect();
    assert!(scale.iter().all(|change| change.steps.len() == 1));
    assert!(scale.iter().flat_map(|change| &change.fields).all(|field| field.owner == Owner::Scaler));
    assert_eq!(
        scale[0].steps,
        [Step::UpdateShardCount { stream: "alleycat".to_owned(), from: ShardCount(1), to: ShardCount(2) }]
    );
    let Step::UpdateMapping(change) = &scale[1].steps[0] else { panic!() };
    assert_eq!(
        (change.parallelization_factor, change.batch_size, change.maximum_retry_attempts),
        (Some(ParallelizationFactor(4)), Some(BatchSize(700)), None)
    );
    assert_eq!(setup.lint(&plan), [""; 0]);
}

#[test]
fn a_target_outside_the_bounds_is_brought_back_into_them() {
    let mut setup = Setup::applied();
    let capacity = || CapacityTarget { write: target(CapacityUnits(99_999)), read: target(CapacityUnits(99_999)) };
    let table =
        TableTargets { billing: None, table: capacity(), indexes: [("GSI_Index".to_owned(), capacity())].into() };
    let consumer = ConsumerTargets {
        parallelization_factor: target(ParallelizationFactor(99)),
        batch_size: target(BatchSize(9_999)),
        ..ConsumerTargets::default()
    };
    setup.targets = Some(Targets {
        shards: target(ShardCount(99)),
        consumers: [("leaderboard".to_owned(), consumer)].into(),
        tables: [("alleycat-races".to_owned(), table)].into(),
        ..Targets::default()
    });
    for _ in 0..5 {
        let plan = setup.plan();
        assert_eq!(setup.lint(&plan), [""; 0]);
        setup.facts = carry_out(&setup.facts, &plan);
    }
    let bounds = &setup.pipeline.consumers[0];
    assert_eq!(setup.facts.mappings[1].parallelization_factor, bounds.parallelization_factor.max);
    assert_eq!(setup.facts.mappings[1].batch_size, bounds.batch_size.max);
    assert_eq!(setup.stream().open_shards, ShardCount(16));
    let table = setup.table();
    assert_eq!((table.capacity.write, table.capacity.read), (CapacityUnits(4000), CapacityUnits(400)));
    let index = &table.global_secondary_indexes["GSI_Index"].capacity;
    assert_eq!((index.write, index.read), (CapacityUnits(2000), CapacityUnits(200)));
}

#[test]
fn provisioning_waits_for_what_is_in_transition_and_scaling_leaves_it_alone() {
    let mut setup = Setup::applied();
    setup.table().status = LifecycleStatus::Updating;
    setup.table().capacity.write = CapacityUnits(1);
    setup.stream().status = LifecycleStatus::Creating;
    setup.pipeline.stream.shards = shards(2, 4);
    setup.facts.mappings[0].state = MappingState::Enabling;
    setup.facts.mappings[0].batch_size = BatchSize(1);
    assert_eq!(setup.plan().changes.len(), 3);
    setup.targets = Some(Targets { shards: target(ShardCount(3)), ..Targets::default() });
    let plan = setup.plan();
    assert!(plan.is_empty());
    assert_eq!(plan.warnings.iter().filter(|line| line.contains("in transition")).count(), 3);
    assert_eq!(setup.lint(&plan), [""; 0]);
}

#[test]
fn the_scaler_may_extend_the_retention_inside_its_bounds_only() {
    let mut setup = Setup::applied();
    setup.pipeline.stream.retention.max = Hours(72);
    for (wanted, steps_of_it) in [(48, 1), (72, 1), (96, 0), (24, 0)] {
        setup.targets = Some(Targets { retention: target(Hours(wanted)), ..Targets::default() });
        let plan = setup.plan();
        let raised = Step::IncreaseRetention { stream: setup.stream().name.clone(), retention: Hours(wanted) };
        assert_eq!(steps(&plan).iter().filter(|step| ***step == raised).count(), steps_of_it, "{wanted}");
        assert_eq!(steps(&plan).len(), steps_of_it);
        assert_eq!(setup.lint(&plan), [""; 0]);
    }
}

#[test]
fn a_consumer_that_must_run_alone_gets_one_shard_and_factor_one() {
    let mut setup = Setup::applied();
    setup.pipeline.consumers[0].concurrency_safe = false;
    setup.pipeline.stream.shards.initial = ShardCount(4);
    setup.stream().open_shards = ShardCount(4);
    setup.facts.mappings[1].parallelization_factor = ParallelizationFactor(3);
    setup.targets = Some(Targets { shards: target(ShardCount(8)), ..Targets::default() });
    for _ in 0..2 {
        let plan = setup.plan();
        assert_eq!(setup.lint(&plan), [""; 0]);
        setup.facts = carry_out(&setup.facts, &plan);
    }
    assert_eq!(setup.stream().open_shards, ShardCount(1));
    assert_eq!(setup.facts.mappings[1].parallelization_factor, ParallelizationFactor(1));
    setup.facts = Setup::default().facts;
    let plan = setup.plan();
    assert!(steps(&plan).iter().any(|step| matches!(step, Step::CreateStream { shards: ShardCount(1), .. })));
}

#[test]
fn what_cannot_be_done_is_told_with_a_code() {
    let cases: &[(&str, Arrange)] = &[
        ("AC0207", |setup| setup.table().tags.clear()),
        ("AC0208", |setup| {
            setup.table().tags.clear();
            setup.table().tags.insert(TAG_MANAGED_BY.to_owned(), "terraform".to_owned());
            setup.pipeline.tables[0].adoption_policy = AdoptionPolicy::Adopt;
        }),
        ("AC0209", |setup| setup.facts.mappings[0].arn = None),
        ("AC0301", |setup| {
            setup.facts.functions.remove("alleycat-FinalResultsFunction");
        }),
        ("AC0302", |setup| setup.table().partition_key = "id:S".to_owned()),
        ("AC0302", |setup| setup.table().local_secondary_indexes.clear()),
        ("AC0303", |setup| setup.table().status = LifecycleStatus::Deleting),
        ("AC0303", |setup| setup.facts.mappings[0].state = MappingState::Deleting),
        ("AC0304", |setup| setup.table().status = LifecycleStatus::Other),
        ("AC0305", |setup| {
            setup.pipeline.stream.shards = shards(4, 8);
            setup.ledger_used = 9;
        }),
        ("AC0305", |setup| {
            setup.pipeline.stream.shards = shards(2, 8);
            setup.exhausted_until = Some(now() + SignedDuration::from_secs(1));
        }),
        ("AC0307", |setup| setup.facts.mappings[0].source_arn.push_str("/consumer/fast:1")),
        ("AC0308", |setup| {
            setup.pipeline.stream.shards = shards(8, 16);
            setup.facts.shard_limit = Some(7);
        }),
    ];
    for (code, arrange) in cases {
        let mut setup = Setup::applied();
        arrange(&mut setup);
        let plan = setup.plan();
        assert_eq!(codes(&plan), [*code]);
        assert!(!plan.blocked[0].reason.is_empty() && !plan.blocked[0].hint.is_empty());
        assert_eq!(setup.lint(&plan), [""; 0]);
    }
    let mut setup = Setup::default();
    setup.facts.shard_limit = Some(0);
    assert_eq!(codes(&setup.plan()), ["AC0308", "AC0210", "AC0210"], "no mapping without a stream");
    let mut setup = Setup::applied();
    setup.stream().mode = StreamMode::OnDemand;
    assert_eq!(codes(&setup.plan()), ["AC0302", "AC0210", "AC0210"], "and what needs the stream with it");
}

#[test]
fn destroy_touches_only_what_is_ours_and_confirmed() {
    let mut setup = Setup::applied();
    setup.pipeline.stream.deletion_policy = DeletionPolicy::Delete;
    setup.pipeline.tables[0].deletion_policy = DeletionPolicy::Delete;
    let plan = setup.destroy(Some("alleycat"));
    assert_eq!(setup.lint(&plan), [""; 0]);
    let after = carry_out(&setup.facts, &plan);
    assert!(after.stream.is_none() && after.tables.is_empty() && after.mappings.is_empty());
    assert_eq!(codes(&setup.destroy(Some("Alleycat"))), ["AC0502", "AC0502"]);
    let mut foreign = setup.clone();
    foreign.stream().tags.clear();
    foreign.table().tags.clear();
    foreign.facts.mappings[0].tags.clear();
    foreign.pipeline.consumers.pop();
    foreign.pipeline.consumers.clear();
    let plan = foreign.destroy(Some("alleycat"));
    assert_eq!(codes(&plan), ["AC0503", "AC0503"]);
    assert_eq!(steps(&plan).len(), 1, "one mapping is ours although no consumer names it");
    assert_eq!(foreign.lint(&plan), [""; 0]);
    let mut odd = setup.clone();
    odd.table().status = LifecycleStatus::Other;
    odd.facts.mappings[0].state = MappingState::Other;
    let plan = odd.destroy(Some("alleycat"));
    assert_eq!((codes(&plan), plan.changes.len()), (vec!["AC0503", "AC0503"], 2));
    assert_eq!(odd.lint(&plan), [""; 0]);
    let mut going = setup.clone();
    going.stream().status = LifecycleStatus::Deleting;
    let plan = going.destroy(Some("alleycat"));
    assert_eq!(plan.changes.len(), 4, "what is going stays in the plan until it is gone");
    assert_eq!(going.lint(&plan), [""; 0]);
}

#[test]
fn a_mode_that_the_operator_may_choose_is_no_drift() {
    let mut setup = Setup::applied();
    setup.table().billing_mode = BillingMode::OnDemand;
    assert_eq!(codes(&setup.plan()), ["AC0302"]);
    setup.pipeline.tables[0].billing_mode = Billing::Auto;
    let plan = setup.plan();
    assert!(plan.is_empty() && plan.blocked.is_empty(), "{plan:#?}");
    assert!(plan.owned_by_scaler.iter().any(|line| line.contains("billingMode = onDemand, auto")));
    setup.stream().mode = StreamMode::OnDemand;
    setup.stream().open_shards = ShardCount(99);
    assert_eq!(codes(&setup.plan())[0], "AC0302", "somebody else's");
    setup.break_glass_since = Some(now());
    let plan = setup.plan();
    assert!(plan.is_empty() && plan.blocked.is_empty(), "{plan:#?}");
    assert!(plan.warnings.iter().any(|line| line.contains("on demand by break-glass")), "{:?}", plan.warnings);
    setup.stream().mode = StreamMode::Provisioned;
    assert!(!setup.plan().is_empty(), "what is back is held to the spec again");
}
