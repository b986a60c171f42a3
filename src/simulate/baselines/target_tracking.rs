//! Target tracking at 70 % of the shards' write limit, as a custom resource of Application Auto Scaling would do it.
//!
//! Rules: Application Auto Scaling user guide, "How target tracking scaling works": an alarm above the target (three
//! one-minute points) scales out in proportion, one at 90 % of it (fifteen points) scales in; missing points scale
//! nothing; a cooldown of 300 s (the default of custom resources), which a larger scale-out breaks. The tables are
//! tracked by the service itself.

use jiff::{SignedDuration, Timestamp};

use super::{Look, latest, whole};
use crate::plan::Step;

const TARGET: f64 = 0.7;
const HIGH_POINTS: usize = 3;
const LOW_POINTS: usize = 15;
const LOW_SHARE: f64 = 0.9;
const COOLDOWN: SignedDuration = SignedDuration::from_secs(300);
/// A point older than this is as good as missing: the alarm would have no data.
const LATE: SignedDuration = SignedDuration::from_mins(5);
pub(super) const WINDOW: SignedDuration = SignedDuration::from_mins(25);

/// The last scaling: when, and to how many.
#[derive(Debug, Default)]
pub(in crate::simulate) struct State {
    out: Option<(Timestamp, u32)>,
    r#in: Option<Timestamp>,
}

impl State {
    pub(super) fn decide(&mut self, look: &Look) -> Option<Step> {
        let shards = look.shards()?;
        let usage = look.usage(shards);
        let cooling = |last: Option<Timestamp>| last.is_some_and(|at| look.now.duration_since(at) < COOLDOWN);
        let wanted = |usage: f64| whole(f64::from(shards) * usage / TARGET);
        if let Some(high) = latest(&usage, HIGH_POINTS, look.now, LATE).filter(|it| it.iter().all(|it| *it > TARGET)) {
            let to = wanted(*high.first()?);
            let larger = self.out.is_none_or(|(_, before)| to > before);
            if cooling(self.out.map(|(at, _)| at)) && !larger {
                return None;
            }
            let step = look.reshard(to)?;
            self.out = Some((look.now, to));
            return Some(step);
        }
        let low = TARGET * LOW_SHARE;
        let low = latest(&usage, LOW_POINTS, look.now, LATE).filter(|it| it.iter().all(|it| *it < low))?;
        if cooling(self.r#in) || cooling(self.out.map(|(at, _)| at)) {
            return None;
        }
        let step = look.reshard(wanted(*low.first()?))?;
        self.r#in = Some(look.now);
        Some(step)
    }
}
