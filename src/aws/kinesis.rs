//! Kinesis Data Streams: what exists, and the calls that change it.

use std::{collections::BTreeMap, sync::PoisonError};

use aws_sdk_kinesis::types::{
    ConsumerStatus, EncryptionType, EnhancedMetrics, HashKeyRange, ScalingType, Shard, ShardFilter, ShardFilterType,
    StreamDescriptionSummary, StreamMode as SdkMode, StreamModeDetails, StreamStatus, builders::ShardFilterBuilder,
};

use jiff::{SignedDuration, Timestamp};

use super::Aws;
use crate::model::{
    ErrorClass, Failure, FanOutFacts, Hours, LifecycleStatus, ResourceId, ShardCount, ShardFacts, StreamFacts,
    StreamMode,
};

/// How long the account's shard limit is taken for unchanged: AWS raises it on request, which takes hours. Our choice.
const LIMIT_KEPT: SignedDuration = SignedDuration::from_mins(5);

impl Aws {
    /// DescribeStreamSummary; `None` when the stream does not exist. The tags are another call.
    pub(crate) async fn stream(&self, name: &str) -> Result<Option<StreamFacts>, Failure> {
        let answer = self.kinesis.describe_stream_summary().stream_name(name).send().await;
        match answer.map_err(|error| self.failure("kinesis:DescribeStreamSummary", stream(name), &error)) {
            Ok(answer) => Ok(answer.stream_description_summary().map(stream_facts)),
            Err(failure) if failure.class == ErrorClass::NotFound => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// ListTagsForStream, all pages.
    pub(crate) async fn stream_tags(&self, name: &str) -> Result<BTreeMap<String, String>, Failure> {
        let mut tags = BTreeMap::new();
        let mut after: Option<String> = None;
        loop {
            let answer = self
                .kinesis
                .list_tags_for_stream()
                .stream_name(name)
                .set_exclusive_start_tag_key(after)
                .send()
                .await
                .map_err(|error| self.failure("kinesis:ListTagsForStream", stream(name), &error))?;
            for tag in answer.tags() {
                tags.insert(tag.key().to_owned(), tag.value().unwrap_or_default().to_owned());
            }
            after = answer.tags().last().map(|tag| tag.key().to_owned());
            if !answer.has_more_tags() || after.is_none() {
                return Ok(tags);
            }
        }
    }

    /// ListStreamConsumers, all pages, by name. The tags are another call.
    pub(crate) async fn fan_out(&self, name: &str, arn: &str) -> Result<Vec<FanOutFacts>, Failure> {
        let mut consumers = Vec::new();
        let mut token: Option<String> = None;
        loop {
            let request = self.kinesis.list_stream_consumers().stream_arn(arn);
            let answer = request
                .set_next_token(token)
                .send()
                .await
                .map_err(|error| self.failure("kinesis:ListStreamConsumers", stream(name), &error))?;
            consumers.extend(answer.consumers().iter().map(|consumer| FanOutFacts {
                name: consumer.consumer_name().to_owned(),
                arn: consumer.consumer_arn().to_owned(),
                status: match consumer.consumer_status() {
                    ConsumerStatus::Active => LifecycleStatus::Active,
                    ConsumerStatus::Creating => LifecycleStatus::Creating,
                    ConsumerStatus::Deleting => LifecycleStatus::Deleting,
                    _ => LifecycleStatus::Other,
                },
                tags: BTreeMap::new(),
            }));
            token = answer.next_token().map(str::to_owned);
            if token.is_none() {
                consumers.sort_by(|a, b| a.name.cmp(&b.name));
                return Ok(consumers);
            }
        }
    }

    /// ListTagsForResource of a fan-out consumer.
    pub(crate) async fn consumer_tags(&self, name: &str, arn: &str) -> Result<BTreeMap<String, String>, Failure> {
        let answer = self.kinesis.list_tags_for_resource().resource_arn(arn).send().await;
        let answer = answer.map_err(|error| self.failure("kinesis:ListTagsForResource", stream(name), &error))?;
        let tags = answer.tags().iter();
        Ok(tags.map(|tag| (tag.key().to_owned(), tag.value().unwrap_or_default().to_owned())).collect())
    }

    /// ListShards: the open shards.
    pub(crate) async fn open_shards(&self, name: &str) -> Result<Vec<ShardFacts>, Failure> {
        let open = ShardFilter::builder().r#type(ShardFilterType::AtLatest);
        let shards = self.shards(name, open).await?;
        let facts = shards.iter().map(|shard| {
            let key = |of: fn(&HashKeyRange) -> &str| shard.hash_key_range().map(of).unwrap_or_default().to_owned();
            ShardFacts {
                id: shard.shard_id().to_owned(),
                starting_hash_key: key(HashKeyRange::starting_hash_key),
                ending_hash_key: key(HashKeyRange::ending_hash_key),
            }
        });
        Ok(facts.collect())
    }

    /// ListShards: whether a shard that was open at this moment, or was opened later, has been closed since.
    pub(crate) async fn shards_closed_since(&self, name: &str, moment: Timestamp) -> Result<bool, Failure> {
        let since = ShardFilter::builder().r#type(ShardFilterType::FromTimestamp);
        let shards = self.shards(name, since.timestamp(super::date_time(moment))).await?;
        let closed =
            |shard: &Shard| shard.sequence_number_range().is_some_and(|range| range.ending_sequence_number().is_some());
        Ok(shards.iter().any(closed))
    }

    /// ListShards with a filter, all pages.
    async fn shards(&self, name: &str, filter: ShardFilterBuilder) -> Result<Vec<Shard>, Failure> {
        let filter = filter.build().map_err(|error| incomplete("kinesis:ListShards", name, &error))?;
        let mut shards = Vec::new();
        let mut request = self.kinesis.list_shards().stream_name(name).shard_filter(filter);
        loop {
            let answer = request.send().await;
            let answer = answer.map_err(|error| self.failure("kinesis:ListShards", stream(name), &error))?;
            shards.extend(answer.shards().iter().cloned());
            let Some(token) = answer.next_token() else { return Ok(shards) };
            // A token stands for the stream and the filter of the first page.
            request = self.kinesis.list_shards().next_token(token);
        }
    }

    /// DescribeLimits: the account's shard limit. The account has one such call a second (Kinesis quotas), for
    /// everybody in it, so an answer serves for [`LIMIT_KEPT`].
    pub(crate) async fn shard_limit(&self) -> Result<u32, Failure> {
        let now = self.clock().now();
        let known = *self.shard_limit.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, limit)) = known.filter(|(asked, _)| now.duration_since(*asked) < LIMIT_KEPT) {
            return Ok(limit);
        }
        let answer = self
            .kinesis
            .describe_limits()
            .send()
            .await
            .map_err(|error| self.failure("kinesis:DescribeLimits", "the account", &error))?;
        let limit = answer.shard_limit().try_into().unwrap_or(0);
        *self.shard_limit.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, limit));
        Ok(limit)
    }

    pub(super) async fn create_stream(
        &self,
        name: &str,
        shards: ShardCount,
        tags: &BTreeMap<String, String>,
    ) -> Result<(), Failure> {
        let mode = StreamModeDetails::builder()
            .stream_mode(SdkMode::Provisioned)
            .build()
            .map_err(|error| incomplete("kinesis:CreateStream", name, &error))?;
        let mut request =
            self.kinesis.create_stream().stream_name(name).shard_count(int(shards.get())).stream_mode_details(mode);
        for (key, value) in tags {
            request = request.tags(key, value);
        }
        request.send().await.map_err(|error| self.failure("kinesis:CreateStream", stream(name), &error))?;
        Ok(())
    }

    pub(super) async fn tag_stream(&self, name: &str, tags: &BTreeMap<String, String>) -> Result<(), Failure> {
        let mut request = self.kinesis.add_tags_to_stream().stream_name(name);
        for (key, value) in tags {
            request = request.tags(key, value);
        }
        request.send().await.map_err(|error| self.failure("kinesis:AddTagsToStream", stream(name), &error))?;
        Ok(())
    }

    pub(super) async fn increase_retention(&self, name: &str, retention: Hours) -> Result<(), Failure> {
        let request = self.kinesis.increase_stream_retention_period().stream_name(name);
        request
            .retention_period_hours(int(retention.get()))
            .send()
            .await
            .map_err(|error| self.failure("kinesis:IncreaseStreamRetentionPeriod", stream(name), &error))?;
        Ok(())
    }

    pub(super) async fn decrease_retention(&self, name: &str, retention: Hours) -> Result<(), Failure> {
        let request = self.kinesis.decrease_stream_retention_period().stream_name(name);
        request
            .retention_period_hours(int(retention.get()))
            .send()
            .await
            .map_err(|error| self.failure("kinesis:DecreaseStreamRetentionPeriod", stream(name), &error))?;
        Ok(())
    }

    pub(super) async fn update_shard_count(&self, name: &str, to: ShardCount) -> Result<(), Failure> {
        let request = self.kinesis.update_shard_count().stream_name(name).target_shard_count(int(to.get()));
        request
            .scaling_type(ScalingType::UniformScaling)
            .send()
            .await
            .map_err(|error| self.failure("kinesis:UpdateShardCount", stream(name), &error))?;
        Ok(())
    }

    pub(super) async fn split_shard(&self, name: &str, shard: &str, new_hash_key: &str) -> Result<(), Failure> {
        let request = self.kinesis.split_shard().stream_name(name).shard_to_split(shard);
        request
            .new_starting_hash_key(new_hash_key)
            .send()
            .await
            .map_err(|error| self.failure("kinesis:SplitShard", stream(name), &error))?;
        Ok(())
    }

    /// Takes the ARN: UpdateStreamMode knows no stream name.
    pub(super) async fn update_stream_mode(&self, name: &str, arn: &str, to: StreamMode) -> Result<(), Failure> {
        const OPERATION: &str = "kinesis:UpdateStreamMode";
        let mode = if to == StreamMode::OnDemand { SdkMode::OnDemand } else { SdkMode::Provisioned };
        let details = StreamModeDetails::builder().stream_mode(mode).build();
        let details = details.map_err(|error| incomplete(OPERATION, name, &error))?;
        let answer = self.kinesis.update_stream_mode().stream_arn(arn).stream_mode_details(details).send().await;
        answer.map_err(|error| self.failure(OPERATION, stream(name), &error))?;
        Ok(())
    }

    pub(super) async fn register_consumer(
        &self,
        resource: &ResourceId,
        arn: &str,
        consumer: &str,
        tags: &BTreeMap<String, String>,
    ) -> Result<(), Failure> {
        let mut request = self.kinesis.register_stream_consumer().stream_arn(arn).consumer_name(consumer);
        for (key, value) in tags {
            request = request.tags(key, value);
        }
        request.send().await.map_err(|error| self.failure("kinesis:RegisterStreamConsumer", resource, &error))?;
        Ok(())
    }

    pub(super) async fn tag_consumer(
        &self,
        resource: &ResourceId,
        arn: &str,
        tags: &BTreeMap<String, String>,
    ) -> Result<(), Failure> {
        let mut request = self.kinesis.tag_resource().resource_arn(arn);
        for (key, value) in tags {
            request = request.tags(key, value);
        }
        request.send().await.map_err(|error| self.failure("kinesis:TagResource", resource, &error))?;
        Ok(())
    }

    pub(super) async fn deregister_consumer(&self, resource: &ResourceId, arn: &str) -> Result<(), Failure> {
        let answer = self.kinesis.deregister_stream_consumer().consumer_arn(arn).send().await;
        answer.map_err(|error| self.failure("kinesis:DeregisterStreamConsumer", resource, &error))?;
        Ok(())
    }

    pub(super) async fn delete_stream(&self, name: &str) -> Result<(), Failure> {
        let request = self.kinesis.delete_stream().stream_name(name);
        request.send().await.map_err(|error| self.failure("kinesis:DeleteStream", stream(name), &error))?;
        Ok(())
    }
}

fn stream(name: &str) -> ResourceId {
    ResourceId::Stream(name.to_owned())
}

/// The wire counts in signed 32-bit numbers; the spec's ranges are far below.
fn int(value: u32) -> i32 {
    value.try_into().unwrap_or(i32::MAX)
}

fn incomplete(operation: &str, name: &str, error: &impl std::error::Error) -> Failure {
    super::errors::own(ErrorClass::Invalid, operation, &stream(name).to_string(), "InvalidRequest", error.to_string())
}

fn stream_facts(summary: &StreamDescriptionSummary) -> StreamFacts {
    let on_demand = summary.stream_mode_details().is_some_and(|details| *details.stream_mode() == SdkMode::OnDemand);
    let encrypted = summary.encryption_type() == Some(&EncryptionType::Kms);
    let mut metrics: Vec<String> = summary
        .enhanced_monitoring()
        .iter()
        .flat_map(EnhancedMetrics::shard_level_metrics)
        .map(|metric| metric.as_str().to_owned())
        .collect();
    metrics.sort();
    metrics.dedup();
    StreamFacts {
        name: summary.stream_name().to_owned(),
        arn: summary.stream_arn().to_owned(),
        status: match summary.stream_status() {
            StreamStatus::Active => LifecycleStatus::Active,
            StreamStatus::Creating => LifecycleStatus::Creating,
            StreamStatus::Updating => LifecycleStatus::Updating,
            StreamStatus::Deleting => LifecycleStatus::Deleting,
            _ => LifecycleStatus::Other,
        },
        mode: if on_demand { StreamMode::OnDemand } else { StreamMode::Provisioned },
        open_shards: ShardCount(summary.open_shard_count().try_into().unwrap_or(0)),
        shards: Vec::new(),
        retention: Hours(summary.retention_period_hours().try_into().unwrap_or(0)),
        encryption_key: encrypted.then(|| summary.key_id().unwrap_or_default().to_owned()),
        shard_level_metrics: metrics,
        created_at: super::timestamp(summary.stream_creation_timestamp()),
        tags: BTreeMap::new(),
    }
}
