//! Streams: life cycle, quotas, tags, consumers.

use aws_sdk_kinesis::types::{ConsumerStatus, ScalingType, ShardFilter, ShardFilterType, StreamStatus};

use super::{Account, refused};

impl Account {
    pub fn reshard(
        &self,
        target: i32,
    ) -> aws_sdk_kinesis::operation::update_shard_count::builders::UpdateShardCountFluentBuilder {
        let call = self.kinesis.update_shard_count().stream_name("alleycat");
        call.target_shard_count(target).scaling_type(ScalingType::UniformScaling)
    }

    async fn summary(&self) -> aws_sdk_kinesis::types::StreamDescriptionSummary {
        let answer = self.kinesis.describe_stream_summary().stream_name("alleycat").send().await.unwrap();
        answer.stream_description_summary.unwrap()
    }

    async fn open_shards(&self) -> i32 {
        self.summary().await.open_shard_count
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_created_active_and_gone() {
    let aws = Account::quiet();
    let (code, message) = refused!(aws.kinesis.describe_stream_summary().stream_name("alleycat"));
    assert_eq!(code, "ResourceNotFoundException");
    assert_eq!(message, "Stream alleycat under account 123456789012 not found.");
    let create = aws.kinesis.create_stream().stream_name("alleycat").shard_count(2).tags("team", "racing");
    create.clone().send().await.unwrap();
    assert_eq!(aws.summary().await.stream_status, StreamStatus::Creating);
    assert_eq!(aws.open_shards().await, 0);
    assert_eq!(refused!(create).0, "ResourceInUseException");
    aws.wait(20).await;
    let summary = aws.summary().await;
    assert_eq!((summary.stream_status, summary.open_shard_count), (StreamStatus::Active, 2));
    assert_eq!((summary.retention_period_hours, summary.consumer_count), (24, Some(0)));
    assert_eq!(summary.stream_arn, Account::stream_arn());
    assert_eq!(aws.kinesis.list_streams().send().await.unwrap().stream_names, ["alleycat"]);
    aws.kinesis.delete_stream().stream_name("alleycat").send().await.unwrap();
    assert_eq!(aws.summary().await.stream_status, StreamStatus::Deleting);
    aws.wait(20).await;
    assert_eq!(refused!(aws.kinesis.describe_stream_summary().stream_name("alleycat")).0, "ResourceNotFoundException");
    assert!(aws.kinesis.list_streams().send().await.unwrap().stream_names.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_reshard_keeps_to_double_and_half_and_takes_its_time() {
    let aws = Account::quiet();
    aws.stream(3).await;
    let (code, message) = refused!(aws.reshard(7));
    assert_eq!(code, "LimitExceededException");
    assert!(message.contains("scale up over double your current open shard count"), "{message}");
    assert!(message.contains("Current open shard count: 3, Target shard count: 7"), "{message}");
    let (code, message) = refused!(aws.reshard(1));
    assert_eq!(code, "LimitExceededException");
    assert!(message.contains("scale down below half"), "{message}");
    assert_eq!(refused!(aws.reshard(3)).0, "InvalidArgumentException");

    let answer = aws.reshard(6).send().await.unwrap();
    assert_eq!((answer.current_shard_count, answer.target_shard_count), (Some(3), Some(6)));
    let summary = aws.summary().await;
    assert_eq!((summary.stream_status, summary.open_shard_count), (StreamStatus::Updating, 3));
    let (code, message) = refused!(aws.reshard(4));
    assert_eq!(code, "ResourceInUseException");
    assert_eq!(message, "Stream alleycat under account 123456789012 not ACTIVE, instead in state UPDATING");
    let increase = aws.kinesis.increase_stream_retention_period().stream_name("alleycat").retention_period_hours(48);
    assert_eq!(refused!(increase).0, "ResourceInUseException");
    aws.wait(75).await;
    assert_eq!(aws.summary().await.open_shard_count, 6);
    // ceil(half) is allowed going down.
    aws.reshard(3).send().await.unwrap();
    aws.wait(75).await;
    aws.reshard(2).send().await.unwrap();
    aws.host.with(|twin| {
        assert_eq!(twin.audit().range("stream/alleycat", "shards"), Some((3, 6)));
        assert_eq!(twin.audit().transition_refusals, 2);
    });
}

#[tokio::test(start_paused = true)]
async fn the_eleventh_reshard_in_a_day_is_refused_and_accepted_a_day_after_the_first() {
    let aws = Account::quiet();
    aws.stream(2).await;
    let mut target = 2;
    for _ in 0..9 {
        target = 5 - target;
        aws.reshard(target).send().await.unwrap();
        aws.wait(120).await;
    }
    // Another user takes the tenth.
    target = 5 - target;
    aws.host.with(|twin| twin.foreign_reshard("alleycat", target as u32)).unwrap();
    aws.wait(120).await;
    assert_eq!(aws.open_shards().await, target);
    let (code, message) = refused!(aws.reshard(5 - target));
    assert_eq!(code, "LimitExceededException");
    assert!(message.contains("10 times in a rolling 24-hour period"), "{message}");
    assert_eq!(aws.host.with(|twin| twin.audit().quota_refusals), 1);
    aws.wait(86_400 - 10 * 120 - 30).await;
    assert_eq!(refused!(aws.reshard(5 - target)).0, "LimitExceededException");
    aws.wait(60).await;
    aws.reshard(5 - target).send().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn retention_moves_in_its_direction_only() {
    let aws = Account::quiet();
    aws.stream(1).await;
    let increase =
        |hours| aws.kinesis.increase_stream_retention_period().stream_name("alleycat").retention_period_hours(hours);
    let decrease =
        |hours| aws.kinesis.decrease_stream_retention_period().stream_name("alleycat").retention_period_hours(hours);
    for wrong in [24, 23, 8_761] {
        assert_eq!(refused!(increase(wrong)).0, "InvalidArgumentException");
    }
    increase(48).send().await.unwrap();
    assert_eq!(aws.summary().await.retention_period_hours, 24);
    aws.wait(10).await;
    assert_eq!(aws.summary().await.retention_period_hours, 48);
    assert_eq!(refused!(decrease(48)).0, "InvalidArgumentException");
    decrease(24).send().await.unwrap();
    aws.wait(10).await;
    assert_eq!(aws.summary().await.retention_period_hours, 24);
}

#[tokio::test(start_paused = true)]
async fn tags_merge_and_wait_for_an_active_stream() {
    let aws = Account::quiet();
    aws.kinesis.create_stream().stream_name("alleycat").shard_count(1).tags("a", "1").send().await.unwrap();
    let add = aws.kinesis.add_tags_to_stream().stream_name("alleycat").tags("alleycat.dev/pipeline", "alleycat");
    assert_eq!(refused!(add.clone()).0, "ResourceInUseException");
    aws.wait(30).await;
    add.clone().tags("a", "2").send().await.unwrap();
    let tags = aws.kinesis.list_tags_for_stream().stream_name("alleycat").send().await.unwrap();
    let tags: Vec<_> = tags.tags.iter().map(|tag| (tag.key.as_str(), tag.value.as_deref().unwrap())).collect();
    assert_eq!(tags, [("a", "2"), ("alleycat.dev/pipeline", "alleycat")]);
    let page = aws.kinesis.list_tags_for_stream().stream_name("alleycat").limit(1).send().await.unwrap();
    assert!(page.has_more_tags);
    assert_eq!(refused!(add.clone().tags("semi;colon", "1")).0, "InvalidArgumentException");
    assert_eq!(refused!(add.clone().tags("long", "x".repeat(257))).0, "InvalidArgumentException");
    aws.reshard(2).send().await.unwrap();
    assert_eq!(refused!(add).0, "ResourceInUseException");
    aws.wait(120).await;
    aws.kinesis.remove_tags_from_stream().stream_name("alleycat").tag_keys("a").send().await.unwrap();
    let tags = aws.kinesis.list_tags_for_stream().stream_name("alleycat").send().await.unwrap();
    assert_eq!(tags.tags.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn creation_is_bounded_by_name_mode_shards_and_pace() {
    let aws = Account::quiet();
    let create = |name: &str| aws.kinesis.create_stream().stream_name(name);
    assert_eq!(refused!(create("no spaces").shard_count(1)).0, "ValidationException");
    assert_eq!(refused!(create("s")).0, "ValidationException");
    assert_eq!(refused!(create("s").shard_count(0)).0, "ValidationException");
    let (code, message) = refused!(create("s").shard_count(1_001));
    assert_eq!(code, "LimitExceededException");
    assert!(message.contains("would exceed the shard limit"), "{message}");
    aws.wait(1).await;
    for index in 0..5 {
        create(&format!("s{index}")).shard_count(1).send().await.unwrap();
    }
    aws.wait(1).await;
    assert_eq!(refused!(create("s5").shard_count(1)).0, "LimitExceededException");
    aws.wait(20).await;
    let limits = aws.kinesis.describe_limits().send().await.unwrap();
    assert_eq!((limits.shard_limit, limits.open_shard_count), (1_000, 5));
}

#[tokio::test(start_paused = true)]
async fn consumers_have_a_life_of_their_own() {
    let aws = Account::quiet();
    aws.stream(1).await;
    let register = aws.kinesis.register_stream_consumer().stream_arn(Account::stream_arn()).consumer_name("fast");
    let first = register.clone().send().await.unwrap().consumer.unwrap();
    assert_eq!(first.consumer_status, ConsumerStatus::Creating);
    assert_eq!(refused!(register.clone()).0, "ResourceInUseException");
    aws.wait(10).await;
    let list = aws.kinesis.list_stream_consumers().stream_arn(Account::stream_arn()).send().await.unwrap();
    assert_eq!(list.consumers.unwrap()[0].consumer_status, ConsumerStatus::Active);
    assert_eq!(refused!(aws.kinesis.delete_stream().stream_name("alleycat")).0, "ResourceInUseException");
    let arn = first.consumer_arn;
    aws.kinesis.deregister_stream_consumer().consumer_arn(&arn).send().await.unwrap();
    aws.wait(10).await;
    assert_eq!(refused!(aws.kinesis.describe_stream_consumer().consumer_arn(&arn)).0, "ResourceNotFoundException");
    let second = register.send().await.unwrap().consumer.unwrap();
    assert_ne!(second.consumer_arn, arn);
}

#[tokio::test(start_paused = true)]
async fn shards_are_listed_in_pages_with_their_parents() {
    let aws = Account::quiet();
    aws.stream(2).await;
    aws.reshard(4).send().await.unwrap();
    aws.wait(120).await;
    let latest = ShardFilter::builder().r#type(ShardFilterType::AtLatest).build().unwrap();
    let first = aws.kinesis.list_shards().stream_name("alleycat").shard_filter(latest).max_results(3);
    let first = first.send().await.unwrap();
    assert_eq!(first.shards().len(), 3);
    let rest = aws.kinesis.list_shards().next_token(first.next_token.as_deref().unwrap()).send().await.unwrap();
    assert_eq!((rest.shards().len(), rest.next_token()), (1, None));
    assert!(first.shards().iter().all(|shard| shard.parent_shard_id.is_some()));
    assert_eq!(first.shards()[0].hash_key_range.as_ref().unwrap().starting_hash_key, "0");
    assert_eq!(rest.shards()[0].hash_key_range.as_ref().unwrap().ending_hash_key, u128::MAX.to_string());
    let described = aws.kinesis.describe_stream().stream_name("alleycat").send().await.unwrap();
    assert!(described.stream_description.unwrap().shards.len() >= 4);
}
