//! The committed IAM policies are what the table of operations gives, and what the life of a pipeline needs.
//! `BLESS=1 cargo test iam` rewrites them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use alleycat_operator::{
    aws::{Access, Allow, OPERATIONS, PolicyKind, iam_policy},
    daemon::Mode,
    model::{BatchSize, Bounds, CapacityUnits, Hours, ParallelizationFactor, ShardCount, StreamMode},
    observe,
    plan::Step,
    spec::{BreakGlass, Delivery, Pipeline},
    twin::{Host, Twin, World},
};
use jiff::SignedDuration;

use crate::{
    bench::{Bench, done},
    fan_out,
};

#[test]
fn the_committed_iam_policies_are_the_generated_ones() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/iam");
    for kind in PolicyKind::ALL {
        let path = folder.join(format!("{}.json", kind.name()));
        let generated = format!("{}\n", serde_json::to_string_pretty(&iam_policy(kind)).unwrap());
        if std::env::var_os("BLESS").is_some() {
            fs::write(&path, &generated).unwrap();
        }
        let committed = fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(committed, generated, "{} differs: run `BLESS=1 cargo test iam`", path.display());
    }
}

#[test]
fn the_plan_policy_grants_reads_only_and_no_policy_but_destroy_deletes_what_holds_data() {
    let plan = iam_policy(PolicyKind::Plan).to_string();
    for operation in OPERATIONS.iter().filter(|operation| operation.access == Access::Write) {
        for permission in operation.permissions {
            assert!(!plan.contains(permission.action), "plan grants {}", permission.action);
        }
    }
    for kind in [PolicyKind::Plan, PolicyKind::Apply, PolicyKind::Autoscale] {
        // A move to or from fan-out puts one mapping in another's place.
        let policy = iam_policy(kind).to_string().replace("lambda:DeleteEventSourceMapping", "");
        assert!(!policy.contains(":Delete"), "{} deletes", kind.name());
    }
    let scaling = iam_policy(PolicyKind::Autoscale).to_string().replace("lambda:CreateEventSourceMapping", "");
    assert!(!scaling.contains(":Create"));
}

/// No right is missing, and none is granted that nothing uses: should one ever be, it is named here with its reason.
#[tokio::test(start_paused = true)]
async fn the_policies_are_what_the_life_of_a_pipeline_needs() {
    let mut bench = Bench::disposable();
    let world = World::alleycat().with_jitter(400).with_races(6);
    bench.host = Host::new(Twin::new(world, 7), bench.clock.clone());
    // So that the daemon has a factor to lower in the quiet after the races.
    bench.pipeline.consumers[0].parallelization_factor.initial = ParallelizationFactor(4);
    let mut calls = Calls::default();

    bench.pass(Mode::Observe).await;
    bench.facts().await;
    calls.belong_to(PolicyKind::Plan, &bench);
    done(&bench.apply().await);
    calls.belong_to(PolicyKind::Apply, &bench);
    bench.pass(Mode::Observe).await;
    diagnosis_by_shards(&bench).await;
    calls.belong_to(PolicyKind::Plan, &bench);
    bench.daemon(Mode::Act, SignedDuration::from_mins(90), |_, _| ()).await;
    split_a_shard(&mut bench).await;
    on_demand_and_back(&bench).await;
    calls.belong_to(PolicyKind::Autoscale, &bench);
    for change in [everything_changes, retention_is_shortened] {
        change(&mut bench.pipeline);
        done(&bench.apply().await);
    }
    calls.belong_to(PolicyKind::Apply, &bench);
    extend_the_retention(&mut bench).await;
    calls.belong_to(PolicyKind::Autoscale, &bench);
    done(&bench.destroy().await);
    calls.belong_to(PolicyKind::Destroy, &bench);
    moves(&mut calls).await;

    for kind in PolicyKind::ALL {
        let granted = granted(kind);
        let needed = calls.needed(kind);
        let lacking: Vec<_> = needed.difference(&granted).collect();
        assert!(lacking.is_empty(), "{} lacks {lacking:?}", kind.name());
        let idle: Vec<_> = granted.difference(&needed).collect();
        assert!(idle.is_empty(), "{} grants what nothing uses: {idle:?}", kind.name());
    }
}

/// Moves to fan-out and back, by `apply` and by the daemon.
async fn moves(calls: &mut Calls) {
    let mut bench = fan_out::moves::bench(0);
    calls.before.clear();
    done(&bench.apply().await);
    for kind in [PolicyKind::Apply, PolicyKind::Autoscale] {
        for delivery in [Delivery::EnhancedFanOut, Delivery::Shared] {
            bench.clock.sleep(SignedDuration::from_mins(12)).await;
            bench.pipeline.consumers[0].delivery = delivery;
            match kind {
                PolicyKind::Apply => done(&bench.apply().await),
                _ => bench.daemon(Mode::Act, SignedDuration::from_mins(16), |_, _| ()).await,
            }
            calls.belong_to(kind, &bench);
            bench.facts().await;
            calls.belong_to(PolicyKind::Plan, &bench);
        }
    }
    bench.pipeline.consumers[0].delivery = Delivery::EnhancedFanOut;
    bench.clock.sleep(SignedDuration::from_mins(12)).await;
    done(&bench.apply().await);
    calls.belong_to(PolicyKind::Apply, &bench);
    done(&bench.destroy().await);
    calls.belong_to(PolicyKind::Destroy, &bench);
}

/// What the daemon does when all UpdateShardCount calls are used and the spec allows it.
async fn split_a_shard(bench: &mut Bench) {
    bench.pipeline.scaling.break_glass = vec![BreakGlass::SplitShard];
    let facts = bench.facts().await;
    let stream = facts.stream.as_ref().unwrap();
    let (shard, to) = (&stream.shards[0], ShardCount(stream.open_shards.get() + 1));
    let first: u128 = shard.starting_hash_key.parse().unwrap();
    let step = Step::SplitShard {
        stream: stream.name.clone(),
        shard: shard.id.clone(),
        new_hash_key: (first + 7).to_string(),
        to,
    };
    bench.aws(Allow::Autoscale).await.execute(&step, &facts).await.unwrap();
    bench.clock.sleep(SignedDuration::from_mins(5)).await;
}

/// The other way out, and the way back.
async fn on_demand_and_back(bench: &Bench) {
    for to in [StreamMode::OnDemand, StreamMode::Provisioned] {
        let facts = bench.facts().await;
        let step = Step::UpdateStreamMode { stream: facts.stream.as_ref().unwrap().name.clone(), to };
        bench.aws(Allow::Autoscale).await.execute(&step, &facts).await.unwrap();
        bench.clock.sleep(SignedDuration::from_mins(5)).await;
    }
}

/// What the daemon does when a reader is nearly as old as what the stream keeps.
async fn extend_the_retention(bench: &mut Bench) {
    let facts = bench.facts().await;
    let stream = facts.stream.as_ref().unwrap();
    let step = Step::IncreaseRetention { stream: stream.name.clone(), retention: Hours(stream.retention.get() + 24) };
    bench.aws(Allow::Autoscale).await.execute(&step, &facts).await.unwrap();
    bench.clock.sleep(SignedDuration::from_mins(5)).await;
}

/// What a diagnosis reads of a stream whose shards have metrics of their own.
async fn diagnosis_by_shards(bench: &Bench) {
    let mut facts = bench.facts().await;
    facts.stream.as_mut().unwrap().shard_level_metrics = vec!["IncomingRecords".to_owned()];
    let aws = bench.aws(Allow::Reads).await;
    let scope = observe::Scope::Diagnosis(SignedDuration::from_hours(1));
    let signals = observe::signals(&aws, &bench.pipeline, &facts, &bench.policy, scope).await.unwrap();
    assert_eq!(signals.stream.shards.len(), 1);
}

/// A spec after which `apply` has to make every kind of change it can make to what exists.
fn everything_changes(pipeline: &mut Pipeline) {
    pipeline.tags.insert("team".into(), "another".into());
    pipeline.stream.retention = Bounds::pinned(Hours(48));
    pipeline.stream.shards = Bounds::pinned(ShardCount(4));
    pipeline.consumers[0].batch_size = Bounds::pinned(BatchSize(200));
    pipeline.tables[0].write_capacity = Bounds::pinned(CapacityUnits(300));
    pipeline.tables[0].time_to_live = Some("expires".into());
}

fn retention_is_shortened(pipeline: &mut Pipeline) {
    pipeline.stream.retention = Bounds::pinned(Hours(24));
}

/// The operations that reached AWS, by the policy of the run that sent them.
#[derive(Default)]
struct Calls {
    before: BTreeMap<String, u64>,
    seen: BTreeMap<PolicyKind, BTreeSet<String>>,
}

impl Calls {
    /// What came since the last time was sent by a run of this kind.
    fn belong_to(&mut self, kind: PolicyKind, bench: &Bench) {
        let now = bench.host.with(|twin| twin.audit().calls.clone());
        let new = now.iter().filter(|(name, count)| self.before.get(*name) != Some(*count));
        self.seen.entry(kind).or_default().extend(new.map(|(name, _)| name.clone()));
        self.before = now;
    }

    /// The IAM actions that these operations take.
    fn needed(&self, kind: PolicyKind) -> BTreeSet<String> {
        // The command line makes sure of the account before anything else.
        let mut actions = BTreeSet::from(["sts:GetCallerIdentity".to_owned()]);
        for name in self.seen.get(&kind).into_iter().flatten() {
            let known = OPERATIONS.iter().find(|it| format!("{}:{}", it.service, it.name) == *name);
            let permissions = known.unwrap_or_else(|| panic!("{name} is not in the table")).permissions;
            assert!(!permissions.is_empty(), "{name} takes no permission, says the table");
            actions.extend(permissions.iter().map(|permission| permission.action.to_owned()));
        }
        actions
    }
}

fn granted(kind: PolicyKind) -> BTreeSet<String> {
    let policy = iam_policy(kind);
    let statements = policy["Statement"].as_array().unwrap().iter();
    let actions = statements.flat_map(|statement| statement["Action"].as_array().unwrap());
    actions.map(|action| action.as_str().unwrap().to_owned()).collect()
}
