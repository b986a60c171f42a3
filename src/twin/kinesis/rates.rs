//! Calls a second of one shard's own operations. Counted per whole second: an assumption.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Accepted and refused calls of the present second, by shard.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Rates {
    second: i64,
    calls: BTreeMap<String, u32>,
}

impl Rates {
    /// Counts a call at `now_ms`; whether it is within `rate` calls a second.
    pub fn admit(&mut self, now_ms: i64, key: String, rate: u32) -> bool {
        let second = now_ms.div_euclid(1_000);
        if second != self.second {
            (self.second, self.calls) = (second, BTreeMap::new());
        }
        let calls = self.calls.entry(key).or_default();
        *calls = calls.saturating_add(1);
        *calls <= rate
    }
}
