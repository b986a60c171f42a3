//! Functions, concurrency and event source mappings.

use aws_sdk_lambda::{
    operation::create_event_source_mapping::builders::CreateEventSourceMappingFluentBuilder,
    primitives::DateTime,
    types::{DestinationConfig, EventSourcePosition, Filter, FilterCriteria, OnFailure},
};

use super::{Account, FINAL, TUMBLING, refused};

impl Account {
    pub fn mapping(&self, function: &str) -> CreateEventSourceMappingFluentBuilder {
        let call = self.lambda.create_event_source_mapping().event_source_arn(Account::stream_arn());
        call.function_name(function).starting_position(EventSourcePosition::TrimHorizon)
    }

    async fn state(&self, uuid: &str) -> String {
        self.lambda.get_event_source_mapping().uuid(uuid).send().await.unwrap().state.unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn functions_exist_with_timeout_memory_and_concurrency() {
    let aws = Account::quiet();
    let function = aws.lambda.get_function().function_name(FINAL).send().await.unwrap();
    let configuration = function.configuration.unwrap();
    assert_eq!((configuration.timeout, configuration.memory_size), (Some(15), Some(512)));
    let arn = format!("arn:aws:lambda:us-east-2:123456789012:function:{FINAL}");
    assert_eq!(configuration.function_arn.as_deref(), Some(arn.as_str()));
    let by_arn = aws.lambda.get_function_configuration().function_name(&arn).send().await.unwrap();
    assert_eq!(by_arn.memory_size, Some(512));
    assert_eq!(refused!(aws.lambda.get_function().function_name("none")).0, "ResourceNotFoundException");

    let put = |value| aws.lambda.put_function_concurrency().function_name(FINAL).reserved_concurrent_executions(value);
    put(50).send().await.unwrap();
    let function = aws.lambda.get_function().function_name(FINAL).send().await.unwrap();
    assert_eq!(function.concurrency.unwrap().reserved_concurrent_executions, Some(50));
    let account = aws.lambda.get_account_settings().send().await.unwrap().account_limit.unwrap();
    assert_eq!((account.concurrent_executions, account.unreserved_concurrent_executions), (1_000, Some(950)));
    let (code, message) = refused!(put(901));
    assert_eq!(code, "InvalidParameterValueException");
    assert!(message.contains("below its minimum value of [100]"), "{message}");
    aws.lambda.delete_function_concurrency().function_name(FINAL).send().await.unwrap();
    let none = aws.lambda.get_function_concurrency().function_name(FINAL).send().await.unwrap();
    assert_eq!(none.reserved_concurrent_executions, None);
}

#[tokio::test(start_paused = true)]
async fn a_mapping_goes_through_its_states_and_shows_new_settings_when_settled() {
    let aws = Account::quiet();
    aws.stream(1).await;
    let created =
        aws.mapping(TUMBLING).batch_size(1000).tags("alleycat.dev/pipeline", "alleycat").send().await.unwrap();
    let uuid = created.uuid.unwrap();
    assert_eq!(created.state.as_deref(), Some("Creating"));
    assert_eq!((created.batch_size, created.parallelization_factor), (Some(1000), Some(1)));
    assert_eq!((created.maximum_retry_attempts, created.maximum_record_age_in_seconds), (Some(-1), Some(-1)));
    let update = aws.lambda.update_event_source_mapping().uuid(&uuid).parallelization_factor(10);
    let (code, message) = refused!(update.clone());
    assert_eq!(code, "ResourceInUseException");
    assert_eq!(message, "Cannot update the event source mapping because it is in use.");
    aws.wait(20).await;
    assert_eq!(aws.state(&uuid).await, "Enabled");
    let answer = update.send().await.unwrap();
    assert_eq!((answer.state.as_deref(), answer.parallelization_factor), (Some("Updating"), Some(1)));
    aws.wait(20).await;
    let settled = aws.lambda.get_event_source_mapping().uuid(&uuid).send().await.unwrap();
    assert_eq!((settled.state.as_deref(), settled.parallelization_factor), (Some("Enabled"), Some(10)));

    aws.lambda.update_event_source_mapping().uuid(&uuid).enabled(false).send().await.unwrap();
    assert_eq!(aws.state(&uuid).await, "Disabling");
    aws.wait(20).await;
    assert_eq!(aws.state(&uuid).await, "Disabled");
    aws.lambda.update_event_source_mapping().uuid(&uuid).enabled(true).send().await.unwrap();
    assert_eq!(aws.state(&uuid).await, "Enabling");
    assert_eq!(refused!(aws.lambda.delete_event_source_mapping().uuid(&uuid)).0, "ResourceInUseException");
    aws.wait(20).await;
    aws.lambda.delete_event_source_mapping().uuid(&uuid).send().await.unwrap();
    assert_eq!(aws.state(&uuid).await, "Deleting");
    assert_eq!(refused!(aws.mapping(TUMBLING)).0, "ResourceConflictException");
    aws.wait(20).await;
    assert_eq!(refused!(aws.lambda.get_event_source_mapping().uuid(&uuid)).0, "ResourceNotFoundException");
    aws.mapping(TUMBLING).send().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_second_mapping_of_the_pair_is_a_conflict_that_names_the_first() {
    let aws = Account::quiet();
    aws.stream(1).await;
    let first = aws.mapping(FINAL).send().await.unwrap().uuid.unwrap();
    let (code, message) = refused!(aws.mapping(FINAL));
    assert_eq!(code, "ResourceConflictException");
    let expected = format!(
        "The event source arn (\" {} \") and function (\" {FINAL} \") provided mapping already exists. Please update or \
         delete the existing mapping with UUID {first}",
        Account::stream_arn()
    );
    assert_eq!(message, expected);
    aws.mapping(TUMBLING).send().await.unwrap();
    let list = aws.lambda.list_event_source_mappings().event_source_arn(Account::stream_arn());
    assert_eq!(list.clone().send().await.unwrap().event_source_mappings().len(), 2);
    let page = list.clone().max_items(1).send().await.unwrap();
    let next = list.marker(page.next_marker().unwrap()).max_items(1).send().await.unwrap();
    assert_eq!((next.event_source_mappings().len(), next.next_marker()), (1, None));
    let mine = aws.lambda.list_event_source_mappings().function_name(FINAL).send().await.unwrap();
    assert_eq!(mine.event_source_mappings()[0].uuid.as_deref(), Some(first.as_str()));
}

#[tokio::test(start_paused = true)]
async fn wrong_settings_of_a_mapping_are_refused() {
    let aws = Account::quiet();
    assert_eq!(refused!(aws.mapping(FINAL)).0, "InvalidParameterValueException");
    aws.stream(1).await;
    assert_eq!(refused!(aws.mapping("none")).0, "ResourceNotFoundException");
    assert_eq!(refused!(aws.mapping(FINAL).parallelization_factor(11)).0, "ValidationException");
    assert_eq!(refused!(aws.mapping(FINAL).batch_size(0)).0, "ValidationException");
    assert_eq!(refused!(aws.mapping(FINAL).maximum_batching_window_in_seconds(301)).0, "ValidationException");
    assert_eq!(refused!(aws.mapping(FINAL).maximum_record_age_in_seconds(59)).0, "InvalidParameterValueException");
    let at = aws.mapping(FINAL).starting_position(EventSourcePosition::AtTimestamp);
    assert_eq!(refused!(at.clone()).0, "InvalidParameterValueException");
    let future = DateTime::from_secs(aws.clock.now().as_second() + 60);
    assert_eq!(refused!(at.clone().starting_position_timestamp(future)).0, "InvalidParameterValueException");
    let past = DateTime::from_secs(aws.clock.now().as_second() - 60);
    let created = at.starting_position_timestamp(past).send().await.unwrap();
    assert_eq!(created.starting_position_timestamp, Some(past));
}

#[tokio::test(start_paused = true)]
async fn absent_members_stay_and_empty_ones_clear() {
    let aws = Account::quiet();
    aws.stream(1).await;
    let pattern = r#"{"data":{"event":["final"]}}"#;
    let filters = FilterCriteria::builder().filters(Filter::builder().pattern(pattern).build()).build();
    let destination =
        |arn: &str| DestinationConfig::builder().on_failure(OnFailure::builder().destination(arn).build()).build();
    let queue = "arn:aws:sqs:us-east-2:123456789012:dead";
    let create = aws.mapping(FINAL).filter_criteria(filters).destination_config(destination(queue));
    let uuid = create.send().await.unwrap().uuid.unwrap();
    aws.wait(20).await;
    aws.lambda.update_event_source_mapping().uuid(&uuid).batch_size(500).send().await.unwrap();
    aws.wait(20).await;
    let mapping = aws.lambda.get_event_source_mapping().uuid(&uuid).send().await.unwrap();
    assert_eq!(mapping.filter_criteria.unwrap().filters()[0].pattern(), Some(pattern));
    assert_eq!(mapping.destination_config.unwrap().on_failure.unwrap().destination.as_deref(), Some(queue));
    let clear = aws.lambda.update_event_source_mapping().uuid(&uuid).filter_criteria(FilterCriteria::builder().build());
    clear.destination_config(destination("")).send().await.unwrap();
    aws.wait(20).await;
    let mapping = aws.lambda.get_event_source_mapping().uuid(&uuid).send().await.unwrap();
    assert_eq!((mapping.filter_criteria, mapping.batch_size), (None, Some(500)));
    assert_eq!(mapping.destination_config.unwrap().on_failure.unwrap().destination, None);
}

#[tokio::test(start_paused = true)]
async fn mappings_carry_tags() {
    let aws = Account::quiet();
    aws.stream(1).await;
    let arn = aws.mapping(FINAL).tags("a", "1").send().await.unwrap().event_source_mapping_arn.unwrap();
    aws.lambda.tag_resource().resource(&arn).tags("alleycat.dev/pipeline", "alleycat").send().await.unwrap();
    aws.lambda.untag_resource().resource(&arn).tag_keys("a").send().await.unwrap();
    let tags = aws.lambda.list_tags().resource(&arn).send().await.unwrap().tags.unwrap();
    assert_eq!(tags.into_iter().collect::<Vec<_>>(), [("alleycat.dev/pipeline".into(), "alleycat".into())]);
    assert_eq!(refused!(aws.lambda.list_tags().resource(format!("{arn}x"))).0, "ResourceNotFoundException");
}
