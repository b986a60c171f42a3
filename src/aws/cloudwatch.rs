//! CloudWatch: metrics of a period, many in one GetMetricData.

use std::collections::BTreeMap;

use aws_sdk_cloudwatch::types::{Dimension, Metric, MetricDataQuery, MetricStat, ScanBy, StatusCode};
use jiff::Timestamp;

use super::{Aws, errors};
use crate::model::{ErrorClass, Failure, Point};

/// Which statistic of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Statistic {
    /// The sum of a period.
    Sum,
    /// The mean over a period's samples.
    Average,
    /// The greatest sample of a period.
    Maximum,
}

impl Statistic {
    fn as_str(self) -> &'static str {
        match self {
            Self::Sum => "Sum",
            Self::Average => "Average",
            Self::Maximum => "Maximum",
        }
    }
}

/// One metric at one statistic. Dimensions must be exactly those that the service publishes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct MetricQuery {
    /// E.g. `AWS/Kinesis`.
    pub namespace: &'static str,
    /// E.g. `IncomingRecords`.
    pub metric: &'static str,
    /// Name and value.
    pub dimensions: Vec<(&'static str, String)>,
    /// Statistic.
    pub statistic: Statistic,
}

/// MetricDataQuery structures in one call (CloudWatch API, GetMetricData).
const QUERIES_PER_CALL: usize = 500;
/// Pages of one answer that are followed: 500 queries of an hour fit into one page of 100,800 points, so more
/// than a few are a server that never ends.
const MAX_PAGES: usize = 100;
const OPERATION: &str = "cloudwatch:GetMetricData";

impl Aws {
    /// GetMetricData over `[start, end)` with periods of so many seconds, in calls of up to 500 queries. The answers
    /// stand in the order of the queries, oldest point first, one a period at most, finite values only.
    ///
    /// # Errors
    /// As AWS's, and `ServerError` when an answer is not complete: half an answer could pass for silence.
    pub(crate) async fn metrics(
        &self,
        queries: &[MetricQuery],
        period_seconds: u32,
        start: Timestamp,
        end: Timestamp,
    ) -> Result<Vec<Vec<Point>>, Failure> {
        let mut answers = Vec::with_capacity(queries.len());
        for chunk in queries.chunks(QUERIES_PER_CALL) {
            answers.extend(self.metrics_chunk(chunk, period_seconds, start, end).await?);
        }
        Ok(answers)
    }

    async fn metrics_chunk(
        &self,
        queries: &[MetricQuery],
        period_seconds: u32,
        start: Timestamp,
        end: Timestamp,
    ) -> Result<Vec<Vec<Point>>, Failure> {
        let request: Vec<MetricDataQuery> =
            queries.iter().enumerate().map(|(at, query)| data_query(at, query, period_seconds)).collect();
        let mut found: BTreeMap<String, Found> = BTreeMap::new();
        let mut token: Option<String> = None;
        for _ in 0..MAX_PAGES {
            let answer = self
                .cloudwatch
                .get_metric_data()
                .set_metric_data_queries(Some(request.clone()))
                .start_time(super::date_time(start))
                .end_time(super::date_time(end))
                .scan_by(ScanBy::TimestampAscending)
                .set_next_token(token)
                .send()
                .await
                .map_err(|error| self.failure(OPERATION, "the metrics", &error))?;
            for result in answer.metric_data_results() {
                let entry = found.entry(result.id().unwrap_or_default().to_owned()).or_default();
                entry.status = result.status_code().cloned();
                let moments = result.timestamps().iter().filter_map(super::timestamp);
                for (at, value) in moments.zip(result.values().iter().copied()) {
                    if value.is_finite() && (start..end).contains(&at) {
                        entry.points.insert(at, value);
                    }
                }
            }
            token = answer.next_token().filter(|token| !token.is_empty()).map(str::to_owned);
            if token.is_none() {
                return queries.iter().enumerate().map(|(at, query)| take(&mut found, at, query)).collect();
            }
        }
        Err(refuse(ErrorClass::ServerError, "TooManyPages", "the answer does not end".to_owned()))
    }
}

#[derive(Default)]
struct Found {
    status: Option<StatusCode>,
    points: BTreeMap<Timestamp, f64>,
}

fn id(at: usize) -> String {
    format!("m{at}")
}

fn data_query(at: usize, query: &MetricQuery, period_seconds: u32) -> MetricDataQuery {
    let mut metric = Metric::builder().namespace(query.namespace).metric_name(query.metric);
    for (name, value) in &query.dimensions {
        metric = metric.dimensions(Dimension::builder().name(*name).value(value).build());
    }
    let stat = MetricStat::builder()
        .metric(metric.build())
        .period(i32::try_from(period_seconds).unwrap_or(i32::MAX))
        .stat(query.statistic.as_str())
        .build();
    MetricDataQuery::builder().id(id(at)).metric_stat(stat).build()
}

fn take(found: &mut BTreeMap<String, Found>, at: usize, query: &MetricQuery) -> Result<Vec<Point>, Failure> {
    let name = format!("{} {}", query.namespace, query.metric);
    let Some(found) = found.remove(&id(at)) else {
        return Err(refuse(ErrorClass::ServerError, "MissingResult", format!("no answer for {name}")));
    };
    match found.status {
        Some(StatusCode::Complete) => Ok(found.points.into_iter().map(|(at, value)| Point { at, value }).collect()),
        Some(StatusCode::Forbidden) => {
            Err(refuse(ErrorClass::Denied, "Forbidden", format!("not allowed to read {name}")))
        }
        status => {
            let status = status.as_ref().map_or("none", StatusCode::as_str);
            Err(refuse(ErrorClass::ServerError, "PartialData", format!("status {status} for {name}")))
        }
    }
}

fn refuse(class: ErrorClass, code: &str, message: String) -> Failure {
    errors::own(class, OPERATION, "the metrics", code, message)
}
