//! Hot shards against shards too few, on both sides of their thresholds.

use std::collections::BTreeMap;

use super::{
    Confidence,
    Diagnosis::*,
    Severity,
    scene::{Scene, minute, steady},
    tests::sides,
};
use crate::model::{ShardCount, ShardFacts, ShardSignals};

#[test]
fn a_hot_shard_rejects_while_the_stream_has_room() {
    let load = |records: f64| {
        move |scene: &mut Scene| {
            scene.signals.stream.incoming_records = steady(records * 60.0);
            scene.signals.stream.rejected_records = steady(20.0 * 60.0);
        }
    };
    // Two shards: 1,380 of 2,000 records/s are 70 % with what is rejected.
    sides(HotShard, load(1400.0), load(1370.0));
    assert_eq!(Scene::with(load(1370.0)).finding(HotShard).confidence, Confidence::Medium);
    // A single shard is not hotter than itself: its bursts exceed it.
    let alone = Scene::with(|scene| {
        load(500.0)(scene);
        scene.stream().open_shards = ShardCount(1);
    });
    let finding = alone.finding(IngestShort);
    assert!(finding.summary.contains("bursts"), "{}", finding.summary);
}

#[test]
fn a_shard_with_most_of_the_hash_keys_is_short_not_hot() {
    // Three shards for 1,500 records/s; one has half of the keys, unless all have a third.
    let divided = |first: u128| {
        Scene::with(|scene| {
            scene.signals.stream.incoming_records = steady(1450.0 * 60.0);
            scene.signals.stream.rejected_records = steady(50.0 * 60.0);
            scene.stream().open_shards = ShardCount(3);
            let rest = (u128::MAX - first) / 2;
            let ranges = [(0, first), (first, first + rest), (first + rest, u128::MAX)];
            scene.stream().shards = ranges
                .iter()
                .map(|(first, last)| ShardFacts {
                    id: format!("shardId-{first}"),
                    starting_hash_key: first.to_string(),
                    ending_hash_key: (last - 1).to_string(),
                })
                .collect();
        })
    };
    let finding = divided(u128::MAX / 2).finding(IngestShort);
    assert!(finding.summary.contains("most hash keys is offered 75 %"), "{}", finding.summary);
    assert!(divided(u128::MAX / 3).codes().contains(&HotShard));
    // 1,700 records/s without rejections: 57 % of three shards, and 85 % of one with half of the keys.
    let calm = |first: u128| {
        let mut scene = divided(first);
        scene.signals.stream.incoming_records = steady(1700.0 * 60.0);
        scene.signals.stream.rejected_records = steady(0.0);
        scene.codes().contains(&IngestShort)
    };
    assert!(calm(u128::MAX / 2));
    assert!(!calm(u128::MAX / 3));
}

#[test]
fn what_the_shards_before_a_reshard_rejected_makes_none_of_the_new_ones_hot() {
    // Two shards took 2,000 of 4,000 records/s; of the eight since then nothing is measured yet.
    let resharded = |ago: i64| {
        Scene::with(|scene| {
            scene.signals.stream.incoming_records = steady(2000.0 * 60.0);
            scene.signals.stream.rejected_records = steady(2000.0 * 60.0);
            scene.stream().open_shards = ShardCount(8);
            scene.resharded = Some(minute(ago));
        })
    };
    let young = resharded(2);
    assert!(!young.codes().contains(&HotShard), "{:#?}", young.findings());
    let finding = young.finding(IngestShort);
    assert!(finding.summary.contains("before the last reshard"), "{}", finding.summary);
    assert!(finding.remedy.starts_with("Wait"), "{}", finding.remedy);
    assert!(resharded(3).codes().contains(&HotShard));
}

#[test]
fn a_hot_shard_is_named_where_shards_have_metrics() {
    let shards = |hot: f64| {
        move |scene: &mut Scene| {
            let shard = |rate: f64| ShardSignals {
                incoming_records: steady(rate * 60.0),
                incoming_bytes: steady(rate * 60.0 * 500.0),
                rejected_records: steady(0.0),
            };
            scene.stream().open_shards = ShardCount(3);
            scene.signals.stream.shards =
                BTreeMap::from([("a", 10.0), ("b", hot), ("c", 10.0)].map(|(id, rate)| (id.to_owned(), shard(rate))));
        }
    };
    sides(HotShard, shards(740.0), shards(760.0));
    let finding = Scene::with(shards(800.0)).finding(HotShard);
    assert!(finding.summary.contains("b is 80 % used"), "{}", finding.summary);
    assert_eq!((finding.severity, finding.confidence), (Severity::Warning, Confidence::High));
}
