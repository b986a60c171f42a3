//! Metrics of a pipeline under load, put where AWS itself would publish them. AWS refuses this in its own
//! namespaces; the emulator does not, and it publishes none itself.

use aws_sdk_cloudwatch::{
    Client,
    primitives::DateTime,
    types::{Dimension, MetricDatum, StatisticSet},
};

/// Minutes of history, up to the running one.
const MINUTES: i64 = 40;

/// A steady load, per minute.
pub struct Load {
    /// Records accepted by the stream.
    pub records: f64,
    /// Records rejected by the stream, beside the accepted ones.
    pub rejected: f64,
    /// Invocations of the consumer.
    pub invocations: f64,
    /// Write units consumed on the table.
    pub table_writes: f64,
    /// Write units consumed on its index.
    pub index_writes: f64,
}

/// Puts `load` into every minute of the last [`MINUTES`].
pub async fn put(client: &Client, load: &Load) {
    let stream = [dimension("StreamName", "wire-stream")];
    let function = [dimension("FunctionName", "wire-leaderboard")];
    let table = [dimension("TableName", "wire-races")];
    let index = [dimension("TableName", "wire-races"), dimension("GlobalSecondaryIndexName", "GSI_Index")];

    let mut kinesis = series("IncomingRecords", &stream, load.records);
    kinesis.extend(series("IncomingBytes", &stream, load.records * 200.0));
    kinesis.extend(series("WriteProvisionedThroughputExceeded", &stream, load.rejected));
    kinesis.extend(series("GetRecords.Records", &stream, load.records));
    kinesis.extend(series("GetRecords.IteratorAgeMilliseconds", &stream, 0.0));
    send(client, "AWS/Kinesis", kinesis).await;

    let mut lambda = series("Invocations", &function, load.invocations);
    lambda.extend(series("Errors", &function, 0.0));
    lambda.extend(series("Throttles", &function, 0.0));
    lambda.extend(series("IteratorAge", &function, 200.0));
    lambda.extend(series("ConcurrentExecutions", &function, 1.0));
    lambda.extend(durations(&function, load.invocations));
    send(client, "AWS/Lambda", lambda).await;

    let mut dynamodb = series("ConsumedWriteCapacityUnits", &table, load.table_writes);
    dynamodb.extend(series("ConsumedReadCapacityUnits", &table, 60.0));
    dynamodb.extend(series("ConsumedWriteCapacityUnits", &index, load.index_writes));
    dynamodb.extend(series("ConsumedReadCapacityUnits", &index, 0.0));
    send(client, "AWS/DynamoDB", dynamodb).await;
}

async fn send(client: &Client, namespace: &str, data: Vec<MetricDatum>) {
    client.put_metric_data().namespace(namespace).set_metric_data(Some(data)).send().await.expect("metrics are taken");
}

fn series(name: &str, dimensions: &[Dimension], value: f64) -> Vec<MetricDatum> {
    minutes().map(|at| datum(name, dimensions).timestamp(at).value(value).build()).collect()
}

/// Duration as Lambda reports it: 300 ms on average, 500 ms at most.
fn durations(dimensions: &[Dimension], invocations: f64) -> Vec<MetricDatum> {
    let set = StatisticSet::builder()
        .sample_count(invocations)
        .sum(invocations * 300.0)
        .minimum(200.0)
        .maximum(500.0)
        .build();
    minutes().map(|at| datum("Duration", dimensions).timestamp(at).statistic_values(set.clone()).build()).collect()
}

fn datum(name: &str, dimensions: &[Dimension]) -> aws_sdk_cloudwatch::types::builders::MetricDatumBuilder {
    MetricDatum::builder().metric_name(name).set_dimensions(Some(dimensions.to_vec()))
}

fn dimension(name: &str, value: &str) -> Dimension {
    Dimension::builder().name(name).value(value).build()
}

fn minutes() -> impl Iterator<Item = DateTime> {
    let minute = now_seconds().div_euclid(60);
    (minute - MINUTES + 1..=minute).map(|minute| DateTime::from_secs(minute * 60))
}

/// The real time: the emulator and the operator under test live in it.
#[expect(clippy::disallowed_methods, reason = "the wire check runs in real time")]
pub fn now_seconds() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    i64::try_from(since.as_secs()).expect("fits")
}
