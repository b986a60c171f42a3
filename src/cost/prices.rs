//! The price sheet.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

/// List prices in US dollars, without free tiers and discounts. A file of the same shape may replace the built-in
/// sheet; every price is what AWS's public price list says on [`PriceSheet::as_of`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PriceSheet {
    /// Day on which the newest of these prices was read.
    pub as_of: Date,
    /// Regions it holds for.
    pub regions: Vec<String>,
    /// Kinesis, provisioned: one shard for an hour.
    pub shard_hour: f64,
    /// Kinesis, provisioned: retention above 24 h and up to 7 days, one shard for an hour.
    pub extended_retention_shard_hour: f64,
    /// Kinesis, on demand: one stream for an hour.
    pub on_demand_stream_hour: f64,
    /// Kinesis: one enhanced fan-out consumer on one shard for an hour, without its volume.
    pub fan_out_consumer_shard_hour: f64,
    /// Kinesis: a GB delivered to an enhanced fan-out consumer.
    pub fan_out_gb: f64,
    /// Kinesis, on demand: a GB put, each record rounded up to 1 KB.
    pub on_demand_in_gb: f64,
    /// Kinesis, on demand: a GB read by shared consumers.
    pub on_demand_out_gb: f64,
    /// Kinesis: a million PUT payload units (25 KB chunks).
    pub put_payload_units_million: f64,
    /// DynamoDB, provisioned: one write capacity unit for an hour.
    pub write_capacity_unit_hour: f64,
    /// DynamoDB, provisioned: one read capacity unit for an hour.
    pub read_capacity_unit_hour: f64,
    /// DynamoDB, on demand: a million write request units.
    pub write_request_units_million: f64,
    /// DynamoDB, on demand: a million read request units.
    pub read_request_units_million: f64,
    /// Lambda: a million requests.
    pub lambda_requests_million: f64,
    /// Lambda, x86: one GB for one second, first tier.
    pub lambda_gb_second: f64,
    /// CloudWatch: a thousand metrics asked for with GetMetricData.
    pub get_metric_data_thousand: f64,
    /// CloudWatch: one custom or shard-level metric for a month, first tier.
    pub custom_metric_month: f64,
}

impl PriceSheet {
    /// AWS's list prices for us-east-1 and the regions that share them.
    ///
    /// Sources: the public pricing pages of Kinesis Data Streams, Lambda and CloudWatch as of 2024-07-01, of DynamoDB
    /// after its on-demand price change of 2024-11 (checked 2024-11-15). The capacity-unit hour is derived from
    /// 20 WCU = $9.49 and 30 RCU = $2.85 a month of 730 h.
    pub fn us_east_1() -> Self {
        Self {
            as_of: jiff::civil::date(2024, 11, 15),
            regions: ["us-east-1", "us-east-2", "us-west-2"].map(String::from).to_vec(),
            shard_hour: 0.015,
            extended_retention_shard_hour: 0.020,
            on_demand_stream_hour: 0.04,
            fan_out_consumer_shard_hour: 0.015,
            fan_out_gb: 0.013,
            on_demand_in_gb: 0.08,
            on_demand_out_gb: 0.04,
            put_payload_units_million: 0.014,
            write_capacity_unit_hour: 0.000_65,
            read_capacity_unit_hour: 0.000_13,
            write_request_units_million: 0.625,
            read_request_units_million: 0.125,
            lambda_requests_million: 0.20,
            lambda_gb_second: 0.000_016_666_7,
            get_metric_data_thousand: 0.01,
            custom_metric_month: 0.30,
        }
    }

    /// A sentence for a pipeline in a region this sheet does not hold for; `None` where it does.
    pub fn warning(&self, region: &str) -> Option<String> {
        if self.regions.iter().any(|known| known == region) {
            return None;
        }
        let known = self.regions.first().map_or("no region", String::as_str);
        Some(format!("dollar figures are list prices of {known} ({}); {region} may differ", self.as_of))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_saved_sheet_reads_back_and_unknown_prices_are_refused() {
        let sheet = PriceSheet::us_east_1();
        let text = serde_json::to_string(&sheet).unwrap();
        assert_eq!(serde_json::from_str::<PriceSheet>(&text).unwrap(), sheet);
        let typo = text.replace("shardHour\"", "shardHours\"");
        assert!(serde_json::from_str::<PriceSheet>(&typo).is_err());
    }

    #[test]
    fn a_region_without_prices_is_told() {
        let sheet = PriceSheet::us_east_1();
        assert_eq!(sheet.warning("us-east-2"), None);
        assert!(sheet.warning("eu-central-1").unwrap().contains("eu-central-1 may differ"));
    }
}
