//! Tags of functions and of event source mappings.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Lambda, invalid, not_found};
use crate::twin::{
    Ctx,
    wire::{Answer, Args, Refusal},
};

/// Tags of one resource, letters of a key and of a value (Lambda guide, tag requirements).
const TAGS: usize = 50;
const KEY_LETTERS: usize = 128;
const VALUE_LETTERS: usize = 256;

type Tags = BTreeMap<String, String>;

/// Refuses tags that Lambda does not take.
pub(super) fn check(tags: &Tags) -> Result<(), Refusal> {
    if tags.len() > TAGS {
        return Err(invalid(format!("The number of tags exceeds the limit of {TAGS}.")));
    }
    for (key, value) in tags {
        if key.is_empty() || key.chars().count() > KEY_LETTERS || value.chars().count() > VALUE_LETTERS {
            return Err(invalid(format!("Tag keys have 1 to {KEY_LETTERS} letters, values at most {VALUE_LETTERS}.")));
        }
        if key.to_ascii_lowercase().starts_with("aws:") {
            return Err(invalid("Tag keys must not begin with aws:, which is reserved for AWS."));
        }
    }
    Ok(())
}

impl Lambda {
    pub(super) fn list_tags(&mut self, ctx: &Ctx, args: Args) -> Answer {
        Ok(json!({ "Tags": self.tags(ctx, args)? }))
    }

    pub(super) fn tag(&mut self, ctx: &Ctx, args: Args) -> Answer {
        let given = args.map("Tags");
        if given.is_empty() {
            return Err(invalid("Tags is required."));
        }
        let tags = self.tags(ctx, args)?;
        let mut all = tags.clone();
        all.extend(given);
        check(&all)?;
        *tags = all;
        Ok(Value::Null)
    }

    pub(super) fn untag(&mut self, ctx: &Ctx, args: Args) -> Answer {
        let tags = self.tags(ctx, args)?;
        let mut keys = args.texts("TagKeys").peekable();
        if keys.peek().is_none() {
            return Err(invalid("TagKeys is required."));
        }
        for key in keys {
            tags.remove(key);
        }
        Ok(Value::Null)
    }

    /// The tags of a function or mapping, by ARN.
    fn tags(&mut self, ctx: &Ctx, args: Args) -> Result<&mut Tags, Refusal> {
        let arn = args.need_text("Resource")?;
        let missing = || not_found(format!("The resource you requested does not exist: {arn}"));
        if let Some(uuid) = arn.strip_prefix(&ctx.arn("lambda", "event-source-mapping:")) {
            return self.mappings.get_mut(uuid).map(|mapping| &mut mapping.tags).ok_or_else(missing);
        }
        let name = arn.strip_prefix(&ctx.arn("lambda", "function:")).ok_or_else(missing)?;
        if name.contains(':') {
            return Err(invalid(
                "Tags on function aliases and versions are not supported. Please specify either a function ARN.",
            ));
        }
        self.functions.get_mut(name).map(|function| &mut function.tags).ok_or_else(missing)
    }
}
