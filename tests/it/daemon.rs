//! The daemon's pass and loop on the twin, without regard to what the sizing wants.

use std::sync::{Arc, Mutex};

use alleycat_operator::{
    aws::Allow,
    cost::PriceSheet,
    daemon::{self, Mode},
    model::{ErrorClass, ShardCount},
    plan::{Action, Step},
    spec::{BreakGlass, Management},
    twin::{Faults, Host, Twin, Which, World},
};
use jiff::SignedDuration;

use crate::{
    apply::Full,
    bench::{Bench, done},
};

const MINUTE: SignedDuration = SignedDuration::from_mins(1);

fn is_scaling(step: &Step) -> bool {
    matches!(step, Step::UpdateShardCount { .. } | Step::UpdateCapacity(_) | Step::UpdateMapping(_))
}

#[tokio::test(start_paused = true)]
async fn what_is_missing_is_named_and_not_created() {
    let bench = Bench::new();
    let report = bench.pass(Mode::Act).await;
    assert_eq!(bench.mutations(), 0);
    assert_eq!(report.problems.len(), 4, "stream, table, two mappings: {:#?}", report.problems);
    assert!(report.problems.iter().all(|problem| problem.contains("run `alleycat-operator apply`")));

    done(&bench.apply().await);
    bench.host.with(|twin| {
        let input = serde_json::json!({"TableName": "alleycat-races", "DeletionProtectionEnabled": false});
        twin.foreign_call("dynamodb", "UpdateTable", input).unwrap();
    });
    bench.clock.sleep(SignedDuration::from_mins(2)).await;
    let before = bench.mutations();
    let report = bench.pass(Mode::Act).await;
    let drift = report.plan.unwrap().changes;
    assert!(drift.iter().any(|change| change.action == Action::Update), "drift is shown: {drift:#?}");
    let foreign = |step: &(Step, _)| !is_scaling(&step.0);
    assert!(!report.performed.iter().any(foreign), "and not repaired: {:#?}", report.performed);
    assert_eq!(bench.mutations() - before, report.performed.len());
}

#[tokio::test(start_paused = true)]
async fn observe_only_calls_nothing_however_the_traffic() {
    for by_spec in [false, true] {
        let mut bench = Bench::new();
        done(&bench.apply().await);
        if by_spec {
            bench.pipeline.management = Management::Observe;
        }
        let mode = if by_spec { Mode::Act } else { Mode::Observe };
        let before = bench.mutations();
        let mut passes = 0;
        bench
            .daemon(mode, SignedDuration::from_mins(20), |report, _| {
                assert!(report.failure.is_none(), "{:?}", report.failure);
                assert!(report.performed.is_empty(), "not even tried: {:#?}", report.performed);
                passes += 1;
            })
            .await;
        assert!((20..=22).contains(&passes), "{passes}");
        assert_eq!(bench.mutations(), before);
    }
}

#[tokio::test(start_paused = true)]
async fn on_a_full_disk_a_pass_tries_nothing_and_says_why() {
    let bench = Bench::new();
    done(&bench.apply().await);
    let (aws, mut memory, prices) = (bench.aws(Allow::Autoscale).await, bench.memory(), PriceSheet::us_east_1());
    let before = bench.mutations();
    let mut wishes = 0;
    for _ in 0..20 {
        let (spec, policy, disk) = (&bench.pipeline, &bench.policy, Full::after(0));
        let report = daemon::cycle(&aws, &disk, &mut memory, spec, policy, &prices, Mode::Act).await;
        wishes += report.plan.iter().flat_map(|plan| &plan.changes).filter(|it| it.action == Action::Scale).count();
        assert!(report.performed.is_empty(), "{:#?}", report.performed);
        assert!(report.problems.iter().any(|line| line.contains("no space left")), "{:?}", report.problems);
        bench.clock.sleep(MINUTE).await;
    }
    assert!(wishes > 0, "a quiet world proves nothing");
    assert_eq!(bench.mutations(), before);
}

#[tokio::test(start_paused = true)]
async fn a_pass_that_cannot_observe_changes_nothing_and_the_next_ones_come_rarer() {
    let bench = Bench::new();
    done(&bench.apply().await);
    let before = bench.mutations();
    bench.faults(Faults { server_error: 1.0, which: Which::Reads, ..Faults::default() });
    let times = Arc::new(Mutex::new(Vec::new()));
    let seen = times.clone();
    bench
        .daemon(Mode::Act, SignedDuration::from_mins(30), |report, _| {
            assert_eq!(report.failure.as_ref().map(|failure| failure.class), Some(ErrorClass::ServerError));
            assert!(report.performed.is_empty());
            seen.lock().unwrap().push(report.at);
        })
        .await;
    assert_eq!(bench.mutations(), before);
    let times = std::mem::take(&mut *times.lock().unwrap());
    let pauses: Vec<i64> = times.windows(2).map(|pair| pair[1].duration_since(pair[0]).as_secs() / 60).collect();
    assert!(times.len() < 12 && pauses.iter().all(|pause| *pause <= 5), "{pauses:?}");

    bench.faults(Faults::default());
    let report = bench.pass(Mode::Act).await;
    assert!(report.failure.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_pass_touches_each_resource_once_and_none_in_transition() {
    let bench = Bench::new();
    done(&bench.apply().await);
    bench
        .daemon(Mode::Act, SignedDuration::from_mins(30), |report, _| {
            let mut touched = Vec::new();
            for (step, _) in &report.performed {
                assert!(is_scaling(step), "{step:?}");
                let resource = match step {
                    Step::UpdateShardCount { stream, .. } => stream.clone(),
                    Step::UpdateCapacity(change) => change.table.clone(),
                    Step::UpdateMapping(change) => change.uuid.clone(),
                    other => panic!("{other:?}"),
                };
                assert!(!touched.contains(&resource), "{:#?}", report.performed);
                touched.push(resource);
            }
        })
        .await;
    bench.host.with(|twin| {
        assert_eq!(twin.audit().transition_refusals, 0);
        assert_eq!(twin.audit().quota_refusals, 0);
    });
}

#[tokio::test(start_paused = true)]
async fn while_somebody_reshards_nothing_is_done_to_the_stream() {
    let bench = Bench::new();
    done(&bench.apply().await);
    bench.host.with(|twin| twin.foreign_reshard("alleycat", 2).unwrap());
    let report = bench.pass(Mode::Act).await;
    assert!(!report.performed.iter().any(|(step, _)| matches!(step, Step::UpdateShardCount { .. })));
    assert_eq!(report.facts.unwrap().stream.unwrap().open_shards, ShardCount(1), "not settled yet");
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_the_loop_at_once_and_the_memory_is_kept() {
    let bench = Bench::new();
    done(&bench.apply().await);
    let started = bench.clock.now();
    let mut passes = 0;
    bench
        .daemon(Mode::Act, SignedDuration::from_hours(24), |_, stop| {
            passes += 1;
            stop.send(true).unwrap();
        })
        .await;
    assert_eq!(passes, 1);
    assert!(bench.clock.now().duration_since(started) < MINUTE);
    let kept = alleycat_operator::memory::Store::load(&bench.store, "alleycat").unwrap();
    assert!(kept.is_some());
}

#[tokio::test(start_paused = true)]
async fn with_the_quota_used_up_shards_are_split_where_the_spec_allows_it() {
    let open_shards = async |allowed: bool| {
        let mut bench = Bench::new();
        bench.host = Host::new(Twin::new(World::alleycat().with_jitter(400).with_races(6), 7), bench.clock.clone());
        if allowed {
            bench.pipeline.scaling.break_glass = vec![BreakGlass::SplitShard];
        }
        done(&bench.apply().await);
        bench.use_up_reshards();
        bench.daemon(Mode::Act, SignedDuration::from_mins(15), |_, _| ()).await;
        let accepted = bench.accepted();
        assert!(!accepted.iter().any(|call| call == "kinesis:UpdateShardCount"), "{accepted:?}");
        assert!(bench.memory().reshards.entries.is_empty(), "a split is neither our call nor somebody else's");
        bench.facts().await.stream.unwrap().open_shards.get()
    };
    assert_eq!(open_shards(false).await, 1);
    assert!(open_shards(true).await >= 2);
}
