//! Tags of streams and consumers, and resource policies.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Kinesis, Status, Stream, invalid, limit, no_resource};
use crate::twin::{
    Ctx,
    wire::{Answer, Args, Refusal},
};

/// Tags per resource (AddTagsToStream, TagResource).
const TAG_LIMIT: usize = 50;
/// Tags or keys of one AddTagsToStream or RemoveTagsFromStream (API reference).
const TAGS_PER_CALL: usize = 50;
/// Characters of a resource policy. Assumption: the model allows any length.
const POLICY_LIMIT: usize = 20_480;

impl Kinesis {
    pub(super) fn add_tags(&mut self, ctx: &Ctx, args: Args) -> Answer {
        let tags = args.map("Tags");
        if tags.is_empty() || tags.len() > TAGS_PER_CALL {
            return Err(length(tags.len(), "tags", TAGS_PER_CALL));
        }
        let stream = self.find_mut(ctx, args)?;
        stream.need_taggable(ctx)?;
        merge(&mut stream.tags, tags)?;
        Ok(Value::Null)
    }

    pub(super) fn remove_tags(&mut self, ctx: &Ctx, args: Args) -> Answer {
        let keys: Vec<&str> = args.texts("TagKeys").collect();
        check_keys(&keys)?;
        let stream = self.find_mut(ctx, args)?;
        stream.need_taggable(ctx)?;
        for key in keys {
            stream.tags.remove(key);
        }
        Ok(Value::Null)
    }

    pub(super) fn list_tags(&self, ctx: &Ctx, args: Args) -> Answer {
        let stream = self.find(ctx, args)?;
        let at_most = args.ranged("Limit", 1, 50)?.unwrap_or(50) as usize;
        let start = args.text("ExclusiveStartTagKey").unwrap_or_default();
        let rest = stream.tags.iter().filter(|(key, _)| key.as_str() > start);
        let more = rest.clone().count() > at_most;
        let tags: Vec<Value> = rest.take(at_most).map(|(key, value)| json!({"Key": key, "Value": value})).collect();
        Ok(json!({ "Tags": tags, "HasMoreTags": more }))
    }

    pub(super) fn tag_resource(&mut self, ctx: &Ctx, args: Args) -> Answer {
        let tags = args.map("Tags");
        if tags.is_empty() {
            return Err(length(0, "tags", TAG_LIMIT));
        }
        merge(self.tags_mut(ctx, args)?, tags)?;
        Ok(Value::Null)
    }

    pub(super) fn untag_resource(&mut self, ctx: &Ctx, args: Args) -> Answer {
        let keys: Vec<&str> = args.texts("TagKeys").collect();
        check_keys(&keys)?;
        let tags = self.tags_mut(ctx, args)?;
        for key in keys {
            tags.remove(key);
        }
        Ok(Value::Null)
    }

    pub(super) fn list_resource_tags(&mut self, ctx: &Ctx, args: Args) -> Answer {
        let (stream, consumer) = self.resource(args)?;
        let found = self.streams.get(&stream);
        if let Some(stream) = found.filter(|stream| stream.status != Status::Updating) {
            stream.need_active(ctx)?;
        }
        let tags = match &consumer {
            None => found.map(|stream| &stream.tags),
            Some(name) => found.and_then(|stream| stream.consumers.get(name)).map(|consumer| &consumer.tags),
        };
        let tags = tags.ok_or_else(|| no_resource(ctx, args))?;
        let tags: Vec<Value> = tags.iter().map(|(key, value)| json!({"Key": key, "Value": value})).collect();
        Ok(json!({ "Tags": tags }))
    }

    fn tags_mut(&mut self, ctx: &Ctx, args: Args) -> Result<&mut BTreeMap<String, String>, Refusal> {
        let (stream, consumer) = self.resource(args)?;
        let stream = self.streams.get_mut(&stream).ok_or_else(|| no_resource(ctx, args))?;
        stream.need_taggable(ctx)?;
        match consumer {
            None => Ok(&mut stream.tags),
            Some(name) => {
                let consumer = stream.consumers.get_mut(&name).ok_or_else(|| no_resource(ctx, args))?;
                Ok(&mut consumer.tags)
            }
        }
    }

    pub(super) fn put_policy(&mut self, ctx: &Ctx, args: Args) -> Answer {
        let policy = args.need_text("Policy")?;
        let readable = serde_json::from_str::<Value>(policy).is_ok_and(|policy| policy["Statement"].is_array());
        if !readable || policy.len() > POLICY_LIMIT {
            return Err(invalid("The resource policy is not a JSON policy document with a Statement."));
        }
        let policy = policy.to_owned();
        *self.policy_mut(ctx, args)? = Some(policy);
        Ok(Value::Null)
    }

    pub(super) fn get_policy(&mut self, ctx: &Ctx, args: Args) -> Answer {
        match self.policy_mut(ctx, args)? {
            Some(policy) => Ok(json!({ "Policy": policy })),
            None => Err(no_policy(args)),
        }
    }

    pub(super) fn delete_policy(&mut self, ctx: &Ctx, args: Args) -> Answer {
        match self.policy_mut(ctx, args)?.take() {
            Some(_) => Ok(Value::Null),
            None => Err(no_policy(args)),
        }
    }

    /// The policy of a stream or consumer that is ACTIVE (or, for a stream, UPDATING).
    fn policy_mut(&mut self, ctx: &Ctx, args: Args) -> Result<&mut Option<String>, Refusal> {
        let (stream, consumer) = self.resource(args)?;
        let stream = self.streams.get_mut(&stream).ok_or_else(|| no_resource(ctx, args))?;
        match consumer {
            None => {
                if stream.status != Status::Updating {
                    stream.need_active(ctx)?;
                }
                Ok(&mut stream.policy)
            }
            Some(name) => {
                let consumer = stream.consumers.get_mut(&name).ok_or_else(|| no_resource(ctx, args))?;
                consumer.need_active()?;
                Ok(&mut consumer.policy)
            }
        }
    }

    /// Stream name and, if it is one, consumer name behind `ResourceARN`.
    fn resource(&self, args: Args) -> Result<(String, Option<String>), Refusal> {
        let arn = args.need_text("ResourceARN")?;
        if !arn.starts_with("arn:aws:kinesis:") || !arn.contains(":stream/") {
            return Err(invalid(format!("{arn} is not the ARN of a stream or consumer.")));
        }
        for stream in self.streams.values() {
            if stream.arn == arn {
                return Ok((stream.name.clone(), None));
            }
            if let Some((name, _)) = stream.consumers.iter().find(|(_, consumer)| consumer.arn == arn) {
                return Ok((stream.name.clone(), Some(name.clone())));
            }
        }
        Ok((String::new(), None))
    }
}

impl Stream {
    fn need_taggable(&self, ctx: &Ctx) -> Result<(), Refusal> {
        let allowed = self.status == Status::Updating && !ctx.world.timings.refuse_tags_while_updating;
        if allowed { Ok(()) } else { self.need_active(ctx) }
    }
}

fn no_policy(args: Args) -> Refusal {
    let arn = args.text("ResourceARN").unwrap_or_default();
    Refusal::new(400, "ResourceNotFoundException", format!("No resource policy found for resource ARN {arn}."))
}

fn length(given: usize, member: &str, most: usize) -> Refusal {
    Refusal::constraint(&format!("{given} members"), member, &format!("have length between 1 and {most}"))
}

fn check_keys(keys: &[&str]) -> Result<(), Refusal> {
    if keys.is_empty() || keys.len() > TAGS_PER_CALL {
        return Err(length(keys.len(), "tagKeys", TAGS_PER_CALL));
    }
    match keys.iter().find(|key| key.is_empty() || key.chars().count() > 128) {
        Some(key) => Err(Refusal::constraint(key, "tagKeys", "have length between 1 and 128")),
        None => Ok(()),
    }
}

fn merge(tags: &mut BTreeMap<String, String>, more: BTreeMap<String, String>) -> Result<(), Refusal> {
    let mut merged = tags.clone();
    merged.extend(more);
    check_tags(&merged)?;
    *tags = merged;
    Ok(())
}

/// Tag restrictions of the API reference: count, lengths, letters; `aws:` is AWS's own.
pub(super) fn check_tags(tags: &BTreeMap<String, String>) -> Result<(), Refusal> {
    if tags.len() > TAG_LIMIT {
        return Err(limit(format!("Tag count exceeds the limit of {TAG_LIMIT} tags per resource.")));
    }
    let legal = |text: &str| text.chars().all(|c| c.is_alphanumeric() || c == ' ' || "_.:/=+-@".contains(c));
    for (key, value) in tags {
        if key.is_empty() || key.chars().count() > 128 || !legal(key) || key.starts_with("aws:") {
            return Err(invalid(format!("Tag key {key} is not valid.")));
        }
        if value.chars().count() > 256 || !legal(value) {
            return Err(invalid(format!("Value {value} of tag {key} is not valid.")));
        }
    }
    Ok(())
}
