//! Who scales the pipeline: our daemon, or one of the others.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;

use super::{
    ablation::Ablation,
    baselines::{self, Tool},
    cell::{Acted, Diagnosed, DrainForecast},
    sizes::Sizes,
    stage::{Stage, broken},
    timeline::Teller,
};
use crate::{
    aws::Allow,
    daemon::{self, Mode, Report, Stop},
    diagnose::{Outlook, Severity},
    memory::Memory,
    model::Failure,
    spec::{self, Pipeline, ScalingPolicy},
    twin::World,
};

/// A policy.
#[derive(Debug, Clone, PartialEq)]
pub enum Policy {
    /// This program's daemon with a scaling policy.
    Operator(Box<ScalingPolicy>),
    /// Ours with a part taken away.
    Ablated(Ablation, Box<ScalingPolicy>),
    /// Nothing scales; the size of the first hour.
    StaticFirstHour,
    /// Nothing scales; the size of the greatest load.
    StaticPeak,
    /// Target tracking at 70 % of the shards, and of the tables by Application Auto Scaling itself.
    TargetTracking,
    /// The rules of aws-samples/kinesis-auto-scaling for shards, Application Auto Scaling for the tables.
    AwsSamples,
    /// Stream and tables on demand.
    OnDemand,
    /// Consumers in proportion to the iterator age, as the Horizontal Pod Autoscaler and KEDA do.
    LagProportional,
    /// The votes of kinesis-scaling-utils for shards, Application Auto Scaling for the tables.
    ScalingVotes,
}

impl Policy {
    /// The name of ours in results.
    pub const OPERATOR: &'static str = "operator";

    /// Everybody else, in the order of results.
    pub const BASELINES: [Self; 7] = [
        Self::StaticFirstHour,
        Self::StaticPeak,
        Self::TargetTracking,
        Self::AwsSamples,
        Self::ScalingVotes,
        Self::LagProportional,
        Self::OnDemand,
    ];

    /// Its name in results and on the command line.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Operator(_) => Self::OPERATOR,
            Self::Ablated(ablation, _) => ablation.name(),
            Self::StaticFirstHour => "staticFirstHour",
            Self::StaticPeak => "staticPeak",
            Self::TargetTracking => "targetTracking",
            Self::AwsSamples => "awsSamples",
            Self::OnDemand => "onDemand",
            Self::LagProportional => "lagProportional",
            Self::ScalingVotes => "scalingVotes",
        }
    }

    /// The baseline of that name.
    pub fn baseline(name: &str) -> Option<Self> {
        Self::BASELINES.into_iter().find(|policy| policy.name() == name)
    }

    /// Whether its capacity is provisioned: only such a policy can be compared by cost with ours at every load.
    pub fn is_provisioned(&self) -> bool {
        *self != Self::OnDemand
    }

    /// What provisioning goes by.
    pub(super) fn scaling(&self) -> Result<ScalingPolicy, Failure> {
        match self {
            Self::Operator(policy) | Self::Ablated(_, policy) => Ok((**policy).clone()),
            _ => spec::policy::builtin("balanced").ok_or_else(|| broken("the policy `balanced`", "does not parse")),
        }
    }

    /// The pipeline with the sizes this policy starts with.
    pub(super) fn prepared(
        &self,
        pipeline: &Pipeline,
        world: &World,
        seed: u64,
        length: SignedDuration,
    ) -> Result<Pipeline, Failure> {
        let mut pipeline = pipeline.clone();
        match self {
            Self::Operator(_) | Self::Ablated(..) => {}
            Self::StaticFirstHour => Sizes::first_hour(&pipeline, world, seed)?.start(&mut pipeline),
            Self::StaticPeak => Sizes::peak(&pipeline, world, seed, length)?.start(&mut pipeline),
            Self::TargetTracking | Self::AwsSamples | Self::OnDemand | Self::ScalingVotes | Self::LagProportional => {
                baselines::fix_factor(&mut pipeline);
            }
        }
        Ok(pipeline)
    }

    /// The world as it meets this policy.
    pub(super) fn world(&self, world: &World) -> World {
        match self {
            Self::Ablated(ablation, _) => ablation.world(world),
            _ => world.clone(),
        }
    }

    /// Scales the provisioned pipeline until `end`.
    pub(super) async fn act(
        &self,
        stage: &Stage,
        pipeline: &Pipeline,
        memory: &mut Memory,
        end: Timestamp,
    ) -> Result<Acted, Failure> {
        match self {
            Self::Operator(policy) => operate(stage, pipeline, policy, memory, end, None).await,
            Self::Ablated(without, policy) => {
                let (pipeline, policy) = (without.pipeline(pipeline), without.policy(policy));
                operate(stage, &pipeline, &policy, memory, end, without.remembers_for()).await
            }
            Self::StaticFirstHour | Self::StaticPeak => Ok(Acted::default()),
            Self::OnDemand => baselines::on_demand(stage, pipeline).await,
            Self::TargetTracking => baselines::run(stage, pipeline, Tool::target_tracking(), end).await,
            Self::AwsSamples => baselines::run(stage, pipeline, Tool::aws_samples(), end).await,
            Self::LagProportional => baselines::run(stage, pipeline, Tool::lag_proportional(), end).await,
            Self::ScalingVotes => baselines::run(stage, pipeline, Tool::scaling_votes(), end).await,
        }
    }
}

/// The daemon, a pass a minute; after each `remembers_for` with an empty memory.
async fn operate(
    stage: &Stage,
    pipeline: &Pipeline,
    policy: &ScalingPolicy,
    memory: &mut Memory,
    end: Timestamp,
    remembers_for: Option<SignedDuration>,
) -> Result<Acted, Failure> {
    let aws = stage.connect(Allow::Autoscale).await?;
    let (_keep, flag) = watch::channel(false);
    let interval = SignedDuration::from_mins(1);
    let mut quiet = |_: &_| {};
    let mut teller = Teller::new(true, &mut quiet);
    let mut diagnoses = Standing::default();
    let mut drain_forecasts = Vec::new();
    let mut hear = |report: &Report| {
        teller.hear(report);
        diagnoses.hear(report);
        let drained = report.findings.iter().filter_map(|finding| finding.outlook.as_ref());
        let drained = drained.filter(|outlook| outlook.what == Outlook::DRAINED).map(|outlook| outlook.at).max();
        drain_forecasts.extend(drained.map(|drained_at| DrainForecast { at: report.at, drained_at }));
    };
    let (store, prices, clock) = (&stage.store, &stage.prices, &stage.clock);
    while clock.now() < end {
        let at = remembers_for.map_or(end, |time| end.min(clock.now() + time));
        let until = Stop { flag: flag.clone(), at: Some(at) };
        daemon::run(&aws, store, memory, pipeline, policy, prices, Mode::Act, interval, until, &mut hear).await;
        if remembers_for.is_some() {
            *memory = Memory::empty();
        }
    }
    Ok(Acted { timeline: teller.events, diagnoses: diagnoses.all(), drain_forecasts, calls: aws.calls() })
}

/// Diagnoses that stand, and those that stood.
#[derive(Debug, Default)]
struct Standing {
    open: BTreeMap<(String, String), (Timestamp, Timestamp)>,
    over: Vec<Diagnosed>,
}

impl Standing {
    /// Two passes further apart than this are two times: one pass was missed without the diagnosis.
    const APART: SignedDuration = SignedDuration::from_secs(90);

    fn hear(&mut self, report: &Report) {
        for finding in report.findings.iter().filter(|finding| finding.severity > Severity::Info) {
            let key = (finding.diagnosis.to_string(), finding.resource.to_string());
            let span = self.open.entry(key.clone()).or_insert((report.at, report.at));
            if report.at.duration_since(span.1) > Self::APART {
                let (from, to) = std::mem::replace(span, (report.at, report.at));
                self.over.push(Diagnosed { from, to, code: key.0, resource: key.1 });
            }
            span.1 = report.at;
        }
    }

    fn all(mut self) -> Vec<Diagnosed> {
        let open = self.open.into_iter();
        self.over.extend(open.map(|((code, resource), (from, to))| Diagnosed { from, to, code, resource }));
        self.over.sort_by(|a, b| (a.from, &a.code, &a.resource).cmp(&(b.from, &b.code, &b.resource)));
        self.over
    }
}
