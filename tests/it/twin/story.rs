//! Control plane and data plane together: the template's pipeline falls behind, and the published remedies,
//! made through the API, take hold without a record lost.

use alleycat_operator::twin::World;

use super::{
    Account, FINAL, TUMBLING,
    dynamodb::{resize, units},
};

#[tokio::test(start_paused = true)]
async fn the_template_falls_behind_and_remedies_through_the_api_help() {
    let aws = Account::of(World::alleycat());
    aws.kinesis.create_stream().stream_name("alleycat").shard_count(1).send().await.unwrap();
    aws.table().send().await.unwrap();
    aws.wait(30).await;
    aws.mapping(TUMBLING).batch_size(1000).send().await.unwrap();
    let last = aws.mapping(FINAL).batch_size(100).send().await.unwrap().uuid.unwrap();
    let age = |minutes: std::ops::Range<i64>| {
        aws.host.with(|twin| {
            let minute = |index: i64| twin.world().start.as_millisecond() + index * 60_000;
            let ages = &twin.plane().totals().mappings[&last].iterator_age_ms;
            ages.range(minute(minutes.start)..minute(minutes.end)).map(|(_, age)| *age).max().unwrap_or(0)
        })
    };
    aws.wait(3_600).await;
    let (early, late) = (age(2..6), age(50..60));
    assert!(late > early && late > 60_000, "iterator age grows: {early} ms, then {late} ms");
    let timeouts = aws.host.with(|twin| twin.plane().totals().functions[FINAL].timeouts);
    assert!(timeouts > 0);

    let capacity = aws.change().provisioned_throughput(units(20, 4_000));
    capacity.global_secondary_index_updates(resize("GSI_Index", 10, 2_000)).send().await.unwrap();
    aws.lambda.update_event_source_mapping().uuid(&last).parallelization_factor(10).send().await.unwrap();
    aws.reshard(2).send().await.unwrap();
    aws.wait(1_800).await;
    let healed = age(85..90);
    assert!(healed < late / 4, "iterator age shrinks: {late} ms, then {healed} ms");
    aws.host.with(|twin| {
        twin.plane().check().unwrap();
        assert_eq!(twin.plane().totals().mappings[&last].expired, 0);
        assert_eq!(twin.audit().range("stream/alleycat", "shards"), Some((1, 2)));
    });
}
