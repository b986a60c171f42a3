//! The table of every AWS operation this program uses: what it is called, whether it writes, in which runs a
//! write may be sent, and which IAM rights it takes. The gate and the IAM policies are both made from it.
//!
//! Rights and resource scoping: Service Authorization Reference, pages "Actions, resources, and condition keys"
//! for Kinesis Data Streams, Lambda, DynamoDB, CloudWatch and STS.

/// Which mutating operations may pass the gate; reads always pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Allow {
    /// None: plan, diagnose, status, every dry run.
    Reads,
    /// What creates and changes.
    Apply,
    /// What deletes, and what must precede a deletion.
    Destroy,
    /// What scales, and the tag that keeps the reshard ledger.
    Autoscale,
}

/// Whether an operation changes anything in AWS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Changes nothing.
    Read,
    /// Changes something.
    Write,
}

/// What an IAM right is granted on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// `*`: the action supports no resource type.
    Account,
    /// Any Kinesis data stream.
    Stream,
    /// Any Lambda function.
    Function,
    /// Any event source mapping.
    Mapping,
    /// Any DynamoDB table.
    Table,
    /// Any enhanced fan-out consumer.
    StreamConsumer,
    /// A stream that carries this program's ownership tag.
    OwnedStream,
    /// A fan-out consumer that carries the tag.
    OwnedStreamConsumer,
    /// An event source mapping that carries the tag.
    OwnedMapping,
    /// A table that carries the tag.
    OwnedTable,
}

/// One IAM right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Permission {
    /// E.g. `kinesis:UpdateShardCount`.
    pub action: &'static str,
    /// On what.
    pub scope: Scope,
}

/// One AWS operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operation {
    /// `kinesis`, `lambda`, `dynamodb`, `cloudwatch` or `sts`.
    pub service: &'static str,
    /// As the API names it.
    pub name: &'static str,
    /// Read or write.
    pub access: Access,
    /// The rights it takes: its own and those that its parameters need (tags on creation).
    pub permissions: &'static [Permission],
    /// The runs that use it. A write passes the gate only in these; a read passes always, and stands only in
    /// the policies of these.
    pub used_in: &'static [Allow],
}

impl Operation {
    /// Whether a run with `allow` may send it.
    pub fn passes(&self, allow: Allow) -> bool {
        self.access == Access::Read || self.used_in.contains(&allow)
    }
}

/// The operation of this name, if the program knows it.
pub(crate) fn find(service: &str, name: &str) -> Option<&'static Operation> {
    OPERATIONS.iter().find(|operation| operation.service == service && operation.name == name)
}

const EVERYWHERE: &[Allow] = &[Allow::Reads, Allow::Apply, Allow::Destroy, Allow::Autoscale];
/// What a scaling, a diagnosis and a move to or from fan-out read.
const METRICS: &[Allow] = &[Allow::Reads, Allow::Apply, Allow::Autoscale];
const APPLY: &[Allow] = &[Allow::Apply];
const DESTROY: &[Allow] = &[Allow::Destroy];
/// A move leaves nothing behind, so it also deletes.
const MOVE: &[Allow] = &[Allow::Apply, Allow::Autoscale, Allow::Destroy];
const SCALE: &[Allow] = &[Allow::Apply, Allow::Autoscale];

const fn on(action: &'static str, scope: Scope) -> Permission {
    Permission { action, scope }
}

const fn operation(
    service: &'static str,
    name: &'static str,
    access: Access,
    permissions: &'static [Permission],
    used_in: &'static [Allow],
) -> Operation {
    Operation { service, name, access, permissions, used_in }
}

use Access::{Read, Write};
use Scope::{
    Account, Function, Mapping, OwnedMapping, OwnedStream, OwnedStreamConsumer, OwnedTable, Stream, StreamConsumer,
    Table,
};

/// Every operation this program may call; anything else is refused at the gate.
pub static OPERATIONS: &[Operation] = &[
    operation("sts", "GetCallerIdentity", Read, &[on("sts:GetCallerIdentity", Account)], EVERYWHERE),
    operation("kinesis", "DescribeStreamSummary", Read, &[on("kinesis:DescribeStreamSummary", Stream)], EVERYWHERE),
    operation("kinesis", "ListTagsForStream", Read, &[on("kinesis:ListTagsForStream", Stream)], EVERYWHERE),
    operation("kinesis", "ListStreamConsumers", Read, &[on("kinesis:ListStreamConsumers", Stream)], EVERYWHERE),
    operation("kinesis", "DescribeLimits", Read, &[on("kinesis:DescribeLimits", Account)], EVERYWHERE),
    operation("kinesis", "ListTagsForResource", Read, &[on("kinesis:ListTagsForResource", StreamConsumer)], EVERYWHERE),
    // Names the shards whose own metrics a diagnosis reads and the shard that breakGlass splits, and tells a move of
    // closed shards.
    operation("kinesis", "ListShards", Read, &[on("kinesis:ListShards", Stream)], EVERYWHERE),
    operation("lambda", "GetFunction", Read, &[on("lambda:GetFunction", Function)], EVERYWHERE),
    operation("lambda", "ListEventSourceMappings", Read, &[on("lambda:ListEventSourceMappings", Account)], EVERYWHERE),
    operation("lambda", "ListTags", Read, &[on("lambda:ListTags", Mapping)], EVERYWHERE),
    operation("lambda", "GetAccountSettings", Read, &[on("lambda:GetAccountSettings", Account)], EVERYWHERE),
    operation("dynamodb", "DescribeTable", Read, &[on("dynamodb:DescribeTable", Table)], EVERYWHERE),
    operation(
        "dynamodb",
        "DescribeContinuousBackups",
        Read,
        &[on("dynamodb:DescribeContinuousBackups", Table)],
        EVERYWHERE,
    ),
    operation("dynamodb", "DescribeTimeToLive", Read, &[on("dynamodb:DescribeTimeToLive", Table)], EVERYWHERE),
    operation("dynamodb", "ListTagsOfResource", Read, &[on("dynamodb:ListTagsOfResource", Table)], EVERYWHERE),
    // GetMetricData supports no resource type: neither metrics nor namespaces can be scoped.
    operation("cloudwatch", "GetMetricData", Read, &[on("cloudwatch:GetMetricData", Account)], METRICS),
    // Tags on creation take AddTagsToStream (Kinesis API, CreateStream).
    operation(
        "kinesis",
        "CreateStream",
        Write,
        &[on("kinesis:CreateStream", Stream), on("kinesis:AddTagsToStream", Stream)],
        APPLY,
    ),
    operation("kinesis", "AddTagsToStream", Write, &[on("kinesis:AddTagsToStream", Stream)], SCALE),
    operation(
        "kinesis",
        "IncreaseStreamRetentionPeriod",
        Write,
        &[on("kinesis:IncreaseStreamRetentionPeriod", Stream)],
        SCALE,
    ),
    operation(
        "kinesis",
        "DecreaseStreamRetentionPeriod",
        Write,
        &[on("kinesis:DecreaseStreamRetentionPeriod", Stream)],
        APPLY,
    ),
    // The reference lists no resource type for UpdateShardCount, yet AWS's own auto-scaling sample grants it on
    // stream ARNs; if your account refuses that, grant it on `*`.
    operation("kinesis", "UpdateShardCount", Write, &[on("kinesis:UpdateShardCount", Stream)], SCALE),
    operation("kinesis", "SplitShard", Write, &[on("kinesis:SplitShard", Stream)], &[Allow::Autoscale]),
    operation("kinesis", "UpdateStreamMode", Write, &[on("kinesis:UpdateStreamMode", Stream)], &[Allow::Autoscale]),
    // Tags on registration take TagResource (Kinesis API, RegisterStreamConsumer).
    operation(
        "kinesis",
        "RegisterStreamConsumer",
        Write,
        &[on("kinesis:RegisterStreamConsumer", Stream), on("kinesis:TagResource", StreamConsumer)],
        SCALE,
    ),
    operation("kinesis", "TagResource", Write, &[on("kinesis:TagResource", StreamConsumer)], SCALE),
    operation(
        "kinesis",
        "DeregisterStreamConsumer",
        Write,
        &[on("kinesis:DeregisterStreamConsumer", OwnedStreamConsumer)],
        MOVE,
    ),
    operation("kinesis", "DeleteStream", Write, &[on("kinesis:DeleteStream", OwnedStream)], DESTROY),
    operation(
        "lambda",
        "CreateEventSourceMapping",
        Write,
        &[on("lambda:CreateEventSourceMapping", Account), on("lambda:TagResource", Mapping)],
        SCALE,
    ),
    operation("lambda", "UpdateEventSourceMapping", Write, &[on("lambda:UpdateEventSourceMapping", Mapping)], SCALE),
    operation("lambda", "TagResource", Write, &[on("lambda:TagResource", Mapping)], APPLY),
    operation(
        "lambda",
        "DeleteEventSourceMapping",
        Write,
        &[on("lambda:DeleteEventSourceMapping", OwnedMapping)],
        MOVE,
    ),
    operation(
        "dynamodb",
        "CreateTable",
        Write,
        &[on("dynamodb:CreateTable", Table), on("dynamodb:TagResource", Table)],
        APPLY,
    ),
    // Destroy switches deletion protection off, when the person has confirmed the name.
    operation(
        "dynamodb",
        "UpdateTable",
        Write,
        &[on("dynamodb:UpdateTable", Table)],
        &[Allow::Apply, Allow::Autoscale, Allow::Destroy],
    ),
    operation("dynamodb", "UpdateContinuousBackups", Write, &[on("dynamodb:UpdateContinuousBackups", Table)], APPLY),
    operation("dynamodb", "UpdateTimeToLive", Write, &[on("dynamodb:UpdateTimeToLive", Table)], APPLY),
    operation("dynamodb", "TagResource", Write, &[on("dynamodb:TagResource", Table)], APPLY),
    operation("dynamodb", "DeleteTable", Write, &[on("dynamodb:DeleteTable", OwnedTable)], DESTROY),
];
