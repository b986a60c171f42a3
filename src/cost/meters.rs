//! Metered quantities of a run → an itemised bill.

use serde::{Deserialize, Serialize};

use super::PriceSheet;

/// Bytes in the GB of a bill.
pub const GB: f64 = 1024.0 * 1024.0 * 1024.0;
/// Bytes that on-demand streams round a record up to (Kinesis pricing).
const ON_DEMAND_RECORD: f64 = 1024.0;

/// What was used over some time. Quantities add up, so two runs may be summed field by field.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Meters {
    /// Open shards of provisioned streams × hours.
    pub shard_hours: f64,
    /// Of them, those with a retention above 24 h × hours.
    pub extended_shard_hours: f64,
    /// Fan-out consumers × shards × hours.
    pub fan_out_shard_hours: f64,
    /// GB delivered to fan-out consumers.
    pub fan_out_gb: f64,
    /// On-demand streams × hours.
    pub on_demand_stream_hours: f64,
    /// GB put on on-demand streams, each record rounded up to 1 KB.
    pub on_demand_in_gb: f64,
    /// GB read from on-demand streams by shared consumers.
    pub on_demand_out_gb: f64,
    /// PUT payload units (25 KB chunks, at least one a record).
    pub put_payload_units: f64,
    /// Provisioned write capacity units × hours, tables and indexes.
    pub wcu_hours: f64,
    /// Provisioned read capacity units × hours, tables and indexes.
    pub rcu_hours: f64,
    /// Write request units of on-demand tables and indexes.
    pub write_request_units: f64,
    /// Read request units of on-demand tables and indexes.
    pub read_request_units: f64,
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
            extended_shard_hours: with(self.extended_shard_hours, other.extended_shard_hours),
            fan_out_shard_hours: with(self.fan_out_shard_hours, other.fan_out_shard_hours),
            fan_out_gb: with(self.fan_out_gb, other.fan_out_gb),
            on_demand_stream_hours: with(self.on_demand_stream_hours, other.on_demand_stream_hours),
            on_demand_in_gb: with(self.on_demand_in_gb, other.on_demand_in_gb),
            on_demand_out_gb: with(self.on_demand_out_gb, other.on_demand_out_gb),
            put_payload_units: with(self.put_payload_units, other.put_payload_units),
            wcu_hours: with(self.wcu_hours, other.wcu_hours),
            rcu_hours: with(self.rcu_hours, other.rcu_hours),
            write_request_units: with(self.write_request_units, other.write_request_units),
            read_request_units: with(self.read_request_units, other.read_request_units),
            lambda_requests: with(self.lambda_requests, other.lambda_requests),
            lambda_gb_seconds: with(self.lambda_gb_seconds, other.lambda_gb_seconds),
            cloudwatch_metrics: with(self.cloudwatch_metrics, other.cloudwatch_metrics),
        }
    }

    /// What an on-demand stream meters by volume for so many records and bytes, read by so many shared consumers.
    pub fn on_demand_volume(records: f64, bytes: f64, readers: f64) -> Self {
        let each = if records > 0.0 { bytes / records } else { 0.0 };
        Self {
            on_demand_in_gb: records * (each / ON_DEMAND_RECORD).ceil() * ON_DEMAND_RECORD / GB,
            on_demand_out_gb: readers * bytes / GB,
            ..Self::default()
        }
    }

    /// What scaling changes: shards, retention, fan-out, capacity, on-demand charges. PUT units follow the records,
    /// Lambda's time the work, so no policy can save them.
    #[must_use]
    pub fn scaled(&self) -> Self {
        Self { put_payload_units: 0.0, lambda_requests: 0.0, lambda_gb_seconds: 0.0, cloudwatch_metrics: 0.0, ..*self }
    }

    /// The bill at list prices.
    pub fn usd(&self, prices: &PriceSheet) -> Bill {
        let lines = [
            ("Kinesis shard-hours", self.shard_hours, prices.shard_hour),
            ("Kinesis extended retention shard-hours", self.extended_shard_hours, prices.extended_retention_shard_hour),
            ("Kinesis fan-out shard-hours", self.fan_out_shard_hours, prices.fan_out_consumer_shard_hour),
            ("Kinesis fan-out GB", self.fan_out_gb, prices.fan_out_gb),
            ("Kinesis on-demand stream-hours", self.on_demand_stream_hours, prices.on_demand_stream_hour),
            ("Kinesis on-demand GB in", self.on_demand_in_gb, prices.on_demand_in_gb),
            ("Kinesis on-demand GB out", self.on_demand_out_gb, prices.on_demand_out_gb),
            ("Kinesis PUT payload units", self.put_payload_units, prices.put_payload_units_million / 1e6),
            ("DynamoDB WCU-hours", self.wcu_hours, prices.write_capacity_unit_hour),
            ("DynamoDB RCU-hours", self.rcu_hours, prices.read_capacity_unit_hour),
            ("DynamoDB write request units", self.write_request_units, prices.write_request_units_million / 1e6),
            ("DynamoDB read request units", self.read_request_units, prices.read_request_units_million / 1e6),
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
        let put_units = bill.items.iter().find(|item| item.name.contains("PUT")).unwrap();
        assert!((put_units.usd - 36.79).abs() < 0.005);
        assert!((meters.scaled().usd(&PriceSheet::us_east_1()).total_usd - 10.95).abs() < 0.005);
        assert!((bill.total_usd - 47.74).abs() < 0.01);
    }

    #[test]
    fn every_meter_is_on_the_bill() {
        let one = Meters {
            shard_hours: 1.0,
            extended_shard_hours: 1.0,
            fan_out_shard_hours: 1.0,
            fan_out_gb: 1.0,
            on_demand_stream_hours: 1.0,
            on_demand_in_gb: 1.0,
            on_demand_out_gb: 1.0,
            put_payload_units: 1.0,
            wcu_hours: 1.0,
            rcu_hours: 1.0,
            write_request_units: 1.0,
            read_request_units: 1.0,
            lambda_requests: 1.0,
            lambda_gb_seconds: 1.0,
            cloudwatch_metrics: 1.0,
        };
        let bill = one.usd(&PriceSheet::us_east_1());
        assert!(bill.items.iter().all(|item| item.quantity > 0.0 && item.usd > 0.0));
        assert_eq!(bill.items.len(), 15);
    }
}
