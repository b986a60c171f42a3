//! The observation through the real SDK clients and a stub AWS below them.

use serde_json::{Value, json};

use super::{Scope, facts, signals};
use crate::{
    aws::{
        Allow,
        testing::{Answer, Sent, Stub},
    },
    model::{ErrorClass, Freshness},
    spec::{Pipeline, ScalingPolicy},
};

const STREAM: &str = "arn:aws:kinesis:us-east-1:1:stream/s";
const FAN_OUT: &str = "arn:aws:kinesis:us-east-1:1:stream/s/consumer/x:1";

fn pipeline() -> Pipeline {
    let pinned = |value: u32| json!({"min": value, "max": value, "initial": value});
    serde_json::from_value(json!({
        "name": "p", "region": null, "expectedAccountIds": [], "management": "full", "tags": {},
        "stream": {"name": "s", "mode": "provisioned", "shards": pinned(1), "retention": pinned(24),
            "shardLevelMetrics": [], "encryption": "none", "adoptionPolicy": "refuse", "deletionPolicy": "retain"},
        "consumers": [{"name": "c", "function": "f", "alias": null, "delivery": "shared",
            "parallelizationFactor": pinned(1), "batchSize": pinned(100), "maximumBatchingWindowSeconds": 0,
            "startingPosition": "latest", "tumblingWindowSeconds": 0, "maximumRetryAttempts": -1,
            "maximumRecordAgeSeconds": -1, "bisectBatchOnFunctionError": false, "reportBatchItemFailures": false,
            "onFailure": null, "filterCriteria": [], "idempotent": false, "concurrencySafe": true, "writesTo": []}],
        "externalConsumers": [],
        "tables": [{"name": "t", "billingMode": "provisioned", "partitionKey": {"name": "PK", "kind": "S"},
            "sortKey": null, "writeCapacity": pinned(5), "readCapacity": pinned(5), "globalSecondaryIndexes": [],
            "localSecondaryIndexes": [], "streamViewType": null, "timeToLive": null, "pointInTimeRecovery": false,
            "deletionProtection": false, "adoptionPolicy": "refuse", "deletionPolicy": "retain"}],
        "objectives": {"iteratorAge": "PT60S", "recovery": "PT10M", "monthlyBudgetUsd": null},
        "scaling": {"policy": "balanced"},
    }))
    .unwrap()
}

fn policy() -> ScalingPolicy {
    crate::spec::policy::builtin("balanced").unwrap()
}

const CALLER: &str = "<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>arn:me</Arn><Account>1</Account>\
                      </GetCallerIdentityResult></GetCallerIdentityResponse>";

/// An account with everything; small pages, and some operations that the endpoint refuses.
fn account(sent: &Sent) -> Answer {
    let ok = |body: Value| Answer::Json(200, body);
    let body = sent.json();
    match sent.target.rsplit('.').next().unwrap_or_default() {
        "DescribeStreamSummary" => ok(json!({"StreamDescriptionSummary": {
            "StreamName": "s", "StreamARN": STREAM, "StreamStatus": "UPDATING", "RetentionPeriodHours": 24,
            "StreamModeDetails": {"StreamMode": "PROVISIONED"}, "OpenShardCount": 3,
            "StreamCreationTimestamp": 1_767_268_800.0, "EncryptionType": "KMS", "KeyId": "alias/aws/kinesis",
            "EnhancedMonitoring": [{"ShardLevelMetrics": ["OutgoingBytes", "IncomingBytes"]}]}})),
        "ListTagsForStream" if body["ExclusiveStartTagKey"] == "a" => {
            ok(json!({"Tags": [{"Key": "b", "Value": "2"}], "HasMoreTags": false}))
        }
        "ListTagsForStream" => ok(json!({"Tags": [{"Key": "a", "Value": "1"}], "HasMoreTags": true})),
        "ListStreamConsumers" => ok(json!({"Consumers": [{"ConsumerName": "x", "ConsumerARN": FAN_OUT,
            "ConsumerStatus": "ACTIVE", "ConsumerCreationTimestamp": 1.0}]})),
        "ListTagsForResource" => ok(json!({"Tags": [{"Key": "c", "Value": "3"}]})),
        "DescribeTable" => ok(json!({"Table": {"TableName": "t", "TableArn": "arn:t", "TableStatus": "ACTIVE",
            "BillingModeSummary": {"BillingMode": "PAY_PER_REQUEST"},
            "AttributeDefinitions": [{"AttributeName": "PK", "AttributeType": "S"}],
            "KeySchema": [{"AttributeName": "PK", "KeyType": "HASH"}]}})),
        "DescribeContinuousBackups" => {
            ok(json!({"ContinuousBackupsDescription": {"ContinuousBackupsStatus": "ENABLED",
            "PointInTimeRecoveryDescription": {"PointInTimeRecoveryStatus": "ENABLED"}}}))
        }
        "DescribeTimeToLive" => Answer::Error(400, "UnknownOperationException", ""),
        "ListTagsOfResource" => ok(json!({"Tags": [{"Key": "k", "Value": "v"}]})),
        "DescribeLimits" => Answer::Error(400, "UnknownOperationException", "unsupported"),
        _ => lambda_and_sts(sent),
    }
}

fn lambda_and_sts(sent: &Sent) -> Answer {
    let path = sent.path();
    if path.starts_with("/2015-03-31/functions/f") {
        let function = json!({"FunctionName": "f", "FunctionArn": "arn:f", "Timeout": 15, "MemorySize": 512});
        Answer::Json(200, json!({"Configuration": function, "Concurrency": {"ReservedConcurrentExecutions": 7}}))
    } else if path.starts_with("/2015-03-31/event-source-mappings") {
        let uuid = if path.contains("consumer") { "0" } else { "9" };
        let mapping = json!({"UUID": uuid, "State": "Enabled", "EventSourceMappingArn": format!("arn:m{uuid}")});
        Answer::Json(200, json!({"EventSourceMappings": [mapping]}))
    } else if path.starts_with("/2017-03-31/tags/arn%3Am9") {
        Answer::Json(200, json!({"Tags": {"alleycat.dev/pipeline": "p"}}))
    } else if path.starts_with("/2017-03-31/tags/") {
        Answer::Error(403, "AccessDeniedException", "no")
    } else if path.starts_with("/2016-08-19/account-settings") {
        Answer::Json(200, json!({"AccountLimit": {"ConcurrentExecutions": 1000}}))
    } else {
        Answer::Text(200, CALLER)
    }
}

#[tokio::test(start_paused = true)]
async fn facts_are_what_the_account_holds() {
    let stub = Stub::new(account);
    let aws = stub.connect(Allow::Reads).await;
    let facts = facts(&aws, &pipeline()).await.unwrap();
    assert_eq!((facts.account.as_str(), facts.caller.as_str(), facts.region.as_str()), ("1", "arn:me", "us-east-1"));
    let stream = facts.stream.unwrap();
    assert_eq!(stream.open_shards.get(), 3);
    assert_eq!(stream.tags.into_iter().collect::<Vec<_>>(), [("a".into(), "1".into()), ("b".into(), "2".into())]);
    assert_eq!(stream.encryption_key.as_deref(), Some("alias/aws/kinesis"));
    assert_eq!(stream.shard_level_metrics, ["IncomingBytes", "OutgoingBytes"]);
    assert_eq!(facts.fan_out[0].tags.get("c").map(String::as_str), Some("3"));
    assert_eq!(facts.functions["f"].reserved_concurrency, Some(7));
    let mappings: Vec<(&str, bool)> =
        facts.mappings.iter().map(|mapping| (mapping.uuid.as_str(), mapping.tags.is_empty())).collect();
    assert_eq!(mappings, [("0", true), ("9", false)], "by UUID; tags that may not be read are empty");
    let table = &facts.tables["t"];
    assert!(table.point_in_time_recovery);
    assert_eq!((table.time_to_live.as_deref(), table.capacity.write.get()), (None, 0));
    assert_eq!((facts.account_concurrency, facts.shard_limit), (Some(1000), None));
}

#[tokio::test(start_paused = true)]
async fn an_empty_account_has_no_facts_and_no_metrics_to_ask_for() {
    let stub = Stub::new(|sent| {
        if sent.target.is_empty() && !sent.path().starts_with("/2015-03-31/functions") {
            lambda_and_sts(sent)
        } else {
            Answer::Error(404, "ResourceNotFoundException", "not found")
        }
    });
    let aws = stub.connect(Allow::Reads).await;
    let facts = facts(&aws, &pipeline()).await.unwrap();
    assert!(facts.stream.is_none() && facts.functions.is_empty() && facts.tables.is_empty());
    let signals = signals(&aws, &pipeline(), &facts, &policy(), Scope::Scaling).await.unwrap();
    assert_eq!(signals.metrics_requested, 0);
    assert_eq!(signals.tables["t"].table.consumed_write.freshness, Freshness::Absent);
    assert!(!aws.calls().contains_key("cloudwatch:GetMetricData"));
}

#[tokio::test(start_paused = true)]
async fn a_read_that_fails_for_a_moment_is_read_again_and_one_that_is_denied_is_not() {
    let failures = std::sync::atomic::AtomicU32::new(2);
    let stub = Stub::new(move |sent| {
        let describes = sent.target.ends_with("DescribeStreamSummary");
        let left = std::sync::atomic::Ordering::SeqCst;
        if describes && failures.fetch_update(left, left, |left| left.checked_sub(1)).is_ok() {
            Answer::Error(500, "InternalFailure", "oops")
        } else {
            account(sent)
        }
    });
    let aws = stub.connect(Allow::Reads).await;
    assert!(facts(&aws, &pipeline()).await.is_ok());
    assert_eq!(aws.calls()["kinesis:DescribeStreamSummary"], 3);

    let denied = Stub::new(|sent| {
        let table = sent.target.ends_with("DescribeTable");
        if table { Answer::Error(400, "AccessDeniedException", "no") } else { account(sent) }
    });
    let aws = denied.connect(Allow::Reads).await;
    assert_eq!(facts(&aws, &pipeline()).await.unwrap_err().class, ErrorClass::Denied);
    assert_eq!(aws.calls()["dynamodb:DescribeTable"], 1);
}

/// Answers every query with the same number at 12:02 UTC, the newest expected minute at 12:05:30.
fn metrics(sent: &Sent) -> Answer {
    use ciborium::value::Value as Cbor;
    if !sent.path().ends_with("GetMetricData") {
        return account(sent);
    }
    let text = |text: &str| Cbor::Text(text.to_owned());
    let field = |map: &[(Cbor, Cbor)], name: &str| {
        map.iter().find(|(key, _)| key.as_text() == Some(name)).map(|(_, value)| value.clone()).unwrap()
    };
    let request: Cbor = ciborium::from_reader(sent.body.as_slice()).unwrap();
    let queries = field(request.as_map().unwrap(), "MetricDataQueries");
    let results = queries.as_array().unwrap().iter().map(|query| {
        Cbor::Map(vec![
            (text("Id"), field(query.as_map().unwrap(), "Id")),
            (text("StatusCode"), text("Complete")),
            (text("Timestamps"), Cbor::Array(vec![Cbor::Tag(1, Box::new(1_767_268_920.into()))])),
            (text("Values"), Cbor::Array(vec![Cbor::Float(4.0)])),
        ])
    });
    let answer = Cbor::Map(vec![(text("MetricDataResults"), Cbor::Array(results.collect()))]);
    let mut body = Vec::new();
    ciborium::into_writer(&answer, &mut body).unwrap();
    Answer::Cbor(body)
}

#[tokio::test(start_paused = true)]
async fn all_signals_come_in_one_request_up_to_the_newest_settled_minute() {
    let stub = Stub::new(metrics);
    let aws = stub.connect(Allow::Reads).await;
    let facts = facts(&aws, &pipeline()).await.unwrap();
    let signals = signals(&aws, &pipeline(), &facts, &policy(), Scope::Scaling).await.unwrap();
    assert_eq!(aws.calls()["cloudwatch:GetMetricData"], 1);
    assert_eq!(signals.newest_expected, "2026-01-01T12:02:00Z".parse().unwrap());
    // 6 of the stream, 6 of the function (two statistics of Duration are one), 5 of the table.
    assert_eq!(signals.metrics_requested, 17);
    assert!(signals.stream.get_records.is_fresh());
    assert!(signals.consumers["c"].duration_max_ms.is_fresh());
    assert_eq!(signals.tables["t"].table.read_throttles.at(signals.newest_expected), Some(4.0));
}

#[test]
fn observations_and_steps_may_run_on_any_thread() {
    fn is_send<T: Send>(_: impl FnOnce() -> T) {}
    fn futures(aws: &crate::aws::Aws, facts_seen: &crate::model::Facts, step: &crate::plan::Step) {
        let (pipeline, policy) = (pipeline(), policy());
        is_send(|| facts(aws, &pipeline));
        is_send(|| signals(aws, &pipeline, facts_seen, &policy, Scope::Scaling));
        is_send(|| aws.execute(step, facts_seen));
    }
    let _ = futures;
}
