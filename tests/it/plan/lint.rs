//! Every rule of the linter refuses a plan that was broken by hand.

use alleycat_operator::model::{ResourceId, UsdPerHour};
use alleycat_operator::{
    model::{
        BatchSize, BillingMode, CapacityUnits, Hours, LifecycleStatus, MappingState, ParallelizationFactor, ShardCount,
        StreamMode,
    },
    plan::{Action, CapacityChange, Change, IndexCapacityChange, MappingChange, Owner, Plan, QuotaUse, Risk, Step},
    scale::{CapacityTarget, ConsumerTargets, TableTargets, Target, Targets},
    spec::{AdoptionPolicy, Billing, BreakGlass, DeletionPolicy},
};
use jiff::SignedDuration;

use super::world::{Setup, now, shards};

const TABLE: &str = "alleycat-races";

fn change(resource: ResourceId, action: Action, steps: Vec<Step>) -> Change {
    let risk = match action {
        Action::Delete => Risk::LosesData,
        _ => Risk::None,
    };
    Change {
        resource,
        action,
        reason: "by hand".to_owned(),
        fields: Vec::new(),
        steps,
        risk,
        quota: Vec::<QuotaUse>::new(),
        wait: None,
        expected: SignedDuration::ZERO,
        cost_delta: UsdPerHour(0.0),
    }
}

fn stream(action: Action, steps: Vec<Step>) -> Change {
    change(ResourceId::Stream("alleycat".to_owned()), action, steps)
}

fn table(action: Action, steps: Vec<Step>) -> Change {
    change(ResourceId::Table(TABLE.to_owned()), action, steps)
}

fn mapping(steps: Vec<Step>) -> Change {
    change(ResourceId::Mapping("leaderboard".to_owned()), Action::Update, steps)
}

fn reshard(from: u32, to: u32) -> Step {
    Step::UpdateShardCount { stream: "alleycat".to_owned(), from: ShardCount(from), to: ShardCount(to) }
}

fn capacity(read: u64, write: u64) -> Step {
    Step::UpdateCapacity(CapacityChange {
        table: TABLE.to_owned(),
        capacity: Some((CapacityUnits(read), CapacityUnits(write))),
        indexes: Vec::new(),
    })
}

fn index(name: &str, read: u64, write: u64) -> Step {
    let index = IndexCapacityChange { index: name.to_owned(), read: CapacityUnits(read), write: CapacityUnits(write) };
    Step::UpdateCapacity(CapacityChange { table: TABLE.to_owned(), capacity: None, indexes: vec![index] })
}

/// What the linter says of one change in an otherwise empty plan.
fn said(setup: &Setup, change: Change) -> String {
    let mut plan = setup.plan();
    plan.changes = vec![change];
    setup.lint(&plan).join("\n")
}

#[track_caller]
fn refused(setup: &Setup, change: Change, because: &str) {
    let said = said(setup, change);
    assert!(said.contains(because), "expected \"{because}\" in: {said}");
}

fn target<T>(value: T) -> Option<Target<T>> {
    Some(Target { value, reason: "sized".to_owned() })
}

/// Four shards, and a scaler that has wishes about everything.
fn scaling() -> Setup {
    let mut setup = Setup::applied();
    setup.stream().open_shards = ShardCount(4);
    let capacity = || CapacityTarget { write: target(CapacityUnits(40)), read: target(CapacityUnits(30)) };
    let mut targets = Targets { shards: target(ShardCount(8)), ..Targets::default() };
    let indexes = [("GSI_Index".to_owned(), capacity())].into();
    targets.tables.insert(TABLE.to_owned(), TableTargets { billing: None, table: capacity(), indexes });
    let consumer = ConsumerTargets {
        parallelization_factor: target(ParallelizationFactor(2)),
        batch_size: target(BatchSize(500)),
        ..ConsumerTargets::default()
    };
    targets.consumers.insert("leaderboard".to_owned(), consumer);
    setup.targets = Some(targets);
    setup
}

#[test]
fn what_the_planner_makes_passes() {
    let setup = scaling();
    let plan = setup.plan();
    assert_eq!(plan.changes.len(), 3);
    assert!(plan.changes.iter().all(|change| change.action == Action::Scale));
    assert!(plan.changes.iter().flat_map(|change| &change.fields).all(|field| field.owner == Owner::Scaler));
    assert_eq!(setup.lint(&plan), [""; 0]);
}

#[test]
fn shard_counts() {
    let setup = scaling();
    assert_eq!(said(&setup, stream(Action::Scale, vec![reshard(4, 8)])), "");
    assert_eq!(said(&setup, stream(Action::Scale, vec![reshard(4, 2)])), "");
    refused(&setup, stream(Action::Scale, vec![reshard(4, 9)]), "not between half and twice");
    refused(&setup, stream(Action::Scale, vec![reshard(4, 1)]), "not between half and twice");
    refused(&setup, stream(Action::Scale, vec![reshard(5, 8)]), "it starts from 5 shards");
    refused(&setup, stream(Action::Scale, vec![reshard(4, 8), reshard(8, 16)]), "more than one step");
    let mut narrow = scaling();
    narrow.pipeline.stream.shards = shards(3, 6);
    refused(&narrow, stream(Action::Scale, vec![reshard(4, 7)]), "leaves [3, 6]");
    refused(&narrow, stream(Action::Scale, vec![reshard(4, 2)]), "leaves [3, 6]");
    let mut provisioning = scaling();
    provisioning.targets = None;
    refused(&provisioning, stream(Action::Update, vec![reshard(4, 8)]), "nobody asked");
    let mut serial = scaling();
    serial.pipeline.consumers[0].concurrency_safe = false;
    refused(&serial, stream(Action::Scale, vec![reshard(4, 8)]), "not concurrencySafe");
}

#[test]
fn shard_quota() {
    let mut setup = scaling();
    setup.ledger_used = 9;
    assert_eq!(said(&setup, stream(Action::Scale, vec![reshard(4, 8)])), "");
    refused(&setup, stream(Action::Scale, vec![reshard(4, 2)]), "fewer than 4 calls for raises");
    setup.ledger_used = 10;
    refused(&setup, stream(Action::Scale, vec![reshard(4, 8)]), "call 11 of 10");
    setup.ledger_used = 0;
    setup.exhausted_until = Some(now() + SignedDuration::from_secs(1));
    refused(&setup, stream(Action::Scale, vec![reshard(4, 8)]), "of 10 in 24 h");
    setup.exhausted_until = Some(now());
    assert_eq!(said(&setup, stream(Action::Scale, vec![reshard(4, 8)])), "");
}

#[test]
fn retention() {
    let mut setup = Setup::applied();
    let raise = |hours| Step::IncreaseRetention { stream: "alleycat".to_owned(), retention: Hours(hours) };
    let lower = |hours| Step::DecreaseRetention { stream: "alleycat".to_owned(), retention: Hours(hours) };
    refused(&setup, stream(Action::Update, vec![raise(48)]), "not a move into");
    setup.stream().retention = Hours(400);
    refused(&setup, stream(Action::Update, vec![raise(168)]), "the wrong way");
    refused(&setup, stream(Action::Update, vec![lower(200)]), "not a move into");
    refused(&setup, stream(Action::Update, vec![lower(168)]), "it loses data, but the change does not say so");
    let mut honest = stream(Action::Update, vec![lower(168)]);
    honest.risk = Risk::LosesData;
    assert_eq!(said(&setup, honest), "");
}

#[test]
fn capacity_bounds() {
    let setup = scaling();
    assert_eq!(said(&setup, table(Action::Scale, vec![capacity(30, 40)])), "");
    refused(&setup, table(Action::Scale, vec![capacity(20, 4001)]), "outside [20, 4000]");
    refused(&setup, table(Action::Scale, vec![capacity(0, 40)]), "read capacity 0");
    refused(&setup, table(Action::Scale, vec![capacity(20, 20)]), "it changes nothing");
    refused(&setup, table(Action::Scale, vec![index("GSI_Index", 10, 5000)]), "outside [10, 2000]");
    refused(&setup, table(Action::Scale, vec![index("other", 10, 20)]), "not in the spec");
    let twice = vec![capacity(30, 40), index("GSI_Index", 10, 20)];
    refused(&setup, table(Action::Scale, twice), "a second throughput change");
    let mut provisioning = scaling();
    provisioning.targets = None;
    refused(&provisioning, table(Action::Update, vec![capacity(20, 40)]), "nobody asked");
}

#[test]
fn capacity_decreases() {
    let mut setup = scaling();
    setup.table().capacity.write = CapacityUnits(100);
    let lower = || table(Action::Scale, vec![capacity(20, 40)]);
    setup.table().capacity.decreases_today = 2;
    setup.table().capacity.last_decrease = Some(now() - SignedDuration::from_secs(60));
    assert_eq!(said(&setup, lower()), "");
    setup.table().capacity.decreases_today = 3;
    refused(&setup, lower(), "no capacity decrease is left (3 used today)");
    setup.table().capacity.last_decrease = Some(now() - SignedDuration::from_hours(1));
    assert_eq!(said(&setup, lower()), "", "one comes back each hour");
    setup.table().capacity.decreases_today = 27;
    refused(&setup, lower(), "no capacity decrease is left");
    setup.table().capacity.last_decrease = Some(now() - SignedDuration::from_hours(11));
    assert_eq!(said(&setup, lower()), "", "a new UTC day");
}

#[test]
fn mappings() {
    let setup = scaling();
    let uuid = setup.facts.mappings[1].uuid.clone();
    let update = |edit: fn(&mut MappingChange)| {
        let mut settings =
            MappingChange { consumer: "leaderboard".to_owned(), uuid: uuid.clone(), ..MappingChange::default() };
        edit(&mut settings);
        mapping(vec![Step::UpdateMapping(Box::new(settings))])
    };
    assert_eq!(said(&setup, update(|change| change.batch_size = Some(BatchSize(500)))), "");
    refused(&setup, update(|change| change.batch_size = Some(BatchSize(99))), "outside [100, 1000]");
    let factor = |change: &mut MappingChange| change.parallelization_factor = Some(ParallelizationFactor(11));
    refused(&setup, update(factor), "outside [1, 10]");
    refused(&setup, update(|change| change.enabled = Some(false)), "stop the consumer");
    refused(&setup, update(|change| change.uuid = "other".to_owned()), "does not exist");
    let mut serial = scaling();
    serial.pipeline.consumers[0].concurrency_safe = false;
    let two = |change: &mut MappingChange| change.parallelization_factor = Some(ParallelizationFactor(2));
    refused(&serial, update(two), "not concurrencySafe");
    let mut others = scaling();
    others.facts.mappings[1].function_arn.push_str(":live");
    refused(&others, update(|change| change.batch_size = Some(BatchSize(500))), "the spec does not name it");
}

#[test]
fn ownership() {
    let steps = || vec![reshard(4, 8)];
    let mut setup = scaling();
    setup.stream().tags.clear();
    refused(&setup, stream(Action::Scale, steps()), "not tagged as ours");
    setup.pipeline.stream.adoption_policy = AdoptionPolicy::Adopt;
    refused(&setup, stream(Action::Adopt, steps()), "not tagged as ours");
    setup.stream().tags.insert("alleycat.dev/pipeline".to_owned(), "other".to_owned());
    refused(&setup, stream(Action::Adopt, steps()), "belongs to pipeline other");
    let setup = scaling();
    let tags = [("alleycat.dev/reshards".to_owned(), "x".to_owned())].into();
    let step = Step::TagStream { stream: "alleycat".to_owned(), tags };
    refused(&setup, stream(Action::Update, vec![step]), "it writes the tag alleycat.dev/reshards");
    let delete = Step::DeleteTable { table: "somebody-elses".to_owned() };
    refused(&setup, table(Action::Delete, vec![delete]), "the call is for table/somebody-elses");
}

#[test]
fn transition() {
    let mut setup = scaling();
    setup.stream().status = LifecycleStatus::Updating;
    refused(&setup, stream(Action::Scale, vec![reshard(4, 8)]), "in transition");
    setup.stream().status = LifecycleStatus::Other;
    refused(&setup, stream(Action::Scale, vec![reshard(4, 8)]), "unknown state");
    setup.table().global_secondary_indexes.get_mut("GSI_Index").unwrap().status = LifecycleStatus::Updating;
    refused(&setup, table(Action::Scale, vec![capacity(30, 40)]), "in transition");
    setup.targets = None;
    setup.table().status = LifecycleStatus::Deleting;
    refused(&setup, table(Action::Update, vec![capacity(30, 40)]), "being deleted");
}

#[test]
fn deletion() {
    let mut setup = Setup::applied();
    let delete = || table(Action::Delete, vec![Step::DeleteTable { table: TABLE.to_owned() }]);
    refused(&setup, delete(), "deletionPolicy is retain");
    setup.pipeline.tables[0].deletion_policy = DeletionPolicy::Delete;
    refused(&setup, delete(), "nobody confirmed the name");
    let unlock = Step::UpdateDeletionProtection { table: TABLE.to_owned(), enabled: false };
    refused(&setup, table(Action::Delete, vec![unlock]), "nobody confirmed the name");
    let lint = |name: &str, change: Change| {
        let plan = Plan { changes: vec![change], ..setup.destroy(Some(name)) };
        setup.lint(&plan).join("\n")
    };
    assert!(lint("alleycat2", delete()).contains("nobody confirmed the name"));
    assert_eq!(lint("alleycat", delete()), "");
    assert!(lint("alleycat", Change { risk: Risk::None, ..delete() }).contains("does not say so"));
    assert!(lint("alleycat", Change { action: Action::Update, ..delete() }).contains("does not say so"));
}

#[test]
fn deletions_in_order() {
    let mut setup = Setup::applied();
    setup.pipeline.stream.deletion_policy = DeletionPolicy::Delete;
    let mut plan = setup.destroy(Some("alleycat"));
    assert_eq!(setup.lint(&plan), [""; 0]);
    plan.changes.reverse();
    assert!(setup.lint(&plan).join("\n").contains("out of order"));
}

#[test]
fn creation() {
    let setup = Setup::default();
    let whole = setup.plan();
    assert_eq!(setup.lint(&whole), [""; 0]);
    let applied = Setup::applied();
    let again = applied.lint(&Plan { changes: whole.changes.clone(), ..applied.plan() });
    assert_eq!(again.iter().filter(|line| line.contains("exists already")).count(), 4, "{again:?}");
    let mut no_stream = whole.clone();
    no_stream.changes.remove(1);
    assert!(setup.lint(&no_stream).join("\n").contains("the stream does not exist and is not created before it"));
    let mut untagged = whole.clone();
    if let Some(Step::CreateStream { tags, shards, .. }) = untagged.changes[1].steps.first_mut() {
        tags.clear();
        *shards = ShardCount(17);
    }
    let said = setup.lint(&untagged).join("\n");
    assert!(said.contains("without the ownership tag") && said.contains("17 shards are outside"), "{said}");
    let mut no_function = setup.clone();
    no_function.facts.functions.clear();
    assert!(no_function.lint(&whole).join("\n").contains("its function does not exist"));
}

#[test]
fn the_wrong_account_and_a_foreign_plan() {
    let mut setup = scaling();
    let plan = setup.plan();
    setup.facts.account = "999999999999".to_owned();
    let said = setup.lint(&plan).join("\n");
    assert!(said.contains("the plan is for 123456789012/us-east-2"), "{said}");
    assert!(said.contains("not one of expectedAccountIds"), "{said}");
    let setup = scaling();
    let said = setup.lint(&Plan { pipeline: "other".to_owned(), ..setup.plan() }).join("\n");
    assert!(said.contains("the plan is for pipeline other"), "{said}");
}

#[test]
fn an_unsettled_mapping_is_left_alone_while_scaling() {
    let mut setup = scaling();
    let plan = setup.plan();
    setup.facts.mappings[1].state = MappingState::Updating;
    assert!(
        setup.lint(&plan).join("\n").contains("mapping/leaderboard: UpdateEventSourceMapping: it is in transition")
    );
    assert_eq!(setup.lint(&setup.plan()), [""; 0]);
}

#[test]
fn billing_modes() {
    let mut setup = scaling();
    let switch = |to, write: Option<u64>, indexes: &[u64]| {
        let indexes = indexes.iter().map(|write| IndexCapacityChange {
            index: "GSI_Index".to_owned(),
            read: CapacityUnits(10),
            write: CapacityUnits(*write),
        });
        let capacity = write.map(|write| (CapacityUnits(30), CapacityUnits(write)));
        let capacity = CapacityChange { table: TABLE.to_owned(), capacity, indexes: indexes.collect() };
        table(Action::Scale, vec![Step::UpdateBillingMode { to, capacity }])
    };
    let on_demand = || switch(BillingMode::OnDemand, None, &[]);
    refused(&setup, on_demand(), "billingMode is not auto");
    setup.pipeline.tables[0].billing_mode = Billing::Auto;
    refused(&setup, on_demand(), "nobody asked for another billing mode");
    let ask = |setup: &mut Setup, mode| {
        setup.targets.as_mut().unwrap().tables.get_mut(TABLE).unwrap().billing = target(mode);
    };
    ask(&mut setup, BillingMode::OnDemand);
    assert_eq!(said(&setup, on_demand()), "");
    refused(&setup, switch(BillingMode::OnDemand, Some(40), &[]), "no capacity to set");
    setup.table().billing_mode = BillingMode::OnDemand;
    refused(&setup, on_demand(), "billed so already");
    ask(&mut setup, BillingMode::Provisioned);
    assert_eq!(said(&setup, switch(BillingMode::Provisioned, Some(40), &[20])), "");
    refused(&setup, switch(BillingMode::Provisioned, Some(40), &[]), "GSI_Index: its capacity is missing");
    refused(&setup, switch(BillingMode::Provisioned, None, &[20]), "table: its capacity is missing");
    refused(&setup, switch(BillingMode::Provisioned, Some(19), &[20]), "outside [20, 4000]");
    let mut without = setup.clone();
    without.table().global_secondary_indexes.clear();
    refused(&without, switch(BillingMode::Provisioned, Some(40), &[20]), "is not in the spec, or does not exist");
    setup.pipeline.tables[0].global_secondary_indexes.clear();
    refused(&setup, switch(BillingMode::Provisioned, Some(40), &[]), "nobody knows its capacity");
}

#[test]
fn capacity_modes() {
    let mut setup = scaling();
    let switch = |to| stream(Action::Scale, vec![Step::UpdateStreamMode { stream: "alleycat".to_owned(), to }]);
    let ask = |setup: &mut Setup, mode| setup.targets.as_mut().unwrap().mode = target(mode);
    refused(&setup, switch(StreamMode::OnDemand), "nobody asked for another capacity mode");
    ask(&mut setup, StreamMode::OnDemand);
    refused(&setup, switch(StreamMode::OnDemand), "does not allow on-demand");
    setup.pipeline.scaling.break_glass = vec![BreakGlass::OnDemand];
    assert_eq!(said(&setup, switch(StreamMode::OnDemand)), "");
    setup.pipeline.consumers[0].concurrency_safe = false;
    refused(&setup, switch(StreamMode::OnDemand), "not concurrencySafe");
    setup.stream().mode = StreamMode::OnDemand;
    refused(&setup, switch(StreamMode::OnDemand), "in that mode already");
    ask(&mut setup, StreamMode::Provisioned);
    refused(&setup, switch(StreamMode::Provisioned), "by break-glass 24 h ago");
    setup.break_glass_since = Some(now() - SignedDuration::from_hours(23));
    refused(&setup, switch(StreamMode::Provisioned), "by break-glass 24 h ago");
    setup.break_glass_since = Some(now() - SignedDuration::from_hours(24));
    assert_eq!(said(&setup, switch(StreamMode::Provisioned)), "");
}
