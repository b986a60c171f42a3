//! What is done when all ten UpdateShardCount calls are used and the stream still rejects records: shards are split
//! one by one. Only where the spec's `breakGlass` says so.
//!
//! SplitShard is not one of the ten calls a day (Kinesis API reference, UpdateShardCount: the limit is of that
//! operation), but a stream takes one at a time, so it is the slow way.

use crate::{
    model::{ShardCount, StreamFacts},
    spec::{BreakGlass, Pipeline},
};

use super::{Split, Target, stream::ShardDemand};

/// The shard to split now, if the way is open: the one with the widest range of hash keys, in its middle.
pub(super) fn split(
    pipeline: &Pipeline,
    stream: &StreamFacts,
    demand: &ShardDemand,
    bound: ShardCount,
) -> Option<Target<Split>> {
    let wanted = demand.wanted > stream.open_shards && stream.open_shards < bound;
    if !wanted || !pipeline.scaling.break_glass.contains(&BreakGlass::SplitShard) {
        return None;
    }
    let ranges = stream.shards.iter().filter_map(|shard| {
        let (first, last): (u128, u128) = (shard.starting_hash_key.parse().ok()?, shard.ending_hash_key.parse().ok()?);
        Some((last.checked_sub(first)?, first, shard))
    });
    // Of several equally wide ones the first.
    let (width, first, shard) = ranges.rev().max_by_key(|(width, ..)| *width).filter(|(width, ..)| *width > 1)?;
    let value = Split { shard: shard.id.clone(), new_hash_key: (first + width / 2 + 1).to_string() };
    let reason = format!("break-glass, all ten UpdateShardCount calls are used: {}", demand.reason);
    Some(Target { value, reason })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::ShardFacts,
        scale::tests::{Load, Scene, shards},
    };

    /// Records are rejected; the shards' ranges are given in 64ths.
    fn scene(ranges: &[(u128, u128)]) -> Scene {
        let mut scene = Scene::new();
        scene.set_write(4000, 2000);
        let ranges = ranges.iter().enumerate().map(|(index, (first, last))| ShardFacts {
            id: format!("shardId-{index:012}"),
            starting_hash_key: (first << 122).to_string(),
            ending_hash_key: ((last << 122) - 1).to_string(),
        });
        scene.stream().shards = ranges.collect();
        scene.stream().open_shards = ShardCount(scene.stream().shards.len() as u32);
        scene.memory.reshards.exhausted_until = Some(scene.now + jiff::SignedDuration::from_hours(24));
        scene
    }

    fn split_of(scene: &mut Scene) -> Option<Split> {
        let sizing = scene.cycle(&Load { records: 3000.0, rejected: 300.0, ..Load::race() }).1;
        assert_eq!(shards(&sizing), None);
        sizing.targets.split.map(|target| target.value)
    }

    #[test]
    fn the_widest_shard_is_split_in_its_middle_once_the_quota_is_used_up() {
        let mut scene = scene(&[(0, 16), (16, 48), (48, 63)]);
        assert_eq!(split_of(&mut scene), None, "not allowed by the spec");
        scene.pipeline.scaling.break_glass = vec![BreakGlass::SplitShard];
        let expected = Split { shard: "shardId-000000000001".into(), new_hash_key: (32_u128 << 122).to_string() };
        assert_eq!(split_of(&mut scene), Some(expected));
        scene.memory.reshards.exhausted_until = None;
        let sizing = scene.cycle(&Load { records: 3000.0, rejected: 300.0, ..Load::race() }).1;
        assert_eq!(sizing.targets.split, None, "UpdateShardCount is possible again");
        assert!(shards(&sizing).is_some());
    }

    #[test]
    fn no_split_beyond_the_bound_or_of_a_range_that_cannot_be_read() {
        let mut scene = self::scene(&[(0, 63)]);
        scene.pipeline.scaling.break_glass = vec![BreakGlass::SplitShard];
        scene.pipeline.stream.shards.max = ShardCount(1);
        assert_eq!(split_of(&mut scene), None);
        scene.pipeline.stream.shards.max = ShardCount(16);
        scene.stream().shards[0].ending_hash_key = "?".into();
        assert_eq!(split_of(&mut scene), None);
    }
}
