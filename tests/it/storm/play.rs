//! Plays a scenario: apply (killed and run again), then the daemon through its lives, against one twin.
//!
//! What is kept for the checks comes from AWS's side: the twin's audit and counters, sampled each minute. Of the
//! operator's own words only what it performed is kept, to explain a failure.

use std::collections::{BTreeMap, BTreeSet};

use alleycat_operator::{
    apply::{self, Goal, Outcome, Verdict},
    aws::{Allow, Aws, Clock},
    cost::PriceSheet,
    daemon::{self, Mode, Report, Stop},
    memory::{Decision, Intent, IntentState, MemStore, Memory, Store, StoreError},
    model::{ErrorClass, Facts, MANAGED_BY, ShardCount, TAG_PIPELINE},
    observe,
    plan::{self, Step},
    scale,
    spec::{Management, Pipeline},
    twin::{Faults, Host, Twin},
};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use tokio::sync::watch;

use crate::bench::connect;

use super::scenario::{BYSTANDER, Existing, Foreign, Life, PIPELINE, STREAM, Scenario, TABLE, Watching};

/// The twin's counters at a whole minute.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sample {
    pub at: Timestamp,
    pub accepted: u64,
    pub rejected: u64,
    /// Records not yet delivered, by function.
    pub waiting: BTreeMap<String, u64>,
    /// Refusals of writes for provisioned capacity, so far.
    pub throttles: u64,
}

/// A stretch of time in which the operator had to keep its hands still.
#[derive(Debug, Clone)]
pub struct Watch {
    pub what: String,
    pub mutations_before: usize,
    pub mutations_after: usize,
}

/// What became of a scenario.
pub struct Played {
    pub twin: Twin,
    pub samples: Vec<Sample>,
    /// When the daemon's first life began.
    pub daemon_from: Timestamp,
    pub applied: Verdict,
    pub watches: Vec<Watch>,
    /// When a store was lost.
    pub stores_lost: Vec<Timestamp>,
    /// What other people did and AWS accepted.
    pub foreign: Vec<(Timestamp, Foreign)>,
    pub decisions: Vec<Decision>,
    pub log: Vec<String>,
    pub lint: Vec<String>,
    /// The guards that held something back.
    pub holds: BTreeSet<String>,
    pub crashes: usize,
    /// Most UpdateShardCount calls that the operator ever thought used.
    pub used: u32,
    pub last: Option<Report>,
    pub memory: Memory,
}

/// A store that dies with the process: after the crash nothing is written any more.
pub struct Mortal {
    pub inner: MemStore,
    pub host: Host,
}

impl Mortal {
    fn alive(&self) -> Result<(), StoreError> {
        if self.host.crashed() {
            let detail = "the process is dead".to_owned();
            return Err(StoreError::Io { path: "storm".into(), what: "write", detail });
        }
        Ok(())
    }
}

impl Store for Mortal {
    fn load(&self, pipeline: &str) -> Result<Option<Memory>, StoreError> {
        self.inner.load(pipeline)
    }
    fn save(&self, pipeline: &str, memory: &Memory) -> Result<(), StoreError> {
        self.alive()?;
        // As on a disk: what is read back is what the encoding carries.
        let text = serde_json::to_string(memory).unwrap();
        self.inner.save(pipeline, &serde_json::from_str(&text).unwrap())
    }
    fn intend(&self, pipeline: &str, at: Timestamp, step: &Step) -> Result<u64, StoreError> {
        self.alive()?;
        self.inner.intend(pipeline, at, step)
    }
    fn resolve(&self, pipeline: &str, id: u64, state: IntentState) -> Result<(), StoreError> {
        self.alive()?;
        self.inner.resolve(pipeline, id, state)
    }
    fn intents(&self, pipeline: &str) -> Result<Vec<Intent>, StoreError> {
        self.inner.intents(pipeline)
    }
    fn record(&self, pipeline: &str, decision: Decision) -> Result<u64, StoreError> {
        self.alive()?;
        self.inner.record(pipeline, decision)
    }
    fn decisions(&self, pipeline: &str, limit: usize) -> Result<Vec<Decision>, StoreError> {
        self.inner.decisions(pipeline, limit)
    }
    fn amend(&self, pipeline: &str, decision: &Decision) -> Result<(), StoreError> {
        self.alive()?;
        self.inner.amend(pipeline, decision)
    }
    fn keep_inputs(&self, pipeline: &str, id: u64, packet: &[u8]) -> Result<(), StoreError> {
        self.alive()?;
        self.inner.keep_inputs(pipeline, id, packet)
    }
    fn inputs(&self, pipeline: &str, id: u64) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.inputs(pipeline, id)
    }
}

/// Plays it on this thread, on virtual time.
pub fn play(scenario: &Scenario) -> Played {
    fastrand::seed(scenario.seed);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(Player::new(scenario).run())
}

fn denied(outcome: &Outcome) -> bool {
    matches!(&outcome.verdict, Verdict::Failed(failure) if failure.class == ErrorClass::Denied)
}

struct Player<'a> {
    scenario: &'a Scenario,
    host: Host,
    clock: Clock,
    prices: PriceSheet,
    store: MemStore,
    watches: Vec<Watch>,
    stores_lost: Vec<Timestamp>,
    decisions: Vec<Decision>,
    log: Vec<String>,
    lint: Vec<String>,
    holds: BTreeSet<String>,
    crashes: usize,
    used: u32,
    last: Option<Report>,
}

impl<'a> Player<'a> {
    fn new(scenario: &'a Scenario) -> Self {
        let clock = Clock::simulated(scenario.world.start, 1.0);
        let mut twin = Twin::new(scenario.world.clone(), scenario.seed);
        scenario.metric_faults.iter().cloned().for_each(|fault| twin.add_metric_fault(fault));
        Self {
            scenario,
            host: Host::new(twin, clock.clone()),
            clock,
            prices: PriceSheet::us_east_1(),
            store: MemStore::new(),
            watches: Vec::new(),
            stores_lost: Vec::new(),
            decisions: Vec::new(),
            log: Vec::new(),
            lint: Vec::new(),
            holds: BTreeSet::new(),
            crashes: 0,
            used: 0,
            last: None,
        }
    }

    async fn run(mut self) -> Played {
        self.prepare();
        let (host, clock) = (self.host.clone(), self.clock.clone());
        let scenario = self.scenario;
        let ((samples, foreign), (applied, daemon_from)) =
            tokio::join!(biased; world(scenario, &host, &clock), self.operator());
        let twin = self.host.with(|twin| twin.clone());
        self.keep_decisions();
        Played {
            twin,
            samples,
            daemon_from,
            applied,
            watches: self.watches,
            stores_lost: self.stores_lost,
            foreign,
            decisions: self.decisions,
            log: self.log,
            lint: self.lint,
            holds: self.holds,
            crashes: self.crashes,
            used: self.used,
            last: self.last,
            memory: self.store.load(PIPELINE).unwrap().unwrap_or_else(Memory::empty),
        }
    }

    /// What is there before us.
    fn prepare(&self) {
        self.host.with(|twin| {
            let shards = match self.scenario.existing {
                Existing::None => None,
                Existing::Untagged(shards) => Some((shards, json!({"team": "x"}))),
                Existing::Foreign(shards) => Some((shards, json!({TAG_PIPELINE: "other", "team": "x"}))),
            };
            if let Some((shards, tags)) = shards {
                let input = json!({"StreamName": STREAM, "ShardCount": shards, "Tags": tags});
                twin.foreign_call("kinesis", "CreateStream", input).unwrap();
            }
            let input = json!({"StreamName": BYSTANDER, "ShardCount": 2, "Tags": {TAG_PIPELINE: "other"}});
            twin.foreign_call("kinesis", "CreateStream", input).unwrap();
            let input = json!({
                "TableName": BYSTANDER, "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
                "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
                "ProvisionedThroughput": {"ReadCapacityUnits": 7, "WriteCapacityUnits": 7},
                "Tags": [{"Key": "alleycat.dev/managed-by", "Value": MANAGED_BY}],
            });
            twin.foreign_call("dynamodb", "CreateTable", input).unwrap();
        });
    }

    async fn operator(&mut self) -> (Verdict, Timestamp) {
        for life in &self.scenario.applies {
            self.begin(life);
            if let Some(outcome) = self.apply(life.until).await {
                self.note_apply(&outcome);
            }
        }
        self.host.set_faults(Faults::default());
        let outcome = self.apply_in_the_end().await;
        self.note_apply(&outcome);
        if outcome.verdict == Verdict::Done {
            self.second_plan().await;
        }
        let daemon_from = self.clock.now();
        for life in &self.scenario.lives {
            self.begin(life);
            self.live(life).await;
        }
        self.host.set_faults(Faults::default());
        (outcome.verdict, daemon_from)
    }

    /// What the world itself still denies (permissions, credentials), a person tries again later.
    async fn apply_in_the_end(&mut self) -> Outcome {
        loop {
            match self.apply(SignedDuration::from_mins(25)).await {
                Some(outcome) if !denied(&outcome) => return outcome,
                Some(outcome) => self.note_apply(&outcome),
                None => self.log.push(format!("{} apply: AWS could not be read", self.clock.now())),
            }
            assert!(self.clock.now() < self.calm(), "AWS can be read once the world gives no trouble");
            self.clock.sleep(SignedDuration::from_mins(2)).await;
        }
    }

    fn begin(&mut self, life: &Life) {
        self.host.set_faults(life.faults.clone());
        if life.store_lost {
            self.keep_decisions();
            self.store = MemStore::new();
            self.stores_lost.push(self.clock.now());
        }
    }

    fn keep_decisions(&mut self) {
        self.decisions.extend(self.store.decisions(PIPELINE, usize::MAX).unwrap());
    }

    async fn connect(&self, allow: Allow) -> Aws {
        connect(&self.host, &self.clock, None, allow).await
    }

    fn mortal(&self) -> Mortal {
        Mortal { inner: self.store.clone(), host: self.host.clone() }
    }

    fn remembered(&self) -> Memory {
        self.store.load(PIPELINE).unwrap().unwrap_or_else(Memory::empty)
    }

    /// As the command does it: plan first, stop at a conflict, then do what was shown. `None`: AWS could not be read.
    async fn apply(&mut self, timeout: SignedDuration) -> Option<Outcome> {
        let aws = self.connect(Allow::Apply).await;
        let store = self.mortal();
        let mut memory = self.remembered();
        let facts = observe::facts(&aws, &self.scenario.pipeline).await.ok()?;
        let plan = plan::plan(&self.input(&facts, &memory));
        if let Some(conflict) = plan.blocked.iter().find(|blocked| blocked.is_conflict()) {
            return Some(Outcome {
                verdict: Verdict::Refused(conflict.reason.clone()),
                performed: Vec::new(),
                remaining: Vec::new(),
                blocked: plan.blocked.clone(),
                failures: Vec::new(),
                facts: None,
                elapsed: SignedDuration::ZERO,
            });
        }
        let mut context = apply::Context {
            aws: &aws,
            store: &store,
            memory: &mut memory,
            pipeline: &self.scenario.pipeline,
            policy: &self.scenario.policy,
            prices: &self.prices,
            approved: Some(&plan),
            timeout,
            stop: watch::channel(false).1,
        };
        Some(apply::run(&mut context, Goal::Provision, &mut |_| {}).await)
    }

    fn input<'b>(&'b self, facts: &'b Facts, memory: &'b Memory) -> plan::Input<'b> {
        let now = self.clock.now();
        plan::Input {
            pipeline: &self.scenario.pipeline,
            facts,
            targets: None,
            ledger_used: scale::reshards_used(&memory.reshards, now),
            exhausted_until: memory.reshards.exhausted_until,
            prices: &self.prices,
            policy: &self.scenario.policy,
            evidence: None,
            refused_moves: &memory.fan_out.refused,
            break_glass_since: memory.stream_mode.break_glass_since,
            now,
        }
    }

    fn note_apply(&mut self, outcome: &Outcome) {
        let at = self.clock.now();
        self.log.push(format!("{at} apply: {:?}; {:?}", outcome.verdict, outcome.performed));
        self.log.extend(outcome.failures.iter().map(|failure| format!("{at}   {failure}")));
    }

    /// After an apply a plan has nothing to do, and planning calls nothing.
    async fn second_plan(&mut self) {
        let before = self.mutations();
        let aws = self.connect(Allow::Reads).await;
        let Some(facts) = self.facts_in_the_end(&aws).await else { return };
        let mut memory = self.remembered();
        scale::remember(&mut memory, &self.scenario.policy, &facts, self.clock.now());
        let input = self.input(&facts, &memory);
        let plan = plan::plan(&input);
        let found = plan::lint(&plan, &input);
        self.lint.extend(found);
        if self.scenario.is_alone() && !plan.changes.is_empty() {
            self.lint.push(format!("after apply the plan still wants {:#?}", plan.changes));
        }
        self.watches.push(self.watch("plan", before));
    }

    /// Tried again while the world itself denies reading; `None` when it still does as the calm begins.
    async fn facts_in_the_end(&self, aws: &Aws) -> Option<Facts> {
        while self.clock.now() < self.calm() {
            if let Ok(facts) = observe::facts(aws, &self.scenario.pipeline).await {
                return Some(facts);
            }
            self.clock.sleep(SignedDuration::from_mins(2)).await;
        }
        None
    }

    fn calm(&self) -> Timestamp {
        self.scenario.world.start + SignedDuration::from_mins(self.scenario.calm_from)
    }

    fn watch(&self, what: &str, mutations_before: usize) -> Watch {
        Watch { what: what.to_owned(), mutations_before, mutations_after: self.mutations() }
    }

    /// Mutating requests of ours that reached AWS, refused ones included.
    fn mutations(&self) -> usize {
        self.host.with(|twin| twin.audit().mutations.iter().filter(|it| !it.foreign).count())
    }

    async fn live(&mut self, life: &Life) {
        let before = self.mutations();
        let allow = if life.watching == Watching::Connector { Allow::Reads } else { Allow::Autoscale };
        let mode = if life.watching == Watching::Mode { Mode::Observe } else { Mode::Act };
        let mut pipeline: Pipeline = self.scenario.pipeline.clone();
        if life.watching == Watching::Spec {
            pipeline.management = Management::Observe;
        }
        let aws = self.connect(allow).await;
        let store = self.mortal();
        let mut memory = self.remembered();
        let (sender, flag) = watch::channel(false);
        let until = Stop { flag, at: Some(self.scenario.world.start + life.until) };
        let (host, log, lint, last) = (&self.host, &mut self.log, &mut self.lint, &mut self.last);
        let (holds, used) = (&mut self.holds, &mut self.used);
        log.push(format!("{} a life begins: {life:?}", self.clock.now()));
        let mut hear = |report: &Report| {
            if host.crashed() {
                let _ = sender.send(true);
            }
            note(report, log, lint);
            holds.extend(report.sizing.holds.iter().map(|hold| hold.guard.clone()));
            let left = report.sizing.terms.iter().find(|term| term.name == "UpdateShardCount calls left");
            *used = (*used).max(left.map_or(0, |left| 10 - left.value as u32));
            *last = Some(report.clone());
        };
        let interval = SignedDuration::from_mins(1);
        daemon::run(
            &aws,
            &store,
            &mut memory,
            &pipeline,
            &self.scenario.policy,
            &self.prices,
            mode,
            interval,
            until,
            &mut hear,
        )
        .await;
        self.crashes += usize::from(self.host.crashed());
        if life.watching != Watching::No {
            let watch = self.watch(&format!("daemon, {:?}", life.watching), before);
            self.watches.push(watch);
        }
    }
}

/// Keeps of a report what explains it.
fn note(report: &Report, log: &mut Vec<String>, lint: &mut Vec<String>) {
    lint.extend(report.problems.iter().filter(|problem| problem.contains("(a bug)")).cloned());
    for (step, result) in &report.performed {
        let result = result.as_ref().err().map_or_else(|| "accepted".to_owned(), ToString::to_string);
        log.push(format!("{} {step:?}: {result}", report.at));
    }
    if let Some(failure) = &report.failure {
        log.push(format!("{} cannot observe: {failure}", report.at));
    }
    let mut touched = Vec::new();
    for (step, _) in &report.performed {
        let resource = match step {
            Step::UpdateShardCount { stream, .. } => stream.clone(),
            Step::UpdateCapacity(change) => change.table.clone(),
            Step::UpdateMapping(change) => change.uuid.clone(),
            other => format!("{other:?}"),
        };
        if touched.contains(&resource) {
            lint.push(format!("{}: two calls on one resource in one pass: {:?}", report.at, report.performed));
        }
        touched.push(resource);
    }
}

/// What happens around the operator: samples each whole minute, and other people's hands.
async fn world(scenario: &Scenario, host: &Host, clock: &Clock) -> (Vec<Sample>, Vec<(Timestamp, Foreign)>) {
    let start = scenario.world.start;
    let minutes = (0..=scenario.minutes).map(|minute| (SignedDuration::from_mins(minute), None));
    let acts = scenario.foreign.iter().map(|(at, act)| (*at, Some(*act)));
    let mut agenda: Vec<(SignedDuration, Option<Foreign>)> = minutes.chain(acts).collect();
    agenda.sort_by_key(|(at, _)| *at);
    let (mut samples, mut foreign) = (Vec::new(), Vec::new());
    for (after, act) in agenda {
        let at = start + after;
        clock.sleep(at.duration_since(clock.now())).await;
        match act {
            None => samples.push(host.with(|twin| sample(twin, at))),
            Some(act) => {
                if host.with(|twin| meddle(twin, act)).is_ok() {
                    foreign.push((at, act));
                }
            }
        }
    }
    (samples, foreign)
}

fn meddle(twin: &mut Twin, act: Foreign) -> Result<(), String> {
    match act {
        Foreign::Reshard { up } => {
            let open = twin.plane().shards(STREAM).iter().filter(|shard| shard.open).count() as u32;
            let target = ShardCount(if up { open + open.div_ceil(2) } else { open.div_ceil(2) });
            twin.foreign_reshard(STREAM, target.get())
        }
        Foreign::TakeStream => twin.foreign_tag_stream(STREAM, TAG_PIPELINE, "other"),
        Foreign::TakeTable => {
            let arn = format!("arn:aws:dynamodb:us-east-2:123456789012:table/{TABLE}");
            let input = json!({"ResourceArn": arn, "Tags": [{"Key": TAG_PIPELINE, "Value": "other"}]});
            twin.foreign_call("dynamodb", "TagResource", input)
        }
        Foreign::Capacity(write) => {
            let throughput = json!({"ReadCapacityUnits": 5, "WriteCapacityUnits": write});
            let input = json!({"TableName": TABLE, "ProvisionedThroughput": throughput});
            twin.foreign_call("dynamodb", "UpdateTable", input)
        }
    }
}

fn sample(twin: &Twin, at: Timestamp) -> Sample {
    let totals = twin.plane().totals();
    let stream = totals.streams.get(STREAM).cloned().unwrap_or_default();
    let waiting = |mapping: &alleycat_operator::twin::plane::MappingTotals| {
        let done = mapping.delivered + mapping.skipped + mapping.expired + mapping.dropped;
        (mapping.function.clone(), stream.accepted.saturating_sub(done))
    };
    Sample {
        at,
        accepted: stream.accepted,
        rejected: stream.rejected,
        waiting: totals.mappings.values().map(waiting).collect(),
        throttles: totals.tables.get(TABLE).map_or(0, |table| table.provisioned_write_throttles),
    }
}
