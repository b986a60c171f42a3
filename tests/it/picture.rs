//! The picture in the README is what the demo prints. `BLESS=1 cargo test picture` draws it anew.

use std::{fs, path::Path, process::Command};

use anstyle_svg::{Term, WIN10_CONSOLE};

/// Events shown of the half without the operator, and of the half with it.
const SHOWN: [usize; 2] = [6, 9];

#[test]
fn the_readme_shows_the_demo_as_it_is() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_alleycat-operator"));
    let demo = command.args(["demo", "--short", "--color", "always"]).env_clear().output().unwrap();
    assert!(demo.status.success(), "{}", String::from_utf8_lossy(&demo.stderr));
    let drawn = draw(&excerpt(&String::from_utf8(demo.stdout).unwrap()));

    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/demo.svg");
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, &drawn).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == drawn, "docs/demo.svg shows an older demo: run `BLESS=1 cargo test picture`");
}

/// What fits a picture: the introduction, the beginning of both halves, and the table.
fn excerpt(demo: &str) -> String {
    let paragraphs: Vec<&str> = demo.split("\n\n").map(|paragraph| paragraph.trim_matches('\n')).collect();
    let timelines: Vec<usize> = (0..paragraphs.len()).filter(|at| begins_event(paragraphs[*at])).collect();
    let [without, with] = timelines[..] else { panic!("two timelines: {demo}") };
    let table = paragraphs.iter().find(|paragraph| paragraph.contains("violation minutes")).expect("a table");
    let prompt = "\x1b[1m$ cargo run --release -- demo\x1b[0m\n";
    [
        &format!("{prompt}{}", paragraphs[0]),
        &bold(paragraphs[without - 1]),
        &beginning(paragraphs[without], SHOWN[0]),
        &bold(paragraphs[with - 1]),
        &beginning(paragraphs[with], SHOWN[1]),
        *table,
    ]
    .join("\n\n")
}

fn bold(text: &str) -> String {
    format!("\x1b[1m{text}\x1b[0m")
}

/// The first events of a timeline, whole, and how many more there are.
fn beginning(timeline: &str, shown: usize) -> String {
    let starts: Vec<usize> =
        timeline.lines().enumerate().filter(|(_, it)| begins_event(it)).map(|(at, _)| at).collect();
    let Some(end) = starts.get(shown) else { return timeline.to_owned() };
    let lines: Vec<&str> = timeline.lines().take(*end).collect();
    format!("{}\n\x1b[2m          ... and {} more\x1b[0m", lines.join("\n"), starts.len() - shown)
}

/// Whether the text begins with `08:04` or the like, after its colour.
fn begins_event(text: &str) -> bool {
    let plain = if text.starts_with('\x1b') { text.split_once('m').map_or("", |(_, rest)| rest) } else { text };
    let mut start = plain.bytes();
    let mut is = |test: fn(&u8) -> bool| start.next().is_some_and(|byte| test(&byte));
    is(u8::is_ascii_digit) && is(u8::is_ascii_digit) && is(|byte| *byte == b':') && is(u8::is_ascii_digit)
}

/// A terminal with a background of its own, so that it reads on light and dark pages alike.
fn draw(text: &str) -> String {
    let svg = Term::new().palette(WIN10_CONSOLE).render_svg(text);
    // Without a view box a browser crops the picture where it should shrink it.
    let size = |name: &str| {
        let value = svg.split_once(&format!("{name}=\"")).and_then(|(_, rest)| rest.split_once("px\""));
        value.expect("a size in pixels").0.to_owned()
    };
    let view = format!("<svg viewBox=\"0 0 {} {}\" ", size("width"), size("height"));
    svg.replacen("<svg ", &view, 1)
}
