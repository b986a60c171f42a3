//! PutMetricData, and what of it can be read back.

use serde_json::{Value, json};

use super::{COMBINATION, INVALID, MISSING, OWN, now, put, query, quiet, read};
use crate::conformance::Book;

pub fn script(book: &mut Book) {
    quiet(book);
    what_is_missing_is_named(book);
    bounds(book);
    values(book);
    times(book);
    resolution(book);
    percentiles(book);
}

fn refuse(book: &mut Book, datum: Value, code: &str) -> String {
    book.refused("cloudwatch:PutMetricData", json!({"Namespace": OWN, "MetricData": [datum]}), code).message
}

fn what_is_missing_is_named(book: &mut Book) {
    let put = "cloudwatch:PutMetricData";
    let refused = book.refused(put, json!({"MetricData": [{"MetricName": "m", "Value": 1}]}), MISSING);
    assert_eq!((refused.status, refused.message.as_str()), (400, "The parameter Namespace is required."));
    book.refused(put, json!({"Namespace": OWN}), MISSING);
    book.refused(put, json!({"Namespace": OWN, "MetricData": []}), MISSING);
    assert!(refuse(book, json!({"Value": 1}), MISSING).contains("MetricData.member.1.MetricName"));
    refuse(book, json!({"MetricName": "m"}), MISSING);
    refuse(book, json!({"MetricName": "m", "StatisticValues": {"Sum": 1, "Minimum": 1, "Maximum": 1}}), MISSING);
    for namespace in ["AWS/Kinesis", "AWS/Own"] {
        let input = json!({"Namespace": namespace, "MetricData": [{"MetricName": "m", "Value": 1}]});
        assert_eq!(book.refused(put, input, INVALID).message, "The value AWS/ for parameter Namespace is invalid.");
    }
    book.shows("cloudwatch.put.aws-namespaces");
}

fn bounds(book: &mut Book) {
    let data = |count: usize| -> Value {
        let datum = |index| json!({"MetricName": format!("many{index}"), "Value": 1});
        json!({"Namespace": OWN, "MetricData": (0..count).map(datum).collect::<Vec<_>>()})
    };
    book.refused("cloudwatch:PutMetricData", data(1_001), INVALID);
    book.ok("cloudwatch:PutMetricData", data(1_000));
    book.shows("cloudwatch.put.metrics");

    let dimensions = |count: usize| -> Vec<Value> {
        (0..count).map(|index| json!({"Name": format!("d{index}"), "Value": "v"})).collect()
    };
    refuse(book, json!({"MetricName": "m", "Value": 1, "Dimensions": dimensions(31)}), INVALID);
    put(book, json!({"MetricName": "m", "Value": 1, "Dimensions": dimensions(30)}));
    book.shows("cloudwatch.put.dimensions");
    refuse(book, json!({"MetricName": "m", "Value": 1, "Dimensions": [{"Name": "d", "Value": ""}]}), INVALID);
    refuse(book, json!({"MetricName": "x".repeat(256), "Value": 1}), INVALID);

    refuse(book, json!({"MetricName": "m", "Value": 1, "Unit": "Furlongs"}), INVALID);
    put(book, json!({"MetricName": "unit", "Value": 1}));
    let at = now(book);
    let statistics = json!({"Namespace": OWN, "MetricName": "unit", "StartTime": at - 60, "EndTime": at + 60, "Period": 60,
        "Statistics": ["Sum"]});
    let answer = book.ok("cloudwatch:GetMetricStatistics", statistics);
    assert_eq!(answer["Datapoints"][0]["Unit"], "None");
    book.shows("cloudwatch.put.units");
}

fn values(book: &mut Book) {
    let at = now(book);
    let many = |count: usize| json!({"MetricName": "values", "Values": vec![2.0; count], "Counts": vec![3.0; count]});
    refuse(book, many(151), INVALID);
    refuse(book, json!({"MetricName": "values", "Values": [1, 2], "Counts": [1]}), INVALID);
    put(book, many(150));
    assert_eq!(read(book, at, at + 60, query("m", "values", "SampleCount", 60)), [(at, 450.0)]);
    book.shows("cloudwatch.put.values");

    let set = json!({"SampleCount": 4, "Sum": 10, "Minimum": 1, "Maximum": 5});
    refuse(book, json!({"MetricName": "set", "Value": 1, "StatisticValues": set}), COMBINATION);
    refuse(book, json!({"MetricName": "set", "Value": 1, "Values": [1]}), COMBINATION);
    put(book, json!({"MetricName": "set", "StatisticValues": set}));
    put(book, json!({"MetricName": "set", "Value": 6}));
    put(book, json!({"MetricName": "set", "Values": [0.5]}));
    for (stat, value) in
        [("Sum", 16.5), ("SampleCount", 6.0), ("Minimum", 0.5), ("Maximum", 6.0), ("Average", 16.5 / 6.0)]
    {
        assert_eq!(read(book, at, at + 60, query("m", "set", stat, 60)), [(at, value)], "{stat}");
    }
    book.shows("cloudwatch.put.statistic-sets");

    for value in [json!("NaN"), json!("Infinity"), json!("-Infinity"), json!(3e108), json!(-3e108)] {
        refuse(book, json!({"MetricName": "special", "Value": value}), INVALID);
    }
    put(book, json!({"MetricName": "special", "Value": 2e108}));
    book.shows("cloudwatch.put.special-values");
}

fn times(book: &mut Book) {
    let at = now(book);
    let day = 86_400;
    for wrong in [at - 14 * day - 1, at + 2 * 3_600 + 1] {
        refuse(book, json!({"MetricName": "time", "Value": 1, "Timestamp": wrong}), INVALID);
    }
    for right in [at - 14 * day, at + 2 * 3_600] {
        put(book, json!({"MetricName": "time", "Value": 1, "Timestamp": right}));
    }
    let old = read(book, at - 15 * day, at + 60, query("m", "time", "Sum", 60));
    assert_eq!(old, [(at - 14 * day, 1.0)], "what is ahead is not there yet");
    book.shows("cloudwatch.put.timestamps");

    put(book, json!({"MetricName": "late", "Value": 1, "Timestamp": at - 90}));
    assert_eq!(read(book, at - 180, at, query("m", "late", "Sum", 60)), [(at - 120, 1.0)]);
    book.shows("cloudwatch.data.timestamp");
    put(book, json!({"MetricName": "late", "Value": 2, "Timestamp": at - 70}));
    assert_eq!(read(book, at - 180, at, query("m", "late", "Sum", 60)), [(at - 120, 3.0)]);
    book.shows("cloudwatch.data.late-samples");
}

fn resolution(book: &mut Book) {
    let at = now(book);
    refuse(book, json!({"MetricName": "fine", "Value": 1, "StorageResolution": 10}), INVALID);
    for (second, value) in [(0, 1), (4, 2), (5, 3), (11, 4)] {
        let datum = json!({"MetricName": "fine", "Value": value, "StorageResolution": 1, "Timestamp": at + second});
        put(book, datum);
    }
    book.wait(60.0);
    let fine = |book: &mut Book, period| read(book, at, at + 60, query("m", "fine", "Sum", period));
    assert_eq!(fine(book, 5), [(at, 3.0), (at + 5, 3.0), (at + 10, 4.0)]);
    assert_eq!(fine(book, 60), [(at, 10.0)]);
    book.shows("cloudwatch.put.resolution");
    book.wait(3.0 * 3_600.0 - 70.0);
    assert!(!fine(book, 5).is_empty());
    book.wait(100.0);
    assert!(fine(book, 5).is_empty());
    assert_eq!(fine(book, 60), [(at, 10.0)]);
    book.shows("cloudwatch.retention.seconds");
}

fn percentiles(book: &mut Book) {
    let at = now(book) - now(book).rem_euclid(60);
    let values: Vec<i64> = (1..=100).collect();
    put(book, json!({"MetricName": "p", "Values": values, "Timestamp": at}));
    for (stat, about) in [
        ("p0", 1.0),
        ("p50", 50.0),
        ("p95", 95.0),
        ("p99.9", 100.0),
        ("p100", 100.0),
        ("tm90", 45.5),
        ("TM(10%:90%)", 50.5),
        ("IQM", 50.5),
        ("TC(:50)", 50.0),
        ("ts50", 1_275.0),
        ("PR(:25)", 25.0),
    ] {
        let [(_, value)] = read(book, at, at + 60, query("m", "p", stat, 60))[..] else { panic!("{stat}: one value") };
        assert!((value - about).abs() <= about * 0.02, "{stat}: {value}, not {about}");
    }
    let input = super::data(at, at + 60, &[query("m", "p", "Median", 60)]);
    book.refused("cloudwatch:GetMetricData", input, "ValidationError");
    book.shows("cloudwatch.data.percentiles");

    put(book, json!({"MetricName": "negative", "Values": [-1, 2], "Timestamp": at}));
    assert!(read(book, at, at + 60, query("m", "negative", "p50", 60)).is_empty());
    assert_eq!(read(book, at, at + 60, query("m", "negative", "Sum", 60)), [(at, 1.0)]);
    book.shows("cloudwatch.data.percentiles-negative");

    let set = |min: i64| json!({"SampleCount": 2, "Sum": 4 + min, "Minimum": min, "Maximum": 4});
    put(book, json!({"MetricName": "range", "StatisticValues": set(1), "Timestamp": at}));
    put(book, json!({"MetricName": "same", "StatisticValues": set(4), "Timestamp": at}));
    assert!(read(book, at, at + 60, query("m", "range", "p50", 60)).is_empty());
    assert_eq!(read(book, at, at + 60, query("m", "same", "p50", 60)), [(at, 4.0)]);
    book.shows("cloudwatch.data.percentiles-sets");
}
