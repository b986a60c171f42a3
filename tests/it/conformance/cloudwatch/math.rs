//! Metric math and SEARCH.

use serde_json::{Value, json};

use super::{OWN, data, expression, now, points, put, query, quiet, read_last};
use crate::conformance::Book;

pub fn script(book: &mut Book) {
    quiet(book);
    let start = now(book) - 300;
    // a: 10 20 30 – 50, b: 1 – 0 – 5.
    for (metric, values) in [("a", [10, 20, 30, -1, 50]), ("b", [1, -1, 0, -1, 5])] {
        for (minute, value) in (0..).zip(values).filter(|(_, value)| *value >= 0) {
            put(book, json!({"MetricName": metric, "Value": value, "Timestamp": start + minute * 60}));
        }
    }
    arithmetic(book, start);
    functions(book, start);
    refusals(book, start);
    search(book, start);
}

fn inputs() -> Vec<Value> {
    vec![query("a", "a", "Sum", 60), query("b", "b", "Sum", 60)]
}

/// The expression's values by minute.
#[track_caller]
fn gives(book: &mut Book, start: i64, text: &str, expected: &[(i64, f64)]) {
    let mut queries = inputs();
    queries.push(expression("e", text));
    let found = read_last(book, start, start + 300, &queries);
    let found: Vec<(i64, f64)> = found.iter().map(|(at, value)| ((at - start) / 60, *value)).collect();
    assert_eq!(found, expected, "{text}");
}

fn arithmetic(book: &mut Book, start: i64) {
    gives(book, start, "a + b", &[(0, 11.0), (1, 20.0), (2, 30.0), (4, 55.0)]);
    gives(book, start, "b - a", &[(0, -9.0), (1, -20.0), (2, -30.0), (4, -45.0)]);
    gives(book, start, "a * b", &[(0, 10.0), (1, 0.0), (2, 0.0), (4, 250.0)]);
    book.shows("cloudwatch.math.missing");
    gives(book, start, "a / b", &[(0, 10.0), (4, 10.0)]);
    book.shows("cloudwatch.math.division-by-zero");
    gives(book, start, "b ^ 2 + -1 * (2 - 1)", &[(0, 0.0), (2, -1.0), (4, 24.0)]);
    gives(book, start, "a >= 30 AND b < 5", &[(0, 0.0), (1, 0.0), (2, 1.0), (4, 0.0)]);
}

fn functions(book: &mut Book, start: i64) {
    gives(book, start, "FILL(b, 7)", &[(0, 1.0), (1, 7.0), (2, 0.0), (3, 7.0), (4, 5.0)]);
    gives(book, start, "FILL(b, REPEAT)", &[(0, 1.0), (1, 1.0), (2, 0.0), (3, 0.0), (4, 5.0)]);
    gives(book, start, "FILL(a, LINEAR)", &[(0, 10.0), (1, 20.0), (2, 30.0), (3, 40.0), (4, 50.0)]);
    book.shows("cloudwatch.math.fill");
    gives(book, start, "SUM(METRICS())", &[(0, 11.0), (1, 20.0), (2, 30.0), (4, 55.0)]);
    gives(book, start, "AVG([a, b])", &[(0, 5.5), (1, 20.0), (2, 15.0), (4, 27.5)]);
    gives(book, start, "MIN(METRICS())", &[(0, 1.0), (1, 20.0), (2, 0.0), (4, 5.0)]);
    gives(book, start, "MAX(METRICS('b'))", &[(0, 1.0), (2, 0.0), (4, 5.0)]);
    book.shows("cloudwatch.math.arrays");
    gives(book, start, "b - SUM(b) + MAX(a) - MIN(a)", &[(0, 35.0), (2, 34.0), (4, 39.0)]);
    gives(book, start, "b + AVG(b) + DATAPOINT_COUNT(b) + METRIC_COUNT(METRICS())", &[(0, 8.0), (2, 7.0), (4, 12.0)]);
    gives(book, start, "CEIL(a / 15) - FLOOR(a / 15)", &[(0, 1.0), (1, 1.0), (2, 0.0), (4, 1.0)]);
    gives(book, start, "ABS(0 - b)", &[(0, 1.0), (2, 0.0), (4, 5.0)]);
    gives(book, start, "DIFF(a)", &[(1, 10.0), (2, 10.0), (4, 20.0)]);
    gives(book, start, "RATE(a) * PERIOD(a) * 12", &[(1, 120.0), (2, 120.0), (4, 120.0)]);
    gives(book, start, "DIFF_TIME(b)", &[(2, 120.0), (4, 120.0)]);
    gives(book, start, "RUNNING_SUM(b)", &[(0, 1.0), (2, 1.0), (4, 6.0)]);
    gives(book, start, "IF(b > 0, a, 3)", &[(0, 10.0), (2, 3.0), (4, 50.0)]);
    gives(book, start, "IF(b, a)", &[(0, 10.0), (4, 50.0)]);
    gives(book, start, "IF(FIRST(METRICS()) > 20, b, b)", &[(0, 1.0), (2, 0.0), (4, 5.0)]);
    gives(book, start, "LOG10(LAST([b, a]) * 10) * 0 + STDDEV(a) * 0", &[(0, 0.0), (1, 0.0), (2, 0.0), (4, 0.0)]);
    gives(
        book,
        start,
        "(EPOCH(b) - 60 * MINUTE(b) - 3600 * HOUR(b)) * 0 + LOG(b) * 0",
        &[(0, 0.0), (2, 0.0), (4, 0.0)],
    );
    let whole = [(0, 4.0), (1, 4.0), (2, 4.0), (3, 4.0), (4, 4.0)];
    gives(book, start, "TIME_SERIES(4)", &whole);
    gives(book, start, "REMOVE_EMPTY([a])", &[(0, 10.0), (1, 20.0), (2, 30.0), (4, 50.0)]);

    // In any order, one on the other.
    let mut chain = vec![expression("z", "y + 1"), expression("y", "a * 2")];
    chain.extend(inputs());
    let answer = book.ok("cloudwatch:GetMetricData", data(start, start + 60, &chain));
    assert_eq!(points(&answer["MetricDataResults"][0]), [(start, 21.0)]);
}

fn refusals(book: &mut Book, start: i64) {
    let refuse = |book: &mut Book, expressions: &[Value]| {
        let mut queries = inputs();
        queries.extend(expressions.iter().cloned());
        let input = data(start, start + 300, &queries);
        book.refused("cloudwatch:GetMetricData", input, "ValidationError").message
    };
    for text in ["SUM(a)", "3", "AVG(b) * 2", "METRIC_COUNT(METRICS())"] {
        assert!(refuse(book, &[expression("e", text)]).contains("'e'"), "{text}");
    }
    book.shows("cloudwatch.math.scalar-result");
    for text in
        ["e + 1", "c + 1", "MEDIAN(a)", "METRICS() + METRICS()", "a +", "(a", "a b", "'text'", "SUM(a, b)", "a § b"]
    {
        let message = refuse(book, &[expression("e", text)]);
        assert!(message.contains("'e'"), "{text}: {message}");
    }
    refuse(book, &[expression("e", "f * 2"), expression("f", "e * 2")]);
    book.shows("cloudwatch.math.cycle");
    refuse(book, &[expression("e", &"(".repeat(1_000))]);
    refuse(book, &[expression("e", &format!("a{}", "+a".repeat(1_000)))]);
}

fn search(book: &mut Book, start: i64) {
    for stream in ["red", "blue"] {
        let dimensions = json!([{"Name": "StreamName", "Value": format!("races-{stream}")}]);
        let datum = json!({"MetricName": "Bytes", "Value": 2, "Timestamp": start, "Dimensions": dimensions});
        put(book, datum);
    }
    book.wait(900.0);
    let found = |book: &mut Book, text: &str| -> Vec<Vec<(i64, f64)>> {
        let queries = [expression("s", &format!("SEARCH('{text}', 'Sum', 60)"))];
        let answer = book.ok("cloudwatch:GetMetricData", data(start, start + 300, &queries));
        answer["MetricDataResults"].as_array().unwrap().iter().map(points).collect()
    };
    let schema = format!("{{{OWN},StreamName}} MetricName=\"Bytes\"");
    assert_eq!(found(book, &schema), vec![vec![(start, 2.0)]; 2]);
    assert_eq!(found(book, &format!("{schema} blue")).len(), 1);
    assert_eq!(found(book, &format!("{schema} StreamName=\"races-red\"")).len(), 1);
    assert_eq!(found(book, "Namespace=\"Own/Namespace\" \"races-red\"").len(), 1);
    assert_eq!(found(book, &format!("{{{OWN}}} Bytes")).len(), 0);
    let total = [expression("t", &format!("SUM(SEARCH('{schema}', 'Sum', 60))"))];
    assert_eq!(read_last(book, start, start + 300, &total), [(start, 4.0)]);
    book.shows("cloudwatch.math.search");
    let refused = [expression("s", "SEARCH('a OR b', 'Sum', 60)")];
    book.refused("cloudwatch:GetMetricData", data(start, start + 300, &refused), "ValidationError");
}
