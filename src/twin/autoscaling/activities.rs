//! Scaling activities: what was tried, why, and what came of it. Kept after their target is gone.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{AutoScaling, Scaled, dimension, namespace, page};
use crate::twin::{
    epoch,
    wire::{Answer, Args},
};

/// Activities kept. AWS keeps six weeks of them; the twin's bound is on their number.
const KEPT: usize = 1_000;
/// Activities in one answer.
const PAGE: i64 = 50;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Activity {
    pub id: String,
    pub scaled: Scaled,
    pub units: u64,
    pub cause: String,
    pub start_ms: i64,
    /// None while in progress.
    pub end_ms: Option<i64>,
    /// Why it failed.
    pub failure: Option<String>,
}

impl Activity {
    fn json(&self) -> Value {
        let noun = self.scaled.noun();
        let (status, message) = match (&self.failure, self.end_ms) {
            (Some(why), _) => ("Failed", format!("Failed to set {noun} to {}. Reason: {why}", self.units)),
            (None, None) => (
                "InProgress",
                format!("Successfully set {noun} to {}. Waiting for change to be fulfilled by dynamodb.", self.units),
            ),
            (None, Some(_)) => (
                "Successful",
                format!("Successfully set {noun} to {}. Change successfully fulfilled by dynamodb.", self.units),
            ),
        };
        let mut value = json!({
            "ActivityId": self.id,
            "ServiceNamespace": "dynamodb",
            "ResourceId": self.scaled.resource,
            "ScalableDimension": self.scaled.dimension,
            "Description": format!("Setting {noun} to {}.", self.units),
            "Cause": self.cause,
            "StartTime": epoch(self.start_ms),
            "StatusCode": status,
            "StatusMessage": message,
        });
        if let Some(end) = self.end_ms {
            value["EndTime"] = epoch(end);
        }
        value
    }
}

impl AutoScaling {
    pub(super) fn describe_activities(&self, args: Args) -> Answer {
        namespace(args)?;
        dimension(args)?;
        let named = self.activities.iter().rev().filter(|activity| activity.scaled.is_named_by(args));
        page(args, PAGE, named.map(Activity::json).collect(), "ScalingActivities")
    }

    pub(super) fn book(&mut self, activity: Activity) {
        if self.activities.len() >= KEPT {
            self.activities.pop_front();
        }
        self.activities.push_back(activity);
    }
}
