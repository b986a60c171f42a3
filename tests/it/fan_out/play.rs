//! Plays a scenario, and checks it from AWS's side: the twin's own log of deliveries, and what exists in the end.

use std::collections::{BTreeMap, BTreeSet};

use alleycat_operator::{
    apply::{self, Goal, Verdict},
    aws::{Allow, Aws, Clock},
    cost::PriceSheet,
    daemon::{self, Mode, Report, Stop},
    memory::{MemStore, Memory, Store},
    model::MappingState,
    observe,
    plan::Step,
    spec::{Delivery, Pipeline, policy},
    twin::{Faults, Host, Twin},
};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;

use super::scenario::{CALM, CHANGE, END, FUNCTION, Life, SILENCE, STREAM, Scenario};
use crate::{bench::connect, storm::play::Mortal};

#[derive(Default)]
pub struct Played {
    pub broken: Vec<String>,
    pub tally: BTreeMap<String, u64>,
    pub log: Vec<String>,
}

struct Player<'a> {
    scenario: &'a Scenario,
    host: Host,
    clock: Clock,
    store: MemStore,
    played: Played,
}

pub fn play(scenario: &Scenario) -> Played {
    fastrand::seed(scenario.seed);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let clock = Clock::simulated(scenario.world.start, 1.0);
        let mut twin = Twin::new(scenario.world.clone(), scenario.seed);
        twin.record_deliveries();
        scenario.metric_faults.iter().cloned().for_each(|fault| twin.add_metric_fault(fault));
        let host = Host::new(twin, clock.clone());
        let (played, store) = (Played::default(), MemStore::new());
        let mut player = Player { scenario, host, clock, store, played };
        player.run().await;
        player.played
    })
}

impl Player<'_> {
    fn at(&self, minute: i64) -> Timestamp {
        self.scenario.world.start + SignedDuration::from_mins(minute)
    }

    async fn until(&self, minute: i64) {
        let left = self.at(minute).duration_since(self.clock.now());
        self.clock.sleep(left.max(SignedDuration::ZERO)).await;
    }

    fn count(&mut self, what: &str, times: u64) {
        *self.played.tally.entry(what.to_owned()).or_default() += times;
    }

    async fn run(&mut self) {
        let mut pipeline = self.scenario.pipeline.clone();
        pipeline.consumers[0].delivery = match self.scenario.to {
            Delivery::EnhancedFanOut => Delivery::Shared,
            _ => Delivery::EnhancedFanOut,
        };
        let verdict = self.apply(&pipeline, SignedDuration::from_mins(8)).await;
        assert_eq!(verdict, Verdict::Done, "{}", self.played.log.join("\n"));
        let meddler = self.scenario.reshard.map(|minute| {
            let (host, clock, at) = (self.host.clone(), self.clock.clone(), self.at(minute));
            tokio::spawn(async move {
                clock.sleep(at.duration_since(clock.now())).await;
                let open = host.with(|twin| twin.plane().shards(STREAM).iter().filter(|shard| shard.open).count());
                let _ = host.with(|twin| twin.foreign_reshard(STREAM, open as u32 * 2));
            })
        });
        self.until(CHANGE).await;
        pipeline.consumers[0].delivery = self.scenario.to;
        if let Some(Some(minute)) = self.scenario.reshard.map(Some) {
            let count = self.scenario.pipeline.stream.shards.min.get() * 2;
            pipeline.stream.shards.max = alleycat_operator::model::ShardCount(count);
            self.played.log.push(format!("somebody reshards in minute {minute}"));
        }
        for life in &self.scenario.lives {
            self.live(&pipeline, life).await;
        }
        self.host.set_faults(Faults::default());
        self.daemon(&pipeline, self.at(SILENCE)).await;
        if let Some(meddler) = meddler {
            meddler.await.unwrap();
        }
        self.until(END).await;
        self.ended().await;
        self.delivered();
    }

    async fn live(&mut self, pipeline: &Pipeline, life: &Life) {
        self.host.set_faults(life.faults.clone());
        if life.store_lost {
            self.store = MemStore::new();
            self.count("stores lost", 1);
        }
        self.played.log.push(format!("{} a life: {life:?}", self.clock.now()));
        if life.apply {
            self.apply(pipeline, SignedDuration::from_mins(20)).await;
        } else {
            let end = self.at(CALM).min(self.clock.now() + SignedDuration::from_mins(20));
            self.daemon(pipeline, end).await;
        }
        if self.host.crashed() {
            self.count("crashes", 1);
        }
    }

    async fn connect(&self, allow: Allow) -> Aws {
        connect(&self.host, &self.clock, None, allow).await
    }

    fn memory(&self) -> Memory {
        self.store.load("clicks").unwrap().unwrap_or_else(Memory::empty)
    }

    async fn apply(&mut self, pipeline: &Pipeline, timeout: SignedDuration) -> Verdict {
        let aws = self.connect(Allow::Apply).await;
        let store = Mortal { inner: self.store.clone(), host: self.host.clone() };
        let (mut memory, prices, policy) =
            (self.memory(), PriceSheet::us_east_1(), policy::builtin("balanced").unwrap());
        let mut context = apply::Context {
            aws: &aws,
            store: &store,
            memory: &mut memory,
            pipeline,
            policy: &policy,
            prices: &prices,
            approved: None,
            timeout,
            stop: watch::channel(false).1,
        };
        let log = &mut self.played.log;
        let clock = self.clock.clone();
        let outcome = apply::run(&mut context, Goal::Provision, &mut |event| {
            log.push(format!("{} apply {}: {}", clock.now(), event.resource, event.what));
        })
        .await;
        self.played.log.push(format!("{} apply: {:?} {:?}", self.clock.now(), outcome.verdict, outcome.blocked));
        self.undone(&outcome.performed);
        outcome.verdict
    }

    async fn daemon(&mut self, pipeline: &Pipeline, end: Timestamp) {
        let aws = self.connect(Allow::Autoscale).await;
        let store = Mortal { inner: self.store.clone(), host: self.host.clone() };
        let (mut memory, prices, policy) =
            (self.memory(), PriceSheet::us_east_1(), policy::builtin("balanced").unwrap());
        let (sender, flag) = watch::channel(false);
        let (host, log, mut done, mut bugs) = (self.host.clone(), &mut self.played.log, Vec::new(), Vec::new());
        let mut hear = |report: &Report| {
            if host.crashed() {
                let _ = sender.send(true);
            }
            bugs.extend(report.problems.iter().filter(|problem| problem.contains("(a bug)")).cloned());
            let blocked = report.plan.iter().flat_map(|plan| &plan.blocked).map(|it| it.reason.clone());
            let waits: Vec<String> = report.waits.iter().cloned().chain(blocked).collect();
            log.push(format!("{} {:?} {waits:?} {:?}", report.at, report.performed, report.failure));
            done.extend(report.performed.iter().filter(|(_, result)| result.is_ok()).map(|(step, _)| step.clone()));
        };
        let until = Stop { flag, at: Some(end) };
        let minute = SignedDuration::from_mins(1);
        daemon::run(&aws, &store, &mut memory, pipeline, &policy, &prices, Mode::Act, minute, until, &mut hear).await;
        self.played.broken.extend(bugs);
        self.undone(&done);
    }

    fn undone(&mut self, steps: &[Step]) {
        let undone = |step: &&Step| matches!(step, Step::UpdateMapping(change) if change.enabled == Some(true));
        let times = steps.iter().filter(undone).count() as u64;
        self.count("moves undone", times);
    }

    fn fail(&mut self, what: String) {
        self.played.broken.push(what);
    }

    /// Exactly one mapping remains, it reads, and on the way the spec asks for.
    async fn ended(&mut self) {
        let aws = self.connect(Allow::Reads).await;
        let facts = observe::facts(&aws, &self.scenario.pipeline).await.unwrap();
        let fanned = self.scenario.to == Delivery::EnhancedFanOut;
        match &facts.mappings[..] {
            [one] => {
                if one.state != MappingState::Enabled {
                    self.fail(format!("the mapping is {:?}", one.state));
                }
                if one.source_arn.contains("/consumer/") == fanned {
                    self.count(&format!("moved to {:?}", self.scenario.to), 1);
                } else {
                    self.fail(format!("it was not moved: it reads {}", one.source_arn));
                }
                let settings = &self.scenario.pipeline.consumers[0];
                if one.batch_size != settings.batch_size.initial
                    || one.parallelization_factor != settings.parallelization_factor.initial
                    || one.tumbling_window_seconds != settings.tumbling_window_seconds
                {
                    self.fail(format!("its settings were not copied: {one:?}"));
                }
            }
            other => self.fail(format!("{} mappings remain: {other:#?}", other.len())),
        }
        if facts.fan_out.len() != usize::from(fanned) {
            self.fail(format!("fan-out consumers remain: {:?}", facts.fan_out));
        }
    }

    /// Every record at least once; in order for each key but for what is read again; the old mapping never after the new.
    fn delivered(&mut self) {
        let (deliveries, shards, check) = self.host.with(|twin| {
            let plane = twin.plane();
            (plane.deliveries().to_vec(), plane.shards(STREAM), plane.check())
        });
        if let Err(why) = check {
            self.fail(why);
        }
        let factor = self.scenario.pipeline.consumers[0].parallelization_factor.initial.get();
        let mut again = 0;
        for shard in &shards {
            let mut pieces: Vec<_> = deliveries.iter().filter(|it| it.shard == shard.number).collect();
            // One key after the other: all of a shard with one slot, else the hot key.
            let mut last: BTreeMap<&str, u64> = BTreeMap::new();
            let mut order: Vec<&str> = Vec::new();
            for piece in pieces.iter().filter(|piece| factor == 1 || piece.hot) {
                let next = last.entry(&piece.mapping).or_insert(0);
                if piece.first < *next {
                    self.played.broken.push(format!("{FUNCTION}: out of order without a move: {piece:?} after {next}"));
                }
                *next = piece.first + u64::from(piece.count);
            }
            for piece in &pieces {
                if order.last() != Some(&piece.mapping.as_str()) {
                    order.push(&piece.mapping);
                }
            }
            if order.len() != order.iter().collect::<BTreeSet<_>>().len() {
                self.played.broken.push(format!("shard {}: two mappings delivered in turn: {order:?}", shard.number));
            }
            pieces.sort_by_key(|piece| piece.first);
            let mut covered = 0;
            for piece in pieces {
                let end = piece.first + u64::from(piece.count);
                if piece.first > covered {
                    self.played
                        .broken
                        .push(format!("shard {}: records {covered}..{} were skipped", shard.number, piece.first));
                }
                again += end.min(covered).saturating_sub(piece.first);
                covered = covered.max(end);
            }
            if covered < shard.tip {
                self.played.broken.push(format!("shard {}: records {covered}..{} never came", shard.number, shard.tip));
            }
        }
        self.count("records read again", again);
        self.count("records", shards.iter().map(|shard| shard.tip).sum());
    }
}
