//! What a cause of a world may be called by the rules, and whether a minute's findings name it. The one place in which
//! the words of the worlds and the codes of the rules meet.

use alleycat_operator::{
    diagnose::{Finding, Severity},
    model::ResourceId,
    twin::world::{Cause, Incident, IncidentCause},
};

/// The codes that name a cause rightly.
pub fn codes(cause: IncidentCause) -> &'static [&'static str] {
    use IncidentCause as Cause;
    match cause {
        Cause::ProducersFail => &["PRODUCERS_FAILING"],
        Cause::ProducersStop => &["PRODUCERS_SILENT"],
        Cause::HotKey => &["HOT_SHARD"],
        Cause::StreamTooSmall => &["INGEST_SHORT"],
        // Two names of one thing: who reads too much, and what is short for it.
        Cause::ReadersAdded => &["TOO_MANY_READERS", "READ_SHORT"],
        Cause::ReadsFail => &["READS_FAILING"],
        Cause::TableTooSmall | Cause::IndexTooSmall => &["SINK_SHORT"],
        Cause::TableReadsTooSmall => &["SINK_READ_SHORT"],
        Cause::TableAtBound => &["SINK_LIMIT"],
        Cause::HotItem => &["HOT_ITEM"],
        Cause::AccountTableLimit => &["ACCOUNT_LIMIT"],
        Cause::OnDemandMaximum => &["ON_DEMAND_MAXIMUM"],
        Cause::MappingDisabled => &["MAPPING_DISABLED"],
        Cause::FunctionDeleted => &["MAPPING_FAILING"],
        Cause::RoleWithoutRead => &["PERMISSION_DENIED"],
        Cause::ReservedConcurrency | Cause::AccountConcurrency => &["CONCURRENCY_LIMIT"],
        Cause::FunctionFails => &["FUNCTION_FAULT"],
        Cause::PoisonRecord => &["POISON_RECORD"],
        Cause::BatchTooLarge => &["FUNCTION_TIMEOUT"],
        Cause::CpuTooSmall => &["COMPUTE_BOUND"],
        Cause::FunctionSlower | Cause::ConsumerTooSmall => &["CONSUMER_SHORT"],
        Cause::DestinationFails | Cause::RecordAgeTooShort => &["RECORDS_DROPPED"],
        Cause::RetentionNear => &["RETENTION_AT_RISK"],
        Cause::MetricsMissing => &["BLIND"],
        Cause::CapacityUnused => &["OVER_PROVISIONED", "ON_DEMAND_CHEAPER"],
        Cause::OnDemandAtSteadyLoad => &["PROVISIONED_CHEAPER"],
    }
}

/// A cause that costs money and does no harm: a finding of any severity may name it.
fn is_thrift(cause: IncidentCause) -> bool {
    matches!(cause, IncidentCause::CapacityUnused | IncidentCause::OnDemandAtSteadyLoad)
}

/// The code as users see it.
pub fn code(finding: &Finding) -> String {
    serde_json::to_value(finding.diagnosis).unwrap().as_str().unwrap().to_owned()
}

/// The findings that count for this label, in their order.
pub fn counted<'a>(incident: &Incident, findings: &'a [Finding]) -> Vec<&'a Finding> {
    let thrift = incident.causes.iter().all(|cause| is_thrift(cause.cause));
    findings.iter().filter(|finding| thrift || finding.severity >= Severity::Warning).collect()
}

/// Whether the first finding is one of the causes and, of two causes, both are in the first three.
pub fn is_right(incident: &Incident, counted: &[&Finding]) -> bool {
    let named = |finding: &&Finding| incident.causes.iter().any(|cause| names(cause, finding));
    let found = |cause: &Cause| counted.iter().take(3).any(|finding| names(cause, finding));
    counted.first().is_some_and(named) && incident.causes.iter().all(found)
}

/// The code is right, and the place is not another one of the same kind. A place of another kind is not wrong: a
/// mapping's trouble may be told of its function, a stream's of the mapping that feels it.
fn names(cause: &Cause, finding: &Finding) -> bool {
    let kind = |resource: &str| resource.split('/').next().unwrap_or_default().to_owned();
    let place = finding.resource.to_string();
    let elsewhere = kind(&place) == kind(&cause.resource) && place != cause.resource;
    // Silence is told where a rule misses a number first.
    let anywhere = cause.cause == IncidentCause::MetricsMissing && !matches!(finding.resource, ResourceId::Function(_));
    codes(cause.cause).contains(&code(finding).as_str()) && (anywhere || !elsewhere)
}
