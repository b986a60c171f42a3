//! `simulate --from-cloudwatch`: the past of a pipeline that ran is the load of its simulation.

use jiff::Timestamp;

use crate::{
    cli::Bench,
    simulate::{SPEC, WORLD},
};

/// Records/s of the world, `second` after its start.
fn offered(second: i64) -> u64 {
    if (3_600..7_200).contains(&second) { 3_000 } else { 700 }
}

#[test]
fn the_simulation_of_a_past_offers_what_was_offered() {
    let bench = Bench::new();
    bench.write("spec.yaml", SPEC);
    bench.write("world.yaml", WORLD);
    bench.run("apply spec.yaml --local=world.yaml --yes").exits(0);
    bench.run("daemon spec.yaml --local=world.yaml --for 2h30m --quiet").exits(0);
    let line = "simulate spec.yaml --local=world.yaml --from-cloudwatch 1d --hours 3 --warm-up 0s --output json";
    let shown =
        bench.run(line).exits(0).says(&["measured: 512 B a record, writer: ", "orders: 1 write units a record"]);
    let document = shown.json();
    let said = document["assumptions"].as_str().unwrap();
    // "from CloudWatch: 149 rows of 60 s from 2026-03-02T00:02:00Z, peak …"
    let words: Vec<&str> = said.split([' ', ',', ';']).collect();
    let (rows, from): (i64, Timestamp) = (words[2].parse().unwrap(), words[8].parse().unwrap());
    assert!(rows > 120 && !said.contains("assumed"), "{said}");
    let first = from.duration_since("2026-03-02T00:00:00Z".parse().unwrap()).as_secs();
    let expected: u64 = (first..first + rows * 60).map(offered).sum();
    let played = document["policies"]["operator"]["records"]["offered"].as_u64().unwrap();
    let off = played as f64 / expected as f64 - 1.0;
    assert!(off.abs() < 0.01, "{played} records, and {expected} were offered: {said}");
    let slot = words[words.iter().position(|word| *word == "writer:").unwrap() + 1].parse::<f64>().unwrap();
    assert!((slot / 250.0 - 1.0).abs() < 0.05, "4 ms a record: {said}");
    // A longer past is read in coarser periods.
    let coarse = line.replace("1d", "40d").replace("--hours 3", "--hours 1");
    bench.run(&coarse).exits(0).says(&["rows of 300 s"]);
}

#[test]
fn without_a_stream_or_without_records_it_says_so() {
    let bench = Bench::new();
    bench.write("spec.yaml", SPEC);
    bench.write("world.yaml", &WORLD.replace("recordsPerSecond: 700", "recordsPerSecond: 0").replace("3000}", "0}"));
    let line = "simulate spec.yaml --local=world.yaml --from-cloudwatch 2d";
    bench.run(line).exits(1).says(&["stream/orders does not exist in us-east-2", "another --region"]);
    bench.run("apply spec.yaml --local=world.yaml --yes").exits(0);
    bench.run("daemon spec.yaml --local=world.yaml --for 10m --quiet").exits(0);
    bench.run(line).exits(1).says(&["no record that came into stream/orders", "look further back"]);
    bench.run("simulate spec.yaml --from-cloudwatch 500d").exits(64).says(&["1d to 455d"]);
    let both = "simulate spec.yaml --from-cloudwatch 1d --world world.yaml";
    bench.run(both).exits(64).says(&["cannot be used with"]);
}
