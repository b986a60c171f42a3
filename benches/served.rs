//! How many requests a second the served twin answers, beside ministack on the same machine, and what memory it takes.
//! `cargo bench --bench served`, after `./scripts/emulators`.
//!
//! The same client sends both the same requests over the same number of kept connections, in turns, and counts what
//! was answered with success. The twin runs at a thousand times real time, so that AWS's limits a second, which
//! ministack does not have, refuse nothing.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::exit,
    reason = "a bench reads the clock, and its output is its purpose"
)]

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use alleycat_operator::twin::serve::SERVER_BYTES;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

/// Connections, each with a thread of its own.
const CONNECTIONS: usize = 8;
/// How often each connection sends the mix in one round.
const CYCLES: usize = 60;
/// The best round of each counts.
const ROUNDS: usize = 2;
/// What issue 3 asks for: times ministack's requests a second, and MB.
const GOALS: (f64, f64) = (8.0, 50.0);
const SHARDS: u32 = 16;

/// A server that ends with the bench.
struct Server {
    child: Child,
    port: u16,
    _home: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    fn start(command: &mut Command, health: &str) -> Self {
        let home = tempfile::tempdir().expect("a temporary directory");
        let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port").port();
        let argument = format!("127.0.0.1:{port}");
        let command = if health.contains("alleycat") { command.args(["--listen", &argument]) } else { command };
        let child = command
            .env("BIND_HOST", "127.0.0.1")
            .env("GATEWAY_PORT", port.to_string())
            .env("LAMBDA_EXECUTOR", "local")
            .env("IOT_MTLS_ENABLED", "0")
            .env("SFTP_ENABLED", "0")
            .env("HOME", home.path())
            .env("TMPDIR", home.path())
            .current_dir(home.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the server can be started");
        let server = Self { child, port, _home: home };
        for _ in 0..600 {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() && server.connect().get(health) {
                return server;
            }
            thread::sleep(Duration::from_millis(100));
        }
        panic!("the server did not come up");
    }

    fn twin(flags: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_alleycat-operator"));
        Self::start(command.arg("local").args(flags), "/_alleycat/health")
    }

    fn connect(&self) -> Connection {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).expect("a connection");
        stream.set_nodelay(true).expect("a socket");
        stream.set_read_timeout(Some(Duration::from_mins(1))).expect("a socket");
        Connection(BufReader::new(stream))
    }

    /// Resident memory now and at its highest, in MB.
    fn memory(&self) -> (f64, f64) {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let kib = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name))?;
            line.split_whitespace().nth(1)?.parse::<f64>().ok()
        };
        let megabytes = |name| kib(name).map_or(f64::NAN, |kib| kib * 1_024.0 / 1e6);
        (megabytes("VmRSS:"), megabytes("VmHWM:"))
    }
}

/// A kept connection.
struct Connection(BufReader<TcpStream>);

impl Connection {
    fn get(&mut self, path: &str) -> bool {
        self.exchange(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n").as_bytes()).is_some_and(|(ok, _)| ok)
    }

    /// Sends a request; whether it was answered with success, and the answer's body.
    fn exchange(&mut self, request: &[u8]) -> Option<(bool, Vec<u8>)> {
        self.0.get_mut().write_all(request).ok()?;
        self.answer()
    }

    fn answer(&mut self) -> Option<(bool, Vec<u8>)> {
        let mut line = String::new();
        self.0.read_line(&mut line).ok()?;
        let ok = line.split(' ').nth(1)?.starts_with('2');
        let (mut length, mut chunked) = (0, false);
        loop {
            line.clear();
            self.0.read_line(&mut line).ok()?;
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().ok()?;
            }
            chunked |= name.eq_ignore_ascii_case("transfer-encoding");
        }
        let mut body = Vec::new();
        while chunked {
            line.clear();
            self.0.read_line(&mut line).ok()?;
            length = usize::from_str_radix(line.trim(), 16).ok()?;
            let from = body.len();
            body.resize(from + length + 2, 0);
            self.0.read_exact(body.get_mut(from..)?).ok()?;
            body.truncate(from + length);
            chunked = length > 0;
        }
        if body.is_empty() {
            body.resize(length, 0);
            self.0.read_exact(&mut body).ok()?;
        }
        Some((ok, body))
    }

    /// A call that must succeed.
    fn call(&mut self, target: &str, input: &Value) -> Value {
        let (ok, body) = self.exchange(&json_request(target, input)).expect("an answer");
        assert!(ok, "{target}: {}", String::from_utf8_lossy(&body));
        serde_json::from_slice(&body).unwrap_or_default()
    }
}

fn request(service: &str, kind: &str, target: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST / HTTP/1.1\r\nhost: localhost\r\n{target}content-type: {kind}\r\n\
         authorization: AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/{service}/aws4_request, \
         SignedHeaders=host, Signature=0\r\nx-amz-date: 20260101T000000Z\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

fn json_request(target: &str, input: &Value) -> Vec<u8> {
    let (service, version) = if target.starts_with("Kinesis") { ("kinesis", "1.1") } else { ("dynamodb", "1.0") };
    let kind = format!("application/x-amz-json-{version}");
    request(service, &kind, &format!("x-amz-target: {target}\r\n"), input.to_string().as_bytes())
}

fn kinesis(operation: &str, input: &Value) -> Vec<u8> {
    json_request(&format!("Kinesis_20131202.{operation}"), input)
}

fn dynamodb(operation: &str, input: &Value) -> Vec<u8> {
    json_request(&format!("DynamoDB_20120810.{operation}"), input)
}

/// The requests of one cycle with their names; GetRecords is made from the answer to GetShardIterator.
fn mix(salt: usize) -> Vec<(&'static str, Vec<u8>)> {
    let data = BASE64_STANDARD.encode([b'x'; 100]);
    let record = |n: usize| json!({"Data": data, "PartitionKey": format!("racer-{}", salt * 31 + n)});
    let mut one = record(0);
    one["StreamName"] = json!("bench");
    let ten: Vec<Value> = (0..10).map(record).collect();
    let shard = format!("shardId-{:012}", salt % SHARDS as usize);
    let key = json!({"id": {"S": format!("racer-{}", salt % 100)}});
    let metric = "Action=GetMetricData&Version=2010-08-01&StartTime=2026-01-01T00%3A00%3A00Z\
        &EndTime=2026-01-01T01%3A00%3A00Z&MetricDataQueries.member.1.Id=m&MetricDataQueries.member.1.MetricStat.Period=60\
        &MetricDataQueries.member.1.MetricStat.Stat=Sum\
        &MetricDataQueries.member.1.MetricStat.Metric.Namespace=AWS%2FKinesis\
        &MetricDataQueries.member.1.MetricStat.Metric.MetricName=IncomingRecords\
        &MetricDataQueries.member.1.MetricStat.Metric.Dimensions.member.1.Name=StreamName\
        &MetricDataQueries.member.1.MetricStat.Metric.Dimensions.member.1.Value=bench";
    let form = "application/x-www-form-urlencoded";
    let iterator = json!({"StreamName": "bench", "ShardId": shard, "ShardIteratorType": "TRIM_HORIZON"});
    let item = json!({"id": {"S": format!("racer-{}", salt % 100)}, "best": {"N": "42"}, "name": {"S": "someone"}});
    vec![
        ("PutRecord", kinesis("PutRecord", &one)),
        ("PutRecords", kinesis("PutRecords", &json!({"StreamName": "bench", "Records": ten}))),
        ("DescribeStreamSummary", kinesis("DescribeStreamSummary", &json!({"StreamName": "bench"}))),
        ("ListShards", kinesis("ListShards", &json!({"StreamName": "bench"}))),
        ("GetShardIterator", kinesis("GetShardIterator", &iterator)),
        ("GetRecords", Vec::new()),
        ("PutItem", dynamodb("PutItem", &json!({"TableName": "bench", "Item": item}))),
        ("GetItem", dynamodb("GetItem", &json!({"TableName": "bench", "Key": key}))),
        ("DescribeTable", dynamodb("DescribeTable", &json!({"TableName": "bench"}))),
        ("GetMetricData", request("monitoring", form, "", metric.as_bytes())),
    ]
}

/// A stream and a table.
fn prepare(server: &Server) {
    let mut connection = server.connect();
    connection.call("Kinesis_20131202.CreateStream", &json!({"StreamName": "bench", "ShardCount": SHARDS}));
    connection.call(
        "DynamoDB_20120810.CreateTable",
        &json!({
            "TableName": "bench",
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
            "BillingMode": "PAY_PER_REQUEST",
        }),
    );
    for _ in 0..300 {
        let stream = connection.call("Kinesis_20131202.DescribeStreamSummary", &json!({"StreamName": "bench"}));
        let table = connection.call("DynamoDB_20120810.DescribeTable", &json!({"TableName": "bench"}));
        let active = |status: Option<&Value>| status.is_some_and(|status| status == "ACTIVE");
        if active(stream.pointer("/StreamDescriptionSummary/StreamStatus"))
            && active(table.pointer("/Table/TableStatus"))
        {
            return;
        }
        thread::sleep(Duration::from_millis(100));
    }
    panic!("the stream and the table did not become active");
}

/// One connection's part of a round: (accepted, the names of those refused).
fn part(server: &Server, number: usize) -> (usize, Vec<&'static str>) {
    let mut connection = server.connect();
    let mut requests = mix(number);
    let (mut accepted, mut refused) = (0, Vec::new());
    for _ in 0..CYCLES {
        let mut iterator = None;
        for (name, bytes) in &mut requests {
            if let Some(iterator) = iterator.take() {
                *bytes = kinesis("GetRecords", &json!({"ShardIterator": iterator, "Limit": 10}));
            }
            // A server may end a connection between two requests; ministack does after a thousand.
            let answer = connection.exchange(bytes).or_else(|| {
                connection = server.connect();
                connection.exchange(bytes)
            });
            let (ok, body) = answer.expect("an answer");
            accepted += usize::from(ok);
            if !ok {
                refused.push(*name);
            }
            if *name == "GetShardIterator" {
                let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
                iterator = Some(answer["ShardIterator"].clone());
            }
        }
    }
    (accepted, refused)
}

/// Requests a second that were accepted.
fn round(name: &str, server: &Server) -> f64 {
    let begun = Instant::now();
    let parts: Vec<(usize, Vec<&str>)> = thread::scope(|scope| {
        let parts: Vec<_> = (0..CONNECTIONS).map(|number| scope.spawn(move || part(server, number))).collect();
        parts.into_iter().map(|part| part.join().expect("a part of a round")).collect()
    });
    let rate = parts.iter().map(|(accepted, _)| accepted).sum::<usize>() as f64 / begun.elapsed().as_secs_f64();
    let mut refused: Vec<&str> = parts.into_iter().flat_map(|(_, refused)| refused).collect();
    let count = refused.len();
    refused.sort_unstable();
    refused.dedup();
    println!("{name:>10}: {rate:>8.0} requests a second; {count} refused {refused:?}");
    rate
}

/// Clients that do their worst: as many connections as are taken, each with the greatest body there may be, which says
/// nothing that is kept. Returns resident memory at its highest, in MB.
fn flood() -> f64 {
    let server = Server::twin(&[]);
    let before = server.memory().0;
    let body = format!("{{\"StreamName\":\"nobody\",\"Records\":[{}]}}", vec!["{}"; 5_000_000].join(","));
    let bytes = kinesis("PutRecords", &json!({}));
    let head = String::from_utf8_lossy(&bytes).replace("content-length: 2", &format!("content-length: {}", body.len()));
    let bytes = [head.trim_end_matches("{}").as_bytes(), body.as_bytes()].concat();
    thread::scope(|scope| {
        for _ in 0..128 {
            scope.spawn(|| server.connect().exchange(&bytes));
        }
    });
    let (after, most) = server.memory();
    println!(
        "128 connections with bodies of {:.0} MB: {before:.0} MB resident before, {most:.0} MB at most, {after:.0} MB after",
        body.len() as f64 / 1e6
    );
    most - before
}

fn main() {
    let installed = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/emulators/bin/ministack");
    let ministack = std::env::var_os("ALLEYCAT_MINISTACK").map_or_else(installed, PathBuf::from);
    if !ministack.is_file() {
        eprintln!("ministack is not installed: run ./scripts/emulators, or set ALLEYCAT_MINISTACK to its program");
        std::process::exit(1);
    }
    let twin = Server::twin(&["--speed", "1000"]);
    let other = Server::start(&mut Command::new(ministack), "/_ministack/health");
    prepare(&twin);
    prepare(&other);
    let idle = twin.memory().0;
    let (mut ours, mut theirs) = (0.0_f64, 0.0_f64);
    for _ in 0..ROUNDS {
        ours = ours.max(round("twin", &twin));
        theirs = theirs.max(round("ministack", &other));
    }
    let (resident, most) = twin.memory();
    println!("ratio: {:.1} (goal: {:.0})", ours / theirs, GOALS.0);
    println!(
        "memory of the twin: {idle:.0} MB before, {resident:.0} MB after, {most:.0} MB at most (goal: {:.0}); of \
         ministack: {:.0} MB after",
        GOALS.1,
        other.memory().0
    );
    drop((twin, other));
    let more = flood();
    println!(
        "that is {more:.0} MB more; bound of the server beside the twin's state: {:.0} MB",
        SERVER_BYTES as f64 / 1e6
    );
}
