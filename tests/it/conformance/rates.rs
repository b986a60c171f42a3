//! The control planes' request rates: at one moment exactly the documented calls are let through.

use alleycat_operator::twin::World;
use jiff::SignedDuration;
use serde_json::json;

use super::{Book, Rule};

const KINESIS: &str = "https://docs.aws.amazon.com/streams/latest/dev/service-sizes-and-limits.html";
const LAMBDA: &str = "https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html";
const DYNAMODB: &str = "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ServiceQuotas.html";
const CLOUDWATCH: &str = "https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch_limits.html";

const fn rule(id: &'static str, says: &'static str, source: &'static str) -> Rule {
    Rule { id, says, source }
}

pub const RULES: &[Rule] = &[
    rule("kinesis.rate.describe-stream-summary", "DescribeStreamSummary: 20 a second per account", KINESIS),
    rule("kinesis.rate.describe-stream", "DescribeStream: 10 a second per account", KINESIS),
    rule("kinesis.rate.describe-limits", "DescribeLimits: 1 a second per account", KINESIS),
    rule("kinesis.rate.create", "CreateStream, DeleteStream, ListStreams, AddTagsToStream: 5 a second each", KINESIS),
    rule("kinesis.rate.stream-settings", "tags, retention and monitoring: 5 a second per stream", KINESIS),
    rule("kinesis.rate.policy", "resource policies: 5 a second per account", KINESIS),
    rule("kinesis.rate.consumers", "consumers: register, deregister, list 5 a second, describe 20", KINESIS),
    rule("kinesis.rate.update-shard-count", "UpdateShardCount: 10 a second", KINESIS),
    rule("kinesis.rate.split-merge", "SplitShard and MergeShards: 5 a second each", KINESIS),
    rule("kinesis.rate.list-shards", "ListShards: 1,000 a second per stream", KINESIS),
    rule("lambda.rate.control-plane", "15 control-plane requests a second over all operations", LAMBDA),
    rule("lambda.rate.get-function", "GetFunction: 100 a second", LAMBDA),
    rule("dynamodb.rate.describe-limits", "DescribeLimits: 1 a minute", DYNAMODB),
    rule("dynamodb.rate.describe-time-to-live", "DescribeTimeToLive: 10 a second", DYNAMODB),
    rule("dynamodb.rate.tagging", "TagResource: 5 a second", DYNAMODB),
    rule("dynamodb.rate.control-plane", "2,500 mutating and 2,500 reading control-plane requests a second", DYNAMODB),
    rule(
        "cloudwatch.rate.requests",
        "GetMetricData, PutMetricData 500, GetMetricStatistics 400, ListMetrics 25 a second",
        CLOUDWATCH,
    ),
];

/// (rule, service, operations, calls at one moment)
const RATES: &[(&str, &str, &[&str], usize)] = &[
    ("kinesis.rate.describe-stream-summary", "kinesis", &["DescribeStreamSummary"], 20),
    ("kinesis.rate.describe-stream", "kinesis", &["DescribeStream"], 10),
    ("kinesis.rate.describe-limits", "kinesis", &["DescribeLimits"], 1),
    ("kinesis.rate.create", "kinesis", &["CreateStream", "DeleteStream", "ListStreams", "AddTagsToStream"], 5),
    (
        "kinesis.rate.stream-settings",
        "kinesis",
        &[
            "RemoveTagsFromStream",
            "ListTagsForStream",
            "IncreaseStreamRetentionPeriod",
            "DecreaseStreamRetentionPeriod",
            "EnableEnhancedMonitoring",
            "DisableEnhancedMonitoring",
        ],
        5,
    ),
    ("kinesis.rate.policy", "kinesis", &["GetResourcePolicy", "PutResourcePolicy", "DeleteResourcePolicy"], 5),
    (
        "kinesis.rate.consumers",
        "kinesis",
        &["RegisterStreamConsumer", "DeregisterStreamConsumer", "ListStreamConsumers"],
        5,
    ),
    ("kinesis.rate.consumers", "kinesis", &["DescribeStreamConsumer"], 20),
    ("kinesis.rate.update-shard-count", "kinesis", &["UpdateShardCount"], 10),
    ("kinesis.rate.split-merge", "kinesis", &["SplitShard", "MergeShards"], 5),
    ("kinesis.rate.list-shards", "kinesis", &["ListShards"], 1_000),
    ("lambda.rate.get-function", "lambda", &["GetFunction"], 100),
    ("dynamodb.rate.describe-limits", "dynamodb", &["DescribeLimits"], 1),
    ("dynamodb.rate.describe-time-to-live", "dynamodb", &["DescribeTimeToLive"], 10),
    ("dynamodb.rate.tagging", "dynamodb", &["TagResource"], 5),
    ("dynamodb.rate.control-plane", "dynamodb", &["UpdateTable", "DescribeTable"], 2_500),
    ("cloudwatch.rate.requests", "cloudwatch", &["GetMetricData", "PutMetricData"], 500),
    ("cloudwatch.rate.requests", "cloudwatch", &["GetMetricStatistics"], 400),
    ("cloudwatch.rate.requests", "cloudwatch", &["ListMetrics"], 25),
];

fn throttling(service: &str) -> &'static str {
    match service {
        "kinesis" => "LimitExceededException",
        "lambda" => "TooManyRequestsException",
        _ => "ThrottlingException",
    }
}

pub fn script(book: &mut Book) {
    book.account(World::alleycat().with_races(0));
    book.twin.assumptions_mut().enforce_request_rates = true;
    for (rule, service, operations, calls) in RATES {
        for operation in *operations {
            lets_through(book, service, operation, *calls);
        }
        book.shows(rule);
    }
    // Lambda's other operations share one rate: each is refused once the fifteen are used up.
    book.now += SignedDuration::from_secs(120);
    let others: Vec<&str> = super::OPERATIONS
        .iter()
        .filter(|(service, ..)| *service == "lambda")
        .flat_map(|(.., operations)| operations.iter().copied().filter(|operation| *operation != "GetFunction"))
        .collect();
    let input = json!({"FunctionName": "none", "UUID": "none", "Resource": "none"});
    for operation in &others[..15] {
        let answer = book.send(&format!("lambda:{operation}"), &input);
        assert!(!answer.is_err_and(|refused| refused.code == "TooManyRequestsException"), "{operation}");
    }
    for operation in &others {
        let refused = book.refused(&format!("lambda:{operation}"), input.clone(), "TooManyRequestsException");
        assert_eq!((refused.status, &refused.body["Reason"]), (429, &json!("CallerRateLimitExceeded")));
    }
    book.shows("lambda.rate.control-plane");
}

fn lets_through(book: &mut Book, service: &str, operation: &str, calls: usize) {
    let name = format!("{service}:{operation}");
    let input = json!({"StreamName": "none", "FunctionName": "none"});
    book.now += SignedDuration::from_secs(120);
    for _ in 0..calls {
        let answer = book.send(&name, &input);
        assert!(!answer.is_err_and(|refused| refused.message.starts_with("Rate exceeded")), "{name}");
    }
    let refused = book.refused(&name, input, throttling(service));
    assert!(refused.message.starts_with("Rate exceeded"), "{refused:?}");
}
