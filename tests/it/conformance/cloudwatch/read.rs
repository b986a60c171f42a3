//! GetMetricData, GetMetricStatistics and ListMetrics.

use alleycat_operator::twin::World;
use serde_json::{Value, json};

use super::{COMBINATION, INVALID, MISSING, OWN, data, now, points, put, query, quiet, read};
use crate::conformance::Book;

const DAY: i64 = 86_400;

pub fn script(book: &mut Book) {
    quiet(book);
    queries(book);
    pages(book);
    times(book);
    names(book);
    ages(book);
    statistics(book);
    list(book);
    published(book);
}

fn refuse(book: &mut Book, input: Value) {
    let refused = book.refused("cloudwatch:GetMetricData", input, "ValidationError");
    assert_eq!(refused.status, 400);
    assert!(!refused.message.is_empty());
}

fn queries(book: &mut Book) {
    let at = now(book);
    let many = |count: usize| -> Vec<Value> {
        (0..count).map(|index| query(&format!("m{index}"), "none", "Sum", 60)).collect()
    };
    refuse(book, data(at - 60, at, &[]));
    refuse(book, data(at - 60, at, &many(501)));
    book.ok("cloudwatch:GetMetricData", data(at - 60, at, &many(500)));
    book.shows("cloudwatch.data.queries");

    for id in ["M", "1m", "_m", "m-1", ""] {
        refuse(book, data(at - 60, at, &[query(id, "m", "Sum", 60)]));
    }
    refuse(book, data(at - 60, at, &[query("m", "m", "Sum", 60), query("m", "m", "Average", 60)]));
    read(book, at - 60, at, query("m_1A", "m", "Sum", 60));
    book.shows("cloudwatch.query.id");

    let expression =
        |length: usize| json!({"Id": "e", "Expression": format!("SUM(METRICS()){}", " ".repeat(length - 14))});
    let scalar_free = query("m", "m", "Sum", 60);
    refuse(book, data(at - 60, at, &[scalar_free.clone(), expression(2_049)]));
    book.ok("cloudwatch:GetMetricData", data(at - 60, at, &[scalar_free, expression(2_048)]));
    book.shows("cloudwatch.query.expression-length");

    let mut both = query("m", "m", "Sum", 60);
    both["Expression"] = json!("METRICS()");
    refuse(book, data(at - 60, at, &[both]));
    refuse(book, data(at - 60, at, &[json!({"Id": "m"})]));
    book.shows("cloudwatch.query.one-of");

    put(book, json!({"MetricName": "input", "Value": 2}));
    let mut input = query("m", "input", "Sum", 60);
    input["ReturnData"] = json!(false);
    let both = [input, json!({"Id": "e", "Expression": "m * 2"}), query("n", "input", "Sum", 60)];
    let answer = book.ok("cloudwatch:GetMetricData", data(at - 60, at + 60, &both));
    let results: Vec<&str> =
        answer["MetricDataResults"].as_array().unwrap().iter().map(|result| result["Id"].as_str().unwrap()).collect();
    assert_eq!(results, ["e", "n"]);
    assert_eq!(points(&answer["MetricDataResults"][0]), [(at, 4.0)]);
    book.shows("cloudwatch.query.return-data");

    for period in [2, 45, 61, 0, -60] {
        refuse(book, data(at - 60, at, &[query("m", "m", "Sum", period)]));
    }
    for period in [1, 5, 10, 20, 30, 60, 300] {
        read(book, at - 60, at, query("m", "m", "Sum", period));
    }
    book.shows("cloudwatch.data.period");
    refuse(book, data(at, at, &[query("m", "m", "Sum", 60)]));
    let mut timezone = data(at - 60, at, &[query("m", "m", "Sum", 60)]);
    timezone["LabelOptions"] = json!({"Timezone": "Berlin"});
    refuse(book, timezone.clone());
    timezone["LabelOptions"] = json!({"Timezone": "+0200"});
    book.ok("cloudwatch:GetMetricData", timezone);
}

fn pages(book: &mut Book) {
    let at = now(book);
    for minute in 0..5 {
        for metric in ["page1", "page2"] {
            put(book, json!({"MetricName": metric, "Value": minute, "Timestamp": at - 300 + minute * 60}));
        }
    }
    let queries = [query("a", "page1", "Sum", 60), query("b", "page2", "Sum", 60)];
    let mut input = json!({"StartTime": at - 300, "EndTime": at, "MetricDataQueries": queries});
    let whole = book.ok("cloudwatch:GetMetricData", input.clone());
    let newest_first: Vec<f64> = points(&whole["MetricDataResults"][0]).iter().map(|(_, value)| *value).collect();
    assert_eq!(newest_first, [4.0, 3.0, 2.0, 1.0, 0.0]);
    input["ScanBy"] = json!("Sideways");
    refuse(book, input.clone());
    input["ScanBy"] = json!("TimestampAscending");
    let whole = book.ok("cloudwatch:GetMetricData", input.clone());
    let oldest_first: Vec<f64> = points(&whole["MetricDataResults"][0]).iter().map(|(_, value)| *value).collect();
    assert_eq!(oldest_first, [0.0, 1.0, 2.0, 3.0, 4.0]);
    book.shows("cloudwatch.data.scan-by");

    for wrong in [0, 100_801] {
        input["MaxDatapoints"] = json!(wrong);
        refuse(book, input.clone());
    }
    input["MaxDatapoints"] = json!(3);
    let (mut pages, mut statuses, mut values) = (0, Vec::new(), vec![Vec::new(); 2]);
    loop {
        let page = book.ok("cloudwatch:GetMetricData", input.clone());
        pages += 1;
        let results = page["MetricDataResults"].as_array().unwrap();
        let count: usize = results.iter().map(|result| points(result).len()).sum();
        assert!(count <= 3);
        for (into, result) in values.iter_mut().zip(results) {
            into.extend(points(result));
            statuses.push(result["StatusCode"].as_str().unwrap().to_owned());
        }
        let Some(token) = page["NextToken"].as_str() else { break };
        input["NextToken"] = json!(token);
    }
    assert_eq!((pages, values[0].len(), &values[0]), (4, 5, &values[1]));
    input["NextToken"] = json!("made up");
    book.refused("cloudwatch:GetMetricData", input, "InvalidNextToken");
    book.shows("cloudwatch.data.datapoints");
    let (first, last) = (&statuses[..2], &statuses[statuses.len() - 2..]);
    assert_eq!(
        (first, last),
        (&["PartialData".into(), "PartialData".into()][..], &["Complete".into(), "Complete".into()][..])
    );
    book.shows("cloudwatch.data.status");
}

fn times(book: &mut Book) {
    let at = now(book);
    for minute in 0..3 {
        put(book, json!({"MetricName": "times", "Value": minute, "Timestamp": at - 180 + minute * 60}));
    }
    let both = read(book, at - 180, at - 60, query("m", "times", "Sum", 60));
    assert_eq!(both, [(at - 180, 0.0), (at - 120, 1.0)]);
    book.shows("cloudwatch.data.times");
    let rounded = read(book, at - 121, at - 60, query("m", "times", "Sum", 60));
    assert_eq!(rounded, [(at - 180, 0.0), (at - 120, 1.0)]);
    book.shows("cloudwatch.data.start-rounds-to-minute");
}

fn names(book: &mut Book) {
    let at = now(book);
    let with = |dimensions: Value| {
        let mut query = query("m", "dims", "Sum", 60);
        query["MetricStat"]["Metric"]["Dimensions"] = dimensions;
        query
    };
    let two = json!([{"Name": "a", "Value": "1"}, {"Name": "b", "Value": "2"}]);
    put(book, json!({"MetricName": "dims", "Value": 1, "Unit": "Bytes", "Dimensions": two}));
    assert_eq!(read(book, at, at + 60, with(two.clone())).len(), 1);
    for subset in [json!([]), json!([{"Name": "a", "Value": "1"}])] {
        assert!(read(book, at, at + 60, with(subset)).is_empty());
    }
    book.shows("cloudwatch.data.dimensions-exact");
    let unit = |unit: &str| {
        let mut query = with(two.clone());
        query["MetricStat"]["Unit"] = json!(unit);
        query
    };
    assert!(read(book, at, at + 60, unit("Kilobytes")).is_empty());
    assert_eq!(read(book, at, at + 60, unit("Bytes")), [(at, 1.0)]);
    refuse(book, data(at, at + 60, &[unit("Furlongs")]));
    book.shows("cloudwatch.data.unit");
    let answer = book.ok("cloudwatch:GetMetricData", data(at, at + 60, &[query("m", "nowhere", "Sum", 60)]));
    let result = &answer["MetricDataResults"][0];
    assert_eq!((points(result), result["StatusCode"].as_str()), (vec![], Some("Complete")));
    book.shows("cloudwatch.data.unknown-metric");
}

/// Data grow old: minutes, five minutes, hours, nothing.
fn ages(book: &mut Book) {
    let start = now(book);
    assert_eq!(start % 3_600, 0);
    for minute in 0..10 {
        put(book, json!({"MetricName": "old", "Value": 1, "Timestamp": start + minute * 60}));
    }
    let ask =
        |book: &mut Book, from: i64, period: i64| read(book, from, start + 3_600, query("m", "old", "Sum", period));
    book.wait((15 * DAY) as f64);
    assert_eq!(ask(book, start, 60).len(), 10);
    book.shows("cloudwatch.retention.minutes");
    book.wait(7_200.0);
    assert!(ask(book, start, 60).is_empty());
    assert_eq!(ask(book, start, 300), [(start, 5.0), (start + 300, 5.0)]);
    assert_eq!(ask(book, start + 299, 300).len(), 2);
    assert_eq!(ask(book, start + 300, 300).len(), 1);
    book.shows("cloudwatch.data.start-rounds-to-5-minutes");
    book.wait((48 * DAY - 7_200) as f64);
    assert_eq!(ask(book, start, 300).len(), 2);
    book.shows("cloudwatch.retention.five-minutes");
    book.wait(7_200.0);
    assert!(ask(book, start, 300).is_empty());
    assert_eq!(ask(book, start + 3_599, 3_600), [(start, 10.0)]);
    book.shows("cloudwatch.data.period-by-age");
    book.shows("cloudwatch.data.start-rounds-to-hour");
    book.wait((392 * DAY - 7_200) as f64);
    assert_eq!(ask(book, start, 3_600).len(), 1);
    book.wait(7_200.0);
    assert!(ask(book, start, 3_600).is_empty());
    book.shows("cloudwatch.retention.hours");
}

fn statistics(book: &mut Book) {
    quiet(book);
    let at = now(book);
    for minute in 0..20 {
        put(book, json!({"MetricName": "s", "Value": minute, "Timestamp": at - 1_200 + minute * 60}));
    }
    let operation = "cloudwatch:GetMetricStatistics";
    let ask = |from: i64, more: Value| {
        let mut input = json!({"Namespace": OWN, "MetricName": "s", "StartTime": from, "EndTime": at, "Period": 60});
        input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        input
    };
    let all = json!({"Statistics": ["Sum", "Average", "Minimum", "Maximum", "SampleCount"]});
    let answer = book.ok(operation, ask(at - 1_200, all.clone()));
    let times: Vec<i64> = answer["Datapoints"]
        .as_array()
        .unwrap()
        .iter()
        .map(|point| point["Timestamp"].as_f64().unwrap() as i64)
        .collect();
    assert_eq!((answer["Label"].as_str(), times.len()), (Some("s"), 20));
    assert!(!times.is_sorted() && !times.iter().rev().is_sorted());
    book.shows("cloudwatch.statistics.unordered");

    let refused = book.refused(operation, ask(at - 1_441 * 60, all.clone()), COMBINATION);
    assert!(refused.message.contains("1,441") || refused.message.contains("1441"), "{}", refused.message);
    book.ok(operation, ask(at - 1_440 * 60, all));
    book.shows("cloudwatch.statistics.datapoints");

    book.refused(operation, ask(at - 60, json!({"Statistics": vec!["Sum"; 6]})), INVALID);
    book.shows("cloudwatch.statistics.five");
    let extended =
        |count: usize| json!({"ExtendedStatistics": (0..count).map(|n| format!("p{n}")).collect::<Vec<_>>()});
    book.refused(operation, ask(at - 60, extended(11)), INVALID);
    let answer = book.ok(operation, ask(at - 60, extended(10)));
    assert_eq!(answer["Datapoints"][0]["ExtendedStatistics"]["p9"], 19.0);
    book.shows("cloudwatch.statistics.ten-extended");
    book.refused(operation, ask(at - 60, json!({})), COMBINATION);
    book.refused(operation, ask(at - 60, json!({"Statistics": ["Sum"], "ExtendedStatistics": ["p50"]})), COMBINATION);
    book.shows("cloudwatch.statistics.one-kind");
    for missing in ["Namespace", "MetricName", "StartTime", "EndTime", "Period"] {
        let mut input = ask(at - 60, json!({"Statistics": ["Sum"]}));
        input.as_object_mut().unwrap().remove(missing);
        let refused = book.refused(operation, input, MISSING);
        assert_eq!(refused.message, format!("The parameter {missing} is required."));
    }
    for wrong in [json!({"Statistics": ["Median"]}), json!({"Statistics": ["Sum"], "Period": 61})] {
        book.refused(operation, ask(at - 60, wrong), INVALID);
    }
    book.refused(operation, ask(at + 60, json!({"Statistics": ["Sum"]})), INVALID);
}

fn listed(book: &mut Book, input: Value) -> usize {
    book.ok("cloudwatch:ListMetrics", input)["Metrics"].as_array().unwrap().len()
}

fn list(book: &mut Book) {
    quiet(book);
    let dimensions = |index: usize| json!([{"Name": "n", "Value": index.to_string()}, {"Name": "half", "Value": (index % 2).to_string()}]);
    let datum = |index: usize| json!({"MetricName": "list", "Value": 1, "Dimensions": dimensions(index)});
    let data: Vec<Value> = (0..600).map(datum).collect();
    book.ok("cloudwatch:PutMetricData", json!({"Namespace": OWN, "MetricData": data}));
    let own = json!({"Namespace": OWN});
    assert_eq!(listed(book, own.clone()), 0);
    book.wait(900.0);
    let first = book.ok("cloudwatch:ListMetrics", own.clone());
    assert_eq!(first["Metrics"].as_array().unwrap().len(), 500);
    book.shows("cloudwatch.list.late");
    assert_eq!(listed(book, json!({"Namespace": OWN, "NextToken": first["NextToken"]})), 100);
    book.refused("cloudwatch:ListMetrics", json!({"NextToken": "made up"}), INVALID);
    book.shows("cloudwatch.list.page");

    assert_eq!(listed(book, json!({"Dimensions": [{"Name": "half", "Value": "1"}]})), 300);
    assert_eq!(listed(book, json!({"Dimensions": [{"Name": "n"}, {"Name": "half", "Value": "1"}]})), 300);
    assert_eq!(listed(book, json!({"MetricName": "other"})), 0);
    book.refused("cloudwatch:ListMetrics", json!({"Dimensions": vec![json!({"Name": "n"}); 11]}), INVALID);
    book.shows("cloudwatch.list.filters");

    let recent = json!({"Namespace": OWN, "RecentlyActive": "PT3H"});
    assert_eq!(listed(book, recent.clone()), 500);
    book.wait(3.0 * 3_600.0);
    assert_eq!((listed(book, recent), listed(book, own.clone())), (0, 500));
    book.refused("cloudwatch:ListMetrics", json!({"RecentlyActive": "PT1H"}), INVALID);
    book.shows("cloudwatch.list.recently-active");
    book.wait((14 * DAY - 4 * 3_600) as f64);
    assert_eq!(listed(book, own.clone()), 500);
    book.wait(3_600.0);
    assert_eq!(listed(book, own), 0);
    book.shows("cloudwatch.list.two-weeks");
}

/// What AWS publishes itself.
fn published(book: &mut Book) {
    let world = World::alleycat();
    let delay = world.timings.metric_delay as i64;
    book.account(world);
    let start = now(book) - now(book).rem_euclid(60);
    book.ok("kinesis:CreateStream", json!({"StreamName": "alleycat", "ShardCount": 2}));
    book.wait((start + 600 - now(book)) as f64);
    let mut query = query("m", "IncomingRecords", "Sum", 60);
    query["MetricStat"]["Metric"]["Namespace"] = json!("AWS/Kinesis");
    query["MetricStat"]["Metric"]["Dimensions"] = json!([{"Name": "StreamName", "Value": "alleycat"}]);
    book.wait(delay as f64 - 1.0);
    let newest = |points: &[(i64, f64)]| points.last().map(|(at, _)| *at);
    let early = read(book, start, start + 1_200, query.clone());
    assert_eq!(newest(&early), Some(start + 480));
    book.wait(1.0);
    let later = read(book, start, start + 1_200, query.clone());
    assert_eq!(newest(&later), Some(start + 540));
    book.shows("cloudwatch.data.published-late");
    assert!(later.iter().all(|(at, value)| *at >= start && *value > 0.0));
    let before = read(book, start - 600, start, query);
    assert!(before.is_empty());
    book.shows("cloudwatch.data.absent");
}
