//! What ministack cannot do, by name. Each is the reason for something in the wire check, or for a rule that
//! only the twin can test. A failure here is good news: the emulator has learnt it.

use aws_sdk_cloudwatch::types::{Dimension, Metric, MetricDataQuery, MetricStat, ScanBy};
use aws_sdk_dynamodb::types::{
    AttributeDefinition, KeySchemaElement, KeyType, ProvisionedThroughput, ScalarAttributeType,
};
use aws_sdk_kinesis::{error::ProvideErrorMetadata, primitives::Blob};
use aws_sdk_lambda::types::EventSourcePosition;

use super::{ministack::Ministack, seed};

#[tokio::test]
async fn what_ministack_cannot_do() {
    let Some(aws) = Ministack::start("the list of what ministack cannot do").await else { return };
    create_stream_forgets_its_tags(&aws).await;
    update_shard_count_has_no_rules(&aws).await;
    describe_limits_is_unknown(&aws).await;
    mappings_forget_settings_and_repeat(&aws).await;
    throughput_decreases_are_not_counted(&aws).await;
    no_metric_is_published(&aws).await;
    metric_data_comes_in_one_order_only(&aws).await;
}

/// Therefore the spec of the wire check adopts its stream.
async fn create_stream_forgets_its_tags(aws: &Ministack) {
    let kinesis = aws.kinesis();
    kinesis.create_stream().stream_name("limits").shard_count(1).tags("team", "racing").send().await.unwrap();
    let tags = kinesis.list_tags_for_stream().stream_name("limits").send().await.unwrap();
    assert!(tags.tags().is_empty(), "CreateStream keeps its tags now: the spec may say adoptionPolicy: refuse");
}

/// Twice at most, half at least, ten calls in 24 hours, UPDATING in between: only the twin refuses.
async fn update_shard_count_has_no_rules(aws: &Ministack) {
    let kinesis = aws.kinesis();
    for target in [8, 1, 9, 1, 9, 1, 9, 1, 9, 1, 9] {
        let call = kinesis.update_shard_count().stream_name("limits").target_shard_count(target);
        call.scaling_type(aws_sdk_kinesis::types::ScalingType::UniformScaling).send().await.unwrap();
        let answer = kinesis.describe_stream_summary().stream_name("limits").send().await.unwrap();
        let summary = answer.stream_description_summary.unwrap();
        assert_eq!(summary.stream_status().as_str(), "ACTIVE", "streams are UPDATING for a while now");
        assert_eq!(summary.open_shard_count(), target);
    }
}

/// The operator must do without the account's shard limit.
async fn describe_limits_is_unknown(aws: &Ministack) {
    let refused = aws.kinesis().describe_limits().send().await.expect_err("DescribeLimits is known now");
    assert_eq!(refused.code(), Some("InvalidAction"));
}

/// Therefore the spec of the wire check has no tumbling window and no starting timestamp.
async fn mappings_forget_settings_and_repeat(aws: &Ministack) {
    aws.create_function("limits").await;
    let stream = "arn:aws:kinesis:us-east-1:000000000000:stream/limits";
    let create = || aws.lambda().create_event_source_mapping().function_name("limits").event_source_arn(stream);
    let first = create()
        .starting_position(EventSourcePosition::AtTimestamp)
        .starting_position_timestamp(aws_sdk_lambda::primitives::DateTime::from_secs(seed::now_seconds() - 60))
        .tumbling_window_in_seconds(30)
        .send()
        .await
        .unwrap();
    assert_eq!(first.tumbling_window_in_seconds(), None, "TumblingWindowInSeconds is kept now");
    assert_eq!(first.starting_position_timestamp(), None, "StartingPositionTimestamp is kept now");
    assert_eq!(first.state(), Some("Enabled"), "mappings are Creating for a while now");
    let second = create().starting_position(EventSourcePosition::Latest).send().await;
    assert!(second.is_ok(), "a second mapping of one function and stream is refused now");
    let lost = create().event_source_arn(format!("{stream}/consumer/fast:1")).send().await;
    assert!(lost.is_err(), "a fan-out consumer can be a source now");
}

/// The budget of decreases is the twin's to test.
async fn throughput_decreases_are_not_counted(aws: &Ministack) {
    let dynamodb = aws.dynamodb();
    let throughput = |units| {
        ProvisionedThroughput::builder().read_capacity_units(units).write_capacity_units(units).build().unwrap()
    };
    let key = AttributeDefinition::builder().attribute_name("PK").attribute_type(ScalarAttributeType::S);
    let hash = KeySchemaElement::builder().attribute_name("PK").key_type(KeyType::Hash);
    let create = dynamodb.create_table().table_name("limits").provisioned_throughput(throughput(20));
    let create = create.attribute_definitions(key.build().unwrap()).key_schema(hash.build().unwrap());
    create.send().await.unwrap();
    for units in (10..20).rev() {
        dynamodb.update_table().table_name("limits").provisioned_throughput(throughput(units)).send().await.unwrap();
    }
    let table = dynamodb.describe_table().table_name("limits").send().await.unwrap().table.unwrap();
    let decreases = table.provisioned_throughput().unwrap().number_of_decreases_today();
    assert!(decreases.is_none_or(|count| count == 0), "decreases are counted now");
}

/// Therefore the wire check puts the metrics itself.
async fn no_metric_is_published(aws: &Ministack) {
    let put = aws.kinesis().put_record().stream_name("limits").partition_key("a").data(Blob::new(b"{}".to_vec()));
    put.send().await.unwrap();
    let query = query("IncomingRecords");
    let now = seed::now_seconds();
    let time = aws_sdk_cloudwatch::primitives::DateTime::from_secs;
    let ask = aws.cloudwatch().get_metric_data().metric_data_queries(query);
    let answer = ask.start_time(time(now - 600)).end_time(time(now + 60)).send().await.unwrap();
    assert!(answer.metric_data_results()[0].values().is_empty(), "the stream's metrics are published now");
}

/// Therefore nothing may lean on the order of points.
async fn metric_data_comes_in_one_order_only(aws: &Ministack) {
    let load = seed::Load { records: 60.0, rejected: 0.0, invocations: 1.0, table_writes: 1.0, index_writes: 1.0 };
    seed::put(&aws.cloudwatch(), &load).await;
    let now = seed::now_seconds();
    let time = aws_sdk_cloudwatch::primitives::DateTime::from_secs;
    let mut query = query("IncomingRecords");
    if let Some(metric) = query.metric_stat.as_mut().and_then(|stat| stat.metric.as_mut()) {
        metric.dimensions = Some(vec![Dimension::builder().name("StreamName").value("wire-stream").build()]);
    }
    let ask = aws.cloudwatch().get_metric_data().metric_data_queries(query).scan_by(ScanBy::TimestampDescending);
    let answer = ask.start_time(time(now - 600)).end_time(time(now)).send().await.unwrap();
    let times: Vec<i64> = answer.metric_data_results()[0]
        .timestamps()
        .iter()
        .map(aws_sdk_cloudwatch::primitives::DateTime::secs)
        .collect();
    assert!(times.len() >= 5, "{times:?}");
    assert!(times.is_sorted(), "ScanBy is heeded now: {times:?}");
}

fn query(metric: &str) -> MetricDataQuery {
    let dimension = Dimension::builder().name("StreamName").value("limits").build();
    let metric = Metric::builder().namespace("AWS/Kinesis").metric_name(metric).dimensions(dimension).build();
    let stat = MetricStat::builder().metric(metric).period(60).stat("Sum").build();
    MetricDataQuery::builder().id("q").metric_stat(stat).build()
}
