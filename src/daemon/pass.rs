//! One pass of the loop.

use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::watch;

use super::{
    act,
    record::{self, Made},
};
use crate::{
    apply::{evidence, perform},
    aws::Aws,
    cost::PriceSheet,
    diagnose::Finding,
    memory::{Memory, Store},
    model::{Facts, Failure, Signals},
    observe,
    plan::{self, Plan, Step},
    scale::{self, Sizing},
    spec::{Management, Pipeline, ScalingPolicy},
};

/// Whether a pass may change anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It scales.
    Act,
    /// It shows what it would do.
    Observe,
}

/// What one pass saw, concluded and did.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// When it began.
    pub at: Timestamp,
    /// The findings.
    pub findings: Vec<Finding>,
    /// The sizing.
    pub sizing: Sizing,
    /// What would have to change, drift included; a pass performs the scaled part of it.
    pub plan: Option<Plan>,
    /// The calls it made, with AWS's answers.
    pub performed: Vec<(Step, Result<(), Failure>)>,
    /// The observation.
    pub facts: Option<Facts>,
    /// The metrics.
    pub signals: Option<Signals>,
    /// Why it could not observe; then nothing was changed.
    pub failure: Option<Failure>,
    /// What keeps it from doing its work, in words for a person: something is missing, the state cannot be written.
    pub problems: Vec<String>,
    /// What it wanted to change and did not for now, in words.
    pub waits: Vec<String>,
    /// Whether it did something, or holds something back that the recorded decision before it did not.
    pub is_news: bool,
}

/// One pass: observe, diagnose, size, plan, lint, act, remember. At most one call a resource, no waiting.
pub async fn cycle(
    aws: &Aws,
    store: &dyn Store,
    memory: &mut Memory,
    pipeline: &Pipeline,
    policy: &ScalingPolicy,
    prices: &PriceSheet,
    mode: Mode,
) -> Report {
    Box::pin(pass(aws, store, memory, pipeline, policy, prices, mode, None)).await
}

/// [`cycle`], ended between two calls when `stop` becomes true.
#[expect(clippy::too_many_arguments, reason = "cycle's own arguments and the stop flag")]
pub(super) async fn pass(
    aws: &Aws,
    store: &dyn Store,
    memory: &mut Memory,
    pipeline: &Pipeline,
    policy: &ScalingPolicy,
    prices: &PriceSheet,
    mode: Mode,
    stop: Option<&watch::Receiver<bool>>,
) -> Report {
    let mut report = Report::begun(aws.clock().now());
    if let Err(failure) = look(aws, memory, pipeline, policy, &mut report).await {
        report.failure = Some(failure);
    }
    let (Some(facts), Some(signals)) = (&report.facts, &report.signals) else {
        save(store, pipeline, memory, &mut report.problems);
        return report;
    };
    let now = aws.clock().now();
    scale::learn(memory, pipeline, policy, facts, signals, now);
    let made = Made { pipeline, policy, prices, memory: memory.clone(), now };
    (report.findings, report.sizing) = scale::decide(pipeline, policy, prices, facts, signals, memory, now);
    let evidence = match evidence(aws, pipeline, policy, facts, Some(&report.sizing.targets)).await {
        Ok(evidence) => evidence,
        Err(failure) => {
            report.failure = Some(failure);
            save(store, pipeline, memory, &mut report.problems);
            return report;
        }
    };
    let input = plan::Input {
        pipeline,
        facts,
        targets: Some(&report.sizing.targets),
        ledger_used: scale::reshards_used(&memory.reshards, now),
        exhausted_until: memory.reshards.exhausted_until,
        prices,
        policy,
        evidence: evidence.as_ref(),
        refused_moves: &memory.fan_out.refused,
        break_glass_since: memory.stream_mode.break_glass_since,
        now,
    };
    let plan = plan::plan(&input);
    let lint = plan::lint(&plan, &input);
    act::forget_settled(memory, &plan, now);
    let choice = act::choose(pipeline, &plan, facts, memory, now);
    report.waits = choice.waits;
    report.problems.extend(lint.iter().map(|line| format!("the plan breaks a rule of its own (a bug): {line}")));
    // What was learnt is on the disk before anything is done; a disk that refuses it keeps everything as it is.
    let kept = save(store, pipeline, memory, &mut report.problems);
    if lint.is_empty() && kept && mode == Mode::Act && pipeline.management == Management::Full {
        for step in choice.steps {
            if stop.is_some_and(|stop| *stop.borrow()) {
                break;
            }
            let result = perform(aws, store, memory, pipeline, facts, &step).await;
            let at = aws.clock().now();
            act::note(memory, &step, &result, at);
            plan::fan_out::note(memory, (pipeline, facts), &plan.changes, &step, &result, at);
            report.performed.push((step, result));
        }
        if !report.performed.is_empty() {
            save(store, pipeline, memory, &mut report.problems);
        }
    }
    report.plan = Some(plan);
    record::record(store, &made, &mut report);
    report
}

impl Report {
    pub(super) fn begun(at: Timestamp) -> Self {
        Self {
            at,
            findings: Vec::new(),
            sizing: Sizing::default(),
            plan: None,
            performed: Vec::new(),
            facts: None,
            signals: None,
            failure: None,
            problems: Vec::new(),
            waits: Vec::new(),
            is_news: false,
        }
    }
}

/// Observes into the report. What exists is remembered even when the metrics cannot be read.
async fn look(
    aws: &Aws,
    memory: &mut Memory,
    pipeline: &Pipeline,
    policy: &ScalingPolicy,
    report: &mut Report,
) -> Result<(), Failure> {
    let facts = observe::facts(aws, pipeline).await?;
    scale::remember(memory, policy, &facts, aws.clock().now());
    let missing = act::missing(pipeline, &facts);
    report.problems.extend(missing.iter().map(|it| format!("{it} does not exist: run `alleycat-operator apply`")));
    let signals = match facts.stream {
        Some(_) => Some(observe::signals(aws, pipeline, &facts, policy, observe::Scope::Scaling).await),
        // Nothing to measure.
        None => None,
    };
    report.facts = Some(facts);
    report.signals = signals.transpose()?;
    Ok(())
}

/// Whether the memory is on the disk; if not, the reason goes to the problems.
fn save(store: &dyn Store, pipeline: &Pipeline, memory: &Memory, problems: &mut Vec<String>) -> bool {
    match store.save(&pipeline.name, memory) {
        Ok(()) => true,
        Err(error) => {
            problems.push(error.to_string());
            false
        }
    }
}
