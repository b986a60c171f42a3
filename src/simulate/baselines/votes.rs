//! The votes of awslabs/amazon-kinesis-scaling-utils (`StreamMonitor`, `conf/configuration.json`, README).
//!
//! Each published minute votes: high above 75 % of the shards' write limit, low below 25 %; a minute without a point
//! votes low. Two high votes double the shards (the shipped configuration). Sixty low votes take one shard away, at most
//! once in 120 minutes (the README's example; the shipped configuration's two minutes would flap).
//!
//! Left out: its fallback to SplitShard and MergeShards when the ten calls of the day are used.

use jiff::{SignedDuration, Timestamp};

use super::Look;
use crate::plan::Step;

const HIGH: f64 = 0.75;
const HIGH_VOTES: usize = 2;
const LOW: f64 = 0.25;
const LOW_VOTES: usize = 60;
const COOL_OFF: SignedDuration = SignedDuration::from_mins(120);
/// It asks for as many minutes as the longer vote takes.
pub(super) const WINDOW: SignedDuration = SignedDuration::from_mins(60);

/// Its last scale-down.
#[derive(Debug, Default)]
pub(in crate::simulate) struct State {
    down: Option<Timestamp>,
}

impl State {
    pub(super) fn decide(&mut self, look: &Look) -> Option<Step> {
        let shards = look.shards()?;
        let usage = look.usage(shards);
        let missing = LOW_VOTES.saturating_sub(usage.len());
        let high = usage.values().filter(|share| **share > HIGH).count();
        let low = usage.values().filter(|share| **share < LOW).count() + missing;
        if high >= HIGH_VOTES {
            return look.reshard(shards.saturating_mul(2));
        }
        let cool = self.down.is_none_or(|at| look.now.duration_since(at) >= COOL_OFF);
        if low < LOW_VOTES || !cool || shards == 1 {
            return None;
        }
        let step = look.reshard(shards - 1)?;
        self.down = Some(look.now);
        Some(step)
    }
}
