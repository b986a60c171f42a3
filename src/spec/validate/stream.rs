//! `spec.stream`. Ranges: Kinesis API reference (UpdateShardCount, IncreaseStreamRetentionPeriod, StreamName).

use super::{ADOPTION, DELETION, empty_list};
use crate::model::{Bounds, Hours, ShardCount, StreamMode};
use crate::spec::pipeline::{AdoptionPolicy, DeletionPolicy, Encryption, StreamSpec};
use crate::spec::problem;
use crate::spec::reader::{Field, Object, Reader};
use crate::spec::text;

const FIELDS: [&str; 8] = [
    "name",
    "streamMode",
    "shards",
    "retention",
    "shardLevelMetrics",
    "encryption",
    "adoptionPolicy",
    "deletionPolicy",
];

/// The most that UpdateShardCount scales to by default.
const MOST_SHARDS: i128 = 10_000;
const HOUR: i64 = 3_600;

pub(super) fn read(reader: &mut Reader, field: &Field<'_>) -> Option<StreamSpec> {
    let object = reader.object(field, &FIELDS)?;
    let name = reader.require(&object, "name", "the name of the stream");
    let name = name.and_then(|field| reader.checked(&field, |text| text::name(text, "_.-", 1, 128)));
    let mode = mode(reader, &object);
    let shards = reader.require(&object, "shards", "`shards: {min: 1, max: 16}`, or one number: pinned");
    let shards = shards.and_then(|field| self::shards(reader, &field));
    let day = Bounds::pinned(Hours(24));
    let retention = reader.or(&object, "retention", day, |reader, field| reader.bounds(field, hours));
    empty_list(
        reader,
        &object,
        "shardLevelMetrics",
        "shard-level metrics",
        "leave it out, or empty: `[]`; the operator works from stream-level metrics",
    );
    if let Some(field) = object.get("encryption")
        && reader.text(&field).is_some_and(|text| text != "none")
    {
        reader.unsupported(&field, "encryption", "write `none`, or leave it out: what the stream has is kept");
    }
    let adoption = reader.or(&object, "adoptionPolicy", AdoptionPolicy::Refuse, |r, f| r.word(f, &ADOPTION));
    let deletion = reader.or(&object, "deletionPolicy", DeletionPolicy::Retain, |r, f| r.word(f, &DELETION));
    Some(StreamSpec {
        name: name?,
        mode: mode?,
        shards: shards?,
        retention: retention?,
        shard_level_metrics: Vec::new(),
        encryption: Encryption::None,
        adoption_policy: adoption?,
        deletion_policy: deletion?,
    })
}

/// Shard bounds; consumers read them a second time, without noting their problems twice.
pub(super) fn shards(reader: &mut Reader, field: &Field<'_>) -> Option<Bounds<ShardCount>> {
    reader.bounds(field, |reader, field| reader.integer(field, 1..=MOST_SHARDS).map(ShardCount))
}

fn mode(reader: &mut Reader, object: &Object<'_>) -> Option<StreamMode> {
    let words = [("provisioned", StreamMode::Provisioned), ("onDemand", StreamMode::OnDemand)];
    let mode = reader.or(object, "streamMode", StreamMode::Provisioned, |r, f| r.word(f, &words))?;
    if mode == StreamMode::OnDemand
        && let Some(field) = object.get("streamMode")
    {
        reader.unsupported(&field, "on-demand streams", "write `provisioned`: the operator sets the shard count");
    }
    Some(mode)
}

/// Retention in whole hours, 24 h to 365 d.
fn hours(reader: &mut Reader, field: &Field<'_>) -> Option<Hours> {
    let seconds = reader.duration(field, 24 * HOUR..=8_760 * HOUR)?.as_secs();
    if seconds % HOUR != 0 {
        reader.report(field, problem::MALFORMED, "retention is counted in whole hours", "e.g. `24h` or `7d`");
        return None;
    }
    u32::try_from(seconds / HOUR).ok().map(Hours)
}
