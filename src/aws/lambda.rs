//! Lambda: functions and event source mappings as they exist, and the calls that change mappings.

use std::collections::BTreeMap;

use aws_sdk_lambda::types::{
    Concurrency, DestinationConfig, EventSourceMappingConfiguration, EventSourceMappingMetric,
    EventSourceMappingMetricsConfig, EventSourcePosition, Filter, FilterCriteria, FunctionResponseType, OnFailure,
};

use super::Aws;
use crate::{
    model::{
        BatchSize, ErrorClass, Failure, FunctionFacts, MappingFacts, MappingState, ParallelizationFactor, ResourceId,
    },
    plan::{MappingChange, NewMapping},
    spec::StartingPosition,
};

impl Aws {
    /// GetFunction; `None` when it does not exist.
    pub(crate) async fn function(&self, name: &str) -> Result<Option<FunctionFacts>, Failure> {
        let resource = ResourceId::Function(name.to_owned());
        let answer = self.lambda.get_function().function_name(name).send().await;
        let answer = match answer.map_err(|error| self.failure("lambda:GetFunction", resource, &error)) {
            Ok(answer) => answer,
            Err(failure) if failure.class == ErrorClass::NotFound => return Ok(None),
            Err(failure) => return Err(failure),
        };
        let reserved = answer.concurrency().and_then(Concurrency::reserved_concurrent_executions);
        Ok(answer.configuration().map(|configuration| FunctionFacts {
            name: configuration.function_name().unwrap_or(name).to_owned(),
            arn: configuration.function_arn().unwrap_or_default().to_owned(),
            // AWS's own defaults (CreateFunction): 3 s and 128 MB.
            timeout_seconds: natural(configuration.timeout()).unwrap_or(3),
            memory_mb: natural(configuration.memory_size()).unwrap_or(128),
            reserved_concurrency: natural(reserved),
        }))
    }

    /// ListEventSourceMappings of one source (stream or fan-out consumer), all pages. The tags are another call.
    pub(crate) async fn mappings(&self, source_arn: &str) -> Result<Vec<MappingFacts>, Failure> {
        let mut mappings = Vec::new();
        let mut marker: Option<String> = None;
        loop {
            let request = self.lambda.list_event_source_mappings().event_source_arn(source_arn);
            let answer = request
                .set_marker(marker)
                .send()
                .await
                .map_err(|error| self.failure("lambda:ListEventSourceMappings", source_arn, &error))?;
            mappings.extend(answer.event_source_mappings().iter().map(mapping_facts));
            marker = answer.next_marker().filter(|marker| !marker.is_empty()).map(str::to_owned);
            if marker.is_none() {
                return Ok(mappings);
            }
        }
    }

    /// ListTags of a mapping.
    pub(crate) async fn mapping_tags(&self, arn: &str) -> Result<BTreeMap<String, String>, Failure> {
        let answer = self.lambda.list_tags().resource(arn).send().await;
        let answer = answer.map_err(|error| self.failure("lambda:ListTags", arn, &error))?;
        Ok(answer
            .tags()
            .map(|tags| tags.iter().map(|(key, value)| (key.clone(), value.clone())).collect())
            .unwrap_or_default())
    }

    /// GetAccountSettings: the account's concurrency limit in this region.
    pub(crate) async fn account_concurrency(&self) -> Result<Option<u32>, Failure> {
        let answer = self.lambda.get_account_settings().send().await;
        let answer = answer.map_err(|error| self.failure("lambda:GetAccountSettings", "the account", &error))?;
        Ok(answer.account_limit().and_then(|limit| natural(Some(limit.concurrent_executions()))))
    }

    pub(super) async fn create_mapping(&self, new: &NewMapping, source_arn: &str) -> Result<(), Failure> {
        let settings = &new.settings;
        let mut request = self
            .lambda
            .create_event_source_mapping()
            .function_name(&new.function)
            .event_source_arn(source_arn)
            .set_batch_size(settings.batch_size.map(|size| int(size.get())))
            .set_parallelization_factor(settings.parallelization_factor.map(|factor| int(factor.get())))
            .set_maximum_batching_window_in_seconds(settings.maximum_batching_window_seconds.map(int))
            .set_tumbling_window_in_seconds(settings.tumbling_window_seconds.map(int))
            .set_maximum_retry_attempts(settings.maximum_retry_attempts)
            .set_maximum_record_age_in_seconds(settings.maximum_record_age_seconds)
            .set_bisect_batch_on_function_error(settings.bisect_batch_on_function_error)
            .set_function_response_types(settings.report_batch_item_failures.map(response_types))
            .set_kms_key_arn(new.kms_key_arn.clone())
            .set_enabled(settings.enabled);
        if !new.metrics.is_empty() {
            let metrics = new.metrics.iter().map(|metric| EventSourceMappingMetric::from(metric.as_str()));
            let config = EventSourceMappingMetricsConfig::builder().set_metrics(Some(metrics.collect())).build();
            request = request.metrics_config(config);
        }
        request = match new.starting_position {
            StartingPosition::TrimHorizon => request.starting_position(EventSourcePosition::TrimHorizon),
            StartingPosition::Latest => request.starting_position(EventSourcePosition::Latest),
            StartingPosition::AtTimestamp(moment) => request
                .starting_position(EventSourcePosition::AtTimestamp)
                .starting_position_timestamp(super::date_time(moment)),
        };
        // On creation there is nothing to clear: empty values are left out.
        if let Some(arn) = settings.on_failure.as_deref().filter(|arn| !arn.is_empty()) {
            request = request.destination_config(destination(arn));
        }
        if let Some(patterns) = settings.filter_criteria.as_deref().filter(|patterns| !patterns.is_empty()) {
            request = request.filter_criteria(filters(patterns));
        }
        for (key, value) in &new.tags {
            request = request.tags(key, value);
        }
        let answer = request.send().await;
        answer.map_err(|error| self.failure("lambda:CreateEventSourceMapping", mapping(&new.consumer), &error))?;
        Ok(())
    }

    pub(super) async fn update_mapping(&self, change: &MappingChange) -> Result<(), Failure> {
        let answer = self
            .lambda
            .update_event_source_mapping()
            .uuid(&change.uuid)
            .set_batch_size(change.batch_size.map(|size| int(size.get())))
            .set_parallelization_factor(change.parallelization_factor.map(|factor| int(factor.get())))
            .set_maximum_batching_window_in_seconds(change.maximum_batching_window_seconds.map(int))
            .set_tumbling_window_in_seconds(change.tumbling_window_seconds.map(int))
            .set_maximum_retry_attempts(change.maximum_retry_attempts)
            .set_maximum_record_age_in_seconds(change.maximum_record_age_seconds)
            .set_bisect_batch_on_function_error(change.bisect_batch_on_function_error)
            .set_function_response_types(change.report_batch_item_failures.map(response_types))
            .set_destination_config(change.on_failure.as_deref().map(destination))
            .set_filter_criteria(change.filter_criteria.as_deref().map(filters))
            .set_enabled(change.enabled)
            .send()
            .await;
        answer.map_err(|error| self.failure("lambda:UpdateEventSourceMapping", mapping(&change.consumer), &error))?;
        Ok(())
    }

    pub(super) async fn tag_mapping(
        &self,
        consumer: &str,
        arn: &str,
        tags: &BTreeMap<String, String>,
    ) -> Result<(), Failure> {
        let mut request = self.lambda.tag_resource().resource(arn);
        for (key, value) in tags {
            request = request.tags(key, value);
        }
        request.send().await.map_err(|error| self.failure("lambda:TagResource", mapping(consumer), &error))?;
        Ok(())
    }

    pub(super) async fn delete_mapping(&self, consumer: &str, uuid: &str) -> Result<(), Failure> {
        let answer = self.lambda.delete_event_source_mapping().uuid(uuid).send().await;
        answer.map_err(|error| self.failure("lambda:DeleteEventSourceMapping", mapping(consumer), &error))?;
        Ok(())
    }
}

fn mapping(consumer: &str) -> ResourceId {
    ResourceId::Mapping(consumer.to_owned())
}

fn int(value: u32) -> i32 {
    value.try_into().unwrap_or(i32::MAX)
}

fn natural(value: Option<i32>) -> Option<u32> {
    value.and_then(|value| value.try_into().ok())
}

fn response_types(report: bool) -> Vec<FunctionResponseType> {
    if report { vec![FunctionResponseType::ReportBatchItemFailures] } else { Vec::new() }
}

/// An empty ARN clears the destination (Lambda API, UpdateEventSourceMapping).
fn destination(arn: &str) -> DestinationConfig {
    DestinationConfig::builder().on_failure(OnFailure::builder().destination(arn).build()).build()
}

/// No patterns send `{}`, which clears the criteria; to leave the field out would change nothing.
fn filters(patterns: &[String]) -> FilterCriteria {
    let mut criteria = FilterCriteria::builder();
    for pattern in patterns {
        criteria = criteria.filters(Filter::builder().pattern(pattern).build());
    }
    criteria.build()
}

/// Fields that Lambda leaves out stand at its defaults for Kinesis (Lambda developer guide, "Kinesis parameters
/// for event source mappings").
fn mapping_facts(found: &EventSourceMappingConfiguration) -> MappingFacts {
    MappingFacts {
        uuid: found.uuid().unwrap_or_default().to_owned(),
        arn: found.event_source_mapping_arn().map(str::to_owned),
        function_arn: found.function_arn().unwrap_or_default().to_owned(),
        source_arn: found.event_source_arn().unwrap_or_default().to_owned(),
        state: match found.state().unwrap_or_default() {
            "Creating" => MappingState::Creating,
            "Enabling" => MappingState::Enabling,
            "Enabled" => MappingState::Enabled,
            "Disabling" => MappingState::Disabling,
            "Disabled" => MappingState::Disabled,
            "Updating" => MappingState::Updating,
            "Deleting" => MappingState::Deleting,
            _ => MappingState::Other,
        },
        batch_size: BatchSize(natural(found.batch_size()).unwrap_or(100)),
        maximum_batching_window_seconds: natural(found.maximum_batching_window_in_seconds()).unwrap_or(0),
        parallelization_factor: ParallelizationFactor(natural(found.parallelization_factor()).unwrap_or(1)),
        starting_position: found.starting_position().map(|at| at.as_str().to_owned()).unwrap_or_default(),
        tumbling_window_seconds: natural(found.tumbling_window_in_seconds()).unwrap_or(0),
        maximum_retry_attempts: found.maximum_retry_attempts().unwrap_or(-1),
        maximum_record_age_seconds: found.maximum_record_age_in_seconds().unwrap_or(-1),
        bisect_batch_on_function_error: found.bisect_batch_on_function_error().unwrap_or(false),
        last_modified: found.last_modified().and_then(super::timestamp),
        last_processing_result: found.last_processing_result().map(str::to_owned),
        report_batch_item_failures: found
            .function_response_types()
            .contains(&FunctionResponseType::ReportBatchItemFailures),
        on_failure: found
            .destination_config()
            .and_then(|config| config.on_failure())
            .and_then(|target| target.destination())
            .filter(|arn| !arn.is_empty())
            .map(str::to_owned),
        filter_criteria: found
            .filter_criteria()
            .map(|criteria| {
                criteria.filters().iter().filter_map(|filter| filter.pattern()).map(str::to_owned).collect()
            })
            .unwrap_or_default(),
        kms_key_arn: found.kms_key_arn().filter(|arn| !arn.is_empty()).map(str::to_owned),
        metrics: found
            .metrics_config()
            .map(|config| config.metrics().iter().map(|metric| metric.as_str().to_owned()).collect())
            .unwrap_or_default(),
        tags: BTreeMap::new(),
    }
}
