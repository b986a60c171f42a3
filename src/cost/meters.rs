//! Metered quantities of a run → an itemised bill.

use serde::{Deserialize, Serialize};

use super::PriceSheet;

/// What was used over some time. Quantities add up, so two runs may be summed field by field.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Meters {
    /// Open shards × hours.
    pub shard_hours: f64,
    /// PUT payload units (25 KB chunks, at least one a record).
    pub put_payload_units: f64,
    /// Provisioned write capacity units × hours, tables and indexes.
    pub wcu_hours: f64,
    /// Provisioned read capacity units × hours, tables and indexes.
    pub rcu_hours: f64,
    /// Function invocations.
    pub lambda_requests: f64,
    /// Memory in GB × billed seconds.
    pub lambda_gb_seconds: f64,
    /// Metrics asked for with GetMetricData: one for each metric in each call.
    pub cloudwatch_metrics: f64,
}

/// One line of a bill.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BillItem {
    /// What, with its unit.
    pub name: &'static str,
    /// How much of it.
    pub quantity: f64,
    /// Dollars.
    pub usd: f64,
}

/// An itemised bill.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Bill {
    /// The lines, always all of them and in this order.
    pub items: Vec<BillItem>,
    /// Their sum.
    pub total_usd: f64,
}

impl Meters {
    /// What was used in addition to `before`.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        self.combine(before, |a, b| a - b)
    }

    /// What was used in both.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        self.combine(other, |a, b| a + b)
    }

    fn combine(&self, other: &Self, with: impl Fn(f64, f64) -> f64) -> Self {
        Self {
            shard_hours: with(self.shard_hours, other.shard_hours),
            put_payload_units: with(self.put_payload_units, other.put_payload_units),
            wcu_hours: with(self.wcu_hours, other.wcu_hours),
            rcu_hours: with(self.rcu_hours, other.rcu_hours),
            lambda_requests: with(self.lambda_requests, other.lambda_requests),
            lambda_gb_seconds: with(self.lambda_gb_seconds, other.lambda_gb_seconds),
            cloudwatch_metrics: with(self.cloudwatch_metrics, other.cloudwatch_metrics),
        }
    }

    /// The bill at list prices.
    pub fn usd(&self, prices: &PriceSheet) -> Bill {
        let lines = [
            ("Kinesis shard-hours", self.shard_hours, prices.shard_hour),
            ("Kinesis PUT payload units", self.put_payload_units, prices.put_payload_units_million / 1e6),
            ("DynamoDB WCU-hours", self.wcu_hours, prices.write_capacity_unit_hour),
            ("DynamoDB RCU-hours", self.rcu_hours, prices.read_capacity_unit_hour),
            ("Lambda requests", self.lambda_requests, prices.lambda_requests_million / 1e6),
            ("Lambda GB-seconds", self.lambda_gb_seconds, prices.lambda_gb_second),
            ("CloudWatch metrics read", self.cloudwatch_metrics, prices.get_metric_data_thousand / 1e3),
        ];
        let items: Vec<BillItem> = lines
            .into_iter()
            .map(|(name, quantity, price)| BillItem { name, quantity, usd: quantity * price })
            .collect();
        let total_usd = items.iter().map(|item| item.usd).sum();
        Bill { items, total_usd }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A shard full of small records costs 3.4 times as much in PUT units as for itself.
    #[test]
    fn a_saturated_shard_month_is_mostly_put_units() {
        let records = 1000.0 * 3600.0 * 730.0;
        let meters = Meters { shard_hours: 730.0, put_payload_units: records, ..Meters::default() };
        let bill = meters.usd(&PriceSheet::us_east_1());
        assert!((bill.items[0].usd - 10.95).abs() < 0.005);
        assert!((bill.items[1].usd - 36.79).abs() < 0.005);
        assert!((bill.total_usd - 47.74).abs() < 0.01);
    }

    #[test]
    fn every_meter_is_on_the_bill() {
        let one = Meters {
            shard_hours: 1.0,
            put_payload_units: 1.0,
            wcu_hours: 1.0,
            rcu_hours: 1.0,
            lambda_requests: 1.0,
            lambda_gb_seconds: 1.0,
            cloudwatch_metrics: 1.0,
        };
        let bill = one.usd(&PriceSheet::us_east_1());
        assert!(bill.items.iter().all(|item| item.quantity > 0.0 && item.usd > 0.0));
        assert_eq!(bill.items.len(), 7);
    }
}
