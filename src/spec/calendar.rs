//! Times that the spec names: loads that are known beforehand, and windows in which nothing is scaled.
//!
//! A window begins at a moment, or whenever a crontab expression says so in its time zone, and lasts a while. Pure:
//! the time zone database is compiled in, so a schedule means the same on every machine.

use cronexpr::{Crontab, MakeTimestamp};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// When a window begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Begins {
    /// Once.
    At(Timestamp),
    /// Whenever the five fields match, in the time zone: `50 7 * * SAT Europe/Berlin`.
    Cron(String),
}

/// A time in which something holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Window {
    /// When it begins.
    pub begins: Begins,
    /// How long it lasts.
    pub duration: SignedDuration,
}

/// A load that is known beforehand.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScheduledLoad {
    /// Name, for messages.
    pub name: String,
    /// When.
    pub window: Window,
    /// What comes in then, records/s.
    pub records_per_second: f64,
}

/// A window in which the scaler changes nothing in these directions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Freeze {
    /// When.
    pub window: Window,
    /// Raises are held too.
    pub up: bool,
    /// Lowering is held.
    pub down: bool,
}

impl Window {
    /// The end of the window that covers any moment from `from` to `until`; the latest one.
    pub fn meets(&self, from: Timestamp, until: Timestamp) -> Option<Timestamp> {
        let earliest = from.checked_sub(self.duration).unwrap_or(Timestamp::MIN);
        let start = match &self.begins {
            Begins::At(at) => (*at > earliest).then_some(*at),
            Begins::Cron(expression) => parse(expression).ok().and_then(|cron| next(&cron, earliest)),
        };
        let end = start.filter(|start| *start <= until)?.checked_add(self.duration).ok()?;
        Some(end)
    }
}

/// The first moment after `after`.
fn next(cron: &Crontab, after: Timestamp) -> Option<Timestamp> {
    cron.find_next(MakeTimestamp(after)).ok().map(|at| at.timestamp())
}

/// Reads five fields and a time zone.
///
/// # Errors
/// What is wrong, in the words of the parser.
pub(super) fn parse(expression: &str) -> Result<Crontab, String> {
    cronexpr::parse_crontab(expression).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn window(begins: Begins, minutes: i64) -> Window {
        Window { begins, duration: SignedDuration::from_mins(minutes) }
    }

    #[test]
    fn a_window_covers_its_first_moment_and_not_its_last() {
        let once = window(Begins::At(at("2026-03-02T08:00:00Z")), 60);
        let covers = |time: &str| once.meets(at(time), at(time)).is_some();
        assert!(!covers("2026-03-02T07:59:59Z"));
        assert!(covers("2026-03-02T08:00:00Z"));
        assert!(covers("2026-03-02T08:59:59Z"));
        assert!(!covers("2026-03-02T09:00:00Z"));
        assert!(once.meets(at("2026-03-02T07:45:00Z"), at("2026-03-02T08:00:00Z")).is_some(), "it is near");
    }

    #[test]
    fn a_crontab_follows_its_time_zone_through_the_change_of_clocks() {
        let daily = window(Begins::Cron("30 8 * * MON-FRI Europe/Berlin".into()), 60);
        let covers = |time: &str| daily.meets(at(time), at(time)).is_some();
        // Berlin is at UTC+1 until 29 March 2026, then at UTC+2.
        assert!(covers("2026-03-27T07:30:00Z") && !covers("2026-03-27T07:29:59Z"));
        assert!(covers("2026-03-30T06:30:00Z") && !covers("2026-03-30T07:30:00Z"));
        assert!(!covers("2026-03-28T07:45:00Z"), "a Saturday");
    }
}
