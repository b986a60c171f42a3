//! `diagnose --report`: the page, as text here and as a browser sees it in `browser`.

mod browser;
mod devtools;

use std::{fs, path::PathBuf};

use crate::cli::Bench;

/// Most that a page over three hours may weigh.
const WEIGHT: usize = 400_000;

/// The report of the template's settings at 1,000 racers, without the operator, after so long.
fn race_day(bench: &Bench, length: &str) -> PathBuf {
    bench.run("apply spec.yaml --local --yes").exits(0);
    bench.run(&format!("daemon spec.yaml --local --observe --for {length}")).exits(0);
    bench.run("diagnose spec.yaml --local --report report.html").exits(11).says(&["report: report.html"]);
    bench.path().join("report.html")
}

/// The description of a chart, by its anchor.
fn told(page: &str, chart: &str) -> String {
    let (_, rest) = page.split_once(&format!("<desc id=\"{chart}-d\">")).unwrap_or_else(|| panic!("no chart {chart}"));
    rest.split_once("</desc>").expect("a description ends").0.to_owned()
}

#[test]
fn the_report_shows_what_the_walk_through_shows_chart_by_chart() {
    let bench = Bench::new();
    let page = fs::read_to_string(race_day(&bench, "45m")).unwrap();
    for (chart, parts) in [
        ("stream-records", &["highest 1,000 records/s", "Limit of the shards: 1,000 records/s"][..]),
        ("stream-bytes", &["Limit of the shards: 1,024 KiB/s"]),
        ("stream-age", &["Objective: 1 min", "50 % of retention: 12 h", "80 % of retention: 19 h 12 min"]),
        ("consumer-0-duration", &["highest 15 s", "Timeout: 15 s"]),
        ("consumer-1-duration", &["highest 15 s", "Timeout: 15 s"]),
        ("consumer-0-concurrency", &["highest 1 at a time", "Slots: shards x factor: 1 at a time"]),
        ("consumer-1-concurrency", &["highest 1 at a time", "Slots: shards x factor: 1 at a time"]),
        ("sink-1-write", &["Provisioned: 20 units/s", "SINK_SHORT from 08:"]),
        ("sink-2-write", &["Provisioned: 10 units/s", "SINK_SHORT from 08:"]),
        ("sink-1-read", &["Provisioned: 20 units/s", "Reads throttled: 0 in 0 minutes"]),
    ] {
        let said = told(&page, chart);
        for part in parts {
            assert!(said.contains(part), "{chart} does not say {part:?}: {said}");
        }
    }
    for grows in ["stream-age", "consumer-0-age", "consumer-1-age"] {
        let said = told(&page, grows);
        let (_, rest) = said.split_once(": ").unwrap();
        assert!(rest.contains(" min"), "{grows} is minutes behind: {said}");
    }
    for errors in ["consumer-0-errors", "consumer-1-errors"] {
        let said = told(&page, errors);
        let (errors, _) = said.split_once(" Invocations throttled").unwrap();
        assert!(!errors.contains("highest 0 "), "{said}");
    }
    assert!(!told(&page, "sink-1-write").contains("Writes throttled: 0 "), "{}", told(&page, "sink-1-write"));
    for code in ["SINK_SHORT", "INGEST_SHORT", "FUNCTION_TIMEOUT"] {
        assert!(page.contains(&format!("<a href=\"#code-{code}\">")), "no card of {code}");
        assert!(page.contains(&format!("id=\"code-{code}\"")), "{code} is not explained");
    }
}

#[test]
fn a_page_of_three_hours_is_small_and_asks_for_nothing() {
    let bench = Bench::new();
    let page = fs::read_to_string(race_day(&bench, "190m")).unwrap();
    eprintln!("a report over three hours: {} bytes", page.len());
    assert!(page.len() < WEIGHT, "{} bytes", page.len());
    for outside in ["http://", "https://", "<script", "<link", "<img", "src=", "url(", "@import"] {
        assert!(!page.contains(outside), "the page holds {outside}");
    }
    assert_eq!(page.matches("<svg role=\"img\"").count(), page.matches("<svg").count());
    assert_eq!(page.matches("<desc").count(), page.matches("<svg").count());
}

#[test]
fn what_the_operator_did_is_marked_and_listed() {
    let bench = Bench::new();
    bench.run("apply spec.yaml --local --yes").exits(0);
    bench.run("daemon spec.yaml --local --for 60m").exits(0);
    bench.run("diagnose spec.yaml --local --report report.html");
    let page = fs::read_to_string(bench.path().join("report.html")).unwrap();
    assert!(told(&page, "stream-records").contains("Changed at 08:"), "{}", told(&page, "stream-records"));
    assert!(page.contains("<li>08:"), "no decision is listed");
    assert!(page.contains("changed by the operator"));
}

#[test]
fn a_page_that_cannot_be_written_is_an_error() {
    let bench = Bench::new();
    bench.run("apply spec.yaml --local --yes").exits(0);
    bench.run("diagnose spec.yaml --local --report none/report.html").exits(1).says(&["cannot write none/report.html"]);
}
