//! How many calls a second the control planes take: token buckets in virtual time, checked before a call is
//! looked at.
//!
//! Rates: Kinesis quotas and limits page and the API reference of each operation; Lambda quotas page; DynamoDB
//! quotas page; CloudWatch quotas page. A bucket holds one second's calls: assumption (AWS documents no bursts).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::wire::{Call, Refusal, Service};

/// Calls in a time, for whom.
struct Rate {
    /// Operations that share it.
    operations: &'static [&'static str],
    /// Calls in `per_ms`.
    calls: i64,
    /// Milliseconds.
    per_ms: i64,
    /// Each stream has its own; otherwise it is the account's.
    each_stream: bool,
}

const fn account(operations: &'static [&'static str], calls: i64) -> Rate {
    Rate { operations, calls, per_ms: 1_000, each_stream: false }
}

const fn stream(operations: &'static [&'static str], calls: i64) -> Rate {
    Rate { operations, calls, per_ms: 1_000, each_stream: true }
}

/// SplitShard, MergeShards and RegisterStreamConsumer: the API reference says per account and the quotas page per
/// stream; the API reference is followed.
const KINESIS: &[Rate] = &[
    account(&["DescribeStreamSummary"], 20),
    account(&["DescribeStream"], 10),
    account(&["DescribeLimits"], 1),
    account(&["CreateStream"], 5),
    account(&["DeleteStream"], 5),
    account(&["ListStreams"], 5),
    account(&["AddTagsToStream"], 5),
    stream(&["RemoveTagsFromStream"], 5),
    stream(&["ListTagsForStream"], 5),
    stream(&["IncreaseStreamRetentionPeriod"], 5),
    stream(&["DecreaseStreamRetentionPeriod"], 5),
    stream(&["EnableEnhancedMonitoring"], 5),
    stream(&["DisableEnhancedMonitoring"], 5),
    account(&["GetResourcePolicy"], 5),
    account(&["PutResourcePolicy"], 5),
    account(&["DeleteResourcePolicy"], 5),
    account(&["RegisterStreamConsumer"], 5),
    stream(&["DeregisterStreamConsumer"], 5),
    stream(&["ListStreamConsumers"], 5),
    stream(&["DescribeStreamConsumer"], 20),
    account(&["UpdateShardCount"], 10),
    account(&["SplitShard"], 5),
    account(&["MergeShards"], 5),
    stream(&["ListShards"], 1_000),
];

/// Everything but invocations and GetFunction is one rate.
const LAMBDA: &[Rate] = &[
    account(&["GetFunction"], 100),
    account(
        &[
            "CreateEventSourceMapping",
            "CreateFunction",
            "DeleteEventSourceMapping",
            "DeleteFunction",
            "DeleteFunctionConcurrency",
            "GetAccountSettings",
            "GetEventSourceMapping",
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
        15,
    ),
];

const DYNAMODB: &[Rate] = &[
    Rate { operations: &["DescribeLimits"], calls: 1, per_ms: 60_000, each_stream: false },
    account(&["DescribeTimeToLive"], 10),
    account(&["TagResource"], 5),
    account(&["UntagResource"], 5),
    account(&["CreateTable", "UpdateTable", "DeleteTable", "UpdateContinuousBackups", "UpdateTimeToLive"], 2_500),
    account(&["DescribeTable", "ListTables", "DescribeContinuousBackups", "ListTagsOfResource"], 2_500),
];

const CLOUDWATCH: &[Rate] = &[
    account(&["GetMetricData"], 500),
    account(&["GetMetricStatistics"], 400),
    account(&["ListMetrics"], 25),
    account(&["PutMetricData"], 500),
];

/// Buckets kept at most; those that are full again go first.
const BUCKETS: usize = 4_096;

/// The buckets that are not known to be full.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Rates {
    buckets: BTreeMap<String, Bucket>,
}

/// What is left, in calls times milliseconds so that refilling is exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Bucket {
    left: i64,
    at_ms: i64,
    /// Rate and size, for pruning.
    calls: i64,
    per_ms: i64,
}

impl Bucket {
    fn refill(&mut self, now_ms: i64) {
        // Time only moves forward; a long pause fills any bucket.
        let span = (now_ms - self.at_ms).clamp(0, self.per_ms);
        self.left = (self.left + span * self.calls).min(self.calls * self.per_ms);
        self.at_ms = now_ms;
    }

    fn is_full(&self) -> bool {
        self.left == self.calls * self.per_ms
    }
}

impl Rates {
    /// Takes one call, or gives the service's throttling error.
    pub fn take(&mut self, call: &Call, now_ms: i64, account: &str) -> Result<(), Refusal> {
        let table = match call.service {
            Service::Kinesis => KINESIS,
            Service::Lambda => LAMBDA,
            Service::DynamoDb => DYNAMODB,
            Service::CloudWatch => CLOUDWATCH,
            Service::Sts | Service::AutoScaling => return Ok(()),
        };
        let Some(rate) = table.iter().find(|rate| rate.operations.contains(&call.operation.as_str())) else {
            return Ok(());
        };
        let stream = if rate.each_stream { stream_of(call) } else { String::new() };
        let first = rate.operations.first().copied().unwrap_or_default();
        let key = format!("{}:{first} {stream}", call.service.name());
        if self.buckets.len() >= BUCKETS && !self.buckets.contains_key(&key) {
            self.buckets.values_mut().for_each(|bucket| bucket.refill(now_ms));
            self.buckets.retain(|_, bucket| !bucket.is_full());
            if self.buckets.len() >= BUCKETS {
                return Err(refusal(call.service, &stream, account));
            }
        }
        let Rate { calls, per_ms, .. } = *rate;
        let full = Bucket { left: calls * per_ms, at_ms: now_ms, calls, per_ms };
        let bucket = self.buckets.entry(key).or_insert(full);
        bucket.refill(now_ms);
        if bucket.left < per_ms {
            return Err(refusal(call.service, &stream, account));
        }
        bucket.left -= per_ms;
        Ok(())
    }
}

/// The name of the stream that a call is about, at most as long as names are.
fn stream_of(call: &Call) -> String {
    let members = ["StreamName", "StreamARN", "ConsumerARN"];
    let named = members.iter().find_map(|member| call.input.get(*member)?.as_str()).unwrap_or_default();
    let name = named.split_once(":stream/").map_or(named, |(_, rest)| rest.split('/').next().unwrap_or_default());
    name.chars().take(128).collect()
}

fn refusal(service: Service, stream: &str, account: &str) -> Refusal {
    match service {
        Service::Kinesis if stream.is_empty() => {
            Refusal::new(400, "LimitExceededException", format!("Rate exceeded for account {account}."))
        }
        Service::Kinesis => Refusal::new(
            400,
            "LimitExceededException",
            format!("Rate exceeded for stream {stream} under account {account}."),
        ),
        Service::Lambda => Refusal::new(429, "TooManyRequestsException", "Rate exceeded")
            .with("Reason", "CallerRateLimitExceeded".into()),
        _ => Refusal::new(400, "ThrottlingException", "Rate exceeded"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn take(rates: &mut Rates, service: Service, operation: &str, stream: &str, now_ms: i64) -> bool {
        let call = Call::new(service, operation, json!({ "StreamName": stream }));
        rates.take(&call, now_ms, "1").is_ok()
    }

    #[test]
    fn a_second_holds_the_documented_calls_and_the_next_one_as_many() {
        let mut rates = Rates::default();
        let mut at = |now_ms| {
            (0..30).filter(|_| take(&mut rates, Service::Kinesis, "DescribeStreamSummary", "a", now_ms)).count()
        };
        assert_eq!([at(0), at(50), at(1_000), at(100_000)], [20, 1, 19, 20]);
        let mut rates = Rates::default();
        assert!(take(&mut rates, Service::DynamoDb, "DescribeLimits", "", 0));
        assert!(!take(&mut rates, Service::DynamoDb, "DescribeLimits", "", 59_999));
        assert!(take(&mut rates, Service::DynamoDb, "DescribeLimits", "", 60_000));
    }

    #[test]
    fn streams_and_services_do_not_share_what_lambda_shares() {
        let mut rates = Rates::default();
        for stream in ["a", "arn:aws:kinesis:r:1:stream/b", "arn:aws:kinesis:r:1:stream/c/consumer/d:1"] {
            for _ in 0..5 {
                assert!(take(&mut rates, Service::Kinesis, "ListStreamConsumers", stream, 0));
            }
            assert!(!take(&mut rates, Service::Kinesis, "ListStreamConsumers", stream, 0));
        }
        assert!(!take(&mut rates, Service::Kinesis, "ListStreamConsumers", "c", 0));
        for operation in ["ListTags", "GetAccountSettings", "TagResource"] {
            (0..5).for_each(|_| assert!(take(&mut rates, Service::Lambda, operation, "", 0)));
        }
        assert!(!take(&mut rates, Service::Lambda, "ListFunctions", "", 0));
        assert!(take(&mut rates, Service::Lambda, "GetFunction", "", 0));
    }

    #[test]
    fn a_client_cannot_fill_the_memory_with_names() {
        let mut rates = Rates::default();
        for number in 0..10_000 {
            take(&mut rates, Service::Kinesis, "ListShards", &number.to_string(), 0);
        }
        assert_eq!(rates.buckets.len(), BUCKETS);
        assert!(take(&mut rates, Service::Kinesis, "ListShards", "x", 1_000));
        assert_eq!(rates.buckets.len(), 1);
    }
}
