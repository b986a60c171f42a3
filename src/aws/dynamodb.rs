//! DynamoDB: tables as they exist, and the calls that change them. How a new table looks on the wire is in
//! `dynamodb/build.rs`.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::{
    error::BuildError,
    types::{
        BillingMode as SdkBilling, GlobalSecondaryIndexDescription, IndexStatus, KeyType, OnDemandThroughput,
        PointInTimeRecoverySpecification, PointInTimeRecoveryStatus, ProvisionedThroughputDescription,
        TableDescription, TableStatus, Tag, TimeToLiveSpecification, TimeToLiveStatus,
    },
};

use super::{Aws, errors};
use crate::{
    model::{
        BillingMode, CapacityFacts, CapacityUnits, ErrorClass, Failure, IndexFacts, LifecycleStatus, ResourceId,
        TableFacts,
    },
    plan::{CapacityChange, NewIndex, NewTable},
};

mod build;

impl Aws {
    /// DescribeTable; `None` when it does not exist. Backups, TTL and tags are other calls.
    pub(crate) async fn table(&self, name: &str) -> Result<Option<TableFacts>, Failure> {
        let answer = self.dynamodb.describe_table().table_name(name).send().await;
        match answer.map_err(|error| self.failure("dynamodb:DescribeTable", table(name), &error)) {
            Ok(answer) => Ok(answer.table().map(|description| table_facts(name, description))),
            Err(failure) if failure.class == ErrorClass::NotFound => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// DescribeContinuousBackups: whether point-in-time recovery is on. A table that is being created has none.
    pub(crate) async fn point_in_time_recovery(&self, name: &str) -> Result<bool, Failure> {
        let answer = self.dynamodb.describe_continuous_backups().table_name(name).send().await;
        match answer.map_err(|error| self.failure("dynamodb:DescribeContinuousBackups", table(name), &error)) {
            Ok(answer) => Ok(answer
                .continuous_backups_description()
                .and_then(|backups| backups.point_in_time_recovery_description())
                .and_then(|recovery| recovery.point_in_time_recovery_status())
                == Some(&PointInTimeRecoveryStatus::Enabled)),
            Err(failure) if absent(&failure) => Ok(false),
            Err(failure) => Err(failure),
        }
    }

    /// DescribeTimeToLive: the attribute, when TTL is on or being switched on.
    pub(crate) async fn time_to_live(&self, name: &str) -> Result<Option<String>, Failure> {
        let answer = self.dynamodb.describe_time_to_live().table_name(name).send().await;
        match answer.map_err(|error| self.failure("dynamodb:DescribeTimeToLive", table(name), &error)) {
            Ok(answer) => Ok(answer
                .time_to_live_description()
                .filter(|ttl| {
                    matches!(ttl.time_to_live_status(), Some(TimeToLiveStatus::Enabled | TimeToLiveStatus::Enabling))
                })
                .and_then(|ttl| ttl.attribute_name())
                .map(str::to_owned)),
            Err(failure) if absent(&failure) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// ListTagsOfResource, all pages.
    pub(crate) async fn table_tags(&self, name: &str, arn: &str) -> Result<BTreeMap<String, String>, Failure> {
        let mut tags = BTreeMap::new();
        let mut token: Option<String> = None;
        loop {
            let answer = self.dynamodb.list_tags_of_resource().resource_arn(arn).set_next_token(token).send().await;
            let answer = match answer.map_err(|error| self.failure("dynamodb:ListTagsOfResource", table(name), &error))
            {
                Ok(answer) => answer,
                Err(failure) if failure.class == ErrorClass::NotFound => return Ok(tags),
                Err(failure) => return Err(failure),
            };
            tags.extend(answer.tags().iter().map(|tag| (tag.key().to_owned(), tag.value().to_owned())));
            token = answer.next_token().filter(|token| !token.is_empty()).map(str::to_owned);
            if token.is_none() {
                return Ok(tags);
            }
        }
    }

    pub(super) async fn create_table(&self, new: &NewTable) -> Result<(), Failure> {
        const OPERATION: &str = "dynamodb:CreateTable";
        let name = &new.spec.name;
        let request = build::create_table(self.dynamodb.create_table(), new)
            .map_err(|error| incomplete(OPERATION, name, &error))?;
        request.send().await.map_err(|error| self.failure(OPERATION, table(name), &error))?;
        Ok(())
    }

    /// UpdateTable with new throughput. The live numbers are read just before: UpdateTable takes read and write
    /// together, so a number that the change leaves as it was observed is sent as it is now, and a part whose
    /// numbers are all live already is left out (AWS refuses a change that changes nothing).
    pub(super) async fn update_capacity(
        &self,
        change: &CapacityChange,
        observed: Option<&TableFacts>,
    ) -> Result<(), Failure> {
        const OPERATION: &str = "dynamodb:UpdateTable";
        let resource = table(&change.table);
        let live = self.table(&change.table).await?.ok_or_else(|| {
            let text = "the table does not exist".to_owned();
            errors::own(ErrorClass::NotFound, OPERATION, &resource.to_string(), "TableMissing", text)
        })?;
        let build_failed = |error: BuildError| incomplete(OPERATION, &change.table, &error);

        let mut request = self.dynamodb.update_table().table_name(&change.table);
        let mut parts = 0;
        if let Some(wanted) = change.capacity
            && let Some((read, write)) = merged(wanted, observed.map(|table| table.capacity), live.capacity)
        {
            request = request.provisioned_throughput(build::throughput(read, write).map_err(build_failed)?);
            parts += 1;
        }
        for index in &change.indexes {
            let Some(live) = live.global_secondary_indexes.get(&index.index) else { continue };
            let observed = observed.and_then(|table| table.global_secondary_indexes.get(&index.index));
            let Some((read, write)) =
                merged((index.read, index.write), observed.map(|index| index.capacity), live.capacity)
            else {
                continue;
            };
            let update = build::index_throughput(&index.index, read, write).map_err(build_failed)?;
            request = request.global_secondary_index_updates(update);
            parts += 1;
        }
        if parts == 0 {
            let text = "the live capacity is already as wanted; nothing was sent".to_owned();
            return Err(errors::own(ErrorClass::NoChange, OPERATION, &resource.to_string(), "NoChange", text));
        }
        request.send().await.map_err(|error| self.failure(OPERATION, resource, &error))?;
        Ok(())
    }

    /// UpdateTable with another billing mode; to provisioned it carries all throughput, which AWS asks for.
    pub(super) async fn update_billing_mode(&self, to: BillingMode, change: &CapacityChange) -> Result<(), Failure> {
        const OPERATION: &str = "dynamodb:UpdateTable";
        let build_failed = |error: BuildError| incomplete(OPERATION, &change.table, &error);
        let mode = if to == BillingMode::OnDemand { SdkBilling::PayPerRequest } else { SdkBilling::Provisioned };
        let mut request = self.dynamodb.update_table().table_name(&change.table).billing_mode(mode);
        if let Some((read, write)) = change.capacity {
            request = request.provisioned_throughput(build::throughput(read, write).map_err(build_failed)?);
        }
        for index in &change.indexes {
            let update = build::index_throughput(&index.index, index.read, index.write).map_err(build_failed)?;
            request = request.global_secondary_index_updates(update);
        }
        request.send().await.map_err(|error| self.failure(OPERATION, table(&change.table), &error))?;
        Ok(())
    }

    pub(super) async fn create_index(&self, name: &str, index: &NewIndex) -> Result<(), Failure> {
        const OPERATION: &str = "dynamodb:UpdateTable";
        let resource = ResourceId::Index(name.to_owned(), index.spec.name.clone());
        let request = build::create_index(self.dynamodb.update_table().table_name(name), index)
            .map_err(|error| incomplete(OPERATION, name, &error))?;
        request.send().await.map_err(|error| self.failure(OPERATION, resource, &error))?;
        Ok(())
    }

    pub(super) async fn update_table_stream(&self, name: &str, view_type: Option<&str>) -> Result<(), Failure> {
        const OPERATION: &str = "dynamodb:UpdateTable";
        let stream = build::stream(view_type).map_err(|error| incomplete(OPERATION, name, &error))?;
        let answer = self.dynamodb.update_table().table_name(name).stream_specification(stream).send().await;
        answer.map_err(|error| self.failure(OPERATION, table(name), &error))?;
        Ok(())
    }

    pub(super) async fn update_deletion_protection(&self, name: &str, enabled: bool) -> Result<(), Failure> {
        let answer = self.dynamodb.update_table().table_name(name).deletion_protection_enabled(enabled).send().await;
        answer.map_err(|error| self.failure("dynamodb:UpdateTable", table(name), &error))?;
        Ok(())
    }

    pub(super) async fn update_point_in_time_recovery(&self, name: &str, enabled: bool) -> Result<(), Failure> {
        const OPERATION: &str = "dynamodb:UpdateContinuousBackups";
        let recovery = PointInTimeRecoverySpecification::builder()
            .point_in_time_recovery_enabled(enabled)
            .build()
            .map_err(|error| incomplete(OPERATION, name, &error))?;
        let request = self.dynamodb.update_continuous_backups().table_name(name);
        let answer = request.point_in_time_recovery_specification(recovery).send().await;
        answer.map_err(|error| self.failure(OPERATION, table(name), &error))?;
        Ok(())
    }

    pub(super) async fn update_time_to_live(&self, name: &str, attribute: &str, enabled: bool) -> Result<(), Failure> {
        const OPERATION: &str = "dynamodb:UpdateTimeToLive";
        let ttl = TimeToLiveSpecification::builder()
            .enabled(enabled)
            .attribute_name(attribute)
            .build()
            .map_err(|error| incomplete(OPERATION, name, &error))?;
        let answer = self.dynamodb.update_time_to_live().table_name(name).time_to_live_specification(ttl).send().await;
        answer.map_err(|error| self.failure(OPERATION, table(name), &error))?;
        Ok(())
    }

    pub(super) async fn tag_table(
        &self,
        name: &str,
        arn: &str,
        tags: &BTreeMap<String, String>,
    ) -> Result<(), Failure> {
        const OPERATION: &str = "dynamodb:TagResource";
        let mut request = self.dynamodb.tag_resource().resource_arn(arn);
        for (key, value) in tags {
            let tag = Tag::builder().key(key).value(value).build();
            request = request.tags(tag.map_err(|error| incomplete(OPERATION, name, &error))?);
        }
        request.send().await.map_err(|error| self.failure(OPERATION, table(name), &error))?;
        Ok(())
    }

    pub(super) async fn delete_table(&self, name: &str) -> Result<(), Failure> {
        let answer = self.dynamodb.delete_table().table_name(name).send().await;
        answer.map_err(|error| self.failure("dynamodb:DeleteTable", table(name), &error))?;
        Ok(())
    }
}

fn table(name: &str) -> ResourceId {
    ResourceId::Table(name.to_owned())
}

fn incomplete(operation: &str, name: &str, error: &BuildError) -> Failure {
    errors::own(ErrorClass::Invalid, operation, &table(name).to_string(), "InvalidRequest", error.to_string())
}

/// No such setting yet (the table is being created), or an endpoint that does not know the operation.
fn absent(failure: &Failure) -> bool {
    failure.class == ErrorClass::NotFound || errors::is_unsupported(failure)
}

/// The (read, write) to send: what is wanted where the change moves away from what was observed, otherwise what
/// is live. `None` when both are live already.
fn merged(
    (read, write): (CapacityUnits, CapacityUnits),
    observed: Option<CapacityFacts>,
    live: CapacityFacts,
) -> Option<(CapacityUnits, CapacityUnits)> {
    let observed = observed.unwrap_or(live);
    let read = if read == observed.read { live.read } else { read };
    let write = if write == observed.write { live.write } else { write };
    ((read, write) != (live.read, live.write)).then_some((read, write))
}

fn table_facts(name: &str, found: &TableDescription) -> TableFacts {
    // BillingModeSummary is absent on tables born provisioned (DynamoDB API, TableDescription).
    let on_demand =
        found.billing_mode_summary().and_then(|summary| summary.billing_mode()) == Some(&SdkBilling::PayPerRequest);
    let key = |wanted: KeyType, schema: &[aws_sdk_dynamodb::types::KeySchemaElement]| {
        let attribute = schema.iter().find(|element| *element.key_type() == wanted)?.attribute_name();
        let kind = found
            .attribute_definitions()
            .iter()
            .find(|definition| definition.attribute_name() == attribute)
            .map_or("?", |definition| definition.attribute_type().as_str());
        Some(format!("{attribute}:{kind}"))
    };
    let index = |index: &GlobalSecondaryIndexDescription| IndexFacts {
        name: index.index_name().unwrap_or_default().to_owned(),
        status: match index.index_status() {
            Some(IndexStatus::Active) => LifecycleStatus::Active,
            Some(IndexStatus::Creating) => LifecycleStatus::Creating,
            Some(IndexStatus::Updating) => LifecycleStatus::Updating,
            Some(IndexStatus::Deleting) => LifecycleStatus::Deleting,
            _ => LifecycleStatus::Other,
        },
        partition_key: key(KeyType::Hash, index.key_schema()).unwrap_or_default(),
        sort_key: key(KeyType::Range, index.key_schema()),
        capacity: capacity(index.provisioned_throughput()),
    };
    let mut local: Vec<String> =
        found.local_secondary_indexes().iter().filter_map(|index| index.index_name()).map(str::to_owned).collect();
    local.sort();
    TableFacts {
        name: found.table_name().unwrap_or(name).to_owned(),
        arn: found.table_arn().unwrap_or_default().to_owned(),
        id: found.table_id().map(str::to_owned),
        status: match found.table_status() {
            Some(TableStatus::Active) => LifecycleStatus::Active,
            Some(TableStatus::Creating) => LifecycleStatus::Creating,
            Some(TableStatus::Updating) => LifecycleStatus::Updating,
            Some(TableStatus::Deleting) => LifecycleStatus::Deleting,
            _ => LifecycleStatus::Other,
        },
        billing_mode: if on_demand { BillingMode::OnDemand } else { BillingMode::Provisioned },
        capacity: capacity(found.provisioned_throughput()),
        partition_key: key(KeyType::Hash, found.key_schema()).unwrap_or_default(),
        sort_key: key(KeyType::Range, found.key_schema()),
        global_secondary_indexes: found
            .global_secondary_indexes()
            .iter()
            .map(index)
            .map(|index| (index.name.clone(), index))
            .collect(),
        local_secondary_indexes: local,
        stream_view_type: found
            .stream_specification()
            .filter(|stream| stream.stream_enabled())
            .and_then(|stream| stream.stream_view_type())
            .map(|view| view.as_str().to_owned()),
        time_to_live: None,
        point_in_time_recovery: false,
        deletion_protection: found.deletion_protection_enabled().unwrap_or(false),
        // -1 is "no maximum" (DynamoDB API, OnDemandThroughput).
        on_demand_maximum_write: found
            .on_demand_throughput()
            .and_then(OnDemandThroughput::max_write_request_units)
            .and_then(|units| units.try_into().ok()),
        tags: BTreeMap::new(),
    }
}

fn capacity(found: Option<&ProvisionedThroughputDescription>) -> CapacityFacts {
    let units = |value: Option<i64>| CapacityUnits(value.and_then(|value| value.try_into().ok()).unwrap_or(0));
    CapacityFacts {
        read: units(found.and_then(ProvisionedThroughputDescription::read_capacity_units)),
        write: units(found.and_then(ProvisionedThroughputDescription::write_capacity_units)),
        decreases_today: found
            .and_then(ProvisionedThroughputDescription::number_of_decreases_today)
            .and_then(|count| count.try_into().ok())
            .unwrap_or(0),
        // Some answers carry the epoch for "never".
        last_decrease: found
            .and_then(ProvisionedThroughputDescription::last_decrease_date_time)
            .filter(|moment| moment.secs() > 0)
            .and_then(super::timestamp),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(read: u64, write: u64) -> CapacityFacts {
        CapacityFacts {
            read: CapacityUnits(read),
            write: CapacityUnits(write),
            decreases_today: 0,
            last_decrease: None,
        }
    }

    #[test]
    fn a_number_the_change_leaves_alone_is_sent_as_it_is_live() {
        let wanted = (CapacityUnits(20), CapacityUnits(100));
        // Someone raised reads from 20 to 50 after the observation.
        let sent = merged(wanted, Some(facts(20, 20)), facts(50, 20));
        assert_eq!(sent, Some((CapacityUnits(50), CapacityUnits(100))));
        assert_eq!(merged(wanted, Some(facts(20, 20)), facts(20, 100)), None);
        assert_eq!(merged(wanted, None, facts(20, 20)), Some(wanted));
    }
}
