//! What leaves for AWS, what the gate keeps back, and what AWS's answers become: through the real SDK clients
//! and a stub below them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    Access, Allow, MetricQuery, OPERATIONS, Statistic,
    testing::{Answer, Sent, Stub, no_facts},
};
use crate::{
    model::{
        BatchSize, BillingMode, Bounds, CapacityUnits, ErrorClass, Hours, LifecycleStatus, MappingState,
        ParallelizationFactor, ShardCount, StreamFacts, StreamMode,
    },
    plan::{CapacityChange, IndexCapacityChange, MappingChange, NewIndex, NewMapping, NewTable, Step},
    spec::{
        AdoptionPolicy, DeletionPolicy, GlobalIndexSpec, KeyAttribute, LocalIndexSpec, Projection, StartingPosition,
        TableSpec,
    },
};

const STREAM_ARN: &str = "arn:aws:kinesis:us-east-1:123456789012:stream/s";
const CONSUMER_ARN: &str = "arn:aws:kinesis:us-east-2:123456789012:stream/s/consumer/c:1";

fn tags() -> BTreeMap<String, String> {
    BTreeMap::from([("alleycat.dev/pipeline".to_owned(), "p".to_owned())])
}

fn key(name: &str, kind: &str) -> KeyAttribute {
    KeyAttribute { name: name.to_owned(), kind: kind.to_owned() }
}

fn units(initial: u64) -> Bounds<CapacityUnits> {
    Bounds { min: CapacityUnits(1), max: CapacityUnits(100), initial: CapacityUnits(initial) }
}

fn index() -> GlobalIndexSpec {
    GlobalIndexSpec {
        name: "g".to_owned(),
        partition_key: key("GSI", "N"),
        sort_key: Some(key("SK", "S")),
        projection: Projection::Include(vec!["a".to_owned()]),
        write_capacity: units(10),
        read_capacity: units(11),
    }
}

fn new_table(billing_mode: BillingMode) -> NewTable {
    let spec = TableSpec {
        name: "t".to_owned(),
        billing_mode: billing_mode.into(),
        partition_key: key("PK", "S"),
        sort_key: Some(key("SK", "S")),
        write_capacity: units(20),
        read_capacity: units(21),
        global_secondary_indexes: vec![index()],
        local_secondary_indexes: vec![LocalIndexSpec {
            name: "l".to_owned(),
            sort_key: key("GSI", "N"),
            projection: Projection::All,
        }],
        stream_view_type: Some("NEW_AND_OLD_IMAGES".to_owned()),
        time_to_live: None,
        point_in_time_recovery: true,
        deletion_protection: true,
        adoption_policy: AdoptionPolicy::Refuse,
        deletion_policy: DeletionPolicy::Retain,
    };
    NewTable { spec, tags: tags() }
}

fn new_mapping() -> NewMapping {
    NewMapping {
        consumer: "c".to_owned(),
        function: "f:live".to_owned(),
        source_arn: None,
        fan_out_consumer: None,
        starting_position: StartingPosition::TrimHorizon,
        settings: MappingChange {
            batch_size: Some(BatchSize(1000)),
            parallelization_factor: Some(ParallelizationFactor(2)),
            on_failure: Some(String::new()),
            filter_criteria: Some(vec![]),
            ..MappingChange::default()
        },
        kms_key_arn: None,
        metrics: Vec::new(),
        tags: tags(),
    }
}

fn mapping_change() -> MappingChange {
    MappingChange {
        consumer: "c".to_owned(),
        uuid: "u".to_owned(),
        parallelization_factor: Some(ParallelizationFactor(4)),
        ..MappingChange::default()
    }
}

fn every_step() -> Vec<Step> {
    let (s, t, c) = (|| "s".to_owned(), || "t".to_owned(), || "c".to_owned());
    let capacity = Some((CapacityUnits(20), CapacityUnits(100)));
    vec![
        Step::CreateStream { stream: s(), shards: ShardCount(1), tags: tags() },
        Step::TagStream { stream: s(), tags: tags() },
        Step::IncreaseRetention { stream: s(), retention: Hours(48) },
        Step::DecreaseRetention { stream: s(), retention: Hours(24) },
        Step::UpdateShardCount { stream: s(), from: ShardCount(1), to: ShardCount(2) },
        Step::SplitShard {
            stream: s(),
            shard: "shardId-000000000000".into(),
            new_hash_key: "7".into(),
            to: ShardCount(2),
        },
        Step::UpdateStreamMode { stream: s(), to: StreamMode::OnDemand },
        Step::RegisterStreamConsumer { stream: s(), consumer: c(), tags: tags() },
        Step::TagStreamConsumer { stream: s(), consumer: c(), arn: CONSUMER_ARN.to_owned(), tags: tags() },
        Step::DeregisterStreamConsumer { stream: s(), consumer: c(), arn: CONSUMER_ARN.to_owned() },
        Step::DeleteStream { stream: s() },
        Step::CreateTable(Box::new(new_table(BillingMode::Provisioned))),
        Step::UpdateCapacity(CapacityChange { table: t(), capacity, indexes: vec![] }),
        Step::UpdateBillingMode {
            to: BillingMode::Provisioned,
            capacity: CapacityChange { table: t(), capacity, indexes: vec![] },
        },
        Step::CreateIndex { table: t(), index: NewIndex { spec: index(), provisioned: true } },
        Step::UpdateTableStream { table: t(), view_type: None },
        Step::UpdateDeletionProtection { table: t(), enabled: false },
        Step::UpdatePointInTimeRecovery { table: t(), enabled: true },
        Step::UpdateTimeToLive { table: t(), attribute: "ttl".to_owned(), enabled: true },
        Step::TagTable { table: t(), arn: "arn:t".to_owned(), tags: tags() },
        Step::DeleteTable { table: t() },
        Step::CreateMapping(Box::new(new_mapping())),
        Step::UpdateMapping(Box::new(mapping_change())),
        Step::TagMapping { consumer: c(), arn: "arn:m".to_owned(), tags: tags() },
        Step::DeleteMapping { consumer: c(), uuid: "u".to_owned() },
    ]
}

fn facts_with_stream() -> crate::model::Facts {
    let mut facts = no_facts();
    facts.stream = Some(StreamFacts {
        name: "s".to_owned(),
        arn: STREAM_ARN.to_owned(),
        status: LifecycleStatus::Active,
        mode: StreamMode::Provisioned,
        open_shards: ShardCount(1),
        shards: Vec::new(),
        retention: Hours(24),
        encryption_key: None,
        shard_level_metrics: vec![],
        created_at: None,
        tags: tags(),
    });
    facts
}

fn table_description() -> Value {
    json!({ "Table": {
        "TableName": "t", "TableArn": "arn:t", "TableStatus": "ACTIVE",
        "AttributeDefinitions": [
            {"AttributeName": "PK", "AttributeType": "S"}, {"AttributeName": "SK", "AttributeType": "S"},
            {"AttributeName": "GSI", "AttributeType": "N"}],
        "KeySchema": [{"AttributeName": "PK", "KeyType": "HASH"}, {"AttributeName": "SK", "KeyType": "RANGE"}],
        "ProvisionedThroughput": {"ReadCapacityUnits": 20, "WriteCapacityUnits": 30, "NumberOfDecreasesToday": 2,
            "LastDecreaseDateTime": 1_767_268_800.0},
        "StreamSpecification": {"StreamEnabled": true, "StreamViewType": "KEYS_ONLY"},
        "GlobalSecondaryIndexes": [{"IndexName": "g", "IndexStatus": "UPDATING",
            "KeySchema": [{"AttributeName": "GSI", "KeyType": "HASH"}],
            "ProvisionedThroughput": {"ReadCapacityUnits": 5, "WriteCapacityUnits": 6, "NumberOfDecreasesToday": 0}}],
    }})
}

/// Answers every read and write with something the SDK can parse.
fn content(sent: &Sent) -> Answer {
    match sent.target.as_str() {
        "DynamoDB_20120810.DescribeTable" => Answer::Json(200, table_description()),
        "Kinesis_20131202.UpdateShardCount" => {
            Answer::Json(200, json!({"StreamName": "s", "CurrentShardCount": 1, "TargetShardCount": 2}))
        }
        "Kinesis_20131202.RegisterStreamConsumer" => Answer::Json(
            200,
            json!({"Consumer": {"ConsumerName": "c", "ConsumerARN": "a", "ConsumerStatus": "CREATING",
                "ConsumerCreationTimestamp": 1.0}}),
        ),
        "" if sent.path().contains("event-source-mappings") => Answer::Json(202, json!({"UUID": "u"})),
        _ => Answer::Json(200, json!({})),
    }
}

async fn send(step: &Step) -> Sent {
    let stub = Stub::new(content);
    let mut last = None;
    for allow in [Allow::Apply, Allow::Destroy] {
        let aws = stub.connect(allow).await;
        let outcome = aws.execute(step, &facts_with_stream()).await;
        if outcome.as_ref().is_err_and(|failure| failure.class == ErrorClass::Forbidden) {
            continue;
        }
        outcome.unwrap();
        last = stub.sent().pop();
        break;
    }
    last.expect("no run allows this step")
}

#[tokio::test(start_paused = true)]
async fn a_run_that_only_reads_sends_no_step() {
    let stub = Stub::new(content);
    let aws = stub.connect(Allow::Reads).await;
    for step in every_step() {
        let failure = aws.execute(&step, &facts_with_stream()).await.unwrap_err();
        assert_eq!(failure.class, ErrorClass::Forbidden, "{step:?}: {failure}");
    }
    let reads = ["DynamoDB_20120810.DescribeTable"];
    assert!(stub.sent().iter().all(|sent| reads.contains(&sent.target.as_str())), "{:?}", stub.sent());
    assert_eq!(aws.calls().into_keys().collect::<Vec<_>>(), ["dynamodb:DescribeTable"]);
}

#[tokio::test(start_paused = true)]
async fn each_step_is_exactly_one_mutating_call_that_the_table_knows() {
    let mut seen = std::collections::BTreeSet::new();
    for step in every_step() {
        let stub = Stub::new(content);
        let mut mutating = 0;
        for allow in [Allow::Apply, Allow::Destroy, Allow::Autoscale] {
            let aws = stub.connect(allow).await;
            let _ = aws.execute(&step, &facts_with_stream()).await;
            for (call, times) in aws.calls() {
                let operation =
                    OPERATIONS.iter().find(|operation| format!("{}:{}", operation.service, operation.name) == call);
                let operation = operation.unwrap();
                if operation.access == Access::Write {
                    mutating += times;
                    seen.insert(call);
                }
            }
            if mutating > 0 {
                break;
            }
        }
        assert_eq!(mutating, 1, "{step:?}");
    }
    let writes: std::collections::BTreeSet<String> = OPERATIONS
        .iter()
        .filter(|operation| operation.access == Access::Write)
        .map(|operation| format!("{}:{}", operation.service, operation.name))
        .collect();
    assert_eq!(seen, writes, "the table names writes that no step makes");
}

#[tokio::test(start_paused = true)]
async fn autoscaling_creates_and_deletes_nothing_but_what_a_move_to_fan_out_needs() {
    let stub = Stub::new(content);
    let aws = stub.connect(Allow::Autoscale).await;
    for step in every_step() {
        let _ = aws.execute(&step, &facts_with_stream()).await;
    }
    let sent: Vec<String> = aws.calls().into_keys().collect();
    assert_eq!(
        sent,
        [
            "dynamodb:DescribeTable",
            "dynamodb:UpdateTable",
            "kinesis:AddTagsToStream",
            "kinesis:DeregisterStreamConsumer",
            "kinesis:IncreaseStreamRetentionPeriod",
            "kinesis:RegisterStreamConsumer",
            "kinesis:SplitShard",
            "kinesis:TagResource",
            "kinesis:UpdateShardCount",
            "kinesis:UpdateStreamMode",
            "lambda:CreateEventSourceMapping",
            "lambda:DeleteEventSourceMapping",
            "lambda:UpdateEventSourceMapping"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn kinesis_requests_are_what_aws_expects() {
    let sent = send(&Step::CreateStream { stream: "s".into(), shards: ShardCount(3), tags: tags() }).await;
    assert_eq!(sent.target, "Kinesis_20131202.CreateStream");
    assert_eq!(
        sent.json(),
        json!({"StreamName": "s", "ShardCount": 3, "StreamModeDetails": {"StreamMode": "PROVISIONED"},
            "Tags": {"alleycat.dev/pipeline": "p"}})
    );
    let sent = send(&Step::UpdateShardCount { stream: "s".into(), from: ShardCount(1), to: ShardCount(2) }).await;
    assert_eq!(sent.target, "Kinesis_20131202.UpdateShardCount");
    assert_eq!(sent.json(), json!({"StreamName": "s", "TargetShardCount": 2, "ScalingType": "UNIFORM_SCALING"}));
    let (stream, consumer) = (|| "s".to_owned(), || "c".to_owned());
    let sent = send(&Step::RegisterStreamConsumer { stream: stream(), consumer: consumer(), tags: tags() }).await;
    assert_eq!(
        sent.json(),
        json!({"StreamARN": STREAM_ARN, "ConsumerName": "c", "Tags": {"alleycat.dev/pipeline": "p"}})
    );
    let arn = CONSUMER_ARN.to_owned();
    let sent = send(&Step::TagStreamConsumer { stream: stream(), consumer: consumer(), arn, tags: tags() }).await;
    assert_eq!(sent.target, "Kinesis_20131202.TagResource");
    assert_eq!(sent.json(), json!({"ResourceARN": CONSUMER_ARN, "Tags": {"alleycat.dev/pipeline": "p"}}));
    let arn = CONSUMER_ARN.to_owned();
    let sent = send(&Step::DeregisterStreamConsumer { stream: stream(), consumer: consumer(), arn }).await;
    assert_eq!(sent.target, "Kinesis_20131202.DeregisterStreamConsumer");
    assert_eq!(sent.json(), json!({"ConsumerARN": CONSUMER_ARN}));
}

#[tokio::test(start_paused = true)]
async fn lambda_requests_are_what_aws_expects() {
    let sent = send(&Step::CreateMapping(Box::new(new_mapping()))).await;
    assert_eq!((sent.method.as_str(), sent.path()), ("POST", "/2015-03-31/event-source-mappings"));
    assert_eq!(
        sent.json(),
        json!({"FunctionName": "f:live", "EventSourceArn": STREAM_ARN, "StartingPosition": "TRIM_HORIZON",
            "BatchSize": 1000, "ParallelizationFactor": 2, "Tags": {"alleycat.dev/pipeline": "p"}})
    );
    let key = "arn:aws:kms:us-east-1:123456789012:key/k".to_owned();
    let counted =
        NewMapping { kms_key_arn: Some(key.clone()), metrics: vec!["EventCount".to_owned()], ..new_mapping() };
    let sent = send(&Step::CreateMapping(Box::new(counted))).await.json();
    assert_eq!((&sent["KMSKeyArn"], &sent["MetricsConfig"]), (&json!(key), &json!({"Metrics": ["EventCount"]})));
    let sent = send(&Step::UpdateMapping(Box::new(mapping_change()))).await;
    assert_eq!((sent.method.as_str(), sent.path()), ("PUT", "/2015-03-31/event-source-mappings/u"));
    assert_eq!(sent.json(), json!({"ParallelizationFactor": 4}));
    let clearing = MappingChange {
        uuid: "u".into(),
        on_failure: Some(String::new()),
        filter_criteria: Some(vec![]),
        report_batch_item_failures: Some(false),
        enabled: Some(false),
        ..MappingChange::default()
    };
    let sent = send(&Step::UpdateMapping(Box::new(clearing))).await;
    assert_eq!(
        sent.json(),
        json!({"DestinationConfig": {"OnFailure": {"Destination": ""}}, "FilterCriteria": {},
            "FunctionResponseTypes": [], "Enabled": false})
    );
}

#[tokio::test(start_paused = true)]
async fn dynamodb_requests_are_what_aws_expects() {
    let sent = send(&Step::CreateTable(Box::new(new_table(BillingMode::Provisioned)))).await;
    assert_eq!(sent.target, "DynamoDB_20120810.CreateTable");
    let body = sent.json();
    assert_eq!(
        body["AttributeDefinitions"],
        json!([{"AttributeName": "GSI", "AttributeType": "N"}, {"AttributeName": "PK", "AttributeType": "S"},
            {"AttributeName": "SK", "AttributeType": "S"}])
    );
    assert_eq!(body["BillingMode"], "PROVISIONED");
    assert_eq!(body["ProvisionedThroughput"], json!({"ReadCapacityUnits": 21, "WriteCapacityUnits": 20}));
    assert_eq!(
        body["GlobalSecondaryIndexes"],
        json!([{"IndexName": "g", "KeySchema": [{"AttributeName": "GSI", "KeyType": "HASH"},
            {"AttributeName": "SK", "KeyType": "RANGE"}],
            "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["a"]},
            "ProvisionedThroughput": {"ReadCapacityUnits": 11, "WriteCapacityUnits": 10}}])
    );
    assert_eq!(body["LocalSecondaryIndexes"][0]["KeySchema"][0]["AttributeName"], "PK");
    assert_eq!(body["StreamSpecification"], json!({"StreamEnabled": true, "StreamViewType": "NEW_AND_OLD_IMAGES"}));
    assert_eq!(body["DeletionProtectionEnabled"], true);
    assert_eq!(body["Tags"], json!([{"Key": "alleycat.dev/pipeline", "Value": "p"}]));

    let body = send(&Step::CreateTable(Box::new(new_table(BillingMode::OnDemand)))).await.json();
    assert_eq!(body["BillingMode"], "PAY_PER_REQUEST");
    assert_eq!(body["ProvisionedThroughput"], Value::Null);
    assert_eq!(body["GlobalSecondaryIndexes"][0]["ProvisionedThroughput"], Value::Null);
}

#[tokio::test(start_paused = true)]
async fn a_capacity_change_leaves_out_what_is_live_already() {
    // Live: table 20/30, index 5/6 (see `table_description`).
    let index = |read, write| IndexCapacityChange {
        index: "g".to_owned(),
        read: CapacityUnits(read),
        write: CapacityUnits(write),
    };
    let change = CapacityChange {
        table: "t".to_owned(),
        capacity: Some((CapacityUnits(20), CapacityUnits(30))),
        indexes: vec![index(5, 60)],
    };
    let sent = send(&Step::UpdateCapacity(change.clone())).await;
    assert_eq!(
        sent.json(),
        json!({"TableName": "t", "GlobalSecondaryIndexUpdates": [{"Update": {"IndexName": "g",
            "ProvisionedThroughput": {"ReadCapacityUnits": 5, "WriteCapacityUnits": 60}}}]})
    );
    let stub = Stub::new(content);
    let aws = stub.connect(Allow::Apply).await;
    let nothing = Step::UpdateCapacity(CapacityChange { indexes: vec![index(5, 6)], ..change });
    let failure = aws.execute(&nothing, &no_facts()).await.unwrap_err();
    assert_eq!(failure.class, ErrorClass::NoChange);
    assert!(!aws.calls().contains_key("dynamodb:UpdateTable"));
}

#[tokio::test(start_paused = true)]
async fn a_mapping_without_its_stream_is_not_sent() {
    let aws = Stub::new(content).connect(Allow::Apply).await;
    let failure = aws.execute(&Step::CreateMapping(Box::new(new_mapping())), &no_facts()).await.unwrap_err();
    assert_eq!((failure.class, failure.code.as_str()), (ErrorClass::NotFound, "StreamMissing"));
    assert!(aws.calls().is_empty());
}

#[tokio::test(start_paused = true)]
async fn failures_carry_class_code_text_and_request_id() {
    let cases = [
        (
            Answer::Error(400, "LimitExceededException", "cannot scale up over double your current open shard count"),
            ErrorClass::Invalid,
            Some("req-1"),
        ),
        (Answer::Error(400, "LimitExceededException", "a limit"), ErrorClass::QuotaExhausted, Some("req-1")),
        (Answer::Error(400, "ResourceInUseException", "not ACTIVE"), ErrorClass::InUse, Some("req-1")),
        (Answer::Error(500, "InternalFailure", "oops"), ErrorClass::ServerError, Some("req-1")),
        (Answer::Error(400, "ExpiredTokenException", "expired"), ErrorClass::Denied, Some("req-1")),
        (Answer::Text(503, "<html>busy</html>"), ErrorClass::ServerError, None),
        (Answer::Broken, ErrorClass::Unreachable, None),
    ];
    for (answer, class, request_id) in cases {
        let described = format!("{answer:?}");
        let stub = Stub::new(move |_| answer.clone());
        let aws = stub.connect(Allow::Autoscale).await;
        let step = Step::UpdateShardCount { stream: "s".into(), from: ShardCount(1), to: ShardCount(2) };
        let failure = aws.execute(&step, &facts_with_stream()).await.unwrap_err();
        assert_eq!(failure.class, class, "{described} → {failure}");
        assert_eq!(failure.request_id.as_deref(), request_id, "{described}");
        assert_eq!(failure.operation, "kinesis:UpdateShardCount");
        assert_eq!(failure.resource, "stream/s");
        assert_eq!(stub.sent().len(), 1, "{described}: a mutating call is never repeated");
    }
}

#[tokio::test(start_paused = true)]
async fn lambda_and_dynamodb_errors_are_read_too() {
    let exists = "The event source arn (\" a \") and function (\" f \") provided mapping already exists.";
    let stub = Stub::new(move |_| Answer::Error(409, "ResourceConflictException", exists));
    let failure = stub.connect(Allow::Apply).await;
    let failure =
        failure.execute(&Step::CreateMapping(Box::new(new_mapping())), &facts_with_stream()).await.unwrap_err();
    assert_eq!((failure.class, failure.code.as_str()), (ErrorClass::AlreadyExists, "ResourceConflictException"));

    let code = "com.amazonaws.dynamodb.v20120810#LimitExceededException";
    let text = "Subscriber limit exceeded: Provisioned throughput decreases are limited within a given UTC day.";
    let stub = Stub::new(move |_| Answer::Error(400, code, text));
    let step = Step::UpdateDeletionProtection { table: "t".into(), enabled: true };
    let failure = stub.connect(Allow::Apply).await.execute(&step, &no_facts()).await.unwrap_err();
    assert_eq!((failure.class, failure.code.as_str()), (ErrorClass::QuotaExhausted, "LimitExceededException"));
}

#[tokio::test(start_paused = true)]
async fn a_table_is_read_with_its_keys_and_decrease_budget() {
    let aws = Stub::new(content).connect(Allow::Reads).await;
    let table = aws.table("t").await.unwrap().unwrap();
    assert_eq!(table.billing_mode, BillingMode::Provisioned);
    assert_eq!((table.partition_key.as_str(), table.sort_key.as_deref()), ("PK:S", Some("SK:S")));
    assert_eq!(table.capacity.decreases_today, 2);
    assert_eq!(table.capacity.last_decrease, Some("2026-01-01T12:00:00Z".parse().unwrap()));
    assert_eq!(table.stream_view_type.as_deref(), Some("KEYS_ONLY"));
    assert_eq!(table.global_secondary_indexes["g"].status, LifecycleStatus::Updating);
    assert!(!table.is_settled());
}

#[tokio::test(start_paused = true)]
async fn mappings_are_read_page_by_page_with_defaults() {
    let aws = Stub::new(|sent: &Sent| {
        if sent.path().contains("Marker=next") {
            Answer::Json(200, json!({"EventSourceMappings": [{"UUID": "2", "State": "Updating", "BatchSize": 7}]}))
        } else {
            let first = json!({"UUID": "1", "State": "Enabled", "FunctionArn": "f", "EventSourceArn": STREAM_ARN,
                "ParallelizationFactor": 3, "StartingPosition": "LATEST",
                "FunctionResponseTypes": ["ReportBatchItemFailures"],
                "DestinationConfig": {"OnFailure": {"Destination": "arn:q"}}});
            Answer::Json(200, json!({"EventSourceMappings": [first], "NextMarker": "next"}))
        }
    });
    let mappings = aws.connect(Allow::Reads).await.mappings(STREAM_ARN).await.unwrap();
    assert_eq!(mappings.len(), 2);
    assert_eq!((mappings[0].state, mappings[1].state), (MappingState::Enabled, MappingState::Updating));
    assert_eq!(
        (mappings[0].batch_size, mappings[0].parallelization_factor),
        (BatchSize(100), ParallelizationFactor(3))
    );
    assert!(mappings[0].report_batch_item_failures);
    assert_eq!(mappings[0].on_failure.as_deref(), Some("arn:q"));
    assert_eq!(mappings[0].maximum_retry_attempts, -1);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_does_not_exist_is_no_failure() {
    let stub = Stub::new(|_| Answer::Error(400, "ResourceNotFoundException", "Stream s under account 1 not found."));
    assert_eq!(stub.connect(Allow::Reads).await.stream("s").await, Ok(None));
}

fn metric_answer(status: &str, values: &[f64]) -> Answer {
    use ciborium::value::Value as Cbor;
    let text = |text: &str| Cbor::Text(text.to_owned());
    let start: Timestamp = "2026-01-01T12:00:00Z".parse().unwrap();
    let moments = (0..values.len() as i64).map(|at| Cbor::Tag(1, Box::new((start.as_second() + 60 * at).into())));
    let result = Cbor::Map(vec![
        (text("Id"), text("m0")),
        (text("StatusCode"), text(status)),
        (text("Timestamps"), Cbor::Array(moments.collect())),
        (text("Values"), Cbor::Array(values.iter().map(|value| Cbor::Float(*value)).collect())),
    ]);
    let mut body = Vec::new();
    let answer = Cbor::Map(vec![(text("MetricDataResults"), Cbor::Array(vec![result]))]);
    ciborium::into_writer(&answer, &mut body).unwrap();
    Answer::Cbor(body)
}

fn query() -> MetricQuery {
    MetricQuery {
        namespace: "AWS/Kinesis",
        metric: "IncomingRecords",
        dimensions: vec![("StreamName", "s".to_owned())],
        statistic: Statistic::Sum,
    }
}

#[tokio::test(start_paused = true)]
async fn metrics_are_finite_and_complete_or_a_failure() {
    let start: Timestamp = "2026-01-01T12:00:00Z".parse().unwrap();
    let end: Timestamp = "2026-01-01T12:03:00Z".parse().unwrap();
    let stub = Stub::new(|_| metric_answer("Complete", &[5.0, f64::NAN, 7.0, 9.0]));
    let aws = stub.connect(Allow::Reads).await;
    let answers = aws.metrics(&[query()], 60, start, end).await.unwrap();
    let values: Vec<f64> = answers[0].iter().map(|point| point.value).collect();
    assert_eq!(values, [5.0, 7.0], "NaN and the point after the window are dropped");
    let sent = &stub.sent()[0];
    assert_eq!(sent.path(), "/service/GraniteServiceVersion20100801/operation/GetMetricData");
    assert_eq!(aws.calls(), BTreeMap::from([("cloudwatch:GetMetricData".to_owned(), 1)]));

    let partial = Stub::new(|_| metric_answer("PartialData", &[5.0])).connect(Allow::Reads).await;
    let failure = partial.metrics(&[query()], 60, start, end).await.unwrap_err();
    assert_eq!((failure.class, failure.code.as_str()), (ErrorClass::ServerError, "PartialData"));
}

#[tokio::test(start_paused = true)]
async fn the_caller_is_named() {
    let stub = Stub::new(|_| {
        Answer::Text(
            200,
            "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult>\
             <Arn>arn:aws:iam::123456789012:user/a</Arn><UserId>U</UserId><Account>123456789012</Account>\
             </GetCallerIdentityResult></GetCallerIdentityResponse>",
        )
    });
    let identity = stub.connect(Allow::Reads).await.identity().await.unwrap();
    assert_eq!(
        (identity.account.as_str(), identity.arn.as_str()),
        ("123456789012", "arn:aws:iam::123456789012:user/a")
    );
}
