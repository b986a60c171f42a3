//! Lambda: what AWS documents, and clients that see the twin do it.

mod functions;
mod mappings;
mod poller;
mod rules;

use alleycat_operator::twin::{World, world::FunctionModel};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use super::Book;
pub use rules::RULES;

pub fn script(book: &mut Book) {
    functions::script(book);
    mappings::script(book);
    poller::script(book);
}

const STREAM: &str = "arn:aws:kinesis:us-east-2:123456789012:stream/s";

/// A new account whose world has one function, `f`.
fn account(book: &mut Book, model: FunctionModel) {
    let mut world = World::alleycat().with_races(0);
    world.functions = [("f".to_owned(), model)].into();
    book.account(world);
}

/// A function that succeeds at once.
fn quick() -> FunctionModel {
    FunctionModel { startup_ms: 20, aliases: vec!["live".to_owned()], ..FunctionModel::default() }
}

/// `more` laid over `base`.
fn with(mut base: Value, more: Value) -> Value {
    if let (Value::Object(base), Value::Object(more)) = (&mut base, more) {
        base.extend(more);
    }
    base
}

fn stream(book: &mut Book, name: &str, shards: u32) {
    book.ok("kinesis:CreateStream", json!({"StreamName": name, "ShardCount": shards}));
    book.wait(60.0);
}

/// A mapping of `f` on the stream `s`, settled; gives its UUID.
fn mapping(book: &mut Book, more: Value) -> String {
    let base = json!({
        "FunctionName": "f", "EventSourceArn": STREAM, "StartingPosition": "TRIM_HORIZON",
        "MetricsConfig": {"Metrics": ["EventCount"]},
    });
    let created = book.ok("lambda:CreateEventSourceMapping", with(base, more));
    book.wait(60.0);
    created["UUID"].as_str().unwrap().to_owned()
}

fn get(book: &mut Book, uuid: &str) -> Value {
    book.ok("lambda:GetEventSourceMapping", json!({"UUID": uuid}))
}

/// Changes a mapping and waits until that has settled.
fn update(book: &mut Book, uuid: &str, more: Value) -> Value {
    book.ok("lambda:UpdateEventSourceMapping", with(json!({"UUID": uuid}), more));
    book.wait(60.0);
    get(book, uuid)
}

/// Puts records of this data with keys of their own.
fn put(book: &mut Book, count: usize, data: &[u8]) {
    let data = BASE64_STANDARD.encode(data);
    for first in (0..count).step_by(500) {
        let record = |index| json!({"PartitionKey": format!("k{index:05}"), "Data": data});
        let records: Vec<Value> = (first..count.min(first + 500)).map(record).collect();
        let answer = book.ok("kinesis:PutRecords", json!({"StreamName": "s", "Records": records}));
        assert_eq!(answer["FailedRecordCount"], 0);
    }
}

/// (minute, value) of a metric since the world's start, once published.
fn points(book: &mut Book, metric: &str, dims: &[(&str, &str)], stat: &str) -> Vec<(f64, f64)> {
    let start = book.twin.world().start.as_second();
    let dims: Vec<Value> = dims.iter().map(|(name, value)| json!({"Name": name, "Value": value})).collect();
    let query = json!({
        "StartTime": start, "EndTime": book.now.as_second() + 60, "ScanBy": "TimestampAscending",
        "MetricDataQueries": [{"Id": "m", "MetricStat": {
            "Metric": {"Namespace": "AWS/Lambda", "MetricName": metric, "Dimensions": dims},
            "Period": 60, "Stat": stat,
        }}],
    });
    let answer = book.ok("cloudwatch:GetMetricData", query);
    let result = &answer["MetricDataResults"][0];
    let numbers = |member: &str| -> Vec<f64> {
        result[member].as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
    };
    numbers("Timestamps").into_iter().zip(numbers("Values")).collect()
}

/// The sum of a metric of `f`, after waiting until all of it is published.
fn sum(book: &mut Book, metric: &str) -> u64 {
    total(book, metric, &[("FunctionName", "f")])
}

/// The sum of an EventCount metric.
fn events(book: &mut Book, uuid: &str, metric: &str) -> u64 {
    total(book, metric, &[("EventSourceMappingUUID", uuid)])
}

fn total(book: &mut Book, metric: &str, dims: &[(&str, &str)]) -> u64 {
    points(book, metric, dims, "Sum").iter().map(|(_, value)| value).sum::<f64>().round() as u64
}

/// The greatest sample of a metric of `f`.
fn greatest(book: &mut Book, metric: &str) -> u64 {
    let points = points(book, metric, &[("FunctionName", "f")], "Maximum");
    points.iter().map(|(_, value)| *value).fold(0.0, f64::max).round() as u64
}
