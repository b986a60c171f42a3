//! Progress on stderr while changes settle: a line a resource on a terminal, otherwise a line on change
//! and at most one every ten seconds a resource. Never with `-q` or `--output json`.

use std::{collections::BTreeMap, fmt::Write as _};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::SignedDuration;

use super::console::Console;

/// Without a terminal, the same news about a resource is repeated no sooner than this.
const REPEAT: SignedDuration = SignedDuration::from_secs(10);

/// One piece of news about a resource.
#[derive(Debug, Clone)]
pub struct News<'a> {
    /// Which.
    pub resource: &'a str,
    /// What happens to it.
    pub what: &'a str,
    /// For how long already, on the operator's clock.
    pub elapsed: SignedDuration,
    /// How long it usually takes.
    pub expected: Option<SignedDuration>,
}

/// What is shown.
#[derive(Debug)]
pub enum View {
    /// Nothing.
    Silent,
    /// Lines that change in place.
    Live(MultiProgress, BTreeMap<String, ProgressBar>),
    /// Lines that are added; by resource what was said last, and at which elapsed time.
    Lines(BTreeMap<String, (String, SignedDuration)>),
}

impl View {
    /// The view that suits the console.
    pub fn new(console: &Console) -> Self {
        if console.quiet() || console.json() {
            Self::Silent
        } else if console.live() {
            Self::Live(MultiProgress::with_draw_target(ProgressDrawTarget::stderr()), BTreeMap::new())
        } else {
            Self::Lines(BTreeMap::new())
        }
    }

    /// Shows a piece of news.
    pub fn show(&mut self, console: &Console, news: &News<'_>) {
        match self {
            Self::Silent => {}
            Self::Live(all, bars) => {
                let bar = bars.entry(news.resource.to_owned()).or_insert_with(|| {
                    let style = ProgressStyle::with_template("{spinner} {msg}");
                    all.add(
                        ProgressBar::new_spinner()
                            .with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner())),
                    )
                });
                bar.set_message(line(news));
                bar.tick();
            }
            Self::Lines(said) => {
                if due(said.get(news.resource), news) {
                    said.insert(news.resource.to_owned(), (news.what.to_owned(), news.elapsed));
                    console.note(&line(news));
                }
            }
        }
    }

    /// Leaves the last state of every line on the screen.
    pub fn finish(&mut self) {
        if let Self::Live(_, bars) = self {
            bars.values().for_each(ProgressBar::abandon);
        }
    }
}

/// Whether a line is worth adding.
fn due(last: Option<&(String, SignedDuration)>, news: &News<'_>) -> bool {
    last.is_none_or(|(what, elapsed)| {
        what != news.what || news.elapsed.saturating_sub(*elapsed) >= REPEAT || news.elapsed < *elapsed
    })
}

fn line(news: &News<'_>) -> String {
    let mut text = format!("{}: {}", news.resource, news.what);
    if news.elapsed >= SignedDuration::from_secs(1) {
        let _ = write!(text, ", {}", human(news.elapsed));
        if let Some(expected) = news.expected.filter(SignedDuration::is_positive) {
            let _ = write!(text, ", usually {}", human(expected));
        }
    }
    text
}

/// `38 s`, `4 min 10 s`, `2 h 5 min`: two units at most.
pub fn human(duration: SignedDuration) -> String {
    let seconds = duration.as_secs().max(0);
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes, seconds) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, 0) => format!("{minutes} min"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, 0, _) => format!("{hours} h"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn news(what: &str, seconds: i64) -> News<'_> {
        News { resource: "stream/a", what, elapsed: SignedDuration::from_secs(seconds), expected: None }
    }

    #[test]
    fn a_line_is_added_on_change_and_every_ten_seconds() {
        let last = ("waiting".to_owned(), SignedDuration::from_secs(3));
        assert!(due(None, &news("waiting", 3)));
        assert!(!due(Some(&last), &news("waiting", 9)));
        assert!(due(Some(&last), &news("waiting", 13)));
        assert!(due(Some(&last), &news("active", 4)));
        assert!(due(Some(&last), &news("waiting", 0)), "a second wait for the same thing starts anew");
    }

    #[test]
    fn durations_read_as_people_say_them() {
        let text = |seconds| human(SignedDuration::from_secs(seconds));
        assert_eq!(
            [text(38), text(60), text(250), text(7500), text(7200)],
            ["38 s", "1 min", "4 min 10 s", "2 h 5 min", "2 h"]
        );
    }
}
