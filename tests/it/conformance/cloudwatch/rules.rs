//! What CloudWatch documents of its four operations for metrics, in our words.

use super::super::Rule;

const DATA: &str = "CloudWatch API Reference, GetMetricData";
const QUERY: &str = "CloudWatch API Reference, MetricDataQuery";
const STATISTICS: &str = "CloudWatch API Reference, GetMetricStatistics";
const LIST: &str = "CloudWatch API Reference, ListMetrics";
const PUT: &str = "CloudWatch API Reference, PutMetricData";
const DATUM: &str = "CloudWatch API Reference, MetricDatum";
const CONCEPTS: &str = "CloudWatch User Guide, Metrics concepts";
const MATH: &str = "CloudWatch User Guide, Metric math syntax and functions";

const fn rule(id: &'static str, says: &'static str, source: &'static str) -> Rule {
    Rule { id, says, source }
}

pub const RULES: &[Rule] = &[
    rule("cloudwatch.data.queries", "A call takes 1 to 500 queries.", DATA),
    rule(
        "cloudwatch.data.datapoints",
        "A page has at most MaxDatapoints, 100,800 unless told; NextToken goes on.",
        DATA,
    ),
    rule("cloudwatch.data.times", "StartTime is inclusive, EndTime exclusive.", DATA),
    rule("cloudwatch.data.start-rounds-to-minute", "A StartTime less than 15 days ago goes down to the minute.", DATA),
    rule("cloudwatch.data.start-rounds-to-5-minutes", "A StartTime 15 to 63 days ago goes down to 5 minutes.", DATA),
    rule("cloudwatch.data.start-rounds-to-hour", "A StartTime more than 63 days ago goes down to the hour.", DATA),
    rule("cloudwatch.data.scan-by", "The newest datapoint comes first unless ScanBy says otherwise.", DATA),
    rule("cloudwatch.data.status", "StatusCode is Complete, or PartialData on a page that ends within a metric.", DATA),
    rule(
        "cloudwatch.query.id",
        "An Id begins with a lower-case letter; letters, digits and _ follow; ids are unique.",
        QUERY,
    ),
    rule("cloudwatch.query.expression-length", "An expression has at most 2,048 characters.", QUERY),
    rule(
        "cloudwatch.query.return-data",
        "ReturnData is true unless told; an input with false is not in the answer.",
        QUERY,
    ),
    rule("cloudwatch.query.one-of", "A query has either a MetricStat or an Expression.", QUERY),
    rule("cloudwatch.data.period", "A period is 1, 5, 10, 20, 30 or a multiple of 60 seconds.", DATA),
    rule(
        "cloudwatch.data.period-by-age",
        "Data older than 15 days need periods of 5 minutes, older than 63 days of hours.",
        DATA,
    ),
    rule(
        "cloudwatch.data.dimensions-exact",
        "Dimensions match exactly; a subset gives no data and no error.",
        CONCEPTS,
    ),
    rule("cloudwatch.data.unit", "A wrong Unit gives nothing; values are never converted.", DATA),
    rule("cloudwatch.data.unknown-metric", "A metric that does not exist is Complete without values.", DATA),
    rule("cloudwatch.retention.seconds", "Points of less than a minute are kept for 3 hours.", CONCEPTS),
    rule("cloudwatch.retention.minutes", "Minutes are kept for 15 days.", CONCEPTS),
    rule("cloudwatch.retention.five-minutes", "Five-minute points are kept for 63 days.", CONCEPTS),
    rule("cloudwatch.retention.hours", "Hourly points are kept for 455 days.", CONCEPTS),
    rule("cloudwatch.data.timestamp", "A datapoint carries the start of its period.", CONCEPTS),
    rule("cloudwatch.data.late-samples", "A period's value changes while samples still arrive.", CONCEPTS),
    rule("cloudwatch.data.absent", "A period without samples has no datapoint.", CONCEPTS),
    rule("cloudwatch.data.published-late", "AWS's own minutes can be read some time after they ended.", CONCEPTS),
    rule(
        "cloudwatch.data.percentiles",
        "Percentiles from p0 to p100, trimmed means and ranks are statistics too.",
        CONCEPTS,
    ),
    rule("cloudwatch.data.percentiles-negative", "There are no percentiles where a sample is negative.", CONCEPTS),
    rule(
        "cloudwatch.data.percentiles-sets",
        "A statistic set has percentiles only when its samples are one value.",
        CONCEPTS,
    ),
    rule("cloudwatch.math.missing", "A missing point next to an existing one counts as 0 in arithmetic.", MATH),
    rule("cloudwatch.math.division-by-zero", "A division by zero gives no datapoint.", MATH),
    rule("cloudwatch.math.fill", "FILL puts a number, REPEAT or LINEAR where points are missing.", MATH),
    rule("cloudwatch.math.scalar-result", "A returned expression must give time series.", MATH),
    rule("cloudwatch.math.cycle", "Expressions must not refer to themselves, nor to unknown ids or functions.", MATH),
    rule("cloudwatch.math.arrays", "METRICS() holds the call's metrics; SUM, AVG, MIN and MAX of it are series.", MATH),
    rule("cloudwatch.math.search", "SEARCH gives one time series for each metric it finds.", MATH),
    rule("cloudwatch.statistics.datapoints", "A call gives at most 1,440 datapoints.", STATISTICS),
    rule("cloudwatch.statistics.five", "A call takes at most 5 Statistics.", STATISTICS),
    rule("cloudwatch.statistics.ten-extended", "A call takes at most 10 ExtendedStatistics.", STATISTICS),
    rule(
        "cloudwatch.statistics.one-kind",
        "Statistics and ExtendedStatistics exclude each other; one is needed.",
        STATISTICS,
    ),
    rule("cloudwatch.statistics.unordered", "Datapoints come in no order.", STATISTICS),
    rule("cloudwatch.list.page", "A page has at most 500 metrics.", LIST),
    rule("cloudwatch.list.late", "A new metric is listed up to 15 minutes late.", LIST),
    rule("cloudwatch.list.two-weeks", "A metric without data for two weeks is not listed.", LIST),
    rule("cloudwatch.list.recently-active", "RecentlyActive=PT3H lists metrics with data in the last 3 hours.", LIST),
    rule("cloudwatch.list.filters", "Up to 10 dimension filters, by name or by name and value.", LIST),
    rule("cloudwatch.put.aws-namespaces", "Namespaces that begin with AWS/ are refused.", PUT),
    rule("cloudwatch.put.metrics", "A call takes at most 1,000 metrics.", PUT),
    rule("cloudwatch.put.values", "A metric takes at most 150 values, with as many counts.", DATUM),
    rule("cloudwatch.put.statistic-sets", "A metric is a Value, Values with Counts or StatisticValues.", DATUM),
    rule("cloudwatch.put.dimensions", "A metric has at most 30 dimensions.", DATUM),
    rule("cloudwatch.put.timestamps", "A timestamp is at most two weeks old and two hours ahead.", DATUM),
    rule("cloudwatch.put.special-values", "NaN, infinities and values beyond 2^360 are refused.", DATUM),
    rule("cloudwatch.put.resolution", "StorageResolution is 1 or 60; 1 can be read in periods of seconds.", DATUM),
    rule("cloudwatch.put.units", "A unit is one of the API's list; None unless told.", DATUM),
];
