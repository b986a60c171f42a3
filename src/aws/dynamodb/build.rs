//! Requests for new tables and indexes.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::{
    error::BuildError,
    operation::{create_table::builders::CreateTableFluentBuilder, update_table::builders::UpdateTableFluentBuilder},
    types::{
        AttributeDefinition, BillingMode as SdkBilling, CreateGlobalSecondaryIndexAction, GlobalSecondaryIndex,
        GlobalSecondaryIndexUpdate, KeySchemaElement, KeyType, LocalSecondaryIndex, Projection as SdkProjection,
        ProjectionType, ProvisionedThroughput, ScalarAttributeType, StreamSpecification, StreamViewType, Tag,
        UpdateGlobalSecondaryIndexAction,
    },
};

use crate::{
    model::{BillingMode, CapacityUnits},
    plan::{NewIndex, NewTable},
    spec::{GlobalIndexSpec, KeyAttribute, LocalIndexSpec, Projection},
};

/// CreateTable with its indexes, stream, protection, tags and, when provisioned, the initial throughput.
pub(super) fn create_table(
    mut request: CreateTableFluentBuilder,
    new: &NewTable,
) -> Result<CreateTableFluentBuilder, BuildError> {
    let spec = &new.spec;
    let provisioned = spec.billing_mode.initial() == BillingMode::Provisioned;
    request = request
        .table_name(&spec.name)
        .set_key_schema(Some(key_schema(&spec.partition_key, spec.sort_key.as_ref())?))
        .deletion_protection_enabled(spec.deletion_protection)
        .billing_mode(if provisioned { SdkBilling::Provisioned } else { SdkBilling::PayPerRequest });
    if provisioned {
        request = request.provisioned_throughput(throughput(spec.read_capacity.initial, spec.write_capacity.initial)?);
    }
    for index in &spec.global_secondary_indexes {
        let mut builder = GlobalSecondaryIndex::builder()
            .index_name(&index.name)
            .set_key_schema(Some(key_schema(&index.partition_key, index.sort_key.as_ref())?))
            .projection(projection(&index.projection));
        if provisioned {
            builder =
                builder.provisioned_throughput(throughput(index.read_capacity.initial, index.write_capacity.initial)?);
        }
        request = request.global_secondary_indexes(builder.build()?);
    }
    for index in &spec.local_secondary_indexes {
        request = request.local_secondary_indexes(local_index(&spec.partition_key, index)?);
    }
    if let Some(view_type) = &spec.stream_view_type {
        request = request.stream_specification(stream(Some(view_type))?);
    }
    let mut keys = vec![&spec.partition_key];
    keys.extend(&spec.sort_key);
    keys.extend(spec.global_secondary_indexes.iter().flat_map(index_keys));
    keys.extend(spec.local_secondary_indexes.iter().map(|index| &index.sort_key));
    request = request.set_attribute_definitions(Some(attribute_definitions(&keys)?));
    for (key, value) in &new.tags {
        request = request.tags(Tag::builder().key(key).value(value).build()?);
    }
    Ok(request)
}

/// UpdateTable with one new index and the definitions of its keys.
pub(super) fn create_index(
    request: UpdateTableFluentBuilder,
    index: &NewIndex,
) -> Result<UpdateTableFluentBuilder, BuildError> {
    let spec = &index.spec;
    let mut action = CreateGlobalSecondaryIndexAction::builder()
        .index_name(&spec.name)
        .set_key_schema(Some(key_schema(&spec.partition_key, spec.sort_key.as_ref())?))
        .projection(projection(&spec.projection));
    if index.provisioned {
        action = action.provisioned_throughput(throughput(spec.read_capacity.initial, spec.write_capacity.initial)?);
    }
    let keys: Vec<&KeyAttribute> = index_keys(spec).collect();
    Ok(request
        .set_attribute_definitions(Some(attribute_definitions(&keys)?))
        .global_secondary_index_updates(GlobalSecondaryIndexUpdate::builder().create(action.build()?).build()))
}

/// The table's stream, on with a view type or off.
pub(super) fn stream(view_type: Option<&str>) -> Result<StreamSpecification, BuildError> {
    StreamSpecification::builder()
        .stream_enabled(view_type.is_some())
        .set_stream_view_type(view_type.map(StreamViewType::from))
        .build()
}

/// Both numbers of a ProvisionedThroughput.
pub(super) fn throughput(read: CapacityUnits, write: CapacityUnits) -> Result<ProvisionedThroughput, BuildError> {
    let units = |value: CapacityUnits| i64::try_from(value.get()).unwrap_or(i64::MAX);
    ProvisionedThroughput::builder().read_capacity_units(units(read)).write_capacity_units(units(write)).build()
}

/// New throughput of one index, as a part of UpdateTable.
pub(super) fn index_throughput(
    name: &str,
    read: CapacityUnits,
    write: CapacityUnits,
) -> Result<GlobalSecondaryIndexUpdate, BuildError> {
    let action = UpdateGlobalSecondaryIndexAction::builder();
    let action = action.index_name(name).provisioned_throughput(throughput(read, write)?).build()?;
    Ok(GlobalSecondaryIndexUpdate::builder().update(action).build())
}

fn index_keys(index: &GlobalIndexSpec) -> impl Iterator<Item = &KeyAttribute> {
    std::iter::once(&index.partition_key).chain(&index.sort_key)
}

fn local_index(partition_key: &KeyAttribute, index: &LocalIndexSpec) -> Result<LocalSecondaryIndex, BuildError> {
    LocalSecondaryIndex::builder()
        .index_name(&index.name)
        .set_key_schema(Some(key_schema(partition_key, Some(&index.sort_key))?))
        .projection(projection(&index.projection))
        .build()
}

fn key_schema(partition: &KeyAttribute, sort: Option<&KeyAttribute>) -> Result<Vec<KeySchemaElement>, BuildError> {
    let element = |key: &KeyAttribute, kind: KeyType| {
        KeySchemaElement::builder().attribute_name(&key.name).key_type(kind).build()
    };
    let mut schema = vec![element(partition, KeyType::Hash)?];
    if let Some(sort) = sort {
        schema.push(element(sort, KeyType::Range)?);
    }
    Ok(schema)
}

/// Each key attribute once, by name: AWS refuses both a missing and a superfluous definition.
fn attribute_definitions(keys: &[&KeyAttribute]) -> Result<Vec<AttributeDefinition>, BuildError> {
    let unique: BTreeMap<&str, &str> = keys.iter().map(|key| (key.name.as_str(), key.kind.as_str())).collect();
    unique
        .into_iter()
        .map(|(name, kind)| {
            AttributeDefinition::builder().attribute_name(name).attribute_type(ScalarAttributeType::from(kind)).build()
        })
        .collect()
}

fn projection(projection: &Projection) -> SdkProjection {
    let builder = SdkProjection::builder();
    match projection {
        Projection::All => builder.projection_type(ProjectionType::All),
        Projection::KeysOnly => builder.projection_type(ProjectionType::KeysOnly),
        Projection::Include(attributes) => {
            builder.projection_type(ProjectionType::Include).set_non_key_attributes(Some(attributes.clone()))
        }
    }
    .build()
}
