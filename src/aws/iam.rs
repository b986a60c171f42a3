//! IAM policies, made from the table of operations, so that they cannot drift from what the program calls.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::operations::{Access, Allow, OPERATIONS, Scope};
use crate::model::TAG_PIPELINE;

/// Which policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PolicyKind {
    /// plan, diagnose, status: reads only.
    Plan,
    /// daemon: reads, metrics, and the calls that scale.
    Autoscale,
    /// apply: reads and what creates and changes.
    Apply,
    /// destroy: reads and what deletes.
    Destroy,
}

impl PolicyKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Plan, Self::Autoscale, Self::Apply, Self::Destroy];

    /// The name, also of the file `policies/iam/<name>.json`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::Autoscale => "autoscale",
            Self::Apply => "apply",
            Self::Destroy => "destroy",
        }
    }

    /// The run that it is for.
    pub fn allow(self) -> Allow {
        match self {
            Self::Plan => Allow::Reads,
            Self::Autoscale => Allow::Autoscale,
            Self::Apply => Allow::Apply,
            Self::Destroy => Allow::Destroy,
        }
    }
}

/// The least policy for runs of this kind: one statement for the reads and one for the writes of each resource
/// type. Names of streams, tables and functions are left open; narrow them to your own. Deletions are granted
/// on resources with the ownership tag only.
pub fn iam_policy(which: PolicyKind) -> Value {
    let allow = which.allow();
    let mut statements: BTreeMap<(&str, Scope), BTreeSet<&str>> = BTreeMap::new();
    for operation in OPERATIONS.iter().filter(|operation| operation.used_in.contains(&allow)) {
        let verb = if operation.access == Access::Read { "Read" } else { "Write" };
        for permission in operation.permissions {
            statements.entry((verb, permission.scope)).or_default().insert(permission.action);
        }
    }
    let statements: Vec<Value> = statements
        .into_iter()
        .map(|((verb, scope), actions)| {
            let (name, resource, owned) = describe(scope);
            let mut statement = json!({
                "Sid": format!("{verb}{name}"),
                "Effect": "Allow",
                "Action": actions,
                "Resource": resource,
            });
            if owned && let Some(object) = statement.as_object_mut() {
                let key = format!("aws:ResourceTag/{TAG_PIPELINE}");
                object.insert("Condition".to_owned(), json!({ "Null": { key: "false" } }));
            }
            statement
        })
        .collect();
    json!({ "Version": "2012-10-17", "Statement": statements })
}

/// Name for the Sid, resource pattern, and whether the ownership tag is required.
fn describe(scope: Scope) -> (&'static str, &'static str, bool) {
    const STREAM: &str = "arn:aws:kinesis:*:*:stream/*";
    const CONSUMER: &str = "arn:aws:kinesis:*:*:stream/*/consumer/*";
    const MAPPING: &str = "arn:aws:lambda:*:*:event-source-mapping:*";
    const TABLE: &str = "arn:aws:dynamodb:*:*:table/*";
    match scope {
        Scope::Account => ("Account", "*", false),
        Scope::Stream => ("Streams", STREAM, false),
        Scope::Function => ("Functions", "arn:aws:lambda:*:*:function:*", false),
        Scope::Mapping => ("Mappings", MAPPING, false),
        Scope::Table => ("Tables", TABLE, false),
        Scope::StreamConsumer => ("StreamConsumers", CONSUMER, false),
        Scope::OwnedStreamConsumer => ("OwnedStreamConsumers", CONSUMER, true),
        Scope::OwnedStream => ("OwnedStreams", STREAM, true),
        Scope::OwnedMapping => ("OwnedMappings", MAPPING, true),
        Scope::OwnedTable => ("OwnedTables", TABLE, true),
    }
}
