//! One run: a world, a spec and a policy, from an empty account to the end. Self-contained, so that two cells can run
//! on two threads.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{
    minute::Minute,
    policy::Policy,
    sample::{Sampler, minute_ends},
    stage::{Stage, broken, on_virtual_time},
    timeline::Event,
};
use crate::{
    cost::Meters,
    memory::Memory,
    model::Failure,
    spec::Pipeline,
    twin::{Audit, Change, World},
};

/// What a run is made of.
#[derive(Debug, Clone)]
pub struct Cell {
    /// The spec.
    pub pipeline: Pipeline,
    /// Who scales it.
    pub policy: Policy,
    /// What surrounds it.
    pub world: World,
    /// Seed of the world's noise.
    pub seed: u64,
    /// Length, from the world's start.
    pub length: SignedDuration,
    /// This much at the start is not counted.
    pub warm_up: SignedDuration,
}

/// A diagnosis that stood for a time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Diagnosed {
    /// The first pass that found it.
    pub from: Timestamp,
    /// The last pass that found it.
    pub to: Timestamp,
    /// Its code, e.g. `INGEST_SHORT`.
    pub code: String,
    /// On what.
    pub resource: String,
}

/// When a pass said that nothing would wait any more.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DrainForecast {
    /// When it was said.
    pub at: Timestamp,
    /// The slowest consumer's moment.
    pub drained_at: Timestamp,
}

/// What came of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Run {
    /// Every minute from the world's start, the warm-up included.
    pub minutes: Vec<Minute>,
    /// The moment from which it counts.
    pub counted_from: Timestamp,
    /// What was found, done and refused.
    pub timeline: Vec<Event>,
    /// Diagnoses, by their begin; the operator's only.
    pub diagnoses: Vec<Diagnosed>,
    /// When backlogs were said to be drained; the operator's only.
    pub drain_forecasts: Vec<DrainForecast>,
    /// Requests after provisioning, by `service:Operation`; those of Application Auto Scaling too.
    pub calls: BTreeMap<String, u64>,
    /// Capacity changes from the start.
    pub changes: Vec<Change>,
    /// Accepted calls of UpdateShardCount, everybody's.
    pub reshards: Vec<Timestamp>,
    /// Our requests that AWS refused because a budget was used up.
    pub quota_refusals: u64,
    /// What was used in the counted time.
    pub meters: Meters,
}

/// What a policy did.
#[derive(Debug, Default)]
pub(super) struct Acted {
    pub timeline: Vec<Event>,
    pub diagnoses: Vec<Diagnosed>,
    pub drain_forecasts: Vec<DrainForecast>,
    pub calls: BTreeMap<String, u64>,
}

impl Cell {
    /// Plays it on this thread.
    ///
    /// # Errors
    /// When the pipeline cannot be provisioned.
    pub fn play(&self) -> Result<Run, Failure> {
        let pipeline = self.policy.prepared(&self.pipeline, &self.world, self.seed, self.length)?;
        on_virtual_time(self.seed, self.run(&pipeline))
    }

    async fn run(&self, pipeline: &Pipeline) -> Result<Run, Failure> {
        let start = self.world.start;
        let (end, counted_from) = (start + self.length, start + self.warm_up);
        let stage = Stage::new(&self.policy.world(&self.world), self.seed);
        let mut sampler = Sampler::new(pipeline);
        let mut before = Meters::default();
        let sampling = async {
            for at in minute_ends(start, self.length) {
                stage.clock.sleep(at.duration_since(stage.clock.now())).await;
                stage.host.with(|twin| {
                    sampler.sample(twin);
                    if at <= counted_from {
                        before = sampler.meters(twin);
                    }
                });
            }
            Ok(())
        };
        let acting = async {
            let mut memory = Memory::empty();
            stage.provision(pipeline, &self.policy.scaling()?, &mut memory).await?;
            self.policy.act(&stage, pipeline, &mut memory, end).await
        };
        let ((), acted) = tokio::try_join!(biased; sampling, acting)?;
        stage.host.with(|twin| {
            twin.plane().check().map_err(|what| broken("records do not add up", &what))?;
            let audit = twin.audit();
            Ok(Run {
                meters: sampler.meters(twin).since(&before),
                minutes: sampler.into_minutes(),
                counted_from,
                timeline: acted.timeline,
                diagnoses: acted.diagnoses,
                drain_forecasts: acted.drain_forecasts,
                calls: acted.calls,
                changes: audit.history.clone(),
                reshards: reshards(audit),
                quota_refusals: audit.quota_refusals,
            })
        })
    }
}

/// When UpdateShardCount was accepted, whoever called.
fn reshards(audit: &Audit) -> Vec<Timestamp> {
    let accepted = audit.mutations.iter().filter(|it| it.refused.is_none());
    accepted.filter(|it| it.operation == "kinesis:UpdateShardCount").map(|it| it.at).collect()
}

/// Plays cells on so many threads, and answers in their order.
pub fn play_all(cells: &[Cell], threads: usize) -> Vec<Result<Run, Failure>> {
    let next = AtomicUsize::new(0);
    let played = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..threads.clamp(1, cells.len().max(1)) {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(cell) = cells.get(index) else { break };
                    let run = cell.play();
                    played.lock().unwrap_or_else(PoisonError::into_inner).insert(index, run);
                }
            });
        }
    });
    played.into_inner().unwrap_or_else(PoisonError::into_inner).into_values().collect()
}
