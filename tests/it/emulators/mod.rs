//! The wire check: the built binary against ministack, an AWS emulator that is not ours, so that the twin and
//! the operator cannot share one misunderstanding. `scripts/test` installs the emulator.
//!
//! What the emulator cannot do is written down as a test too ([`limits`]): when a new version can, that test
//! fails and the way around it can go.

mod limits;
mod ministack;
mod seed;

use alleycat_operator::spec::policy::builtin;
use aws_sdk_dynamodb::types::{PointInTimeRecoveryStatus, TableDescription};
use ministack::{Ministack, Run};
use seed::Load;

const SPEC: &str = include_str!("../../emulators/pipeline.yaml");
const STREAM: &str = "wire-stream";
const TABLE: &str = "wire-races";

#[tokio::test]
async fn apply_plan_scale_and_destroy_over_the_wire() {
    let Some(aws) = Ministack::start("apply, plan, daemon and destroy over the wire").await else { return };
    aws.create_function("wire-leaderboard").await;

    created_as_the_spec_says(&aws).await;
    changed_bounds_force_an_update(&aws).await;
    one_daemon_pass_scales_stream_and_table(&aws).await;
    destroy_deletes_what_is_confirmed(&aws).await;
}

fn ended(run: &Run, code: i32) {
    assert_eq!(run.code, code, "{run}");
}

async fn says_no_changes(aws: &Ministack, spec: &str) {
    let plan = aws.operator(&["plan", spec, "--detailed-exitcode"]).await;
    ended(&plan, 0);
    assert!(plan.stdout.contains("No changes."), "{plan}");
}

async fn created_as_the_spec_says(aws: &Ministack) {
    let spec = aws.spec(SPEC);
    ended(&aws.operator(&["plan", &spec, "--detailed-exitcode"]).await, 2);
    assert!(aws.kinesis().list_streams().send().await.unwrap().stream_names().is_empty(), "plan created nothing");

    ended(&aws.operator(&["apply", &spec, "-y"]).await, 0);

    assert_eq!(open_shards(aws).await, 1);
    assert_eq!(stream_tag(aws, "alleycat.dev/pipeline").await.as_deref(), Some("wire"));
    assert_eq!(stream_tag(aws, "team").await.as_deref(), Some("racing"));
    the_table_is_as_the_spec_says(aws).await;
    the_mapping_is_as_the_spec_says(aws).await;

    says_no_changes(aws, &spec).await;
}

async fn the_table_is_as_the_spec_says(aws: &Ministack) {
    let table = table(aws).await;
    assert_eq!(capacity(&table), (20, 20));
    assert_eq!(index_capacity(&table), (10, 10));
    assert_eq!(table.local_secondary_indexes()[0].index_name(), Some("GSI_PK_Index"));
    assert_eq!(table.deletion_protection_enabled(), Some(true));
    assert_eq!(table.stream_specification().unwrap().stream_view_type().unwrap().as_str(), "NEW_AND_OLD_IMAGES");

    let backups = aws.dynamodb().describe_continuous_backups().table_name(TABLE).send().await.unwrap();
    let recovery = backups.continuous_backups_description.unwrap().point_in_time_recovery_description.unwrap();
    assert_eq!(recovery.point_in_time_recovery_status(), Some(&PointInTimeRecoveryStatus::Enabled));

    let tags = aws.dynamodb().list_tags_of_resource().resource_arn(table.table_arn().unwrap()).send().await.unwrap();
    let ours = tags.tags().iter().find(|tag| tag.key() == "alleycat.dev/pipeline").expect("the table is tagged");
    assert_eq!(ours.value(), "wire");
}

async fn the_mapping_is_as_the_spec_says(aws: &Ministack) {
    let mappings = aws.lambda().list_event_source_mappings().send().await.unwrap();
    let [mapping] = mappings.event_source_mappings() else { panic!("one mapping: {mappings:?}") };
    assert!(mapping.event_source_arn().unwrap().ends_with(":stream/wire-stream"));
    assert!(mapping.function_arn().unwrap().ends_with(":function:wire-leaderboard"));
    assert_eq!(mapping.batch_size(), Some(1000));
    assert_eq!(mapping.parallelization_factor(), Some(1));
    assert_eq!(mapping.starting_position().unwrap().as_str(), "TRIM_HORIZON");
    let tags = aws.lambda().list_tags().resource(mapping.event_source_mapping_arn().unwrap()).send().await.unwrap();
    assert_eq!(tags.tags().unwrap().get("alleycat.dev/pipeline").map(String::as_str), Some("wire"));
}

async fn changed_bounds_force_an_update(aws: &Ministack) {
    let raised = SPEC
        .replace("shards: {min: 1, max: 8, initial: 1}", "shards: {min: 2, max: 8, initial: 2}")
        .replace("writeCapacity: {min: 20, max: 400, initial: 20}", "writeCapacity: {min: 30, max: 400, initial: 30}")
        .replace("retention: {min: 24h, max: 48h}", "retention: {min: 36h, max: 48h}");
    let spec = aws.spec(&raised);
    ended(&aws.operator(&["plan", &spec, "--detailed-exitcode"]).await, 2);
    assert_eq!(open_shards(aws).await, 1, "plan changed nothing");

    ended(&aws.operator(&["apply", &spec, "-y"]).await, 0);
    assert_eq!(open_shards(aws).await, 2);
    assert_eq!(capacity(&table(aws).await), (20, 30));
    let summary = aws.kinesis().describe_stream_summary().stream_name(STREAM).send().await.unwrap();
    assert_eq!(summary.stream_description_summary.unwrap().retention_period_hours(), 36);
    assert!(stream_tag(aws, "alleycat.dev/reshards").await.is_some(), "the call is in the stream's own ledger");
    says_no_changes(aws, &spec).await;

    // With the first bounds the new values are inside them: they are nobody's drift.
    let spec = aws.spec(SPEC);
    says_no_changes(aws, &spec).await;
}

/// Per second: 1,800 records accepted and 100 rejected on two shards, 2 invocations, 28.5 write units on the table
/// and 9.5 on its index. What one pass makes of it:
///
/// - Shards: ⌈1,900 / (1,000 × 0.55)⌉ = 4, which is also the most one call may reach. Records are being rejected, so
///   the raise does not wait for the table.
/// - Capacity: these minutes cannot tell writes per invocation from writes per record, so the dearer explanation holds:
///   28.5 / 2 a batch. Four shards that keep up are invoked 4 times a second: 4 × 14.25 write units at the policy's
///   target, and 4 × 4.75 on the index.
/// - Reads are idle and at their minimum; a slot does 3,000 records/s, so one a shard is enough.
async fn one_daemon_pass_scales_stream_and_table(aws: &Ministack) {
    let load = Load {
        records: 1_800.0 * 60.0,
        rejected: 100.0 * 60.0,
        invocations: 2.0 * 60.0,
        table_writes: 28.5 * 60.0,
        index_writes: 9.5 * 60.0,
    };
    seed::put(&aws.cloudwatch(), &load).await;
    let spec = aws.spec(SPEC);

    let watch = aws.operator(&["daemon", &spec, "--once", "--observe"]).await;
    ended(&watch, 0);
    assert!(watch.stdout.contains("would change: stream/wire-stream: shards 2 -> 4 ("), "{watch}");
    assert!(watch.stdout.contains(&format!("writeCapacity 30 -> {} (", units(4.0 * 14.25))), "{watch}");
    assert_eq!((open_shards(aws).await, capacity(&table(aws).await)), (2, (20, 30)), "observing changes nothing");

    let pass = aws.operator(&["daemon", &spec, "--once"]).await;
    ended(&pass, 0);
    scaled(aws, &pass).await;
    let calls = pass.stdout.lines().filter(|line| line.starts_with("done: ")).count();
    assert_eq!(calls, 2, "one UpdateShardCount, one UpdateTable\n{pass}");

    let again = aws.operator(&["daemon", &spec, "--once"]).await;
    ended(&again, 0);
    assert!(!again.stdout.contains("done: "), "the same metrics ask for nothing more\n{again}");
    scaled(aws, &again).await;
    says_no_changes(aws, &spec).await;
}

/// The capacity for a steady demand without bursts, 68 for 57 units/s at 85 %.
fn units(demand: f64) -> i64 {
    let policy = builtin("balanced").expect("the standard policy");
    (demand / policy.write_target_utilization.min(policy.write_mean_utilization)).ceil() as i64
}

async fn scaled(aws: &Ministack, run: &Run) {
    let table = table(aws).await;
    assert_eq!(open_shards(aws).await, 4, "{run}");
    let (write, index_write) = (units(4.0 * 14.25), units(4.0 * 4.75));
    assert_eq!((capacity(&table), index_capacity(&table)), ((20, write), (10, index_write)), "(read, write)\n{run}");
    let mappings = aws.lambda().list_event_source_mappings().send().await.unwrap();
    assert_eq!(mappings.event_source_mappings()[0].parallelization_factor(), Some(1), "{run}");
}

async fn destroy_deletes_what_is_confirmed(aws: &Ministack) {
    let spec = aws.spec(SPEC);
    let unconfirmed = aws.operator(&["destroy", &spec, "-y"]).await;
    assert!(matches!(unconfirmed.code, 0 | 5), "{unconfirmed}");
    assert_eq!(open_shards(aws).await, 4, "the stream stays without its name confirmed\n{unconfirmed}");
    assert_eq!(table(aws).await.deletion_protection_enabled(), Some(true), "{unconfirmed}");

    ended(&aws.operator(&["destroy", &spec, "-y", "--confirm-name", "wire"]).await, 0);
    assert!(aws.kinesis().list_streams().send().await.unwrap().stream_names().is_empty());
    assert!(aws.dynamodb().list_tables().send().await.unwrap().table_names().is_empty());
    assert!(aws.lambda().list_event_source_mappings().send().await.unwrap().event_source_mappings().is_empty());
    let functions = aws.lambda().list_functions().send().await.unwrap();
    assert_eq!(functions.functions().len(), 1, "the function is not ours");

    ended(&aws.operator(&["destroy", &spec, "-y", "--confirm-name", "wire"]).await, 0);
}

async fn open_shards(aws: &Ministack) -> i32 {
    let answer = aws.kinesis().describe_stream_summary().stream_name(STREAM).send().await.unwrap();
    answer.stream_description_summary.unwrap().open_shard_count()
}

async fn stream_tag(aws: &Ministack, key: &str) -> Option<String> {
    let answer = aws.kinesis().list_tags_for_stream().stream_name(STREAM).send().await.unwrap();
    answer.tags().iter().find(|tag| tag.key() == key).and_then(|tag| tag.value()).map(str::to_owned)
}

async fn table(aws: &Ministack) -> TableDescription {
    aws.dynamodb().describe_table().table_name(TABLE).send().await.unwrap().table.unwrap()
}

/// (read, write) of the table.
fn capacity(table: &TableDescription) -> (i64, i64) {
    let throughput = table.provisioned_throughput().unwrap();
    (throughput.read_capacity_units().unwrap(), throughput.write_capacity_units().unwrap())
}

/// (read, write) of its one index.
fn index_capacity(table: &TableDescription) -> (i64, i64) {
    let throughput = table.global_secondary_indexes()[0].provisioned_throughput().unwrap();
    (throughput.read_capacity_units().unwrap(), throughput.write_capacity_units().unwrap())
}
