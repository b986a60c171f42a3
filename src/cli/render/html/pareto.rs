//! Violation minutes against cost, a point a policy: who is beaten on both is not worth a look.
//!
//! What always holds: minutes are on a logarithmic axis that holds 0; every point is named, and said in words too.

use std::{error::Error, fmt::Write as _};

use plotters::{
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

use super::{
    draw::{Axis, accessible},
    escaped,
    look::{Ink, picture_css},
    words::{marks, thousands},
};

/// Size, px of its own.
const SIZE: (u32, u32) = (760, 400);
/// Text; plotters writes it a fifth smaller.
const TEXT: i32 = 16;
/// Share of an axis that stays free beyond the last point.
const ROOM: f64 = 1.18;
/// Height of a name, px.
const LINE: i32 = 15;
/// Width of one of its letters, px, on average.
const LETTER: i32 = 8;
/// From the middle of a dot to its name, px.
const ASIDE: i32 = 10;

/// One policy.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// Its name.
    pub name: String,
    /// Violation minutes.
    pub minutes: f64,
    /// Cost, in the axis's own measure.
    pub cost: f64,
    /// Ours.
    pub ours: bool,
}

/// A place on the axis of minutes: 0 is at 0, each tenfold is as far as the one before.
fn place(minutes: f64) -> f64 {
    minutes.max(0.0).ln_1p() / std::f64::consts::LN_10
}

/// The plot as a file of its own, light and dark.
///
/// # Errors
/// When it cannot be drawn: a bug.
pub fn document(points: &[Point], minutes: &str, cost: &str) -> Result<String, Box<dyn Error>> {
    let svg = draw(points, minutes, cost)?;
    let mut out = String::new();
    accessible(&mut out, &svg, "pareto", &format!("{minutes} against {cost}"), &sentence(points));
    // A picture in a page has no style sheet but its own.
    let style = format!("<style>{}</style>", picture_css());
    let start = "<svg xmlns=\"http://www.w3.org/2000/svg\" ";
    Ok(out.replacen("<svg ", start, 1).replacen("<title", &format!("{style}<title"), 1))
}

/// The plot with its heading.
pub(super) fn figure(html: &mut String, points: &[Point], minutes: &str, cost: &str) -> Result<(), Box<dyn Error>> {
    html.push_str(
        "<figure id=\"pareto\" class=\"panel\"><figcaption><h3>Violation minutes against cost</h3></figcaption>",
    );
    let svg = draw(points, minutes, cost)?;
    accessible(html, &svg, "pareto", &format!("{minutes} against {cost}"), &sentence(points));
    html.push_str("</figure>\n");
    Ok(())
}

fn sentence(points: &[Point]) -> String {
    points.iter().fold(String::new(), |mut text, point| {
        let beaten = points.iter().any(|it| it.minutes <= point.minutes && it.cost <= point.cost && it != point);
        let best = if beaten { "" } else { ", not beaten on both" };
        let (minutes, cost) = (thousands(point.minutes), thousands(point.cost));
        let _ = write!(text, "{}: {minutes} minutes, cost {cost}{best}. ", point.name);
        text
    })
}

fn draw(points: &[Point], minutes: &str, cost: &str) -> Result<String, Box<dyn Error>> {
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        let most = points.iter().map(|point| point.cost).fold(1.0, f64::max) * ROOM;
        let worst = place(points.iter().map(|point| point.minutes).fold(1.0, f64::max)) * ROOM;
        let decades = (0..8).map(|power| 10_f64.powi(power)).filter(|it| place(*it) <= worst);
        let up = Axis { end: worst, marks: std::iter::once(0.0).chain(decades.map(place)).collect() };
        let mut plane = ChartBuilder::on(&root)
            .margin(16)
            .x_label_area_size(44)
            .y_label_area_size(72)
            .build_cartesian_2d(Axis { end: most, marks: marks(most, cost) }, up)?;
        plane
            .configure_mesh()
            .bold_line_style(Ink::Grid.rgb())
            .light_line_style(TRANSPARENT)
            .axis_style(Ink::Muted.rgb())
            .label_style(("sans-serif", TEXT).into_font().color(&Ink::Muted.rgb()))
            .x_desc(cost)
            .y_desc(minutes)
            .x_label_formatter(&|cost| thousands(*cost))
            .y_label_formatter(&|place| thousands((place * std::f64::consts::LN_10).exp_m1().round()))
            .draw()?;
        let dots: Vec<_> =
            points.iter().map(|point| plane.backend_coord(&(point.cost, place(point.minutes)))).collect();
        for (point, name) in points.iter().zip(names(points, &dots)) {
            let ink = if point.ours { Ink::First } else { Ink::Second };
            let (at, radius) = ((point.cost, place(point.minutes)), if point.ours { 6 } else { 4 });
            plane.draw_series(std::iter::once(Circle::new(at, radius, ink.rgb().filled())))?;
            let start = Pos::new(HPos::Left, VPos::Center);
            let style = ("sans-serif", TEXT).into_font().color(&Ink::Text.rgb()).pos(start);
            root.draw(&Text::new(point.name.clone(), (name.from, name.y), style))?;
        }
        root.present()?;
    }
    Ok(svg)
}

/// What a name or a dot takes up, px.
#[derive(Debug, Clone, Copy)]
struct Taken {
    from: i32,
    to: i32,
    y: i32,
}

impl Taken {
    fn overlaps(&self, other: &Self) -> bool {
        (self.y - other.y).abs() < LINE && self.from < other.to && other.from < self.to
    }
}

/// Where each name stands: right or left of its dot, as near to its height as other names and dots leave room.
fn names(points: &[Point], dots: &[(i32, i32)]) -> Vec<Taken> {
    let dot = |(x, y): &(i32, i32)| Taken { from: x - ASIDE / 2, to: x + ASIDE / 2, y: *y };
    let mut taken: Vec<Taken> = dots.iter().map(dot).collect();
    for (point, (x, y)) in points.iter().zip(dots) {
        let wide = LETTER * i32::try_from(point.name.chars().count()).unwrap_or(0);
        let beside = |y: i32| [x + ASIDE, x - ASIDE - wide].map(|from| Taken { from, to: from + wide, y });
        let lines = (0..10).flat_map(|line| [y - LINE * line, y + LINE * line]);
        let inside = |it: &Taken| it.from >= 0 && it.to <= SIZE.0 as i32;
        let free = |it: &Taken| inside(it) && !taken.iter().any(|other| it.overlaps(other));
        let found = lines.flat_map(beside).find(free);
        taken.push(found.unwrap_or(Taken { from: x + ASIDE, to: x + ASIDE + wide, y: *y }));
    }
    taken.split_off(dots.len())
}

/// Text that is safe in a table's head.
pub(super) fn heading(text: &str) -> String {
    format!("<th scope=\"col\">{}", escaped(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(name: &str, minutes: f64, cost: f64) -> Point {
        Point { name: name.to_owned(), minutes, cost, ours: name == "operator" }
    }

    #[test]
    fn no_violation_has_a_place_and_tenfold_is_a_step() {
        assert!(place(0.0).abs() < 1e-12);
        assert!((place(99.0) - 2.0).abs() < 1e-12 && (place(999.0) - 3.0).abs() < 1e-12);
    }

    #[test]
    fn names_stand_beside_their_dots_and_on_no_other() {
        let points = ["one", "two", "three", "four"].map(|name| point(name, 1.0, 1.0));
        let dots = [(100, 100), (112, 105), (100, 92), (740, 300)];
        let names = names(&points, &dots);
        for (at, name) in names.iter().enumerate() {
            assert!(names.iter().enumerate().all(|(other, it)| other == at || !name.overlaps(it)), "{names:?}");
            let on = |(x, y): &(i32, i32)| name.overlaps(&Taken { from: x - 4, to: x + 4, y: *y });
            assert!(!dots.iter().any(on), "{names:?}");
        }
        assert!(names[3].to < 740 && names[3].y == 300, "at the edge it stands to the left: {names:?}");
    }

    #[test]
    fn every_policy_is_named_and_the_beaten_ones_are_told_apart() {
        let points = [point("operator", 0.0, 1.3), point("staticPeak", 0.0, 5.0), point("targetTracking", 340.0, 1.2)];
        let svg = document(&points, "violation minutes", "cost").unwrap();
        assert!(svg.starts_with("<svg xmlns="), "{}", &svg[..60]);
        for name in ["operator", "staticPeak", "targetTracking"] {
            assert!(svg.contains(&format!("{name}\n")) || svg.contains(&format!(">{name}<")), "{name}");
        }
        assert!(svg.contains("operator: 0 minutes, cost 1.30, not beaten on both."), "{svg}");
        assert!(svg.contains("staticPeak: 0 minutes, cost 5. "), "{svg}");
    }
}
