//! The one table from AWS error codes and messages to [`ErrorClass`].
//!
//! One code may mean several things (Kinesis and DynamoDB use LimitExceededException for budgets, rates and
//! limits alike), so rules match on the message too; the first rule that matches wins. Codes and texts: the
//! services' API references, and for the texts of DynamoDB's and Kinesis's LimitExceededException what their
//! public emulators and probes report. Whatever no rule knows is `Unknown`, whose effect counts as unknown.

use std::error::Error;

use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_runtime_api::client::{orchestrator::HttpResponse, result::SdkError};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use super::gate::Refused;
use crate::model::{ErrorClass, Failure};

/// One line of the table. Empty means any.
struct Rule {
    /// `kinesis:` or `kinesis:UpdateShardCount`: what the operation begins with.
    operation: &'static str,
    /// The error code without its namespace.
    codes: &'static [&'static str],
    /// Lower-case texts, one of which the message must contain.
    texts: &'static [&'static str],
    class: ErrorClass,
}

const fn rule(
    operation: &'static str,
    codes: &'static [&'static str],
    texts: &'static [&'static str],
    class: ErrorClass,
) -> Rule {
    Rule { operation, codes, texts, class }
}

use ErrorClass::{
    AlreadyExists, Denied, InUse, Invalid, NoChange, NotFound, QuotaExhausted, ServerError, Throttled, Unknown,
    Unreachable,
};

const LIMIT: &[&str] = &["LimitExceededException"];
const VALIDATION: &[&str] = &["ValidationException"];
const IN_USE: &[&str] = &["ResourceInUseException"];
const CONFLICT: &[&str] = &["ResourceConflictException"];
const INVALID_PARAMETER: &[&str] = &["InvalidParameterValueException"];

static RULES: &[Rule] = &[
    // UpdateShardCount: over double, below half and the account's shard limit ask for another request; ten calls
    // in 24 h for patience of hours; ten a second for patience of seconds. Only a text that speaks of a rate is
    // taken for the last: to hammer an exhausted budget is worse than to wait once too long.
    rule(
        "kinesis:UpdateShardCount",
        LIMIT,
        &["double", "half", "shard limit", "shard quota", "limit of shards", "10000", "10,000"],
        Invalid,
    ),
    rule("kinesis:UpdateShardCount", LIMIT, &["24 h", "24-h", "24h", "per day", "rolling"], QuotaExhausted),
    rule("kinesis:UpdateShardCount", LIMIT, &["rate exceeded", "per second", "request rate", "tps"], Throttled),
    rule("kinesis:UpdateShardCount", LIMIT, &[], QuotaExhausted),
    rule("kinesis:", LIMIT, &["shard limit", "shard quota", "tags"], Invalid),
    rule("kinesis:", LIMIT, &[], Throttled),
    rule("kinesis:", IN_USE, &["already exists"], AlreadyExists),
    // DynamoDB.
    rule("dynamodb:", LIMIT, &["decrease", "24 h", "24-h", "per day"], QuotaExhausted),
    rule("dynamodb:", LIMIT, &["tags are being updated", "only 1 online index", "simultaneously", "concurrent"], InUse),
    rule("dynamodb:", LIMIT, &["maximum", "exceeds the", "account limit"], Invalid),
    rule("dynamodb:", LIMIT, &[], Throttled),
    rule("dynamodb:CreateTable", IN_USE, &["already exists"], AlreadyExists),
    rule(
        "dynamodb:",
        VALIDATION,
        &["will not change", "is already enabled", "is already disabled", "already has an enabled stream"],
        NoChange,
    ),
    // Backups are set up shortly after a table is created; AWS asks to retry.
    rule("dynamodb:", &["ContinuousBackupsUnavailableException"], &[], InUse),
    // Lambda.
    rule("lambda:", CONFLICT, &["already exists"], AlreadyExists),
    rule("lambda:", CONFLICT, &[], InUse),
    // A role made seconds ago is not yet known everywhere.
    rule("lambda:", INVALID_PARAMETER, &["cannot be assumed by lambda"], InUse),
    rule("lambda:", &["PreconditionFailedException"], &[], InUse),
    // All services.
    rule("", &["ResourceInUseException", "ReplicatedWriteConflictException"], &[], InUse),
    rule("", &["ResourceNotFoundException", "TableNotFoundException", "IndexNotFoundException"], &[], NotFound),
    rule(
        "",
        &[
            "Throttling",
            "ThrottlingException",
            "ThrottledException",
            "RequestThrottled",
            "RequestThrottledException",
            "RequestLimitExceeded",
            "TooManyRequestsException",
            "ProvisionedThroughputExceededException",
            "LimitExceeded",
            "LimitExceededException",
            "KMSThrottlingException",
            "SlowDown",
            "PriorRequestNotComplete",
            "BandwidthLimitExceeded",
        ],
        &[],
        Throttled,
    ),
    rule(
        "",
        &[
            "AccessDenied",
            "AccessDeniedException",
            "UnauthorizedOperation",
            "UnrecognizedClientException",
            "InvalidClientTokenId",
            "InvalidAccessKeyId",
            "ExpiredToken",
            "ExpiredTokenException",
            "RequestExpired",
            "RequestTimeTooSkewed",
            "InvalidSignatureException",
            "SignatureDoesNotMatch",
            "IncompleteSignature",
            "MissingAuthenticationToken",
            "MissingAuthenticationTokenException",
            "NotAuthorized",
            "OptInRequired",
            "KMSAccessDeniedException",
        ],
        &[],
        Denied,
    ),
    rule(
        "",
        &[
            "ValidationException",
            "ValidationError",
            "InvalidArgumentException",
            "InvalidParameterValueException",
            "InvalidParameterValue",
            "InvalidParameterCombination",
            "InvalidRequestContentException",
            "InvalidParameterException",
            "MissingParameter",
            "MissingRequiredParameter",
            "SerializationException",
            "UnknownOperationException",
            "InvalidAction",
            "NotImplemented",
            "UnsupportedOperationException",
            "KMSDisabledException",
            "KMSInvalidStateException",
            "KMSNotFoundException",
            "KMSOptInRequired",
        ],
        &[],
        Invalid,
    ),
    rule(
        "",
        &[
            "InternalFailure",
            "InternalFailureException",
            "InternalServerError",
            "InternalServiceError",
            "InternalServiceFault",
            "ServiceException",
            "ServiceUnavailable",
            "ServiceUnavailableException",
        ],
        &[],
        ServerError,
    ),
];

/// The class of an answer from AWS.
pub(crate) fn classify(operation: &str, code: &str, message: &str, status: u16) -> ErrorClass {
    let message = message.to_lowercase();
    let matched = RULES.iter().find(|rule| {
        operation.starts_with(rule.operation)
            && rule.codes.contains(&code)
            && (rule.texts.is_empty() || rule.texts.iter().any(|text| message.contains(text)))
    });
    match (matched, status) {
        (Some(rule), _) => rule.class,
        (None, 500..) => ServerError,
        (None, 429) => Throttled,
        (None, 401 | 403) => Denied,
        (None, _) => Unknown,
    }
}

/// Whether the endpoint does not know the operation: old regions' partitions and emulators.
pub(crate) fn is_unsupported(failure: &Failure) -> bool {
    matches!(
        failure.code.as_str(),
        "UnknownOperationException" | "InvalidAction" | "NotImplemented" | "UnsupportedOperationException"
    )
}

/// A failure of our own making, without an answer from AWS.
pub(crate) fn own(class: ErrorClass, operation: &str, resource: &str, code: &str, message: String) -> Failure {
    Failure {
        class,
        operation: operation.to_owned(),
        resource: resource.to_owned(),
        code: code.to_owned(),
        message,
        request_id: None,
    }
}

/// A failed SDK call as a [`Failure`]. `endpoint` is named when it could not be reached.
pub(crate) fn failure<E>(
    operation: &str,
    resource: &str,
    endpoint: Option<&str>,
    error: &SdkError<E, HttpResponse>,
) -> Failure
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    let at = endpoint.map(|url| format!(" at {url}")).unwrap_or_default();
    let (class, code, message) = match error {
        SdkError::ServiceError(service) => {
            let code = short_code(service.err().code().unwrap_or("NoErrorCode"));
            let status = service.raw().status().as_u16();
            let message = service.err().message().map_or_else(|| format!("HTTP status {status}"), str::to_owned);
            (classify(operation, code, &message, status), code.to_owned(), message)
        }
        SdkError::ResponseError(response) => {
            let status = response.raw().status().as_u16();
            let class = if status >= 500 { ServerError } else { Unknown };
            let text = format!("HTTP status {status}, and not an answer as AWS writes it{at}");
            (class, "UnreadableResponse".to_owned(), text)
        }
        SdkError::TimeoutError(_) => (Unreachable, "Timeout".to_owned(), format!("no answer in time{at}")),
        _ => own_side(error, &at),
    };
    let request_id = error.raw_response().and_then(|response| {
        let headers = response.headers();
        headers.get("x-amzn-requestid").or_else(|| headers.get("x-amz-request-id")).map(str::to_owned)
    });
    Failure { class, operation: operation.to_owned(), resource: resource.to_owned(), code, message, request_id }
}

/// Failures before an answer: the gate, credentials, the connection, an incomplete request.
fn own_side<E>(error: &SdkError<E, HttpResponse>, at: &str) -> (ErrorClass, String, String)
where
    E: Error + Send + Sync + 'static,
{
    if let Some(refused) = cause::<Refused>(error) {
        return (ErrorClass::Forbidden, "NotAllowedHere".to_owned(), refused.to_string());
    }
    if cause::<CredentialsError>(error).is_some() {
        return (Denied, "NoCredentials".to_owned(), causes(error));
    }
    match error {
        SdkError::ConstructionFailure(_) => (Invalid, "InvalidRequest".to_owned(), causes(error)),
        SdkError::DispatchFailure(failure) if failure.is_timeout() => {
            (Unreachable, "Timeout".to_owned(), format!("no answer in time{at}"))
        }
        SdkError::DispatchFailure(_) => {
            (Unreachable, "Unreachable".to_owned(), format!("no connection{at}: {}", causes(error)))
        }
        _ => (Unknown, "Unknown".to_owned(), causes(error)),
    }
}

/// AWS JSON codes may carry a namespace before `#` and a URL after `:`.
fn short_code(code: &str) -> &str {
    let code = code.rsplit('#').next().unwrap_or(code);
    code.split(':').next().unwrap_or(code)
}

/// The first cause of this type.
fn cause<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// The causes below the SDK's own wrapper, outermost first, in one line.
pub(crate) fn causes(error: &(dyn Error + 'static)) -> String {
    let mut texts: Vec<String> = Vec::new();
    let mut next = error.source();
    while let Some(error) = next {
        let text = error.to_string();
        if texts.last() != Some(&text) {
            texts.push(text);
        }
        next = error.source();
    }
    if texts.is_empty() { error.to_string() } else { texts.join(": ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_code_with_many_meanings_is_told_apart_by_its_message() {
        let cases = [
            (
                "kinesis:UpdateShardCount",
                "LimitExceededException",
                "UpdateShardCount cannot scale up over double your current open shard count. Current open shard count: 2, \
                 Target shard count: 5",
                Invalid,
            ),
            (
                "kinesis:UpdateShardCount",
                "LimitExceededException",
                "UpdateShardCount cannot scale down below half your current open shard count. Current open shard count: 8",
                Invalid,
            ),
            (
                "kinesis:UpdateShardCount",
                "LimitExceededException",
                "You have reached the limit of 10 calls per 24 hours for this stream",
                QuotaExhausted,
            ),
            (
                "kinesis:UpdateShardCount",
                "LimitExceededException",
                "Rate exceeded for stream a under account 1.",
                Throttled,
            ),
            ("kinesis:UpdateShardCount", "LimitExceededException", "Some text nobody has seen", QuotaExhausted),
            (
                "kinesis:CreateStream",
                "LimitExceededException",
                "This request would exceed the shard limit for the account 1 in us-east-1.",
                Invalid,
            ),
            ("kinesis:DescribeStreamSummary", "LimitExceededException", "Rate exceeded for account 1.", Throttled),
            (
                "kinesis:CreateStream",
                "ResourceInUseException",
                "Stream a under account 1 already exists.",
                AlreadyExists,
            ),
            (
                "kinesis:UpdateShardCount",
                "ResourceInUseException",
                "Stream a under account 1 not ACTIVE, instead in state UPDATING",
                InUse,
            ),
            (
                "dynamodb:UpdateTable",
                "LimitExceededException",
                "Subscriber limit exceeded: Provisioned throughput decreases are limited within a given UTC day. After the \
                 first 4 decreases, each subsequent decrease in the same UTC day can be performed at most once every 3600 \
                 seconds. Number of decreases today: 4.",
                QuotaExhausted,
            ),
            (
                "dynamodb:UpdateTable",
                "LimitExceededException",
                "Subscriber limit exceeded: Table tags are being updated",
                InUse,
            ),
            (
                "dynamodb:UpdateTable",
                "LimitExceededException",
                "Subscriber limit exceeded: Only 1 online index can be created or deleted simultaneously per table",
                InUse,
            ),
            (
                "dynamodb:UpdateTable",
                "ValidationException",
                "The provisioned throughput for the table will not change. The requested value equals the current value.",
                NoChange,
            ),
            (
                "dynamodb:UpdateTable",
                "LimitExceededException",
                "WriteCapacityUnits, 50000, is above the per table maximum for the account in us-east-1. Per table maximum: 40000",
                Invalid,
            ),
            (
                "dynamodb:UpdateTable",
                "ResourceInUseException",
                "Attempt to change a resource which is still in use: Table IOPS are currently being updated. Table: t",
                InUse,
            ),
            ("dynamodb:CreateTable", "ResourceInUseException", "Table already exists: t", AlreadyExists),
            ("dynamodb:UpdateTimeToLive", "ValidationException", "TimeToLive is already enabled", NoChange),
            (
                "lambda:CreateEventSourceMapping",
                "ResourceConflictException",
                "The event source arn (\" a \") and function (\" f \") provided mapping already exists. Please update or \
                 delete the existing mapping with UUID u",
                AlreadyExists,
            ),
            (
                "lambda:UpdateEventSourceMapping",
                "ResourceInUseException",
                "Cannot update the event source mapping because it is in use.",
                InUse,
            ),
        ];
        for (operation, code, message, class) in cases {
            assert_eq!(classify(operation, code, message, 400), class, "{operation} {code}: {message}");
        }
    }

    #[test]
    fn what_no_rule_knows_goes_by_the_status() {
        assert_eq!(classify("kinesis:CreateStream", "Brandnew", "", 503), ServerError);
        assert_eq!(classify("kinesis:CreateStream", "Brandnew", "", 403), Denied);
        assert_eq!(classify("kinesis:CreateStream", "Brandnew", "", 400), Unknown);
        assert_eq!(classify("lambda:GetFunction", "TooManyRequestsException", "Rate Exceeded.", 429), Throttled);
        assert_eq!(classify("sts:GetCallerIdentity", "ExpiredToken", "The token is expired", 403), Denied);
    }
}
