//! The operator with one of its parts taken away: what that part is worth.
//!
//! What always holds: nothing in the deciding rooms knows of it. A part is taken away by a value of the policy, by
//! what the operator is told of the pipeline, by what CloudWatch tells it, or by what it is let remember.

use jiff::SignedDuration;

use crate::{
    spec::{Pipeline, ScalingPolicy},
    twin::{MetricTrouble, World},
};

/// What is taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ablation {
    /// Demand is what was accepted: rejected records are not added.
    Uncensoring,
    /// The sizing is not told which tables a consumer writes to: each stage goes by itself.
    Interlock,
    /// No UpdateShardCount call and no decrease is kept back.
    Reserve,
    /// Lowered as soon as a pass says so: no windows, no cool-down.
    Stabilisation,
    /// A minute that CloudWatch does not publish reads as zero.
    MissingMetrics,
    /// The memory is thrown away every hour; the stream's tag with the calls stays.
    Memory,
    /// Growth, habits and schedules count for nothing.
    Forecast,
}

impl Ablation {
    /// All of them, in the order of results.
    pub const ALL: [Self; 7] = [
        Self::Uncensoring,
        Self::Interlock,
        Self::Reserve,
        Self::Stabilisation,
        Self::MissingMetrics,
        Self::Memory,
        Self::Forecast,
    ];

    /// Its name in results.
    pub fn name(self) -> &'static str {
        match self {
            Self::Uncensoring => "noUncensoring",
            Self::Interlock => "noInterlock",
            Self::Reserve => "noReserve",
            Self::Stabilisation => "noStabilisation",
            Self::MissingMetrics => "zeroFilled",
            Self::Memory => "lostMemory",
            Self::Forecast => "noForecast",
        }
    }

    /// How it is done, in words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Uncensoring => "`offeredClamp: 1`: the offered load is what was accepted",
            Self::Interlock => "the sizing is not told which tables a consumer writes to: each stage goes by itself",
            Self::Reserve => "`reservedReshards: 0`, `reservedDecreases: 0`",
            Self::Stabilisation => "all stabilization windows, the shards' cool-down and `drainedForSeconds` are 0",
            Self::MissingMetrics => "minutes that an outage of the metrics swallowed read as zero",
            Self::Memory => "the memory is thrown away every hour; the tag with the calls of the day stays",
            Self::Forecast => "`trendClamp: 1`, `seasonalClamp: 1`, `forecastLeadSeconds: 0`, `quietAheadSeconds: 0`",
        }
    }

    /// The policy without it.
    pub(super) fn policy(self, policy: &ScalingPolicy) -> ScalingPolicy {
        let mut policy = policy.clone();
        match self {
            Self::Uncensoring => policy.offered_clamp = 1.0,
            Self::Reserve => (policy.reserved_reshards, policy.reserved_decreases) = (0, 0),
            Self::Stabilisation => {
                policy.shard_stabilization_seconds = 0;
                policy.write_stabilization_seconds = 0;
                policy.factor_stabilization_seconds = 0;
                policy.shard_cooldown_seconds = 0;
                policy.drained_for_seconds = 0;
            }
            Self::Forecast => {
                (policy.trend_clamp, policy.seasonal_clamp) = (1.0, 1.0);
                (policy.forecast_lead_seconds, policy.quiet_ahead_seconds) = (0, 0);
            }
            Self::Interlock | Self::MissingMetrics | Self::Memory => {}
        }
        policy
    }

    /// What the daemon is told of the pipeline.
    pub(super) fn pipeline(self, pipeline: &Pipeline) -> Pipeline {
        let mut pipeline = pipeline.clone();
        match self {
            Self::Interlock => pipeline.consumers.iter_mut().for_each(|consumer| consumer.writes_to.clear()),
            Self::Forecast => pipeline.scaling.schedule.clear(),
            _ => {}
        }
        pipeline
    }

    /// The world as this operator meets it.
    pub(super) fn world(self, world: &World) -> World {
        let mut world = world.clone();
        if self == Self::MissingMetrics {
            let missing = world.metric_outages.iter_mut().filter(|it| it.trouble == MetricTrouble::Missing);
            missing.for_each(|outage| outage.trouble = MetricTrouble::Zero);
        }
        world
    }

    /// How long it remembers, if not for good.
    pub(super) fn remembers_for(self) -> Option<SignedDuration> {
        (self == Self::Memory).then(|| SignedDuration::from_hours(1))
    }
}
