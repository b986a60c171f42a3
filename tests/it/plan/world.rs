//! A small world made by hand, and a simulator that carries plans out at once.

use std::collections::BTreeMap;

use alleycat_operator::{
    cost::PriceSheet,
    memory::RefusedMove,
    model::{
        BatchSize, BillingMode, Bounds, CapacityFacts, CapacityUnits, Facts, FanOutFacts, FunctionFacts, Hours,
        IndexFacts, LifecycleStatus, MappingFacts, MappingState, ParallelizationFactor, ShardCount, StreamFacts,
        StreamMode, TableFacts,
    },
    plan::{self, Input, MappingChange, Plan, Step, fan_out::Evidence},
    scale::Targets,
    spec::{
        AdoptionPolicy, ConsumerSpec, DeletionPolicy, Delivery, Encryption, GlobalIndexSpec, KeyAttribute,
        LocalIndexSpec, Management, Objectives, Pipeline, Projection, ScalingPolicy, ScalingSpec, StartingPosition,
        StreamSpec, TableSpec,
    },
};
use jiff::{SignedDuration, Timestamp};

pub const STREAM_ARN: &str = "arn:aws:kinesis:us-east-2:123456789012:stream/alleycat";

pub fn now() -> Timestamp {
    "2025-06-01T10:30:00Z".parse().unwrap()
}

fn key(text: &str) -> KeyAttribute {
    let (name, kind) = text.split_once(':').unwrap();
    KeyAttribute { name: name.to_owned(), kind: kind.to_owned() }
}

pub fn bounds<T>(min: u64, max: u64, make: fn(u64) -> T) -> Bounds<T>
where
    T: Copy + Ord,
{
    Bounds { min: make(min), max: make(max), initial: make(min) }
}

pub fn shards(min: u32, max: u32) -> Bounds<ShardCount> {
    bounds(min.into(), max.into(), |n| ShardCount(n as u32))
}

fn consumer(name: &str, function: &str) -> ConsumerSpec {
    ConsumerSpec {
        name: name.to_owned(),
        function: function.to_owned(),
        alias: None,
        delivery: Delivery::Auto,
        parallelization_factor: bounds(1, 10, |n| ParallelizationFactor(n as u32)),
        batch_size: bounds(100, 1000, |n| BatchSize(n as u32)),
        maximum_batching_window_seconds: 0,
        starting_position: StartingPosition::TrimHorizon,
        tumbling_window_seconds: 0,
        maximum_retry_attempts: -1,
        maximum_record_age_seconds: -1,
        bisect_batch_on_function_error: false,
        report_batch_item_failures: false,
        on_failure: None,
        filter_criteria: Vec::new(),
        idempotent: false,
        concurrency_safe: true,
        writes_to: vec!["alleycat-races".to_owned()],
    }
}

pub fn pipeline() -> Pipeline {
    Pipeline {
        name: "alleycat".to_owned(),
        region: Some("us-east-2".to_owned()),
        expected_account_ids: vec!["123456789012".to_owned()],
        management: Management::Full,
        tags: BTreeMap::from([("team".to_owned(), "racing".to_owned())]),
        stream: StreamSpec {
            name: "alleycat".to_owned(),
            mode: StreamMode::Provisioned,
            shards: shards(1, 16),
            retention: bounds(24, 168, |n| Hours(n as u32)),
            shard_level_metrics: Vec::new(),
            encryption: Encryption::None,
            adoption_policy: AdoptionPolicy::Refuse,
            deletion_policy: DeletionPolicy::Retain,
        },
        consumers: vec![
            consumer("leaderboard", "alleycat-TumblingWindowFunction"),
            consumer("final-results", "alleycat-FinalResultsFunction"),
        ],
        external_consumers: Vec::new(),
        tables: vec![TableSpec {
            name: "alleycat-races".to_owned(),
            billing_mode: BillingMode::Provisioned.into(),
            partition_key: key("PK:S"),
            sort_key: Some(key("SK:S")),
            write_capacity: bounds(20, 4000, CapacityUnits),
            read_capacity: bounds(20, 400, CapacityUnits),
            global_secondary_indexes: vec![GlobalIndexSpec {
                name: "GSI_Index".to_owned(),
                partition_key: key("GSI:N"),
                sort_key: Some(key("SK:S")),
                projection: Projection::All,
                write_capacity: bounds(10, 2000, CapacityUnits),
                read_capacity: bounds(10, 200, CapacityUnits),
            }],
            local_secondary_indexes: vec![LocalIndexSpec {
                name: "GSI_PK_Index".to_owned(),
                sort_key: key("GSI:N"),
                projection: Projection::All,
            }],
            stream_view_type: Some("NEW_AND_OLD_IMAGES".to_owned()),
            time_to_live: None,
            point_in_time_recovery: true,
            deletion_protection: true,
            adoption_policy: AdoptionPolicy::Refuse,
            deletion_policy: DeletionPolicy::Retain,
        }],
        objectives: Objectives {
            iterator_age: SignedDuration::from_secs(60),
            recovery: SignedDuration::from_secs(600),
            monthly_budget_usd: None,
        },
        scaling: ScalingSpec::default(),
    }
}

pub fn policy() -> ScalingPolicy {
    let balanced = alleycat_operator::spec::policy::builtin("balanced").unwrap();
    ScalingPolicy { write_target_utilization: 0.85, write_mean_utilization: 0.95, ..balanced }
}

/// An account with the two functions and nothing else.
pub fn empty() -> Facts {
    let functions = ["alleycat-TumblingWindowFunction", "alleycat-FinalResultsFunction"].map(|name| {
        let arn = format!("arn:aws:lambda:us-east-2:123456789012:function:{name}");
        let facts = FunctionFacts {
            name: name.to_owned(),
            arn,
            timeout_seconds: 15,
            memory_mb: 256,
            reserved_concurrency: None,
        };
        (name.to_owned(), facts)
    });
    Facts {
        observed_at: now(),
        account: "123456789012".to_owned(),
        region: "us-east-2".to_owned(),
        caller: "arn:aws:iam::123456789012:user/deployer".to_owned(),
        stream: None,
        fan_out: Vec::new(),
        functions: functions.into(),
        mappings: Vec::new(),
        tables: BTreeMap::new(),
        account_concurrency: Some(1000),
        shard_limit: Some(1000),
    }
}

/// The account after a successful `apply`.
pub fn settled(pipeline: &Pipeline) -> Facts {
    let setup = Setup { pipeline: pipeline.clone(), ..Setup::default() };
    let plan = setup.plan();
    assert_eq!(setup.lint(&plan), [""; 0]);
    carry_out(&setup.facts, &plan)
}

/// Everything a plan is made from, owned.
#[derive(Clone)]
pub struct Setup {
    pub pipeline: Pipeline,
    pub facts: Facts,
    pub targets: Option<Targets>,
    pub ledger_used: u32,
    pub exhausted_until: Option<Timestamp>,
    pub policy: ScalingPolicy,
    pub prices: PriceSheet,
    pub evidence: Option<Evidence>,
    pub refused_moves: BTreeMap<String, RefusedMove>,
    pub break_glass_since: Option<Timestamp>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            pipeline: pipeline(),
            facts: empty(),
            targets: None,
            ledger_used: 0,
            exhausted_until: None,
            policy: policy(),
            prices: PriceSheet::us_east_1(),
            evidence: None,
            refused_moves: BTreeMap::new(),
            break_glass_since: None,
        }
    }
}

impl Setup {
    /// What stands after `apply`.
    pub fn applied() -> Self {
        let facts = settled(&pipeline());
        Self { facts, ..Self::default() }
    }

    pub fn input(&self) -> Input<'_> {
        Input {
            pipeline: &self.pipeline,
            facts: &self.facts,
            targets: self.targets.as_ref(),
            ledger_used: self.ledger_used,
            exhausted_until: self.exhausted_until,
            prices: &self.prices,
            policy: &self.policy,
            evidence: self.evidence.as_ref(),
            refused_moves: &self.refused_moves,
            break_glass_since: self.break_glass_since,
            now: now(),
        }
    }

    pub fn plan(&self) -> Plan {
        plan::plan(&self.input())
    }

    pub fn destroy(&self, confirmed: Option<&str>) -> Plan {
        plan::destroy(&self.input(), confirmed)
    }

    pub fn lint(&self, plan: &Plan) -> Vec<String> {
        plan::lint(plan, &self.input())
    }

    pub fn stream(&mut self) -> &mut StreamFacts {
        self.facts.stream.as_mut().unwrap()
    }

    pub fn table(&mut self) -> &mut TableFacts {
        self.facts.tables.get_mut("alleycat-races").unwrap()
    }
}

/// What exists once every call of the plan has been accepted and has settled.
pub fn carry_out(facts: &Facts, plan: &Plan) -> Facts {
    let mut after = facts.clone();
    for step in plan.changes.iter().flat_map(|change| &change.steps) {
        perform(&mut after, step);
    }
    after
}

fn units(read: CapacityUnits, write: CapacityUnits) -> CapacityFacts {
    CapacityFacts { read, write, decreases_today: 0, last_decrease: None }
}

fn index(spec: &GlobalIndexSpec, provisioned: bool) -> IndexFacts {
    let capacity = if provisioned {
        units(spec.read_capacity.initial, spec.write_capacity.initial)
    } else {
        units(CapacityUnits(0), CapacityUnits(0))
    };
    IndexFacts {
        name: spec.name.clone(),
        status: LifecycleStatus::Active,
        partition_key: spec.partition_key.to_string(),
        sort_key: spec.sort_key.as_ref().map(ToString::to_string),
        capacity,
    }
}

fn set(have: &mut CapacityFacts, read: CapacityUnits, write: CapacityUnits) {
    if read < have.read || write < have.write {
        have.decreases_today += 1;
        have.last_decrease = Some(now());
    }
    (have.read, have.write) = (read, write);
}

fn perform(facts: &mut Facts, step: &Step) {
    match step {
        Step::CreateStream { stream, shards, tags } => facts.stream = Some(new_stream(stream, *shards, tags)),
        Step::TagStream { tags, .. } => facts.stream.as_mut().unwrap().tags.extend(tags.clone()),
        Step::IncreaseRetention { retention, .. } | Step::DecreaseRetention { retention, .. } => {
            facts.stream.as_mut().unwrap().retention = *retention;
        }
        Step::UpdateShardCount { to, .. } => facts.stream.as_mut().unwrap().open_shards = *to,
        Step::RegisterStreamConsumer { consumer, tags, .. } => facts.fan_out.push(FanOutFacts {
            name: consumer.clone(),
            arn: format!("{STREAM_ARN}/consumer/{consumer}:1"),
            status: LifecycleStatus::Active,
            tags: tags.clone(),
        }),
        Step::TagStreamConsumer { arn, tags, .. } => {
            facts.fan_out.iter_mut().find(|live| live.arn == *arn).unwrap().tags.extend(tags.clone());
        }
        Step::DeregisterStreamConsumer { arn, .. } => facts.fan_out.retain(|live| live.arn != *arn),
        Step::DeleteStream { .. } => facts.stream = None,
        Step::CreateTable(new) => {
            facts.tables.insert(new.spec.name.clone(), new_table(&new.spec, &new.tags));
        }
        Step::DeleteTable { table } => {
            assert!(!facts.tables.remove(table).unwrap().deletion_protection);
        }
        Step::CreateMapping(new) => facts.mappings.push(new_mapping(facts, new)),
        Step::UpdateMapping(change) => {
            let live = facts.mappings.iter_mut().find(|live| live.uuid == change.uuid).unwrap();
            change_mapping(live, change);
        }
        Step::TagMapping { arn, tags, .. } => {
            let live = facts.mappings.iter_mut().find(|live| live.arn.as_ref() == Some(arn)).unwrap();
            live.tags.extend(tags.clone());
        }
        Step::DeleteMapping { uuid, .. } => facts.mappings.retain(|live| live.uuid != *uuid),
        _ => perform_on_table(facts, step),
    }
}

fn perform_on_table(facts: &mut Facts, step: &Step) {
    let mut table = |name: &String| facts.tables.get_mut(name).unwrap().clone();
    let after = match step {
        Step::UpdateCapacity(change) => {
            let mut live = table(&change.table);
            if let Some((read, write)) = change.capacity {
                set(&mut live.capacity, read, write);
            }
            for index in &change.indexes {
                let have = &mut live.global_secondary_indexes.get_mut(&index.index).unwrap().capacity;
                set(have, index.read, index.write);
            }
            live
        }
        Step::CreateIndex { table: name, index: new } => {
            let mut live = table(name);
            live.global_secondary_indexes.insert(new.spec.name.clone(), index(&new.spec, new.provisioned));
            live
        }
        Step::UpdateTableStream { table: name, view_type } => {
            TableFacts { stream_view_type: view_type.clone(), ..table(name) }
        }
        Step::UpdateDeletionProtection { table: name, enabled } => {
            TableFacts { deletion_protection: *enabled, ..table(name) }
        }
        Step::UpdatePointInTimeRecovery { table: name, enabled } => {
            TableFacts { point_in_time_recovery: *enabled, ..table(name) }
        }
        Step::UpdateTimeToLive { table: name, attribute, enabled } => {
            TableFacts { time_to_live: enabled.then(|| attribute.clone()), ..table(name) }
        }
        Step::TagTable { table: name, tags, .. } => {
            let mut live = table(name);
            live.tags.extend(tags.clone());
            live
        }
        _ => unreachable!(),
    };
    facts.tables.insert(after.name.clone(), after);
}

fn new_stream(name: &str, shards: ShardCount, tags: &BTreeMap<String, String>) -> StreamFacts {
    StreamFacts {
        name: name.to_owned(),
        arn: STREAM_ARN.to_owned(),
        status: LifecycleStatus::Active,
        mode: StreamMode::Provisioned,
        open_shards: shards,
        shards: Vec::new(),
        retention: Hours(24),
        encryption_key: None,
        shard_level_metrics: Vec::new(),
        created_at: Some(now()),
        tags: tags.clone(),
    }
}

fn new_table(spec: &TableSpec, tags: &BTreeMap<String, String>) -> TableFacts {
    let provisioned = spec.billing_mode.initial() == BillingMode::Provisioned;
    let indexes =
        spec.global_secondary_indexes.iter().map(|spec| (spec.name.clone(), index(spec, provisioned))).collect();
    TableFacts {
        name: spec.name.clone(),
        arn: format!("arn:aws:dynamodb:us-east-2:123456789012:table/{}", spec.name),
        id: None,
        status: LifecycleStatus::Active,
        billing_mode: spec.billing_mode.initial(),
        capacity: units(spec.read_capacity.initial, spec.write_capacity.initial),
        partition_key: spec.partition_key.to_string(),
        sort_key: spec.sort_key.as_ref().map(ToString::to_string),
        global_secondary_indexes: indexes,
        local_secondary_indexes: spec.local_secondary_indexes.iter().map(|index| index.name.clone()).collect(),
        stream_view_type: spec.stream_view_type.clone(),
        time_to_live: None,
        point_in_time_recovery: false,
        deletion_protection: spec.deletion_protection,
        on_demand_maximum_write: None,
        tags: tags.clone(),
    }
}

fn new_mapping(facts: &Facts, new: &plan::NewMapping) -> MappingFacts {
    let uuid = format!("00000000-0000-0000-0000-{:012}", facts.mappings.len() + 1);
    let mut live = MappingFacts {
        arn: Some(format!("arn:aws:lambda:us-east-2:123456789012:event-source-mapping:{uuid}")),
        uuid,
        function_arn: format!("arn:aws:lambda:us-east-2:123456789012:function:{}", new.function),
        source_arn: match &new.fan_out_consumer {
            None => STREAM_ARN.to_owned(),
            Some(name) => facts.fan_out.iter().find(|live| live.name == *name).unwrap().arn.clone(),
        },
        state: MappingState::Enabled,
        batch_size: BatchSize(100),
        maximum_batching_window_seconds: 0,
        parallelization_factor: ParallelizationFactor(1),
        starting_position: "TRIM_HORIZON".to_owned(),
        tumbling_window_seconds: 0,
        maximum_retry_attempts: -1,
        maximum_record_age_seconds: -1,
        bisect_batch_on_function_error: false,
        report_batch_item_failures: false,
        on_failure: None,
        filter_criteria: Vec::new(),
        kms_key_arn: new.kms_key_arn.clone(),
        metrics: new.metrics.clone(),
        last_modified: None,
        last_processing_result: None,
        tags: new.tags.clone(),
    };
    change_mapping(&mut live, &new.settings);
    live
}

fn change_mapping(live: &mut MappingFacts, change: &MappingChange) {
    fn put<T: Clone>(have: &mut T, new: Option<&T>) {
        if let Some(new) = new {
            have.clone_from(new);
        }
    }
    put(&mut live.batch_size, change.batch_size.as_ref());
    put(&mut live.parallelization_factor, change.parallelization_factor.as_ref());
    put(&mut live.maximum_batching_window_seconds, change.maximum_batching_window_seconds.as_ref());
    put(&mut live.tumbling_window_seconds, change.tumbling_window_seconds.as_ref());
    put(&mut live.maximum_retry_attempts, change.maximum_retry_attempts.as_ref());
    put(&mut live.maximum_record_age_seconds, change.maximum_record_age_seconds.as_ref());
    put(&mut live.bisect_batch_on_function_error, change.bisect_batch_on_function_error.as_ref());
    put(&mut live.report_batch_item_failures, change.report_batch_item_failures.as_ref());
    put(&mut live.filter_criteria, change.filter_criteria.as_ref());
    if let Some(arn) = &change.on_failure {
        live.on_failure = Some(arn.clone()).filter(|arn| !arn.is_empty());
    }
    match change.enabled {
        Some(true) => live.state = MappingState::Enabled,
        Some(false) => live.state = MappingState::Disabled,
        None => {}
    }
}
