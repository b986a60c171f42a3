//! A twin on a clock of its own, what is kept beside it, and connections to it.

use std::future::Future;

use jiff::SignedDuration;
use tokio::sync::watch;

use crate::{
    apply::{self, Goal, Verdict},
    aws::{Allow, Aws, Clock, Connect},
    cost::{Meters, PriceSheet},
    memory::{MemStore, Memory},
    model::{ErrorClass, Failure},
    spec::{Pipeline, ScalingPolicy},
    twin::{Host, Twin, World, plane::FunctionTotals},
};

/// How long provisioning may take, in virtual time: an index is created in about seven minutes.
const PROVISION_TIMEOUT: SignedDuration = SignedDuration::from_mins(30);

/// Where a simulated run takes place.
#[derive(Debug)]
pub struct Stage {
    /// The twin.
    pub host: Host,
    /// Its clock, which begins with the world.
    pub clock: Clock,
    /// The operator's memory.
    pub store: MemStore,
    /// What things cost.
    pub prices: PriceSheet,
}

impl Stage {
    /// A world at its start.
    pub fn new(world: &World, seed: u64) -> Self {
        let clock = Clock::simulated(world.start, 1.0);
        let host = Host::new(Twin::new(world.clone(), seed), clock.clone());
        Self { host, clock, store: MemStore::new(), prices: PriceSheet::us_east_1() }
    }

    /// Connects the SDK's clients to the twin.
    ///
    /// # Errors
    /// As [`Aws::connect`].
    pub async fn connect(&self, allow: Allow) -> Result<Aws, Failure> {
        let region = Some(self.host.with(|twin| twin.world().region.clone()));
        let connect = Connect {
            region,
            profile: None,
            endpoint_url: None,
            http_client: Some(self.host.http_client()),
            clock: self.clock.clone(),
            allow,
        };
        Aws::connect(connect).await
    }

    /// Creates what the spec asks for, as `apply` does.
    ///
    /// # Errors
    /// What keeps the pipeline from being there.
    pub async fn provision(
        &self,
        pipeline: &Pipeline,
        policy: &ScalingPolicy,
        memory: &mut Memory,
    ) -> Result<(), Failure> {
        let aws = self.connect(Allow::Apply).await?;
        let (_keep, stop) = watch::channel(false);
        let mut context = apply::Context {
            aws: &aws,
            store: &self.store,
            memory,
            pipeline,
            policy,
            prices: &self.prices,
            approved: None,
            timeout: PROVISION_TIMEOUT,
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

/// Runs a future on a paused clock of its own: virtual time jumps to the next timer.
///
/// # Errors
/// As the future's, and when the runtime does not start.
pub fn on_virtual_time<T>(seed: u64, future: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    // The SDK's jitter comes from this thread's generator.
    fastrand::seed(seed);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.map_err(|error| broken("the runtime does not start", &error.to_string()))?.block_on(future)
}

/// What was used so far, as a bill counts it; without what depends on when traffic met an on-demand mode.
pub fn meters(twin: &Twin) -> Meters {
    let totals = twin.plane().totals();
    let paid = &twin.audit().meters;
    Meters {
        shard_hours: paid.shard_hours(),
        extended_shard_hours: paid.extended_shard_hours(),
        fan_out_shard_hours: paid.fan_out_shard_hours(),
        on_demand_stream_hours: paid.on_demand_stream_hours(),
        put_payload_units: totals.streams.values().map(|it| it.put_payload_units).sum::<u64>() as f64,
        wcu_hours: paid.wcu_hours(),
        rcu_hours: paid.rcu_hours(),
        lambda_requests: totals.functions.values().map(|it| it.invocations).sum::<u64>() as f64,
        lambda_gb_seconds: totals.functions.values().map(FunctionTotals::gb_seconds).sum(),
        cloudwatch_metrics: paid.cloudwatch_metrics as f64,
        ..Meters::default()
    }
}

/// Something that cannot happen on the twin.
pub fn broken(what: &str, why: &str) -> Failure {
    Failure {
        class: ErrorClass::Unknown,
        operation: "simulate".to_owned(),
        resource: what.to_owned(),
        code: "Bug".to_owned(),
        message: why.to_owned(),
        request_id: None,
    }
}
