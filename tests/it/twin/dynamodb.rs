//! Tables: life cycle, throughput rules, indexes, settings.

use aws_sdk_dynamodb::{
    operation::{create_table::builders::CreateTableFluentBuilder, update_table::builders::UpdateTableFluentBuilder},
    types::{
        AttributeDefinition, BillingMode, CreateGlobalSecondaryIndexAction, GlobalSecondaryIndex,
        GlobalSecondaryIndexUpdate, IndexStatus, KeySchemaElement, KeyType, LocalSecondaryIndex,
        PointInTimeRecoverySpecification, PointInTimeRecoveryStatus, Projection, ProjectionType, ProvisionedThroughput,
        ScalarAttributeType, StreamSpecification, StreamViewType, TableDescription, TableStatus, Tag,
        TimeToLiveSpecification, TimeToLiveStatus, UpdateGlobalSecondaryIndexAction,
    },
};

use super::{Account, refused};

const TABLE: &str = "alleycat-races";

fn key(name: &str, role: KeyType) -> KeySchemaElement {
    KeySchemaElement::builder().attribute_name(name).key_type(role).build().unwrap()
}

fn attribute(name: &str, kind: ScalarAttributeType) -> AttributeDefinition {
    AttributeDefinition::builder().attribute_name(name).attribute_type(kind).build().unwrap()
}

pub fn units(read: i64, write: i64) -> ProvisionedThroughput {
    ProvisionedThroughput::builder().read_capacity_units(read).write_capacity_units(write).build().unwrap()
}

fn everything() -> Projection {
    Projection::builder().projection_type(ProjectionType::All).build()
}

pub fn resize(index: &str, read: i64, write: i64) -> GlobalSecondaryIndexUpdate {
    let update = UpdateGlobalSecondaryIndexAction::builder().index_name(index);
    let update = update.provisioned_throughput(units(read, write)).build().unwrap();
    GlobalSecondaryIndexUpdate::builder().update(update).build()
}

impl Account {
    /// The table of the Alleycat template.
    pub fn table(&self) -> CreateTableFluentBuilder {
        let global = GlobalSecondaryIndex::builder().index_name("GSI_Index");
        let global = global.key_schema(key("GSI", KeyType::Hash)).key_schema(key("SK", KeyType::Range));
        let global = global.projection(everything()).provisioned_throughput(units(10, 10)).build().unwrap();
        let local = LocalSecondaryIndex::builder().index_name("GSI_PK_Index").projection(everything());
        let local = local.key_schema(key("PK", KeyType::Hash)).key_schema(key("GSI", KeyType::Range)).build().unwrap();
        self.plain_table()
            .attribute_definitions(attribute("GSI", ScalarAttributeType::N))
            .global_secondary_indexes(global)
            .local_secondary_indexes(local)
            .stream_specification(
                StreamSpecification::builder()
                    .stream_enabled(true)
                    .stream_view_type(StreamViewType::NewAndOldImages)
                    .build()
                    .unwrap(),
            )
            .tags(Tag::builder().key("alleycat.dev/pipeline").value("alleycat").build().unwrap())
    }

    fn plain_table(&self) -> CreateTableFluentBuilder {
        self.dynamodb
            .create_table()
            .table_name(TABLE)
            .key_schema(key("PK", KeyType::Hash))
            .key_schema(key("SK", KeyType::Range))
            .attribute_definitions(attribute("PK", ScalarAttributeType::S))
            .attribute_definitions(attribute("SK", ScalarAttributeType::S))
            .provisioned_throughput(units(20, 20))
    }

    async fn described(&self) -> TableDescription {
        self.dynamodb.describe_table().table_name(TABLE).send().await.unwrap().table.unwrap()
    }

    pub fn change(&self) -> UpdateTableFluentBuilder {
        self.dynamodb.update_table().table_name(TABLE)
    }

    async fn with_table() -> Self {
        let aws = Self::quiet();
        aws.table().send().await.unwrap();
        aws.wait(10).await;
        aws
    }
}

#[tokio::test(start_paused = true)]
async fn the_template_table_is_created_described_and_deleted() {
    let aws = Account::quiet();
    assert_eq!(refused!(aws.dynamodb.describe_table().table_name(TABLE)).0, "ResourceNotFoundException");
    aws.table().deletion_protection_enabled(true).send().await.unwrap();
    assert_eq!(aws.described().await.table_status, Some(TableStatus::Creating));
    assert_eq!(refused!(aws.table()).0, "ResourceInUseException");
    assert_eq!(refused!(aws.dynamodb.delete_table().table_name(TABLE)).0, "ResourceInUseException");
    aws.wait(10).await;
    let table = aws.described().await;
    assert_eq!(table.table_status, Some(TableStatus::Active));
    assert_eq!(table.billing_mode_summary, None);
    assert_eq!(table.stream_specification.unwrap().stream_view_type, Some(StreamViewType::NewAndOldImages));
    let index = &table.global_secondary_indexes.unwrap()[0];
    assert_eq!(index.index_status, Some(IndexStatus::Active));
    assert_eq!(index.provisioned_throughput.as_ref().unwrap().write_capacity_units, Some(10));
    assert_eq!(table.local_secondary_indexes.unwrap()[0].index_name.as_deref(), Some("GSI_PK_Index"));
    assert_eq!(aws.dynamodb.list_tables().send().await.unwrap().table_names(), [TABLE]);
    assert_eq!(
        aws.host.with(|twin| twin.audit().range("table/alleycat-races/index/GSI_Index", "writeCapacity")),
        Some((10, 10))
    );

    let (code, message) = refused!(aws.dynamodb.delete_table().table_name(TABLE));
    assert_eq!(code, "ValidationException");
    assert!(message.contains("protected against deletion"), "{message}");
    assert_eq!(
        refused!(aws.change().deletion_protection_enabled(false).provisioned_throughput(units(30, 30))).0,
        "ValidationException"
    );
    aws.change().deletion_protection_enabled(false).send().await.unwrap();
    assert_eq!(refused!(aws.change().provisioned_throughput(units(30, 30))).0, "ThrottlingException");
    aws.wait(15).await;
    aws.dynamodb.delete_table().table_name(TABLE).send().await.unwrap();
    assert_eq!(aws.described().await.table_status, Some(TableStatus::Deleting));
    aws.wait(10).await;
    assert_eq!(refused!(aws.dynamodb.describe_table().table_name(TABLE)).0, "ResourceNotFoundException");
}

#[tokio::test(start_paused = true)]
async fn table_and_index_capacity_change_together_and_show_when_settled() {
    let aws = Account::with_table().await;
    let both = aws.change().provisioned_throughput(units(20, 400)).global_secondary_index_updates(resize(
        "GSI_Index",
        10,
        200,
    ));
    let answer = both.clone().send().await.unwrap().table_description.unwrap();
    assert_eq!(answer.table_status, Some(TableStatus::Updating));
    assert_eq!(answer.provisioned_throughput.unwrap().write_capacity_units, Some(20));
    assert_eq!(answer.global_secondary_indexes.unwrap()[0].index_status, Some(IndexStatus::Updating));
    let (code, message) = refused!(aws.change().provisioned_throughput(units(20, 500)));
    assert_eq!(code, "ResourceInUseException");
    assert_eq!(
        message,
        "Attempt to change a resource which is still in use: Table IOPS are currently being updated. Table: alleycat-races"
    );
    aws.wait(15).await;
    let table = aws.described().await;
    assert_eq!(table.provisioned_throughput.unwrap().write_capacity_units, Some(400));
    let index = table.global_secondary_indexes.unwrap().remove(0);
    assert_eq!(index.provisioned_throughput.unwrap().write_capacity_units, Some(200));
    // The table changes, the index does not: refused whole.
    let half = aws.change().provisioned_throughput(units(20, 800)).global_secondary_index_updates(resize(
        "GSI_Index",
        10,
        200,
    ));
    let (code, message) = refused!(half);
    assert_eq!(code, "ValidationException");
    assert!(message.starts_with("The provisioned throughput for the index GSI_Index will not change."), "{message}");
    assert_eq!(aws.described().await.table_status, Some(TableStatus::Active));
    let (code, message) = refused!(aws.change().provisioned_throughput(units(20, 40_001)));
    assert_eq!(code, "LimitExceededException");
    assert!(message.contains("is above the per table maximum"), "{message}");
    assert_eq!(refused!(aws.change()).0, "ValidationException");
}

#[tokio::test(start_paused = true)]
async fn the_fifth_decrease_of_a_day_waits_an_hour_after_the_last_accepted_one() {
    let aws = Account::with_table().await;
    let set = |write| aws.change().provisioned_throughput(units(20, write));
    set(100).send().await.unwrap();
    aws.wait(20).await;
    for write in [90, 80, 70, 60] {
        set(write).send().await.unwrap();
        aws.wait(20).await;
    }
    let throughput = aws.described().await.provisioned_throughput.unwrap();
    assert_eq!(throughput.number_of_decreases_today, Some(4));
    assert!(throughput.last_decrease_date_time.is_some() && throughput.last_increase_date_time.is_some());
    let (code, message) = refused!(set(50));
    assert_eq!(code, "LimitExceededException");
    assert!(message.contains("Number of decreases today: 4."), "{message}");
    // The index has a budget of its own, but a combined call is refused whole.
    let combined = set(50).global_secondary_index_updates(resize("GSI_Index", 10, 9));
    assert_eq!(refused!(combined).0, "LimitExceededException");
    aws.change().global_secondary_index_updates(resize("GSI_Index", 10, 9)).send().await.unwrap();
    aws.wait(3_560).await;
    assert_eq!(refused!(set(50)).0, "LimitExceededException");
    set(61).send().await.unwrap();
    aws.wait(30).await;
    set(50).send().await.unwrap();
    aws.wait(20).await;
    assert_eq!(aws.described().await.provisioned_throughput.unwrap().number_of_decreases_today, Some(5));
    assert_eq!(refused!(set(49)).0, "LimitExceededException");
    assert_eq!(aws.host.with(|twin| twin.audit().quota_refusals), 4);
    // The world starts at 08:00 UTC: the budget is new at midnight.
    aws.wait(15 * 3_600).await;
    assert_eq!(aws.described().await.provisioned_throughput.unwrap().number_of_decreases_today, Some(0));
    set(49).send().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn keys_indexes_and_throughput_are_checked_on_creation() {
    let aws = Account::quiet();
    let extra = aws.plain_table().attribute_definitions(attribute("X", ScalarAttributeType::S));
    let (code, message) = refused!(extra);
    assert_eq!(code, "ValidationException");
    assert!(message.contains("does not exactly match number of attributes"), "{message}");
    let unused = aws.table().attribute_definitions(attribute("X", ScalarAttributeType::S));
    assert!(refused!(unused).1.contains("Some AttributeDefinitions are not used"));
    let local = LocalSecondaryIndex::builder().index_name("L").projection(everything());
    let foreign = local.clone().key_schema(key("SK", KeyType::Hash)).key_schema(key("PK", KeyType::Range));
    let foreign = aws.plain_table().local_secondary_indexes(foreign.build().unwrap());
    assert!(refused!(foreign).1.contains("does not have same leading hash key"));
    let undefined = local.key_schema(key("PK", KeyType::Hash)).key_schema(key("Y", KeyType::Range));
    let undefined = aws.plain_table().local_secondary_indexes(undefined.build().unwrap());
    assert!(refused!(undefined).1.contains("not defined in AttributeDefinitions"));
    let both = aws.plain_table().billing_mode(BillingMode::PayPerRequest);
    assert!(refused!(both).1.contains("Neither ReadCapacityUnits nor WriteCapacityUnits can be specified"));
    let none = aws.plain_table().set_provisioned_throughput(None);
    assert!(refused!(none).1.contains("must both be specified when BillingMode is PROVISIONED"));
    assert_eq!(refused!(aws.plain_table().provisioned_throughput(units(0, 1))).0, "ValidationException");
    assert!(aws.dynamodb.list_tables().send().await.unwrap().table_names().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_index_is_built_while_its_table_stays_active() {
    let aws = Account::with_table().await;
    let create = |name: &str| {
        let index = CreateGlobalSecondaryIndexAction::builder().index_name(name).projection(everything());
        let index = index.key_schema(key("SK", KeyType::Hash)).provisioned_throughput(units(5, 5)).build().unwrap();
        aws.change()
            .attribute_definitions(attribute("SK", ScalarAttributeType::S))
            .global_secondary_index_updates(GlobalSecondaryIndexUpdate::builder().create(index).build())
    };
    create("Second").send().await.unwrap();
    let table = aws.described().await;
    assert_eq!(table.table_status, Some(TableStatus::Active));
    let statuses: Vec<_> =
        table.global_secondary_indexes.unwrap().into_iter().map(|index| index.index_status.unwrap()).collect();
    assert_eq!(statuses, [IndexStatus::Active, IndexStatus::Creating]);
    assert_eq!(refused!(create("Third")).0, "LimitExceededException");
    assert_eq!(refused!(aws.change().provisioned_throughput(units(20, 30))).0, "ResourceInUseException");
    assert_eq!(refused!(aws.dynamodb.delete_table().table_name(TABLE)).0, "ResourceInUseException");
    aws.wait(420).await;
    assert_eq!(refused!(create("Second")).0, "ValidationException");
    let delete =
        aws_sdk_dynamodb::types::DeleteGlobalSecondaryIndexAction::builder().index_name("Second").build().unwrap();
    let delete = GlobalSecondaryIndexUpdate::builder().delete(delete).build();
    aws.change().global_secondary_index_updates(delete).send().await.unwrap();
    aws.wait(10).await;
    assert_eq!(aws.described().await.global_secondary_indexes.unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn billing_mode_switches_need_throughput_on_the_way_back() {
    let aws = Account::with_table().await;
    let on_demand = aws.change().billing_mode(BillingMode::PayPerRequest);
    on_demand.clone().send().await.unwrap();
    aws.wait(150).await;
    let table = aws.described().await;
    assert_eq!(table.billing_mode_summary.unwrap().billing_mode, Some(BillingMode::PayPerRequest));
    assert_eq!(table.provisioned_throughput.unwrap().write_capacity_units, Some(0));
    assert_eq!(refused!(aws.change().provisioned_throughput(units(1, 1))).0, "ValidationException");
    let back = aws.change().billing_mode(BillingMode::Provisioned);
    assert_eq!(refused!(back.clone()).0, "ValidationException");
    assert_eq!(refused!(back.clone().provisioned_throughput(units(20, 20))).0, "ValidationException");
    let back = back.provisioned_throughput(units(20, 20)).global_secondary_index_updates(resize("GSI_Index", 10, 10));
    back.clone().send().await.unwrap();
    aws.wait(150).await;
    for _ in 0..3 {
        on_demand.clone().send().await.unwrap();
        aws.wait(150).await;
        back.clone().send().await.unwrap();
        aws.wait(150).await;
    }
    assert_eq!(refused!(on_demand).0, "LimitExceededException");
}

#[tokio::test(start_paused = true)]
async fn recovery_time_to_live_stream_and_tags_are_set_and_read() {
    let aws = Account::with_table().await;
    let recovery = PointInTimeRecoverySpecification::builder().point_in_time_recovery_enabled(true).build().unwrap();
    let update = aws.dynamodb.update_continuous_backups().table_name(TABLE);
    update.point_in_time_recovery_specification(recovery).send().await.unwrap();
    let backups = aws.dynamodb.describe_continuous_backups().table_name(TABLE).send().await.unwrap();
    let recovery = backups.continuous_backups_description.unwrap().point_in_time_recovery_description.unwrap();
    assert_eq!(recovery.point_in_time_recovery_status, Some(PointInTimeRecoveryStatus::Enabled));

    let live = |enabled| {
        let specification = TimeToLiveSpecification::builder().attribute_name("ttl").enabled(enabled).build().unwrap();
        aws.dynamodb.update_time_to_live().table_name(TABLE).time_to_live_specification(specification)
    };
    assert_eq!(refused!(live(false)).1, "TimeToLive is already disabled");
    live(true).send().await.unwrap();
    let described = aws.dynamodb.describe_time_to_live().table_name(TABLE).send().await.unwrap();
    let description = described.time_to_live_description.unwrap();
    assert_eq!(description.time_to_live_status, Some(TimeToLiveStatus::Enabled));
    assert_eq!(refused!(live(false)).0, "ValidationException");
    aws.wait(3_600).await;
    live(false).send().await.unwrap();

    let stream = |on: bool| {
        let view = on.then_some(StreamViewType::KeysOnly);
        let specification =
            StreamSpecification::builder().stream_enabled(on).set_stream_view_type(view).build().unwrap();
        aws.change().stream_specification(specification)
    };
    assert_eq!(refused!(stream(true)).1, "Table already has an enabled stream: TableName: alleycat-races");
    stream(false).send().await.unwrap();
    aws.wait(15).await;
    assert_eq!(aws.described().await.stream_specification, None);

    let arn = aws.described().await.table_arn.unwrap();
    let mut tag = aws.dynamodb.tag_resource().resource_arn(&arn);
    for index in 0..15 {
        tag = tag.tags(Tag::builder().key(format!("k{index:02}")).value("v").build().unwrap());
    }
    tag.send().await.unwrap();
    aws.wait(2).await;
    aws.dynamodb.untag_resource().resource_arn(&arn).tag_keys("k00").send().await.unwrap();
    let list = aws.dynamodb.list_tags_of_resource().resource_arn(&arn);
    let first = list.clone().send().await.unwrap();
    let second = list.next_token(first.next_token().unwrap()).send().await.unwrap();
    assert_eq!((first.tags().len(), second.tags().len(), second.next_token()), (10, 5, None));
    let limits = aws.dynamodb.describe_limits().send().await.unwrap();
    assert_eq!(limits.table_max_write_capacity_units, Some(40_000));
}
