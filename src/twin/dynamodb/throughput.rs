//! Provisioned throughput of one table or index, and its budget of decreases.
//!
//! Four decreases a UTC day, then one per 3,600 s after the last accepted one; lowering reads and writes in
//! one call is one decrease; a refused call does not count (public probes of the API, 2026).

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Args, Ctx, Refusal, invalid, limit};
use crate::twin::{epoch, timestamp, wire::Cause};

const DAY_MS: i64 = 86_400_000;
/// Decreases a UTC day begins with.
const FREE_DECREASES: u32 = 4;
/// Time between later ones.
const DECREASE_INTERVAL_MS: i64 = 3_600_000;

/// Capacity units.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Capacity {
    pub read: u64,
    pub write: u64,
}

impl Capacity {
    /// The ProvisionedThroughput member of `args`, if there is one. Both numbers are needed and at least 1.
    pub fn parse(ctx: &Ctx, args: Args) -> Result<Option<Self>, Refusal> {
        let Some(member) = args.at("ProvisionedThroughput") else { return Ok(None) };
        let read = Self::units(ctx, member, "ReadCapacityUnits")?;
        let write = Self::units(ctx, member, "WriteCapacityUnits")?;
        Ok(Some(Self { read, write }))
    }

    fn units(ctx: &Ctx, args: Args, member: &str) -> Result<u64, Refusal> {
        let units = args.ranged(member, 1, i64::MAX)?;
        let units = units.ok_or_else(|| {
            invalid("ReadCapacityUnits and WriteCapacityUnits must both be specified in ProvisionedThroughput")
        })? as u64;
        let most = ctx.assumptions.per_table_maximum;
        if units > most {
            return Err(limit(format!(
                "{member}, {units}, is above the per table maximum for the account in {}. Per table maximum: {most}",
                ctx.world.region
            )));
        }
        Ok(units)
    }
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Throughput {
    /// In force.
    pub now: Capacity,
    decreases: u32,
    last_decrease_ms: Option<i64>,
    last_increase_ms: Option<i64>,
}

impl Throughput {
    pub fn new(now: Capacity) -> Self {
        Self { now, ..Self::default() }
    }

    fn decreases_today(&self, now_ms: i64) -> u32 {
        let today = |at: i64| at.div_euclid(DAY_MS) == now_ms.div_euclid(DAY_MS);
        if self.last_decrease_ms.is_some_and(today) { self.decreases } else { 0 }
    }

    fn is_decrease(&self, wanted: Capacity) -> bool {
        wanted.read < self.now.read || wanted.write < self.now.write
    }

    /// Whether the change would be accepted. `what` is `table` or `index NAME`.
    pub fn check(&self, now_ms: i64, wanted: Capacity, what: &str) -> Result<(), Refusal> {
        let Capacity { read, write } = self.now;
        if wanted == self.now {
            return Err(Refusal::validation(format!(
                "The provisioned throughput for the {what} will not change. The requested value equals the current value. \
                 Current ReadCapacityUnits provisioned for the {what}: {read}. Requested ReadCapacityUnits: {read}. \
                 Current WriteCapacityUnits provisioned for the {what}: {write}. Requested WriteCapacityUnits: {write}. \
                 Refer to the Amazon DynamoDB Developer Guide for current limits and how to request higher limits."
            )));
        }
        let today = self.decreases_today(now_ms);
        let last = self.last_decrease_ms.unwrap_or_default();
        let next = last + DECREASE_INTERVAL_MS;
        if !self.is_decrease(wanted) || today < FREE_DECREASES || now_ms >= next {
            return Ok(());
        }
        Err(limit(format!(
            "Subscriber limit exceeded: Provisioned throughput decreases are limited within a given UTC day. After the \
             first {FREE_DECREASES} decreases, each subsequent decrease in the same UTC day can be performed at most once \
             every 3600 seconds. Number of decreases today: {today}. Last decrease at {}. Next decrease can be made at {}",
            timestamp(last),
            timestamp(next)
        ))
        .for_cause(Cause::Quota))
    }

    /// Books an accepted change.
    pub fn accept(&mut self, now_ms: i64, wanted: Capacity) {
        if self.is_decrease(wanted) {
            self.decreases = self.decreases_today(now_ms) + 1;
            self.last_decrease_ms = Some(now_ms);
        }
        if wanted.read > self.now.read || wanted.write > self.now.write {
            self.last_increase_ms = Some(now_ms);
        }
    }

    /// ProvisionedThroughputDescription.
    pub fn json(&self, now_ms: i64) -> Value {
        let mut value = json!({
            "NumberOfDecreasesToday": self.decreases_today(now_ms),
            "ReadCapacityUnits": self.now.read,
            "WriteCapacityUnits": self.now.write,
        });
        if let Some(at) = self.last_decrease_ms {
            value["LastDecreaseDateTime"] = epoch(at);
        }
        if let Some(at) = self.last_increase_ms {
            value["LastIncreaseDateTime"] = epoch(at);
        }
        value
    }
}
