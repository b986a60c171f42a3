//! Application Auto Scaling for DynamoDB: scalable targets, target tracking policies, and their running on the
//! metrics the twin itself publishes.
//!
//! It acts through UpdateTable as any other user, so it keeps DynamoDB's rules and budgets. Targets and
//! policies outlive their table.

mod activities;
mod policies;
mod targets;
mod tracking;

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    Ctx,
    dynamodb::DynamoDb,
    wire::{Answer, Args, Refusal},
};
use activities::Activity;
use targets::Target;

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct AutoScaling {
    /// By resource id and dimension.
    targets: BTreeMap<String, Target>,
    /// Oldest first.
    activities: VecDeque<Activity>,
    /// When alarms are looked at next.
    tick_ms: i64,
}

impl AutoScaling {
    pub fn call(&mut self, ctx: &mut Ctx, tables: &mut DynamoDb, operation: &str, args: Args) -> Answer {
        match operation {
            "RegisterScalableTarget" => self.register(ctx, tables, args),
            "DescribeScalableTargets" => self.describe_targets(args),
            "DeregisterScalableTarget" => self.deregister(args),
            "PutScalingPolicy" => self.put_policy(ctx, args),
            "DescribeScalingPolicies" => self.describe_policies(args),
            "DeleteScalingPolicy" => self.delete_policy(args),
            "DescribeScalingActivities" => self.describe_activities(args),
            "TagResource" => self.tag(args),
            "UntagResource" => self.untag(args),
            "ListTagsForResource" => self.list_tags(args),
            _ => Err(Refusal::unknown_operation()),
        }
    }
}

/// What a request names: the resource and the dimension of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Scaled {
    /// `table/T` or `table/T/index/I`.
    resource: String,
    /// `dynamodb:table:WriteCapacityUnits` and the like.
    dimension: String,
}

const DIMENSIONS: [&str; 4] = [
    "dynamodb:table:ReadCapacityUnits",
    "dynamodb:table:WriteCapacityUnits",
    "dynamodb:index:ReadCapacityUnits",
    "dynamodb:index:WriteCapacityUnits",
];

impl Scaled {
    fn parse(args: Args) -> Result<Self, Refusal> {
        namespace(args)?;
        let resource = args.need_text("ResourceId")?.to_owned();
        let dimension = dimension(args)?.ok_or_else(|| {
            let null = "1 validation error detected: Value null at 'scalableDimension' failed to satisfy constraint: \
                        Member must not be null";
            Refusal::validation(null)
        })?;
        let scaled = Self { resource, dimension };
        let (table, index) = scaled.parts();
        let of_index = scaled.dimension.starts_with("dynamodb:index:");
        if table.is_empty() || !scaled.resource.starts_with("table/") || of_index != index.is_some() {
            return Err(Refusal::validation("Unsupported service namespace, resource type or scalable dimension"));
        }
        Ok(scaled)
    }

    fn key(&self) -> String {
        format!("{}|{}", self.resource, self.dimension)
    }

    /// Table and index.
    fn parts(&self) -> (&str, Option<&str>) {
        let rest = self.resource.strip_prefix("table/").unwrap_or_default();
        rest.split_once("/index/").map_or((rest, None), |(table, index)| (table, Some(index)))
    }

    fn writes(&self) -> bool {
        self.dimension.ends_with("WriteCapacityUnits")
    }

    /// `write capacity units`, as activities say.
    fn noun(&self) -> &'static str {
        if self.writes() { "write capacity units" } else { "read capacity units" }
    }

    fn is_named_by(&self, args: Args) -> bool {
        args.text("ResourceId").is_none_or(|resource| resource == self.resource)
            && args.text("ScalableDimension").is_none_or(|dimension| dimension == self.dimension)
    }
}

fn namespace(args: Args) -> Result<(), Refusal> {
    match args.need_text("ServiceNamespace")? {
        "dynamodb" => Ok(()),
        other => Err(Refusal::constraint(other, "serviceNamespace", "satisfy enum value set: [dynamodb] in the twin")),
    }
}

fn dimension(args: Args) -> Result<Option<String>, Refusal> {
    match args.text("ScalableDimension") {
        Some(other) if !DIMENSIONS.contains(&other) => {
            let set = format!("satisfy enum value set: [{}]", DIMENSIONS.join(", "));
            Err(Refusal::constraint(other, "scalableDimension", &set))
        }
        given => Ok(given.map(str::to_owned)),
    }
}

/// One page of a list, and the token of the next: the number of entries already shown.
fn page(args: Args, most: i64, all: Vec<Value>, member: &str) -> Answer {
    let size = args.ranged("MaxResults", 1, most)?.unwrap_or(most) as usize;
    let token = args.text("NextToken").map_or(Ok(0), str::parse::<usize>);
    let start = token.ok().filter(|start| *start <= all.len());
    let start = start.ok_or_else(|| Refusal::new(400, "InvalidNextTokenException", "The token is not valid"))?;
    let more = all.len() > start + size;
    let shown: Vec<Value> = all.into_iter().skip(start).take(size).collect();
    let mut output = serde_json::json!({ member: shown });
    if more {
        output["NextToken"] = Value::String((start + size).to_string());
    }
    Ok(output)
}
