//! CloudWatch's metrics: what the twin does of what AWS documents.

mod math;
mod put;
mod read;
mod rules;

use alleycat_operator::twin::World;
use serde_json::{Value, json};

use super::Book;
pub use rules::RULES;

const OWN: &str = "Own/Namespace";
const INVALID: &str = "InvalidParameterValueException";
const MISSING: &str = "MissingRequiredParameterException";
const COMBINATION: &str = "InvalidParameterCombinationException";

pub fn script(book: &mut Book) {
    put::script(book);
    read::script(book);
    math::script(book);
}

/// A quiet account, at a full hour.
fn quiet(book: &mut Book) {
    book.account(World::alleycat().with_races(0));
    let into_hour = book.now.as_second().rem_euclid(3_600);
    book.wait((3_600 - into_hour) as f64);
}

fn now(book: &Book) -> i64 {
    book.now.as_second()
}

fn put(book: &mut Book, datum: Value) {
    book.ok("cloudwatch:PutMetricData", json!({"Namespace": OWN, "MetricData": [datum]}));
}

fn query(id: &str, metric: &str, stat: &str, period: i64) -> Value {
    json!({"Id": id, "MetricStat": {"Metric": {"Namespace": OWN, "MetricName": metric}, "Period": period, "Stat": stat}})
}

fn expression(id: &str, text: &str) -> Value {
    json!({"Id": id, "Expression": text})
}

fn data(from: i64, to: i64, queries: &[Value]) -> Value {
    json!({"StartTime": from, "EndTime": to, "MetricDataQueries": queries, "ScanBy": "TimestampAscending"})
}

/// One query's (times, values), oldest first.
fn read(book: &mut Book, from: i64, to: i64, query: Value) -> Vec<(i64, f64)> {
    read_last(book, from, to, &[query])
}

/// The last result's (times, values).
fn read_last(book: &mut Book, from: i64, to: i64, queries: &[Value]) -> Vec<(i64, f64)> {
    let answer = book.ok("cloudwatch:GetMetricData", data(from, to, queries));
    let results = answer["MetricDataResults"].as_array().unwrap();
    points(results.last().unwrap())
}

fn points(result: &Value) -> Vec<(i64, f64)> {
    let times = result["Timestamps"].as_array().unwrap().iter().map(|at| at.as_f64().unwrap() as i64);
    times.zip(result["Values"].as_array().unwrap().iter().map(|value| value.as_f64().unwrap())).collect()
}
