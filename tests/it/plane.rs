//! The twin's data plane against the published walk-through of Alleycat, and what must hold in any world.

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
        window_ms: 0,
        parallelization_factor: factor,
        starting_position: Start::TrimHorizon,
        max_retries: -1,
        max_age_s: -1,
        bisect: false,
        enabled: true,
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

#[test]
fn probe() {
    for (name, setup) in [
        ("template", template()),
        ("capacity", Setup { write: 4_000, index_write: 2_000, ..template() }),
        ("100 racers", Setup { world: World::alleycat().with_racers(100), ..template() }),
        ("timeout 60", Setup { world: World::alleycat().with_timeout(60), ..template() }),
        ("jitter", Setup { world: World::alleycat().with_jitter(400), ..template() }),
        ("2x10", Setup { shards: 2, factor: 10, write: 4_000, index_write: 2_000, ..template() }),
        ("2x2", Setup { shards: 2, factor: 2, write: 1_000, index_write: 500, ..template() }),
    ] {
        let plane = setup.run(2);
        println!("== {name} {:?}", std::thread::current().id());
        println!("{:#?}", plane.totals().streams);
        println!("{:?}", plane.totals().functions);
        println!("{:?}", plane.totals().tables);
        for f in [LEADERBOARD, FINALS] {
            println!("dur max {} avg-minutes {:?}", max(&lambda(&plane, "Duration", f)),
              lambda(&plane, "Duration", f).iter().map(|(_, s)| (s.sum / s.count as f64) as i64).take(30).collect::<Vec<_>>());
            println!("age {:?}", lambda(&plane, "IteratorAge", f).iter().map(|(_, s)| s.max as i64 / 1000).collect::<Vec<_>>());
            println!("conc {}", max(&lambda(&plane, "ConcurrentExecutions", f)));
            println!("err {:?}", lambda(&plane, "Errors", f).iter().map(|(_, s)| s.sum as i64).collect::<Vec<_>>());
        }
        let m = metric(&plane, "AWS/Kinesis", "GetRecords.IteratorAgeMilliseconds", &KINESIS);
        println!("kage {:?}", m.iter().map(|(_, s)| s.max as i64 / 1000).collect::<Vec<_>>());
        println!("wcu {:?}", table(&plane, "ConsumedWriteCapacityUnits").iter().map(|(_, s)| s.sum as i64 / 60).collect::<Vec<_>>());
        println!("rcu {:?}", table(&plane, "ConsumedReadCapacityUnits").iter().map(|(_, s)| s.sum as i64 / 60).collect::<Vec<_>>());
        println!("thr {:?}", table(&plane, "WriteThrottleEvents").iter().map(|(m, s)| ((m / MINUTE_MS) % 1000, s.sum as i64)).collect::<Vec<_>>());
        println!("in {:?}", metric(&plane, "AWS/Kinesis", "IncomingRecords", &KINESIS).iter().map(|(_, s)| s.sum as i64 / 60).take(10).collect::<Vec<_>>());
        println!("rdthr {}", sum(&table(&plane, "ReadThrottleEvents")));
        assert!(sum(&table(&plane, "x")) >= 0.0);
    }
}
