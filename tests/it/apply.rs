//! `apply` and `destroy` on the twin: complete, repeatable, and indifferent to where they were killed.

use std::collections::BTreeMap;

use alleycat_operator::{
    apply::{self, Goal, Verdict},
    aws::Allow,
    memory::{Decision, Intent, IntentState, MemStore, Memory, Store, StoreError},
    model::{Bounds, ErrorClass, LifecycleStatus, MappingState, ShardCount, TAG_RESHARDS},
    plan::Step,
    spec::{Management, Pipeline},
    twin::{Fault, Faults, Moment, Which},
};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;

use crate::bench::{Bench, done};

#[tokio::test(start_paused = true)]
async fn apply_creates_everything_waits_for_it_and_then_has_nothing_to_do() {
    let bench = Bench::new();
    done(&bench.apply().await);
    let facts = bench.facts().await;
    assert_eq!(facts.stream.as_ref().map(|stream| stream.status), Some(LifecycleStatus::Active));
    assert!(facts.tables["alleycat-races"].is_settled());
    assert_eq!(facts.mappings.len(), 2);
    assert!(facts.mappings.iter().all(|mapping| mapping.state == MappingState::Enabled), "{:?}", facts.mappings);
    let created = bench.accepted();
    for operation in ["kinesis:CreateStream", "dynamodb:CreateTable"] {
        assert_eq!(created.iter().filter(|name| *name == operation).count(), 1, "{created:?}");
    }

    let before = bench.mutations();
    let again = bench.apply().await;
    done(&again);
    assert!(again.performed.is_empty());
    assert_eq!(bench.mutations(), before, "a second apply calls nothing");
    assert!(bench.store.pending("alleycat").unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_table_does_not_hold_up_the_stream_and_progress_tells_what_is_waited_for() {
    let bench = Bench::new();
    let outcome = bench.apply().await;
    let created: Vec<&Step> = outcome.performed.iter().collect();
    let position = |wanted: fn(&Step) -> bool| created.iter().position(|step| wanted(step)).unwrap();
    let stream = position(|step| matches!(step, Step::CreateStream { .. }));
    let mapping = position(|step| matches!(step, Step::CreateMapping(_)));
    assert!(stream <= 1 && stream < mapping, "{created:?}");
    let progress = bench.progress.lock().unwrap();
    assert!(progress.iter().any(|event| event.what.contains("CREATING") && event.expected.is_some()), "{progress:#?}");
    assert!(progress.windows(2).all(|pair| pair[0].elapsed <= pair[1].elapsed));
}

/// Kills an apply at a request, runs it again, and tells what there is in the end.
async fn killed(which: Which, index: u64, moment: Moment, lose_store: bool) -> serde_json::Value {
    let mut bench = Bench::new();
    bench.faults(Faults::crash_at(which, index, moment));
    bench.apply().await;
    assert!(bench.host.crashed(), "{which:?} {index} {moment:?} was not reached");
    if lose_store {
        bench.store = MemStore::new();
    }
    bench.faults(Faults::default());
    let second = bench.apply().await;
    assert_eq!(second.verdict, Verdict::Done, "killed at {which:?} {index} {moment:?}: {:#?}", second.failures);
    let before = bench.mutations();
    done(&bench.apply().await);
    assert_eq!(bench.mutations(), before, "killed at {which:?} {index} {moment:?}: the third run found work");
    bench.shape().await
}

#[tokio::test(start_paused = true)]
async fn killed_at_any_request_and_run_again_the_end_is_the_same() {
    let bench = Bench::new();
    done(&bench.apply().await);
    let (all, mutations) = bench.host.requests();
    let expected = bench.shape().await;
    for index in 0..all {
        assert_eq!(Box::pin(killed(Which::All, index, Moment::Before, false)).await, expected, "request {index}");
    }
    for index in 0..mutations {
        for lose_store in [false, true] {
            let shape = Box::pin(killed(Which::Mutations, index, Moment::After, lose_store)).await;
            assert_eq!(shape, expected, "after mutation {index}, store lost: {lose_store}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn with_faults_all_around_apply_converges_and_creates_nothing_twice() {
    let bench = Bench::new();
    done(&bench.apply().await);
    let expected = bench.shape().await;
    for seed in 0..12 {
        let bench = Bench::new();
        bench.faults(Faults {
            seed,
            lost_before: 0.05,
            lost_after: 0.1,
            server_error: 0.05,
            throttled: 0.05,
            ..Faults::default()
        });
        let mut outcome = bench.apply().await;
        for _ in 0..5 {
            if outcome.verdict == Verdict::Done {
                break;
            }
            outcome = bench.apply().await;
        }
        done(&outcome);
        bench.faults(Faults::default());
        assert_eq!(bench.shape().await, expected, "seed {seed}");
        let created = bench.accepted().into_iter().filter(|name| name.contains(":Create")).count();
        assert_eq!(created, 4, "seed {seed}: one stream, one table, two mappings");
    }
}

#[tokio::test(start_paused = true)]
async fn each_single_fault_at_each_mutation_is_survived_in_one_run() {
    let bench = Bench::new();
    done(&bench.apply().await);
    let (_, mutations) = bench.host.requests();
    let expected = bench.shape().await;
    for index in 0..mutations {
        for fault in
            [Fault::LostBefore, Fault::LostAfter, Fault::ServerError, Fault::ServerErrorAfter, Fault::Throttled]
        {
            let bench = Bench::new();
            bench.faults(Faults { placed_mutations: BTreeMap::from([(index, fault)]), ..Faults::default() });
            let outcome = bench.apply().await;
            done(&outcome);
            assert_eq!(bench.shape().await, expected, "{fault:?} at mutation {index}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn raised_bounds_are_reached_step_by_step_with_every_call_in_the_ledger() {
    let mut bench = Bench::new();
    done(&bench.apply().await);
    bench.pipeline.stream.shards = Bounds { min: ShardCount(6), max: ShardCount(16), initial: ShardCount(6) };
    let outcome = bench.apply().await;
    done(&outcome);
    let targets: Vec<u32> = outcome
        .performed
        .iter()
        .filter_map(|step| match step {
            Step::UpdateShardCount { to, .. } => Some(to.get()),
            _ => None,
        })
        .collect();
    assert_eq!(targets, [2, 4, 6]);
    let stream = bench.facts().await.stream.unwrap();
    assert_eq!(stream.open_shards, ShardCount(6));
    assert!(stream.tags.contains_key(TAG_RESHARDS), "{:?}", stream.tags);
    assert_eq!(bench.memory().reshards.entries.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn destroy_takes_what_it_may_and_keeps_the_rest() {
    let bench = Bench::new();
    done(&bench.apply().await);
    let outcome = bench.destroy().await;
    assert_eq!(outcome.verdict, Verdict::Done);
    let facts = bench.facts().await;
    assert!(facts.mappings.is_empty());
    assert!(facts.stream.is_some() && facts.tables.len() == 1, "stateful things are retained");
    assert_eq!(outcome.blocked.len(), 2, "{:#?}", outcome.blocked);

    let bench = Bench::disposable();
    done(&bench.apply().await);
    let outcome = bench.destroy().await;
    done(&outcome);
    let facts = bench.facts().await;
    assert!(facts.mappings.is_empty() && facts.stream.is_none() && facts.tables.is_empty());
    let deleted: Vec<&Step> = outcome.performed.iter().collect();
    let position = |wanted: fn(&Step) -> bool| deleted.iter().rposition(|step| wanted(step)).unwrap();
    assert!(
        position(|step| matches!(step, Step::DeleteMapping { .. }))
            < position(|step| matches!(step, Step::DeleteStream { .. })),
        "{deleted:?}"
    );
    done(&bench.destroy().await);
}

#[tokio::test(start_paused = true)]
async fn destroy_killed_after_any_mutation_is_finished_by_the_next_one() {
    let bench = Bench::disposable();
    done(&bench.apply().await);
    bench.faults(Faults::default());
    done(&bench.destroy().await);
    let (_, mutations) = bench.host.requests();
    for index in 0..mutations {
        for moment in [Moment::Before, Moment::After] {
            let bench = Bench::disposable();
            done(&bench.apply().await);
            bench.faults(Faults::crash_at(Which::Mutations, index, moment));
            bench.destroy().await;
            bench.faults(Faults::default());
            done(&bench.destroy().await);
            let facts = bench.facts().await;
            assert!(
                facts.mappings.is_empty() && facts.stream.is_none() && facts.tables.is_empty(),
                "killed {moment:?} mutation {index}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_the_run_between_two_calls_and_a_timeout_says_what_it_waited_for() {
    let bench = Bench::new();
    let outcome =
        bench.run_until(Goal::Provision, &bench.store, SignedDuration::from_mins(30), watch::channel(true).1).await;
    assert_eq!((outcome.verdict, bench.mutations()), (Verdict::Stopped, 0));

    let outcome = bench.run(Goal::Provision, &bench.store, SignedDuration::from_secs(5)).await;
    assert!(matches!(&outcome.verdict, Verdict::TimedOut(what) if !what.is_empty()), "{:?}", outcome.verdict);
    assert!(!outcome.remaining.is_empty());
    done(&bench.apply().await);
}

#[tokio::test(start_paused = true)]
async fn a_spec_that_only_observes_is_never_written_for() {
    let mut bench = Bench::new();
    bench.pipeline.management = Management::Observe;
    assert!(matches!(bench.apply().await.verdict, Verdict::Refused(why) if why.contains("observe")));
    let facts = bench.facts().await;
    let step = Step::CreateStream { stream: "alleycat".into(), shards: ShardCount(1), tags: BTreeMap::new() };
    let aws = bench.aws(Allow::Apply).await;
    let failure = apply::perform(&aws, &bench.store, &mut Memory::empty(), &bench.pipeline, &facts, &step).await;
    assert_eq!(failure.unwrap_err().class, ErrorClass::Forbidden);
    assert_eq!(bench.mutations(), 0);
}

/// A store whose disk is full from the n-th write on.
pub struct Full {
    store: MemStore,
    writes_left: std::sync::Mutex<u32>,
}

impl Full {
    pub fn after(writes: u32) -> Self {
        Self { store: MemStore::new(), writes_left: std::sync::Mutex::new(writes) }
    }

    fn write(&self) -> Result<(), StoreError> {
        let mut left = self.writes_left.lock().unwrap();
        let detail = "no space left on device".to_owned();
        *left =
            left.checked_sub(1).ok_or(StoreError::Io { path: "/state/memory.redb".into(), what: "write", detail })?;
        Ok(())
    }
}

impl Store for Full {
    fn load(&self, pipeline: &str) -> Result<Option<Memory>, StoreError> {
        self.store.load(pipeline)
    }
    fn save(&self, pipeline: &str, memory: &Memory) -> Result<(), StoreError> {
        self.write()?;
        self.store.save(pipeline, memory)
    }
    fn intend(&self, pipeline: &str, at: Timestamp, step: &Step) -> Result<u64, StoreError> {
        self.write()?;
        self.store.intend(pipeline, at, step)
    }
    fn resolve(&self, pipeline: &str, id: u64, state: IntentState) -> Result<(), StoreError> {
        self.write()?;
        self.store.resolve(pipeline, id, state)
    }
    fn intents(&self, pipeline: &str) -> Result<Vec<Intent>, StoreError> {
        self.store.intents(pipeline)
    }
    fn record(&self, pipeline: &str, decision: Decision) -> Result<u64, StoreError> {
        self.write()?;
        self.store.record(pipeline, decision)
    }
    fn decisions(&self, pipeline: &str, limit: usize) -> Result<Vec<Decision>, StoreError> {
        self.store.decisions(pipeline, limit)
    }
    fn amend(&self, pipeline: &str, decision: &Decision) -> Result<(), StoreError> {
        self.write()?;
        self.store.amend(pipeline, decision)
    }
    fn keep_inputs(&self, pipeline: &str, id: u64, packet: &[u8]) -> Result<(), StoreError> {
        self.write()?;
        self.store.keep_inputs(pipeline, id, packet)
    }
    fn inputs(&self, pipeline: &str, id: u64) -> Result<Option<Vec<u8>>, StoreError> {
        self.store.inputs(pipeline, id)
    }
}

fn raise() -> Step {
    Step::UpdateShardCount { stream: "alleycat".into(), from: ShardCount(1), to: ShardCount(2) }
}

#[tokio::test(start_paused = true)]
async fn on_a_full_disk_no_call_is_made_without_its_intent() {
    let bench = Bench::new();
    let outcome = bench.run(Goal::Provision, &Full::after(0), SignedDuration::from_mins(30)).await;
    assert_eq!(bench.mutations(), 0);
    assert_ne!(outcome.verdict, Verdict::Done);
    assert!(outcome.failures.iter().all(|failure| failure.message.contains("no space left")), "{:?}", outcome.failures);

    done(&bench.apply().await);
    let (aws, facts) = (bench.aws(Allow::Apply).await, bench.facts().await);
    for writes in 0..4 {
        // save, intent of the tag, its result, intent of the call: the call needs all of them.
        let mut memory = Memory::empty();
        let before = bench.accepted().len();
        let result = apply::perform(&aws, &Full::after(writes), &mut memory, &bench.pipeline, &facts, &raise()).await;
        let made = bench.accepted().split_off(before);
        assert_eq!(result.unwrap_err().class, ErrorClass::Forbidden);
        assert!(!made.contains(&"kinesis:UpdateShardCount".to_owned()), "{writes} writes: {made:?}");
        assert!(memory.reshards.entries.is_empty(), "{writes} writes: a call that was not made is not counted");
    }
}

#[tokio::test(start_paused = true)]
async fn a_reshard_is_in_both_ledgers_before_the_call_whatever_becomes_of_it() {
    for fault in [Fault::LostAfter, Fault::ServerErrorAfter] {
        let bench = Bench::new();
        done(&bench.apply().await);
        let (aws, facts) = (bench.aws(Allow::Apply).await, bench.facts().await);
        // Mutation 0 is the tag, 1 the call.
        bench.faults(Faults { placed_mutations: BTreeMap::from([(1, fault)]), ..Faults::default() });
        let mut memory = bench.memory();
        let result = apply::perform(&aws, &bench.store, &mut memory, &bench.pipeline, &facts, &raise()).await;
        assert!(result.unwrap_err().class.effect_unknown());
        assert_eq!(memory.reshards.entries.len(), 1, "{fault:?}: the effect is unknown, so it counts");
        assert_eq!(bench.memory().reshards, memory.reshards, "on the disk too");
        assert!(bench.facts().await.stream.unwrap().tags.contains_key(TAG_RESHARDS));
    }
}

#[tokio::test(start_paused = true)]
async fn a_reshard_that_aws_certainly_refused_is_not_counted() {
    let bench = Bench::new();
    done(&bench.apply().await);
    let (aws, facts) = (bench.aws(Allow::Apply).await, bench.facts().await);
    let mut memory = bench.memory();
    let step = Step::UpdateShardCount { stream: "alleycat".into(), from: ShardCount(1), to: ShardCount(3) };
    let result = apply::perform(&aws, &bench.store, &mut memory, &bench.pipeline, &facts, &step).await;
    assert_eq!(result.unwrap_err().class, ErrorClass::Invalid, "past the double");
    assert!(memory.reshards.entries.is_empty());
    assert_eq!(bench.memory().reshards, memory.reshards);
    let tag = bench.facts().await.stream.unwrap().tags[TAG_RESHARDS].clone();
    let empty = alleycat_operator::scale::ledger_tag(&memory.reshards, bench.clock.now());
    assert_eq!(tag, empty, "the tag would bring the entry back");
    let states: Vec<bool> = bench
        .store
        .intents("alleycat")
        .unwrap()
        .iter()
        .filter(|intent| matches!(intent.step, Step::UpdateShardCount { .. }))
        .map(|intent| matches!(intent.state, IntentState::Failed { .. }))
        .collect();
    assert_eq!(states, [true]);
}

#[tokio::test(start_paused = true)]
async fn a_tag_that_cannot_be_written_does_not_stop_the_reshard() {
    let bench = Bench::new();
    done(&bench.apply().await);
    let (aws, facts) = (bench.aws(Allow::Apply).await, bench.facts().await);
    bench.faults(Faults { placed_mutations: BTreeMap::from([(0, Fault::ServerError)]), ..Faults::default() });
    let mut memory = bench.memory();
    apply::perform(&aws, &bench.store, &mut memory, &bench.pipeline, &facts, &raise()).await.unwrap();
    assert_eq!(memory.reshards.entries.len(), 1);
    assert_eq!(bench.memory().reshards, memory.reshards);
}

#[test]
fn an_interrupted_call_is_settled_once() {
    let bench = Bench::new();
    let pipeline: &Pipeline = &bench.pipeline;
    let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    bench.store.intend(&pipeline.name, now, &raise()).unwrap();
    assert_eq!(apply::reconcile(&bench.store, pipeline, now).unwrap(), 1);
    assert_eq!(apply::reconcile(&bench.store, pipeline, now).unwrap(), 0);
    let state = bench.store.intents(&pipeline.name).unwrap().remove(0).state;
    assert!(matches!(state, IntentState::Failed { failure, .. } if failure.class.effect_unknown()));
}
