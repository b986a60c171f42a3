//! The host: faults, crashes, persistence, and sameness of two runs.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use alleycat_operator::{
    aws::Clock,
    twin::{Fault, Faults, Host, Moment, Request, Response, Twin, Which, World},
};
use jiff::{SignedDuration, Timestamp};

use super::{Account, refused};

fn with_faults(faults: Faults) -> Account {
    let aws = Account::quiet();
    aws.host.set_faults(faults);
    aws
}

fn request(target: &str, body: &str) -> Request {
    Request {
        method: "POST".to_owned(),
        path: "/".to_owned(),
        headers: BTreeMap::from([("x-amz-target".to_owned(), target.to_owned())]),
        body: body.as_bytes().to_vec(),
    }
}

/// A small story: (seconds from the start, request).
fn story() -> Vec<(i64, Request)> {
    let table = r#"{"TableName":"races","KeySchema":[{"AttributeName":"PK","KeyType":"HASH"}],
        "AttributeDefinitions":[{"AttributeName":"PK","AttributeType":"S"}],
        "ProvisionedThroughput":{"ReadCapacityUnits":5,"WriteCapacityUnits":5}}"#;
    let mapping = r#"{"EventSourceArn":"arn:aws:kinesis:us-east-2:123456789012:stream/alleycat",
        "FunctionName":"alleycat-FinalResultsFunction","StartingPosition":"TRIM_HORIZON"}"#;
    let mapping = Request {
        path: "/2015-03-31/event-source-mappings".to_owned(),
        headers: BTreeMap::new(),
        ..request("", mapping)
    };
    vec![
        (1, request("Kinesis_20131202.CreateStream", r#"{"StreamName":"alleycat","ShardCount":1}"#)),
        (2, request("DynamoDB_20120810.CreateTable", table)),
        (40, mapping),
        (
            90,
            request(
                "Kinesis_20131202.UpdateShardCount",
                r#"{"StreamName":"alleycat","TargetShardCount":2,"ScalingType":"UNIFORM_SCALING"}"#,
            ),
        ),
        (300, request("Kinesis_20131202.DescribeStream", r#"{"StreamName":"alleycat"}"#)),
        (301, request("DynamoDB_20120810.DescribeTable", r#"{"TableName":"races"}"#)),
        (302, request("Kinesis_20131202.Nonsense", "{}")),
    ]
}

fn at(start: Timestamp, seconds: i64) -> Timestamp {
    start + SignedDuration::from_secs(seconds)
}

fn tell(twin: &mut Twin, advance_every: Option<i64>) -> Vec<Response> {
    let start = twin.world().start;
    let mut answers = Vec::new();
    let mut clock = 0;
    for (seconds, request) in story() {
        while let Some(step) = advance_every.filter(|step| clock + step < seconds) {
            clock += step;
            twin.advance(at(start, clock));
        }
        clock = seconds;
        answers.push(twin.handle(at(start, seconds), &request));
    }
    answers
}

#[test]
fn the_same_story_gives_the_same_bytes_in_any_number_of_pieces() {
    let (mut one, mut two, mut three) =
        (Twin::new(World::alleycat(), 3), Twin::new(World::alleycat(), 3), Twin::new(World::alleycat(), 4));
    let answers = tell(&mut one, None);
    assert!(answers[..6].iter().all(|answer| answer.status < 300), "{answers:?}");
    assert_eq!((answers[6].status, &answers[6].body[..]), (400, &br#"{"__type":"UnknownOperationException"}"#[..]));
    assert_eq!(answers, tell(&mut two, Some(1)));
    assert_eq!(one.to_bytes().unwrap(), two.to_bytes().unwrap());
    assert_ne!(answers[2].body, tell(&mut three, None)[2].body, "another seed names things differently");
}

#[test]
fn a_twin_survives_its_bytes() {
    let mut twin = Twin::new(World::alleycat(), 3);
    tell(&mut twin, None);
    let mut again = Twin::from_bytes(&twin.to_bytes().unwrap()).unwrap();
    assert_eq!(again.to_bytes().unwrap(), twin.to_bytes().unwrap());
    let later = at(twin.now(), 600);
    let (_, ask) = story().remove(4);
    assert_eq!(twin.handle(later, &ask), again.handle(later, &ask));
    assert!(Twin::from_bytes(b"nonsense").is_err());
}

#[test]
fn answers_carry_the_virtual_date_and_a_request_id() {
    let mut twin = Twin::new(World::alleycat(), 3);
    let answer = tell(&mut twin, None).remove(0);
    assert_eq!(answer.headers["date"], "Mon, 02 Mar 2026 08:00:01 GMT");
    assert_eq!(answer.headers["x-amzn-requestid"].len(), 36);
    assert_eq!(answer.headers["content-type"], "application/x-amz-json-1.1");
}

#[test]
fn meters_integrate_what_was_open() {
    let mut twin = Twin::new(World::alleycat(), 3);
    tell(&mut twin, None);
    let start = twin.world().start;
    twin.advance(at(start, 3_600));
    let meters = &twin.audit().meters;
    // One shard from second 21, two from second 90 + 60 + 3 × 1.5.
    let shard_seconds = (3_600.0 - 21.0) + (3_600.0 - 154.5);
    assert!((meters.shard_hours() - shard_seconds / 3_600.0).abs() < 1e-9);
    let unit_seconds = 5.0 * (3_600.0 - 10.0);
    assert!((meters.wcu_hours() - unit_seconds / 3_600.0).abs() < 1e-9);
    assert!((meters.rcu_hours() - meters.wcu_hours()).abs() < 1e-9);
}

#[tokio::test(start_paused = true)]
async fn every_request_takes_the_worlds_latency() {
    let aws = Account::quiet();
    let before = aws.clock.now();
    aws.kinesis.list_streams().send().await.unwrap();
    assert_eq!(aws.clock.now().duration_since(before), SignedDuration::from_millis(25));
}

#[tokio::test(start_paused = true)]
async fn placed_faults_hit_their_request_with_or_without_effect() {
    let placed = [
        (0, Fault::LostBefore),
        (2, Fault::LostAfter),
        (4, Fault::ServerError),
        (5, Fault::Throttled),
        (6, Fault::Unavailable),
    ];
    let aws = with_faults(Faults { placed: placed.into(), ..Faults::default() });
    let create = |name: &str| aws.kinesis.create_stream().stream_name(name).shard_count(1);
    let names = async || aws.kinesis.list_streams().send().await.unwrap().stream_names;
    assert!(create("lost").send().await.unwrap_err().as_service_error().is_none());
    assert!(names().await.is_empty());
    assert!(create("kept").send().await.unwrap_err().as_service_error().is_none());
    assert_eq!(names().await, ["kept"]);
    assert_eq!(refused!(create("lost")).0, "InternalFailure");
    assert_eq!(refused!(create("lost")).0, "ThrottlingException");
    assert_eq!(refused!(create("lost")).0, "ServiceUnavailable");
    assert_eq!(names().await, ["kept"]);
}

#[tokio::test(start_paused = true)]
async fn throttles_speak_each_services_language() {
    let aws = with_faults(Faults { throttled: 1.0, ..Faults::default() });
    assert_eq!(refused!(aws.lambda.get_account_settings()).0, "TooManyRequestsException");
    assert_eq!(refused!(aws.dynamodb.list_tables()).0, "ThrottlingException");
    assert_eq!(refused!(aws.sts.get_caller_identity()).0, "Throttling");
    aws.host.set_faults(Faults { server_error: 1.0, ..Faults::default() });
    assert_eq!(refused!(aws.lambda.get_account_settings()).0, "ServiceException");
    assert_eq!(refused!(aws.dynamodb.list_tables()).0, "InternalServerError");
}

#[tokio::test(start_paused = true)]
async fn random_faults_are_the_same_in_every_run_and_end_when_told() {
    let run = async || {
        let aws = Account::quiet();
        aws.host.with(|twin| twin.assumptions_mut().enforce_request_rates = false);
        aws.host.with(|twin| twin.assumptions_mut().enforce_request_rates = false);
        let until = Some(aws.clock.now() + SignedDuration::from_mins(1));
        aws.host.set_faults(Faults { seed: 5, lost_before: 0.2, server_error: 0.2, until, ..Faults::default() });
        let mut failed = Vec::new();
        for _ in 0..100 {
            failed.push(aws.kinesis.list_streams().send().await.is_err());
        }
        aws.wait(60).await;
        for _ in 0..20 {
            aws.kinesis.list_streams().send().await.unwrap();
        }
        failed
    };
    let first = run().await;
    let failures = first.iter().filter(|failed| **failed).count();
    assert!((25..55).contains(&failures), "{failures} of 100");
    assert_eq!(first, run().await);
}

#[tokio::test(start_paused = true)]
async fn after_a_crash_nothing_gets_through() {
    for (moment, streams) in [(Moment::Before, 1), (Moment::After, 2)] {
        let aws = with_faults(Faults::crash_at(Which::Mutations, 1, moment));
        let create = |name: &str| aws.kinesis.create_stream().stream_name(name).shard_count(1).send();
        create("a").await.unwrap();
        aws.kinesis.list_streams().send().await.unwrap();
        assert!(create("b").await.is_err());
        assert!(aws.host.crashed());
        assert!(aws.kinesis.list_streams().send().await.is_err());
        aws.host.set_faults(Faults::default());
        assert_eq!(aws.kinesis.list_streams().send().await.unwrap().stream_names.len(), streams);
    }
}

#[tokio::test(start_paused = true)]
async fn state_is_handed_out_before_a_mutating_call_is_answered() {
    let saved = Arc::new(Mutex::new(Vec::new()));
    let into = Arc::clone(&saved);
    let world = World::alleycat().with_races(0);
    let clock = Clock::simulated(world.start, 1.0);
    let host = Host::new(Twin::new(world, 7), clock.clone()).on_mutation(move |twin, _| {
        let mut saved = into.lock().unwrap();
        if saved.len() == 1 {
            return Err("disk full".to_owned());
        }
        saved.push(twin.to_bytes()?);
        Ok(())
    });
    let aws = Account::on(host, clock);
    aws.stream(1).await;
    aws.kinesis.list_streams().send().await.unwrap();
    let bytes = saved.lock().unwrap()[0].clone();
    let restored = Twin::from_bytes(&bytes).unwrap();
    assert_eq!(restored.audit().accepted().count(), 1);
    let create = aws.kinesis.create_stream().stream_name("second").shard_count(1);
    assert!(create.send().await.unwrap_err().as_service_error().is_none());
}

#[tokio::test(start_paused = true)]
async fn the_audit_tells_our_calls_from_others() {
    let aws = Account::quiet();
    aws.stream(1).await;
    aws.host.with(|twin| twin.foreign_tag_stream("alleycat", "owner", "someone")).unwrap();
    let refused = aws.host.with(|twin| twin.foreign_reshard("alleycat", 9)).unwrap_err();
    assert!(refused.starts_with("LimitExceededException: "), "{refused}");
    aws.host.with(|twin| {
        let audit = twin.audit();
        let ours: Vec<_> = audit.accepted().map(|mutation| mutation.operation.as_str()).collect();
        assert_eq!(ours, ["kinesis:CreateStream"]);
        assert_eq!(audit.mutations.iter().filter(|mutation| mutation.foreign).count(), 2);
        assert_eq!(audit.mutations[2].refused.as_deref(), Some("LimitExceededException"));
        assert_eq!(audit.calls["kinesis:CreateStream"], 1);
    });
}
