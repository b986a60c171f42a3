//! Charts as SVG, drawn by plotters: it renders SVG from Rust alone, without a script, a font file or a C library, and
//! leaves text as text. Its output goes into the page as it is, with a role, a title and a description.

use std::{error::Error, fmt::Write as _};

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use plotters::{
    coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged},
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

use super::{
    Frame,
    charts::{Chart, Limit, Series},
    escaped,
    look::Ink,
    words::{marks, say, thousands, times},
};
use crate::diagnose::{Episode, Severity};

type Drawn<T> = Result<T, Box<dyn Error>>;
type Plane<'a> = ChartContext<'a, SVGBackend<'a>, Cartesian2d<Axis, Axis>>;

/// Size of a chart, px of its own; a reader's screen scales it.
const WIDTH: u32 = 620;
const HEIGHT: u32 = 190;
/// Height of a row of findings above a chart.
const LANE: i32 = 15;
/// Width of a letter of a mark's label, generously.
const LETTER: i32 = 7;
/// Text; plotters writes it a fifth smaller.
const TEXT: i32 = 15;
/// Share of the height that stays free above the highest line.
const HEADROOM: f64 = 1.15;

/// An axis from 0, with the marks it is given.
pub(super) struct Axis {
    pub end: f64,
    pub marks: Vec<f64>,
}

impl Axis {
    /// The time of a frame, in minutes, marked at round times of day.
    fn time(frame: &Frame<'_>) -> Self {
        let start = frame.from.to_zoned(TimeZone::UTC);
        let offset = f64::from(start.hour()) * 60.0 + f64::from(start.minute());
        Self { end: frame.minutes(), marks: times(offset, frame.minutes()) }
    }
}

impl Ranged for Axis {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (start, end): (i32, i32)) -> i32 {
        start + (value / self.end * f64::from(end - start)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        self.marks.clone()
    }

    fn range(&self) -> std::ops::Range<f64> {
        0.0..self.end
    }
}

/// A chart with its legend and its table.
pub fn figure(html: &mut String, chart: &Chart, frame: &Frame<'_>) -> Drawn<()> {
    let _ = write!(html, "<figure id=\"{}\" class=\"panel\"><figcaption><h3>{}</h3>", chart.id, escaped(&chart.title));
    legend(html, chart, !changes(chart, frame).is_empty());
    html.push_str("</figcaption>");
    if chart.series.iter().all(|series| series.points.is_empty()) {
        html.push_str("<p class=\"note\">CloudWatch published nothing of it in this time.</p></figure>\n");
        return Ok(());
    }
    let svg = draw(chart, frame)?;
    accessible(html, &svg, &chart.id, &format!("{}, {}", chart.title, chart.unit), &sentence(chart, frame));
    table(html, chart, frame);
    html.push_str("</figure>\n");
    Ok(())
}

fn legend(html: &mut String, chart: &Chart, changed: bool) {
    let mut key = |ink: Ink, style: &str, name: &str| {
        let ink = ink.name();
        let _ = write!(html, "<span class=\"key\"><i style=\"{style} var({ink})\"></i>{}</span>", escaped(name));
    };
    for series in &chart.series {
        let style = if matches!(series.ink, Ink::Second | Ink::Limit) {
            "border-top:2.5px dashed"
        } else {
            "border-top:2.5px solid"
        };
        key(series.ink, style, series.name);
    }
    if let Some(shade) = &chart.shade {
        key(Ink::Trouble, "height:.8em;opacity:.3;background:", &format!("minutes with {}", shade.name));
    }
    if changed {
        key(Ink::Decision, "border-top:2px dotted", "changed by the operator");
    }
}

/// An SVG of plotters with what a reader of the screen aloud needs.
pub(super) fn accessible(html: &mut String, svg: &str, id: &str, title: &str, text: &str) {
    let body = svg.split_once('>').map_or("", |(_, body)| body);
    let view = svg.split_once("viewBox=\"").and_then(|(_, rest)| rest.split_once('"')).map_or("", |(view, _)| view);
    let _ = write!(
        html,
        "<svg role=\"img\" aria-labelledby=\"{id}-t\" aria-describedby=\"{id}-d\" viewBox=\"{view}\">\
         <title id=\"{id}-t\">{}</title><desc id=\"{id}-d\">{}</desc>{body}",
        escaped(title),
        escaped(text)
    );
}

/// The chart in words.
fn sentence(chart: &Chart, frame: &Frame<'_>) -> String {
    let mut text = format!("{} to {} UTC.", frame.clock(frame.from), frame.clock(frame.to));
    for series in &chart.series {
        let inside = within(series, frame);
        let highest = inside.iter().copied().reduce(|one, next| if next.1 > one.1 { next } else { one });
        let (Some(last), Some(highest)) = (inside.last(), highest) else {
            let _ = write!(text, " {}: nothing published.", capital(series.name));
            continue;
        };
        let _ = write!(
            text,
            " {}: {} at {}, highest {} at {}.",
            capital(series.name),
            say(last.1, chart.unit),
            frame.clock(last.0),
            say(highest.1, chart.unit),
            frame.clock(highest.0)
        );
    }
    for limit in &chart.limits {
        let _ = write!(text, " {}: {}.", capital(limit.name), say(limit.value, chart.unit));
    }
    if let Some(shade) = &chart.shade {
        let counts = shade.points.iter().filter(|point| point.0 >= frame.from && point.1 > 0.0);
        let (minutes, all) = counts.fold((0, 0.0), |(minutes, all), point| (minutes + 1, all + point.1));
        let _ = write!(text, " {}: {} in {minutes} minutes.", capital(shade.name), thousands(all));
    }
    for episode in of(chart, frame) {
        let _ =
            write!(text, " {} from {} to {}.", episode.diagnosis, frame.clock(episode.from), frame.clock(episode.to));
    }
    for decision in changes(chart, frame) {
        let _ = write!(text, " Changed at {}.", frame.clock(decision));
    }
    text
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

fn within(series: &Series, frame: &Frame<'_>) -> Vec<(Timestamp, f64)> {
    series.points.iter().filter(|point| point.0 >= frame.from).copied().collect()
}

/// Findings at the chart's resources.
fn of<'a>(chart: &Chart, frame: &Frame<'a>) -> Vec<&'a Episode> {
    frame.episodes.iter().filter(|episode| chart.of.contains(&episode.resource)).copied().collect()
}

/// When the operator changed the chart's resources.
fn changes(chart: &Chart, frame: &Frame<'_>) -> Vec<Timestamp> {
    let mine = frame.decisions.iter().filter(|it| it.actions.iter().any(|(id, _)| chart.of.contains(id)));
    mine.map(|decision| decision.at).collect()
}

fn table(html: &mut String, chart: &Chart, frame: &Frame<'_>) {
    html.push_str("<details><summary>Numbers</summary><div class=\"wide\"><table><thead><tr><th scope=\"col\">UTC");
    let counts = chart.shade.as_ref().map(|shade| (shade.name, &shade.points));
    let columns = chart.series.iter().map(|series| (series.name, &series.points)).chain(counts);
    let columns: Vec<(&str, std::collections::BTreeMap<Timestamp, f64>)> =
        columns.map(|(name, points)| (name, points.iter().copied().collect())).collect();
    for (at, (name, _)) in columns.iter().enumerate() {
        let unit = if at < chart.series.len() { chart.unit } else { "a minute" };
        let _ = write!(html, "<th scope=\"col\">{}, {unit}", escaped(capital(name)));
    }
    html.push_str("<tbody>");
    let mut at = frame.from;
    while at < frame.to {
        let _ = write!(html, "\n<tr><td>{}", frame.clock(at));
        for (_, points) in &columns {
            let _ = write!(html, "<td>{}", points.get(&at).map_or("-".to_owned(), |value| thousands(*value)));
        }
        at += SignedDuration::from_mins(frame.step as i64);
    }
    html.push_str("</table></div></details>");
}

fn draw(chart: &Chart, frame: &Frame<'_>) -> Drawn<String> {
    let lanes = lanes(&of(chart, frame), frame);
    let above = 20 + LANE * lanes.iter().map(|(_, lane)| lane + 1).max().unwrap_or(0);
    let mut svg = String::new();
    {
        let size = (WIDTH, HEIGHT + above as u32);
        let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        let top = top(chart, frame);
        let up = Axis { end: top, marks: marks(top, chart.unit) };
        let mut plane = ChartBuilder::on(&root)
            .margin_top(above)
            .margin_right(16)
            .x_label_area_size(24)
            .y_label_area_size(64)
            .build_cartesian_2d(Axis::time(frame), up)?;
        plane
            .configure_mesh()
            .disable_x_mesh()
            .bold_line_style(Ink::Grid.rgb())
            .light_line_style(TRANSPARENT)
            .axis_style(Ink::Muted.rgb())
            .label_style(("sans-serif", TEXT).into_font().color(&Ink::Muted.rgb()))
            .x_label_formatter(&|minute| frame.mark(frame.from + SignedDuration::from_secs((minute * 60.0) as i64)))
            .y_label_formatter(&|value| if chart.unit == "s" { say(*value, "s") } else { thousands(*value) })
            .draw()?;
        shaded(&mut plane, chart, frame, top)?;
        for series in &chart.series {
            curve(&mut plane, series, frame)?;
        }
        limits(&mut plane, chart, frame, top)?;
        for at in changes(chart, frame) {
            let at = frame.minute(at);
            let mark = PathElement::new(vec![(at, 0.0), (at, top)], Ink::Decision.rgb().stroke_width(2));
            plane.draw_series(std::iter::once(mark))?;
        }
        let plot = plane.plotting_area().get_pixel_range().0;
        bands(&root, &lanes, frame, &plot)?;
        root.present()?;
    }
    Ok(svg)
}

/// The top of the vertical axis: above all data, and above the limits that are to be seen.
fn top(chart: &Chart, frame: &Frame<'_>) -> f64 {
    let data = chart.series.iter().flat_map(|series| within(series, frame)).map(|point| point.1);
    let data = data.fold(0.0, f64::max);
    let shown = chart.limits.iter().filter(|limit| limit.always || limit.value <= data * 2.0).map(|limit| limit.value);
    let top = shown.fold(data, f64::max) * HEADROOM;
    if top > 0.0 { top } else { 1.0 }
}

/// Runs of minutes in which there was any.
fn shaded(plane: &mut Plane<'_>, chart: &Chart, frame: &Frame<'_>, top: f64) -> Drawn<()> {
    let points = chart.shade.iter().flat_map(|shade| &shade.points);
    let mut runs: Vec<(f64, f64)> = Vec::new();
    for at in points.filter(|point| point.0 >= frame.from && point.1 > 0.0).map(|point| frame.minute(point.0)) {
        match runs.last_mut() {
            Some(run) if at - run.1 < 0.5 => run.1 = at + frame.step,
            _ => runs.push((at, at + frame.step)),
        }
    }
    let style = Ink::Trouble.rgb().mix(0.16).filled();
    plane.draw_series(runs.into_iter().map(|(from, to)| Rectangle::new([(from, 0.0), (to, top)], style)))?;
    Ok(())
}

/// A line with gaps where minutes are missing; a minute between two gaps is a dot.
fn curve(plane: &mut Plane<'_>, series: &Series, frame: &Frame<'_>) -> Drawn<()> {
    let mut runs: Vec<Vec<(f64, f64)>> = Vec::new();
    for (at, value) in within(series, frame) {
        let point = (frame.minute(at), value);
        match runs.last_mut() {
            Some(run) if run.last().is_some_and(|last| point.0 - last.0 < 1.5 * frame.step) => run.push(point),
            _ => runs.push(vec![point]),
        }
    }
    let style = series.ink.rgb().stroke_width(2);
    let (alone, lines): (Vec<_>, Vec<_>) = runs.into_iter().partition(|run| run.len() == 1);
    plane.draw_series(lines.into_iter().map(|run| PathElement::new(run, style)))?;
    plane.draw_series(alone.into_iter().flatten().map(|point| Circle::new(point, 2, series.ink.rgb().filled())))?;
    Ok(())
}

fn limits(plane: &mut Plane<'_>, chart: &Chart, frame: &Frame<'_>, top: f64) -> Drawn<()> {
    let end = frame.minutes();
    let text = |limit: &Limit, v_pos| {
        let font = ("sans-serif", TEXT).into_font().color(&limit.ink.rgb());
        font.pos(Pos::new(HPos::Right, v_pos))
    };
    let (drawn, above): (Vec<&Limit>, Vec<&Limit>) = chart.limits.iter().partition(|limit| limit.value <= top);
    for limit in drawn {
        let line = vec![(0.0, limit.value), (end, limit.value)];
        plane.draw_series(std::iter::once(PathElement::new(line, limit.ink.rgb().stroke_width(2))))?;
        let said = format!("{}: {}", limit.name, say(limit.value, chart.unit));
        plane.draw_series(std::iter::once(Text::new(said, (end, limit.value), text(limit, VPos::Bottom))))?;
    }
    if let Some(first) = above.first() {
        let named: Vec<String> =
            above.iter().map(|limit| format!("{}: {}", limit.name, say(limit.value, chart.unit))).collect();
        let said = format!("above this chart: {}", named.join(", "));
        let style = text(first, VPos::Top).pos(Pos::new(HPos::Left, VPos::Top));
        plane.draw_series(std::iter::once(Text::new(said, (end * 0.01, top), style)))?;
    }
    Ok(())
}

/// Puts episodes that overlap, and labels that would, below each other.
fn lanes<'a>(episodes: &[&'a Episode], frame: &Frame<'_>) -> Vec<(&'a Episode, i32)> {
    let scale = f64::from(WIDTH - 80) / frame.minutes();
    let mut free: Vec<f64> = Vec::new();
    let mut placed = Vec::new();
    for episode in episodes {
        let from = frame.minute(episode.from.max(frame.from)) * scale;
        let label = episode.diagnosis.code().len() as f64 * f64::from(LETTER) + 8.0;
        let to = (frame.minute(episode.to) * scale).max(from + label);
        let lane = free.iter().position(|end| *end <= from).unwrap_or_else(|| {
            free.push(0.0);
            free.len() - 1
        });
        if let Some(end) = free.get_mut(lane) {
            *end = to + 2.0;
        }
        placed.push((*episode, lane as i32));
    }
    placed
}

fn ink(severity: Severity) -> Ink {
    if severity == Severity::Critical { Ink::Critical } else { Ink::Warning }
}

/// The findings as bands on the time axis, each with its code.
fn bands(
    root: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
    lanes: &[(&Episode, i32)],
    frame: &Frame<'_>,
    plot: &std::ops::Range<i32>,
) -> Drawn<()> {
    let pixel = |minute: f64| plot.start + (minute / frame.minutes() * f64::from(plot.end - plot.start)) as i32;
    for (episode, lane) in lanes {
        let color = ink(episode.severity).rgb();
        let (left, right) = (pixel(frame.minute(episode.from).max(0.0)), pixel(frame.minute(episode.to)));
        let (upper, lower) = (lane * LANE + 2, lane * LANE + LANE);
        root.draw(&Rectangle::new([(left, upper), (right, lower)], color.mix(0.28).filled()))?;
        root.draw(&Rectangle::new([(left, upper), (left + 3, lower)], color.filled()))?;
        let code = episode.diagnosis.code();
        // A label that would leave the picture on the right ends at its edge.
        let room = WIDTH as i32 - code.len() as i32 * LETTER;
        let style = ("sans-serif", TEXT - 2).into_font().color(&Ink::Text.rgb());
        let style = style.pos(Pos::new(HPos::Left, VPos::Center));
        root.draw(&Text::new(code, ((left + 6).min(room), i32::midpoint(upper, lower)), style))?;
    }
    Ok(())
}

/// All findings and decisions on one time axis.
pub fn overview(html: &mut String, frame: &Frame<'_>) -> Drawn<()> {
    if frame.episodes.is_empty() && frame.decisions.is_empty() {
        return Ok(());
    }
    let mut rows: Vec<(String, Vec<&Episode>)> = Vec::new();
    for episode in &frame.episodes {
        let name = format!("{} {}", episode.diagnosis, episode.resource);
        match rows.iter_mut().find(|row| row.0 == name) {
            Some(row) => row.1.push(episode),
            None => rows.push((name, vec![episode])),
        }
    }
    let svg = timeline(&rows, frame)?;
    let mut text = format!("{} to {} UTC.", frame.clock(frame.from), frame.clock(frame.to));
    for (name, episodes) in &rows {
        let times: Vec<String> =
            episodes.iter().map(|it| format!("{} to {}", frame.clock(it.from), frame.clock(it.to))).collect();
        let _ = write!(text, " {name}: {}.", times.join(", "));
    }
    let _ = write!(text, " Decisions: {}.", frame.decisions.len());
    html.push_str("<figure id=\"timeline\" class=\"panel\"><figcaption><h2 style=\"margin:0\">When</h2>");
    for (ink, name) in [(Ink::Critical, "critical"), (Ink::Warning, "warning")] {
        let ink = ink.name();
        let _ = write!(html, "<span class=\"key\"><i style=\"border-top:8px solid var({ink})\"></i>{name}</span>");
    }
    let ink = Ink::Decision.name();
    let _ = write!(html, "<span class=\"key\"><i style=\"border-top:2px dotted var({ink})\"></i>decision taken</span>");
    html.push_str("</figcaption>");
    accessible(html, &svg, "timeline", "Findings and decisions over time", &text);
    html.push_str("</figure>\n");
    Ok(())
}

fn timeline(rows: &[(String, Vec<&Episode>)], frame: &Frame<'_>) -> Drawn<String> {
    let (width, row) = (2 * WIDTH, 20);
    let height = rows.len() as i32 * row;
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (width, height as u32 + 30)).into_drawing_area();
        let up = Axis { end: f64::from(height.max(1)), marks: Vec::new() };
        let mut plane = ChartBuilder::on(&root)
            .margin_right(24)
            .margin_left(24)
            .x_label_area_size(24)
            .build_cartesian_2d(Axis::time(frame), up)?;
        plane
            .configure_mesh()
            .disable_y_mesh()
            .bold_line_style(Ink::Grid.rgb())
            .light_line_style(TRANSPARENT)
            .axis_style(Ink::Muted.rgb())
            .label_style(("sans-serif", TEXT).into_font().color(&Ink::Muted.rgb()))
            .x_label_formatter(&|minute| frame.mark(frame.from + SignedDuration::from_secs((minute * 60.0) as i64)))
            .draw()?;
        for (at, (name, episodes)) in rows.iter().enumerate() {
            let upper = f64::from(height - at as i32 * row - 3);
            let lower = upper - f64::from(row - 6);
            for it in episodes {
                let color = ink(it.severity).rgb();
                let span = [(frame.minute(it.from).max(0.0), upper), (frame.minute(it.to), lower)];
                plane.draw_series(std::iter::once(Rectangle::new(span, color.mix(0.28).filled())))?;
                let edge = vec![(span[0].0, upper), (span[0].0, lower)];
                plane.draw_series(std::iter::once(PathElement::new(edge, color.stroke_width(4))))?;
            }
            let first = episodes.first().map_or(0.0, |it| frame.minute(it.from).max(0.0));
            let late = first > frame.minutes() * 0.6;
            let place = if late { HPos::Right } else { HPos::Left };
            let aside = frame.minutes() * if late { -0.004 } else { 0.006 };
            let style = ("sans-serif", TEXT).into_font().color(&Ink::Text.rgb()).pos(Pos::new(place, VPos::Center));
            plane.draw_series(std::iter::once(Text::new(
                name.clone(),
                (first + aside, f64::midpoint(upper, lower)),
                style,
            )))?;
        }
        for decision in &frame.decisions {
            let at = frame.minute(decision.at);
            let mark = PathElement::new(vec![(at, 0.0), (at, f64::from(height))], Ink::Decision.rgb().stroke_width(2));
            plane.draw_series(std::iter::once(mark))?;
        }
        root.present()?;
    }
    Ok(svg)
}
