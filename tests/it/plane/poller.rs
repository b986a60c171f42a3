//! The poller in random configurations: no record is made up or lost, and pieces of time change nothing.

use alleycat_operator::twin::world::{Producer, RatePoint};
use proptest::prelude::*;

use super::*;

fn world(poison: u64, error_rate: f64, reports: bool, pass: f64) -> World {
    let mut world = World::alleycat().with_races(0);
    let points = vec![
        RatePoint { at_seconds: 0, records_per_second: 40.0 },
        RatePoint { at_seconds: 300, records_per_second: 0.0 },
    ];
    let stream = "alleycat".to_owned();
    world.producers.push(Producer::Rate {
        stream,
        record_bytes: 900,
        points,
        ramp: false,
        hot_key_share: 0.2,
        jitter: 0.0,
    });
    let function = world.functions.get_mut(FINALS).unwrap();
    (function.poison_every, function.error_rate) = (poison, error_rate);
    (function.partial_batch_response, function.filter_pass_share) = (reports, pass);
    function.destination_error_rate = 0.3;
    world
}

prop_compose! {
    fn config()(
        batch_size in 1..300u32,
        factor in 1..6u32,
        window_ms in prop_oneof![Just(0i64), 1..9_000i64],
        tumbling_ms in prop_oneof![Just(0i64), 5_000..60_000i64],
        max_retries in -1..3i64,
        max_age_s in prop_oneof![Just(-1i64), 60..200i64],
        bisect: bool,
        reports_failures: bool,
        on_failure: bool,
        filtered: bool,
        counts_events: bool,
        through: bool,
    ) -> MappingConfig {
        MappingConfig {
            window_ms, tumbling_ms, max_retries, max_age_s, bisect, reports_failures, on_failure, counts_events,
            filters: if filtered { vec![r#"{"data":{"a":[1]}}"#.to_owned()] } else { Vec::new() },
            consumer: through.then(|| "c".to_owned()),
            ..mapping(FINALS, batch_size, factor)
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 50, ..ProptestConfig::default() })]
    #[test]
    fn records_are_kept_and_pieces_change_nothing(
        config in config(),
        poison in prop_oneof![Just(0u64), 2..500u64],
        error_rate in prop_oneof![Just(0.0), 0.0..0.4f64],
        reports: bool,
        pass in 0.0..1.0f64,
        steps in prop::collection::vec(1..60_000i64, 1..40),
        shards in 1..4u32,
    ) {
        let plane = || {
            let world = world(poison, error_rate, reports, pass);
            let mut plane = Setup { world, write: 4_000, index_write: 2_000, shards, ..template() }.plane();
            plane.put_mapping("finals", MappingConfig { enabled: false, ..mapping(FINALS, 1, 1) });
            plane.put_mapping("other", config.clone());
            plane
        };
        let (mut whole, mut pieces) = (plane(), plane());
        let end = whole.now_ms() + 15 * MINUTE_MS;
        let middle = whole.now_ms() + 200_000;
        whole.advance(middle);
        whole.reshard("alleycat", shards + 1);
        whole.advance(end);
        for to in [middle, end] {
            for step in steps.iter().cycle() {
                if pieces.now_ms() >= to {
                    break;
                }
                pieces.advance((pieces.now_ms() + step).min(to));
                prop_assert_eq!(pieces.check(), Ok(()));
            }
            if to == middle {
                pieces.reshard("alleycat", shards + 1);
            }
        }
        prop_assert!(bytes(&whole) == bytes(&pieces));
        let totals = &whole.totals().mappings["other"];
        prop_assert!(totals.on_failure <= totals.dropped);
        prop_assert!(config.on_failure || totals.on_failure == 0);
        prop_assert!(!config.filters.is_empty() || totals.filtered == 0);
        if poison == 0 && error_rate == 0.0 {
            prop_assert_eq!(totals.delivered + totals.filtered, whole.totals().streams["alleycat"].accepted);
        }
    }
}
