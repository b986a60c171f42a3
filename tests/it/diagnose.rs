//! `diagnose` and `explain` as a person meets them, and what a diagnosis costs.

use alleycat_operator::{
    aws::Allow,
    cli::{diagnose::diagnose, source::Loaded},
    daemon::Mode,
    diagnose::Diagnosis,
};
use jiff::SignedDuration;

use crate::{
    bench::{Bench, done},
    cli,
};

const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// A text fits the smallest terminal, and colours change nothing but colours.
fn fits(text: &str) {
    assert!(text.lines().count() <= 40, "{} lines:\n{text}", text.lines().count());
    for line in text.lines() {
        assert!(line.chars().count() <= 80, "too wide: {line}");
    }
}

#[test]
fn race_day_on_the_templates_settings_names_the_remedies_of_the_walk_through() {
    let bench = cli::Bench::new();
    bench.run("apply spec.yaml --local --yes").exits(0);
    bench.run("daemon spec.yaml --local --observe --for 40m").exits(0);
    let text = bench.run("diagnose spec.yaml --local").exits(11);
    fits(&text.stdout);
    let json = bench.run("diagnose spec.yaml --local --output json").exits(11).json();
    let findings = json["findings"].as_array().unwrap();
    let code = |at: usize| findings[at]["diagnosis"].as_str().unwrap();
    assert_eq!(code(0), "SINK_SHORT", "the table first");
    let remedies: Vec<String> = findings.iter().map(|it| format!("{} {}", it["remedy"], it["person"])).collect();
    let said = remedies.join("\n");
    for remedy in ["Raise write capacity", "Raise the shard count", "Packing"] {
        assert!(said.contains(remedy), "{remedy}:\n{said}");
    }
    for code in ["INGEST_SHORT", "FUNCTION_TIMEOUT"] {
        assert!(findings.iter().any(|it| it["diagnosis"] == code), "{code}");
    }
    assert!(json["estimates"]["sinks"][0]["burstUnits"].as_f64().is_some());
    bench.golden("race_day", &[&text]);
}

#[test]
fn a_pipeline_that_is_kept_up_is_healthy() {
    let bench = cli::Bench::new();
    bench.run("apply spec.yaml --local --yes").exits(0);
    bench.run("daemon spec.yaml --local --for 100m").exits(0);
    let text = bench.run("diagnose spec.yaml --local --since 30m").exits(0);
    fits(&text.stdout);
    assert!(text.stdout.starts_with("HEALTHY"), "{}", text.stdout);
    bench.golden("healthy", &[&text]);
}

#[test]
fn a_stream_without_a_spec_is_diagnosed_by_what_exists() {
    let bench = cli::Bench::new();
    bench.run("apply spec.yaml --local --yes").exits(0);
    bench.run("daemon spec.yaml --local --observe --for 40m").exits(0);
    let text = bench.run("diagnose --local --stream alleycat --table alleycat-races").exits(11);
    fits(&text.stdout);
    assert!(text.stdout.contains("SINK_SHORT") && text.stdout.contains("No spec"), "{}", text.stdout);
    bench.golden("without_a_spec", &[&text]);
    bench.run("diagnose --local --stream none").exits(1).says(&["stream/none does not exist"]);
    bench.run("diagnose --local --stream alleycat --table none").exits(1).says(&["table/none does not exist"]);
    bench.run("diagnose spec.yaml --local --since 25h").exits(64).says(&["at most 24h"]);
    bench.run("diagnose --local").exits(64);
}

#[test]
fn explain_knows_every_code() {
    let bench = cli::Bench::new();
    let list = bench.run("explain").exits(0);
    for code in Diagnosis::ALL {
        assert!(list.stdout.contains(code.code()), "{code}");
        let page = bench.run(&format!("explain {}", code.code().to_lowercase())).exits(0);
        assert!(page.stdout.starts_with(code.code()), "{}", page.stdout);
    }
    bench.run("explain NONSENSE").exits(64).says(&["there is no diagnosis"]);
}

/// At most ten calls and one a function, at most 60 metrics over three hours, and nothing is changed.
#[tokio::test(start_paused = true)]
async fn a_diagnosis_is_cheap_and_changes_nothing() {
    let bench = Bench::new();
    done(&bench.apply().await);
    bench.daemon(Mode::Observe, HOUR, |_, _| {}).await;
    let aws = bench.aws(Allow::Reads).await;
    let before = bench.host.with(|twin| (twin.audit().calls.clone(), twin.audit().mutations.len()));
    let loaded = Loaded { pipeline: bench.pipeline.clone(), policy: bench.policy.clone() };
    let named = vec!["alleycat-races".to_owned()];
    for tables in [None, Some(&named)] {
        let caller = ("123456789012", "arn");
        let found = diagnose(&aws, caller, &bench.store, &loaded, tables, 3 * HOUR).await.unwrap();
        assert!(found.signals.metrics_requested <= 60, "{}", found.signals.metrics_requested);
        assert_eq!(found.review.findings.first().map(|it| it.diagnosis), Some(Diagnosis::SinkShort));
    }
    let after = bench.host.with(|twin| (twin.audit().calls.clone(), twin.audit().mutations.len()));
    assert_eq!(before.1, after.1);
    let made = after.0.values().sum::<u64>() - before.0.values().sum::<u64>();
    let functions = bench.pipeline.consumers.len() as u64;
    // The command itself asks once who it is.
    assert!(made / 2 < 10 + functions, "{made} calls in two diagnoses");
}
