//! The operations the twin promises, and the errors that AWS's own models declare for them.
//!
//! `operations.txt` is generated from the SDK crates' sources (`BLESS=1`), so that the denominator of the
//! conformance table is AWS's and not ours.

use std::{fmt::Write, fs, path::PathBuf, process::Command};

/// Service (as in IAM), SDK crate, operations.
pub const SERVICES: &[(&str, &str, &[&str])] = &[
    (
        "kinesis",
        "aws-sdk-kinesis",
        &[
            "AddTagsToStream",
            "CreateStream",
            "DecreaseStreamRetentionPeriod",
            "DeleteResourcePolicy",
            "DeleteStream",
            "DeregisterStreamConsumer",
            "DescribeLimits",
            "DescribeStream",
            "DescribeStreamConsumer",
            "DescribeStreamSummary",
            "DisableEnhancedMonitoring",
            "EnableEnhancedMonitoring",
            "GetRecords",
            "GetResourcePolicy",
            "GetShardIterator",
            "IncreaseStreamRetentionPeriod",
            "ListShards",
            "ListStreamConsumers",
            "ListStreams",
            "ListTagsForResource",
            "ListTagsForStream",
            "MergeShards",
            "PutRecord",
            "PutRecords",
            "PutResourcePolicy",
            "RegisterStreamConsumer",
            "RemoveTagsFromStream",
            "SplitShard",
            "StartStreamEncryption",
            "StopStreamEncryption",
            "SubscribeToShard",
            "TagResource",
            "UntagResource",
            "UpdateMaxRecordSize",
            "UpdateShardCount",
            "UpdateStreamMode",
        ],
    ),
    (
        "lambda",
        "aws-sdk-lambda",
        &[
            "CreateEventSourceMapping",
            "CreateFunction",
            "DeleteEventSourceMapping",
            "DeleteFunction",
            "DeleteFunctionConcurrency",
            "GetAccountSettings",
            "GetEventSourceMapping",
            "GetFunction",
            "GetFunctionConcurrency",
            "GetFunctionConfiguration",
            "ListEventSourceMappings",
            "ListFunctions",
            "ListTags",
            "PutFunctionConcurrency",
            "TagResource",
            "UntagResource",
            "UpdateEventSourceMapping",
            "UpdateFunctionCode",
            "UpdateFunctionConfiguration",
        ],
    ),
    (
        "dynamodb",
        "aws-sdk-dynamodb",
        &[
            "BatchWriteItem",
            "CreateTable",
            "DeleteItem",
            "DeleteTable",
            "DescribeContinuousBackups",
            "DescribeLimits",
            "DescribeTable",
            "DescribeTimeToLive",
            "GetItem",
            "ListTables",
            "ListTagsOfResource",
            "PutItem",
            "TagResource",
            "UntagResource",
            "UpdateContinuousBackups",
            "UpdateTable",
            "UpdateTimeToLive",
        ],
    ),
    ("cloudwatch", "aws-sdk-cloudwatch", &["GetMetricData", "GetMetricStatistics", "ListMetrics", "PutMetricData"]),
    (
        "application-autoscaling",
        "aws-sdk-applicationautoscaling",
        &[
            "DeleteScalingPolicy",
            "DeregisterScalableTarget",
            "DescribeScalableTargets",
            "DescribeScalingActivities",
            "DescribeScalingPolicies",
            "ListTagsForResource",
            "PutScalingPolicy",
            "RegisterScalableTarget",
            "TagResource",
            "UntagResource",
        ],
    ),
    ("sts", "aws-sdk-sts", &["GetCallerIdentity"]),
];

const GENERATED: &str = include_str!("operations.txt");

/// (`kinesis:CreateStream`, the errors its model declares).
pub fn operations() -> Vec<(String, Vec<String>)> {
    let line = |line: &str| {
        let (operation, errors) = line.split_once(' ').unwrap_or((line, ""));
        (operation.to_owned(), errors.split(' ').filter(|error| !error.is_empty()).map(str::to_owned).collect())
    };
    GENERATED.lines().map(line).collect()
}

/// The generated list, from the crates that cargo has on this machine.
fn generate() -> String {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    // Crates of other platforms are in the lock file and not on this machine.
    let about = Command::new("rustc").arg("-vV").output().unwrap();
    let about = String::from_utf8(about.stdout).unwrap();
    let host = about.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--offline", "--manifest-path", manifest])
        .args(["--filter-platform", host])
        .output()
        .unwrap();
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let mut text = String::new();
    for (service, krate, operations) in SERVICES {
        let package = packages.iter().find(|package| package["name"] == *krate).unwrap();
        let directory = PathBuf::from(package["manifest_path"].as_str().unwrap()).with_file_name("src/operation");
        for operation in *operations {
            let file = directory.join(snake(operation)).with_extension("rs");
            let source = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
            let body = source.split_once(&format!("pub enum {operation}Error {{")).unwrap().1;
            let body = body.split_once("\n}").unwrap().0;
            let variants = body.lines().filter_map(|line| {
                let (name, inner) = line.trim().split_once('(')?;
                inner.starts_with("crate::types::error::").then(|| name.to_owned())
            });
            let variants: Vec<String> = variants.collect();
            writeln!(text, "{service}:{operation} {}", variants.join(" ")).unwrap();
        }
    }
    text.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

fn snake(name: &str) -> String {
    let mut text = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !text.is_empty() {
            text.push('_');
        }
        text.push(letter.to_ascii_lowercase());
    }
    text
}

pub fn compare_with_the_sdk() {
    let generated = generate();
    if std::env::var_os("BLESS").is_some() {
        fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/conformance/operations.txt"), &generated).unwrap();
        return;
    }
    assert!(generated == GENERATED, "the SDK's errors have changed: BLESS=1 cargo test --test it conformance");
}
