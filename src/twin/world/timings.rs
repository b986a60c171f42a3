//! How long the simulated AWS takes: every default of the control plane in one place, each with its
//! source or marked as an assumption (AWS publishes few of them).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Durations of the simulated control plane, in seconds unless the name says otherwise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Timings {
    /// CREATING of a stream. Assumption: AWS says only "asynchronous"; Terraform waits in the tens of seconds.
    #[schemars(range(min = 0.0, max = 86_400.0))]
    pub create_stream: f64,
    /// Base time of UpdateShardCount. Assumption: "a few minutes" in the API reference, less when small.
    #[schemars(range(min = 0.0, max = 86_400.0))]
    pub reshard_base: f64,
    /// Added for each shard that UpdateShardCount opens or closes. Assumption.
    #[schemars(range(min = 0.0, max = 86_400.0))]
    pub reshard_per_shard: f64,
    /// UPDATING after a retention, encryption or monitoring change. Assumption.
    #[schemars(range(min = 0.0, max = 86_400.0))]
    pub stream_setting_update: f64,
    /// DELETING of a stream. Assumption.
    #[schemars(range(min = 0.0, max = 86_400.0))]
    pub delete_stream: f64,
    /// CREATING of an enhanced fan-out consumer. Assumption.
    #[schemars(range(min = 0.0, max = 86_400.0))]
    pub consumer_create: f64,
    /// CREATING of a table. Assumption, after public probes of small tables.
    #[schemars(range(min = 0.0, max = 86_400.0))]
    pub table_create: f64,
    /// UPDATING after a throughput change. Assumption: probes of tiny tables saw 1–2 s, the developer guide
    /// says "several minutes".
    #[schemars(range(min = 0.0, max = 86_400.0))]
    pub table_update: f64,
    /// UPDATING after a billing mode switch. Public probes: 129–172 s to on-demand, 60–98 s back.
    #[schemars(range(min = 0.0, max = 86_400.0))]
    pub billing_mode_update: f64,
    /// CREATING of a global secondary index. Public probes: 7–16 minutes even on small tables.
    #[schemars(range(min = 0.0, max = 86_400.0))]
    pub index_create: f64,
    /// DELETING of a table or index. Assumption.
    #[schemars(range(min = 0.0, max = 86_400.0))]
    pub table_delete: f64,
    /// Creating → Enabled of a mapping. Lambda's guide: "may take several minutes". Assumption.
    #[schemars(range(min = 0.0, max = 86_400.0))]
    pub mapping_create: f64,
    /// Updating → Enabled of a mapping. Lambda's guide: "may take several minutes". Assumption.
    #[schemars(range(min = 0.0, max = 86_400.0))]
    pub mapping_update: f64,
    /// Deleting → gone of a mapping. Assumption.
    #[schemars(range(min = 0.0, max = 86_400.0))]
    pub mapping_delete: f64,
    /// From the end of a minute until its metrics can be read. Not documented by CloudWatch. Assumption.
    #[schemars(range(min = 0.0, max = 86_400.0))]
    pub metric_delay: f64,
    /// Answer time of one API request, in milliseconds. Assumption.
    pub api_latency_ms: u32,
    /// Whether AddTagsToStream is refused while the stream is UPDATING. Assumption: AWS documents it for
    /// streams that are being created.
    pub refuse_tags_while_updating: bool,
}

impl Default for Timings {
    fn default() -> Self {
        Self {
            create_stream: 20.0,
            reshard_base: 60.0,
            reshard_per_shard: 1.5,
            stream_setting_update: 10.0,
            delete_stream: 20.0,
            consumer_create: 10.0,
            table_create: 8.0,
            table_update: 15.0,
            billing_mode_update: 150.0,
            index_create: 420.0,
            table_delete: 8.0,
            mapping_create: 20.0,
            mapping_update: 20.0,
            mapping_delete: 10.0,
            metric_delay: 60.0,
            api_latency_ms: 25,
            refuse_tags_while_updating: true,
        }
    }
}
