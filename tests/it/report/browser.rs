//! The page in a real browser: what is drawn, what a screen reader is told, that nothing is asked of the network, by
//! day and by night. `BLESS=1 cargo test --test it report` takes the pictures of the README anew.

use std::{fs, path::Path};

use serde_json::Value;

use super::{
    devtools::{Page, chromium},
    race_day,
};
use crate::cli::Bench;

/// Size of the view, and what of it is in the README.
const WIDTH: u32 = 1240;
const SHOWN: u32 = 1480;
const SCALE: f64 = 0.67;
/// Most that a picture may weigh.
const WEIGHT: usize = 200_000;

/// Charts with their limit lines, as an accessible name begins and as its description says.
const CHARTS: [(&str, usize, &[&str]); 9] = [
    ("Incoming records", 1, &["Limit of the shards"]),
    ("Incoming bytes", 1, &["Limit of the shards"]),
    ("Iterator age, all shared readers", 1, &["Objective", "50 % of retention", "80 % of retention"]),
    ("Duration of an invocation", 2, &["Timeout"]),
    ("Errors and throttles", 2, &["Errors"]),
    ("Iterator age, s", 2, &["Objective", "50 % of retention", "80 % of retention"]),
    ("Concurrent executions", 2, &["Slots"]),
    ("Write units", 2, &["Provisioned", "Writes throttled"]),
    ("Read units", 2, &["Provisioned", "Reads throttled"]),
];

#[test]
fn a_browser_shows_the_report_by_day_and_by_night() {
    let Some(chromium) = chromium("the report in a browser") else { return };
    let bench = Bench::new();
    let file = race_day(&bench, "45m");
    let address = format!("file://{}", file.display());
    let mut page = Page::open(&chromium, WIDTH, 1000);
    page.scheme("light");
    page.go(&address);

    accessible(&page.ask("Accessibility.getFullAXTree", &serde_json::json!({}))["nodes"]);
    drawn(&mut page);
    let day = page.picture(WIDTH, SHOWN, SCALE);
    let paper = background(&mut page);
    page.scheme("dark");
    let night = page.picture(WIDTH, SHOWN, SCALE);
    assert_ne!(background(&mut page), paper, "the page has a dark look");
    for (name, picture) in [("report-light.png", day), ("report-dark.png", night)] {
        assert!(picture.len() < WEIGHT, "{name} has {} bytes", picture.len());
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name);
        if std::env::var_os("BLESS").is_some() {
            fs::write(&path, &picture).unwrap();
        }
        assert!(path.is_file(), "docs/{name} is missing: run `BLESS=1 cargo test --test it report`");
    }
    for width in [1600, 768, 390] {
        page.size(width, 1000);
        let over = page.value("document.documentElement.scrollWidth - document.documentElement.clientWidth");
        assert!(over.as_f64() <= Some(0.0), "{over} px too wide on a screen of {width}");
    }

    let asked = page.events.iter().filter(|event| event["method"] == "Network.requestWillBeSent");
    let asked: Vec<&str> = asked.filter_map(|event| event["params"]["request"]["url"].as_str()).collect();
    assert_eq!(asked, [address.as_str()], "only the page itself was asked for");
}

fn background(page: &mut Page) -> Value {
    page.value("getComputedStyle(document.body).backgroundColor")
}

/// What a screen reader finds.
fn accessible(nodes: &Value) {
    let nodes = nodes.as_array().unwrap();
    let said = |node: &Value, what: &str| node[what]["value"].as_str().unwrap_or_default().to_owned();
    let of = |role: &str| -> Vec<(String, String)> {
        let found = nodes.iter().filter(|node| node["ignored"] != true && node["role"]["value"] == role);
        found.map(|node| (said(node, "name"), said(node, "description"))).collect()
    };
    for landmark in ["main", "navigation", "banner", "contentinfo"] {
        assert_eq!(of(landmark).len(), 1, "{landmark}");
    }
    let headings: Vec<String> = of("heading").into_iter().map(|(name, _)| name).collect();
    for heading in ["alleycat", "Findings", "When", "Stream alleycat", "Table alleycat-races", "What the codes mean"] {
        assert!(headings.iter().any(|name| name == heading), "{heading}: {headings:#?}");
    }
    // Chromium names the role of an image by the newer of its two names.
    let images = [of("image"), of("img")].concat();
    assert!(images.iter().all(|(name, text)| !name.is_empty() && text.contains(" UTC.")), "{images:#?}");
    for (name, count, limits) in CHARTS {
        let charts: Vec<&(String, String)> = images.iter().filter(|(said, _)| said.starts_with(name)).collect();
        assert_eq!(charts.len(), count, "{name}: {images:#?}");
        for limit in limits {
            assert!(charts.iter().all(|(_, text)| text.contains(limit)), "{name} without {limit}: {charts:#?}");
        }
    }
    assert!(images.iter().any(|(name, text)| name.starts_with("Findings") && text.contains("SINK_SHORT")));
    let articles = of("article").len();
    assert!(articles >= 6, "a card a finding and a page a code: {articles}");
}

/// What there is to see.
fn drawn(page: &mut Page) {
    let limits = "[...document.querySelectorAll('figure svg')].map(svg => [svg.closest('figure').id, \
        [...svg.querySelectorAll('polyline')].filter(line => getComputedStyle(line).strokeDasharray == '7px, 4px').length])";
    let limits = page.value(limits);
    for chart in ["stream-records", "stream-bytes", "consumer-0-duration", "consumer-1-concurrency", "sink-1-write"] {
        let lines = limits.as_array().unwrap().iter().find(|it| it[0] == chart).map(|it| it[1].as_u64());
        assert_eq!(lines, Some(Some(1)), "limit lines of {chart}: {limits}");
    }
    let flat = "[...document.querySelectorAll('svg')].filter(svg => { const box = svg.getBoundingClientRect(); \
        return box.width < 300 || box.height < 50 }).map(svg => svg.closest('figure').id)";
    assert_eq!(page.value(flat), serde_json::json!([]), "charts that cannot be seen");
    let outside = "[...document.querySelectorAll('figure svg text')].filter(text => { \
        const own = text.getBoundingClientRect(), all = text.ownerSVGElement.getBoundingClientRect(); \
        return own.left < all.left - 1 || own.right > all.right + 1 || own.top < all.top - 1 || own.bottom > all.bottom + 1 \
        }).map(text => text.closest('figure').id + ': ' + text.textContent)";
    assert_eq!(page.value(outside), serde_json::json!([]), "labels cut off at the edge of their chart");
    let bands = page.value("document.querySelectorAll('#sink-1-write svg rect').length");
    assert!(bands.as_u64() >= Some(3), "a band for the finding, and shaded minutes: {bands}");
    let lost = "[...document.querySelectorAll('a[href^=\"#\"]')].filter(a => !document.getElementById(a.hash.slice(1))).length";
    assert_eq!(page.value(lost), 0, "links that lead nowhere");
}
