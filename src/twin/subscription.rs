//! What a SubscribeToShard call goes on to tell.

use jiff::Timestamp;
use serde_json::Value;

use super::{Twin, timestamp};

/// The next events of a subscription.
#[derive(Debug, Clone, PartialEq)]
pub struct Subscription {
    /// The members of `SubscribeToShardEvent`s, oldest first.
    pub events: Vec<Value>,
    /// When to ask again; `None` when the subscription is over.
    pub next_poll: Option<Timestamp>,
}

impl Twin {
    /// What subscription `id` (the `__subscription` of SubscribeToShard's answer) has to tell by `now`. Time
    /// moves to `now` first, if it is later than the twin's. A subscription that is unknown is over.
    pub fn subscription_events(&mut self, now: Timestamp, id: u64) -> Subscription {
        self.advance(now);
        let (events, next_poll) = self.kinesis_events(id);
        Subscription { events, next_poll: next_poll.map(timestamp) }
    }
}
