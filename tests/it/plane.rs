//! The twin's data plane against the published walk-through of Alleycat, and what must hold in any world.

#![allow(clippy::unwrap_used, reason = "tests")]

mod poller;

use std::collections::BTreeMap;

use alleycat_operator::twin::World;
use alleycat_operator::twin::plane::{MINUTE_MS, MappingConfig, Plane, Start, Stat, TableConfig};

const LEADERBOARD: &str = "alleycat-TumblingWindowFunction";
const FINALS: &str = "alleycat-FinalResultsFunction";
const TABLE: &str = "alleycat-races";
const HOUR_MS: i64 = 3_600_000;
const KINESIS: [(&str, &str); 1] = [("StreamName", "alleycat")];
const ON_TABLE: [(&str, &str); 1] = [("TableName", TABLE)];

/// What a run is set up with; the default is the template.
#[derive(Clone)]
struct Setup {
    world: World,
    seed: u64,
    shards: u32,
    factor: u32,
    write: u64,
    index_write: u64,
}

fn template() -> Setup {
    Setup { world: World::alleycat(), seed: 1, shards: 1, factor: 1, write: 20, index_write: 10 }
}

fn mapping(function: &str, batch_size: u32, factor: u32) -> MappingConfig {
    MappingConfig {
        stream: "alleycat".into(),
        function: function.into(),
        batch_size,
        parallelization_factor: factor,
        ..MappingConfig::default()
    }
}

impl Setup {
    fn plane(&self) -> Plane {
        let mut plane = Plane::new(&self.world, self.seed);
        plane.create_stream("alleycat", self.shards, 24);
        let gsis = BTreeMap::from([("GSI_Index".to_owned(), (10, self.index_write))]);
        plane.create_table(TABLE, TableConfig { on_demand: false, read: 20, write: self.write, gsis, lsis: 1 });
        plane.put_mapping("leaderboard", mapping(LEADERBOARD, 1_000, self.factor));
        plane.put_mapping("finals", mapping(FINALS, 100, self.factor));
        plane
    }

    fn run(&self, hours: i64) -> Plane {
        let mut plane = self.plane();
        plane.advance(plane.now_ms() + hours * HOUR_MS);
        plane.check().unwrap();
        plane
    }
}

fn metric(plane: &Plane, namespace: &str, name: &str, dims: &[(&str, &str)]) -> Vec<(i64, Stat)> {
    let dims = dims.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    plane.metrics().get(namespace, name, &dims, 0, i64::MAX)
}

fn lambda(plane: &Plane, name: &str, function: &str) -> Vec<(i64, Stat)> {
    metric(plane, "AWS/Lambda", name, &[("FunctionName", function)])
}

fn table(plane: &Plane, name: &str) -> Vec<(i64, Stat)> {
    metric(plane, "AWS/DynamoDB", name, &ON_TABLE)
}

fn max(points: &[(i64, Stat)]) -> f64 {
    points.iter().map(|(_, stat)| stat.max).fold(0.0, f64::max)
}

fn sum(points: &[(i64, Stat)]) -> f64 {
    points.iter().map(|(_, stat)| stat.sum).sum()
}

/// The largest value of each race's five minutes, from minute 1 on.
fn per_race(points: &[(i64, Stat)], world: &World) -> Vec<f64> {
    let first = world.start.as_millisecond() + MINUTE_MS;
    let race = |index: i64| {
        let range = first + index * 5 * MINUTE_MS..first + (index + 1) * 5 * MINUTE_MS;
        points.iter().filter(|(minute, _)| range.contains(minute)).map(|(_, stat)| stat.max).fold(0.0, f64::max)
    };
    (0..20).map(race).collect()
}

fn timeouts(plane: &Plane) -> u64 {
    plane.totals().functions.values().map(|function| function.timeouts).sum()
}

#[test]
fn the_template_at_1000_racers_shows_the_symptoms_of_the_walk_through() {
    let setup = template();
    let plane = setup.run(2);
    let incoming = metric(&plane, "AWS/Kinesis", "IncomingRecords", &KINESIS);
    let bytes = metric(&plane, "AWS/Kinesis", "IncomingBytes", &KINESIS);
    assert!(incoming.iter().all(|(_, stat)| (stat.sum - 60_000.0).abs() < 600.0), "{incoming:?}");
    assert!(bytes.iter().all(|(_, stat)| stat.sum < 60.0 * 1_048_576.0 / 4.0), "{bytes:?}");
    assert_eq!(plane.totals().streams["alleycat"].rejected, 0);
    let age = per_race(&metric(&plane, "AWS/Kinesis", "GetRecords.IteratorAgeMilliseconds", &KINESIS), &setup.world);
    assert!(age.is_sorted() && age[19] > 3_000_000.0, "{age:?}");
    for function in [LEADERBOARD, FINALS] {
        let age = per_race(&lambda(&plane, "IteratorAge", function), &setup.world);
        assert!(age.is_sorted() && age[19] > 3_000_000.0, "{function}: {age:?}");
        assert!(max(&lambda(&plane, "ConcurrentExecutions", function)) <= 1.0);
    }
    assert!((max(&lambda(&plane, "Duration", FINALS)) - 15_000.0).abs() < 0.1);
    assert!(max(&lambda(&plane, "Duration", LEADERBOARD)) > 2_000.0);
    let errors = lambda(&plane, "Errors", FINALS);
    let (before, after) = errors.split_at(5);
    assert!(sum(before) < 3.0 && sum(after) > 100.0, "{errors:?}");
    let consumed = table(&plane, "ConsumedWriteCapacityUnits");
    assert!(consumed[1].1.sum / 60.0 > 2.0 * 20.0, "consumed writes burst through provisioned");
    assert!(consumed[60..].iter().all(|(_, stat)| stat.sum / 60.0 < 1.2 * 20.0), "and are held to it later");
    assert!(sum(&table(&plane, "WriteThrottleEvents")) > 1_000.0);
    assert!(table(&plane, "ReadThrottleEvents").is_empty());
    assert!(table(&plane, "ConsumedReadCapacityUnits").iter().all(|(_, stat)| stat.sum / 60.0 < 20.0));
    assert_eq!(plane.totals().tables[TABLE].key_range_write_throttles, 0);
}

#[test]
fn with_capacity_the_throttles_and_the_timeouts_vanish() {
    let plane = Setup { write: 4_000, index_write: 2_000, ..template() }.run(2);
    assert_eq!(plane.totals().tables[TABLE].provisioned_write_throttles, 0);
    assert_eq!(timeouts(&plane), 0);
    assert!(max(&lambda(&plane, "IteratorAge", LEADERBOARD)) < 5_000.0);
    assert!(max(&lambda(&plane, "Duration", LEADERBOARD)) < 1_000.0);
}

#[test]
fn capacity_raised_in_the_middle_lets_the_consumers_catch_up() {
    let mut plane = template().plane();
    plane.advance(plane.now_ms() + 15 * MINUTE_MS);
    let before = timeouts(&plane);
    assert!(before > 10);
    plane.set_capacity(TABLE, None, 60, 1_000);
    plane.set_capacity(TABLE, Some("GSI_Index"), 10, 500);
    plane.advance(plane.now_ms() + 10 * MINUTE_MS);
    assert!(timeouts(&plane) <= before + 2, "those in flight");
    for function in [LEADERBOARD, FINALS] {
        let age = lambda(&plane, "IteratorAge", function);
        assert!(age.last().unwrap().1.max < 15_000.0, "{function}: {age:?}");
    }
}

#[test]
fn with_100_racers_nothing_is_wrong() {
    let plane = Setup { world: World::alleycat().with_racers(100), ..template() }.run(2);
    assert_eq!(plane.totals().tables[TABLE].throttled_requests, 0);
    assert!(plane.totals().functions.values().all(|function| function.errors == 0));
    assert!(max(&lambda(&plane, "IteratorAge", FINALS)) < 5_000.0);
}

#[test]
fn with_a_longer_timeout_the_timeouts_vanish_and_the_throttles_stay() {
    let plane = Setup { world: World::alleycat().with_timeout(300), ..template() }.run(2);
    assert_eq!(timeouts(&plane), 0);
    assert!(max(&lambda(&plane, "Duration", FINALS)) > 15_000.0);
    assert!(plane.totals().tables[TABLE].provisioned_write_throttles > 1_000);
}

#[test]
fn jitter_pushes_single_seconds_over_the_shards_limit() {
    let world = World::alleycat().with_jitter(400);
    let one = Setup { world: world.clone(), ..template() }.run(1);
    let rejected = sum(&metric(&one, "AWS/Kinesis", "WriteProvisionedThroughputExceeded", &KINESIS));
    assert!(rejected > 1_000.0, "{rejected}");
    let two = Setup { world, shards: 2, ..template() }.run(1);
    assert_eq!(two.totals().streams["alleycat"].rejected, 0);
}

#[test]
fn more_slots_cost_more_writes_for_the_same_records() {
    let plane = Setup { shards: 2, factor: 10, write: 4_000, index_write: 2_000, ..template() }.run(1);
    let consumed = table(&plane, "ConsumedWriteCapacityUnits");
    // Two shards with ten slots each: twenty puts of 48 units a second.
    assert!((consumed[1].1.sum / 60.0 - 960.0).abs() < 20.0, "{consumed:?}");
    assert!(sum(&table(&plane, "ReadThrottleEvents")) > 0.0, "the reads outgrow 20 units");
    assert!(plane.totals().tables[TABLE].key_range_write_throttles > 0, "and the hot item its partition");
    assert_eq!(plane.totals().functions[LEADERBOARD].max_concurrent, 20);
}

#[test]
fn a_reshard_is_read_parents_first_and_raises_the_limit() {
    let world = World::alleycat().with_racers(1_500);
    let mut plane = Setup { world, write: 4_000, index_write: 2_000, ..template() }.plane();
    plane.advance(plane.now_ms() + 3 * MINUTE_MS);
    let before = plane.totals().streams["alleycat"].clone();
    assert!(before.rejected > 0);
    plane.reshard("alleycat", 2);
    plane.reshard("alleycat", 3);
    let open = plane.shards("alleycat").into_iter().filter(|shard| shard.open).count();
    assert_eq!(open, 3);
    plane.advance(plane.now_ms() + 10 * MINUTE_MS);
    assert_eq!(plane.totals().streams["alleycat"].rejected, before.rejected);
    plane.check().unwrap();
    assert!(plane.totals().mappings["leaderboard"].delivered > before.accepted + 500_000);
    let shards = plane.shards("alleycat");
    assert_eq!(shards[5].parents, ["shardId-000000000002"]);
    assert_eq!(shards[5].ending_hash, u128::MAX);
}

#[test]
fn records_that_outlive_the_retention_are_lost_and_counted() {
    let mut plane = Setup { write: 4_000, index_write: 2_000, ..template() }.plane();
    plane.put_mapping("finals", MappingConfig { enabled: false, ..mapping(FINALS, 100, 1) });
    plane.set_retention("alleycat", 1);
    plane.advance(plane.now_ms() + 2 * HOUR_MS);
    plane.check().unwrap();
    let expired = plane.totals().mappings["finals"].expired;
    assert!((3_400_000..3_600_000).contains(&expired), "{expired}");
    assert_eq!(plane.totals().mappings["leaderboard"].expired, 0);
}

#[test]
fn a_paused_mapping_goes_on_where_it_stopped() {
    let mut plane = Setup { write: 4_000, index_write: 2_000, ..template() }.plane();
    plane.advance(plane.now_ms() + 10 * MINUTE_MS + 150);
    plane.put_mapping("finals", MappingConfig { enabled: false, ..mapping(FINALS, 100, 1) });
    plane.advance(plane.now_ms() + 1_000);
    let paused = plane.totals().mappings["finals"].delivered;
    plane.advance(plane.now_ms() + 5 * MINUTE_MS);
    assert_eq!(plane.totals().mappings["finals"].delivered, paused);
    plane.put_mapping("finals", mapping(FINALS, 100, 4));
    plane.advance(plane.now_ms() + 5 * MINUTE_MS);
    plane.check().unwrap();
    assert!(plane.totals().mappings["finals"].delivered > paused + 590_000);
    assert_eq!(plane.totals().functions[FINALS].max_concurrent, 4);
}

#[test]
fn readers_who_want_more_than_two_mebibytes_a_second_are_throttled() {
    use alleycat_operator::twin::world::{Producer, RatePoint};
    let mut world = World::alleycat().with_races(0);
    let points = vec![RatePoint { at_seconds: 0, records_per_second: 50.0 }];
    let (stream, record_bytes) = ("alleycat".to_owned(), 20_000);
    world.producers.push(Producer::Rate { stream, record_bytes, points, ramp: false, hot_key_share: 0.0, jitter: 0.0 });
    let plenty = Setup { world, write: 4_000, index_write: 2_000, ..template() };
    let throttles =
        |setup: &Setup| sum(&metric(&setup.run(1), "AWS/Kinesis", "ReadProvisionedThroughputExceeded", &KINESIS));
    assert!(throttles(&plenty) > 100.0, "three readers of 1 MB/s share 2 MiB/s");
    assert!(throttles(&Setup { shards: 2, ..plenty }).abs() < 0.1, "two shards have room");
}

#[test]
fn a_batching_window_gathers_records() {
    let world = World::alleycat().with_racers(10);
    let mut plane = Setup { world, ..template() }.plane();
    plane.put_mapping("leaderboard", MappingConfig { window_ms: 10_000, ..mapping(LEADERBOARD, 1_000, 1) });
    plane.advance(plane.now_ms() + 11 * MINUTE_MS);
    let invocations = plane.totals().functions[LEADERBOARD].invocations;
    // Ten seconds, and up to one more until the next poll.
    assert!((52..=61).contains(&invocations), "{invocations} in ten minutes");
}

#[test]
fn a_batch_that_always_fails_is_given_up_after_its_retries() {
    let mut world = World::alleycat().with_racers(10).with_races(1);
    world.functions.get_mut(FINALS).unwrap().error_rate = 1.0;
    let mut plane = Setup { world, ..template() }.plane();
    plane.put_mapping("finals", MappingConfig { max_retries: 2, ..mapping(FINALS, 100, 1) });
    plane.advance(plane.now_ms() + HOUR_MS);
    let totals = &plane.totals().mappings["finals"];
    assert_eq!((totals.delivered, totals.dropped), (0, 3_000));
    let invocations = plane.totals().functions[FINALS].invocations;
    assert_eq!(invocations % 3, 0, "one try and two retries each");
}

#[test]
fn concurrency_limits_throttle_before_the_function_runs() {
    let mut plane = Setup { shards: 2, factor: 2, write: 4_000, index_write: 2_000, ..template() }.plane();
    plane.set_reserved_concurrency(LEADERBOARD, Some(1));
    plane.advance(plane.now_ms() + 10 * MINUTE_MS);
    let totals = &plane.totals().functions[LEADERBOARD];
    assert_eq!(totals.max_concurrent, 1);
    assert!(totals.throttles > 0);
    assert!((sum(&lambda(&plane, "Throttles", LEADERBOARD)) - totals.throttles as f64).abs() < 0.1);
    plane.check().unwrap();
}

#[test]
fn latest_skips_what_came_before_and_an_idle_stream_reports_no_records() {
    let setup = Setup { world: World::alleycat().with_races(1), write: 4_000, index_write: 2_000, ..template() };
    let mut plane = setup.plane();
    plane.advance(plane.now_ms() + 3 * MINUTE_MS);
    plane.put_mapping("late", MappingConfig { starting_position: Start::Latest, ..mapping(FINALS, 100, 1) });
    plane.advance(plane.now_ms() + HOUR_MS);
    plane.check().unwrap();
    let late = &plane.totals().mappings["late"];
    assert_eq!((late.skipped, late.delivered), (120_000, 180_000));
    let incoming = metric(&plane, "AWS/Kinesis", "IncomingRecords", &KINESIS);
    assert_eq!(incoming.len(), 5, "a quiet minute has no point");
    assert_eq!(metric(&plane, "AWS/Kinesis", "GetRecords.Success", &KINESIS).len(), 63, "but it is polled");
    let consumed = table(&plane, "ConsumedWriteCapacityUnits");
    assert_eq!(consumed.len(), 62, "each minute that has ended");
    assert!(consumed.iter().skip(10).all(|(_, stat)| stat.sum == 0.0 && stat.count > 0), "and the table reports zeros");
}

#[test]
fn a_hot_key_fills_one_shard_and_one_slot() {
    use alleycat_operator::twin::world::{Producer, RatePoint};
    let mut world = World::alleycat().with_races(0);
    let points = vec![RatePoint { at_seconds: 0, records_per_second: 1_500.0 }];
    let (stream, record_bytes) = ("alleycat".to_owned(), 185);
    world.producers.push(Producer::Rate { stream, record_bytes, points, ramp: false, hot_key_share: 1.0, jitter: 0.0 });
    let plane = Setup { world, shards: 4, factor: 10, write: 4_000, index_write: 2_000, ..template() }.run(1);
    let totals = &plane.totals().streams["alleycat"];
    assert_eq!(totals.rejected, totals.offered / 3);
    assert_eq!(plane.totals().functions[FINALS].max_concurrent, 1);
}

fn bytes(plane: &Plane) -> Vec<u8> {
    serde_json::to_vec(plane).unwrap()
}

#[test]
fn advancing_in_pieces_gives_the_same_bytes() {
    let setup = Setup { world: World::alleycat().with_jitter(300), ..template() };
    let mut whole = setup.plane();
    let mut pieces = setup.plane();
    let end = whole.now_ms() + 20 * MINUTE_MS;
    whole.advance(end);
    let mut step = 1;
    while pieces.now_ms() < end {
        step = (step * 7 + 13) % 4_001;
        pieces.advance((pieces.now_ms() + step).min(end));
    }
    assert!(bytes(&whole) == bytes(&pieces));
    let mut back: Plane = serde_json::from_slice(&bytes(&whole)).unwrap();
    assert!(back == whole);
    let mut cbor = Vec::new();
    ciborium::into_writer(&whole, &mut cbor).unwrap();
    assert!(ciborium::from_reader::<Plane, _>(cbor.as_slice()).unwrap() == whole);
    back.advance(end + HOUR_MS);
    whole.advance(end + HOUR_MS);
    assert!(bytes(&back) == bytes(&whole), "a restored plane goes on the same way");
    let other = Setup { seed: 2, ..setup }.run(1);
    assert!(other.totals() != whole.totals(), "another seed is another run");
}

mod random {
    use super::*;
    use alleycat_operator::twin::world::{Producer, RatePoint};
    use proptest::prelude::*;

    /// Something another hand does to the pipeline.
    #[derive(Debug, Clone)]
    enum Action {
        Reshard(u32),
        Factor(u32),
        Pause,
        Resume,
        Write(u64),
        Retention(u32),
        Recreate,
        Start(i64),
    }

    fn action() -> impl Strategy<Value = Action> {
        prop_oneof![
            (1..7u32).prop_map(Action::Reshard),
            (1..11u32).prop_map(Action::Factor),
            Just(Action::Pause),
            Just(Action::Resume),
            (1..4_000u64).prop_map(Action::Write),
            (1..3u32).prop_map(Action::Retention),
            Just(Action::Recreate),
            (-1..2i64).prop_map(Action::Start),
        ]
    }

    prop_compose! {
        fn world()(
            racers in 0..1_500u32,
            jitter in prop_oneof![Just(0), 1..900u32],
            rates in prop::collection::vec(0.0..3_000.0f64, 0..4),
            ramp: bool,
            hot in prop_oneof![Just(0.0), 0.0..1.0f64],
            record_bytes in 1..40_000u32,
            error_rate in prop_oneof![Just(0.0), 0.0..0.5f64],
            random_keys: bool,
            reserved in prop::option::of(0..5u32),
        ) -> World {
            let mut world = World::alleycat().with_racers(racers).with_jitter(jitter);
            let points = rates.iter().zip(0..).map(|(rate, index)| RatePoint { at_seconds: index * 600, records_per_second: *rate });
            let points = points.collect();
            world.producers.push(Producer::Rate { stream: "alleycat".into(), record_bytes, points, ramp, hot_key_share: hot, jitter: 0.0 });
            world.random_keys = random_keys;
            for function in world.functions.values_mut() {
                function.error_rate = error_rate;
                function.reserved_concurrency = reserved;
            }
            world
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
        #[test]
        fn no_record_is_made_up_or_lost(
            world in world(),
            seed: u64,
            shards in 1..5u32,
            write in 1..3_000u64,
            retries in -1..3i64,
            max_age in prop_oneof![Just(-1i64), 60..600i64],
            bisect: bool,
            window_ms in prop_oneof![Just(0i64), 1..20_000i64],
            batch_size in 1..2_000u32,
            actions in prop::collection::vec((1..400_000i64, action()), 0..12),
        ) {
            let mut plane = Setup { world, seed, shards, factor: 1, write, index_write: write }.plane();
            let mut config = MappingConfig { max_retries: retries, max_age_s: max_age, bisect, window_ms, ..mapping(FINALS, batch_size, 1) };
            plane.put_mapping("finals", config.clone());
            let mut generation = 0;
            for (pause, action) in actions {
                plane.advance(plane.now_ms() + pause);
                match action {
                    Action::Reshard(target) => plane.reshard("alleycat", target),
                    Action::Factor(factor) => config.parallelization_factor = factor,
                    Action::Pause => config.enabled = false,
                    Action::Resume => config.enabled = true,
                    Action::Write(write) => plane.set_capacity(TABLE, None, write, write),
                    Action::Retention(hours) => plane.set_retention("alleycat", hours),
                    Action::Recreate => {
                        plane.delete_stream("alleycat");
                        plane.advance(plane.now_ms() + 5_000);
                        plane.create_stream("alleycat", 2, 1);
                    }
                    Action::Start(which) => {
                        plane.remove_mapping(&format!("other-{generation}"));
                        generation += 1;
                        let at = plane.now_ms() - 60_000;
                        let starting_position = match which { -1 => Start::TrimHorizon, 0 => Start::Latest, _ => Start::At(at) };
                        plane.put_mapping(&format!("other-{generation}"), MappingConfig { starting_position, ..config.clone() });
                    }
                }
                plane.put_mapping("finals", config.clone());
                prop_assert_eq!(plane.check(), Ok(()));
            }
            plane.advance(plane.now_ms() + 90 * MINUTE_MS);
            prop_assert_eq!(plane.check(), Ok(()));
            for shard in plane.shards("alleycat") {
                prop_assert!(shard.starting_hash <= shard.ending_hash);
            }
        }
    }
}
