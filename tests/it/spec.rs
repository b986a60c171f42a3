//! The spec as users meet it: the examples, wrong files, hostile files.

#![allow(clippy::panic, clippy::disallowed_methods, reason = "a test, and one that measures real time")]

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use alleycat_operator::model::{BatchSize, BillingMode, CapacityUnits, Hours, ParallelizationFactor, ShardCount};
use alleycat_operator::spec::{self, Billing, BreakGlass, Management, Pipeline, Projection, StartingPosition};
use proptest::prelude::*;

const ALLEYCAT: &str = include_str!("../../examples/alleycat.yaml");
const MINIMAL: &str = include_str!("../../examples/minimal.yaml");

fn parse(source: &str) -> Pipeline {
    spec::parse(source)
        .unwrap_or_else(|problems| panic!("{}", spec::render_problems("x.yaml", source, &problems, false)))
}

fn codes(source: &str) -> Vec<&'static str> {
    spec::parse(source).err().unwrap_or_default().iter().map(|problem| problem.code).collect()
}

/// The minimal example with one piece replaced; the piece must be there.
fn minimal(from: &str, to: &str) -> String {
    assert!(MINIMAL.contains(from), "{from}");
    MINIMAL.replace(from, to)
}

#[test]
fn the_alleycat_example_carries_the_templates_settings() {
    let pipeline = parse(ALLEYCAT);
    assert_eq!(pipeline.name, "alleycat");
    assert_eq!(pipeline.region.as_deref(), Some("us-east-2"));
    assert_eq!(pipeline.management, Management::Full);
    let shards = pipeline.stream.shards;
    assert_eq!((shards.min, shards.initial, shards.max), (ShardCount(1), ShardCount(1), ShardCount(16)));
    let retention = pipeline.stream.retention;
    assert_eq!((retention.min, retention.initial, retention.max), (Hours(24), Hours(24), Hours(168)));
    let [leaderboard, results] = pipeline.consumers.as_slice() else { panic!("two consumers") };
    assert_eq!(leaderboard.function, "alleycat-TumblingWindowFunction");
    assert_eq!(leaderboard.batch_size.initial, BatchSize(1000));
    assert_eq!(results.batch_size.initial, BatchSize(100));
    for consumer in [leaderboard, results] {
        assert_eq!(consumer.parallelization_factor.initial, ParallelizationFactor(1));
        assert_eq!(consumer.parallelization_factor.max, ParallelizationFactor(10));
        assert_eq!(consumer.starting_position, StartingPosition::TrimHorizon);
        assert_eq!(consumer.writes_to, ["alleycat-races"]);
        assert_eq!((consumer.maximum_retry_attempts, consumer.maximum_record_age_seconds), (-1, -1));
    }
    assert_eq!(pipeline.external_consumers[0].kind, "firehose");
    let table = &pipeline.tables[0];
    assert_eq!((table.billing_mode, table.partition_key.to_string().as_str()), (Billing::Provisioned, "PK:S"));
    assert_eq!((table.write_capacity.initial, table.write_capacity.max), (CapacityUnits(20), CapacityUnits(4000)));
    assert_eq!((table.read_capacity.initial, table.read_capacity.max), (CapacityUnits(20), CapacityUnits(400)));
    let index = &table.global_secondary_indexes[0];
    assert_eq!((index.name.as_str(), index.projection.clone()), ("GSI_Index", Projection::All));
    assert_eq!((index.write_capacity.initial, index.write_capacity.max), (CapacityUnits(10), CapacityUnits(2000)));
    assert_eq!(index.read_capacity.initial, CapacityUnits(10));
    assert_eq!(table.local_secondary_indexes[0].sort_key.to_string(), "GSI:N");
    assert_eq!(table.stream_view_type.as_deref(), Some("NEW_AND_OLD_IMAGES"));
    assert!(table.point_in_time_recovery && table.deletion_protection);
    assert_eq!((pipeline.objectives.iterator_age.as_secs(), pipeline.objectives.recovery.as_secs()), (60, 600));
}

#[test]
fn the_minimal_example_gets_safe_defaults() {
    let pipeline = parse(MINIMAL);
    assert_eq!((pipeline.region, pipeline.scaling.policy.as_str()), (None, "balanced"));
    assert_eq!(pipeline.stream.shards.initial, ShardCount(1));
    assert_eq!((pipeline.stream.retention.min, pipeline.stream.retention.max), (Hours(24), Hours(24)));
    assert_eq!(pipeline.consumers[0].batch_size.max, BatchSize(100));
    assert!(pipeline.tables[0].deletion_protection);
    assert_eq!(pipeline.tables[0].read_capacity.max, CapacityUnits(5));
}

#[test]
fn an_arn_stands_in_for_what_the_spec_leaves_open_and_must_agree_with_it() {
    let arn = "arn:aws:lambda:eu-west-1:123456789012:function:count-clicks:live";
    let pipeline = parse(&minimal("count-clicks ", &format!("{arn} ")));
    assert_eq!(
        (pipeline.region.as_deref(), pipeline.expected_account_ids.as_slice()),
        (Some("eu-west-1"), &["123456789012".to_owned()][..])
    );
    assert_eq!(
        (pipeline.consumers[0].function.as_str(), pipeline.consumers[0].alias.as_deref()),
        ("count-clicks", Some("live"))
    );
    let elsewhere = minimal("spec:\n", "spec:\n  region: us-east-2\n  expectedAccountIds: [\"999999999999\"]\n");
    assert_eq!(codes(&elsewhere.replace("count-clicks ", &format!("{arn} "))), ["AC0122", "AC0122"]);
}

/// Every field of the format, none at its default.
#[test]
fn every_field_is_read() {
    let pipeline = parse(
        r#"
apiVersion: alleycat.dev/v1alpha1
kind: Pipeline
metadata: {name: all}
spec:
  region: eu-central-1
  expectedAccountIds: ["123456789012"]
  management: observe
  tags: {team: racing, "cost centre": ""}
  stream: {name: s, streamMode: provisioned, shards: 3, retention: 7d, shardLevelMetrics: [], encryption: none, adoptionPolicy: adopt, deletionPolicy: delete}
  consumers:
    - name: c
      function: 123456789012:function:f:live
      delivery: shared
      parallelizationFactor: {min: 2, max: 4, initial: 3}
      batchSize: {min: 10, max: 20, initial: 15}
      maximumBatchingWindow: 5s
      startingPosition: AT_TIMESTAMP
      startingPositionTimestamp: "2026-01-31T12:00:00Z"
      tumblingWindow: 15m
      maximumRetryAttempts: 3
      maximumRecordAge: 1h
      bisectBatchOnFunctionError: true
      functionResponseTypes: [ReportBatchItemFailures]
      onFailure: arn:aws:sns:eu-central-1:123456789012:failed
      filterCriteria: ['{"data": {"event": ["final"]}}']
      idempotent: true
      concurrencySafe: true
      writesTo: [ttt]
  externalConsumers: [{name: e, kind: firehose}]
  tables:
    - name: ttt
      billingMode: provisioned
      partitionKey: a:b:S
      sortKey: c:B
      writeCapacity: {min: 1, max: 3, initial: 2}
      readCapacity: 4
      globalSecondaryIndexes:
        - {name: ggg, partitionKey: "c:B", projection: {include: [x, y]}, writeCapacity: 5, readCapacity: 6}
      localSecondaryIndexes: [{name: lll, sortKey: "d:N", projection: KEYS_ONLY}]
      streamViewType: KEYS_ONLY
      timeToLive: expires
      pointInTimeRecovery: false
      deletionProtection: false
      adoptionPolicy: adopt
      deletionPolicy: delete
  objectives: {iteratorAge: 2m, recovery: 1h, monthlyBudget: 99.5}
  scaling: {policy: policies/mine.yaml, schedule: [], freeze: []}
"#,
    );
    insta::assert_snapshot!("every_field", serde_json::to_string_pretty(&pipeline).unwrap());
}

#[test]
fn on_demand_tables_have_no_capacity() {
    let source =
        minimal("      writeCapacity: {min: 5, max: 200}\n      readCapacity: 5\n", "      billingMode: onDemand\n");
    let table = parse(&source).tables.remove(0);
    assert_eq!((table.billing_mode, table.write_capacity.max), (Billing::OnDemand, CapacityUnits(0)));
    assert_eq!(
        codes(&minimal("readCapacity: 5", "readCapacity: 5\n      billingMode: onDemand")),
        ["AC0122", "AC0122"]
    );
}

#[test]
fn an_auto_table_has_bounds_and_begins_provisioned() {
    let table = parse(&minimal("readCapacity: 5", "readCapacity: 5\n      billingMode: auto")).tables.remove(0);
    assert_eq!((table.billing_mode, table.write_capacity.max), (Billing::Auto, CapacityUnits(200)));
    assert_eq!(table.billing_mode.initial(), BillingMode::Provisioned);
    let without =
        minimal("      writeCapacity: {min: 5, max: 200}\n      readCapacity: 5\n", "      billingMode: auto\n");
    assert_eq!(codes(&without), ["AC0105", "AC0105"]);
    let both = parse(&minimal("  tables:", "  scaling: {breakGlass: [splitShard, onDemand]}\n  tables:"));
    assert_eq!(both.scaling.break_glass, [BreakGlass::SplitShard, BreakGlass::OnDemand]);
}

/// Each wrong file and the text a person sees. Reviewed by eye; `cargo insta review` after a change.
#[test]
fn wrong_specs_are_explained() {
    let cases = [
        ("unknown_fields", minimal("    shards: {min: 1, max: 4}", "    shard: 4\n    shardLevelMetric: []\n    kms: x")),
        ("duplicates", minimal("      readCapacity: 5\n", "      readCapacity: 5\n      partitionKey: id:S\n    - {name: click-counts, partitionKey: id:S, writeCapacity: 1, readCapacity: 1}\n")),
        ("bounds", minimal("{min: 1, max: 4}", "{min: 8, max: 4, initial: 20000}").replace("readCapacity: 5", "readCapacity: {min: 5, max: 9, initial: 4}").replace("{min: 5, max: 200}", "{min: 0}")),
        ("types", minimal("name: clicks\nspec", "name: 12\nspec").replace("{min: 1, max: 4}", "two").replace("[click-counts]", "click-counts").replace("readCapacity: 5", "readCapacity: 2.5\n      deletionProtection: yes")),
        ("references", minimal("[click-counts]", "[clicks-count, click-counts, click-counts]").replace("      function: count", "      onFailure: arn:aws:sqs:us-east-2:123456789012:q.fifo\n      function: count")),
        ("consumer_ranges", minimal("      writesTo", "      maximumRecordAge: 30s\n      maximumBatchingWindow: 10m\n      maximumRetryAttempts: 10001\n      batchSize: 0\n      parallelizationFactor: 11\n      tumblingWindow: 15\n      writesTo")),
        ("starting_position", minimal("      writesTo", "      startingPosition: AT_TIMESTAMP\n      writesTo").replace("  tables:", "    - {name: b, function: count-clicks, startingPosition: LATEST, startingPositionTimestamp: \"2026-01-31T12:00:00Z\"}\n  tables:")),
        ("not_concurrency_safe", minimal("      writesTo", "      concurrencySafe: false\n      parallelizationFactor: {min: 2, max: 4}\n      writesTo").replace("{min: 1, max: 4}", "{min: 2, max: 4}")),
        ("not_supported", minimal("    shards: {min: 1, max: 4}", "    shards: 1\n    streamMode: onDemand\n    encryption: awsManaged\n    shardLevelMetrics: [ALL]")),
        ("scaling", minimal("  tables:", "  scaling:\n    schedule:\n      - {name: noon, duration: 1h}\n      - {name: race, at: yesterday, duration: 30s, expect: {recordsPerSecond: 0}}\n      - {name: race, cron: \"50 7 * *\", duration: 1h, expect: {}}\n    freeze:\n      - {cron: \"50 27 * * SAT\", timezone: Europe/Atlantis, duration: 1h, directions: [sideways]}\n      - {cron: \"50 27 * * SAT\", at: 2026-03-02T08:00:00Z, duration: 1h}\n    breakGlass: [splitShards]\n  tables:")),
        ("read_twice", minimal("      writesTo", "      delivery: enhancedFanOut\n      writesTo")),
        ("keys", minimal("partitionKey: page:S", "partitionKey: page:X\n      globalSecondaryIndexes:\n        - {name: by_day, partitionKey: \"day:N\", sortKey: \"day:S\", projection: INCLUDE, writeCapacity: 1, readCapacity: 1}\n      localSecondaryIndexes:\n        - {name: by_day, sortKey: \"day:S\"}")),
        ("names_and_places", minimal("name: clicks\nspec:", "name: My_Clicks\nspec:\n  region: us-east\n  expectedAccountIds: [012345678901, 123456789012]\n  tags: {aws:x: a, alleycat.dev/pipeline: b, team: 5, \"b?d\": c}").replace("name: counter", "name: a b").replace("count-clicks ", "arn:aws:s3:::x ")),
        ("retention_and_objectives", minimal("shards:", "retention: 90m\n    shards:").replace("  tables:", "  objectives: {iteratorAge: 2d, recovery: 1s, monthlyBudget: .nan}\n  scaling: {policy: blanced}\n  tables:")),
        ("age_beyond_retention", minimal("  tables:", "  objectives: {iteratorAge: 2d}\n  tables:")),
        ("another_kind", minimal("kind: Pipeline", "kind: World").replace("v1alpha1", "v2")),
        ("syntax", minimal("shards: {min: 1, max: 4}", "shards: {min: 1, max: 4")),
        ("tab", minimal("    name: clicks\n    shards", "\tname: clicks\n    shards")),
        ("merge_key", minimal("    name: clicks\n    shards", "    <<: {a: 1}\n    name: clicks\n    shards")),
        ("quoted_number", minimal("{min: 1, max: 4}", "{min: 01, max: \"4\"}")),
        ("too_deep", "[".repeat(100)),
        ("empty", "# nothing\n".to_owned()),
        ("two_documents", format!("{MINIMAL}---\n{MINIMAL}")),
        ("not_a_mapping", "[1, 2]\n".to_owned()),
    ];
    for (name, source) in cases {
        let problems = spec::parse(&source).expect_err(name);
        insta::assert_snapshot!(name, spec::render_problems("pipeline.yaml", &source, &problems, false));
    }
}

#[test]
fn places_are_lines_and_columns_of_the_file() {
    let problems = spec::parse(&format!("\u{feff}# Ünïcödé\r\n{}", minimal("max: 4", "max: 0").replace('\n', "\r\n")))
        .unwrap_err();
    let problem = &problems[0];
    assert_eq!((problem.line, problem.column), (11, 27), "{problem:?}");
    let colored = spec::render_problems("x", MINIMAL, &problems, true);
    assert!(colored.contains('\u{1b}') && !spec::render_problems("x", MINIMAL, &problems, false).contains('\u{1b}'));
}

#[test]
fn hostile_files_are_refused_at_once() {
    let mut bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n".to_owned();
    for (name, before) in ('b'..='z').zip('a'..='y') {
        writeln!(bomb, "{name}: &{name} [*{before},*{before},*{before},*{before},*{before},*{before}]").unwrap();
    }
    let mut files = vec![
        bomb,
        "a: &a [*a]\n".to_owned(),
        "x".repeat(10 << 20),
        "a: b\n".repeat(200_000),
        format!("a: {}", "x".repeat(1_000_000)),
        "[".repeat(100_000),
        format!("{}1{}", "{a: ".repeat(200), "}".repeat(200)),
        (0..500).map(|depth| " ".repeat(depth) + "a:\n").collect::<Vec<_>>().concat(),
        format!("spec: [{}]", "1,".repeat(30_000)),
        "#".repeat(1_000_000),
        "? [a, b]\n: c\n".to_owned(),
        "!!binary aaaa\n".to_owned(),
        "spec: !custom {a: 1}\n".to_owned(),
        "\0".to_owned(),
        String::new(),
        "null\n".to_owned(),
        "---\n...\n---\n".to_owned(),
        "%YAML 9.9\n---\na\n".to_owned(),
    ];
    let numbers = [
        "-1",
        "0",
        ".nan",
        ".inf",
        "-.inf",
        "1e999",
        "99999999999999999999999999",
        "0x10000000000000000",
        "1_0",
        "010",
        "true",
        "~",
        "[]",
        "''",
    ];
    files.extend(numbers.map(|number| minimal("max: 4", &format!("max: {number}"))));
    files.extend(
        ["-5m", "99999999999999999999d", "9223372036854775807d", "1e3s", "𝟗h"]
            .map(|d| minimal("shards:", &format!("retention: {d}\n    shards:"))),
    );
    for source in files {
        let started = Instant::now();
        let problems = spec::parse(&source).expect_err(&source.chars().take(60).collect::<String>());
        let text = spec::render_problems("x.yaml", &source, &problems, false);
        let took = started.elapsed();
        assert!(text.len() < 200_000, "{} bytes for {:.60}", text.len(), source);
        // Tests are not optimised much and share their machine: "milliseconds" is measured with room.
        assert!(took < Duration::from_secs(2), "{took:?} for {source:.60}");
    }
}

#[test]
fn aliases_within_the_budget_are_fine() {
    let source =
        minimal("{min: 5, max: 200}", "&wide {min: 5, max: 200}").replace("readCapacity: 5", "readCapacity: *wide");
    assert_eq!(parse(&source).tables[0].read_capacity.max, CapacityUnits(200));
}

#[test]
fn control_characters_do_not_reach_the_terminal() {
    let source = minimal("name: counter", "\"na\\e[31mme\": counter").replace("# The smallest", "# The \u{85}smallest");
    let problems = spec::parse(&source).unwrap_err();
    assert!(!spec::render_problems("x.yaml", &source, &problems, false).contains('\u{1b}'));
}

/// The document as JSON, which is YAML, with the keys of every mapping in an order drawn from `seed`.
fn shuffled(value: &serde_json::Value, seed: &mut u64) -> String {
    match value {
        serde_json::Value::Object(map) => {
            let mut entries: Vec<(u64, String)> = map
                .iter()
                .map(|(key, value)| {
                    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    (*seed >> 33, format!("{key:?}: {}", shuffled(value, seed)))
                })
                .collect();
            entries.sort();
            let entries: Vec<String> = entries.into_iter().map(|(_, entry)| entry).collect();
            format!("{{{}}}", entries.join(", "))
        }
        serde_json::Value::Array(items) => {
            format!("[{}]", items.iter().map(|item| shuffled(item, seed)).collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_gets_an_answer(text in "\\PC*") {
        let problems = spec::parse(&text).expect_err("no random text is a pipeline");
        prop_assert!(!problems.is_empty());
        spec::render_problems("x.yaml", &text, &problems, true);
        let _ = spec::policy::parse(&text);
    }

    #[test]
    fn any_bytes_get_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let text = String::from_utf8_lossy(&bytes);
        let problems = spec::parse(&text).expect_err("no random text is a pipeline");
        spec::render_problems("x.yaml", &text, &problems, false);
    }

    /// Damage at one place: a valid pipeline or problems with a place inside the file, never a panic.
    #[test]
    fn a_damaged_spec_gets_an_answer(at in 0..ALLEYCAT.len(), cut in 0usize..40, put in "[-a-z0-9:{}\\[\\]&*!|>'\"%@`#,? \n\t]{0,8}") {
        let end = (at + cut).min(ALLEYCAT.len());
        let text = format!("{}{put}{}", &ALLEYCAT.get(..at).unwrap_or_default(), &ALLEYCAT.get(end..).unwrap_or_default());
        if let Err(problems) = spec::parse(&text) {
            prop_assert!(!problems.is_empty());
            for problem in &problems {
                prop_assert!(problem.line >= 1 && problem.column >= 1);
                if let Some(span) = &problem.span {
                    prop_assert!(text.get(span.clone()).is_some(), "{:?}", problem);
                }
            }
            spec::render_problems("x.yaml", &text, &problems, false);
        }
    }

    #[test]
    fn the_order_of_keys_does_not_matter(mut seed in any::<u64>()) {
        let tree: serde_json::Value = serde_saphyr::from_str(ALLEYCAT).unwrap();
        prop_assert_eq!(spec::parse(&shuffled(&tree, &mut seed)).unwrap(), parse(ALLEYCAT));
    }
}
