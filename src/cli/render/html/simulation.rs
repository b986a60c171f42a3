//! `simulate --report`: what a simulation came to as one self-contained page. The policies side by side first, then the
//! first one's run: capacity against demand stage by stage, lag, violations, cost over time, decisions.
//!
//! What always holds: a long run is shown in pieces of some minutes; of each piece the greatest demand and age and the
//! least capacity, so that no shortage is smoothed away. Figures come from the twin's own state.

use std::{collections::BTreeSet, fmt::Write as _};

use jiff::{SignedDuration, Timestamp};

use super::{
    Frame, Mark,
    charts::{Chart, Limit, Series, Shade},
    draw, end, escaped,
    look::Ink,
    pareto::{self, Point, heading},
    start,
    words::thousands,
};
use crate::{
    cli::errors::CliError,
    cost::PriceSheet,
    diagnose::SHARD_RECORDS_PER_SECOND,
    model::ResourceId,
    simulate::{EventKind, Measures, Minute, Run},
    spec::Pipeline,
    twin::Change,
};

/// Points of a line, at most.
const POINTS: usize = 240;
/// Decisions that are listed, at most.
const LISTED: usize = 200;
const MINUTE: f64 = 60.0;

/// One policy's run and what it was worth.
pub struct Shown<'a> {
    /// The policy.
    pub name: &'a str,
    /// Its run.
    pub run: &'a Run,
    /// Its figures.
    pub measures: &'a Measures,
    /// Whether it is ours.
    pub ours: bool,
}

/// The whole page; the charts are of the first of `shown`.
///
/// # Errors
/// When a chart cannot be drawn: a bug.
pub fn page(pipeline: &Pipeline, world: &str, shown: &[Shown<'_>], prices: &PriceSheet) -> Result<String, CliError> {
    let Some(first) = shown.first() else { return Err(CliError::bug(&"a simulation without a policy")) };
    let minutes: Vec<&Minute> = first.run.counted().collect();
    let (Some(begin), Some(last)) = (minutes.first(), minutes.last()) else {
        return Err(CliError::bug(&"a simulation without a minute"));
    };
    let decisions: Vec<_> = first.run.changes.iter().filter_map(|change| action(change, pipeline)).collect();
    let pieces = Pieces { minutes: &minutes, size: minutes.len().div_ceil(POINTS).max(1) };
    let frame = Frame {
        from: begin.at,
        to: last.at + SignedDuration::from_mins(1),
        step: pieces.size as f64,
        episodes: Vec::new(),
        decisions: decisions
            .iter()
            .filter(|(at, _)| *at >= begin.at)
            .map(|(at, action)| Mark { at: *at, actions: std::slice::from_ref(action) })
            .collect(),
    };
    let mut html = String::new();
    let name = escaped(&pipeline.name);
    start(&mut html, &format!("{name}: simulation"));
    let total = first.measures.violation_minutes.total;
    let _ = write!(
        html,
        "<header class=\"{}\"><h1>{name} in world {}</h1><p class=\"verdict\">{}: {total} violation minutes of {}, {} dollars</p>\
         <p class=\"note\">{} to {}; a violation minute has an iterator age above {} s or more than 0.1 % of its records \
         rejected; dollars are of what scaling changes</p></header>\n<main>",
        if total == 0 { "healthy" } else { "warning" },
        escaped(world),
        escaped(first.name),
        thousands(first.measures.minutes as f64),
        thousands(first.measures.cost.scaled_usd),
        frame.from.strftime("%Y-%m-%d %H:%M UTC"),
        frame.to.strftime("%Y-%m-%d %H:%M UTC"),
        pipeline.objectives.iterator_age.as_secs()
    );
    policies(&mut html, shown)?;
    let _ = write!(
        html,
        "<section aria-labelledby=\"run\"><h2 id=\"run\">The run of {}</h2><p class=\"note\">Each point is {} min: the greatest \
         demand and age, the least capacity. Dotted lines are changes. Times are UTC.</p><div class=\"charts\">",
        escaped(first.name),
        pieces.size
    );
    for chart in charts(&pieces, pipeline, prices) {
        draw::figure(&mut html, &chart, &frame).map_err(|error| CliError::bug(&error))?;
    }
    html.push_str("</div></section>\n");
    events(&mut html, first.run);
    html.push_str("</main>\n");
    end(&mut html, "Made from a simulated AWS; nothing of a real account was read or changed.");
    Ok(html)
}

/// The table of policies and their plot.
fn policies(html: &mut String, shown: &[Shown<'_>]) -> Result<(), CliError> {
    html.push_str("<section aria-labelledby=\"policies\"><h2 id=\"policies\">Policies</h2>");
    if shown.len() > 1 {
        let point = |it: &Shown<'_>| Point {
            name: it.name.to_owned(),
            minutes: it.measures.violation_minutes.total as f64,
            cost: it.measures.cost.scaled_usd,
            ours: it.ours,
        };
        let points: Vec<Point> = shown.iter().map(point).collect();
        pareto::figure(html, &points, "violation minutes", "dollars").map_err(|error| CliError::bug(&error))?;
    }
    html.push_str("<div class=\"panel wide\"><table><thead><tr>");
    for title in [
        "Policy",
        "Violation minutes",
        "By age",
        "By rejection",
        "Greatest age, s",
        "Rejected",
        "Expired",
        "Dollars",
        "Over the clairvoyant's",
        "UpdateShardCount",
        "Reversals",
    ] {
        html.push_str(&heading(title));
    }
    html.push_str("<tbody>");
    for it in shown {
        let (found, measures) = (it.measures.violation_minutes, it.measures);
        let reshards = measures.operations.get("kinesis:UpdateShardCount").copied().unwrap_or(0);
        let _ = write!(html, "\n<tr><th scope=\"row\">{}", escaped(it.name));
        for number in [
            found.total as f64,
            found.iterator_age as f64,
            found.rejected as f64,
            measures.max_iterator_age_seconds,
            measures.records.rejected as f64,
            measures.records.expired as f64,
            measures.cost.scaled_usd,
        ] {
            let _ = write!(html, "<td>{}", thousands(number));
        }
        let ratio = measures.cost.ratio_to_clairvoyant.map_or("-".to_owned(), |ratio| format!("{ratio:.2}"));
        let _ = write!(html, "<td>{ratio}<td>{reshards}<td>{}", measures.reversals);
    }
    html.push_str("</table></div></section>\n");
    Ok(())
}

/// A change as the charts mark it.
fn action(change: &Change, pipeline: &Pipeline) -> Option<(Timestamp, (ResourceId, String))> {
    let (kind, name) = change.resource.split_once('/')?;
    let resource = match kind {
        "stream" => ResourceId::Stream(name.to_owned()),
        "mapping" => ResourceId::Mapping(pipeline.consumers.first()?.name.clone()),
        _ => ResourceId::printed_sink(&change.resource)?,
    };
    let text = format!("{} {} -> {}", change.field, change.from, change.to);
    (change.from > 0).then_some((change.at, (resource, text)))
}

/// Minutes in pieces.
struct Pieces<'a> {
    minutes: &'a [&'a Minute],
    size: usize,
}

impl Pieces<'_> {
    fn fold(&self, of: impl Fn(&Minute) -> f64, with: fn(f64, f64) -> f64) -> Vec<(Timestamp, f64)> {
        let piece = |minutes: &[&Minute]| {
            let value = minutes.iter().map(|minute| of(minute)).reduce(with);
            Some((minutes.first()?.at, value?))
        };
        self.minutes.chunks(self.size).filter_map(piece).collect()
    }

    fn most(&self, of: impl Fn(&Minute) -> f64) -> Vec<(Timestamp, f64)> {
        self.fold(of, f64::max)
    }

    fn least(&self, of: impl Fn(&Minute) -> f64) -> Vec<(Timestamp, f64)> {
        self.fold(of, f64::min)
    }

    fn sum(&self, of: impl Fn(&Minute) -> f64) -> Vec<(Timestamp, f64)> {
        self.fold(of, |a, b| a + b)
    }
}

fn line(name: &'static str, ink: Ink, points: Vec<(Timestamp, f64)>) -> Series {
    Series { name, ink, points }
}

fn chart(
    id: String,
    title: String,
    unit: &'static str,
    of: Vec<ResourceId>,
    series: Vec<Series>,
    limits: Vec<Limit>,
    shade: Option<Shade>,
) -> Chart {
    Chart { id, title, unit, of, series, limits, shade }
}

fn charts(pieces: &Pieces<'_>, pipeline: &Pipeline, prices: &PriceSheet) -> Vec<Chart> {
    let stream = ResourceId::Stream(pipeline.stream.name.clone());
    let mapping = pipeline.consumers.first().map(|it| ResourceId::Mapping(it.name.clone()));
    let mut charts = vec![chart(
        "stream".to_owned(),
        "Records and what the shards take".to_owned(),
        "records/s",
        vec![stream],
        vec![
            line("offered", Ink::First, pieces.most(|it| it.offered as f64 / MINUTE)),
            line("limit of the shards", Ink::Limit, pieces.least(|it| f64::from(it.shards) * SHARD_RECORDS_PER_SECOND)),
        ],
        Vec::new(),
        Some(Shade { name: "records rejected", points: pieces.sum(|it| it.rejected as f64) }),
    )];
    charts.push(chart(
        "slots".to_owned(),
        "Slots of the first consumer".to_owned(),
        "at a time",
        mapping.into_iter().collect(),
        vec![
            line("busy", Ink::First, pieces.most(|it| it.busy_slots)),
            line("slots: shards x factor", Ink::Limit, pieces.least(|it| f64::from(it.slots))),
        ],
        Vec::new(),
        None,
    ));
    charts.extend(sinks(pieces));
    let objective = pipeline.objectives.iterator_age.as_secs_f64();
    let limit = Limit { name: "objective", value: objective, ink: Ink::Objective, always: true };
    charts.push(chart(
        "age".to_owned(),
        "Iterator age".to_owned(),
        "s",
        Vec::new(),
        vec![line("oldest record", Ink::First, pieces.most(|it| it.max_age_ms / 1_000.0))],
        vec![limit],
        Some(Shade {
            name: "the age above the objective",
            points: pieces.sum(|it| f64::from(it.max_age_ms > objective * 1_000.0)),
        }),
    ));
    charts.push(cost(pieces, prices));
    charts
}

/// Writes of each table and index.
fn sinks(pieces: &Pieces<'_>) -> Vec<Chart> {
    let mut charts = Vec::new();
    let sinks: BTreeSet<&String> = pieces.minutes.iter().flat_map(|it| it.sinks.keys()).collect();
    for (nth, name) in sinks.into_iter().enumerate() {
        let of =
            |minute: &Minute, value: fn(&crate::simulate::SinkMinute) -> f64| minute.sinks.get(name).map_or(0.0, value);
        let resource = ResourceId::printed_sink(name);
        charts.push(chart(
            format!("sink-{nth}"),
            format!("Writes to {name}"),
            "units/s",
            resource.into_iter().collect(),
            vec![
                line("written", Ink::First, pieces.most(|it| of(it, |sink| sink.written / MINUTE))),
                line("provisioned", Ink::Limit, pieces.least(|it| of(it, |sink| sink.write_capacity as f64))),
            ],
            Vec::new(),
            Some(Shade { name: "requests throttled", points: pieces.sum(|it| of(it, |sink| sink.throttled as f64)) }),
        ));
    }
    charts
}

/// What is provisioned, in dollars an hour.
fn cost(pieces: &Pieces<'_>, prices: &PriceSheet) -> Chart {
    let capacity = |it: &Minute| -> f64 {
        let of = |sink: &crate::simulate::SinkMinute| {
            sink.write_capacity as f64 * prices.write_capacity_unit_hour
                + sink.read_capacity as f64 * prices.read_capacity_unit_hour
        };
        it.sinks.values().map(of).sum()
    };
    chart(
        "cost".to_owned(),
        "Cost of what is provisioned".to_owned(),
        "dollars an hour",
        Vec::new(),
        vec![
            line("all", Ink::First, pieces.most(|it| f64::from(it.shards) * prices.shard_hour + capacity(it))),
            line("shards", Ink::Second, pieces.most(|it| f64::from(it.shards) * prices.shard_hour)),
        ],
        Vec::new(),
        None,
    )
}

/// What was found, done and refused, in order.
fn events(html: &mut String, run: &Run) {
    html.push_str("<section class=\"panel\" aria-labelledby=\"events\"><h2 id=\"events\" style=\"margin-top:0\">Decisions and findings</h2><ul>");
    let told: Vec<_> = run.timeline.iter().filter(|event| event.at >= run.counted_from).collect();
    for event in told.iter().take(LISTED) {
        let kind = match event.kind {
            EventKind::Finding => "found",
            EventKind::Cleared => "over",
            EventKind::Action => "changed",
            EventKind::Refused => "refused",
            EventKind::Held => "held",
        };
        let at = event.at.strftime("%b %d %H:%M");
        let _ = write!(html, "<li>{at} {kind}, {}: {}", escaped(&event.resource), escaped(&event.text));
    }
    html.push_str("</ul>");
    match told.len() {
        0 => html.push_str("<p>None.</p>"),
        all if all > LISTED => {
            let _ = write!(html, "<p class=\"note\">and {} more.</p>", all - LISTED);
        }
        _ => {}
    }
    html.push_str("</section>\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{simulate::SinkMinute, spec};

    /// Most that a page may weigh, bytes.
    const WEIGHT: usize = 300 * 1024;

    /// A week of a run that has something to show in every chart.
    fn week(pipeline: &Pipeline) -> Run {
        let start: Timestamp = "2026-03-02T00:00:00Z".parse().unwrap();
        let minute = |number: i64| {
            let busy = number % 1_440 > 600;
            let sink = SinkMinute {
                write_capacity: if busy { 9_000 } else { 1_000 },
                read_capacity: 1,
                written: 45_678.9 + number as f64,
                read: 0.0,
                throttled: u64::from(number % 1_440 == 601),
                on_demand: false,
            };
            let names =
                ["table/results", "table/results/index/every", "table/results/index/some", "table/results/index/few"];
            Minute {
                at: start + SignedDuration::from_mins(number),
                offered: 60_000 + number as u64,
                offered_bytes: 30_000_000,
                accepted: 60_000,
                rejected: number as u64 % 7,
                expired: 0,
                reread: 0,
                max_age_ms: (number % 1_000) as f64 * 500.0,
                shards: if busy { 12 } else { 3 },
                slots: if busy { 48 } else { 12 },
                busy_slots: 7.25,
                sinks: names.iter().map(|name| ((*name).to_owned(), sink.clone())).collect(),
            }
        };
        let change = |hour: i64| Change {
            at: start + SignedDuration::from_hours(hour),
            resource: format!("stream/{}", pipeline.stream.name),
            field: "shards".to_owned(),
            from: 3,
            to: 6,
        };
        let event = |hour: i64| crate::simulate::Event {
            at: start + SignedDuration::from_hours(hour),
            kind: EventKind::Action,
            resource: "stream/<b>".to_owned(),
            text: "shards 3 -> 6 (more is put than the shards take)".to_owned(),
        };
        Run {
            minutes: (0..7 * 1_440).map(minute).collect(),
            counted_from: start + SignedDuration::from_hours(1),
            timeline: (0..300).map(|nth| event(nth / 2)).collect(),
            diagnoses: Vec::new(),
            drain_forecasts: Vec::new(),
            calls: std::collections::BTreeMap::from([("kinesis:UpdateShardCount".to_owned(), 4)]),
            changes: (0..160).map(change).collect(),
            reshards: Vec::new(),
            quota_refusals: 0,
            meters: crate::cost::Meters { shard_hours: 100.0, ..crate::cost::Meters::default() },
        }
    }

    #[test]
    fn a_week_is_one_small_page_that_asks_for_nothing_and_can_be_read_aloud() {
        let pipeline = spec::parse(include_str!("../../../../examples/benchmark/specs/s13.yaml")).unwrap();
        let prices = PriceSheet::us_east_1();
        let run = week(&pipeline);
        let measures = Measures::of(&run, &pipeline, &prices, None);
        let shown = |name| Shown { name, run: &run, measures: &measures, ours: name == "operator" };
        let page = page(&pipeline, "s13", &[shown("operator"), shown("staticPeak")], &prices).unwrap();
        assert!(page.len() < WEIGHT, "{} bytes", page.len());
        for outside in ["http://", "https://", "<script", "<link", "<img", "src=", "url(", "@import", "<b>"] {
            assert!(!page.contains(outside), "the page holds {outside}");
        }
        assert_eq!(page.matches("<svg role=\"img\"").count(), 9, "the plot, and eight charts");
        assert_eq!(page.matches("<desc").count(), 9);
        for said in [
            "Offered:",
            "Limit of the shards:",
            "Objective: 5 min",
            "and 98 more",
            "Changed at Mar 02",
            "Records rejected:",
            "operator: ",
        ] {
            assert!(page.contains(said), "the page does not say {said}");
        }
    }

    #[test]
    fn a_piece_shows_its_greatest_demand_and_its_least_capacity() {
        let pipeline = spec::parse(include_str!("../../../../examples/benchmark/specs/s13.yaml")).unwrap();
        let run = week(&pipeline);
        let minutes: Vec<&Minute> = run.minutes.iter().take(604).collect();
        let pieces = Pieces { minutes: &minutes, size: 302 };
        let shards: Vec<f64> = pieces.least(|it| f64::from(it.shards)).into_iter().map(|point| point.1).collect();
        assert_eq!(shards, [3.0, 3.0]);
        let most: Vec<f64> = pieces.most(|it| f64::from(it.shards)).into_iter().map(|point| point.1).collect();
        assert_eq!(most, [3.0, 12.0]);
    }
}
