//! Switches of modes on the twin, over days of virtual time: how an `auto` table is billed, and a stream that goes on
//! demand when all UpdateShardCount calls are used.

use alleycat_operator::{
    aws::Clock,
    daemon::Mode,
    memory::Store,
    model::{BillingMode, StreamMode},
    plan::Step,
    scale,
    spec::{self, BreakGlass},
    twin::{Host, Twin, World},
};
use jiff::SignedDuration;

use crate::{
    bench::{Bench, done},
    simulate::{SPEC, WORLD},
};

/// Two records a second for a day and two hours, then a hundred.
fn quiet_then_busy() -> Bench {
    let rates = "      - {atSeconds: 0, recordsPerSecond: 2}\n      - {atSeconds: 93600, recordsPerSecond: 100}\n";
    let (head, _) = WORLD.split_once("      - {atSeconds: 0").unwrap();
    let world = World::parse(&format!("{head}{rates}")).unwrap();
    let spec = SPEC
        .replace("partitionKey: PK:S", "partitionKey: PK:S\n      billingMode: auto")
        .replace("{min: 50, max: 20000, initial: 1000}", "{min: 20, max: 2000}");
    let mut bench = Bench::new();
    bench.clock = Clock::simulated(world.start, 1.0);
    bench.host = Host::new(Twin::new(world, 7), bench.clock.clone());
    bench.pipeline = spec::parse(&spec).unwrap();
    bench
}

/// Whole hours, to the nearest: the minutes before the daemon began are measured as well.
fn hours(since: SignedDuration) -> i64 {
    (since.as_secs_f64() / 3600.0).round() as i64
}

#[tokio::test(start_paused = true)]
async fn an_auto_table_is_paid_for_the_cheaper_way_after_a_day_of_each() {
    let bench = quiet_then_busy();
    done(&bench.apply().await);
    let began = bench.clock.now();
    let mut switches = Vec::new();
    bench
        .daemon(Mode::Act, SignedDuration::from_hours(50), |report, _| {
            assert!(report.problems.is_empty(), "{:?}", report.problems);
            let plan = report.plan.as_ref().unwrap();
            assert!(plan.blocked.is_empty(), "either mode is right: {:?}", plan.blocked);
            for (step, result) in &report.performed {
                if let Step::UpdateBillingMode { to, .. } = step {
                    assert_eq!(*result, Ok(()));
                    let change = plan.changes.iter().find(|change| change.steps.contains(step)).unwrap();
                    let cheaper = (change.cost_delta.0 < 0.0) == (*to == BillingMode::OnDemand);
                    assert!(cheaper && change.reason.contains("would have cost"), "{change:?}");
                    switches.push((hours(report.at.duration_since(began)), *to));
                }
            }
        })
        .await;
    assert_eq!(switches, [(24, BillingMode::OnDemand), (48, BillingMode::Provisioned)]);
    let table = bench.facts().await.tables["orders"].clone();
    assert_eq!(table.billing_mode, BillingMode::Provisioned);
    assert!(table.capacity.write.get() >= 100, "at the present need: {:?}", table.capacity);
    bench.host.with(|twin| {
        assert_eq!((twin.audit().transition_refusals, twin.audit().quota_refusals), (0, 0));
    });
    let name = &bench.pipeline.name;
    let decisions = bench.store.decisions(name, 1_000).unwrap();
    let switched: Vec<_> =
        decisions.iter().filter(|it| it.targets.tables.values().any(|table| table.billing.is_some())).collect();
    assert!(switched.len() >= 2, "both are in the history");
    for decision in switched {
        if let Some(packet) = bench.store.inputs(name, decision.id).unwrap() {
            let inputs = alleycat_operator::memory::Inputs::unpack(&packet).unwrap();
            assert_eq!(scale::replay(&inputs).unwrap(), [""; 0], "made again it is the same");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn with_the_quota_used_up_the_stream_goes_on_demand_and_back_after_a_day() {
    let mut bench = Bench::new();
    bench.host = Host::new(Twin::new(World::alleycat().with_jitter(400).with_races(6), 7), bench.clock.clone());
    bench.pipeline.scaling.break_glass = vec![BreakGlass::OnDemand];
    done(&bench.apply().await);
    bench.use_up_reshards();
    let mut seen = Vec::new();
    let began = bench.clock.now();
    bench
        .daemon(Mode::Act, SignedDuration::from_hours(26), |report, _| {
            let plan = report.plan.as_ref().unwrap();
            assert!(plan.blocked.is_empty(), "not drift: {:?}", plan.blocked);
            let mode = report.facts.as_ref().unwrap().stream.as_ref().unwrap().mode;
            if mode == StreamMode::OnDemand && report.performed.is_empty() {
                assert!(report.sizing.holds.iter().any(|hold| hold.reason.contains("on demand by break-glass")));
                assert!(plan.warnings.iter().any(|line| line.contains("on demand by break-glass")), "{plan:?}");
            }
            for (step, result) in &report.performed {
                if let Step::UpdateStreamMode { to, .. } = step {
                    assert_eq!(*result, Ok(()));
                    seen.push((hours(report.at.duration_since(began)), *to));
                }
            }
        })
        .await;
    assert_eq!(seen, [(0, StreamMode::OnDemand), (24, StreamMode::Provisioned)]);
    assert_eq!(bench.facts().await.stream.unwrap().mode, StreamMode::Provisioned);
    assert_eq!(bench.memory().stream_mode.break_glass_since, None);
    bench.host.with(|twin| {
        assert_eq!((twin.audit().transition_refusals, twin.audit().quota_refusals), (0, 0));
    });
}

#[tokio::test(start_paused = true)]
async fn apply_leaves_a_stream_on_demand_that_break_glass_switched() {
    let mut bench = Bench::new();
    bench.host = Host::new(Twin::new(World::alleycat().with_jitter(400).with_races(6), 7), bench.clock.clone());
    bench.pipeline.scaling.break_glass = vec![BreakGlass::OnDemand];
    done(&bench.apply().await);
    bench.use_up_reshards();
    bench.daemon(Mode::Act, SignedDuration::from_mins(15), |_, _| ()).await;
    assert_eq!(bench.facts().await.stream.unwrap().mode, StreamMode::OnDemand);
    let before = bench.mutations();
    done(&bench.apply().await);
    assert_eq!(bench.mutations(), before, "nothing to do");
}
