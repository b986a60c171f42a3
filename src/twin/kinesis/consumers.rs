//! Enhanced fan-out consumers: register, deregister, describe, list.

use serde_json::{Value, json};

use super::{FanOut, Kinesis, Status, Stream, in_use, invalid, limit, paging, stream_name, tags};
use crate::twin::{
    Ctx, epoch, millis,
    wire::{Answer, Args, Refusal},
};

/// Consumers per stream, and in CREATING at once (RegisterStreamConsumer).
const CONSUMER_LIMIT: usize = 20;
const CREATING_LIMIT: usize = 5;

impl Kinesis {
    pub(super) fn register_consumer(&mut self, ctx: &Ctx, args: Args) -> Answer {
        let name = args.need_text("ConsumerName")?;
        let legal = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
        if name.is_empty() || name.len() > 128 || !name.chars().all(legal) {
            return Err(Refusal::constraint(
                name,
                "consumerName",
                "satisfy regular expression pattern: [a-zA-Z0-9_.-]+",
            ));
        }
        let tags = args.map("Tags");
        tags::check_tags(&tags)?;
        let stream = self.find_mut(ctx, args)?;
        if stream.status != Status::Updating {
            stream.need_active(ctx)?;
        }
        if stream.consumers.contains_key(name) {
            return Err(in_use(format!(
                "Consumer {name} under stream {} already exists for account {}.",
                stream.name,
                ctx.account()
            )));
        }
        let creating = stream.consumers.values().filter(|consumer| consumer.status == Status::Creating).count();
        if stream.consumers.len() >= CONSUMER_LIMIT || creating >= CREATING_LIMIT {
            return Err(limit(format!("Consumer limit reached for stream {}.", stream.name)));
        }
        let consumer = FanOut {
            arn: format!("{}/consumer/{name}:{}", stream.arn, ctx.now / 1000),
            status: Status::Creating,
            created_ms: ctx.now,
            due_ms: Some(ctx.now + millis(ctx.world.timings.consumer_create)),
            tags,
            policy: None,
        };
        let output = json!({ "Consumer": consumer_json(name, &consumer) });
        stream.consumers.insert(name.to_owned(), consumer);
        Ok(output)
    }

    pub(super) fn deregister_consumer(&mut self, ctx: &Ctx, args: Args) -> Answer {
        let (stream, name) = self.consumer_ref(ctx, args)?;
        let consumer = self.streams.get_mut(&stream).and_then(|stream| stream.consumers.get_mut(&name));
        let consumer = consumer.ok_or_else(|| not_found(ctx, &name))?;
        consumer.status = Status::Deleting;
        consumer.due_ms = Some(ctx.now + millis(ctx.world.timings.consumer_create));
        Ok(Value::Null)
    }

    pub(super) fn describe_consumer(&self, ctx: &Ctx, args: Args) -> Answer {
        let (stream, name) = self.consumer_ref(ctx, args)?;
        let stream = self.streams.get(&stream).ok_or_else(|| not_found(ctx, &name))?;
        let consumer = stream.consumers.get(&name).ok_or_else(|| not_found(ctx, &name))?;
        let mut description = consumer_json(&name, consumer);
        description["StreamARN"] = json!(stream.arn);
        Ok(json!({ "ConsumerDescription": description }))
    }

    pub(super) fn list_consumers(&self, ctx: &Ctx, args: Args) -> Answer {
        let at_most = args.ranged("MaxResults", 1, 10_000)?.unwrap_or(100) as usize;
        let stream = self.find(ctx, args)?;
        if stream.status != Status::Updating {
            stream.need_active(ctx)?;
        }
        let asked = args.get("StreamCreationTimestamp").and_then(Value::as_f64);
        if asked.is_some_and(|asked| (asked * 1_000.0) as i64 / 1_000 != stream.created_ms / 1_000) {
            return Err(super::not_found(ctx, &stream.name));
        }
        let after = match args.text("NextToken") {
            Some(token) => paging::resume(ctx, token, "consumers", &stream.name)?,
            None => String::new(),
        };
        let rest = stream.consumers.iter().filter(|(name, _)| name.as_str() > after.as_str());
        let more = rest.clone().count() > at_most;
        let page: Vec<_> = rest.take(at_most).collect();
        let consumers: Vec<Value> = page.iter().map(|(name, consumer)| consumer_json(name, consumer)).collect();
        let mut output = json!({ "Consumers": consumers });
        if let Some((name, _)) = page.last().filter(|_| more) {
            output["NextToken"] = json!(paging::token(ctx, "consumers", &stream.name, name));
        }
        Ok(output)
    }

    /// Stream and consumer name, from the consumer's ARN or from both names.
    pub(super) fn consumer_ref(&self, ctx: &Ctx, args: Args) -> Result<(String, String), Refusal> {
        if let Some(arn) = args.text("ConsumerARN") {
            if !arn.starts_with("arn:aws:kinesis:") || !arn.contains("/consumer/") {
                return Err(invalid(format!("{arn} is not the ARN of a consumer.")));
            }
            let found = self.streams.iter().find_map(|(stream, state)| {
                let consumer = state.consumers.iter().find(|(_, consumer)| consumer.arn == arn);
                consumer.map(|(name, _)| (stream.clone(), name.clone()))
            });
            return found.ok_or_else(|| not_found(ctx, arn));
        }
        let name = args.text("ConsumerName").ok_or_else(|| invalid("ConsumerARN, or StreamARN and ConsumerName."))?;
        Ok((stream_name(args)?.to_owned(), name.to_owned()))
    }
}

impl Stream {
    /// Moves consumers on; returns the names of those that are gone.
    pub(super) fn settle_consumers(&mut self, now: i64) -> Vec<String> {
        for consumer in self.consumers.values_mut() {
            if consumer.status == Status::Creating && consumer.due_ms.is_some_and(|due| due <= now) {
                consumer.status = Status::Active;
                consumer.due_ms = None;
            }
        }
        let due = |consumer: &FanOut| consumer.due_ms.is_some_and(|due| due <= now);
        let gone: Vec<String> =
            self.consumers.iter().filter(|(_, consumer)| due(consumer)).map(|(name, _)| name.clone()).collect();
        self.consumers.retain(|name, _| !gone.contains(name));
        gone
    }
}

fn consumer_json(name: &str, consumer: &FanOut) -> Value {
    json!({
        "ConsumerName": name,
        "ConsumerARN": consumer.arn,
        "ConsumerStatus": consumer.status.text(),
        "ConsumerCreationTimestamp": epoch(consumer.created_ms),
    })
}

fn not_found(ctx: &Ctx, name: &str) -> Refusal {
    let message = format!("Consumer {name} under account {} not found.", ctx.account());
    Refusal::new(400, "ResourceNotFoundException", message)
}
