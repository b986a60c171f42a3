//! What a move brings, read off the twin, and what is shown before it.

use alleycat_operator::{
    apply::Verdict,
    daemon::Mode,
    model::MappingState,
    plan::Step,
    spec::{Delivery, StartingPosition},
    twin::{
        Faults, Host, Moment, Twin, Which,
        world::{ExternalReader, FaultEffect, FaultRule, Timings},
    },
};
use jiff::SignedDuration;

use super::scenario::{self, STREAM};
use crate::bench::{Bench, done};

/// A quiet world with so many readers beside our own.
pub fn bench(others: u32) -> Bench {
    bench_with(others, Vec::new())
}

fn bench_with(others: u32, faults: Vec<FaultRule>) -> Bench {
    let scenario = scenario::of(0);
    let mut world = scenario.world;
    (world.timings, world.faults) = (Timings::default(), faults);
    world.external_consumers = (0..others)
        .map(|index| ExternalReader {
            stream: STREAM.into(),
            name: format!("reader-{index}"),
            from_seconds: 0,
            to_seconds: None,
        })
        .collect();
    let mut bench = Bench::new();
    bench.pipeline = scenario.pipeline;
    bench.pipeline.consumers[0].maximum_batching_window_seconds = 0;
    let clock = alleycat_operator::aws::Clock::simulated(world.start, 1.0);
    let mut twin = Twin::new(world, 7);
    twin.record_deliveries();
    bench.host = Host::new(twin, clock.clone());
    bench.clock = clock;
    bench
}

async fn pass_minutes(bench: &Bench, minutes: i64) {
    bench.clock.sleep(SignedDuration::from_mins(minutes)).await;
}

/// The greatest delivery latency of the last minute, ms.
fn latency(bench: &Bench) -> i64 {
    let since = (bench.clock.now() - SignedDuration::from_mins(1)).as_millisecond();
    bench.host.with(|twin| {
        let recent = twin.plane().deliveries().iter().filter(|it| it.sent_ms >= since);
        recent.map(|it| it.sent_ms - it.arrived_ms).max().unwrap()
    })
}

#[tokio::test(start_paused = true)]
async fn with_five_readers_the_latency_falls_from_a_second_to_under_a_tenth() {
    let mut bench = bench(4);
    done(&bench.apply().await);
    pass_minutes(&bench, 12).await;
    let before = latency(&bench);
    bench.pipeline.consumers[0].delivery = Delivery::EnhancedFanOut;
    let outcome = bench.apply().await;
    done(&outcome);
    pass_minutes(&bench, 3).await;
    let after = latency(&bench);
    eprintln!("delivery latency with five shared readers: {before} ms, through fan-out: {after} ms");
    assert!((900..=1_300).contains(&before) && after < 100, "{before} ms, then {after} ms");
    let calls: Vec<&str> = outcome
        .performed
        .iter()
        .map(|step| match step {
            Step::RegisterStreamConsumer { .. } => "register",
            Step::UpdateMapping(_) => "switch off",
            Step::CreateMapping(new) => match new.starting_position {
                StartingPosition::AtTimestamp(_) => "create",
                _ => "create elsewhere",
            },
            Step::DeleteMapping { .. } => "delete",
            _ => "another",
        })
        .collect();
    assert_eq!(calls, ["register", "switch off", "create", "delete"]);

    bench.pipeline.consumers[0].delivery = Delivery::Shared;
    pass_minutes(&bench, 8).await;
    done(&bench.apply().await);
    let facts = bench.facts().await;
    assert!(facts.fan_out.is_empty() && facts.mappings.len() == 1, "{facts:#?}");
    let before = bench.mutations();
    done(&bench.apply().await);
    assert_eq!(bench.mutations(), before, "a second apply calls nothing");
}

#[tokio::test(start_paused = true)]
async fn the_daemon_makes_the_move_one_step_a_pass_and_holds_everything_else() {
    let mut bench = bench(0);
    done(&bench.apply().await);
    pass_minutes(&bench, 12).await;
    bench.pipeline.consumers[0].delivery = Delivery::EnhancedFanOut;
    let (mut most, mut held) = (0, false);
    bench
        .daemon(Mode::Act, SignedDuration::from_mins(25), |report, _| {
            most = most.max(report.performed.len());
            held |=
                report.sizing.holds.iter().any(|hold| hold.guard == "actuating" && hold.reason.contains("ACTUATING"));
        })
        .await;
    assert!(most == 1 && held, "{most} {held}");
    let facts = bench.facts().await;
    assert_eq!(facts.mappings.len(), 1);
    assert!(facts.mappings[0].source_arn.contains("/consumer/clicks-counter:"));
}

#[tokio::test(start_paused = true)]
async fn a_new_pipeline_is_created_on_fan_out_and_destroyed_with_it() {
    let mut bench = bench(0);
    bench.pipeline.consumers[0].delivery = Delivery::EnhancedFanOut;
    bench.pipeline.stream.deletion_policy = alleycat_operator::spec::DeletionPolicy::Delete;
    done(&bench.apply().await);
    let facts = bench.facts().await;
    assert_eq!((facts.fan_out.len(), facts.mappings.len()), (1, 1));
    assert!(facts.mappings[0].source_arn.contains("/consumer/"));
    done(&bench.destroy().await);
    let facts = bench.facts().await;
    assert!(facts.stream.is_none() && facts.mappings.is_empty(), "{facts:#?}");
}

#[tokio::test(start_paused = true)]
async fn an_orphan_of_ours_goes_and_others_stay() {
    let bench = bench(0);
    done(&bench.apply().await);
    let arn = bench.facts().await.stream.unwrap().arn;
    for (name, owner) in [("clicks-counter", "clicks"), ("clicks-gone", "clicks"), ("theirs", "other")] {
        let tags = serde_json::json!({"alleycat.dev/pipeline": owner});
        let input = serde_json::json!({"StreamARN": arn, "ConsumerName": name, "Tags": tags});
        bench.host.with(|twin| twin.foreign_call("kinesis", "RegisterStreamConsumer", input)).unwrap();
    }
    pass_minutes(&bench, 1).await;
    bench.daemon(Mode::Act, SignedDuration::from_mins(3), |_, _| ()).await;
    let left: Vec<String> = bench.facts().await.fan_out.into_iter().map(|it| it.name).collect();
    assert_eq!(left, ["theirs"]);
}

#[tokio::test(start_paused = true)]
async fn a_create_that_aws_refuses_is_undone_and_told() {
    let refuses = FaultEffect::error("InvalidParameterValueException");
    let refuses = FaultRule { from_seconds: 600, ..FaultRule::of("lambda:CreateEventSourceMapping", refuses) };
    let mut bench = bench_with(0, vec![refuses]);
    done(&bench.apply().await);
    pass_minutes(&bench, 12).await;
    bench.pipeline.consumers[0].delivery = Delivery::EnhancedFanOut;
    let outcome = bench.apply().await;
    assert_eq!(outcome.verdict, Verdict::Done, "{outcome:#?}");
    let facts = bench.facts().await;
    assert_eq!((facts.mappings.len(), facts.mappings[0].state), (1, MappingState::Enabled));
    let said = outcome.blocked.iter().find(|blocked| blocked.code == "AC0309").unwrap();
    assert!(said.reason.contains("InvalidParameterValueException"), "{said:?}");
}

/// Killed at each mutating call of a move by `apply`, before and after its effect, with and without the memory.
#[tokio::test(start_paused = true)]
async fn killed_at_any_call_and_run_again_the_end_is_the_same() {
    for to in [Delivery::EnhancedFanOut, Delivery::Shared] {
        for index in 0..5_u64 {
            for (moment, lose) in [(Moment::Before, false), (Moment::After, false), (Moment::After, true)] {
                killed(to, index, moment, lose).await;
            }
        }
    }
}

async fn killed(to: Delivery, index: u64, moment: Moment, lose_store: bool) {
    let told = format!("{to:?} {index} {moment:?} {lose_store}");
    let mut bench = bench(0);
    let from = if to == Delivery::Shared { Delivery::EnhancedFanOut } else { Delivery::Shared };
    bench.pipeline.consumers[0].delivery = from;
    done(&bench.apply().await);
    pass_minutes(&bench, 12).await;
    bench.pipeline.consumers[0].delivery = to;
    bench.faults(Faults::crash_at(Which::Mutations, index, moment));
    bench.apply().await;
    let reached = bench.host.crashed();
    // Forward there are four calls.
    assert!(reached || (index == 4 && to == Delivery::EnhancedFanOut), "{told}");
    if lose_store {
        bench.store = alleycat_operator::memory::MemStore::new();
    }
    bench.faults(Faults::default());
    bench.daemon(Mode::Act, SignedDuration::from_mins(30), |_, _| ()).await;
    let facts = bench.facts().await;
    let fanned = to == Delivery::EnhancedFanOut;
    assert_eq!((facts.mappings.len(), facts.fan_out.len()), (1, usize::from(fanned)), "{told}: {facts:#?}");
    assert_eq!(facts.mappings[0].source_arn.contains("/consumer/"), fanned, "{told}");
    assert_eq!(facts.mappings[0].state, MappingState::Enabled, "{told}");
}
