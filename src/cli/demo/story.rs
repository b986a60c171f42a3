//! One run of the simulated pipeline: a world, a spec, with or without the operator, hour by hour.
//!
//! Everything goes through the real SDK clients against the twin on virtual time; the story is told by what
//! the daemon reports, and measured afterwards by what CloudWatch published.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use tokio::sync::watch;

use super::measure::{Measures, Series};
use crate::{
    apply::{self, Goal, Verdict},
    aws::{Allow, Aws, Clock, Connect},
    cost::{Meters, PriceSheet},
    daemon::{self, Mode, Report, Stop},
    diagnose::{Diagnosis, Severity},
    memory::{MemStore, Memory},
    model::{Failure, ResourceId},
    spec::{Pipeline, ScalingPolicy},
    twin::{Host, Twin, World, plane::FunctionTotals},
};

/// What a run is made of.
#[derive(Debug, Clone)]
pub struct Story {
    /// The spec.
    pub pipeline: Pipeline,
    /// The scaling policy.
    pub policy: ScalingPolicy,
    /// What surrounds the pipeline.
    pub world: World,
    /// Seed of the world's noise.
    pub seed: u64,
    /// Whether the operator acts or only watches.
    pub operator: bool,
    /// Length, from the world's start.
    pub hours: u32,
}

/// One line of the timeline.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// When.
    pub at: Timestamp,
    /// What kind of line.
    pub kind: EventKind,
    /// On what.
    pub resource: String,
    /// In words.
    pub text: String,
}

/// Kinds of lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum EventKind {
    /// A diagnosis begins.
    Finding,
    /// A diagnosis is over.
    Cleared,
    /// The operator changes something.
    Action,
    /// AWS refused a change.
    Refused,
    /// The operator wants a change and waits.
    Held,
}

/// What came of a run.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Told {
    /// The timeline.
    pub events: Vec<Event>,
    /// Figures over the whole run.
    pub measures: Measures,
    /// What was used in each hour.
    #[serde(skip)]
    pub hours: Vec<Meters>,
    /// Every metric the run published, by minute.
    #[serde(skip)]
    pub series: Series,
    /// SDK calls by operation.
    pub calls: std::collections::BTreeMap<String, u64>,
    /// Values at the end: `resource field` and the live value.
    pub at_end: std::collections::BTreeMap<String, u64>,
}

impl Story {
    /// Plays it; `tell` hears every line as it happens.
    ///
    /// # Errors
    /// When the twin refuses what it must not: a bug.
    pub fn play(&self, tell: &mut dyn FnMut(&Event)) -> Result<Told, Failure> {
        // The SDK's jitter comes from this thread's generator.
        fastrand::seed(self.seed);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        let runtime = runtime.map_err(|error| broken("the runtime does not start", &error.to_string()))?;
        runtime.block_on(self.run(tell))
    }

    async fn run(&self, tell: &mut dyn FnMut(&Event)) -> Result<Told, Failure> {
        let start = self.world.start;
        let end = start + SignedDuration::from_hours(i64::from(self.hours));
        let clock = Clock::simulated(start, 1.0);
        let host = Host::new(Twin::new(self.world.clone(), self.seed), clock.clone());
        let prices = PriceSheet::us_east_1();
        let store = MemStore::new();
        let mut memory = Memory::empty();
        let connect = |allow| Connect {
            region: None,
            profile: None,
            endpoint_url: None,
            http_client: Some(host.http_client()),
            clock: clock.clone(),
            allow,
        };
        let (_keep, stop) = watch::channel(false);
        let aws = Aws::connect(connect(Allow::Apply)).await?;
        self.provision(&aws, &store, &mut memory, &prices, stop.clone()).await?;

        let aws = Aws::connect(connect(if self.operator { Allow::Autoscale } else { Allow::Reads })).await?;
        let mode = if self.operator { Mode::Act } else { Mode::Observe };
        let mut teller = Teller::new(self.operator, tell);
        let mut hours = Vec::new();
        let until = Stop { flag: stop, at: Some(end) };
        let interval = SignedDuration::from_mins(1);
        let mut hear = |report: &Report| teller.hear(report);
        let daemon = daemon::run(
            &aws,
            &store,
            &mut memory,
            &self.pipeline,
            &self.policy,
            &prices,
            mode,
            interval,
            until,
            &mut hear,
        );
        let metering = async {
            let mut before = Meters::default();
            for hour in 1..=self.hours {
                let at = start + SignedDuration::from_hours(i64::from(hour));
                clock.sleep(at.duration_since(clock.now())).await;
                let total = host.with(|twin| {
                    twin.advance(at);
                    meters(twin)
                });
                hours.push(total.since(&before));
                before = total;
            }
        };
        tokio::join!(biased; metering, daemon);
        let events = teller.events;
        // CloudWatch publishes late: ask when the last minute is there.
        clock.sleep(SignedDuration::from_mins(5)).await;
        let series = Series::read(&aws, &self.pipeline, start, end).await?;
        let measures = Measures::of(self, &series, &hours, &prices, &host);
        let at_end = host.with(|twin| super::measure::last_values(twin));
        Ok(Told { events, measures, hours, series, calls: aws.calls(), at_end })
    }

    async fn provision(
        &self,
        aws: &Aws,
        store: &MemStore,
        memory: &mut Memory,
        prices: &PriceSheet,
        stop: watch::Receiver<bool>,
    ) -> Result<(), Failure> {
        let mut context = apply::Context {
            aws,
            store,
            memory,
            pipeline: &self.pipeline,
            policy: &self.policy,
            prices,
            approved: None,
            timeout: SignedDuration::from_mins(30),
            stop,
        };
        let outcome = apply::run(&mut context, Goal::Provision, &mut |_| {}).await;
        match outcome.verdict {
            Verdict::Done => Ok(()),
            Verdict::Failed(failure) => Err(failure),
            other => Err(broken("the pipeline could not be provisioned", &format!("{other:?}"))),
        }
    }
}

/// What was used so far, as a bill counts it.
pub fn meters(twin: &Twin) -> Meters {
    let totals = twin.plane().totals();
    let paid = &twin.audit().meters;
    Meters {
        shard_hours: paid.shard_hours(),
        put_payload_units: totals.streams.values().map(|it| it.put_payload_units).sum::<u64>() as f64,
        wcu_hours: paid.wcu_hours(),
        rcu_hours: paid.rcu_hours(),
        lambda_requests: totals.functions.values().map(|it| it.invocations).sum::<u64>() as f64,
        lambda_gb_seconds: totals.functions.values().map(FunctionTotals::gb_seconds).sum(),
        cloudwatch_metrics: paid.cloudwatch_metrics as f64,
    }
}

fn broken(what: &str, why: &str) -> Failure {
    Failure {
        class: crate::model::ErrorClass::Unknown,
        operation: "demo".to_owned(),
        resource: what.to_owned(),
        code: "Bug".to_owned(),
        message: why.to_owned(),
        request_id: None,
    }
}

/// Turns reports into lines: only what begins, ends or is done.
struct Teller<'a> {
    operator: bool,
    tell: &'a mut dyn FnMut(&Event),
    open: BTreeSet<(Diagnosis, ResourceId)>,
    /// Findings of the passes before, so that one quiet minute does not end a story.
    recent: Vec<BTreeSet<(Diagnosis, ResourceId)>>,
    held: BTreeSet<(ResourceId, String)>,
    blind_passes: u32,
    events: Vec<Event>,
}

/// A diagnosis is over when it was absent for so many passes: a race lasts five minutes, and a throttle at its
/// end comes back with the next.
const CLEAR_AFTER: usize = 7;
/// So many passes in a row without a needed metric are worth a line.
const BLIND_AFTER: u32 = 5;

impl<'a> Teller<'a> {
    fn new(operator: bool, tell: &'a mut dyn FnMut(&Event)) -> Self {
        Self {
            operator,
            tell,
            open: BTreeSet::new(),
            recent: Vec::new(),
            held: BTreeSet::new(),
            blind_passes: 0,
            events: Vec::new(),
        }
    }

    fn say(&mut self, at: Timestamp, kind: EventKind, resource: String, text: String) {
        let event = Event { at, kind, resource, text };
        (self.tell)(&event);
        self.events.push(event);
    }

    fn hear(&mut self, report: &Report) {
        let blind = report.findings.iter().any(|finding| finding.diagnosis == Diagnosis::Blind);
        self.blind_passes = if blind { self.blind_passes + 1 } else { 0 };
        // A metric that is a few minutes late, or not there yet, is no story.
        let blind = self.blind_passes >= BLIND_AFTER;
        let worth = |diagnosis: Diagnosis, severity: Severity| {
            severity > Severity::Info && diagnosis != Diagnosis::Actuating && (diagnosis != Diagnosis::Blind || blind)
        };
        let now: BTreeSet<_> = report
            .findings
            .iter()
            .filter(|finding| worth(finding.diagnosis, finding.severity))
            .map(|finding| (finding.diagnosis, finding.resource.clone()))
            .collect();
        for finding in &report.findings {
            let key = (finding.diagnosis, finding.resource.clone());
            if now.contains(&key) && self.open.insert(key) {
                let text = format!("{}: {}", finding.diagnosis, finding.summary);
                self.say(report.at, EventKind::Finding, finding.resource.to_string(), text);
            }
        }
        self.recent.push(now);
        if self.recent.len() > CLEAR_AFTER {
            self.recent.remove(0);
            let over: Vec<_> =
                self.open.iter().filter(|key| self.recent.iter().all(|past| !past.contains(*key))).cloned().collect();
            for key in over {
                self.open.remove(&key);
                self.say(report.at, EventKind::Cleared, key.1.to_string(), format!("{} is over.", key.0));
            }
        }
        if self.operator {
            self.actions(report);
        }
    }

    fn actions(&mut self, report: &Report) {
        for (step, result) in &report.performed {
            let resource = apply::resource(step);
            let fields: Vec<_> = report
                .plan
                .iter()
                .flat_map(|plan| &plan.changes)
                .filter(|change| same_call(&change.resource, &resource))
                .flat_map(|change| &change.fields)
                .map(|field| {
                    let before = field.before.as_deref().unwrap_or("none");
                    let after = field.after.as_deref().unwrap_or("none");
                    format!("{} {before} -> {after} ({})", field.path, field.reason)
                })
                .collect();
            match result {
                Ok(()) => self.say(report.at, EventKind::Action, resource.to_string(), fields.join("; ")),
                Err(failure) => self.say(report.at, EventKind::Refused, resource.to_string(), failure.to_string()),
            }
        }
        let held: BTreeSet<_> = report
            .sizing
            .holds
            .iter()
            .filter(|hold| matches!(hold.guard.as_str(), "sink-first" | "sink-limit" | "quota" | "not-the-bottleneck"))
            .map(|hold| (hold.resource.clone(), hold.guard.clone()))
            .collect();
        for hold in &report.sizing.holds {
            let key = (hold.resource.clone(), hold.guard.clone());
            if held.contains(&key) && !self.held.contains(&key) {
                self.say(report.at, EventKind::Held, hold.resource.to_string(), format!("waits: {}", hold.reason));
            }
        }
        self.held = held;
    }
}

/// A table and its indexes change in one call.
fn same_call(one: &ResourceId, other: &ResourceId) -> bool {
    let table = |id: &ResourceId| match id {
        ResourceId::Table(name) | ResourceId::Index(name, _) => Some(name.clone()),
        _ => None,
    };
    one == other || (table(one).is_some() && table(one) == table(other))
}
