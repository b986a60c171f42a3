//! CloudWatch and STS over their own protocols.

use alleycat_operator::twin::{MetricFault, MetricTrouble, World};
use aws_sdk_cloudwatch::{
    operation::get_metric_data::builders::GetMetricDataFluentBuilder,
    primitives::DateTime,
    types::{Dimension, Metric, MetricDataQuery, MetricStat, ScanBy},
};

use super::{Account, refused};

fn query(id: &str, metric: &str, stat: &str) -> MetricDataQuery {
    let stream = Dimension::builder().name("StreamName").value("alleycat").build();
    let metric = Metric::builder().namespace("AWS/Kinesis").metric_name(metric).dimensions(stream).build();
    let stat = MetricStat::builder().metric(metric).period(60).stat(stat).build();
    MetricDataQuery::builder().id(id).metric_stat(stat).build()
}

impl Account {
    /// The last `minutes`, up to the running minute.
    fn metrics(&self, minutes: i64) -> GetMetricDataFluentBuilder {
        let end = self.clock.now().as_second() / 60 * 60;
        let call = self.cloudwatch.get_metric_data().scan_by(ScanBy::TimestampAscending);
        call.start_time(DateTime::from_secs(end - minutes * 60)).end_time(DateTime::from_secs(end))
    }
}

#[tokio::test(start_paused = true)]
async fn a_minute_is_published_when_its_delay_has_passed() {
    let aws = Account::of(World::alleycat());
    aws.stream(2).await;
    let start = aws.host.with(|twin| twin.world().start).as_second();
    // Ten minutes in: minute 9 has ended just now, minute 8 a minute ago.
    aws.wait(600 - (aws.clock.now().as_second() - start)).await;
    let queries = aws.metrics(10).metric_data_queries(query("sum", "IncomingRecords", "Sum"));
    let answer = queries.metric_data_queries(query("n", "IncomingRecords", "SampleCount")).send().await.unwrap();
    let sum = &answer.metric_data_results()[0];
    assert_eq!((sum.id(), sum.status_code().unwrap().as_str()), (Some("sum"), "Complete"));
    let newest = sum.timestamps().last().unwrap().secs();
    assert_eq!(newest, start + 8 * 60);
    // A thousand racers on two shards: every message is in.
    assert_eq!(sum.values().last(), Some(&60_000.0));
    assert_eq!(sum.timestamps().len(), sum.values().len());
    assert_eq!(aws.host.with(|twin| twin.audit().meters.cloudwatch_metrics), 1);
    aws.wait(60).await;
    let later = aws.metrics(10).metric_data_queries(query("sum", "IncomingRecords", "Sum")).send().await.unwrap();
    assert_eq!(later.metric_data_results()[0].timestamps().last().unwrap().secs(), start + 9 * 60);
}

#[tokio::test(start_paused = true)]
async fn lost_and_late_minutes_are_absent_not_zero() {
    let aws = Account::of(World::alleycat());
    aws.stream(2).await;
    let start = aws.host.with(|twin| {
        let start = twin.world().start.as_millisecond();
        let minutes = |from: i64, to: i64, trouble| MetricFault {
            from_ms: start + from * 60_000,
            to_ms: start + to * 60_000,
            namespace: Some("AWS/Kinesis".to_owned()),
            metric: None,
            trouble,
        };
        twin.add_metric_fault(minutes(3, 5, MetricTrouble::Missing));
        twin.add_metric_fault(minutes(6, 8, MetricTrouble::Late { seconds: 600 }));
        start / 1000
    });
    aws.wait(720).await;
    let minutes = async |aws: &Account| {
        let call = aws.metrics(12).metric_data_queries(query("sum", "IncomingRecords", "Sum"));
        let answer = call.send().await.unwrap();
        let times = answer.metric_data_results()[0].timestamps().iter().map(|at| (at.secs() - start) / 60);
        times.collect::<Vec<_>>()
    };
    let seen = minutes(&aws).await;
    assert!([2, 5, 8].iter().all(|minute| seen.contains(minute)), "{seen:?}");
    assert!([3, 4, 6, 7].iter().all(|minute| !seen.contains(minute)), "{seen:?}");
    aws.wait(420).await;
    let seen = minutes(&aws).await;
    assert!(seen.contains(&7) && !seen.contains(&4), "{seen:?}");
}

#[tokio::test(start_paused = true)]
async fn long_answers_come_in_pages() {
    let aws = Account::of(World::alleycat());
    aws.stream(2).await;
    aws.wait(600).await;
    let call = || {
        let call = aws.metrics(9).metric_data_queries(query("records", "IncomingRecords", "Sum"));
        call.metric_data_queries(query("bytes", "IncomingBytes", "Sum")).scan_by(ScanBy::TimestampDescending)
    };
    let whole = call().send().await.unwrap();
    let all: Vec<f64> = whole
        .metric_data_results()
        .iter()
        .flat_map(aws_sdk_cloudwatch::types::MetricDataResult::values)
        .copied()
        .collect();
    assert!(all.len() > 10 && whole.next_token().is_none());
    let mut paged: Vec<Vec<f64>> = vec![Vec::new(); 2];
    let mut token = None;
    loop {
        let page = call().max_datapoints(5).set_next_token(token).send().await.unwrap();
        for (into, result) in paged.iter_mut().zip(page.metric_data_results()) {
            into.extend(result.values());
        }
        token = page.next_token;
        if token.is_none() {
            break;
        }
    }
    assert_eq!(paged.concat(), all);
}

#[tokio::test(start_paused = true)]
async fn wrong_questions_are_refused() {
    let aws = Account::quiet();
    let call = |one| aws.metrics(5).metric_data_queries(one);
    assert_eq!(refused!(call(query("Upper", "IncomingBytes", "Sum"))).0, "ValidationError");
    assert_eq!(refused!(call(query("a", "IncomingBytes", "Median"))).0, "ValidationError");
    let twice = call(query("a", "IncomingBytes", "Sum")).metric_data_queries(query("a", "IncomingRecords", "Sum"));
    assert_eq!(refused!(twice).0, "ValidationError");
    let none = call(query("a", "NoSuchMetric", "Sum")).send().await.unwrap();
    assert!(none.metric_data_results()[0].values().is_empty());
}

#[tokio::test(start_paused = true)]
async fn sts_tells_the_worlds_account() {
    let aws = Account::quiet();
    let identity = aws.sts.get_caller_identity().send().await.unwrap();
    assert_eq!(identity.account(), Some("123456789012"));
    assert!(identity.arn().unwrap().starts_with("arn:aws:iam::123456789012:"));
}
