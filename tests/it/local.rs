//! `alleycat-operator local` as a raw HTTP client sees it.

#![allow(clippy::disallowed_methods, reason = "a server on a socket lives in real time")]

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde_json::Value;

pub struct Served {
    child: Child,
    address: String,
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(flags: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_alleycat-operator"));
    command.arg("local").args(["--listen", "127.0.0.1:0"]).args(flags);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

impl Served {
    pub fn start(flags: &[&str]) -> Self {
        let mut child = command(flags).spawn().unwrap();
        let mut line = String::new();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        stderr.read_line(&mut line).unwrap();
        let (_, rest) = line.split_once("http://").unwrap_or_else(|| panic!("{line}"));
        let address = rest.split(',').next().unwrap().to_owned();
        // Goes on reading: a full pipe would stop the server.
        std::thread::spawn(move || std::io::copy(&mut stderr, &mut std::io::sink()));
        Self { child, address }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The most memory that the process has had in use.
    #[cfg(target_os = "linux")]
    pub fn peak_bytes(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1_024
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }

    /// The whole answer to one request on a connection of its own.
    fn raw(&self, request: &[u8]) -> String {
        let mut stream = self.connect();
        let _ = stream.write_all(request);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }

    fn send(&self, head: &str, body: &[u8]) -> String {
        let length = body.len();
        let head = format!("{head}\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
        self.raw(&[head.as_bytes(), body].concat())
    }

    fn json(&self, target: &str, body: &str) -> String {
        self.send(&format!("POST / HTTP/1.1\r\nx-amz-target: {target}"), body.as_bytes())
    }

    /// Ends it as a supervisor would; gives the exit code.
    fn stop(mut self) -> Option<i32> {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        self.child.wait().unwrap().code()
    }

    /// Most memory it ever had, in bytes.
    fn peak(&self) -> usize {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
    }
}

#[test]
fn each_protocol_is_answered_as_aws_answers_it() {
    let aws = Served::start(&[]);
    let health = aws.send("GET /_alleycat/health HTTP/1.1", b"");
    assert!(health.starts_with("HTTP/1.1 200") && health.contains(r#""status":"ok""#), "{health}");

    let kinesis = aws.json("Kinesis_20131202.ListStreams", "{}");
    assert!(kinesis.contains("200 OK") && kinesis.contains("x-amz-id-2: ") && kinesis.contains("x-amzn-requestid: "));
    let tables = aws.json("DynamoDB_20120810.ListTables", "{}");
    assert!(tables.contains("x-amz-crc32: ") && tables.contains("application/x-amz-json-1.0"), "{tables}");
    let unknown = aws.json("DynamoDB_20120810.Nonsense", "{}");
    assert!(unknown.contains("400 Bad") && unknown.contains("com.amazon.coral.service#UnknownOperationException"));
    let broken = aws.json("Kinesis_20131202.ListStreams", "[1]");
    assert!(broken.contains("SerializationException"), "{broken}");

    let functions = aws.send("GET /2015-03-31/functions/none HTTP/1.1", b"");
    assert!(functions.contains("404 ") && functions.contains("x-amzn-errortype: ResourceNotFoundException"));
    let identity = aws.send("POST / HTTP/1.1", b"Action=GetCallerIdentity&Version=2011-06-15");
    assert!(identity.contains("<Account>123456789012</Account>"), "{identity}");
    let action = aws.send("POST / HTTP/1.1", b"Action=%3Cb%3E&Version=2010-08-01");
    assert!(action.contains("<Code>InvalidAction</Code>") && action.contains("operation &lt;b&gt;"), "{action}");
    let cbor = aws.send("POST /service/GraniteServiceVersion20100801/operation/Nonsense HTTP/1.1", b"");
    assert!(cbor.contains("404 ") && cbor.contains("smithy-protocol: rpc-v2-cbor"), "{cbor}");
    assert!(cbor.contains("x-amzn-query-error: "), "{cbor}");
    assert_eq!(aws.stop(), Some(0));
}

#[test]
fn an_account_is_kept_from_one_life_to_the_next_and_has_one_owner() {
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path().join("account");
    let flags = ["--state", state.to_str().unwrap()];
    let aws = Served::start(&flags);
    let created = aws.json("Kinesis_20131202.CreateStream", r#"{"StreamName":"kept","ShardCount":1}"#);
    assert!(created.contains("200 OK"), "{created}");

    let second = command(&flags).output().unwrap();
    let told = String::from_utf8_lossy(&second.stderr).into_owned();
    assert_eq!(second.status.code(), Some(69), "{told}");
    assert!(told.contains("in use by process") && told.contains(&format!("http://{}", aws.address)), "{told}");

    // Killed: what was answered is there all the same.
    drop(aws);
    let aws = Served::start(&flags);
    assert!(aws.json("Kinesis_20131202.ListStreams", "{}").contains("kept"));
    assert_eq!(aws.stop(), Some(0));
    assert!(Path::new(&state).exists());
}

#[test]
fn data_is_kept_when_the_server_ends() {
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path().join("account");
    let flags = ["--state", state.to_str().unwrap(), "--speed", "3600"];
    let aws = Served::start(&flags);
    let table = r#"{"TableName":"tab","KeySchema":[{"AttributeName":"id","KeyType":"HASH"}],"BillingMode":"PAY_PER_REQUEST",
        "AttributeDefinitions":[{"AttributeName":"id","AttributeType":"S"}]}"#;
    assert!(aws.json("DynamoDB_20120810.CreateTable", table).contains("200 OK"));
    while !aws.json("DynamoDB_20120810.DescribeTable", r#"{"TableName":"tab"}"#).contains(r#""TableStatus":"ACTIVE""#) {
    }
    let before = fs::read(&state).unwrap();
    let put = aws.json("DynamoDB_20120810.PutItem", r#"{"TableName":"tab","Item":{"id":{"S":"kept"}}}"#);
    assert!(put.contains("200 OK"), "{put}");
    assert_eq!(aws.stop(), Some(0));
    assert!(fs::read(&state).unwrap() != before);
    let aws = Served::start(&flags);
    let found = aws.json("DynamoDB_20120810.GetItem", r#"{"TableName":"tab","Key":{"id":{"S":"kept"}}}"#);
    assert!(found.contains(r#""S":"kept""#), "{found}");
}

#[test]
fn a_port_for_others_is_opened_only_when_asked_for_twice() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_alleycat-operator"));
    let output = command.args(["local", "--listen", "0.0.0.0:0"]).output().unwrap();
    assert_eq!(output.status.code(), Some(64));
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && told.contains("--allow-remote"), "{told}");
}

#[test]
fn time_runs_as_fast_as_asked() {
    let world = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/worlds/alleycat.yaml");
    let aws = Served::start(&["--world", world, "--speed", "3600"]);
    let time = || {
        let health = aws.send("GET /_alleycat/health HTTP/1.1", b"");
        let body: Value = serde_json::from_str(health.split_once("\r\n\r\n").unwrap().1).unwrap();
        body["virtualTime"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap()
    };
    let first = time();
    std::thread::sleep(Duration::from_millis(200));
    let passed = time().duration_since(first);
    assert!(passed.as_secs() >= 700, "{passed}");
}

#[test]
fn hostile_clients_get_no_memory() {
    let aws = Served::start(&[]);
    let max = alleycat_operator::twin::MAX_BODY;
    let target = "POST / HTTP/1.1\r\nhost: x\r\nx-amz-target: Kinesis_20131202.PutRecords";
    // Too long, as declared and as it turns out.
    let declared = aws.raw(format!("{target}\r\ncontent-length: {}\r\n\r\n", max + 1).as_bytes());
    assert!(declared.starts_with("HTTP/1.1 413"), "{declared}");
    let long = aws.raw(format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "x".repeat(200_000)).as_bytes());
    assert!(long.is_empty() || long.starts_with("HTTP/1.1 4"), "{long}");
    // Very many values in one body.
    let many = format!("{{\"a\":[{}0]}}", "{\"\":0},".repeat((max - 16) / 7));
    let refused = aws.json("Kinesis_20131202.PutRecords", &many);
    assert!(refused.contains("SerializationException"), "{refused}");
    // Many bodies under way at once, none of them finished.
    let piece = vec![b' '; 2 << 20];
    let mut streams = Vec::new();
    for _ in 0..24 {
        let mut stream = aws.connect();
        stream.write_all(format!("{target}\r\ncontent-length: {max}\r\n\r\n").as_bytes()).unwrap();
        stream.set_nonblocking(true).unwrap();
        for _ in 0..7 {
            if stream.write(&piece).is_err() {
                break;
            }
        }
        streams.push(stream);
    }
    // Small requests are served meanwhile.
    assert!(aws.json("Kinesis_20131202.ListStreams", "{}").contains("200 OK"));
    let bound = alleycat_operator::twin::serve::SERVER_BYTES;
    assert!(aws.peak() < bound, "{} of {bound}", aws.peak());
}
