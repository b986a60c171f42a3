//! Each rule on both sides of its threshold, and the order of an answer.

use jiff::SignedDuration;

use super::{
    Confidence, Diagnosis,
    Diagnosis::*,
    Outlook, Severity, economy,
    scene::{Scene, growing, lately, mapping, minute, steady},
};
use crate::{
    cost::PriceSheet,
    model::{
        BillingMode, CapacityUnits, LifecycleStatus, MappingState, ParallelizationFactor, Point, ResourceId,
        ShardCount, Signal, StreamMode,
    },
    spec::ExternalConsumer,
};

/// The rule says nothing on one side of its threshold, and speaks on the other.
#[track_caller]
pub(super) fn sides(code: Diagnosis, below: impl FnOnce(&mut Scene), above: impl FnOnce(&mut Scene)) {
    let (below, above) = (Scene::with(below), Scene::with(above));
    assert!(!below.codes().contains(&code), "below: {:#?}", below.findings());
    assert!(above.codes().contains(&code), "above: {:#?}", above.findings());
}

#[test]
fn a_healthy_pipeline_has_no_findings() {
    assert_eq!(Scene::healthy().findings(), []);
}

#[test]
fn puts_that_fail_beyond_what_throttling_explains() {
    let failing = |share: f64| move |scene: &mut Scene| scene.signals.stream.put_record_success = steady(1.0 - share);
    sides(ProducersFailing, failing(0.009), failing(0.011));
    // Every tenth record is throttled: the calls that carried them fail, and that is all.
    let throttled = |scene: &mut Scene| {
        scene.signals.stream.rejected_records = steady(400.0 * 60.0 / 9.0);
        scene.signals.stream.put_record_success = steady(0.9);
    };
    assert!(!Scene::with(throttled).codes().contains(&ProducersFailing));
    assert_eq!(Scene::with(failing(0.09)).finding(ProducersFailing).severity, Severity::Warning);
    assert_eq!(Scene::with(failing(0.11)).finding(ProducersFailing).severity, Severity::Critical);
    let batches = Scene::with(|scene| scene.signals.stream.put_records_success = steady(0.5));
    assert!(batches.codes().contains(&ProducersFailing));
}

#[test]
fn producers_that_go_quiet() {
    let falls = |rate: f64| {
        move |scene: &mut Scene| scene.signals.stream.incoming_records = lately(400.0 * 60.0, 3, rate * 60.0)
    };
    sides(ProducersSilent, falls(81.0), falls(79.0));
    // One low minute is a pause; a stream that was nearly idle is no news; a missing metric is another finding.
    let pause = Scene::with(|scene| scene.signals.stream.incoming_records = lately(24_000.0, 1, 0.0));
    assert!(!pause.codes().contains(&ProducersSilent));
    let idle = Scene::with(|scene| scene.signals.stream.incoming_records = lately(30.0, 3, 0.0));
    assert!(!idle.codes().contains(&ProducersSilent));
    let missing = Scene::with(|scene| {
        scene.signals.stream.incoming_records.points.truncate(25);
        let points = std::mem::take(&mut scene.signals.stream.incoming_records.points);
        scene.signals.stream.incoming_records = Signal::of(points, minute(0));
    });
    assert_eq!(missing.codes(), [Blind]);
}

#[test]
fn too_few_shards_for_records_or_bytes() {
    let records = |rate: f64| move |scene: &mut Scene| scene.signals.stream.incoming_records = steady(rate * 60.0);
    sides(IngestShort, records(1490.0), records(1510.0));
    let finding = Scene::with(records(1510.0)).finding(IngestShort);
    assert!(finding.remedy.contains("from 2 to 3"), "{}", finding.remedy);
    assert!(finding.person.as_ref().unwrap().contains("Packing 2 messages"), "{:?}", finding.person);
    let bytes = |share: f64| {
        move |scene: &mut Scene| scene.signals.stream.incoming_bytes = steady(share * 2.0 * 1_048_576.0 * 60.0)
    };
    sides(IngestShort, bytes(0.74), bytes(0.76));
    assert_eq!(Scene::with(bytes(0.76)).finding(IngestShort).person, None);
    let rejects = |rate: f64| {
        move |scene: &mut Scene| {
            records(1450.0)(scene);
            scene.signals.stream.rejected_records = steady(rate * 60.0);
        }
    };
    sides(IngestShort, rejects(1.4), rejects(1.6));
    let bound = Scene::with(|scene| {
        records(1900.0)(scene);
        scene.pipeline.stream.shards.max = ShardCount(2);
    });
    assert!(bound.finding(IngestShort).person.unwrap().contains("Raise the bound"));
    let on_demand = Scene::with(|scene| {
        rejects(100.0)(scene);
        scene.stream().mode = StreamMode::OnDemand;
    });
    assert!(on_demand.finding(IngestShort).summary.contains("on demand"));
}

#[test]
fn a_rising_load_says_when_it_is_too_much() {
    let scene = Scene::with(|scene| {
        let points = (0..30).rev().map(|ago| Point { at: minute(ago), value: (1600.0 - 20.0 * ago as f64) * 60.0 });
        scene.signals.stream.incoming_records = Signal::of(points.collect(), minute(0));
    });
    let outlook = scene.finding(IngestShort).outlook.unwrap();
    let minutes = outlook.at.duration_since(scene.signals.observed_at).as_mins();
    assert_eq!((outlook.what.as_str(), minutes), ("records are rejected", 20));
}

#[test]
fn readers_that_share_a_stream() {
    let others = |count: usize, throttles: f64| {
        move |scene: &mut Scene| {
            let other = |at| ExternalConsumer { name: format!("other-{at}"), kind: "firehose".to_owned() };
            scene.pipeline.external_consumers = (0..count).map(other).collect();
            scene.signals.stream.read_throttles = steady(throttles);
        }
    };
    sides(TooManyReaders, others(3, 0.0), others(4, 0.0));
    let person = Scene::with(others(4, 0.0)).finding(TooManyReaders).person.unwrap();
    assert!(person.contains("other-0 (firehose)"), "{person}");
    sides(ReadShort, others(2, 0.0), others(2, 1.0));
    // Readers that nobody named show in the volume.
    let unseen = Scene::with(|scene| scene.signals.stream.get_records = steady(5.0 * 400.0 * 60.0));
    assert!(unseen.finding(TooManyReaders).person.unwrap().contains("4 more show in the volume"));
    let bytes = |rate: f64| {
        move |scene: &mut Scene| {
            others(3, 0.0)(scene);
            scene.signals.stream.incoming_bytes = steady(rate * 1_048_576.0 * 60.0);
        }
    };
    sides(ReadShort, bytes(0.89), bytes(0.91));
}

#[test]
fn reads_that_fail_without_a_throttle() {
    let success = |share: f64| move |scene: &mut Scene| scene.signals.stream.get_records_success = steady(share);
    sides(ReadsFailing, success(0.96), success(0.94));
    let throttled = Scene::with(|scene| {
        success(0.5)(scene);
        scene.signals.stream.read_throttles = steady(9.0);
    });
    assert!(!throttled.codes().contains(&ReadsFailing));
}

#[test]
fn write_capacity_that_is_short() {
    let consumed = |units: f64| move |scene: &mut Scene| scene.sink().consumed_write = steady(units * 60.0);
    // Half an hour of it: 11 units/s too much leave 927 s of credit, and 12 leave 700 s.
    sides(SinkShort, consumed(111.0), consumed(112.0));
    let throttled = |events: f64| {
        move |scene: &mut Scene| {
            consumed(90.0)(scene);
            scene.sink().write_throttles = lately(0.0, 3, events);
        }
    };
    sides(SinkShort, throttled(0.0), throttled(1.0));
    let finding = Scene::with(throttled(1.0)).finding(SinkShort);
    assert_eq!(finding.severity, Severity::Critical);
    assert!(finding.remedy.contains("from 100 to 13"), "{}", finding.remedy);
    // One minute with throttles is a warning.
    let once = Scene::with(|scene| scene.sink().write_throttles = lately(0.0, 1, 5.0));
    assert_eq!(once.finding(SinkShort).severity, Severity::Warning);
    // A burst that the credit carries for another 15 minutes is none; a greater one is.
    let burst = |units: f64| move |scene: &mut Scene| scene.sink().consumed_write = lately(2400.0, 3, units * 60.0);
    sides(SinkShort, burst(127.0), burst(128.0));
    // Credit: 300 s of 100 units fill up, and 40 a second too much spend them.
    let spending = Scene::with(|scene| scene.sink().consumed_write = lately(2400.0, 8, 140.0 * 60.0));
    let outlook = spending.finding(SinkShort).outlook.unwrap();
    assert_eq!(outlook.at.duration_since(spending.signals.observed_at).as_secs(), (30_000 - 19_200) / 40);
}

#[test]
fn a_bound_and_an_index_are_told_from_a_table_that_is_short() {
    let limit = |most: u64| {
        move |scene: &mut Scene| {
            scene.pipeline.tables[0].write_capacity.max = CapacityUnits(most);
            scene.sink().write_throttles = steady(9.0);
            scene.sink().consumed_write = steady(100.0 * 60.0);
        }
    };
    sides(SinkLimit, limit(101), limit(100));
    // Nothing is throttled yet, but what is offered needs more than the bound.
    let healthy = Scene::healthy();
    let demand = super::estimates(&healthy.pipeline, &healthy.policy, &healthy.facts, &healthy.signals).sinks[0]
        .write_demand
        .unwrap();
    let bound =
        |most: f64| move |scene: &mut Scene| scene.pipeline.tables[0].write_capacity.max = CapacityUnits(most as u64);
    sides(SinkLimit, bound(demand.ceil()), bound(demand.ceil() - 1.0));
    let held = |table: f64| {
        move |scene: &mut Scene| {
            scene.sink().consumed_write = steady(table * 60.0);
            scene.sink().write_throttles = steady(9.0);
            scene.index().write_throttles = steady(9.0);
            scene.index().consumed_write = steady(100.0 * 60.0);
        }
    };
    let resources = |scene: Scene| -> Vec<ResourceId> {
        scene.findings().into_iter().filter(|it| it.diagnosis == SinkShort).map(|it| it.resource).collect()
    };
    let index = ResourceId::Index("t".to_owned(), "i".to_owned());
    assert_eq!(resources(Scene::with(held(69.0))), std::slice::from_ref(&index));
    assert_eq!(resources(Scene::with(held(71.0))), [ResourceId::Table("t".to_owned()), index]);
}

#[test]
fn throttles_that_capacity_does_not_cure() {
    let none = |_: &mut Scene| {};
    sides(HotItem, none, |scene| scene.sink().key_range_throttles = lately(0.0, 1, 1.0));
    sides(AccountLimit, none, |scene| scene.sink().account_limit_throttles = lately(0.0, 1, 1.0));
    sides(SinkReadShort, none, |scene| scene.sink().read_throttles = lately(0.0, 1, 1.0));
    let maximum = |events: f64| {
        move |scene: &mut Scene| {
            scene.table().billing_mode = BillingMode::OnDemand;
            scene.table().on_demand_maximum_write = Some(50);
            scene.sink().on_demand_maximum_throttles = lately(0.0, 1, events);
        }
    };
    sides(OnDemandMaximum, maximum(0.0), maximum(1.0));
    assert!(Scene::with(maximum(1.0)).finding(OnDemandMaximum).summary.contains("of 50 write units/s"));
}

#[test]
fn what_a_mapping_says_of_itself() {
    sides(
        MappingDisabled,
        |scene| scene.mapping().state = MappingState::Enabled,
        |scene| scene.mapping().state = MappingState::Disabled,
    );
    let says =
        |text: &'static str| move |scene: &mut Scene| scene.mapping().last_processing_result = Some(text.to_owned());
    sides(PermissionDenied, says("PROBLEM: Function call failed"), says("PROBLEM: access denied by KMS"));
    sides(MappingFailing, says("PROBLEM: Function call failed"), says("PROBLEM: Function not found"));
    sides(MappingFailing, |_| {}, |scene| scene.facts.functions.clear());
    let updating = |minutes: i64| {
        move |scene: &mut Scene| {
            scene.mapping().state = MappingState::Updating;
            scene.mapping().last_modified = Some(scene.signals.observed_at - SignedDuration::from_mins(minutes));
        }
    };
    sides(MappingFailing, updating(10), updating(11));
    assert_eq!(Scene::with(updating(2)).codes(), [Actuating]);
    // Before its last change it was something else, and nobody knows what.
    let later = Scene::with(|scene| {
        scene.mapping().state = MappingState::Disabled;
        scene.mapping().last_modified = Some(scene.signals.observed_at + SignedDuration::from_mins(1));
    });
    assert_eq!(later.codes(), []);
}

#[test]
fn a_function_that_is_not_invoked_while_records_wait() {
    let quiet = |minutes: i64| {
        move |scene: &mut Scene| {
            let own = scene.consumer();
            own.invocations = lately(240.0, minutes, 0.0);
            own.iterator_age_ms = Signal::absent();
            scene.signals.stream.iterator_age_ms = growing(600.0, 1.0);
        }
    };
    sides(MappingFailing, quiet(4), quiet(5));
}

#[test]
fn concurrency_that_is_refused_says_whose() {
    sides(ConcurrencyLimit, |_| {}, |scene| scene.consumer().throttles = lately(0.0, 1, 1.0));
    let refused = |scene: &mut Scene| scene.consumer().throttles = steady(9.0);
    let reserved = Scene::with(|scene| {
        refused(scene);
        scene.function().reserved_concurrency = Some(1);
    });
    assert!(reserved.finding(ConcurrencyLimit).summary.contains("reserved concurrency of 1"));
    // All are refused, so nothing tells an age.
    let all = Scene::with(|scene| {
        refused(scene);
        scene.consumer().iterator_age_ms = Signal::absent();
        scene.signals.stream.iterator_age_ms = Signal::absent();
    });
    assert_eq!(all.codes(), [ConcurrencyLimit]);
    let account = |used: f64| {
        move |scene: &mut Scene| {
            refused(scene);
            scene.signals.account_concurrency = steady(used);
        }
    };
    assert_eq!(Scene::with(account(901.0)).finding(ConcurrencyLimit).confidence, Confidence::High);
    assert_eq!(Scene::with(account(899.0)).finding(ConcurrencyLimit).confidence, Confidence::Medium);
}

#[test]
fn failures_of_the_function_and_of_one_batch() {
    let errors = |share: f64| move |scene: &mut Scene| scene.consumer().errors = steady(240.0 * share);
    sides(FunctionFault, errors(0.009), errors(0.011));
    let stuck = |slope: f64, share: f64| {
        move |scene: &mut Scene| {
            errors(share)(scene);
            scene.lag(900.0, slope);
        }
    };
    sides(PoisonRecord, stuck(0.79, 0.5), stuck(0.81, 0.5));
    // Both slots fail always: it is the function.
    assert!(Scene::with(stuck(1.0, 1.0)).codes().contains(&FunctionFault));
    let alone = Scene::with(|scene| {
        stuck(1.0, 1.0)(scene);
        scene.stream().open_shards = ShardCount(1);
    });
    assert_eq!(alone.finding(PoisonRecord).confidence, Confidence::Low);
    // A throttled table explains failures.
    let sink = Scene::with(|scene| {
        errors(0.5)(scene);
        scene.sink().write_throttles = steady(50.0);
    });
    assert!(!sink.codes().contains(&FunctionFault));
}

#[test]
fn timeouts_come_from_the_batch_or_from_the_table() {
    let longest = |ms: f64| move |scene: &mut Scene| scene.consumer().duration_max_ms = lately(300.0, 3, ms);
    sides(FunctionTimeout, longest(9_790.0), longest(9_810.0));
    // Batches of 50 to 150 records took 100 ms and 10 ms a record: 700 records fit into 80 % of 10 s, with 1.1 to spare.
    let fitted = Scene::with(|scene| {
        let size = |ago: i64| 50.0 + 10.0 * (ago % 11) as f64;
        let time = move |ago: i64| 100.0 + 10.0 * size(ago);
        let points = |value: &dyn Fn(i64) -> f64| {
            Signal::of((0..30).rev().map(|ago| Point { at: minute(ago), value: value(ago) }).collect(), minute(0))
        };
        scene.mapping().batch_size = crate::model::BatchSize(1000);
        let own = scene.consumer();
        own.invocations = points(&|ago| 24_000.0 / size(ago));
        own.duration_avg_ms = points(&|ago| if ago < 3 { 9_500.0 } else { time(ago) });
        own.duration_max_ms = points(&|ago| if ago < 3 { 10_000.0 } else { 1.1 * time(ago) });
        own.errors = lately(0.0, 3, 5.0);
    });
    let finding = fitted.finding(FunctionTimeout);
    assert!(finding.remedy.contains("from 1000 to 717"), "{}", finding.remedy);
    let sink = Scene::with(|scene| {
        longest(10_000.0)(scene);
        scene.sink().write_throttles = steady(50.0);
    });
    assert_eq!(sink.codes(), [SinkShort, FunctionTimeout], "the table first");
}

#[test]
fn a_lag_with_busy_slots_needs_more_of_them_or_faster_ones() {
    let busy = |used: f64| {
        move |scene: &mut Scene| {
            scene.lag(200.0, 0.5);
            scene.consumer().duration_avg_ms = steady(used * 2.0 / 4.0 * 1000.0);
        }
    };
    sides(ConsumerShort, busy(0.84), busy(0.86));
    let age = |seconds: f64| {
        move |scene: &mut Scene| {
            busy(0.9)(scene);
            // Small batches: how long a full one takes is not known.
            scene.mapping().batch_size = crate::model::BatchSize(1000);
            scene.consumer().iterator_age_ms = steady(seconds * 1000.0);
        }
    };
    sides(ConsumerShort, age(17.0), age(19.0));
    let memory = |mb: u32| {
        move |scene: &mut Scene| {
            busy(0.9)(scene);
            scene.function().memory_mb = mb;
        }
    };
    sides(ComputeBound, memory(1769), memory(1768));
    let bound = Scene::with(|scene| {
        busy(0.9)(scene);
        scene.mapping().parallelization_factor = ParallelizationFactor(10);
        scene.consumer().duration_avg_ms = steady(4_600.0);
    });
    assert!(bound.finding(ConsumerShort).remedy.contains("raise the shard count"));
}

#[test]
fn a_lag_without_a_cause_is_said_to_be_one() {
    let lag = |scene: &mut Scene| scene.lag(200.0, 0.5);
    sides(Unknown, |scene| scene.lag(10.0, 0.1), lag);
    let catching_up = Scene::with(|scene| {
        let points = (0..30).rev().map(|ago| Point { at: minute(ago), value: (100.0 + 12.0 * ago as f64) * 1000.0 });
        scene.consumer().iterator_age_ms = Signal::of(points.collect(), minute(0));
    });
    assert_eq!(catching_up.finding(Unknown).severity, Severity::Info);
    let changed = |seconds: i64| {
        move |scene: &mut Scene| {
            lag(scene);
            scene.mapping().last_modified = Some(scene.signals.observed_at - SignedDuration::from_secs(seconds));
        }
    };
    sides(Actuating, changed(301), changed(299));
}

/// Whether it is said when the backlog is drained, and in how many seconds.
fn drained(change: impl FnOnce(&mut Scene)) -> Option<i64> {
    let scene = Scene::with(change);
    let outlooks = scene.findings().into_iter().filter_map(|finding| finding.outlook);
    let drained = outlooks.filter(|outlook| outlook.what == Outlook::DRAINED).map(|outlook| outlook.at).max();
    drained.map(|at| at.duration_since(scene.signals.observed_at).as_secs())
}

#[test]
fn a_backlog_is_drained_when_what_is_fetched_beyond_what_comes_in_has_made_it_up() {
    let fetching = |rate: f64, slope: f64| {
        move |scene: &mut Scene| {
            scene.lag(200.0, slope);
            scene.signals.stream.get_records = steady(rate * 60.0);
        }
    };
    assert_eq!(drained(fetching(480.0, -0.2)), Some(1_060), "212 s of 400 records/s, by 80 records/s");
    assert_eq!(drained(fetching(480.0, 0.1)), Some(1_000), "a flood is read: it grows old while less of it waits");
    assert_eq!(drained(fetching(400.0, 0.1)), None, "as much waits as before");
    assert_eq!(
        drained(|scene| {
            fetching(480.0, -0.2)(scene);
            scene.signals.stream.get_records = Signal::absent();
        }),
        Some(1_060),
        "without the stream's word, the age's own course"
    );
}

#[test]
fn what_waits_since_a_table_throttled_is_the_tables_fault_until_it_is_read() {
    let after = |throttled_ago: i64, slope: f64| {
        move |scene: &mut Scene| {
            let age = |ago: i64| if ago >= 12 { 500.0 } else { (200.0 - slope * 60.0 * ago as f64) * 1000.0 };
            let of = |value: &dyn Fn(i64) -> f64| {
                Signal::of((0..30).rev().map(|ago| Point { at: minute(ago), value: value(ago) }).collect(), minute(0))
            };
            scene.consumer().iterator_age_ms = of(&age);
            let refused = |ago: i64| if (throttled_ago..throttled_ago + 2).contains(&ago) { 100.0 } else { 0.0 };
            scene.signals.tables.get_mut("t").unwrap().table.write_throttles = of(&refused);
        }
    };
    for slope in [0.0, -0.2] {
        sides(SinkShort, after(13, slope), after(5, slope));
        assert!(Scene::with(after(13, slope)).codes().contains(&Unknown), "it kept up after that");
        let finding = Scene::with(after(5, slope)).finding(SinkShort);
        assert_eq!((finding.resource.to_string(), finding.severity), ("mapping/c".to_owned(), Severity::Warning));
    }
    let paused = |seconds: i64| {
        move |scene: &mut Scene| {
            after(5, 0.0)(scene);
            scene.mapping().last_modified = Some(scene.signals.observed_at - SignedDuration::from_secs(seconds));
        }
    };
    // It is 200 s behind: a shorter pause has not made that.
    sides(SinkShort, paused(210), paused(190));
}

#[test]
fn retention_warns_at_half_and_acts_at_eighty_per_cent() {
    let age = |share: f64| move |scene: &mut Scene| scene.lag(share * 86_400.0, 1.0);
    sides(RetentionAtRisk, age(0.49), age(0.51));
    assert_eq!(Scene::with(age(0.79)).finding(RetentionAtRisk).severity, Severity::Warning);
    let finding = Scene::with(age(0.81)).finding(RetentionAtRisk);
    assert_eq!(finding.severity, Severity::Critical);
    assert!(finding.remedy.contains("from 24 h to 48 h"), "{}", finding.remedy);
    assert_eq!(finding.outlook.unwrap().what, "records are lost");
}

#[test]
fn records_that_are_given_up() {
    sides(RecordsDropped, |_| {}, |scene| scene.consumer().dropped_events = lately(0.0, 1, 1.0));
    sides(RecordsDropped, |_| {}, |scene| scene.consumer().destination_failures = lately(0.0, 1, 1.0));
}

#[test]
fn what_is_missing_is_said_and_what_explains_it_comes_instead() {
    sides(Blind, |_| {}, |scene| scene.sink().consumed_write = Signal::absent());
    let no_age = |scene: &mut Scene| {
        scene.consumer().iterator_age_ms = Signal::absent();
        scene.signals.stream.iterator_age_ms = Signal::absent();
    };
    assert_eq!(Scene::with(no_age).codes(), [Blind]);
    let off = Scene::with(|scene| {
        no_age(scene);
        scene.mapping().state = MappingState::Disabled;
    });
    assert_eq!(off.codes(), [MappingDisabled]);
    let fan_out = Scene::with(|scene| {
        no_age(scene);
        scene.consumer().behind_latest_ms = steady(0.0);
    });
    assert_eq!(fan_out.codes(), [], "a fan-out consumer says itself how far behind it is");
}

#[test]
fn what_is_in_transition_is_no_trouble() {
    let stream = Scene::with(|scene| scene.stream().status = LifecycleStatus::Updating);
    assert_eq!(stream.codes(), [Actuating]);
    assert_eq!(stream.finding(Actuating).severity, Severity::Info);
    let table = Scene::with(|scene| scene.table().status = LifecycleStatus::Updating);
    assert_eq!(table.codes(), [Actuating]);
}

#[test]
fn two_mappings_of_one_function_are_not_told_apart() {
    let scene = Scene::with(|scene| {
        scene.consumer().errors = steady(120.0);
        let mut other = scene.facts.mappings[0].clone();
        other.uuid = "v".to_owned();
        other.function_arn.push_str(":live");
        scene.facts.mappings.push(other);
    });
    let finding = scene.finding(FunctionFault);
    assert_eq!((finding.confidence, finding.resource.clone()), (Confidence::Low, mapping()));
    assert!(finding.summary.contains("2 mappings share function/f"), "{}", finding.summary);
}

#[test]
fn urgent_causes_come_first_and_effects_behind_their_causes() {
    let scene = Scene::with(|scene| {
        scene.signals.stream.incoming_records = steady(1600.0 * 60.0);
        scene.index().write_throttles = steady(90.0);
        scene.consumer().duration_max_ms = steady(10_000.0);
        scene.lag(0.6 * 86_400.0, 1.0);
    });
    assert_eq!(scene.codes(), [SinkShort, IngestShort, FunctionTimeout, RetentionAtRisk]);
}

/// What the scene says about money.
fn money(change: impl FnOnce(&mut Scene)) -> Vec<Diagnosis> {
    let scene = Scene::with(change);
    let prices = PriceSheet::us_east_1();
    let found = economy(&scene.pipeline, &scene.policy, &scene.facts, &scene.signals, &prices);
    assert!(found.iter().all(|finding| (finding.severity, finding.confidence) == (Severity::Info, Confidence::Low)));
    found.iter().map(|finding| finding.diagnosis).collect()
}

#[test]
fn what_is_provisioned_and_not_used() {
    let used = |share: f64| {
        move |scene: &mut Scene| {
            scene.sink().consumed_write = steady(share * 100.0 * 60.0);
            scene.signals.stream.incoming_records = steady(1200.0 * 60.0);
        }
    };
    assert!(!money(used(0.36)).contains(&OverProvisioned));
    assert!(money(used(0.34)).contains(&OverProvisioned));
    let shards = |rate: f64| move |scene: &mut Scene| scene.signals.stream.incoming_records = steady(rate * 60.0);
    assert!(!money(shards(710.0)).contains(&OverProvisioned));
    assert!(money(shards(540.0)).contains(&OverProvisioned));
    let short = |minutes: usize| {
        move |scene: &mut Scene| {
            shards(540.0)(scene);
            let stream = &mut scene.signals.stream;
            for signal in [&mut stream.incoming_records, &mut stream.incoming_bytes] {
                let late = signal.points.split_off(signal.points.len() - minutes);
                *signal = Signal::of(late, minute(0));
            }
        }
    };
    assert!(!money(short(19)).contains(&OverProvisioned));
    assert!(money(short(20)).contains(&OverProvisioned));
}

#[test]
fn the_cheaper_way_to_pay() {
    // Writes on demand beat provisioned ones below 28.9 % of use; reads the same below 28.9 %.
    let used = |share: f64| {
        move |scene: &mut Scene| {
            for sink in [true, false] {
                let it = if sink { scene.sink() } else { scene.index() };
                it.consumed_write = steady(share * 6000.0);
                it.consumed_read = steady(share * 6000.0);
            }
            scene.signals.stream.incoming_records = steady(1800.0 * 60.0);
        }
    };
    assert!(!money(used(0.27)).contains(&OnDemandCheaper), "less than a tenth cheaper");
    assert!(money(used(0.25)).contains(&OnDemandCheaper));
    let on_demand = |before: f64| {
        move |scene: &mut Scene| {
            used(0.25)(scene);
            scene.table().billing_mode = BillingMode::OnDemand;
            scene.sink().consumed_write = lately(before, 1, 6000.0);
            scene.index().consumed_write = lately(before, 1, 6000.0);
        }
    };
    assert!(money(on_demand(6000.0)).contains(&ProvisionedCheaper), "steady load");
    assert!(!money(on_demand(600.0)).contains(&ProvisionedCheaper), "a peak above little");
}

#[test]
fn fan_out_is_priced_where_readers_share() {
    let readers = |count: f64| {
        move |scene: &mut Scene| {
            scene.signals.stream.get_records = steady(count * 400.0 * 60.0);
        }
    };
    assert!(!money(readers(2.0)).contains(&FanOutWorth));
    assert!(money(readers(3.0)).contains(&FanOutWorth));
}
