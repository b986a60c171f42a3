//! The loop around the machine: observe, plan, lint, ask the machine, make the call or wait, again.

use std::future::Future;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use tokio::sync::watch;

use super::{
    evidence::evidence,
    machine::{Command, Machine},
    perform::{perform, reconcile},
};
use crate::{
    aws::Aws,
    cost::PriceSheet,
    memory::{Memory, Store},
    model::{BillingMode, ErrorClass, Facts, Failure, ResourceId, StreamMode},
    observe,
    plan::{self, Blocked, CapacityChange, Change, Plan, Step, fan_out::Evidence},
    scale,
    spec::{Management, Pipeline, ScalingPolicy, StartingPosition},
};

/// Looks in a row that may fail before a run fails; each has `observe`'s own retries inside.
const FAILED_LOOKS: u32 = 4;
/// Pause after a failed look.
const LOOK_PAUSE: SignedDuration = SignedDuration::from_secs(5);

/// What a run works with.
pub struct Context<'a> {
    /// AWS.
    pub aws: &'a Aws,
    /// Where intents go.
    pub store: &'a dyn Store,
    /// The pipeline's memory, as loaded from `store`.
    pub memory: &'a mut Memory,
    /// The spec.
    pub pipeline: &'a Pipeline,
    /// Its scaling policy.
    pub policy: &'a ScalingPolicy,
    /// Prices for the plan.
    pub prices: &'a PriceSheet,
    /// The plan that the person said yes to. Nothing is done to a resource that is not in it. `None`: the run's own
    /// first plan.
    pub approved: Option<&'a Plan>,
    /// How long the run may take.
    pub timeout: SignedDuration,
    /// Becomes `true` when the run should stop; the call in flight is finished.
    pub stop: watch::Receiver<bool>,
}

/// What a run is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Goal {
    /// The spec's resources exist and are as it says.
    Provision,
    /// They are gone, as far as their deletion policy and the confirmation allow.
    Destroy {
        /// The name the person typed.
        confirmed: Option<String>,
    },
}

/// Something to show while a run goes on.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// On what.
    pub resource: ResourceId,
    /// What happens: a call, its failure, or what is being waited for.
    pub what: String,
    /// Since the run started.
    pub elapsed: SignedDuration,
    /// How long it usually takes, when known.
    pub expected: Option<SignedDuration>,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", tag = "ended", content = "detail")]
pub enum Verdict {
    /// Everything approved is there and settled. What is left in `remaining` appeared after the approval.
    Done,
    /// Nothing (more) may be done: a rule stands against it.
    Refused(String),
    /// Something cannot be reached; one line each.
    GaveUp(String),
    /// AWS could not be observed, or the state not be written.
    Failed(Failure),
    /// The time is over; what was being waited for.
    TimedOut(String),
    /// The person stopped it.
    Stopped,
}

/// What a run did and left.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// How it ended.
    pub verdict: Verdict,
    /// The calls AWS accepted, in order.
    pub performed: Vec<Step>,
    /// What the last plan still wanted.
    pub remaining: Vec<Change>,
    /// What the last plan refused.
    pub blocked: Vec<Blocked>,
    /// Calls that failed, those that were retried included.
    pub failures: Vec<Failure>,
    /// The last observation.
    pub facts: Option<Facts>,
    /// How long it took.
    pub elapsed: SignedDuration,
}

/// Brings AWS to the goal, one step at a time, each decided from a fresh look.
pub async fn run(ctx: &mut Context<'_>, goal: Goal, progress: &mut dyn FnMut(Progress)) -> Outcome {
    let started = ctx.aws.clock().now();
    let mut outcome = Outcome {
        verdict: Verdict::Stopped,
        performed: Vec::new(),
        remaining: Vec::new(),
        blocked: Vec::new(),
        failures: Vec::new(),
        facts: None,
        elapsed: SignedDuration::ZERO,
    };
    outcome.verdict = drive(ctx, &goal, started, &mut outcome, progress).await;
    outcome.elapsed = ctx.aws.clock().now().duration_since(started);
    outcome
}

async fn drive(
    ctx: &mut Context<'_>,
    goal: &Goal,
    started: Timestamp,
    outcome: &mut Outcome,
    progress: &mut dyn FnMut(Progress),
) -> Verdict {
    if ctx.pipeline.management == Management::Observe {
        return Verdict::Refused("the spec says `management: observe`: nothing is written".to_owned());
    }
    if let Err(error) = reconcile(ctx.store, ctx.pipeline, started) {
        return Verdict::Refused(error.to_string());
    }
    let mut machine: Option<Machine> = None;
    let mut failed_looks = 0;
    while !*ctx.stop.borrow() {
        let (facts, evidence) = match look(ctx, goal).await {
            Ok(seen) => seen,
            Err(failure) => {
                let late = ctx.aws.clock().now().duration_since(started) >= ctx.timeout;
                if let Some(end) = blind(failure, late, &mut failed_looks) {
                    return end;
                }
                pause(ctx, LOOK_PAUSE).await;
                continue;
            }
        };
        failed_looks = 0;
        let now = ctx.aws.clock().now();
        scale::remember(ctx.memory, ctx.policy, &facts, now);
        let (plan, lint) = make_plan(ctx, goal, &facts, evidence.as_ref(), now);
        let machine = machine
            .get_or_insert_with(|| Machine::new(ctx.pipeline, ctx.approved.unwrap_or(&plan), started, ctx.timeout));
        let command = machine.next(&plan, &lint, &facts, now);
        outcome.remaining = plan.changes;
        outcome.blocked = plan.blocked;
        let tell =
            |resource, what, expected| Progress { resource, what, elapsed: now.duration_since(started), expected };
        match command {
            Command::Perform { resource, step, expected } => {
                progress(tell(resource.clone(), describe(&step), Some(expected)));
                let result = perform(ctx.aws, ctx.store, ctx.memory, ctx.pipeline, &facts, &step).await;
                let at = ctx.aws.clock().now();
                machine.performed(&resource, &step, &result, at);
                plan::fan_out::note(ctx.memory, (ctx.pipeline, &facts), &outcome.remaining, &step, &result, at);
                match result {
                    Ok(()) => outcome.performed.push(*step),
                    Err(failure) => {
                        progress(tell(resource, failure.to_string(), None));
                        outcome.failures.push(failure);
                    }
                }
                outcome.facts = Some(facts);
            }
            Command::Wait { resource, pause: time, why, expected } => {
                outcome.facts = Some(facts);
                progress(tell(resource, why, expected));
                pause(ctx, time).await;
            }
            end => {
                outcome.facts = Some(facts);
                return finish(ctx, end);
            }
        }
    }
    keep(ctx).unwrap_or(Verdict::Stopped)
}

/// What exists, and what a move to or from fan-out is decided from.
async fn look(ctx: &Context<'_>, goal: &Goal) -> Result<(Facts, Option<Evidence>), Failure> {
    let facts = observe::facts(ctx.aws, ctx.pipeline).await?;
    let evidence = match goal {
        Goal::Provision => evidence(ctx.aws, ctx.pipeline, ctx.policy, &facts, None).await?,
        Goal::Destroy { .. } => None,
    };
    Ok((facts, evidence))
}

/// How a run ends that cannot look, or `None` when it should look again.
fn blind(failure: Failure, late: bool, failed_looks: &mut u32) -> Option<Verdict> {
    if failure.class == ErrorClass::InUse {
        // A resource that is just being made or unmade may not answer every question.
        return late.then(|| Verdict::TimedOut(failure.to_string()));
    }
    *failed_looks += 1;
    (late || *failed_looks >= FAILED_LOOKS || !failure.class.is_retryable()).then_some(Verdict::Failed(failure))
}

fn make_plan(
    ctx: &Context<'_>,
    goal: &Goal,
    facts: &Facts,
    evidence: Option<&Evidence>,
    now: Timestamp,
) -> (Plan, Vec<String>) {
    let input = plan::Input {
        pipeline: ctx.pipeline,
        facts,
        targets: None,
        ledger_used: scale::reshards_used(&ctx.memory.reshards, now),
        exhausted_until: ctx.memory.reshards.exhausted_until,
        prices: ctx.prices,
        policy: ctx.policy,
        evidence,
        refused_moves: &ctx.memory.fan_out.refused,
        break_glass_since: ctx.memory.stream_mode.break_glass_since,
        now,
    };
    let plan = match goal {
        Goal::Provision => plan::plan(&input),
        Goal::Destroy { confirmed } => plan::destroy(&input, confirmed.as_deref()),
    };
    let lint = plan::lint(&plan, &input);
    (plan, lint)
}

fn finish(ctx: &Context<'_>, end: Command) -> Verdict {
    let verdict = match end {
        Command::Refused(why) => Verdict::Refused(why),
        Command::GaveUp(why) => Verdict::GaveUp(why),
        Command::TimedOut(why) => Verdict::TimedOut(why),
        Command::Done | Command::Perform { .. } | Command::Wait { .. } => Verdict::Done,
    };
    keep(ctx).unwrap_or(verdict)
}

/// Writes the memory, with what was learnt about the ledger on the way; a verdict only when that fails.
fn keep(ctx: &Context<'_>) -> Option<Verdict> {
    ctx.store.save(&ctx.pipeline.name, ctx.memory).err().map(|error| Verdict::Refused(error.to_string()))
}

/// Sleeps, unless the run is stopped meanwhile.
async fn pause(ctx: &mut Context<'_>, time: SignedDuration) {
    let clock = ctx.aws.clock().clone();
    sleep_or_stop(clock.sleep(time), &mut ctx.stop).await;
}

/// Waits for `sleep` or for `stop` to become true, whichever is first. A stop that nobody can set any more never comes.
pub(crate) async fn sleep_or_stop(sleep: impl Future<Output = ()>, stop: &mut watch::Receiver<bool>) {
    let stopped = async {
        if stop.wait_for(|stop| *stop).await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        biased;
        () = stopped => {}
        () = sleep => {}
    }
}

/// A step in a few words.
pub(crate) fn describe(step: &Step) -> String {
    match step {
        Step::CreateStream { shards, .. } => format!("creating with {}", shards.words()),
        Step::TagStream { .. } | Step::TagTable { .. } | Step::TagMapping { .. } | Step::TagStreamConsumer { .. } => {
            "tagging".to_owned()
        }
        Step::DeregisterStreamConsumer { .. } => "deregistering".to_owned(),
        Step::IncreaseRetention { retention, .. } => format!("raising retention to {retention} h"),
        Step::DecreaseRetention { retention, .. } => format!("lowering retention to {retention} h"),
        Step::UpdateShardCount { from, to, .. } => format!("changing shards from {from} to {to}"),
        Step::SplitShard { shard, to, .. } => format!("splitting {shard}, {to} shards then"),
        Step::RegisterStreamConsumer { .. } => "registering for enhanced fan-out".to_owned(),
        Step::DeleteStream { .. } | Step::DeleteTable { .. } | Step::DeleteMapping { .. } => "deleting".to_owned(),
        Step::CreateMapping(new) => match &new.fan_out_consumer {
            Some(consumer) => format!("creating on the fan-out consumer {consumer}, {}", new.starting_position.words()),
            None if matches!(new.starting_position, StartingPosition::AtTimestamp(_)) => {
                format!("creating, {}", new.starting_position.words())
            }
            None => "creating".to_owned(),
        },
        Step::CreateTable(_) => "creating".to_owned(),
        Step::UpdateCapacity(change) => format!("changing capacity to {}", units(change)),
        Step::UpdateBillingMode { to: BillingMode::OnDemand, .. }
        | Step::UpdateStreamMode { to: StreamMode::OnDemand, .. } => "switching to on-demand".to_owned(),
        Step::UpdateBillingMode { capacity, .. } => format!("switching to provisioned, {}", units(capacity)),
        Step::UpdateStreamMode { .. } => "switching to provisioned".to_owned(),
        Step::CreateIndex { index, .. } => format!("creating index {}", index.spec.name),
        Step::UpdateTableStream { view_type, .. } => match view_type {
            Some(view) => format!("switching its stream on ({view})"),
            None => "switching its stream off".to_owned(),
        },
        Step::UpdateDeletionProtection { enabled, .. } => format!("deletion protection {}", on_off(*enabled)),
        Step::UpdatePointInTimeRecovery { enabled, .. } => format!("point-in-time recovery {}", on_off(*enabled)),
        Step::UpdateTimeToLive { enabled, .. } => format!("time to live {}", on_off(*enabled)),
        Step::UpdateMapping(change) => {
            let factor = change.parallelization_factor.map(|it| format!("parallelization factor {it}"));
            let batch = change.batch_size.map(|it| format!("batch size {it}"));
            let switch = change.enabled.map(|on| if on { "switched on" } else { "switched off" }.to_owned());
            let parts: Vec<String> = factor.into_iter().chain(batch).chain(switch).collect();
            if parts.is_empty() { "updating".to_owned() } else { format!("changing to {}", parts.join(", ")) }
        }
    }
}

/// `20 RCU 100 WCU, index 5 RCU 10 WCU`.
fn units(change: &CapacityChange) -> String {
    let own = change.capacity.map(|(read, write)| format!("{read} RCU {write} WCU"));
    let indexes = change.indexes.iter().map(|it| format!("{} {} RCU {} WCU", it.index, it.read, it.write));
    own.into_iter().chain(indexes).collect::<Vec<_>>().join(", ")
}

fn on_off(enabled: bool) -> &'static str {
    if enabled { "on" } else { "off" }
}
