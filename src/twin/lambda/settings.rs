//! The settings of an event source mapping on Kinesis, with their ranges (Lambda guide, "Kinesis parameters";
//! API reference, CreateEventSourceMapping).

#![allow(
    clippy::case_sensitive_file_extension_comparisons,
    clippy::nonminimal_bool,
    reason = "an ARN is no file, and its case counts"
)]

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Named, filters, invalid};
use crate::twin::{
    Ctx, millis,
    wire::{Args, Refusal},
};

/// What UpdateEventSourceMapping may change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Settings {
    pub function: String,
    pub qualifier: Option<String>,
    pub function_arn: String,
    pub batch_size: u32,
    pub window_seconds: u32,
    pub factor: u32,
    pub max_retries: i64,
    pub max_age_seconds: i64,
    pub tumbling_seconds: u32,
    pub bisect: bool,
    pub reports_failures: bool,
    pub on_failure: Option<String>,
    pub filters: Vec<String>,
    pub key_arn: Option<String>,
    pub counts_events: bool,
    pub enabled: bool,
}

impl Settings {
    /// AWS's defaults for Kinesis.
    pub fn new(named: Named) -> Self {
        Self {
            function: named.name,
            qualifier: named.qualifier,
            function_arn: named.arn,
            batch_size: 100,
            window_seconds: 0,
            factor: 1,
            max_retries: -1,
            max_age_seconds: -1,
            tumbling_seconds: 0,
            bisect: false,
            reports_failures: false,
            on_failure: None,
            filters: Vec::new(),
            key_arn: None,
            counts_events: false,
            enabled: true,
        }
    }

    /// (parallelization factor, batch size), the values a scaler changes.
    pub fn scaled(&self) -> (u64, u64) {
        (self.factor.into(), self.batch_size.into())
    }

    /// Takes over the members that are present, each inside its range.
    ///
    /// # Errors
    /// What Lambda refuses.
    pub fn change(&mut self, ctx: &Ctx, args: Args) -> Result<(), Refusal> {
        let counts = [
            ("BatchSize", 1, 10_000, &mut self.batch_size),
            ("MaximumBatchingWindowInSeconds", 0, 300, &mut self.window_seconds),
            ("ParallelizationFactor", 1, 10, &mut self.factor),
            ("TumblingWindowInSeconds", 0, 900, &mut self.tumbling_seconds),
        ];
        for (member, low, high, field) in counts {
            if let Some(value) = args.ranged(member, low, high)? {
                *field = value as u32;
            }
        }
        if let Some(retries) = args.ranged("MaximumRetryAttempts", -1, 10_000)? {
            self.max_retries = retries;
        }
        if let Some(age) = args.ranged("MaximumRecordAgeInSeconds", -1, 604_800)? {
            if (0..60).contains(&age) {
                return Err(invalid("MaximumRecordAgeInSeconds must be -1 or between 60 and 604800."));
            }
            self.max_age_seconds = age;
        }
        self.bisect = args.flag("BisectBatchOnFunctionError").unwrap_or(self.bisect);
        self.enabled = args.flag("Enabled").unwrap_or(self.enabled);
        if args.get("FunctionResponseTypes").is_some() {
            let other = args.texts("FunctionResponseTypes").find(|kind| *kind != "ReportBatchItemFailures");
            if let Some(other) = other {
                let set = "satisfy enum value set: [ReportBatchItemFailures]";
                return Err(Refusal::constraint(other, "functionResponseTypes", set));
            }
            self.reports_failures = args.texts("FunctionResponseTypes").next().is_some();
        }
        for member in FOREIGN {
            if args.get(member).is_some() {
                return Err(invalid(format!("{member} is not supported for Kinesis event sources.")));
            }
        }
        self.change_destination(args)?;
        self.change_filters(ctx, args)?;
        self.change_metrics(args)
    }

    fn change_destination(&mut self, args: Args) -> Result<(), Refusal> {
        let Some(config) = args.at("DestinationConfig") else { return Ok(()) };
        if config.at("OnSuccess").and_then(|target| target.text("Destination")).is_some_and(|arn| !arn.is_empty()) {
            return Err(invalid("Unsupported destination: an event source mapping has no OnSuccess destination."));
        }
        let Some(failure) = config.at("OnFailure") else { return Ok(()) };
        let arn = failure.text("Destination").unwrap_or_default();
        let service = arn.split(':').nth(2).unwrap_or_default();
        let known = arn.starts_with("arn:aws:") && ["sqs", "sns", "s3"].contains(&service);
        if !arn.is_empty() && (!known || arn.ends_with(".fifo")) {
            return Err(invalid(format!(
                "The destination {arn} is invalid: it must be a standard SQS queue, a standard SNS topic or an S3 bucket."
            )));
        }
        self.on_failure = Some(arn).filter(|arn| !arn.is_empty()).map(str::to_owned);
        Ok(())
    }

    fn change_filters(&mut self, ctx: &Ctx, args: Args) -> Result<(), Refusal> {
        if let Some(key) = args.text("KMSKeyArn") {
            if !key.is_empty() && !key.starts_with("arn:aws:kms:") {
                return Err(invalid(format!("{key} is not the ARN of a KMS key.")));
            }
            self.key_arn = Some(key).filter(|key| !key.is_empty()).map(str::to_owned);
        }
        let Some(criteria) = args.at("FilterCriteria") else { return Ok(()) };
        let patterns: Vec<&str> = criteria.list("Filters").filter_map(|filter| filter.text("Pattern")).collect();
        let most = ctx.assumptions.filters_maximum;
        if patterns.len() > most {
            return Err(invalid(format!("FilterCriteria can have at most {most} filters.")));
        }
        if let Some(wrong) = patterns.iter().find(|pattern| !filters::is_pattern(pattern)) {
            return Err(invalid(format!("Invalid filter pattern definition. (Pattern: {wrong})")));
        }
        self.filters = patterns.into_iter().map(str::to_owned).collect();
        Ok(())
    }

    fn change_metrics(&mut self, args: Args) -> Result<(), Refusal> {
        let Some(config) = args.at("MetricsConfig") else { return Ok(()) };
        if let Some(other) = config.texts("Metrics").find(|metric| *metric != "EventCount") {
            return Err(invalid(format!("The metric group {other} is not supported for Kinesis event sources.")));
        }
        self.counts_events = config.texts("Metrics").next().is_some();
        Ok(())
    }

    /// The members of an answer. `listed`: ListEventSourceMappings hides filters that a key encrypts.
    pub fn json(&self, listed: bool) -> Value {
        let response_types: &[&str] = if self.reports_failures { &["ReportBatchItemFailures"] } else { &[] };
        let mut value = json!({
            "FunctionArn": self.function_arn,
            "BatchSize": self.batch_size,
            "MaximumBatchingWindowInSeconds": self.window_seconds,
            "ParallelizationFactor": self.factor,
            "MaximumRetryAttempts": self.max_retries,
            "MaximumRecordAgeInSeconds": self.max_age_seconds,
            "TumblingWindowInSeconds": self.tumbling_seconds,
            "BisectBatchOnFunctionError": self.bisect,
            "FunctionResponseTypes": response_types,
            "DestinationConfig": { "OnFailure": {} },
        });
        if let Some(destination) = &self.on_failure {
            value["DestinationConfig"]["OnFailure"]["Destination"] = json!(destination);
        }
        if !self.filters.is_empty() && !(listed && self.key_arn.is_some()) {
            let filters: Vec<Value> = self.filters.iter().map(|pattern| json!({ "Pattern": pattern })).collect();
            value["FilterCriteria"] = json!({ "Filters": filters });
        }
        if let Some(key) = &self.key_arn {
            value["KMSKeyArn"] = json!(key);
        }
        if self.counts_events {
            value["MetricsConfig"] = json!({ "Metrics": ["EventCount"] });
        }
        value
    }
}

/// Members for other event sources (API reference).
const FOREIGN: &[&str] = &[
    "AmazonManagedKafkaEventSourceConfig",
    "DocumentDBEventSourceConfig",
    "LoggingConfig",
    "ProvisionedPollerConfig",
    "Queues",
    "ScalingConfig",
    "SelfManagedEventSource",
    "SelfManagedKafkaEventSourceConfig",
    "SourceAccessConfigurations",
    "Topics",
];

/// Name and moment (epoch milliseconds) of where a new mapping starts.
pub(super) fn starting_position(ctx: &Ctx, args: Args) -> Result<(String, Option<i64>), Refusal> {
    let position = args.text("StartingPosition");
    let position = position.ok_or_else(|| invalid("StartingPosition is required for Kinesis event sources."))?;
    // Epoch seconds, as the API carries times.
    let at = args.get("StartingPositionTimestamp").and_then(Value::as_f64).map(millis);
    match (position, at) {
        ("TRIM_HORIZON" | "LATEST", None) | ("AT_TIMESTAMP", Some(_)) => {}
        ("AT_TIMESTAMP", None) => return Err(invalid("StartingPositionTimestamp is required with AT_TIMESTAMP.")),
        ("TRIM_HORIZON" | "LATEST", Some(_)) => {
            return Err(invalid("StartingPositionTimestamp is allowed with AT_TIMESTAMP only."));
        }
        _ => {
            let set = "satisfy enum value set: [LATEST, AT_TIMESTAMP, TRIM_HORIZON]";
            return Err(Refusal::constraint(position, "startingPosition", set));
        }
    }
    if at.is_some_and(|at| at > ctx.now) {
        return Err(invalid("StartingPositionTimestamp must not be in the future."));
    }
    Ok((position.to_owned(), at))
}
