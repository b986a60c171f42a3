//! A pipeline in a world, watched through the real SDK as `diagnose` does: facts, signals, findings of a minute.

use alleycat_operator::{
    aws::{Allow, Aws, Clock},
    cost::PriceSheet,
    diagnose::{Finding, diagnose, economy},
    model::Facts,
    observe::{self, Scope},
    spec::{self, Pipeline, ScalingPolicy},
    twin::{Host, Twin},
};
use jiff::{SignedDuration, Timestamp};

use crate::bench::connect;

pub const MINUTE: SignedDuration = SignedDuration::from_mins(1);

pub struct Watch {
    aws: Aws,
    pipeline: Pipeline,
    policy: ScalingPolicy,
    facts: Option<Facts>,
}

impl Watch {
    /// Of a twin, from its own time on.
    pub async fn new(twin: Twin, spec: &str) -> Self {
        let clock = Clock::simulated(twin.now(), 1.0);
        fastrand::seed(7);
        let aws = connect(&Host::new(twin, clock.clone()), &clock, Some("us-east-2"), Allow::Reads).await;
        let pipeline = spec::parse(spec).unwrap();
        let policy = spec::policy::builtin("balanced").unwrap();
        Self { aws, pipeline, policy, facts: None }
    }

    /// Lets time pass until `at`.
    pub async fn wait(&self, at: Timestamp) {
        let clock = self.aws.clock();
        clock.sleep(at.duration_since(clock.now())).await;
    }

    /// Looks again at what exists.
    pub async fn look(&mut self) {
        self.facts = Some(observe::facts(&self.aws, &self.pipeline).await.unwrap());
    }

    /// What the rules find in what CloudWatch shows now of the last half hour.
    pub async fn findings(&mut self) -> Vec<Finding> {
        let facts = self.facts.as_ref().unwrap();
        let scope = Scope::Diagnosis(SignedDuration::from_mins(30));
        let signals = observe::signals(&self.aws, &self.pipeline, facts, &self.policy, scope).await.unwrap();
        let mut findings = diagnose(&self.pipeline, &self.policy, facts, &signals, None);
        findings.extend(economy(&self.pipeline, &self.policy, facts, &signals, &PriceSheet::us_east_1()));
        findings
    }
}
