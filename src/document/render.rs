//! Problems as text for a person: headline, the line of the source with a caret, what would be right.

use std::fmt::Write as _;
use std::ops::Range;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Level, Origin, Renderer, Snippet};

use super::problem::Problem;

/// Problems shown in full; a file with more is another kind of file.
const SHOWN: usize = 100;
/// Bytes of source shown on each side of a place: a spec may be one line of a megabyte.
const AROUND: usize = 120;

/// Renders all problems of one file. `color` switches ANSI colours on; nothing is told by colour alone.
pub fn render_problems(file: &str, source: &str, problems: &[Problem], color: bool) -> String {
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    let renderer = renderer.decor_style(DecorStyle::Ascii);
    let mut out = String::new();
    for problem in problems.iter().take(SHOWN) {
        let title = Level::ERROR.primary_title(problem.message.as_str()).id(problem.code);
        let origin = Origin::path(file).line(problem.line).char_column(problem.column);
        let excerpt = problem.span.as_ref().and_then(|span| excerpt(source, span.start, span.end));
        let mut group = match excerpt {
            None => title.element(origin),
            Some(Excerpt { text, mark, cropped }) => {
                let snippet = Snippet::source(text).line_start(problem.line);
                let snippet = snippet.annotation(AnnotationKind::Primary.span(mark));
                // A snippet counts columns from its own start: of a cropped line we tell them ourselves.
                if cropped { title.element(origin).element(snippet) } else { title.element(snippet.path(file)) }
            }
        };
        if let Some(help) = &problem.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        out.push_str(&renderer.render(&[group]));
        out.push_str("\n\n");
    }
    let count = problems.len();
    if count > SHOWN {
        let _ = writeln!(out, "… and {} more", count - SHOWN);
    }
    let _ = writeln!(out, "{file}: {count} problem{}", if count == 1 { "" } else { "s" });
    out
}

/// The line around a place, and the place inside it.
struct Excerpt<'s> {
    text: &'s str,
    mark: Range<usize>,
    cropped: bool,
}

fn excerpt(source: &str, start: usize, end: usize) -> Option<Excerpt<'_>> {
    let before = source.get(..start)?;
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    let line_end = source.get(start..)?.find('\n').map_or(source.len(), |at| start + at);
    let from = floor(source, line_start.max(start.saturating_sub(AROUND)));
    let to = floor(source, line_end.min(start.saturating_add(AROUND)));
    let text = source.get(from..to)?.trim_end();
    let mark = (start - from).min(text.len());
    let mut mark_end = end.saturating_sub(from).clamp(mark, text.len());
    if mark_end == mark {
        // A caret needs something to stand under.
        mark_end += text.get(mark..)?.chars().next().map_or(0, char::len_utf8);
    }
    Some(Excerpt { text, mark: mark..mark_end, cropped: from > line_start })
}

/// The character border at or before a byte.
fn floor(source: &str, mut at: usize) -> usize {
    while !source.is_char_boundary(at) {
        at -= 1;
    }
    at
}
