//! SubscribeToShard: a consumer is sent a shard's records through its own pipe for five minutes.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Kinesis, in_use, invalid, limit, records};
use crate::twin::{
    Ctx,
    wire::{Answer, Args, Refusal},
};

/// Life of a subscription (API reference).
const LIFE_MS: i64 = 300_000;
/// After a successful call, another one is refused for this long (API reference).
const AGAIN_MS: i64 = 5_000;
/// An event is sent at least this often, with no records if there are none. Assumption.
const HEARTBEAT_MS: i64 = 5_000;

/// One subscription. There is at most one for each consumer and shard.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Subscription {
    id: u64,
    stream: String,
    consumer: String,
    shard: u32,
    position: u64,
    began_ms: i64,
    last_event_ms: i64,
    over: bool,
}

impl Kinesis {
    pub(super) fn subscribe(&mut self, ctx: &mut Ctx, args: Args) -> Answer {
        let arn = args.need_text("ConsumerARN")?;
        let wanted = args.need_text("ShardId")?;
        let position = args.at("StartingPosition").ok_or_else(|| invalid("StartingPosition is required."))?;
        let (name, consumer) = self.consumer_ref(ctx, args)?;
        let stream = self.streams.get(&name).ok_or_else(|| super::not_found(ctx, arn))?;
        stream.consumers.get(&consumer).ok_or_else(|| super::not_found(ctx, arn))?.need_active()?;
        let shard = stream.shard(ctx, wanted)?;
        let from = records::start(ctx, stream, &shard, position, "Type", "SequenceNumber")?;
        stream.need_key(ctx)?;
        records::dry_run(args)?;
        let key = format!("{arn}/{wanted}");
        if !self.subscribe_rates.admit(ctx.now, key.clone(), 1) {
            ctx.plane.count_subscription(&name, &consumer, false);
            return Err(limit(format!("Rate exceeded for consumer {consumer} and shard {wanted}.")));
        }
        let recent = |before: &Subscription| ctx.now - before.began_ms < AGAIN_MS;
        if self.subscriptions.get(&key).is_some_and(recent) {
            ctx.plane.count_subscription(&name, &consumer, false);
            return Err(in_use(format!(
                "Another active subscription exists for this consumer: {}:{}:{wanted}:{consumer}",
                ctx.account(),
                name
            )));
        }
        ctx.plane.count_subscription(&name, &consumer, true);
        self.next_subscription += 1;
        let id = self.next_subscription;
        let subscription = Subscription {
            id,
            stream: name,
            consumer,
            shard: shard.number,
            position: from,
            began_ms: ctx.now,
            last_event_ms: ctx.now,
            over: false,
        };
        // The older subscription of the same consumer and shard ends here.
        self.subscriptions.insert(key, subscription);
        Ok(json!({ "__subscription": id }))
    }

    /// The events of a subscription that are due, and when to ask again.
    pub(in crate::twin) fn subscription_events(&mut self, ctx: &mut Ctx, id: u64) -> (Vec<Value>, Option<i64>) {
        let Some(key) = self.subscriptions.iter().find(|(_, found)| found.id == id).map(|(key, _)| key.clone()) else {
            return (Vec::new(), None);
        };
        let Some(subscription) = self.subscriptions.get_mut(&key) else { return (Vec::new(), None) };
        let ends = subscription.began_ms + LIFE_MS;
        let stream = self.streams.get(&subscription.stream);
        let stream = stream.filter(|stream| stream.consumers.contains_key(&subscription.consumer));
        let Some(stream) = stream.filter(|_| ctx.now < ends && !subscription.over) else {
            return (Vec::new(), None);
        };
        let shards = ctx.plane.shards(&stream.name);
        let Some(shard) = shards.iter().find(|shard| shard.number == subscription.shard) else {
            return (Vec::new(), None);
        };
        let mut events = Vec::new();
        while let Some(reading) =
            ctx.plane.push(&stream.name, subscription.shard, &subscription.consumer, subscription.position)
        {
            let silent = ctx.now - subscription.last_event_ms >= HEARTBEAT_MS;
            if reading.records.is_empty() && !reading.ended && !silent {
                break;
            }
            let records: Vec<Value> = reading.records.iter().map(|record| stream.record(shard, record)).collect();
            let mut event = json!({ "Records": records, "MillisBehindLatest": reading.behind_ms });
            if reading.ended {
                event["ChildShards"] = json!(records::children(&shards, shard));
            } else {
                let last = reading.next.checked_sub(1).map(|last| records::sequence(shard, last));
                event["ContinuationSequenceNumber"] = json!(last.unwrap_or_else(|| records::first_sequence(shard)));
            }
            subscription.last_event_ms = ctx.now;
            subscription.position = reading.next;
            subscription.over = reading.ended;
            events.push(event);
            if reading.ended {
                return (events, None);
            }
            if records.is_empty() {
                break;
            }
        }
        let waiting = ctx.plane.push_due(&stream.name, subscription.shard, subscription.position);
        let soon = ctx.now + crate::twin::plane::PUSH_LATENCY_MS;
        let next = waiting.map_or(soon, |due| if due > ctx.now { due.min(soon) } else { soon });
        (events, Some(next.min(ends)))
    }

    /// Forgets the subscriptions of consumers that are gone, and those that are long over.
    pub(super) fn prune_subscriptions(&mut self, now: i64) {
        let streams = &self.streams;
        self.subscriptions.retain(|_, found| {
            let known = streams.get(&found.stream).is_some_and(|stream| stream.consumers.contains_key(&found.consumer));
            known && now - found.began_ms <= LIFE_MS
        });
    }
}

impl super::FanOut {
    /// Refuses unless the consumer is ACTIVE.
    pub(super) fn need_active(&self) -> Result<(), Refusal> {
        if self.status == super::Status::Active {
            return Ok(());
        }
        Err(in_use(format!("Consumer {} is not ACTIVE, instead in state {}", self.arn, self.status.text())))
    }
}
