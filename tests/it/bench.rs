//! A twin with the Alleycat world, and runs of `apply`, `destroy` and the daemon's pass against it.

use std::sync::{Arc, Mutex};

use alleycat_operator::{
    apply::{self, Context, Goal, Outcome, Progress, Verdict},
    aws::{Allow, Aws, Clock, Connect},
    cost::PriceSheet,
    daemon,
    memory::{MemStore, Memory, Store},
    model::Facts,
    observe,
    spec::{self, DeletionPolicy, Pipeline, ScalingPolicy},
    twin::{Faults, Host, Twin, World},
};
use jiff::SignedDuration;
use serde_json::Value;
use tokio::sync::watch;

/// One AWS, one spec, one state directory. A run is one life of the process: it connects and loads the memory anew.
pub struct Bench {
    pub host: Host,
    pub clock: Clock,
    pub store: MemStore,
    pub pipeline: Pipeline,
    pub policy: ScalingPolicy,
    pub progress: Arc<Mutex<Vec<Progress>>>,
}

/// A client of a simulated AWS. `region`: the profile's, when none is given.
pub async fn connect(host: &Host, clock: &Clock, region: Option<&str>, allow: Allow) -> Aws {
    let connect = Connect {
        region: region.map(str::to_owned),
        profile: None,
        endpoint_url: None,
        http_client: Some(host.http_client()),
        clock: clock.clone(),
        allow,
    };
    Aws::connect(connect).await.unwrap()
}

impl Bench {
    pub fn new() -> Self {
        let world = World::alleycat();
        let clock = Clock::simulated(world.start, 1.0);
        Self {
            host: Host::new(Twin::new(world, 7), clock.clone()),
            clock,
            store: MemStore::new(),
            pipeline: spec::parse(include_str!("../../examples/alleycat.yaml")).unwrap(),
            policy: spec::policy::builtin("balanced").unwrap(),
            progress: Arc::default(),
        }
    }

    /// With a spec that lets `destroy` take everything.
    pub fn disposable() -> Self {
        let mut bench = Self::new();
        bench.pipeline.stream.deletion_policy = DeletionPolicy::Delete;
        bench.pipeline.tables.iter_mut().for_each(|table| table.deletion_policy = DeletionPolicy::Delete);
        bench
    }

    pub async fn aws(&self, allow: Allow) -> Aws {
        fastrand::seed(7);
        connect(&self.host, &self.clock, Some("us-east-2"), allow).await
    }

    pub fn memory(&self) -> Memory {
        self.store.load(&self.pipeline.name).unwrap().unwrap_or_else(Memory::empty)
    }

    /// All ten UpdateShardCount calls count as used.
    pub fn use_up_reshards(&self) {
        let mut memory = self.memory();
        memory.reshards.exhausted_until = Some(self.clock.now() + SignedDuration::from_hours(24));
        self.store.save(&self.pipeline.name, &memory).unwrap();
    }

    pub async fn apply(&self) -> Outcome {
        self.run(Goal::Provision, &self.store, SignedDuration::from_mins(30)).await
    }

    pub async fn destroy(&self) -> Outcome {
        let goal = Goal::Destroy { confirmed: Some(self.pipeline.name.clone()) };
        self.run(goal, &self.store, SignedDuration::from_mins(30)).await
    }

    pub async fn run(&self, goal: Goal, store: &dyn Store, timeout: SignedDuration) -> Outcome {
        self.run_until(goal, store, timeout, watch::channel(false).1).await
    }

    pub async fn run_until(
        &self,
        goal: Goal,
        store: &dyn Store,
        timeout: SignedDuration,
        stop: watch::Receiver<bool>,
    ) -> Outcome {
        let allow = if goal == Goal::Provision { Allow::Apply } else { Allow::Destroy };
        let aws = self.aws(allow).await;
        let mut memory = self.memory();
        let prices = PriceSheet::us_east_1();
        let mut context = Context {
            aws: &aws,
            store,
            memory: &mut memory,
            pipeline: &self.pipeline,
            policy: &self.policy,
            prices: &prices,
            approved: None,
            timeout,
            stop,
        };
        let progress = self.progress.clone();
        apply::run(&mut context, goal, &mut |event| progress.lock().unwrap().push(event)).await
    }

    /// One pass of the daemon, as one life of the process.
    pub async fn pass(&self, mode: daemon::Mode) -> daemon::Report {
        let aws = self.aws(Allow::Autoscale).await;
        let mut memory = self.memory();
        let prices = PriceSheet::us_east_1();
        daemon::cycle(&aws, &self.store, &mut memory, &self.pipeline, &self.policy, &prices, mode).await
    }

    /// The daemon for `time`; `watch` sees each report and may stop it.
    pub async fn daemon(
        &self,
        mode: daemon::Mode,
        time: SignedDuration,
        mut watch: impl FnMut(&daemon::Report, &watch::Sender<bool>),
    ) {
        let aws = self.aws(Allow::Autoscale).await;
        let mut memory = self.memory();
        let (sender, flag) = watch::channel(false);
        let until = daemon::Stop { flag, at: Some(self.clock.now() + time) };
        let prices = PriceSheet::us_east_1();
        daemon::run(
            &aws,
            &self.store,
            &mut memory,
            &self.pipeline,
            &self.policy,
            &prices,
            mode,
            SignedDuration::from_mins(1),
            until,
            &mut |report| watch(report, &sender),
        )
        .await;
    }

    pub async fn facts(&self) -> Facts {
        let aws = self.aws(Allow::Reads).await;
        observe::facts(&aws, &self.pipeline).await.unwrap()
    }

    /// What exists, without what differs from one creation to the next.
    pub async fn shape(&self) -> Value {
        let mut value = serde_json::to_value(self.facts().await).unwrap();
        forget(&mut value);
        value
    }

    /// Mutating requests that AWS accepted.
    pub fn accepted(&self) -> Vec<String> {
        self.host.with(|twin| twin.audit().accepted().map(|mutation| mutation.operation.clone()).collect())
    }

    /// Mutating requests that reached AWS, refused ones included.
    pub fn mutations(&self) -> usize {
        self.host.with(|twin| twin.audit().mutations.len())
    }

    pub fn faults(&self, faults: Faults) {
        self.host.set_faults(faults);
    }
}

fn forget(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            const PASSING: [&str; 8] =
                ["observedAt", "createdAt", "lastModified", "lastProcessingResult", "shardLimit", "uuid", "id", "arn"];
            fields.retain(|name, _| !PASSING.contains(&name.as_str()));
            fields.values_mut().for_each(forget);
        }
        Value::Array(items) => {
            items.iter_mut().for_each(forget);
            // Mappings stand in the order of their UUIDs.
            items.sort_by_key(Value::to_string);
        }
        _ => {}
    }
}

pub fn done(outcome: &Outcome) {
    assert_eq!(outcome.verdict, Verdict::Done, "failures: {:#?}", outcome.failures);
    assert!(outcome.remaining.is_empty(), "{:#?}", outcome.remaining);
}
