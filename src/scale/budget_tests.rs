//! The month's budget, on the hand-made scene.

use jiff::{SignedDuration, Timestamp};

use super::tests::{Load, Scene, factor, held, index_write, shards, write};
use crate::model::CapacityUnits;

/// 2027-01-15 08:00 UTC, the scene's moment: 344 h of January are over and 400 h to come. One shard and the template's
/// capacity (20 and 10 write units, 20 and 10 read units) are what exists and the lower bounds.
fn scene(budget: f64) -> Scene {
    let mut scene = Scene::new();
    scene.pipeline.objectives.monthly_budget_usd = Some(budget);
    scene
}

/// What the scene costs an hour as it is.
fn rate() -> f64 {
    crate::cost::of_facts(&Scene::new().facts, &crate::cost::PriceSheet::us_east_1()).0
}

#[test]
fn a_raise_is_made_while_the_rest_of_the_month_and_an_hour_of_it_can_be_paid() {
    let whole_month = rate() * 744.0;
    let (_, sizing) = scene(whole_month + 0.2).cycle(&Load::race());
    assert_eq!((shards(&sizing), write(&sizing)), (Some(2), Some(111)), "{:?}", sizing.holds);
    let mut short = scene(whole_month + 0.02);
    let (_, sizing) = short.cycle(&Load::race());
    assert_eq!((shards(&sizing), write(&sizing), index_write(&sizing)), (None, None, None));
    let hold = sizing.holds.iter().find(|hold| hold.guard == "budget").unwrap();
    assert!(hold.reason.contains("of the month's"), "{}", hold.reason);
    assert_eq!(hold.until, Some("2027-02-01T00:00:00Z".parse().unwrap()));
    let changed: Vec<_> = short.memory.last_change.keys().collect();
    assert_eq!(changed, ["mapping/final-results batchSize"], "what is held back is no change");
}

#[test]
fn what_costs_nothing_is_not_held_back_and_lowering_never_is() {
    let mut scene = scene(0.01);
    scene.set_write(1000, 500);
    scene.table().capacity.read = CapacityUnits(100);
    scene.pipeline.tables[0].write_capacity.min = CapacityUnits(1);
    let lagging = Load { age_seconds: 300.0, duration_ms: (3000.0, 13.0), ..Load::race() };
    scene.cycles(&Load { records: 400.0, ..Load::race() }, 5);
    let (_, sizing) = scene.cycle(&lagging);
    assert!(factor(&sizing, "leaderboard") > Some(1), "{sizing:?}");
    let lowered = (0..60).any(|_| {
        let (_, sizing) = scene.cycle(&Load::quiet());
        assert!(!held(&sizing, "budget"), "{:?}", sizing.holds);
        write(&sizing).is_some_and(|units| units < 1000)
    });
    assert!(lowered);
}

#[test]
fn spending_is_counted_by_the_minute_and_begins_anew_with_the_month() {
    let mut scene = scene(1e6);
    scene.cycle(&Load::quiet());
    let first = scene.memory.spent.clone().unwrap();
    assert!((first.usd - rate() * 344.0).abs() < 1e-6, "unknown before: as if it had been so since the month began");
    scene.now += SignedDuration::from_mins(59);
    scene.cycle(&Load::quiet());
    let second = scene.memory.spent.clone().unwrap();
    assert!((second.usd - first.usd - rate()).abs() < 1e-9);
    scene.now = "2027-02-01T01:00:00Z".parse::<Timestamp>().unwrap();
    scene.cycle(&Load::quiet());
    assert!((scene.memory.spent.clone().unwrap().usd - rate()).abs() < 1e-9, "an hour of February");
}

#[test]
fn a_stream_of_this_month_has_not_cost_anything_before() {
    let mut scene = scene(1e6);
    let now = scene.now;
    scene.stream().created_at = Some(now - SignedDuration::from_hours(2));
    scene.cycle(&Load::quiet());
    assert!((scene.memory.spent.clone().unwrap().usd - rate() * 2.0).abs() < 1e-9);
}
