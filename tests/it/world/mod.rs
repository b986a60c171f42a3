//! World files: the library shows what it says, wrong files are told about, the schema and the docs agree.

#![allow(clippy::disallowed_methods, reason = "hostile files are timed generously")]

mod changes;
mod random;

use std::{collections::BTreeMap, fmt::Write, fs, path::PathBuf, time::Instant};

use alleycat_operator::{
    document::render_problems,
    twin::{Twin, World, world::schema},
};
use serde_json::{Value, json};

use super::conformance::Book;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every world of the library, by name.
fn library() -> BTreeMap<String, World> {
    let directory = root().join("examples/worlds");
    let mut worlds = BTreeMap::new();
    for entry in fs::read_dir(&directory).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let beside = |file: &str| fs::read_to_string(directory.join(file)).map_err(|error| error.to_string());
        let world = World::load(&text, beside)
            .unwrap_or_else(|problems| panic!("{}", render_problems(path.to_str().unwrap(), &text, &problems, false)));
        worlds.insert(path.file_stem().unwrap().to_str().unwrap().to_owned(), world);
    }
    worlds
}

/// A world of the library after so many minutes.
fn after(name: &str, minutes: u32) -> Book {
    let mut book = Book::default();
    book.account(library().remove(name).unwrap_or_else(|| panic!("no world {name}")));
    book.wait(f64::from(minutes) * 60.0);
    book
}

/// A metric's minutes as a client reads them, oldest first: (minute since the start, value).
fn minutes(book: &mut Book, namespace: &str, metric: &str, dimension: (&str, &str), stat: &str) -> Vec<(i64, f64)> {
    let start = book.twin.world().start;
    let input = json!({
        "StartTime": start.as_second(), "EndTime": book.now.as_second(), "ScanBy": "TimestampAscending",
        "MetricDataQueries": [{"Id": "m", "MetricStat": {"Period": 60, "Stat": stat, "Metric": {
            "Namespace": namespace, "MetricName": metric,
            "Dimensions": [{"Name": dimension.0, "Value": dimension.1}],
        }}}],
    });
    let answer = book.send("cloudwatch:GetMetricData", &input).unwrap();
    let result = &answer["MetricDataResults"][0];
    let numbers = |member: &str| -> Vec<f64> {
        result[member].as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
    };
    let minute = |at: f64| (at as i64 - start.as_second()) / 60;
    numbers("Timestamps").into_iter().map(minute).zip(numbers("Values")).collect()
}

fn kinesis(book: &mut Book, metric: &str, stat: &str) -> BTreeMap<i64, f64> {
    minutes(book, "AWS/Kinesis", metric, ("StreamName", "events"), stat).into_iter().collect()
}

fn lambda(book: &mut Book, function: &str, metric: &str, stat: &str) -> BTreeMap<i64, f64> {
    minutes(book, "AWS/Lambda", metric, ("FunctionName", function), stat).into_iter().collect()
}

const REJECTED: &str = "WriteProvisionedThroughputExceeded";

#[test]
fn the_library_is_whole_and_its_names_are_its_files() {
    let worlds = library();
    assert!(worlds.len() >= 12, "{:?}", worlds.keys());
    for (name, world) in &worlds {
        assert_eq!(&world.name, name);
        let again = World::parse(&serde_json::to_string(world).unwrap()).unwrap();
        assert_eq!(&again, world, "{name}: written and read");
        let twin = Twin::new(world.clone(), 1);
        assert!(twin.audit().mutations.iter().all(|mutation| mutation.refused.is_none()), "{name}");
    }
}

#[test]
fn nothing_happens_in_nothing() {
    let mut book = after("nothing", 60);
    assert_eq!(book.ok("kinesis:ListStreams", json!({}))["StreamNames"], json!([]));
    assert_eq!(book.ok("dynamodb:ListTables", json!({}))["TableNames"], json!([]));
    assert!(kinesis(&mut book, "IncomingRecords", "Sum").is_empty());
}

#[test]
fn a_step_overruns_one_shard_from_its_minute_on() {
    let mut book = after("step", 70);
    let rejected = kinesis(&mut book, REJECTED, "Sum");
    assert!((0..10).all(|minute| rejected.get(&minute).is_none_or(|sum| *sum == 0.0)), "{rejected:?}");
    assert!((10..60).all(|minute| rejected[&minute] >= 35_000.0), "{rejected:?}");
}

#[test]
fn a_ramp_fills_a_shard_after_forty_minutes() {
    let mut book = after("ramp", 60);
    let rejected = kinesis(&mut book, REJECTED, "Sum");
    let first = rejected.iter().find(|(_, sum)| **sum > 0.0).map(|(minute, _)| *minute);
    assert_eq!(first, Some(40), "{rejected:?}");
}

#[test]
fn a_square_has_two_levels() {
    let incoming = kinesis(&mut after("square", 110), "IncomingRecords", "Sum");
    for (minute, sum) in incoming {
        let level = if minute / 10 % 2 == 0 { 6_000.0 } else { 54_000.0 };
        assert!((sum - level).abs() < 60.0, "minute {minute}: {sum}");
    }
}

#[test]
fn a_trace_reaches_its_peak_in_its_greatest_row() {
    let incoming = kinesis(&mut after("trace", 70), "IncomingRecords", "Sum");
    // Row 12 of 24, at 150 s a row, is minute 30 to 32; it is 100 of 100.
    assert!((incoming[&31] - 48_000.0).abs() < 60.0, "{incoming:?}");
    assert!(incoming.values().all(|sum| *sum <= 48_060.0));
    // Row 4 is minute 10: 6 of 100.
    assert!((incoming[&11] - 2_880.0).abs() < 60.0, "{incoming:?}");
}

#[test]
fn a_wave_is_lowest_at_its_ends() {
    let incoming = kinesis(&mut after("wave", 130), "IncomingRecords", "Sum");
    assert!(incoming[&0] < 3_300.0 && incoming[&119] < 3_300.0, "{incoming:?}");
    assert!((incoming[&60] - 54_000.0).abs() < 600.0, "{incoming:?}");
}

#[test]
fn a_hot_key_throttles_a_stream_that_has_room() {
    let mut book = after("hotKey", 60);
    let rejected = kinesis(&mut book, REJECTED, "Sum");
    let accepted = kinesis(&mut book, "IncomingRecords", "Sum");
    assert!((5..55).all(|minute| rejected[&minute] > 12_000.0), "{rejected:?}");
    assert!((5..55).all(|minute| accepted[&minute] < 100_000.0), "far below four shards: {accepted:?}");
}

#[test]
fn a_slow_consumer_falls_behind() {
    let age = lambda(&mut after("slowConsumer", 60), "slow", "IteratorAge", "Maximum");
    assert!(age[&50] > 30.0 * 60_000.0, "{age:?}");
    assert!(age[&20] < age[&50], "{age:?}");
}

#[test]
fn a_capped_table_holds_the_function_up_and_not_the_stream() {
    let mut book = after("downstreamCap", 60);
    let throttled = minutes(&mut book, "AWS/DynamoDB", "WriteThrottleEvents", ("TableName", "results"), "Sum");
    assert!(throttled.iter().map(|(_, sum)| sum).sum::<f64>() > 1_000.0, "{throttled:?}");
    let age = lambda(&mut book, "writer", "IteratorAge", "Maximum");
    assert!(age[&50] > 10.0 * 60_000.0, "{age:?}");
    assert!(kinesis(&mut book, REJECTED, "Sum").values().all(|sum| *sum == 0.0));
}

#[test]
fn five_shared_readers_wait_a_second() {
    let mut book = after("fiveSharedReaders", 60);
    let invocations = lambda(&mut book, "reader", "Invocations", "Sum");
    assert!((30..55).all(|minute| (invocations[&minute] - 60.0).abs() <= 3.0), "one poll a second: {invocations:?}");
}

#[test]
fn a_poison_record_fails_its_batch_for_good() {
    let mut book = after("poisonRecord", 30);
    let errors = lambda(&mut book, "reader", "Errors", "Sum");
    assert!(
        (1..10).all(|minute| errors[&minute] == 0.0) && (12..28).all(|minute| errors[&minute] > 30.0),
        "{errors:?}"
    );
    assert!(lambda(&mut book, "reader", "IteratorAge", "Maximum")[&27] > 15.0 * 60_000.0);
}

#[test]
fn an_outage_of_metrics_hides_minutes_and_delays_others() {
    let mut book = after("metricOutage", 62);
    let seen = kinesis(&mut book, "IncomingRecords", "Sum");
    assert!((2..20).all(|minute| seen.contains_key(&minute)), "{seen:?}");
    assert!((20..40).all(|minute| !seen.contains_key(&minute)), "{seen:?}");
    assert!(seen.contains_key(&54) && !seen.contains_key(&57), "five minutes late: {seen:?}");
}

#[test]
fn a_bad_day_has_its_faults_at_their_times() {
    let mut book = after("badDay", 0);
    let stream = json!({"StreamName": "events"});
    let serve = |book: &mut Book, operation: &str, input: &Value| {
        let request = super::conformance::request(operation, input);
        book.twin.serve(book.now, &request).map(|response| (response.status, String::from_utf8(response.body).unwrap()))
    };
    book.wait(610.0);
    let (status, body) = serve(&mut book, "kinesis:DescribeLimits", &json!({})).unwrap();
    assert!(status == 400 && body.contains("ExpiredTokenException"), "{body}");
    book.wait(200.0);
    // The change is slow: after 300 s it still runs, after 610 s it has ended.
    let double = json!({"StreamName": "events", "TargetShardCount": 3, "ScalingType": "UNIFORM_SCALING"});
    let _ = serve(&mut book, "kinesis:UpdateShardCount", &double);
    book.wait(300.0);
    let status = |book: &mut Book| {
        book.ok("kinesis:DescribeStreamSummary", stream.clone())["StreamDescriptionSummary"]["StreamStatus"].clone()
    };
    assert_eq!(status(&mut book), "UPDATING");
    book.wait(310.0);
    assert_eq!(status(&mut book), "ACTIVE");
    let (_, body) = serve(&mut book, "kinesis:UpdateShardCount", &double).unwrap();
    assert!(body.contains("LimitExceededException") && body.contains("shard limit"), "{body}");
    // 1,800 s: another user's change; 3,000 s: gone; 3,060 s: somebody makes a new one.
    book.wait(1_810.0 - 1_420.0);
    assert_eq!(status(&mut book), "UPDATING");
    book.wait(1_240.0);
    book.refused("kinesis:DescribeStreamSummary", stream.clone(), "ResourceNotFoundException");
    book.wait(100.0);
    assert_eq!(status(&mut book), "ACTIVE");
}

#[test]
fn every_problem_is_told_at_once_with_its_place() {
    let text = "apiVersion: alleycat.dev/v1alpha1\nkind: World\nname: w\nname: v\nstart: yesterday\nshardLimits: 3\n\
                functions:\n  f: {timeoutSeconds: 901, memoryMb: \"256\"}\nproducers:\n  - kind: racer\n  - {stream: s}\n";
    let problems = World::parse(text).unwrap_err();
    let told = render_problems("w.yaml", text, &problems, false);
    for part in [
        "`name` stands here twice",
        "w.yaml:4:1",
        "start: `yesterday` is no moment",
        "did you mean `shardLimit`?",
        "functions.f.timeoutSeconds: 901 is out of range",
        "from 1 to 900",
        "functions.f.memoryMb: a whole number belongs here, not text",
        "did you mean `racers`?",
        "`kind` is missing",
        "w.yaml: 7 problems",
    ] {
        assert!(told.contains(part), "{part} is not in\n{told}");
    }
}

#[test]
fn hostile_files_are_refused_quickly() {
    let deep = "[".repeat(100_000);
    let wide = format!("faults: [{}]", "{}, ".repeat(100_000));
    let long = format!("name: {}", "x".repeat(2 << 20));
    let bomb =
        "a: &a [x, x, x, x, x, x]\nb: &b [*a, *a, *a, *a, *a, *a]\nc: &c [*b, *b, *b, *b, *b]\nd: [*c, *c, *c]\n";
    for text in ["", "\0", "- a", "{", "kind: [", &deep, &wide, &long, bomb, "? [a]\n: b", "start: .nan"] {
        let began = Instant::now();
        assert!(!World::parse(text).unwrap_err().is_empty());
        assert!(began.elapsed().as_millis() < 1_500, "{} bytes took {:?}", text.len(), began.elapsed());
    }
}

/// The fields of one type as rows.
fn rows(text: &mut String, schema: &Value) {
    let required: Vec<&Value> = schema["required"].as_array().into_iter().flatten().collect();
    let _ = write!(text, "\n| field | range | default | what it is |\n|---|---|---|---|\n");
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let default = match &field["default"] {
            Value::Object(members) if !members.is_empty() => "as below".to_owned(),
            _ if required.contains(&&json!(name)) => "required".to_owned(),
            Value::Null => "none".to_owned(),
            value => format!("`{value}`"),
        };
        let range = match (&field["minimum"], &field["maximum"]) {
            (low, high) if high.is_number() => format!("{low} to {high}"),
            (low, _) if low.is_number() => format!("from {low}"),
            _ => String::new(),
        };
        let what = field["description"].as_str().unwrap_or_default().replace('\n', " ").replace('|', "\\|");
        let what = match field["const"].as_str() {
            Some(word) => format!("`{word}`"),
            None => what,
        };
        assert!(!what.is_empty(), "{name} has no words");
        let _ = writeln!(text, "| `{name}` | {range} | {default} | {what} |");
    }
}

fn docs() -> String {
    let schema = schema();
    let mut text = String::from(
        "# World files\n\n\
         A world file (`kind: World`) says what surrounds the pipeline in the simulated AWS: who puts records, what the\n\
         functions cost, how long AWS takes, what goes wrong. `--local=FILE` runs in it. The worlds in\n\
         `examples/worlds/` are a start. This page is generated from `docs/world.schema.json`'s source, the types\n\
         themselves: `BLESS=1 cargo test --test it world`.\n\n## World\n",
    );
    rows(&mut text, &schema);
    for (name, of) in schema["$defs"].as_object().unwrap() {
        let about = of["description"].as_str().unwrap_or_default().replace('\n', " ");
        let _ = write!(text, "\n## {name}\n\n{about}\n");
        match of["oneOf"].as_array() {
            None if of["properties"].is_object() => rows(&mut text, of),
            None => {
                let words: Vec<String> =
                    of["enum"].as_array().into_iter().flatten().map(|word| format!("`{word}`")).collect();
                let _ = write!(text, "\n{}\n", words.join(", "));
            }
            Some(variants) => {
                for variant in variants {
                    let about = variant["description"].as_str().unwrap_or_default().replace('\n', " ");
                    if let Some(word) = variant["const"].as_str() {
                        let _ = write!(text, "\n- `{word}`: {about}\n");
                        continue;
                    }
                    let kind = variant["properties"]["kind"]["const"].as_str().unwrap_or_default();
                    let _ = write!(text, "\n### {name} `{kind}`\n\n{about}\n");
                    rows(&mut text, variant);
                }
            }
        }
    }
    text
}

#[test]
fn the_schema_and_the_docs_are_those_of_the_types() {
    let schema = format!("{:#}\n", schema());
    for (file, text) in [("docs/world.schema.json", schema), ("docs/worlds.md", docs())] {
        let path = root().join(file);
        if std::env::var_os("BLESS").is_some() {
            fs::write(&path, &text).unwrap();
        }
        let known = fs::read_to_string(&path).unwrap_or_default();
        assert!(known == text, "{file} is not what the types say: BLESS=1 cargo test --test it world");
    }
}
