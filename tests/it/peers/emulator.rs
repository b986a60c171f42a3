//! Starts an emulator on a free loopback port, talks plain HTTP to it, and stops it when dropped.

#![allow(clippy::disallowed_methods, clippy::format_collect, reason = "somebody else's server lives in real time")]

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use alleycat_operator::twin::{Request, Response};
use serde_json::{Value, json};

use crate::conformance::{answer, request};

/// The region in every request's credential scope.
pub const REGION: &str = "us-east-1";
/// kinesis-local's transitions in which further calls are made: long enough for those on a busy machine.
const WATCHED: [&str; 3] = ["CREATE_STREAM", "UPDATE_SHARD_COUNT", "DELETE_STREAM"];
/// Its other transitions, which are only waited for.
const WAITED_FOR: [&str; 7] = [
    "MERGE_SHARDS",
    "SPLIT_SHARD",
    "REGISTER_STREAM_CONSUMER",
    "DEREGISTER_STREAM_CONSUMER",
    "UPDATE_STREAM_MODE",
    "START_STREAM_ENCRYPTION",
    "STOP_STREAM_ENCRYPTION",
];
/// CreateRole of `wire`: moto wants a function's role to exist.
const ROLE: &str = "Action=CreateRole&Version=2010-05-08&RoleName=wire&AssumeRolePolicyDocument=%7B%22Version%22%3A%222012-10-17%22\
                    %2C%22Statement%22%3A%5B%7B%22Effect%22%3A%22Allow%22%2C%22Principal%22%3A%7B%22Service%22%3A%22\
                    lambda.amazonaws.com%22%7D%2C%22Action%22%3A%22sts%3AAssumeRole%22%7D%5D%7D";

pub struct Emulator {
    child: Child,
    port: u16,
    account: &'static str,
    name: String,
    _home: tempfile::TempDir,
}

/// Seconds since the epoch by this machine's clock.
#[allow(clippy::disallowed_methods, reason = "the emulators live in real time")]
pub fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

/// The program that `scripts/emulators` installed, and the account it plays.
fn program(name: &str) -> (PathBuf, &'static str, &'static str) {
    let (variable, path, account, health) = match name {
        "ministack" => ("MINISTACK", "emulators/bin/ministack", "000000000000", "/_ministack/health"),
        "moto" => ("MOTO", "emulator-moto/bin/moto_server", "123456789012", "/moto-api/data.json"),
        _ => ("KINESIS_LOCAL", "emulator-kinesis/node_modules/kinesis-local/main.js", "000000000000", "/healthcheck"),
    };
    let installed = || Path::new(env!("CARGO_MANIFEST_DIR")).join("target").join(path);
    (std::env::var_os(format!("ALLEYCAT_{variable}")).map_or_else(installed, PathBuf::from), account, health)
}

impl Emulator {
    /// Starts it. `None`, said aloud, when it is not installed: then `check` did not run. In CI that is a failure.
    pub fn start(name: &str, check: &str) -> Option<Self> {
        let (program, account, health) = program(name);
        if !program.is_file() {
            let ci =
                ["CI", "ALLEYCAT_CI"].iter().any(|name| std::env::var(name).is_ok_and(|v| v == "true" || v == "1"));
            assert!(!ci, "{check}: {name} is not installed and this is CI; run ./scripts/test");
            // Straight to the process's stderr: the test runner keeps `eprintln!` of passing tests to itself.
            let _ = writeln!(std::io::stderr(), "NOT RUN: {check}: run ./scripts/emulators {name}");
            return None;
        }
        for _ in 0..3 {
            let Some(running) = Self::try_start(name, &program, account, health) else { continue };
            if name == "moto" {
                let form = ("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned());
                let (method, path, headers) = ("POST".to_owned(), "/".to_owned(), BTreeMap::from([form]));
                let role = running.send("iam:CreateRole", &Request { method, path, headers, body: ROLE.into() });
                assert_eq!(role.status, 200, "{}", String::from_utf8_lossy(&role.body));
            }
            return Some(running);
        }
        panic!("{name} did not become healthy on three ports");
    }

    fn try_start(name: &str, program: &Path, account: &'static str, health: &str) -> Option<Self> {
        let home = tempfile::tempdir().unwrap();
        let free = || TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).unwrap().port();
        let port = free();
        let mut command = match name {
            "kinesis-local" => {
                let mut node = Command::new("node");
                node.arg("--require").arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/peers/loopback.js"));
                node.arg(program);
                node
            }
            _ => Command::new(program),
        };
        match name {
            "ministack" => {
                command.envs([("BIND_HOST", "127.0.0.1"), ("LAMBDA_EXECUTOR", "local"), ("IOT_MTLS_ENABLED", "0")]);
                command.env("SFTP_ENABLED", "0").env("GATEWAY_PORT", port.to_string());
            }
            "moto" => drop(command.args(["-H", "127.0.0.1", "-p", &port.to_string()])),
            _ => {
                command.env("KINESIS_MOCK_PLAIN_PORT", port.to_string());
                command.env("KINESIS_MOCK_TLS_PORT", free().to_string()).env("SHARD_LIMIT", "500");
                command.envs(WATCHED.map(|transition| (format!("{transition}_DURATION"), "2000ms")));
                command.envs(WAITED_FOR.map(|transition| (format!("{transition}_DURATION"), "200ms")));
            }
        }
        // kinesis-local reads its key beside its program.
        let beside = program.parent().filter(|_| name == "kinesis-local").unwrap_or(home.path());
        command.env("HOME", home.path()).env("TMPDIR", home.path()).current_dir(beside);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mut running = Self { child, port, account, name: name.to_owned(), _home: home };
        for _ in 0..300 {
            let request = Request { method: "GET".into(), path: health.into(), headers: BTreeMap::new(), body: vec![] };
            if running.exchange(&request).is_some_and(|response| response.status == 200) {
                return Some(running);
            }
            if running.child.try_wait().unwrap().is_some() {
                break;
            }
            thread::sleep(Duration::from_millis(100));
        }
        None
    }

    pub fn account(&self) -> &str {
        self.account
    }

    /// The answer to a call, signed for its service by nobody.
    pub fn send(&self, call: &str, request: &Request) -> Response {
        let service = match call.split(':').next().unwrap_or_default() {
            "cloudwatch" => "monitoring",
            service => service,
        };
        let mut request = request.clone();
        let scope = format!("test/20261123/{REGION}/{service}/aws4_request");
        let authorization = format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0");
        request.headers.insert("authorization".to_owned(), authorization);
        request.headers.insert("x-amz-date".to_owned(), "20261123T000000Z".to_owned());
        self.exchange(&request).unwrap_or_else(|| panic!("no answer to {call}"))
    }

    /// Waits until nothing is in transition.
    pub fn settle(&self) {
        for _ in 0..600 {
            if !self.in_transition() {
                return;
            }
            thread::sleep(Duration::from_millis(50));
        }
        panic!("still in transition after 30 s");
    }

    /// kinesis-local has the transitions of streams and consumers, ministack those of functions, moto has none.
    fn in_transition(&self) -> bool {
        let ask = |call: &str, input: Value| answer(&self.send(call, &request(call, &input))).unwrap_or_default();
        let moving = ["CREATING", "UPDATING", "DELETING", "Pending", "InProgress"];
        let moves = |status: &Value| status.as_str().is_some_and(|status| moving.contains(&status));
        if self.name == "ministack" {
            let functions = ask("lambda:ListFunctions", json!({}));
            return functions["Functions"].as_array().into_iter().flatten().any(|function| {
                let now = ask("lambda:GetFunctionConfiguration", json!({ "FunctionName": function["FunctionName"] }));
                moves(&now["State"]) || moves(&now["LastUpdateStatus"])
            });
        }
        if self.name != "kinesis-local" {
            return false;
        }
        let streams = ask("kinesis:ListStreams", json!({}));
        streams["StreamNames"].as_array().into_iter().flatten().any(|name| {
            let summary = ask("kinesis:DescribeStreamSummary", json!({ "StreamName": name }));
            let summary = &summary["StreamDescriptionSummary"];
            let consumers = ask("kinesis:ListStreamConsumers", json!({ "StreamARN": summary["StreamARN"] }));
            let mut consumers = consumers["Consumers"].as_array().into_iter().flatten();
            moves(&summary["StreamStatus"]) || consumers.any(|consumer| moves(&consumer["ConsumerStatus"]))
        })
    }

    fn exchange(&self, request: &Request) -> Option<Response> {
        let mut socket = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        socket.set_read_timeout(Some(Duration::from_secs(30))).ok()?;
        let headers: String = request.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let head = format!(
            "{} {} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n",
            request.method,
            request.path,
            request.body.len()
        );
        socket.write_all(head.as_bytes()).ok()?;
        socket.write_all(&request.body).ok()?;
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).ok()?;
        parse(&answer)
    }
}

fn parse(answer: &[u8]) -> Option<Response> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let mut lines = head.lines();
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let header =
        |line: &str| line.split_once(':').map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()));
    let headers: BTreeMap<String, String> = lines.filter_map(header).collect();
    let mut body = answer[end + 4..].to_vec();
    if headers.get("transfer-encoding").is_some_and(|coding| coding.contains("chunked")) {
        body = unchunk(&body)?;
    }
    Some(Response { status, headers, body, subscription: None })
}

fn unchunk(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = rest.windows(2).position(|window| window == b"\r\n")?;
        let length = usize::from_str_radix(std::str::from_utf8(&rest[..line]).ok()?.trim(), 16).ok()?;
        if length == 0 {
            return Some(body);
        }
        body.extend(rest.get(line + 2..line + 2 + length)?);
        rest = rest.get(line + 4 + length..)?;
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
