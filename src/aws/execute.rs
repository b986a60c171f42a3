//! One step of a plan → one mutating call.

use super::{Aws, errors};
use crate::{
    model::{ErrorClass, Facts, Failure, ResourceId},
    plan::Step,
};

impl Aws {
    /// Makes the one mutating API call of `step`, once, without a retry. UpdateTable's throughput is re-read just
    /// before (one read). What only AWS knows (ARNs) comes from `facts`.
    ///
    /// # Errors
    /// As AWS answers; `Forbidden` when the connection does not allow the operation; `NotFound` when a step needs
    /// a stream that `facts` do not have; `NoChange` when the live values are already as wanted.
    pub async fn execute(&self, step: &Step, facts: &Facts) -> Result<(), Failure> {
        match step {
            Step::CreateStream { stream, shards, tags } => self.create_stream(stream, *shards, tags).await,
            Step::TagStream { stream, tags } => self.tag_stream(stream, tags).await,
            Step::IncreaseRetention { stream, retention } => self.increase_retention(stream, *retention).await,
            Step::DecreaseRetention { stream, retention } => self.decrease_retention(stream, *retention).await,
            Step::UpdateShardCount { stream, from: _, to } => self.update_shard_count(stream, *to).await,
            Step::SplitShard { stream, shard, new_hash_key, .. } => self.split_shard(stream, shard, new_hash_key).await,
            Step::UpdateStreamMode { stream, to } => {
                let arn = stream_arn(facts, "kinesis:UpdateStreamMode")?;
                self.update_stream_mode(stream, arn, *to).await
            }
            Step::RegisterStreamConsumer { stream, consumer, tags } => {
                let arn = stream_arn(facts, "kinesis:RegisterStreamConsumer")?;
                self.register_consumer(&consumer_id(stream, consumer), arn, consumer, tags).await
            }
            Step::TagStreamConsumer { stream, consumer, arn, tags } => {
                self.tag_consumer(&consumer_id(stream, consumer), arn, tags).await
            }
            Step::DeregisterStreamConsumer { stream, consumer, arn } => {
                self.deregister_consumer(&consumer_id(stream, consumer), arn).await
            }
            Step::DeleteStream { stream } => self.delete_stream(stream).await,
            Step::CreateTable(new) => self.create_table(new).await,
            Step::UpdateCapacity(change) => self.update_capacity(change, facts.tables.get(&change.table)).await,
            Step::UpdateBillingMode { to, capacity } => self.update_billing_mode(*to, capacity).await,
            Step::CreateIndex { table, index } => self.create_index(table, index).await,
            Step::UpdateTableStream { table, view_type } => self.update_table_stream(table, view_type.as_deref()).await,
            Step::UpdateDeletionProtection { table, enabled } => self.update_deletion_protection(table, *enabled).await,
            Step::UpdatePointInTimeRecovery { table, enabled } => {
                self.update_point_in_time_recovery(table, *enabled).await
            }
            Step::UpdateTimeToLive { table, attribute, enabled } => {
                self.update_time_to_live(table, attribute, *enabled).await
            }
            Step::TagTable { table, arn, tags } => self.tag_table(table, arn, tags).await,
            Step::DeleteTable { table } => self.delete_table(table).await,
            Step::CreateMapping(new) => {
                let operation = "lambda:CreateEventSourceMapping";
                let source = match (&new.source_arn, &new.fan_out_consumer) {
                    (Some(arn), _) => arn,
                    (None, Some(consumer)) => consumer_arn(facts, consumer, operation)?,
                    (None, None) => stream_arn(facts, operation)?,
                };
                self.create_mapping(new, source).await
            }
            Step::UpdateMapping(change) => self.update_mapping(change).await,
            Step::TagMapping { consumer, arn, tags } => self.tag_mapping(consumer, arn, tags).await,
            Step::DeleteMapping { consumer, uuid } => self.delete_mapping(consumer, uuid).await,
        }
    }
}

fn consumer_id(stream: &str, consumer: &str) -> ResourceId {
    ResourceId::FanOutConsumer(stream.to_owned(), consumer.to_owned())
}

fn consumer_arn<'a>(facts: &'a Facts, name: &str, operation: &str) -> Result<&'a str, Failure> {
    facts.fan_out.iter().find(|it| it.name == name).map(|it| it.arn.as_str()).ok_or_else(|| {
        let text = format!("the fan-out consumer {name} is not registered yet, so its ARN is not known");
        errors::own(ErrorClass::NotFound, operation, "the fan-out consumer", "ConsumerMissing", text)
    })
}

fn stream_arn<'a>(facts: &'a Facts, operation: &str) -> Result<&'a str, Failure> {
    facts.stream.as_ref().map(|stream| stream.arn.as_str()).ok_or_else(|| {
        let text = "the stream does not exist yet, so its ARN is not known".to_owned();
        errors::own(ErrorClass::NotFound, operation, "the stream", "StreamMissing", text)
    })
}
