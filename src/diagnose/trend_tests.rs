//! What the rules say early, late or beside something else: steady rises and falls, a signal that is missed, a second
//! cause beside the first. Each on both sides of its threshold.

use jiff::SignedDuration;

use super::{
    Diagnosis::*,
    Severity,
    scene::{Scene, lately, minute, steady},
    tests::sides,
};
use crate::model::{BillingMode, Point, Signal};

/// So many minutes each of several values.
fn minutes_of(values: &[(usize, f64)]) -> Signal {
    let all: Vec<f64> = values.iter().flat_map(|(minutes, value)| vec![*value; *minutes]).collect();
    let at = |place: usize| minute((all.len() - 1 - place) as i64);
    Signal::of(all.iter().enumerate().map(|(place, value)| Point { at: at(place), value: *value }).collect(), minute(0))
}

#[test]
fn producers_that_fade() {
    // Falls by `step` records/s a minute for the last six.
    let fades = |step: f64| {
        move |scene: &mut Scene| {
            let fall: Vec<(usize, f64)> = (1..=6).map(|at| (1, (400.0 - step * f64::from(at)) * 60.0)).collect();
            scene.signals.stream.incoming_records = minutes_of(&[&[(24, 24_000.0)], fall.as_slice()].concat());
        }
    };
    // The band ends where four fifths are left; below them it is a fall.
    sides(ProducersSilent, fades(12.5), fades(20.0));
    assert!(Scene::with(fades(20.0)).finding(ProducersSilent).summary.contains("falls steadily"));
    // What came before a peak is as usual as the peak; a fall into a tenth is no usual minute of its own band.
    let peak = [(20, 1_200.0), (8, 24_000.0), (2, 1_200.0)];
    assert!(
        !Scene::with(|scene| scene.signals.stream.incoming_records = minutes_of(&peak))
            .codes()
            .contains(&ProducersSilent)
    );
    let drained = [(12, 24_000.0), (2, 18_000.0), (2, 12_000.0), (2, 7_000.0), (12, 2_400.0)];
    sides(ProducersSilent, |_| {}, |scene| scene.signals.stream.incoming_records = minutes_of(&drained));
}

#[test]
fn credit_that_a_steady_rise_will_spend() {
    // Write units/s rise by so much a minute, up to 95 of 100.
    let rises = |step: f64, read: bool| {
        move |scene: &mut Scene| {
            let rise: Vec<(usize, f64)> = (0..5).rev().map(|ago| (1, (95.0 - step * f64::from(ago)) * 60.0)).collect();
            let signal = minutes_of(&[&[(25, 2_400.0)], rise.as_slice()].concat());
            *(if read { &mut scene.sink().consumed_read } else { &mut scene.sink().consumed_write }) = signal;
        }
    };
    // All of 30,000 units: in 16 minutes at 4 a minute and minute, in 14 at 6.
    sides(SinkShort, rises(4.0, false), rises(6.0, false));
    sides(SinkReadShort, rises(4.0, true), rises(6.0, true));
    let finding = Scene::with(rises(6.0, false)).finding(SinkShort);
    assert!(finding.severity == Severity::Warning && finding.summary.contains("grows so steadily"), "{finding:?}");
}

#[test]
fn a_batch_that_keeps_its_shard_is_told_after_the_others_stopped_behind_it() {
    // Errors for ten minutes; the others' invocations end three minutes ago.
    let stuck = |others: f64| {
        move |scene: &mut Scene| {
            let own = scene.consumer();
            own.errors = lately(0.0, 10, 60.0);
            own.invocations = minutes_of(&[(20, 240.0), (7, 60.0 + others), (3, 60.0)]);
            scene.lag(600.0, 1.0);
        }
    };
    sides(PoisonRecord, stuck(40.0), stuck(240.0));
}

#[test]
fn few_failures_are_seen_over_more_minutes() {
    // 24 invocations a minute, of which in so many of ten minutes two fail, none of them lately.
    let fails = |count: usize| {
        move |scene: &mut Scene| {
            scene.consumer().invocations = steady(24.0);
            scene.consumer().duration_avg_ms = steady(2_000.0);
            let rest = [(1, 2.0), (1, 0.0), (1, if count > 1 { 2.0 } else { 0.0 }), (7, 0.0)];
            scene.consumer().errors = minutes_of(&[&[(20, 0.0)], rest.as_slice()].concat());
        }
    };
    sides(FunctionFault, fails(1), fails(2));
    assert_eq!(Scene::with(fails(2)).finding(FunctionFault).severity, Severity::Warning);
}

#[test]
fn a_backlog_of_refused_invocations_keeps_its_cause() {
    let refused = |ago: usize| {
        move |scene: &mut Scene| {
            let points =
                (0..30).rev().map(|ago| Point { at: minute(ago), value: (100.0 + 12.0 * ago as f64) * 1000.0 });
            scene.consumer().iterator_age_ms = Signal::of(points.collect(), minute(0));
            scene.consumer().throttles = minutes_of(&[(28 - ago, 0.0), (2, 9.0), (ago, 0.0)]);
        }
    };
    sides(ConcurrencyLimit, refused(9), refused(8));
}

#[test]
fn slots_that_soon_are_too_few() {
    // Full batches of 100: two slots do 100 records each in so many ms.
    let nearly = |ms: f64| {
        move |scene: &mut Scene| {
            scene.consumer().duration_avg_ms = steady(ms);
        }
    };
    sides(ConsumerShort, nearly(440.0), nearly(460.0));
    // Small batches say nothing of full ones; then the age does.
    let creeps = |seconds: f64| {
        move |scene: &mut Scene| {
            scene.mapping().batch_size = crate::model::BatchSize(1000);
            nearly(460.0)(scene);
            scene.lag(3.0 * seconds + 1.0, seconds / 60.0);
        }
    };
    sides(ConsumerShort, creeps(1.6), creeps(1.7));
}

#[test]
fn a_function_that_became_slower_is_told_beside_a_hot_shard() {
    let slower = |ms: f64| {
        move |scene: &mut Scene| {
            scene.signals.stream.rejected_records = steady(20.0 * 60.0);
            scene.lag(200.0, 0.5);
            scene.consumer().iterator_age_ms = minutes_of(&[(27, 500.0), (1, 60_000.0), (1, 90_000.0), (1, 120_000.0)]);
            scene.consumer().duration_avg_ms = lately(200.0, 3, ms);
        }
    };
    sides(ConsumerShort, slower(290.0), slower(310.0));
    assert!(Scene::with(slower(310.0)).codes().contains(&HotShard));
}

#[test]
fn what_is_published_with_work_only_is_missed_with_work() {
    let ended = |ago: usize| {
        minutes_of(&[(30 - ago, 240.0)])
            .points
            .into_iter()
            .map(move |point| Point { at: point.at - SignedDuration::from_mins(ago as i64), ..point })
    };
    let function = |ago: usize| {
        move |scene: &mut Scene| scene.consumer().invocations = Signal::of(ended(ago).collect(), minute(0))
    };
    sides(Blind, function(2), function(3));
    let table = |ago: usize| {
        move |scene: &mut Scene| {
            scene.table().billing_mode = BillingMode::OnDemand;
            scene.sink().consumed_write = Signal::of(ended(ago).collect(), minute(0));
        }
    };
    sides(Blind, table(2), table(3));
    let rarely = Scene::with(|scene| {
        table(3)(scene);
        scene.sink().consumed_write.points.retain(|point| point.at.as_second() % 120 == 0);
    });
    assert!(!rarely.codes().contains(&Blind), "it writes now and then");
}

#[test]
fn much_is_rejected_while_the_stream_has_room() {
    // Two shards take 1,200 records/s and reject so many: a load that is spread evenly would fill both first.
    let rejects = |rejected: f64| {
        move |scene: &mut Scene| {
            scene.signals.stream.incoming_records = steady(1_200.0 * 60.0);
            scene.signals.stream.rejected_records = steady(rejected * 60.0);
        }
    };
    // Of 1,333 a tenth.
    sides(
        HotShard,
        |scene| {
            rejects(130.0)(scene);
            scene.signals.stream.incoming_records = steady(1_300.0 * 60.0);
        },
        rejects(320.0),
    );
    let full = Scene::with(|scene| {
        rejects(320.0)(scene);
        scene.signals.stream.incoming_records = steady(1_700.0 * 60.0);
    });
    assert!(full.codes().contains(&IngestShort) && !full.codes().contains(&HotShard));
}

#[test]
fn what_is_so_comes_before_what_will_be() {
    let scene = Scene::with(|scene| {
        scene.signals.stream.incoming_records = steady(1_600.0 * 60.0);
        scene.signals.stream.get_records_success = steady(0.5);
    });
    assert_eq!(scene.codes(), [ReadsFailing, IngestShort]);
}

#[test]
fn records_that_will_soon_be_too_old() {
    // A minute's age is the most, and it grows: 30 s in 9 or in 11 minutes.
    let grows = |slope: f64| {
        move |scene: &mut Scene| {
            scene.mapping().maximum_record_age_seconds = 60;
            scene.lag(30.0, slope);
        }
    };
    sides(RecordsDropped, grows(0.045), grows(0.055));
}

#[test]
fn a_function_that_became_slower_on_a_part_of_a_vcpu() {
    let takes = |ms: f64, memory: u32| {
        move |scene: &mut Scene| {
            scene.function().memory_mb = memory;
            scene.consumer().duration_avg_ms = lately(100.0, 4, ms);
        }
    };
    sides(ComputeBound, takes(140.0, 512), takes(160.0, 512));
    sides(ComputeBound, takes(160.0, 1769), takes(160.0, 1024));
}
