//! One run of the simulated pipeline: a world, a spec, with or without the operator, hour by hour.
//!
//! Everything goes through the real SDK clients against the twin on virtual time; the story is told by what
//! the daemon reports, and measured afterwards by what CloudWatch published.

use jiff::SignedDuration;
use serde::Serialize;
use tokio::sync::watch;

use super::measure::{Measures, Series};
use crate::{
    aws::Allow,
    cost::Meters,
    daemon::{self, Mode, Report, Stop},
    memory::Memory,
    model::Failure,
    simulate::{Event, Stage, Teller, meters, on_virtual_time},
    spec::{Pipeline, ScalingPolicy},
    twin::World,
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
        on_virtual_time(self.seed, self.run(tell))
    }

    async fn run(&self, tell: &mut dyn FnMut(&Event)) -> Result<Told, Failure> {
        let start = self.world.start;
        let end = start + SignedDuration::from_hours(i64::from(self.hours));
        let stage = Stage::new(&self.world, self.seed);
        let (clock, host, prices) = (&stage.clock, &stage.host, &stage.prices);
        let mut memory = Memory::empty();
        stage.provision(&self.pipeline, &self.policy, &mut memory).await?;

        let aws = stage.connect(if self.operator { Allow::Autoscale } else { Allow::Reads }).await?;
        let mode = if self.operator { Mode::Act } else { Mode::Observe };
        let mut teller = Teller::new(self.operator, tell);
        let mut hours = Vec::new();
        let (_keep, flag) = watch::channel(false);
        let until = Stop { flag, at: Some(end) };
        let interval = SignedDuration::from_mins(1);
        let mut hear = |report: &Report| teller.hear(report);
        let daemon = daemon::run(
            &aws,
            &stage.store,
            &mut memory,
            &self.pipeline,
            &self.policy,
            prices,
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
        let measures = Measures::of(self, &series, &hours, prices, host);
        let at_end = host.with(|twin| super::measure::last_values(twin));
        Ok(Told { events, measures, hours, series, calls: aws.calls(), at_end })
    }
}
