//! Target tracking policies. Step scaling and customized metrics are refused: the twin does not run them.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{AutoScaling, Scaled, dimension, namespace, page};
use crate::twin::{
    Ctx, epoch,
    wire::{Answer, Args, Refusal},
};

/// Policies in one answer.
const PAGE: i64 = 50;
/// Target values of the DynamoDB metrics in percent (developer guide, "Managing throughput with auto scaling").
const TARGETS: std::ops::RangeInclusive<f64> = 20.0..=90.0;
/// The alarms of one policy (metrics and dimensions: eight for reads and writes).
const ALARMS: [&str; 4] = ["AlarmHigh", "AlarmLow", "ProvisionedCapacityHigh", "ProvisionedCapacityLow"];

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Policy {
    pub name: String,
    arn: String,
    /// Utilization in hundredths of a percent.
    pub target: u64,
    pub cooldown_out_ms: i64,
    pub cooldown_in_ms: i64,
    pub no_scale_in: bool,
    created_ms: i64,
    /// Name and ARN, in the order of [`ALARMS`].
    alarms: Vec<(String, String)>,
}

impl Policy {
    /// The name of the alarm for scaling out, or in.
    pub fn alarm(&self, out: bool) -> &str {
        self.alarms.get(usize::from(!out)).map_or("", |(name, _)| name)
    }

    fn alarms_json(&self) -> Vec<Value> {
        self.alarms.iter().map(|(name, arn)| json!({ "AlarmName": name, "AlarmARN": arn })).collect()
    }

    fn json(&self, scaled: &Scaled) -> Value {
        json!({
            "PolicyARN": self.arn,
            "PolicyName": self.name,
            "ServiceNamespace": "dynamodb",
            "ResourceId": scaled.resource,
            "ScalableDimension": scaled.dimension,
            "PolicyType": "TargetTrackingScaling",
            "TargetTrackingScalingPolicyConfiguration": {
                "TargetValue": self.target as f64 / 100.0,
                "PredefinedMetricSpecification": { "PredefinedMetricType": metric(scaled) },
                "ScaleOutCooldown": self.cooldown_out_ms / 1_000,
                "ScaleInCooldown": self.cooldown_in_ms / 1_000,
                "DisableScaleIn": self.no_scale_in,
            },
            "Alarms": self.alarms_json(),
            "CreationTime": epoch(self.created_ms),
        })
    }
}

fn metric(scaled: &Scaled) -> &'static str {
    if scaled.writes() { "DynamoDBWriteCapacityUtilization" } else { "DynamoDBReadCapacityUtilization" }
}

impl AutoScaling {
    pub(super) fn put_policy(&mut self, ctx: &mut Ctx, args: Args) -> Answer {
        let scaled = Scaled::parse(args)?;
        let name = args.need_text("PolicyName")?.to_owned();
        if !(1..=256).contains(&name.len()) {
            return Err(Refusal::constraint(&name, "policyName", "have length between 1 and 256"));
        }
        let Some(target) = self.targets.get_mut(&scaled.key()) else { return Err(scaled.not_found()) };
        let known = target.policies.get(&name);
        if known.is_none() && args.text("PolicyType") != Some("TargetTrackingScaling") {
            return Err(Refusal::validation("The twin runs policies of type TargetTrackingScaling only"));
        }
        let configuration = args.at("TargetTrackingScalingPolicyConfiguration");
        let configuration = configuration.ok_or_else(|| {
            Refusal::validation("TargetTrackingScalingPolicyConfiguration is required for this policy")
        })?;
        let wanted = configuration.at("PredefinedMetricSpecification").and_then(|one| one.text("PredefinedMetricType"));
        if wanted != Some(metric(&scaled)) {
            return Err(Refusal::validation(format!(
                "The predefined metric of {} is {}; the twin tracks no customized metric",
                scaled.dimension,
                metric(&scaled)
            )));
        }
        let value = configuration.get("TargetValue").and_then(Value::as_f64).unwrap_or_default();
        if !TARGETS.contains(&value) {
            return Err(Refusal::validation("Target value must be between 20 and 90"));
        }
        if target.policies.keys().any(|other| *other != name) {
            return Err(Refusal::validation(
                "Only one TargetTrackingScaling policy for a given metric specification is allowed.",
            ));
        }
        let seconds = |member: &str| configuration.ranged(member, 0, 86_400).map(|one| one.unwrap_or(0) * 1_000);
        let resource = &scaled.resource;
        let policy = Policy {
            arn: known.map_or_else(
                || {
                    let id = ctx.ids.resource();
                    let what = format!("scalingPolicy:{id}:resource/dynamodb/{resource}:policyName/{name}");
                    ctx.arn("autoscaling", &what)
                },
                |known| known.arn.clone(),
            ),
            target: (value * 100.0).round() as u64,
            cooldown_out_ms: seconds("ScaleOutCooldown")?,
            cooldown_in_ms: seconds("ScaleInCooldown")?,
            no_scale_in: configuration.flag("DisableScaleIn").unwrap_or(false),
            created_ms: known.map_or(ctx.now, |known| known.created_ms),
            alarms: ALARMS
                .iter()
                .map(|kind| {
                    let name = format!("TargetTracking-{resource}-{kind}-{}", ctx.ids.resource());
                    let arn = ctx.arn("cloudwatch", &format!("alarm:{name}"));
                    (name, arn)
                })
                .collect(),
            name: name.clone(),
        };
        let output = json!({ "PolicyARN": policy.arn, "Alarms": policy.alarms_json() });
        target.policies.insert(name, policy);
        Ok(output)
    }

    pub(super) fn describe_policies(&self, args: Args) -> Answer {
        namespace(args)?;
        dimension(args)?;
        let names: Vec<&str> = args.texts("PolicyNames").collect();
        let targets = self.targets.values().filter(|target| target.scaled.is_named_by(args));
        let policies = targets.flat_map(|target| target.policies.values().map(|policy| (&target.scaled, policy)));
        let named = policies.filter(|(_, policy)| names.is_empty() || names.contains(&policy.name.as_str()));
        page(args, PAGE, named.map(|(scaled, policy)| policy.json(scaled)).collect(), "ScalingPolicies")
    }

    pub(super) fn delete_policy(&mut self, args: Args) -> Answer {
        let scaled = Scaled::parse(args)?;
        let name = args.need_text("PolicyName")?;
        let target = self.targets.get_mut(&scaled.key());
        match target.and_then(|target| target.policies.remove(name)) {
            Some(_) => Ok(Value::Null),
            None => Err(Refusal::new(
                400,
                "ObjectNotFoundException",
                format!(
                    "No scaling policy found for service namespace: dynamodb, resource ID: {}, scalable dimension: {}, \
                     policy name: {name}",
                    scaled.resource, scaled.dimension
                ),
            )),
        }
    }
}
