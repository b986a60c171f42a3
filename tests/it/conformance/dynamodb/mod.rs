//! DynamoDB: tables, throughput, items, settings.

mod items;
mod rules;
mod settings;
mod tables;
mod throughput;

use serde_json::{Value, json};

use super::Book;
use alleycat_operator::twin::World;
pub use rules::RULES;

const NAME: &str = "alleycat-races";

pub fn script(book: &mut Book) {
    tables::script(book);
    throughput::script(book);
    settings::script(book);
    items::script(book);
}

fn world() -> World {
    World::alleycat().with_races(0)
}

/// CreateTable of a table with partition key PK (a string) and sort key SK.
fn plain(name: &str, read: u64, write: u64) -> Value {
    json!({
        "TableName": name,
        "KeySchema": [{"AttributeName": "PK", "KeyType": "HASH"}, {"AttributeName": "SK", "KeyType": "RANGE"}],
        "AttributeDefinitions": [
            {"AttributeName": "PK", "AttributeType": "S"},
            {"AttributeName": "SK", "AttributeType": "S"},
        ],
        "ProvisionedThroughput": units(read, write),
    })
}

fn units(read: u64, write: u64) -> Value {
    json!({"ReadCapacityUnits": read, "WriteCapacityUnits": write})
}

/// An index by attribute G.
fn global(name: &str, read: u64, write: u64) -> Value {
    json!({
        "IndexName": name,
        "KeySchema": [{"AttributeName": "G", "KeyType": "HASH"}],
        "Projection": {"ProjectionType": "ALL"},
        "ProvisionedThroughput": units(read, write),
    })
}

/// A plain table with one global index.
fn indexed(name: &str, write: u64, index_write: u64) -> Value {
    let mut table = plain(name, 20, write);
    table["GlobalSecondaryIndexes"] = json!([global("by-g", 20, index_write)]);
    let attributes = table["AttributeDefinitions"].as_array_mut().unwrap();
    attributes.push(json!({"AttributeName": "G", "AttributeType": "S"}));
    table
}

fn on_demand(name: &str) -> Value {
    let mut table = plain(name, 1, 1);
    table.as_object_mut().unwrap().remove("ProvisionedThroughput");
    table["BillingMode"] = json!("PAY_PER_REQUEST");
    table
}

/// A new account with this table, ACTIVE.
fn with(book: &mut Book, table: Value) {
    book.account(world());
    book.ok("dynamodb:CreateTable", table);
    book.wait(10.0);
}

fn described(book: &mut Book) -> Value {
    book.ok("dynamodb:DescribeTable", json!({"TableName": NAME}))["Table"].clone()
}

fn update(members: Value) -> Value {
    let mut input = json!({"TableName": NAME});
    input.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    input
}

/// The published sum of a metric over the last `minutes`, waited for; `None` without a point.
fn metric(book: &mut Book, name: &str, dims: &[(&str, &str)], minutes: i64) -> Option<f64> {
    book.wait(180.0);
    let end = book.now.as_second();
    let dims: Vec<Value> = dims.iter().map(|(name, value)| json!({"Name": name, "Value": value})).collect();
    let metric = json!({"Namespace": "AWS/DynamoDB", "MetricName": name, "Dimensions": dims});
    let query = json!({"Id": "m", "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Sum"}});
    let start = end - (minutes + 4) * 60;
    let input = json!({"StartTime": start, "EndTime": end, "MetricDataQueries": [query]});
    let answer = book.send("cloudwatch:GetMetricData", &input).unwrap();
    let values = answer["MetricDataResults"][0]["Values"].as_array().unwrap();
    (!values.is_empty()).then(|| values.iter().filter_map(Value::as_f64).sum())
}
