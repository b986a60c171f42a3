//! The loop that scales: observe, remember, diagnose, size, plan, lint, act, record; each minute.
//!
//! What always holds: a pass that could not see everything changes nothing; a pass changes scaled values only and never
//! creates, deletes or repairs settings, except for the next step of a move to or from fan-out; at most one call a resource a pass, none on a resource in transition; in
//! observe-only mode none at all.

mod act;
mod expect;
mod pass;
mod record;
mod schedule;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;

pub use pass::{Mode, Report, cycle};

use crate::{
    apply::{self, sleep_or_stop},
    aws::Aws,
    cost::PriceSheet,
    memory::{Memory, Store},
    spec::{Pipeline, ScalingPolicy},
};

/// When a loop ends.
#[derive(Debug, Clone)]
pub struct Stop {
    /// Becomes `true` when it should end; a call in flight is finished.
    pub flag: watch::Receiver<bool>,
    /// It ends by itself then.
    pub at: Option<Timestamp>,
}

impl Stop {
    fn is_due(&self, now: Timestamp) -> bool {
        *self.flag.borrow() || self.at.is_some_and(|at| now >= at)
    }
}

/// Passes every `interval`, the first one at once, until stopped. Each pass is reported, failed ones too; after a pass
/// that could not observe, the pauses grow.
#[expect(clippy::too_many_arguments, reason = "what a pass needs, and when to make one")]
pub async fn run(
    aws: &Aws,
    store: &dyn Store,
    memory: &mut Memory,
    pipeline: &Pipeline,
    policy: &ScalingPolicy,
    prices: &PriceSheet,
    mode: Mode,
    interval: SignedDuration,
    mut until: Stop,
    on_report: &mut dyn FnMut(&Report),
) {
    if let Err(error) = apply::reconcile(store, pipeline, aws.clock().now()) {
        tracing::error!(%error, "cannot read the intents of an earlier run");
    }
    let (mut failed, mut hurried) = (0, 0);
    while !until.is_due(aws.clock().now()) {
        let report = Box::pin(pass::pass(aws, store, memory, pipeline, policy, prices, mode, Some(&until.flag))).await;
        failed = if report.failure.is_some() { failed + 1 } else { 0 };
        hurried = if act::cannot_wait(&report) { hurried + 1 } else { 0 };
        on_report(&report);
        let now = aws.clock().now();
        let next = schedule::next_pass(&pipeline.name, interval, failed, now);
        let next = schedule::again(hurried, now).map_or(next, |again| next.min(again));
        let wake = until.at.map_or(next, |at| next.min(at));
        sleep_or_stop(aws.clock().sleep(wake.duration_since(now)), &mut until.flag).await;
    }
    if let Err(error) = store.save(&pipeline.name, memory) {
        tracing::error!(%error, "could not write the memory at the end");
    }
}
