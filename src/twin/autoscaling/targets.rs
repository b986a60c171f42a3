//! Scalable targets: registering, which moves the capacity into the bounds at once, and their tags.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{AutoScaling, Scaled, dimension, namespace, page, policies::Policy};
use crate::twin::{
    Ctx,
    dynamodb::DynamoDb,
    epoch,
    wire::{Answer, Args, Refusal},
};

/// Targets of DynamoDB in an account (Application Auto Scaling quotas).
const TARGETS: usize = 5_000;
/// Tags of a target.
const TAGS: usize = 50;
/// Targets in one answer, and resources asked for in one call.
const PAGE: i64 = 50;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Target {
    pub scaled: Scaled,
    arn: String,
    pub min: u64,
    pub max: u64,
    role: String,
    pub suspended: Suspended,
    created_ms: i64,
    tags: BTreeMap<String, String>,
    pub policies: BTreeMap<String, Policy>,
    /// The capacity has still to be moved into the bounds.
    pub clamp: bool,
    /// Last scaling (out, in).
    pub scaled_ms: (Option<i64>, Option<i64>),
}

/// SuspendedState.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct Suspended {
    pub scale_in: bool,
    pub scale_out: bool,
    scheduled: bool,
}

impl AutoScaling {
    pub(super) fn register(&mut self, ctx: &mut Ctx, tables: &mut DynamoDb, args: Args) -> Answer {
        let scaled = Scaled::parse(args)?;
        let bound =
            |member: &str| args.ranged(member, 1, i64::from(i32::MAX)).map(|units| units.map(|units| units as u64));
        let (min, max) = (bound("MinCapacity")?, bound("MaxCapacity")?);
        let key = scaled.key();
        let known = self.targets.get(&key);
        let min = min.or(known.map(|target| target.min));
        let max = max.or(known.map(|target| target.max));
        let (Some(min), Some(max)) = (min, max) else {
            return Err(Refusal::validation("MinCapacity and MaxCapacity are required to register a scalable target"));
        };
        if min > max {
            return Err(Refusal::validation("Maximum capacity cannot be less than minimum capacity"));
        }
        let (table, index) = scaled.parts();
        if !tables.exists(table, index) {
            let what = if index.is_some() { "index" } else { "table" };
            return Err(Refusal::validation(format!("DynamoDB {what} does not exist: {}", scaled.resource)));
        }
        if known.is_none() && self.targets.len() >= TARGETS {
            let message = format!("Limit exceeded: {TARGETS} scalable targets of dynamodb in an account");
            return Err(Refusal::new(400, "LimitExceededException", message));
        }
        if known.is_none() {
            let id = ctx.ids.resource().replace('-', "");
            let target = Target {
                arn: ctx.arn("application-autoscaling", &format!("scalable-target/{id}")),
                role: format!(
                    "arn:aws:iam::{}:role/aws-service-role/dynamodb.application-autoscaling.amazonaws.com/\
                     AWSServiceRoleForApplicationAutoScaling_DynamoDBTable",
                    ctx.account()
                ),
                scaled,
                min,
                max,
                suspended: Suspended::default(),
                created_ms: ctx.now,
                tags: BTreeMap::new(),
                policies: BTreeMap::new(),
                clamp: false,
                scaled_ms: (None, None),
            };
            let tags = args.map("Tags");
            check_tags(&tags)?;
            self.targets.insert(key.clone(), Target { tags, ..target });
        }
        let Some(target) = self.targets.get_mut(&key) else { return Ok(Value::Null) };
        (target.min, target.max, target.clamp) = (min, max, true);
        if let Some(state) = args.at("SuspendedState") {
            let given = |member: &str, now: bool| state.flag(member).unwrap_or(now);
            target.suspended = Suspended {
                scale_in: given("DynamicScalingInSuspended", target.suspended.scale_in),
                scale_out: given("DynamicScalingOutSuspended", target.suspended.scale_out),
                scheduled: given("ScheduledScalingSuspended", target.suspended.scheduled),
            };
        }
        let arn = target.arn.clone();
        self.clamp(ctx, tables, &key);
        Ok(json!({ "ScalableTargetARN": arn }))
    }

    pub(super) fn describe_targets(&self, args: Args) -> Answer {
        namespace(args)?;
        let dimension = dimension(args)?;
        let resources: Vec<&str> = args.texts("ResourceIds").collect();
        if resources.len() > PAGE as usize {
            return Err(Refusal::constraint(
                &format!("{resources:?}"),
                "resourceIds",
                "have length less than or equal to 50",
            ));
        }
        let named = |target: &&Target| {
            (resources.is_empty() || resources.contains(&target.scaled.resource.as_str()))
                && dimension.as_ref().is_none_or(|dimension| *dimension == target.scaled.dimension)
        };
        let all = self.targets.values().filter(named).map(Target::json).collect();
        page(args, PAGE, all, "ScalableTargets")
    }

    pub(super) fn deregister(&mut self, args: Args) -> Answer {
        let scaled = Scaled::parse(args)?;
        match self.targets.remove(&scaled.key()) {
            Some(_) => Ok(Value::Null),
            None => Err(scaled.not_found()),
        }
    }

    pub(super) fn tag(&mut self, args: Args) -> Answer {
        let target = self.by_arn(args)?;
        let mut tags = target.tags.clone();
        tags.extend(args.map("Tags"));
        check_tags(&tags)?;
        target.tags = tags;
        Ok(Value::Null)
    }

    pub(super) fn untag(&mut self, args: Args) -> Answer {
        let target = self.by_arn(args)?;
        for key in args.texts("TagKeys") {
            target.tags.remove(key);
        }
        Ok(Value::Null)
    }

    pub(super) fn list_tags(&mut self, args: Args) -> Answer {
        Ok(json!({ "Tags": self.by_arn(args)?.tags }))
    }

    fn by_arn(&mut self, args: Args) -> Result<&mut Target, Refusal> {
        let arn = args.need_text("ResourceARN")?;
        let found = self.targets.values_mut().find(|target| target.arn == arn);
        found.ok_or_else(|| {
            let refusal = Refusal::new(400, "ResourceNotFoundException", format!("The resource {arn} does not exist"));
            refusal.with("ResourceName", json!(arn))
        })
    }
}

impl Target {
    fn json(&self) -> Value {
        json!({
            "ServiceNamespace": "dynamodb",
            "ResourceId": self.scaled.resource,
            "ScalableDimension": self.scaled.dimension,
            "MinCapacity": self.min,
            "MaxCapacity": self.max,
            "RoleARN": self.role,
            "CreationTime": epoch(self.created_ms),
            "SuspendedState": {
                "DynamicScalingInSuspended": self.suspended.scale_in,
                "DynamicScalingOutSuspended": self.suspended.scale_out,
                "ScheduledScalingSuspended": self.suspended.scheduled,
            },
            "ScalableTargetARN": self.arn,
        })
    }
}

impl Scaled {
    pub(super) fn not_found(&self) -> Refusal {
        let message = format!(
            "No scalable target found for service namespace: dynamodb, resource ID: {}, scalable dimension: {}",
            self.resource, self.dimension
        );
        Refusal::new(400, "ObjectNotFoundException", message)
    }
}

fn check_tags(tags: &BTreeMap<String, String>) -> Result<(), Refusal> {
    let wrong = tags.iter().find(|(key, value)| key.is_empty() || key.len() > 128 || value.len() > 256);
    if let Some((key, _)) = wrong {
        return Err(Refusal::validation(format!("Tag {key} is not valid")));
    }
    if tags.len() > TAGS {
        return Err(Refusal::new(400, "TooManyTagsException", format!("A scalable target has at most {TAGS} tags")));
    }
    Ok(())
}
