//! Target tracking as DynamoDB's guide describes it, once a minute on the metrics the twin publishes: two
//! consecutive minutes above the target scale out, fifteen below the low mark scale in; a gap scales nothing.

use std::collections::BTreeMap;

use serde_json::json;

use super::{AutoScaling, activities::Activity, policies::Policy, targets::Target};
use crate::twin::{Ctx, dynamodb::DynamoDb, millis, plane::MINUTE_MS, wire::Args};

/// Consecutive minutes above the target, and below the low mark (developer guide, "Managing throughput with auto
/// scaling").
const HIGH_POINTS: i64 = 2;
const LOW_POINTS: i64 = 15;
/// The low mark lies this far below the target, in hundredths of a percent, but not below half of it. Assumption:
/// AWS does not publish it; alarms it made for a target of 50 % lay at 30 %.
const LOW_DISTANCE: u64 = 2_000;

impl AutoScaling {
    /// Alarms are looked at when a minute's metrics are published, while there is something to look at.
    pub fn next_due(&self) -> Option<i64> {
        let busy = self.targets.values().any(|target| target.clamp || !target.policies.is_empty())
            || self.activities.iter().any(|activity| activity.end_ms.is_none());
        busy.then_some(self.tick_ms)
    }

    pub fn settle(&mut self, ctx: &mut Ctx, tables: &mut DynamoDb) {
        if self.next_due().is_none_or(|due| due > ctx.now) {
            return;
        }
        let delay = millis(ctx.world.timings.metric_delay);
        let published = ctx.now - delay;
        let end = published - published.rem_euclid(MINUTE_MS);
        self.tick_ms = end + MINUTE_MS + delay;
        for activity in self.activities.iter_mut().filter(|activity| activity.end_ms.is_none()) {
            let (table, index) = activity.scaled.parts();
            if tables.scalable(table, index).is_none_or(|(_, settled)| settled) {
                activity.end_ms = Some(ctx.now);
            }
        }
        let keys: Vec<String> = self.targets.keys().cloned().collect();
        for key in keys {
            self.clamp(ctx, tables, &key);
            let Some(target) = self.targets.get(&key) else { continue };
            let wanted = target.policies.values().find_map(|policy| target.wanted(ctx, tables, policy, end));
            if let Some((units, cause, out)) = wanted {
                self.set(ctx, tables, &key, units, cause);
                if let Some(target) = self.targets.get_mut(&key) {
                    let last = if out { &mut target.scaled_ms.0 } else { &mut target.scaled_ms.1 };
                    *last = Some(ctx.now);
                }
            }
        }
    }

    /// Moves the capacity into the target's bounds, as soon as the table can be changed.
    pub(super) fn clamp(&mut self, ctx: &mut Ctx, tables: &mut DynamoDb, key: &str) {
        let Some(target) = self.targets.get_mut(key).filter(|target| target.clamp) else { return };
        let (table, index) = target.scaled.parts();
        let Some((units, settled)) = tables.scalable(table, index) else {
            target.clamp = false;
            return;
        };
        let now = if target.scaled.writes() { units.1 } else { units.0 };
        let within = now.clamp(target.min, target.max);
        if within == now {
            target.clamp = false;
        } else if settled {
            target.clamp = false;
            let (bound, value) = if now < within { ("minimum", target.min) } else { ("maximum", target.max) };
            self.set(ctx, tables, key, within, format!("{bound} capacity was set to {value}"));
        }
    }

    /// Calls UpdateTable and books what came of it.
    fn set(&mut self, ctx: &mut Ctx, tables: &mut DynamoDb, key: &str, units: u64, cause: String) {
        let Some(target) = self.targets.get(key) else { return };
        let scaled = target.scaled.clone();
        let (table, index) = scaled.parts();
        let Some(((read, write), _)) = tables.scalable(table, index) else { return };
        let (read, write) = if scaled.writes() { (read, units) } else { (units, write) };
        let throughput = json!({ "ReadCapacityUnits": read, "WriteCapacityUnits": write });
        let input = match index {
            None => json!({ "TableName": table, "ProvisionedThroughput": throughput }),
            Some(index) => {
                let update = json!({ "Update": { "IndexName": index, "ProvisionedThroughput": throughput } });
                json!({ "TableName": table, "GlobalSecondaryIndexUpdates": [update] })
            }
        };
        let answer = tables.call(ctx, "UpdateTable", Args(&input));
        let refusal = answer.as_ref().err();
        ctx.audit.mutation(ctx.now, "dynamodb:UpdateTable".to_owned(), table.to_owned(), refusal, true);
        let failure = refusal.map(|refusal| format!("{}: {}", refusal.code, refusal.message));
        let end_ms = failure.is_some().then_some(ctx.now);
        let id = ctx.ids.resource();
        let activity = Activity { id, scaled: scaled.clone(), units, cause, start_ms: ctx.now, end_ms, failure };
        self.book(activity);
    }
}

impl Target {
    /// What the policy's alarms ask for at the end of the last published minute: units, cause, whether it is out.
    fn wanted(&self, ctx: &Ctx, tables: &DynamoDb, policy: &Policy, end: i64) -> Option<(u64, String, bool)> {
        let (table, index) = self.scaled.parts();
        let (units, _) = tables.scalable(table, index).filter(|(_, settled)| *settled)?;
        let now = if self.scaled.writes() { units.1 } else { units.0 };
        let mut dims = BTreeMap::from([("TableName".to_owned(), table.to_owned())]);
        dims.extend(index.map(|index| ("GlobalSecondaryIndexName".to_owned(), index.to_owned())));
        let metric = if self.scaled.writes() { "ConsumedWriteCapacityUnits" } else { "ConsumedReadCapacityUnits" };
        let points = |count: i64| {
            let points = ctx.plane.metrics().get("AWS/DynamoDB", metric, &dims, end - count * MINUTE_MS, end);
            let sums: Vec<u64> = points.iter().map(|(_, stat)| (stat.sum * 1_000.0).round() as u64).collect();
            (sums.len() as i64 == count).then_some(sums)
        };
        // Thousandths of a unit in a minute at this utilization.
        let mark = |utilization: u64| now.saturating_mul(utilization).saturating_mul(6);
        let low = policy.target.saturating_sub(LOW_DISTANCE).max(policy.target / 2);
        let high = points(HIGH_POINTS).filter(|sums| sums.iter().all(|sum| *sum > mark(policy.target)));
        let out = high.is_some();
        let below = || points(LOW_POINTS).filter(|sums| sums.iter().all(|sum| *sum < mark(low)));
        let latest = *high.or_else(below)?.last()?;
        let (suspended, cooldown, last) = if out {
            (self.suspended.scale_out, policy.cooldown_out_ms, self.scaled_ms.0)
        } else {
            (self.suspended.scale_in || policy.no_scale_in, policy.cooldown_in_ms, self.scaled_ms.1)
        };
        if suspended || last.is_some_and(|last| ctx.now < last + cooldown) {
            return None;
        }
        let wanted = latest.div_ceil((policy.target * 6).max(1)).clamp(self.min, self.max);
        let right = if out { wanted > now } else { wanted < now };
        let name = policy.alarm(out);
        right.then(|| (wanted, format!("monitor alarm {name} in state ALARM triggered policy {}", policy.name), out))
    }
}
