//! The rules of Lambda that AWS documents, in our words.

use super::super::Rule;

const PARAMETERS: &str = "https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-parameters.html";
const KINESIS: &str = "https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis.html";
const CREATE: &str = "https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-create.html";
const FAILURE: &str = "https://docs.aws.amazon.com/lambda/latest/dg/kinesis-on-failure-destination.html";
const PARTIAL: &str = "https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-batchfailurereporting.html";
const WINDOWS: &str = "https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-windows.html";
const FILTERING: &str = "https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis-filtering.html";
const FILTERS: &str = "https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventfiltering.html";
const MAPPING: &str = "https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventsourcemapping.html";
const CREATE_API: &str = "https://docs.aws.amazon.com/lambda/latest/api/API_CreateEventSourceMapping.html";
const UPDATE_API: &str = "https://docs.aws.amazon.com/lambda/latest/api/API_UpdateEventSourceMapping.html";
const LIST_API: &str = "https://docs.aws.amazon.com/lambda/latest/api/API_ListEventSourceMappings.html";
const CONFIGURATION: &str = "https://docs.aws.amazon.com/lambda/latest/api/API_EventSourceMappingConfiguration.html";
const QUOTAS: &str = "https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html";
const MEMORY: &str = "https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html";
const CONCURRENCY: &str = "https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html";
const STATES: &str = "https://docs.aws.amazon.com/lambda/latest/dg/functions-states.html";
const FUNCTION_API: &str = "https://docs.aws.amazon.com/lambda/latest/api/API_UpdateFunctionConfiguration.html";
const GET_API: &str = "https://docs.aws.amazon.com/lambda/latest/api/API_GetFunction.html";
const ACCOUNT_API: &str = "https://docs.aws.amazon.com/lambda/latest/api/API_GetAccountSettings.html";
const METRICS: &str = "https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html";
const VIEW: &str = "https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-view.html";
const LINEAGE: &str = "https://docs.aws.amazon.com/streams/latest/dev/kinesis-using-sdk-java-after-resharding.html";

const fn rule(id: &'static str, says: &'static str, source: &'static str) -> Rule {
    Rule { id, says, source }
}

pub const RULES: &[Rule] = &[
    rule("lambda.reshard.parents-first", "A child shard is read once its parents are drained.", LINEAGE),
    rule(
        "lambda.reshard.children-from-start",
        "Children of a reshard are read from their start, LATEST or not.",
        LINEAGE,
    ),
    rule("lambda.reshard.discovery", "New shards are read without any change of the mapping.", KINESIS),
    rule("lambda.reshard.windows", "A shard's end closes its tumbling window.", WINDOWS),
    rule("lambda.mapping.source", "A mapping reads a stream, or through a fan-out consumer's ARN.", PARAMETERS),
    rule(
        "lambda.mapping.source-fixed",
        "UpdateEventSourceMapping cannot change source and starting position.",
        UPDATE_API,
    ),
    rule("lambda.mapping.consumer-active", "A fan-out consumer must be ACTIVE to be read through.", CREATE),
    rule(
        "lambda.mapping.function-names",
        "A function is given by name, partial or full ARN, with or without alias.",
        CREATE_API,
    ),
    rule("lambda.mapping.function-updatable", "The function of a mapping can be changed.", UPDATE_API),
    rule(
        "lambda.mapping.starting-position",
        "StartingPosition is TRIM_HORIZON, LATEST or AT_TIMESTAMP and required.",
        PARAMETERS,
    ),
    rule(
        "lambda.mapping.timestamp",
        "StartingPositionTimestamp goes with AT_TIMESTAMP and is not in the future.",
        PARAMETERS,
    ),
    rule("lambda.mapping.trim-horizon", "TRIM_HORIZON reads all that is kept.", PARAMETERS),
    rule("lambda.mapping.latest", "LATEST reads what comes after polling has begun.", CREATE),
    rule("lambda.mapping.at-timestamp", "AT_TIMESTAMP reads from a moment on.", PARAMETERS),
    rule("lambda.mapping.batch-size", "BatchSize is 1 to 10,000, by default 100.", PARAMETERS),
    rule(
        "lambda.mapping.no-window-needed",
        "A BatchSize above 10 needs no window for Kinesis (the defaults are 100 and 0).",
        PARAMETERS,
    ),
    rule("lambda.mapping.window", "MaximumBatchingWindowInSeconds is 0 to 300, by default 0.", PARAMETERS),
    rule("lambda.mapping.factor", "ParallelizationFactor is 1 to 10, by default 1.", PARAMETERS),
    rule("lambda.mapping.retries", "MaximumRetryAttempts is -1 to 10,000, by default -1.", PARAMETERS),
    rule("lambda.mapping.age", "MaximumRecordAgeInSeconds is -1 or 60 to 604,800, by default -1.", CONFIGURATION),
    rule("lambda.mapping.tumbling", "TumblingWindowInSeconds is 0 to 900, by default 0.", PARAMETERS),
    rule("lambda.mapping.bisect", "BisectBatchOnFunctionError is off by default and can be changed.", PARAMETERS),
    rule(
        "lambda.mapping.destination",
        "OnFailure is a queue, topic or bucket, no FIFO; an empty ARN clears it.",
        FAILURE,
    ),
    rule("lambda.mapping.response-types", "FunctionResponseTypes is ReportBatchItemFailures or empty.", CREATE_API),
    rule("lambda.mapping.filters", "At most five filters; {} clears them, leaving out changes nothing.", FILTERS),
    rule("lambda.mapping.metrics", "MetricsConfig takes EventCount for Kinesis.", CREATE_API),
    rule("lambda.mapping.enabled", "A mapping is enabled by default; pausing keeps its position.", MAPPING),
    rule("lambda.mapping.key", "ListEventSourceMappings hides filters that a KMS key encrypts.", CONFIGURATION),
    rule("lambda.mapping.others", "Poller, scaling and logging settings are not for Kinesis.", CREATE_API),
    rule(
        "lambda.mapping.list",
        "ListEventSourceMappings filters by source and function, in pages of at most 100.",
        LIST_API,
    ),
    rule(
        "lambda.mapping.states",
        "Creating, Enabled, Updating, Disabling, Disabled, Enabling, Deleting.",
        CONFIGURATION,
    ),
    rule("lambda.mapping.last-result", "LastProcessingResult tells what came of the latest invocation.", CONFIGURATION),
    rule("lambda.mapping.duplicate", "One mapping for a source and function; the 409 names the UUID.", CREATE_API),
    rule("lambda.mapping.in-use", "A mapping in transition is neither updated nor deleted.", UPDATE_API),
    rule("lambda.mapping.arn", "A mapping has an ARN, by which it is tagged.", CONFIGURATION),
    rule("lambda.mapping.asynchronous", "An update answers with the old settings until it has settled.", FAILURE),
    rule("lambda.mapping.slow-create", "A new mapping does not poll at once.", CREATE),
    rule("lambda.mapping.omitted", "A member left out of an update changes nothing.", UPDATE_API),
    rule("lambda.poller.batch", "A batch goes out when it is full.", KINESIS),
    rule("lambda.poller.window", "Or when the window has passed.", KINESIS),
    rule("lambda.poller.payload", "Or when its payload reaches 6 MB.", KINESIS),
    rule("lambda.poller.one-shard", "A batch holds records of one shard.", KINESIS),
    rule("lambda.poller.base-rate", "Each shard is polled once a second.", KINESIS),
    rule("lambda.poller.concurrency", "Invocations at once are at most shards times factor.", KINESIS),
    rule(
        "lambda.poller.order",
        "Records of one partition key are in one batch at a time, whatever the factor.",
        KINESIS,
    ),
    rule("lambda.poller.blocked", "A failing batch is retried whole and holds up what is behind it.", KINESIS),
    rule("lambda.poller.forever", "By default a batch is retried until its records expire.", FAILURE),
    rule("lambda.poller.retries", "After MaximumRetryAttempts a batch is given up.", FAILURE),
    rule("lambda.poller.age", "Records older than MaximumRecordAgeInSeconds are given up.", FAILURE),
    rule("lambda.poller.throttles", "Throttles are retried and use up no retry attempt.", FAILURE),
    rule("lambda.poller.bisect", "Bisecting isolates a bad record; splits use up no retry attempt.", FAILURE),
    rule("lambda.poller.partial", "The lowest reported record is the checkpoint: what is before it is done.", PARTIAL),
    rule("lambda.poller.partial-ignored", "Without ReportBatchItemFailures such an answer is a success.", PARTIAL),
    rule("lambda.poller.filtered", "Records that match no filter are done without an invocation.", FILTERING),
    rule("lambda.poller.not-json", "Data that is not JSON fails a JSON pattern.", FILTERING),
    rule("lambda.poller.tumbling", "A tumbling window ends with an invocation of its own.", WINDOWS),
    rule(
        "lambda.poller.fan-out",
        "Through a consumer, records come after about 70 ms instead of a polling second.",
        KINESIS,
    ),
    rule("lambda.function.timeout", "Timeout is 1 to 900 seconds, by default 3.", QUOTAS),
    rule("lambda.function.memory", "MemorySize is 128 to 10,240 MB, by default 128.", MEMORY),
    rule("lambda.function.storage", "Ephemeral storage is 512 to 10,240 MB.", QUOTAS),
    rule("lambda.function.environment", "Environment variables have 4 KB together.", QUOTAS),
    rule(
        "lambda.function.code",
        "A deployment package is a zip within its size limits; hash and size are shown.",
        QUOTAS,
    ),
    rule("lambda.function.storage-limit", "Code storage of the account is limited.", QUOTAS),
    rule(
        "lambda.function.states",
        "A new function is Pending, then Active; an update shows InProgress, then Successful.",
        STATES,
    ),
    rule("lambda.function.conflict", "While one update is in progress another is refused.", STATES),
    rule("lambda.function.revision", "A RevisionId that is not the latest is refused.", FUNCTION_API),
    rule("lambda.function.timeout-enforced", "An invocation ends at the timeout, as an error.", QUOTAS),
    rule("lambda.concurrency.account", "The account has 1,000 concurrent executions by default.", QUOTAS),
    rule("lambda.concurrency.minimum", "100 must stay unreserved.", CONCURRENCY),
    rule("lambda.concurrency.zero", "A reservation of 0 stops the function.", CONCURRENCY),
    rule("lambda.concurrency.shown", "GetFunction shows the reservation, GetFunctionConfiguration does not.", GET_API),
    rule("lambda.concurrency.settings", "GetAccountSettings shows limits and usage.", ACCOUNT_API),
    rule("lambda.metrics.invocations", "Invocations leaves throttled requests out.", METRICS),
    rule("lambda.metrics.errors", "Errors counts invocations that failed.", METRICS),
    rule("lambda.metrics.throttles", "Throttles counts refused requests, which are no errors.", METRICS),
    rule("lambda.metrics.duration", "Duration in milliseconds, with percentiles.", METRICS),
    rule("lambda.metrics.iterator-age", "IteratorAge is the age of a batch's last record when it is sent.", METRICS),
    rule("lambda.metrics.idle", "Without invocations there is no point: absent is not zero.", METRICS),
    rule(
        "lambda.metrics.concurrent",
        "ConcurrentExecutions by function, and over all with the unreserved ones.",
        METRICS,
    ),
    rule("lambda.metrics.alias", "An alias has metrics of its own beside the function's.", VIEW),
    rule("lambda.metrics.start", "Points carry the start of the invocation and come at its end.", VIEW),
    rule(
        "lambda.metrics.destination",
        "DestinationDeliveryFailures counts failed deliveries; their records are dropped.",
        METRICS,
    ),
    rule("lambda.metrics.opt-in", "EventCount metrics exist when the mapping asks for them.", METRICS),
    rule("lambda.metrics.polled", "PolledEventCount is 0 on an empty poll.", METRICS),
    rule("lambda.metrics.paused", "A disabled mapping has no event metrics.", METRICS),
    rule("lambda.metrics.filtered", "FilteredOutEventCount counts what filters drop.", METRICS),
    rule("lambda.metrics.invoked", "InvokedEventCount counts events again on each retry, throttles too.", METRICS),
    rule("lambda.metrics.failed", "FailedInvokeEventCount counts events of failed invocations.", METRICS),
    rule("lambda.metrics.dropped", "DroppedEventCount counts given-up events, not those the retention took.", METRICS),
    rule(
        "lambda.metrics.delivered",
        "OnFailureDestinationDeliveredEventCount counts events the destination got.",
        METRICS,
    ),
];
